"""Find out what any supported neuron of snntorch computes, by driving it: leak, synapse, gain, reset and recurrence.

Parameters are read as a guess. A copy of the neuron is driven in double precision, once with its recurrent connections
cut and once with them, and every spike and membrane must be that of one known neuron.
"""

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import snntorch as snn
import torch
from torch import nn

from snnhw.errors import NetworkError
from snnhw.frontend.probe import DEFECTIVE, KNOWN, NAMED_DRIVES, RANDOM_ROWS, STEPS, TOLERANCE
from snnhw.ir.windows import Window, convolve
from snnhw.network import Behaviour

__all__ = ["Found", "Recurrence", "classify_neuron", "states_of", "supported"]

CROSSTALK_NEURONS = 4      # a population without parameters of its own is probed with this many neurons,
SMALL = 256                # or with its own number, up to here
MAX_PROBED = 1 << 23       # elements of one stimulus
SUPPORTED = (snn.Leaky, snn.Lapicque, snn.Synaptic, snn.RLeaky, snn.RSynaptic)


@dataclass(frozen=True, eq=False)
class Recurrence:
    """Connections from the spikes of a population, one timestep before, to its currents.

    Parameters
    ----------
    kind : str
        ``"linear"``, ``"conv"``, or ``"scale"``: one to one.
    weight : float array
        (neurons, neurons); (channels, channels, kernel, kernel); () or the shape of the population.
    bias : float array or None
        (neurons,) or (channels,).
    window : Window or None
        Geometry of the convolution.
    """

    kind: Literal["linear", "conv", "scale"]
    weight: np.ndarray
    bias: np.ndarray | None = None
    window: Window | None = None

    def __call__(self, spikes: np.ndarray) -> np.ndarray:
        """Return the currents for `spikes`, float (rows, *shape)."""
        if self.kind == "scale":
            return spikes * self.weight
        if self.kind == "linear":
            current = spikes @ self.weight.T
        else:
            assert self.window is not None
            current = convolve(spikes, self.weight, self.window)
        return current if self.bias is None else current + self.bias.reshape(-1, *[1] * (current.ndim - 2))


@dataclass(frozen=True, eq=False)
class Found:
    """What a neuron was found to be.

    Parameters
    ----------
    behaviour : Behaviour
        Its arithmetic.
    gain : float array, () or the shape of the population
        Factor of every input current.
    factor : float
        Value of a spike.
    recurrence : Recurrence or None
        Its connections to itself.
    """

    behaviour: Behaviour
    gain: np.ndarray
    factor: float
    recurrence: Recurrence | None


def supported(module: nn.Module) -> bool:
    """Tell whether a module is a neuron that can be classified."""
    return isinstance(module, SUPPORTED)


def states_of(module: nn.Module) -> tuple[str, ...]:
    """Return the names of the states of a neuron, in the order in which it returns them; ``"spk"`` is returned as spikes."""
    return {snn.Synaptic: ("syn", "mem"), snn.RLeaky: ("spk", "mem"), snn.RSynaptic: ("spk", "syn", "mem")}.get(
        next(kind for kind in SUPPORTED if isinstance(module, kind)), ("mem",))


def _array(module: nn.Module, name: str, shape: tuple[int, ...], where: str) -> np.ndarray:
    """Return a parameter in float64, () or of the shape of the population."""
    value = getattr(module, name, None)
    if not isinstance(value, torch.Tensor):
        raise NetworkError(f"{where}: {name} must be a number or a tensor, not {type(value).__name__}")
    array = value.detach().cpu().numpy().astype(np.float64)
    if not np.isfinite(array).all():
        raise NetworkError(f"{where}: {name} must be finite, not {array[~np.isfinite(array)].flat[0]}")
    if array.size == 1:
        return array.reshape(())
    try:
        return np.array(np.broadcast_to(array, shape))
    except ValueError:
        if len(shape) == 1 and array.ndim == 1:
            raise NetworkError(f"{where}: {name} must be one value or {shape[0]} values, not {array.size}") from None
        raise NetworkError(f"{where}: {name} must be one value or one for each neuron, not shape {array.shape}") from None


def _recurrence(module: nn.Module, shape: tuple[int, ...], where: str) -> Recurrence:
    """Read the recurrent connections of a neuron."""
    inner = module.recurrent
    if isinstance(inner, nn.Linear | nn.Conv2d):
        parts = {name: None if value is None else value.detach().cpu().numpy().astype(np.float64)
                 for name, value in (("weight", inner.weight), ("bias", inner.bias))}
        for name, array in parts.items():
            if array is not None and not np.isfinite(array).all():
                raise NetworkError(f"{where}: recurrent {name} must be finite, not {array[~np.isfinite(array)].flat[0]}")
        weight = parts["weight"]
        assert weight is not None
        if isinstance(inner, nn.Linear):
            if shape != (weight.shape[1],):
                raise NetworkError(f"{where}: linear_features must be the number of neurons, not {weight.shape[1]} for {shape}")
            return Recurrence("linear", weight, parts["bias"])
        window = Window(weight.shape[2:], padding=tuple(int(size) for size in inner.padding))
        if len(shape) != 3 or window.output(shape[1:]) != shape[1:]:
            raise NetworkError(f"{where}: the recurrent convolution must give currents of the shape of its neurons, {shape}; "
                               f"use an odd kernel_size")
        return Recurrence("conv", weight, parts["bias"], window)
    weight = _array(module, "V", shape, where) if hasattr(module, "V") else None
    if weight is None:
        raise NetworkError(f"{where}: its recurrent connections must be a Linear, a Conv2d or a factor, "
                           f"not {type(inner).__name__}")
    return Recurrence("scale", weight)


class _Cut(nn.Module):
    """Recurrent connections that carry nothing."""

    def forward(self, spikes: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(spikes)


def _patterns(exact: bool) -> np.ndarray:
    """Return the named drives, (steps, names), in units of the threshold."""
    named = np.zeros((STEPS, len(NAMED_DRIVES)))
    for row, (name, values) in enumerate(NAMED_DRIVES.items()):
        if exact or name != "exactly at the threshold":
            named[:len(values), row] = values
    return named


def _drives(shape: tuple[int, ...], named: bool) -> np.ndarray:
    """Return the currents in units of the threshold: float64, (steps, rows, *shape); named ones first."""
    rng = np.random.default_rng(0)
    neurons = math.prod(shape)
    patterns = _patterns(exact=True)
    rows = min(RANDOM_ROWS, max(1, MAX_PROBED // (STEPS * neurons)))
    spread = rng.choice([0.5, 1.0, 2.0], size=(1, rows, *[1] * len(shape)))
    drawn = rng.uniform(-0.6, 1.4, size=(STEPS, rows, *shape)) * spread
    if not named:
        return drawn
    if rows == RANDOM_ROWS:
        first = np.broadcast_to(patterns.reshape(*patterns.shape, *[1] * len(shape)), (*patterns.shape, *shape))
    else:  # a large population shares the named drives among its neurons
        first = patterns[:, np.arange(neurons) % patterns.shape[1]].reshape(STEPS, 1, *shape)
    return np.concatenate([first, drawn], axis=1)


def _measure(module: nn.Module, drives: np.ndarray, where: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the spikes and the membranes of a copy of `module`, (rows, *shape) in double precision, step by step."""
    subject = copy.deepcopy(module).double().eval()
    if isinstance(inner := getattr(subject, "recurrent", None), nn.Module):
        # The surrogates of snntorch give spikes in single precision.
        inner.register_forward_pre_hook(lambda _, args: tuple(value.double() for value in args))
    names = states_of(module)
    hidden = bool(getattr(subject, "init_hidden", False))
    states = {name: torch.zeros(drives.shape[1:], dtype=torch.float64) for name in names}
    for name in names:
        setattr(subject, name, states[name])
    try:
        for current in torch.from_numpy(drives):
            with torch.no_grad():
                result = subject(current) if hidden else subject(current, *states.values())
            parts = result if isinstance(result, tuple) else (result,)
            given = dict(zip(["spk", *(name for name in names if name != "spk")], parts, strict=False))
            states = {name: given.get(name, getattr(subject, name)) for name in names}
            yield parts[0].numpy().copy(), states["mem"].numpy().copy()
    except (RuntimeError, TypeError, ValueError, NameError) as error:
        raise NetworkError(f"{where}: it must accept a current and its states like snn.{_kind(module)}, "
                           f"and fails with {error}") from None


def _kind(module: nn.Module) -> str:
    return next(kind.__name__ for kind in SUPPORTED if isinstance(module, kind))


@dataclass(frozen=True, eq=False)
class _Guess:
    """Parameters as read, for the simulation that the trace must confirm."""

    beta: np.ndarray
    threshold: np.ndarray
    alpha: np.ndarray | None
    gain: tuple[np.ndarray, ...]  # factors, multiplied from the left as the neuron does
    factor: float

    def current(self, drive: np.ndarray) -> np.ndarray:
        for factor in self.gain:
            drive = drive * factor
        return drive


def _simulate(known: Any, guess: _Guess, drives: np.ndarray,
              recurrence: Recurrence | None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    v = c = s = np.zeros(drives.shape[1:])
    for drive in drives:
        current = guess.current(drive)
        if recurrence is not None:
            current = current + recurrence(s)
        if guess.alpha is not None:
            c = current = guess.alpha * c + current
        v, s = known.step(v, current, guess.beta, guess.threshold)
        s = s.astype(np.float64)
        yield s, v


def _compare(module: nn.Module, guess: _Guess, drives: np.ndarray, candidates: tuple[Any, ...], recurrence: Recurrence | None,
             where: str) -> tuple[Any | None, str]:
    """Return the candidate whose trace is that of the module, or None and how the nearest differs."""
    names = [*NAMED_DRIVES] if drives.shape[1] > len(NAMED_DRIVES) else []
    simulations = [_simulate(known, guess, drives, recurrence) for known in candidates]
    wrong, first = [0] * len(candidates), [""] * len(candidates)
    for step, (spikes, membranes) in enumerate(_measure(module, drives, where)):
        spikes = spikes / guess.factor
        if not np.isin(spikes, (0, 1)).all():
            value = spikes[~np.isin(spikes, (0, 1))].flat[0] * guess.factor
            raise NetworkError(f"{where}: spikes must be 0 or 1, not {value:g}")
        for index, simulation in enumerate(simulations):
            expected_spikes, expected = next(simulation)
            scale = np.maximum(np.abs(expected), guess.threshold)
            differs = (expected_spikes != spikes) | ~(np.abs(membranes - expected) <= TOLERANCE * scale)
            wrong[index] += int(differs.sum())
            if differs.any() and not first[index]:
                at = tuple(np.argwhere(differs)[0])
                what = names[at[0]] if at[0] < len(names) else "random drive"
                first[index] = (f"which leaves its trace in the test {what!r} at step {step}: membrane {membranes[at]:.6g} and "
                                f"spike {int(spikes[at])} instead of {expected[at]:.6g} and {int(expected_spikes[at])}")
    best = int(np.argmin(wrong))
    if not wrong[best]:
        return candidates[best], ""
    return None, f"nearest is {_behaviour(candidates[best], guess).kind!r}, {first[best]}"


def _behaviour(known: Any, guess: _Guess) -> Behaviour:
    def flat(array: np.ndarray) -> np.ndarray:
        return array.reshape(-1) if array.ndim and (array != array.flat[0]).any() else np.asarray(array.flat[0])

    return Behaviour(beta=flat(guess.beta), threshold=flat(guess.threshold), reset=known.reset, reset_time=known.reset_time,
                     reset_amount=flat(guess.threshold) if known.reset == "subtract" else 0.0,
                     input_on_reset=known.input_on_reset, alpha=None if guess.alpha is None else flat(guess.alpha))


def _guess(module: nn.Module, shape: tuple[int, ...], where: str) -> _Guess:
    threshold = _array(module, "threshold", shape, where)
    if (threshold <= 0).any():
        raise NetworkError(f"{where}: threshold must be above 0, not {threshold.min():g}")
    alpha: np.ndarray | None = None
    gain: tuple[np.ndarray, ...] = ()
    if isinstance(module, snn.Lapicque):
        resistance, capacity, step = (_array(module, name, shape, where) for name in ("R", "C", "time_step"))
        if (resistance * capacity == 0).any():
            raise NetworkError(f"{where}: R and C must not be 0")
        beta = 1 - step / (resistance * capacity)
        if (beta < 0).any() or (beta > 1).any():
            raise NetworkError(f"{where}: its leak 1 - time_step/(R*C) must be between 0 and 1, not {beta.flat[0]:g}; "
                               f"use a smaller time_step")
        gain = (resistance, 1 / (resistance * capacity), step)
    else:
        beta = np.clip(_array(module, "beta", shape, where), 0, 1)
    if isinstance(module, snn.Synaptic | snn.RSynaptic):
        alpha = np.clip(_array(module, "alpha", shape, where), 0, 1)
    factor = getattr(module, "graded_spikes_factor", torch.ones(()))
    if factor.numel() != 1 or not bool(torch.isfinite(factor).all()) or float(factor) == 0:
        raise NetworkError(f"{where}: graded_spikes_factor must be one finite factor other than 0; "
                           f"set it to 1 and scale the next weights")
    return _Guess(beta, threshold, alpha, gain, float(factor.detach().double()))


def _explain(module: nn.Module) -> str:
    """Name the option that is the likely cause. Only for the message: the trace has already decided."""
    if getattr(module, "inhibition", False):
        return "; inhibition must be off"
    if getattr(module, "state_quant", False):
        return "; state_quant must be off, states are quantized when the network becomes integers"
    return ""


def classify_neuron(module: nn.Module, name: str, shape: tuple[int, ...]) -> Found:
    """Classify a neuron by its trace on one fixed stimulus.

    Parameters
    ----------
    module : torch.nn.Module
        A neuron of one of the kinds Leaky, Lapicque, Synaptic, RLeaky and RSynaptic of snntorch, or derived from them.
    name : str
        Its path in the network, for messages.
    shape : tuple of int
        Shape of the population, without batch and time.

    Raises
    ------
    NetworkError
        The trace matches no neuron that can be reproduced.
    """
    where = f"layer {name!r} ({type(module).__name__})"
    if not supported(module):
        raise NetworkError(f"{where}: its kind must be Leaky, Lapicque, Synaptic, RLeaky or RSynaptic")
    recurrence = _recurrence(module, shape, where) if isinstance(module, snn.RLeaky | snn.RSynaptic) else None
    guess = _guess(module, shape, where)
    own = any(array is not None and array.ndim for array in (guess.beta, guess.threshold, guess.alpha, *guess.gain))
    probed = shape if own or math.prod(shape) <= SMALL else (CROSSTALK_NEURONS,)
    cut = module
    if recurrence is not None:
        cut = copy.deepcopy(module)
        cut.recurrent = _Cut()
    unit = guess.threshold / guess.current(np.ones(()))
    known, difference = _compare(cut, guess, _drives(probed, named=True) * unit, (*KNOWN, DEFECTIVE), None, where)
    if known is None:
        raise NetworkError(f"{where}: its behaviour matches no neuron that can be reproduced; {difference}{_explain(module)}")
    if known is DEFECTIVE:
        raise NetworkError(f"{where}: reset_delay=False with reset 'subtract' must not be used, because snntorch loses "
                           f"spikes when the membrane stays above the threshold; use reset_delay=True, or "
                           f"reset_mechanism='zero'")
    if recurrence is not None:
        again, difference = _compare(module, guess, _drives(shape, named=False) * unit, (known,), recurrence, where)
        if again is None:
            raise NetworkError(f"{where}: its recurrent connections must carry its spikes of the timestep before, and do "
                               f"something else; {difference}")
    gain = guess.current(np.ones(()))
    return Found(_behaviour(known, guess), gain, guess.factor, recurrence)

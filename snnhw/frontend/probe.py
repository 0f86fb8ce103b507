"""Find out what a neuron computes by driving it.

In snntorch 1.0 the attribute, the buffer and the behaviour of a neuron's reset can all differ, so
only the trace is believed. Beta and threshold are read as a guess; the trace must confirm them.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from snnhw.errors import NetworkError
from snnhw.frontend.network import Behaviour

__all__ = ["probe_neuron"]

STEPS = 32
RANDOM_ROWS = 24
CROSSTALK_NEURONS = 4  # a neuron without per-neuron parameters is probed as a population of this size
TOLERANCE = 1e-9       # of the threshold; the probe runs in double precision

# Currents in units of the threshold, from a cleared state; zeros follow to the end.
NAMED_DRIVES = {
    "below the threshold": (0.4, 0.3, 0.0, 0.2),
    "exactly at the threshold": (1.0,),
    "one spike and silence": (1.5,),
    "twice the threshold": (2.6,),
    "far above, then input": (3.5, 0.4, 0.9, -0.3, 0.9),
    "negative drive": (-1.2, 0.5, 2.9, -2.0),
    "input after a spike": (1.3, 1.3, 1.3, 1.3, 0.0, 1.3),
}

Step = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class _Semantics:
    """One known neuron: its name in the fields of Behaviour, and ``step(v, I, beta, threshold) -> (v', s)``."""

    reset: str
    reset_time: str
    input_on_reset: str
    step: Step


def _none(v: np.ndarray, i: np.ndarray, b: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    u = b * v + i
    return u, u > t


def _zero_next(v: np.ndarray, i: np.ndarray, b: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    u = b * np.where(v > t, 0, v) + i
    return u, u > t


def _zero_next_drop(v: np.ndarray, i: np.ndarray, b: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    u = np.where(v > t, 0, b * v + i)
    return u, u > t


def _zero_immediate(v: np.ndarray, i: np.ndarray, b: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    u = b * v + i
    return np.where(u > t, 0, u), u > t


def _subtract_next(v: np.ndarray, i: np.ndarray, b: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    u = b * v + i - t * (v > t)
    return u, u > t


def _subtract_immediate(v: np.ndarray, i: np.ndarray, b: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    u = b * v + i
    return u - t * (u > t), u > t


def _subtract_twice(v: np.ndarray, i: np.ndarray, b: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """snntorch 1.0 with reset_delay=False: a residue above the threshold costs the next spike, which is then paid back."""
    r = v > t
    u = b * v + i - t * r
    s = u > t
    return u - t * (s.astype(float) - r), s


KNOWN = (
    _Semantics("none", "immediate", "keep", _none),
    _Semantics("zero", "next", "keep", _zero_next),
    _Semantics("zero", "next", "drop", _zero_next_drop),
    _Semantics("zero", "immediate", "keep", _zero_immediate),
    _Semantics("subtract", "next", "keep", _subtract_next),
    _Semantics("subtract", "immediate", "keep", _subtract_immediate),
)
DEFECTIVE = _Semantics("subtract", "immediate", "keep", _subtract_twice)


def _parameter(module: nn.Module, name: str, where: str) -> np.ndarray:
    value = getattr(module, name, None)
    if not isinstance(value, torch.Tensor):
        raise NetworkError(f"{where}: {name} must be a number or a tensor, not {type(value).__name__}")
    array = value.detach().cpu().numpy().astype(np.float64)
    if array.size == 1:
        array = array.reshape(())
    if array.ndim > 1:
        raise NetworkError(f"{where}: {name} must be one value or one for each neuron, not shape {tuple(value.shape)}")
    if not np.isfinite(array).all():
        raise NetworkError(f"{where}: {name} must be finite, not {array[~np.isfinite(array)].flat[0]}")
    return array


def _drives(neurons: int, threshold: np.ndarray) -> np.ndarray:
    """Return the currents: float64, (steps, rows, neurons); named rows first."""
    rng = np.random.default_rng(0)
    named = np.zeros((STEPS, len(NAMED_DRIVES), neurons))
    for row, values in enumerate(NAMED_DRIVES.values()):
        named[:len(values), row] = np.asarray(values)[:, None]
    spread = rng.choice([0.5, 1.0, 2.0], size=(1, RANDOM_ROWS, 1))
    drawn = rng.uniform(-0.6, 1.4, size=(STEPS, RANDOM_ROWS, neurons)) * spread
    return np.concatenate([named, drawn], axis=1) * threshold


def _measure(module: nn.Module, drives: np.ndarray, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the spikes and the membranes of a copy of `module`, both (steps, rows, neurons), in double precision."""
    subject = copy.deepcopy(module).double().eval()
    hidden = bool(getattr(subject, "init_hidden", False))
    membrane = torch.zeros(drives.shape[1:], dtype=torch.float64)
    subject.mem = membrane
    spikes, membranes = [], []
    try:
        with torch.no_grad():
            for current in torch.from_numpy(drives):
                result = subject(current) if hidden else subject(current, membrane)
                spike, membrane = result if isinstance(result, tuple) else (result, subject.mem)
                spikes.append(spike.numpy().copy())
                membranes.append(membrane.numpy().copy())
    except (RuntimeError, TypeError, ValueError) as error:
        raise NetworkError(f"{where}: it must accept a current and a membrane like snn.Leaky, and fails with {error}") from None
    return np.stack(spikes), np.stack(membranes)


def _simulate(known: _Semantics, drives: np.ndarray, beta: np.ndarray, threshold: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    v = np.zeros(drives.shape[1:])
    spikes, membranes = [], []
    for current in drives:
        v, s = known.step(v, current, beta, threshold)
        spikes.append(s)
        membranes.append(v)
    return np.stack(spikes), np.stack(membranes)


def _explain(module: nn.Module) -> str:
    """Name the option that is the likely cause. Only for the message: the trace has already decided."""
    if getattr(module, "inhibition", False):
        return "; inhibition must be off"
    if getattr(module, "state_quant", False):
        return "; state_quant must be off, the state is quantized by the compression recipe"
    return ""


def probe_neuron(module: nn.Module, name: str = "") -> Behaviour:
    """Classify a neuron by its trace on one fixed stimulus.

    A copy of the module is driven in double precision below, exactly at and above its threshold, into silence, with
    negative and with random currents. Its spikes and membranes must equal those of one known neuron.

    Parameters
    ----------
    module : torch.nn.Module
        A neuron with the interface of ``snntorch.Leaky``.
    name : str
        Its path in the network, for messages.

    Raises
    ------
    NetworkError
        The trace matches no neuron that can be reproduced.
    """
    where = f"layer {name!r} ({type(module).__name__})"
    beta, threshold = np.clip(_parameter(module, "beta", where), 0, 1), _parameter(module, "threshold", where)
    if (threshold <= 0).any():
        raise NetworkError(f"{where}: threshold must be above 0, not {threshold.min():g}")
    if beta.ndim and threshold.ndim and beta.size != threshold.size:
        raise NetworkError(f"{where}: beta and threshold must have one size, not {beta.size} and {threshold.size}")
    neurons = max(beta.size, threshold.size) if beta.ndim or threshold.ndim else CROSSTALK_NEURONS
    drives = _drives(neurons, threshold)
    spikes, membranes = _measure(module, drives, where)
    if not np.isin(spikes, (0, 1)).all():
        value = spikes[~np.isin(spikes, (0, 1))][0]
        raise NetworkError(f"{where}: spikes must be 0 or 1, not {value:g}; set graded_spikes_factor to 1 and "
                           f"scale the next weights")
    best = (spikes.size + 1, "")
    for known in (*KNOWN, DEFECTIVE):
        expected_spikes, expected = _simulate(known, drives, beta, threshold)
        scale = np.maximum(np.abs(expected), threshold)
        wrong = (expected_spikes != (spikes > 0)) | ~(np.abs(membranes - expected) <= TOLERANCE * scale)
        if not wrong.any():
            if known is DEFECTIVE:
                raise NetworkError(f"{where}: reset_delay=False with reset 'subtract' must not be used, because snntorch loses "
                                   f"spikes when the membrane stays above the threshold; use reset_delay=True, or "
                                   f"reset_mechanism='zero'")
            return Behaviour(known.reset, known.reset_time, known.input_on_reset, beta, threshold)  # type: ignore[arg-type]
        step, row, neuron = np.argwhere(wrong)[0]
        if wrong.sum() < best[0]:
            what = [*NAMED_DRIVES, *["random drive"] * RANDOM_ROWS][row]
            likeness = Behaviour(known.reset, known.reset_time, known.input_on_reset, beta, threshold).kind  # type: ignore[arg-type]
            best = (int(wrong.sum()), f"nearest is {likeness!r}, which leaves its trace in the test {what!r} at step {step}: "
                          f"membrane {membranes[step, row, neuron]:.6g} and spike {int(spikes[step, row, neuron])} "
                          f"instead of {expected[step, row, neuron]:.6g} and {int(expected_spikes[step, row, neuron])}")
    raise NetworkError(f"{where}: its behaviour matches no neuron that can be reproduced; {best[1]}{_explain(module)}")

"""Number formats of a layer, chosen by a configuration."""

import math
from collections.abc import Callable, Container

import numpy as np

from snnhw.compress.config import LayerQuant
from snnhw.compress.populations import Format
from snnhw.compress.weights import best_scale, sigma_scale
from snnhw.errors import NetworkError
from snnhw.fixed import signed_bits
from snnhw.ir import Decay
from snnhw.network import Behaviour

__all__ = ["check_scale", "choose_decay", "choose_format", "choose_scale"]

STEPS_PER_THRESHOLD = 64   # below this, where the membrane stops decaying depends on the rounding
READ_OUT = 16              # how many times the steps of a threshold a state that is read out is wide
LARGEST_FRAC = 16          # of a configuration
SHIFTS = range(1, 16)
LARGEST_SNAP = 0.05        # a beta is moved by at most this to make it a shift


def check_scale(given: np.ndarray, shape: tuple[int, ...], what: str) -> np.ndarray:
    """Return a scale that is known, in its shape; raise NetworkError if it is none."""
    scale = np.asarray(given, np.float32)
    scale = scale.reshape(shape) if scale.size == math.prod(shape) else scale
    if scale.shape != shape:
        raise NetworkError(f"{what} must have shape {shape}, not {scale.shape}")
    if not np.isfinite(scale).all() or (scale <= 0).any():
        raise NetworkError(f"{what} must be finite and above 0, not {float(scale.min()):g}")
    return scale


def choose_scale(weights: list[np.ndarray], highest: list[int], quant: LayerQuant, *, channels: bool, given: np.ndarray | None,
                 where: str) -> np.ndarray:
    """Return the scale of a group: () or, with `channels`, (channels,).

    Parameters
    ----------
    weights : list of float array
        Of the nodes of the group, output channels first.
    highest : list of int
        Largest magnitude of the integers of each.
    quant : LayerQuant
        Kind of the scale.
    channels : bool
        One scale for each output channel.
    given : array or None
        The scale, if it is known.
    where : str
        Begins the sentence of an error.
    """
    shape = (len(weights[0]),) if channels else ()
    if given is not None:
        return check_scale(given, shape, f"{where}: scale")

    def best(arrays: list[np.ndarray]) -> float:
        return sigma_scale(arrays, highest) if quant.scale == "clip" else best_scale(arrays, highest, po2=quant.scale == "po2")

    return np.array([best(list(rows)) for rows in zip(*weights, strict=True)] if channels else best(weights), np.float32)


def choose_decay(beta: np.ndarray, behaviour: Behaviour, quant: LayerQuant, where: str, *, learns: bool = False,
                 what: str = "beta") -> Decay:
    """Return the nearest integer decay.

    Raises
    ------
    NetworkError
        A shift was asked for and is not near.
    """
    beta = np.asarray(beta)
    if beta.ndim and (beta == beta[0]).all():
        beta = beta[0]
    if (beta == 1).all() and not learns:
        return Decay("one")
    shift = min(SHIFTS, key=lambda k: abs(1 - 2.0 ** -k - float(beta.flat[0])))
    error = float(np.abs(beta - (1 - 2.0 ** -shift)).max())
    if quant.decay == "shift" and error > LARGEST_SNAP:
        raise NetworkError(f"{where}: {what} must be near 1 - 2**-k for decay 'shift', and is {error:.3g} "
                           f"from {1 - 2.0 ** -shift:.6g}; use decay 'mul'")
    # Single precision betas such as 0.9 are not exact either: equal means equal to a float32.
    near = quant.decay == "shift" or (quant.decay == "auto" and error < 1e-7 and not learns)
    if near and behaviour.rounding == "floor":
        return Decay("shift", shift)
    return Decay("mul", quant.decay_bits, np.round(beta * (1 << quant.decay_bits)).astype(np.int64), behaviour.rounding)


def _frac(behaviour: Behaviour, quant: LayerQuant, scale: np.ndarray, observed: tuple[float, float] | None) -> int:
    if quant.frac != "auto":
        return quant.frac
    if behaviour.output == "state":
        assert observed is not None
        reach = max(map(abs, observed)) or float(scale.min())
        frac = min(LARGEST_FRAC, max(0, math.ceil(math.log2(READ_OUT * STEPS_PER_THRESHOLD * float(scale.max()) / reach))))
        while frac and 2 * reach / (float(scale.min()) * 2.0 ** -frac) >= 1 << (quant.state_bits - 1):
            frac -= 1
        return frac
    steps = np.abs(_by_channel(behaviour.threshold, scale, np.min)) / scale
    steps = steps[steps > 0]
    return min(LARGEST_FRAC, max(0, math.ceil(math.log2(STEPS_PER_THRESHOLD / float(steps.min()))))) if steps.size else 0


def _by_channel(values: np.ndarray | float, scale: np.ndarray, choose: Callable[..., np.ndarray]) -> np.ndarray:
    """Return one value for all neurons, or one for each scale: that which is chosen among the neurons of a channel."""
    array = np.asarray(values)
    return array if not array.ndim or not scale.ndim else choose(array.reshape(scale.size, -1), axis=1)


def choose_format(behaviour: Behaviour, quant: LayerQuant, scale: np.ndarray, observed: tuple[float, float] | None, where: str,
                  learns: Container[str] = ()) -> Format:
    """Return the integers of a layer of neurons.

    Parameters
    ----------
    behaviour : Behaviour
        In real numbers.
    quant : LayerQuant
        What is asked for.
    scale : array, () or (channels,)
        Of the currents that reach it.
    observed : two floats, or None
        Range of a state that is read out.
    where : str
        Begins the sentence of an error.
    learns : container of str
        ``"beta"`` and ``"alpha"`` if they learn, so that they need a multiplier.
    """
    decay = choose_decay(np.asarray(behaviour.beta), behaviour, quant, where, learns="beta" in learns)
    own = quant if quant.synapse == "same" else quant.model_copy(update={"decay": quant.synapse})
    synapse = None if behaviour.alpha is None else choose_decay(
        np.asarray(behaviour.alpha), behaviour, own, where, learns="alpha" in learns, what="alpha")
    frac = _frac(behaviour, quant, scale, observed)
    unit = scale * 2.0 ** -frac
    if behaviour.output != "state":
        highest = int(np.floor(_by_channel(behaviour.threshold, scale, np.max) / unit).max()) + 1
        if highest >= 1 << (quant.state_bits - 1):
            raise NetworkError(f"{where}: its threshold is {highest} units of the state and needs {highest.bit_length() + 1} "
                               f"bits, the state has {quant.state_bits}; use more state_bits or a smaller frac than {frac}")
    else:
        assert observed is not None
        needed = signed_bits(math.floor(observed[0] / float(unit.min())), math.ceil(observed[1] / float(unit.min())))
        if needed > quant.state_bits:
            raise NetworkError(f"{where}: the states that are read out need {needed} bits, the state has {quant.state_bits}; "
                               f"use more state_bits or a smaller frac than {frac}")
    factor_bits = max((each.shift for each in (decay, synapse) if each is not None and each.kind == "mul"), default=0)
    return Format(quant.state_bits, frac, decay, synapse, quant.overflow,
                  quant.state_bits > 22 or quant.state_bits - 1 + factor_bits >= 24)

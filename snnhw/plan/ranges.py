"""Proven ranges of every word of a core, from the actual weights.

Interval analysis neuron by neuron: the weighted sum of a timestep lies between the sum of the negative
and the sum of the positive weights, and the state is followed from its start until the interval stops
growing. What saturates is proven for samples of any length, what is exact for the timesteps of the graph.
"""

from dataclasses import dataclass
from itertools import count

import numpy as np

from snnhw.errors import NetworkError
from snnhw.fixed import Interval, signed_range
from snnhw.ir import Linear, Neuron, NeuronSpec
from snnhw.ir.neuron import MAX_STATE_BITS

__all__ = ["Ranges", "current_range", "state_ranges"]

MAX_TIMESTEPS = 4096    # an exact state must have settled, or the sample be over
WIDENING_AFTER = 256    # timesteps after which what still grows and saturates is taken to reach the end of its word
Bounds = tuple[np.ndarray, np.ndarray]


def current_range(linear: Linear) -> Bounds:
    """Return the lowest and highest weighted sum of each neuron when every input spikes at most once: int64, (neurons,)."""
    weight = linear.weight
    return np.minimum(weight, 0).sum(axis=1), np.maximum(weight, 0).sum(axis=1)


def _envelope(bounds: list[Bounds]) -> Bounds:
    """Return the bounds that hold all of them."""
    return np.min([lowest for lowest, _ in bounds], axis=0), np.max([highest for _, highest in bounds], axis=0)


def _hull(parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> Bounds:
    """Return the bounds that hold all intervals, each with a mask of the neurons for which it is not empty."""
    far = np.int64(1) << 62  # beyond every sum: 2**16 weights of 16 bits, shifted by 30, and a bias
    return _envelope([(np.where(some, lowest, far), np.where(some, highest, -far)) for lowest, highest, some in parts])


def _update(spec: NeuronSpec, low: np.ndarray, high: np.ndarray, drive: Bounds) -> tuple[Bounds, Bounds]:
    """Return the bounds of the exact new state, and of the stored state after it, from those of the stored state."""
    threshold, amount = np.broadcast_to(spec.threshold, low.shape), np.broadcast_to(spec.reset_amount, low.shape)
    target = {"zero": np.zeros_like(low), "value": amount}.get(spec.reset)

    def clip(bounds: Bounds) -> Bounds:
        if spec.overflow == "exact":
            return bounds
        lowest, highest = signed_range(spec.bits)
        return np.clip(bounds[0], lowest, highest), np.clip(bounds[1], lowest, highest)

    def drift(lowest: np.ndarray, highest: np.ndarray, loss: np.ndarray | int = 0) -> Bounds:
        return spec.decay(lowest) + drive[0] - loss, spec.decay(highest) + drive[1] - loss

    if spec.reset_time == "immediate":
        exact = drift(low, high)
        low, high = clip(exact)
        below, above = low < threshold, high >= threshold
        if spec.reset == "none":
            return exact, (low, high)
        quiet = (low, np.minimum(high, threshold - 1), below)
        if target is not None:
            return exact, _hull([quiet, (target, target, above)])
        return exact, _hull([quiet, (np.maximum(low, threshold) - amount, high - amount, above)])
    below, above = low < threshold, high >= threshold
    if spec.reset == "none":
        exact = drift(low, high)
    else:
        quiet = (*drift(low, np.minimum(high, threshold - 1)), below)
        if spec.reset == "subtract":
            reset = (*drift(np.maximum(low, threshold), high, amount), above)
        elif spec.input_on_reset == "keep":
            assert target is not None
            reset = (*drift(target, target), above)
        else:
            assert target is not None
            reset = (target, target, above)
        exact = _hull([quiet, reset])
    return exact, clip(exact)


@dataclass(frozen=True)
class Ranges:
    """Proven ranges of the words of a population.

    Attributes
    ----------
    current : Interval
        Every weighted sum of a timestep. Units of the weights.
    update : Interval
        Every new state before saturation and before an immediate reset.
    state : Interval
        Every stored state.
    synapse_update, synapse : Interval or None
        The same of the synaptic current, of neurons that have one.
    """

    current: Interval
    update: Interval
    state: Interval
    synapse_update: Interval | None = None
    synapse: Interval | None = None


def state_ranges(sums: Bounds, neuron: Neuron, timesteps: int) -> Ranges:
    """Return the proven ranges of every word of a population.

    Parameters
    ----------
    sums : (int64 array, int64 array), each (neurons,)
        Lowest and highest weighted sum of each neuron.
    neuron : Neuron
        The population; its name goes into messages.
    timesteps : int
        Length of a sample.

    Raises
    ------
    NetworkError
        The overflow rule is ``exact`` and the state does not provably fit in its word.
    """
    spec = neuron.spec
    where = f"layer {neuron.name!r} (Neuron)"
    drive = (sums[0] << spec.frac) + spec.bias, (sums[1] << spec.frac) + spec.bias
    word, widest = signed_range(spec.bits), signed_range(MAX_STATE_BITS)
    low = high = np.full(sums[0].shape, spec.start, np.int64)
    updates: list[Bounds] = []
    for timestep in count(1):
        update, after = _update(spec, low, high, drive)
        updates = [_envelope([*updates, update])]
        grown = _envelope([(low, high), after])
        if np.array_equal(grown[0], low) and np.array_equal(grown[1], high):
            break
        if spec.overflow == "saturate" and timestep > WIDENING_AFTER:
            grown = np.where(grown[0] < low, word[0], low), np.where(grown[1] > high, word[1], high)
        low, high = grown
        if spec.overflow == "exact":
            if low.min() < widest[0] or high.max() > widest[1]:
                raise NetworkError(f"{where}: the exact state must fit in {MAX_STATE_BITS} bits, and can reach "
                                   f"{low.min()}..{high.max()} after {timestep} timesteps; use overflow 'saturate'")
            if spec.clear == "sample" and timestep == timesteps:
                break
            if timestep == MAX_TIMESTEPS:
                raise NetworkError(f"{where}: the exact state must stop growing within {MAX_TIMESTEPS} timesteps, "
                                   f"and has reached {low.min()}..{high.max()}; use overflow 'saturate'")
    state = Interval(int(low.min()), int(high.max()))
    if state.lowest < word[0] or state.highest > word[1]:
        raise NetworkError(f"{where}: the exact state must fit in {spec.bits} bits, and can reach {state}; "
                           f"use {state.bits} bits, or overflow 'saturate'")
    return Ranges(Interval(int(sums[0].min()), int(sums[1].max())),
                  Interval(int(updates[0][0].min()), int(updates[0][1].max())), state)

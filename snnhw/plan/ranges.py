"""Proven ranges of every word of a core, from the actual weights.

Interval analysis neuron by neuron: the weighted sum of a timestep lies between the sum of the negative
and the sum of the positive weights, and the state is followed from its start until the interval stops
growing, or for the timesteps of a sample.
"""

import numpy as np

from snnhw.errors import NetworkError
from snnhw.fixed import Interval, signed_range
from snnhw.ir import Linear, Neuron, NeuronSpec

__all__ = ["current_range", "state_ranges"]

MAX_ITERATIONS = 1 << 16
Bounds = tuple[np.ndarray, np.ndarray]


def current_range(linear: Linear) -> Bounds:
    """Return the lowest and highest weighted sum of each neuron when every input spikes at most once: int64, (neurons,)."""
    weight = linear.weight
    return np.minimum(weight, 0).sum(axis=1), np.maximum(weight, 0).sum(axis=1)


def _hull(parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> Bounds:
    """Return the hull of intervals, each with a mask of the neurons for which it is not empty."""
    far = np.int64(1) << 62
    low = np.min([np.where(some, lowest, far) for lowest, _, some in parts], axis=0)
    high = np.max([np.where(some, highest, -far) for _, highest, some in parts], axis=0)
    return low, high


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


def state_ranges(linear: Linear, neuron: Neuron, timesteps: int) -> tuple[Interval, Interval, Interval]:
    """Return the ranges of the weighted sum, of the new state before saturation, and of the stored state.

    Raises
    ------
    NetworkError
        The overflow rule is ``exact`` and the state does not provably fit in its word.
    """
    spec = neuron.spec
    sums = current_range(linear)
    drive = (sums[0] << spec.frac) + spec.bias, (sums[1] << spec.frac) + spec.bias
    low = high = np.full(linear.outputs, spec.start, np.int64)
    update_low, update_high = low, high
    limit = MAX_ITERATIONS if spec.clear == "never" else min(timesteps, MAX_ITERATIONS)
    word = signed_range(spec.bits)
    for iteration in range(limit + 1):
        exact, after = _update(spec, low, high, drive)
        if iteration < limit:
            update_low, update_high = np.minimum(update_low, exact[0]), np.maximum(update_high, exact[1])
        grown = np.minimum(low, after[0]), np.maximum(high, after[1])
        if np.array_equal(grown[0], low) and np.array_equal(grown[1], high):
            break
        if iteration == limit:
            if spec.clear == "never":
                raise NetworkError(f"layer {neuron.name!r} (Neuron): the range of its exact state must be bounded, and grows without end; "
                                   f"use overflow 'saturate'")
            break
        low, high = grown
        if spec.overflow == "exact" and (low.min() < word[0] or high.max() > word[1]):
            raise NetworkError(f"layer {neuron.name!r} (Neuron): the exact state must fit in {spec.bits} bits, "
                               f"and can reach {low.min()}..{high.max()} after {iteration + 1} timesteps; "
                               f"use {Interval(int(low.min()), int(high.max())).bits} bits or more, or overflow 'saturate'")
    return (Interval(int(sums[0].min()), int(sums[1].max())),
            Interval(int(update_low.min()), int(update_high.max())),
            Interval(int(low.min()), int(high.max())))

"""Proven ranges of every word of a core, from the actual weights.

Interval analysis neuron by neuron: the weighted sum of a timestep lies between the sum of the negative
and the sum of the positive weights, and the states are followed from their start until the intervals stop
growing. Every decay is monotone, so the ends of an interval go to the ends of the next. What saturates is
proven for samples of any length, what is exact for the timesteps of the graph.
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
MAX_CURRENT = 1 << 61    # of a timestep, in units of the state: what the analysis itself can hold
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

    def drift(lowest: np.ndarray, highest: np.ndarray, loss: np.ndarray | int = 0) -> Bounds:
        return spec.decay(lowest) + drive[0] - loss, spec.decay(highest) + drive[1] - loss

    if spec.reset_time == "immediate":
        exact = drift(low, high)
        low, high = _clip(spec, exact)
        below, above = low < threshold, high >= threshold
        if spec.reset == "none":
            return exact, (low, high)
        quiet = (low, np.minimum(high, threshold - 1), below)
        if target is not None:
            return exact, _hull([quiet, (target, target, above)])
        parts = [quiet]
        for count in range(1, spec.grades + 1):
            # From the threshold of this count to that of the next; the last count has no next.
            first, last = np.maximum(low, threshold + (count - 1) * amount), high
            if count < spec.grades:
                last = np.minimum(high, threshold + count * amount - 1)
            parts.append((first - count * amount, last - count * amount, first <= last))
        return exact, _hull(parts)
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
    return exact, _clip(spec, exact)


def _clip(spec: NeuronSpec, bounds: Bounds) -> Bounds:
    if spec.overflow == "exact":
        return bounds
    lowest, highest = signed_range(spec.bits)
    return np.clip(bounds[0], lowest, highest), np.clip(bounds[1], lowest, highest)


class _Followed:
    """A stored state of every neuron, followed timestep by timestep: every value it has had, and will have."""

    def __init__(self, what: str, spec: NeuronSpec, start: Bounds):
        self.what, self.spec = what, spec
        self.bounds = start
        self.update: Bounds | None = None  # before saturation

    def grow(self, update: Bounds, after: Bounds, timestep: int) -> bool:
        """Take in what follows in a timestep; return whether nothing is new."""
        self.update = update if self.update is None else _envelope([self.update, update])
        low, high = self.bounds
        grown = _envelope([self.bounds, after])
        if np.array_equal(grown[0], low) and np.array_equal(grown[1], high):
            return True
        if self.spec.overflow == "saturate" and timestep > WIDENING_AFTER:
            word = signed_range(self.spec.bits)
            grown = np.where(grown[0] < low, word[0], low), np.where(grown[1] > high, word[1], high)
        self.bounds = grown
        return False

    def refuse(self, where: str, bits: int, after: str = "", advice: str = "") -> None:
        """Raise NetworkError when the state does not fit in `bits` bits."""
        found = self.range
        lowest, highest = signed_range(bits)
        if found.lowest < lowest or found.highest > highest:
            raise NetworkError(f"{where}: the exact {self.what} must fit in {bits} bits, and can reach {found}{after}; use "
                               f"{advice}overflow 'saturate'")

    @property
    def range(self) -> Interval:
        return Interval(int(self.bounds[0].min()), int(self.bounds[1].max()))

    @property
    def update_range(self) -> Interval:
        assert self.update is not None
        return Interval(int(self.update[0].min()), int(self.update[1].max()))


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
        The overflow rule is ``exact`` and a state does not provably fit in its word, or a weighted sum is too large.
    """
    spec = neuron.spec
    where = f"layer {neuron.name!r} (Neuron)"
    if (largest := max(-int(sums[0].min()), int(sums[1].max()))) > MAX_CURRENT >> spec.frac:
        raise NetworkError(f"{where}: the weighted sum must be at most {MAX_CURRENT >> spec.frac} with {spec.frac} fractional "
                           f"bits, and can reach {largest}")
    current = (sums[0] << spec.frac) + spec.bias, (sums[1] << spec.frac) + spec.bias
    begin, zero = np.full(sums[0].shape, spec.start, np.int64), np.zeros(sums[0].shape, np.int64)
    membrane = _Followed("state", spec, (begin, begin))
    synapse = _Followed("synaptic current", spec, (zero, zero)) if spec.synapse is not None else None
    followed = [membrane] if synapse is None else [synapse, membrane]
    for timestep in count(1):
        drive, settled = current, True
        if synapse is not None and spec.synapse is not None:
            low, high = synapse.bounds
            update = spec.synapse(low) + current[0], spec.synapse(high) + current[1]
            settled = synapse.grow(update, _clip(spec, update), timestep)
            drive = synapse.bounds
        if membrane.grow(*_update(spec, *membrane.bounds, drive), timestep) and settled:
            break
        if spec.overflow == "exact":
            for state in followed:
                state.refuse(where, MAX_STATE_BITS, f" after {timestep} timesteps")
            if spec.clear == "sample" and timestep == timesteps:
                break
            if timestep == MAX_TIMESTEPS:
                raise NetworkError(f"{where}: the exact state must stop growing within {MAX_TIMESTEPS} timesteps, "
                                   f"and has reached {membrane.range}; use overflow 'saturate'")
    for state in followed:
        state.refuse(where, spec.bits, advice=f"{state.range.bits} bits, or ")
    return Ranges(Interval(int(sums[0].min()), int(sums[1].max())), membrane.update_range, membrane.range,
                  None if synapse is None else synapse.update_range, None if synapse is None else synapse.range)

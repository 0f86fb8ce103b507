"""One timestep of a population of neurons, vectorized over samples."""

from dataclasses import dataclass

import numpy as np

from snnhw.fixed import signed_range
from snnhw.ir import NeuronSpec

__all__ = ["Formulas", "NeuronState", "narrowest", "step"]


@dataclass
class NeuronState:
    """State of a population between timesteps.

    Attributes
    ----------
    membrane : int array, (samples, neurons)
        Stored membrane potential.
    synapse : int array, (samples, neurons), or None
        Stored synaptic current, for neurons that have one. Of the same type.
    saturations : int64 array, (samples,)
        Words that were clipped so far.
    """

    membrane: np.ndarray
    synapse: np.ndarray | None
    saturations: np.ndarray

    @classmethod
    def initial(cls, spec: NeuronSpec, samples: int, neurons: int, kind: np.dtype | type = np.int64) -> "NeuronState":
        """Return the state at the beginning of a sample."""
        start = np.full((samples, neurons), spec.start, kind)
        return cls(start, np.zeros_like(start) if spec.synapse is not None else None, np.zeros(samples, np.int64))


def _reach(spec: NeuronSpec, current: int) -> int:
    """Return what no number in the formulas exceeds in magnitude when none of the weighted sums exceeds `current`."""
    word = -signed_range(spec.bits)[0]
    factors = [1 if decay.factor is None else max(1, int(np.max(decay.factor)))
               for decay in (spec.decay, spec.synapse) if decay is not None]
    constants = sum(int(np.abs(np.asarray(array)).max()) for array in (spec.threshold, spec.bias))
    amount = int(np.abs(np.asarray(spec.reset_amount)).max())
    return 2 * word * sum(factors) + (current << spec.frac) + constants + (spec.grades + 1) * amount


def narrowest(spec: NeuronSpec, current: int) -> np.dtype:
    """Return the narrowest type in which the formulas are exact for weighted sums of a magnitude of at most `current`."""
    reach = _reach(spec, current)
    return np.dtype(np.int16 if reach < 1 << 15 else np.int32 if reach < 1 << 31 else np.int64)


class Formulas:
    """The formulas of :mod:`snnhw.ir.neuron` in one integer type.

    Parameters
    ----------
    spec : NeuronSpec
        The arithmetic.
    kind : dtype
        Signed type of states and currents; see :func:`narrowest`.
    count : bool
        Count the words that are clipped.
    """

    def __init__(self, spec: NeuronSpec, kind: np.dtype | type = np.int64, *, count: bool = True) -> None:
        self.spec, self.kind, self.count = spec, np.dtype(kind), count
        self._threshold, self._amount, self._bias = (
            np.asarray(array).astype(kind) for array in (spec.threshold, spec.reset_amount, spec.bias))
        self._biased = bool(self._bias.any())
        self._lowest = self._highest = np.zeros(0, self.kind)
        self._target = {"zero": np.zeros((), kind), "value": self._amount}.get(spec.reset)

    def _store(self, exact: np.ndarray, saturations: np.ndarray) -> np.ndarray:
        """Return the state word that holds `exact`, by the overflow rule; count what is clipped in `saturations`."""
        if self._highest.shape != exact.shape[1:]:  # numpy is fastest where rows meet rows
            self._lowest, self._highest = (np.full(exact.shape[1:], limit, self.kind) for limit in signed_range(self.spec.bits))
        if not self.count and self.spec.overflow == "saturate":
            np.minimum(exact, self._highest, out=exact)
            return np.maximum(exact, self._lowest, out=exact)
        clipped = np.minimum(exact, self._highest)
        np.maximum(clipped, self._lowest, out=clipped)
        changed = clipped != exact
        if changed.any():
            if self.spec.overflow == "exact":
                lowest, highest = signed_range(self.spec.bits)
                raise OverflowError(f"the exact state must stay within {lowest}..{highest}, not {exact[changed][0]}")
            saturations += changed.sum(axis=1)
        return clipped

    def _fire(self, updated: np.ndarray) -> np.ndarray:
        """Return what the new states hand on: bool, or integer counts."""
        if self.spec.output == "state":
            return np.zeros(updated.shape, bool)
        if self.spec.output == "spike":
            return updated >= self._threshold
        # The k-th threshold is reached when k-1 whole amounts, and so k, fit between the first and the state.
        return np.clip((updated - self._threshold) // self._amount + 1, 0, self.spec.grades)

    def step(self, state: NeuronState, current: np.ndarray) -> np.ndarray:
        """Advance `state`, which is changed in place, by one timestep and return who fired, or how often.

        Parameters
        ----------
        state : NeuronState
            Of the type `kind`.
        current : array of the type `kind`, (samples, neurons)
            Weighted sum of the timestep in units of the weights, without shift and bias. It is used up.

        Raises
        ------
        OverflowError
            A state declared ``exact`` left its word.
        """
        spec = self.spec
        if spec.frac:
            np.left_shift(current, spec.frac, out=current)
        if self._biased:
            current += self._bias
        if spec.synapse is not None:
            assert state.synapse is not None
            current += spec.synapse(state.synapse)
            state.synapse = self._store(current, state.saturations)
            current = state.synapse.copy()
        membrane = state.membrane
        if spec.reset_time == "immediate":
            current += spec.decay(membrane)
            updated = self._store(current, state.saturations) if spec.overflow == "saturate" else current
            spikes = self._fire(updated)
            if self._target is not None:
                np.copyto(updated, self._target, where=spikes)
            elif spec.reset == "subtract":
                updated -= spikes * self._amount
            if spec.overflow == "exact":
                updated = self._store(updated, state.saturations)
        else:
            fired = membrane >= self._threshold
            if self._target is not None and spec.input_on_reset == "keep":
                membrane = np.where(fired, self._target, membrane)
            current += spec.decay(membrane)
            if spec.reset == "subtract":
                current -= fired * self._amount
            if self._target is not None and spec.input_on_reset == "drop":
                np.copyto(current, self._target, where=fired)
            updated = self._store(current, state.saturations)
            spikes = self._fire(updated)
        state.membrane = updated
        return spikes


def step(spec: NeuronSpec, state: NeuronState, current: np.ndarray) -> np.ndarray:
    """Advance `state` by one timestep and return who fired, or how often.

    Implements the formulas of :mod:`snnhw.ir.neuron` term by term.

    Parameters
    ----------
    spec : NeuronSpec
        The arithmetic.
    state : NeuronState
        Changed in place.
    current : int64 array, (samples, neurons)
        Weighted sum of the timestep in units of the weights, without shift and bias.

    Returns
    -------
    bool array, or int64 array for output ``count``, (samples, neurons)
        All False for output ``state``: what is handed on is `state.membrane`.

    Raises
    ------
    OverflowError
        A state declared ``exact`` left its word.
    """
    return Formulas(spec, np.int64).step(state, current.astype(np.int64))

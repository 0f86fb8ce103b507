"""One timestep of a population of neurons, vectorized over samples."""

from dataclasses import dataclass

import numpy as np

from snnhw.fixed import saturate, signed_range
from snnhw.ir import NeuronSpec

__all__ = ["NeuronState", "step"]


@dataclass
class NeuronState:
    """State of a population between timesteps.

    Attributes
    ----------
    membrane : int64 array, (samples, neurons)
        Stored membrane potential.
    synapse : int64 array, (samples, neurons), or None
        Stored synaptic current, for neurons that have one.
    saturations : int64 array, (samples,)
        Words that were clipped so far.
    """

    membrane: np.ndarray
    synapse: np.ndarray | None
    saturations: np.ndarray

    @classmethod
    def initial(cls, spec: NeuronSpec, samples: int, neurons: int) -> "NeuronState":
        """Return the state at the beginning of a sample."""
        start = np.full((samples, neurons), spec.start, np.int64)
        return cls(start, np.zeros_like(start) if spec.synapse is not None else None, np.zeros(samples, np.int64))


def _store(spec: NeuronSpec, exact: np.ndarray, saturations: np.ndarray) -> np.ndarray:
    """Return the state word that holds `exact`, by the overflow rule; count what is clipped in `saturations`."""
    clipped = saturate(exact, spec.bits)
    changed = clipped != exact
    if spec.overflow == "exact" and changed.any():
        lowest, highest = signed_range(spec.bits)
        raise OverflowError(f"the exact state must stay within {lowest}..{highest}, not {exact[changed][0]}")
    saturations += changed.sum(axis=1)
    return clipped


def _fire(spec: NeuronSpec, updated: np.ndarray) -> np.ndarray:
    """Return what the new states hand on: bool, or int64 counts."""
    if spec.output == "state":
        return np.zeros(updated.shape, bool)
    if spec.output == "spike":
        return updated >= spec.threshold
    # The k-th threshold is reached when k-1 whole amounts, and so k, fit between the first and the state.
    amount = np.asarray(spec.reset_amount)
    return np.clip((updated - spec.threshold) // amount + 1, 0, spec.grades)


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
    current = (current << spec.frac) + spec.bias
    if spec.synapse is not None:
        assert state.synapse is not None
        current = state.synapse = _store(spec, spec.synapse(state.synapse) + current, state.saturations)
    membrane = state.membrane
    target = {"zero": 0, "value": spec.reset_amount}.get(spec.reset)
    if spec.reset_time == "immediate":
        updated = spec.decay(membrane) + current
        if spec.overflow == "saturate":
            updated = _store(spec, updated, state.saturations)
        spikes = _fire(spec, updated)
        if target is not None:
            updated = np.where(spikes, target, updated)
        elif spec.reset == "subtract":
            updated = updated - spikes * np.asarray(spec.reset_amount)
        if spec.overflow == "exact":
            updated = _store(spec, updated, state.saturations)
    else:
        fired = membrane >= spec.threshold
        if target is not None and spec.input_on_reset == "keep":
            membrane = np.where(fired, target, membrane)
        updated = spec.decay(membrane) + current
        if spec.reset == "subtract":
            updated = updated - np.where(fired, spec.reset_amount, 0)
        if target is not None and spec.input_on_reset == "drop":
            updated = np.where(fired, target, updated)
        updated = _store(spec, updated, state.saturations)
        spikes = _fire(spec, updated)
    state.membrane = updated
    return spikes

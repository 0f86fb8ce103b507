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


def _bound(spec: NeuronSpec, exact: np.ndarray, state: NeuronState) -> np.ndarray:
    clipped = saturate(exact, spec.bits)
    if spec.overflow == "exact":
        if (clipped != exact).any():
            lowest, highest = signed_range(spec.bits)
            raise OverflowError(f"state must stay within {lowest}..{highest}, not {exact.min()}..{exact.max()}")
        return exact
    state.saturations += (clipped != exact).sum(axis=1)
    return clipped


def step(spec: NeuronSpec, state: NeuronState, current: np.ndarray) -> np.ndarray:
    """Advance `state` by one timestep and return who fired.

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
    bool array, (samples, neurons)
    """
    current = (current << spec.frac) + spec.bias
    if spec.synapse is not None:
        current = state.synapse = _bound(spec, spec.synapse(state.synapse) + current, state)
    membrane = state.membrane
    target = {"zero": 0, "value": spec.reset_amount}.get(spec.reset)
    if spec.reset_time == "immediate":
        updated = _bound(spec, spec.decay(membrane) + current, state)
        spikes = updated >= spec.threshold
        if target is not None:
            updated = np.where(spikes, target, updated)
        elif spec.reset == "subtract":
            updated = updated - np.where(spikes, spec.reset_amount, 0)
            lowest, highest = signed_range(spec.bits)
            assert updated.min(initial=0) >= lowest and updated.max(initial=0) <= highest, "subtraction left the state word"
    else:
        fired = membrane >= spec.threshold
        if target is not None and spec.input_on_reset == "keep":
            membrane = np.where(fired, target, membrane)
        exact = spec.decay(membrane) + current
        if spec.reset == "subtract":
            exact = exact - np.where(fired, spec.reset_amount, 0)
        if target is not None and spec.input_on_reset == "drop":
            exact = np.where(fired, target, exact)
        updated = _bound(spec, exact, state)
        spikes = updated >= spec.threshold
    state.membrane = updated
    return spikes

"""Vectorized interpreter of a graph."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from snnhw.errors import NetworkError, raise_problems
from snnhw.ir import Graph, Input, Linear, Neuron, Readout
from snnhw.reference.neuron import NeuronState, step

__all__ = ["LayerCounts", "Trace", "decide", "run"]


@dataclass(frozen=True)
class LayerCounts:
    """What one layer of neurons did, for each sample. Every array is int64, (samples,).

    Attributes
    ----------
    input_events : int64 array
        Spikes that reached the layer.
    synaptic_operations : int64 array
        Additions of a weight to a current: `input_events` times neurons.
    effective_operations : int64 array
        Those of them whose weight is not zero.
    membrane_updates : int64 array
        Neurons times timesteps.
    output_spikes : int64 array
        Spikes the layer emitted.
    saturations : int64 array
        State words that were clipped.
    """

    input_events: np.ndarray
    synaptic_operations: np.ndarray
    effective_operations: np.ndarray
    membrane_updates: np.ndarray
    output_spikes: np.ndarray
    saturations: np.ndarray


@dataclass(frozen=True)
class Trace:
    """Everything a graph computed on a batch of samples.

    Attributes
    ----------
    spikes : mapping of str to bool array, (samples, timesteps, neurons)
        For the input and each layer of neurons, by node name.
    membranes : mapping of str to int32 array, (samples, timesteps, neurons)
        Stored state after each timestep, for each layer of neurons. Empty when not kept.
    counts : mapping of str to LayerCounts
        For each layer of neurons.
    output : str
        Name of the layer that the readout reads.
    """

    spikes: Mapping[str, np.ndarray]
    membranes: Mapping[str, np.ndarray]
    counts: Mapping[str, LayerCounts]
    output: str

    @property
    def output_spikes(self) -> np.ndarray:
        """Spikes of the last layer: bool, (samples, timesteps, neurons)."""
        return self.spikes[self.output]

    @property
    def decisions(self) -> np.ndarray:
        """Class of each sample: int64, (samples,)."""
        return decide(self.output_spikes)


def decide(spikes: np.ndarray) -> np.ndarray:
    """Return the index of the neuron that spiked most, the lowest on a tie; `spikes` is (samples, timesteps, neurons)."""
    return spikes.sum(axis=1).argmax(axis=1)


def run(graph: Graph, spikes: np.ndarray, *, keep_membranes: bool = True) -> Trace:
    """Interpret `graph` on a batch of spike trains.

    Parameters
    ----------
    graph : Graph
        The network.
    spikes : bool array (or 0 and 1), (samples, timesteps, inputs)
        Input spikes. Any number of timesteps; a layer that clears at the end of a sample starts anew with each.
    keep_membranes : bool
        Also return the state after each timestep.

    Raises
    ------
    NetworkError
        A state declared ``exact`` left its word, or the samples are longer than those it is proven for.
    """
    spikes = np.asarray(spikes)
    if spikes.ndim != 3 or spikes.shape[2:] != graph.input.shape:
        expected = " x ".join(["samples", "timesteps", *map(str, graph.input.shape)])
        raise ValueError(f"Input spikes must have shape {expected}, not {' x '.join(map(str, spikes.shape))}")
    if spikes.dtype != bool:
        if spikes.dtype.kind not in "iu" or (spikes.size and (spikes.min() < 0 or spikes.max() > 1)):
            raise ValueError("Input spikes must be bool, or integers 0 and 1")
        spikes = spikes.astype(bool)
    if spikes.shape[1] > graph.timesteps:
        raise_problems(f"layer {node.name!r} (Neuron): the exact state is proven for samples of {graph.timesteps} timesteps, "
                       f"not {spikes.shape[1]}; use overflow 'saturate' or a graph with more timesteps"
                       for _, node in graph.layers if node.spec.overflow == "exact" and node.spec.clear == "sample")
    trains: dict[str, np.ndarray] = {}
    currents: dict[str, tuple[Linear, np.ndarray]] = {}
    membranes: dict[str, np.ndarray] = {}
    counts: dict[str, LayerCounts] = {}
    output = ""
    for node in graph.nodes:
        if isinstance(node, Input):
            trains[node.name] = spikes
        elif isinstance(node, Linear):
            currents[node.name] = node, trains[node.inputs[0]]
        elif isinstance(node, Neuron):
            linear, train = currents[node.inputs[0]]
            try:
                trains[node.name], kept, saturations = _run_layer(linear, node, train, keep_membranes)
            except OverflowError as error:
                raise NetworkError(f"layer {node.name!r} (Neuron): {error}") from None
            if kept is not None:
                membranes[node.name] = kept
            counts[node.name] = _count(linear, train, trains[node.name], saturations)
        else:
            assert isinstance(node, Readout)
            output = node.inputs[0]
    return Trace(trains, membranes, counts, output)


def _run_layer(linear: Linear, node: Neuron, train: np.ndarray, keep: bool) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    samples, timesteps, _ = train.shape
    # float32 holds every partial sum exactly below 2**24, float64 below 2**53, and both use BLAS.
    largest = int(np.abs(linear.weight).sum(axis=1).max())
    weight = linear.weight.T.astype(np.float32 if largest < 1 << 24 else np.float64)
    fired = np.zeros((samples, timesteps, linear.outputs), bool)
    kept = np.zeros((samples, timesteps, linear.outputs), np.int32) if keep else None
    saturations = np.zeros(samples, np.int64)
    # Samples run side by side, or one after another through the same state when nothing clears it.
    uncleared = node.spec.clear == "never"
    batches = [slice(sample, sample + 1) for sample in range(samples)] if uncleared else [slice(0, samples)]
    state = NeuronState.initial(node.spec, 1 if uncleared else samples, linear.outputs)
    for batch in batches:
        for t in range(timesteps):
            current = (train[batch, t].astype(weight.dtype) @ weight).astype(np.int64)
            fired[batch, t] = step(node.spec, state, current)
            if kept is not None:
                kept[batch, t] = state.membrane
        saturations[batch] = state.saturations
        state.saturations[:] = 0
    return fired, kept, saturations


def _count(linear: Linear, train: np.ndarray, fired: np.ndarray, saturations: np.ndarray) -> LayerCounts:
    samples, timesteps, neurons = fired.shape
    events = train.sum(axis=(1, 2), dtype=np.int64)
    fanout = (linear.weight != 0).sum(axis=0)
    return LayerCounts(
        input_events=events,
        synaptic_operations=events * neurons,
        effective_operations=train.sum(axis=1, dtype=np.int64) @ fanout,
        membrane_updates=np.full(samples, timesteps * neurons, np.int64),
        output_spikes=fired.sum(axis=(1, 2), dtype=np.int64),
        saturations=saturations,
    )

"""Vectorized interpreter of a graph."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from snnhw.errors import NetworkError, raise_problems
from snnhw.ir import Conv, Delay, Flatten, Graph, Input, Linear, Neuron, Node, Readout, Scale, WeightedSum
from snnhw.ir.traverse import blocks, conclude, decide, route, traverse
from snnhw.reference.neuron import Formulas, NeuronState, narrowest
from snnhw.reference.pools import join_pools

__all__ = ["Interpreter", "LayerCounts", "Trace", "decide", "run"]


@dataclass(frozen=True)
class LayerCounts:
    """What one layer of neurons did, for each sample. Every array is int64, (samples,).

    Spikes reach a layer through weighted sums, pooling and arrangements of its own. A spike is an event whatever its value,
    and a connection is a way from it to a neuron through these maps; where two layers of weights follow each other without
    neurons between them, the ways multiply.

    Attributes
    ----------
    input_events : int64 array
        Spikes that reached the layer; one that several of its maps read is counted for each.
    synaptic_operations : int64 array
        Connections of those spikes: additions to a current, as if no weight were zero. What is computed is the maps with 1 in
        the place of every weight, applied to the number of spikes of each source.
    effective_operations : int64 array
        Those of them whose weights are not zero: the same with 1 in the place of every weight that is not zero.
    membrane_updates : int64 array
        Neurons times timesteps.
    output_spikes : int64 array
        Spikes the layer emitted; of counts, their sum.
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
    """Everything a graph computed on a batch of samples. Elements are in the C order of a node's shape.

    Attributes
    ----------
    spikes : mapping of str to array, (samples, timesteps, elements)
        For the input, each layer of neurons and each MaxPool, by node name: bool where spikes are 0 and 1, int16 or int32 where
        they have other values. All False for neurons that hand on their state. Of the input: the array that was given, not a
        copy, where it has that type.
    membranes : mapping of str to int32 array, (samples, timesteps, neurons)
        Stored state after each timestep, for each layer of neurons. When not kept, only those that neurons hand on.
    synapses : mapping of str to int32 array, (samples, timesteps, neurons)
        Stored synaptic current after each timestep, for each layer of neurons that has one. Empty when not kept.
    counts : mapping of str to LayerCounts
        For each layer of neurons. Empty when nothing was counted.
    output : str
        Name of the layer that the readout reads.
    decisions : int64 array, (samples,)
        Class of each sample.
    """

    spikes: Mapping[str, np.ndarray]
    membranes: Mapping[str, np.ndarray]
    synapses: Mapping[str, np.ndarray]
    counts: Mapping[str, LayerCounts]
    output: str
    decisions: np.ndarray

    @property
    def output_spikes(self) -> np.ndarray:
        """Spikes of the last layer, (samples, timesteps, neurons)."""
        return self.spikes[self.output]


class Interpreter:
    """A graph that is ready to be interpreted often.

    Every current is exact: it is computed in float32 where the largest magnitude that it can have, and that of every partial
    sum, is below ``2**24``, else in float64 below ``2**53``, else in int64. So are states, in the narrowest of int16, int32 and
    int64 that holds every number of their formulas.

    Parameters
    ----------
    graph : Graph
        The network.

    Raises
    ------
    NetworkError
        A current does not fit in 64 bits.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._kinds, currents = _kinds(graph)
        self._nodes = join_pools(graph)
        self._order = blocks(self._nodes)
        shapes = {node.name: graph.shapes[node.name] for node in self._nodes}
        self._shapes = shapes
        self._formulas = {(node.name, count): Formulas(node.spec, narrowest(node.spec, currents[node.name]), count=count)
                          for node in graph.neurons for count in (False, True)}
        self._elements = {node.name: math.prod(shapes[node.name]) for node in graph.nodes if node.name in shapes}
        self._types = {node.name: _spike_type(graph, node.name) for node in graph.nodes
                       if node.fires or isinstance(node, Neuron | Input)}

    def run(self, spikes: np.ndarray, *, keep_membranes: bool = True, count: bool = True) -> Trace:
        """Interpret the graph on a batch of spike trains; see :func:`run`."""
        graph = self.graph
        train = self._input(np.asarray(spikes))
        samples, timesteps, _ = train.shape
        if timesteps > graph.timesteps:
            raise_problems(f"layer {node.name!r} (Neuron): the exact state is proven for samples of {graph.timesteps} timesteps, "
                           f"not {timesteps}; use overflow 'saturate' or a graph with more timesteps"
                           for node in graph.neurons if node.spec.overflow == "exact" and node.spec.clear == "sample")
        trains = {graph.input.name: train}
        layers: dict[str, _Layer] = {}
        for node in graph.nodes:
            if node.fires or isinstance(node, Neuron):
                shape = samples, timesteps, self._elements[node.name]
                if isinstance(node, Neuron):
                    layers[node.name] = _Layer(node, self._formulas[node.name, count], shape, keep_membranes)
                trains[node.name] = np.zeros(shape, self._types[node.name])
        traverse(self._nodes, self._shapes, trains, layers, self._kinds, self._order)
        states = {name: layer.membranes for name, layer in layers.items() if layer.membranes is not None}
        output, decisions = conclude(graph.nodes, trains, states)
        return Trace(
            trains, states,
            {name: layer.synapses for name, layer in layers.items() if layer.synapses is not None},
            {name: _count(graph, layer.node, trains, layer.saturations) for name, layer in layers.items()} if count else {},
            output, decisions)

    def _input(self, spikes: np.ndarray) -> np.ndarray:
        """Return the input spikes, (samples, timesteps, elements), or raise ValueError."""
        node = self.graph.input
        elements = self._elements[node.name]
        if spikes.ndim < 3 or spikes.shape[2:] not in (node.shape, (elements,)):
            expected = " x ".join(["samples", "timesteps", *map(str, node.shape)])
            raise ValueError(f"Input spikes must have shape {expected}, not {' x '.join(map(str, spikes.shape))}")
        spikes = spikes.reshape(*spikes.shape[:2], elements)
        within = spikes.dtype == bool and 1 in node.values
        outside = not within and spikes.size and (spikes.min() < node.lowest or spikes.max() > node.highest)
        if outside or spikes.dtype.kind not in "biu":
            binary = (node.lowest, node.highest) == (0, 1)
            what = "bool, or integers 0 and 1" if binary else f"integers between {node.lowest} and {node.highest}"
            raise ValueError(f"Input spikes must be {what}")
        return spikes.astype(self._types[node.name], copy=False)


def run(graph: Graph, spikes: np.ndarray, *, keep_membranes: bool = True, count: bool = True) -> Trace:
    """Interpret `graph` on a batch of spike trains. Whoever does so often makes an :class:`Interpreter` once.

    Parameters
    ----------
    graph : Graph
        The network.
    spikes : bool array, or int array of the values that the input may have, (samples, timesteps, *input shape)
        Input spikes; the shape of the input may also be flattened. Any number of timesteps; a layer that clears at the end of
        a sample starts anew with each.
    keep_membranes : bool
        Also return the states after each timestep.
    count : bool
        Also return what each layer did. Without this and the states, the cost is that of the spikes and the decisions alone.

    Raises
    ------
    NetworkError
        A state declared ``exact`` left its word, the samples are longer than those it is proven for, or a current does not fit
        in 64 bits.
    """
    return Interpreter(graph).run(spikes, keep_membranes=keep_membranes, count=count)


def _spike_type(graph: Graph, name: str) -> np.dtype:
    """Return the type that holds the spikes of a node."""
    values = graph.values(name)
    binary = (values.lowest, values.highest) in ((0, 0), (0, 1))
    return np.dtype(bool if binary else np.int16 if values.bits <= 16 else np.int32)


class _Layer:
    """One layer of neurons while a graph runs: see :class:`snnhw.ir.traverse.Population`."""

    def __init__(self, node: Neuron, formulas: Formulas, shape: tuple[int, int, int], keep: bool) -> None:
        self.node, self._formulas = node, formulas
        self.saturations = np.zeros(shape[0], np.int64)
        self.membranes = np.zeros(shape, np.int32) if keep or node.spec.output == "state" else None
        self.synapses = np.zeros(shape, np.int32) if keep and node.spec.synapse is not None else None
        self._neurons = shape[2]
        self._state: NeuronState | None = None

    @property
    def persists(self) -> bool:
        return self.node.spec.clear == "never"

    def begin(self, samples: int) -> None:
        if self._state is None or not self.persists:
            self._state = NeuronState.initial(self.node.spec, samples, self._neurons, self._formulas.kind)

    def step(self, current: np.ndarray, samples: slice, timestep: int) -> np.ndarray:
        state = self._state
        assert state is not None
        try:
            fired = self._formulas.step(state, current.astype(self._formulas.kind))
        except OverflowError as error:
            raise NetworkError(f"layer {self.node.name!r} (Neuron): {error}") from None
        if self.membranes is not None:
            self.membranes[samples, timestep] = state.membrane
        if self.synapses is not None and state.synapse is not None:
            self.synapses[samples, timestep] = state.synapse
        if self._formulas.count:
            self.saturations[samples] += state.saturations
            state.saturations[:] = 0
        return fired


def _bounds(nodes: Mapping[str, Node], sources: Mapping[str, int]) -> dict[str, int]:
    """Return the largest magnitude of each node's output, and of every partial sum on the way to it from the sources."""
    found = dict(sources)
    for node in nodes.values():
        if node.name not in found and not isinstance(node, Readout):
            total = sum(found[name] for name in node.inputs)
            found[node.name] = total * node.gain if isinstance(node, WeightedSum) else total
    return found


def _kind(largest: int) -> np.dtype:
    return np.dtype(np.float32 if largest < 1 << 24 else np.float64 if largest < 1 << 53 else np.int64)


def _kinds(graph: Graph) -> tuple[dict[str, np.dtype], dict[str, int]]:
    """Return the type in which the current of each node is exact, and the largest magnitude of each."""
    nodes = {node.name: node for node in graph.nodes}
    sources = {node.name: max(-graph.values(node.name).lowest, graph.values(node.name).highest) for node in graph.nodes
               if node.fires or isinstance(node, Input | Delay)}
    sources |= {node.name: 0 for node in graph.neurons if not node.fires}
    bounds = _bounds(nodes, sources)
    kinds, currents, problems = {}, {}, []
    for node in graph.nodes:
        largest = max([bounds.get(node.name, 0), sum(bounds[name] for name in node.inputs)])
        kinds[node.name], currents[node.name] = _kind(largest), largest
        if isinstance(node, Neuron):
            # Beside the current stand its bias, a decayed state and a reset amount, of 33 bits each at most.
            largest = (largest << node.spec.frac) + (1 << 35)
        if largest >= 1 << 63:
            problems.append(f"layer {node.name!r} ({node.title}): its current must fit in 64 bits, and can reach {largest}")
    raise_problems(problems)
    return kinds, currents


def _count(graph: Graph, neuron: Neuron, trains: Mapping[str, np.ndarray], saturations: np.ndarray) -> LayerCounts:
    fired = trains[neuron.name]
    samples, timesteps, neurons = fired.shape
    # Maps are linear, so the spikes of all timesteps are added before a map is applied to them.
    between: dict[str, Node] = {neuron.name: neuron}
    pending = list(neuron.inputs)
    totals: dict[str, np.ndarray] = {}
    events = np.zeros(samples, np.int64)
    while pending:
        node = graph[pending.pop()]
        if node.name in between or node.name in totals:
            continue
        if isinstance(node, WeightedSum | Flatten):
            between[node.name] = node
            pending += node.inputs
        else:
            late = isinstance(node, Delay)
            spikes = trains[node.inputs[0]][:, :-1] if late else trains[node.name]
            totals[node.name] = (spikes != 0).sum(axis=1, dtype=np.int64).reshape(samples, *graph.shapes[node.name])
    for node in between.values():
        if not isinstance(node, Flatten):
            for name in node.inputs:
                while isinstance(graph[name], Flatten):
                    name = graph[name].inputs[0]
                if name in totals:
                    events += totals[name].sum(axis=tuple(range(1, totals[name].ndim)))
    ordered = [node for node in graph.nodes if node.name in between]
    return LayerCounts(
        input_events=events,
        synaptic_operations=_ways(neuron, ordered, np.ones_like, totals, timesteps),
        effective_operations=_ways(neuron, ordered, lambda weight: weight != 0, totals, timesteps),
        membrane_updates=np.full(samples, timesteps * neurons, np.int64),
        output_spikes=fired.sum(axis=(1, 2), dtype=np.int64),
        saturations=saturations,
    )


def _ways(neuron: Neuron, maps: list[Node], change: Callable[[np.ndarray], np.ndarray], totals: Mapping[str, np.ndarray],
          timesteps: int) -> np.ndarray:
    """Return the sum of the currents that some neurons receive where weights are what `change` makes of them: int64, (samples,).

    `totals` are the numbers of spikes of the sources.
    """
    if not all(map(len, totals.values())):
        return np.zeros(0, np.int64)
    nodes = {node.name: replace(node, weight=change(node.weight).astype(np.int64), weight_bits=2)
             if isinstance(node, Linear | Conv | Scale) else node for node in maps}
    largest = max(_bounds(nodes, dict.fromkeys(totals, timesteps)).values())
    reached = route(nodes, neuron.name, lambda name: None, dict.fromkeys(nodes, _kind(largest)), dict(totals))
    return reached.reshape(len(reached), -1).astype(np.int64).sum(axis=1)

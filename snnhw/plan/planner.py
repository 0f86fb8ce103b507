"""Decide how a graph is computed."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from snnhw.errors import UsageError, raise_problems
from snnhw.fixed import signed_bits
from snnhw.ir import Flatten, Graph, Linear, MaxPool, Neuron, NeuronSpec
from snnhw.plan.plan import LayerPlan, Plan, Source
from snnhw.plan.ranges import state_ranges
from snnhw.plan.synapses import Dense, Edge, Scattered, dense_matrix, edges_of, path_of, scatter

__all__ = ["DEFAULT_LANES", "make_plan"]

DEFAULT_LANES = 16
MAX_LANES = 256
EXPECTED_RATE = 0.1  # spikes per neuron and timestep; only balances the lanes of the layers, never enters a result


def _cycles(inputs: int, outputs: int, lanes: int) -> float:
    """Return the expected cycles of a timestep: tiles times events, but not less than the serial finaliser."""
    return max(-(-outputs // lanes) * max(1.0, EXPECTED_RATE * inputs), outputs)


def _balance(sizes: list[tuple[int, int]], lanes: int) -> list[int]:
    """Give each dense core the fewest lanes, up to `lanes`, with which it is no slower than the slowest with `lanes` lanes."""
    slowest = max((_cycles(inputs, outputs, min(lanes, outputs)) for inputs, outputs in sizes), default=0)
    return [next(count for count in range(1, min(lanes, outputs) + 1)
                 if count == min(lanes, outputs) or _cycles(inputs, outputs, count) <= slowest) for inputs, outputs in sizes]


def _check_lanes(lanes: object, what: str) -> None:
    if not isinstance(lanes, int) or isinstance(lanes, bool) or not 1 <= lanes <= MAX_LANES:
        raise UsageError(f"{what} must be an integer between 1 and {MAX_LANES}, not {lanes!r}")


class _Wiring:
    """Which cores there are, and whose spikes each of them takes.

    Attributes
    ----------
    cores : tuple of Neuron or MaxPool
        Nodes that become cores, in order.
    edges : dict of str to dict of (str, bool) to list of Edge
        For each core, by name: the paths into it, by source and whether they are delayed.
    output : str
        Core whose spikes are the output.
    """

    def __init__(self, graph: Graph):
        self.graph = graph
        self.cores = tuple(node for node in graph.nodes if isinstance(node, Neuron | MaxPool))
        self.index = {node.name: index for index, node in enumerate(self.cores)}
        self.edges: dict[str, dict[tuple[str, bool], list[Edge]]] = {}
        for node in self.cores:
            sources = self.edges[node.name] = {}
            for edge in edges_of(graph, node):
                sources.setdefault((edge.source, edge.delayed), []).append(edge)
        output = graph[graph.nodes[-1].inputs[0]]
        while isinstance(output, Flatten):
            output = graph[output.inputs[0]]
        self.output = output.name
        self._before = {node.name: self._reach(node.name, set()) for node in self.cores}

    def _reach(self, name: str, seen: set[str]) -> set[str]:
        """Return the cores whose timestep must be over before that of `name` is, itself included."""
        pending = [name]
        while pending:
            name = pending.pop()
            if name in self.edges and name not in seen:
                seen.add(name)
                pending += [source for source, delayed in self.edges[name] if not delayed]
        return seen

    def _leading(self) -> set[str]:
        """Return the nodes on which the readout depends, itself included."""
        found: set[str] = set()
        pending = [self.graph.nodes[-1].name]
        while pending:
            name = pending.pop()
            if name not in found:
                found.add(name)
                pending += self.graph[name].inputs
        return found

    def problems(self) -> list[str]:
        """Return what has no hardware, one sentence each."""
        problems = []
        if self.output not in self.edges:
            problems.append(f"layer {self.graph.nodes[-1].name!r} (Readout): input must be neurons or a MaxPool of this "
                            f"timestep, not {self.output!r}")
        leading = self._leading()
        for node in self.graph.nodes:
            if node.name not in leading:
                problems.append(f"layer {node.name!r} ({node.title}): must lead to the readout")
        for node in self.cores:
            if all(delayed for _, delayed in self.edges[node.name]):
                problems.append(f"layer {node.name!r} ({node.title}): must have an input of the same timestep, "
                                "not delayed ones alone")
        return problems

    def sources(self, name: str, dense: bool) -> tuple[Source, ...]:
        """Return the sources of a core, whose synapses are dense or not."""
        result, offset = [], 0
        for source, delayed in self.edges[name]:
            count = math.prod(self.graph.shapes[source])
            # A core with event lists collects a timestep while it computes the one before; other cores, and cores that are not
            # on the way to the source, must leave the spikes of a whole timestep somewhere until they are wanted.
            waits = delayed and not (dense and name in self._before.get(source, set()))
            result.append(Source(source, self.index.get(source), delayed, offset, count, self.graph.values(source),
                                 count + 1 if waits else 0))
            offset += count
        return tuple(result)


def _population(node: Neuron | MaxPool) -> Neuron:
    """Return the neurons of a core. The maximum of binary spikes is fired by neurons that count them and forget at once."""
    if isinstance(node, Neuron):
        return node
    return Neuron(node.name, node.inputs, NeuronSpec(1, reset="zero", overflow="exact", bits=2))


def _dense(wiring: _Wiring, name: str) -> Dense | None:
    """Return the synapses of a core whose events all are binary and reach all of its neurons; else None."""
    matrices, bits = [], 1
    for (source, _), edges in wiring.edges[name].items():
        matrix = dense_matrix(edges)
        values = wiring.graph.values(source)
        if matrix is None or (values.lowest, values.highest) != (0, 1):
            return None
        declared = max(node.weight_bits for edge in edges for node in edge.nodes if isinstance(node, Linear))
        bits = max(bits, declared, signed_bits(int(matrix.min()), int(matrix.max())))
        matrices.append(matrix)
    return Dense(np.concatenate(matrices, axis=1), bits)


def _scattered(wiring: _Wiring, node: Neuron | MaxPool, lanes: int) -> Scattered:
    graph, where = wiring.graph, f"layer {node.name!r} ({node.title})"
    paths = [(path_of(graph, edges, where), math.prod(graph.shapes[source]))
             for (source, _), edges in wiring.edges[node.name].items()]
    return scatter(paths, graph.shapes[node.name], lanes, where)


def _ends(sources: Sequence[Source]) -> tuple[np.ndarray, np.ndarray]:
    """Return the lowest and highest value of every address."""
    return (np.concatenate([np.full(source.count, source.values.lowest) for source in sources]),
            np.concatenate([np.full(source.count, source.values.highest) for source in sources]))


def _lanes(asked: int | Mapping[str, int], names: Sequence[str], sizes: Sequence[tuple[int, int]]) -> list[int]:
    """Return the most lanes of each core."""
    if not isinstance(asked, Mapping):
        _check_lanes(asked, "lanes")
        return _balance(list(sizes), asked)
    if unknown := sorted(set(asked) - set(names)):
        raise UsageError(f"lanes name the layer {unknown[0]!r}, the network has {', '.join(map(repr, names))}")
    for name, count in asked.items():
        _check_lanes(count, f"lanes of layer {name!r}")
    return [min(asked.get(name, DEFAULT_LANES), outputs) for name, (_, outputs) in zip(names, sizes, strict=True)]


def make_plan(graph: Graph, *, lanes: int | Mapping[str, int] = DEFAULT_LANES, load_weights: bool = False) -> Plan:
    """Plan one core for each population of neurons of `graph`, and for each maximum pool.

    Parameters
    ----------
    graph : Graph
        The network.
    lanes : int or mapping of str to int
        The most lanes of a core: of those with dense weights, the slowest gets them if they help it, the others are balanced
        against it; or the lanes of each layer of neurons, by name. More lanes than neurons, or than channels, are never built.
    load_weights : bool
        Write the weights through a stream at start-up, for memories that a bitstream cannot initialise.

    Raises
    ------
    NetworkError
        Something in the network has no hardware here; all such layers are named.
    UsageError
        The lanes name an unknown layer, or are not between 1 and 256.
    """
    wiring = _Wiring(graph)
    raise_problems(wiring.problems())
    synapses = [_dense(wiring, node.name) if isinstance(node, Neuron) else None for node in wiring.cores]
    sizes = [dense.weight.shape[::-1] if dense is not None else (0, graph.shapes[node.name][0])
             for node, dense in zip(wiring.cores, synapses, strict=True)]
    counts = _lanes(lanes, [node.name for node in wiring.cores], sizes)
    layers = []
    for index, (node, dense, count) in enumerate(zip(wiring.cores, synapses, counts, strict=True)):
        sources = wiring.sources(node.name, dense is not None)
        if dense is None:
            count = count if isinstance(lanes, Mapping) else min(lanes, graph.shapes[node.name][0])
            scattered = _scattered(wiring, node, count)
            count = scattered.lanes
        neuron = _population(node)
        ranges = state_ranges((dense or scattered).current_range(*_ends(sources)), neuron, graph.timesteps)
        sums = tuple(dict.fromkeys(item.name for edges in wiring.edges[node.name].values() for edge in edges
                                   for item in edge.nodes if item.name != node.name))
        layers.append(LayerPlan(index, neuron, sums, sources, dense or scattered, math.prod(graph.shapes[node.name]), count,
                                ranges, load_weights))
    return Plan(graph, tuple(layers), wiring.index[wiring.output])

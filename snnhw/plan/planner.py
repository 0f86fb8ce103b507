"""Decide how a graph is computed."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np

from snnhw.errors import UsageError, raise_problems
from snnhw.fixed import signed_bits
from snnhw.ir import Flatten, Graph, Linear, MaxPool, Neuron, NeuronSpec
from snnhw.plan.adjustable import widened
from snnhw.plan.formats import EXPECTED_RATE, FORMATS, PARAMETERS, Alternative, alternatives, best
from snnhw.plan.packing import PACKINGS, Packing, pack
from snnhw.plan.plan import Control, Events, LayerPlan, Plan, Source
from snnhw.plan.ranges import state_ranges
from snnhw.plan.synapses import Dense, Edge, Scattered, dense_matrix, edges_of, path_of, scatter

__all__ = ["DEFAULT_LANES", "make_plan"]

AUTO = "auto"
EVENTS = "list", "bitmap"
DEFAULT_LANES = 16
MAX_LANES = 256


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

    def sources(self, name: str) -> tuple[Source, ...]:
        """Return the sources of a core."""
        result, offset = [], 0
        for source, delayed in self.edges[name]:
            count = math.prod(self.graph.shapes[source])
            # A core collects a timestep while it computes the one before; where it is not on the way to the source, the spikes
            # of a whole timestep must be left somewhere until they are wanted.
            waits = delayed and name not in self._before.get(source, set())
            result.append(Source(source, self.index.get(source), delayed, offset, count, self.graph.values(source),
                                 count + 1 if waits else 0))
            offset += count
        return tuple(result)


def _population(node: Neuron | MaxPool) -> Neuron:
    """Return the neurons of a core. The maximum of binary spikes is fired by neurons that count them and forget at once."""
    if isinstance(node, Neuron):
        return node
    return Neuron(node.name, node.inputs, NeuronSpec(1, reset="zero", overflow="exact", bits=2))


@dataclass(frozen=True)
class _Matrix:
    """Weights of a core all of whose sources reach it through fully connected layers.

    Attributes
    ----------
    weight : int64 array, (neurons, sources)
    bits : int
        Width of a weight.
    binary : bool
        No event has a value: only then they can be kept dense.
    """

    weight: np.ndarray
    bits: int
    binary: bool


def _matrix(wiring: _Wiring, name: str) -> _Matrix | None:
    """Return the weights of a fully connected core; None of others."""
    matrices, bits, binary = [], 1, True
    for (source, _), edges in wiring.edges[name].items():
        matrix = dense_matrix(edges)
        if matrix is None:
            return None
        values = wiring.graph.values(source)
        binary &= (values.lowest, values.highest) == (0, 1)
        declared = max(node.weight_bits for edge in edges for node in edge.nodes if isinstance(node, Linear))
        bits = max(bits, declared, signed_bits(int(matrix.min()), int(matrix.max())))
        matrices.append(matrix)
    return _Matrix(np.concatenate(matrices, axis=1), bits, binary)


def _choice(what: str, asked: str | Mapping[str, str], options: Sequence[str], names: Sequence[str], name: str) -> str:
    """Return what is asked for a layer: its format, its packing, or how it keeps its events."""
    found = asked if isinstance(asked, str) else asked.get(name, AUTO)
    all_of_them = what if what.endswith("s") else f"{what}s"
    who = all_of_them if isinstance(asked, str) else f"{what} of layer {name!r}"
    base, colon, number = found.partition(":")
    if base in PARAMETERS and colon and what == "format":
        lowest, highest, meaning = PARAMETERS[base]
        if not (number.isascii() and number.isdigit() and len(number) < 4 and lowest <= int(number) <= highest):
            raise UsageError(f"{meaning} of {who} must be between {lowest} and {highest}, not {number[:40]!r}")
    elif found not in (AUTO, *options):
        raise UsageError(f"{who} must be {', '.join((AUTO, *options[:-1]))} or {options[-1]}, not {found[:40]!r}")
    if not isinstance(asked, str) and (unknown := sorted(set(asked) - set(names))):
        raise UsageError(f"{all_of_them} name the layer {unknown[0]!r}, the network has {', '.join(map(repr, names))}")
    return found


def _stored(node: Neuron | MaxPool, matrix: _Matrix, lanes: int, asked: str, packing: str, loaded: bool) -> Alternative:
    """Return the weights of a fully connected core in the format and packing that are asked, or in the best."""
    asked, _, number = asked.partition(":")
    if asked == "queued" and loaded:
        raise UsageError(f"format of layer {node.name!r} must not be queued, because its weights are loaded; the nearest is csc")
    if asked == "dense" and not matrix.binary:
        raise UsageError(f"format of layer {node.name!r} must not be dense, because its events have values; "
                         "the nearest is csc")
    possible = FORMATS if matrix.binary else FORMATS[1:]
    # Queues are many registers: they are taken where they are asked for.
    names = [name for name in possible if name == asked or (asked == AUTO and name != "queued")]
    try:
        return best(alternatives(matrix.weight, matrix.bits, lanes, f"layer {node.name!r} ({node.title})", names=names,
                                 packing=packing, parameter=int(number or 0)))
    except ValueError as error:
        raise _unpackable(node, packing, error) from None


def _unpackable(node: Neuron | MaxPool, packing: str, error: ValueError) -> UsageError:
    """Return what says that the weights of a layer cannot be packed as was asked."""
    return UsageError(f"packing of layer {node.name!r} must not be {packing}: {error}")


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


def make_plan(graph: Graph, *, lanes: int | Mapping[str, int] = DEFAULT_LANES, load_weights: bool = False,
              formats: str | Mapping[str, str] = AUTO, packings: str | Mapping[str, str] = AUTO,
              events: str | Mapping[str, str] = "list", decide: bool = False, control: Control | None = None) -> Plan:
    """Plan one core for each population of neurons of `graph`, and for each maximum pool.

    Parameters
    ----------
    graph : Graph
        The network.
    lanes : int or mapping of str to int
        The most lanes of a core: of those with dense weights, the slowest gets them if they help it, the others are balanced
        against it; or the lanes of each layer of neurons, by name. More lanes than neurons, or than channels, are never built.
    load_weights : bool
        Write the weights through a stream at start-up, for memories that a bitstream cannot initialise. ``"auto"`` then takes
        dense weights that are not packed, so that other weights fit as well.
    formats : str or mapping of str to str
        How the weights of fully connected layers are stored, one of :data:`~snnhw.plan.formats.FORMATS`, for all or by the name
        of the neurons; ``"run-length:3"`` with runs of 3 bits in the place of those that store the fewest, ``"queued:4"`` with
        queues of 4 events. ``"auto"`` takes the way with the lowest product of stored bits and expected cycles, but never queues.
        Weights that are loaded cannot be queued. All other layers are stored in blocks.
    packings : str or mapping of str to str
        How weights that take few values are coded, in any format but bitmap: one of :data:`~snnhw.plan.packing.PACKINGS`, for
        all or by the name of the neurons; ``"auto"`` takes what has the fewest bits. Of loaded weights, only values of the
        book can be loaded: those that the graph has in this layer.
    events : str or mapping of str to str
        How dense cores keep the events of a timestep, for all or by the name of the neurons: a ``"list"`` of addresses, or a
        ``"bitmap"``, which takes a fraction of the memory on parts that write single bits (iCE40), and a cycle for each 16
        addresses without an event. Cores that walk lists always keep a list.
    decide : bool
        Also give the decision of each sample, with its score and its margin, on a stream of its own.
    control : str or None
        Bus of a control port, ``"axi4-lite"`` or ``"wishbone"``. With one, sums are as wide as they need to be for every value
        that the port can give to thresholds and decays.

    Raises
    ------
    NetworkError
        Something in the network has no hardware here; all such layers are named.
    UsageError
        The lanes name an unknown layer, or are not between 1 and 256; a format or a packing is unknown or does not suit its
        layer; or there is no such control port.
    """
    if control is not None and control not in get_args(Control):
        raise UsageError(f"control must be {' or '.join(map(repr, get_args(Control)))}, not {control!r}")
    wiring = _Wiring(graph)
    raise_problems(wiring.problems())
    names = [node.name for node in wiring.cores]
    matrices = [_matrix(wiring, node.name) if isinstance(node, Neuron) else None for node in wiring.cores]
    sizes = [matrix.weight.shape[::-1] if matrix is not None and matrix.binary else (0, graph.shapes[node.name][0])
             for node, matrix in zip(wiring.cores, matrices, strict=True)]
    counts = _lanes(lanes, names, sizes)
    layers = []
    for index, (node, matrix, count) in enumerate(zip(wiring.cores, matrices, counts, strict=True)):
        sources = wiring.sources(node.name)
        asked = _choice("format", formats, FORMATS, names, node.name)
        asked_packing = _choice("packing", packings, PACKINGS, names, node.name)
        if load_weights:
            # Weights of another training are to fit too: so nothing is chosen that depends on which are zero, or on their values.
            asked = "dense" if asked == AUTO and matrix is not None and matrix.binary else asked
            asked_packing = "none" if asked_packing == AUTO else asked_packing
        kept: Events = "bitmap" if _choice("events", events, EVENTS, names, node.name) == "bitmap" else "list"
        packing: Packing | None
        if not isinstance(lanes, Mapping) and (matrix is None or not matrix.binary):
            count = min(lanes, graph.shapes[node.name][0])
        if matrix is not None:
            chosen = _stored(node, matrix, count, asked, asked_packing, load_weights)
            synapses, packing = chosen.synapses, chosen.packing
        else:
            if not isinstance(formats, str) and asked not in (AUTO, "block"):
                raise UsageError(f"format of layer {node.name!r} must be block, because it is not fully connected, not {asked!r}")
            if not isinstance(events, str) and kept == "bitmap":
                raise UsageError(f"events of layer {node.name!r} must be list, because it is not fully connected, not bitmap")
            synapses = _scattered(wiring, node, count)
            try:
                packing = pack(asked_packing, synapses.values, synapses.weight_bits, synapses.lanes)
            except ValueError as error:
                raise _unpackable(node, asked_packing, error) from None
        if isinstance(synapses, Scattered):
            count = synapses.lanes
        neuron = _population(node)
        ranges = state_ranges(synapses.current_range(*_ends(sources)), neuron, graph.timesteps)
        if control is not None:
            ranges = widened(ranges, neuron.spec)
        sums = tuple(dict.fromkeys(item.name for edges in wiring.edges[node.name].values() for edge in edges
                                   for item in edge.nodes if item.name != node.name))
        layers.append(LayerPlan(index, neuron, sums, sources, synapses, math.prod(graph.shapes[node.name]), count, ranges,
                                load_weights, packing, kept if isinstance(synapses, Dense) else "list"))
    plan = Plan(graph, tuple(layers), wiring.index[wiring.output], decide, control)
    if not plan.chained and (kept_as_bits := next((layer for layer in layers if layer.events == "bitmap"), None)):
        raise UsageError(f"events of layer {kept_as_bits.name!r} must be list, because the layers are no chain, not bitmap")
    return plan

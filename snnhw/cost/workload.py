"""Layers as the architecture model sees them: sizes, widths and densities, and nothing else of the network."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from snnhw.errors import FileError
from snnhw.files import read_bytes, read_json, write_bytes, write_json
from snnhw.fixed import Interval
from snnhw.ir import Conv, Delay, Flatten, Graph, Input, Linear, Neuron, Node, Scale, SumPool
from snnhw.ir.traverse import route
from snnhw.reference import Trace, run

__all__ = ["LayerWorkload", "load_workloads", "record_densities", "save_workloads"]

MAX_TABLE_BYTES = 4 << 20


@dataclass(frozen=True)
class LayerWorkload:
    """One layer of a network: a map with weights, and the neurons behind it.

    A sum is ``sum over c, r, s of weight[m, c, r, s] * input[c, p * stride + r, q * stride + s]`` for each of the ``m * p * q``
    outputs; a fully connected layer has ``p = q = r = s = 1``. Padding counts as positions whose input is zero.

    Parameters
    ----------
    name, kind : str
        Name of the layer; ``"linear"``, ``"conv"`` or ``"scale"``.
    c, m, p, q, r, s : int
        Input channels that an output sees, output channels of all groups, rows and columns of the output, and of the kernel.
    timesteps : int
        Timesteps of a sample.
    weight_bits : int
        Width of a weight.
    weight_density : float
        Part of the weights that is not zero.
    input_density, input_density_worst : float
        Part of the inputs, of all timesteps, that is not zero: mean over the samples, and of the sample with most.
    output_density, output_density_worst : float
        The same of what the neurons hand on.
    inputs : int
        Input elements of a timestep, of all groups.
    neurons : int
        Neurons whose state this layer updates; 0 where they belong to another one.
    state_bits : int
        Width of the state of a neuron.
    input_bits, output_bits : int
        Width of an input, 1 for spikes, and of what a neuron hands on.
    groups : int
        Groups of channels that do not see each other.
    stride : tuple of int
        Distance between windows, in rows and columns.
    synaptic_operations, effective_operations : float or None
        As counted, mean of a sample: connections of input events, and those of them whose weight is not zero. None if they were
        not counted. The model predicts them as products of densities; these show how far that holds.
    """

    name: str
    kind: str
    c: int
    m: int
    p: int
    q: int
    r: int
    s: int
    timesteps: int
    weight_bits: int
    weight_density: float
    input_density: float
    input_density_worst: float
    output_density: float
    output_density_worst: float
    inputs: int
    neurons: int
    state_bits: int
    input_bits: int = 1
    output_bits: int = 1
    groups: int = 1
    stride: tuple[int, int] = (1, 1)
    synaptic_operations: float | None = None
    effective_operations: float | None = None

    def __post_init__(self) -> None:
        where = f"layer {self.name!r}"
        for name in ("c", "m", "p", "q", "r", "s", "timesteps", "weight_bits", "inputs", "input_bits", "groups"):
            value = getattr(self, name)
            if type(value) is not int or value < 1:
                raise ValueError(f"{where}: {name} must be an integer of at least 1, not {value!r}")
        for name in ("neurons", "state_bits", "output_bits"):
            value = getattr(self, name)
            if type(value) is not int or value < 0:
                raise ValueError(f"{where}: {name} must be an integer of at least 0, not {value!r}")
        for name in ("weight_density", "input_density", "input_density_worst", "output_density", "output_density_worst"):
            value = getattr(self, name)
            if not isinstance(value, int | float) or not 0 <= value <= 1:
                raise ValueError(f"{where}: {name} must be between 0 and 1, not {value!r}")
        if self.m % self.groups:
            raise ValueError(f"{where}: {self.groups} groups must divide the output channels, not {self.m}")
        object.__setattr__(self, "stride", tuple(self.stride))
        if len(self.stride) != 2 or not all(type(step) is int and step >= 1 for step in self.stride):
            raise ValueError(f"{where}: stride must be two integers of at least 1, not {self.stride!r}")

    @property
    def weights(self) -> int:
        """Weights, zeros included."""
        return self.m * self.c * self.r * self.s

    @property
    def positions(self) -> int:
        """Outputs of one channel."""
        return self.p * self.q

    @property
    def dense_operations(self) -> int:
        """Additions of a sample if nothing were zero."""
        return self.weights * self.positions * self.timesteps

    def density(self, activity: str) -> float:
        """Return the density of the inputs for ``"mean"`` or ``"worst"`` activity."""
        return {"mean": self.input_density, "worst": self.input_density_worst}[activity]


_FIELDS = tuple(field.name for field in fields(LayerWorkload))


def record_densities(graph: Graph, spikes: np.ndarray) -> tuple[LayerWorkload, ...]:
    """Run the integer reference on samples and return each layer with its sizes and densities, in the order of the graph.

    A layer is a map with weights. What pools and other maps without weights do before it is part of its input: the density is
    that of the pooled values, the width that of the largest that they can have.

    Parameters
    ----------
    graph : Graph
        The network.
    spikes : bool or int array, (samples, timesteps, *input shape)
        At least one sample.
    """
    spikes = np.asarray(spikes)
    if not spikes.shape[0]:
        raise ValueError("Samples must be at least one, not 0")
    trace = run(graph, spikes, keep_membranes=False)
    behind = _populations(graph)
    counted: set[str] = set()
    layers = []
    for node in graph.nodes:
        if isinstance(node, Linear | Conv | Scale):
            population = behind.get(node.name)
            first = population is not None and population.name not in counted
            counted |= {population.name} if population is not None else set()
            layers.append(_layer(graph, node, population if first else None, trace))
    return tuple(layers)


def _populations(graph: Graph) -> dict[str, Neuron]:
    """Return the neurons that each map with weights drives, with at most pools and arrangements between them."""
    found: dict[str, Neuron] = {}
    for neuron in graph.neurons:
        pending = list(neuron.inputs)
        while pending:
            node = graph[pending.pop()]
            if isinstance(node, Linear | Conv | Scale):
                found.setdefault(node.name, neuron)
            elif isinstance(node, SumPool | Flatten):
                pending += node.inputs
    return found


def _layer(graph: Graph, node: Linear | Conv | Scale, neuron: Neuron | None, trace: Trace) -> LayerWorkload:
    seen = _inputs(graph, node, trace)
    samples, timesteps = seen.shape[:2]
    densities = seen.reshape(samples, -1).mean(axis=1)
    totals = seen.sum(axis=1, dtype=np.float64)
    ways = [float(replace(node, weight=weight, weight_bits=2).apply(totals).sum()) / samples
            for weight in (np.ones_like(node.weight), (node.weight != 0).astype(np.int64))]
    if neuron is None:
        after, output_bits = np.zeros(1), 0
    elif neuron.spec.output == "state":
        after, output_bits = np.ones(1), neuron.spec.bits
    else:
        after = (trace.spikes[neuron.name] != 0).reshape(samples, -1).mean(axis=1)
        output_bits = neuron.grades.bit_length()
    return LayerWorkload(
        name=node.name, kind=type(node).__name__.lower(), **_sizes(graph, node), timesteps=timesteps,
        weight_bits=node.weight_bits, weight_density=int(np.count_nonzero(node.weight)) / node.weight.size,
        input_density=float(densities.mean()), input_density_worst=float(densities.max()),
        output_density=float(after.mean()), output_density_worst=float(after.max()),
        inputs=math.prod(seen.shape[2:]), neurons=math.prod(graph.shapes[neuron.name]) if neuron else 0,
        state_bits=neuron.spec.bits if neuron else 0, input_bits=_input_bits(graph, node), output_bits=output_bits,
        synaptic_operations=ways[0], effective_operations=ways[1])


def _sizes(graph: Graph, node: Linear | Conv | Scale) -> dict[str, Any]:
    if isinstance(node, Linear):
        return {"c": node.sources, "m": node.outputs, "p": 1, "q": 1, "r": 1, "s": 1}
    if isinstance(node, Scale):  # one weight of all elements, or one of each, which see nothing else
        elements = math.prod(graph.shapes[node.name])
        shared = node.weight.ndim == 0
        return {"c": 1, "m": 1 if shared else elements, "p": elements if shared else 1, "q": 1, "r": 1, "s": 1,
                "groups": 1 if shared else elements}
    rows, *columns = graph.shapes[node.name][1:]
    return {"c": int(node.weight.shape[1]), "m": int(node.weight.shape[0]), "p": rows, "q": columns[0] if columns else 1,
            "r": node.window.kernel[0], "s": node.window.kernel[1] if columns else 1, "groups": node.groups,
            "stride": (node.window.stride[0], node.window.stride[1] if columns else 1)}


def _inputs(graph: Graph, node: Node, trace: Trace) -> np.ndarray:
    """Return where the input of a node is not zero: bool, (samples, timesteps, *shape)."""
    nodes = {item.name: item for item in graph.nodes}
    kinds = dict.fromkeys(nodes, np.dtype(np.float64))
    samples = len(trace.decisions)
    found = []
    for sample in range(samples):

        def given(name: str, sample: int = sample) -> np.ndarray | None:
            late = isinstance(nodes[name], Delay)
            train = trace.spikes.get(nodes[name].inputs[0] if late else name)
            if train is None:
                return None
            values = train[sample]
            if late:
                values = np.concatenate([np.zeros_like(values[:1]), values[:-1]])
            return values.reshape(len(values), *graph.shapes[name])

        known: dict[str, np.ndarray] = {}
        parts = [route(nodes, name, given, kinds, known) for name in node.inputs]
        found.append(sum(part.astype(np.float64) for part in parts) != 0)
    return np.stack(found)


def _input_bits(graph: Graph, node: Node) -> int:
    """Return the width that holds every value which the input of a node can have; values that are never negative have no sign."""
    largest: dict[str, Interval] = {}

    def values(name: str) -> Interval:
        source = graph[name]
        if name not in largest:
            if source.fires or isinstance(source, Input | Delay):
                largest[name] = graph.values(name)
            else:
                total = _sum([values(item) for item in source.inputs])
                if isinstance(source, SumPool):
                    total = Interval(total.lowest * source.gain, total.highest * source.gain)
                elif isinstance(source, Linear | Conv | Scale):
                    reach = max(-total.lowest, total.highest) * source.gain
                    total = Interval(-reach, reach)
                largest[name] = total
        return largest[name]

    total = _sum([values(name) for name in node.inputs])
    return max(1, total.bits if total.lowest < 0 else total.highest.bit_length())


def _sum(parts: Sequence[Interval]) -> Interval:
    return Interval(sum(part.lowest for part in parts), sum(part.highest for part in parts))


def save_workloads(workloads: Sequence[LayerWorkload], path: Path) -> None:
    """Write a layer table: CSV with one line for each layer, or JSON, as the suffix says."""
    path = Path(path)
    rows = [asdict(workload) for workload in workloads]
    if path.suffix == ".json":
        write_json(path, rows)
    elif path.suffix == ".csv":
        text = io.StringIO()
        writer = csv.DictWriter(text, _FIELDS, lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow(row | {"stride": "x".join(map(str, row["stride"]))})
        write_bytes(path, text.getvalue().encode())
    else:
        raise FileError(f"layer table {str(path)!r} must end in .csv or .json")


def load_workloads(path: Path) -> tuple[LayerWorkload, ...]:
    """Read a layer table that :func:`save_workloads` wrote, or one made by hand with the same columns."""
    path = Path(path)
    if path.suffix == ".json":
        rows = read_json(path, "layer table", MAX_TABLE_BYTES)
    elif path.suffix == ".csv":
        try:
            text = read_bytes(path, "layer table", MAX_TABLE_BYTES).decode()
            rows = [_typed(row) for row in csv.DictReader(io.StringIO(text, newline=""), strict=True)]
        except (ValueError, csv.Error):
            raise FileError(f"layer table {str(path)!r} must be CSV with numbers where numbers belong, and is not") from None
    else:
        raise FileError(f"layer table {str(path)!r} must end in .csv or .json")
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) and set(row) <= set(_FIELDS) for row in rows):
        raise FileError(f"layer table {str(path)!r} must hold layers with the columns {', '.join(_FIELDS)}")
    try:
        return tuple(LayerWorkload(**row) for row in rows)
    except (TypeError, ValueError) as error:
        raise FileError(f"layer table {str(path)!r}: {error}") from None


_TEXTS = "name", "kind"
_FLOATS = ("weight_density", "input_density", "input_density_worst", "output_density", "output_density_worst",
           "synaptic_operations", "effective_operations")


def _typed(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Return a line of CSV with the types of the fields; an empty cell is a field that is not given."""
    if None in row or None in row.values():
        raise ValueError("Line must have as many cells as the header")
    typed: dict[str, Any] = {}
    for name, text in row.items():
        if name in _TEXTS:
            typed[name] = text
        elif name == "stride":
            typed[name] = tuple(int(step) for step in text.split("x"))
        elif text:
            typed[name] = float(text) if name in _FLOATS else int(text)
    return typed

"""Random graphs with every kind of node: convolutions, pools, skip connections, recurrence, graded inputs, counts and states.

Each case follows from its seed alone, and every node leads to the readout.
"""

import math
from dataclasses import replace
from typing import Any

import numpy as np

from snnhw.errors import NetworkError
from snnhw.fixed import signed_range
from snnhw.ir import (
    Conv,
    Delay,
    Encoding,
    Flatten,
    Graph,
    Input,
    Linear,
    MaxPool,
    Neuron,
    NeuronSpec,
    Node,
    Readout,
    Scale,
    SumPool,
    Window,
)
from snnhw.ir.nodes import Shape
from snnhw.plan import make_plan
from snnhw.plan.formats import FORMATS, loadable
from snnhw.plan.synapses import dense_matrix, edges_of
from snnhw.verify.random_networks import RandomCase, neuron_fields

__all__ = ["random_graph", "random_graph_case"]

MAX_ELEMENTS = 150


class _Builder:
    """A graph in the making.

    Attributes
    ----------
    nodes : list of Node
        So far.
    spikes : dict of str to (Shape, lowest, highest)
        Nodes that give spikes: shape and values.
    unused : list of str
        Those whose spikes nobody takes yet.
    """

    def __init__(self, rng: np.random.Generator):
        self.rng = rng
        self.nodes: list[Node] = []
        self.spikes: dict[str, tuple[Shape, int, int]] = {}
        self.unused: list[str] = []

    def add(self, kind: type[Node], *inputs: str, **fields: Any) -> str:
        name = f"{kind.__name__.lower()}{len(self.nodes)}"
        self.nodes.append(kind(name, inputs, **fields))
        return name

    def weight(self, shape: tuple[int, ...]) -> dict[str, Any]:
        """Return random weights and their width."""
        bits = int(self.rng.choice([1, 2, 3, 4, 8]))
        lowest, highest = signed_range(bits)
        values = self.rng.integers(lowest, highest + 1, shape) * (self.rng.random(shape) < self.rng.choice([0.1, 0.4, 1.0, 1.0]))
        return {"weight": values, "weight_bits": bits}

    def window(self, sizes: tuple[int, ...], pool: bool) -> Window:
        """Return a window that fits over an input of `sizes`."""
        rng, rank = self.rng, len(sizes)
        while True:
            kernel = tuple(int(rng.integers(1, min(size, 3) + 1)) for size in sizes)
            stride = kernel if pool and rng.random() < 0.6 else tuple(int(rng.integers(1, 4)) for _ in range(rank))
            padding = tuple(int(rng.integers(0, 3)) if rng.random() < 0.5 else 0 for _ in range(rank))
            end = tuple(int(rng.integers(0, 3)) for _ in range(rank)) if rng.random() < 0.2 else padding
            dilation = tuple(int(rng.integers(1, 3)) for _ in range(rank))
            window = Window(kernel, stride, padding, end, dilation)
            if min(window.output(sizes)) >= 1:
                return window

    def current(self, source: str, shape: Shape, wanted: Shape | None) -> tuple[str, Shape]:
        """Add the nodes from spikes to a current, of a wanted shape if one is given; return its name and shape."""
        rng, name = self.rng, source
        if wanted is not None and shape != wanted and len(wanted) > 1:
            raise ValueError("only one dimension is reached from everywhere")
        if wanted is None and len(shape) > 1 and rng.random() < 0.3:
            window = self.window(shape[1:], pool=True)
            name, shape = self.add(SumPool, name, window=window), (shape[0], *window.output(shape[1:]))
        kinds = ["scale"] if wanted is not None and len(wanted) > 1 else ["linear"] if wanted is not None else (
            ["conv", "conv", "conv", "linear", "scale"] if len(shape) > 1 else ["linear", "linear", "scale"])
        kind = str(rng.choice(kinds))
        if kind == "linear":
            if len(shape) > 1:
                name, shape = self.add(Flatten, name), (math.prod(shape),)
            outputs = wanted[0] if wanted is not None else int(rng.integers(1, 20))
            return self.add(Linear, name, **self.weight((outputs, shape[0]))), (outputs,)
        if kind == "scale":
            return self.add(Scale, name, **self.weight(shape if rng.random() < 0.6 else ())), shape
        groups = int(rng.choice([group for group in range(1, shape[0] + 1) if shape[0] % group == 0]))
        outputs = groups * int(rng.integers(1, max(2, 8 // groups)))
        window = self.window(shape[1:], pool=False)
        result = (outputs, *window.output(shape[1:]))
        if math.prod(result) > MAX_ELEMENTS:
            return self.add(Scale, name, **self.weight(())), shape
        return self.add(Conv, name, **self.weight((outputs, shape[0] // groups, *window.kernel)), window=window,
                        groups=groups), result

    def neurons(self, currents: list[str], shape: Shape, *, last: bool) -> str:
        """Add neurons, which may take their own spikes of the timestep before."""
        rng, count = self.rng, math.prod(shape)
        fake = rng.integers(-8, 8, (count, int(rng.integers(2, 20))))
        spec = neuron_fields(rng, fake)
        if last and rng.random() < 0.3:
            spec |= {"reset": "none", "reset_amount": 0, "threshold": 0, "output": "state", "input_on_reset": "keep"}
        elif rng.random() < 0.15:
            high = signed_range(spec["bits"])[1]
            amount = int(rng.integers(1, max(2, high // 3)))
            spec |= {"reset": "subtract", "reset_time": "immediate", "input_on_reset": "keep", "reset_amount": amount,
                     "threshold": int(rng.integers(1, max(2, high // 2))), "output": "count", "grades": int(rng.integers(2, 6))}
            if spec["threshold"] - amount < -high:
                spec["threshold"] = amount
        recurrent = spec.get("output") != "state" and rng.random() < 0.35
        name = f"neuron{len(self.nodes)}"
        if recurrent:
            delay = self.add(Delay, name, shape=shape)
            if len(shape) == 1 and rng.random() < 0.5:
                loop = self.add(Linear, delay, **self.weight((count, count)))
            else:
                loop = self.add(Scale, delay, **self.weight(shape if rng.random() < 0.5 else ()))
            currents = [*currents, loop]
        self.nodes.append(Neuron(name, tuple(currents), NeuronSpec(**spec)))
        if spec.get("output") != "state":
            self.spikes[name] = shape, 0, spec.get("grades", 1)
            self.unused.append(name)
        return name


def _build(rng: np.random.Generator) -> Graph:
    build = _Builder(rng)
    rank = int(rng.integers(1, 4))
    shape: Shape = tuple(int(rng.integers(1, limit)) for limit in {1: (30,), 2: (4, 12), 3: (4, 8, 8)}[rank])
    kind = int(rng.integers(4))
    lowest, highest = [(0, 1), (0, 1), (-1, 1), (-int(rng.integers(0, 5)), int(rng.integers(1, 9)))][kind]
    build.nodes.append(Input("in", (), shape, Encoding(), lowest, highest))
    build.spikes["in"] = shape, lowest, highest
    build.unused.append("in")
    for _ in range(int(rng.integers(0, 4))):
        names = list(build.spikes)
        source = names[-1] if rng.random() < 0.7 else str(rng.choice(names))
        given = build.spikes[source]
        used = {source}
        if len(given[0]) > 1 and given[1:] == (0, 1) and rng.random() < 0.3:
            window = build.window(given[0][1:], pool=True)
            pool = build.add(MaxPool, source, window=window)
            build.spikes[pool] = (given[0][0], *window.output(given[0][1:])), 0, 1
            build.unused.append(pool)
        else:
            current, wanted = build.current(source, given[0], None)
            currents = [current]
            for other in names:
                reachable = len(wanted) == 1 or build.spikes[other][0] == wanted
                if reachable and rng.random() < 0.2:
                    currents.append(build.current(other, build.spikes[other][0], wanted)[0])
                    used.add(other)
            if len(wanted) > 1 and build.spikes[source][0] != wanted and rng.random() < 0.2:
                delayed = None
                for other in names:
                    if build.spikes[other][0] == wanted and other != "in":
                        delayed = build.add(Delay, other, shape=wanted)
                if delayed is not None:
                    currents.append(build.add(Scale, delayed, **build.weight(())))
            build.neurons(currents, wanted, last=False)
        build.unused = [name for name in build.unused if name not in used]
    # The last layer takes everything that nobody else has taken.
    outputs = int(rng.integers(1, 12))
    sources = build.unused or [list(build.spikes)[-1]]
    feedforward = [name for name in build.spikes if name != "in"]
    late = str(rng.choice(feedforward)) if feedforward and rng.random() < 0.25 else None
    if rng.random() < 0.6:
        sources = [name for name in sources if name != late] or ["in"]  # then nothing of this timestep waits for it
    currents = [build.current(name, build.spikes[name][0], (outputs,))[0] for name in sources]
    if late is not None:
        # What a layer before it did one timestep earlier.
        delayed = build.add(Delay, late, shape=build.spikes[late][0])
        currents.append(build.current(delayed, build.spikes[late][0], (outputs,))[0])
    name = build.neurons(currents, (outputs,), last=True)
    state = name not in build.spikes
    readout: dict[str, Any] = {"kind": "membrane", "over": str(rng.choice(["last", "max", "sum"]))} if state else {
        "kind": str(rng.choice(["count", "first"]))}
    return Graph("random", (*build.nodes, Readout("out", (name,), **readout)), int(rng.integers(1, 8)))


def _saturating(graph: Graph) -> Graph:
    """Return the graph with every exact state saturating."""
    nodes = tuple(replace(node, spec=replace(node.spec, overflow="saturate")) if isinstance(node, Neuron) else node
                  for node in graph.nodes)
    return replace(graph, nodes=nodes)


def random_graph(rng: np.random.Generator) -> Graph:
    """Return a random graph; it need not have a plan."""
    while True:
        try:
            return _build(rng)
        except (ValueError, NetworkError):
            continue  # fields that exclude each other, or no way between two shapes


def _formats(rng: np.random.Generator, graph: Graph) -> dict[str, str]:
    """Return a way to store the weights of each fully connected layer, or none: then the planner chooses."""
    result = {}
    for node in graph.nodes:
        if isinstance(node, Neuron):
            edges = edges_of(graph, node)
            values = {(graph.values(edge.source).lowest, graph.values(edge.source).highest) for edge in edges}
            if rng.random() < 0.7 and all(dense_matrix([edge]) is not None for edge in edges):
                result[node.name] = str(rng.choice(FORMATS if values == {(0, 1)} else FORMATS[1:]))
    return result


def random_graph_case(seed: int) -> RandomCase:
    """Return the random graph of a seed, planned, and its drive."""
    rng = np.random.default_rng([seed, 7])
    while True:
        graph = replace(random_graph(rng), name=f"random graph {seed}")
        lanes = {node.name: int(rng.integers(1, 9)) for node in graph.nodes if isinstance(node, Neuron | MaxPool)}
        formats, loaded = _formats(rng, graph), bool(rng.random() < 0.2)
        if loaded:
            formats = {name: loadable(format) for name, format in formats.items()}
        options: dict[str, Any] = {"lanes": lanes, "formats": formats, "load_weights": loaded, "decide": bool(seed % 2)}
        try:
            plan = make_plan(graph, **options)
        except NetworkError:
            try:
                plan = make_plan(_saturating(graph), **options)
            except NetworkError:
                continue
        inputs, samples = math.prod(graph.input.shape), int(rng.integers(1, 4))
        rate = rng.choice([0.0, 0.1, 0.3, 1.0], (samples, graph.timesteps, 1))
        present = rng.random((samples, graph.timesteps, inputs)) < rate
        values = graph.input.values
        if (values.lowest, values.highest) == (0, 1):
            return RandomCase(seed, plan, present)
        drawn = rng.integers(values.lowest, values.highest + 1, present.shape)
        return RandomCase(seed, plan, (present * drawn).astype(np.int32))


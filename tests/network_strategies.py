"""Random neurons and networks for hypothesis, small enough to interpret in plain Python."""

from itertools import count

import numpy as np
from hypothesis import strategies as st

from snnhw.fixed import signed_range
from snnhw.ir import (
    Conv,
    Decay,
    Delay,
    Encoding,
    Flatten,
    Graph,
    Input,
    Linear,
    MaxPool,
    Neuron,
    NeuronSpec,
    Readout,
    Scale,
    SumPool,
    Window,
)

__all__ = ["any_graphs", "decays", "graphs", "names", "specs", "spike_trains", "windows"]

# Text a user may give, with everything that could upset a file, a page or a hardware description.
names = st.one_of(
    st.sampled_from(["fc1", "net.fc1", "a b", "x\n$finish;", '"quoted"', "`define", "\\escaped ", "名前",
                     "l); endmodule", "\x00", "%s"]),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8))


def arrays(shape, lowest, highest):
    """Return a strategy for int64 arrays."""
    size = int(np.prod(shape))
    return st.lists(st.integers(lowest, highest), min_size=size, max_size=size).map(
        lambda values: np.array(values, np.int64).reshape(shape))


def many(shape, lowest, highest):
    """Return a strategy for int64 arrays that are too large to draw element by element: extremes, zeros and what is between."""
    def fill(seed):
        rng = np.random.default_rng(seed)
        return np.where(rng.random(shape) < 0.5, rng.integers(lowest, highest, shape, endpoint=True),
                        rng.choice([lowest, 0, highest], shape))
    return st.integers(0, 1 << 32).map(fill)


def per_neuron(neurons, lowest, highest):
    """Return a strategy for one value, or one for each neuron."""
    return st.one_of(st.integers(lowest, highest), arrays((neurons,), lowest, highest))


@st.composite
def decays(draw, neurons):
    kind = draw(st.sampled_from(["one", "shift", "mul"]))
    if kind == "one":
        return Decay()
    if kind == "shift":
        return Decay("shift", draw(st.one_of(st.integers(1, 4), st.integers(1, 32))))
    shift = draw(st.one_of(st.integers(1, 4), st.integers(1, 16)))
    return Decay("mul", shift, draw(per_neuron(neurons, 0, 1 << shift)), draw(st.sampled_from(["floor", "zero"])))


@st.composite
def specs(draw, neurons, *, overflow=("exact", "saturate"), synapse=True, output=("spike", "count", "state")):
    """Draw the arithmetic of a population of `neurons` neurons; every field takes every kind of value."""
    bits = draw(st.one_of(st.integers(2, 8), st.integers(2, 32)))
    lowest, highest = signed_range(bits)
    reset = draw(st.sampled_from(["none", "zero", "value", "subtract"]))
    time = draw(st.sampled_from(["immediate", "next"]))
    wide = {("none", time): "state", ("subtract", "immediate"): "count"}.get((reset, time), "spike")
    kind = draw(st.sampled_from(["spike", wide] if wide in output else ["spike"]))
    grades = draw(st.integers(1, 4) | st.integers(1, 15)) if kind == "count" else 1
    drop = time == "next" and reset in ("zero", "value") and draw(st.booleans())
    threshold = 0 if kind == "state" else draw(per_neuron(neurons, lowest + (kind == "count"), highest))
    amount = 0
    if reset == "value":
        amount = draw(per_neuron(neurons, lowest, highest))
    elif reset == "subtract":
        room = int(np.min(threshold)) - lowest if time == "immediate" else 2 * highest
        amount = draw(per_neuron(neurons, int(kind == "count"), min(room, (1 << 31) - 1)))
    return NeuronSpec(
        threshold, draw(decays(neurons)), reset, amount, time, "drop" if drop else "keep", draw(st.sampled_from(overflow)), bits,
        draw(st.one_of(st.integers(0, 3), st.integers(0, 30))), draw(per_neuron(neurons, *signed_range(min(bits + 1, 32)))),
        draw(st.integers(lowest, highest)), draw(st.sampled_from(["sample", "never"])),
        draw(st.none() | decays(neurons)) if synapse else None, kind, grades)


@st.composite
def graphs(draw, *, layers=3, width=5, overflow=("saturate",), synapse=True, timesteps=6):
    """Draw a chain of weighted sums and neurons."""
    unique = iter(draw(st.lists(names, min_size=2 * layers + 2, max_size=2 * layers + 2, unique=True)))
    sources = draw(st.integers(1, width))
    encoding = draw(st.sampled_from([Encoding(), Encoding("accumulate", 16, 3), Encoding("rate", 255, 1 << 31)]))
    nodes = [Input(next(unique), (), (sources,), encoding)]
    for _ in range(draw(st.integers(1, layers))):
        neurons = draw(st.integers(1, width))
        bits = draw(st.integers(1, 16))
        nodes.append(Linear(next(unique), (nodes[-1].name,), draw(arrays((neurons, sources), *signed_range(bits))), bits))
        nodes.append(Neuron(next(unique), (nodes[-1].name,), draw(specs(neurons, overflow=overflow, synapse=synapse,
                                                                       output=("spike",)))))
        sources = neurons
    nodes.append(Readout(next(unique), (nodes[-1].name,)))
    meta = draw(st.dictionaries(st.text("ab\n\"é"), names, max_size=2))
    return Graph(draw(names), tuple(nodes), draw(st.integers(1, timesteps)), meta)


@st.composite
def windows(draw, sizes, *, largest=3):
    """Draw a window that fits in an input of `sizes`."""
    fields = []
    for size in sizes:
        before, after = draw(st.integers(0, 2)), draw(st.integers(0, 2))
        kernel = draw(st.integers(1, min(largest, size + before + after)))
        dilation = draw(st.integers(1, 1 if kernel == 1 else min(2, (size + before + after - 1) // (kernel - 1))))
        fields.append((kernel, draw(st.integers(1, 2)), before, after, dilation))
    return Window(*zip(*fields, strict=True))


@st.composite
def any_graphs(draw, *, operations=7, timesteps=4, overflow=("saturate",)):
    """Draw a network of every kind of node: branches, skips, pooling, delays and cycles, graded spikes, all readouts."""
    stem = draw(names)
    unique = (f"{stem}{number}" for number in count())
    shape = draw(st.sampled_from([(2, 3, 3), (1, 4, 4), (2, 5), (3, 1, 2), (4,)]))
    lowest, highest = draw(st.sampled_from([(0, 1), (0, 1), (-1, 1), (0, 15), (-3, 0), (-7, 2)]))
    last, outputs = next(unique), draw(st.integers(1, 4))
    nodes = [Input(next(unique), (), shape, Encoding(), lowest, highest)]
    shapes, binary, depth = {nodes[0].name: shape}, {nodes[0].name: (lowest, highest) == (0, 1)}, {}

    def add(node, shape, *, spikes=None):
        """`spikes` says whether the output is binary spikes; None of a current."""
        nodes.append(node)
        shapes[node.name] = shape
        if spikes is not None:
            binary[node.name] = spikes
        else:
            depth[node.name] = 1 + max(depth.get(name, 0) for name in node.inputs)
        return node

    def weights(shape):
        bits = draw(st.integers(1, 4))
        return draw(many(shape, *signed_range(bits))), bits

    def same(name, among):
        """Return a name, sometimes with another of the same shape."""
        others = [other for other in among if shapes[other] == shapes[name] and other != name]
        return (name, draw(st.sampled_from(others))) if others and draw(st.booleans()) else (name,)

    def weigh(source):
        """Add weights that keep the shape, or make the outputs of the last layer of what is flat."""
        if draw(st.booleans()):
            scalar = draw(st.booleans())
            return add(Scale(next(unique), (source,), *weights(() if scalar else shapes[source])), shapes[source])
        flat = source if len(shapes[source]) == 1 else add(
            Flatten(next(unique), (source,)), (int(np.prod(shapes[source])),), spikes=binary.get(source)).name
        outputs = draw(st.integers(1, 4))
        return add(Linear(next(unique), (flat,), *weights((outputs, *shapes[flat]))), (outputs,))

    loop = draw(st.booleans())
    final = draw(specs(outputs, overflow=overflow))
    around = []  # neurons in a cycle with the last ones
    if loop and final.output != "state":
        delay = add(Delay(next(unique), (last,), (outputs,)), (outputs,), spikes=final.grades == 1)
        if draw(st.booleans()):
            weighed, spec = weigh(delay.name).name, draw(specs(shapes[nodes[-1].name][0], overflow=overflow, output=("spike",)))
            around.append(add(Neuron(next(unique), (weighed,), spec), shapes[weighed], spikes=True).name)
    for _ in range(draw(st.integers(2, operations))):
        ready = [name for name in shapes if depth.get(name, 0) < 3]
        source = ready[-1] if draw(st.booleans()) else draw(st.sampled_from(ready))
        shape, deep = shapes[source], len(shapes[source]) > 1
        feed = same(source, ready)
        kinds = ["neuron"] * 3 * (source not in binary) + ["max"] * 2 * bool(deep and binary.get(source)) + (
            ["conv", "conv", "sum"] * deep) + ["delay"] * any(node.name == source and node.fires for node in nodes) + (
            ["weigh"] * (1 if deep else 2))
        kind = draw(st.sampled_from(kinds))
        if kind == "weigh":
            weigh(source)
        elif kind == "conv":
            window = draw(windows(shape[1:]))
            groups = draw(st.sampled_from([groups for groups in range(1, shape[0] + 1) if shape[0] % groups == 0]))
            channels = groups * draw(st.integers(1, 2))
            weight = weights((channels, shape[0] // groups, *window.kernel))
            add(Conv(next(unique), feed, *weight, window, groups), (channels, *window.output(shape[1:])))
        elif kind in ("sum", "max"):
            window = draw(windows(shape[1:], largest=2))
            node = SumPool(next(unique), feed, window) if kind == "sum" else MaxPool(next(unique), (source,), window)
            add(node, (shape[0], *window.output(shape[1:])), spikes=None if kind == "sum" else True)
        elif kind == "delay":
            add(Delay(next(unique), (source,), shape), shape, spikes=binary[source])
        else:
            spec = draw(specs(int(np.prod(shape)), overflow=overflow, output=("spike", "count")))
            name = next(unique)
            feed = same(source, [name for name in shapes if name not in binary])
            if draw(st.booleans()):
                delay = add(Delay(next(unique), (name,), shape), shape, spikes=spec.grades == 1)
                feed += (add(Scale(next(unique), (delay.name,), *weights(shape)), shape).name,)
            add(Neuron(name, feed, spec), shape, spikes=spec.grades == 1)
    ends = [name for name in shapes if depth.get(name, 0) < 3]
    feed = []
    for source in dict.fromkeys([*around, *draw(st.lists(st.sampled_from(ends[::-1]), min_size=1, max_size=2))]):
        flat = source if len(shapes[source]) == 1 else add(
            Flatten(next(unique), (source,)), (int(np.prod(shapes[source])),), spikes=binary.get(source)).name
        feed.append(add(Linear(next(unique), (flat,), *weights((outputs, *shapes[flat]))), (outputs,)).name)
    nodes.append(Neuron(last, tuple(feed), final))
    if final.output == "state":
        readout = Readout(next(unique), (last,), "membrane", draw(st.sampled_from(["last", "max", "sum"])))
    else:
        readout = Readout(next(unique), (last,), draw(st.sampled_from(["count", "first"])))
    return Graph(draw(names), (*nodes, readout), draw(st.integers(1, timesteps)))


@st.composite
def spike_trains(draw, graph, *, samples=3):
    """Draw input spikes, (samples, timesteps, inputs), of 0 to `samples` samples: bool, or int64 where they are graded."""
    shape = draw(st.integers(0, samples)), graph.timesteps, int(np.prod(graph.input.shape))
    if (graph.input.lowest, graph.input.highest) != (0, 1):
        return draw(many(shape, graph.input.lowest, graph.input.highest))
    if (size := int(np.prod(shape))) > 64:
        return draw(many(shape, 0, 1)).astype(bool)
    return np.array(draw(st.lists(st.booleans(), min_size=size, max_size=size)), bool).reshape(shape)

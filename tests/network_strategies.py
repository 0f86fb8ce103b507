"""Random neurons and networks for hypothesis, small enough to interpret in plain Python."""

import numpy as np
from hypothesis import strategies as st

from snnhw.fixed import signed_range
from snnhw.ir import Decay, Encoding, Graph, Input, Linear, Neuron, NeuronSpec, Readout

__all__ = ["decays", "graphs", "names", "specs", "spike_trains"]

# Text a user may give, with everything that could upset a file, a page or a hardware description.
names = st.one_of(
    st.sampled_from(["fc1", "net.fc1", "a b", "x\n$finish;", '"quoted"', "`define", "\\escaped ", "名前",
                     "l); endmodule", "\x00", "%s"]),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8))


def arrays(shape, lowest, highest):
    """Return a strategy for int64 arrays."""
    count = int(np.prod(shape))
    return st.lists(st.integers(lowest, highest), min_size=count, max_size=count).map(
        lambda values: np.array(values, np.int64).reshape(shape))


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
def spike_trains(draw, graph, *, samples=3):
    """Draw input spikes, bool (samples, timesteps, inputs), of 0 to `samples` samples."""
    shape = draw(st.integers(0, samples)), graph.timesteps, graph.input.shape[0]
    count = int(np.prod(shape))
    return np.array(draw(st.lists(st.booleans(), min_size=count, max_size=count)), bool).reshape(shape)

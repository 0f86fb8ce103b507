"""What makes the interpreter fast changes nothing: narrow types, joined pools, products in parts, results left out."""

import re
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from network_strategies import any_graphs, many, specs, spike_trains

from snnhw.errors import NetworkError
from snnhw.fixed import signed_range
from snnhw.ir import Conv, Graph, Input, Neuron, NeuronSpec, Readout, SumPool, Window, windows
from snnhw.ir.windows import convolve
from snnhw.reference import Interpreter, NeuronState, run
from snnhw.reference.neuron import Formulas, narrowest
from snnhw.reference.pools import join_pools, joined

NEURONS = 3


def largest_current(spec, bits):
    """Return the largest current for which the formulas are said to fit a type of `bits` bits, or None."""
    lowest, highest = -1, 1 << bits
    while highest - lowest > 1:
        middle = (lowest + highest) // 2
        lowest, highest = (middle, highest) if narrowest(spec, middle).itemsize * 8 <= bits else (lowest, middle)
    return lowest if lowest >= 0 else None


@given(st.data())
@pytest.mark.parametrize("bits", [16, 32])
def test_the_narrowest_type_is_wide_enough(bits, data):
    """At its limit, from every corner of the states: the same as in 64 bits."""
    spec = data.draw(specs(NEURONS))
    limit = largest_current(spec, bits)
    assume(limit is not None)
    lowest, highest = signed_range(spec.bits)
    corners = st.sampled_from([lowest, highest]) | st.integers(lowest, highest)
    word = st.lists(corners, min_size=NEURONS, max_size=NEURONS)
    sums = st.lists(st.sampled_from([-limit, limit]) | st.integers(-limit, limit), min_size=NEURONS, max_size=NEURONS)
    membrane, synapse, current = (np.array([data.draw(values)], np.int64) for values in (word, word, sums))
    found = []
    for kind in (np.int64, f"int{bits}"):
        formulas = Formulas(spec, kind)
        state = NeuronState(membrane.astype(kind), None if spec.synapse is None else synapse.astype(kind), np.zeros(1, np.int64))
        try:
            spikes = formulas.step(state, current.astype(kind)).tolist()
        except OverflowError as error:
            found.append(str(error))
            continue
        found.append((spikes, state.membrane.tolist(), None if state.synapse is None else state.synapse.tolist(),
                      state.saturations.tolist()))
    assert found[0] == found[1]


def test_types_are_narrow_where_they_can_be():
    spec = NeuronSpec(100, bits=12, reset="subtract", reset_amount=100)
    # Twice the state, the current, the threshold, and the amount twice.
    room = (1 << 15) - 2 * 2048 - 100 - 2 * 100
    assert [narrowest(spec, current) for current in (room - 1, room)] == [np.int16, np.int32]
    assert narrowest(spec, 1 << 32) == np.int64


@given(st.data())
def test_what_is_not_asked_for_changes_nothing_else(data):
    graph = data.draw(any_graphs())
    spikes = data.draw(spike_trains(graph))
    interpreter = Interpreter(graph)
    try:
        whole = run(graph, spikes)
    except NetworkError as error:
        with pytest.raises(NetworkError, match=f"^{re.escape(str(error))}$"):
            interpreter.run(spikes, keep_membranes=False, count=False)
        return
    for _ in range(2):
        brief = interpreter.run(spikes, keep_membranes=False, count=False)
        assert brief.counts == {}
        assert brief.output == whole.output
        assert brief.decisions.tolist() == whole.decisions.tolist()
        assert {name: train.tolist() for name, train in brief.spikes.items()} == {
            name: train.tolist() for name, train in whole.spikes.items()}
        assert all((states == whole.membranes[name]).all() for name, states in brief.membranes.items())


@st.composite
def pooled(draw):
    """Draw a network of a convolution that is summed under a window."""
    rank = draw(st.integers(1, 2))

    def some(lowest, highest):
        return tuple(draw(st.integers(lowest, highest)) for _ in range(rank))

    groups = draw(st.integers(1, 2))
    shape = (groups * draw(st.integers(1, 2)), *some(6, 9))
    inner = Window(some(1, 3), some(1, 2), some(0, 2), some(0, 2), some(1, 2))
    outer = Window(some(1, 2), some(1, 3), (), (), some(1, 2))
    weight = draw(many((groups * draw(st.integers(1, 2)), shape[0] // groups, *inner.kernel), -8, 7))
    assume(min(inner.output(shape[1:])) >= 1)
    assume(min(outer.output(inner.output(shape[1:]))) >= 1)
    nodes = (Input("in", (), shape), Conv("conv", ("in",), weight, 4, inner, groups), SumPool("pool", ("conv",), outer),
             Neuron("lif", ("pool",), NeuronSpec(20, reset="none", output="spike")), Readout("out", ("lif",)))
    return Graph("net", nodes, 2)


@given(st.data())
def test_a_joined_pool_is_the_pool_of_the_convolution(data):
    graph = data.draw(pooled())
    conv, pool = graph["conv"], graph["pool"]
    values = data.draw(many((2, *graph.input.shape), 0, 1)).astype(np.int64)
    both = joined(conv, pool)
    assert both.infer((graph.input.shape,)) == graph.shapes["pool"]
    assert both.apply(values).tolist() == pool.apply(conv.apply(values)).tolist()


def test_pools_are_joined_where_that_saves_multiplications():
    def kinds(pool, *, kernel=(5, 5), more=()):
        weight = np.ones((2, 1, *kernel), np.int64)
        graph = Graph("net", (Input("in", (), (1, 12, 12)), Conv("conv", ("in",), weight, 2, Window(kernel)),
                              SumPool("pool", ("conv",), pool), Neuron("lif", ("pool",), NeuronSpec(20)), *more,
                              Readout("out", ("lif",))), 2)
        return [type(node).__name__ for node in join_pools(graph)[1:-2]]

    assert kinds(Window((2, 2), (2, 2))) == ["Conv"]
    assert kinds(Window((2, 2), (1, 1))) == ["Conv", "SumPool"]
    assert kinds(Window((2, 2), (2, 2), (1, 1))) == ["Conv", "SumPool"]  # beyond the border there is no convolution


@settings(max_examples=30)
@given(st.data())
def test_a_convolution_in_parts_is_the_convolution(data):
    """With room for few columns every product is made of many."""
    graph = data.draw(pooled())
    conv = graph["conv"]
    values = data.draw(many((3, *graph.input.shape), -3, 3))
    whole = convolve(values, conv.weight, conv.window, conv.groups)
    with patch.object(windows, "MAX_COLUMNS", data.draw(st.integers(1, 100))):
        assert convolve(values, conv.weight, conv.window, conv.groups).tolist() == whole.tolist()
    padded, outputs = conv.window.pad(values), whole.shape[2:]
    seen = len(conv.weight) // conv.groups
    for o, place in np.ndindex(len(conv.weight), int(np.prod(outputs))):
        at = np.unravel_index(place, outputs)
        first = o // seen * conv.weight.shape[1]
        under = tuple(slice(a * stride, a * stride + (size - 1) * apart + 1, apart) for a, stride, size, apart in zip(
            at, conv.window.stride, conv.window.kernel, conv.window.dilation, strict=True))
        patches = padded[(slice(None), slice(first, first + conv.weight.shape[1]), *under)]
        assert whole[(slice(None), o, *at)].tolist() == (patches * conv.weight[o]).reshape(3, -1).sum(axis=1).tolist()

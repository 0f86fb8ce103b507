"""Lists of weights, walked in plain Python event by event, against the maps that the nodes themselves compute."""

import itertools
import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from network_strategies import many, windows

from snnhw.errors import NetworkError
from snnhw.fixed import Interval, signed_range
from snnhw.ir import (
    Conv,
    Delay,
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
from snnhw.plan import make_plan, synapses
from snnhw.plan.synapses import MAX_LINKS, Grid, Scattered, edges_of, path_of, scatter

OPERATIONS = ("conv", "conv", "sum", "scale", "flatten", "linear")


def evaluate(graph, node, given):
    """Return the currents of neurons, (batch, neurons), for spikes of their sources: by name and whether they are delayed."""
    def value(name):
        before = graph[name]
        if isinstance(before, Delay):
            return given[before.inputs[0], True]
        if (name, False) in given:
            return given[name, False]
        if isinstance(before, Flatten):
            array = value(before.inputs[0])
            return array.reshape(len(array), -1)
        return before.apply(sum(value(source) for source in before.inputs))

    total = sum(value(name) for name in node.inputs)
    if isinstance(node, MaxPool):
        total = SumPool(node.name, node.inputs, node.window).apply(total)
    return total.reshape(len(total), -1)


def by_source(graph, node):
    """Return the paths into a population, by source and whether they are delayed."""
    sources = {}
    for edge in edges_of(graph, node):
        sources.setdefault((edge.source, edge.delayed), []).append(edge)
    return sources


def expected(graph, node):
    """Return the currents that an event of each source makes: int64, (sources, neurons)."""
    sources = {key: graph.shapes[key[0]] for key in by_source(graph, node)}
    total, offset, given = sum(map(math.prod, sources.values())), 0, {}
    for key, shape in sources.items():
        given[key] = np.eye(total)[:, offset:offset + math.prod(shape)].reshape(total, *shape)
        offset += math.prod(shape)
    result = evaluate(graph, node, given)
    assert (result == result.astype(np.int64)).all()
    return result.astype(np.int64)


def scattered(graph, node, lanes):
    paths = [(path_of(graph, edges, "here"), math.prod(graph.shapes[source]))
             for (source, _), edges in by_source(graph, node).items()]
    return scatter(paths, graph.shapes[node.name], lanes, "here")


def walk(lists: Scattered, address, value=1):
    """Return the currents that one event makes: (neurons,). Every word that is touched must exist."""
    offsets, weights, first, last, base = (array.tolist() for array in lists.lists)
    grid, tiles = lists.grid, lists.tiles
    currents = {(word, lane): 0 for word in range(lists.words) for lane in range(lists.lanes)}
    for pointer in range(first[address], last[address]):
        for lane, weight in enumerate(weights[pointer]):
            currents[base[address] + offsets[pointer], lane] += weight * value
    return [currents[channel % tiles * grid.words + grid.origin + row * grid.pitch + column, channel // tiles]
            for channel, row, column in itertools.product(range(grid.channels), range(grid.rows), range(grid.columns))]


def check(graph, node, lanes):
    """Hold every list of a population to the nodes before it; return the lists."""
    lists, matrix = scattered(graph, node, lanes), expected(graph, node)
    assert lists.sources == len(matrix)
    assert lists.lanes <= lanes
    assert (lists.tiles - 1) * lists.lanes < lists.grid.channels <= lists.tiles * lists.lanes
    for address, row in enumerate(matrix.tolist()):
        assert walk(lists, address) == row, address
    offsets, weights, first, last, base = lists.lists
    assert min(offsets.min(), first.min(), base.min()) >= 0
    assert last.max() <= len(weights) == len(offsets)
    assert offsets.max() < 1 << lists.offset_bits
    lowest, highest = signed_range(lists.weight_bits)
    assert lowest <= weights.min() <= weights.max() <= highest
    np.testing.assert_array_equal(lists.list_lengths(), last - first)
    np.testing.assert_array_equal(lists.fan_out(), (matrix != 0).sum(axis=1))
    assert lists.synapses == max(1, np.count_nonzero(matrix))
    assert lists.stored == weights.size
    return lists


@st.composite
def maps(draw):
    """Draw a graph of one to three sources of one shape, with operations apart and then together, before the neurons 'last'."""
    shape = draw(st.sampled_from([(2, 3, 3), (1, 4, 5), (3, 2, 4), (2, 6), (3, 1), (1, 1, 3), (5,), (4, 2, 2)]))
    sources = draw(st.sampled_from([("in",), ("in", "before"), ("in", "delay"), ("in", "before", "delay")]))
    nodes = [Input("in", (), shape)]
    if len(sources) > 1:
        nodes += [Scale("copy", ("in",), 1, 2), Neuron("before", ("copy",)), Delay("delay", ("before",), shape)]
    heads, kinds = list(sources), draw(st.lists(st.sampled_from(OPERATIONS), min_size=1, max_size=3))
    joins = draw(st.integers(0, len(kinds)))
    for depth, kind in enumerate(kinds):
        if depth == joins:
            heads = [tuple(heads)]
        window = draw(windows(shape[1:])) if len(shape) > 1 else None
        outputs, groups = draw(st.integers(1, 5)), draw(st.sampled_from(
            [groups for groups in range(1, shape[0] + 1) if shape[0] % groups == 0]))
        zeros = draw(st.booleans())

        def weight(size, zeros=zeros):
            values = draw(many(size, *signed_range(draw(st.integers(1, 4)))))
            return values if zeros else np.where(values == 0, -1, values)

        for place, head in enumerate(heads):
            name, inputs = f"{kind} {depth} {place}", (head,) if isinstance(head, str) else head
            if kind == "conv" and window:
                size = groups * outputs, shape[0] // groups, *window.kernel
                node = Conv(name, inputs, weight(size), 4, window, groups)
            elif kind == "sum" and window:
                node = SumPool(name, inputs, window)
            elif kind == "flatten" and len(inputs) == 1:
                node = Flatten(name, inputs)
            elif kind == "linear" and len(shape) == 1:
                node = Linear(name, inputs, weight((outputs, *shape)), 4)
            else:
                node = Scale(name, inputs, weight(draw(st.sampled_from([(), shape]))), 4)
            nodes.append(node)
            heads[place] = name
            following = node.infer((shape,))
        shape = following
    if isinstance(nodes[-1], Flatten) and "flatten" in kinds and len(set(kinds)) == 1:
        nodes += [Scale(f"{head} scaled", (head,) if isinstance(head, str) else head, 3, 4) for head in heads]
        heads = [f"{head} scaled" for head in heads]
    ends = heads[0] if isinstance(heads[0], tuple) else tuple(heads)
    nodes += [Neuron("last", ends, NeuronSpec(1)), Readout("out", ("last",))]
    return Graph("maps", tuple(nodes), 2)


@settings(max_examples=200)
@given(maps(), st.integers(1, 6))
def test_lists_compute_what_the_nodes_compute(graph, lanes):
    check(graph, graph["last"], lanes)


@settings(max_examples=100)
@given(maps(), st.sampled_from([(0, 1), (-1, 1), (-3, 0), (0, 15), (-7, 2)]))
def test_ranges_hold_every_sum_and_are_reached(graph, ends):
    matrix = expected(graph, graph["last"])
    lists = scattered(graph, graph["last"], 2)
    low, high = (np.full(len(matrix), end) for end in ends)
    high[::2] //= 2  # sources of different values
    lowest, highest = lists.current_range(low, high)
    # Each neuron for itself meets the worst spikes: of a source that excites it, the largest value.
    excited = np.where(matrix > 0, high[:, None], low[:, None])
    relaxed = np.where(matrix > 0, low[:, None], high[:, None])
    np.testing.assert_array_equal(highest, (matrix * excited).sum(axis=0))
    np.testing.assert_array_equal(lowest, (matrix * relaxed).sum(axis=0))


def network(shape, *nodes):
    """Return the graph of some nodes, each fed by the one before, before the neurons 'last'."""
    chain = [Input("in", (), shape)]
    for index, (kind, values) in enumerate(nodes):
        chain.append(kind(f"node {index}", (chain[-1].name,), **values))
    return Graph("net", (*chain, Neuron("last", (chain[-1].name,)), Readout("out", ("last",))), 2)


def filled(*size):
    """Return weights of which none is zero and no two kernels are the same."""
    return np.arange(1, math.prod(size) + 1).reshape(size)


def conv(outputs, inputs, kernel, groups=1, **window):
    weight = filled(outputs, inputs // groups, *kernel)
    return Conv, {"weight": weight, "weight_bits": 16, "window": Window(kernel, **window), "groups": groups}


def pool(kernel, **window):
    return SumPool, {"window": Window(kernel, stride=kernel, **window)}


@pytest.mark.parametrize(("shape", "nodes", "lanes", "words"), [
    ((2, 8, 9), [conv(4, 2, (3, 3))], 4, 9 * 2),
    ((2, 8, 9), [conv(4, 2, (3, 3), padding=(1, 1))], 4, 9 * 2),
    ((2, 8, 9), [conv(4, 2, (3, 3), padding=(1, 1))], 3, 9 * 2 * 2),
    ((2, 8, 9), [conv(5, 2, (3, 3), padding=(1, 1))], 1, 9 * 2 * 5),
    ((2, 9, 8), [conv(4, 2, (3, 3), padding=(1, 1), stride=(2, 2))], 4, 9 * 2),
    ((2, 9, 8), [conv(4, 2, (3, 2), padding=(1, 0), padding_end=(0, 2), stride=(2, 3))], 2, 6 * 2 * 2),
    ((1, 9, 9), [conv(3, 1, (3, 3), dilation=(2, 2), padding=(2, 2))], 3, 9),
    ((4, 7, 7), [conv(4, 4, (3, 3), groups=2, padding=(1, 1))], 4, 9 * 4),
    ((3, 12), [conv(2, 3, (5,), padding=(2,))], 2, 5 * 3),
    ((3, 12), [conv(2, 3, (4,), stride=(2,), padding=(1,))], 2, 4 * 3),
    ((2, 8, 8), [pool((2, 2)), conv(4, 2, (3, 3), padding=(1, 1))], 4, 9 * 2),
    ((2, 9, 9), [pool((2, 2)), conv(4, 2, (3, 3), padding=(1, 1))], 2, 9 * 2 * 2),
    ((2, 12), [pool((3,)), conv(4, 2, (3,), padding=(1,))], 4, 3 * 2),
    ((2, 8, 8), [pool((2, 2))], 2, 2),
])
def test_a_kernel_is_stored_once(shape, nodes, lanes, words):
    graph = network(shape, *nodes)
    lists = check(graph, graph["last"], lanes)
    assert len(lists.lists[1]) == words
    kernels = {kind: values["weight"].size for kind, values in nodes if kind is Conv}
    if Conv in kernels:
        assert np.count_nonzero(lists.lists[1]) == kernels[Conv]


def test_weights_that_are_zero_take_no_words():
    weight = filled(2, 1, 3, 3)
    weight[:, :, 1:] = 0
    graph = network((1, 6, 6), (Conv, {"weight": weight, "weight_bits": 16, "window": Window((3, 3))}))
    assert len(check(graph, graph["last"], 2).lists[1]) == 3
    graph = network((1, 6, 6), (Conv, {"weight": 0 * weight, "weight_bits": 16, "window": Window((3, 3))}))
    lists = check(graph, graph["last"], 2)
    assert len(lists.lists[1]) == 1  # a memory has at least one word
    assert (lists.list_lengths() == 0).all()


def test_windows_far_beyond_a_small_map_do_not_disturb_it():
    """A row's room is also that of the next: events that reach the same word of it twice must not widen the weights."""
    weight = np.full((1, 1, 5, 5), -32768)
    window = Window((5, 5), padding=(2, 2))
    graph = network((1, 2, 2), (Conv, {"weight": weight, "weight_bits": 16, "window": window}))
    assert check(graph, graph["last"], 1).weight_bits == 16


def test_the_room_around_a_map_is_only_what_windows_reach():
    graph = network((1, 5, 6), conv(1, 1, (3, 2), padding=(1, 0), padding_end=(1, 1)))
    assert check(graph, graph["last"], 1).grid == Grid(1, 5, 6, top=1, bottom=1, left=1)
    graph = network((1, 5, 6), conv(1, 1, (1, 1)))
    assert check(graph, graph["last"], 1).grid == Grid(1, 5, 6)


def test_a_maximum_pool_counts_what_is_under_its_windows():
    graph = Graph("max", (Input("in", (), (2, 4, 5)), MaxPool("pool", ("in",), Window((2, 3), (2, 1), (0, 1))),
                          Flatten("flat", ("pool",)), Linear("fc", ("flat",), filled(2, 20), 16), Neuron("last", ("fc",)),
                          Readout("out", ("last",))), 1)
    lists = check(graph, graph["pool"], 2)
    assert lists.weight_bits == Interval(0, 1).bits
    np.testing.assert_array_equal(lists.current_range(np.zeros(40, int), np.ones(40, int))[1],
                                  expected(graph, graph["pool"]).sum(axis=0))


@pytest.mark.parametrize(("weights", "bits"), [((181, 181), 16), ((-256, 128), 16), ((256, 128), 17), ((-256, -129), 17)])
def test_products_of_weights_fit_in_16_bits(weights, bits):
    first, second = weights
    graph = network((2, 3), (Scale, {"weight": first, "weight_bits": 16}), (Scale, {"weight": second, "weight_bits": 16}))
    if bits <= 16:
        assert check(graph, graph["last"], 2).weight_bits == bits
        return
    message = rf"^layer 'last' \(Neuron\): the product of the weights before it must fit in 16 bits, and needs {bits}$"
    with pytest.raises(NetworkError, match=message):
        make_plan(graph)


TOO_MANY = r"^layer 'last' \(Neuron\): the layers before it must have at most {} synapses in all, and have more$"


def test_more_links_than_can_be_held_are_refused():
    weight = np.ones((64, 64, 5, 5), np.int64)
    window = Window((5, 5), padding=(2, 2))
    graph = network((64, 32, 32), (Conv, {"weight": weight, "weight_bits": 2, "window": window}))
    with pytest.raises(NetworkError, match=TOO_MANY.format(MAX_LINKS)):
        make_plan(graph)


@pytest.mark.parametrize(("limit", "refused"), [(59, True), (60, False)])
def test_links_are_counted_before_they_are_made(monkeypatch, limit, refused):
    """Two dense layers of 3x4 and 4x5 weights make 60."""
    monkeypatch.setattr(synapses, "MAX_LINKS", limit)
    graph = network((3,), *((Linear, {"weight": filled(*size), "weight_bits": 8}) for size in ((4, 3), (5, 4))))
    if refused:
        with pytest.raises(NetworkError, match=TOO_MANY.format(limit)):
            make_plan(graph)
    else:
        make_plan(graph)


@pytest.mark.parametrize(("limit", "refused"), [(23, True), (24, False)])
def test_links_of_several_paths_are_counted_together(monkeypatch, limit, refused):
    monkeypatch.setattr(synapses, "MAX_LINKS", limit)
    nodes = [Conv(name, ("in",), filled(4, 3, 1), 8, Window((1,))) for name in ("one", "other")]
    graph = Graph("net", (Input("in", (), (3, 1)), *nodes, Neuron("last", ("one", "other")), Readout("out", ("last",))), 2)
    if refused:
        with pytest.raises(NetworkError, match=TOO_MANY.format(limit)):
            make_plan(graph)
    else:
        make_plan(graph)


# Which sources get a queue

def linear(name, before, outputs, inputs):
    return Linear(name, (before,), np.ones((outputs, inputs), np.int64), 2)


def queues(nodes):
    """Return the events that can wait before each core, by core and source; ``*`` marks what is delayed."""
    flat = [Flatten("flat", ("in",))] if any("flat" in node.inputs for node in nodes) else []
    plan = make_plan(Graph("net", (Input("in", (), (2, 1, 2)), *flat, *nodes, Readout("out", ("last",))), 3))
    return {f"{layer.name} < {source.name}{'*' * source.delayed}": source.queue for layer in plan.layers
            for source in layer.sources}


def test_what_is_not_delayed_needs_no_queue():
    found = queues([linear("a", "flat", 3, 4), Neuron("one", ("a",)), linear("b", "one", 3, 3), linear("c", "flat", 3, 4),
                    Neuron("last", ("b", "c"))])
    assert found == {"one < in": 0, "last < one": 0, "last < in": 0}


def test_a_dense_core_hears_itself_and_later_ones_without_a_queue():
    """Its event list takes the events of a timestep while it computes the one before, and they come after its own tick."""
    found = queues([Delay("again", ("one",), (3,)), Delay("back", ("last",), (5,)), linear("a", "flat", 3, 4),
                    linear("b", "again", 3, 3), linear("c", "back", 3, 5), Neuron("one", ("a", "b", "c")),
                    linear("d", "one", 5, 3), Neuron("last", ("d",))])
    assert found == {"one < in": 0, "one < one*": 0, "one < last*": 0, "last < one": 0}


def test_a_core_with_lists_hears_itself_and_later_ones_without_a_queue():
    """It collects a timestep while it walks and sums up the one before, as a dense core does."""
    found = queues([Delay("again", ("one",), (2, 1, 2)), Delay("back", ("last",), (4,)), Scale("a", ("in",), 1, 2),
                    Scale("b", ("again",), 1, 2), Neuron("one", ("a", "b")), Flatten("f", ("one",)), linear("c", "f", 4, 4),
                    linear("d", "back", 4, 4), Neuron("last", ("c", "d"))])
    assert found == {"one < in": 0, "one < one*": 0, "last < one": 0, "last < last*": 0}


def test_a_dense_core_that_is_not_on_the_way_to_a_delayed_source_lets_it_wait():
    found = queues([linear("a", "flat", 3, 4), Neuron("one", ("a",)), Delay("late", ("one",), (3,)), linear("b", "late", 2, 3),
                    linear("c", "flat", 2, 4), Neuron("last", ("b", "c"))])
    assert found == {"one < in": 0, "last < one*": 4, "last < in": 0}


def test_a_core_may_hear_another_now_and_one_timestep_later():
    found = queues([linear("a", "flat", 3, 4), Neuron("one", ("a",)), Delay("late", ("one",), (3,)), linear("b", "late", 2, 3),
                    linear("c", "one", 2, 3), Neuron("last", ("b", "c"))])
    assert found == {"one < in": 0, "last < one*": 4, "last < one": 0}


def test_a_way_through_delayed_events_is_no_way():
    """'two' hears 'one' only one timestep later, so it may run ahead of it; 'one' must let its events wait."""
    found = queues([linear("a", "flat", 3, 4), Delay("from two", ("two",), (3,)), linear("b", "from two", 3, 3),
                    Neuron("one", ("a", "b")), Delay("from one", ("one",), (3,)), linear("c", "from one", 3, 3),
                    linear("d", "flat", 3, 4), Neuron("two", ("c", "d")), linear("e", "two", 2, 3), Neuron("last", ("e",))])
    assert found == {"one < in": 0, "one < two*": 4, "two < one*": 4, "two < in": 0, "last < two": 0}


def diamonds(count):
    """Return a graph in which every stage of two parallel maps doubles the ways to the neurons."""
    nodes, last = [Input("in", (), (2,))], "in"
    for stage in range(count):
        nodes += [Scale(f"a{stage}", (last,), 1, 2), Scale(f"b{stage}", (last,), 1, 2),
                  Scale(f"c{stage}", (f"a{stage}", f"b{stage}"), 1, 2)]
        last = f"c{stage}"
    return Graph("net", (*nodes, Neuron("lif", (last,), NeuronSpec(3)), Readout("out", ("lif",))), 3)


def test_ways_are_bounded():
    assert make_plan(diamonds(6)).layers[0].synapses.weight_bits == 8
    message = ("layer 'lif' (Neuron): spikes must have at most 256 ways to it through other layers, and have more; "
               "put neurons between them")
    with pytest.raises(NetworkError, match=f"^{re.escape(message)}$"):
        make_plan(diamonds(40))


def test_long_chains_are_planned():
    nodes = [Input("in", (), (2,))]
    for index in range(1500):
        nodes.append(Scale(f"s{index}", (nodes[-1].name,), 1, 2))
    nodes += [Neuron("lif", (nodes[-1].name,), NeuronSpec(3)), Readout("out", ("lif",))]
    assert make_plan(Graph("net", tuple(nodes), 3)).layers[0].synapses.synapses == 2


def test_room_is_not_bought_at_any_price():
    window = Window((2, 2), padding=(500, 500), dilation=(1000, 1000))
    graph = Graph("net", (
        Input("in", (), (1, 1, 1)), Conv("conv", ("in",), np.ones((1, 1, 2, 2), int), 2, window),
        Neuron("lif", ("conv",), NeuronSpec(3)), Readout("out", ("lif",))), 3)
    assert make_plan(graph).layers[0].synapses.words == 1

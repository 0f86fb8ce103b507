"""Ways to store a layer: what each costs against counts of stored bits, which one is chosen, and what is refused."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snnhw.errors import UsageError
from snnhw.ir import Conv, Graph, Input, Linear, Neuron, NeuronSpec, Readout, Window
from snnhw.plan import Choices, make_plan
from snnhw.plan.columns import Columns
from snnhw.plan.formats import FORMATS, alternatives, best, break_even
from snnhw.plan.synapses import Dense

LANES = 4


def even(rows, count, bits, sources=3, lanes=LANES, seed=0):
    """Return a matrix with `count` of `rows` weights in every lane of every column."""
    rng = np.random.default_rng(seed)
    weight = np.zeros((rows, lanes, sources), np.int64)
    for lane in range(lanes):
        for source in range(sources):
            weight[rng.choice(rows, count, replace=False), lane, source] = (1 << bits - 1) - 1 or -1
    return weight.reshape(rows * lanes, sources)


def of(weight, bits, lanes=LANES, **options):
    """Return the alternatives by name."""
    return {one.format: one for one in alternatives(weight, bits, lanes, "here", packing="none", **options)}


@pytest.mark.parametrize("name", ["bank", "csc", "bitmap"])
@pytest.mark.parametrize("bits", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("rows", [1, 2, 3, 8, 13, 40])
def test_below_the_break_even_density_fewer_bits_are_stored_than_dense(name, rows, bits):
    """Of weights that are spread evenly, for every number of them: where all lists are equally long, exactly."""
    limit = break_even(name, bits, rows)
    assert of(even(rows, 1, bits), bits)[name].break_even == limit
    for count in range(1, rows + 1):
        found = of(even(rows, count, bits), bits, names=("dense", name))
        assert (found[name].bits < found["dense"].bits) == (count / rows < limit - 1e-9), count


@pytest.mark.parametrize(("bits", "run_bits"), [(4, 2), (4, 4), (8, 3), (2, 3), (1, 2), (6, 1)])
def test_break_even_of_runs_is_that_of_long_random_columns(bits, run_bits):
    limit = break_even("run-length", bits, 1 << 15, run_bits)
    rng = np.random.default_rng(0)
    # Runs of at most one or three rows never pay off for weights of so few bits.
    assert (limit == 0) == ((bits, run_bits) in ((1, 2), (6, 1)))
    for density, fewer in ((limit * 0.95, True), (limit * 1.05, False)) if limit else ((0.02, False), (0.2, False)):
        weight = (rng.random((1 << 15, 1)) < density).astype(np.int64) * -1
        stored = Columns(weight, bits, 1, "run-length", run_bits).stored_bits
        assert (stored < weight.size * bits) == fewer


def test_dense_has_no_break_even():
    assert break_even("dense", 4, 8) is None
    assert [break_even(name, 4, 8) for name in ("bank", "csc", "bitmap", "block")] == [4 / 7, 4 / 7, 0.75, 1.0]
    assert break_even("bitmap", 1, 8) == 0.0


@settings(max_examples=40)
@given(st.data())
def test_what_is_chosen_costs_least_of_what_stores_no_more_than_dense(data):
    rng = np.random.default_rng(data.draw(st.integers(0, 1 << 32)))
    outputs, inputs, bits = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 30)), data.draw(st.integers(1, 8))
    density = data.draw(st.sampled_from([1.0, 0.5, 0.1, 0.0]))
    weight = rng.integers(-1 << bits - 1, 1 << bits - 1, (outputs, inputs)) * (rng.random((outputs, inputs)) < density)
    lanes = data.draw(st.integers(1, outputs))
    found = of(weight, bits, lanes)
    assert list(found) == list(FORMATS)
    for name, one in found.items():
        assert one.bits == one.synapses.stored_bits
        work = np.full(inputs, -(-outputs // lanes)) if name == "dense" else np.maximum(one.synapses.list_lengths(), 1)
        assert one.cycles >= outputs
        if name == "dense":
            assert one.cycles == max(outputs, work[0] * max(1.0, 0.1 * inputs))
        else:
            assert one.cycles == pytest.approx(max(outputs, 0.1 * work.sum()))
    chosen = best(list(found.values()))
    assert chosen.bits <= found["dense"].bits
    rivals = [one for one in found.values() if one.bits <= found["dense"].bits]
    assert chosen.cost == min(one.cost for one in rivals)
    assert chosen is next(one for one in rivals if one.cost == chosen.cost)


def test_memories_of_currents_are_charged():
    """4 rows in each of 4 lanes are less than the smallest memory; 400 are 16 bits each."""
    for rows, added in ((4, 1024), (400, 6400)):
        found = of(even(rows, 1, 4), 4)
        assert found["dense"].cost == found["dense"].bits * found["dense"].cycles
        assert found["csc"].cost == (found["csc"].bits + 2 * 4 * added) * found["csc"].cycles
        block = max(1024, found["block"].synapses.words * 16)
        assert found["block"].cost == (found["block"].bits + 2 * block) * found["block"].cycles


def test_without_dense_anything_may_be_chosen():
    weight = np.full((8, 4), 3)
    some = [one for one in of(weight, 3).values() if one.format in ("csc", "bitmap")]
    assert best(some).format in ("csc", "bitmap")


def graph(*weights, highest=1, bits=4):
    nodes = [Input("in", (), (np.shape(weights[0])[1],), highest=highest)]
    for index, weight in enumerate(weights, 1):
        nodes += [Linear(f"fc{index}", (nodes[-1].name,), weight, bits), Neuron(f"lif{index}", (f"fc{index}",), NeuronSpec(7))]
    return Graph("net", (*nodes, Readout("out", (nodes[-1].name,))), 3)


def random_weights(outputs, inputs, density=1.0, bits=4, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(-1 << bits - 1, 1 << bits - 1, (outputs, inputs)) * (rng.random((outputs, inputs)) < density)


def formats(plan):
    return [layer.format for layer in plan.layers]


def test_a_layer_that_was_not_pruned_stays_dense():
    plan = make_plan(graph(random_weights(128, 784), random_weights(10, 128, seed=1)))
    assert formats(plan) == ["dense", "dense"]
    assert all(isinstance(layer.synapses, Dense) for layer in plan.layers)


@pytest.mark.parametrize("kept", [1, 2])
def test_a_layer_that_was_pruned_in_banks_is_stored_in_banks(kept):
    """One or two weights of eight in each of 16 lanes: no memory tells where a list lies, and none is filled up."""
    rng = np.random.default_rng(0)
    weight = np.zeros((8, 16, 784), np.int64)
    for lane in range(16):
        for source in range(784):
            weight[rng.choice(8, kept, replace=False), lane, source] = rng.choice([-7, -3, 2, 5, 6], kept)
    layer, = make_plan(graph(weight.reshape(128, 784))).layers
    assert (layer.format, layer.lanes, layer.synapses.uniform) == ("bank", 16, kept)
    assert layer.synapses.stored_bits == 784 * kept * 16 * (4 + 3)


def test_a_layer_pruned_at_random_is_not_stored_in_banks_where_these_must_be_filled_up():
    layer, = make_plan(graph(random_weights(128, 784, density=0.05))).layers
    assert layer.format in ("csc", "bitmap", "run-length")


@pytest.mark.parametrize("name", FORMATS)
def test_formats_by_name_and_for_all(name):
    net = graph(random_weights(12, 9), random_weights(6, 12, seed=1))
    assert formats(make_plan(net, formats=name, lanes=3)) == [name, name]
    one = make_plan(net, formats={"lif2": name}, lanes=3)
    assert formats(one) == [formats(make_plan(net, lanes=3))[0], name]
    assert formats(make_plan(net, formats={"lif1": "auto", "lif2": name}, lanes=3)) == formats(one)


def test_layers_that_are_not_fully_connected_are_stored_in_blocks():
    nodes = (Input("in", (), (1, 4, 4)), Conv("conv", ("in",), np.ones((2, 1, 2, 2), int), 2, Window((2, 2))),
             Neuron("lif", ("conv",), NeuronSpec(2)), Readout("out", ("lif",)))
    net = Graph("net", nodes, 3)
    assert formats(make_plan(net)) == formats(make_plan(net, formats="csc")) == ["block"]
    assert formats(make_plan(net, formats={"lif": "block"})) == ["block"]
    with pytest.raises(UsageError, match=r"^format of layer 'lif' must be block, because it is not fully connected, not 'csc'$"):
        make_plan(net, formats={"lif": "csc"})
    assert [layer.events for layer in make_plan(net, events="bitmap").layers] == ["list"]
    with pytest.raises(UsageError, match=r"^events of layer 'lif' must be list, because it is not fully connected, not bitmap$"):
        make_plan(net, events={"lif": "bitmap"})


def test_values_are_not_added_by_a_dense_core():
    net = graph(random_weights(6, 5), highest=3)
    assert formats(make_plan(net))[0] != "dense"
    message = r"^format of layer 'lif1' must not be dense, because its events have values; the nearest is csc$"
    for asked in ("dense", {"lif1": "dense"}):
        with pytest.raises(UsageError, match=message):
            make_plan(net, formats=asked)


ALL = "auto, dense, bank, csc, queued, bitmap, run-length or block"


@pytest.mark.parametrize(("asked", "message"), [
    ("sparse", f"formats must be {ALL}, not 'sparse'"),
    ({"lif1": "sparse"}, f"format of layer 'lif1' must be {ALL}, not 'sparse'"),
    ({"fc1": "csc"}, "formats name the layer 'fc1', the network has 'lif1', 'lif2'"),
])
def test_refuses_formats(asked, message):
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        make_plan(graph(random_weights(4, 3), random_weights(2, 4)), formats=asked)


@pytest.mark.parametrize(("asked", "attribute"), [
    ("run-length:1", "run_bits"), ("run-length:4", "run_bits"), ("queued:3", "queue")])
def test_a_format_takes_a_number_and_is_recorded_with_it(asked, attribute):
    plan = make_plan(graph(np.eye(12, 20, dtype=np.int64)), lanes=2, formats=asked)
    assert getattr(plan.layers[0].synapses, attribute) == int(asked[-1])
    choices = Choices.of(plan)
    assert choices.formats == {"lif1": asked}
    again = make_plan(plan.graph, **choices.arguments())
    assert again.layers[0].memories == plan.layers[0].memories


@pytest.mark.parametrize(("asked", "message"), [
    ("run-length:0", "run bits of formats must be between 1 and 16, not '0'"),
    ("queued:17", "queue depth of formats must be between 1 and 16, not '17'"),
    ("run-length:", "run bits of formats must be between 1 and 16, not ''"),
    ("csc:3", f"formats must be {ALL}, not 'csc:3'"),
])
def test_refuses_numbers(asked, message):
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        make_plan(graph(np.eye(12, 20, dtype=np.int64)), formats=asked)

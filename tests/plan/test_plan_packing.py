"""Packings: which is chosen, what it stores, and that nothing is lost."""

import itertools
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snnhw.errors import UsageError
from snnhw.ir import Conv, Graph, Input, Linear, Neuron, NeuronSpec, Readout, Window
from snnhw.plan import Choices, make_plan
from snnhw.plan.formats import FORMATS, UNPACKED, alternatives
from snnhw.plan.packing import Packing, pack, ternary_code


def network(weight, bits=4):
    weight = np.asarray(weight)
    nodes = (Input("in", shape=(weight.shape[1],)), Linear("sum", ("in",), weight, bits), Neuron("n", ("sum",), NeuronSpec(3)),
             Readout("out", ("n",)))
    return Graph("net", nodes, 4)


def decoded(packing, words, lanes):
    """Return the weights, (words, lanes), of integer words, read bit by bit."""
    rows = []
    for word in words:
        row = []
        for bits in packing.widths(lanes):
            code, word = word & (1 << bits) - 1, word >> bits
            places = [code]
            if packing.name == "ternary":
                places = ternary_code(code, min(5, lanes - len(row)))
            row += [packing.book[place] for place in places]
        rows.append(row)
    return np.array(rows)


@pytest.mark.parametrize("count", range(1, 6))
def test_every_row_of_digits_has_a_code_of_its_own(count):
    bits = {1: 2, 2: 4, 3: 5, 4: 7, 5: 8}[count]
    found = [ternary_code(code, count) for code in range(1 << bits)]
    assert {digits for digits in found if digits} == set(itertools.product(range(3), repeat=count))
    with pytest.raises(ValueError, match=rf"^Code of {count} digits must have at most {bits} bits, not be {1 << bits}$"):
        ternary_code(1 << bits, count)


@given(st.data())
def test_packed_words_give_back_every_weight(data):
    rng = np.random.default_rng(data.draw(st.integers(0, 1 << 30)))
    inputs, outputs = int(rng.integers(1, 9)), int(rng.integers(1, 14))
    book = rng.choice(15, int(rng.integers(1, 8)), replace=False) - 7
    weight = rng.choice(book, (outputs, inputs)) * (rng.random((outputs, inputs)) < rng.choice([1, 0.4]))
    name = str(rng.choice(["auto", "codebook", *["ternary"] * (len({0, *weight.reshape(-1).tolist()}) <= 3)]))
    format = str(rng.choice([format for format in FORMATS if format not in UNPACKED]))
    layer = make_plan(network(weight), lanes={"n": int(rng.integers(1, outputs + 1))}, formats=format, packings=name).layers[0]
    plain = make_plan(network(weight), lanes={"n": layer.lanes}, formats=format, packings="none").layers[0]
    memory, before = layer.memories[0], plain.memories[0]
    assert (memory.depth, layer.memories[1:]) == (before.depth, plain.memories[1:])
    if layer.packing is None:
        assert (name, layer.weight_words) == ("auto", plain.weight_words)
        return
    assert memory.width - layer.packing.bits(layer.lanes) == before.width - layer.lanes * layer.weight_bits
    words = [word & (1 << layer.packing.bits(layer.lanes)) - 1 for word in layer.weight_words]
    rests = [word >> layer.packing.bits(layer.lanes) for word in layer.weight_words]
    assert rests == [word >> layer.lanes * layer.weight_bits for word in plain.weight_words]
    expected = np.stack([column for column, _ in plain.weight_fields[:layer.lanes]], axis=1)
    found = decoded(layer.packing, words, layer.lanes)
    if format == "dense":  # a lane without a neuron holds any value
        there = np.arange(layer.tiles * layer.lanes).reshape(layer.tiles, 1, layer.lanes) < outputs
        there = np.broadcast_to(there, (layer.tiles, inputs, layer.lanes)).reshape(found.shape)
        found, expected = found[there], expected[there]
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("values", "bits", "lanes", "expected"), [
    ((-3, 3), 4, 16, ("codebook", 16)), ((-3, 0, 3), 4, 16, ("ternary", 26)), ((-1, 0, 1), 2, 16, ("ternary", 26)),
    ((-1, 0, 1), 2, 1, None), ((-1, 0, 1), 3, 1, ("codebook", 2)), ((-1, 0), 1, 8, None), ((0,), 4, 8, ("codebook", 8)),
    (range(-7, 8), 4, 8, None), (range(-7, 9), 5, 8, ("codebook", 32)), (range(-7, 10), 8, 8, None),
    ((0, 5, 9), 8, 5, ("ternary", 8)), ((0, 5, 9, 11), 8, 5, ("codebook", 10)),
])
def test_the_fewest_bits_are_chosen(values, bits, lanes, expected):
    packing = pack("auto", values, bits, lanes)
    assert (packing and (packing.name, packing.bits(lanes))) == expected


def test_a_larger_book_is_chosen_by_name():
    packing = pack("codebook", range(100), 16, 4)
    assert (packing.bits(4), str(packing)) == (28, "codebook of 100 values")
    assert pack("none", (0, 1), 16, 4) is None
    with pytest.raises(ValueError, match=r"^Weights must take at most 256 values, not 300$"):
        pack("codebook", range(300), 16, 4)


@pytest.mark.parametrize("book", [(), (0, 0), (1, -1), range(257)])
def test_refuses_books(book):
    with pytest.raises(ValueError, match=r"^Book must be 1 to 256 rising values, not .*$"):
        Packing("codebook", tuple(book))
    with pytest.raises(ValueError, match=r"^Book must be 1 to 3 rising values, not \(0, 1, 2, 3\)$"):
        Packing("ternary", (0, 1, 2, 3))


@pytest.mark.parametrize("lanes", [1, 4, 6, 16])
@pytest.mark.parametrize("name", ["codebook", "ternary"])
def test_stored_bits_are_those_of_the_memories(name, lanes):
    """Where no lane is left without a neuron."""
    rng = np.random.default_rng(3)
    weight = rng.choice([-3, 0, 3], (48, 20), p=[0.1, 0.8, 0.1])
    found = {one.format: one for one in alternatives(weight, 4, lanes, "layer", packing=name)}
    assert set(found) == set(FORMATS) - set(UNPACKED)
    for one in found.values():
        layer = make_plan(network(weight), lanes={"n": lanes}, formats=one.format, packings=name).layers[0]
        held = [memory.bits for memory in layer.memories if memory.role in ("weights", "sources")]
        assert one.bits == sum(held)


def test_alternatives_are_packed_before_they_are_compared():
    rng = np.random.default_rng(4)
    weight = rng.choice([-1, 1], (64, 32))
    by_name = {one.format: one for one in alternatives(weight, 4, 8, "layer")}
    assert (by_name["dense"].bits, by_name["dense"].packing) == (weight.size, Packing("codebook", (-1, 1)))
    assert by_name["bitmap"].packing is None
    assert make_plan(network(weight), formats="auto").layers[0].memories[0].bits == weight.size


def test_kernels_are_packed():
    def kernels(weight):
        nodes = (Input("in", shape=(2, 5, 5)), Conv("sum", ("in",), weight, 4, Window((3, 3))),
                 Neuron("n", ("sum",), NeuronSpec(3)), Readout("out", ("n",)))
        return Graph("net", nodes, 2)

    weight = np.random.default_rng(5).choice([-2, 0, 2], (6, 2, 3, 3))
    packed, plain = (make_plan(kernels(weight), lanes=6, packings=name).layers[0] for name in ("auto", "none"))
    assert packed.packing == Packing("ternary", (-2, 0, 2))
    assert plain.memories[0].width - packed.memories[0].width == 6 * plain.weight_bits - 10
    more = kernels(weight + np.arange(3))
    with pytest.raises(UsageError, match=r"^packing of layer 'n' must not be ternary: Weights must take at most 3 .*, not 7$"):
        make_plan(more, packings="ternary")


@pytest.mark.parametrize(("options", "message"), [
    ({"packings": "zip"}, "packings must be auto, none, codebook or ternary, not 'zip'"),
    ({"packings": {"n": "zip"}}, "packing of layer 'n' must be auto, none, codebook or ternary, not 'zip'"),
    ({"packings": {"m": "none"}}, "packings name the layer 'm', the network has 'n'"),
    ({"events": "bits"}, "events must be auto, list or bitmap, not 'bits'"),
    ({"events": {"n": "bits"}}, "events of layer 'n' must be auto, list or bitmap, not 'bits'"),
    ({"events": {"m": "list"}}, "events name the layer 'm', the network has 'n'"),
    ({"packings": "ternary", "formats": "dense"},
     "packing of layer 'n' must not be ternary: Weights must take at most 3 values, not 4"),
    ({"packings": "codebook", "formats": "bitmap"},
     "packing of layer 'n' must not be codebook: Format must be one that can be packed, not bitmap"),
])
def test_refuses_packings_and_ways_to_keep_events(options, message):
    weight = np.array([[-2, -1, 0, 1], [1, 0, -1, -2]])
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        make_plan(network(weight), **options)


@pytest.mark.parametrize("name", ["auto", "none", "codebook", "ternary"])
def test_a_plan_is_made_again_from_its_choices(name):
    graph = network(np.random.default_rng(6).choice([-1, 0, 1], (8, 8)))
    plan = make_plan(graph, packings=name, load_weights=True)
    again = make_plan(graph, **Choices.of(plan).arguments())
    assert again.layers[0].packing == plan.layers[0].packing
    assert again.layers[0].weight_words == plan.layers[0].weight_words

"""Plans: lanes, memory layout, refusals, text."""

import itertools
import json
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from network_strategies import graphs

from snnhw.errors import NetworkError, UsageError
from snnhw.ir import Decay, Delay, Encoding, Graph, Input, Linear, Neuron, NeuronSpec, Readout
from snnhw.plan import DEFAULT_LANES, Memory, format_plan, make_plan, plan_rows


def chain(*sizes, spec=None, weight_bits=4, seed=0):
    """Return a chain of layers 'fc1', 'lif1', ... of the given sizes."""
    rng = np.random.default_rng(seed)
    nodes = [Input("in", (), (sizes[0],))]
    for index, (inputs, outputs) in enumerate(itertools.pairwise(sizes), 1):
        weight = rng.integers(-1 << (weight_bits - 1), 1 << (weight_bits - 1), (outputs, inputs))
        nodes += [Linear(f"fc{index}", (nodes[-1].name,), weight, weight_bits),
                  Neuron(f"lif{index}", (f"fc{index}",), spec or NeuronSpec(7, Decay("shift", 4)))]
    return Graph("net", (*nodes, Readout("out", (nodes[-1].name,))), 10)


def lanes(plan):
    return [layer.lanes for layer in plan.layers]


def test_one_number_is_the_lanes_of_the_slowest_layer():
    assert lanes(make_plan(chain(784, 128, 10), lanes=16)) == [16, 1]
    assert lanes(make_plan(chain(784, 128, 10), lanes=256)) == [128, 1]
    assert lanes(make_plan(chain(8, 64, 64), lanes=4)) == [1, 4]
    assert lanes(make_plan(chain(784, 128, 10))) == lanes(make_plan(chain(784, 128, 10), lanes=DEFAULT_LANES))


@settings(max_examples=50)
@given(st.lists(st.integers(1, 100), min_size=2, max_size=5), st.integers(1, 256))
def test_no_layer_has_more_lanes_than_neurons_or_asked_for(sizes, asked):
    for layer, outputs in zip(make_plan(chain(*sizes, weight_bits=1), lanes=asked).layers, sizes[1:], strict=True):
        assert 1 <= layer.lanes <= min(asked, outputs)
        assert layer.tiles == -(-outputs // layer.lanes)


def test_lanes_by_name():
    graph = chain(20, 30, 5)
    assert lanes(make_plan(graph, lanes={"lif1": 3, "lif2": 4})) == [3, 4]
    assert lanes(make_plan(graph, lanes={"lif1": 256})) == [30, 5]
    assert lanes(make_plan(graph, lanes={})) == [DEFAULT_LANES, 5]


@pytest.mark.parametrize(("asked", "message"), [
    (0, "lanes must be an integer between 1 and 256, not 0"), (257, "lanes must be an integer between 1 and 256, not 257"),
    (True, "lanes must be an integer between 1 and 256, not True"), (4.0, "lanes must be an integer between 1 and 256, not 4.0"),
    ("4", "lanes must be an integer between 1 and 256, not '4'"), (None, "lanes must be an integer between 1 and 256, not None"),
    ({"lif1": 0}, "lanes of layer 'lif1' must be an integer between 1 and 256, not 0"),
    ({"lif1": "2"}, "lanes of layer 'lif1' must be an integer between 1 and 256, not '2'"),
    ({"fc1": 2}, "lanes name the layer 'fc1', the network has 'lif1', 'lif2'"),
])
def test_refuses_lanes(asked, message):
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        make_plan(chain(3, 4, 5), lanes=asked)


@given(st.data())
def test_every_weight_lies_where_the_layout_says(data):
    inputs, outputs = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 9))
    count = data.draw(st.integers(1, outputs))
    layer = make_plan(chain(inputs, outputs, seed=data.draw(st.integers(0, 9))), lanes={"lif1": count}, packings="none").layers[0]
    words, bits = layer.weight_words, layer.weight_bits
    assert len(words) == layer.tiles * inputs
    weight = layer.synapses.weight
    for tile, source in itertools.product(range(layer.tiles), range(inputs)):
        word = words[tile * inputs + source]
        assert 0 <= word < 1 << count * bits
        for lane in range(count):
            neuron, field = tile * count + lane, word >> lane * bits & (1 << bits) - 1
            assert field == (weight[neuron, source] if neuron < outputs else 0) % (1 << bits)


def test_memory_map():
    spec = NeuronSpec([3, -4, 5, 6, 7], Decay("mul", 8, [250, 251, 252, 253, 255]), bits=11)
    layer = make_plan(chain(6, 5, spec=spec), lanes={"lif1": 2}).layers[0]
    assert layer.parameter_bits == {"threshold": 4, "factor": 9}
    assert layer.memories == (Memory("weights", 18, 8, "rom"), Memory("events", 12, 3, "ram"), Memory("membranes", 5, 11, "ram"),
                              Memory("parameters", 5, 13, "rom"))
    assert [memory.bits for memory in layer.memories] == [144, 36, 55, 65]
    assert (layer.input_address_bits, layer.output_address_bits, layer.weight_bits, layer.inputs, layer.outputs) == (3, 3, 4, 6,
                                                                                                                     5)
    shared = make_plan(chain(6, 5, spec=NeuronSpec(3, Decay("mul", 8, 250)))).layers[0]
    assert [memory.role for memory in shared.memories] == ["weights", "events", "membranes"]


def test_loaded_weights():
    plan = make_plan(chain(6, 5, 3), lanes={"lif1": 2, "lif2": 3}, load_weights=True)
    assert [layer.memories[0].content for layer in plan.layers] == ["loaded", "loaded"]
    assert plan.loaded_words == 3 * 6 + 1 * 5
    assert make_plan(chain(6, 5, 3)).loaded_words == 0


def test_an_exact_state_is_as_wide_as_proven_and_a_saturating_one_as_declared():
    exact = make_plan(chain(6, 5, spec=NeuronSpec(7, overflow="exact", bits=32))).layers[0]
    assert exact.state_bits == exact.state.bits < 32
    saturating = make_plan(chain(6, 5, spec=NeuronSpec(7, bits=12))).layers[0]
    assert saturating.state_bits == 12


def test_one_neuron_and_one_input_still_have_an_address():
    plan = make_plan(chain(1, 1))
    assert (plan.inputs, plan.outputs) == (1, 1)
    assert plan.layers[0].input_address_bits == plan.layers[0].output_address_bits == 1


def graph_of(*nodes):
    return Graph("net", (Input("in", (), (2,)), Linear("fc1", ("in",), [[1, 1], [1, 0]], 4), Neuron("lif1", ("fc1",)), *nodes), 5)


@pytest.mark.parametrize(("nodes", "problems"), [
    ((Linear("fc2", ("in",), [[1, 1]], 4), Neuron("lif2", ("fc2",)), Readout("out", ("lif2",))),
     ["layer 'fc1' (Linear, 2 → 2): must lead to the readout", "layer 'lif1' (Neuron): must lead to the readout"]),
    ((Neuron("lif2", ("fc1",)), Readout("out", ("lif2",))),
     ["layer 'lif1' (Neuron): must lead to the readout"]),
    ((Linear("spare", ("lif1",), [[1, 1]], 4), Readout("out", ("lif1",))),
     ["layer 'spare' (Linear, 2 → 1): must lead to the readout"]),
    ((Readout("early", ("in",)), Readout("out", ("lif1",))),
     ["layer 'early' (Readout, spike count): must lead to the readout"]),
    ((Linear("fc2", ("lif1",), [[1, 1]], 4), Neuron("lif2", ("fc2",)), Readout("out", ("lif1",))),
     ["layer 'fc2' (Linear, 2 → 1): must lead to the readout", "layer 'lif2' (Neuron): must lead to the readout"]),
    ((Linear("fc2", ("lif1",), [[1, 1]], 4), Neuron("lif2", ("fc2",), NeuronSpec(0, reset="none", output="state")),
      Readout("out", ("lif1",))),
     ["layer 'fc2' (Linear, 2 → 1): must lead to the readout", "layer 'lif2' (Neuron): must lead to the readout"]),
    ((Delay("delay", ("alone",), (1,)), Linear("echo", ("delay",), [[1]], 4), Neuron("alone", ("echo",)),
      Readout("out", ("lif1",))),
     ["layer 'delay' (Delay): must lead to the readout", "layer 'echo' (Linear, 1 → 1): must lead to the readout",
      "layer 'alone' (Neuron): must lead to the readout",
      "layer 'alone' (Neuron): must have an input of the same timestep, not delayed ones alone"]),
    ((Delay("late", ("lif1",), (2,)), Readout("out", ("late",))),
     ["layer 'out' (Readout): input must be neurons or a MaxPool of this timestep, not 'late'"]),
])
def test_refuses_what_has_no_hardware(nodes, problems):
    with pytest.raises(NetworkError) as caught:
        make_plan(graph_of(*nodes))
    assert list(caught.value.problems) == problems


def test_text_is_golden():
    graph = Graph("digits\nnet", (
        Input("pixels", (), (3,), Encoding("accumulate", 16)), Linear("fc1", ("pixels",), [[1, 0, -3], [0, 5, 6]], 4),
        Neuron("a 'quoted' name", ("fc1",), NeuronSpec([4, 9], Decay("shift", 2), "subtract", 4, bits=8, bias=[0, 1])),
        Linear("fc2", ("a 'quoted' name",), [[1, -1]], 2), Neuron("lif2", ("fc2",), NeuronSpec(2, overflow="exact")),
        Readout("out", ("lif2",))), 25)
    plan = make_plan(graph, lanes={"a 'quoted' name": 2, "lif2": 9})
    assert str(plan) == format_plan(plan) == GOLDEN
    rows = plan_rows(plan)
    assert json.loads(json.dumps(rows)) == rows
    assert [row["layer"] for row in rows] == ["a 'quoted' name", "lif2"]
    assert rows[1] == {
        "layer": "lif2", "inputs": 2, "neurons": 1, "lanes": 1, "tiles": 1, "format": "dense", "packing": "codebook",
        "sources": ["a 'quoted' name"], "weight_bits": 2, "current": "-1..1",
        "current_bits": 2, "update_bits": 6, "state": "-25..1", "state_bits": 6,
        "memories": {"weights": {"depth": 2, "width": 1, "copies": 1, "content": "rom"},
                     "events": {"depth": 4, "width": 1, "copies": 1, "content": "ram"},
                     "membranes": {"depth": 1, "width": 6, "copies": 1, "content": "ram"}}}


GOLDEN = """\
plan of 'digits\\nnet'
  layer 0 "a 'quoted' name": 3 → 2, 2 lanes x 1 tiles, dense weights 4 bits, codebook of 5 values
    current -3..11 (5 bits), update -9..36 (7 bits), state -9..32 (8 bits)
    weights: 3 x 6 bits, rom
    events: 6 x 2 bits, ram
    membranes: 2 x 8 bits, ram
    parameters: 2 x 7 bits, rom
  layer 1 'lif2': 2 → 1, 1 lanes x 1 tiles, dense weights 2 bits, codebook of 2 values
    current -1..1 (2 bits), update -25..2 (6 bits), state -25..1 (6 bits)
    weights: 2 x 1 bits, rom
    events: 4 x 1 bits, ram
    membranes: 1 x 6 bits, ram
"""


@settings(max_examples=30)
@given(graphs(synapse=False))
def test_the_same_graph_gives_the_same_plan(graph):
    assert str(make_plan(graph)) == str(make_plan(graph))
    assert plan_rows(make_plan(graph, lanes=3)) == plan_rows(make_plan(graph, lanes=3))

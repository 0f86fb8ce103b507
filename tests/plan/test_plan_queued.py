"""Lists of single lanes: their memories, and two models of their cycles against each other."""

import dataclasses
import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snnhw import reference
from snnhw.errors import UsageError
from snnhw.ir import Decay, Graph, Input, Linear, Neuron, NeuronSpec, Readout
from snnhw.plan import Choices, Memory, make_plan
from snnhw.plan.cycles import predict_cycles
from snnhw.plan.queued import Queued
from snnhw.plan.skeleton import simulate_control


def network(*weights, bits=4, timesteps=5):
    nodes = [Input("in", shape=(weights[0].shape[1],))]
    for index, weight in enumerate(weights):
        nodes += [Linear(f"sum{index}", (nodes[-1].name,), weight, bits),
                  Neuron(f"n{index}", (f"sum{index}",), NeuronSpec(3, Decay("shift", 2), bits=8))]
    return Graph("net", (*nodes, Readout("out", (nodes[-1].name,))), timesteps)


def sparse(rng, outputs, inputs, density):
    return rng.integers(-8, 8, (outputs, inputs)) * (rng.random((outputs, inputs)) < density)


def with_queues(plan, depths):
    """Return the plan with queues of other depths."""
    layers = tuple(dataclasses.replace(layer, synapses=dataclasses.replace(layer.synapses, queue=depth))
                   for layer, depth in zip(plan.layers, depths, strict=True))
    return dataclasses.replace(plan, layers=layers)


@given(st.data())
def test_the_memories_hold_every_weight_once(data):
    rng = np.random.default_rng(data.draw(st.integers(0, 1 << 30)))
    outputs, inputs = (int(rng.integers(1, 20)) for _ in range(2))
    weight = sparse(rng, outputs, inputs, rng.choice([0, 0.2, 0.7, 1]))
    lists = Queued(weight, 4, int(rng.integers(1, outputs + 1)))
    found = np.zeros_like(weight)
    for lane, ((weights, bits), *rows) in enumerate(lists.lane_fields):
        assert (bits, len(weights)) == (4, lists.depth)
        for source in range(inputs):
            first, count = (int(lists.source_fields[2 * lane + part][0][source]) for part in range(2))
            for word in range(first, first + count):
                row = int(rows[0][0][word]) if rows else 0
                assert found[row * lists.lanes + lane, source] == 0
                found[row * lists.lanes + lane, source] = weights[word]
    np.testing.assert_array_equal(found, weight)
    assert lists.lengths.sum() == np.count_nonzero(weight)


def test_memories_of_a_core():
    weight = np.zeros((6, 3), int)
    weight[[0, 2, 4, 1], [0, 0, 1, 2]] = 5, -3, 2, 7
    layer = make_plan(network(weight), lanes={"n0": 2}, formats="queued").layers[0]
    assert layer.format == "queued"
    roles = {memory.role: memory for memory in layer.memories}
    assert roles["weights"] == Memory("weights", 3, 4 + 2, "rom", 2)
    assert roles["sources"] == Memory("sources", 3, 2 * (2 + 2), "rom")
    assert roles["lane_queues"] == Memory("lane_queues", 8, 2 + 2 + 2, "ram", 2)
    assert (roles["currents"].depth, roles["currents"].copies) == (3, 4)
    assert layer.synapses.stored_bits == roles["weights"].bits + roles["sources"].bits
    assert Choices.of(make_plan(network(weight), formats="queued")).formats == {"n0": "queued"}


@settings(max_examples=60)
@given(st.data())
def test_the_schedule_is_that_of_the_control(data):
    """Moment by moment, and cycle by cycle: chains of cores with queues of any depth."""
    rng = np.random.default_rng(data.draw(st.integers(0, 1 << 30)))
    sizes = rng.choice([1, 2, 5, 12, 20], int(rng.integers(2, 4)))
    weights = [sparse(rng, outputs, inputs, rng.choice([0.1, 0.4, 1]))
               for inputs, outputs in pairwise(sizes)]
    graph = network(*weights, timesteps=int(rng.integers(1, 6)))
    lanes = {f"n{index}": int(rng.integers(1, 9)) for index in range(len(weights))}
    plan = with_queues(make_plan(graph, lanes=lanes, formats="queued"), rng.integers(1, 6, len(weights)).tolist())
    trains = rng.random((2, graph.timesteps, sizes[0])) < rng.choice([0, 0.2, 0.6, 1], (2, graph.timesteps, 1))
    spikes = reference.run(graph, trains).spikes
    np.testing.assert_array_equal(predict_cycles(plan, spikes), simulate_control(plan, spikes).cycles)


def test_deeper_queues_keep_lanes_busier():
    """From less than half to more than four fifths, the way of a sample through the core included."""
    rng = np.random.default_rng(7)
    graph = network(sparse(rng, 128, 784, 0.25), timesteps=10)
    trains = rng.random((2, 10, 784)) < 0.1
    spikes = reference.run(graph, trains).spikes
    work = trains.sum(axis=(0, 1)) @ (graph["sum0"].weight != 0).sum(axis=0) / 16
    plan = make_plan(graph, lanes=16, formats="queued")
    busy = [work / predict_cycles(with_queues(plan, [depth]), spikes).sum() for depth in (1, 2, 4, 8, 16)]
    busy = [work / predict_cycles(make_plan(graph, lanes=16, formats="csc"), spikes).sum(), *busy]
    assert busy == sorted(busy)
    assert busy[0] < 0.47
    assert busy[-1] > 0.8


def test_scattered_zeros_choose_lists_and_balanced_ones_banks():
    rng = np.random.default_rng(8)
    weight = rng.choice([value for value in range(-8, 8) if value], (128, 784))
    assert make_plan(network(weight * (rng.random((128, 784)) < 0.25))).layers[0].format == "csc"  # queues only if asked for
    balanced = weight * (rng.permuted(np.arange(8)[:, None, None] * np.ones((1, 16, 784), int), axis=0) < 2).reshape(128, 784)
    assert make_plan(network(balanced)).layers[0].format == "bank"


def test_refuses_what_it_cannot_hold():
    weight = np.ones((3, 2), int)
    message = "format of layer 'n0' must not be queued, because its weights are loaded; the nearest is csc"
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        make_plan(network(weight), formats="queued", load_weights=True)
    with pytest.raises(ValueError, match=r"^Queue must hold 1 to 16 events, not 17$"):
        Queued(weight, 4, 2, 17)


def test_loaded_weights_are_never_queued_by_choice():
    rng = np.random.default_rng(8)
    weight = rng.integers(1, 8, (128, 400)) * (rng.random((128, 400)) < 0.25)
    assert make_plan(network(weight), load_weights=True).layers[0].format != "queued"

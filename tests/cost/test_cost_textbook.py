"""Models of papers: by hand, and beside the ladder without becoming part of it."""

import numpy as np
import pytest
from cost_plans import example

from snnhw.cost.textbook import ARCHITECTURES, FORMATS, textbook_energies
from snnhw.ir import Delay, Graph, Input, Linear, Neuron, NeuronSpec, Readout
from snnhw.reference import run


def by_name(graph, trains):
    return {found.model: found for found in textbook_energies(graph, trains)}


def test_operations_times_energy_by_hand():
    plan, trains, _ = example()
    found = by_name(plan.graph, trains)
    weights = [layer.synapses.weight for layer in plan.layers]
    # Weights that are 0 are no connection.
    adds = sum(trains[name].sum(axis=(0, 1)) @ (weight != 0).sum(axis=0)
               for name, weight in zip(("in", "hidden"), weights, strict=True)) / 3
    assert found["operations-fp32"].mid_pj == pytest.approx(adds * 0.9)
    assert found["operations-fp32"].band.low == found["operations-fp32"].band.high == pytest.approx(adds * 0.9)
    assert found["operations-int8"].mid_pj == pytest.approx(adds * 0.03)
    assert found["operations-int8"].band.low < found["operations-int8"].band.high


def test_every_model_is_there_with_the_hardware_it_is_of():
    plan, trains, _ = example()
    found = by_name(plan.graph, trains)
    assert set(found) == {*(f"operations-{name}" for name in FORMATS), *ARCHITECTURES}
    assert found["eyeriss-ratios"].hardware == "65 nm ratios"
    # Weights in DRAM cost more than the same on chip, and any memory more than none.
    assert found["eyeriss45"].mid_pj > found["onchip45"].mid_pj > found["operations-int8"].mid_pj
    assert all(model.band.low <= model.mid_pj * 1.001 for model in found.values())
    assert found["eyeriss45"].as_json()["band"]["median"] > 0


def test_delayed_spikes_count_one_timestep_late():
    weight = np.ones((4, 4), int)
    nodes = (Input("in", (), (4,)), Delay("again", ("lif",), (4,)), Linear("fc", ("in",), weight, 2),
             Linear("loop", ("again",), weight, 2), Neuron("lif", ("fc", "loop"), NeuronSpec(threshold=4, bits=8)),
             Readout("out", ("lif",)))
    graph = Graph("loop", nodes, 3)
    trains = run(graph, np.ones((1, 3, 4), bool)).spikes
    spikes = trains["lif"][:, :-1].sum()
    assert spikes > 0
    assert by_name(graph, trains)["operations-fp32"].mid_pj == pytest.approx(0.9 * (12 * 4 + spikes * 4))

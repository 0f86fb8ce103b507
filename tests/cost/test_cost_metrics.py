"""Metrics: the NeuroBench names, against a count in plain Python."""

import numpy as np
import pytest
from cost_plans import example, random_example
from hypothesis import given, settings
from hypothesis import strategies as st

from snnhw.cost import layer_metrics, load_constants, network_metrics, operation_energy
from snnhw.cost.flow import make_target
from snnhw.cost.metrics import NEUROBENCH, energy_metrics, membrane_changes
from snnhw.cost.rungs import full_energy
from snnhw.ir import Conv, Graph, Input, Linear, Neuron, NeuronSpec, Readout, Window
from snnhw.plan import make_plan
from snnhw.reference import run


def test_layer_by_counting():
    plan, trains, _ = example()
    layer = plan.layers[0]
    train, fired = trains["in"], trains["hidden"]
    effective = sum(
        1
        for sample in train
        for step in sample
        for source in np.flatnonzero(step)
        for weight in layer.synapses.weight[:, source]
        if weight
    )
    metrics = layer_metrics(layer, train, fired)
    assert metrics["effective_acs"] == effective / 3
    assert metrics["synaptic_operations"] == train.sum() * 20 / 3
    assert metrics["synaptic_operations_dense"] == 24 * 20 * 6
    assert metrics["membrane_updates"] == 20 * 6
    assert metrics["spikes"] == fired.sum() / 3
    assert metrics["activation_sparsity"] == pytest.approx(1 - fired.mean())
    assert metrics["connection_sparsity"] == pytest.approx((layer.synapses.weight == 0).mean())
    assert metrics["memory_bytes"] == sum(memory.depth * memory.width for memory in layer.memories) / 8


@settings(max_examples=20)
@given(seed=st.integers(0, 10_000))
def test_metrics_agree_with_the_reference_counts(seed):
    plan, trains, counts = random_example(seed)
    expected = run(plan.graph, trains[plan.graph.input.name], keep_membranes=False).counts
    metrics = network_metrics(plan, trains)
    for name, field in (
        ("synaptic_operations", "synaptic_operations"),
        ("effective_acs", "effective_operations"),
        ("membrane_updates", "membrane_updates"),
        ("spikes", "output_spikes"),
    ):
        assert metrics[name] == pytest.approx(sum(getattr(count, field).mean() for count in expected.values()))
    assert metrics["effective_acs"] <= metrics["synaptic_operations"] <= metrics["synaptic_operations_dense"]
    assert 0 <= metrics["activation_sparsity"] <= 1
    written = sum(counts.mean(index, "events_write") * layer.outputs for index, layer in enumerate(plan.layers))
    assert metrics["synaptic_operations"] == pytest.approx(written)


def test_network_sparsity_is_over_all_synapses():
    plan, trains, _ = example()
    weights = np.concatenate([layer.synapses.weight.ravel() for layer in plan.layers])
    fired = np.concatenate([trains["hidden"].ravel(), trains["last"].ravel()])
    metrics = network_metrics(plan, trains)
    assert metrics["connection_sparsity"] == pytest.approx((weights == 0).mean())
    assert metrics["activation_sparsity"] == pytest.approx(1 - fired.mean())


def test_footprint_has_the_zeros_and_no_index():
    """NeuroBench: what represents the network, at its widths, zeros included. A sparse format changes the memories alone."""
    weight = np.zeros((8, 16), int)
    weight[:, ::4] = 3
    nodes = (Input("in", (), (16,)), Linear("fc", ("in",), weight, 4), Neuron("lif", ("fc",), NeuronSpec(threshold=4, bits=10)),
             Readout("out", ("lif",)))
    plans = [make_plan(Graph("small", nodes, 3), lanes=4, formats=name) for name in ("dense", "csc")]
    spikes = np.ones((1, 3, 16), bool)
    found = [network_metrics(plan, run(plan.graph, spikes).spikes) for plan in plans]
    assert [metrics["footprint_bytes"] for metrics in found] == [(8 * 16 * 4 + 8 * 10) / 8] * 2
    assert found[0]["memory_bytes"] != found[1]["memory_bytes"]
    assert found[0]["connection_sparsity"] == found[1]["connection_sparsity"] == 0.75


def test_a_kernel_counts_once():
    """Connections at the border are fewer, weights are not."""
    kernel = np.arange(18).reshape(2, 1, 3, 3) % 3 - 1
    nodes = (Input("in", (), (1, 5, 5)), Conv("conv", ("in",), kernel, 2, Window((3, 3), (), (1, 1), (1, 1))),
             Neuron("lif", ("conv",), NeuronSpec(threshold=2, bits=8)), Readout("out", ("lif",)))
    plan = make_plan(Graph("conv", nodes, 2), lanes=2)
    metrics = network_metrics(plan, run(plan.graph, np.ones((1, 2, 25), bool)).spikes)
    assert metrics["connection_sparsity"] == pytest.approx(np.mean(kernel == 0))
    assert metrics["footprint_bytes"] == (18 * 2 + 50 * plan.layers[0].state_bits) / 8


def test_effective_operations_are_those_of_the_published_example():
    """NeuroBench documents a 3 x 3 matrix with 6 weights that meets 2 activations: 4 effective operations of 9."""
    weight = np.array([[3, 0, -5], [0, 4, -7], [-2, 6, 0]])
    nodes = (Input("in", (), (3,)), Linear("fc", ("in",), weight, 4), Neuron("lif", ("fc",), NeuronSpec(threshold=4, bits=8)),
             Readout("out", ("lif",)))
    plan = make_plan(Graph("published", nodes, 1), lanes=1, formats="dense")
    metrics = network_metrics(plan, run(plan.graph, np.array([[[False, True, True]]])).spikes)
    assert (metrics["effective_acs"], metrics["synaptic_operations_dense"]) == (4, 9)


def test_membranes_that_stay_are_no_update():
    # One neuron: 0, 0, 1, 1, 2 changes twice after the first timestep; the other never does.
    membranes = np.array([[[0, 5], [0, 5], [1, 5], [1, 5], [2, 5]]])
    assert membrane_changes(membranes) == 2 + 2
    plan, trains, _ = example()
    trace = run(plan.graph, trains["in"])
    metrics = network_metrics(plan, trains, trace.membranes)
    expected = sum(membrane_changes(values) for values in trace.membranes.values())
    assert metrics["membrane_changes"] == expected <= metrics["membrane_updates"]
    assert set(NEUROBENCH) <= set(metrics)


def test_energy_delay_is_the_energy_times_the_time_of_its_cycles():
    plan, trains, counts = example()
    metrics = network_metrics(plan, trains)
    target = make_target(clock_hz=10e6)
    energy = full_energy(plan, counts, target)
    found = energy_metrics(energy, metrics)
    assert found["seconds"] == pytest.approx(counts.mean_cycles / 10e6)
    assert found["energy_delay_js"]["median"] == pytest.approx(energy.band.median * 1e-12 * found["seconds"])
    assert found["energy_delay_js"]["low"] < found["energy_delay_js"]["high"]
    assert found["pj_per_effective_operation"] * metrics["effective_acs"] == pytest.approx(energy.mid_pj)
    assert found["pj_per_synaptic_operation"] * metrics["synaptic_operations"] == pytest.approx(energy.mid_pj)


def test_rungs_without_a_clock_have_no_delay():
    plan, trains, counts = example()
    found = energy_metrics(operation_energy(plan, counts, load_constants("asic45")), network_metrics(plan, trains))
    assert (found["seconds"], found["energy_delay_js"]) == (None, None)
    silent = energy_metrics(operation_energy(plan, counts, load_constants("asic45")),
                            {"synaptic_operations": 0, "effective_acs": 0, "effective_macs": 0})
    assert (silent["pj_per_synaptic_operation"], silent["pj_per_effective_operation"]) == (None, None)

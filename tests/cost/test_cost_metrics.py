"""Metrics: the NeuroBench names, against a count in plain Python."""

import numpy as np
import pytest
from cost_plans import example, random_example
from hypothesis import given, settings
from hypothesis import strategies as st

from snnhw.cost import layer_metrics, network_metrics
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
    assert metrics["footprint_bytes"] == sum(memory.depth * memory.width for memory in layer.memories) / 8


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

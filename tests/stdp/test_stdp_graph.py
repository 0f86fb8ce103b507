"""The lowered graph: the same spikes and membranes as the network that was trained and measured, in reference and RTL."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stdp_networks import GRID, random_network, small_data, small_recipe

from snnhw import reference
from snnhw.errors import NetworkError
from snnhw.ir import load_graph, save_graph
from snnhw.plan import make_plan
from snnhw.stdp import Fixed, lower_stdp, present
from snnhw.stdp.lower import EXCITATORY
from snnhw.verify.checks import check_disturbed, check_undisturbed
from snnhw.verify.native import compile_batch

FORMS = ("layer", "lateral", "pool")


def values_of(generator, samples=4, inputs=10, levels=8):
    return generator.integers(0, levels + 1, (samples, inputs)).astype(np.uint8)


def assert_equal(network, values, shared):
    graph = lower_stdp(network, shared=shared)
    shown = present(network, network.encode(values), keep=True)
    trace = reference.run(graph, graph.input.encoding(values, graph.timesteps))
    np.testing.assert_array_equal(trace.spikes[EXCITATORY], shown.spikes)
    np.testing.assert_array_equal(trace.membranes[EXCITATORY], shown.membranes)
    return shown


@settings(max_examples=40)
@given(form=st.sampled_from(FORMS), shared=st.booleans(), seed=st.integers(0, 1000), weight=st.integers(1, 7),
       integer=st.integers(3, 9), extra=st.integers(0, 3), strength=st.integers(1, 5), reset=st.floats(-3, 3),
       leak=st.integers(1, 6))
def test_graph_equals_network(form, shared, seed, weight, integer, extra, strength, reset, leak):
    recipe = small_recipe(competition__form=form, competition__strength=strength, competition__reset=reset,
                          neuron__leak_shift=leak, competition__excitation=2.5, competition__threshold=3.0)
    formats = replace(GRID, weight=Fixed(1, weight), membrane=Fixed(integer, weight + extra), threshold=Fixed(4, 2))
    generator = np.random.default_rng(seed)
    network = random_network(generator, recipe, formats=formats)
    # Thresholds that differ, one of them beyond the narrowest membranes.
    network = replace(network, threshold=formats.rounded("threshold", generator.random(6).astype(np.float32) * 6))
    assert_equal(network, values_of(generator), shared)


def test_inhibition_silences_the_others():
    """With it, fewer neurons fire in the timesteps after a spike; the comparison above would hold without any, too."""
    fired = {}
    for strength in (1, 64):
        recipe = small_recipe(competition__strength=strength, competition__reset=float(strength))
        network = random_network(np.random.default_rng(0), recipe)
        fired[strength] = int(assert_equal(network, values_of(np.random.default_rng(1), 8), True).counts.sum())
    assert 0 < fired[64] < fired[1] / 2


@pytest.mark.parametrize("kinds", [
    [("lateral", True), ("pool", True)], pytest.param([("layer", True), ("pool", False)], marks=pytest.mark.slow)])
def test_rtl_equals_reference(kinds):
    """Inhibition as generated Verilog: spikes, membranes, output and memory accesses, with stalls too."""
    cases = []
    for form, shared in kinds:
        recipe = small_recipe(competition__form=form, competition__strength=3)
        generator = np.random.default_rng(4)
        network = random_network(generator, recipe)
        values = values_of(generator, 5)
        assert assert_equal(network, values, shared).counts.sum() > 20
        graph = lower_stdp(network, shared=shared)
        cases.append((form, make_plan(graph, lanes=2), graph.input.encoding(values, graph.timesteps)))
    simulators = compile_batch([plan for _, plan, _ in cases])
    for simulator, (form, _, spikes) in zip(simulators, cases, strict=True):
        check = check_undisturbed(simulator, spikes)
        assert check.problem is None
        neurons = 6 + {"layer": 6, "lateral": 0, "pool": 3}[form]
        assert check.comparison.counts()["membrane_words"] == 5 * 12 * neurons
        assert check.access_counts > 0
        assert check_disturbed(simulator, spikes, 1).problem is None


@pytest.mark.parametrize("form", ["lateral", "pool"])
def test_sources_of_inhibition_share_one_list(form):
    """Beside the lists of the inputs there is one more, however many neurons inhibit; a full matrix has one for each."""
    recipe = small_recipe(neurons=12, competition__form=form, competition__strength=20)
    network = random_network(np.random.default_rng(0), recipe)
    shared, full = (next(layer for layer in make_plan(lower_stdp(network, shared=kind), lanes=4).layers
                         if layer.name == EXCITATORY).synapses for kind in (True, False))
    inputs = shared.sources - {"lateral": 12, "pool": 20}[form]
    first = shared.lists[2][inputs:]
    assert inputs == 10
    assert len(set(first.tolist())) == 1
    assert shared.stored == (10 + 1) * 12
    assert full.stored == {"lateral": 10 + 12, "pool": 10 + 20}[form] * 12


def test_pool_keeps_weights_narrow():
    recipe = small_recipe(competition__strength=100)
    bits = {}
    for form in ("lateral", "pool"):
        network = random_network(np.random.default_rng(0), recipe.changed(competition__form=form))
        bits[form] = next(layer for layer in make_plan(lower_stdp(network), lanes=2).layers
                          if layer.name == EXCITATORY).synapses.weight_bits
    assert bits == {"lateral": 15, "pool": 8}


@pytest.mark.parametrize(("changes", "message"), [
    ({"weight": None}, r"^layer 'excitatory' \(Neuron\): weights, membranes and thresholds must have fixed-point formats, "
                       r"not weight float32, membrane Q9\.7, threshold Q9\.1, trace Q1\.7, truncate$"),
    ({"membrane": Fixed(9, 6)}, r"^layer 'excitatory' \(Neuron\): membranes must have at least the 7 fractional bits of the "
                                r"weights, not Q9\.6$"),
    ({"leak_rounding": "nearest"}, r"^layer 'excitatory' \(Neuron\): the leak must be rounded by 'truncate', not 'nearest'$"),
    ({"weight": Fixed(2, 15), "membrane": Fixed(9, 15)},
     r"^layer 'synapses' \(Linear\): weights must have at most 16 bits, not Q2\.15$"),
])
def test_formats_without_hardware_are_refused(changes, message):
    network = random_network(np.random.default_rng(0), small_recipe())
    with pytest.raises(NetworkError, match=message):
        lower_stdp(replace(network, formats=replace(GRID, **changes)))


def test_inhibition_wider_than_weights_can_be_is_refused():
    network = random_network(np.random.default_rng(0), small_recipe(competition__form="lateral", competition__strength=300))
    with pytest.raises(NetworkError, match=r"^layer 'inhibition' \(Linear\): weights must have at most 16 bits, not 17, the "
                                           r"strength 300 in steps of Q1\.7; use the form 'pool', or fewer fractional bits$"):
        lower_stdp(network)


def test_graph_survives_its_file(tmp_path):
    graph = lower_stdp(random_network(np.random.default_rng(0), small_recipe()), "a name")
    save_graph(graph, tmp_path / "graph.safetensors")
    assert load_graph(tmp_path / "graph.safetensors") == graph
    assert graph.name == "a name"
    assert graph.meta["competition"] == "pool"


def test_encoding_by_table_is_that_of_the_graph():
    data = small_data()
    network = random_network(np.random.default_rng(0), small_recipe(), inputs=16)
    spikes = network.encode(data.train_values)
    np.testing.assert_array_equal(spikes, network.encoding.encoding()(data.train_values, network.timesteps))
    assert 0 < spikes.mean() < 1

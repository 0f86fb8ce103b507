"""Layers and densities: sizes by hand, operations as the reference counts them, tables that are read back."""

import re
from dataclasses import replace

import numpy as np
import pytest
from example_graphs import EXAMPLES, example_graph, spikes_of
from hypothesis import given, settings
from hypothesis import strategies as st
from network_strategies import any_graphs

from snnhw.cost.workload import LayerWorkload, load_workloads, record_densities, save_workloads
from snnhw.errors import FileError
from snnhw.ir import (
    Conv,
    Decay,
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
from snnhw.reference import run

SPEC = NeuronSpec(3, Decay("shift", 2), "subtract", 3, bits=10)


def pooled_graph(pool=SumPool):
    """Return a grouped convolution with strides, a pool, and a dense layer over what it gives."""
    rng = np.random.default_rng(7)
    return Graph("pooled", (
        Input("in", (), (4, 9, 8)),
        Conv("conv", ("in",), rng.integers(-1, 3, (6, 2, 3, 2)), 3, Window((3, 2), (2, 1), (1, 0)), groups=2),
        Neuron("maps", ("conv",), SPEC),
        pool("pool", ("maps",), Window((2, 3), (2, 3))), Flatten("flat", ("pool",)),
        Linear("fc", ("flat",), rng.integers(-2, 4, (5, 6 * 2 * 2)), 3), Neuron("last", ("fc",), SPEC),
        Readout("class", ("last",))), 4)


@pytest.mark.parametrize("name", [*EXAMPLES, "sum", "max"])
def test_operations_are_those_of_the_reference(name):
    graph = pooled_graph({"sum": SumPool, "max": MaxPool}[name]) if name in ("sum", "max") else example_graph(name)
    spikes = spikes_of(graph, 5)
    counts = run(graph, spikes).counts
    layers = {layer.name: layer for layer in record_densities(graph, spikes)}
    if name == "sum":  # the reference counts each way through the pool
        del layers["fc"]
    populations = {"hidden": ("forth", "around", "down")} if name == "recurrent" else {}
    for neuron in graph.neurons:
        maps = [layers[item] for item in populations.get(neuron.name, neuron.inputs) if item in layers]
        if maps:
            for field in ("synaptic_operations", "effective_operations"):
                assert sum(getattr(layer, field) for layer in maps) == pytest.approx(getattr(counts[neuron.name], field).mean())


def test_a_grouped_convolution_with_strides():
    graph = pooled_graph()
    spikes = spikes_of(graph, 6, rate=0.2)
    conv, fc = record_densities(graph, spikes)
    trace = run(graph, spikes)
    assert (conv.c, conv.m, conv.p, conv.q, conv.r, conv.s, conv.groups, conv.stride) == (2, 6, 5, 7, 3, 2, 2, (2, 1))
    assert conv.weights == graph["conv"].weight.size
    assert (conv.inputs, conv.neurons, conv.state_bits, conv.timesteps) == (4 * 9 * 8, 6 * 5 * 7, 10, 4)
    assert conv.weight_density == pytest.approx((graph["conv"].weight != 0).mean())
    per_sample = spikes.reshape(6, -1).mean(axis=1)
    assert (conv.input_density, conv.input_density_worst) == pytest.approx((per_sample.mean(), per_sample.max()))
    fired = (trace.spikes["maps"] != 0).reshape(6, -1).mean(axis=1)
    assert (conv.output_density, conv.output_density_worst) == pytest.approx((fired.mean(), fired.max()))
    # What the pool gives is what the next layer takes: sums of up to six spikes, in three bits.
    maps = trace.spikes["maps"].reshape(6, 4, 6, 5, 7)[..., :4, :6].reshape(6, 4, 6, 2, 2, 2, 3).sum(axis=(4, 6))
    pooled = (maps != 0).reshape(6, -1).mean(axis=1)
    assert (fc.inputs, fc.input_bits) == (24, 3)
    assert (fc.input_density, fc.input_density_worst) == pytest.approx((pooled.mean(), pooled.max()))


def test_maximum_pools_keep_spikes():
    fc = record_densities(pooled_graph(MaxPool), spikes_of(pooled_graph(MaxPool), 3))[1]
    assert fc.input_bits == 1


def test_states_counts_and_graded_inputs_have_their_width():
    def widths(name):
        return [(layer.input_bits, layer.output_bits) for layer in record_densities(example_graph(name),
                                                                                    spikes_of(example_graph(name), 3))]
    assert widths("graded") == [(4, 1), (1, 1)]  # -3 to 7
    assert widths("count") == [(1, 2), (2, 2)]  # 0 to 3
    assert widths("state") == [(1, 1), (1, 9)]


def test_a_population_is_counted_once():
    forth, around, down, _ = record_densities(example_graph("recurrent"), spikes_of(example_graph("recurrent"), 3))
    assert [layer.neurons for layer in (forth, around, down)] == [7, 0, 0]
    assert [layer.output_bits for layer in (forth, around, down)] == [1, 0, 0]


def test_a_delayed_input_is_that_of_the_timestep_before():
    graph = example_graph("recurrent")
    spikes = spikes_of(graph, 4)
    fired = run(graph, spikes).spikes["hidden"]
    around = record_densities(graph, spikes)[1]
    assert around.name == "around"
    assert around.input_density == pytest.approx(fired[:, :-1].sum() / fired.size)  # those of the last timestep come too late


def test_scales_are_layers():
    graph = Graph("scaled", (
        Input("in", (), (3,)), Scale("each", ("in",), np.array([1, 0, 2]), 3), Neuron("a", ("each",), SPEC),
        Scale("all", ("a",), np.array(5), 4), Neuron("b", ("all",), SPEC), Readout("class", ("b",))), 3)
    each, shared = record_densities(graph, np.ones((1, 3, 3), bool))
    assert (each.weights, each.groups, each.dense_operations, each.synaptic_operations) == (3, 3, 9, 9)
    assert (shared.weights, shared.p, shared.dense_operations) == (1, 3, 9)


@settings(max_examples=15)
@given(graph=any_graphs(), seed=st.integers(0, 1000))
def test_any_graph_is_recorded(graph, seed):
    for layer in record_densities(graph, spikes_of(graph, 2, seed=seed)):
        node = graph[layer.name]
        assert layer.weights == node.weight.size
        assert layer.weight_density * layer.weights == pytest.approx(np.count_nonzero(node.weight))
        assert layer.input_density <= layer.input_density_worst
        assert layer.effective_operations <= layer.synaptic_operations <= layer.dense_operations


@pytest.mark.parametrize("suffix", ["csv", "json"])
def test_tables_are_read_back(tmp_path, suffix):
    graph = pooled_graph()
    layers = record_densities(graph, spikes_of(graph, 2))
    layers = (replace(layers[0], name='a,"b"\nc'), replace(layers[1], synaptic_operations=None, effective_operations=None))
    save_workloads(layers, tmp_path / f"layers.{suffix}")
    assert load_workloads(tmp_path / f"layers.{suffix}") == layers


@pytest.mark.parametrize(("name", "text", "message"), [
    ("a.txt", "", r"layer table '.*a\.txt' must end in \.csv or \.json"),
    ("a.csv", "name,kind\nx", r"layer table '.*' must be CSV with numbers where numbers belong, and is not"),
    ("a.csv", "name,m\nx,many\n", r"layer table '.*' must be CSV with numbers where numbers belong, and is not"),
    ("a.csv", "name,size\nx,4\n", r"layer table '.*' must hold layers with the columns name, kind, c, m, .*"),
    ("a.csv", "", r"layer table '.*' must hold layers with the columns name, kind, c, m, .*"),
    ("a.json", "[1]", r"layer table '.*' must hold layers with the columns name, kind, c, m, .*"),
    ("a.json", "[{\"name\": \"x\"}]", r"layer table '.*': .*missing 17 required positional arguments.*"),
])
def test_wrong_tables_are_refused(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(FileError, match=rf"^{message}$"):
        load_workloads(tmp_path / name)


def test_tables_have_one_of_two_suffixes(tmp_path):
    with pytest.raises(FileError, match=r"^layer table '.*layers\.xls' must end in \.csv or \.json$"):
        save_workloads((), tmp_path / "layers.xls")


LAYER = LayerWorkload("fc", "linear", 4, 2, 1, 1, 1, 1, 3, 4, 0.5, 0.1, 0.2, 0.3, 0.4, 4, 2, 8)


@pytest.mark.parametrize(("change", "message"), [
    ({"m": 0}, "layer 'fc': m must be an integer of at least 1, not 0"),
    ({"neurons": -1}, "layer 'fc': neurons must be an integer of at least 0, not -1"),
    ({"weight_density": 1.1}, "layer 'fc': weight_density must be between 0 and 1, not 1.1"),
    ({"input_density": float("nan")}, "layer 'fc': input_density must be between 0 and 1, not nan"),
    ({"groups": 3}, "layer 'fc': 3 groups must divide the output channels, not 2"),
    ({"stride": (1, 0)}, "layer 'fc': stride must be two integers of at least 1, not (1, 0)"),
])
def test_wrong_layers_are_refused(change, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        replace(LAYER, **change)


def test_no_samples_are_refused():
    graph = example_graph("conv")
    with pytest.raises(ValueError, match=r"^Samples must be at least one, not 0$"):
        record_densities(graph, spikes_of(graph, 1)[:0])

"""Operations times energy: connections and accumulates against the reference's own counts, and the file of energies."""

import re

import numpy as np
import pytest

from snnhw import ir, reference
from snnhw.cost.operations import count_operations, fan_outs, load_operation_energies, price_operations
from snnhw.errors import FileError, UsageError
from snnhw.network import Behaviour, Conv, Linear, Network, Neuron, Pool
from snnhw.verify.random_graphs import random_graph_case


def events_of(graph, trace):
    """Return the mean events of each source in a sample, from the spikes of a trace."""
    events = {name: (spikes != 0).sum(axis=1).mean(axis=0) for name, spikes in trace.spikes.items()}
    for node in graph.nodes:
        if isinstance(node, ir.Delay):
            events[node.name] = (trace.spikes[node.inputs[0]][:, :-1] != 0).sum(axis=1).mean(axis=0)
    return events


@pytest.mark.parametrize("seed", range(16))
def test_operations_are_those_that_the_reference_counts(seed):
    case = random_graph_case(seed)
    graph = case.plan.graph
    trace = reference.run(graph, case.spikes)
    found = count_operations(graph, events_of(graph, trace), graph.timesteps)
    assert len(found) == len(graph.neurons)
    for layer in found:
        expected = trace.counts[layer.name].effective_operations.mean()
        assert layer.accumulates + layer.multiply_accumulates == pytest.approx(expected)
        assert layer.updates == trace.counts[layer.name].membrane_updates[0]


def make_network():
    """Return a network whose connections are counted by hand."""
    fire = Behaviour(1.0, 1.0, ">", "subtract", 1.0)
    return Network("hand", (
        ir.Input("in", (), (1, 4, 4), ir.Encoding("direct", 3), 0, 3),
        Conv("conv", ("in",), np.ones((2, 1, 3, 3)), None, ir.Window((3, 3), (1, 1), (1, 1))), Neuron("lif1", ("conv",), fire),
        Pool("pool", ("lif1",), "average", ir.Window((2, 2), (2, 2))), ir.Flatten("flat", ("pool",)),
        Linear("fc", ("flat",), np.array([[1.0, 0, 2, 3, 4, 5, 6, 7], [1, 1, 1, 1, 1, 1, 1, 1]])), Neuron("lif2", ("fc",), fire),
        ir.Readout("out", ("lif2",))), 5)


def test_connections_by_hand():
    found = fan_outs(make_network())
    # A corner pixel is seen by 4 windows of 2 channels, an inner one by 9; padding has no connections.
    assert found["lif1"]["in"].reshape(4, 4).tolist() == [[8, 12, 12, 8], [12, 18, 18, 12], [12, 18, 18, 12], [8, 12, 12, 8]]
    assert found["lif2"]["lif1"].reshape(2, 4, 4)[0].tolist() == [[2, 2, 1, 1], [2, 2, 1, 1], [2, 2, 2, 2], [2, 2, 2, 2]]
    assert set(found["lif1"]) == {"in"}


def test_graded_inputs_multiply_and_spikes_add():
    network = make_network()
    events = {"in": np.full(16, 5.0), "lif1": np.full(32, 0.5)}
    first, second = count_operations(network, events, 5)
    assert (first.connections, first.accumulates, first.multiply_accumulates, first.updates) == (200.0, 0.0, 1000.0, 160)
    assert (second.connections, second.accumulates, second.multiply_accumulates) == (60.0, 30.0, 0.0)
    once, _ = count_operations(network, events, 5, still=True)
    assert once.multiply_accumulates == 200.0
    prices = load_operation_energies()["fp32"]
    found = price_operations([first, second], prices)
    assert found["spiking_pj"] == pytest.approx(1000 * 4.6 + 30 * 0.9)
    assert found["matching_pj"] == pytest.approx(260 * 4.6)
    assert found["ratio"] == pytest.approx(260 * 4.6 / (1000 * 4.6 + 30 * 0.9))
    assert found["updates_pj"] == pytest.approx(170 * 0.9)
    assert price_operations([second], prices, reference=[first])["matching_pj"] == pytest.approx(200 * 4.6)


def test_a_network_that_never_spikes_has_no_ratio():
    network = make_network()
    layers = count_operations(network, {"in": np.zeros(16), "lif1": np.zeros(32)}, 5)
    assert price_operations(layers, load_operation_energies()["int8"])["ratio"] is None


def test_events_of_every_source_are_needed():
    with pytest.raises(UsageError, match=r"^events must be counted for 'lif1', from which layer 'lif2' has its spikes$"):
        count_operations(make_network(), {"in": np.zeros(16)}, 5)


def test_energies_of_the_papers():
    energies = load_operation_energies()
    assert (energies["fp32"].accumulate.mid, energies["fp32"].multiply_accumulate.mid) == (0.9, 4.6)
    assert all(price.source and price.provenance for form in energies.formats.values()
               for price in (form.accumulate, form.multiply_accumulate))
    with pytest.raises(UsageError, match=r"^number format must be one of fp32, int32, int8, int8_to_32, not 'fp8'$"):
        energies["fp8"]


def test_files_of_energies_are_checked(tmp_path):
    with pytest.raises(UsageError, match=r"^operation energies must be one of horowitz45 or a \.toml file, not 'unknown'$"):
        load_operation_energies("unknown")
    path = tmp_path / "own.toml"
    path.write_text("name = 3 =")
    with pytest.raises(FileError, match=rf"^operation energies '{re.escape(str(path))}' must be TOML, and are not$"):
        load_operation_energies(path)
    entry = 'low = 2.0\nmid = 1.0\nhigh = 3.0\nprovenance = "assumed"\nsource = "none"\n'
    path.write_text('name = "own"\ntitle = "own"\ndevice = "any"\nnode = "any"\n'
                    f"[formats.x.accumulate]\n{entry}[formats.x.multiply_accumulate]\n{entry}")
    with pytest.raises(FileError, match=rf"^operation energies '{re.escape(str(path))}': formats\.x\.accumulate: low, mid and "
                                        r"high must be in this order, not 2, 1, 3$"):
        load_operation_energies(path)
    path.write_text(path.read_text().replace("low = 2.0", "low = 0.5"))
    assert load_operation_energies(path)["x"].accumulate.low == 0.5

"""What is written as NIR comes back unchanged, and other tools find a valid graph."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from network_strategies import graphs
from nir_files import unpacked

from snnhw.errors import NetworkError
from snnhw.frontend import NirChoices, read_nir, write_nir
from snnhw.ir import (
    Conv,
    Decay,
    Delay,
    Encoding,
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
from snnhw.network import Behaviour, Network, Pool, run_network
from snnhw.network import Conv as FloatConv
from snnhw.network import Linear as FloatLinear
from snnhw.network import Neuron as FloatNeuron
from snnhw.reference import run

nir, h5py = pytest.importorskip("nir"), pytest.importorskip("h5py")
RNG = np.random.default_rng(3)


@pytest.fixture(autouse=True)
def in_process(monkeypatch):
    monkeypatch.setattr("snnhw.frontend.nir_file.read_tree", unpacked)


def rich():
    """Return a graph with every kind of node."""
    return Graph("rich / 網", (
        Input("in", (), (2, 6, 5), Encoding("direct", 3), 0, 3),
        Conv("a/b", ("in",), RNG.integers(-8, 8, (4, 1, 3, 2)), 4, Window((3, 2), (1, 1), (1, 1), (1, 1)), 2),
        Neuron("n%", ("a/b",), NeuronSpec(5, Decay("mul", 4, RNG.integers(0, 17, 144)), "subtract", 5, frac=2, bias=12, bits=20)),
        MaxPool("m", ("n%",), Window((2, 2), (2, 2))), SumPool("s", ("m",), Window((2, 2), (1, 1), (), (), (1, 2))),
        Scale("k", ("s",), RNG.integers(-8, 8, (4, 2, 1)), 4), Neuron("j", ("k",), NeuronSpec(3, reset="value", reset_amount=-2)),
        Flatten("f\x00", ("j",)), Delay(".", ("o",), (3,)), Linear("l", ("f\x00",), RNG.integers(-4, 4, (3, 8)), 3),
        Linear("r", (".",), RNG.integers(-4, 4, (3, 3)), 3),
        Neuron("o", ("l", "r"), NeuronSpec(5, Decay("shift", 3), "zero", synapse=Decay("shift", 2), bias=[3, 0, -7])),
        Linear("q", ("o",), RNG.integers(-4, 4, (2, 3)), 3),
        Neuron("p", ("q",), NeuronSpec(0, reset="none", output="state", bias=4)), Readout("out", ("p",), "membrane", "last")),
        9, {"from": "\"here\"\n"})


@given(graph=graphs(), data=st.data())
@settings(max_examples=60)
def test_graphs_come_back(tmp_path_factory, graph, data):
    path = tmp_path_factory.mktemp("nir") / "x.nir"
    write_nir(graph, path)
    assert read_nir(path) == graph
    assert {node.name for node in graph.nodes} == {node.name for node in read_nir(path).nodes}


def test_every_node_comes_back(tmp_path):
    graph = rich()
    write_nir(graph, tmp_path / "x.nir")
    assert read_nir(tmp_path / "x.nir") == graph


def test_bytes_are_the_same_each_time(tmp_path):
    graph = rich()
    for name in "ab":
        write_nir(graph, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_other_tools_find_a_valid_graph(tmp_path):
    weight = RNG.integers(-8, 8, (3, 4))
    graph = Graph("g", (Input("in", (), (4,)), Linear("fc", ("in",), weight, 4),
                        Neuron("lif", ("fc",), NeuronSpec(5, Decay("shift", 2), frac=3, bias=[8, 4, 0])),
                        Readout("out", ("lif",))), 3)
    write_nir(graph, tmp_path / "x.nir")
    found = nir.read(tmp_path / "x.nir")
    assert isinstance(found.nodes["fc"], nir.Affine)
    assert found.nodes["fc"].weight.tolist() == weight.tolist()
    assert found.nodes["fc"].bias.tolist() == [1, 0.5, 0]
    lif = found.nodes["lif"]
    assert np.allclose([1 - 1e-4 / lif.tau, lif.r * 1e-4 / lif.tau, lif.v_threshold, lif.v_reset, lif.v_leak],
                       [[0.75] * 3, [8.0] * 3, [4.5] * 3, [0.0] * 3, [0.0] * 3])
    nir.read(tmp_path / "x.nir", type_check=True)
    write_nir(rich(), tmp_path / "y.nir")
    assert len(nir.read(tmp_path / "y.nir", type_check=False).nodes) == len(rich().nodes) + 1


def test_the_nodes_alone_mean_the_same(tmp_path):
    """Without metadata a network with exact decays and resets of the standard spikes alike, max pooling included."""
    graph = Graph("g", (
        Input("in", (), (1, 4, 4)), Conv("c", ("in",), RNG.integers(-2, 8, (2, 1, 3, 3)), 4, Window((3, 3), (), (1, 1))),
        Neuron("n", ("c",), NeuronSpec(9, bits=20)), MaxPool("m", ("n",), Window((2, 2), (2, 2))), Flatten("f", ("m",)),
        Linear("l", ("f",), RNG.integers(-4, 8, (3, 8)), 4),
        Neuron("o", ("l",), NeuronSpec(6, reset="value", reset_amount=-1, bias=1)),
        Readout("out", ("o",))), 40)
    write_nir(graph, tmp_path / "x.nir")
    network = read_nir(tmp_path / "x.nir", NirChoices(dt=1e-4, metadata="ignore"))
    spikes = RNG.random((3, 40, 16)) < 0.3
    expected = run(graph, spikes).output_spikes
    trace = run_network(network, spikes)
    assert expected.any()
    assert np.array_equal(trace.spikes[trace.output], expected)


def test_float_networks_come_back(tmp_path):
    behaviour = Behaviour(RNG.random(8), 1.25, ">=", "subtract", 1.25, "next", alpha=0.5, rounding="zero")
    network = Network("n", (
        Input("in", (), (1, 4, 4)),
        FloatConv("c", ("in",), RNG.normal(size=(2, 1, 2, 2)), RNG.normal(size=2), Window((2, 2), (2, 2))),
        Pool("a", ("c",), "average", Window((1, 1))), FloatNeuron("n", ("a",), behaviour), Flatten("f", ("n",)),
        FloatLinear("l", ("f",), RNG.normal(size=(3, 8)), RNG.normal(size=3)),
        FloatNeuron("o", ("l",), Behaviour(0.9, reset="none", output="state")), Readout("out", ("o",), "membrane", "max")),
        7, {"dt": "1"})
    write_nir(network, tmp_path / "x.nir")
    found = read_nir(tmp_path / "x.nir")
    assert isinstance(found, Network)
    assert str(found) == str(network)
    spikes = RNG.random((2, 7, 16)) < 0.5
    left, right = run_network(network, spikes), run_network(found, spikes)
    assert all(np.array_equal(left.membranes[name], right.membranes[name]) for name in ("n", "o"))


def changed(path, change):
    with h5py.File(path, "r+") as file:
        change(file["node"])


@pytest.mark.parametrize(("change", "sentence"), [
    (lambda node: node["nodes/l/weight"].write_direct(np.ones((3, 8), np.float32)), "layer 'l': was changed"),
    (lambda node: node["nodes/o/tau_mem"].__setitem__(0, 1.0), "layer 'o': was changed"),
    (lambda node: node["nodes"].move("q", "z"), "edge "),
    (lambda node: node["edges"].__setitem__((0, 0), "in"), "the edges were changed"),
])
def test_edited_files_are_told(tmp_path, change, sentence):
    write_nir(rich(), tmp_path / "x.nir")
    changed(tmp_path / "x.nir", change)
    with pytest.raises(NetworkError, match=f"^{sentence}"):
        read_nir(tmp_path / "x.nir")


@pytest.mark.parametrize(("node", "sentence"), [
    (Conv("c", ("in",), np.ones((1, 1, 2, 2), int), 2, Window((2, 2), (1, 1), (1, 0), (0, 1))),
     "layer 'c' (Conv2d, 1 → 1, 2x2): NIR has no padding that differs between the two sides, but for 'same'"),
    (Conv("c", ("in", "in"), np.ones((1, 1, 1, 1), int), 2, Window((1, 1))),
     "layer 'c' (Conv2d, 1 → 1, 1x1): must read each layer once to be written as NIR"),
])
def test_what_nir_cannot_say(tmp_path, node, sentence):
    graph = Graph("g", (Input("in", (), (1, 3, 3)), node, Neuron("n", ("c",), NeuronSpec(1)), Readout("out", ("n",))), 1)
    with pytest.raises(NetworkError, match=f"^{re.escape(sentence)}$"):
        write_nir(graph, tmp_path / "x.nir")
    assert not (tmp_path / "x.nir").exists()


def test_bias_before_a_synapse_needs_weights(tmp_path):
    graph = Graph("g", (Input("in", (), (2,)), Scale("k", ("in",), 3, 4),
                        Neuron("n", ("k",), NeuronSpec(5, synapse=Decay(), bias=1)), Readout("out", ("n",))), 1)
    with pytest.raises(NetworkError, match=r"^layer 'n' \(Neuron\): NIR has no bias before a synaptic current, unless a Linear "
                                           r"or Conv drives these neurons alone$"):
        write_nir(graph, tmp_path / "x.nir")


def test_export_of_snntorch(tmp_path):
    """A network as in snntorch's tutorials, exported by snntorch: its reset is lost, and its spikes come back with the reset."""
    torch, snn = pytest.importorskip("torch"), pytest.importorskip("snntorch")
    export = pytest.importorskip("snntorch.export_nir")
    torch.manual_seed(5)
    module = torch.nn.Sequential(
        torch.nn.Linear(6, 8), snn.Leaky(beta=torch.full((8,), 0.9), threshold=torch.ones(8), init_hidden=True),
        torch.nn.Linear(8, 3), snn.Leaky(beta=torch.full((3,), 0.8), threshold=torch.ones(3), init_hidden=True, output=True))
    with torch.no_grad():
        module[0].weight.mul_(3)
        module[2].weight.mul_(3)
    nir.write(tmp_path / "x.nir", export.export_to_nir(module, torch.zeros(6)))
    with pytest.raises(NetworkError, match=r"snntorch \(the file looks like it.*give reset = 'subtract' \(snntorch's default\)"):
        read_nir(tmp_path / "x.nir")
    network = read_nir(tmp_path / "x.nir", NirChoices(reset="subtract"))
    assert network.choices["reset_time"] == "next, default for snntorch"
    spikes = RNG.random((4, 50, 6)) < 0.5
    for layer in (module[1], module[3]):
        layer.reset_mem()
    with torch.no_grad():
        expected = np.stack([module(torch.tensor(spikes[:, step], dtype=torch.float32))[0].numpy() for step in range(50)], 1)
    trace = run_network(network, spikes)
    assert expected.sum() > 50
    assert np.array_equal(trace.spikes[trace.output], expected > 0)

"""``snnhw import``: networks of other tools, in floats and in integers, and what it refuses."""

import json
import re

import numpy as np
import pytest
import torch
from snnhw_run import make_graph

from snnhw import ir
from snnhw.cli.runs import open_run
from snnhw.errors import UsageError
from snnhw.files import read_tensors, write_tensors
from snnhw.network import Behaviour, Conv, Linear, Network, Neuron, Pool, run_network
from snnhw.reference import run

pytest.importorskip("nir")
RNG = np.random.default_rng(5)


def make_network():
    """Return a float network of a convolution, a pooling and a linear map, on signed events."""
    fire = Behaviour(1.0, 1.0, ">", "subtract", 1.0)
    return Network("floats", (
        ir.Input("in", (), (2, 4, 4), lowest=-1), Conv("conv", ("in",), RNG.normal(size=(3, 2, 3, 3)), None, ir.Window((3, 3))),
        Neuron("if1", ("conv",), fire), Pool("pool", ("if1",), "sum", ir.Window((2, 2))), ir.Flatten("flat", ("pool",)),
        Linear("fc", ("flat",), RNG.normal(size=(4, 3)), RNG.normal(size=4)), Neuron("if2", ("fc",), fire),
        ir.Readout("out", ("if2",))), 9)


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """Return a folder with a float network, a graph of integers, and samples of both."""
    from snnhw.frontend import write_nir
    folder = tmp_path_factory.mktemp("sources")
    network = make_network()
    write_nir(network, folder / "floats.nir")
    values = RNG.integers(-1, 2, (8, 9, 2, 4, 4)).astype(np.int8)
    labels = run_network(network, values).decisions
    write_tensors(folder / "events.safetensors", {"values": values, "labels": labels})
    write_nir(make_graph(), folder / "integers.nir")
    values = RNG.integers(0, 17, (5, 9)).astype(np.uint8)
    write_tensors(folder / "still.safetensors", {"values": values, "labels": np.arange(5) % 3})
    return folder


def test_a_float_network_becomes_a_run_folder(snnhw, sources, tmp_path):
    done = snnhw("import", sources / "floats.nir", "--samples", sources / "events.safetensors", "--out", tmp_path / "run",
                 "--bits", 12, "--layer-bits", "fc=16", "--per-channel", "--json")
    assert (done.code, done.err) == (0, "")
    record = json.loads(done.out)
    assert json.loads((tmp_path / "run" / "import.json").read_text()) == record
    results = record["results"]
    assert results["accuracy"]["float"] == 1.0
    assert results["values"] == [-1, 1]
    rows = results["quantization"]["layers"]
    assert [(row["name"], row["weight_bits"], row["scales"]) for row in rows] == [("conv", 12, 3), ("fc", 16, 4)]
    graph = ir.load_graph(tmp_path / "run" / "graph.safetensors")
    assert graph.timesteps == 9
    assert isinstance(graph["pool"], ir.SumPool)
    values = read_tensors(tmp_path / "run" / "samples.safetensors", "samples")[0]["values"]
    assert (values.dtype, values.shape) == (np.int8, (8, 9, 32))
    spikes, labels = open_run(tmp_path / "run").samples(3)
    assert run(graph, spikes).decisions.shape == labels.shape == (3,)


def test_tables_name_layers_behaviours_and_formats(snnhw, sources, tmp_path):
    done = snnhw("import", sources / "floats.nir", "--samples", sources / "events.safetensors", "--out", tmp_path / "run",
                 "--check", 3, "--calibrate", 2)
    assert (done.code, done.err) == (0, "")
    for pattern in (r"conv +Conv2d, 2 → 3, 3x3 +in +3x2x2", r"if1 +Neuron +conv +3x2x2 +threshold subtracted, at once",
                    r"fc +Linear, 3 → 4 +8 +1 ", r"if2 +4 +v ", r"test samples +3", r"input +2x4x4, events",
                    r"accuracy, integer"):
        assert re.search(pattern, done.out), (pattern, done.out)


def test_a_graph_of_integers_stays_as_it_is(snnhw, sources, tmp_path):
    done = snnhw("import", sources / "integers.nir", "--samples", sources / "still.safetensors", "--timesteps", 6,
                 "--out", tmp_path / "run", "--json")
    assert (done.code, done.err) == (0, "")
    assert json.loads(done.out)["results"]["quantization"] == {}
    graph = ir.load_graph(tmp_path / "run" / "graph.safetensors")
    assert graph["fc1"].weight.tolist() == make_graph()["fc1"].weight.tolist()
    assert graph.input.encoding == ir.Encoding("accumulate", 16)
    assert snnhw("inspect", tmp_path / "run").code == 0


def test_the_value_of_a_choice_may_hold_the_sign(snnhw, sources, tmp_path):
    events = "--samples", sources / "events.safetensors"
    done = snnhw("import", sources / "floats.nir", *events, "--out", tmp_path / "run", "--choose", "metadata=ignore",
                 "--choose", "compare=>=", "--json")
    assert (done.code, done.err) == (0, "")
    results = json.loads(done.out)["results"]
    assert results["reading"] == {"timesteps": 9, "metadata": "ignore", "compare": ">="}
    done = snnhw("import", sources / "floats.nir", *events, "--out", tmp_path / "other", "--layer-bits", "f=c=4")
    assert done.err == "error: quantization weight_bits names 'f=c', layers with weights are 'conv', 'fc'\n"


MODEL = """
import snntorch as snn
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = torch.nn.Linear(6, 3)
        self.lif = snn.Leaky(beta=0.875)

    def forward(self, x):
        mem, spikes = self.lif.init_leaky(), []
        for step in x:
            spike, mem = self.lif(self.fc(step), mem)
            spikes.append(spike)
        return torch.stack(spikes)
"""
RECIPE = """
data = "../pixels.safetensors"
timesteps = 5
[encoding]
kind = "direct"
levels = 9
[quantize]
weight_bits = 6
"""


def write_model(folder):
    """Write a model folder with a recipe, and its data beside it."""
    folder.mkdir()
    (folder / "model.py").write_text(MODEL)
    (folder / "recipe.toml").write_text(RECIPE)
    values, labels = RNG.integers(0, 10, (8, 6)).astype(np.uint8), np.arange(8) % 3
    values[0, 0] = 9
    write_tensors(folder / "../pixels.safetensors", {"train_values": values, "train_labels": labels,
                                                     "test_values": values[:4], "test_labels": labels[:4]})
    states = {"fc.weight": RNG.normal(size=(3, 6)) / 9, "fc.bias": np.zeros(3), "lif.beta": np.float64(0.875),
              "lif.threshold": np.float64(1)}
    torch.save({name: torch.tensor(value, dtype=torch.float32) for name, value in states.items()}, folder / "net.pt")
    return folder


@pytest.mark.parametrize(("options", "timesteps", "encoding", "bits"), [
    ((), 5, ir.Encoding("direct", 9), 6),
    (("--timesteps", 7, "--encoding", "accumulate", "--bits", 9), 7, ir.Encoding("accumulate", 9), 9),
], ids=["alone", "overruled"])
def test_the_recipe_of_a_folder_says_what_is_not_given(snnhw, tmp_path, options, timesteps, encoding, bits):
    folder = write_model(tmp_path / "mine")
    done = snnhw("import", folder, "--out", tmp_path / "run", "--json", *options)
    assert (done.code, done.err) == (0, "")
    graph = ir.load_graph(tmp_path / "run" / "graph.safetensors")
    assert (graph.timesteps, graph.input.encoding, graph["fc"].weight_bits) == (timesteps, encoding, bits)
    assert graph.input.highest == (9 if encoding.kind == "direct" else 1)


FLOATS, EVENTS = "{folder}/floats.nir", ["--samples", "{folder}/events.safetensors"]


@pytest.mark.parametrize(("arguments", "message"), [
    ([FLOATS], r"samples must be given, by --samples or by --data"),
    ([FLOATS, *EVENTS, "--data", "mnist"], r"samples must be given, by --samples or by --data, not by both"),
    (["{folder}/nothing.nir", *EVENTS], r"network '.*nothing\.nir' does not exist"),
    ([FLOATS, *EVENTS, "--bits", "17"], r"quantization weight_bits must be between 2 and 16, not 17"),
    ([FLOATS, *EVENTS, "--method", "best"], r"quantization method must be minmax, percentile or mse, not 'best'"),
    ([FLOATS, *EVENTS, "--layer-bits", "fc"], r"--layer-bits must be NAME=VALUE, not 'fc'"),
    ([FLOATS, *EVENTS, "--layer-bits", "fc=two"], r"--layer-bits must be a whole number, not 'two'"),
    ([FLOATS, *EVENTS, "--layer-bits", "fc9=4"],
     r"quantization weight_bits names 'fc9', layers with weights are 'conv', 'fc'"),
    ([FLOATS, *EVENTS, "--state-bits", "4"],
     r"layer 'if1' \(Neuron\): threshold, start and reset need \d+ bits, and the state has 4; use more state bits, or fewer "
     r"weight bits(.|\n)*"),
    ([FLOATS, *EVENTS, "--encoding", "rate"], r"--encoding must be left out for samples that are events, not 'rate'"),
    ([FLOATS, *EVENTS, "--encoding", "morse"], r"--encoding must be accumulate, rate or direct, not 'morse'"),
    ([FLOATS, *EVENTS, "--check", "0"], r"--check must be at least 1, not 0"),
    ([FLOATS, "--samples", "{folder}/still.safetensors"],
     r"--timesteps must be given, because the samples have none"),
    ([FLOATS, "--samples", "{folder}/still.safetensors", "--timesteps", "4"],
     r"samples 'still' must have 32 inputs, as the network has, not 9"),
    ([FLOATS, *EVENTS, "--timesteps", "10"], r"timesteps must be between 1 and the 9 of the samples 'events', not 10"),
    ([FLOATS, *EVENTS, "--choose", "timesteps=3"], r"choice 'timesteps' must be given by --timesteps"),
    ([FLOATS, "--samples", FLOATS], r"recipe data must be .* or a \.safetensors or \.py file, not '.*floats\.nir'"),
])
def test_refuses(snnhw, sources, tmp_path, arguments, message):
    done = snnhw("import", *(word.format(folder=sources) for word in arguments), "--out", tmp_path / "run")
    assert re.fullmatch(rf"error: {message}\n", done.err), done.err
    assert (done.code, done.out) == (2, "")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("values", "options", "message"), [
    (np.array([[0, 3, -1]]), (), "samples 'made' must have values between 0 and 65535, as still samples, not -1 to 3"),
    (np.array([[0, 3, 65536]]), (), "samples 'made' must have values between 0 and 65535, as still samples, not 0 to 65536"),
    (np.array([[0, 3, 1 << 63]], np.uint64), (),
     "samples 'made' must have values between 0 and 65535, as still samples, not 0 to 9223372036854775808"),
    (np.array([[0, 3, 32769]]), ("--encoding", "direct"),
     "samples 'made' must have values of at most 32768 for --encoding direct, not 32769"),
    (np.array([[[0, 3, 32769]]]), (), "samples 'made' must have values between -32768 and 32768, as events, not 0 to 32769"),
    (np.array([[[0, 3, -32769]]]), (), "samples 'made' must have values between -32768 and 32768, as events, not -32769 to 3"),
    (np.array([[[0, 3, (1 << 32) + 1]]]), (),
     "samples 'made' must have values between -32768 and 32768, as events, not 0 to 4294967297"),
    (np.array([[[0, 3, (1 << 64) - 1]]], np.uint64), (),
     "samples 'made' must have values between -32768 and 32768, as events, not 0 to 18446744073709551615"),
])
def test_refuses_values_that_no_input_takes(snnhw, sources, tmp_path, values, options, message):
    """In samples that are not measured, too."""
    size = 32 if values.ndim == 3 else 9
    values = np.pad(values, [(1, 1)] + [(0, 0)] * (values.ndim - 2) + [(0, size - 3)])
    write_tensors(tmp_path / "made.safetensors", {"values": values, "labels": np.zeros(3, np.int64)})
    options = [*options] if values.ndim == 3 else ["--timesteps", 4, *options]
    source = sources / ("floats.nir" if values.ndim == 3 else "integers.nir")
    done = snnhw("import", source, "--samples", tmp_path / "made.safetensors", "--check", 1, "--calibrate", 1, *options,
                 "--out", tmp_path / "run")
    assert (done.code, done.out, done.err) == (2, "", f"error: {message}\n")


@pytest.mark.parametrize(("kind", "lowest", "highest"), [(np.int32, -32768, 32768), (np.uint64, 0, 32768), (bool, 0, 1)])
def test_takes_events_as_far_as_they_go(snnhw, sources, tmp_path, kind, lowest, highest):
    values = np.zeros((2, 9, 32), kind)
    values[0, 4, 5], values[1, 2, 7] = lowest, highest
    write_tensors(tmp_path / "wide.safetensors", {"values": values, "labels": np.zeros(2, np.int64)})
    done = snnhw("import", sources / "floats.nir", "--samples", tmp_path / "wide.safetensors", "--out", tmp_path / "run",
                 "--json")
    assert (done.code, done.err) == (0, "")
    assert json.loads(done.out)["results"]["values"] == [min(-1, lowest), highest]
    assert open_run(tmp_path / "run").samples()[0].tolist() == values.tolist()


def test_fewer_timesteps_cut_the_events(snnhw, sources, tmp_path):
    done = snnhw("import", sources / "floats.nir", "--samples", sources / "events.safetensors", "--out", tmp_path / "run",
                 "--timesteps", 5, "--json")
    assert (done.code, done.err) == (0, "")
    results = json.loads(done.out)["results"]
    assert (results["timesteps"], results["reading"]) == (5, {"timesteps": 5})
    assert ir.load_graph(tmp_path / "run" / "graph.safetensors").timesteps == 5
    every = read_tensors(sources / "events.safetensors", "samples")[0]["values"].reshape(8, 9, 32)
    assert read_tensors(tmp_path / "run" / "samples.safetensors", "samples")[0]["values"].tolist() == every[:, :5].tolist()


def test_fewer_timesteps_cut_the_events_of_a_program(sources, tmp_path):
    from snnhw.ptq.flow import import_model, load_samples
    samples = load_samples(sources / "events.safetensors", timesteps=None, calibrate=4, count=None)
    results = import_model(sources / "floats.nir", tmp_path / "run", samples, timesteps=5)
    assert (results["timesteps"], results["reading"]) == (5, {"timesteps": 5})
    with pytest.raises(UsageError, match=r"^timesteps must be between 1 and the 9 of the samples 'events', not 10$"):
        import_model(sources / "floats.nir", tmp_path / "other", samples, timesteps=10)

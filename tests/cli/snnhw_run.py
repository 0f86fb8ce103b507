"""A small network, as torch code and lowered, and the command line called in this process."""

import importlib.util
from dataclasses import dataclass

import numpy as np
import pytest

from snnhw.cli.app import run
from snnhw.files import write_tensors
from snnhw.ir import Decay, Encoding, Graph, Input, Linear, Neuron, NeuronSpec, Readout, save_graph


@dataclass(frozen=True)
class Outcome:
    """What a command did."""

    code: int
    out: str
    err: str


@pytest.fixture
def snnhw(capfd, monkeypatch):
    """Return a function that runs one command; arguments may be anything that has a text form."""
    def call(*arguments):
        words = [str(argument) for argument in arguments]
        monkeypatch.setattr("sys.argv", ["snnhw", *words])
        code = run(words)
        captured = capfd.readouterr()
        return Outcome(code, captured.out, captured.err)
    return call


def make_graph(*, inputs=9, hidden=7, outputs=3, timesteps=6, lanes_name="hidden"):
    """Return a two-layer network of leaky neurons with fixed random weights."""
    generator = np.random.default_rng(1)

    def weights(neurons, sources):
        return generator.integers(-7, 8, (neurons, sources))

    return Graph("small", (
        Input("pixels", (), (inputs,), Encoding("accumulate", 16, 1)),
        Linear("fc1", ("pixels",), weights(hidden, inputs), 4),
        Neuron(lanes_name, ("fc1",), NeuronSpec(9, Decay("shift", 2), "subtract", 9, bits=8)),
        Linear("fc2", (lanes_name,), weights(outputs, hidden), 4),
        Neuron("classes", ("fc2",), NeuronSpec(8, Decay("shift", 3), "zero", bits=8)),
        Readout("decision", ("classes",)),
    ), timesteps)


def write_run(folder, graph, samples=6):
    """Write what `snnhw lower` leaves in a run folder."""
    generator = np.random.default_rng(2)
    values = generator.integers(0, graph.input.encoding.levels + 1, (samples, *graph.input.shape)).astype(np.uint8)
    save_graph(graph, folder / "graph.safetensors")
    write_tensors(folder / "samples.safetensors", {"values": values, "labels": generator.integers(0, 3, samples)})


MODEL = """
import snntorch as snn
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(64, 12)
        self.lif1 = {neuron}
        self.fc2 = nn.Linear(12, 10)
        self.lif2 = snn.Leaky(beta=0.875)

    def forward(self, x):
        state1, state2, spikes = ({states}), (self.lif2.init_leaky(),), []
        for step in range(x.size(0)):
            spk1, *state1 = self.lif1({current}, *state1)
            spk2, *state2 = self.lif2(self.fc2(spk1), *state2)
            spikes.append(spk2)
        return torch.stack(spikes)
"""
RECIPE = """
data = "digits"
timesteps = {timesteps}
encoding = {{ kind = "accumulate", levels = 16 }}
quantize = {{ weight_bits = {weight_bits} }}
"""


def write_model(folder, *, neuron="snn.Leaky(beta=0.875)", states=1, current="self.fc1(x[step])", timesteps=4, weight_bits=4):
    """Write a model folder with an untrained checkpoint; return its path."""
    import torch
    folder.mkdir()
    text = MODEL.format(neuron=neuron, current=current, states="torch.zeros(1), " * states)
    (folder / "model.py").write_text(text)
    (folder / "recipe.toml").write_text(RECIPE.format(timesteps=timesteps, weight_bits=weight_bits))
    namespace = load_module(folder / "model.py")
    torch.manual_seed(0)
    parameters = {name: tensor.numpy() for name, tensor in namespace.Net().state_dict().items()}
    write_tensors(folder / "checkpoint.safetensors", parameters)
    return folder


def load_module(path):
    """Import a file that is on no path."""
    spec = importlib.util.spec_from_file_location("written_model", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def run_folder(tmp_path):
    """Return a run folder with a lowered network and its samples."""
    write_run(tmp_path / "run", make_graph())
    return tmp_path / "run"

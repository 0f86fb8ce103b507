"""A small lowered network, and the command line called in this process."""

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


@pytest.fixture
def run_folder(tmp_path):
    """Return a run folder with a lowered network and its samples."""
    write_run(tmp_path / "run", make_graph())
    return tmp_path / "run"

"""The commands on networks that are no chains of dense layers."""

import json

import numpy as np
import pytest
from example_graphs import example_graph, spikes_of

from snnhw.files import write_tensors
from snnhw.ir import Conv, Decay, Flatten, Graph, Input, Linear, Neuron, NeuronSpec, Readout, SumPool, Window, save_graph


def write_example(folder, graph, samples):
    """Write a run folder of a graph with events."""
    folder.mkdir()
    save_graph(graph, folder / "graph.safetensors")
    values = spikes_of(graph, samples).astype(np.int8)
    write_tensors(folder / "samples.safetensors", {"values": values, "labels": np.zeros(samples, np.int64)})


def graded_conv_graph():
    """Return a convolution over inputs from -3 to 7, whose class is that of the largest state."""
    rng = np.random.default_rng(6)
    return Graph("graded-conv", (
        Input("frames", (), (2, 6, 5), lowest=-3, highest=7),
        Conv("conv", ("frames",), rng.integers(-3, 8, (3, 2, 3, 3)), 4, Window((3, 3), (1, 1), (1, 1))),
        Neuron("maps", ("conv",), NeuronSpec(90, Decay("shift", 2), bits=12)),
        SumPool("pool", ("maps",), Window((2, 2), (2, 2))), Flatten("flat", ("pool",)),
        Linear("fc", ("flat",), rng.integers(-7, 8, (4, 18)), 4),
        Neuron("last", ("fc",), NeuronSpec(0, Decay("shift", 2), "none", bits=12, output="state")),
        Readout("class", ("last",), "membrane", "max")), 5)


@pytest.mark.parametrize("command", ["inspect", "estimate", "report"])
def test_convolution_of_graded_inputs_to_states(snnhw, tmp_path, command):
    write_example(tmp_path / "run", graded_conv_graph(), 3)
    assert command != "report" or snnhw("estimate", tmp_path / "run", "--board", "ulx3s-85f").code == 0
    done = snnhw(command, tmp_path / "run", *(["--board", "ulx3s-85f"] if command == "estimate" else []))
    assert (done.code, done.err) == (0, "")
    assert {"inspect": "maps", "estimate": "cycles per sample", "report": "report.html"}[command] in done.out


@pytest.mark.parametrize("name", ["conv", "recurrent", "graded"])
def test_estimate_says_what_is_estimated(snnhw, tmp_path, name):
    graph = example_graph(name)
    folder = tmp_path / "run"
    write_example(folder, graph, 3)
    done = snnhw("estimate", folder, "--board", "ulx3s-85f", "--lanes", 2)
    assert (done.code, done.err) == (0, "")
    assert "estimated" not in done.out.split("Area")[0]  # cycles are exact, of every network
    assert "not calibrated" not in done.out
    results = json.loads((folder / "estimate.json").read_text())["results"]
    assert results["area"]["calibrated"] is True
    assert results["area"]["fmax_mhz"] is not None


def test_estimate_says_where_no_such_network_was_measured(snnhw, tmp_path):
    write_example(tmp_path / "run", example_graph("conv"), 3)
    done = snnhw("estimate", tmp_path / "run", "--board", "tang-nano-9k", "--lanes", 2)
    assert done.code == 0
    assert "Area, before synthesis, not calibrated for this kind of network" in " ".join(done.out.split())
    results = json.loads((tmp_path / "run" / "estimate.json").read_text())["results"]
    assert (results["area"]["calibrated"], results["area"]["fmax_mhz"]) == (False, None)


def test_estimate_says_what_is_exact(snnhw, run_folder):
    done = snnhw("estimate", run_folder)
    assert done.code == 0
    assert "estimated" not in done.out.split("Area")[0]
    results = json.loads((run_folder / "estimate.json").read_text())["results"]
    assert (results["cycles"]["label"], results["area"]["calibrated"]) == ("exact", True)


def test_hardware_of_any_graph_is_verified_and_measured(snnhw, tmp_path):
    graph = example_graph("conv")
    folder = tmp_path / "run"
    write_example(folder, graph, 2)
    assert snnhw("inspect", folder).code == 0
    assert snnhw("generate", folder, "--out", folder / "hw", "--samples", 1, "--lanes", 2).code == 0
    assert snnhw("verify", folder / "hw", "--simulator", "native").code == 0
    assert snnhw("energy", folder).code == 0  # by default all, as there are fewer than 50
    verified = json.loads((folder / "verify.json").read_text())["results"]["simulators"]["native"]
    assert (verified["cycle_counts"], verified["spike_mismatches"], verified["access_mismatches"]) == (2, 0, 0)
    assert verified["access_counts"] > 0
    identity = json.loads((folder / "energy.json").read_text())["results"]["count_identity"]
    assert identity["compared"] == verified["access_counts"] + verified["cycle_counts"]
    assert identity["different"] == 0
    assert snnhw("report", folder).code == 0

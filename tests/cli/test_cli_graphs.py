"""The commands on networks that are no chains of dense layers."""

import json

import numpy as np
import pytest
from example_graphs import example_graph, spikes_of

from snnhw.files import write_tensors
from snnhw.ir import save_graph


@pytest.mark.parametrize("name", ["conv", "recurrent", "graded"])
def test_estimate_says_what_is_estimated(snnhw, tmp_path, name):
    graph = example_graph(name)
    folder = tmp_path / "run"
    folder.mkdir()
    save_graph(graph, folder / "graph.safetensors")
    values = spikes_of(graph, 3)
    write_tensors(folder / "samples.safetensors", {"values": values.astype(np.int8), "labels": np.zeros(3, np.int64)})
    done = snnhw("estimate", folder, "--board", "ulx3s-85f", "--lanes", 2)
    assert (done.code, done.err) == (0, "")
    assert "cycles per sample, estimated" in done.out
    assert "µs per sample, estimated" in done.out
    assert "Area, before synthesis, not calibrated for cores with lists" in " ".join(done.out.split())
    results = json.loads((folder / "estimate.json").read_text())["results"]
    assert results["cycles"]["label"] == results["microseconds"]["label"] == "estimated"
    assert results["area"]["calibrated"] is False
    assert results["area"]["fmax_mhz"] is None


def test_estimate_says_what_is_exact(snnhw, run_folder):
    done = snnhw("estimate", run_folder)
    assert done.code == 0
    assert "estimated" not in done.out.split("Area")[0]
    results = json.loads((run_folder / "estimate.json").read_text())["results"]
    assert (results["cycles"]["label"], results["area"]["calibrated"]) == ("exact", True)


def test_hardware_of_any_graph_is_verified_and_measured(snnhw, tmp_path):
    graph = example_graph("conv")
    folder = tmp_path / "run"
    folder.mkdir()
    save_graph(graph, folder / "graph.safetensors")
    values = spikes_of(graph, 2)
    write_tensors(folder / "samples.safetensors", {"values": values.astype(np.int8), "labels": np.zeros(2, np.int64)})
    assert snnhw("inspect", folder).code == 0
    assert snnhw("generate", folder, "--out", folder / "hw", "--samples", 1, "--lanes", 2).code == 0
    assert snnhw("verify", folder / "hw", "--simulator", "native").code == 0
    assert snnhw("energy", folder, "--samples", 2).code == 0
    verified = json.loads((folder / "verify.json").read_text())["results"]["simulators"]["native"]
    assert (verified["cycle_counts"], verified["spike_mismatches"], verified["access_mismatches"]) == (0, 0, 0)
    assert verified["access_counts"] > 0
    identity = json.loads((folder / "energy.json").read_text())["results"]["count_identity"]
    assert identity["compared"] == verified["access_counts"]
    assert identity["different"] == 0
    assert snnhw("report", folder).code == 0

"""``snnhw encodings``: what it prints is what it records, and no loss is called a saving."""

import json
import re

import numpy as np
import pytest
from example_graphs import example_graph
from test_cli_graphs import write_example

from snnhw.cost.workload import load_workloads
from snnhw.files import read_json
from snnhw.ir import load_graph, save_graph


def sparse(folder, kept=0.1):
    """Prune the first layer of a run folder, and return its graph."""
    from dataclasses import replace
    graph = load_graph(folder / "graph.safetensors")
    first = graph["fc1"]
    weight = np.where(np.random.default_rng(0).random(first.weight.shape) < kept, first.weight, 0)
    nodes = tuple(replace(node, weight=weight) if node.name == "fc1" else node for node in graph.nodes)
    graph = replace(graph, nodes=nodes)
    save_graph(graph, folder / "graph.safetensors")
    return graph


def test_says_what_pays_and_what_does_not(snnhw, run_folder):
    graph = sparse(run_folder)
    done = snnhw("encodings", run_folder)
    assert (done.code, done.err) == (0, "")
    results = read_json(run_folder / "encodings.json", "record")["results"]
    first, second = results["layers"]
    assert (first["layer"], second["layer"]) == ("fc1", "fc2")
    assert (second["best"], second["saving"]) == ("dense", 0)
    assert first["saving"] == pytest.approx(1 - first["encodings"][0]["exact_bits"] / (graph["fc1"].weight.size * 4))
    text = " ".join(done.out.split())
    assert f"{first['best']} saves {first['saving']:.1%}" in text
    assert re.search(r"fc2: 3x7 weights of 4 bits, density [01]\.\d{3}; nothing saves", text)
    assert results["best_bits"] < results["dense_bits"]
    assert "model" not in results


def test_models_energy_with_each_format(snnhw, run_folder):
    done = snnhw("encodings", run_folder, "--model", "onchip45", "--samples", 3, "--activity", "worst", "--json")
    results = json.loads(done.out)["results"]
    assert done.code == 0
    assert results["samples"] == 3
    model = results["model"]
    assert (model["architecture"], model["activity"]) == ("onchip45", "worst")
    energies = {row["format"]: row["energy_pj"] for row in model["formats"]}
    assert list(energies.values()) == sorted(energies.values())
    assert set(energies) == {"dense", "rle4", "cp", "bitmask", "ubm", "uop"}
    assert model["detail"]["energy_pj"] == energies[model["best"]] == pytest.approx(sum(model["detail"]["levels"].values()))
    for row in model["formats"]:
        assert row["pays"] == (row["of_dense"]["median"] < 1)
    shown = snnhw("encodings", run_folder, "--model", "onchip45", "--samples", 3, "--activity", "worst").out
    assert "energy per sample on Eyeriss-like array, all weights on chip, 45 nm, worst activity, modelled" in shown
    assert f"energy of each layer and level, weights {model['best']}" in shown


def test_names_do_not_reach_the_terminal_as_commands(snnhw, run_folder):
    from dataclasses import replace
    graph = load_graph(run_folder / "graph.safetensors")
    renamed = {"fc1": "\x1b[31m"}
    nodes = tuple(replace(node, name=renamed.get(node.name, node.name),
                          inputs=tuple(renamed.get(name, name) for name in node.inputs)) for node in graph.nodes)
    save_graph(replace(graph, nodes=nodes), run_folder / "graph.safetensors")
    done = snnhw("encodings", run_folder, "--model", "eyeriss45")
    assert done.code == 0
    assert "\x1b" not in done.out
    assert "\N{REPLACEMENT CHARACTER}[31m: 7x9 weights" in done.out


def test_writes_the_layers(snnhw, tmp_path):
    write_example(tmp_path / "run", example_graph("conv"), 3)
    done = snnhw("encodings", tmp_path / "run", "--layers", tmp_path / "layers.csv")
    assert (done.code, done.err) == (0, "")
    conv, fc = load_workloads(tmp_path / "layers.csv")
    assert (conv.name, conv.m, conv.p, conv.q, fc.c) == ("conv", 3, 6, 5, 18)


def test_timesteps_can_be_batched(snnhw, run_folder):
    energies = []
    for batch in (1, 6):
        done = snnhw("encodings", run_folder, "--model", "eyeriss45", "--time-batch", batch, "--json")
        energies.append({row["format"]: row["energy_pj"] for row in json.loads(done.out)["results"]["model"]["formats"]})
    assert all(energies[1][name] < energies[0][name] for name in energies[0])


@pytest.mark.parametrize(("arguments", "message"), [
    (["--model", "eyeriss"], "architecture must be one of eyeriss-ratios, eyeriss45, onchip45 or a .toml file, not 'eyeriss'"),
    (["--model", "eyeriss45", "--activity", "min"], "activity must be mean or worst, not 'min'"),
    (["--samples", "3"], "--samples and --time-batch must come with --model or --layers"),
    (["--model", "eyeriss45", "--samples", "7"], "--samples must be between 1 and the 6 of the run folder, not 7"),
])
def test_wrong_usage(snnhw, run_folder, arguments, message):
    done = snnhw("encodings", run_folder, *arguments)
    assert (done.code, done.out) == (2, "")
    assert re.fullmatch(rf"error: {re.escape(message)}\n", done.err)

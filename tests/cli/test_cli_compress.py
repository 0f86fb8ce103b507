"""``snnhw compress``: every section of a recipe on a network that is trained already, and where the run goes on."""

import json
import re

import numpy as np
import pytest
import torch
from snnhw_run import make_graph

from snnhw.errors import NetworkError
from snnhw.files import read_tensors, write_tensors
from snnhw.ir import Encoding, Input, Readout, Window, load_graph, save_graph
from snnhw.network import Behaviour, Conv, Linear, Network, Neuron, Pool
from snnhw.reference import run

pytest.importorskip("nir")

BASE = """
data = "data.safetensors"
timesteps = 6
seed = 2
batch = 16
[encoding]
kind = "direct"
levels = 4
[quantize]
weight_bits = 6
state_bits = 20
decay = "mul"
"""
ALL = BASE + """
[structure]
variance = 0.9
samples = 60
[convert]
epochs = 12
learning_rate = 0.02
[pretrain]
epochs = 4
learning_rate = 0.01
[temporal]
timesteps = [3, 1]
[noise]
sigmas = [0.5]
seeds = 2
[ptq]
bits = [8, 2]
[prune]
sparsity = 0.25
[finetune]
epochs = 2
"""


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """Return a folder with a NIR file of an untrained convolutional network, its data, and the recipes."""
    from snnhw.frontend import write_nir
    folder = tmp_path_factory.mktemp("compress")
    rng = np.random.default_rng(4)
    fire = Behaviour(0.9, 1.0, ">", "subtract", 1.0)
    write_nir(Network("given", (
        Input("image", (), (1, 6, 6), Encoding("direct", 4), 0, 4),
        Conv("conv", ("image",), rng.normal(size=(6, 1, 3, 3)), None, Window((3, 3), (1, 1), (1, 1))),
        Neuron("lif1", ("conv",), fire),
        Pool("pool", ("lif1",), "average", Window((3, 3), (3, 3))), *_head(rng, fire)), 6), folder / "given.nir")
    patterns = rng.integers(0, 5, (3, 36))
    arrays = {}
    for split, count in (("train", 120), ("test", 45)):
        labels = np.arange(count) % 3
        arrays[f"{split}_labels"] = labels
        arrays[f"{split}_values"] = np.clip(patterns[labels] + rng.integers(-1, 2, (count, 36)), 0, 4).astype(np.uint8)
    write_tensors(folder / "data.safetensors", arrays)
    (folder / "base.toml").write_text(BASE)
    (folder / "all.toml").write_text(ALL)
    return folder


def _head(rng, fire):
    from snnhw.ir import Flatten
    return (Flatten("flat", ("pool",)), Linear("fc", ("flat",), rng.normal(size=(3, 24))), Neuron("lif2", ("fc",), fire),
            Readout("out", ("lif2",)))


def test_every_section_of_a_recipe(snnhw, sources, tmp_path):
    out = tmp_path / "run"
    done = snnhw("compress", sources / "given.nir", "--recipe", sources / "all.toml", "--out", out)
    assert done.code == 0, done.err
    for text in ("Structure", "Network without spikes", "Fewer timesteps", "Noise on the input",
                 "Weights quantized without training", "Compressed given"):
        assert text in done.out
    results = json.loads((out / "compress.json").read_text())["results"]
    assert results["ok"]
    assert results["mismatches"]["spikes"] == results["mismatches"]["membranes"] == 0
    assert results["mismatches"]["spikes_compared"] == 45 * 1 * (results["structure"][0]["new_width"] * 36 + 3)
    assert results["parameters"]["after"] < results["parameters"]["before"] == 6 * 9 + 72
    assert [row["timesteps"] for row in results["temporal"]["curve"]] == [6, 3, 1]
    assert [row["bits"] for row in results["ptq"]] == [8, 2]
    assert len(results["noise"][0]["accuracy"]) == 2
    assert set(results["accuracy"]) == {"before", "narrow", "short", "quantized", "integer"}
    assert results["accuracy"]["integer"] > results["accuracy"]["before"]
    assert all(row["sparsity"] >= 0.2 for row in results["layers"])
    graph = load_graph(out / "graph.safetensors")
    assert graph.timesteps == results["timesteps"] == 1
    samples, _ = read_tensors(out / "samples.safetensors", "samples")
    decisions = run(graph, graph.input.encoding(samples["values"], 1)).decisions
    assert float((decisions == samples["labels"]).mean()) == results["accuracy"]["integer"]
    # The narrow float network is a file again, and the run goes on from the graph.
    again = snnhw("compress", out / "network.nir", "--recipe", sources / "base.toml", "--out", tmp_path / "again", "--json")
    assert again.code == 0, again.err
    second = json.loads(again.out)["results"]
    assert second["parameters"] == {"before": results["parameters"]["after"], "after": results["parameters"]["after"]}
    assert snnhw("estimate", out, "--json").code == 0


def test_without_training_structure_is_only_looked_at(snnhw, sources, tmp_path):
    path = sources / "look.toml"
    path.write_text(BASE + "[structure]\nvariance = 0.5\n")
    done = snnhw("compress", sources / "given.nir", "--recipe", path, "--out", tmp_path, "--json")
    assert done.code == 0, done.err
    results = json.loads(done.out)["results"]
    assert results["structure"][0]["new_width"] < 6
    assert results["parameters"] == {"before": 126, "after": 126}
    assert load_graph(tmp_path / "graph.safetensors").shapes["lif1"] == (6, 6, 6)


def test_what_no_nir_file_holds_is_refused_before_training(snnhw, sources, tmp_path, monkeypatch):
    from snnhw.compress import reduce

    def refuse(network, path):
        raise NetworkError("layer 'lif1' (Neuron): must be one that NIR knows")

    monkeypatch.setattr(reduce, "write_nir", refuse)
    monkeypatch.setattr(reduce, "finetune", lambda *args, **options: pytest.fail("it was trained"))
    done = snnhw("compress", sources / "given.nir", "--recipe", sources / "base.toml", "--out", tmp_path / "run")
    assert (done.code, done.err) == (2, "error: layer 'lif1' (Neuron): must be one that NIR knows\n")
    assert not (tmp_path / "run" / "graph.safetensors").exists()


MODEL = """
import snntorch as snn
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(36, 8)
        self.lif1 = snn.Leaky(beta=0.75)
        self.fc2 = nn.Linear(8, 3)
        self.lif2 = snn.Leaky(beta=0.75)

    def forward(self, x):
        mem1, mem2, record = self.lif1.init_leaky(), self.lif2.init_leaky(), []
        for step in range(x.size(0)):
            spk1, mem1 = self.lif1(self.fc1(x[step]), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            record.append(spk2)
        return torch.stack(record)
"""


def test_a_model_folder_has_its_own_recipe(snnhw, sources, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.py").write_text(MODEL)
    (folder / "recipe.toml").write_text(BASE)
    (folder / "data.safetensors").write_bytes((sources / "data.safetensors").read_bytes())
    missing = snnhw("compress", folder, "--out", tmp_path / "run")
    assert missing.code == 2
    assert re.match(r"error: model folder '.*' has no checkpoint\.safetensors; train it first with: snnhw train ", missing.err)
    torch.manual_seed(1)
    names = {}
    exec(MODEL, names)
    torch.save(names["Net"]().state_dict(), folder / "own.pt")
    done = snnhw("compress", folder, "--checkpoint", folder / "own.pt", "--out", tmp_path / "run", "--json")
    assert done.code == 0, done.err
    results = json.loads(done.out)["results"]
    assert results["model"] == "model"
    assert results["accuracy"]["quantized"] == results["accuracy"]["integer"]


def test_refuses_integers_and_other_data(snnhw, sources, tmp_path):
    from snnhw.frontend import write_nir
    save_graph(make_graph(), tmp_path / "graph.safetensors")
    write_nir(make_graph(), tmp_path / "graph.nir")
    done = snnhw("compress", tmp_path / "graph.nir", "--recipe", sources / "base.toml", "--out", tmp_path)
    assert done.code == 2
    assert re.fullmatch(r"error: network '.*graph\.nir' must be in real numbers to be compressed, and is a graph of integers\n",
                        done.err)
    other = sources / "other.toml"
    other.write_text(BASE.replace("data.safetensors", "other.safetensors"))
    rng = np.random.default_rng(0)
    write_tensors(sources / "other.safetensors", {
        "train_values": rng.integers(0, 5, (6, 9)).astype(np.uint8), "train_labels": np.arange(6) % 3,
        "test_values": rng.integers(0, 5, (6, 9)).astype(np.uint8), "test_labels": np.arange(6) % 3})
    done = snnhw("compress", sources / "given.nir", "--recipe", other, "--out", tmp_path)
    assert done.code == 2
    assert done.err == "error: layer 'image' (Input): must have 9 values as the data has, not 36\n"

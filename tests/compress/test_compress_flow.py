"""From a model folder to a checkpoint to a graph, on a data set small enough to learn in a second."""

import gzip
import re
import struct

import numpy as np
import pytest
import torch

from snnhw import reference
from snnhw.compress import flow
from snnhw.compress.data import load_dataset
from snnhw.compress.flow import load_model, lower_model, model_folder, train_model
from snnhw.errors import FileError, NetworkError, UsageError
from snnhw.files import read_tensors, write_tensors
from snnhw.ir import load_graph

MODEL = """
import snntorch as snn
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(12, 10)
        self.lif1 = snn.Leaky(beta=0.75)
        self.fc2 = nn.Linear(10, 3)
        self.lif2 = snn.Leaky(beta=0.75, reset_mechanism="zero")

    def forward(self, x):
        mem1, mem2, record = self.lif1.init_leaky(), self.lif2.init_leaky(), []
        for step in range(x.size(0)):
            spk1, mem1 = self.lif1(self.fc1(x[step]), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            record.append(spk2)
        return torch.stack(record)
"""
RECIPE = """
data = "data.safetensors"
timesteps = 6
seed = 3
batch = 16
[encoding]
levels = 8
[pretrain]
epochs = 12
learning_rate = 0.02
[finetune]
epochs = 6
learning_rate = 0.01
[quantize]
weight_bits = 3
[prune]
sparsity = 0.5
when = 1
"""


def write_folder(path, model=MODEL, recipe=RECIPE):
    path.mkdir(parents=True)
    (path / "model.py").write_text(model)
    (path / "recipe.toml").write_text(recipe)
    rng = np.random.default_rng(0)
    patterns = rng.integers(0, 9, size=(3, 12))
    arrays = {}
    for split, count in (("train", 96), ("test", 48)):
        labels = np.arange(count) % 3
        arrays[f"{split}_labels"] = labels
        arrays[f"{split}_values"] = np.clip(patterns[labels] + rng.integers(-2, 3, size=(count, 12)), 0, 8).astype(np.uint8)
    write_tensors(path / "data.safetensors", arrays)
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Train and lower once; return the model folder, the run folder and both results."""
    base = tmp_path_factory.mktemp("flow")
    folder, out = write_folder(base / "small"), base / "run"
    told = []
    trained = train_model(folder, out, progress=lambda *values: told.append(values))
    return folder, out, trained, lower_model(folder, out), told


def test_trains_by_its_recipe(run):
    _, out, trained, _, told = run
    assert trained["accuracy"]["float"] > 0.9
    assert trained["accuracy"]["quantized"] > 0.9
    assert [len(trained["losses"][stage]) for stage in ("pretrain", "finetune")] == [12, 6]
    assert trained["losses"]["pretrain"][-1] < trained["losses"]["pretrain"][0]
    assert (out / "checkpoint.safetensors").is_file()
    assert told[-1][:3] == ("finetune", 36, 36)
    assert [row["behaviour"] for row in trained["layers"]] == [
        "threshold subtracted, one timestep later", "reset to zero, one timestep later"]


def test_lowers_without_a_difference(run):
    _, out, trained, lowered, _ = run
    assert lowered["ok"]
    assert lowered["problem"] == ""
    assert lowered["mismatches"] == {"samples": 48, "spikes": 0, "membranes": 0, "spikes_compared": 48 * 6 * 13,
                                     "membranes_compared": 48 * 6 * 13}
    assert lowered["accuracy"] == {**trained["accuracy"], "integer": trained["accuracy"]["quantized"]}
    assert all(row["sparsity"] >= 0.49 for row in lowered["layers"])
    graph = load_graph(out / "graph.safetensors")
    samples, _ = read_tensors(out / "samples.safetensors", "samples")
    spikes = graph.input.encoding(samples["values"], graph.timesteps)
    decisions = reference.run(graph, spikes).decisions
    assert float((decisions == samples["labels"]).mean()) == lowered["accuracy"]["integer"]
    assert lowered["rates"]["input"] == pytest.approx(spikes.mean())
    assert all(0 < lowered["rates"][name] < 1 for name in ("lif1", "lif2"))


def test_training_twice_gives_the_same_bytes(run, tmp_path):
    folder, out, trained, _, _ = run
    again = train_model(folder, tmp_path)
    assert (tmp_path / "checkpoint.safetensors").read_bytes() == (out / "checkpoint.safetensors").read_bytes()
    assert again["losses"] == trained["losses"]


def test_lowering_does_not_retrain(run, tmp_path):
    folder, out, _, lowered, _ = run
    again = lower_model(folder, tmp_path, checkpoint=out / "checkpoint.safetensors")
    assert again == lowered
    assert (tmp_path / "graph.safetensors").read_bytes() == (out / "graph.safetensors").read_bytes()


def test_a_float_state_dict_is_quantized_as_it_is(run, tmp_path):
    folder, out, trained, _, _ = run
    tensors, _ = read_tensors(out / "checkpoint.safetensors", "checkpoint")
    before = {name.removeprefix("float/"): torch.from_numpy(array)
              for name, array in tensors.items() if name.startswith("float/")}
    torch.save(before, tmp_path / "net.pt")
    lowered = lower_model(folder, tmp_path, checkpoint=tmp_path / "net.pt")
    assert lowered["ok"]
    assert lowered["accuracy"]["float"] == trained["accuracy"]["float"]
    assert lowered["accuracy"]["integer"] > 0.6


def test_a_checkpoint_for_other_formats_is_refused(run, tmp_path):
    _, out, _, _, _ = run
    folder = write_folder(tmp_path / "other", recipe=RECIPE.replace("weight_bits = 3", "weight_bits = 5"))
    path = out / "checkpoint.safetensors"
    message = f"checkpoint {str(path)!r} was trained with quantize.weight_bits = 3, the recipe has 5; train again"
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        lower_model(folder, tmp_path, checkpoint=path)


def test_a_network_that_does_not_fit_the_data_is_refused(tmp_path):
    few = write_folder(tmp_path / "few", model=MODEL.replace("nn.Linear(10, 3)", "nn.Linear(10, 2)"))
    with pytest.raises(NetworkError, match=r"^layer 'lif2' \(Neuron\): must have at least 3 neurons, one for each class, not 2$"):
        train_model(few, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_loss_that_explodes_is_refused(tmp_path):
    folder = write_folder(tmp_path / "fast", recipe='loss = "rate"\ngain = 1e300\n' + RECIPE)
    with pytest.raises(NetworkError, match=r"^stage 'pretrain': the loss must stay finite, and is nan after epoch 1; use "
                                           r"a smaller learning_rate$"):
        train_model(folder, tmp_path / "run")


def test_untrained_models_say_how_to_train(tmp_path):
    folder = write_folder(tmp_path / "new")
    message = (f"model folder {str(folder)!r} has no checkpoint.safetensors; "
               f"train it first with: snnhw train {folder} --out {tmp_path}")
    with pytest.raises(FileError, match=f"^{re.escape(message)}$"):
        lower_model(folder, tmp_path)


@pytest.mark.parametrize(("source", "message"), [
    ("x = 1", r"must define Net, and fails with: module .* has no attribute 'Net'"),
    ("def Net(size): pass", r"must define Net\(\) without arguments, and fails with TypeError: .*"),
    ("def Net(): return 3", r"Net\(\) must return a torch\.nn\.Module, not int"),
    ("import no_such_package", r"must define Net\(\) without arguments, and fails with ModuleNotFoundError: .*"),
])
def test_refuses_models_without_a_network(tmp_path, source, message):
    folder = write_folder(tmp_path / "odd", model=source)
    with pytest.raises(UsageError, match=rf"^'.*model\.py':? {message}$"):
        load_model(folder)


def test_finds_shipped_models_by_name():
    assert model_folder("digits").resolve() == model_folder("models/digits").resolve()
    with pytest.raises(FileError, match=r"^model folder 'models/nothing' does not exist$"):
        model_folder("models/nothing")


def test_the_shipped_digits_are_what_their_card_says(tmp_path, root):
    lowered = lower_model("models/digits", tmp_path)
    assert lowered["ok"]
    assert lowered["mismatches"]["samples"] == 400
    card = (root / "models" / "digits" / "README.md").read_text()
    for name, title in (("float", "float torch"), ("quantized", "quantized torch"), ("integer", "integer graph")):
        assert f"| {title} | {lowered['accuracy'][name]:.2%}".replace("%", " %") in card
    assert lowered["accuracy"]["integer"] > 0.96
    graph = load_graph(tmp_path / "graph.safetensors")
    assert max(neuron.spec.bits for _, neuron in graph.layers) <= 14
    assert all(neuron.spec.decay.kind == "shift" for _, neuron in graph.layers)


def idx(array):
    return gzip.compress(bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes())


@pytest.mark.parametrize(("change", "message"), [
    (("levels = 8", "levels = 4"), "recipe encoding.levels must be at least 8, the largest value of the data, not 4"),
    (("levels = 8", 'kind = "events"'), "recipe data for encoding 'events' must have samples of shape (6, inputs), not (12,)"),
])
def test_data_that_the_encoding_does_not_take_are_refused(tmp_path, change, message):
    folder = write_folder(tmp_path / "net", recipe=RECIPE.replace(*change))
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        train_model(folder, tmp_path / "run")


def write_mnist(folder, train=20, test=8):
    rng = np.random.default_rng(0)
    raw = folder / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for prefix, count in (("train", train), ("t10k", test)):
        (raw / f"{prefix}-images-idx3-ubyte.gz").write_bytes(idx(rng.integers(0, 256, (count, 4, 4), dtype=np.uint8)))
        (raw / f"{prefix}-labels-idx1-ubyte.gz").write_bytes(idx(rng.integers(0, 10, count, dtype=np.uint8)))
    return raw


def test_reads_mnist(tmp_path, monkeypatch):
    monkeypatch.setenv("SNNHW_DATA", str(tmp_path))
    write_mnist(tmp_path)
    data = load_dataset("mnist", 0, tmp_path)
    assert data.train_values.shape == (20, 16)
    assert data.test_values.dtype == np.uint8
    assert (data.levels, len(data.test_labels)) == (255, 8)


def test_missing_mnist_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("SNNHW_DATA", str(tmp_path))
    raw = write_mnist(tmp_path)
    (raw / "t10k-labels-idx1-ubyte.gz").unlink()
    message = (f"the data set 'mnist' needs t10k-labels-idx1-ubyte.gz in {str(raw)!r}; "
               f"set SNNHW_DATA to the folder that contains MNIST/raw")
    with pytest.raises(FileError, match=f"^{re.escape(message)}$"):
        load_dataset("mnist", 0, tmp_path)


@pytest.mark.parametrize("content", [b"", b"no gzip", gzip.compress(b""), gzip.compress(bytes((0, 0, 8, 3)) + b"\xff" * 12),
                                     idx(np.ones(3, np.uint8))], ids=["empty", "text", "no header", "no data", "one axis"])
def test_damaged_mnist_is_refused(tmp_path, monkeypatch, content):
    monkeypatch.setenv("SNNHW_DATA", str(tmp_path))
    path = write_mnist(tmp_path) / "train-images-idx3-ubyte.gz"
    path.write_bytes(content)
    with pytest.raises(FileError, match=rf"^MNIST file {re.escape(repr(str(path)))} must be (a gzipped IDX file, and is "
                                        rf"damaged or something "
                                        r"else|an IDX file of bytes with 3 dimension\(s\), and is not)$"):
        load_dataset("mnist", 0, tmp_path)


@pytest.mark.parametrize(("change", "message"), [
    (lambda arrays: arrays.pop("test_labels"), r"data file '.*' must hold train_values, train_labels, test_values, "
                                               r"test_labels, not .*"),
    (lambda arrays: arrays.update(test_labels=np.zeros(3, np.int64)),
     r"data set 'data' must have one label for each sample of its test split, not shape \(3,\) for \(48, 12\)"),
    (lambda arrays: arrays.update(train_values=arrays["train_values"].astype(np.float32)), r"data file '.*' must hold "
                                                                                           r"integers only"),
    (lambda arrays: arrays.update(test_values=arrays["test_values"][:, :5]), r"data set 'data' must have one shape of "
                                                                             r"samples in both splits"),
    (lambda arrays: arrays.update(test_values=arrays["test_values"].astype(np.int64) - 9),
     r"data set 'data' must hold values between 0 and 65535 and labels from 0"),
])
def test_data_files_are_checked(tmp_path, change, message):
    folder = write_folder(tmp_path / "small")
    arrays, _ = read_tensors(folder / "data.safetensors", "data")
    change(arrays)
    write_tensors(folder / "data.safetensors", arrays)
    with pytest.raises(FileError, match=f"^{message}$"):
        load_dataset("data.safetensors", 0, folder)


def test_unknown_data_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"^recipe data must be 'digits', 'mnist', 'fashion', 'nmnist', 'braille', 'gsc-kws01', "
                                         r"'dvs-gesture', 'dvs128-gesture', 'shd' or a \.safetensors or \.py file, not 'cifar'$"):
        load_dataset("cifar", 0, tmp_path)


def test_the_digits_split_is_fixed():
    first, second, other = (load_dataset("digits", seed, None) for seed in (1, 1, 2))
    assert len(first.test_labels) == 400
    assert np.array_equal(first.test_values, second.test_values)
    assert not np.array_equal(first.test_values, other.test_values)


HEAD = """
import snntorch as snn
import torch
from torch import nn

class Net(nn.Module):
"""
MODELS = {
    # Batch normalization and dropout learn in the user's own forward; the float network has them folded or left out.
    "convolution": HEAD + """
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.lif1 = snn.Leaky(beta=0.75)
        self.pool = nn.MaxPool2d(2)
        self.fc = nn.Linear(12, 3)
        self.lif2 = snn.Leaky(beta=0.75)

    def forward(self, x):
        mem1, mem2, record = self.lif1.init_leaky(), self.lif2.init_leaky(), []
        for step in range(x.size(0)):
            spk1, mem1 = self.lif1(self.norm(self.conv(x[step])), mem1)
            spk2, mem2 = self.lif2(self.fc(self.pool(spk1).flatten(1)), mem2)
            record.append(spk2)
        return torch.stack(record)
""",
    "recurrence": HEAD + """
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(12, 8)
        self.lif1 = snn.RLeaky(beta=0.75, linear_features=8)
        self.fc2 = nn.Linear(8, 3)
        self.lif2 = snn.Leaky(beta=0.75)

    def forward(self, x):
        (spk1, mem1), mem2, record = self.lif1.init_rleaky(), self.lif2.init_leaky(), []
        for step in range(x.size(0)):
            spk1, mem1 = self.lif1(self.fc1(x[step]), spk1, mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            record.append(spk2)
        return torch.stack(record)
""",
    "membrane": HEAD + """
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(12, 8)
        self.lif1 = snn.Leaky(beta=0.75)
        self.fc2 = nn.Linear(8, 3)
        self.li = snn.Leaky(beta=0.75, reset_mechanism="none")

    def forward(self, x):
        mem1, mem2, record = self.lif1.init_leaky(), self.li.init_leaky(), []
        for step in range(x.size(0)):
            spk1, mem1 = self.lif1(self.fc1(x[step]), mem1)
            _, mem2 = self.li(self.fc2(spk1), mem2)
            record.append(mem2)
        return torch.stack(record).sum(0)
""",
}
SHAPED = RECIPE + "[input]\nshape = [1, 2, 6]\n"
EXPECTED = {"convolution": (SHAPED, "user"), "recurrence": (RECIPE, "copy"), "membrane": (RECIPE, "user")}


@pytest.mark.parametrize("name", MODELS)
def test_other_networks_train_and_lower_without_a_difference(tmp_path, monkeypatch, name):
    recipe, way = EXPECTED[name]
    ways = []
    for own, other in (("train_module", "user"), ("train_float", "copy")):
        function = getattr(flow, own)
        monkeypatch.setattr(flow, own, lambda *args, _other=other, _call=function, **options: (
            ways.append(_other), _call(*args, **options))[1])
    folder = write_folder(tmp_path / name, MODELS[name], recipe.replace("weight_bits = 3", "weight_bits = 4\nstate_bits = 16"))
    trained = train_model(folder, tmp_path / "run")
    assert ways == [way]
    # Of three classes; the convolution sees patterns that have no neighbours.
    assert trained["accuracy"]["float"] > (0.6 if name == "convolution" else 0.8)
    assert trained["accuracy"]["quantized"] > 0.5
    lowered = lower_model(folder, tmp_path / "run")
    assert lowered["ok"], lowered["problem"]
    assert lowered["mismatches"]["spikes"] == lowered["mismatches"]["membranes"] == 0
    assert lowered["mismatches"]["membranes_compared"] > 0
    assert lowered["accuracy"]["integer"] == lowered["accuracy"]["quantized"] == trained["accuracy"]["quantized"]


def test_temporal_pruning_ends_in_a_shorter_graph(tmp_path):
    temporal = "[temporal]\ntimesteps = [4, 2]\nepochs = 2\nlearning_rate = 0.01\n"
    folder = write_folder(tmp_path / "short", recipe=RECIPE + temporal)
    trained = train_model(folder, tmp_path / "run")
    assert [point["timesteps"] for point in trained["temporal"]] == [6, 4, 2]
    assert trained["timesteps"] == 2
    assert {"timesteps 4", "timesteps 2"} < set(trained["losses"])
    lowered = lower_model(folder, tmp_path / "run")
    assert lowered["ok"], lowered["problem"]
    assert load_graph(tmp_path / "run" / "graph.safetensors").timesteps == lowered["timesteps"] == 2
    assert lowered["accuracy"]["integer"] == trained["accuracy"]["quantized"] > 0.5


def test_weights_after_weights_are_refused_by_name(tmp_path):
    two = "nn.Sequential(nn.Linear(10, 6), nn.Linear(6, 3))"
    folder = write_folder(tmp_path / "deep", MODEL.replace("nn.Linear(10, 3)", two))
    with pytest.raises(NetworkError, match=r"^layer 'fc2\.0' \(Linear, 10 → 6\): must be followed by neurons to train in "
                                           r"integers, and the weights of 'fc2\.1' follow$"):
        train_model(folder, tmp_path / "run")


def test_what_the_user_froze_is_not_trained(tmp_path):
    frozen = MODEL.replace("        self.lif1", "        self.fc1.weight.requires_grad_(False)\n        self.lif1", 1)
    folder = write_folder(tmp_path / "net", model=frozen)
    train_model(folder, tmp_path / "run")
    tensors, _ = read_tensors(tmp_path / "run" / "checkpoint.safetensors", "checkpoint")
    with flow.reproducible(3):
        before = load_model(folder).state_dict()
    assert np.array_equal(tensors["float/fc1.weight"], before["fc1.weight"].numpy())
    assert not np.array_equal(tensors["float/fc1.bias"], before["fc1.bias"].numpy())
    assert not np.array_equal(tensors["float/fc2.weight"], before["fc2.weight"].numpy())


def test_neurons_that_spikes_drive_without_weights(tmp_path):
    direct = MODEL.replace("self.lif2 = ", "self.lif3 = snn.Leaky(beta=0.5)\n        self.lif2 = ", 1)
    direct = direct.replace("mem1, mem2, record = self.lif1.init_leaky(), self.lif2.init_leaky(), []",
                            "mem1, mem2, mem3, record = *(lif.init_leaky() for lif in (self.lif1, self.lif2, self.lif3)), []")
    direct = direct.replace("spk2, mem2 = self.lif2(self.fc2(spk1), mem2)",
                            "spk3, mem3 = self.lif3(spk1, mem3)\n            spk2, mem2 = self.lif2(self.fc2(spk3), mem2)")
    folder = write_folder(tmp_path / "net", model=direct)
    trained = train_model(folder, tmp_path / "run")
    assert [row["neuron"] for row in trained["layers"]] == ["lif1", "lif3", "lif2"]
    assert trained["layers"][1]["weights"] == 1
    lowered = lower_model(folder, tmp_path / "run")
    assert lowered["ok"]
    assert lowered["mismatches"]["spikes_compared"] == 48 * 6 * 23

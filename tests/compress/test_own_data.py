"""A loader that the user wrote: ``data = "loader.py"`` in a recipe."""

import re

import numpy as np
import pytest

from snnhw.compress.data import load_dataset
from snnhw.compress.flow import train_model
from snnhw.errors import FileError, UsageError

LOADER = """
import numpy as np
def dataset():
    values = np.arange(24).reshape(6, 4) % 7
    return {{"train_values": values[:4], "train_labels": [0, 1, 2, 0], "test_values": values[4:], "test_labels": [1, 2]{more}}}
"""


@pytest.fixture
def load(tmp_path):
    """Return a function that loads what a loader of this text returns."""
    def run(text=None, *, more="", **options):
        (tmp_path / "loader.py").write_text(LOADER.format(more=f", {more}" if more else "") if text is None else text)
        return load_dataset("loader.py", 0, tmp_path, **options)
    return run


def test_a_loader_is_run(load):
    found = load()
    assert (found.name, found.levels, found.shape, found.classes, found.timesteps) == ("loader", 6, (4,), 3, None)
    assert found.train_values.tolist() == [[0, 1, 2, 3], [4, 5, 6, 0], [1, 2, 3, 4], [5, 6, 0, 1]]
    assert (found.train_values.dtype, found.test_labels.tolist()) == (np.uint8, [1, 2])
    assert load(most=1).test_labels.tolist() == [1]


def test_a_loader_names_classes_shape_and_levels(load):
    found = load(more='"names": ["a", "b", "c"], "shape": (1, 2, 2), "levels": 15')
    assert (found.names, found.shape, found.levels) == (("a", "b", "c"), (1, 2, 2), 15)


@pytest.mark.parametrize(("shape", "wanted", "timesteps"), [((2, 3, 2, 4, 4), (2, 4, 4), 3), ((2, 2, 4, 4), (2, 4, 4), None),
                                                            ((2, 3, 5), (5,), 3)])
def test_frames_are_flattened(load, shape, wanted, timesteps):
    text = (f"import torch\ndef dataset():\n    values = torch.ones({shape}, dtype=torch.int64)\n"
            "    return dict(train_values=values, train_labels=[0, 1], test_values=values, test_labels=torch.tensor([1, 0]))")
    found = load(text)
    assert (found.shape, found.timesteps, found.inputs) == (wanted, timesteps, int(np.prod(wanted)))


@pytest.mark.parametrize(("text", "message"), [
    ("import nothing_like_it", " must run, and fails with ModuleNotFoundError: No module named 'nothing_like_it'"),
    ("1 / 0", " must run, and fails with ZeroDivisionError: division by zero"),
    ("x = 1", " must define a function dataset"),
    ("dataset = 3", " must define a function dataset"),
    ("def dataset(path): pass", ": dataset() must take no arguments and return a mapping, and fails with TypeError: dataset() "
                                "missing 1 required positional argument: 'path'"),
    ("def dataset(): return open('missing.npy')", ": dataset() must take no arguments and return a mapping, and fails with "
                                                  "FileNotFoundError: [Errno 2] No such file or directory: 'missing.npy'"),
    ("def dataset(): return [1]", ": dataset() must return a mapping, not list"),
    ("def dataset(): return {'train_values': 1, 'valid_values': 2}",
     ": dataset() must return train_values, train_labels, test_values, test_labels, and may return names, shape, levels; it "
     "lacks train_labels, test_values, test_labels and it has valid_values"),
    (LOADER.format(more=', "test_labels": np.ones(2)'), ": test_labels must be integers, not float64; scale and round them"),
    (LOADER.format(more=', "test_values": [[1, 2], [3]]'), None),
    (LOADER.format(more=', "test_values": [1, 2]'), ": test_values must be (samples, inputs) or (samples, timesteps, inputs), "
                                                    "where inputs may be channels, height and width, not (2,)"),
    (LOADER.format(more=', "shape": (3,)'), ": shape must have 4 elements, not be (3,)"),
    (LOADER.format(more=', "shape": "ab"'), None),
    (LOADER.format(more=', "test_values": np.ones((2, 1, 2, 2), int), "shape": (4,)'),
     ": shape must be (1, 2, 2) as test_values has, not (4,)"),
    (LOADER.format(more=', "levels": 5'), ": levels must be at least 6, the largest value of the data, not 5"),
])
def test_loaders_that_return_something_else_are_refused(load, tmp_path, text, message):
    general = ": dataset() must return arrays, whole numbers for shape and levels, and text for names: "
    wanted = re.escape(f"data module {str(tmp_path / 'loader.py')!r}{message or general}") + ("" if message else ".+")
    with pytest.raises(UsageError, match=f"^{wanted}$"):
        load(text)


@pytest.mark.parametrize(("more", "message"), [
    ('"test_labels": [0]', r"data set 'loader' must have one label for each sample of its test split, "
                           r"not shape \(1,\) for \(2, 4\)"),
    ('"names": ["a", "b"]', r"data set 'loader' must have labels from 0 to 1, not 2"),
    ('"test_values": [[1], [2]]', r"data set 'loader' must have one shape of samples in both splits"),
    ('"test_values": [[1, 2, 3, 70000]] * 2', r"data set 'loader' must hold values between 0 and 65535 and labels from 0"),
])
def test_what_a_loader_returns_is_checked_like_a_file(load, more, message):
    with pytest.raises(FileError, match=f"^{message}$"):
        load(more=more)


def test_a_missing_loader_is_said(tmp_path):
    with pytest.raises(FileError, match=r"^data module '.*nowhere\.py' does not exist$"):
        load_dataset("nowhere.py", 0, tmp_path)


def test_a_loader_trains(tmp_path):
    """A model folder with its own data, framed by its own code, goes through ``snnhw train``."""
    (tmp_path / "model.py").write_text("""
import snntorch as snn
import torch
from torch import nn
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc, self.lif = nn.Linear(3, 2), snn.Leaky(beta=0.9)
    def forward(self, x):
        state, spikes = self.lif.init_leaky(), []
        for step in x:
            spike, state = self.lif(self.fc(step), state)
            spikes.append(spike)
        return torch.stack(spikes)
""")
    (tmp_path / "events.py").write_text("""
import numpy as np
def dataset():
    rng = np.random.default_rng(0)
    labels = np.arange(40) % 2
    values = (rng.random((40, 8, 3)) < np.where(labels, 0.8, 0.1)[:, None, None]).astype(np.uint8)
    return {"train_values": values[:30], "train_labels": labels[:30], "test_values": values[30:], "test_labels": labels[30:],
            "names": ["few", "many"]}
""")
    (tmp_path / "recipe.toml").write_text('data = "events.py"\ntimesteps = 8\n[encoding]\nkind = "events"\n'
                                          '[pretrain]\nepochs = 2\n[finetune]\nepochs = 1\n')
    results = train_model(tmp_path, tmp_path / "run")
    assert (results["train_samples"], results["test_samples"], results["data"]) == (30, 10, "events")

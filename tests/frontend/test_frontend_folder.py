"""A folder is read with the parameters beside its model.py; nothing else in it is executed."""

import os
import re
from pathlib import Path

import numpy as np
import pytest
import snntorch as snn
import torch

import snnhw
from snnhw.compress.data import load_dataset
from snnhw.errors import FileError, NetworkError, UsageError
from snnhw.files import write_tensors
from snnhw.frontend import read_folder
from snnhw.network.run import run_network

ROOT = Path(snnhw.__file__).resolve().parent.parent
MODEL = """
import snntorch as snn
from torch import nn

def Net():
    return nn.Sequential(nn.Linear(4, 3), snn.Leaky(beta=0.9, init_hidden=True))
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "model.py").write_text(MODEL)
    net = torch.nn.Sequential(torch.nn.Linear(4, 3), snn.Leaky(beta=0.9, init_hidden=True))
    torch.save(net.state_dict(), tmp_path / "net.pt")
    return tmp_path


def refusal(kind, *args, **options):
    with pytest.raises(kind) as caught:
        read_folder(*args, **{"shape": (4,), "timesteps": 5, **options})
    return str(caught.value)


def test_reads_a_state_dict(folder):
    network = read_folder(folder, shape=(4,), timesteps=5)
    weight = torch.load(folder / "net.pt", weights_only=True)["0.weight"]
    assert np.array_equal(network["0"].weight, weight.numpy())
    assert (network.name, network.timesteps) == (folder.name, 5)


def test_reads_safetensors_by_name(folder):
    arrays = {name: tensor.numpy() for name, tensor in torch.load(folder / "net.pt", weights_only=True).items()}
    arrays["0.weight"] = arrays["0.weight"] + 1
    write_tensors(folder / "other.safetensors", {**arrays, "mask/0": np.ones((3, 4), np.uint8)})
    assert "name the checkpoint" in refusal(FileError, folder)
    network = read_folder(folder, folder / "other.safetensors", shape=(4,), timesteps=5)
    assert np.array_equal(network["0"].weight, arrays["0.weight"])


def test_parameters_alone_are_not_a_network(folder):
    (folder / "model.py").unlink()
    hint = ("parameters without a network do not say what it computes; write model.py with a class or function Net whose "
            "state_dict has 0.weight (3, 4), 0.bias (3,), 1.threshold (), 1.graded_spikes_factor () ...")
    assert refusal(FileError, folder) == f"model folder {str(folder)!r} must hold model.py: {hint}"
    assert refusal(FileError, folder / "net.pt") == f"model {str(folder / 'net.pt')!r} must be a folder with model.py: {hint}"


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_runs_no_code_from_a_checkpoint(folder):
    trap = folder / "executed"
    torch.save({"0.weight": Evil(trap)}, folder / "net.pt")
    assert refusal(FileError, folder) == (f"checkpoint {str(folder / 'net.pt')!r} must hold tensors only; save it with "
                                          f"torch.save(net.state_dict(), path)")
    torch.save(torch.nn.Linear(4, 3), folder / "net.pt")
    assert "must hold tensors only" in refusal(FileError, folder)
    assert not trap.exists()


def test_a_small_file_cannot_claim_a_large_tensor(folder):
    torch.save({"0.weight": torch.zeros(1).expand(1 << 20, 1 << 20)}, folder / "net.pt")
    assert (folder / "net.pt").stat().st_size < 1 << 16
    assert re.search(r"must hold whole dense tensors, and '0.weight' of shape \(1048576, 1048576\) has 1 elements$",
                     refusal(FileError, folder))


def test_names_what_does_not_fit(folder):
    torch.save({"0.weight": torch.zeros(3, 5)}, folder / "net.pt")
    assert "layer '0' (Linear): weight must have shape (3, 4), not (3, 5) as in the checkpoint" in refusal(NetworkError, folder)


@pytest.mark.parametrize(("model", "message"), [
    ("x = 1", "must define Net"), ("def Net(): raise ValueError('broken')", "fails with ValueError: broken"),
    ("def Net(): return 3", "must return a torch.nn.Module, not int"), ("def", "fails with SyntaxError"),
])
def test_names_what_is_wrong_with_the_model(folder, model, message):
    (folder / "model.py").write_text(model)
    assert message in refusal(UsageError, folder)


def test_names_what_is_missing(tmp_path):
    assert refusal(FileError, tmp_path / "nothing") == f"model folder {str(tmp_path / 'nothing')!r} does not exist"
    assert "must hold one file with parameters, .safetensors or .pt, and has none" in refusal(FileError, tmp_path)


def test_a_network_trained_by_others():
    """The snntorch baseline of NeuroBench on the keyword clips: 83.5 %, and the spikes of torch itself."""
    data = Path(os.environ.get("SNNHW_DATA") or ROOT.parent / "shared" / "data")
    checkpoint = data / "models" / "snntorch" / "s2s_gsc_snntorch.pt"
    if not checkpoint.is_file():
        pytest.skip(f"needs models/snntorch/s2s_gsc_snntorch.pt in {str(data)!r}; set SNNHW_DATA to the folder that contains it")
    try:
        clips = load_dataset("gsc-kws01", 0, Path())
    except FileError as error:
        pytest.skip(str(error))
    network = read_folder(ROOT / "models" / "speech", checkpoint, shape=(20,), timesteps=200, lowest=-1, highest=1)
    values, labels = clips.test_values, clips.test_labels
    assert len(labels) == 834
    trace = run_network(network, values, np.float32, keep_membranes=False)
    accuracy = 100 * (trace.decisions == labels).mean()
    assert 83.0 <= accuracy <= 84.0

    few = torch.from_numpy(values[:20]).float()
    module = torch.nn.Sequential(*[layer for width, inputs in ((256, 20), (256, 256), (256, 256), (35, 256))
                                   for layer in (torch.nn.Linear(inputs, width), snn.Leaky(beta=0.9, init_hidden=True))])
    stored = torch.load(checkpoint, map_location="cpu", weights_only=True)
    module.load_state_dict({f"{int(name.split('.')[0]) - 1}.{name.split('.')[1]}": tensor for name, tensor in stored.items()})
    with torch.no_grad():
        spikes = torch.stack([module(frame) for frame in few.transpose(0, 1)], dim=1)
    assert (spikes.bool().numpy() != trace.spikes["8"][:20]).mean() < 0.002  # sums of floats in another order
    assert (spikes.sum(1).argmax(1).numpy() == trace.decisions[:20]).all()

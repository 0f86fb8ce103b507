"""Checkpoints: what was trained comes back, what does not fit is refused with the layer's name."""

import os
import re

import numpy as np
import pytest
import snntorch as snn
import torch
from small_networks import Chain

from snnhw.compress import QuantConfig
from snnhw.compress.checkpoint import Checkpoint, load_checkpoint, load_parameters, parameters, save_checkpoint
from snnhw.errors import FileError, NetworkError
from snnhw.files import write_tensors


def net():
    return Chain([6, 4], lambda outputs: snn.Leaky(beta=0.875))


def arrays(module=None):
    module = module or net()
    return parameters(module, module.state_dict())


class Evil:
    def __reduce__(self):
        return os.mkdir, ("evil",)


def test_a_checkpoint_comes_back(tmp_path):
    trained = arrays()
    given = Checkpoint(trained, arrays(), {"fcs.0": np.float32(0.125).reshape(())}, {"fcs.0": np.eye(4, 6, dtype=bool)},
                       QuantConfig(weight_bits=3, layers={"fcs.0": {"frac": 2}}))
    save_checkpoint(tmp_path / "c.safetensors", given)
    found = load_checkpoint(tmp_path / "c.safetensors")
    assert found.quantize == given.quantize
    for part in ("trained", "pretrained", "scales", "masks"):
        assert getattr(found, part).keys() == getattr(given, part).keys()
        assert all(np.array_equal(getattr(found, part)[name], array) for name, array in getattr(given, part).items())
    other = net()
    load_parameters(other, found.trained)
    assert torch.equal(other.fcs[0].weight, torch.from_numpy(trained["fcs.0.weight"]))


def test_the_same_checkpoint_has_the_same_bytes(tmp_path):
    given = Checkpoint(arrays(), {}, {}, {}, QuantConfig())
    for name in ("a", "b"):
        save_checkpoint(tmp_path / name, given)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("wrap", [lambda state: state, lambda state: {"state_dict": state, "epoch": 3}])
def test_reads_a_state_dict_of_torch(tmp_path, wrap):
    module = net()
    torch.save(wrap(module.state_dict()), tmp_path / "net.pt")
    found = load_checkpoint(tmp_path / "net.pt")
    assert np.array_equal(found.trained["fcs.0.weight"], module.fcs[0].weight.detach().numpy())
    assert found.quantize is None


@pytest.mark.parametrize("content", [lambda: torch.nn.Linear(2, 3), Evil, lambda: {"weight": Evil()}])
def test_never_runs_what_is_in_a_torch_file(tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    torch.save(content(), "net.pt")
    with pytest.raises(FileError, match=r"^checkpoint 'net\.pt' must hold tensors only; save it with "
                                        r"torch\.save\(net\.state_dict\(\), path\)$"):
        load_checkpoint("net.pt")
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("weight", [torch.ones(3, dtype=torch.bfloat16), torch.ones(3, 3).to_sparse()])
def test_refuses_tensors_that_numpy_does_not_know(tmp_path, weight):
    path = tmp_path / "net.pt"
    torch.save({"weight": weight}, path)
    with pytest.raises(FileError, match=rf"^checkpoint {re.escape(repr(str(path)))} must hold dense tensors that numpy "
                                        rf"knows: .*$"):
        load_checkpoint(path)


@pytest.mark.parametrize(("name", "content", "message"), [
    ("c.safetensors", b"rubbish", "must be a safetensors file, and is damaged or something else"),
    ("c.pt", b"rubbish", "must hold tensors only; save it with torch.save(net.state_dict(), path)"),
    ("c.pt", b"", "must hold tensors only; save it with torch.save(net.state_dict(), path)"),
])
def test_refuses_damaged_files(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(FileError, match=f"^{re.escape(f'checkpoint {str(path)!r} {message}')}$"):
        load_checkpoint(path)


@pytest.mark.parametrize("header", ["{", "[]", '{"format": "other"}', '{"format": "snnhw-checkpoint", "version": 2}',
                                    '{"format": "snnhw-checkpoint", "version": 1, "quantize": {"weight_bits": 77}}'])
def test_refuses_other_headers(tmp_path, header):
    path = tmp_path / "c.safetensors"
    write_tensors(path, arrays(), {"snnhw": header})
    with pytest.raises(FileError, match=rf"^checkpoint {re.escape(repr(str(path)))} must be version 1 of "
                                        rf"snnhw-checkpoint, and is not$"):
        load_checkpoint(path)


def broken(name, value):
    state = arrays()
    if value is None:
        del state[name]
    else:
        state[name] = value
    return state


@pytest.mark.parametrize(("name", "value", "message"), [
    ("fcs.0.weight", None, "layer 'fcs.0' (Linear): weight must be in the checkpoint, and is not"),
    ("fcs.0.weight", np.ones((4, 5), np.float32),
     "layer 'fcs.0' (Linear): weight must have shape (4, 6), not (4, 5) as in the checkpoint"),
    ("fcs.0.bias", np.full(4, np.nan, np.float32), "layer 'fcs.0' (Linear): bias must be finite, not nan as in the checkpoint"),
    ("lifs.0.beta", np.float32(np.inf), "layer 'lifs.0' (Leaky): beta must be finite, not inf as in the checkpoint"),
    ("conv.weight", np.ones(3, np.float32), "layer 'conv': the checkpoint has its weight, the network has not"),
])
def test_names_the_layer_that_does_not_fit(name, value, message):
    with pytest.raises(NetworkError, match=f"^{re.escape(message)}$"):
        load_parameters(net(), broken(name, value))


def test_collects_what_does_not_fit():
    with pytest.raises(NetworkError) as caught:
        load_parameters(net(), {})
    assert len(caught.value.problems) == 4

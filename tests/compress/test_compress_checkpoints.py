"""Checkpoints: what was trained comes back, what does not fit is refused with the layer's name."""

import hashlib
import os
import re
from dataclasses import replace

import numpy as np
import pytest
import snntorch as snn
import torch
from random_floats import train_steps
from small_networks import Chain

from snnhw import ir
from snnhw.compress import PruneConfig, QuantConfig, TrainableNetwork, prune
from snnhw.compress.checkpoint import Checkpoint, load_checkpoint, parameters, restore, save_checkpoint, take
from snnhw.compress.flow import lower_model
from snnhw.errors import FileError, NetworkError
from snnhw.files import write_tensors
from snnhw.frontend.folder import load_parameters
from snnhw.ir import load_graph, save_graph
from snnhw.network import Behaviour, Linear, Network, Neuron


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
    given = Checkpoint(trained, arrays(), {"fcs.0": np.float32(0.125).reshape(())}, {"fcs.0": np.float32(0.25).reshape(())},
                       {"fcs.0": np.eye(4, 6, dtype=bool)}, QuantConfig(weight_bits=3, layers={"fcs.0": {"frac": 2}}))
    save_checkpoint(tmp_path / "c.safetensors", given)
    found = load_checkpoint(tmp_path / "c.safetensors")
    assert found.quantize == given.quantize
    for part in ("trained", "pretrained", "scales", "clips", "masks"):
        assert getattr(found, part).keys() == getattr(given, part).keys()
        assert all(np.array_equal(getattr(found, part)[name], array) for name, array in getattr(given, part).items())
    other = net()
    load_parameters(other, found.trained)
    assert torch.equal(other.fcs[0].weight, torch.from_numpy(trained["fcs.0.weight"]))


def test_the_same_checkpoint_has_the_same_bytes(tmp_path):
    given = Checkpoint(arrays(), quantize=QuantConfig())
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


def test_the_first_version_gives_the_same_graph(tmp_path):
    """The checkpoint of models/digits was written when only chains could be quantized; this is the graph that it gave then."""
    lower_model("models/digits", tmp_path)
    graph, digest = load_graph(tmp_path / "graph.safetensors"), hashlib.sha256()
    for linear, neuron in graph.layers:
        for array in (linear.weight, neuron.spec.threshold, neuron.spec.reset_amount, neuron.spec.bias):
            digest.update(np.asarray(array, np.int64).tobytes())
    assert digest.hexdigest()[:16] == "47e727d508694947"
    assert [str(neuron.spec.decay) for neuron in graph.neurons] == ["v - (v >> 3)"] * 2


def synaptic(learn=frozenset()):
    """Return a network of two layers; of the first beta is a shift, of the second alpha."""
    rng = np.random.default_rng(0)
    network = Network("net", (
        ir.Input("in", (), (6,)), Linear("fc1", ("in",), rng.normal(size=(5, 6)), rng.normal(size=5) / 9),
        Neuron("lif1", ("fc1",), Behaviour(0.875, 1.0, alpha=0.7, reset="subtract", reset_amount=1.0)),
        Linear("fc2", ("lif1",), rng.normal(size=(3, 5))), Neuron("lif2", ("fc2",), Behaviour(0.8, 0.5, alpha=0.75)),
        ir.Readout("out", ("lif2",))), 8)
    return TrainableNetwork(network, learn={"lif1": learn, "lif2": learn})


@pytest.mark.parametrize("learn", [frozenset(), frozenset({"threshold", "beta", "alpha"})])
@pytest.mark.parametrize("config", [
    QuantConfig(), QuantConfig(scale="clip"), QuantConfig(scale="po2", granularity="neuron"),
    QuantConfig(scale="clip", granularity="neuron", weight_bits=3), QuantConfig(decay="mul", decay_bits=6, frac=3),
    QuantConfig(synapse="mul")], ids=str)
def test_a_checkpoint_restores_every_integer(tmp_path, config, learn):
    """Trained, written, read and put into the float network again: the same graph, byte for byte."""
    torch.manual_seed(0)
    trained = synaptic(learn)
    prune(trained, PruneConfig(sparsity=0.3))
    trained.quantize(config)
    train_steps(trained, np.random.default_rng(1).integers(0, 2, (8, 8, 6)), steps=4, rate=0.05)
    save_checkpoint(tmp_path / "c.safetensors", take(trained, config, {}))
    restored = synaptic()
    restore(restored, load_checkpoint(tmp_path / "c.safetensors"), QuantConfig())
    for name, network in (("a", trained), ("b", restored)):
        save_graph(network.graph(ir.Input("in", (), (6,)), 8), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def stored(**changes):
    trained = synaptic()
    prune(trained, PruneConfig(sparsity=0.3))
    trained.quantize(config := QuantConfig(scale="clip"))
    return replace(take(trained, config, {}), **{
        part: {**getattr(take(trained, config, {}), part), **values} for part, values in changes.items()})


@pytest.mark.parametrize(("changes", "message"), [
    ({"trained": {"fc1.weight": np.zeros((6, 5))}},
     "layer 'fc1': weight must have shape (5, 6), not (6, 5) as in the checkpoint"),
    ({"trained": {"fc1.bias": np.full(5, np.inf)}}, "layer 'fc1': bias must be finite, not inf as in the checkpoint"),
    ({"trained": {"lif2.beta": np.zeros(2)}}, "layer 'lif2': beta must have shape (3,), not (2,) as in the checkpoint"),
    ({"trained": {"lif1.threshold": np.float32(np.nan)}},
     "layer 'lif1': threshold must be finite, not nan as in the checkpoint"),
    ({"masks": {"fc1": np.ones((5, 5), bool)}}, "layer 'fc1': mask must have shape (5, 6), not (5, 5) as in the checkpoint"),
    ({"scales": {"fc1": np.zeros(())}}, "layer 'fc1' (Linear, 6 → 5): scale must be finite and above 0, not 0"),
    ({"scales": {"fc2": np.ones(3)}}, "layer 'fc2' (Linear, 5 → 3): scale must have shape (), not (3,)"),
    ({"clips": {"fc2": np.float32(-1)}}, "layer 'fc2' (Linear, 5 → 3): clip must be finite and above 0, not -1"),
    ({"clips": {"fc1": np.ones(2)}}, "layer 'fc1' (Linear, 6 → 5): clip must have shape (), not (2,)"),
])
def test_names_what_cannot_be_restored(changes, message):
    with pytest.raises(NetworkError, match=f"^{re.escape(message)}$"):
        restore(synaptic(), stored(**changes), QuantConfig())


def test_parameters_must_be_in_the_checkpoint():
    checkpoint = stored()
    trained = {name: array for name, array in checkpoint.trained.items() if name != "fc2.weight"}
    with pytest.raises(NetworkError, match=r"^layer 'fc2': weight must be in the checkpoint, and is not$"):
        restore(synaptic(), replace(checkpoint, trained=trained), QuantConfig())


def test_one_constant_may_stand_for_all_neurons():
    restored = synaptic()
    trained = {"lif1.threshold": np.full((1,), 0.5), "lif2.beta": np.array([0.5, 0.6, 0.7])}
    restore(restored, stored(trained=trained), QuantConfig())
    assert restored.population("lif1").threshold.shape == ()
    assert restored.population("lif2").beta.tolist() == pytest.approx([0.5, 0.6, 0.7])

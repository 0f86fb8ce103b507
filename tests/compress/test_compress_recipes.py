"""Recipes, pruning masks, scales, decays: small decisions with exact answers, and their refusals."""

import re

import numpy as np
import pytest
import snntorch as snn
import torch
from small_networks import Chain

from snnhw.compress import PruneConfig, QuantConfig, load_recipe, lower, magnitude_masks, quantize
from snnhw.compress.quantize import best_scale, choose_decay
from snnhw.compress.spikes import make_encoder
from snnhw.errors import FileError, NetworkError, UsageError
from snnhw.frontend import probe_neuron, read_network
from snnhw.ir import Decay, Encoding

RECIPE = 'data = "digits"\ntimesteps = 8\n'


def network_of(**options):
    torch.manual_seed(0)
    module = Chain([6, 4], lambda outputs: snn.Leaky(**{"beta": 0.875} | options))
    return module, read_network(module, torch.rand(4, 2, 6), timesteps=4)


def test_an_empty_recipe_has_defaults(tmp_path):
    (tmp_path / "recipe.toml").write_text(RECIPE)
    recipe = load_recipe(tmp_path / "recipe.toml")
    assert (recipe.timesteps, recipe.quantize.bits, recipe.prune.active) == (8, 4, False)
    assert recipe.quantize.of("fc1") == recipe.quantize.of("fc2")


def test_layers_have_their_own_formats():
    config = QuantConfig(weight_bits=4, state_bits=12, layers={"fc1": {"weight_bits": 2}, "lif1": {"state_bits": 16}})
    assert (config.of("fc1", "lif1").bits, config.of("fc1", "lif1").state_bits) == (2, 16)
    assert (config.of("fc2", "lif2").bits, config.of("fc2", "lif2").state_bits) == (4, 12)


@pytest.mark.parametrize(("text", "message"), [
    ("data = 3", "data is wrong: Input should be a valid string"),
    (RECIPE + "[quantize]\nweight_bits = 9", "quantize.weight_bits.constrained-int is wrong: Input should be less than or "
                                             "equal to 8"),
    (RECIPE + "[quantize]\nwidth = 4", "quantize.width is wrong: Extra inputs are not permitted"),
    (RECIPE + "[quantize]\nstate_bits = 3", "quantize.state_bits is wrong: Input should be greater than or equal to 4"),
    (RECIPE + "[prune]\nsparsity = 1.0", "prune.sparsity is wrong: Input should be less than 1"),
    (RECIPE + "[pretrain]\nlearning_rate = inf", "pretrain.learning_rate is wrong: Input should be a finite number"),
    (RECIPE + "[finetune]\nepochs = 2\n[prune]\nsparsity = 0.5\nwhen = 2",
     "recipe is wrong: Value error, prune.when must be 'before' or one of the 2 epochs of finetune, from 0, not 2"),
    (RECIPE.replace("8", "0"), "timesteps is wrong: Input should be greater than or equal to 1"),
])
def test_refuses_impossible_recipes(tmp_path, text, message):
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=f"^{re.escape(f'recipe {str(path)!r}: {message}')}$"):
        load_recipe(path)


@pytest.mark.parametrize("text", ["data = ", "data = " + "[" * 5000])
def test_refuses_what_is_not_toml(tmp_path, text):
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=rf"^recipe {re.escape(repr(str(path)))} must be TOML: .*$"):
        load_recipe(path)
    with pytest.raises(FileError, match=r"^recipe '.*' does not exist$"):
        load_recipe(tmp_path / "other.toml")


def test_the_best_scale_is_the_best():
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(20, 30))

    def error(scale):
        return np.square(weight - scale * np.clip(np.round(weight / scale), -7, 7)).sum()

    free, power = best_scale(weight, 7, po2=False), best_scale(weight, 7, po2=True)
    assert error(free) <= min(error(scale) for scale in np.linspace(0.05, 0.6, 50)) * 1.01
    assert np.log2(power) % 1 == 0
    assert error(power) <= min(error(power * 2), error(power / 2))
    assert best_scale(np.zeros((2, 2)), 7, po2=False) > 0


@pytest.mark.parametrize(("beta", "decay", "expected"), [
    (1.0, "shift", Decay("one")), (0.875, "auto", Decay("shift", 3)), (0.9, "shift", Decay("shift", 3)),
    (0.95, "shift", Decay("shift", 4)), (0.9, "auto", Decay("mul", 8, 230)),
    (0.875, "mul", Decay("mul", 8, 224)), (0.0, "auto", Decay("mul", 8, 0)),
])
def test_chooses_the_nearest_decay(beta, decay, expected):
    behaviour = probe_neuron(snn.Leaky(beta=beta))
    assert choose_decay(behaviour, QuantConfig(decay=decay).of(), "here") == expected


def test_magnitude_masks_keep_the_largest():
    weights = {"a": np.array([[1.0, -5.0], [0.5, 2.0]]), "b": np.array([[0.1, 0.2]])}
    by_layer = magnitude_masks(weights, PruneConfig(sparsity=0.5))
    assert by_layer["a"].tolist() == [[False, True], [False, True]]
    assert by_layer["b"].tolist() == [[False, True]]
    overall = magnitude_masks(weights, PruneConfig(sparsity=0.5, scope="global"))
    assert overall["a"].tolist() == [[True, True], [False, True]]
    assert overall["b"].tolist() == [[False, False]]
    single = magnitude_masks(weights, PruneConfig(layers={"a": 0.75}))
    assert single["a"].sum() == 1
    assert single["b"].all()


def test_pruning_an_unknown_layer_is_refused():
    with pytest.raises(UsageError, match=r"^prune\.layers names 'c', the network has 'a'$"):
        magnitude_masks({"a": np.ones((1, 1))}, PruneConfig(layers={"c": 0.5}))


def refused(config, **options):
    module, network = network_of(**options)
    with pytest.raises((NetworkError, UsageError)) as caught:
        lower(quantize(module, network, config), network, Encoding())
    return str(caught.value)


@pytest.mark.parametrize(("config", "options", "message"), [
    (QuantConfig(decay="shift"), {"beta": 0.3},
     r"layer 'lifs\.0' \(Leaky\): beta must be near 1 - 2\*\*-k for decay 'shift', and is 0\.2 from 0\.5; use decay 'mul'"),
    (QuantConfig(scale="po2", state_bits=8, frac=8), {},
     r"layer 'lifs\.0' \(Leaky\): its threshold is \d+ units of the state and needs 1\d bits, the state has 8; "
     r"use more state_bits or a smaller frac than 8"),
    (QuantConfig(layers={"fc9": {"weight_bits": 2}}), {},
     r"quantize\.layers names 'fc9', the network has 'fcs\.0', 'lifs\.0'"),
])
def test_refuses_what_does_not_fit(config, options, message):
    assert re.match(f"^{message}$", refused(config, **options))


@pytest.mark.parametrize(("what", "value", "message"), [
    ("fcs.0.weight", float("nan"), "layer 'fcs.0' (Linear, 6 → 4): weight must be finite, not nan"),
    ("fcs.0.bias", float("-inf"), "layer 'fcs.0' (Linear, 6 → 4): bias must be finite, not -inf"),
    ("lifs.0.threshold", 0.0, "layer 'lifs.0' (Leaky): threshold must be above 0, not 0"),
    ("lifs.0.threshold", 1e6, "layer 'lifs.0' (Leaky): Neuron threshold must fit in the 12-bit state (-2048..2047), not "),
    ("fcs.0.bias", 2e5, "layer 'lifs.0' (Leaky): its current must stay below 4194304 units of the state, and can reach "),
])
def test_refuses_what_training_broke(what, value, message):
    module, network = network_of()
    quantized = quantize(module, network, QuantConfig(scale="po2"))
    quantized.state_dict()[what].fill_(value)
    with pytest.raises(NetworkError) as caught:
        lower(quantized, network, Encoding())
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(("scale", "message"), [
    (0.0, "scale must be finite and above 0, not 0"), (float("nan"), "scale must be finite and above 0, not nan"),
    ([0.1, 0.2], "scale must have shape (), not (2,)"),
])
def test_refuses_broken_scales(scale, message):
    module, network = network_of()
    with pytest.raises(NetworkError, match=f"^{re.escape(f'layer {chr(39)}fcs.0{chr(39)} (Linear, 6 → 4): {message}')}$"):
        quantize(module, network, QuantConfig(), scales={"fcs.0": np.array(scale)})


@pytest.mark.parametrize("encoding", [Encoding("accumulate", 16, 3), Encoding("rate", 255, 1), Encoding("rate", 65535, 2)])
def test_the_fast_encoder_is_the_encoder(encoding):
    values = np.random.default_rng(0).integers(0, encoding.levels + 1, size=(7, 65))
    assert np.array_equal(make_encoder(encoding, 19, 65)(values), encoding(values, 19))


def test_events_are_their_own_spikes():
    events = np.random.default_rng(0).integers(0, 2, size=(3, 5, 4))
    assert np.array_equal(make_encoder(Encoding(), 5, 4)(events), events)

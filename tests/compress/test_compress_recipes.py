"""Recipes, pruning masks, scales, decays: small decisions with exact answers, and their refusals."""

import re

import numpy as np
import pytest
import torch

from snnhw.compress import QuantConfig, TrainableNetwork, load_recipe
from snnhw.compress.config import TemporalConfig
from snnhw.compress.formats import choose_decay
from snnhw.compress.spikes import make_encoder
from snnhw.compress.weights import best_scale, sigma_scale
from snnhw.errors import FileError, NetworkError, UsageError
from snnhw.ir import Decay, Encoding, Flatten, Input, Readout, Window
from snnhw.network import Behaviour, Conv, Linear, Network, Neuron, Pool

RECIPE = 'data = "digits"\ntimesteps = 8\n'


def network_of(beta=0.875, **options):
    rng = np.random.default_rng(0)
    return Network("net", (
        Input("in", (), (6,)), Linear("fc", ("in",), rng.normal(size=(4, 6)), rng.normal(size=4) / 9),
        Neuron("lif", ("fc",), Behaviour(beta, **options)), Readout("out", ("lif",))), 4)


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
    (RECIPE + "[quantize]\nweight_bits = 17", "quantize.weight_bits.constrained-int is wrong: Input should be less than or "
                                              "equal to 16"),
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

    free, power = best_scale([weight], [7], po2=False), best_scale([weight], [7], po2=True)
    assert error(free) <= min(error(scale) for scale in np.linspace(0.05, 0.6, 50)) * 1.01
    assert np.log2(power) % 1 == 0
    assert error(power) <= min(error(power * 2), error(power / 2))
    assert best_scale([np.zeros((2, 2))], [7], po2=False) > 0
    # One scale for two arrays lies between theirs; one that is all zeros has no say.
    wide = best_scale([weight, 10 * weight], [7, 7], po2=False)
    assert free < wide <= best_scale([10 * weight], [7], po2=False)
    assert best_scale([weight, np.zeros(3)], [7, 1], po2=False) == free


def test_the_scale_of_clip_begins_at_three_deviations():
    """As in section 3 of Schaefer et al. 2023: max(|mean - 3 std|, |mean + 3 std|), here per integer step."""
    weight = np.random.default_rng(0).normal(0.1, 0.5, size=(40, 30))
    assert sigma_scale([weight], [7]) == pytest.approx((weight.mean() + 3 * weight.std()) / 7)
    assert sigma_scale([weight, -3 * weight], [7, 7]) == pytest.approx((3 * weight.mean() + 9 * weight.std()) / 7)
    assert sigma_scale([np.zeros(3)], [7]) == 0.125


@pytest.mark.parametrize(("beta", "decay", "expected"), [
    (1.0, "shift", Decay("one")), (0.875, "auto", Decay("shift", 3)), (0.9, "shift", Decay("shift", 3)),
    (0.95, "shift", Decay("shift", 4)), (0.9, "auto", Decay("mul", 8, 230)),
    (0.875, "mul", Decay("mul", 8, 224)), (0.0, "auto", Decay("mul", 8, 0)),
])
def test_chooses_the_nearest_decay(beta, decay, expected):
    assert choose_decay(np.float32(beta), Behaviour(0.0), QuantConfig(decay=decay).of(), "here") == expected


def test_a_decay_that_learns_or_rounds_toward_zero_is_a_product():
    auto = QuantConfig().of()
    assert choose_decay(np.float64(0.875), Behaviour(0.0), auto, "here", learns=True) == Decay("mul", 8, 224)
    assert choose_decay(np.float64(0.875), Behaviour(0.0, rounding="zero"), auto, "here") == Decay("mul", 8, 224, "zero")
    assert choose_decay(np.array([0.9, 0.5]), Behaviour(0.0), auto, "here") == Decay("mul", 8, np.array([230, 128]))
    assert choose_decay(np.array([0.5, 0.5]), Behaviour(0.0), auto, "here") == Decay("shift", 1)


def lowered(network, config, **changes):
    """Quantize, set entries of parameters, and return the graph."""
    trainable = TrainableNetwork(network)
    trainable.quantize(config)
    slots = trainable.slots()
    with torch.no_grad():
        for name, value in changes.items():
            slots[name.replace("_", ".")].fill_(value)
    return trainable.graph(network.input, network.timesteps)


@pytest.mark.parametrize(("config", "options", "message"), [
    (QuantConfig(decay="shift"), {"beta": 0.3},
     "layer 'lif' (Neuron): beta must be near 1 - 2**-k for decay 'shift', and is 0.2 from 0.5; use decay 'mul'"),
    (QuantConfig(synapse="shift"), {"alpha": 0.3},
     "layer 'lif' (Neuron): alpha must be near 1 - 2**-k for decay 'shift', and is 0.2 from 0.5; use decay 'mul'"),
    (QuantConfig(scale="po2", state_bits=8, frac=8), {},
     "layer 'lif' (Neuron): its threshold is 1025 units of the state and needs 12 bits, the state has 8; "
     "use more state_bits or a smaller frac than 8"),
    (QuantConfig(layers={"fc9": {"weight_bits": 2}}), {}, "quantize.layers names 'fc9', the network has 'fc', 'lif'"),
    (QuantConfig(), {"reset": "subtract", "reset_amount": -1.0},
     "layer 'lif' (Neuron): Neuron reset_amount of subtract must not be negative, not "),
])
def test_refuses_what_does_not_fit(config, options, message):
    with pytest.raises((NetworkError, UsageError)) as caught:
        lowered(network_of(**options), config)
    assert str(caught.value).startswith(message)
    assert str(caught.value)[len(message):].lstrip("-").isdigit() or str(caught.value) == message


@pytest.mark.parametrize(("what", "value", "message"), [
    ("fc_weight", float("nan"), "layer 'fc' (Linear, 6 → 4): weight must be finite, not nan"),
    ("fc_bias", float("-inf"), "layer 'fc' (Linear, 6 → 4): bias must be finite, not -inf"),
    ("lif_beta", float("nan"), "layer 'lif' (Neuron): beta must be finite, not nan"),
    ("lif_threshold", 1e6, "layer 'lif' (Neuron): Neuron threshold must fit in the 12-bit state (-2048..2047), not 64000001"),
    ("fc_bias", 2e5, "layer 'lif' (Neuron): what a timestep adds must stay below 4194304 units of the state, and can reach "
                     "12800672; use a smaller frac"),
])
def test_refuses_what_training_broke(what, value, message):
    with pytest.raises(NetworkError, match=f"^{re.escape(message)}$"):
        lowered(network_of(), QuantConfig(scale="po2"), **{what: value})


@pytest.mark.parametrize(("scale", "message"), [
    (0.0, "scale must be finite and above 0, not 0"), (float("nan"), "scale must be finite and above 0, not nan"),
    ([0.1, 0.2], "scale must have shape (), not (2,)"),
])
def test_refuses_broken_scales(scale, message):
    with pytest.raises(NetworkError, match=f"^{re.escape(f'layer {chr(39)}fc{chr(39)} (Linear, 6 → 4): {message}')}$"):
        TrainableNetwork(network_of()).quantize(QuantConfig(), scales={"fc": np.array(scale)})


@pytest.mark.parametrize(("learn", "message"), [
    ({"fc": frozenset({"beta"})}, "learn names 'fc', the neurons of the network are 'lif'"),
    ({"lif": frozenset({"gamma"})}, "learn of layer 'lif' must be any of 'threshold', 'beta', 'alpha', not 'gamma'"),
])
def test_refuses_to_learn_what_is_not_there(learn, message):
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        TrainableNetwork(network_of(), learn=learn)


def test_weights_after_weights_are_refused_and_named():
    """Whatever stands between them, as long as it is no neuron; every pair is named."""
    rng = np.random.default_rng(0)
    network = Network("net", (
        Input("in", (), (1, 4, 4)), Conv("conv", ("in",), rng.normal(size=(2, 1, 3, 3)), None, Window((3, 3))),
        Pool("pool", ("conv",), "average", Window((2, 2))), Flatten("flat", ("pool",)),
        Linear("fc1", ("flat",), rng.normal(size=(3, 2))), Linear("fc2", ("fc1",), rng.normal(size=(2, 3))),
        Neuron("lif", ("fc2",), Behaviour(0.9)), Readout("out", ("lif",))))
    trainable = TrainableNetwork(network)
    trainable(torch.zeros(1, 2, 16))  # in real numbers they are no trouble
    with pytest.raises(NetworkError) as caught:
        trainable.quantize(QuantConfig())
    assert caught.value.problems == (
        "layer 'conv' (Conv2d, 1 → 2, 3x3): must be followed by neurons to train in integers, and the weights of 'fc1' follow",
        "layer 'fc1' (Linear, 2 → 3): must be followed by neurons to train in integers, and the weights of 'fc2' follow")


def membrane_network():
    return Network("net", (
        Input("in", (), (6,)), Linear("fc", ("in",), np.random.default_rng(0).normal(size=(4, 6))),
        Neuron("li", ("fc",), Behaviour(0.9, 0.0, reset="none", output="state")), Readout("out", ("li",), "membrane", "max")), 4)


def test_a_membrane_that_is_read_out_needs_samples_and_bits():
    with pytest.raises(UsageError, match=r"^layer 'li' \(Neuron\): its membrane is read out, so quantizing needs calibration "
                                         r"samples$"):
        TrainableNetwork(membrane_network()).quantize(QuantConfig())
    with pytest.raises(NetworkError, match=r"^layer 'li' \(Neuron\): the states that are read out need 1\d bits, the state has "
                                           r"8; use more state_bits or a smaller frac than 6$"):
        TrainableNetwork(membrane_network()).quantize(QuantConfig(state_bits=8, frac=6), np.ones((1, 4, 6)))
    trainable = TrainableNetwork(membrane_network())
    trainable.quantize(QuantConfig(state_bits=12), np.ones((1, 4, 6)))
    words = trainable(torch.ones(1, 4, 6), keep=True).membranes["li"].detach()
    # Half of the word at most, so that other samples may go further; and fine enough to be worth it.
    assert 1 << 8 < float(words.abs().max()) <= 1 << 11


def test_small_thresholds_get_no_more_bits_than_a_recipe_can_say():
    trainable = TrainableNetwork(network_of(threshold=1e-4))
    trainable.quantize(QuantConfig(weight_bits=2, state_bits=32))
    assert trainable.population("lif").format.frac == 16


def test_lengths_must_fall():
    with pytest.raises(ValueError, match=r"timesteps must fall, not \[4, 4\]"):
        TemporalConfig(timesteps=(4, 4))


@pytest.mark.parametrize("encoding", [Encoding("accumulate", 16, 3), Encoding("rate", 255, 1), Encoding("rate", 65535, 2)])
def test_the_fast_encoder_is_the_encoder(encoding):
    values = np.random.default_rng(0).integers(0, encoding.levels + 1, size=(7, 65))
    assert np.array_equal(make_encoder(encoding, 19, 65)(values), encoding(values, 19))


def test_events_are_their_own_spikes():
    events = np.random.default_rng(0).integers(0, 2, size=(3, 5, 4))
    assert np.array_equal(make_encoder(Encoding(), 5, 4)(events), events)

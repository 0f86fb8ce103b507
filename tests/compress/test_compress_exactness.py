"""The fake-quantized torch network and the integer reference agree on every spike and every membrane word."""

import copy
import itertools

import numpy as np
import pytest
import snntorch as snn
import torch
from small_networks import NEURONS, BatchFirst, Chain, Static, hidden, random_spikes

from snnhw import reference
from snnhw.compress import PruneConfig, QuantConfig, lower, observe, output_spikes, prune, quantize
from snnhw.compress.layers import QuantLinear
from snnhw.frontend import read_network
from snnhw.ir import Encoding

T = 9
BETAS = {"shift": 0.875, "mul": 0.9, "auto": 0.75, "one": 1.0}


def assert_equal(module, network, spikes):
    """Compare every word; return the graph and the reference's trace."""
    graph = lower(module, network, Encoding())
    trace = reference.run(graph, spikes.numpy() != 0)
    fired, words = observe(module, network, spikes)
    assert set(fired) == {neuron.name for _, neuron in graph.layers}
    for name in fired:
        assert fired[name].shape == trace.spikes[name].shape
        assert (fired[name] != trace.spikes[name]).sum() == 0
        assert (words[name] != trace.membranes[name]).sum() == 0
    return graph, trace


def train(module, network, spikes, steps=2):
    """Move all parameters a little, as training does."""
    optimizer = torch.optim.SGD(module.parameters(), lr=0.002)
    for _ in range(steps):
        optimizer.zero_grad()
        (output_spikes(module, network, spikes).sum(dim=1) - 2).square().mean().backward()
        optimizer.step()


def random_case(seed, reset, bits, scale, granularity):
    rng = np.random.default_rng(seed)
    decay = str(rng.choice(list(BETAS)))
    individual = decay == "mul" and bool(rng.integers(2))
    learn = bool(rng.integers(2))

    def neuron(outputs):
        beta = torch.rand(outputs) if individual else BETAS[decay]
        threshold = torch.rand(outputs) + 0.3 if individual else float(rng.choice([0.5, 1.0, 1.7]))
        return NEURONS[reset](beta=beta, threshold=threshold, learn_beta=learn, learn_threshold=learn)

    torch.manual_seed(seed)
    sizes = [int(size) for size in rng.integers(1, 24, size=int(rng.integers(2, 5)))]
    module = Chain(sizes, neuron, bias=bool(rng.integers(2)), gain=float(rng.choice([1.5, 3.0])))
    state_bits = int(rng.choice([14, 16, 24]))
    config = QuantConfig(weight_bits=bits, scale=scale, granularity=granularity, decay="auto" if decay == "one" else decay,
                         state_bits=state_bits, decay_bits=int(rng.integers(4, 10)),
                         frac=int(rng.integers(0, 4)) if rng.integers(2) else "auto",
                         overflow="exact" if state_bits == 24 and rng.integers(2) else "saturate")
    return module, sizes, config, random_spikes(rng, 3, T, sizes[0], rate=float(rng.choice([0.2, 0.6, 1.0])))


ALL = list(itertools.product(NEURONS, (2, 3, 4, 8, "ternary"), ("po2", "float"), ("tensor", "neuron")))
FEW = [case for index, case in enumerate(ALL) if index % 4 == (index // 4) % 4]  # every pair of options occurs


def check(reset, bits, scale, granularity):
    seed = ALL.index((reset, bits, scale, granularity))
    module, sizes, config, spikes = random_case(seed, reset, bits, scale, granularity)
    network = read_network(module, torch.rand(T, 2, sizes[0]), timesteps=T)
    quantized = quantize(module, network, config)
    train(quantized, network, spikes)
    graph, _ = assert_equal(quantized, network, spikes)
    highest = 1 if bits == "ternary" else (1 << (bits - 1)) - 1
    for linear, neuron in graph.layers:
        assert np.abs(linear.weight).max() <= highest
        assert (neuron.spec.reset, neuron.spec.bits) == (reset.partition(",")[0], config.state_bits)


@pytest.mark.parametrize("case", FEW, ids=str)
def test_every_option_is_exact(case):
    check(*case)


@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in ALL if case not in FEW], ids=str)
def test_fuzz_every_combination_of_options(case):
    check(*case)


@pytest.mark.parametrize("reset", NEURONS)
@pytest.mark.parametrize("scale", ["po2", "float"])
def test_saturation_is_exact(reset, scale):
    torch.manual_seed(5)
    module = Chain([20, 12, 6], lambda outputs: NEURONS[reset](beta=0.875), gain=3.0)
    network = read_network(module, torch.rand(T, 2, 20), timesteps=T)
    bits = 8 if scale == "po2" else 7
    quantized = quantize(module, network, QuantConfig(weight_bits=4, scale=scale, state_bits=bits, frac=2))
    spikes = random_spikes(np.random.default_rng(1), 8, T, 20, rate=0.8)
    _, trace = assert_equal(quantized, network, spikes)
    assert sum(int(counts.saturations.sum()) for counts in trace.counts.values()) > 20


@pytest.mark.parametrize(("make", "sample", "drive"), [
    (lambda: Static(T), (2, 2, 3), "static"), (hidden, (2, 2, 3), "step"), (BatchFirst, (2, T, 6), "sequence"),
])
def test_every_style_of_forward_is_exact(make, sample, drive):
    torch.manual_seed(4)
    module = make()
    network = read_network(module, torch.rand(sample), timesteps=T)
    assert network.drive == drive
    quantized = quantize(module, network, QuantConfig(weight_bits=5))
    spikes = random_spikes(np.random.default_rng(2), 4, T, 6)
    if drive == "static":
        spikes = spikes[:, :1].expand(-1, T, -1).contiguous()
    train(quantized, network, spikes)
    _, trace = assert_equal(quantized, network, spikes)
    assert trace.output_spikes.any()


def test_a_threshold_on_the_grid_is_strict():
    module = Chain([1, 1], lambda outputs: snn.Leaky(beta=1.0, threshold=1.0, reset_mechanism="none"), bias=False)
    with torch.no_grad():
        module.fcs[0].weight.fill_(0.25)
    network = read_network(module, torch.rand(6, 2, 1), timesteps=6)
    quantized = quantize(module, network, QuantConfig(scale="po2", frac=0), scales={"fcs.0": np.float32(0.25)})
    graph, trace = assert_equal(quantized, network, torch.ones(1, 6, 1))
    assert int(graph.layers[0][1].spec.threshold) == 5
    assert trace.membranes["lifs.0"].reshape(-1).tolist() == [1, 2, 3, 4, 5, 6]
    assert trace.output_spikes.reshape(-1).tolist() == [False, False, False, False, True, True]


def test_fine_formats_follow_the_float_network():
    torch.manual_seed(6)
    module = Chain([30, 20, 10], lambda outputs: snn.Leaky(beta=0.875), gain=3.0)
    network = read_network(module, torch.rand(T, 2, 30), timesteps=T)
    quantized = quantize(module, network, QuantConfig(weight_bits=8, state_bits=24, frac=10))
    spikes = random_spikes(np.random.default_rng(3), 20, T, 30)
    with torch.no_grad():
        float_spikes, quant_spikes = output_spikes(module, network, spikes), output_spikes(quantized, network, spikes)
    assert float_spikes.mean() > 0.05
    assert (float_spikes == quant_spikes).double().mean() > 0.97


def test_gradients_reach_everything_that_learns():
    torch.manual_seed(7)
    module = Chain([12, 8, 4], lambda outputs: snn.Leaky(beta=0.9, learn_beta=True, learn_threshold=True))
    network = read_network(module, torch.rand(T, 2, 12), timesteps=T)
    quantized = quantize(module, network, QuantConfig(decay="mul", scale="float"))
    output_spikes(quantized, network, random_spikes(np.random.default_rng(0), 16, T, 12)).sum(dim=1).square().mean().backward()
    parameters = dict(quantized.named_parameters())
    names = {name for name, parameter in parameters.items() if parameter.grad is not None and parameter.grad.abs().sum() > 0}
    assert names == set(parameters)
    assert {name.rpartition(".")[2] for name in names} == {"weight", "bias", "beta", "threshold", "value"}


def test_power_of_two_scales_stay():
    module = Chain([12, 4], lambda outputs: snn.Leaky(beta=0.75))
    network = read_network(module, torch.rand(T, 2, 12), timesteps=T)
    quantized = quantize(module, network, QuantConfig(scale="po2"))
    train(quantized, network, random_spikes(np.random.default_rng(0), 8, T, 12))
    linear = quantized.get_submodule("fcs.0")
    assert isinstance(linear, QuantLinear)
    assert float(torch.log2(linear.quantized().scale)) % 1 == 0
    assert not any("scaling" in name for name, _ in quantized.named_parameters())


def test_quantizing_leaves_the_float_network_alone():
    module = Chain([12, 4], lambda outputs: snn.Leaky(beta=0.9))
    before = copy.deepcopy(module.state_dict())
    network = read_network(module, torch.rand(T, 2, 12), timesteps=T)
    quantized = quantize(module, network, QuantConfig(decay="shift"))
    train(quantized, network, random_spikes(np.random.default_rng(0), 8, T, 12))
    assert type(module.fcs[0]) is torch.nn.Linear
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    copied = copy.deepcopy(quantized)
    assert copied.lifs[0].source is copied.fcs[0]


@pytest.mark.parametrize("scope", ["layer", "global"])
def test_pruned_weights_are_zero_integers_for_good(scope):
    torch.manual_seed(8)
    module = Chain([20, 16, 4], lambda outputs: snn.Leaky(beta=0.75))
    network = read_network(module, torch.rand(T, 2, 20), timesteps=T)
    quantized = quantize(module, network, QuantConfig(weight_bits=8))
    prune(quantized, network, PruneConfig(sparsity=0.7, scope=scope))
    masks = {layer.linear: quantized.get_submodule(layer.linear).mask.numpy().copy() for layer in network.layers}
    assert sum(mask.size - mask.sum() for mask in masks.values()) == pytest.approx(0.7 * (320 + 64), abs=1)
    spikes = random_spikes(np.random.default_rng(4), 8, T, 20)
    train(quantized, network, spikes, steps=5)
    graph, _ = assert_equal(quantized, network, spikes)
    for linear, _ in graph.layers:
        assert not linear.weight[~masks[linear.name]].any()
        assert linear.weight.any()

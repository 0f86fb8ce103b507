"""Gradients: of spikes those of a smooth step, of rounding those of the identity, of scales what follows from both."""

import math

import numpy as np
import pytest
import torch

from snnhw.compress import QuantConfig, TrainableNetwork
from snnhw.ir import Delay, Input, Readout
from snnhw.network import Behaviour, Linear, Network, Neuron

T = 6
RNG = np.random.default_rng(0)
SPIKES = torch.from_numpy(RNG.integers(0, 2, (5, T, 6))).float()
# Smooth steps whose derivatives the surrogates are.
SMOOTH = {
    "atan": lambda x: torch.atan(math.pi * x) / math.pi,
    "fast-sigmoid": lambda x: x / (1 + 25 * x.abs()),
    "triangle": lambda x: 0.3 * (x.clamp(-1, 1) - x.clamp(-1, 1) * x.clamp(-1, 1).abs() / 2),
    "rectangle": lambda x: x.clamp(-0.5, 0.5),
}
SLOPES = {"first": {"threshold", "beta", "alpha"}, "last": {"threshold", "beta", "alpha"}}


def network_of(behaviour, *, loop=True, sizes=(6, 5, 4)):
    """Return two layers of neurons, of which the first may hear itself."""
    rng = np.random.default_rng(1)
    around = (Delay("late", ("first",), sizes[1:2]), Linear("loop", ("late",), rng.normal(size=(sizes[1], sizes[1])) / 2))
    return Network("net", (
        Input("in", (), sizes[:1]), *(around if loop else ()),
        Linear("fc1", ("in",), rng.normal(size=sizes[1::-1]) / 1.5, rng.normal(size=sizes[1]) / 9),
        Neuron("first", ("fc1", "loop") if loop else ("fc1",), behaviour),
        Linear("fc2", ("first",), rng.normal(size=sizes[:0:-1])), Neuron("last", ("fc2",), behaviour),
        Readout("out", ("last",))), T)


def smooth_gradients(network, kind):
    """Return the gradients of a plain implementation, float64: its spikes are hard, what flows back is that of a smooth step."""
    values, layers = {}, {}
    for node in network.nodes:
        if isinstance(node, Linear):
            values |= {f"{node.name}.{name}": torch.tensor(array, requires_grad=True)
                       for name in ("weight", "bias") if (array := getattr(node, name)) is not None}
        elif isinstance(node, Neuron):
            layers[node.name] = behaviour = node.behaviour
            values |= {f"{node.name}.{name}": torch.tensor(getattr(behaviour, name), requires_grad=True)
                       for name in ("threshold", "beta", "alpha") if getattr(behaviour, name) is not None}

    def hard(x):
        soft = SMOOTH[kind](x)
        return (x > 0).double() + (soft - soft.detach())

    state = {name: [torch.zeros((), dtype=torch.float64)] * 2 for name in layers}

    def step(name, current):
        behaviour = layers[name]
        synapse, v = state[name]
        threshold = values[f"{name}.threshold"]
        if behaviour.alpha is not None:
            current = synapse = values[f"{name}.alpha"] * synapse + current
        resets = (v > threshold).double().detach()
        if behaviour.reset_time == "next" and behaviour.reset == "zero":
            v = v * (1 - resets)
        v = values[f"{name}.beta"] * v + current
        if behaviour.reset_time == "next" and behaviour.reset == "subtract":
            v = v - resets * threshold
        spikes = sum(hard((v - threshold - grade * threshold) / threshold.detach()) for grade in range(behaviour.grades))
        if behaviour.reset_time == "immediate" and behaviour.reset == "subtract":
            v = v - spikes.detach() * threshold
        elif behaviour.reset_time == "immediate" and behaviour.reset == "zero":
            v = v * (1 - spikes.detach())
        state[name] = [synapse, v]
        return spikes

    before, total = torch.zeros(5, 5, dtype=torch.float64), 0
    for now in SPIKES.double().unbind(1):
        current = now @ values["fc1.weight"].T + values["fc1.bias"]
        before = step("first", current + before @ values["loop.weight"].T)
        total = total + step("last", before @ values["fc2.weight"].T)
    (total - 2).square().mean().backward()
    return total.detach(), {name: value.grad for name, value in values.items()}


def gradients(trainable):
    trainable.zero_grad()
    logits = trainable(SPIKES).logits
    (logits - 2).square().mean().backward()
    return logits.detach(), {name: slot.grad for name, slot in trainable.slots().items()}


BEHAVIOURS = {
    "none": Behaviour(0.8, 1.0, reset="none"),
    "thresholds and betas of neurons": Behaviour(0.8, 0.6, reset="none", alpha=0.6),
    "zero, immediate": Behaviour(0.8, 1.1),
    "zero, next": Behaviour(0.8, 1.1, reset_time="next"),
    "subtract, immediate": Behaviour(0.8, 0.9, ">", "subtract", 0.9, alpha=0.4),
    "subtract, next": Behaviour(0.8, 0.9, ">", "subtract", 0.9, "next"),
    "count": Behaviour(0.8, 0.5, ">", "subtract", 0.5, output="count", grades=3),
}


@pytest.mark.parametrize("kind", SMOOTH)
@pytest.mark.parametrize("behaviour", BEHAVIOURS.values(), ids=list(BEHAVIOURS))
def test_spikes_have_the_gradient_of_a_smooth_step(behaviour, kind):
    network = network_of(behaviour)
    total, wanted = smooth_gradients(network, kind)
    logits, found = gradients(TrainableNetwork(network, learn=SLOPES, surrogate=kind))
    assert torch.equal(logits.double(), total)
    assert total.any()
    assert found.keys() == wanted.keys()
    for name, gradient in found.items():
        assert torch.allclose(gradient.double(), wanted[name], rtol=1e-4, atol=1e-6), name
        assert wanted[name].any(), name


@pytest.mark.parametrize("scale", ["po2", "float", "clip"])
@pytest.mark.parametrize("behaviour", BEHAVIOURS.values(), ids=list(BEHAVIOURS))
def test_fine_integers_have_the_gradients_of_real_numbers(behaviour, scale):
    """With 16-bit weights and fine states only rounding is left: an error in a unit, a slope or an origin would be a factor."""
    network = network_of(behaviour)
    logits, wanted = gradients(TrainableNetwork(network, learn=SLOPES))
    trainable = TrainableNetwork(network, learn=SLOPES)
    # No weight is at the end of the range or beyond it, where it gets no gradient.
    wide = {name: np.float32(2.0 ** -13) for name in ("fc1", "loop", "fc2")}
    trainable.quantize(QuantConfig(weight_bits=16, scale=scale, state_bits=32, frac=4, decay="mul", decay_bits=16), scales=wide)
    found_logits, found = gradients(trainable)
    assert torch.equal(found_logits, logits)
    for name, gradient in found.items():
        # A gradient that is the small rest of large ones is measured against those.
        error = (gradient - wanted[name]).norm() / wanted[name].norm().clamp(min=0.1)
        assert error < 5e-3, f"{name} is {float(error):.3g} off"


def test_states_have_the_gradient_of_differences():
    """A network without spikes is smooth: central differences of its output, one parameter at a time."""
    rng = np.random.default_rng(2)
    network = Network("net", (
        Input("in", (), (6,)), Linear("fc", ("in",), rng.normal(size=(3, 6)), rng.normal(size=3)),
        Neuron("li", ("fc",), Behaviour(np.array([0.5, 0.7, 0.9]), 0.0, reset="none", alpha=0.6, output="state")),
        Readout("out", ("li",), "membrane", "sum")), T)
    trainable = TrainableNetwork(network, learn={"li": frozenset({"beta", "alpha"})})
    factor = torch.tensor([1.0, -2.0, 0.5])
    (trainable(SPIKES).logits * factor).mean().backward()
    slots = trainable.slots()
    assert set(slots) == {"fc.weight", "fc.bias", "li.threshold", "li.beta", "li.alpha"}
    for name in ("fc.weight", "fc.bias", "li.beta", "li.alpha"):
        flat, given = slots[name].data.view(-1), slots[name].grad.view(-1)
        for index in range(min(4, len(flat))):
            ends = []
            for side in (-1, 1):
                kept = float(flat[index])
                flat[index] = kept + side * 0.01
                with torch.no_grad():
                    ends.append(float((trainable(SPIKES).logits * factor).mean()))
                flat[index] = kept
            assert float(given[index]) == pytest.approx((ends[1] - ends[0]) / 0.02, rel=5e-3, abs=1e-3), name


def state_network(weight):
    """Return a network whose output is its weighted sum, once."""
    return Network("net", (
        Input("in", (), weight.shape[1:]), Linear("fc", ("in",), weight),
        Neuron("li", ("fc",), Behaviour(0.0, 0.0, reset="none", output="state")), Readout("out", ("li",), "membrane", "last")), 1)


WEIGHT = np.array([[0.31, -0.9, 0.12, 2.5], [-3.0, 0.44, 0.07, -0.26]], np.float32)
X = torch.tensor([[[1.0, 1.0, 1.0, 1.0]], [[1.0, 0.0, 1.0, 1.0]]])


def test_a_learned_scale_has_the_gradient_of_lsq():
    """Esser et al. 2020, equation 3: round(w/s) - w/s inside, the largest integer outside; times s, as its logarithm learns."""
    trainable = TrainableNetwork(state_network(WEIGHT))
    trainable.quantize(QuantConfig(weight_bits=3, state_bits=16, frac=0), np.ones((1, 1, 4)), scales={"fc": np.float32(0.5)})
    trainable(X).logits.sum().backward()
    ratio = WEIGHT / 0.5
    each = np.where(np.abs(ratio) <= 3, np.round(ratio) - ratio, 3 * np.sign(ratio))
    times = X.sum(dim=0).numpy()[0]
    assert float(trainable.scales[0].worth.grad) == pytest.approx(0.5 * float((each * times).sum()), rel=1e-5)
    inside = (np.abs(ratio) <= 3) * times
    assert np.allclose(trainable.map("fc").weight.grad.numpy(), inside)


def test_clip_and_scale_have_their_own_gradients():
    """The integer is clip(round(w/a)), its worth c: the gradient of c is the integer, that of a what the identity leaves."""
    trainable = TrainableNetwork(state_network(WEIGHT))
    trainable.quantize(QuantConfig(weight_bits=3, state_bits=16, frac=0, scale="clip"), np.ones((1, 1, 4)),
                       scales={"fc": np.float32(0.5)}, clips={"fc": np.float32(0.8)})
    found = trainable(X).logits
    ratio, times = WEIGHT / 0.8, X.sum(dim=0).numpy()[0]
    whole = np.clip(np.round(ratio), -3, 3)
    assert np.allclose(found.detach().numpy(), X[:, 0].numpy() @ (0.5 * whole).T)
    found.sum().backward()
    scale, inside = trainable.scales[0], np.abs(ratio) <= 3
    assert float(scale.worth.grad) == pytest.approx(0.5 * float((whole * times).sum()), rel=1e-5)
    assert float(scale.clip.grad) == pytest.approx(0.5 * float((-ratio * inside * times).sum()), rel=1e-5)
    assert np.allclose(trainable.map("fc").weight.grad.numpy(), 0.5 / 0.8 * inside * times)


@pytest.mark.parametrize("scale", ["po2", "float", "clip"])
@pytest.mark.parametrize("granularity", ["tensor", "neuron"])
def test_gradients_reach_everything_that_learns(scale, granularity):
    trainable = TrainableNetwork(network_of(BEHAVIOURS["subtract, immediate"], sizes=(6, 8, 4)), learn=SLOPES)
    trainable.quantize(QuantConfig(decay="mul", scale=scale, granularity=granularity))
    trainable(SPIKES).logits.square().mean().backward()
    parameters = dict(trainable.named_parameters())
    reached = {name for name, parameter in parameters.items() if parameter.grad is not None and parameter.grad.any()}
    assert reached == set(parameters)
    assert {name.rpartition(".")[2] for name in reached} == {"weight", "bias", "threshold", "beta", "alpha"} | {
        "po2": set(), "float": {"worth"}, "clip": {"worth", "clip"}}[scale]


def test_constants_that_do_not_learn_stay():
    trainable = TrainableNetwork(network_of(BEHAVIOURS["subtract, immediate"]), learn={"first": frozenset({"beta"})})
    learning = {name for name, slot in trainable.slots().items() if slot.requires_grad}
    assert learning == {"fc1.weight", "fc1.bias", "loop.weight", "fc2.weight", "first.beta"}


def test_power_of_two_scales_stay():
    trainable = TrainableNetwork(network_of(BEHAVIOURS["none"]))
    trainable.quantize(QuantConfig(scale="po2"))
    optimizer = torch.optim.SGD(trainable.parameters(), lr=0.1)
    before = trainable.scale_values()[0]
    trainable(SPIKES).logits.square().mean().backward()
    optimizer.step()
    assert trainable.scale_values()[0] == before
    assert all(float(np.log2(scale)) % 1 == 0 for scale in before.values())

"""The network that trains in integers and the integer reference agree on every spike and every membrane word."""

import copy
import itertools

import numpy as np
import pytest
import snntorch as snn
import torch
from random_floats import assert_exact, float_network, spikes_for, train_steps
from small_networks import NEURONS, BatchFirst, Chain, Static, hidden, random_spikes

from snnhw import ir
from snnhw.compress import PruneConfig, QuantConfig, TrainableNetwork, prune
from snnhw.frontend import read_module
from snnhw.network import Behaviour, Conv, Linear, Network, Neuron, Pool, Scale, run_network

T = 9
BETAS = {"shift": 0.875, "mul": 0.9, "auto": 0.75, "one": 1.0}
EVERYTHING = frozenset({"threshold", "beta", "alpha"})


def trainable_of(module, sample, timesteps=T, *, learn=frozenset()):
    network = read_module(module, sample, timesteps=timesteps)
    return TrainableNetwork(network, learn={node.name: learn for node in network.neurons})


def random_case(seed, reset, bits, scale, granularity):
    rng = np.random.default_rng(seed)
    decay = str(rng.choice(list(BETAS)))
    individual = decay == "mul" and bool(rng.integers(2))
    learn = EVERYTHING if rng.integers(2) else frozenset()

    def neuron(outputs):
        beta = torch.rand(outputs) if individual else BETAS[decay]
        threshold = torch.rand(outputs) + 0.3 if individual else float(rng.choice([0.5, 1.0, 1.7]))
        return NEURONS[reset](beta=beta, threshold=threshold)

    torch.manual_seed(seed)
    sizes = [int(size) for size in rng.integers(1, 24, size=int(rng.integers(2, 5)))]
    module = Chain(sizes, neuron, bias=bool(rng.integers(2)), gain=float(rng.choice([1.5, 3.0])))
    state_bits = int(rng.choice([14, 16, 24])) if bits != 16 else 28
    config = QuantConfig(weight_bits=bits, scale=scale, granularity=granularity, decay="auto" if decay == "one" else decay,
                         state_bits=state_bits, decay_bits=int(rng.integers(4, 10)),
                         frac=int(rng.integers(0, 4)) if rng.integers(2) else "auto",
                         overflow="exact" if state_bits == 24 and rng.integers(2) else "saturate")
    return trainable_of(module, torch.rand(T, 2, sizes[0]), learn=learn), config, random_spikes(
        rng, 3, T, sizes[0], rate=float(rng.choice([0.2, 0.6, 1.0]))).numpy().astype(int)


ALL = list(itertools.product(NEURONS, (2, 3, 4, 8, 16, "ternary"), ("po2", "float", "clip"), ("tensor", "neuron")))
PLACES = itertools.product(range(6), range(6), range(3), range(2))
FEW = [case for case, (reset, bits, scale, granularity) in zip(ALL, PLACES, strict=True)
       if scale == (reset + bits) % 3 and granularity == (reset // 3 + bits) % 2]  # every pair of options occurs


def check(reset, bits, scale, granularity):
    trainable, config, spikes = random_case(ALL.index((reset, bits, scale, granularity)), reset, bits, scale, granularity)
    trainable.quantize(config)
    train_steps(trainable, spikes)
    graph, _ = assert_exact(trainable, spikes)
    highest = 1 if bits == "ternary" else (1 << (bits - 1)) - 1
    for linear, neuron in graph.layers:
        assert np.abs(linear.weight).max() <= highest
        assert (neuron.spec.reset, neuron.spec.bits) == (reset.partition(",")[0], config.state_bits)


def test_few_options_have_every_pair():
    for left, right in itertools.combinations(range(4), 2):
        assert {(case[left], case[right]) for case in FEW} == {(case[left], case[right]) for case in ALL}


@pytest.mark.parametrize("case", FEW, ids=str)
def test_every_option_is_exact(case):
    check(*case)


@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in ALL if case not in FEW], ids=str)
def test_fuzz_every_combination_of_options(case):
    check(*case)


def random_config(rng):
    bits = rng.choice([2, 3, 4, 8, 16]).item()
    return QuantConfig(
        weight_bits=bits, scale=str(rng.choice(["po2", "float", "clip"])), granularity=str(rng.choice(["tensor", "neuron"])),
        state_bits=int(rng.choice([16, 22, 24, 30] if bits < 16 else [28, 32])), decay=str(rng.choice(["auto", "mul"])),
        synapse=str(rng.choice(["same", "auto", "mul"])), decay_bits=int(rng.integers(4, 12)),
        frac=int(rng.integers(0, 4)) if rng.random() < 0.5 else "auto")


def check_any(seed):
    rng = np.random.default_rng([seed, 17])
    network = float_network(seed)
    spikes = spikes_for(network, seed)
    learn = {node.name: frozenset(name for name in EVERYTHING if rng.random() < 0.4) for node in network.neurons}
    trainable = TrainableNetwork(network, learn=learn)
    trainable.quantize(random_config(rng), spikes)
    train_steps(trainable, spikes)
    return assert_exact(trainable, spikes)


@pytest.mark.parametrize("seed", range(60))
def test_any_topology_is_exact(seed):
    check_any(seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(60, 1000))
def test_fuzz_any_topology(seed):
    check_any(seed)


def test_the_topologies_have_everything():
    """What the seeds of the normal run are made of; a generator that lost a kind of node would prove less."""
    seen, behaviours = [], []
    for seed in range(60):
        network = float_network(seed)
        seen += [node for node in network.nodes if not isinstance(node, Neuron)]
        behaviours += [node.behaviour for node in network.neurons]
    kinds = {type(node) for node in seen}
    assert {Conv, Linear, Scale, Pool, ir.MaxPool, ir.Flatten, ir.Delay, ir.Input, ir.Readout} <= kinds
    windows = [node.window for node in seen if isinstance(node, Conv)]
    assert {window.rank for window in windows} == {1, 2}
    assert any(max(window.stride) > 1 for window in windows)
    assert any(max(window.dilation) > 1 for window in windows)
    assert any(window.padding != window.padding_end for window in windows)
    assert any(node.groups > 1 for node in seen if isinstance(node, Conv))
    assert {node.kind for node in seen if isinstance(node, Pool)} == {"sum", "average"}
    assert {node.over for node in seen if isinstance(node, ir.Readout) and node.kind == "membrane"} == {"last", "max", "sum"}
    assert {(each.reset, each.reset_time) for each in behaviours} >= set(
        itertools.product(("none", "zero", "value", "subtract"), ("immediate", "next")))
    assert {each.input_on_reset for each in behaviours} == {"keep", "drop"}
    assert {each.output for each in behaviours} == {"spike", "count", "state"}
    assert {each.rounding for each in behaviours} == {"floor", "zero"}
    assert any(each.alpha is not None for each in behaviours)
    assert any(np.ndim(each.threshold) for each in behaviours)
    assert any(np.ndim(each.beta) for each in behaviours)
    assert any((node.lowest, node.highest) != (0, 1) for node in seen if isinstance(node, ir.Input))


@pytest.mark.parametrize("seed", range(1000, 1040))
def test_real_numbers_are_those_of_the_float_network(seed):
    """With numbers that single precision adds and multiplies exactly, not one state differs."""
    network = float_network(seed, dyadic=True)
    spikes = spikes_for(network, seed)
    trace = run_network(network, spikes)
    trainable = TrainableNetwork(network)
    with torch.no_grad():
        found = trainable(torch.as_tensor(spikes, dtype=torch.float32), keep=True)
    for node in network.neurons:
        assert np.array_equal(found.membranes[node.name].transpose(0, 1).numpy(), trace.membranes[node.name]), node.name
        if node.fires:
            assert np.array_equal(found.spikes[node.name].transpose(0, 1).numpy(), trace.spikes[node.name]), node.name
    if network.nodes[-1].kind != "first":
        assert np.array_equal(found.logits.numpy().argmax(axis=1), trace.decisions)


@pytest.mark.parametrize("seed", range(1040, 1060))
def test_a_network_comes_back(seed):
    network = float_network(seed)
    back = TrainableNetwork(network).network()
    assert str(back) == str(network)
    for node, other in zip(network.nodes, back.nodes, strict=True):
        for name in ("weight", "bias"):
            given = getattr(node, name, None)
            assert given is None or np.array_equal(np.asarray(given, np.float32), getattr(other, name))
        if isinstance(node, Neuron):
            for name in ("threshold", "beta", "alpha", "reset_amount", "bias"):
                given = getattr(node.behaviour, name)
                assert given is None or np.array_equal(np.asarray(given, np.float32),
                                                       np.asarray(getattr(other.behaviour, name), np.float32))


def chain_of(*nodes, shape=(4,), values=(0, 1), readout="count", over="sum", timesteps=T):
    """Return a network of (kind, name, inputs, ...): without inputs a node reads the one before."""
    named = [ir.Input("in", (), shape, lowest=values[0], highest=values[1])]
    for kind, name, inputs, *rest in nodes:
        named.append(kind(name, inputs or (named[-1].name,), *rest))
    named.append(ir.Readout("out", (named[-1].name,), readout, over))
    return Network("net", tuple(named), timesteps)


LEAKY = Behaviour(0.875, 1.0, ">", "subtract", 1.0)


def test_currents_beyond_single_precision_are_exact():
    """Large weights times large inputs need more than 24 bits before any neuron sees them, in one map or in a sum of two."""
    rng = np.random.default_rng(0)
    values = rng.integers(-255, 256, (3, 2, 300))
    config = QuantConfig(weight_bits=16, state_bits=32, frac=0)
    one = chain_of((Linear, "fc", (), rng.normal(size=(4, 300))), (Neuron, "lif", (), Behaviour(0.9, 40.0)),
                   shape=(300,), values=(-255, 255))
    two = chain_of((Linear, "a", ("in",), rng.normal(size=(4, 300))), (Linear, "b", ("in",), rng.normal(size=(4, 300))),
                   (Neuron, "lif", ("a", "b"), Behaviour(0.9, 9.0)), shape=(300,), values=(-1, 1))
    for network, given in ((one, values), (two, np.sign(values))):
        trainable = TrainableNetwork(network)
        trainable.quantize(config)
        graph, trace = assert_exact(trainable, given)
        weights = sum(node.weight.astype(object) for node in graph.nodes if isinstance(node, ir.Linear))
        assert max(abs(int(current)) for current in (weights @ given.reshape(-1, 300).T).reshape(-1)) > (
            1 << 24 if network is one else 1 << 17)
        assert trace.output_spikes.any()


def test_sums_of_large_currents_are_exact():
    """Each summand fits in single precision, their sum does not."""
    weight = np.full((1, 500), 1.0)
    weight[0, 0] = 1 / 32767
    trainable = TrainableNetwork(chain_of(
        (Linear, "a", ("in",), weight), (Linear, "b", ("in",), weight), (Linear, "c", ("in",), weight),
        (Neuron, "lif", ("a", "b", "c"), Behaviour(1.0, 1.0, reset="none")), shape=(500,), timesteps=1))
    trainable.quantize(QuantConfig(weight_bits=16, state_bits=32, frac=0))
    _, trace = assert_exact(trainable, np.ones((1, 1, 500), int))
    assert trace.membranes["lif"].item() == 3 * (499 * 32767 + 1)


def test_large_biases_are_exact():
    """A bias may be far larger than what spikes make, and then needs double precision for the state."""
    trainable = TrainableNetwork(chain_of(
        (Linear, "fc", (), np.eye(4) / 8, np.array([-5e5, 7e5, 0.1, -0.2])),
        (Neuron, "lif", (), Behaviour(0.9, 1.0, ">", "subtract", 1.0))))
    trainable.quantize(QuantConfig(state_bits=14))
    spikes = np.random.default_rng(0).integers(0, 2, (4, T, 4))
    graph, _ = assert_exact(trainable, spikes)
    assert np.abs(graph["lif"].spec.bias).max() > 1 << 24


@pytest.mark.parametrize("reset", NEURONS)
@pytest.mark.parametrize("scale", ["po2", "float"])
def test_saturation_is_exact(reset, scale):
    torch.manual_seed(5)
    module = Chain([20, 12, 6], lambda outputs: NEURONS[reset](beta=0.875), gain=3.0)
    trainable = trainable_of(module, torch.rand(T, 2, 20))
    trainable.quantize(QuantConfig(weight_bits=4, scale=scale, state_bits=8 if scale == "po2" else 7, frac=2))
    spikes = random_spikes(np.random.default_rng(1), 8, T, 20, rate=0.8).numpy().astype(int)
    _, trace = assert_exact(trainable, spikes)
    assert sum(int(counts.saturations.sum()) for counts in trace.counts.values()) > 20


@pytest.mark.parametrize(("make", "sample"), [
    (lambda: Static(T), (2, 2, 3)), (hidden, (2, 2, 3)), (BatchFirst, (2, T, 6))])
def test_every_style_of_forward_is_exact(make, sample):
    torch.manual_seed(4)
    trainable = trainable_of(make(), torch.rand(sample))
    trainable.quantize(QuantConfig(weight_bits=5))
    spikes = random_spikes(np.random.default_rng(2), 4, T, 6).numpy().astype(int)
    train_steps(trainable, spikes)
    _, trace = assert_exact(trainable, spikes)
    assert trace.output_spikes.any()


def test_an_input_that_stays_is_computed_once():
    """One timestep of input stands for all of them, before delays and in cycles too."""
    network = chain_of((ir.Delay, "late", ("lif",), (5,)), (Linear, "loop", (), np.random.default_rng(1).normal(size=(5, 5))),
                       (Linear, "fc", ("in",), np.random.default_rng(0).normal(size=(5, 4))),
                       (Neuron, "lif", ("fc", "loop"), LEAKY), values=(0, 15))
    for quantized in (False, True):
        trainable = TrainableNetwork(network)
        if quantized:
            trainable.quantize(QuantConfig(weight_bits=6, state_bits=16))
        values = torch.randint(0, 16, (3, 1, 4)).float()
        with torch.no_grad():
            once = trainable(values, T, keep=True)
            each = trainable(values.expand(-1, T, -1), keep=True)
        assert torch.allclose(once.membranes["lif"], each.membranes["lif"], rtol=0, atol=0 if quantized else 1e-4)
        assert torch.equal(once.logits, each.logits)
        assert once.logits.any()


def test_the_delay_of_a_cycle_may_leave_it():
    rng = np.random.default_rng(3)
    network = chain_of(
        (ir.Delay, "late", ("lif",), (4,)), (Linear, "loop", ("late",), rng.normal(size=(4, 4))),
        (Linear, "fc", ("in",), rng.normal(size=(4, 4))), (Neuron, "lif", ("fc", "loop"), LEAKY),
        (Linear, "away", ("late",), 2 * rng.normal(size=(3, 4))), (Neuron, "last", (), LEAKY))
    spikes = rng.integers(0, 2, (4, T, 4))
    trainable = TrainableNetwork(network)
    found = trainable(torch.as_tensor(spikes).float(), keep=True)
    assert np.array_equal(found.spikes["last"].detach().transpose(0, 1).numpy(), run_network(network, spikes).spikes["last"])
    trainable.quantize(QuantConfig())
    _, trace = assert_exact(trainable, spikes)
    assert trace.output_spikes.any()


@pytest.mark.parametrize(("compare", "expected"), [(">", 5), (">=", 4)])
def test_a_threshold_on_the_grid_is_strict_or_not(compare, expected):
    trainable = TrainableNetwork(chain_of(
        (Linear, "fc", (), np.array([[0.25]])), (Neuron, "lif", (), Behaviour(1.0, 1.0, compare, "none")), shape=(1,)))
    trainable.quantize(QuantConfig(scale="po2", frac=0), scales={"fc": np.float32(0.25)})
    graph, trace = assert_exact(trainable, np.ones((1, 6, 1), int))
    assert int(graph["lif"].spec.threshold) == expected
    assert trace.membranes["lif"].reshape(-1).tolist() == [1, 2, 3, 4, 5, 6]
    assert trace.output_spikes.reshape(-1).tolist() == [step >= expected for step in range(1, 7)]


def test_fine_formats_follow_the_float_network():
    torch.manual_seed(6)
    module = Chain([30, 20, 10], lambda outputs: snn.Leaky(beta=0.875), gain=3.0)
    trainable = trainable_of(module, torch.rand(T, 2, 30))
    spikes = random_spikes(np.random.default_rng(3), 20, T, 30)
    with torch.no_grad():
        before = trainable(spikes).spikes["lifs.1"]
        trainable.quantize(QuantConfig(weight_bits=8, state_bits=24, frac=10))
        after = trainable(spikes).spikes["lifs.1"]
        own = module(spikes.transpose(0, 1))
    assert torch.equal(before, own)
    assert before.mean() > 0.05
    assert (before == after).double().mean() > 0.97


def test_thresholds_of_neurons_and_scales_of_channels_may_both_differ():
    rng = np.random.default_rng(5)
    thresholds = rng.uniform(0.4, 1.5, 12)
    trainable = TrainableNetwork(chain_of(
        (Conv, "conv", (), rng.normal(size=(3, 1, 2, 2)), None, ir.Window((2, 2), padding=(1, 0), padding_end=(0, 1))),
        (Neuron, "maps", (), Behaviour(0.75, thresholds, ">", "subtract", thresholds)), shape=(1, 2, 2)))
    trainable.quantize(QuantConfig(granularity="neuron"))
    graph, _ = assert_exact(trainable, rng.integers(0, 2, (3, T, 4)))
    units = trainable.unit("maps").detach().numpy()
    assert np.unique(units).size == 3
    assert np.array_equal(graph["maps"].spec.threshold, np.floor(thresholds.astype(np.float32) / units.astype(float)) + 1)
    # The finest threshold of all has at least 64 steps.
    assert (thresholds / units).min() >= 64


def test_sums_of_states_decide_as_integers_do():
    """Seven times one state and once seven of it are equal, however their real numbers round."""
    weight = np.array([[1, 1, 1, 1, 1, 1, 1], [7, 0, 0, 0, 0, 0, 0], [3, 4, 0, 0, 0, 0, 0], [5, 1, 1, 0, 0, 0, 0],
                       [6, 1, 0, 0, 0, 0, 0], [2, 5, 0, 0, 0, 0, 0]]) * 0.1
    network = chain_of((Linear, "fc", (), weight), (Neuron, "li", (), Behaviour(0.0, 0.0, reset="none", output="state")),
                       shape=(7,), readout="membrane")
    trainable, spikes = TrainableNetwork(network), np.eye(7, dtype=int)[None]
    trainable.quantize(QuantConfig(weight_bits=4, state_bits=16), spikes, scales={"fc": np.float32(0.1)})
    _, trace = assert_exact(trainable, spikes)
    assert len(set(trace.membranes["li"].sum(axis=1).reshape(-1).tolist())) == 1
    found = trainable(torch.as_tensor(spikes).float())
    assert len(set(found.logits.reshape(-1).tolist())) == 1
    assert len(set(found.spikes["li"].sum(dim=0).reshape(-1).tolist())) > 1  # as single precision adds them


def test_quantizing_leaves_the_float_network_alone():
    module = Chain([12, 4], lambda outputs: snn.Leaky(beta=0.9))
    before = copy.deepcopy(module.state_dict())
    trainable = trainable_of(module, torch.rand(T, 2, 12))
    trainable.quantize(QuantConfig(decay="shift"))
    source = trainable.source
    weights = source["fcs.0"].weight.copy()
    train_steps(trainable, random_spikes(np.random.default_rng(0), 8, T, 12).numpy())
    assert not np.array_equal(trainable.map("fcs.0").weight.detach().numpy(), weights)
    assert np.array_equal(source["fcs.0"].weight, weights)
    assert float(source["lifs.0"].behaviour.beta) == pytest.approx(0.9)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    copied = copy.deepcopy(trainable)
    with torch.no_grad():
        copied.map("fcs.0").weight.zero_()
    assert trainable.map("fcs.0").weight.any()


@pytest.mark.parametrize("scope", ["layer", "global", "bank"])
def test_pruned_weights_are_zero_integers_for_good(scope):
    torch.manual_seed(8)
    module = Chain([20, 16, 4], lambda outputs: snn.Leaky(beta=0.75))
    trainable = trainable_of(module, torch.rand(T, 2, 20))
    trainable.quantize(QuantConfig(weight_bits=8))
    prune(trainable, PruneConfig(sparsity=0.7, scope=scope, lanes=2))
    masks = {name: trainable.map(name).mask.numpy().copy() for name in trainable.weighted}
    if scope != "bank":
        assert sum(mask.size - mask.sum() for mask in masks.values()) == pytest.approx(0.7 * (320 + 64), abs=1)
    spikes = random_spikes(np.random.default_rng(4), 8, T, 20).numpy().astype(int)
    train_steps(trainable, spikes, steps=5, rate=0.1)
    graph, _ = assert_exact(trainable, spikes)
    for linear, _ in graph.layers:
        assert not linear.weight[~masks[linear.name]].any()
        assert linear.weight.any()


def test_quantizing_follows_what_was_learned():
    """Decays and fractional bits are those of the present parameters, not those that the network was read with."""
    trainable = TrainableNetwork(chain_of((Linear, "fc", (), np.eye(4)), (Neuron, "lif", (), Behaviour(0.5, 1.0))),
                                 learn={"lif": EVERYTHING})
    with torch.no_grad():
        trainable.population("lif").beta.fill_(0.9375)
        trainable.population("lif").threshold.fill_(0.01)
    trainable.quantize(QuantConfig(decay="shift", scale="po2", weight_bits=4, state_bits=16))
    graph, _ = assert_exact(trainable, np.ones((1, T, 4), int))
    assert graph["lif"].spec.decay == ir.Decay("shift", 4)
    assert int(graph["lif"].spec.threshold) > 64

"""Structural pruning: significant dimensions of membranes, widths that follow each other, and the narrow network."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from snnhw import ir
from snnhw.compress.config import NoiseConfig, Recipe, StructureConfig
from snnhw.compress.curves import accuracy, count_events, noise_curve, noisy, ptq_curve, timestep_curve
from snnhw.compress.data import Dataset
from snnhw.compress.structure import (
    Spectrum,
    choose_widths,
    count_parameters,
    find_joints,
    find_spectra,
    narrow,
    structure_rows,
)
from snnhw.compress.temporal import shorten
from snnhw.compress.train import reproducible, train_float
from snnhw.compress.trainable import TrainableNetwork
from snnhw.errors import NetworkError, UsageError
from snnhw.ir import Encoding, Window
from snnhw.network import Behaviour, Conv, Linear, Network, Neuron, Pool, Scale, run_network

RNG = np.random.default_rng(8)
FIRE = Behaviour(0.9, 1.0, ">", "subtract", 1.0)
LEVELS = 4


def images(count=120):
    """Return images of three patterns with noise: two dimensions and a little."""
    rng = np.random.default_rng(1)
    patterns = rng.integers(0, LEVELS + 1, (3, 36))
    labels = np.arange(count) % 3
    values = np.clip(patterns[labels] + rng.integers(-1, 2, (count, 36)), 0, LEVELS).astype(np.uint8)
    labels = labels.astype(np.int64)
    return Dataset("patterns", LEVELS, values[40:], labels[40:], values[:40], labels[:40], (1, 6, 6))


RECIPE = Recipe(data="patterns", timesteps=6, batch=20, encoding={"kind": "direct", "levels": LEVELS},
                pretrain={"epochs": 8, "learning_rate": 0.01})
ENTRY = ir.Input("in", (), (1, 6, 6), Encoding("direct", LEVELS), 0, LEVELS)


def convolutional(channels=(6, 8), neuron=FIRE):
    """Return a network of two convolutions, a pool and a linear map, untrained."""
    first, second = channels
    nodes = (
        ENTRY, Conv("conv1", ("in",), np.zeros((first, 1, 3, 3)), None, Window((3, 3), (1, 1), (1, 1))),
        Neuron("lif1", ("conv1",), neuron), Pool("pool", ("lif1",), "average", Window((2, 2), (2, 2))),
        Conv("conv2", ("pool",), np.zeros((second, first, 2, 2)), np.zeros(second), Window((2, 2))),
        Neuron("lif2", ("conv2",), neuron),
        ir.Flatten("flat", ("lif2",)), Linear("fc", ("flat",), np.zeros((3, second * 4)), np.zeros(3)),
        Neuron("last", ("fc",), Behaviour(0.9, 1.0, reset="none", output="state")),
        ir.Readout("out", ("last",), "membrane", "sum"))
    return narrow(Network("convolutional", nodes, 6), {}, 3)


@pytest.fixture(scope="module")
def trained():
    with reproducible(1):
        network = TrainableNetwork(convolutional())
        train_float(network, RECIPE, images())
    return network.eval()


@pytest.mark.parametrize(("share", "dimensions"), [(0.8, 1), (0.81, 2), (0.9, 2), (0.91, 3), (1.0, 3)])
def test_dimensions_explain_the_share(share, dimensions):
    assert Spectrum(np.array([8.0, 1.0, 1.0, 0.0]), 10).dimensions(share) == dimensions


def test_silent_layers_need_one_dimension():
    assert Spectrum(np.zeros(5), 10).dimensions(0.99) == 1


@pytest.mark.parametrize("measure", ["potential", "current"])
def test_filters_of_rank_two_have_two_dimensions(measure):
    network = convolutional(neuron=replace(FIRE, reset="none", reset_amount=0.0))
    weight = RNG.normal(size=(6, 2)) @ RNG.normal(size=(2, 9))
    nodes = [replace(node, weight=weight.reshape(6, 1, 3, 3)) if node.name == "conv1" else node for node in network.nodes]
    trainable = TrainableNetwork(Network("two", tuple(nodes), 6)).eval()
    found = find_spectra(trainable, RECIPE, images(), StructureConfig(measure=measure, samples=60))
    assert found["lif1"].dimensions(0.999999) == 2
    assert found["lif1"].points == 60 * 36
    assert (np.diff(found["lif1"].variances) <= 1e-12).all()


@pytest.mark.parametrize("neuron", [
    FIRE, replace(FIRE, reset="zero", reset_amount=0.0), replace(FIRE, reset="value", reset_amount=-0.5),
    replace(FIRE, reset_time="next"), replace(FIRE, reset="zero", reset_amount=0.0, alpha=0.5),
    replace(FIRE, reset="none", reset_amount=0.0),
], ids=["subtract", "zero", "value", "next", "synapse", "none"])
def test_potentials_are_those_before_the_reset(neuron):
    """Against the float interpreter, and covariances of numpy."""
    network = convolutional(neuron=neuron)
    data = images()
    found = find_spectra(TrainableNetwork(network).eval(), RECIPE, data, StructureConfig(samples=30))
    train = np.repeat(data.train_values[:30, None], 6, axis=1).astype(int)
    trace = run_network(network, train)
    membranes, spikes = trace.membranes["lif1"], trace.spikes["lif1"]
    current = np.stack([network["conv1"].apply(train[:, step].reshape(-1, 1, 6, 6).astype(float)).reshape(30, -1)
                        for step in range(6)], axis=1)
    if neuron.reset_time == "next":
        potential = membranes
    else:
        potential = np.zeros_like(membranes)
        state, word = np.zeros(membranes[:, 0].shape), np.zeros(membranes[:, 0].shape)
        for step in range(6):
            word = (float(neuron.alpha) * word if neuron.alpha is not None else 0.0) + current[:, step]
            potential[:, step] = float(neuron.beta) * state + word
            assert ((potential[:, step] > 1.0) == spikes[:, step]).all()
            state = membranes[:, step]
    rows = potential.mean(axis=1).reshape(30, 6, 36).transpose(0, 2, 1).reshape(-1, 6)
    expected = np.linalg.eigvalsh(np.cov(rows.T, bias=True))[::-1]
    np.testing.assert_allclose(found["lif1"].variances, expected, rtol=1e-4, atol=1e-6)


def test_widths_follow_pools_and_flattening(trained):
    network = trained.network()
    config = StructureConfig(variance=0.9, layers={"conv1": 2, "lif2": 3})
    slim = narrow(network, choose_widths(network, find_spectra(trained, RECIPE, images(), config), config), 5)
    assert [slim.shapes[name] for name in ("lif1", "pool", "lif2", "flat", "last")] == [
        (2, 6, 6), (2, 3, 3), (3, 2, 2), (12,), (3,)]
    assert count_parameters(slim) == {"conv1": 18, "conv2": 3 * 2 * 4 + 3, "fc": 3 * 12 + 3}
    assert all(np.abs(slim[name].weight).max() <= 1 / math.sqrt(slim[name].weight[0].size) for name in ("conv1", "conv2", "fc"))
    again, other = (narrow(network, {"lif1": 2, "lif2": 3}, seed) for seed in (5, 6))
    assert np.array_equal(slim["fc"].weight, again["fc"].weight)
    assert not np.array_equal(slim["fc"].weight, other["fc"].weight)


def test_the_narrow_network_learns_as_well(trained):
    data = images()
    config = StructureConfig(variance=0.95)
    spectra = find_spectra(trained, RECIPE, data, config)
    widths = choose_widths(trained.network(), spectra, config)
    assert widths["lif1"] < 6
    slim = narrow(trained.network(), widths, 1)
    with reproducible(1):
        small = TrainableNetwork(slim)
        train_float(small, RECIPE, data)
    assert accuracy(small.eval(), RECIPE, data, 6) >= accuracy(trained, RECIPE, data, 6) - 0.05
    rows = structure_rows(trained.network(), slim, spectra, config)
    assert [row["layer"] for row in rows] == ["lif1", "lif2", "last"]
    assert [row["new_width"] for row in rows] == [widths["lif1"], widths["lif2"], 3]
    assert sum(row["parameters"] for row in rows) == sum(count_parameters(trained.network()).values())
    assert sum(row["new_parameters"] for row in rows) == sum(count_parameters(slim).values())
    assert all(row["explained"] >= 0.95 for row in rows)
    assert rows[2]["kept"] == "it is the output"


def branching():
    """Return a network with a skip connection, a recurrence, a depthwise and a grouped convolution."""
    def conv(name, source, outputs, inputs, groups=1):
        return Conv(name, (source,), RNG.normal(size=(outputs, inputs // groups, 1, 1)), None, Window((1, 1)), groups)

    return Network("branching", (
        ENTRY, conv("a", "in", 4, 1), Neuron("la", ("a",), FIRE), conv("b", "la", 4, 4), Neuron("lb", ("la", "b"), FIRE),
        conv("depth", "lb", 4, 4, 4), Neuron("ld", ("depth",), FIRE), conv("c", "ld", 8, 4), Neuron("lc", ("c",), FIRE),
        conv("grouped", "lc", 8, 8, 2), Neuron("lg", ("grouped",), FIRE), ir.Flatten("flat", ("lg",)),
        Linear("e", ("flat",), RNG.normal(size=(5, 288))), ir.Delay("past", ("le",), (5,)),
        Linear("loop", ("past",), RNG.normal(size=(5, 5))), Neuron("le", ("e", "loop"), FIRE),
        Linear("f", ("le",), RNG.normal(size=(3, 5))),
        Neuron("last", ("f",), FIRE), ir.Readout("out", ("last",))), 6)


def test_joined_layers_share_a_width():
    network = branching()
    joints = {tuple(joint.neurons): joint for joint in find_joints(network) if joint.neurons}
    assert [(names, joint.width, joint.fixed) for names, joint in joints.items()] == [
        (("la", "lb", "ld"), 4, ""),
        (("lc",), 8, "the convolution 'grouped' has 2 groups of channels"),
        (("lg",), 8, "the convolution 'grouped' has 2 groups of channels"),
        (("le",), 5, ""), (("last",), 3, "it is the output")]
    spectra = {name: Spectrum(np.array(values), 9) for name, values in {
        "la": [1.0, 0, 0, 0], "lb": [5.0, 5, 1, 0], "ld": [5.0, 5, 0, 0], "lc": [1.0] * 8, "lg": [1.0] * 8,
        "le": [1.0, 1, 0, 0, 0], "last": [1.0, 0, 0]}.items()}
    widths = choose_widths(network, spectra, StructureConfig(variance=0.99))
    assert widths == {"la": 3, "le": 2}
    slim = narrow(network, widths, 1)
    assert [slim.shapes[name] for name in ("lb", "ld", "lc", "le", "past", "last")] == [
        (3, 6, 6), (3, 6, 6), (8, 6, 6), (2,), (2,), (3,)]
    assert slim["depth"].groups == 3
    assert len(run_network(slim, np.ones((2, 6, 36), int)).decisions) == 2
    assert choose_widths(network, spectra, StructureConfig(variance=0.99, multiple=4, minimum=2)) == {"la": 4, "le": 4}


@pytest.mark.parametrize(("layers", "message"), [
    ({"f": 2}, r"^layer 'f' \(Linear, 5 → 3\): must keep its width of 3, because it is the output$"),
    ({"lc": 2}, r"^layer 'lc' \(Neuron\): must keep its width of 8, because the convolution 'grouped' has 2 groups of channels$"),
    ({"e": 6}, r"^layer 'e' \(Linear, 288 → 5\): its new width must be between 1 and 5, not 6$"),
    ({"la": 2, "b": 3},
     r"^layer 'b' \(Conv2d, 4 → 4, 1x1\): must have the width of layer 'la', with which it is joined: 2, not 3$"),
])
def test_refuses_widths_that_cannot_be(layers, message):
    with pytest.raises(NetworkError, match=message):
        choose_widths(branching(), {}, StructureConfig(layers=layers))


def test_refuses_names_that_are_not_there():
    with pytest.raises(UsageError, match=r"^structure\.layers names 'x', the network has 'conv1', 'lif1', 'conv2', 'lif2', 'fc', "
                                         r"'last'$"):
        choose_widths(convolutional(), {}, StructureConfig(layers={"x": 2}))
    with pytest.raises(NetworkError, match=r"^layer 'fc' \(Linear, 32 → 3\): must keep its width of 3, because it is the "
                                           r"output$"):
        narrow(convolutional(), {"fc": 2}, 1)


def test_constants_of_neurons_become_their_mean_and_factors_stay():
    network = convolutional()
    each = replace(FIRE, beta=np.linspace(0.5, 0.7, 216))
    nodes = [replace(node, behaviour=each) if node.name == "lif1" else node for node in network.nodes]
    slim = narrow(Network("each", tuple(nodes), 6), {"lif1": 2}, 1)
    assert float(slim["lif1"].behaviour.beta) == pytest.approx(0.6)
    scaled = Network("scaled", (
        ENTRY, Scale("gain", ("in",), RNG.normal(size=(1, 6, 6))), Neuron("lif", ("gain",), FIRE), ir.Flatten("flat", ("lif",)),
        Linear("fc", ("flat",), RNG.normal(size=(3, 36))), Neuron("last", ("fc",), FIRE), ir.Readout("out", ("last",))), 6)
    assert find_joints(scaled)[0].fixed == "it takes the input"


def test_shortening_stops_where_accuracy_falls(trained):
    data = images()
    network = TrainableNetwork(trained.network(), learn={"lif1": {"threshold", "beta"}})
    before = {name: tensor.detach().clone() for name, tensor in network.slots().items()}
    recipe = RECIPE.model_copy(update={"temporal": RECIPE.temporal.model_copy(update={
        "timesteps": (3, 1), "learning_rate": 1e-9, "loss": 0.0})})
    with reproducible(1):
        kept = shorten(network, recipe.model_copy(update={"temporal": recipe.temporal.model_copy(update={"loss": 1.0})}), data)
    assert (kept.timesteps, kept.stopped, [row["timesteps"] for row in kept.curve]) == (1, False, [6, 3, 1])
    assert set(kept.losses) == {"timesteps 3", "timesteps 1"}
    harsh = recipe.model_copy(update={"temporal": recipe.temporal.model_copy(update={"learning_rate": 30.0, "epochs": 2})})
    network = TrainableNetwork(trained.network(), learn={"lif1": {"threshold", "beta"}})
    with reproducible(1):
        found = shorten(network, harsh, data)
    assert found.stopped
    assert (found.timesteps, len(found.curve)) == (6, 2)
    assert found.curve[0]["held_out"] - found.curve[1]["held_out"] > 0
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.slots().items())
    assert harsh.reached(found.timesteps).length == 6
    assert harsh.reached(3).length == 3


def test_curves_measure_one_thing_at_a_time(trained):
    data, network = images(), trained.network()
    recipe = RECIPE.model_copy(update={"quantize": RECIPE.quantize.model_copy(update={
        "state_bits": 24, "decay": "mul", "decay_bits": 12, "layers": {"conv1": {"weight_bits": 2}}})})
    whole = accuracy(trained, recipe, data, 6)
    rows = ptq_curve(network, recipe, data, (12, 2), 6)
    assert [row["bits"] for row in rows] == [12, 2]
    assert abs(rows[0]["accuracy"] - whole) <= 0.05
    assert rows[1]["accuracy"] <= rows[0]["accuracy"]
    assert timestep_curve(trained, recipe, data, (6, 1))[0] == {"timesteps": 6, "accuracy": whole}
    curve = noise_curve(trained, recipe, data, NoiseConfig(sigmas=(0.0, 3.0), seeds=2), 6)
    assert curve[0]["accuracy"] == [whole, whole]
    assert max(curve[1]["accuracy"]) < whole


def test_noise_stays_in_the_range_and_is_repeatable():
    values = np.array([[0, 2, 4]] * 500, np.uint8)
    found = noisy(values, 0.5, LEVELS, 3)
    assert (found.min(), found.max(), found.dtype) == (0, 4, np.uint8)
    assert np.array_equal(found, noisy(values, 0.5, LEVELS, 3))
    assert not np.array_equal(found, noisy(values, 0.5, LEVELS, 4))
    assert np.array_equal(values, noisy(values, 0.0, LEVELS, 3))
    assert abs(float(found[:, 1].mean()) - 2) < 0.2


def test_noise_is_for_still_values(trained):
    recipe = RECIPE.model_copy(update={"encoding": RECIPE.encoding.model_copy(update={"kind": "events"})})
    with pytest.raises(UsageError, match=r"^noise must be left out for encoding 'events': it is added to still values$"):
        noise_curve(trained, recipe, images(), NoiseConfig(), 6)


def test_events_are_counted_by_sample_and_by_element(trained):
    data = images()
    totals, elements = count_events(trained, RECIPE, data.test_values, 6)
    assert set(totals) == {"in", "lif1", "lif2"}
    assert np.array_equal(totals["in"], (data.test_values != 0).sum(axis=1) * 6)
    trace = run_network(trained.network(), np.repeat(data.test_values[:, None], 6, axis=1).astype(int), np.float32)
    assert np.abs(totals["lif1"] - trace.spikes["lif1"].sum(axis=(1, 2))).max() <= 2
    assert elements["lif1"].shape == (216,)
    assert elements["lif1"].sum() == pytest.approx(totals["lif1"].mean())

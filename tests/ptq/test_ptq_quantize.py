"""Quantization: exact where it can be, near where it cannot, and refused where it must be."""

import re

import numpy as np
import pytest

from snnhw import ir
from snnhw.errors import NetworkError, UsageError
from snnhw.network import Behaviour, Conv, Linear, Network, Neuron, Pool, Scale, run_network
from snnhw.ptq import Options, compare, quantize
from snnhw.reference import run

RNG = np.random.default_rng(7)


def build(*nodes, shape=(4,), values=(0, 1), readout="count", over="sum"):
    """Return a network of nodes without names: each reads the one before, unless it says what."""
    named = [ir.Input("in", (), shape, lowest=values[0], highest=values[1])]
    for index, node in enumerate(nodes):
        kind, name, inputs, *rest = node if isinstance(node, tuple) else (node, "", ())
        named.append(kind(name or f"n{index}", inputs or (named[-1].name,), *rest))
    named.append(ir.Readout("out", (named[-1].name,), readout, over))
    return Network("net", tuple(named))


def trains(shape, samples=3, timesteps=20, low=0, high=1):
    return RNG.integers(low, high, (samples, timesteps, *shape), endpoint=True)


WEIGHT = RNG.normal(size=(5, 4))
FIRE = Behaviour(0.9, 1.0, ">", "subtract", 1.0)


def test_powers_of_two_are_exact():
    """Weights on a grid, a leak that is a shift, and wide states: not one spike differs."""
    weight = RNG.integers(-7, 8, (6, 4)) / 8
    network = build((Linear, "fc", (), weight, RNG.integers(-3, 4, 6) / 8),
                    (Neuron, "lif", (), Behaviour(1.0, 1.0, ">", "subtract", 1.0)), (Linear, "out1", (), weight.T),
                    (Neuron, "last", (), Behaviour(1.0, 0.5, ">=", "zero")))
    spikes = trains((4,))
    graph, report = quantize(network, spikes, Options(weight_bits=4))
    real, whole = run_network(network, spikes), run(graph, spikes)
    for node in graph.neurons:
        unit = report["neurons"][[row["name"] for row in report["neurons"]].index(node.name)]["unit"][0]
        assert (whole.spikes[node.name] == real.spikes[node.name]).all()
        assert (whole.membranes[node.name] * unit == real.membranes[node.name]).all()
    assert [row["mse"] for row in report["layers"]] == [0, 0]
    assert compare(network, graph, spikes, real.decisions)["accuracy"] == {"float": 1.0, "integer": 1.0}


@pytest.mark.parametrize("granularity", ["tensor", "channel"])
@pytest.mark.parametrize("behaviour", [
    FIRE, Behaviour(0.9, 1.0), Behaviour(0.9, 1.0, ">=", "value", -0.3), Behaviour(0.9, 1.0, ">", "subtract", 1.0, "next"),
    Behaviour(0.9, 1.0, ">", "zero", 0.0, "next", "drop"), Behaviour(0.8, 1.0, alpha=0.5, bias=0.05, rounding="zero"),
    Behaviour(0.95, 0.7, ">", "subtract", 0.7, output="count", grades=5),
    Behaviour(np.linspace(0.5, 1, 5), np.linspace(0.5, 2, 5), bias=np.linspace(-0.1, 0.1, 5)),
])
def test_sixteen_bits_follow_the_floats(behaviour, granularity):
    network = build((Linear, "fc", (), WEIGHT, RNG.normal(size=5) / 9), (Neuron, "lif", (), behaviour))
    spikes = trains((4,))
    graph, report = quantize(network, spikes, Options(weight_bits=16, granularity=granularity, steps=1 << 14, decay_bits=16))
    found = compare(network, graph, spikes)
    assert found["layers"][0]["agreement"] > 0.99
    assert found["layers"][0]["saturated_words"] == 0
    assert report["layers"][0]["scales"] == (5 if granularity == "channel" else 1)
    assert report["layers"][0]["relative_error"] < 1e-4


def test_every_kind_of_node_follows_the_floats():
    """Convolutions, an average folded into the scale, a skip, a cycle, biases before and after pooling, and a state read out."""
    network = build(
        (Conv, "conv", (), RNG.normal(size=(3, 2, 3, 3)), RNG.normal(size=3) / 9, ir.Window((3, 3), padding=(1, 1))),
        (Pool, "avg", (), "average", ir.Window((2, 2), (2, 2))), (Neuron, "n1", (), Behaviour(0.9, 0.3, ">", "subtract", 0.3)),
        (Conv, "conv2", (), RNG.normal(size=(3, 3, 1, 1)), None, ir.Window((1, 1))),
        (ir.Delay, "late", ("n2",), (3, 3, 3)), (Scale, "self", ("late",), RNG.normal(size=(3, 3, 3))),
        (Neuron, "n2", ("conv2", "n1", "self"), Behaviour(0.8, 0.7)),
        (ir.MaxPool, "max", (), ir.Window((3, 3))), (ir.Flatten, "flat", ()),
        (Linear, "fc", (), RNG.normal(size=(4, 3)), np.ones(4)),
        (Neuron, "li", (), Behaviour(0.9, 0.0, reset="none", output="state")), shape=(2, 6, 6), values=(-1, 3),
        readout="membrane", over="max")
    spikes = trains((2, 6, 6), low=-1, high=3)
    for granularity in ("tensor", "channel"):
        graph, report = quantize(network, spikes, Options(weight_bits=16, steps=1 << 12, decay_bits=16, granularity=granularity))
        found = compare(network, graph, spikes)
        assert [row["agreement"] > 0.99 for row in found["layers"] if "agreement" in row] == [True, True]
        assert [row["added_for"] for row in report["layers"] if "added_for" in row] == ["n2"]
        real, whole = run_network(network, spikes), run(graph, spikes)
        unit, = {tuple(row["unit"]) for row in report["neurons"] if row["name"] == "li"}
        assert unit[0] == unit[1]
        assert np.abs(whole.membranes["li"] * unit[0] - real.membranes["li"]).max() < 0.1 * np.abs(real.membranes["li"]).max()
        assert found["same_decisions"] == 1.0


def test_edges_into_one_layer_share_a_scale():
    network = build((Linear, "a", ("in",), WEIGHT), (Linear, "b", ("in",), 9 * WEIGHT), (Neuron, "lif", ("a", "b"), FIRE))
    _, report = quantize(network, trains((4,)), Options(method="minmax"))
    left, right = report["layers"]
    assert left["scale"] == right["scale"] == [pytest.approx(9 * np.abs(WEIGHT).max() / 127)] * 2


def test_spikes_that_drive_neurons_get_a_weight_of_one():
    network = build((Neuron, "lif", (), FIRE))
    graph, report = quantize(network, trains((4,)))
    assert isinstance(graph["lif.identity"], ir.Scale)
    assert graph["lif.identity"].weight == 1
    assert report["layers"][0]["added_for"] == "lif"


@pytest.mark.parametrize(("compare_with", "threshold", "expected"), [
    (">", 1.0, 65), (">=", 1.0, 64), (">", 1.01, 65), (">=", 1.01, 65)])
def test_thresholds_are_strict_or_not(compare_with, threshold, expected):
    network = build((Linear, "fc", (), np.eye(4)), (Neuron, "lif", (), Behaviour(1.0, threshold, compare_with)))
    assert int(quantize(network, trains((4,)))[0]["lif"].spec.threshold) == expected


def test_widths_hold_what_was_observed_and_say_what_is_possible():
    network = build((Linear, "fc", (), np.full((1, 4), 0.25)), (Neuron, "lif", (), Behaviour(1.0, 100.0, reset="none")))
    spikes = np.ones((1, 20, 4), int)
    _, report = quantize(network, spikes)
    row = report["neurons"][0]
    assert row["observed"] == [0.0, 20.0]
    assert row["observed_words"] == [0, 80]
    assert (row["state_bits"], row["proven"], row["threshold"]) == (10, 80, [401, 401])
    assert quantize(network, spikes, Options(state_bits=12))[0]["lif"].spec.bits == 12
    message = ("layer 'lif' (Neuron): threshold, start and reset need 10 bits, and the state has 8; "
               "use more state bits, or fewer weight bits")
    with pytest.raises(NetworkError, match=f"^{re.escape(message)}$"):
        quantize(network, spikes, Options(state_bits=8))


@pytest.mark.parametrize(("beta", "options", "expected"), [
    (1.0, {}, "v"), (0.875, {}, "v - (v >> 3)"), (0.9, {}, "(v * 3686) >> 12"), (0.9, {"decay_bits": 8}, "(v * 230) >> 8"),
    (0.9, {"decay": "shift", "tolerance": 0.03}, "v - (v >> 3)"), (0.9999, {}, "(v * 65529) >> 16"),
    (0.875, {"decay": "mul", "decay_bits": 3}, "(v * 7) >> 3"),
])
def test_leaks(beta, options, expected):
    network = build((Linear, "fc", (), WEIGHT), (Neuron, "lif", (), Behaviour(beta)))
    graph, report = quantize(network, trains((4,)), Options(**options))
    assert str(graph["lif"].spec.decay) == expected
    assert report["neurons"][0]["beta"] == [beta, beta]
    assert abs(report["neurons"][0]["beta_realised"][0] - beta) < 0.03


def test_the_least_squared_error_is_least():
    weight = np.concatenate([RNG.normal(size=(20, 20)), np.full((1, 20), 4.0)])
    network = build((Linear, "fc", (), weight), (Neuron, "lif", (), FIRE), shape=(20,))
    errors = {method: quantize(network, trains((20,)), Options(weight_bits=3, method=method, percentile=90.0))[1]["layers"][0]
              for method in ("mse", "minmax", "percentile")}
    assert errors["mse"]["mse"] < errors["minmax"]["mse"]
    assert errors["mse"]["mse"] <= errors["percentile"]["mse"]
    assert errors["minmax"]["clipped"] == 0 < errors["percentile"]["clipped"]
    assert quantize(network, trains((20,)), Options(layer_bits={"fc": 5}))[0]["fc"].weight_bits == 5


def test_refuses_a_leak_that_is_no_shift():
    network = build((Linear, "fc", (), WEIGHT), (Neuron, "lif", (), Behaviour(0.9)))
    message = ("layer 'lif' (Neuron): beta must be within 0.01 of 1 - 2**-k for decay 'shift', and is 0.025 from 0.875; "
               "use decay 'mul'")
    with pytest.raises(NetworkError, match=f"^{re.escape(message)}$"):
        quantize(network, trains((4,)), Options(decay="shift", tolerance=0.01))


def test_refuses_weights_that_are_not_numbers():
    with pytest.raises(ValueError, match=r"^layer 'fc' \(Linear\): weight must be finite, not nan$"):
        build((Linear, "fc", (), np.full((1, 4), np.nan)), (Neuron, "lif", (), FIRE))


def test_refuses_a_layer_that_is_not_there():
    network = build((Linear, "fc", (), WEIGHT), (Neuron, "lif", (), FIRE))
    with pytest.raises(UsageError, match=r"^quantization weight_bits names 'fc9', layers with weights are 'fc'$"):
        quantize(network, trains((4,)), Options(layer_bits={"fc9": 4}))


def test_refuses_a_sum_of_a_map_and_of_its_own_input():
    network = build((Linear, "a", ("in",), np.eye(4)), (Linear, "b", ("a",), WEIGHT[:4]), (Neuron, "lif", ("a", "b"), FIRE))
    message = ("layer 'b' (Linear, 4 → 4): its output must not be added to that of layer 'a', which it also reads; "
               "put neurons between them")
    with pytest.raises(NetworkError, match=f"^{re.escape(message)}$"):
        quantize(network, trains((4,)))


@pytest.mark.parametrize(("options", "message"), [
    ({"weight_bits": 1}, "quantization weight_bits must be between 2 and 16, not 1"),
    ({"layer_bits": {"fc": 17}}, "quantization weight_bits of layer 'fc' must be between 2 and 16, not 17"),
    ({"state_bits": 33}, "quantization state_bits must be between 4 and 32, not 33"),
    ({"method": "best"}, "quantization method must be minmax, percentile or mse, not 'best'"),
    ({"margin": 0.5}, "quantization margin must be between 1 and 1e+06, not 0.5"),
])
def test_refuses_options(options, message):
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        Options(**options)

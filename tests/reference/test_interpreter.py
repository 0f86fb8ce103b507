"""What the interpreter refuses, and its exactness at the limits."""

import re

import numpy as np
import pytest
from scalar_neuron import ScalarNeuron

from snnhw.errors import NetworkError
from snnhw.ir import Graph, Input, Linear, Neuron, NeuronSpec, Readout
from snnhw.ir.nodes import MAX_NEURONS, MAX_WEIGHT_BITS
from snnhw.reference import run


def network(weight, spec, *, weight_bits=16, timesteps=4):
    weight = np.asarray(weight)
    return Graph("net", (Input("in", (), (weight.shape[1],)), Linear("fc", ("in",), weight, weight_bits),
                         Neuron("lif", ("fc",), spec), Readout("out", ("lif",))), timesteps)


def test_refuses_spikes_of_another_shape():
    graph = network([[1, 2, 3]], NeuronSpec(4))
    with pytest.raises(ValueError, match=r"^Input spikes must have shape samples x timesteps x 3, not 2 x 4 x 2$"):
        run(graph, np.zeros((2, 4, 2), bool))
    with pytest.raises(ValueError, match=r"^Input spikes must have shape samples x timesteps x 3, not 4 x 3$"):
        run(graph, np.zeros((4, 3), bool))


@pytest.mark.parametrize("value", [2, -1, 0.5, np.nan])
def test_refuses_spikes_that_are_not_binary(value):
    with pytest.raises(ValueError, match=r"^Input spikes must be bool, or integers 0 and 1$"):
        run(network([[1]], NeuronSpec(4)), np.full((1, 4, 1), value))


def test_takes_integers_zero_and_one():
    graph = network([[3, -2]], NeuronSpec(4, reset="none"))
    spikes = np.array([[[1, 0], [0, 1], [1, 1], [0, 0]]], np.uint8)
    for train in (spikes, spikes.astype(bool)):
        assert run(graph, train).membranes["lif"].tolist() == [[[3], [1], [2], [2]]]


def test_keeps_membranes_only_when_asked():
    trace = run(network([[1]], NeuronSpec(4)), np.ones((1, 4, 1), bool), keep_membranes=False)
    assert trace.membranes == {}
    assert trace.counts["lif"].membrane_updates.tolist() == [4]


def test_takes_no_samples_and_no_timesteps():
    graph = network([[1, 1]], NeuronSpec(4))
    assert run(graph, np.zeros((0, 4, 2), bool)).decisions.shape == (0,)
    assert run(graph, np.zeros((2, 0, 2), bool)).decisions.tolist() == [0, 0]


def test_exact_overflow_names_the_layer_and_the_value():
    message = "layer 'lif' (Neuron): the exact state must stay within -8..7, not 9"
    with pytest.raises(NetworkError, match=f"^{re.escape(message)}$"):
        run(network([[3]], NeuronSpec(7, bits=4, reset="none", overflow="exact")), np.ones((1, 3, 1), bool))


def test_exact_refuses_samples_longer_than_proven():
    graph = network([[1]], NeuronSpec(7, bits=8, reset="none", overflow="exact"), timesteps=3)
    assert run(graph, np.ones((1, 3, 1), bool)).membranes["lif"][0, :, 0].tolist() == [1, 2, 3]
    message = ("layer 'lif' (Neuron): the exact state is proven for samples of 3 timesteps, not 4; "
               "use overflow 'saturate' or a graph with more timesteps")
    with pytest.raises(NetworkError, match=f"^{re.escape(message)}$"):
        run(graph, np.ones((1, 4, 1), bool))


@pytest.mark.parametrize("spec", [NeuronSpec(7, bits=8, overflow="exact", clear="never"), NeuronSpec(7, bits=8)])
def test_other_samples_may_be_of_any_length(spec):
    assert run(network([[1]], spec, timesteps=3), np.ones((1, 40, 1), bool)).output_spikes.sum() == 40 // 7


def test_state_survives_the_sample_only_when_never_cleared():
    spikes = np.ones((3, 2, 1), bool)
    kept = run(network([[1]], NeuronSpec(4, bits=8, reset="none", clear="never")), spikes)
    assert kept.membranes["lif"][..., 0].tolist() == [[1, 2], [3, 4], [5, 6]]
    cleared = run(network([[1]], NeuronSpec(4, bits=8, reset="none")), spikes)
    assert cleared.membranes["lif"][..., 0].tolist() == [[1, 2]] * 3


@pytest.mark.parametrize("weight", [-(1 << (MAX_WEIGHT_BITS - 1)), (1 << (MAX_WEIGHT_BITS - 1)) - 1])
@pytest.mark.parametrize("frac", [0, 30])
def test_the_largest_sums_are_exact(weight, frac):
    """2**16 weights of 16 bits, shifted by 30, need 63 bits; and a sum beyond float32 must not be rounded."""
    weights = np.full((1, MAX_NEURONS), weight)
    weights[0, 0] += 1 if weight < 0 else -1  # odd, so that rounding would show
    spec = NeuronSpec(0, bits=32, frac=frac, bias=-1, start=5, reset="none")
    trace = run(network(weights, spec, timesteps=1), np.ones((1, 1, MAX_NEURONS), bool))
    model = ScalarNeuron(0, 32, reset="none", frac=frac, bias=-1, v=5)
    assert bool(trace.output_spikes[0, 0, 0]) == model.step(int(weights.sum()))
    assert trace.membranes["lif"][0, 0, 0] == model.v
    assert trace.counts["lif"].saturations.tolist() == [model.clipped]


def test_sums_beyond_float32_are_exact():
    rng = np.random.default_rng(0)
    weights = rng.integers(-(1 << 15), 1 << 15, (4, 5000))
    spikes = rng.random((3, 2, 5000)) < 0.9
    trace = run(network(weights, NeuronSpec((1 << 31) - 1, bits=32, reset="none"), timesteps=2), spikes)
    assert np.abs(weights).sum(axis=1).min() > 1 << 24
    assert (trace.membranes["lif"] == np.cumsum(spikes.astype(np.int64) @ weights.T, axis=1)).all()

"""What the interpreter refuses, and its exactness at the limits."""

import re

import numpy as np
import pytest
from scalar_neuron import ScalarNeuron

from snnhw.errors import NetworkError
from snnhw.ir import Conv, Delay, Encoding, Flatten, Graph, Input, Linear, Neuron, NeuronSpec, Readout, Scale, Window
from snnhw.ir.nodes import MAX_NEURONS, MAX_WEIGHT_BITS
from snnhw.reference import decide, run


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


@pytest.mark.parametrize("layers", [1, 2, 3, 4])
def test_sums_through_several_maps_are_exact(layers):
    """Float32 holds the first, float64 the second and the third, and the last needs the integers."""
    weights = [np.array([[32767, 32766], [-32768, 32767]]), np.array([[32767, -1], [5, 32767]]),
               np.array([[8191, 3], [-3, 8191]]), np.array([[127, 1], [0, 127]])][:layers]
    nodes = [Input("in", (), (2,), lowest=-128, highest=127)]
    for index, weight in enumerate(weights):
        nodes.append(Linear(f"fc{index}", (nodes[-1].name,), weight, 16))
    spec = NeuronSpec(0, bits=32, reset="none")
    graph = Graph("net", (*nodes, Neuron("lif", (nodes[-1].name,), spec), Readout("out", ("lif",))), 3)
    spikes = np.array([[[127, -128], [-1, 1], [0, 0]]])
    current = [spikes[0, t].tolist() for t in range(3)]
    for weight in weights:
        current = [[sum(w * x for w, x in zip(row, step, strict=True)) for row in weight.tolist()] for step in current]
    models = [ScalarNeuron(0, 32, reset="none") for _ in range(2)]
    for t, step in enumerate(current):
        for model, total in zip(models, step, strict=True):
            model.step(total)
        assert run(graph, spikes).membranes["lif"][0, t].tolist() == [model.v for model in models]


def test_refuses_currents_beyond_64_bits():
    graph = network([[32767] * 10], NeuronSpec(0, bits=32, frac=30))
    wide = Graph("net", (Input("in", (), (10,), lowest=-32768), *graph.nodes[1:]), 4)
    message = f"layer 'lif' (Neuron): its current must fit in 64 bits, and can reach {(32767 * 10 * 32768 << 30) + (1 << 35)}"
    with pytest.raises(NetworkError, match=f"^{re.escape(message)}$"):
        run(wide, np.zeros((1, 1, 10), int))


@pytest.mark.parametrize("value", [4, -2, 0.5])
def test_refuses_spikes_outside_the_values_of_the_input(value):
    graph = Graph("net", (Input("in", (), (1,), lowest=-1, highest=3), *network([[1]], NeuronSpec(4)).nodes[1:]), 4)
    with pytest.raises(ValueError, match=r"^Input spikes must be integers between -1 and 3$"):
        run(graph, np.full((1, 4, 1), value))
    assert run(graph, np.array([[[-1], [3]]])).spikes["in"].dtype == np.int16


def test_takes_spikes_in_the_shape_of_the_input():
    conv = Conv("conv", ("in",), np.array([[[[1]], [[2]]]]), 8, Window((1, 1)))
    graph = Graph("net", (Input("in", (), (2, 3, 2)), conv, Neuron("lif", ("conv",), NeuronSpec(4, bits=8)),
                          Readout("out", ("lif",))), 1)
    spikes = np.arange(12).reshape(1, 1, 2, 3, 2) % 3 == 0
    traces = run(graph, spikes), run(graph, spikes.reshape(1, 1, 12))
    assert traces[0].spikes["lif"].shape == (1, 1, 6)
    assert traces[0].membranes["lif"].tolist() == traces[1].membranes["lif"].tolist() == [[[3, 0, 0, 3, 0, 0]]]
    with pytest.raises(ValueError, match=r"^Input spikes must have shape samples x timesteps x 2 x 3 x 2, not 1 x 1 x 3 x 4$"):
        run(graph, spikes.reshape(1, 1, 3, 4))


def test_counts_the_connections_of_a_convolution():
    """A spike in a corner of 3x3 lies under four windows of 3x3 with padding 1, one in the middle under nine."""
    weight = np.ones((2, 1, 3, 3), int)
    weight[1, 0, 1, 1] = 0
    graph = Graph("net", (Input("in", (), (1, 3, 3)), Conv("conv", ("in",), weight, 2, Window((3, 3), padding=(1, 1))),
                          Flatten("flat", ("conv",)), Neuron("lif", ("flat",), NeuronSpec(100)), Readout("out", ("lif",))), 2)
    spikes = np.zeros((2, 2, 9), bool)
    spikes[0, 0, 0] = spikes[1, 0, 4] = spikes[1, 1, 8] = True
    counts = run(graph, spikes).counts["lif"]
    assert counts.input_events.tolist() == [1, 2]
    assert counts.synaptic_operations.tolist() == [8, 18 + 8]
    assert counts.effective_operations.tolist() == [7, 17 + 7]
    assert counts.membrane_updates.tolist() == [36, 36]


def test_a_neuron_that_reads_itself_sees_its_last_spike():
    nodes = (Input("in", (), (1,)), Delay("late", ("lif",), (1,)), Scale("again", ("late",), np.array(3), 8),
             Linear("fc", ("in",), [[3]], 8), Neuron("lif", ("fc", "again"), NeuronSpec(3, bits=8)), Readout("out", ("lif",)))
    trace = run(Graph("net", nodes, 5), np.array([[[0], [1], [0], [0], [0]], [[0]] * 5], bool))
    assert trace.output_spikes[..., 0].tolist() == [[False, True, True, True, True], [False] * 5]
    assert trace.counts["lif"].input_events.tolist() == [1 + 3, 0]


def test_states_are_handed_on_and_kept_even_when_others_are_not():
    spec = NeuronSpec(0, reset="none", bits=8, output="state")
    for over, expected in (("last", [1]), ("max", [0]), ("sum", [0])):
        nodes = network([[1, 0], [0, 1]], NeuronSpec(1)).nodes
        graph = Graph("net", (Input("in", (), (2,), Encoding(), -9, 9), nodes[1], Neuron("lif", ("fc",), spec),
                              Readout("out", ("lif",), "membrane", over)), 4)
        trace = run(graph, np.array([[[5, 0], [0, 1], [-5, 0]]]), keep_membranes=False)
        assert trace.membranes["lif"].tolist() == [[[5, 0], [5, 1], [0, 1]]]
        assert not trace.spikes["lif"].any()
        assert trace.decisions.tolist() == expected


def test_the_first_spike_decides_and_silence_comes_last():
    spikes = np.zeros((3, 4, 3), bool)
    spikes[0, 3, 1] = spikes[0, 2, 2] = True
    spikes[1, 1, 1] = spikes[1, 1, 2] = True
    assert decide(spikes, "first").tolist() == [2, 1, 0]

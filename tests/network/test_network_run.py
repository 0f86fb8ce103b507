"""The float interpreter: equal to the integer reference where floats are exact, and by hand where they are not."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from network_strategies import any_graphs, spike_trains

from snnhw import ir
from snnhw.network import Behaviour, Conv, Linear, Network, Neuron, Pool, Scale, run_network
from snnhw.reference import run


def wide(spec, forgets):
    """Return a neuron that neither rounds nor saturates: it keeps or forgets its states, which are wide."""
    decay = ir.Decay("mul", 1, 0) if forgets else ir.Decay()
    return replace(spec, decay=decay, synapse=spec.synapse and decay, bits=32, frac=min(spec.frac, 3), clear="sample",
                   bias=np.clip(spec.bias, -999, 999), threshold=np.clip(spec.threshold, -9999, 9999), start=spec.start % 99,
                   reset_amount=np.clip(spec.reset_amount, -999, 999))


def floats(node):
    """Return a node of the float network that computes what an integer node does."""
    match node:
        case ir.Linear():
            return Linear(node.name, node.inputs, node.weight)
        case ir.Conv():
            return Conv(node.name, node.inputs, node.weight, None, node.window, node.groups)
        case ir.Scale():
            return Scale(node.name, node.inputs, node.weight)
        case ir.SumPool():
            return Pool(node.name, node.inputs, "sum", node.window)
        case ir.Neuron(spec=spec):
            unit = 2.0 ** -spec.frac
            beta = 1.0 if spec.decay.kind == "one" else 0.0
            return Neuron(node.name, node.inputs, Behaviour(
                beta, spec.threshold * unit, ">=", spec.reset, spec.reset_amount * unit, spec.reset_time, spec.input_on_reset,
                None if spec.synapse is None else beta, spec.bias * unit, spec.start * unit,
                "spike" if spec.output == "count" and spec.grades == 1 else spec.output, spec.grades))
    return node


@given(st.data())
def test_equals_the_integers_where_nothing_is_rounded(data):
    drawn = data.draw(any_graphs())
    forgets = data.draw(st.booleans())
    graph = ir.Graph("net", tuple(replace(node, spec=wide(node.spec, forgets)) if isinstance(node, ir.Neuron) else node
                                  for node in drawn.nodes), drawn.timesteps)
    spikes = data.draw(spike_trains(graph))
    found = run_network(Network("net", tuple(map(floats, graph.nodes)), graph.timesteps), spikes)
    expected = run(graph, spikes)
    assert not any(counts.saturations.any() for counts in expected.counts.values())
    assert list(found.spikes) == list(expected.spikes)
    for name, train in expected.spikes.items():
        assert found.spikes[name].tolist() == train.tolist()
    for node in graph.neurons:
        assert (found.membranes[node.name] * 2.0 ** node.spec.frac).tolist() == expected.membranes[node.name].tolist()
    assert found.decisions.tolist() == expected.decisions.tolist()


def chain(behaviour, *layers):
    nodes = [ir.Input("in", (), (1,), lowest=-100, highest=100)]
    for layer in layers or (Linear("fc", (), [[1.0]]),):
        nodes.append(replace(layer, inputs=(nodes[-1].name,)))
    return Network("net", (*nodes, Neuron("lif", (nodes[-1].name,), behaviour), ir.Readout("out", ("lif",), *(
        ("membrane", "max") if behaviour.output == "state" else ()))))


@pytest.mark.parametrize(("behaviour", "expected"), [
    (Behaviour(0.5, 4.0), [3, 2.5, 0, -4]),
    (Behaviour(0.5, 2.5, ">="), [0, 1, 0, -4]),
    (Behaviour(0.5, 2.5, ">", "subtract", 2.0), [1, 1.5, 3.75, -2.125]),
    (Behaviour(0.5, 2.5, ">", "subtract", 2.0, "next"), [3, 0.5, 5.25, -3.375]),
    (Behaviour(0.5, 2.5, ">", "zero", 0.0, "next"), [3, 1, 5.5, -4]),
    (Behaviour(0.5, 2.5, ">", "value", 0.5, "next", "drop"), [3, 0.5, 5.25, 0.5]),
    (Behaviour(0.5, 9.0, alpha=0.5), [3, 4, 8.25, 3.25]),
    (Behaviour(0.5, 9.0, bias=1.0, start=2.0), [5, 4.5, 8.25, 1.125]),
    (Behaviour(0.5, 0.0, reset="none", output="state"), [3, 2.5, 6.25, -0.875]),
])
def test_behaviours_by_hand(behaviour, expected):
    trace = run_network(chain(behaviour), np.array([[[3], [1], [5], [-4]]]))
    assert trace.membranes["lif"][0, :, 0].tolist() == expected
    assert trace.ranges["lif"][0] <= min(expected)
    assert trace.ranges["lif"][1] >= max(expected)


def test_counts_thresholds_strictly():
    trace = run_network(chain(Behaviour(1.0, 2.0, ">", "subtract", 3.0, output="count", grades=2)), np.array([[[5], [1], [99]]]))
    assert trace.spikes["lif"][0, :, 0].tolist() == [1, 1, 2]
    assert trace.membranes["lif"][0, :, 0].tolist() == [2, 0, 93]


def test_biases_and_averages():
    image = np.arange(8).reshape(1, 1, 1, 8)
    nodes = (ir.Input("in", (), (1, 8), lowest=0, highest=9), Pool("pool", ("in",), "average", ir.Window((2,), (2,))),
             Conv("conv", ("pool",), [[[2.0]], [[-1.0]]], [0.5, 10.0]), ir.Flatten("flat", ("conv",)),
             Neuron("lif", ("flat",), Behaviour(1.0, 99.0)), ir.Readout("out", ("lif",)))
    trace = run_network(Network("net", nodes), image)
    averages = np.array([0.5, 2.5, 4.5, 6.5])
    assert trace.membranes["lif"][0, 0].tolist() == [*(2 * averages + 0.5), *(10 - averages)]


def test_refuses_spikes_of_another_shape():
    with pytest.raises(ValueError, match=r"^Input spikes must have shape samples x timesteps x 1, not 1 x 1 x 2$"):
        run_network(chain(Behaviour(1.0)), np.zeros((1, 1, 2), bool))

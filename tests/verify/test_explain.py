"""The first difference between floats and integers, and the field of the arithmetic that explains it."""

from dataclasses import replace

import numpy as np
import pytest

from snnhw.ir import Decay, Delay, Graph, Input, Linear, Neuron, NeuronSpec, Readout, SumPool, Window
from snnhw.network import Behaviour, Network, run_network
from snnhw.network import Linear as FloatLinear
from snnhw.network import Neuron as FloatNeuron
from snnhw.reference import run
from snnhw.verify.explain import agreements, explain, fake_quantized

RNG = np.random.default_rng(5)
WEIGHT = RNG.integers(-20, 30, (6, 12))
SPIKES = RNG.random((4, 30, 12)) < 0.3
FRAC = 3


def graph(**fields):
    """Return a chain whose hidden layer has the given arithmetic, and no rounding unless they ask for it."""
    spec = NeuronSpec(**{"threshold": 300, "reset": "subtract", "reset_amount": 280, "bits": 20, "frac": FRAC} | fields)
    last = NeuronSpec(60, reset="zero", bits=20)
    return Graph("net", (
        Input("in", (), (12,)), Linear("fc1", ("in",), WEIGHT, 6), Neuron("hidden", ("fc1",), spec),
        Linear("fc2", ("hidden",), RNG.integers(-9, 30, (3, 6)), 6), Neuron("last", ("fc2",), last),
        Readout("out", ("last",))), 30)


def units(made):
    return {node.name: np.asarray(2.0 ** -node.spec.frac) for node in made.neurons}


def trained(made, *, weight=None, **fields):
    """Return the float network of a graph's own constants, with some of the hidden layer's changed."""
    network = fake_quantized(made)
    nodes = []
    for node in network.nodes:
        if node.name == "fc1" and weight is not None:
            node = replace(node, weight=weight)
        if node.name == "hidden" and fields:
            node = replace(node, behaviour=replace(node.behaviour, **fields))
        nodes.append(node)
    return Network("net", tuple(nodes), 30)


def test_constants_that_are_exact_give_the_same_spikes():
    made = graph(bias=[5, -3, 0, 9, 2, 1])
    real, whole = run_network(fake_quantized(made), SPIKES), run(made, SPIKES)
    for name in ("hidden", "last"):
        assert (real.spikes[name] == whole.spikes[name]).all()
        assert (real.membranes[name] * 2.0 ** made[name].spec.frac == whole.membranes[name]).all()
    assert explain(fake_quantized(made), made, units(made), SPIKES) is None


@pytest.mark.parametrize(("cause", "spec", "network"), [
    ("weights", {}, {"weight": WEIGHT + RNG.normal(0, 1.5, WEIGHT.shape)}),
    ("bias", {"bias": 16}, {"bias": 0.4}),
    ("threshold", {}, {"threshold": 36.4}),
    ("reset amount", {}, {"reset_amount": 34.2}),
    ("decay", {}, {"beta": 0.96}),
    ("rounding of the leak", {"decay": Decay("shift", 2), "frac": 0, "threshold": 40, "reset_amount": 40}, {}),
    ("rounding of the leak", {"decay": Decay("mul", 4, 13, "zero"), "frac": 0, "threshold": 40, "reset_amount": 40}, {}),
    ("saturation", {"bits": 11, "threshold": 900, "reset_amount": 860, "bias": 300}, {}),
])
def test_names_the_one_field_that_differs(cause, spec, network):
    made = graph(**spec)
    found = explain(trained(made, **network), made, units(made), SPIKES)
    assert found is not None
    assert found.layer == "hidden"
    assert found.cause == (cause,)
    real, whole = run_network(trained(made, **network), SPIKES), run(made, SPIKES)
    before = (real.spikes["hidden"] != whole.spikes["hidden"])[found.sample, :found.step]
    assert not before.any()
    assert found.spikes == (int(real.spikes["hidden"][found.sample, found.step, found.neuron]),
                            int(whole.spikes["hidden"][found.sample, found.step, found.neuron]))
    assert found.spikes[0] != found.spikes[1]
    assert found.membranes["integer"].tolist() == whole.membranes["hidden"][
        found.sample, :found.step + 1, found.neuron].tolist()
    assert str(found).splitlines()[-1] == f"  explained by: {cause}"


def test_follows_recurrence_and_pools():
    spec = NeuronSpec(40, Decay("shift", 2), "subtract", 40, "next", bits=16, synapse=Decay("shift", 1))
    made = Graph("net", (
        Input("in", (), (2, 4)), SumPool("pool", ("in",), Window((2,), (2,))), Delay("back", ("lif",), (2, 2)),
        SumPool("same", ("back",), Window((1,))), Neuron("lif", ("pool", "same"), replace(spec, threshold=3, reset_amount=3)),
        Readout("out", ("lif",))), 30)
    spikes = RNG.random((6, 30, 8)) < 0.6
    found = explain(fake_quantized(made), made, units(made), spikes)
    assert found is not None
    assert found.cause == ("rounding of the leak",)


def test_says_when_only_several_fields_together_explain_it():
    made = graph()
    found = explain(trained(made, threshold=37.0, reset_amount=34.2, bias=-0.4), made, units(made), SPIKES)
    assert found.cause == ("bias", "threshold", "reset amount")
    assert str(found).splitlines()[-1] == "  explained by these together: bias, threshold, reset amount"


def test_agreement_counts_equal_words():
    left, right = {"a": np.array([[[1, 0], [1, 1]]])}, {"a": np.array([[[1, 1], [1, 1]]])}
    found, = agreements(left, right, ["a"])
    assert (found.layer, found.words, found.equal) == ("a", 4, 3)


def test_float_names_are_those_of_the_graph():
    made = graph()
    network = fake_quantized(made)
    assert [node.name for node in network.nodes] == [node.name for node in made.nodes]
    assert isinstance(network["fc1"], FloatLinear)
    assert isinstance(network["hidden"], FloatNeuron)
    assert isinstance(network["hidden"].behaviour, Behaviour)

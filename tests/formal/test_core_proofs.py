# amaranth: UnusedElaboratable=no
"""Unbounded proofs of a core's arithmetic at small sizes; ``test_prove_cores.py`` has all of them."""

import pytest
from core_layers import arithmetics, layer

from rtl_gen.core_claims import NeuronClaim, SequenceClaim, SumClaim
from rtl_gen.prove import decide
from snnhw.ir import Decay, NeuronSpec

PAIR = [[1], [-2]]


def answer(claim, **options):
    return decide(claim, written={"membranes"}, **options).answer


@pytest.mark.parametrize(("weight", "lanes", "index"), [
    ([[1, -2]], 1, 0), ([[1, -2], [3, 1]], 2, 1), ([[1, -2], [3, 1], [-4, 2]], 2, 2)])
def test_a_neuron_gets_its_weighted_sum(weight, lanes, index):
    assert answer(SumClaim(layer(weight, lanes=lanes), index)) == "proved"


@pytest.mark.parametrize("cover", SumClaim.covers)
def test_sums_reach(cover):
    assert answer(SumClaim(layer([[1, -2], [3, 1]]), 1, cover)) == "refuted"


@pytest.mark.parametrize("wrong", [[[1, -2], [3, 2]], [[1, -2], [1, 3]], [[3, 1], [1, -2]]])
def test_a_wrong_weight_is_found(wrong):
    assert answer(SumClaim(layer([[1, -2], [3, 1]]), 1, built=layer(wrong))) == "refuted"


@pytest.mark.parametrize("lanes", [1, 2])
@pytest.mark.parametrize("name", ["forgets", "state"])
def test_neurons_are_told_in_their_turn(lanes, name):
    assert answer(SequenceClaim(layer([[1], [-2], [3]], arithmetics()[name], lanes=lanes))) == "proved"


@pytest.mark.parametrize("cover", SequenceClaim.covers)
def test_the_sequence_reaches(cover):
    assert answer(SequenceClaim(layer([[1], [2]]), cover)) == "refuted"


@pytest.mark.parametrize("name", ["shift zero sample", "mul value-next never", "frac", "exact", "toward zero", "synapse one",
                                  "count", "state"])
def test_a_neuron_computes_its_formulas(name):
    assert answer(NeuronClaim(layer(PAIR, arithmetics()[name]), 0)) == "proved"


@pytest.mark.parametrize("cover", NeuronClaim.covers)
def test_neurons_reach(cover):
    assert answer(NeuronClaim(layer([[1, -2]], NeuronSpec(2, bits=4)), 0, cover)) == "refuted"


@pytest.mark.parametrize("wrong", [
    NeuronSpec(3, bits=4), NeuronSpec(2, Decay("shift", 3), bits=4), NeuronSpec(2, bits=4, start=1),
    NeuronSpec(2, bits=4, clear="never"),
    NeuronSpec(2, bits=4, reset="none"), NeuronSpec(2, bits=4, reset="value", reset_amount=1),
], ids=["threshold", "decay", "start", "clear", "reset", "value"])
def test_a_wrong_constant_is_found(wrong):
    right = layer([[1, -2]], NeuronSpec(2, bits=4))
    assert answer(NeuronClaim(right, 0, built=layer([[1, -2]], wrong))) == "refuted"


@pytest.mark.parametrize(("right", "wrong"), [
    (NeuronSpec(2, Decay("mul", 2, 3, "zero"), bits=4), NeuronSpec(2, Decay("mul", 2, 3), bits=4)),
    (NeuronSpec(2, bits=3, synapse=Decay("shift", 1)), NeuronSpec(2, bits=3, synapse=Decay())),
    (NeuronSpec(1, reset="subtract", reset_amount=1, bits=4, output="count", grades=3),
     NeuronSpec(1, reset="subtract", reset_amount=1, bits=4, output="count", grades=2)),
], ids=["rounding", "synapse", "grades"])
def test_a_wrong_rule_is_found(right, wrong):
    assert answer(NeuronClaim(layer([[3, -2]], right), 0, built=layer([[3, -2]], wrong))) == "refuted"

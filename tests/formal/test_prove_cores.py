"""Every arithmetic, neuron by neuron, proven for all inputs and all time; with narrow words and few neurons."""

import pytest
from core_layers import arithmetics, layer

from rtl_gen.core_claims import NeuronClaim, SequenceClaim, SumClaim
from rtl_gen.prove import decide

pytestmark = pytest.mark.slow
LIMIT_S = 900


@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.parametrize("name", arithmetics())
def test_every_arithmetic(name, index):
    claim = NeuronClaim(layer([[1], [-2]], arithmetics()[name]), index)
    assert decide(claim, written={"membranes"}, limit_s=LIMIT_S).answer == "proved"


@pytest.mark.parametrize("index", [0, 1, 2])
@pytest.mark.parametrize("name", ["shift zero sample", "mul value-next never", "one subtract-next never"])
def test_three_neurons_on_two_lanes(name, index):
    claim = NeuronClaim(layer([[1, 1], [-2, 1], [3, 1]], arithmetics()[name], lanes=2), index)
    assert decide(claim, written={"membranes"}, limit_s=LIMIT_S).answer == "proved"


@pytest.mark.parametrize(("lanes", "outputs"), [
    (lanes, outputs) for outputs in (1, 2, 3, 4, 5, 7) for lanes in (1, 2, 3, 4, 7) if lanes <= outputs])
@pytest.mark.parametrize("name", ["shift zero sample", "mul subtract-next never"])
def test_every_sequence(name, lanes, outputs):
    claim = SequenceClaim(layer([[1]] * outputs, arithmetics()[name], lanes=lanes))
    assert decide(claim, written={"membranes"}, limit_s=LIMIT_S).answer == "proved"


@pytest.mark.parametrize(("weight", "lanes"), [
    ([[1, -2, 3]], 1), ([[1, -2, 3], [3, 1, -3]], 1), ([[1, -2, 3], [3, 1, -3]], 2), ([[1, -2], [3, 1], [-4, 2]], 1),
    ([[1, -2], [3, 1], [-4, 2]], 3), ([[0, 0], [3, 3]], 1), ([[1], [2], [3], [-4], [-1]], 2), ([[-1, 0, -1, -1]], 1),
])
def test_every_sum(weight, lanes):
    for index in range(len(weight)):
        claim = SumClaim(layer(weight, lanes=lanes), index)
        assert decide(claim, limit_s=LIMIT_S).answer == "proved", index

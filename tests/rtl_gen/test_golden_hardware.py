"""The hardware of every neuron model against its golden vectors."""

import numpy as np
import pytest
from finaliser_bench import finalise, layer_of
from golden.make import DRIVE, covering, load, spec_of

CASES = load()
FEW = covering(CASES)


def check(case):
    layer = layer_of(spec_of(case), 1, min(DRIVE), max(DRIVE), len(DRIVE))
    found = finalise(layer, np.array(DRIVE).reshape(1, -1, 1))
    assert found.states.ravel().tolist() == case["states"]
    assert found.fired.ravel().tolist() == case["counts"]
    assert (None if found.synapses is None else found.synapses.ravel().tolist()) == case["synapses"]
    told = [value for _, value, _, tick in found.events if not tick]
    if layer.spec.output == "state":
        assert told == case["states"]
    else:
        assert told == [count for count in case["counts"] if count]


@pytest.mark.parametrize("case", FEW, ids=lambda case: str(spec_of(case)))
def test_every_pair_of_choices(case):
    check(case)


@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in CASES if case not in FEW], ids=lambda case: str(spec_of(case)))
def test_every_combination(case):
    check(case)

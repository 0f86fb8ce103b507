"""Names of memory blocks: which memory of the plan they are part of."""

import pytest

from snnhw.gates.activity import _role


@pytest.mark.parametrize(("name", "role"), [
    ("layer0.weights.0.0", "weights"),
    ("layer0.currents_3_1.0.0", "currents"),
    ("layer1.weights_12.1.0", "weights"),
    ("layer0.membranes[0]", "membranes"),
    ("layer0.finaliser.parameters.0.0", "parameters"),
    ("", ""),
])
def test_a_block_belongs_to_the_memory_that_its_name_ends_with(name, role):
    assert _role(name) == role

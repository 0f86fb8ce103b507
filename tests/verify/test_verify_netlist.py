"""What the cells of an FPGA compute is what the reference computes."""

import pytest
from verify_networks import small_plan, spikes_for

from snnhw.errors import UsageError
from snnhw.verify import check_disturbed, check_undisturbed, compile_netlist

PLAN = small_plan(inputs=4, hidden=5, outputs=3, lanes=2)
SPIKES = spikes_for(PLAN, samples=6)


@pytest.mark.parametrize(("family", "trace"), [("ice40", True), ("ecp5", False)])
def test_the_netlist_is_equal(family, trace):
    simulator = compile_netlist(PLAN, family, trace=trace, optimize="-O0")
    result = check_undisturbed(simulator, SPIKES)
    assert result.problem is None
    assert result.comparison.cycle_counts == 6
    assert result.comparison.output_words == 6 * 6 * 3
    assert result.comparison.membrane_words == (6 * 6 * 8 if trace else 0)
    assert check_disturbed(simulator, SPIKES, 3).problem is None


def test_other_families_are_refused():
    with pytest.raises(UsageError, match=r"^netlists are replayed for 'ice40' and 'ecp5', not for 'gowin'$"):
        compile_netlist(PLAN, "gowin")

"""Bands: the draws keep low, mid and high, are common to all, and cancel in ratios."""

import numpy as np
import pytest
from cost_plans import example

from snnhw.cost import Term, full_energy, load_constants, make_target, memory_energy, ratio
from snnhw.cost.bands import draw, format_energy
from snnhw.cost.energy import Energy

UP5K, ASIC, BOARD = load_constants("ice40up5k"), load_constants("asic45"), make_target()


@pytest.mark.parametrize("name", ["toggle", "ebr", "static", "clock"])
def test_draws_keep_the_three_values(name):
    values = draw(UP5K, name, draws=40_000)
    record = UP5K[name]
    assert np.percentile(values, 5) == pytest.approx(record.low, rel=0.03)
    assert np.percentile(values, 50) == pytest.approx(record.mid, rel=0.03)
    assert np.percentile(values, 95) == pytest.approx(record.high, rel=0.03)
    assert values.min() > 0


def test_draws_depend_on_seed_and_name_only():
    assert np.array_equal(draw(UP5K, "toggle", draws=100), draw(UP5K, "toggle", draws=100))
    assert not np.array_equal(draw(UP5K, "toggle", draws=100, seed=1), draw(UP5K, "toggle", draws=100))
    # Two names of one record draw differently: what rests on both must not cancel by accident.
    assert abs(np.corrcoef(draw(UP5K, "toggle"), draw(UP5K, "ebr"))[0, 1]) < 0.1
    # Changing one record leaves the world of all others as it was.
    changed = UP5K.model_copy(update={"parameters": UP5K.parameters | {"ebr": UP5K["spram"]}})
    assert np.array_equal(draw(changed, "toggle"), draw(UP5K, "toggle"))


def test_ratio_of_design_points_is_tighter_than_either():
    plan, _, counts = example()
    _, _, busier = example(rate=0.4)
    one, other = full_energy(plan, counts, BOARD), full_energy(plan, busier, BOARD)
    quotient = ratio(other, one)
    assert quotient.note == ""
    assert one.band.high / one.band.low > 1.7
    assert quotient.band.high / quotient.band.low < 1.1
    assert ratio(one, one).band.as_json() == {"median": 1.0, "low": 1.0, "high": 1.0}


def test_ratio_of_technologies_says_so():
    plan, _, counts = example()
    quotient = ratio(full_energy(plan, counts, BOARD), memory_energy(plan, counts, ASIC))
    assert "different hardware: iCE40UP5K (fpga) over 45 nm ASIC (asic) constants" in str(quotient)


def test_ratio_needs_common_draws():
    plan, _, counts = example()
    with pytest.raises(AssertionError, match="must share their draws"):
        ratio(memory_energy(plan, counts, ASIC, seed=1), memory_energy(plan, counts, ASIC))


def test_units_must_give_an_energy():
    with pytest.raises(AssertionError, match=r"^access times add is in .*, not in pJ$"):
        Energy("A0", "wrong", "estimated", ASIC, (Term("", "accumulate", 1.0, "access", ("add",)),))


@pytest.mark.parametrize(
    ("pj", "text"),
    [
        (0.0, "0 pJ"),
        (0.0123, "0.0123 pJ"),
        (1.0, "1.00 pJ"),
        (99.96, "100 pJ"),
        (999.4, "999 pJ"),
        (999.6, "1.00 nJ"),
        (1234.0, "1.23 nJ"),
        (4.4e6, "4.40 µJ"),
        (5e9, "5.00 mJ"),
        (7e12, "7.00 J"),
        (float("nan"), "nan pJ"),
    ],
)
def test_energies_are_readable(pj, text):
    assert format_energy(pj) == text

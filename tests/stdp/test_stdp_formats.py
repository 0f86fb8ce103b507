"""Fixed-point formats: what rounding and saturation promise, for any number."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snnhw.stdp import Fixed, Formats
from snnhw.stdp.formats import round_steps

formats = st.builds(Fixed, st.integers(1, 8), st.integers(1, 12))
values = st.lists(st.floats(-300, 300, width=32), min_size=1, max_size=20).map(lambda items: np.array(items, np.float32))
ROUNDINGS = ("truncate", "nearest", "stochastic")


@given(form=formats, numbers=values, rounding=st.sampled_from(ROUNDINGS), seed=st.integers(0, 9))
def test_results_are_of_the_format_and_stay(form, numbers, rounding, seed):
    found = form.quantize(numbers, rounding, np.random.default_rng(seed))
    steps = found.astype(np.float64) * 2 ** form.fraction
    assert (steps == np.round(steps)).all()
    assert form.steps[0] <= steps.min()
    assert steps.max() <= form.steps[1]
    np.testing.assert_array_equal(form.quantize(found, rounding, np.random.default_rng(seed + 1)), found)


@given(form=formats, numbers=values, rounding=st.sampled_from(ROUNDINGS), seed=st.integers(0, 9))
def test_errors_are_bounded_inside_the_range(form, numbers, rounding, seed):
    inside = np.clip(numbers.astype(np.float64), -form.highest, form.highest).astype(np.float32)
    error = form.quantize(inside, rounding, np.random.default_rng(seed)).astype(np.float64) - inside
    if rounding == "truncate":
        assert (error <= 0).all()
        assert (error > -form.step).all()
    else:
        limit = form.step / 2 if rounding == "nearest" else form.step
        assert (np.abs(error) <= limit * (1 + 1e-5)).all()


@given(form=formats, numbers=values)
def test_order_is_kept(form, numbers):
    ordered = np.sort(numbers)
    for rounding in ("truncate", "nearest"):
        assert (np.diff(form.quantize(ordered, rounding)) >= 0).all()


def test_saturates_on_both_sides():
    form = Fixed(2, 1)
    for rounding in ROUNDINGS:
        found = form.quantize(np.array([-1e6, 1e6], np.float32), rounding, np.random.default_rng(0))
        np.testing.assert_array_equal(found, [-2.0, 1.5])


def test_ties_and_negatives_by_hand():
    numbers = np.array([0.5, -0.5, 1.25, -1.25, 2.0], np.float32)
    np.testing.assert_array_equal(round_steps(numbers, "truncate"), [0, -1, 1, -2, 2])
    np.testing.assert_array_equal(round_steps(numbers, "nearest"), [1, 0, 1, -1, 2])


def test_stochastic_rounding_is_right_on_average():
    found = Fixed(1, 2).quantize(np.full(100_000, 0.3, np.float32), "stochastic", np.random.default_rng(5))
    assert set(np.unique(found)) == {0.25, 0.5}
    assert abs(found.mean() - 0.3) < 0.002


@pytest.mark.parametrize(("text", "message"), [
    ("1.7", r"^Format must be Qi\.f, such as Q1\.7, not '1\.7'$"),
    ("Q0.7", r"^Format integer bits must be at least 1, not 0$"),
    ("Q1.0", r"^Format must have between 2 and 24 bits, not 1$"),
    ("Q20.12", r"^Format must have between 2 and 24 bits, not 32$"),
    ("Q-1.7", r"^Format must be Qi\.f, such as Q1\.7, not 'Q-1\.7'$"),
])
def test_wrong_formats_are_refused(text, message):
    with pytest.raises(ValueError, match=message):
        Fixed.parse(text)


def test_wrong_rounding_is_refused():
    with pytest.raises(ValueError, match=r"^Rounding must be truncate, nearest, stochastic, not 'up'$"):
        Formats(rounding="up")
    with pytest.raises(ValueError, match=r"^Rounding 'stochastic' must have a generator$"):
        Fixed(1, 3).quantize(np.zeros(2), "stochastic")


def test_text_and_widths():
    form = Fixed.parse("Q3.4")
    assert (str(form), form.bits, form.step, form.steps, form.highest) == ("Q3.4", 7, 1 / 16, (-64, 63), 63 / 16)
    assert str(Formats(weight=form)) == "weight Q3.4, membrane float32, threshold float32, trace float32, nearest"
    assert [Formats(weight=form).bits(name) for name in ("weight", "membrane")] == [7, 32]

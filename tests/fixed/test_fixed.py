"""Words and intervals against enumeration, for every small width."""

import itertools
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snnhw.fixed import Interval, saturate, signed_bits, signed_range, unsigned_bits

SMALL = range(-9, 10)
INTERVALS = [Interval(lowest, highest) for lowest in range(-5, 6) for highest in range(lowest, 6)]
WIDE = st.integers(-1 << 80, 1 << 80)


def values(interval):
    return range(interval.lowest, interval.highest + 1)


@pytest.mark.parametrize("bits", range(1, 12))
def test_a_signed_word_holds_all_patterns_of_its_bits(bits):
    patterns = [code - (1 << bits) if code >> (bits - 1) else code for code in range(1 << bits)]
    assert signed_range(bits) == (min(patterns), max(patterns))
    assert len(patterns) == signed_range(bits)[1] - signed_range(bits)[0] + 1


def test_signed_bits_is_the_smallest_width_that_holds_both_ends():
    for lowest, highest in itertools.product(range(-70, 71), repeat=2):
        if lowest <= highest:
            smallest = next(bits for bits in range(1, 20) if signed_range(bits)[0] <= lowest and highest <= signed_range(bits)[1])
            assert signed_bits(lowest, highest) == Interval(lowest, highest).bits == smallest


def test_unsigned_bits_is_the_smallest_width():
    for highest in range(200):
        assert unsigned_bits(highest) == next(bits for bits in range(1, 20) if highest < 1 << bits)


@given(st.integers(1, 100), st.integers(1, 100))
def test_widths_hold_for_long_words(left, right):
    assert signed_bits(-(1 << (left - 1)), (1 << (right - 1)) - 1) == max(left, right)
    assert unsigned_bits((1 << left) - 1) == left


def test_takes_numpy_integers():
    assert signed_bits(np.int64(-128), np.int8(127)) == 8
    assert unsigned_bits(np.uint8(255)) == 8


@pytest.mark.parametrize("bits", range(1, 7))
def test_saturate_clips_to_the_word(bits):
    numbers = np.arange(-100, 101)
    lowest, highest = signed_range(bits)
    assert saturate(numbers, bits).tolist() == [min(max(number, lowest), highest) for number in numbers.tolist()]
    assert saturate(numbers, bits).dtype == numbers.dtype


def test_intervals_are_closed_under_their_operations():
    """The result holds every result of the members, and its ends are attained."""
    for left, right in itertools.product(INTERVALS, repeat=2):
        pairs = list(itertools.product(values(left), values(right)))
        for result, exact in ((left + right, [a + b for a, b in pairs]), (left - right, [a - b for a, b in pairs]),
                              (left.hull(right), [*values(left), *values(right)])):
            assert result == Interval(min(exact), max(exact))


def test_intervals_with_numbers():
    for interval, number in itertools.product(INTERVALS, SMALL):
        exact = list(values(interval))
        assert interval + number == Interval(min(exact) + number, max(exact) + number)
        assert interval - number == Interval(min(exact) - number, max(exact) - number)
        assert interval.hull(number) == Interval(min([*exact, number]), max([*exact, number]))
        assert (number in interval) == (number in exact)


def test_intervals_alone():
    for interval in INTERVALS:
        exact = list(values(interval))
        assert -interval == Interval(-max(exact), -min(exact))
        for amount in range(4):
            assert interval << amount == Interval(min(exact) << amount, max(exact) << amount)
        for bits in range(1, 5):
            clipped = saturate(np.array(exact), bits)
            assert interval.clip(bits) == Interval(int(clipped.min()), int(clipped.max()))
    assert [Interval.of_word(bits) for bits in (1, 2, 8)] == [Interval(-1, 0), Interval(-2, 1), Interval(-128, 127)]
    assert str(Interval(-3, 4)) == "-3..4"


@given(WIDE, WIDE, WIDE, WIDE, st.integers(0, 40))
def test_intervals_of_any_size(a, b, c, d, amount):
    left, right = Interval(min(a, b), max(a, b)), Interval(min(c, d), max(c, d))
    for value, other in itertools.product((a, b), (c, d)):
        assert value + other in left + right
        assert value - other in left - right
        assert value << amount in left << amount
        assert value in left.hull(right)


@pytest.mark.parametrize(("call", "message"), [
    (lambda: Interval(1, 0), "Interval must not be empty, not 1 to 0"),
    (lambda: signed_bits(3, 2), "Lowest value must not be above the highest, not 3 above 2"),
    (lambda: unsigned_bits(-1), "Highest value must not be negative, not -1"),
    (lambda: signed_range(0), "Word must have at least 1 bit, not 0"),
])
def test_refusals(call, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        call()

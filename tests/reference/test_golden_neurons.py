"""Traces worked out by hand: every reset with every decay, and the edges of every rule."""

import numpy as np
import pytest

from snnhw.ir import Decay, NeuronSpec
from snnhw.reference import NeuronState, step


def trace(spec, sums, start=None):
    """Return the stored state after each timestep as text, with a star for each time that the neuron fired."""
    state = NeuronState.initial(spec, 1, 1)
    if start is not None:
        state.membrane[:] = start
    words = []
    for weighted_sum in sums:
        fired = step(spec, state, np.array([[weighted_sum]]))
        words.append(f"{state.membrane[0, 0]}{'*' * int(fired[0, 0])}")
    return " ".join(words)


RESETS = {
    "none": {"reset": "none"},
    "none, next": {"reset": "none", "reset_time": "next"},
    "zero": {"reset": "zero"},
    "value": {"reset": "value", "reset_amount": 3},
    "subtract": {"reset": "subtract", "reset_amount": 12},
    "zero, next": {"reset": "zero", "reset_time": "next"},
    "zero, next, drop": {"reset": "zero", "reset_time": "next", "input_on_reset": "drop"},
    "value, next": {"reset": "value", "reset_amount": 3, "reset_time": "next"},
    "value, next, drop": {"reset": "value", "reset_amount": 3, "reset_time": "next", "input_on_reset": "drop"},
    "subtract, next": {"reset": "subtract", "reset_amount": 12, "reset_time": "next"},
}
# Threshold 10 and four timesteps each: below it, exactly at it, far below, far above.
TRACES = {
    ("one", (9, 1, -15, 30)): {
        "none": "9 10* -5 25*", "none, next": "9 10* -5 25*",
        "zero": "9 0* -15 0*", "value": "9 3* -12 3*", "subtract": "9 -2* -17 1*",
        "zero, next": "9 10* -15 15*", "zero, next, drop": "9 10* 0 30*",
        "value, next": "9 10* -12 18*", "value, next, drop": "9 10* 3 33*", "subtract, next": "9 10* -17 13*",
    },
    # v - (v >> 1): 9 to 5, 10 to 5, -10 to -5, -15 to -7, 3 to 2, -13 to -6
    ("shift", (9, 5, -15, 30)): {
        "none": "9 10* -10 25*", "none, next": "9 10* -10 25*",
        "zero": "9 0* -15 0*", "value": "9 3* -13 3*", "subtract": "9 -2* -16 10*",
        "zero, next": "9 10* -15 23*", "zero, next, drop": "9 10* 0 30*",
        "value, next": "9 10* -13 24*", "value, next, drop": "9 10* 3 32*", "subtract, next": "9 10* -22 19*",
    },
    # (v * 3) >> 2: 9 to 6, 10 to 7, -8 to -6, -15 to -12, -13 to -10, -17 to -13, 3 to 2
    ("mul", (9, 4, -15, 30)): {
        "none": "9 10* -8 24*", "none, next": "9 10* -8 24*",
        "zero": "9 0* -15 0*", "value": "9 3* -13 3*", "subtract": "9 -2* -17 5*",
        "zero, next": "9 10* -15 18*", "zero, next, drop": "9 10* 0 30*",
        "value, next": "9 10* -13 20*", "value, next, drop": "9 10* 3 32*", "subtract, next": "9 10* -20 15*",
    },
}
DECAYS = {"one": Decay(), "shift": Decay("shift", 1), "mul": Decay("mul", 2, 3)}


@pytest.mark.parametrize("overflow", ["exact", "saturate"])
@pytest.mark.parametrize(("decay", "sums", "reset", "expected"), [
    (decay, sums, reset, expected) for (decay, sums), rows in TRACES.items() for reset, expected in rows.items()])
def test_every_reset_with_every_decay(decay, sums, reset, expected, overflow):
    assert trace(NeuronSpec(10, DECAYS[decay], overflow=overflow, bits=8, **RESETS[reset]), sums) == expected


def test_the_table_is_complete():
    assert all(set(rows) == set(RESETS) for rows in TRACES.values())


def test_fires_exactly_at_threshold():
    assert trace(NeuronSpec(5), [5]) == "0*"
    assert trace(NeuronSpec(5), [4]) == "4"


def test_threshold_may_be_zero_or_negative():
    assert trace(NeuronSpec(0), [-1, 1, 0]) == "-1 0* 0*"
    assert trace(NeuronSpec(-3), [-4, 1, -3]) == "-4 0* 0*"
    assert trace(NeuronSpec(-3, reset_time="next"), [-4, 0, 1, -3]) == "-4 -4 -3* -3*"
    assert trace(NeuronSpec(-128, bits=8, reset="none"), [-128, -1]) == "-128* -128*"


def test_residue_above_threshold_fires_again():
    assert trace(NeuronSpec(5, reset="subtract", reset_amount=5), [17, 0, 0, 0]) == "12* 7* 2* 2"
    assert trace(NeuronSpec(5, reset="subtract", reset_amount=5, reset_time="next"), [17, 0, 0, 0]) == "17* 12* 7* 2"
    assert trace(NeuronSpec(5, reset="value", reset_amount=6), [5, 0, -2]) == "6* 6* 4"
    dropping = NeuronSpec(5, reset="value", reset_amount=6, reset_time="next", input_on_reset="drop")
    assert trace(dropping, [5, -9, -9]) == "5* 6* 6*"


def test_subtracting_nothing_never_resets():
    assert trace(NeuronSpec(5, reset="subtract"), [7, 0]) == "7* 7*"


def test_shift_decay_floors_towards_minus_infinity():
    spec = NeuronSpec(100, Decay("shift", 2))
    assert trace(spec, [0] * 4, start=7) == "6 5 4 3"
    assert trace(spec, [0] * 4, start=-7) == "-5 -3 -2 -1"


def test_shift_decay_has_a_dead_zone_above_zero_only():
    spec = NeuronSpec(100, Decay("shift", 2))
    assert trace(spec, [0, 0], start=3) == "3 3"
    assert trace(spec, [0, 0], start=-1) == "0 0"


def test_mul_decay_floors_and_has_a_dead_zone_below_zero_only():
    spec = NeuronSpec(100, Decay("mul", 2, 3))
    assert trace(spec, [0] * 4, start=7) == "5 3 2 1"
    assert trace(spec, [0] * 4, start=-7) == "-6 -5 -4 -3"
    assert trace(spec, [0, 0], start=1) == "0 0"
    assert trace(spec, [0, 0], start=-3) == "-3 -3"


def test_mul_decay_spans_forgetting_to_keeping():
    assert trace(NeuronSpec(100, Decay("mul", 4, 0)), [5, 0], start=50) == "5 0"
    assert trace(NeuronSpec(100, Decay("mul", 4, 16)), [5, 0], start=50) == "55 55"


def test_the_widest_shift_loses_only_the_sign():
    spec = NeuronSpec((1 << 31) - 1, Decay("shift", 32), bits=32)
    assert trace(spec, [0], start=(1 << 31) - 2) == str((1 << 31) - 2)
    assert trace(spec, [0], start=-(1 << 31)) == str(-(1 << 31) + 1)


def test_saturates_at_both_ends():
    spec = NeuronSpec(7, bits=4, reset="none")
    assert trace(spec, [6, 1, 1, 100]) == "6 7* 7* 7*"
    assert trace(spec, [-7, -1, -1, -100]) == "-7 -8 -8 -8"


def test_saturates_before_the_immediate_subtraction():
    assert trace(NeuronSpec(5, bits=4, reset="subtract", reset_amount=6), [100, -100]) == "1* -8"


def test_saturates_once_after_the_subtraction_at_the_next_timestep():
    spec = NeuronSpec(5, bits=4, reset="subtract", reset_amount=10, reset_time="next")
    assert trace(spec, [7, 9, -20]) == "7* 6* -8"


def test_the_order_of_events_never_matters_because_the_current_is_exact():
    assert trace(NeuronSpec(7, bits=4, reset="none"), [100 - 100 + 3]) == "3"


def test_fractional_bits_shift_the_sum_but_not_the_bias():
    assert trace(NeuronSpec(100, frac=3, bias=1, reset="none"), [2, -1]) == "17 10"


def test_bias_alone_fires():
    assert trace(NeuronSpec(3, bias=2), [0, 0, 0]) == "2 0* 2"


def test_starts_where_it_is_told():
    assert trace(NeuronSpec(5, start=4), [1, 4]) == "0* 4"
    assert trace(NeuronSpec(5, start=5, reset_time="next"), [1, 0]) == "1 1"


def test_synapse_filters_the_current():
    spec = NeuronSpec(20, reset="none", synapse=Decay("shift", 1))
    assert trace(spec, [8, 0, 0, 0, 0]) == "8 12 14 15 16"


def test_synapse_keeps_its_state_through_a_reset_and_saturates_alone():
    spec = NeuronSpec(7, bits=4, reset="zero", synapse=Decay("mul", 1, 1))
    # c: 7 (of 9), 3, 1, 0
    assert trace(spec, [9, 0, 0, 0]) == "0* 3 4 4"


def test_synapse_current_is_dropped_with_the_input():
    spec = NeuronSpec(7, bits=5, reset_time="next", input_on_reset="drop", synapse=Decay())
    assert trace(spec, [7, 1, 0]) == "7* 0 8*"


def test_counts_every_clipped_word():
    spec = NeuronSpec(7, bits=4, reset="none", synapse=Decay())
    state = NeuronState.initial(spec, 2, 1)
    step(spec, state, np.array([[100], [7]]))
    assert state.saturations.tolist() == [1, 0]
    step(spec, state, np.array([[100], [1]]))
    assert state.saturations.tolist() == [3, 2]


def test_exact_refuses_a_stored_state_beyond_its_word():
    with pytest.raises(OverflowError, match=r"^the exact state must stay within -8\.\.7, not 8$"):
        trace(NeuronSpec(7, bits=4, reset="none", overflow="exact"), [7, 1])
    with pytest.raises(OverflowError, match=r"^the exact state must stay within -8\.\.7, not -9$"):
        trace(NeuronSpec(7, bits=4, overflow="exact", reset_time="next"), [-9])
    with pytest.raises(OverflowError, match=r"^the exact state must stay within -8\.\.7, not 9$"):
        trace(NeuronSpec(7, bits=4, overflow="exact", synapse=Decay()), [9])


def test_exact_may_leave_its_word_where_nothing_is_stored():
    assert trace(NeuronSpec(7, bits=4, overflow="exact"), [1000]) == "0*"
    assert trace(NeuronSpec(7, bits=4, overflow="exact", reset="subtract", reset_amount=9), [16]) == "7*"


def test_mul_decay_toward_zero_has_a_dead_zone_on_neither_side():
    spec = NeuronSpec(100, Decay("mul", 2, 3, "zero"))
    assert trace(spec, [0] * 4, start=7) == "5 3 2 1"
    assert trace(spec, [0] * 4, start=-7) == "-5 -3 -2 -1"
    assert trace(spec, [0, 0], start=-1) == "0 0"


def test_a_count_says_how_often_the_amount_fits():
    spec = NeuronSpec(5, reset="subtract", reset_amount=4, output="count", grades=3)
    assert trace(spec, [4, 0, 1, 7]) == "4 4 1* 4*"
    assert trace(spec, [9, 12]) == "1** 1***"
    assert trace(spec, [30, 0, 0, 0]) == "18*** 6*** 2* 2"
    assert trace(spec, [-20]) == "-20"


def test_a_count_compares_the_saturated_state():
    spec = NeuronSpec(5, reset="subtract", reset_amount=3, output="count", grades=3, bits=4)
    assert trace(spec, [100]) == "4*"  # 7 of 100; the second threshold is 8
    exact = NeuronSpec(5, reset="subtract", reset_amount=3, output="count", grades=3, bits=4, overflow="exact")
    assert trace(exact, [14]) == "5***"


def test_a_count_to_one_is_a_spike():
    fields = {"reset": "subtract", "reset_amount": 4}
    assert trace(NeuronSpec(5, **fields, output="count"), [4, 0, 9, 9]) == trace(NeuronSpec(5, **fields), [4, 0, 9, 9])


def test_a_state_that_is_handed_on_never_fires():
    assert trace(NeuronSpec(0, Decay("shift", 1), "none", output="state"), [8, 0, -9]) == "8 4 -7"

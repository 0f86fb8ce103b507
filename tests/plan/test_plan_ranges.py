"""Proven ranges against every input a tiny network can get, and against random walks of larger ones."""

import itertools
import re
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from network_strategies import arrays, specs

from snnhw.errors import NetworkError
from snnhw.fixed import Interval, signed_range
from snnhw.ir import Decay, Linear, Neuron, NeuronSpec
from snnhw.plan.ranges import MAX_TIMESTEPS, WIDENING_AFTER, current_range, state_ranges
from snnhw.reference import NeuronState, step


def ranges(weight, spec, timesteps=5):
    """Return the ranges of the weighted sum, of the new state and of the stored state."""
    found = state_ranges(current_range(Linear("fc", ("in",), weight, 16)), Neuron("lif", ("fc",), spec), timesteps)
    return found.current, found.update, found.state


def all_sums(weight):
    """Return the weighted sums of every input pattern: (patterns, neurons)."""
    weight = np.asarray(weight)
    return np.array(list(itertools.product((0, 1), repeat=weight.shape[1]))) @ weight.T


def reached(weight, spec, timesteps):
    """Return all new and all stored states of a population within `timesteps`, whatever the input.

    Neurons are followed alone, with every sum they can get: inputs of one step are free in the next.
    """
    sums = all_sums(weight)
    updates, states = set(), {spec.start}
    for neuron in range(len(weight)):
        values = {name: np.asarray(getattr(spec, name)) for name in ("threshold", "reset_amount", "bias")}
        values = {name: int(array if array.ndim == 0 else array[neuron]) for name, array in values.items()}
        decay = spec.decay
        if decay.factor is not None and np.ndim(decay.factor):
            decay = Decay("mul", decay.shift, int(decay.factor[neuron]), decay.rounding)
        fields = {name: getattr(spec, name) for name in spec.__dataclass_fields__} | values | {"decay": decay}
        alone = NeuronSpec(**fields)
        currents = np.unique(sums[:, neuron])
        known, edge = {spec.start}, {spec.start}
        for _ in range(timesteps):
            if not edge:
                break
            before = np.repeat(sorted(edge), len(currents))[:, None]
            current = np.tile(currents, len(edge))[:, None]
            state = NeuronState(before.copy(), None, np.zeros(len(before), np.int64))
            step(alone, state, current)
            if spec.reset_time == "immediate":  # then the new state is what a neuron without a reset would store
                updates |= set((alone.decay(before) + (current << alone.frac) + alone.bias)[:, 0].tolist())
            edge = set(state.membrane[:, 0].tolist()) - known
            known |= edge
        states |= known
    return updates, states


small_specs = st.integers(1, 3).flatmap(lambda neurons: st.tuples(
    st.integers(1, 3).flatmap(lambda inputs: arrays((neurons, inputs), -6, 6)),
    specs(neurons, overflow=("saturate",), synapse=False, output=("spike",))))


@given(small_specs)
def test_every_state_of_a_saturating_network_lies_in_its_range(case):
    weight, spec = case
    current, update, state = ranges(weight, spec)
    sums = all_sums(weight)
    assert current == Interval(int(sums.min()), int(sums.max()))  # attained by the pattern of the positive weights
    updates, states = reached(weight, spec, 12)
    assert all(value in state for value in states)
    assert all(value in update for value in updates)
    assert state.lowest >= signed_range(spec.bits)[0]
    assert state.highest <= signed_range(spec.bits)[1]


@given(st.integers(1, 3).flatmap(lambda neurons: st.tuples(
    st.integers(1, 3).flatmap(lambda inputs: arrays((neurons, inputs), -6, 6)),
    specs(neurons, overflow=("exact",), synapse=False, output=("spike",)))), st.integers(1, 6))
def test_an_exact_state_that_is_accepted_never_leaves_its_word(case, timesteps):
    weight, spec = case
    try:
        _, update, state = ranges(weight, spec, timesteps)
    except NetworkError:
        return
    updates, states = reached(weight, spec, timesteps if spec.clear == "sample" else 20)  # raises when the word is left
    assert all(value in state for value in states)
    assert all(value in update for value in updates)
    assert state.bits <= spec.bits


populations = st.integers(1, 4).flatmap(lambda neurons: st.tuples(
    st.integers(1, 5).flatmap(lambda inputs: arrays((neurons, inputs), -20, 20)), specs(neurons)))


@given(populations, st.integers(1, 40), st.integers(0, 1 << 32))
def test_no_walk_leaves_the_proven_ranges(case, timesteps, seed):
    """Every kind of neuron, driven by random patterns and by those that push furthest."""
    weight, spec = case
    linear = Linear("fc", ("in",), weight, 16)
    try:
        found = state_ranges(current_range(linear), Neuron("lif", ("fc",), spec), timesteps)
    except NetworkError:
        assert spec.overflow == "exact"
        return
    rng = np.random.default_rng(seed)
    state = NeuronState.initial(spec, 60, linear.outputs)
    for _ in range(timesteps):
        patterns = rng.random((60, weight.shape[1])) < rng.random((60, 1))
        sums = patterns @ weight.T
        sums[:20] = current_range(linear)[0]
        sums[20:40:2], sums[21:40:2] = current_range(linear)
        before, filtered = state.membrane, state.synapse
        drive = (sums << spec.frac) + spec.bias
        step(spec, state, sums)  # raises when an exact state leaves its word
        if spec.synapse is not None:
            assert_within(spec.synapse(filtered) + drive, found.synapse_update)
            assert_within(state.synapse, found.synapse)
            drive = state.synapse
        assert_within(sums, found.current)
        assert_within(state.membrane, found.state)
        if spec.reset_time == "immediate":
            assert_within(spec.decay(before) + drive, found.update)
    assert (found.synapse is None) == (found.synapse_update is None) == (spec.synapse is None)


def assert_within(values, interval):
    assert interval.lowest <= values.min()
    assert values.max() <= interval.highest


@pytest.mark.parametrize(("fields", "expected"), [
    ({"synapse": Decay()}, ("-10..15", "-30..45")),
    ({"synapse": Decay("shift", 1)}, ("-3..6", "-14..26")),  # c 3, 5, 6, 6, 6 and -2, -3, -3, -3, -3
    ({"synapse": Decay("mul", 1, 1)}, ("-4..5", "-17..22")),  # c 3, 4, 5, 5, 5 and -2, -3, -4, -4, -4
    ({"synapse": Decay("mul", 1, 1, "zero")}, ("-3..5", "-14..22")),
    ({"synapse": Decay("mul", 1, 0), "decay": Decay("mul", 1, 1, "zero")}, ("-2..3", "-3..5")),
    ({"synapse": Decay(), "frac": 1, "bias": 1}, ("-15..35", "-45..105")),
    ({"synapse": Decay(), "start": 4}, ("-10..15", "-26..49")),
])
def test_synaptic_ranges_worked_out_by_hand(fields, expected):
    """Weights 3 and -2, five timesteps."""
    spec = NeuronSpec(100, reset="none", overflow="exact", **fields)
    found = state_ranges((np.array([-2]), np.array([3])), Neuron("lif", ("fc",), spec), 5)
    assert (str(found.synapse), str(found.state)) == expected
    assert found.synapse_update == found.synapse


@pytest.mark.parametrize(("grades", "expected"), [(1, "-10..7"), (2, "-10..4"), (3, "-10..3"), (15, "-10..3")])
def test_a_count_takes_more_off(grades, expected):
    """Threshold 4, amount 3, weights 10 and -2: what one subtraction leaves, the next takes, down to 1..3."""
    spec = NeuronSpec(4, Decay("mul", 2, 0), "subtract", 3, output="count", grades=grades)
    found = state_ranges((np.array([-2]), np.array([10])), Neuron("lif", ("fc",), spec), 5)
    assert str(found.state) == expected.replace("-10", "-2")


def test_the_update_of_a_saturating_synapse_is_wider_than_its_word():
    spec = NeuronSpec(7, bits=4, synapse=Decay())
    found = state_ranges((np.array([-2]), np.array([3])), Neuron("lif", ("fc",), spec), 5)
    assert (str(found.synapse_update), str(found.synapse), str(found.update)) == ("-10..10", "-8..7", "-16..13")


@pytest.mark.parametrize("bits", range(2, 9))
def test_the_update_is_what_is_saturated(bits):
    """When a new state can leave its word, the update is wider than the word; when it cannot, nothing is clipped."""
    weight = [[3, -2, 1]]
    for reset in ("none", "zero"):
        spec = NeuronSpec(1, Decay("shift", 1), reset, bits=bits)
        _, update, state = ranges(weight, spec)
        updates, states = reached(weight, spec, 50)
        lowest, highest = signed_range(bits)
        clips = min(updates) < lowest or max(updates) > highest
        assert clips == (update.lowest < lowest or update.highest > highest)
        assert min(states) == state.lowest
        assert max(states) == (state.highest if reset == "none" else 0)


@pytest.mark.parametrize(("spec", "expected"), [
    (NeuronSpec(100, reset="none", overflow="exact"), "-10..15"),
    (NeuronSpec(100, reset="none", overflow="exact", start=3), "-7..18"),
    (NeuronSpec(100, reset="none", overflow="exact", frac=2, bias=1), "-35..65"),
    (NeuronSpec(4, overflow="exact"), "-10..3"),
    (NeuronSpec(4, reset="value", reset_amount=-7, overflow="exact"), "-13..3"),
    (NeuronSpec(4, reset_time="next", overflow="exact"), "-10..6"),
    (NeuronSpec(4, reset_time="next", input_on_reset="drop", overflow="exact"), "-10..6"),
    (NeuronSpec(4, reset="subtract", reset_amount=4, overflow="exact"), "-10..3"),
    (NeuronSpec(4, reset="subtract", reset_amount=15, overflow="exact"), "-17..3"),
    (NeuronSpec(4, reset="subtract", reset_amount=4, reset_time="next", overflow="exact"), "-10..6"),
    (NeuronSpec(100, Decay("shift", 1), reset="none", overflow="exact"), "-3..6"),
    (NeuronSpec(100, Decay("mul", 1, 1), reset="none", overflow="exact"), "-4..5"),
    (NeuronSpec(100, Decay("mul", 1, 0), reset="none", overflow="exact"), "-2..3"),
])
def test_ranges_worked_out_by_hand(spec, expected):
    """Weights 3 and -2, five timesteps."""
    current, _, state = ranges([[3, -2]], spec)
    assert str(current) == "-2..3"
    assert str(state) == expected


def test_per_neuron_constants_are_kept_apart():
    weight = [[5], [-1], [0]]
    spec = NeuronSpec([7, 1, 100], Decay("mul", 2, [4, 0, 2]), "subtract", [6, 0, 50], bias=[0, 0, 9], overflow="exact")
    current, update, state = ranges(weight, spec, 4)
    assert str(current) == "-1..5"
    assert str(update) == "-1..16"    # the third neuron: 9, 13, 15, 16
    assert str(state) == "-1..16"


def test_saturating_ranges_hold_for_samples_of_any_length():
    weight, spec = [[3, -2]], NeuronSpec(1 << 20, reset="none", bits=24)
    _, update, state = ranges(weight, spec, timesteps=1)
    assert state == Interval.of_word(24)  # widened: it would take millions of timesteps to get there
    assert update == Interval(state.lowest - 2, state.highest + 3)


def test_saturating_ranges_stay_tight_when_the_state_settles_before_the_widening():
    low, high = [], []
    v = w = 0
    for _ in range(WIDENING_AFTER):
        v, w = v - (v >> 5) + 3, w - (w >> 5) - 2
        low.append(w)
        high.append(v)
    assert high[-1] == high[-2]
    assert low[-1] == low[-2]
    assert ranges([[3, -2]], NeuronSpec(1 << 20, Decay("shift", 5), "none", bits=24))[2] == Interval(min(low), max(high))


def refusal(message, weight, spec, timesteps=5):
    with pytest.raises(NetworkError, match=f"^{re.escape(message)}$"):
        ranges(weight, spec, timesteps)


def test_refuses_an_exact_state_that_needs_more_bits_and_says_how_many():
    spec = NeuronSpec(7, reset="none", overflow="exact", bits=4)
    refusal("layer 'lif' (Neuron): the exact state must fit in 4 bits, and can reach -10..15; use 5 bits, or overflow 'saturate'",
            [[3, -2]], spec)
    ranges([[3, -2]], NeuronSpec(7, reset="none", overflow="exact", bits=5))


def test_refuses_an_exact_state_that_no_word_holds():
    spec = NeuronSpec(7, reset="none", overflow="exact", bits=32, frac=20)
    refusal("layer 'lif' (Neuron): the exact state must fit in 32 bits, and can reach 0..2147483648 after 2 timesteps; "
            "use overflow 'saturate'", [[1 << 10]], spec)


def test_refuses_an_exact_synapse_that_needs_more_bits_and_says_how_many():
    spec = NeuronSpec(7, overflow="exact", bits=4, synapse=Decay())
    refusal("layer 'lif' (Neuron): the exact synaptic current must fit in 4 bits, and can reach -10..15; use 5 bits, "
            "or overflow 'saturate'", [[3, -2]], spec)


def test_refuses_an_exact_state_that_only_the_synapse_makes_too_wide():
    fields = {"reset": "none", "overflow": "exact", "bits": 5}
    ranges([[3, -2]], NeuronSpec(7, **fields))
    refusal("layer 'lif' (Neuron): the exact state must fit in 5 bits, and can reach -30..45; use 7 bits, or overflow 'saturate'",
            [[3, -2]], NeuronSpec(7, synapse=Decay(), **fields))


def test_refuses_a_sum_that_the_analysis_cannot_hold():
    with pytest.raises(NetworkError, match=r"^layer 'lif' \(Neuron\): the weighted sum must be at most 2147483648 with "
                                           r"30 fractional bits, and can reach 2147483649$"):
        state_ranges((np.array([0]), np.array([(1 << 31) + 1])), Neuron("lif", ("fc",), NeuronSpec(5, bits=32, frac=30)), 1)


@pytest.mark.parametrize(("clear", "timesteps"), [("never", 1), ("sample", MAX_TIMESTEPS + 1)])
def test_refuses_an_exact_state_that_grows_too_long(clear, timesteps):
    spec = NeuronSpec(7, reset="none", overflow="exact", bits=32, clear=clear)
    refusal(f"layer 'lif' (Neuron): the exact state must stop growing within {MAX_TIMESTEPS} timesteps, and has reached "
            f"{-MAX_TIMESTEPS}..0; use overflow 'saturate'", [[-1]], spec, timesteps)


def test_an_exact_state_may_grow_for_the_longest_sample_that_is_followed():
    spec = NeuronSpec(7, reset="none", overflow="exact", bits=32)
    assert ranges([[-1]], spec, MAX_TIMESTEPS)[2] == Interval(-MAX_TIMESTEPS, 0)


def test_an_exact_state_that_settles_needs_no_clearing():
    spec = NeuronSpec(100, Decay("shift", 3), "none", overflow="exact", clear="never")
    assert ranges([[3, -2]], spec, 1)[2] == ranges([[3, -2]], spec, 1000)[2]


@pytest.mark.parametrize("weight", [-(1 << 15), (1 << 15) - 1])
@pytest.mark.parametrize("overflow", ["saturate", "exact"])
@pytest.mark.parametrize("reset_time", ["immediate", "next"])
def test_the_widest_network_does_not_overflow_the_analysis(weight, overflow, reset_time):
    spec = NeuronSpec((1 << 31) - 1, reset="subtract", reset_amount=(1 << 31) - 1, reset_time=reset_time, overflow=overflow,
                      bits=32, frac=30, bias=(1 << 31) - 1 if weight > 0 else -(1 << 31))
    weights = np.full((1, 1 << 16), weight)
    if overflow == "exact":
        with pytest.raises(NetworkError, match="must fit in 32 bits, and can reach"):
            ranges(weights, spec)
        return
    current, update, state = ranges(weights, spec)
    extreme = weight << 16
    assert current == Interval(min(extreme, 0), max(extreme, 0))
    exact = (extreme << 30) + int(spec.bias)
    before = state.lowest if weight < 0 else state.highest if reset_time == "immediate" else (1 << 31) - 2  # does not reset
    assert exact + before in update
    assert update.bits <= 63


def test_the_current_is_a_plain_sum_of_signs():
    weight = np.random.default_rng(0).integers(-8, 8, (5, 40))
    low, high = current_range(Linear("fc", ("in",), weight, 4))
    assert low.tolist() == [sum(w for w in row if w < 0) for row in weight.tolist()]
    assert high.tolist() == [sum(w for w in row if w > 0) for row in weight.tolist()]


@pytest.mark.parametrize("spec", [
    NeuronSpec(1000, Decay("mul", 8, 255), "subtract", 1000, "next", bits=24, clear="never"),
    NeuronSpec(1000, reset="none", bits=32, overflow="exact"),
    NeuronSpec(1000, Decay("mul", 16, 65535), bits=32),
], ids=["decays", "exact", "slow"])
@pytest.mark.parametrize("shape", [(128, 784), (300, 300)])
def test_is_fast(shape, spec):
    weight = np.random.default_rng(0).integers(-8, 8, shape)
    start = time.process_time()
    ranges(weight, spec, MAX_TIMESTEPS)
    assert time.process_time() - start < 1.5

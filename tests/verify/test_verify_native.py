"""The fast path: engines, runs, activity."""

from itertools import pairwise

import numpy as np
import pytest
from verify_networks import NAMES, small_plan, spikes_for

from snnhw.errors import UsageError
from snnhw.plan.accesses import access_names, count_accesses
from snnhw.plan.cycles import predict_cycles
from snnhw.reference import run
from snnhw.verify import Stalls, check_disturbed, check_undisturbed, compare, compile_plan
from snnhw.verify.native import CXXRTL_LIMIT_BITS, choose_engine, datapath_bits

PLAN = small_plan()
SPIKES = spikes_for(PLAN, samples=8)
TRACE = run(PLAN.graph, SPIKES)


@pytest.fixture(scope="module")
def simulator():
    return compile_plan(PLAN, optimize="-O0")


@pytest.fixture(scope="module")
def counting():
    return compile_plan(PLAN, activity=True, optimize="-O0")


def test_both_engines_agree_on_everything(simulator):
    other = compile_plan(PLAN, engine="verilator", optimize="-O0")
    assert (simulator.engine, other.engine) == ("cxxrtl", "verilator")
    assert check_undisturbed(other, SPIKES).problem is None
    for options in ({}, {"isolated": False, "stalls": Stalls(3), "order": 4}, {"abort_cycles": 37}):
        left, right = (one.run(SPIKES, trace=True, threads=1, **options) for one in (simulator, other))
        for name in NAMES:
            assert (left.spikes[name] == right.spikes[name]).all()
            assert (left.membranes[name] == right.membranes[name]).all()
        assert (left.cycles == right.cycles).all()
        assert left.total_cycles == right.total_cycles
        for a, b in zip(left.accesses, right.accesses, strict=True):
            assert all((a[name] == b[name]).all() for name in a)


def test_samples_follow_each_other_without_a_cycle_between(simulator):
    alone = simulator.run(SPIKES, threads=1)
    assert alone.total_cycles == alone.cycles.sum()
    assert (alone.cycles == predict_cycles(PLAN, TRACE.spikes)).all()
    together = simulator.run(SPIKES, isolated=False, threads=1)
    assert together.total_cycles < alone.total_cycles
    assert (together.cycles == 0).all()
    assert compare(PLAN, TRACE, together).equal


@pytest.mark.parametrize("threads", [1, 2, 3, 50])
def test_threads_change_nothing(simulator, threads):
    result = simulator.run(SPIKES, trace=True, threads=threads)
    assert compare(PLAN, TRACE, result, predict_cycles(PLAN, TRACE.spikes)).equal


def test_samples_of_a_network_that_is_never_cleared_stay_in_order():
    plan = small_plan(clear="never")
    result = check_undisturbed(compile_plan(plan, optimize="-O0"), SPIKES)
    assert result.problem is None
    assert (result.simulation.membranes[NAMES[0]] != TRACE.membranes[NAMES[0]]).any()


@pytest.mark.parametrize("seed", range(12))
def test_stalls_order_and_resets_change_no_word(simulator, seed):
    assert check_disturbed(simulator, SPIKES, seed).problem is None


def test_stalls_are_repeatable_and_slow_things_down(simulator):
    free = simulator.run(SPIKES, threads=1)
    first, again, other = (simulator.run(SPIKES, stalls=Stalls(seed, 0.5, 0.5), threads=1) for seed in (1, 1, 2))
    assert first.total_cycles == again.total_cycles != other.total_cycles
    assert (first.cycles > free.cycles).all()
    assert compare(PLAN, TRACE, first).equal


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 8, 20, 50, 120, 121, 122, 123, 300])
def test_a_reset_at_any_time_leaves_nothing_behind(simulator, limit):
    result = simulator.run(SPIKES, trace=True, abort_cycles=limit)
    assert compare(PLAN, TRACE, result, predict_cycles(PLAN, TRACE.spikes)).equal


def test_loaded_weights_are_loaded_again_after_a_reset():
    plan = small_plan(load_weights=True)
    simulator = compile_plan(plan, optimize="-O0")
    for limit in (0, 40):
        assert compare(plan, TRACE, simulator.run(SPIKES, trace=True, abort_cycles=limit)).equal
    assert check_disturbed(simulator, SPIKES, 5).problem is None


def test_activity_counts_what_the_accelerator_did(counting):
    result = counting.run(SPIKES, trace=True, activity=True)
    activity = result.activity
    assert compare(PLAN, TRACE, result, predict_cycles(PLAN, TRACE.spikes)).equal
    assert activity.cycles == result.total_cycles
    # Every access signal is high once per access.
    for layer, counts in enumerate(count_accesses(PLAN, TRACE.spikes)):
        for name in access_names(PLAN.layers[layer]):
            assert activity[f"layer{layer}.{name}"].highs.tolist() == [counts[name].sum()], name
    for layer, name in enumerate(NAMES):
        assert activity[f"layer{layer}.trace_valid"].highs[0] == TRACE.spikes[name].size
    beats = SPIKES.sum() + SPIKES.shape[0] * SPIKES.shape[1]
    ticks = SPIKES.shape[0] * SPIKES.shape[1]
    assert activity["m_axis_tvalid"].highs[0] == TRACE.output_spikes.sum() + ticks
    assert activity["s_axis_tvalid"].highs[0] >= beats


def test_activity_toggles_are_those_of_the_beats(counting):
    toggles = counting.run(SPIKES, activity=True).activity["s_axis_tdata"].toggles
    # The source holds a beat until the next: spikes in ascending order, then 0 for the tick; it begins at 0.
    beats = [0]
    for sample in SPIKES:
        for step in sample:
            beats += [*np.flatnonzero(step).tolist(), 0]
    expected = [sum((a ^ b) >> bit & 1 for a, b in pairwise(beats)) for bit in range(8)]
    assert toggles.tolist() == expected


def test_every_wire_is_counted_once(counting):
    activity = counting.run(SPIKES[:1], activity=True).activity
    assert set(activity.aliases.values()) <= set(activity.nets)
    assert not set(activity.aliases) & set(activity.nets)
    assert not [name for name in activity.nets if name.startswith(("trace", "count"))]
    # A port and the wire that drives it are one net.
    assert activity["layer0.accumulate"] is activity["layer0.accumulator.accumulate"]
    for net in activity.nets.values():
        assert net.toggles.shape == net.highs.shape == net.owned.shape == (net.bits,)
        assert (net.toggles >= 0).all()
        assert (net.highs >= 0).all()
        assert (net.highs <= activity.cycles).all()
        assert (net.toggles <= activity.cycles).all()
    assert activity.toggles == sum(net.owned_toggles for net in activity.nets.values()) > 0


def test_the_engine_follows_the_size():
    assert datapath_bits(PLAN) <= CXXRTL_LIMIT_BITS
    assert choose_engine(PLAN, "auto", False) == "cxxrtl"
    assert choose_engine(PLAN, "verilator", False) == "verilator"
    large = small_plan(inputs=60, hidden=256, outputs=256, lanes=256)
    assert datapath_bits(large) > CXXRTL_LIMIT_BITS
    assert choose_engine(large, "auto", False) == "verilator"
    assert choose_engine(large, "auto", True) == "cxxrtl"
    with pytest.raises(UsageError, match=r"^activity is counted by the engine 'cxxrtl', not by 'verilator'$"):
        choose_engine(PLAN, "verilator", True)


@pytest.mark.parametrize("shape", [(0, 6, 7), (2, 6, 8), (2, 7), (2, 0, 7)])
def test_spikes_of_another_shape_are_refused(simulator, shape):
    with pytest.raises(ValueError, match=r"^Input spikes must have shape samples x timesteps x 7, none of them 0, not "):
        simulator.run(np.zeros(shape, bool))


@pytest.mark.parametrize("chance", [-0.1, 1.0])
def test_stalls_that_never_end_are_refused(chance):
    with pytest.raises(ValueError, match=r"^Stall chance of the sink must be at least 0 and below 1, not "):
        Stalls(0, sink=chance)

"""What a mismatch says, and which one is said."""

import numpy as np
import pytest
from verify_networks import NAMES, small_plan, spikes_for

from snnhw.reference import run
from snnhw.verify import MISSING, Simulation, compare

PLAN = small_plan()
SPIKES = spikes_for(PLAN, samples=3)
TRACE = run(PLAN.graph, SPIKES)


def simulation(**changes) -> Simulation:
    """Return a simulation that agrees with the reference but for `changes`, functions of the arrays by field name."""
    fields = {
        "spikes": {name: TRACE.spikes[name].astype(np.uint8) for name in NAMES},
        "membranes": {name: TRACE.membranes[name].copy() for name in NAMES},
        "output": TRACE.output_spikes.astype(np.uint8), "cycles": np.arange(3, dtype=np.int64),
    }
    for name, change in changes.items():
        change(fields[name])
    return Simulation("cxxrtl", accesses=({}, {}), total_cycles=9, **fields)


def put(*place, value):
    """Return a change that writes `value` at a place of an array, after the name of a layer if there is one."""
    def change(array):
        if isinstance(place[0], str):
            array = array[place[0]]
        array[place[-3:]] = value
    return change


def test_equal_is_equal():
    result = compare(PLAN, TRACE, simulation(), np.arange(3))
    assert result.equal
    assert result.first is None
    assert result.counts() == {
        "samples": 3, "spike_words": 252, "spike_mismatches": 0, "membrane_words": 252, "membrane_mismatches": 0,
        "output_words": 90, "output_mismatches": 0, "cycle_counts": 3, "cycle_mismatches": 0}


def test_a_mismatch_shows_both_traces():
    right = int(TRACE.membranes[NAMES[0]][1, 4, 2])
    result = compare(PLAN, TRACE, simulation(membranes=put(NAMES[0], 1, 4, 2, value=-128)))
    assert result.membrane_mismatches == 1
    lines = str(result).splitlines()
    assert lines[0] == f"layer 'net.hidden', neuron 2, timestep 4 of sample 1: membrane must be {right}, not -128"
    assert [line[:20].strip() for line in lines[1:]] == [
        "timestep", "membrane expected", "membrane got", "spike expected", "spike got"]
    expected = [int(value) for value in lines[2].split()[2:]]
    assert expected == TRACE.membranes[NAMES[0]][1, :, 2].tolist()
    assert [int(value) for value in lines[3].split()[2:]] == [*expected[:4], -128, *expected[5:]]
    assert len({len(line) for line in lines[1:]}) == 1


@pytest.mark.parametrize(("changes", "place"), [
    # The earliest sample comes first, then the timestep, then the layer, then the neuron.
    ([(NAMES[0], 2, 0, 0), (NAMES[1], 1, 5, 4)], (1, 5, NAMES[1], 4)),
    ([(NAMES[0], 1, 5, 0), (NAMES[1], 1, 4, 4)], (1, 4, NAMES[1], 4)),
    ([(NAMES[0], 1, 4, 8), (NAMES[1], 1, 4, 0)], (1, 4, NAMES[0], 8)),
    ([(NAMES[0], 1, 4, 8), (NAMES[0], 1, 4, 3)], (1, 4, NAMES[0], 3)),
])
def test_the_first_difference_is_a_cause(changes, place):
    def change(arrays):
        for name, *where in changes:
            arrays[name][tuple(where)] += 1
    first = compare(PLAN, TRACE, simulation(membranes=change)).first
    assert (first.sample, first.step, first.layer, first.neuron) == place
    assert first.word == "membrane"


def test_the_state_is_named_before_the_spike_that_follows_from_it():
    place = NAMES[1], 0, 2, 1
    wrong = 1 - int(TRACE.spikes[NAMES[1]][0, 2, 1])
    result = compare(PLAN, TRACE, simulation(spikes=put(*place, value=wrong), membranes=put(*place, value=99)))
    assert result.spike_mismatches == result.membrane_mismatches == 1
    assert result.first.word == "membrane"


def test_a_word_that_was_never_written_is_missing():
    result = compare(PLAN, TRACE, simulation(spikes=put(NAMES[0], 0, 0, 0, value=MISSING)))
    assert result.spike_mismatches == result.membrane_mismatches == 1
    expected = int(TRACE.membranes[NAMES[0]][0, 0, 0])
    assert str(result.first).startswith(
        f"layer 'net.hidden', neuron 0, timestep 0 of sample 0: membrane must be {expected}, not missing\n")
    assert str(result.first).splitlines()[3].split()[2] == "-"


def test_an_output_that_differs_from_the_layer_is_found():
    right = int(TRACE.output_spikes[0, 1, 3])
    result = compare(PLAN, TRACE, simulation(output=put(0, 1, 3, value=1 - right)))
    assert (result.output_mismatches, result.spike_mismatches) == (1, 0)
    assert str(result.first).startswith(
        f"layer 'net.out; $finish', neuron 3, timestep 1 of sample 0: output must be {right}, not {1 - right}\n")


def test_a_wrong_cycle_count_is_a_problem():
    result = compare(PLAN, TRACE, simulation(), np.array([0, 4, 2]))
    assert not result.equal
    assert str(result) == "sample 1 must take 4 cycles, not 1"
    assert result.counts()["cycle_mismatches"] == 1


def test_without_taps_only_the_output_is_compared():
    got = simulation()
    got.spikes.clear()
    got.membranes.clear()
    result = compare(PLAN, TRACE, got)
    assert result.equal
    assert (result.spike_words, result.membrane_words, result.output_words) == (0, 0, 90)

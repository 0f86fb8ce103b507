# amaranth: UnusedElaboratable=no
"""Forks, queues and merges against lists, with every pattern of pauses and stalls."""

import pytest
from amaranth.hdl import signed
from amaranth.lib import data
from hypothesis import given, settings
from hypothesis import strategies as st
from stream_bench import carry

from rtl_gen.events import event_layout
from rtl_gen.routing import Fork, Merge, Queue
from snnhw.fixed import Interval, unsigned_bits
from snnhw.plan import Source

LAYOUT = data.StructLayout({"address": 4, "tick": 1})
patterns = st.none() | st.lists(st.booleans(), min_size=1, max_size=7)
items = st.lists(st.fixed_dictionaries({"address": st.integers(0, 15), "tick": st.integers(0, 1)}), min_size=1, max_size=12)


def numbered(count):
    return [{"address": index % 16, "tick": index // 16 % 2} for index in range(count)]


def told(transfers):
    return [item for _, item in transfers]


def cycles(transfers):
    return [cycle for cycle, _ in transfers]


# Fork

def fork(events, outputs, offer=None, stalls=()):
    names = [f"o[{index}]" for index in range(outputs)]
    return carry(Fork(LAYOUT, outputs), {"i": events}, dict.fromkeys(names, len(events)), offers={"i": offer},
                 stalls=dict(zip(names, stalls, strict=False)))


@settings(max_examples=40)
@given(items, st.integers(1, 4), patterns, st.lists(patterns, max_size=4))
def test_every_consumer_of_a_fork_gets_every_event_once_in_order(events, outputs, offer, stalls):
    found = fork(events, outputs, offer, stalls)
    assert all(told(found[f"o[{index}]"]) == events for index in range(outputs))


def test_a_fork_has_no_latency():
    found = fork(numbered(9), 3)
    assert all(cycles(transfers) == list(range(9)) for transfers in found.values())


@settings(max_examples=20)
@given(st.lists(st.booleans(), min_size=2, max_size=7).filter(any))
def test_a_consumer_of_a_fork_waits_for_no_other_with_the_event_on_offer(stalls):
    """The first takes an event in the cycle after that in which the second has taken the one before."""
    found = fork(numbered(9), 2, stalls=[None, stalls])
    assert cycles(found["o[0]"]) == [0, *(cycle + 1 for cycle in cycles(found["o[1]"])[:-1])]
    assert cycles(found["i"]) == cycles(found["o[1]"])


# Queue

@settings(max_examples=30)
@given(items, st.integers(2, 6), patterns, patterns)
def test_a_queue_carries_every_event_in_order(events, depth, offer, stall):
    found = carry(Queue(LAYOUT, depth), {"i": events}, {"o": len(events)}, offers={"i": offer}, stalls={"o": stall})
    assert told(found["o"]) == events


@pytest.mark.parametrize("depth", [2, 3, 7])
def test_a_queue_holds_as_many_as_it_says_and_one_event_per_cycle_passes(depth):
    found = carry(Queue(LAYOUT, depth), {"i": numbered(20)}, {"o": 20})
    assert cycles(found["o"]) == list(range(2, 22)) if depth > 2 else cycles(found["o"])[0] == 2
    found = carry(Queue(LAYOUT, depth), {"i": numbered(20)}, {"o": 20}, stalls={"o": [False] * 30 + [True] * 60})
    assert sum(cycle < 30 for cycle in cycles(found["i"])) == depth


# Merge

def source(index, delayed, count, offset, values=(0, 1)):
    return Source(f"source {index}", index, delayed, offset, count, Interval(*values))


def graded(each):
    return (each.values.lowest, each.values.highest) != (0, 1)


def merge(sources, steps, offers=None, stalls=None):
    """Run timesteps through a merge: for each, for each source, its (address, value, last) and whether its tick is the last."""
    layouts, given = [], {}
    for index, each in enumerate(sources):
        shape = signed(4) if each.values.lowest else 3 if graded(each) else 0
        layouts.append(event_layout(unsigned_bits(each.count - 1), shape))
        given[f"i{index}"] = [{"address": address, "last": last, "tick": tick} | ({"value": value} if graded(each) else {})
                              for events in steps[index] for address, value, last, tick in events]
    total = sum(each.count for each in sources)
    dut = Merge(sources, tuple(layouts), event_layout(unsigned_bits(total - 1), signed(5)))
    return dut, given, {"offers": offers, "stalls": stalls}


def expected(sources, lasts, spikes):
    """Return what must come out, timestep by timestep: the sorted events, and the last of its tick.

    Parameters
    ----------
    sources : list of Source
    lasts : list of bool, (timesteps,)
    spikes : list, (sources, timesteps), of (address, value)
        What each source fires in a timestep, whether it is delayed or not.
    """
    steps = []
    for step, last in enumerate(lasts):
        events = []
        for each, mine in zip(sources, spikes, strict=True):
            when = step - each.delayed
            if when < 0 or (each.delayed and lasts[when]):
                continue  # the first timestep of a sample has no delayed spikes
            events += [(address + each.offset, value if graded(each) else 1) for address, value in mine[when]]
        steps.append((sorted(events), int(last)))
    return steps


def found_steps(transfers):
    steps, events = [], []
    for _, item in transfers:
        if item["tick"]:
            steps.append((sorted(events), item["last"]))
            events = []
        else:
            assert not item["last"]
            events.append((item["address"], item["value"]))
    assert not events
    return steps


def run_merge(sources, lasts, spikes, offers=None, stalls=None):
    sent = []
    for each, mine in zip(sources, spikes, strict=True):
        # Only the ticks of an accelerator's input need to say that a timestep is the last; a core's events all do.
        # What a delayed source does last would be heard in a timestep that does not come.
        timesteps = list(zip(mine, lasts, strict=True))[:len(lasts) - each.delayed]
        sent.append([[(address, value, int(last and each.delayed), 0) for address, value in events] + [(0, 0, int(last), 1)]
                     for events, last in timesteps])
    dut, given, timing = merge(sources, sent, offers, stalls)
    steps = expected(sources, lasts, spikes)
    wanted = sum(len(events) + 1 for events, _ in steps)
    return steps, carry(dut, given, {"o": wanted}, limit=4000, **timing)


@st.composite
def merges(draw):
    kinds = draw(st.lists(st.sampled_from([(0, 1), (0, 1), (-7, 7), (0, 5)]), min_size=1, max_size=4))
    delays = [draw(st.booleans()) for _ in kinds]
    delays[draw(st.integers(0, len(delays) - 1))] = False
    counts = [draw(st.integers(1, 5)) for _ in kinds]
    sources = tuple(source(index, delayed, count, sum(counts[:index]), values)
                    for index, (delayed, count, values) in enumerate(zip(delays, counts, kinds, strict=True)))
    lasts = draw(st.lists(st.booleans(), min_size=1, max_size=6))
    spikes = []
    for each in sources:
        value = st.integers(each.values.lowest, each.values.highest).filter(bool)
        spikes.append([[(address, draw(value)) for address in draw(st.lists(st.integers(0, each.count - 1), unique=True))]
                       for _ in lasts])
    return sources, lasts, spikes


@settings(max_examples=60)
@given(merges(), st.lists(patterns, min_size=4, max_size=4), patterns)
def test_a_merge_joins_timesteps(case, offers, stall):
    sources, lasts, spikes = case
    steps, found = run_merge(sources, lasts, spikes, {f"i{index}": offer for index, offer in enumerate(offers)}, {"o": stall})
    assert found_steps(found["o"]) == steps


def test_one_event_per_cycle_and_one_cycle_for_each_tick():
    sources = source(0, False, 2, 0), source(1, False, 3, 2)
    steps, found = run_merge(sources, [False, True], [[[(0, 1), (1, 1)], [(0, 1)]], [[(0, 1), (1, 1), (2, 1)], []]])
    assert found_steps(found["o"]) == steps == [([(0, 1), (1, 1), (2, 1), (3, 1), (4, 1)], 0), ([(0, 1)], 1)]
    # Five events, two ticks in and one out; then one event, two ticks in and one out.
    assert cycles(found["o"])[-1] == 5 + 2 + 1 + 1 + 2 + 1 - 1


def test_the_first_timestep_asks_no_tick_of_a_delayed_source():
    sources = source(0, False, 2, 0), source(1, True, 2, 2)
    steps, found = run_merge(sources, [False, False], [[[(0, 1)], [(1, 1)]], [[(0, 1)], [(1, 1)]]],
                             offers={"i1": [False] * 9 + [True] * 99})
    assert found_steps(found["o"]) == steps == [([(0, 1)], 0), ([(1, 1), (2, 1)], 0)]
    assert cycles(found["o"])[1] == 2  # the tick does not wait for the delayed source, the next one does
    assert cycles(found["o"])[-1] >= 9


def test_a_sample_does_not_hear_the_sample_before():
    sources = source(0, True, 2, 0), source(1, False, 2, 2)
    fires = [[(0, 1), (1, 1)]] * 4
    steps, found = run_merge(sources, [False, True, False, True], [fires, fires])
    assert found_steps(found["o"]) == steps
    assert [len(events) for events, _ in steps] == [2, 4, 2, 4]
    assert [last for _, last in steps] == [0, 1, 0, 1]


def test_the_end_of_the_sample_is_that_of_what_is_not_delayed():
    """The delayed source ticks with the end of the timestep before."""
    sources = source(0, False, 1, 0), source(1, True, 1, 1)
    for lasts in ([True, True, True], [False, True, False], [True, False, True]):
        steps, found = run_merge(sources, lasts, [[[]] * 3, [[(0, 1)]] * 3])
        assert found_steps(found["o"]) == steps
        assert [last for _, last in steps] == lasts


def test_a_source_that_is_ahead_waits_for_the_others():
    sources = source(0, False, 2, 0), source(1, False, 2, 2)
    spikes = [[[(0, 1)], [(1, 1)]], [[(0, 1)], [(1, 1)]]]
    for late in ("i0", "i1"):
        steps, found = run_merge(sources, [False, True], spikes, offers={late: [False] * 20 + [True]})
        assert found_steps(found["o"]) == steps
        ahead = found[{"i0": "i1", "i1": "i0"}[late]]
        assert cycles(ahead)[:2] == [0, 1]  # its first timestep
        assert cycles(ahead)[2] > 20


def test_an_event_without_a_value_is_one_and_a_negative_one_keeps_its_sign():
    sources = source(0, False, 2, 0), source(1, False, 2, 2, (-8, 7)), source(2, False, 2, 4, (0, 7))
    steps, found = run_merge(sources, [True], [[[(1, 1)]], [[(0, -8), (1, 7)]], [[(1, 7)]]])
    assert found_steps(found["o"]) == steps == [([(1, 1), (2, -8), (3, 7), (5, 7)], 1)]


def test_not_all_sources_may_be_delayed():
    with pytest.raises(ValueError, match=r"^Sources must not all be delayed$"):
        merge((source(0, True, 1, 0),), [[]])

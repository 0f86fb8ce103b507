"""Walkers against the weights they were made from: every sum, in order, with every pattern of pauses and stalls, and in time."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from walker_bench import columns_of, layer_of, matrix_of, sums_of, walk

from snnhw.fixed import signed_range
from snnhw.ir import Graph, Input, Linear, Neuron, Readout
from snnhw.plan import Plan
from snnhw.plan.columns import COLUMN_FORMATS, Columns
from snnhw.plan.cycles import predict_cycles
from snnhw.plan.stages import pause_slots, write_stage
from snnhw.plan.synapses import Grid

VALUES = [(0, 1), (0, 1), (-1, 1), (-8, 7), (0, 15), (-5, 0)]
patterns = st.none() | st.lists(st.booleans(), min_size=1, max_size=7)


@st.composite
def grids(draw):
    """Draw a core with lists on a grid with room around it; they reach into the room, or are empty."""
    sizes, room = (draw(st.tuples(*[strategy] * count)) for strategy, count in ((st.integers(1, 3), 2), (st.integers(0, 1), 4)))
    grid = Grid(draw(st.integers(1, 6)), *sizes, *room)
    sources = draw(st.integers(1, 6))
    link = st.tuples(st.integers(0, sources - 1), st.integers(0, grid.channels - 1),
                     st.integers(-grid.top, grid.rows - 1 + grid.bottom), st.integers(-grid.left, grid.columns - 1 + grid.right),
                     st.sampled_from([-9, -4, -1, 1, 3, 8]))
    links = draw(st.lists(link, max_size=25, unique_by=lambda link: link[:4]))
    return layer_of(links, grid, sources=sources, lanes=draw(st.integers(1, grid.channels)), values=draw(st.sampled_from(VALUES)),
                    loaded=draw(st.booleans()))


@st.composite
def matrices(draw):
    """Draw a core with a sparse matrix, in any of its formats: without a weight, with empty columns, or all equally long."""
    neurons, sources, bits = draw(st.integers(1, 14)), draw(st.integers(1, 6)), draw(st.integers(1, 8))
    weight = st.integers(*signed_range(bits))
    some = st.just(0) | weight if draw(st.booleans()) else weight  # about half of them, or nearly all
    matrix = np.array(draw(st.lists(st.lists(some, min_size=neurons, max_size=neurons), min_size=sources, max_size=sources))).T
    matrix = matrix * ~np.array(draw(st.lists(st.sampled_from([False, False, True]), min_size=sources, max_size=sources)))
    name = draw(st.sampled_from(COLUMN_FORMATS))
    run_bits = draw(st.integers(0, 4)) if name == "run-length" else 0
    return columns_of(matrix, name, lanes=draw(st.integers(1, neurons)), run_bits=run_bits, weight_bits=bits,
                      values=draw(st.sampled_from(VALUES)), loaded=draw(st.booleans()))


@st.composite
def steps_of(draw, layer, *, ascending=False):
    value = st.integers(layer.input_values.lowest, layer.input_values.highest).filter(bool)
    address = st.integers(0, layer.inputs - 1)
    events = st.lists(st.tuples(address, value), max_size=layer.inputs, unique_by=lambda event: event[0])
    if ascending:
        events = events.map(sorted)
    return draw(st.lists(st.tuples(events, st.booleans()), min_size=1, max_size=5))


def cases(layers=None, **options):
    """Draw a core and timesteps."""
    return (grids() | matrices() if layers is None else layers).flatmap(
        lambda layer: st.tuples(st.just(layer), steps_of(layer, **options)))


@settings(max_examples=50)
@given(cases(grids()), patterns, patterns)
def test_sums_over_a_grid_come_in_the_order_of_the_neurons(case, offers, stalls):
    layer, steps = case
    assert walk(layer, steps, offers=offers, stalls=stalls).steps == sums_of(layer, steps)


@settings(max_examples=60)
@given(cases(matrices()), patterns, patterns)
def test_sums_of_sparse_matrices_come_in_the_order_of_the_neurons(case, offers, stalls):
    layer, steps = case
    assert walk(layer, steps, offers=offers, stalls=stalls).steps == sums_of(layer, steps)


@settings(max_examples=30)
@given(cases(), st.integers(0, 60), patterns)
def test_a_reset_in_the_middle_of_a_timestep_leaves_nothing(case, cycles, stalls):
    layer, steps = case
    assert walk(layer, steps, stalls=stalls, reset_after=cycles).steps == sums_of(layer, steps)


@settings(max_examples=30)
@given(cases(), patterns)
def test_every_access_is_told(case, stalls):
    layer, steps = case
    synapses, events = layer.synapses, [address for spikes, _ in steps for address, _ in spikes]
    lengths, added = synapses.list_lengths().tolist(), synapses.added_words().tolist()
    cleared = layer.outputs
    if not isinstance(synapses, Columns):
        cleared = layer.tiles * synapses.grid.rows * synapses.grid.columns
    found = walk(layer, steps, stalls=stalls)
    # A reset clears every word of all memories at the same time.
    assert found.cleared == synapses.words or layer.weights_loaded
    # The events of the timesteps that are still to come may have been read as well, but not added.
    assert found.counts == {
        "events_write": len(events), "events_read": len(events), "sources_read": len(events) * bool(layer.source_fields),
        "weights_read": sum(lengths[address] for address in events), "accumulate": sum(added[address] for address in events),
        "currents_read": len(steps) * layer.outputs, "currents_clear": len(steps) * cleared}


def ends(layer, steps):
    """Return the cycle in which the last sum of each timestep is taken, as the schedule of a chain of one core says."""
    nodes = (Input("in", (), (layer.inputs,)), Linear("fc", ("in",), np.ones((layer.outputs, layer.inputs), int), 2),
             Neuron("neurons", ("fc",), layer.spec), Readout("out", ("neurons",)))
    plan = Plan(Graph("one", nodes, len(steps)), (layer,), 0)
    train = np.zeros((1, len(steps), layer.inputs), bool)
    for time, (events, _) in enumerate(steps):
        train[0, time, [address for address, _ in events]] = True
    quiet = np.zeros((1, len(steps), layer.outputs), bool)
    # Beside the sums: one register before the core; behind the last sum, the finaliser, the tick and two registers.
    beside = 1 + write_stage(layer) + 2 + 2
    return [int(predict_cycles(plan, {"in": train[:, :count], "neurons": quiet[:, :count]})[0]) - beside
            for count in range(1, len(steps) + 1)]


@settings(max_examples=50)
@given(cases(ascending=True))
def test_every_timestep_ends_in_the_cycle_that_the_schedule_says(case):
    layer, steps = case
    found = walk(layer, steps, pause=pause_slots(layer))
    assert found.taken[layer.outputs - 1::layer.outputs] == ends(layer, steps)


def column(*words, value=(0, 1), weight=None):
    """Return a core of as many sources as there are words, each with a list of one: the neuron it reaches."""
    return layer_of([(source, 0, 0, word, weight or source + 1) for source, word in enumerate(words)],
                    Grid(1, 1, max(words) + 1), sources=len(words), values=value)


def entries(name, *rows, lanes=1):
    """Return a core of as many sources as there are rows, each with one weight in every lane, in that row."""
    weight = np.zeros(((max(rows) + 1) * lanes, len(rows)), int)
    for source, row in enumerate(rows):
        weight[row * lanes:(row + 1) * lanes, source] = 1 + source + 7 * np.arange(lanes)
    return columns_of(weight, name, lanes=lanes)


@pytest.mark.parametrize("pause", [0, 1, 2])
def test_events_that_follow_each_other_meet_in_one_word(pause):
    """In every order of two words: the one being written, the one written before it, and the one that is read."""
    for words in itertools.product((0, 1), repeat=5):
        layer = column(1, *words)
        steps = [([(source, 1) for source in range(6)], False)] * 2
        assert walk(layer, steps, offers=[True] + [False] * pause).steps == sums_of(layer, steps), words


@pytest.mark.parametrize("name", COLUMN_FORMATS)
def test_events_that_follow_each_other_meet_in_one_row_of_a_lane(name):
    for rows in itertools.product((0, 1), repeat=4):
        layer = entries(name, 1, *rows, lanes=2)
        steps = [([(source, 1) for source in range(5)], False)] * 2
        assert walk(layer, steps).steps == sums_of(layer, steps), rows


def test_lanes_meet_in_rows_of_their_own():
    """One lane adds to the same row again while another moves, in every order."""
    for rows in itertools.product((0, 1), repeat=6):
        weight = np.zeros((4, 3), int)
        for source in range(3):
            for lane in range(2):
                weight[2 * rows[2 * source + lane] + lane, source] = 1 + source + 3 * lane
        layer = columns_of(weight, "csc", lanes=2)
        steps = [([(source, 1) for source in range(3)], True)]
        assert walk(layer, steps).steps == sums_of(layer, steps), rows


def test_lists_of_one_event_after_another_overlap_word_by_word():
    """Each list reaches all words, so that its last word meets the first of the next, and so on."""
    links = [(source, 0, 0, place, 10 * source + place + 1) for source in range(4) for place in range(source % 2, 3)]
    layer = layer_of(links, Grid(1, 1, 3), sources=4)
    for order in itertools.permutations(range(4)):
        steps = [([(source, 1) for source in order], True)]
        assert walk(layer, steps).steps == sums_of(layer, steps)


def test_empty_lists_anywhere():
    layer = layer_of([(1, 0, 0, 0, 3), (1, 0, 0, 1, -2), (3, 0, 0, 1, 5)], Grid(1, 1, 2), sources=5)
    for order in list(itertools.permutations(range(5)))[::4]:
        steps = [([(source, 1) for source in order], False)]
        assert walk(layer, steps).steps == [([3, 3], False)]
    none = layer_of([], Grid(2, 1, 2), sources=2, lanes=2)
    assert walk(none, [([(0, 1), (1, 1)], False), ([], True)]).steps == [([0] * 4, False), ([0] * 4, True)]


@pytest.mark.parametrize("name", COLUMN_FORMATS)
def test_empty_columns_anywhere(name):
    layer = columns_of([[0, 3, 0, 0, 0], [0, -2, 0, 5, 0], [0, 0, 0, 0, 0]], name)
    for order in list(itertools.permutations(range(5)))[::6]:
        steps = [([(source, 1) for source in order], False), ([], True)]
        assert walk(layer, steps).steps == [([3, 3, 0], False), ([0, 0, 0], True)]
    none = columns_of(np.zeros((5, 2), int), name, lanes=2)
    assert walk(none, [([(0, 1), (1, 1)], False), ([], True)]).steps == [([0] * 5, False), ([0] * 5, True)]


@pytest.mark.parametrize(("name", "run_bits"), [("bank", 0), ("csc", 0), ("bitmap", 0), ("run-length", 1), ("run-length", 2),
                                                ("run-length", 3), ("run-length", 5)])
def test_rows_of_every_distance(name, run_bits):
    """Two weights in a column, anywhere among nine rows: runs of every length, bits in every word before the weights."""
    pairs = list(itertools.combinations(range(9), 2))
    weight = np.zeros((9, len(pairs)), int)
    for source, (low, high) in enumerate(pairs):
        weight[low, source], weight[high, source] = 1 + source % 7, -1 - source % 5
    layer = columns_of(weight, name, run_bits=run_bits, weight_bits=4)
    steps = [([(source, 1)], False) for source in range(len(pairs))]
    assert walk(layer, steps).steps == sums_of(layer, steps)


def test_values_multiply_weights_of_either_sign_up_to_the_ends_of_the_current():
    layer = layer_of([(0, 0, 0, 0, -32768), (1, 0, 0, 0, 32767), (2, 0, 0, 0, 32767)], Grid(1), sources=3, values=(-128, 127))
    extremes = [[(0, -128), (1, 127), (2, 127)], [(0, 127), (1, -128), (2, -128)], [(2, -1)], [(0, -1), (1, -1)]]
    found = walk(layer, [(events, False) for events in extremes])
    assert found.steps == [([sum(value * int(matrix_of(layer)[address, 0]) for address, value in events)], False)
                           for events in extremes]
    assert found.steps[0][0] == [layer.current.highest]
    assert found.steps[1][0] == [layer.current.lowest]


@pytest.mark.parametrize("lanes", range(1, 8))
@pytest.mark.parametrize("channels", [1, 2, 5, 7])
def test_channels_on_any_number_of_lanes(channels, lanes):
    """Of several tiles the last may have a lane less; every sum is there, and every word is cleared once."""
    links = [(source, channel, row, column, 1 + channel + 10 * row + 100 * column + 1000 * source) for source in range(2)
             for channel in range(channels) for row in range(2) for column in range(3)]
    layer = layer_of(links, Grid(channels, 2, 3, 1, 0, 0, 1), sources=2, lanes=min(lanes, channels))
    steps = [([(0, 1)], False), ([(1, 1), (0, 1)], False), ([], True), ([(1, 1)], True)]
    found = walk(layer, steps)
    assert found.steps == sums_of(layer, steps)
    assert found.counts["currents_clear"] == 4 * layer.tiles * 6


@pytest.mark.parametrize("lanes", range(1, 8))
@pytest.mark.parametrize("name", COLUMN_FORMATS)
def test_neurons_on_any_number_of_lanes(name, lanes):
    """The last row may be short; each of its neurons is read and cleared, and no other."""
    layer = columns_of([[1 + neuron + 20 * source for source in range(2)] for neuron in range(7)], name, lanes=lanes)
    steps = [([(0, 1)], False), ([(1, 1), (0, 1)], False), ([], True), ([(1, 1)], True)]
    found = walk(layer, steps)
    assert found.steps == sums_of(layer, steps)
    assert found.counts["currents_clear"] == 4 * 7


@pytest.mark.parametrize("build", [
    lambda loaded: layer_of([(0, 0, 0, 0, -5), (0, 1, 0, 1, 7), (1, 2, 0, 0, 3), (1, 0, 0, 1, -8)], Grid(3, 1, 2), sources=2,
                            lanes=2, loaded=loaded),
    lambda loaded: columns_of([[-5, 0], [0, 3], [7, -8]], "csc", lanes=2, loaded=loaded),
    lambda loaded: columns_of([[-5, 0], [0, 3], [7, -8]], "bitmap", lanes=1, weight_bits=4, loaded=loaded),
], ids=["block", "csc", "bitmap"])
def test_loaded_weights_are_those_that_are_written(build):
    layer = build(True)
    steps = [([(0, 1), (1, 1)], False), ([(1, 1)], True)]
    assert walk(layer, steps).steps == sums_of(layer, steps)
    assert walk(layer, steps, reset_after=25).steps == sums_of(layer, steps)


# Two timesteps are in the currents at most

LONG = columns_of(np.arange(1, 41).reshape(2, 20), "csc")  # two rows, 20 sources: 40 words in a full timestep
SHORT = columns_of(np.arange(1, 41).reshape(20, 2), "csc", lanes=20)  # 20 sums, one word for each event


def periods(found, layer):
    """Return the cycles from the last sum of a timestep to that of the next."""
    return np.diff(found.taken[layer.outputs - 1::layer.outputs]).tolist()


def test_words_follow_each_other_through_the_ends_of_timesteps():
    """Sums are read beside the words of the timestep after, which loses no cycle."""
    steps = [([(source, 1) for source in range(20)], False)] * 5
    assert periods(walk(LONG, steps), LONG) == [40] * 4


def test_the_first_sum_comes_two_cycles_after_the_last_of_the_timestep_before():
    steps = [([(0, 1), (1, 1)], False)] * 5
    found = walk(SHORT, steps)
    assert found.steps == sums_of(SHORT, steps)
    assert found.taken == [found.taken[0] + 21 * time + neuron for time in range(5) for neuron in range(20)]


@pytest.mark.parametrize("layer", [LONG, SHORT], ids=["long", "short"])
def test_a_third_timestep_waits_until_the_first_is_taken(layer):
    """Nobody takes a sum for a long time: of the words of three timesteps those of two are added, and none is lost."""
    steps = [([(source, 1) for source in range(layer.inputs)], bool(time % 2)) for time in range(4)]
    found = walk(layer, steps, stalls=[False] * 150 + [True] * (4 * layer.outputs))
    assert found.steps == sums_of(layer, steps)
    early = [cycle for cycle in found.entered if cycle < 150]
    # Two timesteps are added, one waits in the list and in stage 1, one more is collected.
    assert len(early) <= 4 * (layer.inputs + 1)
    assert min(found.taken) >= 150

"""Walkers against the links of their maps: every sum, in order, with every pattern of pauses and stalls, and in time."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from walker_bench import layer_of, matrix_of, sums_of, walk

from snnhw.plan.synapses import Grid

VALUES = [(0, 1), (0, 1), (-1, 1), (-8, 7), (0, 15), (-5, 0)]
patterns = st.none() | st.lists(st.booleans(), min_size=1, max_size=7)


@st.composite
def layers(draw):
    """Draw a core: a grid with room around it, lists that reach into the room, or are empty."""
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
def cases(draw):
    layer = draw(layers())
    value = st.integers(layer.input_values.lowest, layer.input_values.highest).filter(bool)
    address = st.integers(0, layer.inputs - 1)
    events = st.lists(st.tuples(address, value), max_size=layer.inputs, unique_by=lambda event: event[0])
    return layer, draw(st.lists(st.tuples(events, st.booleans()), min_size=1, max_size=4))


@settings(max_examples=50)
@given(cases(), patterns, patterns)
def test_sums_come_in_the_order_of_the_neurons(case, offers, stalls):
    layer, steps = case
    found = walk(layer, steps, offers=offers, stalls=stalls)
    assert found.steps == sums_of(layer, steps)


@settings(max_examples=20)
@given(cases(), st.integers(0, 60), patterns)
def test_a_reset_in_the_middle_of_a_timestep_leaves_nothing(case, cycles, stalls):
    layer, steps = case
    assert walk(layer, steps, stalls=stalls, reset_after=cycles).steps == sums_of(layer, steps)


@settings(max_examples=20)
@given(cases())
def test_every_access_is_told(case):
    layer, steps = case
    lengths, grid = layer.synapses.list_lengths().tolist(), layer.synapses.grid
    events = [address for events, _ in steps for address, _ in events]
    words = sum(lengths[address] for address in events)
    assert walk(layer, steps, stalls=[True, False]).counts == {
        "sources_read": len(events), "weights_read": words, "accumulate": words, "currents_read": len(steps) * layer.outputs,
        "currents_clear": len(steps) * layer.tiles * grid.rows * grid.columns}


def overhead(lengths):
    """Return the cycles of a timestep beside those of its words and its sums: its last word goes through the pipeline."""
    if not any(lengths):
        return 3 if lengths else 2
    trailing = next(index for index, length in enumerate(reversed(lengths)) if length)
    return max(3, 7 - trailing)


@settings(max_examples=40)
@given(cases())
def test_a_timestep_takes_as_many_cycles_as_it_says(case):
    layer, steps = case
    lengths = layer.synapses.list_lengths().tolist()
    found = walk(layer, steps)
    begin = found.entered[0]
    assert begin == layer.synapses.words or layer.weights_loaded  # all are cleared first, weights being loaded or not
    ends = found.taken[layer.outputs - 1::layer.outputs]
    entered = iter(found.entered)
    for (events, _), end in zip(steps, ends, strict=True):
        mine = [lengths[address] for address, _ in events]
        assert end + 1 - begin == sum(max(1, length) for length in mine) + layer.outputs + overhead(mine)
        assert next(entered) == begin  # the first of its events, or the tick
        for _ in events:
            next(entered)
        begin = end + 1


def column(*words, value=(0, 1), weight=None):
    """Return a core of as many sources as there are words, each with a list of one: the neuron it reaches."""
    return layer_of([(source, 0, 0, word, weight or source + 1) for source, word in enumerate(words)],
                    Grid(1, 1, max(words) + 1), sources=len(words), values=value)


@pytest.mark.parametrize("pause", [0, 1, 2])
def test_events_that_follow_each_other_meet_in_one_word(pause):
    """In every order of two words: the one being written, the one written before it, and the one that is read."""
    for words in itertools.product((0, 1), repeat=5):
        layer = column(1, *words)
        steps = [([(source, 1) for source in range(6)], False)] * 2
        assert walk(layer, steps, offers=[True] + [False] * pause).steps == sums_of(layer, steps), words


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


def test_loaded_weights_are_those_that_are_written():
    links = [(0, 0, 0, 0, -5), (0, 1, 0, 1, 7), (1, 2, 0, 0, 3), (1, 0, 0, 1, -8)]
    layer = layer_of(links, Grid(3, 1, 2), sources=2, lanes=2, loaded=True)
    steps = [([(0, 1), (1, 1)], False), ([(1, 1)], True)]
    assert walk(layer, steps).steps == sums_of(layer, steps)
    assert walk(layer, steps, reset_after=25).steps == sums_of(layer, steps)

"""Sparse matrices, read back from the words of their memories alone, and the sizes of those memories."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snnhw.fixed import signed_range
from snnhw.plan.columns import COLUMN_FORMATS, Columns


@st.composite
def matrices(draw, name=None, most=20):
    """Draw a matrix and how it is kept; some columns are empty, some matrices are full or have no weight at all."""
    neurons, sources, bits = draw(st.integers(1, most)), draw(st.integers(1, 6)), draw(st.integers(1, 8))
    name = name or draw(st.sampled_from(COLUMN_FORMATS))
    rng = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    lowest, highest = signed_range(bits)
    density = rng.choice(draw(st.sampled_from([(0.0,), (1.0,), (0.3,), (0.0, 0.3), (0.1, 0.9)])), sources)
    weight = rng.integers(lowest, highest + 1, (neurons, sources)) * (rng.random((neurons, sources)) < density)
    run_bits = draw(st.integers(0, 5)) if name == "run-length" else 0
    return Columns(weight, bits, draw(st.integers(1, neurons)), name, run_bits)


def words(fields):
    """Return the words of a memory, its first field in the lowest bits, and their width."""
    depth, result, offset = len(fields[0][0]) if fields else 0, [], 0
    for index in range(depth):
        word, offset = 0, 0
        for column, bits in fields:
            value = int(column[index])
            assert -(1 << bits - 1) <= value < 1 << bits, "a field is wide enough"
            word |= value % (1 << bits) << offset
            offset += bits
        result.append(word)
    return result, offset


def lists_of(columns):
    """Return the words of the list of each source, and their width."""
    memory, width = words(columns.word_fields)
    if columns.uniform is not None:
        assert columns.source_fields == ()
        assert len(memory) == columns.sources * columns.uniform
        return [memory[source::columns.sources] for source in range(columns.sources)], width
    (_, first_bits), (_, count_bits) = columns.source_fields
    found = []
    for word in words(columns.source_fields)[0]:
        first, count = word % (1 << first_bits), word >> first_bits
        assert count < 1 << count_bits
        assert first + count <= len(memory)
        found.append(memory[first:first + count])
    assert len(found) == columns.sources
    return found, width


def decode(columns):
    """Return the matrix, from the words of the memories and the sizes that a decoder is built with."""
    neurons, lanes, bits = columns.weight.shape[0], columns.lanes, columns.weight_bits
    rows = -(-neurons // lanes)
    place_bits = {"bitmap": 0, "run-length": columns.chosen_run_bits}.get(columns.format, (rows - 1).bit_length())
    place_bits *= rows > 1
    headers = -(-rows // bits) if columns.format == "bitmap" and rows > 1 else 0
    matrix = np.zeros((rows * lanes, columns.sources), np.int64)
    lists, width = lists_of(columns)
    assert width == lanes * (bits + place_bits)
    for source, some in enumerate(lists):
        for lane in range(lanes):
            weights = [word >> lane * bits & (1 << bits) - 1 for word in some]
            places = [word >> lanes * bits + lane * place_bits & (1 << place_bits) - 1 for word in some]
            mask = sum(chunk << bits * index for index, chunk in enumerate(weights[:headers]))
            marked, row = [row for row in range(rows) if mask >> row & 1], 0
            for index, (code, place) in enumerate(zip(weights[headers:], places[headers:], strict=True)):
                weight = code - (code >> bits - 1 << bits)
                if headers:
                    if index >= len(marked):
                        assert weight == 0, "behind the last row there are only zeros"
                        continue
                    row = marked[index]
                elif columns.format == "run-length" and rows > 1:
                    row = row + place
                else:
                    row = place
                assert weight == 0 or row < rows
                if weight:
                    assert matrix[row * lanes + lane, source] == 0, "a weight is stored once"
                    matrix[row * lanes + lane, source] = weight
    assert not matrix[neurons:].any()
    return matrix[:neurons]


@settings(max_examples=300)
@given(matrices())
def test_the_memories_hold_the_matrix(columns):
    np.testing.assert_array_equal(decode(columns), columns.weight)


def entries(column, lanes, longest):
    """Return how many entries each lane needs for a column; with a longest run, those that cut longer ones included."""
    counts = []
    for lane in range(lanes):
        rows, total, before = np.flatnonzero(column[lane::lanes]).tolist(), 0, 0
        for row in rows:
            total += max(1, math.ceil((row - before) / longest)) if longest else 1
            before = row
        counts.append(total)
    return counts


@settings(max_examples=150)
@given(matrices())
def test_a_list_is_as_long_as_its_longest_lane(columns):
    rows, lanes = -(-columns.weight.shape[0] // columns.lanes), columns.lanes
    longest = (1 << columns.chosen_run_bits) - 1 if columns.format == "run-length" and rows > 1 else 0
    added = [max(entries(column, lanes, longest)) for column in columns.weight.T]
    headers = -(-rows // columns.weight_bits) if columns.format == "bitmap" and rows > 1 else 0
    if columns.format == "bank":
        added = [max(1, *added)] * len(added) if len(added) > 1 else [max(1, *added, 0)]
    assert columns.added_words().tolist() == added
    assert columns.list_lengths().tolist() == [count + headers * (count > 0) for count in added]
    assert columns.words == columns.tiles == rows
    assert columns.banks == lanes


@settings(max_examples=150)
@given(matrices())
def test_stored_bits_are_those_of_the_memories(columns):
    memory, width = words(columns.word_fields)
    sources, source_width = words(columns.source_fields)
    assert columns.stored_bits == len(memory) * width + len(sources) * source_width
    assert columns.stored == max(1, int(columns.added_words().sum())) * columns.lanes
    assert columns.synapses == max(1, np.count_nonzero(columns.weight))
    assert columns.fan_out().tolist() == [np.count_nonzero(column) for column in columns.weight.T]


@settings(max_examples=60)
@given(matrices("run-length"))
def test_a_run_is_as_wide_as_stores_the_fewest_bits(columns):
    chosen = Columns(columns.weight, columns.weight_bits, columns.lanes, "run-length")
    widest = max(1, (columns.words - 1).bit_length())
    every = {bits: Columns(columns.weight, columns.weight_bits, columns.lanes, "run-length", bits).stored_bits
             for bits in range(1, widest + 1)}
    assert chosen.stored_bits == min(every.values())
    assert every[chosen.chosen_run_bits] == chosen.stored_bits


@settings(max_examples=60)
@given(matrices(most=6), st.data())
def test_the_range_of_a_current_is_reached_and_never_left(columns, data):
    ends = st.tuples(st.integers(-9, 0), st.integers(0, 9))
    low, high = np.array(data.draw(st.lists(ends, min_size=columns.sources, max_size=columns.sources))).T
    lowest, highest = columns.current_range(low, high)
    each = columns.weight[..., None] * np.stack([low, high], axis=1)
    np.testing.assert_array_equal(lowest, each.min(axis=2).sum(axis=1))
    np.testing.assert_array_equal(highest, each.max(axis=2).sum(axis=1))


def test_a_balanced_matrix_needs_no_memory_of_sources():
    """Two weights in each of four lanes, whatever the column."""
    rng = np.random.default_rng(0)
    weight = np.zeros((32, 9), int)
    for source in range(9):
        for lane in range(4):
            weight[rng.choice(8, 2, replace=False) * 4 + lane, source] = rng.integers(1, 8, 2)
    for name in ("bank", "csc"):
        columns = Columns(weight, 4, 4, name)
        assert (columns.uniform, columns.source_fields) == (2, ())
        assert columns.stored_bits == 9 * 2 * 4 * (4 + 3)
        np.testing.assert_array_equal(decode(columns), weight)


def test_a_bank_fills_up_what_is_not_balanced():
    weight = np.array([[1, 0], [2, 0], [3, 0], [0, 0]])
    bank, lists = (Columns(weight, 3, 1, name) for name in ("bank", "csc"))
    assert (bank.uniform, lists.uniform) == (3, None)
    assert bank.list_lengths().tolist() == [3, 3]
    assert lists.list_lengths().tolist() == [3, 0]
    assert bank.stored_bits == 6 * (3 + 2)
    assert lists.stored_bits == 3 * (3 + 2) + 2 * (2 + 2)  # first word up to 3, number of words up to 3


@pytest.mark.parametrize(("run_bits", "runs"), [(1, [0, 1, 1, 1, 1, 1, 1, 1, 1]), (2, [0, 3, 3, 2]), (3, [0, 7, 1]), (4, [0, 8])])
def test_a_long_run_is_cut(run_bits, runs):
    weight = np.zeros((9, 1), int)
    weight[[0, 8], 0] = 1, -1
    columns = Columns(weight, 2, 1, "run-length", run_bits)
    (weights, _), (found, bits) = columns.word_fields
    assert (found.tolist(), bits) == (runs, run_bits)
    assert weights.tolist() == [1, *[0] * (len(runs) - 2), -1]


@pytest.mark.parametrize(("bits", "headers"), [(1, 9), (2, 5), (4, 3), (8, 2)])
def test_a_bitmap_has_a_bit_for_each_row_in_the_place_of_weights(bits, headers):
    weight = np.zeros((9, 2), int)
    weight[[0, 4, 8], 0] = -1
    columns = Columns(weight, bits, 1, "bitmap")
    assert columns.headers == headers
    assert columns.list_lengths().tolist() == [headers + 3, 0]
    mask = sum(int(word) << bits * index for index, word in enumerate(columns.word_fields[0][0][:headers]))
    assert mask == 0b100010001


@pytest.mark.parametrize("name", COLUMN_FORMATS)
def test_where_each_neuron_has_its_lane_nothing_tells_its_row(name):
    weight = np.array([[1, 0], [-2, 0], [3, 1]])
    columns = Columns(weight, 3, 3, name)
    assert (columns.words, columns.row_bits, columns.headers) == (1, 0, 0)
    np.testing.assert_array_equal(decode(columns), weight)


@pytest.mark.parametrize("name", COLUMN_FORMATS)
def test_a_matrix_without_a_weight_still_has_a_word(name):
    columns = Columns(np.zeros((5, 3), int), 4, 2, name)
    assert columns.added_words().tolist() == ([1, 1, 1] if name == "bank" else [0, 0, 0])
    assert (columns.synapses, columns.stored) == (1, 6 if name == "bank" else 2)
    np.testing.assert_array_equal(decode(columns), columns.weight)

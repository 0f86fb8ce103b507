"""Encodings: what is decoded is what was encoded, what is counted is what was emitted, and no loss is called a saving."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snnhw.cost.encodings import RunLength, index_bits, parse_encoding
from snnhw.cost.ranking import ENCODINGS, best_run_length, find_break_even, rank_encodings
from snnhw.errors import CheckFailed, UsageError
from snnhw.fixed import signed_range

NAMES = "dense", "rle1", "rle2", "rle4", "rle9", "cp", "bitmask", "ubm", "uop", "csr", "uop-rle1", "uop-rle3"
encodings = st.sampled_from(NAMES).map(parse_encoding)


@st.composite
def weights(draw, largest=120):
    """Draw an array with its width: any shape, empty rows and full ones, extremes of the range."""
    bits = draw(st.integers(1, 16))
    shape = draw(st.lists(st.integers(1, 9), min_size=0, max_size=4).filter(lambda sizes: np.prod(sizes or [1]) <= largest))
    lowest, highest = signed_range(bits)
    rng = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    values = np.where(rng.random(shape) < 0.3, rng.choice([lowest, highest], shape), rng.integers(lowest, highest + 1, shape))
    return values * (rng.random(shape) < draw(st.sampled_from([0.0, 0.05, 0.3, 1.0]))), bits


def random_weights(density, bits, shape=(64, 200), seed=0):
    """Return weights of which each is zero or not by itself."""
    rng = np.random.default_rng(seed)
    lowest, highest = signed_range(bits)
    values = rng.integers(1, highest + 1, shape) * rng.choice([-1, 1], shape) if highest else np.full(shape, lowest)
    return values * (rng.random(shape) < density)


@given(encoding=encodings, case=weights())
def test_decodes_what_was_encoded(encoding, case):
    weight, bits = case
    stream = encoding.encode(weight, bits)
    assert np.array_equal(encoding.decode(stream, weight.shape, bits), weight)
    assert stream.size == encoding.exact(weight, bits).bits


@given(encoding=encodings, case=weights(), seed=st.integers(0, 1 << 32))
def test_damaged_streams_are_refused_or_another_array(encoding, case, seed):
    weight, bits = case
    stream = encoding.encode(weight, bits)
    rng = np.random.default_rng(seed)
    damaged = rng.integers(0, 2, stream.size + rng.integers(-2, 3)).astype(np.uint8) if stream.size > 2 else stream[1:]
    try:
        decoded = encoding.decode(damaged, weight.shape, bits)
    except ValueError as error:
        problem = str(error)
    else:
        assert decoded.shape == weight.shape
        problem = f"Stream of '{encoding.name}' must be another"
    assert problem.startswith(f"Stream of '{encoding.name}' must ")


@given(encoding=encodings, case=weights(), seed=st.integers(0, 1 << 32))
def test_fewer_weights_never_take_more_bits(encoding, case, seed):
    weight, bits = case
    fewer = weight * (np.random.default_rng(seed).random(weight.shape) < 0.5)
    before, after = encoding.exact(weight, bits), encoding.exact(fewer, bits)
    assert after.payload_bits <= before.payload_bits
    assert after.metadata_bits <= before.metadata_bits


def test_run_length_by_hand():
    weight = np.array([0, 0, 3, 0, 0, 0, 0, 0, -1, 0])
    # Runs of at most 3: two zeros and 3; three zeros and a zero; one zero and -1. What follows the last weight is not stored.
    assert list(RunLength(2).encode(weight, 3)) == [1, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1]
    assert RunLength(2).exact(weight, 3).metadata_bits == 6
    assert RunLength(3).exact(weight, 3).bits == 2 * 6


@pytest.mark.parametrize(("gap", "entries"), [(0, 1), (3, 1), (4, 2), (7, 2), (8, 3), (11, 3), (12, 4)])
def test_a_run_overflows_at_the_width_of_its_field(gap, entries):
    assert RunLength(2).exact(np.array([0] * gap + [1]), 4).bits == entries * 6


def test_bitmask_coordinates_and_pointers_by_hand():
    weight = np.array([[0, 1, 0], [0, 0, 0], [-2, 0, 1]])
    streams = {name: "".join(map(str, parse_encoding(name).encode(weight, 2))) for name in ("bitmask", "cp", "csr", "uop", "ubm")}
    assert streams == {
        "bitmask": "010000101" + "01" + "10" + "01",
        "ubm": "010000101" + "000100" + "000000" + "100001",
        "cp": "0001" + "01" + "0110" + "10" + "1000" + "01",
        "csr": "0000" + "0001" + "0001" + "0011" + "01" + "01" + "00" + "10" + "10" + "01",
        "uop": "00" "00" "01" "01" + "00" "00" "00" "00" + "00" "01" "01" "10" + "01" + "10" + "01",
    }


def test_nothing_is_stored_of_zeros():
    zeros = np.zeros((4, 8), np.int64)
    bits = {name: parse_encoding(name).exact(zeros, 4).bits for name in ("rle4", "cp", "bitmask", "ubm", "csr")}
    assert bits == {"rle4": 0, "cp": 0, "bitmask": 32, "ubm": 160, "csr": 5 * 6}


def test_sparseloop_counts_a_word_for_each_weight():
    weight = random_weights(0.02, 8)
    nonzeros = np.count_nonzero(weight)
    for name, word in (("rle4", 4), ("cp", index_bits(200))):
        counted = parse_encoding(name).sparseloop(weight.size, nonzeros / weight.size, 8, 200)
        assert counted.payload_bits == pytest.approx(nonzeros * 8)
        assert counted.metadata_bits == pytest.approx(nonzeros * word)
    # What it leaves out: runs of 4 bits overflow all the time at this density.
    assert RunLength(4).exact(weight, 8).bits > 3 * RunLength(4).sparseloop(weight.size, nonzeros / weight.size, 8, 200).bits


@pytest.mark.parametrize("bits", [2, 3, 4, 6, 8])
def test_break_even_by_formula(bits):
    shape = 64, 200
    formulas = {"bitmask": (bits - 1) / bits, "rle4": bits / (bits + 4), "cp": bits / (bits + 8)}
    for name, density in formulas.items():
        assert parse_encoding(name).break_even(bits, shape, "sparseloop") == pytest.approx(density)
    assert parse_encoding("cp").break_even(bits, shape) == pytest.approx(bits / (bits + index_bits(64 * 200)))
    assert parse_encoding("ubm").break_even(bits, shape) is None
    assert parse_encoding("dense").break_even(bits, shape) is None
    pointers = 65 * index_bits(64 * 200 + 1) / (64 * 200)
    assert parse_encoding("csr").break_even(bits, shape) == pytest.approx((bits - pointers) / (bits + 8))


def test_offset_pairs_never_pay_where_offsets_are_wider_than_weights():
    assert parse_encoding("uop").break_even(8, (64, 200)) is None
    # Rows of three positions: four offsets of 2 bits, 8/3 of a bit for each position.
    assert parse_encoding("uop").break_even(8, (64, 3)) == pytest.approx((8 - 8 / 3) / 8)


def test_one_bit_runs_of_one_bit_weights_never_pay():
    assert RunLength(1).break_even(1, (8, 8)) is None


@pytest.mark.parametrize("name", ["rle2", "rle4", "cp", "bitmask", "csr", "uop-rle4"])
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_found_break_even_is_that_of_the_formula_where_zeros_are_random(name, bits):
    encoding = parse_encoding(name)
    found, computed = find_break_even(encoding, random_weights(0.4, bits), bits), encoding.break_even(bits, (64, 200))
    assert found == pytest.approx(computed, abs=0.01)


def test_found_break_even_sees_where_the_zeros_are():
    """Zeros in blocks overflow the runs: here 6 entries in each of the 63 gaps between rows."""
    weight = random_weights(1.0, 4)
    weight[:, 100:] = 0
    blocks = find_break_even(RunLength(4), weight, 4)
    assert blocks * weight.size == weight.size / 2 - 63 * 6 - 1
    assert blocks < find_break_even(RunLength(4), random_weights(0.5, 4), 4) - 0.02
    assert find_break_even(parse_encoding("ubm"), weight, 4) is None


def test_ranking_is_by_emitted_bits_and_keeps_what_loses():
    ranked = rank_encodings(random_weights(0.1, 4), 4)
    assert [item.encoding.name for item in ranked[:2]] == ["rle4", "uop-rle4"]
    assert [item.exact.bits for item in ranked] == sorted(item.exact.bits for item in ranked)
    assert {item.encoding for item in ranked} == set(ENCODINGS)
    saving = {item.encoding.name: item.saves for item in ranked}
    assert saving == {"rle4": True, "uop-rle4": True, "csr": True, "bitmask": True, "cp": True, "dense": False, "ubm": False,
                      "uop": False}
    assert ranked[0].saving() == 1 - ranked[0].exact.bits / (64 * 200 * 4)


def test_dense_is_first_where_nothing_pays():
    ranked = rank_encodings(random_weights(0.97, 8), 8)
    assert ranked[0].encoding.name == "dense"
    assert not any(item.saves for item in ranked)


def test_no_loss_is_called_a_saving():
    ranked = {item.encoding.name: item for item in rank_encodings(np.ones((2, 4), np.int64), 4)}
    with pytest.raises(CheckFailed, match=r"^encoding 'rle4' must need fewer bits than the 32 of dense weights to be a saving, "
                                          r"not 64 at a density of 1\.000$"):
        ranked["rle4"].saving()
    with pytest.raises(CheckFailed, match=r"^encoding 'dense' must need fewer bits than the 32 "):
        ranked["dense"].saving()


def test_best_run_follows_the_density():
    assert [best_run_length(random_weights(density, 4), 4).run_bits for density in (0.6, 0.25, 0.1, 0.05)] == [1, 3, 5, 6]
    assert best_run_length(np.ones((3, 3), np.int64), 4, (4, 2)).run_bits == 2


@given(case=weights())
def test_ranking_is_plain_and_consistent(case):
    weight, bits = case
    for item in rank_encodings(weight, bits):
        row = item.as_dict()
        assert row["saves"] == (row["exact_bits"] < row["dense_bits"])
        assert row["exact_bits"] == row["exact_payload_bits"] + row["exact_metadata_bits"]
        assert row["bits_per_weight"] * weight.size == pytest.approx(row["exact_bits"])


@pytest.mark.parametrize(("make", "message"), [
    (lambda: RunLength(0), r"^Width of a run must be between 1 and 16 bits, not 0$"),
    (lambda: RunLength(4).exact(np.array([8]), 4), r"^Weights must be between -8 and 7 in 4 bits, not 8 to 8$"),
    (lambda: RunLength(4).exact(np.array([0.5]), 4), r"^Weights must be integers, at least one, not float64 of shape \(1,\)$"),
    (lambda: RunLength(4).exact(np.array([1]), 17), r"^Weight width must be between 1 and 16 bits, not 17$"),
    (lambda: RunLength(4).decode([0, 1, 2], (1,), 4), r"^Stream of 'rle4' must be zeros and ones, not int64 of shape \(3,\)$"),
    (lambda: RunLength(4).decode([0, 1], (1,), 4), r"^Stream of 'rle4' must hold whole entries of 8 bits, not 2 bits$"),
    (lambda: RunLength(1).decode([1, 1], (1,), 1), r"^Stream of 'rle1' must have runs within 1 positions$"),
    (lambda: parse_encoding("cp").break_even(4, (2, 2), "true"), r"^Accounting must be 'exact' or 'sparseloop', not 'true'$"),
])
def test_wrong_arguments_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("name", ["rle", "rle0", "rle17", "csc", "uop-rle", ""])
def test_unknown_encodings_are_refused(name):
    with pytest.raises(UsageError, match=r"^encoding must be one of dense, cp, bitmask, ubm, uop, csr, rleN or uop-rleN with N "
                                         rf"from 1 to 16, not '{name}'$"):
        parse_encoding(name)


@pytest.mark.parametrize("name", NAMES)
def test_names_are_read_back(name):
    assert parse_encoding(name).name == name

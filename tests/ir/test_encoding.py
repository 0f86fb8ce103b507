"""Encoders: their formulas, their refusals, and frozen bits, because hardware and software must share them."""

import hashlib
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snnhw.ir import Encoding
from snnhw.ir.nodes import MAX_INPUT


def mix(value):
    """The hash of the module docstring, in plain integers."""
    value %= 1 << 32
    for factor, shift in ((0x9E3779B1, 15), (0x85EBCA77, 13), (0xC2B2AE3D, 16)):
        value = value * factor % (1 << 32)
        value ^= value // (1 << shift)
    return value


def plain(encoding, values, timesteps):
    """The formulas of the module docstring, one spike at a time."""
    def spike(x, i, t):
        hashed, levels = mix(i + mix(encoding.seed)), encoding.levels
        if encoding.kind == "accumulate":
            phase = hashed % levels
            return (phase + x * (t + 1)) // levels > (phase + x * t) // levels
        return mix(hashed + 0x27D4EB2F * t) % levels < x
    return [[[spike(x, i, t) for i, x in enumerate(sample)] for t in range(timesteps)] for sample in values]


@given(st.data())
def test_equals_its_formula(data):
    levels = data.draw(st.sampled_from([1, 2, 16, 255, 65535]))
    encoding = Encoding(data.draw(st.sampled_from(["accumulate", "rate"])), levels, data.draw(st.integers(0, (1 << 32) - 1)))
    inputs = data.draw(st.integers(0, 4))
    values = data.draw(st.lists(st.lists(st.integers(0, levels), min_size=inputs, max_size=inputs), min_size=1, max_size=3))
    timesteps = data.draw(st.integers(1, 8))
    spikes = encoding(np.array(values, np.uint16).reshape(len(values), inputs), timesteps)
    assert spikes.dtype == bool
    assert spikes.tolist() == plain(encoding, values, timesteps)


@pytest.mark.parametrize("kind", ["accumulate", "rate"])
def test_zero_is_silent_and_the_highest_level_spikes_always(kind):
    for seed in range(20):
        encoding = Encoding(kind, 16, seed)
        assert not encoding(np.zeros((2, 9), int), 12).any()
        assert encoding(np.full((2, 9), 16), 12).all()


def test_accumulate_spreads_the_spikes_evenly():
    spikes = Encoding("accumulate", 16, 5)(np.arange(17)[None, :], 32)[0]
    assert (spikes.sum(axis=0) == 2 * np.arange(17)).all()
    assert (spikes[:16].sum(axis=0) == np.arange(17)).all()


def test_rate_has_the_right_density():
    spikes = Encoding("rate", 255, 1)(np.tile([[0, 51, 128, 204, 255]], (1, 400)), 50)[0].reshape(50, 400, 5)
    assert np.abs(spikes.mean(axis=(0, 1)) - np.array([0, 51, 128, 204, 255]) / 255).max() < 0.01


@pytest.mark.parametrize("kind", ["accumulate", "rate"])
def test_every_seed_gives_other_spikes(kind):
    values = np.full((1, 200), 7)
    seeds = [0, 1, 2, 4096, 1 << 20, 1 << 31, (1 << 32) - 1]
    assert len({Encoding(kind, 16, seed)(values, 6).tobytes() for seed in seeds}) == len(seeds)


@pytest.mark.parametrize(("kind", "digest"), [("accumulate", "8da0f1cf6908b1f7"), ("rate", "3e309f5a05e85fc4")])
def test_spikes_never_change_between_versions(kind, digest):
    spikes = Encoding(kind, 16, 7)(np.arange(64)[None, :] % 17, 20)
    assert hashlib.sha256(np.packbits(spikes).tobytes()).hexdigest()[:16] == digest


def test_events_pass_through():
    events = np.array([[[0, 1], [1, 1]]])
    spikes = Encoding()(events, 2)
    assert spikes.dtype == bool
    assert (spikes == events).all()


@pytest.mark.parametrize(("kind", "arguments", "message"), [
    (ValueError, ("poisson",), "Encoding kind must be events, direct, accumulate or rate, not 'poisson'"),
    (ValueError, (["rate"],), "Encoding kind must be events, direct, accumulate or rate, not ['rate']"),
    (TypeError, ("rate", 16.0), "Encoding levels must be an integer, not 16.0"),
    (TypeError, ("events", True), "Encoding levels must be an integer, not True"),
    (ValueError, ("rate", 0), "Encoding levels must be between 1 and 65535, not 0"),
    (ValueError, ("rate", 65536), "Encoding levels must be between 1 and 65535, not 65536"),
    (TypeError, ("rate", 16, None), "Encoding seed must be an integer, not None"),
    (ValueError, ("rate", 16, -1), "Encoding seed must be between 0 and 4294967295, not -1"),
    (ValueError, ("rate", 16, 1 << 32), "Encoding seed must be between 0 and 4294967295, not 4294967296"),
    (ValueError, ("events", 2), "Encoding levels of events must be 1, not 2"),
])
def test_refuses_an_encoding(kind, arguments, message):
    with pytest.raises(kind, match=f"^{re.escape(message)}$"):
        Encoding(*arguments)


@pytest.mark.parametrize(("encoding", "values", "kind", "message"), [
    (Encoding("rate", 16), np.array([[17]]), ValueError, "Input values must be between 0 and 16, not 17 to 17"),
    (Encoding("rate", 16), np.array([[3, -1]]), ValueError, "Input values must be between 0 and 16, not -1 to 3"),
    (Encoding("rate", 16), np.array([[0.5]]), TypeError, "Input values must be integers, not float64"),
    (Encoding("rate", 16), np.zeros((1, 2, 3), int), ValueError, "Input values must have shape (samples, inputs), not (1, 2, 3)"),
    (Encoding("direct", 3), np.array([[4]]), ValueError, "Input values must be between 0 and 3, not 4 to 4"),
    (Encoding(), np.zeros((1, 3, 1), bool), ValueError, "Event input must have shape (samples, 2, inputs), not (1, 3, 1)"),
    (Encoding(), np.zeros((1, 2), bool), ValueError, "Event input must have shape (samples, 2, inputs), not (1, 2)"),
    (Encoding(), np.array([[[1], [(1 << 32) + 1]]]), ValueError,
     "Event values must be between -32768 and 32768, not 0 to 4294967297"),
    (Encoding(), np.array([[[1], [(1 << 64) - 1]]], np.uint64), ValueError,
     "Event values must be between -32768 and 32768, not 0 to 18446744073709551615"),
    (Encoding(), np.array([[[0], [-32769]]]), ValueError, "Event values must be between -32768 and 32768, not -32769 to 0"),
    (Encoding(), np.array([[[0], [32769]]]), ValueError, "Event values must be between -32768 and 32768, not 0 to 32769"),
    (Encoding(), np.full((1, 2, 1), np.nan), TypeError, "Input values must be integers, not float64"),
])
def test_refuses_values(encoding, values, kind, message):
    with pytest.raises(kind, match=f"^{re.escape(message)}$"):
        encoding(values, 2)


def test_graded_events_keep_their_values():
    values = np.array([[[0, 2], [-1, 1]]], np.int8)
    assert Encoding()(values, 2).tolist() == values.tolist()
    assert Encoding()(values > 0, 2).dtype == bool


@pytest.mark.parametrize("kind", [np.int64, np.int32, np.int16, np.uint64, np.uint8, bool])
def test_events_reach_as_far_as_inputs(kind):
    values = np.array([[[-MAX_INPUT, MAX_INPUT, 3]]]).clip(*(
        (0, 1) if kind is bool else (max(-MAX_INPUT, np.iinfo(kind).min), min(MAX_INPUT, np.iinfo(kind).max))))
    spikes = Encoding()(values.astype(kind), 1)
    assert spikes.dtype == (bool if kind is bool else np.int32)
    assert spikes.tolist() == values.tolist()
    assert Encoding()(values[:0].astype(kind), 1).shape == (0, 1, 3)


def test_direct_values_come_at_every_timestep():
    assert Encoding("direct", 15)(np.array([[3, 0, 15]]), 2).tolist() == [[[3, 0, 15], [3, 0, 15]]]


def test_text():
    assert str(Encoding()) == "events"
    assert str(Encoding("rate", 255, 9)) == "rate, 255 levels, seed 9"

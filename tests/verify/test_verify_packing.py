"""Streams into an accelerator as flat arrays."""

import itertools
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from verify_networks import graded_plan, small_plan, spikes_for, state_plan

from snnhw.plan.cycles import predict_cycles
from snnhw.reference import run
from snnhw.verify import make_vectors
from snnhw.verify.packing import loading_word_bytes, loading_words, pack_events


def unpacked(events, shape):
    spikes = np.zeros(shape, bool).reshape(-1, shape[-1])
    for row in range(len(spikes)):
        spikes[row, events.words[events.begin[row]:events.begin[row + 1]]] = True
    return spikes.reshape(shape)


@pytest.mark.parametrize("seed", [None, 0, 7])
def test_events_hold_the_spikes(seed):
    plan = small_plan()
    spikes = spikes_for(plan)
    events = pack_events(plan, spikes, seed)
    assert (unpacked(events, spikes.shape) == spikes).all()
    assert events.words.size == spikes.sum()


def test_events_ascend_unless_a_seed_orders_them():
    plan, spikes = small_plan(inputs=50), np.ones((1, 2, 50), bool)
    assert (pack_events(plan, spikes).words == np.tile(np.arange(50), 2)).all()
    first, again, other = (pack_events(plan, spikes, seed).words for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()
    assert sorted(first[:50]) == sorted(first[50:]) == list(range(50))


@given(st.integers(-9, 0), st.integers(1, 9), st.integers(0, 99))
def test_the_value_of_an_event_lies_above_its_address(lowest, highest, seed):
    plan = graded_plan(lowest, highest)
    values = np.random.default_rng(seed).integers(lowest, highest, (2, 4, 6), endpoint=True)
    events = pack_events(plan, values)
    bits = plan.input_value_bits
    got = [[0] * 6 for _ in range(8)]
    for row in range(8):
        for word in events.words[events.begin[row]:events.begin[row + 1]].tolist():
            value = word >> 3
            assert value < 1 << bits
            got[row][word & 7] = value - (1 << bits) * (value >= 1 << bits >> 1) if bits else 1
            assert got[row][word & 7]
    assert got == values.reshape(8, 6).tolist()


def test_silence_has_no_events():
    events = pack_events(small_plan(inputs=4), np.zeros((2, 3, 4), bool))
    assert events.begin.tolist() == [0] * 7
    assert events.words.size == 0


def test_loading_words_hold_the_weights_of_every_lane():
    plan = small_plan(load_weights=True, lanes=3)
    words = loading_words(plan)
    assert words.shape == (plan.loaded_words, 2) == (plan.loaded_words, loading_word_bytes(plan))
    position = 0
    for layer in plan.layers:
        weight = np.pad(layer.synapses.weight, ((0, layer.tiles * 3 - layer.outputs), (0, 0)))
        for tile, source in itertools.product(range(layer.tiles), range(layer.inputs)):
            word = int.from_bytes(words[position].tobytes(), "little")
            assert word == sum((int(weight[tile * 3 + lane, source]) & 15) << 4 * lane for lane in range(3))
            position += 1
    assert position == plan.loaded_words


def test_nothing_is_loaded_into_initialised_memories():
    assert loading_words(small_plan()).shape == (0, 0)
    assert loading_word_bytes(small_plan()) == 0


@pytest.mark.parametrize("load_weights", [False, True])
def test_vectors_hold_everything_a_bench_needs(load_weights):
    plan = small_plan(load_weights=load_weights)
    spikes = spikes_for(plan, samples=2)
    content = make_vectors(plan, spikes)
    assert content == make_vectors(small_plan(load_weights=load_weights), spikes.copy())
    assert content.isascii()
    vectors = json.loads(content)
    trace = run(plan.graph, spikes)
    assert (vectors["format"], vectors["version"]) == ("snnhw-vectors", 2)
    assert (vectors["inputs"], vectors["outputs"], vectors["timesteps"]) == (7, 5, 6)
    assert vectors["address_bits"] == {"input": 3, "output": 3}
    assert [layer["name"] for layer in vectors["layers"]] == list(trace.membranes)
    for index, sample in enumerate(vectors["samples"]):
        assert [len(addresses) for addresses in sample["events"]] == spikes[index].sum(axis=1).tolist()
        for layer, name in enumerate(trace.membranes):
            assert sample["membranes"][layer] == trace.membranes[name][index].tolist()
            assert sample["spikes"][layer] == [np.flatnonzero(step).tolist() for step in trace.spikes[name][index]]
    assert ("loading" in vectors) == load_weights
    if load_weights:
        assert [int(word, 16) for word in vectors["loading"]["words"]] == [
            int.from_bytes(word.tobytes(), "little") for word in loading_words(plan)]


def test_vectors_hold_values_and_states():
    plan = state_plan()
    values = np.random.default_rng(3).integers(-3, 8, (2, 4, 6))
    vectors = json.loads(make_vectors(plan, values))
    trace = run(plan.graph, values)
    states = trace.membranes["leaky"]
    assert vectors["address_bits"] == {"input": 3, "output": 2}
    for index, sample in enumerate(vectors["samples"]):
        assert sample["cycles"] == predict_cycles(plan, trace.spikes)[index]
        for t in range(4):
            active = np.flatnonzero(values[index, t]).tolist()
            assert sample["events"][t] == [a | (int(values[index, t, a]) & 15) << 3 for a in active]
            assert sample["output"][t] == [
                a | (int(state) & (1 << plan.last.state_bits) - 1) << 2 for a, state in enumerate(states[index, t])]
        assert sample["membranes"][-1] == states[index].tolist()

"""Streams into an accelerator as flat arrays."""

import json

import numpy as np
import pytest
from verify_networks import small_plan, spikes_for

from snnhw.reference import run
from snnhw.verify import make_vectors
from snnhw.verify.packing import loading_word_bytes, loading_words, pack_events


def unpacked(events, shape):
    spikes = np.zeros(shape, bool).reshape(-1, shape[-1])
    for row in range(len(spikes)):
        spikes[row, events.addresses[events.begin[row]:events.begin[row + 1]]] = True
    return spikes.reshape(shape)


@pytest.mark.parametrize("seed", [None, 0, 7])
def test_events_hold_the_spikes(seed):
    spikes = spikes_for(small_plan())
    events = pack_events(spikes, seed)
    assert (unpacked(events, spikes.shape) == spikes).all()
    assert events.addresses.size == spikes.sum()


def test_events_ascend_unless_a_seed_orders_them():
    spikes = np.ones((1, 2, 50), bool)
    assert (pack_events(spikes).addresses == np.tile(np.arange(50), 2)).all()
    first, again, other = (pack_events(spikes, seed).addresses for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()
    assert sorted(first[:50]) == sorted(first[50:]) == list(range(50))


def test_silence_has_no_events():
    events = pack_events(np.zeros((2, 3, 4), bool))
    assert events.begin.tolist() == [0] * 7
    assert events.addresses.size == 0


def test_loading_words_hold_the_weights_of_every_lane():
    plan = small_plan(load_weights=True, lanes=3)
    words = loading_words(plan)
    assert words.shape == (plan.loaded_words, 2) == (plan.loaded_words, loading_word_bytes(plan))
    position = 0
    for layer in plan.layers:
        for weights in layer.weight_words:
            word = int.from_bytes(words[position].tobytes(), "little")
            assert word == sum((int(weight) & 15) << 4 * lane for lane, weight in enumerate(weights))
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
    assert (vectors["inputs"], vectors["outputs"], vectors["timesteps"]) == (7, 5, 6)
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

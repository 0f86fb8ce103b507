"""STDP, vectorized over samples, neurons and inputs, against plain loops: equal to the last bit."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stdp_networks import GRID, Loops, learner, random_network, small_recipe

from snnhw.stdp import Fixed, present

KINDS = list(product(("pair", "weight-dependent"), ("events", "timesteps"), ("layer", "lateral", "pool")))


def train_both(recipe, formats, seed, batches=3, inputs=10):
    """Train a network of `recipe` on random spikes, vectorized and in loops; return both."""
    generator = np.random.default_rng(seed)
    network = random_network(generator, recipe, inputs, formats)
    fast, slow = learner(recipe, network, formats), Loops(recipe, network, formats)
    fired = 0
    for _ in range(batches):
        spikes = generator.random((3, recipe.timesteps, inputs)) < 0.5
        shown = present(network, spikes, learning=fast, keep=True)
        fast.finish()
        expected, membranes = slow.run(spikes)
        np.testing.assert_array_equal(shown.spikes, expected)
        np.testing.assert_array_equal(shown.membranes, membranes)
        fired += int(expected.sum())
    assert fired > 0
    return fast, slow


@pytest.mark.parametrize(("rule", "update", "form"), KINDS)
def test_equals_loops(rule, update, form):
    recipe = small_recipe(learning__rule=rule, learning__update=update, competition__form=form)
    fast, slow = train_both(recipe, GRID, seed=3)
    np.testing.assert_array_equal(fast.weight, slow.weight)
    np.testing.assert_array_equal(fast.threshold, slow.threshold)


@settings(max_examples=25)
@given(kind=st.sampled_from(KINDS), seed=st.integers(0, 1000), rounding=st.sampled_from(["truncate", "nearest"]),
       bits=st.integers(3, 7), interval=st.integers(1, 13), shift=st.integers(1, 4))
def test_equals_loops_whatever_the_formats(kind, seed, rounding, bits, interval, shift):
    rule, update, form = kind
    recipe = small_recipe(learning__rule=rule, learning__update=update, competition__form=form, learning__interval=interval,
                          neuron__leak_shift=shift, learning__trace_shift=shift)
    formats = replace(GRID, weight=Fixed(1, bits), trace=Fixed(1, bits), rounding=rounding)
    fast, slow = train_both(recipe, formats, seed, batches=2)
    np.testing.assert_array_equal(fast.weight, slow.weight)
    np.testing.assert_array_equal(fast.threshold, slow.threshold)


def test_stochastic_rounding_is_repeatable_and_unlike_truncation():
    recipe = small_recipe()
    weights = []
    for rounding, seed in (("stochastic", 1), ("stochastic", 1), ("stochastic", 2), ("truncate", 1)):
        formats = replace(GRID, weight=Fixed(1, 3), rounding=rounding)
        generator = np.random.default_rng(0)
        network = random_network(generator, recipe, formats=replace(formats, rounding="nearest"))
        learning = learner(recipe, network, formats, seed)
        present(network, generator.random((3, 12, 10)) < 0.5, learning=learning)
        learning.finish()
        weights.append(learning.weight)
    assert np.array_equal(weights[0], weights[1])
    assert not np.array_equal(weights[0], weights[2])
    assert not np.array_equal(weights[0], weights[3])


def test_weights_of_neurons_that_learned_have_the_norm():
    recipe = small_recipe()
    network = random_network(np.random.default_rng(0), recipe)
    learning = learner(recipe, network, replace(GRID, weight=None))
    before = learning.weight.copy()
    shown = present(network, np.random.default_rng(1).random((3, 12, 10)) < 0.6, learning=learning)
    winners = np.unique(shown.counts.argmax(axis=1)[shown.counts.any(axis=1)])
    learning.finish()
    assert winners.size
    np.testing.assert_allclose(learning.weight[winners].sum(axis=1), 3.0, rtol=1e-6)
    idle = np.setdiff1d(np.arange(6), np.flatnonzero(shown.counts.any(axis=0)))
    np.testing.assert_array_equal(learning.weight[idle], before[idle])
    assert (learning.weight >= 0).all()
    assert (learning.weight <= 1).all()


def test_only_winners_are_updated_every_interval():
    """Thinned STDP touches far fewer weights, and the counters say so."""
    counts = {}
    for update in ("events", "timesteps"):
        recipe = small_recipe(learning__update=update)
        network = random_network(np.random.default_rng(0), recipe)
        learning = learner(recipe, network)
        spikes = np.random.default_rng(1).random((3, 12, 10)) < 0.5
        shown = present(network, spikes, learning=learning)
        counts[update] = learning.counts.weight_updates
        if update == "events":
            # Each presynaptic spike depresses a weight of every neuron, each postsynaptic one potentiates those of its neuron.
            assert counts[update] == spikes.sum() * 6 + shown.counts.sum() * 10
        assert learning.counts.threshold_updates == shown.counts.sum()
    assert 0 < counts["timesteps"] <= 3 * 3 * 10
    assert counts["events"] > 5 * counts["timesteps"]

"""Memory, operations, rewards and choices: numbers that can be computed by hand."""

from dataclasses import replace

import numpy as np
import pytest
from stdp_networks import random_network, small_data, small_recipe

from snnhw.errors import UsageError
from snnhw.stdp import Fixed, Formats, StdpNetwork, memory_bits, memory_items, present, train_stdp
from snnhw.stdp.config import CompetitionConfig, LearningConfig
from snnhw.stdp.explore import Candidate, LinearReward, ProductReward, Sensitivity, choose, explore, grid, pareto, sensitivity

FLOAT = Formats()


def bits(form, neurons, inputs=784, formats=FLOAT, update=None):
    learning = None if update is None else LearningConfig(update=update)
    items = memory_items(inputs, neurons, CompetitionConfig(form=form), formats, learning)
    return memory_bits(items, training=update is not None)


def test_every_word_is_counted():
    n, m = 400, 784
    assert bits("lateral", n) == 32 * (m * n + 1 + n + n)
    assert bits("pool", n) == bits("lateral", n) + 32 * 128
    assert bits("layer", n) == 32 * (m * n + n * (n - 1) + n + n + n + n)
    assert bits("lateral", n, update="events") == bits("lateral", n) + 32 * (m + n)
    assert bits("lateral", n, update="timesteps") == bits("lateral", n) + 32 * m + 16 * n


def test_widths_of_each_class_count_by_themselves():
    formats = Formats(Fixed(1, 7), Fixed(10, 6), Fixed(10, 0), Fixed(1, 3))
    assert bits("lateral", 10, 20, formats, "events") == 8 * 200 + 16 + 16 * 10 + 10 * 10 + 4 * 30


def test_inhibitory_layer_of_the_papers_size_costs_more_than_seven_times():
    """1 + n / 784 = 7.25 at 4900 neurons, but for the states."""
    assert bits("layer", 4900) / bits("lateral", 4900) == pytest.approx(1 + 4900 / 784, rel=0.005)


def test_eight_bits_are_four_times_less():
    formats = Formats(Fixed(1, 7), Fixed(11, 7), Fixed(11, 0))
    assert 3.95 < bits("lateral", 400) / bits("lateral", 400, formats=formats) < 4


@pytest.mark.parametrize(("form", "inhibition"), [("layer", lambda spikes, shared: spikes + spikes * 5),
                                                 ("lateral", lambda spikes, shared: spikes * 6),
                                                 ("pool", lambda spikes, shared: spikes * 2 + shared * 2 * 6)])
def test_operations_are_counted(form, inhibition):
    recipe = small_recipe(competition__form=form)
    network = random_network(np.random.default_rng(0), recipe)
    spikes = np.random.default_rng(1).random((5, 12, 10)) < 0.4
    shown = present(network, spikes, keep=True)
    counted = shown.operations
    neurons = {"layer": 12, "lateral": 6, "pool": 8}[form]
    assert counted.neuron_updates == 5 * 12 * neurons
    fired = int(shown.spikes.sum())
    assert fired > 0
    shared = int(shown.spikes.any(axis=2).sum())
    # An inhibitory neuron of the layer fires at once: the excitation is above its threshold.
    assert counted.synaptic_accumulations == spikes.sum() * 6 + inhibition(fired, shared)
    assert counted.weight_updates == counted.trace_updates == counted.normalisations == 0


def candidate(accuracy, memory):
    return Candidate(FLOAT, "after", accuracy, memory)


def test_rewards_by_hand():
    product, linear = ProductReward(tolerance=0.1), LinearReward(mu=0.5)
    assert product(0.85, 25, 0.90, 100) == pytest.approx(4 * 0.5)
    assert product(0.95, 25, 0.90, 100) == 4
    assert product(0.75, 25, 0.90, 100) == 0
    assert linear(0.85, 25, 0.90, 100) == pytest.approx(0.85 - 0.125)


def test_front_holds_what_nothing_beats():
    items = [candidate(*pair) for pair in ((0.9, 100), (0.8, 40), (0.85, 60), (0.84, 70), (0.9, 90), (0.8, 40))]
    assert [(item.accuracy, item.memory) for item in pareto(items)] == [(0.8, 40), (0.85, 60), (0.9, 90)]


def test_choice_obeys_reward_and_target():
    items = [candidate(0.90, 60), candidate(0.88, 40), candidate(0.60, 10)]
    baseline = candidate(0.9, 100)
    assert choose(items, baseline, LinearReward(0.0)) is items[0]
    assert choose(items, baseline, LinearReward(1.0)) is items[2]
    assert choose(items, baseline, LinearReward(1.0), target=0.85) is items[1]
    assert choose(items, baseline, lambda *values: 1.0) is items[2]  # the smallest of equals
    with pytest.raises(UsageError, match=r"^the accuracy target must be at most 90.00%, the best of the candidates, not 95.00%$"):
        choose(items, baseline, ProductReward(), target=0.95)


def test_smallest_format_ends_at_the_first_loss():
    points = tuple((Fixed(1, fraction), accuracy) for fraction, accuracy in ((7, 0.9), (5, 0.895), (3, 0.8), (2, 0.9)))
    found = Sensitivity("weight", 0.9, points)
    assert str(found.smallest(0.01)) == "Q1.5"
    assert str(found.smallest(0.5)) == "Q1.2"
    assert found.smallest(-0.01) is None
    assert found.plain(0.01)["smallest_bits"] == 6


def trained():
    """Return a recipe, patterns and a network that learned them: one bit of a pattern is one spike in every timestep."""
    recipe = small_recipe(neurons=9, timesteps=16, learning__norm=4.0, neuron__threshold=3.0, neuron__theta_tau=100.0,
                          competition__strength=16, competition__reset=16.0, label_samples=60)
    data = small_data(samples=120)
    return recipe, data, train_stdp(recipe, data).network


def test_patterns_are_learned_without_labels_and_formats_matter():
    recipe, data, network = trained()
    baseline, found = explore(recipe, data, [("after", Formats(Fixed(1, 7), Fixed(8, 7), Fixed(8, 4))),
                                             ("after", Formats(Fixed(1, 7), Fixed(2, 7), Fixed(8, 4))),
                                             ("training", Formats(Fixed(1, 7), Fixed(8, 7), Fixed(8, 4)))],
                              network=network, label_samples=60)
    assert baseline.accuracy > 0.9
    assert found[0].accuracy > 0.9
    assert found[2].accuracy > 0.8
    # Membranes that hold less than the thresholds saturate, and every neuron fires there.
    assert found[1].accuracy < found[0].accuracy
    assert baseline.memory == memory_bits(memory_items(16, 9, network.competition, FLOAT), training=False)
    assert found[0].memory < baseline.memory / 3


def test_training_is_repeatable_and_depends_on_the_seed():
    recipe, data, network = trained()
    again = train_stdp(recipe, data).network
    np.testing.assert_array_equal(network.weight, again.weight)
    np.testing.assert_array_equal(network.threshold, again.threshold)
    other = train_stdp(recipe.changed(seed=1), data).network
    assert not np.array_equal(network.weight, other.weight)


def test_sensitivity_takes_one_class_at_a_time():
    _, data, network = trained()
    weights, thresholds = sensitivity(network, data, ["weight", "threshold"], label_samples=60)
    assert (weights.name, thresholds.name) == ("weight", "threshold")
    assert weights.points[0][1] == weights.baseline
    assert [form.bits for form, _ in weights.points] == [16, 12, 8, 7, 6, 5, 4, 3, 2]
    with pytest.raises(UsageError, match=r"^a class of words for a sensitivity pass must be weight, membrane or threshold, "
                                         r"not 'trace'$"):
        sensitivity(network, data, ["trace"])


def test_grid_has_only_formats_with_hardware():
    candidates = grid((8, 4), [(Fixed(9, 3), Fixed(9, 0))], ("nearest",))
    assert [str(formats.weight) for _, formats in candidates] == ["Q1.3"]
    assert len(grid()) == 4 * 3


def test_leak_rounded_otherwise_runs_in_software():
    """Rounding of the leak is explored though the hardware has truncation only, and it changes what is computed."""
    _, data, network = trained()
    formats = Formats(Fixed(1, 7), Fixed(8, 0), Fixed(8, 0))
    counts = {rounding: present(StdpNetwork.quantized(network, replace(formats, leak_rounding=rounding)),
                                network.encode(data.test_values), generator=np.random.default_rng(0)).counts
              for rounding in ("truncate", "nearest", "stochastic")}
    assert not np.array_equal(counts["truncate"], counts["nearest"])
    assert not np.array_equal(counts["stochastic"], counts["nearest"])

"""Neurons alone: every kind of output and of second state, fed by hand."""

import numpy as np
import pytest
from finaliser_bench import expect, finalise, layer_of
from networks import random_decay, random_spec

from snnhw.errors import NetworkError
from snnhw.ir import Decay, NeuronSpec
from snnhw.plan.stages import pause_slots, write_stage

OUTPUTS = ("spike", "count", "state")


def check(layer, sums, rng=None):
    expected, found = expect(layer, sums), finalise(layer, sums, rng)
    np.testing.assert_array_equal(found.states, expected.states)
    np.testing.assert_array_equal(found.fired, expected.fired)
    if expected.synapses is not None:
        np.testing.assert_array_equal(found.synapses, expected.synapses)
    assert found.events == expected.events
    if rng is None:
        # One neuron per cycle, and after each timestep its pause.
        timestep = layer.outputs + pause_slots(layer)
        assert found.cycles == [write_stage(layer) + t * timestep + n for t in range(sums.shape[0] * sums.shape[1])
                                for n in range(layer.outputs)]
    return expected


def random_layer(rng, output):
    while True:
        neurons, timesteps = int(rng.choice([1, 2, 3, 7])), int(rng.integers(1, 7))
        highest = int(rng.choice([1, 3, 20, 300, 30000]))
        lowest = -int(rng.integers(0, highest + 2))
        drawn = random_spec(rng, neurons, highest)
        fields = {name: getattr(drawn, name) for name in drawn.__dataclass_fields__}
        if output == "count":
            amount = rng.integers(1, max(2, highest << fields["frac"]), neurons if rng.random() < 0.5 else ())
            limit = (1 << (fields["bits"] - 1)) - 1
            threshold = np.clip(fields["threshold"], -limit, limit)
            fields |= {"reset": "subtract", "reset_time": "immediate", "input_on_reset": "keep", "threshold": threshold,
                       "reset_amount": np.minimum(amount, np.min(threshold) + limit + 1), "grades": int(rng.integers(1, 16))}
        elif output == "state":
            fields |= {"reset": "none", "input_on_reset": "keep", "threshold": 0, "reset_amount": 0}
        if rng.random() < 0.5:
            fields["synapse"] = random_decay(rng, neurons)
        try:
            layer = layer_of(NeuronSpec(**fields | {"output": output}), neurons, lowest, highest, timesteps)
        except NetworkError:
            continue
        sums = rng.integers(layer.current.lowest, layer.current.highest + 1, (3, timesteps, neurons))
        ends = rng.random(sums.shape)
        return layer, np.where(ends < 0.1, layer.current.lowest, np.where(ends > 0.8, layer.current.highest, sums))


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("seed", range(25))
def test_random_neurons_match_the_reference(output, seed):
    rng = np.random.default_rng([seed, OUTPUTS.index(output)])
    layer, sums = random_layer(rng, output)
    check(layer, sums)
    check(layer, sums, rng)


def test_the_random_neurons_reach_what_they_are_for():
    seen = set()
    for output in OUTPUTS:
        for seed in range(25):
            layer, sums = random_layer(np.random.default_rng([seed, OUTPUTS.index(output)]), output)
            expected, spec = expect(layer, sums), layer.spec
            seen |= {f"{output} {spec.overflow}", f"{output} synapse {spec.synapse and spec.synapse.kind}",
                     f"{output} rounds {spec.decay.rounding}", f"{output} {spec.clear}", *spec.per_neuron}
            if output == "count":
                seen |= {f"counts {number}" for number in np.unique(expected.fired).tolist()}
    assert seen >= {f"{output} {rest}" for output in OUTPUTS for rest in (
        "exact", "saturate", "rounds floor", "rounds zero", "sample", "never",
        *(f"synapse {kind}" for kind in (None, "one", "shift", "mul")))}
    assert seen >= {"threshold", "reset_amount", "bias", "factor", "synapse_factor"}
    assert seen >= {f"counts {number}" for number in range(6)}


def test_every_event_of_the_last_timestep_says_that_it_is():
    """Also where the sample before ends in the same cycle in which a neuron of the next is taken."""
    layer = layer_of(NeuronSpec(1, bits=8), 9, -1, 3, 3)
    found = check(layer, np.full((3, 3, 9), 3))
    assert [event[2] for event in found.events] == ([0] * 20 + [1] * 10) * 3


@pytest.mark.parametrize("grades", range(1, 16))
@pytest.mark.parametrize(("threshold", "amount"), [(5, 3), ([5, -2, 1], 3), (5, [3, 1, 2]), ([-7, 0, 4], [1, 2, 3])])
def test_a_count_at_every_threshold(grades, threshold, amount):
    """One below, at and above each of them, whatever of it is a constant and whatever is read."""
    spec = NeuronSpec(threshold, Decay("mul", 1, 0), "subtract", amount, bits=8, output="count", grades=grades)
    layer = layer_of(spec, 3, -128, 127, 4)
    edges = np.add.outer(np.arange(grades + 1), [-1]) * np.broadcast_to(amount, 3) + threshold
    sums = np.concatenate([edges - 1, edges, edges + 1])
    rows = -(-len(sums) // 4) * 4
    sums = np.resize(np.clip(sums, -128, 127), (rows, 3)).reshape(-1, 4, 3)
    assert set(check(layer, sums).fired.ravel().tolist()) == set(range(grades + 1))


def test_a_count_never_reaches_a_threshold_beyond_the_word():
    spec = NeuronSpec(5, reset="subtract", reset_amount=3, bits=4, output="count", grades=4)
    layer = layer_of(spec, 1, 0, 100, 2)
    assert check(layer, np.array([[[100], [100]]])).fired.ravel().tolist() == [1, 1]
    spec = NeuronSpec(5, reset="subtract", reset_amount=25, bits=7, output="count", grades=4, overflow="exact")
    assert check(layer_of(spec, 1, 0, 100, 1), np.array([[[100]], [[4]], [[54]]])).fired.ravel().tolist() == [4, 0, 2]


def test_a_state_of_either_sign_is_handed_on_every_timestep():
    layer = layer_of(NeuronSpec(0, Decay("shift", 1), "none", bits=6, output="state"), 2, -40, 40, 2)
    found = check(layer, np.array([[[40, -40], [1, -1]]]))
    assert [event[1] for event in found.events] == [31, -32, 0, 17, -17, 0]
    assert not found.fired.any()

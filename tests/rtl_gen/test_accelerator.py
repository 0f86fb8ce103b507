# amaranth: UnusedElaboratable=no
"""The hardware against the reference, and against its own schedule."""

from itertools import pairwise

import numpy as np
import pytest
from bench import simulate
from example_graphs import EXAMPLES, example_graph, spikes_of
from networks import chain, random_plan, random_trains

from rtl_gen import Accelerator
from snnhw import reference
from snnhw.ir import Decay, Delay, Graph, Input, Linear, Neuron, NeuronSpec, Readout
from snnhw.plan import Plan, make_plan
from snnhw.plan.accesses import count_accesses
from snnhw.plan.cycles import predict_cycles, rest_cycles
from snnhw.verify.compare import output_of


def check(plan: Plan, trains: np.ndarray, *, undisturbed: bool = True, **timing) -> reference.Trace:
    """Hold a run to the reference; an undisturbed one also to the predicted accesses and cycles."""
    trace = reference.run(plan.graph, trains)
    run = simulate(plan, trains, **timing)
    for k, layer in enumerate(plan.layers):
        forgotten = np.zeros_like(run.membranes[k])  # of a maximum pool
        np.testing.assert_array_equal(run.membranes[k], trace.membranes.get(layer.name, forgotten), layer.name)
        np.testing.assert_array_equal(run.layer_spikes[k], trace.spikes[layer.name] != 0, layer.name)
    np.testing.assert_array_equal(run.spikes, output_of(plan, trace))
    if undisturbed:
        np.testing.assert_array_equal(run.cycles, predict_cycles(plan, trace.spikes))
        for counted, predicted in zip(run.accesses, count_accesses(plan, trace.spikes), strict=True):
            for name, count in counted.items():
                np.testing.assert_array_equal(count, predicted[name], name)
    return trace


def one_layer(weight: list[list[int]], spec: NeuronSpec, timesteps: int = 4, bits: int = 4) -> Plan:
    weights = np.array(weight)
    return make_plan(chain([weights.shape[1], weights.shape[0]], [weights], [bits], [spec], timesteps))


@pytest.mark.parametrize("seed", range(10))
def test_random_networks_match_in_words_cycles_and_accesses(seed):
    rng = np.random.default_rng(seed)
    plan = random_plan(rng)
    check(plan, random_trains(rng, plan, 3))


@pytest.mark.parametrize("seed", range(100, 104))
def test_stalls_and_the_order_of_events_change_nothing(seed):
    rng = np.random.default_rng(seed)
    plan = random_plan(rng)
    check(plan, random_trains(rng, plan, 3), undisturbed=False, rng=rng, isolated=False)


@pytest.mark.parametrize("seed", range(200, 203))
def test_a_reset_in_the_middle_leaves_nothing_behind(seed):
    rng = np.random.default_rng(seed)
    plan = random_plan(rng)
    check(plan, random_trains(rng, plan, 2), undisturbed=False, rng=rng, reset_before=True)


@pytest.mark.parametrize("lanes", [1, 2, 16])
@pytest.mark.parametrize("name", EXAMPLES)
def test_any_graph_matches_in_words_cycles_and_accesses(name, lanes):
    graph = example_graph(name)
    trains = spikes_of(graph, 3)
    trace = check(make_plan(graph, lanes=lanes), trains)
    for layer in graph.neurons:
        some = trace.spikes[layer.name] if layer.fires else trace.membranes[layer.name]
        assert np.unique(some).size > 1


@pytest.mark.parametrize("name", EXAMPLES)
def test_any_graph_bears_stalls_a_reset_and_loaded_weights(name):
    graph = example_graph(name)
    plan = make_plan(graph, lanes=2, load_weights=True)
    rng = np.random.default_rng(0)
    check(plan, spikes_of(graph, 3), undisturbed=False, rng=rng, isolated=False)
    check(plan, spikes_of(graph, 2, seed=1), undisturbed=False, rng=rng, reset_before=True)


@pytest.mark.parametrize("delayed", [("hidden",), ("hidden", "last")])
def test_a_layer_that_nothing_waits_for_goes_on_when_the_sample_has_left(delayed):
    rng = np.random.default_rng(9)
    sizes = {"in": 4, "hidden": 60, "last": 3}
    graph = Graph("late", (
        Input("in", (), (4,)), Linear("up", ("in",), rng.integers(0, 8, (60, 4)), 4), Neuron("hidden", ("up",), NeuronSpec(6)),
        *(Delay(f"late {name}", (name,), (sizes[name],)) for name in delayed),
        Linear("on", ("in",), rng.integers(-4, 8, (3, 4)), 4),
        *(Linear(f"from {name}", (f"late {name}",), rng.integers(-4, 8, (3, sizes[name])), 4) for name in delayed),
        Neuron("last", ("on", *(f"from {name}" for name in delayed)), NeuronSpec(5)), Readout("class", ("last",))), 3)
    plan = make_plan(graph, lanes=4)
    trains = np.zeros((3, 3, 4), bool)
    trains[0, 2] = trains[1] = True
    trace = check(plan, trains)
    assert rest_cycles(plan, trace.spikes) > 20


def test_fires_exactly_at_the_threshold():
    plan = one_layer([[3], [2]], NeuronSpec(threshold=3), timesteps=1)
    trace = check(plan, np.ones((1, 1, 1), bool))
    assert trace.output_spikes.tolist() == [[[True, False]]]


def test_a_negative_threshold_fires_in_silence():
    plan = one_layer([[3]] * 3, NeuronSpec(threshold=-1))
    assert check(plan, np.zeros((2, 4, 1), bool)).output_spikes.all()


@pytest.mark.parametrize("threshold", [-8, [-8, -8, 7]])
def test_the_lowest_threshold_is_reached_by_every_state(threshold):
    plan = one_layer([[-8]] * 3, NeuronSpec(threshold=threshold, bits=4, reset="none"))
    trace = check(plan, np.ones((1, 4, 1), bool))
    assert trace.output_spikes[..., 0].all()
    assert trace.membranes["neurons 0"].min() == -8


def test_a_state_saturates_at_both_ends():
    plan = one_layer([[7], [-8]], NeuronSpec(threshold=15, bits=5, reset="none"), timesteps=6)
    trace = check(plan, np.ones((1, 6, 1), bool))
    assert trace.membranes["neurons 0"][0, -1].tolist() == [15, -16]


def test_a_state_is_replaced_by_a_value_that_no_state_can_have():
    spec = NeuronSpec(threshold=1, decay=Decay("mul", 16, 1), reset="value", reset_amount=-91, reset_time="next",
                      overflow="exact", bits=16)
    plan = one_layer([[1]], spec, bits=2)
    assert plan.layers[0].state_bits == 2
    trace = check(plan, np.ones((1, 4, 1), bool))
    assert trace.membranes["neurons 0"].ravel().tolist() == [1, 0, 1, 0]


def test_a_one_bit_weight_is_minus_one_or_zero():
    plan = one_layer([[-1, 0, -1]], NeuronSpec(threshold=1, decay=Decay("shift", 1)), bits=1)
    assert check(plan, np.ones((1, 4, 3), bool)).membranes["neurons 0"][0, 0, 0] == -2


def test_one_neuron_sees_its_own_last_state_at_full_speed():
    spec = NeuronSpec(threshold=9, reset="subtract", reset_amount=9, reset_time="next", decay=Decay("mul", 4, 13))
    plan = one_layer([[5]], spec, timesteps=12)
    trace = check(plan, np.ones((2, 12, 1), bool))
    assert 0 < trace.output_spikes.sum() < 24


def test_a_slow_second_layer_holds_up_the_first():
    rng = np.random.default_rng(0)
    spec = NeuronSpec(threshold=4)
    sizes, lanes = [3, 20, 9, 20], {"neurons 0": 20, "neurons 1": 1, "neurons 2": 1}
    weights = [rng.integers(-2, 8, (outputs, inputs)) for inputs, outputs in pairwise(sizes)]
    plan = make_plan(chain(sizes, weights, [4] * 3, [spec] * 3, 8), lanes=lanes)
    trains = rng.random((4, 8, 3)) < 0.7
    trace = check(plan, trains)
    slowest = trace.spikes["neurons 0"].sum(axis=(1, 2)) * plan.layers[1].tiles
    assert (predict_cycles(plan, trace.spikes) > slowest).all()


def test_loaded_weights_compute_the_same_as_fixed_ones():
    rng = np.random.default_rng(7)
    fixed = random_plan(rng, load_weights=False)
    loaded = make_plan(fixed.graph, lanes={layer.name: layer.lanes for layer in fixed.layers}, load_weights=True,
                       formats={layer.name: layer.format for layer in fixed.layers})
    trains = random_trains(rng, fixed, 3)
    check(loaded, trains)
    np.testing.assert_array_equal(simulate(loaded, trains).cycles, simulate(fixed, trains).cycles)


def test_steady_state_wastes_no_cycle():
    """A slot in every cycle, but for filling the first list and the last tile's way out."""
    rng = np.random.default_rng(3)
    plan = make_plan(chain([100, 32], [rng.integers(-8, 8, (32, 100))], [4], [NeuronSpec(threshold=10)], 6), lanes=8)
    trains = np.zeros((1, 6, 100), bool)
    trains[:, :, :20] = True
    trace = check(plan, trains)
    fill = 1 + 20 + 1  # input register, events, tick
    work = 6 * 4 * 20  # timesteps, tiles, events
    drain = 4 + 8 + 1 + 4 + 1  # pipeline, lanes, tick, finaliser, output register
    assert predict_cycles(plan, trace.spikes)[0] == fill + work + drain


def test_every_public_signal_of_a_layer_is_a_port():
    plan = one_layer([[1, 2]], NeuronSpec(threshold=[1]))
    core = Accelerator(plan).cores[0]
    for name in ("events_write", "events_read", "weights_read", "accumulate", "finalise", "membranes_read", "membranes_write",
                 "parameters_read", "trace_valid", "trace_neuron", "trace_membrane", "trace_spike"):
        assert name in core.signature.members

"""The schedule on cases small enough to count by hand; the hardware is held to it in tests/rtl_gen."""

import time
from itertools import pairwise

import numpy as np
import pytest
from example_graphs import EXAMPLES, example_graph, spikes_of

from snnhw import reference
from snnhw.ir import Decay, Delay, Graph, Input, Linear, Neuron, NeuronSpec, Readout
from snnhw.plan import Plan, make_plan
from snnhw.plan.accesses import count_accesses, predict_schedule, queue_names
from snnhw.plan.cycles import predict_cycles, rest_cycles
from snnhw.plan.queued import Queued
from snnhw.plan.skeleton import simulate_control
from snnhw.plan.stages import pause_slots, write_stage
from snnhw.verify.random_graphs import random_graph_case
from snnhw.verify.random_networks import random_case

# From the first transfer: the input register, and from the last tick's slot: finaliser to output, output register, itself.
BEFORE, PIPELINE, AFTER = 1, 4, 3 + 1 + 1 + 1


def chain(sizes: list[int], lanes: list[int], timesteps: int = 1, **fields) -> Plan:
    """Return the plan of layers whose every weight is 1."""
    nodes: list = [Input("in", shape=(sizes[0],))]
    for k, (inputs, outputs) in enumerate(pairwise(sizes)):
        nodes += [Linear(f"sum{k}", (nodes[-1].name,), weight=np.ones((outputs, inputs)), weight_bits=2),
                  Neuron(f"layer{k}", (f"sum{k}",), spec=NeuronSpec(threshold=1, **fields))]
    graph = Graph("chain", (*nodes, Readout("out", (nodes[-1].name,))), timesteps)
    return make_plan(graph, lanes={f"layer{k}": count for k, count in enumerate(lanes)})


def trains(plan: Plan, *counts: list[int]) -> dict[str, np.ndarray]:
    """Return the trains of one sample in which, in each timestep, the first so many neurons spike."""
    names = ["in", *(layer.name for layer in plan.layers)]
    sizes = [plan.inputs, *(layer.outputs for layer in plan.layers)]
    return {name: (np.arange(size) < np.array(count)[:, None])[None]
            for name, size, count in zip(names, sizes, counts, strict=True)}


@pytest.mark.parametrize("events", [1, 2, 7])
@pytest.mark.parametrize(("outputs", "lanes"), [(8, 8), (8, 2), (7, 3)])
def test_one_timestep_is_a_sum(events, outputs, lanes):
    plan = chain([7, outputs], [lanes])
    tiles, rest = -(-outputs // lanes), outputs - (outputs - 1) // lanes * lanes
    # Tiles follow each other as fast as the events are added, or the neurons of a tile are taken.
    accumulate = events + (tiles - 1) * max(events, lanes)
    assert predict_cycles(plan, trains(plan, [events], [0])) == BEFORE + events + 1 + accumulate + PIPELINE + rest + AFTER


def test_a_timestep_without_events_takes_one_slot_for_each_tile():
    plan = chain([7, 4], [1])
    assert predict_cycles(plan, trains(plan, [0], [0])) == BEFORE + 1 + 1 + 3 + PIPELINE + 1 + AFTER


def test_collecting_events_hides_behind_adding_them():
    plan = chain([9, 4], [2], timesteps=5)
    one, five = (predict_cycles(plan, trains(plan, [9] * steps, [0] * steps))[0] for steps in (1, 5))
    assert five - one == 4 * 2 * 9


def test_the_finaliser_limits_a_wide_layer_to_its_neurons_and_a_tick():
    plan = chain([2, 12], [12], timesteps=9)
    three, nine = (predict_cycles(plan, trains(plan, [1] * steps, [12] * steps))[0] for steps in (3, 9))
    assert nine - three == 6 * (12 + 1)


def test_a_slow_layer_sets_the_pace_of_those_before_it():
    plan = chain([2, 6, 6], [6, 1], timesteps=9)
    three, nine = (predict_cycles(plan, trains(plan, [2] * steps, [6] * steps, [0] * steps))[0] for steps in (4, 9))
    assert nine - three == 5 * 6 * 6


@pytest.mark.parametrize(("fields", "stage"), [
    ({}, 3), ({"decay": Decay("shift", 2)}, 3), ({"decay": Decay("mul", 2, 3)}, 4), ({"reset": "subtract", "reset_amount": 1}, 4),
    ({"reset": "subtract", "reset_amount": 1, "reset_time": "next", "decay": Decay("mul", 2, 3)}, 5),
    ({"decay": Decay("mul", 2, 3, "zero")}, 5), ({"synapse": Decay()}, 5), ({"synapse": Decay("shift", 2)}, 5),
    ({"synapse": Decay(), "decay": Decay("mul", 2, 3, "zero")}, 5), ({"synapse": Decay("mul", 2, 3)}, 6),
    ({"synapse": Decay("mul", 2, 3, "zero"), "reset": "subtract", "reset_amount": 1}, 8)])
def test_each_piece_of_arithmetic_has_its_stage(fields, stage):
    small, large = (chain([2, neurons], [1], **fields).layers[0] for neurons in (1, 9))
    assert write_stage(small) == write_stage(large) == stage
    # A neuron is read again no earlier than in the cycle after it was written.
    assert small.outputs + pause_slots(small) == stage + 1
    assert pause_slots(large) == 1


def test_samples_do_not_disturb_each_other():
    plan = chain([8, 5, 4], [2, 1], timesteps=4)
    rng = np.random.default_rng(0)
    batch = {name: rng.random((6, 4, size)) < 0.4 for name, size in (("in", 8), ("layer0", 5), ("layer1", 4))}
    alone = [predict_cycles(plan, {name: train[k:k + 1] for name, train in batch.items()})[0] for k in range(6)]
    assert predict_cycles(plan, batch).tolist() == alone


def test_an_event_is_one_whatever_it_carries():
    plan = chain([8, 5, 4], [2, 1], timesteps=4)
    rng = np.random.default_rng(0)
    counts = {name: rng.integers(0, 4, (6, 4, size)) for name, size in (("in", 8), ("layer0", 5), ("layer1", 4))}
    spikes = {name: train > 0 for name, train in counts.items()}
    assert predict_cycles(plan, counts).tolist() == predict_cycles(plan, spikes).tolist()
    for carried, alone in zip(count_accesses(plan, counts), count_accesses(plan, spikes), strict=True):
        assert carried.keys() == alone.keys()
        assert all(carried[name].tolist() == alone[name].tolist() for name in alone)


def test_accesses_are_counted_for_each_memory():
    plan = chain([7, 5], [2], timesteps=3)
    counts, = count_accesses(plan, trains(plan, [3, 0, 1], [0, 0, 0]))
    assert {name: int(count[0]) for name, count in counts.items()} == {
        "events_write": 4, "events_read": 12, "weights_read": 12, "accumulate": 3 * (3 + 1 + 1),
        "finalise": 15, "membranes_read": 10, "membranes_write": 15, "events_sent": 0}


def test_states_that_are_never_cleared_are_read_from_the_second_sample_on():
    plan = chain([2, 3], [1], timesteps=2, clear="never", bits=8)
    batch = {"in": np.ones((3, 2, 2), bool), "layer0": np.zeros((3, 2, 3), bool)}
    assert count_accesses(plan, batch)[0]["membranes_read"].tolist() == [3, 6, 6]


@pytest.mark.parametrize("seed", range(60))
def test_the_schedule_of_a_chain_is_that_of_its_simulated_control(seed):
    case = random_case(seed, largest=40)
    spikes = reference.run(case.plan.graph, case.spikes).spikes
    assert predict_cycles(case.plan, spikes).tolist() == simulate_control(case.plan, spikes).cycles.tolist()


@pytest.mark.parametrize("seed", range(20))
def test_every_cycle_of_a_core_is_busy_stalled_or_idle(seed):
    case = random_case(seed, largest=40) if seed % 2 else random_graph_case(seed)
    spikes = reference.run(case.plan.graph, case.spikes).spikes
    schedule = predict_schedule(case.plan, spikes)
    assert schedule.cycles.tolist() == predict_cycles(case.plan, spikes).tolist()
    for layer, core, counts in zip(case.plan.layers, schedule.cores, count_accesses(case.plan, spikes), strict=True):
        assert (core.busy + core.stalled + core.idle == schedule.cycles).all()
        for array in (core.adders_waiting, core.output_waiting, core.busy, core.stalled, core.idle):
            assert (array >= 0).all()
        assert (core.stalled <= core.adders_waiting + core.output_waiting).all()
        if not case.plan.lags:  # all it does is over before the sample is
            assert (core.busy <= counts["accumulate"] + counts["finalise"]).all()
            lanes = layer.lanes if isinstance(layer.synapses, Queued) else 1
            assert (core.busy >= np.maximum(-(-counts["accumulate"] // lanes), counts["finalise"])).all()


def test_a_core_by_hand():
    """Two tiles of one event each: the second waits in the accumulators until the neurons of the first are taken."""
    plan = chain([3, 8], [4], timesteps=1)
    schedule = predict_schedule(plan, trains(plan, [1], [0]))
    core, = schedule.cores
    # Tiles are finished in cycles f and f + 1; the last of four neurons of the first is taken in f + 4, where the second goes on.
    assert core.adders_waiting.tolist() == [3]
    assert core.output_waiting.tolist() == [0]
    # Additions in f and f + 4, updates from f + 1 to f + 8: the adders wait while neurons are updated.
    assert (core.busy.tolist(), core.stalled.tolist()) == ([9], [0])
    assert core.idle.tolist() == [int(schedule.cycles[0]) - 9]


def test_events_that_enter_the_queues_of_lanes_by_hand():
    """An event enters the queues of the lanes where it has weights, the last of a timestep all of them."""
    weight = np.array([[1, 1, 0], [0, 2, 0], [3, 0, 0], [0, 0, 0]])  # neurons 0 and 2 are in lane 0, 1 and 3 in lane 1
    graph = Graph("queued", (Input("in", (), (3,)), Linear("fc", ("in",), weight, 3),
                             Neuron("lif", ("fc",), NeuronSpec(threshold=2, bits=8)), Readout("out", ("lif",))), 3)
    plan = make_plan(graph, lanes={"lif": 2}, formats={"lif": "queued"})
    events = np.array([[[1, 1, 0], [0, 0, 0], [1, 1, 1]]], bool)
    counts, = count_accesses(plan, reference.run(graph, events).spikes)
    # Event 0: one lane; 1, the last: both. Then none: a mark for both. Then 0: one, 1: both, 2 without weights, the last: both.
    assert counts["lane_queues_write"].tolist() == counts["lane_queues_read"].tolist() == [1 + 2 + 2 + 1 + 2 + 2]


def test_what_passes_a_queue_are_events_and_ticks():
    case = next(case for case in map(random_graph_case, range(100))
                if any(source.queue for layer in case.plan.layers for source in layer.sources))
    trains = reference.run(case.plan.graph, case.spikes).spikes
    timesteps = case.plan.graph.timesteps
    for layer, counts in zip(case.plan.layers, count_accesses(case.plan, trains), strict=True):
        for name, place in queue_names(layer).items():
            if place is not None:
                source = layer.sources[place]
                states = source.core is not None and case.plan.layers[source.core].spec.output == "state"
                events = np.ones_like(trains[source.name], bool) if states else trains[source.name] != 0
                assert counts[name].tolist() == (events.sum(axis=(1, 2)) + timesteps).tolist()


def joined(hidden: int, timesteps: int, *sources: str) -> Plan:
    """Return the plan of a layer of `hidden` neurons and of one that takes from several; every weight is 1."""
    sizes = {"in": 4, "layer0": hidden, "late": hidden}
    nodes: list = [Input("in", shape=(4,)), Linear("sum0", ("in",), np.ones((hidden, 4)), 2),
                   Neuron("layer0", ("sum0",), NeuronSpec(1)), Delay("late", ("layer0",), (hidden,)),
                   *(Linear(f"from {name}", (name,), np.ones((2, sizes[name])), 2) for name in sources),
                   Neuron("layer1", tuple(f"from {name}" for name in sources), NeuronSpec(1))]
    nodes = [node for node in nodes if node.name != "late" or "late" in sources]
    graph = Graph("joined", (*nodes, Readout("out", ("layer1",))), timesteps)
    return make_plan(graph, lanes={"layer0": hidden, "layer1": 2}, formats="dense")


def test_a_merge_takes_events_in_turn_and_a_cycle_for_its_tick():
    alone, both = joined(6, 1, "layer0"), joined(6, 1, "in", "layer0")
    for events in range(5):
        some = trains(both, [events], [0], [0])
        # Those of the input come while layer0 is still at work, and are added after its tick; a list without any has a slot.
        assert predict_cycles(both, some) == predict_cycles(alone, some) + 1 + max(events, 1) - 1


def test_what_nothing_waits_for_goes_on_when_a_sample_has_left():
    late, behind = joined(40, 3, "in", "late"), joined(40, 3, "in", "layer0")
    assert (late.lags, behind.lags) == (True, False)
    # Of the last timestep, layer1 waits for the input alone: its neurons are done when layer0 begins with its own.
    quiet = trains(late, [0, 0, 4], [0, 0, 40], [0, 0, 0])
    assert rest_cycles(behind, quiet) == 0
    assert 20 < rest_cycles(late, quiet) < 40
    twice = {name: np.concatenate([train, train]) for name, train in quiet.items()}
    assert len(set(predict_cycles(late, twice))) == 1


@pytest.mark.parametrize("name", EXAMPLES)
def test_samples_of_graphs_do_not_disturb_each_other(name):
    graph = example_graph(name)
    plan = make_plan(graph, lanes=2)
    batch = dict(reference.run(graph, spikes_of(graph, 6)).spikes)
    alone = [predict_cycles(plan, {name: train[k:k + 1] for name, train in batch.items()})[0] for k in range(6)]
    assert predict_cycles(plan, batch).tolist() == alone


def test_a_hundred_thousand_cycles_of_any_graph_take_a_second():
    graph = example_graph("recurrent")
    plan = make_plan(graph, lanes=2)
    batch = reference.run(graph, spikes_of(graph, 100)).spikes
    begin = time.process_time()
    cycles = predict_cycles(plan, batch)
    assert (time.process_time() - begin) / cycles.sum() < 1e-5


def test_ten_thousand_images_are_predicted_in_minutes():
    plan = chain([784, 128, 10], [16, 1], timesteps=25)
    rng = np.random.default_rng(0)
    batch = {name: rng.random((200, 25, size)) < 0.1 for name, size in (("in", 784), ("layer0", 128), ("layer1", 10))}
    begin = time.process_time()
    predict_cycles(plan, batch)
    assert 200 / (time.process_time() - begin) > 200  # samples per second

"""What limits a design, on networks made so that one part must be the slowest."""

import json
from itertools import pairwise

import numpy as np
import pytest
from example_graphs import EXAMPLES, example_graph, spikes_of

from snnhw.board import load_board
from snnhw.ir import Graph, Input, Linear, Neuron, NeuronSpec, Readout
from snnhw.plan import Plan, make_plan
from snnhw.plan.cycles import predict_cycles
from snnhw.plan.limits import find_limits, worst_trains
from snnhw.plan.pace import PARTS, part_cycles
from snnhw.plan.stages import pause_slots
from snnhw.reference import run

ICE = load_board("icebreaker")


def chain(*sizes: int, lanes: tuple[int, ...], timesteps: int = 40, load: bool = False) -> Plan:
    """Return the plan of layers whose every weight is 1."""
    nodes: list = [Input("in", (), (sizes[0],))]
    for k, (inputs, outputs) in enumerate(pairwise(sizes)):
        nodes += [Linear(f"sum{k}", (nodes[-1].name,), np.ones((outputs, inputs)), 2),
                  Neuron(f"layer{k}", (f"sum{k}",), NeuronSpec(threshold=1))]
    graph = Graph("chain", (*nodes, Readout("out", (nodes[-1].name,))), timesteps)
    return make_plan(graph, lanes={f"layer{k}": count for k, count in enumerate(lanes)}, load_weights=load)


def firing(plan: Plan, events: int) -> dict[str, np.ndarray]:
    """Return spikes of two samples whose first so many inputs fire in every timestep, and no neuron."""
    trains = {name: np.zeros((2, *train.shape[1:]), bool) for name, train in worst_trains(plan).items()}
    trains["in"][:, :, :events] = True
    return trains


@pytest.mark.parametrize(("sizes", "lanes", "events", "layer", "part"), [
    ((30, 10, 3), (1, 3), 20, 0, "weights"),      # 200 cycles against 21 and 11
    ((30, 10, 3), (10, 3), 30, 0, "events"),      # 30 and 31 against 11
    ((30, 20, 3), (20, 3), 2, 0, "finaliser"),    # 2 and 3 against 21
    ((5, 4, 30), (4, 30), 1, 1, "finaliser"),
])
def test_the_slowest_part_is_charged(sizes, lanes, events, layer, part):
    plan = chain(*sizes, lanes=lanes)
    trains = firing(plan, events)
    found = find_limits(plan, trains, ICE)
    shares = {(index, name): share for index, each in enumerate(found.layers) for name, share in each.limiting.items()}
    assert max(shares, key=shares.get) == (layer, part)
    assert shares[layer, part] > 0.8
    assert sum(shares.values()) + found.waiting == pytest.approx(1)
    assert 0 < found.waiting < 0.2
    assert f"layer 'layer{layer}' takes " in found.sentence
    cycles = {"weights": plan.layers[layer].tiles * events, "events": events + 1,
              "finaliser": plan.layers[layer].outputs + pause_slots(plan.layers[layer])}[part]
    assert found.layers[layer].parts[part] == pytest.approx(cycles * 40 / found.cycles["mean"])


def test_zeros_that_more_lanes_add_are_one_value_too_many_for_ternary_weights():
    weight = np.random.default_rng(1).choice([-2, 1, 3], (15, 20))
    nodes = (Input("in", (), (20,)), Linear("sum", ("in",), weight, 3), Neuron("layer", ("sum",), NeuronSpec(threshold=5)),
             Readout("out", ("layer",)))
    plan = make_plan(Graph("net", nodes, 3), lanes={"layer": 5}, formats="csc")
    assert plan.layers[0].packing.book == (-2, 1, 3)
    assert plan.layers[0].packing.name == "ternary"
    further = find_limits(plan, worst_trains(plan), ICE).layers[0].next
    assert further.lanes == 8


def test_cycles_of_the_parts_by_hand():
    plan = chain(9, 7, lanes=(2,), timesteps=2)
    trains = firing(plan, 3)
    trains["in"][1, 1] = False  # a timestep without events reads one word for each tile
    weights, events, finaliser = part_cycles(plan.layers[0], trains["in"])
    assert weights.tolist() == [[12, 12], [12, 4]]
    assert events.tolist() == [[4, 4], [4, 1]]
    assert (finaliser == 7 + pause_slots(plan.layers[0])).all()
    assert PARTS == ("weights", "events", "finaliser")


def test_a_list_is_read_word_by_word():
    graph = example_graph("conv")
    plan = make_plan(graph, lanes=1)
    train = spikes_of(graph, 4)
    weights = part_cycles(plan.layers[0], train)[0]
    lengths = np.maximum(plan.layers[0].synapses.list_lengths(), 1)
    assert weights[2, 3] == max(1, lengths[train[2, 3]].sum())


def test_cycles_are_those_of_the_plan():
    plan = chain(30, 10, 3, lanes=(2, 1))
    rng = np.random.default_rng(0)
    spikes = rng.random((50, 40, 30)) < rng.random((50, 1, 1))
    trains = run(plan.graph, spikes, keep_membranes=False).spikes
    cycles = predict_cycles(plan, trains)
    found = find_limits(plan, trains, ICE)
    assert found.samples == 50
    assert found.cycles == {"mean": cycles.mean(), "p99": np.sort(cycles)[49], "worst": cycles.max(),
                            "bound": predict_cycles(plan, worst_trains(plan))[0]}
    assert found.cycles["bound"] >= found.cycles["worst"]
    assert find_limits(plan, trains, ICE, cycles=cycles).as_dict(1e6) == found.as_dict(1e6)


def test_every_neuron_has_a_lane():
    plan = chain(30, 10, 3, lanes=(10, 3))
    found = find_limits(plan, firing(plan, 5), ICE)
    assert [layer.next for layer in found.layers] == [None, None]
    assert [layer.verdict for layer in found.layers] == ["each of 10 has a lane", "each of 3 has a lane"]


def test_a_step_is_what_planning_it_gives():
    plan, wider = chain(30, 10, 3, lanes=(2, 3)), chain(30, 10, 3, lanes=(3, 3))  # 4 tiles of 3 lanes, not 5 of 2
    trains = firing(plan, 20)
    found = find_limits(plan, trains, ICE)
    step = found.layers[0].next
    assert (step.lanes, step.cycles, step.possible) == (3, predict_cycles(wider, trains).mean(), True)
    assert step.verdict.startswith(f"3 take {1 - step.cycles / found.cycles['mean']:.0%} fewer cycles and +")
    slow = find_limits(chain(30, 20, 3, lanes=(10, 1)), firing(chain(30, 20, 3, lanes=(10, 1)), 1), ICE).layers[0].next
    assert (slow.possible, slow.verdict) == (False, "20 are no faster")


def test_memory_and_logic_stop_a_step():
    plan = chain(400, 256, lanes=(32,), timesteps=2, load=True)  # 4 memories of 16 bits: 32 weights of 2 bits
    trains = firing(plan, 300)
    layer, = find_limits(plan, trains, ICE).layers
    assert layer.weights.resource == "single_port_ram"
    assert (layer.memory_roof, layer.next.possible) == (32, False)
    assert find_limits(plan, trains, ICE).rows()[0][1:3] == ("32 of 32", "4 of 4 single port ram")
    assert layer.next.verdict.startswith("37 need ")
    assert " of 30 SB_RAM40_4K blocks" in layer.next.verdict
    small = ICE.model_copy(update={"budget": ICE.budget.model_copy(update={
        "logic": ICE.budget.logic.model_copy(update={"count": 900})})})
    layer, = find_limits(chain(30, 64, lanes=(1,)), firing(chain(30, 64, lanes=(1,)), 20), small).layers
    assert layer.next.possible  # two lanes still fit
    layer, = find_limits(chain(30, 64, lanes=(32,)), firing(chain(30, 64, lanes=(32,)), 20), small).layers
    assert not layer.next.possible
    assert " of 900 " in layer.next.verdict


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_plan_has_limits_that_can_be_written(name):
    graph = example_graph(name)
    plan = make_plan(graph, lanes=2)
    found = find_limits(plan, run(graph, spikes_of(graph, 3), keep_membranes=False).spikes, ICE)
    exported = json.loads(json.dumps(found.as_dict(12e6), allow_nan=False))
    assert exported["sentence"] == found.sentence
    assert exported["microseconds"]["worst"] == pytest.approx(found.cycles["worst"] / 12)
    assert [row[0] for row in found.rows()] == [layer.name for layer in plan.layers]

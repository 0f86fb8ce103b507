"""The estimate before synthesis against what synthesis found."""

import importlib.util

import numpy as np
import pytest
from example_graphs import EXAMPLES, example_graph

from snnhw.board import RESOURCES, load_board
from snnhw.ir import Decay, Graph, Input, Linear, Neuron, NeuronSpec, Readout
from snnhw.plan import Plan, make_plan
from snnhw.plan.area import estimate_area, multipliers, plan_kind

BOARDS = "icebreaker", "orangecrab-25f", "tang-nano-9k"
MEASURED_LISTS = "icebreaker", "orangecrab-25f"


def lif(inputs: int = 64, neurons: int = 64, lanes: int = 8, *, weight_bits: int = 4, state_bits: int = 14,
        decay: Decay | None = None, synapse: Decay | None = None, load: bool = False) -> Plan:
    """Return a plan of one dense layer whose states reach every bit of their words."""
    weight = np.arange(neurons * inputs).reshape(neurons, inputs) % (1 << weight_bits) - (1 << weight_bits - 1)
    spec = NeuronSpec(threshold=(1 << (state_bits - 1)) - 1, bits=state_bits, decay=decay or Decay("shift", 3), synapse=synapse)
    nodes = (Input("input", (), (inputs,)), Linear("sum", ("input",), weight, weight_bits), Neuron("neurons", ("sum",), spec),
             Readout("readout", ("neurons",)))
    return make_plan(Graph("lif", nodes, 1000), lanes={"neurons": lanes}, load_weights=load, formats="dense")


@pytest.fixture(scope="module")
def corpus(request):
    """The program that drew and measured the corpus."""
    path = request.config.rootpath / "benchmarks" / "area_corpus.py"
    spec = importlib.util.spec_from_file_location("area_corpus", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", [*BOARDS, "arty-a7-35t"])
def test_the_estimate_is_what_synthesis_found(corpus, name):
    """Every plan of the corpus: memory blocks and multipliers counted exactly, logic and flip-flops within the stated error."""
    board = load_board(name)
    errors: dict[tuple[str, str], list[float]] = {}
    for record in (record for record in corpus.read_corpus() if record["board"] == name):
        plan = corpus.draw_plan(record["plan"])
        area = estimate_area(plan, board, top="core")
        for resource in ("block_ram", "single_port_ram", "dsp"):
            counted, found = area.used[resource][0], record["used"].get(resource, 0)
            assert abs(counted - found) <= (name == "arty-a7-35t"), (record["plan"], resource, counted, found)
        for resource in ("logic", "flip_flops"):
            error = abs(area.used[resource][0] / record["used"][resource] - 1)
            errors.setdefault((plan_kind(plan), resource), []).append(error)
    assert {kind for kind, _ in errors} == ({"dense", "lists"} if name in MEASURED_LISTS else {"dense"})
    assert all(len(some) >= 15 for some in errors.values())
    assert all(np.median(some) < 0.08 for some in errors.values())


@pytest.mark.parametrize("name", [*BOARDS, "ice40-hx8k", "ulx3s-85f"])
def test_an_estimate_lies_between_its_bounds(name):
    board = load_board(name)
    area = estimate_area(lif(), board)
    assert set(area.used) == set(RESOURCES)
    assert all(0 <= low <= estimate <= high for estimate, low, high in (*area.used.values(), area.fmax_mhz))
    assert area.fits
    assert area.problems("network 'lif'") == []
    exported = area.as_dict()
    assert exported["used"]["logic"]["available"] == board.budget.logic.count
    assert [row[0] for row in area.rows()] == [name.replace("_", " ") for name in exported["used"]] + ["clock MHz"]


def test_more_of_something_takes_more():
    board = load_board("icebreaker")

    def logic(**change: object) -> int:
        return estimate_area(lif(**change), board).used["logic"][0]
    assert logic(lanes=4) < logic(lanes=16) < logic(lanes=32)
    assert logic(weight_bits=4) < logic(weight_bits=8)


def test_the_board_adds_its_serial_line():
    board = load_board("icebreaker")
    core, whole = estimate_area(lif(), board, top="core"), estimate_area(lif(), board)
    assert whole.used["block_ram"][0] == core.used["block_ram"][0] + 1
    assert 50 < whole.used["logic"][0] - core.used["logic"][0] < 400


def test_a_large_network_does_not_fit():
    area = estimate_area(lif(784, 128, 16), load_board("icebreaker"))
    assert not area.fits
    problem, = area.problems("network 'lif'")
    assert problem.startswith("network 'lif' needs 111 SB_RAM40_4K blocks, 1BitSquared iCEBreaker 1.0 (iCE40UP5K) has 30: load ")
    assert estimate_area(lif(784, 128, 16, load=True), load_board("icebreaker")).fits


def test_too_many_lanes_are_said_to_be_about_so_many_cells():
    problem, *_ = estimate_area(lif(64, 256, 256, weight_bits=2), load_board("icebreaker")).problems("network 'lif'")
    assert problem.startswith("network 'lif' needs about ")
    assert "logic cells (4-input table, carry, flip-flop), 1BitSquared iCEBreaker 1.0 (iCE40UP5K) has 5280: " in problem
    assert "use fewer lanes" in problem


def test_of_a_board_that_was_never_measured_no_frequency_is_known():
    assert estimate_area(lif(), load_board("arty-a7-35t")).fmax_mhz is None
    other = load_board("icebreaker").model_copy(update={"name": "mine"})
    assert estimate_area(lif(), other).fmax_mhz is None


@pytest.mark.parametrize(("board", "state_bits", "factor", "expected"), [
    ("icebreaker", 12, 255, 1), ("icebreaker", 20, 255, 2), ("icebreaker", 6, 2, 0), ("ice40-hx8k", 12, 255, 0),
    ("orangecrab-25f", 20, 255, 1), ("tang-nano-9k", 16, 255, 1),
])
def test_a_decay_that_multiplies_takes_multiplier_blocks(board, state_bits, factor, expected):
    plan = lif(state_bits=state_bits, weight_bits=8, decay=Decay("mul", 8, factor))
    assert multipliers(plan, load_board(board)) == expected
    assert multipliers(lif(), load_board(board)) == 0
    both = lif(state_bits=state_bits, weight_bits=8, decay=Decay("mul", 8, factor), synapse=Decay("mul", 8, factor, "zero"))
    assert multipliers(both, load_board(board)) == 2 * expected


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("board", [*BOARDS, "arty-a7-35t"])
def test_plans_are_calibrated_on_families_that_measured_their_kind(name, board):
    plan = make_plan(example_graph(name), lanes=2)
    area = estimate_area(plan, load_board(board), top="core")
    assert area.calibrated == area.as_dict()["calibrated"] == (plan_kind(plan) == "dense" or board in MEASURED_LISTS)
    assert (area.fmax_mhz is not None) == (area.calibrated and board in BOARDS)
    for resource in ("logic", "flip_flops"):
        estimate, low, high = area.used[resource]
        assert 0 < low < estimate < high
        if not area.calibrated:
            assert low <= 0.6 * estimate + 1
            assert high >= 1.4 * estimate - 1


def test_what_lists_take_is_lent_to_families_that_measured_none():
    plan = make_plan(example_graph("conv"), lanes=2)
    measured, lent = (estimate_area(plan, load_board(board), top="core").used["logic"][0]
                      for board in ("orangecrab-25f", "tang-nano-9k"))
    assert 0.5 * measured < lent < 2 * measured


# Logic cells, flip-flops and RAM blocks that Yosys and nextpnr packed for two lanes on the iCEBreaker.
PACKED = {"conv": (1477, 697, 8), "recurrent": (819, 441, 2), "graded": (1135, 640, 1), "count": (1128, 668, 0)}


@pytest.mark.parametrize("name", PACKED)
def test_networks_that_the_corpus_does_not_have_are_estimated(name):
    area = estimate_area(make_plan(example_graph(name), lanes=2), load_board("icebreaker"), top="core")
    logic, flip_flops, blocks = PACKED[name]
    assert area.used["logic"][0] == pytest.approx(logic, rel=0.15)
    assert area.used["flip_flops"][0] == pytest.approx(flip_flops, rel=0.15)
    assert area.used["block_ram"][0] == blocks


def test_events_with_values_take_a_multiplier_for_each_lane():
    plan = make_plan(example_graph("graded"), lanes=8)
    assert (plan.layers[0].lanes, plan.layers[0].weight_bits, plan.layers[0].input_value_bits) == (5, 4, 4)
    assert multipliers(plan, load_board("orangecrab-25f")) == 5
    assert multipliers(plan, load_board("icebreaker")) == 0  # 8 bits are logic there
    assert multipliers(plan, load_board("tang-nano-9k")) == 5
    count = make_plan(example_graph("count"), lanes=2)  # 4 bits times 3
    assert [multipliers(count, load_board(board)) for board in ("orangecrab-25f", "tang-nano-9k")] == [2, 0]

"""Memory rules against counts of Yosys 0.70, and what goes to single-port RAM."""

import numpy as np
import pytest

from snnhw.board import load_board
from snnhw.ir import Delay, Graph, Input, Linear, Neuron, NeuronSpec, Readout
from snnhw.plan import Plan, make_plan
from snnhw.plan.ram import map_memories, single_port_layers


def chain(sizes: list[int], lanes: int, *, weight_bits: int = 4, state_bits: int = 16, load: bool = False) -> Plan:
    """Return a plan whose states reach every bit of their words."""
    nodes: list = [Input("input", (), (sizes[0],))]
    for index in range(1, len(sizes)):
        weight = np.arange(sizes[index] * sizes[index - 1]).reshape(sizes[index], -1) % (1 << weight_bits)
        weight -= 1 << weight_bits - 1
        nodes.append(Linear(f"sum {index}", (nodes[-1].name,), weight, weight_bits))
        spec = NeuronSpec(threshold=(1 << (state_bits - 1)) - 1, bits=state_bits)
        nodes.append(Neuron(f"neurons {index}", (nodes[-1].name,), spec))
    names = {f"neurons {index}": lanes for index in range(1, len(sizes))}
    return make_plan(Graph("chain", (*nodes, Readout("readout", (nodes[-1].name,))), 1000), lanes=names, load_weights=load,
                     formats="dense", packings="none")


def uses(plan: Plan, board: str) -> dict[tuple[int, str], tuple[str, int]]:
    return {(use.layer, use.memory.role): (use.resource, use.blocks) for use in map_memories(plan, load_board(board))}


@pytest.mark.parametrize(("board", "expected"), [
    ("icebreaker", {"weights": ("block_ram", 104), "events": ("block_ram", 5), "membranes": ("block_ram", 1)}),
    ("orangecrab-25f", {"weights": ("block_ram", 25), "events": ("block_ram", 2), "membranes": ("block_ram", 1)}),
])
def test_a_784_128_core_takes_the_blocks_that_yosys_takes(board, expected):
    got = uses(chain([784, 128], 16), board)
    assert {role: got[0, role] for role in expected} == expected


@pytest.mark.parametrize(("board", "expected"), [
    ("icebreaker", [("block_ram", 6), ("block_ram", 1), ("block_ram", 1), ("block_ram", 1), ("block_ram", 1), ("block_ram", 1),
                    ("logic", 0), ("block_ram", 1), ("block_ram", 1)]),
    ("tang-nano-9k", [("block_ram", 2), ("block_ram", 1), ("lut_ram", 16), ("block_ram", 1), ("lut_ram", 14), ("lut_ram", 8),
                      ("logic", 0), ("lut_ram", 6), ("lut_ram", 4)]),
])
def test_small_memories_go_where_they_are_cheapest(board, expected):
    plan = chain([100, 50, 20, 10], 8)
    plan = make_plan(plan.graph, lanes={"neurons 1": 8, "neurons 2": 2, "neurons 3": 1}, formats="dense")
    got = uses(plan, board)
    roles = [(layer, role) for layer in range(3) for role in ("weights", "events", "membranes")]
    assert [got[key] for key in roles] == expected


def test_loaded_weights_go_to_single_port_ram_as_long_as_it_lasts():
    board = load_board("icebreaker")
    plan = chain([784, 128, 10], 16, load=True)
    assert single_port_layers(plan, board) == (0,)
    got = uses(plan, "icebreaker")
    assert got[0, "weights"] == ("single_port_ram", 4)
    assert got[1, "weights"][0] == "block_ram"
    assert single_port_layers(chain([784, 128, 10], 16), board) == ()
    assert single_port_layers(plan, load_board("ice40-hx8k")) == ()
    assert single_port_layers(chain([784, 128], 32, load=True), board) == ()  # 128 bits wide: eight blocks


def test_weights_that_are_too_many_for_single_port_ram_are_still_mapped_to_it():
    """Five blocks of it cost Yosys less than 258 of the others, whether the board has as many or not."""
    plan = chain([784, 335, 10], 1, load=True)
    assert single_port_layers(plan, load_board("icebreaker")) == (1,)
    got = uses(plan, "icebreaker")
    assert (got[0, "weights"], got[1, "weights"]) == (("single_port_ram", 5), ("single_port_ram", 1))
    assert uses(plan, "ice40-hx8k")[0, "weights"] == ("block_ram", 258)


def test_bits_that_repeat_a_sign_are_not_stored():
    quiet = Neuron("neurons", ("sum",), NeuronSpec(threshold=1, bits=30))
    nodes = (Input("input", (), (3,)), Linear("sum", ("input",), np.ones((300, 3), int), 2), quiet,
             Readout("readout", ("neurons",)))
    plan = make_plan(Graph("quiet", nodes, 1), lanes=1, formats="dense")
    assert plan.layers[0].state.bits <= 8
    assert uses(plan, "icebreaker")[0, "membranes"] == ("block_ram", 1)


@pytest.mark.parametrize("name", ["block", "csc"])
def test_memories_of_lists_and_queues_are_mapped(name):
    """A core that hears another one timestep later keeps its spikes in a queue: 40 neurons and a tick, each an address and flags.

    Where every lane has its own currents, there are as many memories of one lane, in two halves.
    """
    rng = np.random.default_rng(0)
    weight = rng.integers(-3, 4, (40, 40))
    nodes = (Input("in", (), (40,), highest=3), Linear("forth", ("in",), weight, 3), Neuron("before", ("forth",), NeuronSpec(9)),
             Delay("late", ("before",), (40,)), Linear("on", ("late",), weight, 3), Linear("in again", ("in",), weight, 3),
             Neuron("neurons", ("on", "in again"), NeuronSpec(9, bits=12)), Readout("readout", ("neurons",)))
    plan = make_plan(Graph("late", nodes, 4), lanes=4, formats=name)
    _, layer = plan.layers
    assert layer.scattered
    assert [source.queue for source in layer.sources] == [41, 0]
    mapped = [use for use in map_memories(plan, load_board("icebreaker")) if use.layer == 1]
    assert [use.memory.role for use in mapped] == ["weights", "events", "sources", "currents", "membranes", "queue"]
    assert [use.memory for use in mapped][:-1] == list(layer.memories)
    queue = mapped[-1].memory
    assert (queue.depth, queue.width, queue.content) == (40, 6 + 2, "ram")
    assert all(use.resource in ("block_ram", "logic") for use in mapped)
    weights, currents = mapped[0], mapped[3]
    assert weights.blocks * 4096 >= weights.memory.bits
    assert (currents.memory.copies, currents.memory.width) == ((2, 4 * layer.current_bits) if name == "block" else
                                                               (8, layer.current_bits))


@pytest.mark.parametrize(("name", "blocks", "rows"), [("csc", 2 * 4 * 2, 1), ("block", 2 * 6, 3)])
def test_every_copy_of_the_currents_has_blocks_of_its_own(name, blocks, rows):
    """700 words of 8 bits in a lane are two blocks of 1024 x 4; of 32 bits in all lanes, three rows of two blocks of 256 x 16."""
    weight = np.random.default_rng(0).integers(-8, 8, (2800, 30))
    nodes = (Input("in", (), (30,)), Linear("fc", ("in",), weight, 4), Neuron("neurons", ("fc",)), Readout("out", ("neurons",)))
    plan = make_plan(Graph("wide", nodes, 2), lanes={"neurons": 4}, formats=name)
    assert plan.layers[0].current_bits == 8
    currents = next(use for use in map_memories(plan, load_board("icebreaker")) if use.memory.role == "currents")
    assert (currents.resource, currents.blocks, currents.rows) == ("block_ram", blocks, rows)

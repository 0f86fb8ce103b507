"""What memories waste of their blocks, against the blocks counted by hand."""

import numpy as np
import pytest

from snnhw.board import load_board
from snnhw.ir import Graph, Input, Linear, Neuron, NeuronSpec, Readout
from snnhw.plan import make_plan
from snnhw.plan.waste import memory_rows


def rows_of(board: str, **choices) -> dict[str, dict[str, object]]:
    weight = np.random.default_rng(0).integers(-8, 8, (32, 200))
    neurons = Neuron("lif", ("fc",), NeuronSpec(30, bits=12))
    graph = Graph("net", (Input("in", (), (200,)), Linear("fc", ("in",), weight, 4), neurons, Readout("out", ("lif",))), 4)
    rows = memory_rows(make_plan(graph, lanes=8, formats="dense", packings="none", **choices), load_board(board))
    return {str(row["memory"]): row for row in rows}


def test_a_memory_fills_its_blocks_as_far_as_its_bits_go():
    """800 words of 32 bits: as 512 x 8, two blocks deep and four wide."""
    weights = rows_of("icebreaker")["weights"]
    assert (weights["bits"], weights["resource"], weights["blocks"], weights["capacity"]) == (25_600, "block_ram", 8, 8 * 4096)
    assert weights["waste"] == pytest.approx(1 - 25_600 / (8 * 4096))


def test_single_port_ram_is_large_and_empty():
    weights = rows_of("icebreaker", load_weights=True)["weights"]
    assert (weights["resource"], weights["blocks"]) == ("single_port_ram", 2)
    assert weights["waste"] == pytest.approx(1 - 25_600 / (2 * 262_144))


def test_what_becomes_logic_wastes_nothing():
    membranes = rows_of("ulx3s-85f")["membranes"]
    assert membranes["resource"] in ("lut_ram", "logic")
    assert membranes["waste"] is None

"""Counts by width: they are the counts, and the bits that the rungs price."""

import numpy as np
import pytest
from example_graphs import EXAMPLES, example_graph, spikes_of

from snnhw.board import load_board
from snnhw.cost.flow import predict_counts
from snnhw.cost.results import layers_json
from snnhw.cost.rungs import finaliser_bits
from snnhw.cost.tables import TextTable
from snnhw.cost.widths import access_rows, count_table, finaliser_steps, operation_rows, work_json
from snnhw.plan import make_plan
from snnhw.plan.accesses import access_names, queue_names
from snnhw.plan.queued import Queued
from snnhw.reference import run
from snnhw.verify.random_graphs import random_graph_case
from snnhw.verify.random_networks import random_case

BOARD = load_board("icebreaker")


def counted(plan, spikes):
    trains = run(plan.graph, spikes, keep_membranes=False).spikes
    return trains, predict_counts(plan, trains)


@pytest.mark.parametrize("seed", range(24))
def test_steps_of_the_finaliser_have_the_bits_that_are_priced(seed):
    case = random_case(seed, largest=12) if seed % 2 else random_graph_case(seed)
    for layer in case.plan.layers:
        bits = dict.fromkeys(("add", "compare", "multiply"), 0)
        for operation, width, number in finaliser_steps(layer):
            bits[operation] += width * number
        assert tuple(bits.values()) == finaliser_bits(layer)


@pytest.mark.parametrize("seed", range(16))
def test_every_access_has_a_row_whose_parts_fill_the_word(seed):
    case = random_case(seed, largest=12) if seed % 2 else random_graph_case(seed)
    plan = case.plan
    _, counts = counted(plan, case.spikes)
    rows = access_rows(plan, counts, BOARD)
    for row in rows:
        assert sum(row["parts"].values()) == row["word_bits"], row
        assert row["bits"] == row["count"] * row["word_bits"]
        assert (row["blocks"] > 0) == (row["resource"] not in ("logic",))
    for layer in plan.layers:
        mine = [row for row in rows if row["layer"] == layer.name]
        signals = {*access_names(layer), *queue_names(layer)} - {"finalise"}
        assert {row["signal"] for row in mine} == signals - ({"accumulate"} if not layer.scattered else set())
        for signal in signals - {"accumulate"}:
            assert sum(row["count"] for row in mine if row["signal"] == signal) == pytest.approx(counts.mean(layer.index, signal))


def test_header_words_are_index_bits():
    rng = np.random.default_rng(5)
    case = random_case(3, largest=20)
    names = {layer.name: "bitmap" for layer in case.plan.layers}
    plan = make_plan(case.plan.graph, formats=names, lanes=2)
    _, counts = counted(plan, rng.random(case.spikes.shape) < 0.5)
    layer = max(plan.layers, key=lambda layer: layer.synapses.headers)
    assert layer.synapses.headers > 0
    reads = [row for row in access_rows(plan, counts, BOARD) if row["signal"] == "weights_read" and row["layer"] == layer.name]
    assert [tuple(row["parts"]) for row in reads] == [("index",), ("weights",)]
    assert reads[1]["count"] == pytest.approx(counts.mean(layer.index, "accumulate"))
    assert sum(row["count"] for row in reads) == pytest.approx(counts.mean(layer.index, "weights_read"))


@pytest.mark.parametrize("name", EXAMPLES)
def test_additions_of_weights_that_are_not_zero_are_among_all(name):
    graph = example_graph(name)
    plan = make_plan(graph, lanes=2)
    trains, counts = counted(plan, spikes_of(graph, 3))
    for row in operation_rows(plan, trains, counts):
        layer = next(layer for layer in plan.layers if layer.name == row["layer"])
        if row["unit"] == "adders":
            assert 0 <= row["not_zero"] <= row["count"]
            lanes = 1 if isinstance(layer.synapses, Queued) else layer.lanes
            assert row["count"] == pytest.approx(counts.mean(layer.index, "accumulate") * lanes)
        else:
            assert row["count"] % counts.mean(layer.index, "finalise") == 0
    table = count_table(layers_json(plan, trains, counts), work_json(plan, trains, counts, BOARD))
    assert isinstance(table, TextTable)
    assert [row[0] for row in table.rows] == [layer.name for layer in plan.layers]
    for row in table.rows:
        assert sum(float(cell.rstrip("%")) for cell in row[-3:]) == pytest.approx(100, abs=0.2)

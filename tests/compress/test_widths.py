"""Widths of weights and states: the exact choice, and what the measurements say."""

import itertools
import re
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snnhw.board import load_board
from snnhw.compress.widths import allocate, narrow_states
from snnhw.errors import NetworkError
from snnhw.ir import load_graph
from snnhw.reference import run

WIDTHS = (2, 3, 4, 8)
tables = st.lists(st.tuples(*[st.tuples(st.floats(0, 1), st.integers(0, 100))] * len(WIDTHS)), min_size=1, max_size=4)


@given(tables, st.floats(0, 2))
@settings(max_examples=150, deadline=None)
def test_the_choice_is_the_cheapest_within_the_budget(rows, budget):
    rises = {f"layer {index}": {bits: row[place][0] for place, bits in enumerate(WIDTHS)} for index, row in enumerate(rows)}
    costs = {f"layer {index}": {bits: row[place][1] for place, bits in enumerate(WIDTHS)} for index, row in enumerate(rows)}
    every = [dict(zip(rises, choice, strict=True)) for choice in itertools.product(WIDTHS, repeat=len(rows))]

    def rise(choice):
        total = 0.0
        for name, bits in choice.items():
            total += rises[name][bits]
        return total

    allowed = [choice for choice in every if rise(choice) <= budget]
    if not allowed:
        with pytest.raises(NetworkError, match="no widths keep the rise of the loss within"):
            allocate(rises, costs, budget)
        return
    chosen = allocate(rises, costs, budget)
    assert rise(chosen) <= budget
    best = min(sum(costs[name][bits] for name, bits in choice.items()) for choice in allowed)
    assert sum(costs[name][bits] for name, bits in chosen.items()) == best


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    from snnhw.compress.flow import lower_model
    from snnhw.sweep.widths import find_widths
    folder = tmp_path_factory.mktemp("widths")
    lower_model("models/digits", folder / "run")
    results = find_widths("models/digits", folder / "narrow", widths=WIDTHS, budget=0.2, board=load_board("icebreaker"),
                          samples=300, state_loss=0.01)
    return folder, results


def test_narrower_weights_cost_more_loss_and_fewer_bits(found):
    _, results = found
    for name, rises in results["rises"].items():
        assert rises[2] > rises[8] == 0
        assert rises[2] > rises[4]
        assert results["costs"][name][4] * 2 == results["costs"][name][8]
    assert results["rise"] <= 0.2
    assert results["cost"] < results["uniform_costs"][8]


def test_the_recipe_it_writes_trains_from_the_float_network(found, tmp_path):
    from snnhw.compress.config import load_recipe
    from snnhw.compress.flow import lower_model, train_model
    folder, results = found
    recipe = load_recipe(folder / "narrow" / "recipe.toml")
    assert {name: recipe.quantize.layers[name]["weight_bits"] for name in results["chosen"]} == results["chosen"]
    path = folder / "narrow" / "recipe.toml"
    path.write_text(re.sub(r"(finetune = .*?epochs = )\d+", r"\g<1>2", path.read_text()))
    assert load_recipe(path).finetune.epochs == 2
    train_model(folder / "narrow", tmp_path, pretrained=folder / "narrow" / "float.safetensors")
    lowered = lower_model(folder / "narrow", tmp_path)
    assert lowered["ok"]
    assert lowered["accuracy"]["integer"] > 0.93
    assert {row["neuron"]: row["weight_bits"] for row in lowered["layers"]} == results["chosen"]
    assert all(row["state_bits"] == recipe.quantize.layers[row["neuron"]]["state_bits"] < 12 for row in lowered["layers"])


@pytest.mark.parametrize("loss", [0.0, 0.05])
def test_states_are_as_narrow_as_the_accuracy_allows(found, loss):
    folder, _ = found
    graph = load_graph(folder / "run" / "graph.safetensors")
    from snnhw.files import read_tensors
    tensors, _ = read_tensors(Path(folder / "run" / "samples.safetensors"), "samples")
    spikes, labels = graph.input.encoding(tensors["values"][:200], graph.timesteps), tensors["labels"][:200]

    def accuracy(candidate):
        return float((run(candidate, spikes).decisions == labels).mean())

    narrow, rows = narrow_states(graph, spikes, labels, loss)
    assert accuracy(narrow) >= accuracy(graph) - loss
    assert accuracy(narrow) == rows[-1]["accuracy"]
    assert {row["name"]: row["after"] for row in rows} == {node.name: node.spec.bits for node in narrow.neurons}
    assert all(row["after"] < row["before"] for row in rows)
    assert all(np.array_equal(left.spec.threshold, right.spec.threshold)
               for left, right in zip(graph.neurons, narrow.neurons, strict=True))


@pytest.mark.parametrize("objective", ["blocks", "energy"])
def test_hardware_prices_the_widths(objective):
    from snnhw.sweep.widths import find_widths
    with tempfile.TemporaryDirectory() as place:
        results = find_widths("models/digits", Path(place) / "out", widths=(2, 8), budget=1.0, objective=objective,
                              board=load_board("icebreaker"), samples=100)
    for costs in results["costs"].values():
        assert 0 < costs[2] <= costs[8]
    assert results["cost"] <= results["uniform_costs"][8]

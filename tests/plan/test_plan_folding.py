"""Folding against trying everything, and the lower bound it rests on."""

import math
from functools import cache
from itertools import pairwise, product

import numpy as np
import pytest
from example_graphs import example_graph, spikes_of

from snnhw.board import Board, available, load_board
from snnhw.errors import BoardError, UsageError
from snnhw.ir import Decay, Graph, Input, Linear, Neuron, NeuronSpec, Readout
from snnhw.plan import Choices, folding, make_plan
from snnhw.plan.area import Area, estimate_area
from snnhw.plan.cycles import predict_cycles
from snnhw.plan.folding import Goal, fold, fold_samples, format_time, parse_area, parse_time
from snnhw.plan.pace import plan_pace
from snnhw.plan.space import Choice, Space, lane_steps, statistic_of
from snnhw.reference import run


def chain(*sizes: int, timesteps: int = 5, seed: int = 0) -> Graph:
    """Return a chain of dense layers of leaky neurons with random weights."""
    rng = np.random.default_rng(seed)
    nodes: list = [Input("in", (), (sizes[0],))]
    for k, (inputs, outputs) in enumerate(pairwise(sizes)):
        nodes += [Linear(f"fc{k}", (nodes[-1].name,), rng.integers(-4, 8, (outputs, inputs)), 4),
                  Neuron(f"layer{k}", (f"fc{k}",), NeuronSpec(9, Decay("shift", 2), "subtract", 9, bits=10))]
    return Graph("chain", (*nodes, Readout("out", (nodes[-1].name,))), timesteps)


def trains_of(graph: Graph, samples: int = 6, seed: int = 0) -> dict[str, np.ndarray]:
    return run(graph, spikes_of(graph, samples, seed=seed), keep_membranes=False).spikes


def with_logic(board: Board, cells: int) -> Board:
    """Return a board with fewer logic cells."""
    budget = board.budget
    return board.model_copy(update={"budget": budget.model_copy(update={
        "logic": budget.logic.model_copy(update={"count": cells})})})


ICE = load_board("icebreaker")
GRAPHS = {"two": chain(11, 9, 4), "three": chain(6, 8, 7, 3, seed=1), "wide": chain(3, 14, 2, seed=2)}


@cache
def combinations(name: str) -> list[tuple[np.ndarray, Area, dict[str, int]]]:
    """Return cycles, area and lanes of every combination of steps, each planned and estimated by itself."""
    graph, found = GRAPHS[name], []
    trains, layers = trains_of(graph), make_plan(graph).layers
    for counts in product(*(lane_steps(layer.outputs) for layer in layers)):
        lanes = {layer.name: count for layer, count in zip(layers, counts, strict=True)}
        plan = make_plan(graph, lanes=lanes)
        found.append((predict_cycles(plan, trains), estimate_area(plan, ICE), lanes))
    return found


def everything(name: str, statistic: str = "worst", cells: int = 5280) -> list[tuple[float, tuple, dict[str, int]]]:
    """Return latency, cost and lanes of every combination that fits the board, and so many logic cells."""
    return [(statistic_of(cycles, statistic), (*(area.used[part][0] for part in ("logic", "block_ram", "flip_flops")),
                                               sum(lanes.values())), lanes) for cycles, area, lanes in combinations(name)
            if area.used["logic"][2] <= cells and all(high <= available(ICE)[part] for part, (*_, high) in area.used.items())]


@pytest.mark.parametrize(("units", "steps"), [(1, (1,)), (7, (1, 2, 3, 4, 7)), (10, (1, 2, 3, 4, 5, 10))])
def test_steps_are_the_lanes_that_save_a_tile(units, steps):
    assert lane_steps(units) == steps
    tiles = [-(-units // lanes) for lanes in range(1, units + 1)]
    assert steps == tuple(lanes for lanes in range(1, units + 1) if lanes == 1 or tiles[lanes - 1] < tiles[lanes - 2])
    assert lane_steps(1000)[-1] == 250  # 4 tiles; 256 lanes need as many


@pytest.mark.parametrize("statistic", ["worst", "p99", "mean"])
@pytest.mark.parametrize("name", GRAPHS)
def test_no_combination_is_smaller_and_fast_enough(name, statistic):
    graph, trains = GRAPHS[name], trains_of(GRAPHS[name])
    space, tried = Space(graph, ICE, trains), everything(name, statistic)
    limits = sorted({latency for latency, *_ in tried})
    for cycles in limits[::max(1, len(limits) // 9)]:
        found = fold(space, Goal("latency", cycles / 12e6, statistic))
        assert found.proven
        assert found.latency_cycles == statistic_of(predict_cycles(found.plan, trains), statistic) <= cycles
        assert space.cost(tuple(next(index for index, choice in enumerate(choices) if choice.lanes == lanes) for choices, lanes in
                                zip(space.choices, found.configuration["lanes"].values(), strict=True))) \
            == min(cost for latency, cost, _ in tried if latency <= cycles)


@pytest.mark.parametrize("name", GRAPHS)
def test_no_combination_is_faster_and_small_enough(name):
    space = Space(GRAPHS[name], ICE, trains_of(GRAPHS[name]))
    sizes = sorted({space.area(combination).used["logic"][2] for combination in product(*map(range, map(len, space.choices)))})
    for cells in sizes[::max(1, len(sizes) // 7)]:
        tried = everything(name, cells=cells)
        found = fold(space, Goal("area", cells))
        assert found.proven
        assert found.area.used["logic"][2] <= cells
        best = min(latency for latency, *_ in tried)
        assert found.latency_cycles == best
        assert found.area.used["logic"][0] == min(cost[0] for latency, cost, _ in tried if latency == best)
    fastest = fold(space, Goal("fastest"))
    assert fastest.latency_cycles == min(latency for latency, *_ in everything(name))


def test_lanes_between_two_steps_are_no_faster():
    graph, trains = GRAPHS["two"], trains_of(GRAPHS["two"])
    fastest = fold(Space(graph, ICE, trains), Goal("fastest")).latency_cycles
    for first, second in product(range(1, 10), range(1, 5)):
        assert predict_cycles(make_plan(graph, lanes={"layer0": first, "layer1": second}), trains).max() >= fastest


def test_a_space_too_large_to_walk_through_is_climbed(monkeypatch):
    graph, trains = GRAPHS["three"], trains_of(GRAPHS["three"])
    space = Space(graph, ICE, trains)
    middle = sorted({latency for latency, *_ in everything("three")})[20]
    best = fold(space, Goal("latency", middle / 12e6))
    monkeypatch.setattr(folding, "MAX_WALKED", 0)
    found = fold(space, Goal("latency", middle / 12e6))
    assert not found.proven
    assert found.latency_cycles <= middle
    assert found.area.used["logic"][0] <= 1.1 * best.area.used["logic"][0]
    for name, lanes in found.configuration["lanes"].items():  # no layer can be narrower
        steps = lane_steps(make_plan(graph).layers[int(name[-1])].outputs)
        if lanes > 1:
            fewer = found.configuration["lanes"] | {name: steps[steps.index(lanes) - 1]}
            assert predict_cycles(make_plan(graph, lanes=fewer), trains).max() > middle


@pytest.mark.parametrize("statistic", ["worst", "mean"])
def test_what_few_samples_choose_holds_for_all(statistic):
    graph = GRAPHS["two"]
    trains = trains_of(graph, 100)
    space = Space(graph, ICE, trains)
    limits = sorted({statistic_of(space.cycles(each), statistic) for each in product(*map(range, map(len, space.choices)))})
    searched_again = False
    for limit in limits[1::3]:
        goal = Goal("latency", limit / 12e6, statistic)
        found, whole = fold_samples(graph, ICE, trains, goal, most=1), fold(space, goal)
        assert statistic_of(predict_cycles(found.plan, trains), statistic) == found.latency_cycles <= limit
        assert len(found.cycles) == 100
        searched_again |= found.followed > 1 or not found.proven
        if found.proven and statistic == "worst":
            assert found.area.used["logic"][0] == whole.area.used["logic"][0]
        assert found.area.used["logic"][0] >= whole.area.used["logic"][0]
    assert searched_again
    assert fold_samples(graph, ICE, trains, Goal("fastest"), most=100).latency_cycles == limits[0] or statistic == "mean"


def test_the_same_question_has_the_same_answer():
    graph, trains = GRAPHS["three"], trains_of(GRAPHS["three"])
    answers = [fold(Space(graph, ICE, trains), Goal("area", 1400)).as_dict() for _ in range(2)]
    assert answers[0] == answers[1]


@pytest.mark.parametrize("name", [*GRAPHS, "conv", "recurrent", "state", "count"])
@pytest.mark.parametrize("lanes", [1, 3, 256])
def test_the_pace_is_a_lower_bound(name, lanes):
    graph = GRAPHS.get(name) or example_graph(name)
    trains, plan = trains_of(graph, 12), make_plan(graph, lanes=lanes)
    plans = [plan]
    if name in GRAPHS:
        plans += [make_plan(graph, lanes=lanes, **{option: value}) for option, value in (
            ("events", "bitmap"), *(("formats", kind) for kind in ("bank", "csc", "run-length", "block")))]
    for plan in plans:
        pace = plan_pace(plan, trains).max(axis=(0, 1)).sum(axis=1)
        assert (pace <= predict_cycles(plan, trains)).all()


def test_loaded_weights_are_folded_too():
    graph = chain(300, 60, 10, timesteps=3)
    trains = trains_of(graph, 3)
    with pytest.raises(BoardError, match=r"^network 'chain' needs \d+ SB_RAM40_4K blocks, 1BitSquared iCEBreaker 1\.0 "
                                         r"\(iCE40UP5K\) has 30: load the weights at run time into its SB_SPRAM256KA blocks, or"):
        fold(Space(graph, ICE, trains, choices={"layer0": [Choice(60)]}), Goal("fastest"))
    found = fold(Space(graph, ICE, trains, fixed={"load_weights": True}), Goal("fastest"))
    assert found.configuration["load_weights"] is True
    assert found.area.used["single_port_ram"][0] > 0
    assert make_plan(graph, **found.configuration).layers[0].lanes == found.configuration["lanes"]["layer0"]
    assert Choices.of(found.plan).lanes == found.configuration["lanes"]


def test_further_options_of_a_layer_are_chosen_with_its_lanes():
    rng = np.random.default_rng(3)
    weight = rng.integers(1, 8, (12, 40)) * (rng.random((12, 40)) < 0.1)
    graph = Graph("sparse", (Input("in", (), (40,)), Linear("fc", ("in",), weight, 4),
                             Neuron("out", ("fc",), NeuronSpec(9, Decay("shift", 2), "subtract", 9, bits=10)),
                             Readout("class", ("out",))), 4)
    choices = [Choice(lanes, (("formats", name),)) for lanes in lane_steps(12) for name in ("dense", "csc")]
    space = Space(graph, ICE, trains_of(graph), choices={"out": choices})
    tried = []
    for index, choice in enumerate(space.choices[0]):
        plan = make_plan(graph, lanes={"out": choice.lanes}, formats=dict(choice.others).get("formats"))
        assert predict_cycles(plan, space.trains).tolist() == space.cycles((index,)).tolist()
        tried.append((predict_cycles(plan, space.trains).max(), estimate_area(plan, ICE).used["logic"][0]))
    for limit in sorted({latency for latency, _ in tried}):
        found = fold(space, Goal("latency", limit / 12e6))
        assert found.area.used["logic"][0] == min(cells for latency, cells in tried if latency <= limit)
        assert found.configuration["formats"].keys() == {"out"}


def test_what_cannot_be_reached_is_answered_with_the_nearest():
    graph, trains = GRAPHS["two"], trains_of(GRAPHS["two"])
    space = Space(graph, ICE, trains)
    fastest, smallest = fold(space, Goal("fastest")), fold(space, Goal("latency", 1.0))
    with pytest.raises(UsageError) as error:
        fold(space, Goal("latency", 1e-7))
    assert str(error.value) == (
        f"target latency must be at least {format_time(fastest.seconds)} for network 'chain' on 1BitSquared iCEBreaker 1.0 "
        f"(iCE40UP5K) at 12 MHz, not 100 ns: the fastest folding that fits, with lanes layer0=9, layer1=4, takes "
        f"{fastest.latency_cycles:,.0f} cycles (worst of 6 samples)")
    assert fold(space, Goal("latency", fastest.seconds)).latency_cycles == fastest.latency_cycles
    high = smallest.area.used["logic"][2]
    with pytest.raises(UsageError) as error:
        fold(space, Goal("area", high - 1))
    assert str(error.value) == (
        f"target area must be at least {high:,} logic cells for network 'chain' on 1BitSquared iCEBreaker 1.0 (iCE40UP5K), the "
        f"upper bound of the estimate of its smallest folding, not {high - 1:,}")
    assert fold(space, Goal("area", high)).area.used["logic"][2] == high
    with pytest.raises(BoardError, match=r"^network 'chain' needs about \d+ logic cells .* has 300: use fewer lanes"):
        fold(Space(graph, with_logic(ICE, 300), trains), Goal("fastest"))


def test_a_latency_is_at_a_clock():
    graph, trains = GRAPHS["two"], trains_of(GRAPHS["two"])
    space = Space(graph, ICE, trains)
    board, double, most = (fold(space, Goal("fastest"), clock_hz=clock) for clock in (None, 24e6, "max"))
    assert board.clock_hz == 12e6
    assert double.seconds == board.seconds / 2
    assert most.clock_hz == most.area.fmax_mhz[1] * 1e6 > 24e6
    assert fold(space, Goal("latency", board.seconds), clock_hz=24e6).latency_cycles > board.latency_cycles
    with pytest.raises(UsageError, match=r"^clock must be at most [\d.]+ MHz on 1BitSquared iCEBreaker 1\.0 \(iCE40UP5K\), the "
                                         r"upper bound of the estimated highest frequency, not 1000$"):
        fold(space, Goal("fastest"), clock_hz=1e9)
    with pytest.raises(UsageError, match=r"^clock must be given in MHz for Digilent .*: its highest frequency is not estimated"):
        fold(Space(graph, load_board("arty-a7-35t"), trains), Goal("fastest"), clock_hz="max")


@pytest.mark.parametrize(("text", "seconds"), [("1ms", 1e-3), ("50us", 5e-5), ("0.5 ms", 5e-4), ("2s", 2.0), ("700ns", 7e-7),
                                               ("3µs", 3e-6)])
def test_a_time_has_a_unit(text, seconds):
    assert math.isclose(parse_time(text, "time"), seconds)


@pytest.mark.parametrize("text", ["", "1", "ms", "-1ms", "0ms", "1e3ms", "1 minute", "nan s", "1ms\n2ms"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(UsageError, match=r"^--target-latency must be a time such as 1ms or 50us, not "):
        parse_time(text, "--target-latency")


@pytest.mark.parametrize(("text", "cells"), [("60%", 3168), ("1500", 1500), ("12.5 %", 660), ("100%", 5280)])
def test_an_area_is_a_share_or_a_count(text, cells):
    assert parse_area(text, ICE, "area") == cells


@pytest.mark.parametrize("text", ["", "0", "0%", "12.5", "-3", "many", "60%%"])
def test_what_is_no_area_is_refused(text):
    with pytest.raises(UsageError, match=r"^--target-area must be a share of the board such as 60%, or a number of its logic "
                                         r"cells, not "):
        parse_area(text, ICE, "--target-area")


@pytest.mark.parametrize(("seconds", "text"), [(1.5, "1.5 s"), (0.0012345, "1.234 ms"), (4.2e-5, "42 µs"), (1e-7, "100 ns")])
def test_times_are_written_in_the_unit_that_suits(seconds, text):
    assert format_time(seconds) == text


def test_a_statistic_is_one_of_three():
    cycles = np.arange(1, 201)
    assert [statistic_of(cycles, name) for name in ("worst", "p99", "mean")] == [200, 199, 100.5]
    with pytest.raises(UsageError, match=r"^latency must be worst, p99 or mean of the samples, not 'median'$"):
        Goal("fastest", statistic="median")

# amaranth: UnusedElaboratable=no
"""Decisions on the chip: those of the reference, whatever stalls, and at no cost for the events."""

import shutil

import numpy as np
import pytest
from bench import simulate
from example_graphs import EXAMPLES, example_graph, spikes_of
from hypothesis import given, settings
from hypothesis import strategies as st
from stream_bench import carry

from rtl_gen import TOP, emit_verilog, generate, to_rtlil
from rtl_gen.decision import Decider
from snnhw import reference
from snnhw.cli.generate import _line
from snnhw.errors import FileError, UsageError
from snnhw.files import read_json, write_json
from snnhw.fixed import Interval, unsigned_bits
from snnhw.ir import Graph, Input, Linear, Neuron, NeuronSpec, Readout
from snnhw.plan import Plan, load_plan, make_plan
from snnhw.plan.cycles import predict_cycles
from snnhw.plan.decision import DecisionPlan, Results
from snnhw.tools import package_file, run_program
from snnhw.verify.checks import check_disturbed, check_undisturbed
from snnhw.verify.compare import compare, output_of
from snnhw.verify.flow import verify_folder
from snnhw.verify.native import compile_batch, compile_plan
from snnhw.verify.random_graphs import random_graph_case
from snnhw.verify.vectors import make_vectors

READOUTS = [("count", "sum"), ("first", "sum"), ("membrane", "last"), ("membrane", "max"), ("membrane", "sum")]


def decider(decision: DecisionPlan) -> Decider:
    values = decision.values
    bits = values.bits if decision.kind == "membrane" else unsigned_bits(values.highest) if values.highest > 1 else 0
    return Decider(decision, address_bits=unsigned_bits(decision.classes - 1), value_bits=bits)


def events(decision: DecisionPlan, values: np.ndarray) -> list[dict]:
    """Return what a core sends of values, (samples, timesteps, classes)."""
    block = decider(decision)
    items = []
    for sample in values:
        for step, row in enumerate(sample):
            last = int(step == len(sample) - 1)
            for address in range(len(row)) if decision.kind == "membrane" else np.flatnonzero(row):
                value = {"value": int(row[address]) & (1 << block.value_bits) - 1} if block.value_bits else {}
                items.append({"address": int(address), "last": last, "tick": 0} | value)
            items.append({"address": 0, "last": last, "tick": 1} | ({"value": 1} if block.value_bits else {}))
    return items


def draw(rng: np.random.Generator, decision: DecisionPlan, samples: int, timesteps: int) -> np.ndarray:
    """Return values with many ties among them."""
    shape = samples, timesteps, decision.classes
    if decision.kind == "membrane":
        return rng.integers(decision.values.lowest, decision.values.highest + 1, shape)
    rates = rng.choice([0.0, 0.1, 0.5, 1.0], (samples, 1, 1))
    return rng.integers(0, decision.values.highest + 1, shape) * (rng.random(shape) < rates)


def decided(decision: DecisionPlan, items: list[dict], samples: int, **timing) -> tuple[Results, dict]:
    seen = carry(decider(decision), {"i": items}, {"o": samples}, limit=4000, **timing)
    fields = [[item[name] for _, item in seen["o"]] for name in ("index", "score", "margin")]
    return Results(*(np.array(field, np.int64) for field in fields)), seen


def same(left: Results, right: Results) -> None:
    for name in ("classes", "scores", "margins"):
        np.testing.assert_array_equal(getattr(left, name), getattr(right, name), name)


@settings(max_examples=60, deadline=None)
@given(readout=st.sampled_from(READOUTS), classes=st.sampled_from([1, 2, 3, 4, 7]), timesteps=st.integers(1, 4),
       span=st.integers(1, 3), shift=st.integers(-3, 1), seed=st.integers(0, 99),
       offers=st.lists(st.booleans(), max_size=5), stalls=st.lists(st.booleans(), max_size=5))
def test_decides_as_the_reference(readout, classes, timesteps, span, shift, seed, offers, stalls):
    kind, over = readout
    interval = Interval(shift, shift + span) if kind == "membrane" else Interval(0, span)
    decision = DecisionPlan(kind, over, classes, timesteps, interval)
    values = draw(np.random.default_rng(seed), decision, 12, timesteps)
    got, _ = decided(decision, events(decision, values), len(values), offers={"i": offers}, stalls={"o": stalls})
    same(got, decision.expect(values))
    np.testing.assert_array_equal(got.classes, reference.decide(values, kind, over))


@pytest.mark.parametrize(("kind", "over"), READOUTS)
def test_the_lowest_class_wins_a_tie(kind, over):
    decision = DecisionPlan(kind, over, 4, 3, Interval(-2, 3) if kind == "membrane" else Interval(0, 1))
    values = np.zeros((3, 3, 4), np.int64)
    values[0, :, [1, 3]] = 1
    values[1, 1, 2:] = 1
    got, _ = decided(decision, events(decision, values), 3)
    assert got.classes.tolist() == [1, 0 if (kind, over) == ("membrane", "last") else 2, 0]
    assert got.margins.tolist() == [0, 0, 0]


@pytest.mark.parametrize(("kind", "over"), [("count", "sum"), ("membrane", "max")])
def test_a_lower_class_that_catches_up_wins(kind, over):
    decision = DecisionPlan(kind, over, 3, 2, Interval(0, 1))
    values = np.array([[[0, 0, 1], [0, 1, 0]], [[0, 1, 0], [0, 0, 1]]])
    got, _ = decided(decision, events(decision, values), 2)
    assert got.classes.tolist() == [1, 1]
    assert got.margins.tolist() == [0, 0]


def test_sums_and_margins_reach_their_ends():
    for kind in ("count", "membrane"):
        decision = DecisionPlan(kind, "sum", 2, 5, Interval(-4, 3) if kind == "membrane" else Interval(0, 3))
        values = np.zeros((2, 5, 2), np.int64)
        values[0, :, 1], values[1, :, 0] = decision.values.highest, decision.values.highest
        values[0, :, 0] = values[1, :, 1] = decision.values.lowest
        got, _ = decided(decision, events(decision, values), 2)
        assert got.classes.tolist() == [1, 0]
        assert got.scores.tolist() == [15, 15]
        assert got.margins.tolist() == [decision.scores.highest - decision.scores.lowest] * 2
        assert decision.margin_bits == int(got.margins[0]).bit_length()


def test_a_sum_of_long_ago_is_not_taken_for_one_of_now():
    """A class that is silent for as many samples as its age can tell apart, and for one less and one more."""
    decision = DecisionPlan("count", "sum", 3, 2, Interval(0, 1))
    silent = np.zeros((1, 2, 3), np.int64)
    once = silent.copy()
    once[0, :, 2] = 1
    for pause in range(1, 2 + (1 << decision.age_bits)):
        late = silent.copy()
        late[0, 0, 2] = late[0, 1, 0] = 1
        values = np.concatenate([once, *[silent] * pause, late, once])
        got, _ = decided(decision, events(decision, values), len(values))
        same(got, decision.expect(values))


@pytest.mark.parametrize(("kind", "over"), READOUTS)
def test_takes_an_event_in_every_cycle_and_answers_on_time(kind, over):
    decision = DecisionPlan(kind, over, 5, 3, Interval(-3, 3) if kind == "membrane" else Interval(0, 1))
    values = draw(np.random.default_rng(1), decision, 6, 3)
    values[:, :, 0] = 1
    values[:, 0] = 1
    items = events(decision, values)
    _, seen = decided(decision, items, len(values))
    assert [cycle for cycle, _ in seen["i"]] == list(range(len(items)))
    ticks = [cycle for cycle, item in seen["i"] if item["tick"] and item["last"]]
    latency = 3 if decision.accumulates else 2
    assert [cycle for cycle, _ in seen["o"]] == [cycle + latency for cycle in ticks]


def test_a_result_that_is_not_taken_holds_up_the_next_last_tick_and_no_event_before_it():
    decision = DecisionPlan("count", "sum", 3, 4, Interval(0, 1))
    values = np.ones((3, 4, 3), np.int64)
    items = events(decision, values)
    _, seen = decided(decision, items, 3, stalls={"o": [False] * 100 + [True] * 100})
    taken = [cycle for cycle, _ in seen["i"]]
    second = 2 * len(items) // 3 - 1
    assert taken[:second] == list(range(second))
    assert taken[second] > 100


@pytest.mark.parametrize("name", EXAMPLES)
def test_any_graph_decides_as_the_reference_without_a_cycle_more(name):
    graph = example_graph(name)
    plan, without = make_plan(graph, lanes=2, decide=True), make_plan(graph, lanes=2)
    assert plan.decision is not None
    trains = spikes_of(graph, 2)
    trace = reference.run(graph, trains)
    expected = plan.decision.expect(output_of(plan, trace))
    np.testing.assert_array_equal(expected.classes, trace.decisions)
    run = simulate(plan, trains)
    words = [int.from_bytes(word.tobytes(), "little") for word in plan.decision.pack(expected)]
    assert run.results == words
    np.testing.assert_array_equal(run.spikes, output_of(plan, trace))
    np.testing.assert_array_equal(run.cycles, simulate(without, trains).cycles)
    disturbed = simulate(plan, trains, rng=np.random.default_rng(0), isolated=False, reset_before=True)
    assert disturbed.results == words
    np.testing.assert_array_equal(disturbed.spikes, output_of(plan, trace))


def fast_plan(kind: str, *, over: str = "sum", outputs: int = 1, timesteps: int = 1) -> Plan:
    """Return a plan whose samples end as quickly after each other as they can."""
    spec = NeuronSpec(threshold=0, output="state", reset="none") if kind == "membrane" else NeuronSpec(threshold=1)
    nodes = (Input("in", (), (3,)), Linear("sum", ("in",), np.arange(3 * outputs).reshape(outputs, 3) % 7 - 2, 4),
             Neuron("out", ("sum",), spec), Readout("class", ("out",), kind, over))
    return make_plan(Graph("fast", nodes, timesteps), packings="none", decide=True)


@pytest.mark.parametrize("outputs", [1, 2, 6])
@pytest.mark.parametrize("kind", ["count", "first", "membrane"])
def test_the_shortest_samples_follow_each_other_at_full_speed(kind, outputs):
    plan = fast_plan(kind, outputs=outputs)
    trains = np.random.default_rng(3).random((30, 1, 3)) < 0.4
    trace = reference.run(plan.graph, trains)
    together = compile_plan(plan, optimize="-O0").run(trains, isolated=False)
    alone = compile_plan(make_plan(plan.graph), optimize="-O0").run(trains, isolated=False)
    assert together.results is not None
    np.testing.assert_array_equal(together.results.classes, trace.decisions)
    assert together.total_cycles == alone.total_cycles


def test_random_graphs_decide_as_the_reference_with_stalls_and_without_gaps():
    cases = [random_graph_case(seed) for seed in range(1, 25, 2)]
    kinds = set()
    for case, simulator in zip(cases, compile_batch([case.plan for case in cases]), strict=True):
        assert case.plan.decision is not None
        kinds.add((case.plan.decision.kind, case.plan.decision.over))
        for check in (check_undisturbed(simulator, case.spikes), check_disturbed(simulator, case.spikes, case.seed)):
            assert check.problem is None, check.problem
            assert check.comparison.decisions == len(case.spikes)
            assert check.comparison.decision_mismatches == 0
    assert len(kinds) >= 4


def test_another_decision_is_counted_and_named():
    plan = fast_plan("count", outputs=6, timesteps=3)
    trains = np.random.default_rng(4).random((5, 3, 3)) < 0.6
    trace = reference.run(plan.graph, trains)
    simulation = compile_plan(plan, optimize="-O0").run(trains, trace=True)
    assert compare(plan, trace, simulation).equal
    assert simulation.results is not None
    simulation.results.scores[2] += 1
    wrong = compare(plan, trace, simulation)
    assert (wrong.decisions, wrong.decision_mismatches) == (5, 1)
    score = simulation.results.scores[2]
    assert wrong.problem is not None
    assert wrong.problem.startswith(f"sample 2 must be decided as class {trace.decisions[2]} with score {score - 1} and margin ")


def test_results_survive_packing():
    rng = np.random.default_rng(0)
    for kind, over in READOUTS:
        decision = DecisionPlan(kind, over, 300, 40, Interval(-900, 700) if kind == "membrane" else Interval(0, 9))
        scores = rng.integers(decision.scores.lowest, decision.scores.highest + 1, 20)
        margins = rng.integers(0, decision.scores.highest - decision.scores.lowest + 1, 20)
        results = Results(rng.integers(0, 300, 20), scores, margins)
        same(decision.unpack(decision.pack(results)), results)


def test_a_sample_longer_than_proven_is_refused():
    decision = DecisionPlan("count", "sum", 3, 4, Interval(0, 1))
    with pytest.raises(UsageError, match=r"^samples must have between 1 and 4 timesteps for a decision on the chip, not 5$"):
        decision.expect(np.zeros((1, 5, 3), bool))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    plan = fast_plan("count", outputs=6, timesteps=3)
    target = tmp_path_factory.mktemp("decides") / "hw"
    trains = np.random.default_rng(5).random((4, 3, 3)) < 0.6
    generate(plan, target, vectors=make_vectors(plan, trains))
    return target


def test_a_folder_remembers_that_it_decides(folder):
    assert read_json(folder / "manifest.json", "manifest")["plan"]["decide"] is True
    assert load_plan(folder).decide
    assert " --decide " in _line(load_plan(folder), None, 4)
    assert "--decide" not in _line(make_plan(fast_plan("count").graph), None, 4)
    results = verify_folder(folder)
    assert results["problem"] is None
    assert (results["decisions"], results["decision_mismatches"]) == (4, 0)


@pytest.mark.parametrize("value", [1, "yes", None])
def test_a_manifest_that_decides_otherwise_is_refused(folder, tmp_path, value):
    shutil.copytree(folder, tmp_path / "hw")
    manifest = read_json(folder / "manifest.json", "manifest")
    manifest["plan"]["decide"] = value
    write_json(tmp_path / "hw" / "manifest.json", manifest)
    with pytest.raises(FileError, match=r"^manifest '.*' must be one that generate wrote$"):
        load_plan(tmp_path / "hw")


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="Icarus Verilog is not installed: apt-get install iverilog")
def test_the_shipped_bench_takes_the_decisions(folder):
    results = verify_folder(folder, simulator="icarus")
    assert results["problem"] is None
    assert (results["decisions"], results["decision_mismatches"]) == (4, 0)


@pytest.mark.parametrize(("kind", "over"), READOUTS)
def test_verilator_finds_nothing_but_what_is_waived(kind, over, tmp_path):
    generate(fast_plan(kind, over=over, outputs=5, timesteps=3), tmp_path / "hw")
    verilator = package_file("verilator", "bin", "verilator")
    run_program([verilator, "--lint-only", "-Wall", "--top-module", TOP, "../lint/waivers.vlt", f"{TOP}.v"],
                tmp_path / "hw" / "rtl")
    text = (tmp_path / "hw" / "rtl" / f"{TOP}.v").read_text()
    assert "module snnhw_top_decision(" in text
    assert "'hx" not in text
    assert "'bx" not in text


def test_a_plan_that_does_not_decide_has_no_port_for_it(tmp_path):
    plan = make_plan(fast_plan("count").graph)
    assert plan.decision is None
    assert "result" not in emit_verilog(plan, tmp_path).read_text()
    assert "decision" not in to_rtlil(plan)


def test_cycles_are_predicted_as_without_decisions():
    plan = fast_plan("count", outputs=6, timesteps=3)
    trains = np.random.default_rng(6).random((8, 3, 3)) < 0.6
    run = compile_plan(plan, optimize="-O0").run(trains)
    np.testing.assert_array_equal(run.cycles, predict_cycles(plan, reference.run(plan.graph, trains).spikes))

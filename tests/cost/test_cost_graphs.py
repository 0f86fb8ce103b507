"""Energy and cycles of networks that are no chains of dense cores."""

import numpy as np
import pytest
from example_graphs import EXAMPLES, example_graph, spikes_of

from snnhw.cost import (
    Counts,
    check_counts,
    energy_ladder,
    estimate,
    load_constants,
    memory_energy,
    network_metrics,
    operation_energy,
)
from snnhw.cost.flow import predict_counts
from snnhw.cost.rungs import accumulate_bits, place
from snnhw.errors import CheckFailed
from snnhw.plan import make_plan
from snnhw.plan.accesses import TIMES, count_accesses
from snnhw.plan.cycles import predict_cycles
from snnhw.reference import run

DRAWS = 100
ASIC = load_constants("asic45")


def planned(name, lanes=2, samples=3):
    graph = example_graph(name)
    plan = make_plan(graph, lanes=lanes)
    return plan, dict(run(graph, spikes_of(graph, samples)).spikes)


def measured_by(plan, spikes):
    from snnhw.verify.native import simulate
    simulation = simulate(plan, spikes, activity=True, engine="cxxrtl", optimize="-O0")
    activity = simulation.activity
    return {"engine": simulation.engine, "cycles": simulation.cycles, "accesses": simulation.accesses,
            "toggles": {name: net.owned_toggles for name, net in activity.nets.items()}, "aliases": activity.aliases}


@pytest.mark.parametrize("name", EXAMPLES)
def test_cycles_are_exact(name):
    plan, trains = planned(name)
    results = estimate(plan, trains, draws=DRAWS)
    assert results["cycles"]["mean"] == predict_cycles(plan, trains).mean()
    assert results["cycles"]["label"] == results["microseconds"]["label"] == "exact"
    queued = {layer.name for layer in plan.layers if any(source.queue for source in layer.sources) or layer.format == "queued"}
    for rung in results["energy"][1:]:
        assert {row["layer"] for row in rung["rows"] if row["kind"] == "queues"} == queued


@pytest.mark.parametrize("name", ["conv", "recurrent", "graded"])
def test_real_hardware_is_counted_exactly(name):
    """R1 equals A1: the accesses of the simulated RTL are those of the plan, sample by sample, and so are the joules."""
    plan, trains = planned(name)
    measured = measured_by(plan, trains[plan.graph.input.name])
    results = energy_ladder(plan, trains, measured=measured, draws=DRAWS)
    signals = sum(len(layer) + len(TIMES) for layer in count_accesses(plan, trains))
    assert results["count_identity"] == {"compared": 3 * (signals + 1), "different": 0, "engine": "cxxrtl"}
    rungs = {(rung["rung"], rung["constants_kind"]): rung for rung in results["rungs"]}
    assert rungs["R1", "asic"]["rows"] == rungs["A1", "asic"]["rows"]
    assert rungs["R1", "asic"]["mid_pj"] == rungs["A1", "asic"]["mid_pj"] > 0
    assert rungs["R1", "fpga"]["rows"] == rungs["A2", "fpga"]["rows"]
    assert 0.2 < rungs["R2", "fpga"]["mid_pj"] / rungs["A2", "fpga"]["mid_pj"] < 5
    assert {row["layer"] for row in rungs["R2", "fpga"]["rows"]} == {*(layer.name for layer in plan.layers), ""}


def test_a_wrong_count_fails():
    plan, trains = planned("conv")
    counts = predict_counts(plan, trains)
    assert check_counts(plan, counts, counts) == 3 * (sum(len(layer) + len(TIMES) for layer in counts.layers) + 1)
    with pytest.raises(CheckFailed, match=r"^count 'cycles' of the design in sample 0 was predicted as "):
        check_counts(plan, counts, Counts.of(plan, counts.layers, counts.cycles + 7))
    layers = [dict(layer) for layer in counts.layers]
    layers[0]["currents_clear"] = layers[0]["currents_clear"] + np.array([0, 0, 1])
    with pytest.raises(CheckFailed, match=r"^count 'currents_clear' of layer 'maps' \(core 0\) in sample 2 was predicted as "):
        check_counts(plan, counts, Counts.of(plan, layers, counts.cycles))


def made_up(plan, **signals):
    sizes = {plan.graph.input.name: plan.inputs} | {layer.name: layer.outputs for layer in plan.layers}
    counts = predict_counts(plan, {name: np.zeros((1, 1, size), bool) for name, size in sizes.items()})
    return Counts.of(plan, [{name: np.array([signals.get(name, 0) if index == 0 else 0]) for name in layer}
                            for index, layer in enumerate(counts.layers)], counts.cycles)


def test_operations_of_a_list_by_hand():
    """Every lane of a word is an addition; a graded event multiplies its weight as well."""
    for name in ("conv", "graded"):
        plan, _ = planned(name)
        layer = plan.layers[0]
        assert layer.lanes == {"conv": 2, "graded": 2}[name]
        value_bits = {"conv": 0, "graded": 4}[name]
        added, multiplied = accumulate_bits(layer, {"accumulate": 10})
        assert added == 10 * layer.lanes * layer.current_bits
        assert multiplied == 10 * layer.lanes * layer.weight_bits * value_bits
        energy = operation_energy(plan, made_up(plan, accumulate=10), ASIC, draws=DRAWS)
        assert energy.mid_pj == pytest.approx(added * ASIC["add"].mid + multiplied * ASIC["multiply"].mid)


def test_a_word_of_currents_is_read_and_written():
    plan, _ = planned("conv")
    layer = plan.layers[0]
    before = operation_energy(plan, made_up(plan, accumulate=7), ASIC, draws=DRAWS).mid_pj
    memory = next(memory for memory in layer.memories if memory.role == "currents")
    assert memory.bits < 4096
    access = 0.367 * 0.5**0.5 * (max(memory.width, 8) / 16) ** 0.48
    energy = memory_energy(plan, made_up(plan, accumulate=7), ASIC, draws=DRAWS)
    assert energy.mid_pj - before == pytest.approx(7 * access * (1 + 1.2))
    assert energy.part(kind="currents").mid_pj == pytest.approx(7 * access * (1 + 1.2))
    for signal, cost in (("currents_read", 1), ("currents_clear", 1.2)):
        assert memory_energy(plan, made_up(plan, **{signal: 3}), ASIC, draws=DRAWS).mid_pj == pytest.approx(3 * access * cost)
    only = memory_energy(plan, made_up(plan, sources_read=5), ASIC, draws=DRAWS)
    assert only.mid_pj == only.part(kind="sources").mid_pj > 0


@pytest.mark.parametrize("name", EXAMPLES)
def test_metrics_agree_with_the_reference_counts(name):
    plan, trains = planned(name)
    expected = run(plan.graph, trains[plan.graph.input.name], keep_membranes=False).counts
    metrics = network_metrics(plan, trains)
    pools = sum(layer.outputs * plan.graph.timesteps for layer in plan.layers if layer.name not in expected)
    assert metrics["membrane_updates"] == sum(count.membrane_updates.mean() for count in expected.values()) + pools
    if name != "conv":  # the reference does not count pools
        effective = metrics["effective_acs"] + metrics["effective_macs"]
        assert effective == pytest.approx(sum(count.effective_operations.mean() for count in expected.values()))
    assert (metrics["effective_macs"] > 0) == (name in ("graded", "count"))


def test_the_walker_accumulates():
    assert place(["layer1.walker.added_0"]) == (1, "accumulate")
    assert place(["merge1.ticked"]) == (None, "logic")

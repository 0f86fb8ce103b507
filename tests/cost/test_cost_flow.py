"""The flow: what the commands get is JSON, agrees with itself, and R1 equals A on the real RTL."""

import json

import numpy as np
import pytest
from cost_plans import example

from snnhw.board import load_board
from snnhw.cost import (
    comparison_table,
    constants_table,
    energy_ladder,
    energy_table,
    estimate,
    layer_table,
    load_constants,
    predict_counts,
)
from snnhw.errors import CheckFailed, UsageError
from snnhw.plan.accesses import TIMES

DRAWS = 300


def made_up(plan, counts):
    """Return a measurement that agrees with the predicted counts."""
    return {
        "engine": "none",
        "cycles": counts.cycles,
        "accesses": [dict(layer) for layer in counts.layers],
        "toggles": {"layer0.accumulator.total_0": 9000, "layer1.finaliser.state": 600, "m_axis_tdata": 50},
    }


def ladder(**options):
    plan, trains, counts = example()
    return energy_ladder(plan, trains, measured=made_up(plan, counts), board=load_board("icebreaker"), draws=DRAWS, **options)


def test_predicted_counts_are_those_of_the_plan():
    plan, trains, counts = example()
    found = predict_counts(plan, trains)
    assert np.array_equal(found.cycles, counts.cycles)
    # The parameters of the first layer are the same for all neurons; those of the second lie in a memory.
    dense = {"events_write", "events_read", "weights_read", "accumulate", "finalise", "membranes_read", "membranes_write",
             "parameters_read", "events_sent"}
    assert [dense - set(layer) for layer in found.layers] == [{"parameters_read"}, set()]
    assert [set(layer) - dense for layer in found.layers] == [set(), set()]
    assert [set(layer) for layer in found.times] == [set(TIMES)] * 2
    for layer in found.times:
        assert (layer["busy"] + layer["stalled"] + layer["idle"] == found.cycles).all()


def test_results_are_json_and_repeatable():
    plan, trains, _ = example()
    for results in (lambda: ladder(), lambda: estimate(plan, trains, board=load_board("ulx3s-85f"), draws=DRAWS)):
        first, second = (json.dumps(results(), allow_nan=False) for _ in range(2))
        assert first == second


def test_estimate_has_cycles_time_and_utilisation():
    plan, trains, counts = example()
    results = estimate(plan, trains, clock_hz=10e6, draws=DRAWS)
    assert results["cycles"]["mean"] == counts.cycles.mean()
    assert results["microseconds"]["max"] == pytest.approx(counts.cycles.max() / 10)
    assert results["samples_per_second"] == pytest.approx(10e6 / counts.cycles.mean())
    work = sum(row["metrics"]["synaptic_operations"] for row in results["layers"])
    assert results["lane_utilisation"] == pytest.approx(work / (sum(layer.lanes for layer in plan.layers) * counts.cycles.mean()))
    assert results["layers"][0]["lane_utilisation"] == pytest.approx(
        trains["in"].sum() / 3 * 20 / (plan.layers[0].lanes * counts.cycles.mean())
    )
    assert [energy["rung"] for energy in results["energy"]] == ["A0", "A1", "A2"]
    assert results["energy"][2]["median"] / results["energy"][2]["pj_per_synaptic_operation"] == pytest.approx(work, rel=0.2)
    assert results["network"] == "example"
    assert results["clock_hz"] == 10e6


def test_board_gives_clock_and_constants():
    plan, trains, _ = example()
    results = estimate(plan, trains, board=load_board("ulx3s-85f"), draws=DRAWS)
    assert (results["clock_hz"], results["board"]) == (25e6, "ulx3s-85f")
    assert results["energy"][2]["constants"] == "ecp5"
    assert "largest term ASSUMED: static" in results["energy"][2]["text"]
    plain = estimate(plan, trains, draws=DRAWS)
    assert (plain["clock_hz"], plain["board"], plain["energy"][2]["constants"]) == (12e6, "icebreaker", "ice40up5k")


def test_ladder_has_every_rung_and_adds_up():
    results = ladder()
    assert [(rung["rung"], rung["constants_kind"]) for rung in results["rungs"]] == [
        ("A0", "asic"),
        ("A1", "asic"),
        ("A2", "fpga"),
        ("R1", "asic"),
        ("R1", "fpga"),
        ("R2", "fpga"),
    ]
    for rung in results["rungs"]:
        for parts in (rung["layers"].values(), rung["kinds"].values(), rung["rows"], (rung["static"], rung["dynamic"])):
            assert sum(part["mid_pj"] for part in parts) == pytest.approx(rung["mid_pj"])
        assert sum(row["share"] for row in rung["rows"]) == pytest.approx(1)
        assert rung["low"] <= rung["median"] <= rung["high"]
    a1, a2, r1_asic, r1_fpga = (results["rungs"][index] for index in (1, 2, 3, 4))
    for key in ("mid_pj", "median", "low", "high", "rows"):
        assert r1_asic[key] == a1[key]
        assert r1_fpga[key] == a2[key]


def test_steps_compare_like_with_like_or_say_so():
    steps = {(step["from"], step["to"], step["constants"]): step for step in ladder()["steps"]}
    assert set(steps) == {
        ("A0", "A1", "45 nm ASIC"),
        ("A1", "A2", "iCE40UP5K"),
        ("A1", "R1", "45 nm ASIC"),
        ("A2", "R1", "iCE40UP5K"),
        ("A2", "R2", "iCE40UP5K"),
    }
    assert "different hardware" in steps["A1", "A2", "iCE40UP5K"]["text"]
    assert all(not step["note"] for key, step in steps.items() if key[:2] != ("A1", "A2"))
    assert steps["A2", "R1", "iCE40UP5K"]["median"] == steps["A2", "R1", "iCE40UP5K"]["high"] == 1.0


def test_comparison_is_the_two_rungs():
    results = ladder()
    a2, r2 = results["rungs"][2], results["rungs"][5]
    assert sum(row["analytical_pj"] for row in results["comparison"]) == pytest.approx(a2["mid_pj"])
    assert sum(row["rtl_pj"] for row in results["comparison"]) == pytest.approx(r2["mid_pj"])
    logic = next(row for row in results["comparison"] if (row["layer"], row["kind"]) == ("", "logic"))
    assert logic["analytical_pj"] == 0
    assert logic["ratio"] is None


def test_wrong_count_fails_the_ladder():
    plan, trains, counts = example()
    measured = made_up(plan, counts)
    measured["accesses"][1]["weights_read"] = measured["accesses"][1]["weights_read"] + np.array([0, 2, 0])
    with pytest.raises(
        CheckFailed,
        match=r"^count 'weights_read' of layer 'last' \(core 1\) in sample 1 was predicted as \d+ and measured as \d+; 1 of ",
    ):
        energy_ladder(plan, trains, measured=measured, draws=DRAWS)
    del measured["accesses"][1]["weights_read"]
    with pytest.raises(ValueError, match=r"^Counts of layer 'last' must have 'weights_read'$"):
        energy_ladder(plan, trains, measured=measured, draws=DRAWS)


def test_without_a_simulation_there_are_no_measured_rungs():
    plan, trains, _ = example()
    results = energy_ladder(plan, trains, draws=DRAWS)
    assert [rung["rung"] for rung in results["rungs"]] == ["A0", "A1", "A2"]
    assert (results["label"], results["count_identity"], results["comparison"]) == ("estimated", None, [])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"clock_hz": 0}, "^clock must be a positive number of hertz, not 0$"),
        ({"clock_hz": float("nan")}, "^clock must be a positive number of hertz, not nan$"),
        ({"fpga": load_constants("asic45")}, "^constants of the target must be those of an FPGA, not of 45 nm ASIC$"),
    ],
)
def test_wrong_targets_are_refused(options, message):
    plan, trains, _ = example()
    with pytest.raises(UsageError, match=message):
        estimate(plan, trains, **options)


def test_tables_show_every_row():
    results = ladder()
    table = energy_table(results["rungs"])
    assert [row[0] for row in table.rows] == ["A0", "A1", "A2", "R1", "R1", "R2"]
    assert all(len(row) == len(table.columns) for row in table.rows)
    assert any("ASSUMED" in row[-1] for row in table.rows)
    comparison = comparison_table(results["comparison"])
    assert len(comparison.rows) == len(results["comparison"]) + 1
    assert comparison.rows[-1][0] == "total"
    assert comparison_table([]).rows == ()
    assert [row[0] for row in layer_table(results["layers"]).rows] == ["hidden", "last"]
    constants = constants_table(results["constants"][1])
    assert ("ebr", "7", "2 .. 20", "pJ/access", "assumed") in [row[:5] for row in constants.rows]


def test_real_hardware_is_counted_exactly():
    """R1 equals A: the counts of the simulated RTL are those of the plan, sample by sample, and so are the joules."""
    from snnhw.verify.native import simulate

    plan, trains, _ = example(inputs=12, hidden=9)
    simulation = simulate(plan, trains["in"], activity=True, engine="cxxrtl", optimize="-O0")
    activity = simulation.activity
    results = energy_ladder(plan, trains, measured=simulation.measured(), draws=DRAWS)
    assert results["count_identity"] == {"compared": 3 * (1 + 8 + 9 + 2 * len(TIMES)), "different": 0, "engine": "cxxrtl"}
    a2, r1, r2 = (
        next(rung for rung in results["rungs"] if rung["rung"] == name and rung["constants_kind"] == "fpga")
        for name in ("A2", "R1", "R2")
    )
    assert r1["rows"] == a2["rows"]
    # The model of the logic is good for a factor of a few; nothing of the RTL's activity is lost between the kinds.
    assert 0.4 < r2["mid_pj"] / a2["mid_pj"] < 2.5
    toggled = sum(amount for _, _, amount, unit, _ in r2["terms"] if unit == "toggle")
    assert 0 < toggled <= activity.toggles / 3 * (1 + 1e-9)
    # The last layer decays by a factor: its products cost what A2 says.
    products = [[term for term in rung["terms"] if term[4] == ["multiply"]] for rung in (a2, r2)]
    assert products[0] == products[1] != []
    assert {row["layer"] for row in r2["rows"]} == {"hidden", "last", ""}

"""Idle policies: what waiting costs, where powering down pays, and that the parts are the whole."""

from dataclasses import replace

import numpy as np
import pytest
from cost_plans import example

from snnhw.cost import Energy, Term, energy_ladder, estimate, load_constants
from snnhw.cost.idle import POLICIES, IdlePolicy, idle_policy_json, idle_table

UP5K = load_constants("ice40up5k")
CYCLES, HERTZ, REGISTERS = 24_000, 12e6, 500
ENERGY = Energy("A2", "made up", "estimated", UP5K, (
    Term("one", "weights", 3000.0, "access", ("ebr",)),
    Term("one", "accumulate", 1e5, "bit", ("add_toggles", "toggle")),
    Term("", "flip-flops", CYCLES * REGISTERS, "flip-flop*cycle", ("flip_flop_clock",)),
    Term("", "clock", CYCLES, "cycle", ("clock",)),
    Term("", "static", CYCLES / HERTZ, "s", ("static",)),
))
POLICY = IdlePolicy(ENERGY)


def test_what_the_energy_says_of_the_hardware_is_read_from_it():
    assert (POLICY.seconds, POLICY.clock_hz, POLICY.flip_flops) == (0.002, HERTZ, REGISTERS)
    assert POLICY.most_per_second == 500
    assert POLICY.limit("clocked") == POLICY.limit("clock-stopped") == 500
    assert POLICY.limit("powered-down") == pytest.approx(1 / 0.072)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("drawn", [False, True])
@pytest.mark.parametrize("rate", [0.01, 1.0, 13.8])
def test_static_power_times_time_and_dynamic_energy_are_the_whole(policy, drawn, rate):
    found = POLICY.at(policy, rate, drawn=drawn)
    on = POLICY.seconds if policy == "powered-down" else 1 / rate
    static_pw = UP5K["static"].mid * 1e9 if not drawn else ENERGY.part(static=True).drawn_pj / POLICY.seconds
    assert np.allclose(found.static, static_pw * on, rtol=1e-12, atol=0)
    assert np.all(found.static + found.dynamic == found.total)
    assert np.all(found.work + found.idle_clock + found.boot == found.dynamic)
    work = ENERGY.part(static=False)
    assert np.all(found.work == (work.drawn_pj if drawn else work.mid_pj))


def test_energies_are_the_formulas():
    static, clock = 0.108e9, (52 + 0.0144 * REGISTERS) * HERTZ  # picojoules per second
    work = ENERGY.part(static=False).mid_pj
    for rate in (0.1, 7.0):
        assert POLICY.at("clocked", rate, drawn=False).total == pytest.approx(work + static / rate + clock * (1 / rate - 0.002))
        assert POLICY.at("clock-stopped", rate, drawn=False).total == pytest.approx(work + static / rate)
        assert POLICY.at("powered-down", rate, drawn=False).total == pytest.approx(work + static * 0.002 + 202e6)


def test_at_full_speed_there_is_nothing_to_wait_for():
    for policy in ("clocked", "clock-stopped"):
        assert POLICY.at(policy, 500.0, drawn=False).total == pytest.approx(ENERGY.mid_pj)
        assert np.allclose(POLICY.at(policy, 500.0).total, ENERGY.drawn_pj)


def test_policies_cross_where_it_is_said():
    for policy in ("clocked", "clock-stopped"):
        rate = POLICY.crossover(policy, drawn=False)
        assert POLICY.at(policy, rate, drawn=False).total == pytest.approx(POLICY.at("powered-down", rate, drawn=False).total)
        assert POLICY.at(policy, rate / 2, drawn=False).total > POLICY.at("powered-down", rate / 2, drawn=False).total
        rate = POLICY.waiting_dominates(policy, drawn=False)
        assert POLICY.at(policy, rate, drawn=False).total == pytest.approx(2 * ENERGY.mid_pj)
    # Published: 0.108 mW against 202 uJ for a boot.
    assert POLICY.crossover("clock-stopped", drawn=False) == pytest.approx(0.108 / 0.2022, rel=1e-3)


def test_rarer_inferences_cost_more_each_and_less_a_second():
    for policy in POLICIES:
        rates = [rate for rate in POLICY.rates() if rate <= POLICY.limit(policy)]
        energies = [POLICY.at(policy, rate, drawn=False).total for rate in rates]
        assert energies == sorted(energies, reverse=True)
        powers = [energy * rate for energy, rate in zip(energies, rates, strict=True)]
        assert powers == sorted(powers)


def test_draws_are_shared_by_policies():
    # Work and static power cancel: what is left is the clock, whose band is narrow.
    more = POLICY.at("clocked", 1.0).total - POLICY.at("clock-stopped", 1.0).total
    low, high = np.percentile(more, (5, 95))
    assert high / low < 1.1


@pytest.mark.parametrize(("policy", "rate", "message"), [
    ("asleep", 1.0, r"^Policy must be one of clocked, clock-stopped, powered-down, not 'asleep'$"),
    ("clocked", 501.0, r"^Inferences per second must be positive and at most 500, not 501$"),
    ("powered-down", 15.0, r"^Inferences per second must be positive and at most 13\.8889, not 15$"),
    ("clocked", 0.0, r"^Inferences per second must be positive and at most 500, not 0$"),
])
def test_what_cannot_be_kept_up_with_is_refused(policy, rate, message):
    with pytest.raises(ValueError, match=message):
        POLICY.at(policy, rate)


def test_without_a_known_boot_there_is_no_powering_down():
    ecp5 = replace(ENERGY, constants=load_constants("ecp5"), terms=ENERGY.terms[1:])
    record = idle_policy_json(IdlePolicy(ecp5))
    assert [row["policy"] for row in record["policies"]] == ["clocked", "clock-stopped"]
    assert record["crossovers"] == []
    assert record["notes"][1] == "what a boot of ECP5 costs is not known: give boot_energy and boot_time with --constants"
    assert record["assumed"] == ["static", "clock", "flip_flop_clock"]
    assert "powering down" not in idle_table(record).title


def test_a_user_gives_the_boot_of_their_board(tmp_path):
    path = tmp_path / "mine.toml"
    record = "low = {0}\nmid = {1}\nhigh = {2}\nprovenance = 'measured'\nsource = 'my rail'\n"
    path.write_text("base = 'ecp5'\n[parameters.boot_energy]\n" + record.format(1e5, 2e5, 3e5)
                    + "[parameters.boot_time]\n" + record.format(200, 300, 400))
    mine = load_constants(path)
    assert (mine["boot_energy"].unit, mine["boot_time"].unit) == ("uJ/boot", "ms/boot")
    policy = IdlePolicy(replace(ENERGY, constants=mine, terms=ENERGY.terms[1:]))
    assert policy.limit("powered-down") == pytest.approx(1 / 0.302)


def test_the_record_has_everything_and_adds_up():
    record = idle_policy_json(replace(POLICY, slowest_s=0.004))
    assert (record["most_per_second"], record["most_per_second_slowest"]) == (500, 250)
    for row in record["policies"]:
        assert row["points"][0]["per_second"] == 0.01
        assert row["points"][-1]["per_second"] == row["most_per_second"]
        for point in row["points"]:
            assert point["static_pj"] + point["dynamic_pj"] == point["mid_pj"]
            assert point["low"] < point["median"] < point["high"]
    assert [(row["cheaper_below"], row["than"]) for row in record["crossovers"]] == [
        ("powered-down", "clocked"), ("powered-down", "clock-stopped")]
    table = idle_table(record)
    assert [row[0] for row in table.rows] == ["0.01", "0.1", "1", "10", "100", "500"]
    assert [row[-1] for row in table.rows] == ["powered-down"] * 2 + ["clock-stopped"] * 3 + [""]


def test_estimate_and_ladder_have_the_policy_of_their_highest_rung():
    plan, trains, _ = example()
    for results, rung in ((estimate(plan, trains), "A2"), (energy_ladder(plan, trains), "A2")):
        record = results["idle_policy"]
        assert record["rung"] == rung
        assert record["seconds_per_inference"] == pytest.approx(results["cycles"]["mean"] / results["clock_hz"])
        assert record["most_per_second_slowest"] == pytest.approx(results["clock_hz"] / results["cycles"]["max"])

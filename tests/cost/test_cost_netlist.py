"""Energy of netlists: nothing lost, nothing twice, and an error of the samples that is true."""

from dataclasses import replace

import numpy as np
import pytest
from cost_plans import example

from snnhw.cost.energy import KINDS, STATIC
from snnhw.cost.flow import make_target
from snnhw.cost.netlist import NetlistActivity, netlist_energy
from snnhw.cost.rungs import Target
from snnhw.cost.sampling import Sampling, choose_samples, jackknife, scale

PLAN, TRAINS, COUNTS = example()
TARGET: Target = make_target()
DRAWS = 50


def activity(samples, factor=None, delayed=False, glitches=1.0):
    """Return what a netlist may have done: so many times the exact work, in each layer."""
    chosen = np.asarray(samples)
    work = {("", "logic", "register"): COUNTS.cycles, ("", "logic", "routed"): COUNTS.cycles}
    for layer in PLAN.layers:
        counts = COUNTS.layers[layer.index]
        work |= {(layer.name, "accumulate", "carry"): counts["accumulate"], (layer.name, "finalise", "local"): counts["finalise"],
                 (layer.name, "finalise", "multiplier reads"): counts["finalise"],
                 (layer.name, "weights", "block_ram reads"): counts["weights_read"],
                 (layer.name, "membranes", "distributed_ram writes"): counts["membranes_write"],
                 (layer.name, "membranes", "single_port_ram writes"): counts["membranes_write"]}
    factors = np.arange(3, 3 + len(work)) if factor is None else factor
    found = {key: (glitches * part * values[chosen]).astype(np.int64)
             for part, (key, values) in zip(factors, work.items(), strict=True)}
    return NetlistActivity(chosen, found, 100, 24.0, delayed, "ice40", glitches, {"SB_LUT4": 1}), factors, work


def energy(*args, **kwargs):
    return netlist_energy(PLAN, COUNTS, activity(*args, **kwargs)[0], TARGET, draws=DRAWS)


def amounts(result):
    found = {}
    for term in result.terms:
        key = term.layer, term.kind, term.parameters
        found[key] = found.get(key, 0) + term.amount
    return found


def test_kinds_layers_and_static_add_up():
    result = energy(range(COUNTS.samples))
    assert result.mid_pj > 0
    assert sum(result.part(kind=kind).mid_pj for kind in result.kinds) == pytest.approx(result.mid_pj, rel=1e-12)
    assert sum(result.part(layer=layer).mid_pj for layer in result.layers) == pytest.approx(result.mid_pj, rel=1e-12)
    still, moving = result.part(static=True), result.part(static=False)
    assert still.mid_pj + moving.mid_pj == pytest.approx(result.mid_pj, rel=1e-12)
    assert np.allclose(still.drawn_pj + moving.drawn_pj, result.drawn_pj)
    # Static power for the time of a sample and no longer.
    (term,) = still.terms
    assert (term.amount, term.unit) == (pytest.approx(COUNTS.mean_cycles / TARGET.clock_hz), "s")
    double = replace(TARGET, clock_hz=TARGET.clock_hz / 2)
    slower = netlist_energy(PLAN, COUNTS, activity(range(COUNTS.samples))[0], double, draws=DRAWS)
    assert slower.mid_pj - result.mid_pj == pytest.approx(still.mid_pj, rel=1e-9)
    assert set(result.kinds) <= {*KINDS, STATIC}
    assert {layer.name for layer in PLAN.layers} <= set(result.layers)


def test_all_samples_leave_no_error():
    record, _, _ = activity(range(COUNTS.samples))
    result = netlist_energy(PLAN, COUNTS, record, TARGET, draws=DRAWS)
    assert result.sampling == Sampling(COUNTS.samples, COUNTS.samples, 0.0)
    assert str(result.sampling) == f"all {COUNTS.samples} samples"
    toggles = sum(term.amount for term in result.terms if term.unit == "toggle")
    exact = sum(values.sum() for key, values in record.counts.items() if " " not in key[2]) / COUNTS.samples
    assert toggles == pytest.approx(exact, rel=1e-12)
    reads = sum(term.amount for term in result.terms if term.unit == "access")
    exact = sum(values.sum() for key, values in record.counts.items() if key[2].startswith(("block", "single"))) / COUNTS.samples
    assert reads == pytest.approx(exact, rel=1e-12)
    bits = [term.amount for term in result.terms if term.unit == "bit2"]
    exact = [values.mean() * 24 for key, values in sorted(record.counts.items()) if key[2].startswith("multiplier")]
    assert bits == pytest.approx(exact, rel=1e-12)
    assert {term.unit for term in result.terms} == {"toggle", "access", "bit", "bit2", "flip-flop*cycle", "cycle", "s"}
    clocked = [term.amount for term in result.terms if term.unit == "flip-flop*cycle"]
    assert clocked == [pytest.approx(100 * COUNTS.mean_cycles)]


@pytest.mark.parametrize("chosen", [(0,), (1, 2), (0, 2)])
def test_scaling_is_exact_where_activity_grows_as_the_work(chosen):
    whole, part = energy(range(COUNTS.samples)), energy(chosen)
    assert part.mid_pj == pytest.approx(whole.mid_pj, rel=1e-12)
    assert amounts(part) == pytest.approx(amounts(whole), rel=1e-12)
    if len(chosen) == 1:
        assert part.sampling.relative_error is None
        assert str(part.sampling) == f"1 of {COUNTS.samples} samples, standard error unknown"
    else:
        assert part.sampling.relative_error == pytest.approx(0, abs=1e-9)


def test_delays_add_toggles_and_their_own_factor():
    settled = energy(range(COUNTS.samples))
    delayed = energy(range(COUNTS.samples), delayed=True, glitches=2.0)
    assert (settled.rung, delayed.rung) == ("R3", "R4")
    toggles = [sum(term.amount for term in result.terms if term.unit == "toggle") for result in (settled, delayed)]
    assert toggles[1] == 2 * toggles[0]
    factors = {parameters for term in delayed.terms if term.unit == "toggle" for parameters in [term.parameters]}
    assert all(parameters[1:] == ("delayed_toggle",) for parameters in factors)
    assert not [term for term in settled.terms if "delayed_toggle" in term.parameters]
    assert delayed.part(static=True).mid_pj == settled.part(static=True).mid_pj


@pytest.mark.parametrize("count", [1, 2, 3, 7, 10])
def test_strata_are_of_equal_size_and_give_their_middle(count):
    rng = np.random.default_rng(count)
    work = rng.permutation(1000)
    chosen = choose_samples(work, count)
    assert chosen.tolist() == sorted(set(chosen.tolist()))
    ranks = np.sort(np.argsort(np.argsort(work))[chosen])
    assert ranks.size == count
    middles = (np.arange(count) + 0.5) * 1000 / count
    assert np.abs(ranks - middles).max() <= 1


@pytest.mark.parametrize(("size", "count"), [(3, 3), (3, 10), (1, 1)])
def test_no_more_samples_than_there_are(size, count):
    assert choose_samples(np.arange(size)[::-1], count).tolist() == list(range(size))


def test_equal_work_still_gives_different_samples():
    assert len(set(choose_samples(np.full(50, 7), 5).tolist())) == 5


def test_scale_follows_the_work():
    work = np.array([1, 2, 3, 4])
    assert scale(3 * work[1:3], work[1:3], work) == pytest.approx(3 * work.mean())
    assert scale(np.array([4, 6]), np.array([0, 0]), work) == 5  # nothing to scale by


def test_the_error_is_the_spread_of_repeated_choices():
    """Choose again and again: the error that is stated is the spread that is seen, and covers the truth as often as it should."""
    rng = np.random.default_rng(0)
    everyone = 200
    work = rng.integers(50, 200, everyone)
    wanted = {"a": work * 3 + rng.normal(0, 60, everyone), "b": np.maximum(rng.normal(300, 100, everyone), 0)}
    truth = wanted["a"].mean() + 2 * wanted["b"].mean()
    values, stated, covered = [], [], 0
    for _ in range(400):
        chosen = rng.choice(everyone, 12, replace=False)
        counts = {key: (found[chosen], work[chosen] if key == "a" else np.ones(12), work if key == "a" else np.ones(everyone))
                  for key, found in wanted.items()}

        def value(amounts):
            return amounts["a"] + 2 * amounts["b"]

        whole = value({key: scale(*arrays) for key, arrays in counts.items()})
        sampling = jackknife(counts, value, everyone)
        values.append(whole)
        stated.append(sampling.relative_error * whole)
        covered += abs(whole - truth) <= 2 * stated[-1]
        assert (sampling.measured, sampling.of) == (12, everyone)
    assert np.mean(values) == pytest.approx(truth, rel=0.02)
    assert np.mean(stated) == pytest.approx(np.std(values), rel=0.15)
    assert 0.88 <= covered / 400 <= 0.99


def test_most_of_a_finite_number_leaves_little_error():
    rng = np.random.default_rng(1)
    work, found = np.ones(20), rng.normal(10, 3, 20)

    def error(chosen):
        counts = {"a": (found[:chosen], work[:chosen], work)}
        return jackknife(counts, lambda amounts: amounts["a"], 20).relative_error

    assert error(20) == 0
    assert 0 < error(19) < 0.5 * error(5)


def test_sampling_is_part_of_the_energy():
    result = replace(energy((0, 1)), sampling=Sampling(2, 3, 0.125))
    assert str(result.sampling) == "2 of 3 samples, standard error 12.5%"

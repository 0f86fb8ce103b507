"""The claims of Chowdhury et al.: what is concluded from runs, and one small run of each kind."""

from dataclasses import dataclass, replace
from typing import Any

import pytest

from snnhw.studies import structure
from snnhw.studies.cache import RunCache
from snnhw.studies.structure import DIGITS, MNIST, PTQ_BITS, SIGMAS, StructureStudy

CLAIMS = ("b1", "b2", "b3", "b4", "b5", "b6", "b7")


@dataclass(frozen=True)
class Bench:
    """What a claim is given."""

    cache: RunCache
    seeds: tuple[int, ...] = (1, 2)
    quick: bool = True
    collect: bool = False
    progress: Any = print


def claim(name, bench):
    return getattr(structure, f"claim_{name}")(bench)


def curve(values):
    return [{"bits": bits, "accuracy": value} for bits, value in zip(PTQ_BITS, values, strict=True)]


RUNS = {
    "wide": {"parameters": 900, "accuracy": 0.97, "without_spikes": 0.98, "widths": {"lif1": 9, "lif2": 9, "lif3": 9}},
    "narrow": {"parameters": 100, "accuracy": 0.96, "widths": {"lif1": 3, "lif2": 3, "lif3": 3}},
    "short": {"accuracy": 0.955, "timesteps": 5,
              "curve": [{"timesteps": steps, "accuracy": value} for steps, value in ((20, 0.96), (5, 0.955), (2, 0.955))],
              "untrained": [{"timesteps": steps, "accuracy": 0.1} for steps in DIGITS.lengths]},
    "activity": {kind: {"spikes": {"lif1": spikes}, "fp32": {"ratio": ratio}, "int8_to_32": {"ratio": ratio / 2}, "own": ratio}
                 for kind, spikes, ratio in (("wide", 100.0, 2.0), ("narrow", 40.0, 5.0), ("short", 5.0, 9.0))},
    "bits": {kind: {"float": 0.96, "curve": curve([0.96, 0.96, 0.96, 0.95, 0.93, 0.8, 0.3])} for kind in ("narrow", "short")},
    "noise": {kind: [{"sigma": sigma, "accuracy": [base - sigma, base - sigma]} for sigma in SIGMAS]
              for kind, base in (("wide", 0.9), ("narrow", 0.91), ("short", 0.92))},
}


@pytest.fixture
def bench(tmp_path):
    """Return a bench whose runs are finished."""
    cache = RunCache(tmp_path)
    study = StructureStudy(DIGITS, cache)
    for seed in (1, 2):
        for name, result in RUNS.items():
            cache.run(study._key(name, seed), lambda result=result: result)
    return Bench(cache, collect=True)


@pytest.mark.parametrize(("name", "ours"), [
    ("b1", r"9.0 (9.0 to 9.0) times fewer parameters at -1.00 (-1.00 to -1.00) points"),
    ("b2", "95.50% (95.50% to 95.50%) at T = 5 against 97.00% (97.00% to 97.00%) at T = 20"),
    ("b3", "T = 5 (5 to 5) from 20 at most 2 points below"),
    ("b4", "0.40 (0.40 to 0.40) times the spikes after structural pruning, 0.050 (0.050 to 0.050) times after both"),
    ("b5", "9.0 (9.0 to 9.0) times less than the wide network without spikes; accuracy 95.50% (95.50% to 95.50%) against "
           "98.00% (98.00% to 98.00%)"),
    ("b6", "-1.00 (-1.00 to -1.00) points at 5 bits, -3.00 (-3.00 to -3.00) points at 4, -16.00 (-16.00 to -16.00) points at 3"),
    ("b7", "+2.00 (+2.00 to +2.00) points with noise of sigma 0.1 to 0.5 for the network with both prunings"),
])
def test_conclusions(bench, name, ours):
    found = claim(name, bench)
    assert found["verdict"] == "reproduced"
    assert found["ours"] == ours
    assert found["seeds"] == [1, 2]
    assert found["data"] == "digits, 12-24-32 channels, T = 20, first 400 test images"


@pytest.mark.parametrize(("name", "run", "changes", "verdict"), [
    ("b1", "narrow", {"accuracy": 0.95}, "direction only"), ("b1", "narrow", {"parameters": 800}, "not reproduced"),
    ("b2", "short", {"accuracy": 0.94}, "direction only"), ("b2", "short", {"accuracy": 0.8}, "not reproduced"),
    ("b3", "short", {"curve": [{"timesteps": 20, "accuracy": 0.99}, {"timesteps": 5, "accuracy": 0.9},
                               {"timesteps": 1, "accuracy": 0.9}]}, "not reproduced"),
    ("b4", "activity", {"narrow": {**RUNS["activity"]["narrow"], "spikes": {"lif1": 200.0}}}, "not reproduced"),
    ("b5", "activity", {"short": {**RUNS["activity"]["short"], "fp32": {"ratio": 4.0}}}, "direction only"),
    ("b6", "bits", {"short": {"float": 0.96, "curve": curve([0.96] * 7)}}, "direction only"),
    ("b6", "bits", {"short": {"float": 0.96, "curve": curve([0.9] * 7)}}, "not reproduced"),
    ("b7", "noise", {"short": RUNS["noise"]["wide"]}, "not reproduced"),
])
def test_verdicts_are_honest(tmp_path, name, run, changes, verdict):
    cache = RunCache(tmp_path)
    study = StructureStudy(DIGITS, cache)
    for key, result in RUNS.items():
        cache.run(study._key(key, 1), lambda result={**result, **(changes if key == run else {})}: result)
    found = claim(name, Bench(cache, (1,), collect=True))
    assert found["verdict"] == verdict
    assert found["why"]


@pytest.mark.parametrize("name", CLAIMS)
def test_collecting_runs_nothing(tmp_path, name):
    found = claim(name, Bench(RunCache(tmp_path), (4,), collect=True))
    assert found["verdict"] == "not finished"
    assert found["why"].endswith("of seed 4 is not finished")


def test_a_run_that_is_lost_is_not_finished(bench):
    """Spikes were counted, but the length of the networks behind them is no longer known."""
    study = StructureStudy(DIGITS, bench.cache)
    bench.cache.path(study._key("short", 2)).unlink()
    assert claim("b4", bench)["why"] == "the run 'short' of seed 2 is not finished"


@pytest.mark.slow
def test_a_small_study_from_training_to_hardware(tmp_path):
    """One run of each kind; numbers of a network that hardly learned are only held to be consistent."""
    tiny = replace(DIGITS, channels=(4, 5, 6), samples=300, epochs=3, spiking_samples=50, tested=60, noise_tested=40, timesteps=6,
                   lengths=(3, 1))
    study = StructureStudy(tiny, RunCache(tmp_path))
    wide, slim, short = study.wide(1), study.narrow(1), study.short(1)
    assert slim["parameters"] <= wide["parameters"] == 4 * 9 + 5 * 36 + 6 * 45 + 10 * 24
    assert [row["timesteps"] for row in short["curve"]][:2] == [6, 3]
    assert study.network("short", 1).shapes["lif1"] == (slim["widths"]["lif1"], 8, 8)
    activity = study.activity(1)
    assert activity["narrow"]["fp32"]["matching_pj"] == activity["wide"]["fp32"]["matching_pj"]
    assert [row["bits"] for row in study.bits(1)["short"]["curve"]] == list(PTQ_BITS)
    assert study.noise(1)["wide"][0]["accuracy"][0] == study.noise(1)["wide"][0]["accuracy"][1]
    found = study.hardware("short", 1, samples=10)
    assert found["problem"] == ""
    assert found["membrane_mismatches"] == found["spike_mismatches"] == 0


def test_settings_of_the_paper():
    assert MNIST.timesteps >= 20
    assert MNIST.lengths[-1] == 1

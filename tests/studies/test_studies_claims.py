"""Verdicts on made-up results, the registry, the page, data that is missing, and the whole way on the digits."""

import itertools
import json
import re
from dataclasses import asdict, replace
from functools import cache

import numpy as np
import pytest

from snnhw.cost.encodings import parse_encoding
from snnhw.cost.workload import LayerWorkload
from snnhw.errors import UsageError
from snnhw.report.claims import CAPTIONS, draw_claims
from snnhw.studies import Bench, Outcome, RunCache, choose_claims, claims, claims_page, figure_data, grid_of, run_claims
from snnhw.studies.grid import Grid, Spread, Trained
from snnhw.studies.quantize_prune import BITS, CHECKED, CORE, DIGITS, ENCODINGS, LEVELS, Point, Study, every_point
from snnhw.studies.schaefer import CLAIMS, NEEDS, knee
from snnhw.studies.verdicts import DIRECTION, NOT, REPRODUCED, judge

# What the paper has: accuracy without pruning, and what pruning takes.
FALLS = {0.0: 0.0, 0.75: 0.0, 0.8: 0.0, 0.85: 0.007, 0.9: 0.021, 0.925: 0.03, 0.95: 0.16, 0.975: 0.38}
ZEROS = {2: 0.679, 3: 0.316, 4: 0.151, 6: 0.036, 8: 0.009}


@cache
def made_up(seed, bits, zeros):
    """Return layers and exact bits of random weights, as sparse as told."""
    weight = np.where(np.random.default_rng((seed, bits)).random((128, 784)) < zeros, 0, 1)
    density = float(np.count_nonzero(weight)) / weight.size
    layer = LayerWorkload("fc1", "linear", 784, 128, 1, 1, 1, 1, 8, bits, density, 0.1, 0.3, 0.2, 0.4, 784, 128, 16)
    return {"layers": [asdict(layer)],
            "exact": {name: {"fc1": asdict(parse_encoding(name).exact(weight, bits))} for name in ENCODINGS}}


def trained(point, *, seed=1, test=0.97, validation=None, zeros=None):
    """Return a made-up result."""
    zeros = max(point.pruned, ZEROS[point.bits]) if zeros is None else zeros
    return Trained(seed, point, {"test": test, "validation": test if validation is None else validation,
                                 **made_up(seed, point.bits, zeros)})


def grid(accuracy=lambda point: 0.97 - FALLS[point.pruned], *, zeros=lambda point: None, seeds=(1, 2), points=CORE):
    """Return a grid of made-up results."""
    return Grid(trained(point, seed=seed, test=accuracy(point), zeros=zeros(point)) for seed in seeds for point in points)


# ---------------------------------------------------------------------- verdicts


@pytest.mark.parametrize(("whole", "direction", "verdict"), [
    (True, True, REPRODUCED), (True, False, REPRODUCED), (False, True, DIRECTION), (False, False, NOT)])
def test_judge(whole, direction, verdict):
    assert judge(whole, direction) == verdict


def test_an_outcome_that_fails_says_why():
    with pytest.raises(ValueError, match=r"^Verdict 'direction only' must have a reason$"):
        Outcome(DIRECTION, "1.1")
    with pytest.raises(ValueError, match=r"^Verdict must be one of .*, not 'maybe'$"):
        Outcome("maybe", "1.1")
    with pytest.raises(ValueError, match=r"^Rows of an outcome must have the same columns$"):
        Outcome(REPRODUCED, "1.1", rows=({"a": "1"}, {"b": "1"}))


def test_outcomes_survive_their_plain_values():
    outcome = Outcome(NOT, "0.9", "it is smaller", (1, 2), "digits", ({"a": "1"},))
    assert Outcome.of(json.loads(json.dumps(outcome.as_dict()))) == outcome


@pytest.mark.parametrize(("lost", "others", "verdict"), [
    (0.0, 0.0, REPRODUCED), (0.01, 0.0, REPRODUCED), (0.0101, 0.01, DIRECTION), (0.02, 0.0101, NOT), (-0.01, 0.0, REPRODUCED)])
def test_a1_allows_one_point(lost, others, verdict):
    accuracy = {2: 0.97 - lost, 3: 0.97 - others, 4: 0.97, 6: 0.97, 8: 0.97}
    assert CLAIMS["A1"](grid(lambda point: accuracy[point.bits])).verdict == verdict


@pytest.mark.parametrize(("falls", "last", "verdict"), [
    ({}, 0.85, REPRODUCED),
    ({0.85: 0.0101}, 0.8, REPRODUCED),
    ({0.8: 0.02, 0.85: 0.02}, 0.0, NOT),
    ({0.9: 0.01}, 0.9, DIRECTION),
    ({0.85: 0.01, 0.9: 0.02, 0.95: 0.02, 0.975: 0.049}, 0.85, NOT),
    ({0.85: 0.01, 0.9: 0.02, 0.95: 0.02, 0.975: 0.05}, 0.85, REPRODUCED),
    ({0.8: 0.02, 0.85: 0.005}, 0.0, NOT),
])
def test_a2_finds_the_knee(falls, last, verdict):
    made = grid(lambda point: 0.97 - (FALLS | falls)[point.pruned])
    assert knee(made) == last
    assert CLAIMS["A2"](made).verdict == verdict


def test_the_knee_rests_on_points_that_every_seed_has():
    points = [*(trained(point, seed=seed, test=0.97 - FALLS[point.pruned]) for seed in (1, 2) for point in CORE),
              trained(Point("joint", 8, 0.75), test=0.5)]
    assert knee(Grid(points)) == 0.85


@pytest.mark.parametrize(("ternary", "pruned", "lost", "verdict"), [
    (0.66, 0.8, 0.0, DIRECTION),     # 2.4 against 2.04 bits of a weight
    (0.77, 0.8, 0.0, REPRODUCED),
    (0.77, 0.8, 0.0101, DIRECTION),
    (0.3, 0.9, 0.0, NOT),
])
def test_a3_compares_energies_at_equal_accuracy(ternary, pruned, lost, verdict):
    made = grid(lambda point: 0.97 - (lost if point.bits == 2 else 0),
                zeros=lambda point: ternary if point.bits == 2 and not point.pruned else pruned if point.bits == 8 else None)
    outcome = CLAIMS["A3"](made)
    ratio = made.ratio(Point("joint", 8, 0.8), Point("joint", 2)).mean
    assert outcome.verdict == verdict, (ratio, outcome)
    assert (ratio > 1) == (verdict != NOT)


def test_a3_wants_every_seed():
    points = [trained(point, seed=seed, zeros=zeros) for seed, ternary in ((1, 0.9), (2, 0.3))
              for point, zeros in ((Point("joint", 2), ternary), (Point("joint", 8, 0.8), 0.8))]
    outcome = CLAIMS["A3"](Grid(points))
    assert outcome.verdict == NOT
    assert outcome.why.startswith("the ratio of a seed is 0.")


@pytest.mark.parametrize(("changes", "verdict"), [
    ({}, REPRODUCED), ({2: 0.52}, REPRODUCED), ({2: 0.45}, DIRECTION), ({2: 0.85}, DIRECTION), ({3: 0.1}, NOT), ({8: 0.05}, NOT)])
def test_a4_wants_fewer_zeros_with_every_bit(changes, verdict):
    zeros = ZEROS | changes
    assert CLAIMS["A4"](grid(zeros=lambda point: zeros[point.bits] if not point.pruned else None)).verdict == verdict


@pytest.mark.parametrize(("changes", "pays", "verdict"), [
    ({3: 0.6}, "up to 3 b", REPRODUCED),
    ({}, "up to 2 b", DIRECTION),
    ({2: 0.1}, "nowhere", NOT),
    ({bits: 0.8 for bits in BITS}, "up to 8 b", NOT),
])
def test_a5_finds_where_compressing_pays(changes, pays, verdict):
    zeros = ZEROS | changes
    outcome = CLAIMS["A5"](grid(zeros=lambda point: zeros[point.bits] if not point.pruned else None))
    assert outcome.verdict == verdict, outcome
    assert outcome.ours.startswith(f"energy: RLE pays {pays};")
    assert "break-even formulas right in 10 of 10 cases" in outcome.ours


def test_a6_is_judged_for_three_points():
    assert CLAIMS["A6"](grid()).verdict == REPRODUCED
    dense = grid(zeros=lambda point: 0.0 if point.bits == 2 and not point.pruned else None)
    assert CLAIMS["A6"](dense).verdict == NOT
    one = CLAIMS["A6"](grid(zeros=lambda point: 0.05 if point == Point("joint", 3, 0.8) else None))
    assert (one.verdict, one.why) == (DIRECTION, "holds for 2 of 3 points")


def test_a7_sees_dram_where_weights_lie_there():
    outcome = CLAIMS["A7"](grid())
    assert outcome.verdict == REPRODUCED
    assert all(float(row["DRAM, timestep by timestep"].split()[0]) > 50 for row in outcome.rows)


@pytest.mark.parametrize(("ternary", "combined", "lost", "verdict"), [
    (0.77, 0.7, 0.0, REPRODUCED), (0.6, 0.8, 0.0, NOT), (0.77, 0.7, 0.0101, NOT)])
def test_a8_needs_accuracy_and_more_energy(ternary, combined, lost, verdict):
    zeros = {2: ternary, 3: combined}
    made = grid(lambda point: 0.97 - (lost if point.bits == 3 and point.pruned else 0),
                zeros=lambda point: zeros.get(point.bits) if point.pruned in (0, 0.8) else None)
    assert CLAIMS["A8"](made).verdict == verdict


def test_a8_wants_every_seed():
    """The mean is above 1 and one seed is not."""
    points = [trained(point, seed=seed, zeros={2: 0.8 if seed == 1 else 0.7, 3: 0.8}.get(point.bits))
              for seed in (1, 2) for point in NEEDS["A8"]]
    made = Grid(points)
    ratio = made.ratio(Point("joint", 3, 0.8), Point("joint", 2))
    assert min(ratio.values) < 1 < max(ratio.values)
    assert CLAIMS["A8"](made).verdict == (DIRECTION if ratio.mean > 1 else NOT)


@pytest.mark.parametrize(("lost", "verdict"), [(0.02, REPRODUCED), (0.0201, DIRECTION), (0.5, DIRECTION)])
def test_a9_allows_two_points(lost, verdict):
    """Pruned ternary networks are the cheapest there are, so they are on the front whatever they lose."""
    made = grid(lambda point: 0.97 - (lost if point.bits == 2 and point.pruned else 0 if point.pruned < 0.9 else 0.6))
    assert CLAIMS["A9"](made).verdict == verdict


def test_a9_without_a_pruned_ternary_point_on_the_front():
    made = grid(lambda point: 0.9 if point.bits == 2 and point.pruned else 0.97)
    assert CLAIMS["A9"](made).verdict == NOT


@pytest.mark.parametrize(("apart", "verdict"), [
    ({}, REPRODUCED), ({2: 0.01}, REPRODUCED), ({2: -0.012}, DIRECTION), ({2: 0.03, 3: 0.03, 8: 0.03}, NOT)])
def test_a10_compares_schedules(apart, verdict):
    made = grid(lambda point: 0.9 - FALLS[point.pruned] + (apart.get(point.bits, 0) if point.schedule == "cumulative" else 0))
    assert CLAIMS["A10"](made).verdict == verdict


def test_every_claim_has_what_it_needs_in_the_core():
    assert set(CLAIMS) == set(NEEDS)
    assert {point for points in NEEDS.values() for point in points} <= set(CORE)
    for name, measure in CLAIMS.items():
        assert measure(grid(points=NEEDS[name], seeds=(1,))).rows


# ---------------------------------------------------------------------- the grid


def test_the_grid_is_that_of_the_paper():
    joint = {Point("joint", bits, pruned) for bits, pruned in itertools.product(BITS, LEVELS)}
    later = {Point("cumulative", bits, pruned) for bits, pruned in itertools.product(BITS, LEVELS[1:])}
    assert set(every_point()) == joint | later
    assert len(every_point()) == len(joint | later) == 75
    assert every_point()[:len(CORE)] == CORE
    assert CORE[:len(CHECKED)] == CHECKED


@pytest.mark.parametrize(("arguments", "message"), [
    (("both", 2), "Schedule must be 'joint' or 'cumulative', not 'both'"),
    (("joint", 1), "Weight width must be between 2 and 16 bits, not 1"),
    (("joint", 2, 1.0), "Pruned share must be from 0 to below 1, not 1.0"),
])
def test_points_are_checked(arguments, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Point(*arguments)


def test_spread_is_that_of_a_sample():
    assert Spread((0.1, 0.2, 0.3)).percent() == "20.00 ± 10.00 %"
    assert Spread((0.25,)).text() == "0.25"
    with pytest.raises(ValueError, match=r"^Spread must have at least one value, not 0$"):
        Spread(())


def test_the_front_is_chosen_on_what_is_held_out():
    points = [trained(Point("joint", 2), test=0.9, validation=0.95), trained(Point("joint", 8), test=0.99, validation=0.9)]
    made = Grid(points)
    assert made.front() == (Point("joint", 2),)
    assert made.front(split="test") == (Point("joint", 2), Point("joint", 8))


def test_zeros_that_are_not_used_cost_energy():
    made = grid(points=CORE[:1], seeds=(1,))
    assert made.energy(CORE[0], "dense", zeros=False).mean > made.energy(CORE[0], "rle4").mean
    assert made.energy(CORE[0], activity="worst").mean > made.energy(CORE[0]).mean


# ---------------------------------------------------------------------- registry, data, page


def test_claims_are_chosen_by_number_or_paper():
    assert [claim.id for claim in choose_claims(["a10", "A2"])] == ["A2", "A10"]
    assert [claim.id for claim in choose_claims(["A"])] == list(CLAIMS)
    assert choose_claims([]) == claims.CLAIMS
    assert len({claim.id for claim in claims.CLAIMS}) == len(claims.CLAIMS) == 21
    known = ", ".join(claim.id for claim in claims.CLAIMS)
    with pytest.raises(UsageError, match=f"^claim must be one of {known}, or a letter for all of a paper, not 'A11'$"):
        choose_claims(["A11"])


def test_data_that_is_missing_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("SNNHW_DATA", str(tmp_path))
    for item in run_claims(choose_claims([]), Bench(RunCache(tmp_path / "runs"))):
        assert item["verdict"] == "data missing"
        assert re.match(r"the data set 'mnist' needs train-images-idx3-ubyte\.gz, .* in '.*MNIST/raw'; .*SNNHW_DATA", item["why"])
    assert not (tmp_path / "runs").exists()


def test_what_is_not_finished_is_said(tmp_path):
    bench = Bench(RunCache(tmp_path), (1, 2), quick=True, collect=True)
    found, = run_claims(choose_claims(["A3"]), bench)
    assert found["command"] == "snnhw claims A3 --out claims --quick --seeds 2"
    assert (found["verdict"], found["why"]) == ("not finished", "4 of 4 runs are not finished")
    assert list(tmp_path.iterdir()) == []


PAGE = """\
Of 2: 1 reproduced, 1 direction only.

| claim | what is claimed | published | ours | data | verdict |
|---|---|---|---|---|---|
| [X1](#x1) | a \\| b | 1.5 | 1.6 | digits; seeds 1, 2 | **reproduced** |
| [X2](#x2) | c | 2 | - | - | **direction only**: too small |

Versions: snnhw 1, numpy 2.

## Figures

![claims-a.svg](figures/claims-a.svg)

What it shows.

## The hardware of these networks

The generated accelerator, simulated, against the integer reference: every spike, every
membrane, every output, the cycles of every sample and the accesses of every memory.

| network | data | seed | samples | words compared | words that differ | access counts that differ |
|---|---|---|---|---|---|---|
| ternary | digits | 1 | 20 | 1,110 | 10 | 5 |

## Claim by claim

### X1

Somebody: a | b. Published: 1.5.

- rule: above 1
- ours: 1.6
- on: digits; seeds 1, 2
- verdict: **reproduced**
- again: `snnhw claims X1 --out claims`

| bits | ours |
|---|---|
| 2 | 1.6 |
| 8 | 1.7 |

### X2

Somebody: c. Published: 2.

- rule: above 1
- ours: -
- on: -
- verdict: **direction only**: too small
- again: `snnhw claims X2 --out claims`
"""


def test_page():
    def item(name, text, published, outcome):
        return {"id": name, "paper": "Somebody", "claim": text, "published": published, "rule": "above 1",
                "command": f"snnhw claims {name} --out claims", **outcome.as_dict()}

    results = [item("X1", "a | b", "1.5", Outcome(REPRODUCED, "1.6", "", (1, 2), "digits",
                                                 ({"bits": "2", "ours": "1.6"}, {"bits": "8", "ours": "1.7"}))),
               item("X2", "c", "2", Outcome(DIRECTION, "", "too small"))]
    hardware = [{"title": "ternary", "data": "digits", "seed": 1, "samples": 20, "spike_words": 1000, "membrane_words": 100,
                 "output_words": 8, "cycle_counts": 2, "spike_mismatches": 4, "membrane_mismatches": 3, "output_mismatches": 2,
                 "cycle_mismatches": 1, "access_mismatches": 5}]
    page = claims_page(results, hardware, [("figures/claims-a.svg", "What it shows.")], {"snnhw": "1", "numpy": "2"})
    assert page.partition("compression-model.md)).\n\n")[2] == PAGE


def test_figures_stand_by_themselves():
    data = figure_data(grid(seeds=(1, 2)))
    drawn = draw_claims(data)
    assert set(drawn) == set(data) == set(CAPTIONS)
    assert draw_claims(data) == drawn
    for text in drawn.values():
        assert text.startswith("<?xml")
        assert text.rstrip().endswith("</svg>")
        assert "mathdefault" not in text
    assert "Pareto front" in drawn["accuracy"]
    assert draw_claims(figure_data(Grid([]))) == {}


# ---------------------------------------------------------------------- the whole way

TINY = replace(DIGITS, held_out=50, float_samples=200, float_epochs=2, samples=128, epochs=2, counted=10, tested=50, hidden=16)


def test_the_whole_way(tmp_path, monkeypatch):
    """Train, compress, record and judge on the digits; the second time nothing is run."""
    monkeypatch.setattr(claims, "DIGITS", TINY)
    bench = Bench(RunCache(tmp_path), (1,), quick=True)
    found, = run_claims(choose_claims(["A3"]), bench)
    assert found["verdict"] in (REPRODUCED, DIRECTION, NOT)
    assert (found["seeds"], found["data"]) == ([1], "digits, 64-16-10, T = 8, 2 epochs on 128 images")
    assert [row["weights"] for row in found["rows"]] == ["rle4", "cp", "uop", "ubm"]

    made = grid_of(bench)
    assert set(made.points) == set(NEEDS["A3"])
    pruned = made.first(Point("joint", 8, 0.8))
    assert pruned.zeros >= 0.8 - 1 / 1184
    assert pruned.result["differences"] == 0
    assert pruned.result["compared"] == 2 * 10 * 8 * (16 + 10)
    assert {layer.weight_bits for layer in pruned.layers} == {8}

    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    monkeypatch.setattr(Study, "_train", None)
    assert run_claims(choose_claims(["A3"]), bench) == [found]
    assert run_claims(choose_claims(["A3"]), replace(bench, collect=True)) == [found]
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


def test_schedules_differ_and_repeat(tmp_path):
    """The cumulative schedule trains its first half in real numbers; the same seed gives the same network."""
    study, again = (Study(TINY, RunCache(tmp_path / name)) for name in ("one", "two"))
    joint, later = Point("joint", 2, 0.8), Point("cumulative", 2, 0.8)
    first, second = study.point(1, joint), study.point(1, later)
    assert first["losses"] != second["losses"]
    assert again.point(1, joint) == first
    weights = study.graph(1, later).nodes[2].weight
    assert set(np.unique(weights)) <= {-1, 0, 1}

"""The comparison: ranks against a brute force, factors that add up, violations that are there and no others."""

import itertools
import json
import math
import re

import numpy as np
import pytest
from cost_points import energy_of, ladder_of, made_up
from hypothesis import given
from hypothesis import strategies as st

from snnhw.cost import compare_records, correlate, find_violations, kendall_tau, load_points, rung_factors
from snnhw.cost.compare import scatter, select
from snnhw.cost.monotone import neighbours
from snnhw.errors import UsageError

VALUES = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=9)


def brute_force(pairs):
    """Return tau-b by looking at every pair."""
    score = first = second = 0
    for (a, b), (c, d) in itertools.combinations(pairs, 2):
        one, other = (c > a) - (c < a), (d > b) - (d < b)
        score, first, second = score + one * other, first + abs(one), second + abs(other)
    return score / math.sqrt(first * second) if first and second else math.nan


@given(pairs=VALUES)
def test_tau_is_that_of_a_brute_force(pairs):
    first, second = np.array(pairs).T
    assert float(kendall_tau(first, second)) == pytest.approx(brute_force(pairs), nan_ok=True)


@given(columns=st.lists(st.lists(st.integers(0, 9), min_size=5, max_size=5), min_size=2, max_size=6))
def test_tau_of_many_rankings_is_that_of_each(columns):
    first = np.array(columns).T
    second = first[::-1] ** 2
    whole = kendall_tau(first, second)
    assert whole == pytest.approx([float(kendall_tau(a, b)) for a, b in zip(first.T, second.T, strict=True)], nan_ok=True)


def test_tau_by_hand():
    assert kendall_tau([1, 2, 3, 4], [1, 2, 3, 4]) == 1
    assert kendall_tau([1, 2, 3, 4], [4, 3, 2, 1]) == -1
    assert float(kendall_tau([1, 2, 3, 4], [1, 3, 2, 4])) == pytest.approx(4 / 6)
    assert float(kendall_tau([1.0, 1.0 + 1e-12, 2.0], [1.0, 2.0, 3.0])) == pytest.approx(2 / math.sqrt(2 * 3))


def test_rankings_must_have_the_same_shape():
    with pytest.raises(ValueError, match=r"^Rankings must have the same shape, not \(2,\) and \(3,\)$"):
        kendall_tau([1, 2], [1, 2, 3])


def corpus():
    """Return points of which A1 and R2 order two differently."""
    return [
        made_up("a", energy_of("A1", weights=10.0), energy_of("R2", weights=100.0, clock=20.0), bits=2, accuracy=0.90),
        made_up("b", energy_of("A1", weights=20.0), energy_of("R2", weights=200.0, clock=300.0), bits=4, accuracy=0.95),
        made_up("c", energy_of("A1", weights=30.0), energy_of("R2", weights=300.0, clock=100.0), bits=8, accuracy=0.94),
    ]


def test_the_pair_that_two_rungs_order_differently_is_named():
    found = correlate(load_points(corpus()), "A1", "R2")
    assert (found.points, found.pairs, found.discordant) == (3, 3, 1)
    assert found.tau == pytest.approx(1 / 3)
    (worst,) = found.disagreements
    assert (worst.cheaper, worst.dearer) == ("b", "c")
    assert worst.first.median == pytest.approx(1.5)
    assert worst.second.median == pytest.approx(0.8)
    assert worst.share == 1.0  # one parameter on each side: no draw can turn it
    assert found.band.low == found.band.high == pytest.approx(1 / 3)


def test_too_few_points_have_no_correlation():
    found = correlate(load_points(corpus()[:1]), "A1", "R2")
    assert (found.points, found.tau, found.band) == (1, None, None)


def test_factors_add_up_over_kinds():
    points = load_points(corpus())
    found = rung_factors(points, "A1", "R2")
    assert found.mids == pytest.approx({"a": 12.0, "b": 25.0, "c": 400 / 30})
    assert (found.largest, found.smallest) == ("b", "a")
    assert found.spread_mid == pytest.approx(25 / 12)
    parts = {part.kind: part for part in found.parts}
    assert parts["clock"].largest == pytest.approx(15.0)
    assert parts["clock"].smallest == pytest.approx(2.0)
    assert parts["clock"].share == pytest.approx(1.0)  # weights are 10 times everywhere
    assert sum(part.share for part in found.parts) == pytest.approx(1.0)
    assert sum(part.largest for part in found.parts) == pytest.approx(25.0)
    assert found.note.startswith("different hardware: ")


@given(seed=st.integers(0, 1000))
def test_parts_of_factors_always_add_up(seed):
    rng = np.random.default_rng(seed)
    kinds = ("weights", "accumulate", "clock", "membranes")

    def drawn(rung):
        return energy_of(rung, **dict(zip(kinds, rng.random(4) + 0.01, strict=True)))

    records = [made_up(str(index), drawn("A1"), drawn("A2")) for index in range(4)]
    found = rung_factors(load_points(records), "A1", "A2")
    assert sum(part.largest for part in found.parts) == pytest.approx(found.mids[found.largest])
    assert sum(part.smallest for part in found.parts) == pytest.approx(found.mids[found.smallest])
    assert sum(part.share for part in found.parts) == pytest.approx(1.0)
    product = math.prod(factor for _, _, factor in found.steps)
    assert product == pytest.approx(found.mids[found.largest])


def test_steps_between_two_rungs_multiply_to_the_factor():
    record = made_up("a", energy_of("A1", weights=2.0), energy_of("A2", weights=20.0), energy_of("R2", weights=30.0))
    found = rung_factors(load_points([record]), "A1", "R2")
    assert [step[:2] for step in found.steps] == [("A1", "A2"), ("A2", "R2")]
    assert [step[2] for step in found.steps] == pytest.approx([10.0, 1.5])


def test_rungs_without_a_common_point_have_no_factors():
    assert rung_factors(load_points(corpus()), "A1", "R3") is None


def test_fewer_bits_that_cost_more_are_found_with_what_grew():
    records = [
        made_up("four", energy_of("A1", weights=10.0, clock=5.0), bits=4, sparsity=0.0, metrics={"synaptic_operations": 80.0}),
        made_up("eight", energy_of("A1", weights=9.0, clock=5.0), bits=8, sparsity=0.0, metrics={"synaptic_operations": 100.0}),
        made_up("pruned", energy_of("A1", weights=4.0, clock=5.0), bits=8, sparsity=0.9, structure="bank",
                format={"fc": "bank"}),
        made_up("six", energy_of("A1", weights=9.5, clock=5.0), bits=6, sparsity=0.0),
    ]
    found, compared = find_violations(load_points(records), ["A1"])
    # Bits 4 to 6 to 8, and the density from 0 to 0.9 at 8 bits.
    assert compared == 3
    assert [(row.axis, row.less, row.more) for row in found] == [("bits", "four", "six"), ("bits", "six", "eight")]
    assert found[0].factor_mid == pytest.approx(15 / 14.5)
    assert (found[0].from_value, found[0].to_value) == (6, 4)
    (cause,) = found[0].causes
    assert (cause.layer, cause.kind) == ("fc", "weights")
    assert cause.less_pj - cause.more_pj == pytest.approx(0.5)
    assert found[0].share == 1.0
    assert found[0].work is None


def test_work_that_the_axis_does_not_explain_is_told():
    records = [made_up("four", energy_of("A1", weights=10.0), bits=4, metrics={"synaptic_operations": 150.0}),
               made_up("eight", energy_of("A1", weights=9.0), bits=8, metrics={"synaptic_operations": 100.0})]
    ((row,), _) = find_violations(load_points(records), ["A1"])
    assert row.work == pytest.approx(1.5)


def test_points_of_different_networks_seeds_or_hardware_are_not_compared():
    base = made_up("a", energy_of("A1", weights=9.0), bits=8)
    for change in ({"network": "other"}, {"seed": 1}, {"hardware": "8 lanes"}, {"sparsity": 0.9}, {"structure": "bank"}):
        other = made_up("b", energy_of("A1", weights=10.0), bits=4, **change)
        assert find_violations(load_points([base, other]), ["A1"]) == ([], 0)


def test_zeros_that_are_stored_are_above_the_break_even():
    def points(formats):
        return load_points([made_up("whole", energy_of("A1", weights=9.0), sparsity=0.0, bits=4, format={"fc": "dense"}),
                            made_up("half", energy_of("A1", weights=10.0), sparsity=0.5, structure="unstructured", bits=4,
                                    format=formats)])
    assert list(neighbours(points({"fc": "dense"}), "density")) == []
    assert [(less.name, more.name) for less, more in neighbours(points({"fc": "csc"}), "density")] == [("half", "whole")]


def test_a_dense_network_begins_every_structure():
    records = [made_up("whole", energy_of("A1", weights=9.0), sparsity=0.0, bits=4)]
    records += [made_up(structure, energy_of("A1", weights=5.0), sparsity=0.8, structure=structure, bits=4)
                for structure in ("bank", "unstructured")]
    pairs = [(less.name, more.name) for less, more in neighbours(load_points(records), "density")]
    assert sorted(pairs) == [("bank", "whole"), ("unstructured", "whole")]


def test_fewer_spikes_cost_less_on_every_rung():
    records = [ladder_of(f"{rate:g}", rate=rate) | {"rate": rate} for rate in (0.02, 0.1, 0.3, 0.6)]
    assert find_violations(load_points(records), ["A0", "A1", "A2"]) == ([], 9)


def test_ratios_fronts_and_conclusion_of_a_corpus():
    found = compare_records(corpus())
    assert found.rungs == ("A1", "R2")
    rows = {(row.over, row.rung): row for row in found.ratios}
    assert rows["b", "A1"].mid == pytest.approx(2.0)
    assert rows["c", "R2"].mid == pytest.approx(400 / 120)
    assert all(row.verdict == "dearer" for row in rows.values())
    # Under R2 'c' is cheaper than 'b', which is a little better; under A1 it is worse in both.
    assert found.fronts == {"A1": ("a", "b"), "R2": ("a", "c", "b")}
    text = "\n".join(found.conclusion)
    assert "A1 misleads most about 'c' against 'b': it says 1.5 (1.5 to 1.5), R2 says 0.8 (0.8 to 0.8)." in text
    assert "A1 misses 'c'." in text
    assert "Kendall tau of 0.33" in text
    assert "must not be used to choose between them. With 3 points this is an indication, no more." in text
    assert "most of that is 'clock'" in text
    assert "'a' is cheaper on every rung, with bands that stay above 1." in text
    json.dumps(found.as_json(), allow_nan=False)


def test_rungs_that_contradict_each_other_are_told():
    records = [made_up("a", energy_of("A1", weights=10.0), energy_of("R2", weights=10.0)),
               made_up("b", energy_of("A1", weights=20.0), energy_of("R2", weights=5.0))]
    text = " ".join(compare_records(records).conclusion)
    assert "The rungs contradict each other, beyond their bands: 'b' is cheaper under R2, 'b' is dearer under A1." in text


def test_a_band_that_contains_one_decides_nothing():
    from snnhw.cost import Energy, Term, load_constants
    fpga = load_constants("ice40up5k")
    one = Energy("R2", "R2", "simulated", fpga, (Term("fc", "weights", 10.0, "access", ("ebr",)),))
    other = Energy("R2", "R2", "simulated", fpga, (Term("fc", "logic", 250.0, "toggle", ("toggle",)),))
    found = compare_records([made_up("a", one), made_up("b", other)])
    assert [row.verdict for row in found.ratios] == ["undecided"]
    text = " ".join(found.conclusion)
    assert "Under R2 the band contains 1: these constants do not decide it there." in text
    assert "Assumed, without a measurement, is the constant behind the largest part: ebr (under R2)." in text


def test_one_point_alone_is_compared_with_nothing():
    found = compare_records([ladder_of("only")])
    assert (found.ratios, found.violations, found.compared, found.correlations) == ((), (), 0, ())
    assert not any("Kendall" in sentence for sentence in found.conclusion)
    assert found.conclusion[0] == "Compared: 1 design point on the rungs A0, A1 and A2."


def test_scatter_has_a_row_for_each_point_with_both():
    points = load_points([*corpus(), made_up("d", energy_of("A1", weights=1.0))])
    rows = scatter(points, "A1", "R2")
    assert [(row[0], row[3], row[4]) for row in rows] == [("a", pytest.approx(10), pytest.approx(120)),
                                                         ("b", pytest.approx(20), pytest.approx(500)),
                                                         ("c", pytest.approx(30), pytest.approx(400))]


def test_same_counts_with_other_constants_are_a_rung_of_their_own():
    from dataclasses import replace
    fpga = replace(energy_of("A2", weights=3.0), rung="R1")
    (point,) = load_points([made_up("a", fpga, replace(energy_of("A1", weights=2.0), rung="R1"))])
    assert point.rungs == ("R1", "R1 fpga")


def test_names_come_from_what_was_trained():
    record = made_up("", energy_of("A1", weights=1.0), network="mnist-fc", bits=2, seed=3)
    assert load_points([record])[0].name == "mnist-fc ternary seed 3"
    record |= {"bits": 4, "sparsity": 0.8, "structure": "bank", "seed": 0}
    assert load_points([record])[0].name == "mnist-fc 4 bits 80% bank"


def test_names_must_differ():
    record = corpus()[0]
    with pytest.raises(UsageError, match=r"^names of design points must differ, and 'a' is there 2 times$"):
        load_points([record, record])


def test_constants_must_be_known():
    record = corpus()[0]
    record["energy"][0]["constants"] = "mine"
    with pytest.raises(UsageError, match=r"^constants of a record must be one of asic45, .*, not 'mine'$"):
        load_points([record])


def test_points_are_chosen_by_name():
    points = load_points(corpus())
    assert select(points, "b") is points[1]
    with pytest.raises(ValueError, match=re.escape("Design point must be one of a, b, c, not 'd'")):
        select(points, "d")


def test_models_of_papers_are_ranked_beside_the_rungs_and_never_mixed_with_them():
    def row(value):
        return {"model": "operations-fp32", "title": "operations", "mid_pj": value, "hardware": "45 nm",
                "band": {"median": value, "low": value, "high": value}}

    records = [record | {"textbook": [row(value)]} for record, value in zip(corpus(), (1.0, 3.0, 2.0), strict=True)]
    found = compare_records(records)
    (model,) = found.textbook
    assert model.tau == pytest.approx({"A1": 1 / 3, "R2": 1.0})
    assert model.ratios == (("b", "a", 3.0), ("c", "a", 2.0))
    assert found.rungs == ("A1", "R2")
    assert ("Models of papers order the points as R2 does with a Kendall tau of operations-fp32 1.00; their joules are of other "
            "hardware and are not compared.") in found.conclusion

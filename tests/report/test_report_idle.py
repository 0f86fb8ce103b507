"""The block on idle policies: drawn from the record, nothing where a record has none or something else."""

import re

import pytest

from snnhw.cost import Energy, Term, load_constants
from snnhw.cost.idle import IdlePolicy, idle_policy_json
from snnhw.report.idle import idle_blocks
from snnhw.report.page import Figure, Note
from snnhw.report.records import Part

ENERGY = Energy("R3", "made up", "simulated", load_constants("ice40up5k"), (
    Term("one", "weights", 3000.0, "access", ("ebr",)),
    Term("", "flip-flops", 24_000 * 500, "flip-flop*cycle", ("flip_flop_clock",)),
    Term("", "clock", 24_000, "cycle", ("clock",)),
    Term("", "static", 0.002, "s", ("static",)),
))


def test_a_record_becomes_a_plot_and_sentences():
    figure, crossings, *notes = idle_blocks(Part(idle_policy_json(IdlePolicy(ENERGY))))
    assert isinstance(figure, Figure)
    for text in (">clock-stopped<", ">powered-down<", ">inferences per second<", ">energy per inference<", ">10 µJ<"):
        assert text in figure.svg
    assert not re.search(r"#0[0-9a-f]{5}\b", figure.svg)  # every colour is one of the page
    assert "rung R3 with iCE40UP5K constants" in figure.caption
    assert "takes 2 ms, so the design keeps up with 500 per second" in figure.caption
    assert isinstance(crossings, Note)
    assert re.match(r"Below 4 \(2\.7 to 5\.04\) inferences per second powered-down costs less than clocked; "
                    r"below 0\.534 \(0\.359 to 0\.675\) inferences per second powered-down costs less", crossings.text)
    assert "waiting clocked costs more than the inference itself" in crossings.text
    assert [note.text.partition(",")[0] for note in notes] == ["While it waits", "Powered down"]


@pytest.mark.parametrize("record", [
    {}, [], "text", {"policies": []}, {"policies": [{"points": [{"per_second": -1}]}]},
    {"policies": [{"policy": "clocked", "points": [{"per_second": 1, "median": 1, "low": 1, "high": 1}] * 2}]},
    {"policies": [{"policy": "x", "points": [{"per_second": 1, "median": None, "low": 0, "high": "x"}]}], "most_per_second": 5},
])
def test_what_is_no_idle_policy_is_left_out(record):
    assert idle_blocks(Part(record)) == []

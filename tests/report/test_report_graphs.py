"""The report of networks that are no chains."""

import pytest
from example_graphs import example_graph, spikes_of
from report_runs import read_page, record

from snnhw.board import load_board
from snnhw.cost import energy_ladder, estimate, predict_counts
from snnhw.plan import make_plan, plan_rows
from snnhw.reference import run
from snnhw.report import write_report


def page_of(folder, name):
    graph = example_graph(name)
    plan, board = make_plan(graph, lanes=2), load_board("icebreaker")
    trains = run(graph, spikes_of(graph, 3)).spikes
    counts = predict_counts(plan, trains)
    measured = {"engine": "cxxrtl", "cycles": counts.cycles, "accesses": [dict(layer) for layer in counts.layers],
                "toggles": {"layer0.walker.total": 900, "layer1.finaliser.state": 60}}
    record(folder, "inspect", {"layers": plan_rows(plan), "timesteps": graph.timesteps})
    record(folder, "estimate", estimate(plan, trains, board=board, draws=100))
    record(folder, "energy", energy_ladder(plan, trains, measured=measured, board=board, draws=100))
    write_report(folder, folder / "report.html")
    return read_page(folder / "report.html")


@pytest.mark.parametrize("name", ["conv", "recurrent", "graded", "state"])
def test_cycles_are_predicted(name, tmp_path):
    text = page_of(tmp_path, name).text
    assert "cycles per sample" in text
    assert "access and cycle counts predicted from the plan were measured in the RTL; 0 differ." in text


def test_a_layer_names_its_sources_when_they_are_not_the_layer_before_it(tmp_path):
    text = page_of(tmp_path, "recurrent").text
    assert "from in, hidden (delayed), last (delayed)" in text
    assert "from in, hidden (delaye…" in text
    assert "from hidden" not in text

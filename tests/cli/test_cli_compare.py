"""``snnhw compare``: one network and its variants, two networks, and what goes wrong."""

import json
import re

import pytest
from snnhw_run import make_graph, write_run

from snnhw.cli import compare
from snnhw.cli.runs import open_run
from snnhw.ir import Graph, Linear

TWO_SAMPLES = "-n", "2"


def narrower(graph):
    """Return the graph with weights of half the size and one bit less."""
    from dataclasses import replace
    nodes = tuple(replace(node, weight=node.weight >> 1, weight_bits=node.weight_bits - 1) if isinstance(node, Linear) else node
                  for node in graph.nodes)
    return Graph("narrow", nodes, graph.timesteps)


@pytest.fixture
def two_runs(tmp_path):
    for name, graph in (("wide", make_graph()), ("narrow", narrower(make_graph()))):
        (tmp_path / name).mkdir()
        write_run(tmp_path / name, graph)
    return tmp_path / "wide", tmp_path / "narrow"


def test_two_networks(snnhw, two_runs, tmp_path):
    found = snnhw("compare", *two_runs, "--out", tmp_path / "out", *TWO_SAMPLES, "--json")
    assert found.code == 0, found.err
    results = json.loads(found.out)["results"]
    assert [point["name"] for point in results["points"]] == ["wide", "narrow"]
    assert [point["bits"] for point in results["points"]] == [4, 3]
    assert results["rungs"] == ["A0", "A1", "R1", "A2", "R1 fpga", "R2"]
    ratios = {row["rung"]: row for row in results["ratios"]}
    assert ratios["A1"]["mid"] < 1  # fewer bits, the same spikes at the input
    assert ratios["R1"]["mid"] == pytest.approx(ratios["A1"]["mid"])
    # Of the same network and hardware, one bit less: a comparison on every rung.
    assert results["compared"] == 6
    assert set(results["sweeps"]) == {"wide", "narrow"}
    assert results["sweeps"]["wide"]["own_rate"] != results["sweeps"]["narrow"]["own_rate"]
    assert len(results["textbook"]) == 6
    assert results["points"][0]["metrics"]["membrane_changes"] > 0
    assert json.loads((tmp_path / "out" / "compare.json").read_text())["results"]["conclusion"] == results["conclusion"]


def test_the_page_is_whole_and_loads_nothing(snnhw, two_runs, tmp_path):
    found = snnhw("compare", *two_runs, "--out", tmp_path / "out", *TWO_SAMPLES)
    assert found.code == 0, found.err
    for text in ("Design points, median energy per sample", "Same order? Kendall's tau-b", "Conclusion", "compare.html"):
        assert text in found.out
    page = (tmp_path / "out" / "compare.html").read_text()
    for text in ("Where the energy goes", "Formula against hardware", "Ratios between points", "Spikes or none", "Effective_ACs",
                 "energy-delay product", "ASSUMED", "Yan et al. 2024"):
        assert text in page
    assert page.count("<svg") >= 5
    assert re.findall(r"(?:src|href)=\"(?!#)[^\"]*\"", page) == []
    assert not re.search(r"\bnan\b|\binf\b", re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL))


def test_one_network_is_compared_with_its_variants(snnhw, run_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(compare, "LANES", (1, 2))
    monkeypatch.setattr(compare, "FORMATS", ("dense", "csc"))
    found = snnhw("compare", run_folder, "--out", tmp_path / "out", *TWO_SAMPLES, "--json")
    assert found.code == 0, found.err
    points = json.loads(found.out)["results"]["points"]
    assert [point["name"] for point in points] == ["lanes 1, dense", "lanes 2, dense", "lanes 1, csc"]
    assert points[1]["cycles"] < points[0]["cycles"]
    assert len({point["accuracy"] for point in points}) == 1


def test_folders_of_the_same_name_go_by_their_paths(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name / "run").mkdir(parents=True)
    paths = [tmp_path / "one" / "run", tmp_path / "two" / "run"]
    assert compare._names(paths) == [str(path) for path in paths]
    assert compare._names([paths[0], tmp_path / "two"]) == ["run", "two"]


def test_a_recorded_accuracy_is_taken(run_folder):
    run = open_run(run_folder)
    counted = compare._accuracy(run)
    for recorded, found in (({"float": 1.0, "integer": 0.125}, 0.125), ({"float": 1.0}, counted), ({"integer": 7}, counted),
                            ([], counted)):
        (run_folder / "lower.json").write_text(json.dumps({"results": {"accuracy": recorded}}))
        assert compare._accuracy(run) == found


@pytest.mark.parametrize(("arguments", "message"), [
    (("{run}", "{run}", "--out", "out"), r"^error: run folders must differ, and one of them is given twice\n$"),
    (("{run}", "--out", "out", "--seed", "-1"), r"^error: Invalid value for '--seed': .*\n$"),
    (("missing", "--out", "out"), r"^error: .*'missing'.*\n$"),
    (("{run}", "--out", "out", "-n", "99"), r"^error: --samples must be between 1 and the 6 of the run folder, not 99\n$"),
    (("{run}", "--out", "out", "--constants", "none"), r"^error: constants must be one of .*, not 'none'\n$"),
    (("--out", "out"), r"^error: .*runs.*\n$"),
])
def test_errors_are_one_line(snnhw, run_folder, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    found = snnhw("compare", *(argument.format(run=run_folder) for argument in arguments))
    assert found.code == 2
    assert re.search(message, found.err, re.IGNORECASE), found.err
    assert not (tmp_path / "out").exists()

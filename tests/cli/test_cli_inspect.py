"""``snnhw inspect``, and what all commands that read a run folder share."""

import json
import re

import pytest
from snnhw_run import make_graph, write_run

from snnhw.ir import format_graph


def test_shows_graph_and_plan(snnhw, run_folder):
    done = snnhw("inspect", run_folder)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("graph 'small', 6 timesteps\n")
    assert re.search(r"^ *hidden +9 → 7 +", done.out, re.MULTILINE)


def test_json_is_json_and_the_record(snnhw, run_folder):
    done = snnhw("inspect", run_folder, "--json")
    record = json.loads(done.out)
    assert record == json.loads((run_folder / "inspect.json").read_text())
    assert set(record) == {"schema", "command", "arguments", "versions", "seed", "seconds", "results"}
    assert record["arguments"] == ["inspect", str(run_folder), "--json"]
    assert "\n".join(record["results"]["graph"]) + "\n" == format_graph(make_graph())


def test_graph_file_will_do(snnhw, run_folder):
    assert snnhw("inspect", run_folder / "graph.safetensors").code == 0


@pytest.mark.parametrize(("options", "lanes"), [
    ([], [12, 1]),
    (["--lanes", "2"], [2, 1]),
    (["--lanes", "hidden=3", "--lanes", "classes=2"], [3, 2]),
])
def test_lanes(snnhw, tmp_path, options, lanes):
    write_run(tmp_path / "run", make_graph(inputs=200, hidden=12))
    record = json.loads(snnhw("inspect", tmp_path / "run", "--json", *options).out)
    assert [layer["lanes"] for layer in record["results"]["layers"]] == lanes


def test_layer_name_may_hold_an_equals_sign(snnhw, tmp_path):
    write_run(tmp_path / "run", make_graph(lanes_name="a=b"))
    record = json.loads(snnhw("inspect", tmp_path / "run", "--json", "--lanes", "a=b=5").out)
    assert record["results"]["layers"][0]["lanes"] == 5


def test_hostile_name_reaches_the_terminal_as_data(snnhw, tmp_path):
    write_run(tmp_path / "run", make_graph(lanes_name="[red]x[/red]\x1b[31m"))
    done = snnhw("inspect", tmp_path / "run")
    assert done.code == 0
    assert "\x1b" not in done.out
    assert "[red]x[/red]" in done.out

"""``snnhw sweep``: usage. Whole sweeps are in tests/sweep."""

import json
import re

import pytest

STUDY = """
model = "digits"
objectives = ["accuracy"]
candidates = 2
space.plan.lanes = [1, 2]
"""


@pytest.fixture
def study(tmp_path):
    pytest.importorskip("torch")
    pytest.importorskip("optuna")
    path = tmp_path / "study.toml"
    path.write_text(STUDY)
    return path


@pytest.mark.parametrize(("options", "message"), [
    (("--engine", "cloud"), r"engine must be local, dask:ADDRESS, ray:ADDRESS, slurm or slurm:OPTION=VALUE,\.\.\., not 'cloud'"),
    (("--jobs", "0"), r"jobs must be between 1 and 1024, not 0"),
])
def test_wrong_options_are_one_line_and_2(snnhw, study, tmp_path, options, message):
    done = snnhw("sweep", study, "--out", tmp_path / "out", *options)
    assert (done.code, done.out) == (2, "")
    assert re.fullmatch(rf"error: {message}\n", done.err)


def test_missing_study_is_named(snnhw, study, tmp_path):
    done = snnhw("sweep", tmp_path / "none.toml", "--out", tmp_path / "out")
    assert (done.code, done.out) == (2, "")
    assert re.fullmatch(r"error: study '.*none\.toml' does not exist\n", done.err)


def test_missing_optuna_is_3(snnhw, study, tmp_path, monkeypatch):
    import importlib.util
    find = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "optuna" else find(name))
    done = snnhw("sweep", study, "--out", tmp_path / "out")
    assert (done.code, done.err) == (3, "error: the search needs the package 'optuna', install it with: pip install "
                                        "'snnhw[sweep]'\n")


def made_up(study, out, **options):
    metrics = {"accuracy": 0.9, "logic": 500}
    row = {"number": 0, "fate": "front", "values": {"plan.lanes": 1}, "stage": "synthesis", "reason": None, "metrics": metrics,
           "accuracy_held_out": 0.88, "comparison": {"logic": {"estimate": 550, "measured": 500}}}
    from snnhw.sweep import METRICS
    row["metrics"] = dict.fromkeys(METRICS, 1.0) | metrics
    return {"ok": made_up.ok, "problem": None if made_up.ok else "no candidate finished synthesis within the constraints",
            "model": "digits", "board": "icebreaker", "seed": 0, "objectives": [{"name": "accuracy"}],
            "space": [{"name": "plan.lanes"}], "counts": {"proposed": 1, "front": 1, "done": 0, "dropped": 0, "failed": 0},
            "reached": {"estimate": 1}, "candidates": [row], "front": [0]}


@pytest.mark.parametrize("ok", [True, False])
def test_record_page_and_table_are_written(snnhw, study, tmp_path, monkeypatch, ok):
    made_up.ok = ok
    monkeypatch.setattr("snnhw.sweep.run_sweep", made_up)
    out = tmp_path / "out"
    shown, printed = snnhw("sweep", study, "--out", out), snnhw("sweep", study, "--out", out, "--json")
    assert shown.code == printed.code == (0 if ok else 1)
    assert re.search(r"logic +550 +500 +\+10\.0%", shown.out)
    assert json.loads(printed.out)["results"]["front"] == [0]
    assert json.loads((out / "sweep.json").read_text())["command"] == "sweep"
    assert {path.name for path in out.iterdir()} == {"sweep.json", "sweep.html", "pareto.csv"}

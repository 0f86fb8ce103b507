"""The coordinator: who goes on, what a failure does, and that a crash loses and repeats nothing."""

import json

import pytest
from sweep_studies import STUDY, MadeUpEngine, write_study

from snnhw.cost.pareto import pareto_front
from snnhw.errors import FileError, UsageError
from snnhw.sweep import run_sweep
from snnhw.sweep.store import Store


def finish(folder, study, **options):
    """Run a sweep to its end; return results without what depends on the time, and the engine."""
    engine = MadeUpEngine(**options)
    results = run_sweep(study, folder, engine=engine)
    return {name: value for name, value in results.items() if name != "seconds"}, engine


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    return finish(folder / "out", write_study(folder))


def test_every_candidate_has_a_fate(undisturbed):
    results, _ = undisturbed
    assert [row["number"] for row in results["candidates"]] == list(range(12))
    fates = {row["fate"] for row in results["candidates"]}
    assert fates <= {"front", "done", "dropped", "failed"}
    assert sum(results["counts"][fate] for fate in ("front", "done", "dropped", "failed")) == 12
    assert all(row["reason"] for row in results["candidates"] if row["fate"] in ("dropped", "failed"))


def test_no_candidate_comes_twice(undisturbed):
    values = [json.dumps(row["values"]) for row in undisturbed[0]["candidates"]]
    assert len(set(values)) == len(values)


def test_front_finished_the_last_stage_and_is_not_dominated(undisturbed):
    results, _ = undisturbed
    ended = [row for row in results["candidates"] if row["stage"] == "synthesis"]
    points = [[row["metrics"]["accuracy"], row["metrics"]["logic"]] for row in ended]
    assert results["front"] == [ended[index]["number"] for index in pareto_front(points, maximise=[0])]
    assert results["front"]


def test_stages_take_as_many_as_the_study_keeps(undisturbed):
    results, engine = undisturbed
    assert results["reached"]["estimate"] == 12
    assert results["reached"]["full"] == 5
    assert results["reached"]["verify"] <= 4
    # The float network does not depend on bits, sparsity and lanes: one for all.
    assert [stage for _, stage in engine.ran].count("pretrain") == 1


def test_measured_metrics_replace_estimates(undisturbed):
    row = next(row for row in undisturbed[0]["candidates"] if row["stage"] == "synthesis")
    assert row["metrics"]["logic"] == row["comparison"]["logic"]["measured"] == row["estimate"]["full"]["logic"] - 7


@pytest.mark.parametrize("interval", [1, 2, 3, 5, 11])
def test_crashes_change_nothing(undisturbed, tmp_path, interval):
    """Stopped again and again after so many jobs, a sweep ends as if it had not been, and no job runs twice."""
    study, ran = write_study(tmp_path), []
    for _ in range(200):
        engine = MadeUpEngine(stop_after=interval)
        try:
            results = run_sweep(study, tmp_path / "out", engine=engine)
        except KeyboardInterrupt:
            ran += engine.ran
            continue
        ran += engine.ran
        break
    del results["seconds"]
    assert results == undisturbed[0]
    assert sorted(ran) == sorted(undisturbed[1].ran)
    assert len(set(ran)) == len(ran)


def test_finished_sweep_runs_nothing(undisturbed, tmp_path):
    study = write_study(tmp_path)
    first, _ = finish(tmp_path / "out", study)
    again, engine = finish(tmp_path / "out", study)
    assert engine.ran == []
    assert again == first


def test_more_candidates_go_on(tmp_path):
    first, _ = finish(tmp_path / "out", write_study(tmp_path))
    more, engine = finish(tmp_path / "out", write_study(tmp_path, candidates="candidates = 20"))
    assert [row["values"] for row in more["candidates"][:12]] == [row["values"] for row in first["candidates"]]
    assert len(more["candidates"]) == 20
    assert {number for number, stage in engine.ran if stage == "estimate"} == set(range(12, 20))


def test_failure_is_recorded_and_does_not_stop(tmp_path):
    text = STUDY.replace("[2, 3, 4, 6, 8]", "[3, 8]").replace("lanes = [1, 2, 4, 8]", "lanes = [1, 8]")
    results, engine = finish(tmp_path / "out", write_study(tmp_path, text))
    failed = [row for row in results["candidates"] if row["fate"] == "failed"]
    assert failed
    assert {row["reason"] for row in failed} == {"layer 'fc1' (Linear): made up to fail"}
    assert {row["failed_at"] for row in failed} == {"estimate"}
    unfit = [row for row in results["candidates"] if row["values"]["quantize.weight_bits"] == row["values"]["plan.lanes"] == 8]
    assert unfit
    assert {row["reason"] for row in unfit} == {"network is too large"}
    assert not {row["number"] for row in unfit} & {number for number, stage in engine.ran if stage == "short"}


def test_missed_clock_is_not_on_the_front(tmp_path):
    text = STUDY.replace("[2, 3, 4, 6, 8]", "[6]").replace("lanes = [1, 2, 4, 8]", "lanes = [4]")
    results, _ = finish(tmp_path / "out", write_study(tmp_path, text))
    assert not results["ok"]
    built = [row for row in results["candidates"] if row["stage"] == "synthesis"]
    assert {(row["fate"], row["reason"]) for row in built} == {("dropped", "misses its clock")}


def test_constraint_drops_after_full_training(tmp_path):
    study = write_study(tmp_path, STUDY + "\n[constraints]\naccuracy = {min = 0.9}\n")
    results, _ = finish(tmp_path / "out", study)
    verified = [row for row in results["candidates"] if row["stage"] in ("verify", "synthesis")]
    assert verified
    assert all(row["metrics"]["accuracy"] >= 0.9 for row in verified)


def test_nothing_within_the_constraints_is_not_ok(tmp_path):
    results, _ = finish(tmp_path / "out", write_study(tmp_path, STUDY + "\n[constraints]\naccuracy = {min = 0.999}\n"))
    assert not results["ok"]
    assert results["problem"] == "no candidate finished synthesis within the constraints"
    reasons = {row["reason"].partition(", not ")[0] for row in results["candidates"] if row["stage"] == "full"}
    assert reasons == {"accuracy must be at least 0.999"}


def test_worker_that_dies_twice_fails_its_candidate(tmp_path):
    results, engine = finish(tmp_path / "out", write_study(tmp_path), deaths={(2, "estimate")})
    assert engine.ran.count((2, "estimate")) == 2
    row = results["candidates"][2]
    assert (row["fate"], row["reason"]) == ("failed", "worker ended 2 times without an answer; too little memory?")
    assert results["ok"]


def test_all_failing_stops_with_the_reason(tmp_path):
    text = STUDY.replace("[2, 3, 4, 6, 8]", "[3]").replace("lanes = [1, 2, 4, 8]", "lanes = [1]")
    with pytest.raises(UsageError, match=r"^study: all 4 candidates of the first round failed, the first with: layer 'fc1' "
                                         r"\(Linear\): made up to fail$"):
        finish(tmp_path / "out", write_study(tmp_path, text))


def test_space_ends(tmp_path):
    text = STUDY.replace("[2, 3, 4, 6, 8]", "[2, 4]").replace("step = 0.1", "step = 0.9").replace("[1, 2, 4, 8]", "[1, 2]")
    results, _ = finish(tmp_path / "out", write_study(tmp_path, text))
    assert len(results["candidates"]) == 8


@pytest.mark.parametrize("kind", ["random", "grid", "nsga2"])
def test_samplers(tmp_path, kind):
    text = STUDY.replace("startup = 4", f'kind = "{kind}"\npopulation = 4')
    results, _ = finish(tmp_path / "out", write_study(tmp_path, text))
    assert len({json.dumps(row["values"]) for row in results["candidates"]}) == 12


def test_another_study_is_refused(tmp_path):
    finish(tmp_path / "out", write_study(tmp_path))
    with pytest.raises(UsageError, match=r"^sweep folder '.*out' holds a sweep with another study\.seed; use another folder$"):
        finish(tmp_path / "out", write_study(tmp_path, seed="seed = 4"))


def test_foreign_folder_is_refused(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("irreplaceable")
    with pytest.raises(FileError, match=r"^sweep folder '.*out' must be new, empty or that of an earlier sweep$"):
        finish(tmp_path / "out", write_study(tmp_path))
    assert [path.name for path in (tmp_path / "out").iterdir() if path.name != ".lock"] == ["thesis.tex"]


def test_two_sweeps_do_not_share_a_folder(tmp_path):
    store = Store(tmp_path / "out")
    try:
        with pytest.raises(UsageError, match=r"^sweep folder '.*out' must be used by one sweep at a time, and another one runs$"):
            finish(tmp_path / "out", write_study(tmp_path))
    finally:
        store.close()


@pytest.mark.parametrize(("line", "message"), [
    ("quantize.bits = [2]", r"^study: space 'quantize.bits' must be a field of the recipe, or plan.OPTION: "
                            r"quantize.bits is wrong: Extra inputs are not permitted$"),
    ("quantize.weight_bits = [20, 30]", r"^study: space 'quantize.weight_bits' must be a field of the recipe, or plan.OPTION: "
                                        r"quantize.weight_bits.* is wrong: "),
    ("plan.speed = [2]", r"^plan options must be .*lanes.*, not 'speed'$"),
])
def test_impossible_fields_are_refused_before_anything_runs(tmp_path, line, message):
    text = STUDY.replace("quantize.weight_bits = [2, 3, 4, 6, 8]", line)
    with pytest.raises(UsageError, match=message):
        finish(tmp_path / "out", write_study(tmp_path, text))
    assert not (tmp_path / "out").exists()


def test_missing_model_is_named(tmp_path):
    with pytest.raises(FileError, match=r"^model folder 'nowhere' must hold model.py and recipe.toml, beside the study or among "
                                        r"the shipped models$"):
        finish(tmp_path / "out", write_study(tmp_path, model='model = "nowhere"'))

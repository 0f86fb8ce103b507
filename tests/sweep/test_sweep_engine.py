"""Engines: each runs jobs, tells what became of them, and stops."""

import os
import signal
import time

import pytest
from sweep_studies import write_study

from snnhw.errors import ToolMissing, UsageError
from snnhw.files import write_json
from snnhw.sweep.engine import DaskEngine, LocalEngine, RayEngine, SlurmEngine, make_engine
from snnhw.sweep.study import load_study


@pytest.fixture
def sweep(tmp_path):
    """Return the folder of a sweep in which the estimates of candidates 0 to 3 are over: such jobs answer at once."""
    study = load_study(write_study(tmp_path))
    write_json(tmp_path / "study.json", {"study": study.model_dump(mode="json"), "name": "digits", "board": "icebreaker",
                                         "recipe": {"data": "digits"}, "hash": ""})
    for number in range(4):
        values = {"quantize.weight_bits": 4, "prune.sparsity": 0.0, "plan.lanes": 1}
        write_json(tmp_path / "trials" / str(number) / "candidate.json", {"values": values})
        write_json(tmp_path / "trials" / str(number) / "estimate.json", {"ok": True, "number": number})
    return tmp_path


def run_all(engine, folder, stage="estimate", numbers=range(4), limit_s=120):
    """Run jobs to their end; return what became of them, by number."""
    for number in numbers:
        engine.submit({"folder": str(folder), "number": number, "stage": stage})
    found, limit = {}, time.monotonic() + limit_s
    while len(found) < len(numbers):
        assert time.monotonic() < limit
        found |= {done.job["number"]: done for done in engine.gather(0.5)}
    return found


def check(engine, folder):
    try:
        found = run_all(engine, folder)
        assert {number: done.result for number, done in found.items()} == {
            number: {"ok": True, "number": number} for number in range(4)}
        assert not any(done.died or done.error for done in found.values())
        # A candidate that is not there: an error of the sweep, which reaches the coordinator.
        lost = run_all(engine, folder, numbers=[9])[9]
        assert not lost.died
        assert "trials/9/candidate.json" in str(lost.error)
    finally:
        engine.close()


@pytest.mark.parametrize("jobs", [1, 2])
def test_local_processes(sweep, jobs):
    check(LocalEngine(jobs), sweep)


def test_dask_cluster(sweep):
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster:
        check(DaskEngine(cluster.scheduler_address), sweep)


def test_submitit_on_this_machine(sweep):
    pytest.importorskip("submitit")
    check(SlurmEngine(sweep / "slurm", {}, cluster="local"), sweep)


@pytest.mark.slow
def test_ray_on_this_machine(sweep):
    pytest.importorskip("ray")
    check(RayEngine("local"), sweep)


def test_worker_that_dies_is_noticed_and_replaced(sweep, monkeypatch):
    engine = LocalEngine(2)
    try:
        run_all(engine, sweep)
        worker = engine._slots[0]
        engine.submit({"folder": str(sweep), "number": 0, "stage": "full"})  # takes a while: it loads torch
        os.kill(worker._pid.result(), signal.SIGKILL)
        done = []
        limit = time.monotonic() + 60
        while not done and time.monotonic() < limit:
            done = engine.gather(0.5)
        assert [(item.job["number"], item.died) for item in done] == [(0, True)]
        assert len(run_all(engine, sweep)) == 4
    finally:
        engine.close()


def test_close_ends_what_runs(sweep):
    engine = LocalEngine(1)
    run_all(engine, sweep, numbers=[0])
    process = engine._slots[0]._pid.result()
    engine.submit({"folder": str(sweep), "number": 0, "stage": "full"})
    engine.close()
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


@pytest.mark.parametrize("name", ["", "dask", "ray:", "slurm:partition", "local:4", "cloud"])
def test_unknown_engines_are_refused(tmp_path, name):
    with pytest.raises(UsageError, match=r"^engine must be local, dask:ADDRESS, ray:ADDRESS, slurm or slurm:OPTION=VALUE,..., "
                                         rf"not {name!r}$"):
        make_engine(name, jobs=1, folder=tmp_path)


def test_jobs_are_bounded():
    with pytest.raises(UsageError, match=r"^jobs must be between 1 and 1024, not 0$"):
        make_engine("local", jobs=0, folder=None)


@pytest.mark.parametrize(("name", "package"), [("dask:tcp://x:1", "distributed"), ("ray:auto", "ray"), ("slurm", "submitit")])
def test_missing_package_says_how_to_install_it(tmp_path, monkeypatch, name, package):
    monkeypatch.setattr("importlib.util.find_spec", lambda module: None)
    with pytest.raises(ToolMissing, match=rf"needs the package '{package}', install it with: pip install 'snnhw\[engines\]'$"):
        make_engine(name, jobs=1, folder=tmp_path)


def test_slurm_without_slurm_is_refused(tmp_path, monkeypatch):
    pytest.importorskip("submitit")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match=r"^engine 'slurm' must find sbatch on this machine: "):
        make_engine("slurm:partition=cpu", jobs=1, folder=tmp_path)
    with pytest.raises(UsageError, match=r"^engine 'slurm': time must be a positive number of minutes, not 'long'$"):
        make_engine("slurm:time=long", jobs=1, folder=tmp_path)

"""A real sweep in a process of its own, killed with SIGKILL: nothing that was finished is lost or done again."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STUDY = """
model = "digits"
objectives = ["accuracy", "logic"]
candidates = 4
round = 2
seed = 5

[space]
quantize.weight_bits = [2, 4, 8]
plan.lanes = [2, 8]

[sampler]
startup = 2

[recipe]
timesteps = 3
samples = 200
pretrain.epochs = 1
finetune.epochs = 2

[stages.estimate]
samples = 10

[stages.short]
epochs = 0.5
samples = 10

[stages.full]
keep = 2
samples = 10
"""
LIMIT_SECONDS = 900


def start(folder):
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "snnhw", "sweep", str(folder / "study.toml"), "--out", str(folder / "out"), "--json"]
    # Where the tests themselves run in the background, Ctrl-C is ignored, and children inherit that.
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))


def finished(folder):
    """Return the results of stages that are there: which file it is, when it was written, and what is in it."""
    paths = [*folder.glob("out/trials/*/*.json"), *folder.glob("out/pretrain/*.json")]
    return {str(path.relative_to(folder)): (path.stat().st_ino, path.stat().st_mtime_ns, path.read_bytes()) for path in paths}


def stop_after(folder, process, count, number=signal.SIGKILL):
    """Stop the coordinator as soon as `count` results of stages are there; return what it said."""
    limit = time.monotonic() + LIMIT_SECONDS
    while len(finished(folder)) < count:
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < limit
        time.sleep(0.02)
    process.send_signal(number)
    return process.communicate(timeout=LIMIT_SECONDS)[1]


def workers(folder):
    """Return the processes that work in a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cwd"):
        try:
            found += [path.parent.name] if Path(os.readlink(path)) == folder else []
        except OSError:
            continue
    return found


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """Kill a sweep twice, interrupt it once, then let it end.

    Return its folder, what was there at each stop, whether its workers ended, what it said when interrupted, and its record.
    """
    pytest.importorskip("torch")
    pytest.importorskip("optuna")
    folder = tmp_path_factory.mktemp("killed")
    (folder / "study.toml").write_text(STUDY)
    there = []
    stop_after(folder, start(folder), 4)  # the candidates of the first round are there, and a float network
    limit = time.monotonic() + 60
    while workers(folder) and time.monotonic() < limit:
        time.sleep(0.2)
    left = workers(folder)
    there.append(finished(folder))
    stop_after(folder, start(folder), 9)  # in the second round
    there.append(finished(folder))
    interrupted = start(folder)
    said = stop_after(folder, interrupted, len(there[-1]) + 1, signal.SIGINT)
    there.append(finished(folder))
    process = start(folder)
    out, err = process.communicate(timeout=LIMIT_SECONDS)
    assert process.returncode == 0, err
    return folder, there, left, (interrupted.returncode, said), json.loads(out)["results"]


def test_nothing_finished_was_lost_or_done_again(killed):
    folder, there, *_ = killed
    end = finished(folder)
    assert len(there[0]) < len(there[1]) < len(there[2]) < len(end)
    for earlier in there:
        # The same files: not written again with the same content, either.
        assert {name: end.get(name) for name in earlier} == earlier


def test_every_candidate_is_there_with_its_parameters(killed):
    folder, *_, results = killed
    assert [row["number"] for row in results["candidates"]] == [0, 1, 2, 3]
    for row in results["candidates"]:
        path = folder / "out" / "trials" / str(row["number"]) / "candidate.json"
        assert json.loads(path.read_text())["values"] == row["values"]
    assert len({json.dumps(row["values"]) for row in results["candidates"]}) == 4


def test_sweep_ended(killed):
    folder, *_, results = killed
    assert results["reached"] == {"estimate": 4, "short": 4, "full": 2}
    assert results["front"]
    assert {path.name for path in (folder / "out").iterdir()} >= {"sweep.json", "sweep.html", "pareto.csv", "journal.log"}
    assert not [*(folder / "out").glob("trials/*/.*.tmp")]


def test_workers_end_with_their_coordinator(killed):
    assert killed[2] == []


def test_interrupt_is_130_and_one_line(killed):
    assert killed[3] == (130, "error: interrupted, nothing half-written is left behind\n")


@pytest.mark.slow
def test_results_are_those_of_a_sweep_that_was_not_killed(killed, tmp_path):
    (tmp_path / "study.toml").write_text(STUDY)
    out, _ = start(tmp_path).communicate(timeout=LIMIT_SECONDS)
    results, ended = json.loads(out)["results"], killed[-1]
    assert [(row["values"], row["metrics"]) for row in results["candidates"]] == [
        (row["values"], row["metrics"]) for row in ended["candidates"]]
    assert results["front"] == ended["front"]

"""Runs that are done once."""

import json
import os
import re
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from snnhw.studies import RunCache

KEY = {"study": "test", "bits": 2, "prune": [0.75, 0.9], "layers": {"fc1": None, "fc2": True}}


def counted(result):
    """Return a function that returns `result`, and the list of its calls."""
    calls = []

    def function():
        calls.append(1)
        return result

    return function, calls


def test_a_finished_run_is_not_repeated(tmp_path):
    function, calls = counted({"accuracy": 0.5, "points": (1, 2)})
    first = RunCache(tmp_path).run(KEY, function)
    again = RunCache(tmp_path).run(dict(reversed(KEY.items())), function)
    assert first == again == {"accuracy": 0.5, "points": [1, 2]}
    assert len(calls) == 1


def test_another_key_is_another_run(tmp_path):
    cache = RunCache(tmp_path)
    function, calls = counted({"x": 1})
    for key in (KEY, KEY | {"bits": 3}, KEY | {"bits": 2.0}, KEY | {"bits": "2"}, KEY | {"prune": [0.9, 0.75]}):
        cache.run(key, function)
    assert len(calls) == 5
    assert len(list(tmp_path.glob("*.json"))) == 5


def test_the_file_says_what_was_run(tmp_path):
    cache = RunCache(tmp_path)
    cache.run(KEY, lambda: {"x": 1})
    record = json.loads(cache.path(KEY).read_text())
    assert record["key"] == KEY
    assert record["result"] == {"x": 1}
    assert record["versions"]["numpy"] == np.__version__
    assert record["seconds"] >= 0
    assert cache.record(KEY) == record


def test_what_is_not_there_is_none(tmp_path):
    assert RunCache(tmp_path / "missing").record(KEY) is None
    assert RunCache(tmp_path / "missing").get(KEY) is None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"schema": 1}', b"\xff\xfe", b'{"schema": 1, "key": {}, "result": {}}'])
def test_a_damaged_file_is_no_finished_run(tmp_path, content):
    cache = RunCache(tmp_path)
    cache.run(KEY, lambda: {"x": 1})
    cache.path(KEY).write_bytes(content)
    assert cache.get(KEY) is None
    function, calls = counted({"x": 2})
    assert cache.run(KEY, function) == {"x": 2}
    assert len(calls) == 1
    assert cache.get(KEY) == {"x": 2}


def test_a_result_of_another_schema_is_no_finished_run(tmp_path):
    cache = RunCache(tmp_path)
    cache.run(KEY, lambda: {"x": 1})
    record = json.loads(cache.path(KEY).read_text())
    cache.path(KEY).write_text(json.dumps(record | {"schema": 0}))
    assert cache.get(KEY) is None


def test_a_run_that_fails_leaves_nothing(tmp_path):
    cache = RunCache(tmp_path)

    def function():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        cache.run(KEY, function)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("key", "kind", "message"), [
    ({"a": np.int64(1)}, TypeError, "Key of a run must be plain values, not int64 at key.a"),
    ({"a": [1, {"b": object}]}, TypeError, "Key of a run must be plain values, not type at key.a[1].b"),
    ({"a": {1: 2}}, TypeError, "Key of a run must have names that are text, not 1 in key.a"),
    ({"a": float("nan")}, ValueError, "Key of a run must have finite numbers, not nan at key.a"),
])
def test_keys_are_plain(tmp_path, key, kind, message):
    with pytest.raises(kind, match=f"^{re.escape(message)}$"):
        RunCache(tmp_path).run(key, dict)


def test_results_are_plain_and_finite(tmp_path):
    with pytest.raises(ValueError, match=r"^Result of a run must have finite numbers, not inf at result\.x$"):
        RunCache(tmp_path).run(KEY, lambda: {"x": float("inf")})
    assert list(tmp_path.iterdir()) == []


def test_kill_loses_only_the_run_it_hits(tmp_path):
    """A process is killed inside its third run; the next one does the third run, and no other, again."""
    program = textwrap.dedent("""
        import os, sys, time
        from pathlib import Path
        from snnhw.studies import RunCache
        cache, hang = RunCache(Path(sys.argv[1])), sys.argv[2] == "hang"
        for number in range(4):
            def function():
                print("run", number, flush=True)
                if hang and number == 2:
                    time.sleep(600)
                return {"square": number ** 2}
            cache.run({"number": number}, function)
    """)
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen([*command, "hang"], stdout=subprocess.PIPE, text=True) as process:
        assert [process.stdout.readline().strip() for _ in range(3)] == ["run 0", "run 1", "run 2"]
        os.kill(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    again = subprocess.run([*command, "go"], stdout=subprocess.PIPE, text=True, check=True)
    assert again.stdout.split("\n")[:-1] == ["run 2", "run 3"]
    assert [RunCache(tmp_path).get({"number": number}) for number in range(4)] == [{"square": n ** 2} for n in range(4)]

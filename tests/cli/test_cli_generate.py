"""``snnhw generate``: what it writes, and that it writes it whole or not at all."""

import hashlib
import json
import os
import shlex
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from snnhw_run import make_graph, write_run

from snnhw.ir import Graph, Linear

OPTIONS = ["--lanes", "2", "--samples", "2"]


def tree(folder):
    """Return the hash of every file below a folder, by its path."""
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob("*")) if path.is_file()}


def started(run_folder, out, **environment):
    """Start `snnhw generate` in a process of its own."""
    command = [sys.executable, "-m", "snnhw", "generate", run_folder, "--out", out, *OPTIONS]
    return subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            env=os.environ | environment)


def test_folder_stands_alone(snnhw, run_folder):
    done = snnhw("generate", run_folder, "--out", run_folder / "hw", "--board", "icebreaker", *OPTIONS)
    assert (done.code, done.err) == (0, "")
    manifest = json.loads((run_folder / "hw" / "manifest.json").read_text())
    assert manifest["command"] == (
        "snnhw generate --lanes hidden=1 --lanes classes=1 --format hidden=dense --format classes=dense --board icebreaker "
        "--samples 2")
    listed = {name: entry["sha256"] for name, entry in manifest["files"].items()}
    assert listed == {name: digest for name, digest in tree(run_folder / "hw").items() if name != "manifest.json"}
    assert {"rtl/snnhw_top.v", "snnhw_top.core", "board/pins.pcf", "board/snnhw_board.v", "sim/run.py", "sim/vectors.json",
            "graph.safetensors"} <= set(listed)
    assert len(json.loads((run_folder / "hw" / "sim" / "vectors.json").read_text())["samples"]) == 2


@pytest.mark.parametrize("packing", ["none", "auto"])
def test_the_command_in_the_manifest_gives_the_same_folder(snnhw, tmp_path, packing):
    graph = make_graph()
    few = [replace(node, weight=np.sign(node.weight)) if isinstance(node, Linear) else node for node in graph.nodes]
    write_run(tmp_path / "run", Graph("small", tuple(few), graph.timesteps))
    assert snnhw("generate", tmp_path / "run", "--out", tmp_path / "a", "--packing", packing, *OPTIONS).code == 0
    command = json.loads((tmp_path / "a" / "manifest.json").read_text())["command"]
    _, name, *options = shlex.split(command)
    assert snnhw(name, tmp_path / "run", "--out", tmp_path / "b", *options).code == 0
    assert tree(tmp_path / "a") == tree(tmp_path / "b")


@pytest.mark.parametrize(("there", "shipped"), [(1, 1), (4, 4), (6, 4)])
def test_ships_four_samples_or_all_of_fewer(snnhw, tmp_path, there, shipped):
    write_run(tmp_path / "run", make_graph(), samples=there)
    done = snnhw("generate", tmp_path / "run", "--out", tmp_path / "hw", "--json")
    assert (done.code, done.err) == (0, "")
    assert json.loads(done.out)["results"]["samples"] == shipped
    assert json.loads((tmp_path / "hw" / "manifest.json").read_text())["command"].endswith(f" --samples {shipped}")
    assert len(json.loads((tmp_path / "hw" / "sim" / "vectors.json").read_text())["samples"]) == shipped


def test_same_bytes_whatever_the_folder_and_hash_seed(run_folder, tmp_path):
    processes = [started(run_folder, tmp_path / name, PYTHONHASHSEED=seed, TZ=zone)
                 for name, seed, zone in (("a", "1", "UTC"), ("b/c", "77", "Asia/Tokyo"))]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    assert tree(tmp_path / "a") == tree(tmp_path / "b" / "c")


def test_what_generate_decided_holds_for_later_commands(snnhw, run_folder):
    snnhw("generate", run_folder, "--out", run_folder / "hw", "--lanes", "hidden=3", "--lanes", "classes=2", "--samples", "1")
    record = json.loads(snnhw("inspect", run_folder, "--json").out)
    assert [layer["lanes"] for layer in record["results"]["layers"]] == [3, 2]
    record = json.loads(snnhw("inspect", run_folder, "--json", "--lanes", "1").out)
    assert [layer["lanes"] for layer in record["results"]["layers"]] == [1, 1]


def test_earlier_output_is_replaced(snnhw, run_folder):
    out = run_folder / "hw"
    assert snnhw("generate", run_folder, "--out", out, *OPTIONS).code == 0
    first = tree(out)
    assert snnhw("generate", run_folder, "--out", out, "--lanes", "hidden=3", "--samples", "1").code == 0
    assert tree(out) != first
    assert snnhw("generate", run_folder, "--out", out, *OPTIONS).code == 0
    assert tree(out) == first


def test_folder_of_something_else_is_left_alone(snnhw, run_folder, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    done = snnhw("generate", run_folder, "--out", tmp_path / "mine", *OPTIONS)
    assert (done.code, done.out) == (2, "")
    assert done.err == (f"error: output folder {str(tmp_path / 'mine')!r} must be new, empty or an earlier output "
                        f"with a manifest.json\n")
    assert tree(tmp_path / "mine").keys() == {"thesis.txt"}


@pytest.mark.parametrize(("place", "reason"), [
    ("file/hw", "Not a directory"),
    ("/proc/snnhw", "No such file or directory"),
    ("x" * 300, "File name too long"),
])
def test_output_folder_that_cannot_be_written(snnhw, run_folder, tmp_path, place, reason):
    """Ways that hold for the administrator too."""
    (tmp_path / "file").write_text("")
    out = tmp_path / place
    done = snnhw("generate", run_folder, "--out", out, *OPTIONS)
    assert (done.code, done.out) == (2, "")
    assert done.err == f"error: output folder {str(out)!r} cannot be written: {reason}\n"


# Runs the command in a process that sends itself a signal at the given call of the given function.
STOPPED = """
import os, signal, sys
import rtl_gen.output
from snnhw.cli import main

# A test run in the background may have inherited that interrupts are ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
number, owner, name, count = int(sys.argv[1]), {"os": os, "output": rtl_gen.output}[sys.argv[2]], sys.argv[3], int(sys.argv[4])
original, calls = getattr(owner, name), [0]

def stopped(*arguments):
    calls[0] += 1
    if calls[0] == count:
        os.kill(os.getpid(), number)
    return original(*arguments)

setattr(owner, name, stopped)
sys.argv[1:] = sys.argv[5:]
main()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
@pytest.mark.parametrize(("owner", "name", "count", "earlier"), [
    ("output", "write_bytes", 1, False),   # before the first file
    ("output", "write_bytes", 6, True),    # among the files
    ("os", "replace", 9, False),           # a file is written and not renamed
], ids=["first file", "some files of a second run", "unnamed file"])
def test_interrupted_run_leaves_nothing_half_written(run_folder, tmp_path, number, owner, name, count, earlier):
    """Stopped at any moment the output is absent, or the earlier one, whole."""
    out = tmp_path / "out" / "hw"
    before = {}
    if earlier:
        out.mkdir(parents=True)
        (out / "manifest.json").write_text('{"schema": 1, "command": "generate"}')
        before = tree(out)
    command = [sys.executable, "-c", STOPPED, int(number), owner, name, count,
               "generate", run_folder, "--out", out, "--lanes", "3", "--samples", "3"]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -signal.SIGKILL}[number], done.stderr
    assert out.exists() == earlier
    assert not earlier or tree(out) == before
    if number != signal.SIGKILL:  # only that leaves nobody to clear the temporary folder away
        assert "Traceback" not in done.stderr
        assert [path.name for path in out.parent.iterdir()] == ["hw"] * earlier


@pytest.mark.parametrize("command", ["generate", "estimate"])
def test_refuses_events_as_bits_where_memories_write_whole_words(snnhw, run_folder, command):
    out = ["--out", run_folder / "hw"] if command == "generate" else []
    done = snnhw(command, run_folder, *out, "--board", "ulx3s-85f", "--format", "dense", "--events", "bitmap", "--quiet")
    assert done.code == 2
    assert done.err == ("error: events of layer 'hidden' must be list on Radiona ULX3S with LFE5U-85F (LFE5U-85F), whose "
                        "memories cannot write single bits, not bitmap\n")
    assert not (run_folder / "hw").exists()

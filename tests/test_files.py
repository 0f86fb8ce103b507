"""Outputs appear whole or not at all, whatever goes wrong; inputs are read within a budget, whatever they are."""

import json
import os
import random
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from snnhw.errors import FileError
from snnhw.files import (
    atomic_folder,
    parse_json,
    read_bytes,
    read_json,
    read_tensors,
    write_bytes,
    write_json,
    write_tensors,
)

MANIFEST = {"schema": 1, "command": "test"}


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def output(folder, text="new", **options):
    """Write an output folder as every command does."""
    with atomic_folder(folder, **options) as temporary:
        (temporary / "top.v").write_text(text)
        write_json(temporary / "manifest.json", MANIFEST)


def stays(folder, text="old"):
    """Whether `folder` is untouched and nothing lies beside it."""
    return (folder / "top.v").read_text() == text and names(folder.parent) == [folder.name]


# Reading.

def test_reads_what_was_written(tmp_path):
    write_bytes(tmp_path / "a" / "b", b"\x00\xff")
    assert read_bytes(tmp_path / "a" / "b", "thing") == b"\x00\xff"
    assert read_bytes(tmp_path / "a" / "b", "thing", limit=2) == b"\x00\xff"
    write_json(tmp_path / "c", {"ä": [1, 2.5, None]})
    assert read_json(tmp_path / "c", "thing") == {"ä": [1, 2.5, None]}
    assert (tmp_path / "c").read_bytes().endswith(b"}\n")


def test_refuses_what_is_no_regular_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path, reason in ((tmp_path / "gone", "does not exist"), (tmp_path, "must be a file, not a folder"),
                         (tmp_path / "pipe", "must be a regular file"), (Path(os.devnull), "must be a regular file"),
                         (Path("/dev/zero"), "must be a regular file"),
                         (tmp_path / "pipe" / "x", "cannot be read: Not a directory"),
                         (tmp_path / "nul\0", "cannot be read: embedded null byte"),
                         (tmp_path / ("x" * 300), "cannot be read: File name too long")):
        with pytest.raises(FileError) as caught:
            read_bytes(path, "recipe")
        assert str(caught.value) == f"recipe {str(path)!r} {reason}"


def test_refuses_more_than_the_budget_without_reading_it(tmp_path):
    with open(tmp_path / "big", "wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(FileError, match=r"^thing '.*big' must be at most 1073741824 bytes, not 1099511627776$"):
        read_bytes(tmp_path / "big", "thing")
    with pytest.raises(FileError, match=r"^thing '.*big' must be at most 16777216 bytes, not 1099511627776$"):
        read_json(tmp_path / "big", "thing")


@pytest.mark.parametrize("content",
                         [b"", b"{", b"\xff", b"\xef\xbb\xbf{}", '{"a": 1}'.encode("utf-16"), b'{"a": 1, "a": 1}', b"[NaN]",
                          b"[-Infinity]",
                                     b"[" * 100000, b"9" * 5000, b"{} {}", b"'a'", b"\x00"])
def test_refuses_loose_json(tmp_path, content):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(FileError, match=r"^thing '.*x' must be JSON, and is not$"):
        read_json(tmp_path / "x", "thing")
    with pytest.raises(ValueError):  # noqa: PT011 - from three parsers, one kind
        parse_json(content)


# Tensors.

def test_tensors_come_back(tmp_path):
    tensors = {"b": np.arange(6, dtype=np.int16).reshape(2, 3).T, "a": np.array(7), "é": np.zeros((0, 4), np.uint8),
               "f": np.ones(2, np.float32)}
    write_tensors(tmp_path / "x", tensors, {"z": "1", "a\n": "ü"})
    loaded, metadata = read_tensors(tmp_path / "x", "thing")
    assert metadata == {"a\n": "ü", "z": "1"}
    assert loaded.keys() == tensors.keys()
    assert all(loaded[name].dtype == array.dtype and np.array_equal(loaded[name], array) for name, array in tensors.items())
    write_tensors(tmp_path / "y", dict(reversed(tensors.items())), {"a\n": "ü", "z": "1"})
    assert (tmp_path / "x").read_bytes() == (tmp_path / "y").read_bytes()
    write_tensors(tmp_path / "y", tensors)
    assert read_tensors(tmp_path / "y", "thing")[1] == {}


@pytest.mark.parametrize("content",
                         [b"", b"1234567", b"\x00" * 8, b"\x02" + b"\x00" * 7 + b"[]", b"\xff" * 8 + b"{}",
                          b"\x02" + b"\x00" * 7 + b"{}x"])
def test_refuses_damaged_tensors(tmp_path, content):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(FileError, match=r"^thing '.*x' must be a safetensors file, and is damaged or something else$"):
        read_tensors(tmp_path / "x", "thing")


# Writing one file.

@pytest.mark.parametrize(("path", "reason"), [
    ("plain/x", "Not a directory|File exists"), ("folder", "Is a directory|Directory not empty"),
    ("x" * 300, "File name too long"),
    ("nul\0", "embedded null byte"), ("..", "Is a directory|busy|not empty|empty name|File exists"),
    ("/proc/snnhw/x", "No such file"),
    ("/dev/full/x", "Not a directory|File exists"),
])
def test_writing_fails_with_a_reason_and_leaves_nothing(tmp_path, path, reason):
    (tmp_path / "plain").write_text("kept")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "kept").write_text("kept")
    with pytest.raises(FileError, match=rf"(?s)^output '.*' cannot be written: .*({reason})"):
        write_bytes(tmp_path / path, b"new")
    assert names(tmp_path) == ["folder", "plain"]
    assert (tmp_path / "plain").read_text() == (tmp_path / "folder" / "kept").read_text() == "kept"


def failing(name, monkeypatch, error):
    def fail(*arguments, **options):
        raise error
    monkeypatch.setattr(os, name, fail)


@pytest.mark.parametrize("name", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), OSError("bare")])
def test_a_failing_system_call_leaves_the_old_file(tmp_path, monkeypatch, name, error):
    write_bytes(tmp_path / "x", b"old")
    failing(name, monkeypatch, error)
    with pytest.raises(FileError, match=r"^output '.*x' cannot be written: (No space left on device|bare)$"):
        write_bytes(tmp_path / "x", b"new")
    assert names(tmp_path) == ["x"]
    assert (tmp_path / "x").read_bytes() == b"old"


def test_an_interrupt_leaves_the_old_file(tmp_path, monkeypatch):
    write_bytes(tmp_path / "x", b"old")
    failing("fsync", monkeypatch, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        write_bytes(tmp_path / "x", b"new")
    assert names(tmp_path) == ["x"]
    assert (tmp_path / "x").read_bytes() == b"old"


def test_a_full_disk_leaves_the_old_file(tmp_path):
    """A limit on the size of files fails in the middle of a write, as a full disk does."""
    write_bytes(tmp_path / "x", b"old")
    output(tmp_path / "out", "old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(FileError, match=r"^output '.*x' cannot be written: File too large$"):
            write_bytes(tmp_path / "x", bytes(100_000))
        with pytest.raises(FileError, match=r"^output folder '.*out' cannot be written: File too large$"):
            output(tmp_path / "out", "x" * 100_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert names(tmp_path) == ["out", "x"]
    assert (tmp_path / "x").read_bytes() == b"old"
    assert (tmp_path / "out" / "top.v").read_text() == "old"


def test_no_files_left_to_open(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, before[1]))
    try:
        with pytest.raises(FileError) as writing:
            write_bytes(tmp_path / "x", b"new")
        with pytest.raises(FileError) as reading:
            read_bytes(tmp_path / "x", "thing")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert str(writing.value) == f"output {str(tmp_path / 'x')!r} cannot be written: Too many open files"
    assert str(reading.value) == f"thing {str(tmp_path / 'x')!r} cannot be read: Too many open files"


WRITER = """
import sys
from pathlib import Path
from snnhw.files import write_bytes
print("ready", flush=True)
while True:
    for letter in sys.argv[2].encode():
        write_bytes(Path(sys.argv[1]), bytes([letter]) * 300_000)
"""


def started(program, *arguments):
    """Start Python on a program, and return when it says that it is ready."""
    process = subprocess.Popen([sys.executable, "-c", program, *map(str, arguments)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    return process


def end(process):
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()


def test_a_killed_writer_leaves_a_whole_file(tmp_path):
    chance = random.Random(0)
    for _ in range(8):
        writer = started(WRITER, tmp_path / "x", "abc")
        time.sleep(chance.uniform(0.05, 0.15))
        end(writer)
        content = read_bytes(tmp_path / "x", "thing")
        assert len(content) == 300_000
        assert len(set(content)) == 1


def test_two_writers_never_mix(tmp_path):
    writers = [started(WRITER, tmp_path / "x", letters) for letters in ("ab", "cd")]
    seen = set()
    try:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and not (seen & {97, 98} and seen & {99, 100}):
            if (tmp_path / "x").exists():
                content = read_bytes(tmp_path / "x", "thing")
                assert len(content) == 300_000
                assert len(set(content)) == 1
                seen.add(content[0])
    finally:
        for writer in writers:
            end(writer)
    assert seen & {97, 98}
    assert seen & {99, 100}


# Writing a folder.

def test_a_folder_appears_when_complete(tmp_path):
    with atomic_folder(tmp_path / "a" / "out") as temporary:
        (temporary / "sub").mkdir()
        (temporary / "sub" / "x").write_text("1")
        assert not (tmp_path / "a" / "out").exists()
        assert temporary.parent == tmp_path / "a"  # the same file system
    assert (tmp_path / "a" / "out" / "sub" / "x").read_text() == "1"
    assert names(tmp_path / "a") == ["out"]


def test_an_empty_folder_and_an_earlier_output_are_replaced(tmp_path):
    (tmp_path / "out").mkdir()
    output(tmp_path / "out", "old")
    (tmp_path / "out" / "extra").write_text("gone")
    output(tmp_path / "out")
    assert stays(tmp_path / "out", "new")
    assert names(tmp_path / "out") == ["manifest.json", "top.v"]


@pytest.mark.parametrize("manifest", ['{"manifest_version": 3, "name": "extension"}', "[]", "not JSON", '{"schema": 1}'])
def test_a_manifest_of_something_else_does_not_make_an_output(tmp_path, manifest):
    (tmp_path / "extension").mkdir()
    (tmp_path / "extension" / "manifest.json").write_text(manifest)
    with pytest.raises(FileError, match=r"extension' must be new, empty or an earlier output with a manifest\.json$"):
        output(tmp_path / "extension")
    assert (tmp_path / "extension" / "manifest.json").read_text() == manifest
    assert names(tmp_path) == ["extension"]


def test_nothing_else_is_replaced(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter").write_text("kept")
    (tmp_path / "file").write_text("kept")
    for name in ("thesis", "file", "file/x"):
        with pytest.raises(FileError, match=r"^output folder '.*' (must be new, empty or an earlier output with a manifest\.json"
                                            r"|cannot be written: Not a directory)$"):
            output(tmp_path / name)
    assert (tmp_path / "thesis" / "chapter").read_text() == (tmp_path / "file").read_text() == "kept"
    assert names(tmp_path) == ["file", "thesis"]
    output(tmp_path / "out", "old")
    with pytest.raises(FileError, match=r"^output folder '.*out' must be new or empty$"):
        output(tmp_path / "out", replace=False)
    assert (tmp_path / "out" / "top.v").read_text() == "old"


@pytest.mark.parametrize("path", ["/", "/proc/snnhw", "nul\0", "x" * 300, "/dev/null/x"])
def test_a_folder_that_cannot_be(tmp_path, path):
    with pytest.raises(FileError, match=r"(?s)^output folder '.*' (cannot be written: |must be new)"):
        output(tmp_path / path)


def test_a_folder_filled_in_the_meantime_is_kept(tmp_path):
    def fill():
        with atomic_folder(tmp_path / "out"):
            (tmp_path / "out").mkdir()
            (tmp_path / "out" / "thesis").write_text("kept")
    with pytest.raises(FileError, match=r"^output folder '.*out' must be new, empty or an earlier output with a manifest\.json$"):
        fill()
    assert (tmp_path / "out" / "thesis").read_text() == "kept"
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize("error",
                         [ValueError("x"), KeyboardInterrupt(), SystemExit(3), FileError("x"),
                          FileNotFoundError(2, "No such file", "input")])
def test_a_failing_block_leaves_the_old_output(tmp_path, error):
    output(tmp_path / "out", "old")

    def fail():
        with atomic_folder(tmp_path / "out") as temporary:
            (temporary / "half").write_text("x")
            raise error
    with pytest.raises(type(error)) as caught:
        fail()
    assert caught.value is error
    assert stays(tmp_path / "out")


def test_a_block_that_cannot_write_says_so(tmp_path):
    def fail():
        with atomic_folder(tmp_path / "out") as temporary:
            (temporary / "gone" / "x").write_text("x")
    with pytest.raises(FileError, match=r"^output folder '.*out' cannot be written: No such file or directory$"):
        fail()
    assert names(tmp_path) == []


@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_swapping_works_in_one_step_and_in_two(tmp_path, monkeypatch, platform):
    output(tmp_path / "out", "old")
    monkeypatch.setattr(sys, "platform", platform)
    output(tmp_path / "out")
    assert stays(tmp_path / "out", "new")


def test_a_failing_swap_restores_the_old_output(tmp_path, monkeypatch):
    output(tmp_path / "out", "old")
    monkeypatch.setattr(sys, "platform", "darwin")
    replace, calls = os.replace, []

    def second_fails(source, target):
        calls.append(target)
        if len(calls) in (2, 4):  # 1 and 2: the manifest, and onto the full folder; 3: the old aside; 4: the new in place
            raise OSError(5, "Input/output error", str(target))
        replace(source, target)
    monkeypatch.setattr(os, "replace", second_fails)
    with pytest.raises(FileError, match=r"^output folder '.*out' cannot be written: Input/output error$"):
        output(tmp_path / "out")
    assert len(calls) == 5
    assert stays(tmp_path / "out")


def test_a_link_to_an_output_stays_a_link(tmp_path):
    output(tmp_path / "real", "old")
    (tmp_path / "link").symlink_to("real")
    output(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "top.v").read_text() == "new"
    assert names(tmp_path) == ["link", "real"]


FOLDERS = """
import sys
from pathlib import Path
from snnhw.errors import FileError
from snnhw.files import atomic_folder
print("ready", flush=True)
while True:
    for letter in sys.argv[2]:
        with atomic_folder(Path(sys.argv[1])) as folder:
            for index in range(20):
                (folder / str(index)).write_text(letter)
            (folder / "manifest.json").write_text('{"schema": 1, "command": "test"}')
"""


def test_a_killed_command_leaves_one_whole_output(tmp_path):
    """At every moment `out` is a whole output: the swap is one step."""
    chance = random.Random(0)
    output(tmp_path / "out")
    for round_ in range(8):
        writer = started(FOLDERS, tmp_path / "out", "abc")
        time.sleep(chance.uniform(0.05, 0.15))
        end(writer)
        texts = {path.read_text() for path in (tmp_path / "out").iterdir() if path.name != "manifest.json"}
        assert len(texts) == 1, round_
        assert len(names(tmp_path / "out")) in (2, 21)


def test_two_commands_with_one_folder_never_mix(tmp_path):
    """Each output is whole; the last one to end stays."""
    errors = []

    def write(letter):
        try:
            for _ in range(30):
                with atomic_folder(tmp_path / "out") as folder:
                    for index in range(5):
                        (folder / str(index)).write_text(letter)
                    (folder / "manifest.json").write_text(json.dumps(MANIFEST))
        except FileError as error:
            errors.append(str(error))
    threads = [threading.Thread(target=write, args=(letter,)) for letter in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len({path.read_text() for path in (tmp_path / "out").iterdir() if path.name != "manifest.json"}) == 1
    assert names(tmp_path) == ["out"]

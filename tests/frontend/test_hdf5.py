"""Files of strangers: each gets one clear sentence, in bounded time and memory, and nothing in it is executed or followed."""

import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from snnhw.errors import FileError
from snnhw.frontend.hdf5 import read_tree
from snnhw.frontend.hdf5_unpack import MAX_BYTES, RefusedError, unpack

h5py = pytest.importorskip("h5py")


def refused(path, sentence):
    started = time.process_time()
    with pytest.raises(FileError, match=f"^{re.escape(f'NIR file {str(path)!r} {sentence}')}$"):
        read_tree(path, "NIR file")
    assert time.process_time() - started < 5


def inside(tmp_path, fill):
    """Return what the unpacking program finds wrong with a file that `fill` fills."""
    path = tmp_path / "x.nir"
    with h5py.File(path, "w") as file:
        fill(file)
    with pytest.raises(RefusedError) as caught:
        unpack(path.read_bytes())
    return str(caught.value)


def test_numbers_and_text(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["a/b/numbers"] = np.arange(6, dtype=">i2").reshape(2, 3)
        file["a/word"] = "naïve\x01\n"
        file["a/words"] = np.array([[b"x", b"yz"]])
        file["flag"] = True
        file.create_dataset("packed", data=np.ones(1000, np.float32), compression="gzip", shuffle=True)
    tree = read_tree(tmp_path / "x.h5", "file")
    assert tree["a"]["b"]["numbers"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert tree["a"]["word"] == "naïve\x01\n"
    assert tree["a"]["words"].tolist() == [["x", "yz"]]
    assert bool(tree["flag"])
    assert tree["packed"].dtype == np.float32
    assert tree["packed"].sum() == 1000


@pytest.mark.parametrize("content", [
    b"", b"hello", b"\x89HDF\r\n\x1a\n", b"\x89HDF\r\n\x1a\n" + bytes(500),
    b"cposix\nsystem\n(S'touch pwned'\ntR.",  # a pickle that would start a program
    b"PK\x03\x04" + bytes(100)])
def test_other_files(tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.nir").write_bytes(content)
    refused(tmp_path / "x.nir", "must be an HDF5 file, and is damaged or something else")
    assert [path.name for path in tmp_path.iterdir()] == ["x.nir"]


def test_truncated(tmp_path):
    path = tmp_path / "x.nir"
    with h5py.File(path, "w") as file:
        file["x"] = np.arange(1000)
    path.write_bytes(path.read_bytes()[:3000])
    refused(path, "must be an HDF5 file, and is damaged or something else")


def test_missing_folder_and_large(tmp_path):
    refused(tmp_path / "none.nir", "does not exist")
    (tmp_path / "folder.nir").mkdir()
    refused(tmp_path / "folder.nir", "must be a file, not a folder")
    with open(tmp_path / "x.nir", "wb") as file:
        file.truncate(MAX_BYTES + 1)
    refused(tmp_path / "x.nir", f"must be at most {MAX_BYTES} bytes, not {MAX_BYTES + 1}")


def test_absurd_shapes(tmp_path):
    """Nothing of these is in the file: a terabyte that was never written, and a chunk of it for one element."""
    large = f"its content must be at most {MAX_BYTES} bytes unpacked, and '/x' is larger"
    assert inside(tmp_path, lambda file: file.create_dataset("x", (1 << 40,), "u1")) == large
    assert inside(tmp_path, lambda file: file.create_dataset("x", (1 << 20, 1 << 20), "f4", compression="gzip")) == large
    assert inside(tmp_path, lambda file: file.create_dataset("x", (1,), "f8", chunks=(1 << 24,), maxshape=(None,))) == large
    assert inside(tmp_path, lambda file: file.create_dataset("x", (), "S100000000")) == large


def test_bomb(tmp_path):
    """Zeros pack a thousandfold; together they count against one budget."""
    path = tmp_path / "x.nir"
    with h5py.File(path, "w") as file:
        for index in range(3):
            file.create_dataset(f"x{index}", data=np.zeros(30 << 20, np.uint8), compression="gzip")
    assert path.stat().st_size < 1 << 20
    refused(path, f"is not usable: its content must be at most {MAX_BYTES} bytes unpacked, and '/x2' is larger")


def test_one_long_text_used_often(tmp_path):
    def fill(file):
        file.create_dataset("x", (1000,), h5py.string_dtype())[:] = "a" * 5000
    assert inside(tmp_path, fill) == "'/x' must hold at most 1024 bytes of text, not 5000"
    assert inside(tmp_path, lambda file: file.create_dataset("x", (1 << 16,), h5py.string_dtype())) == \
        "'/x' must hold at most 32768 texts, not 65536"


def test_links(tmp_path):
    (tmp_path / "secret.h5").write_bytes(b"")
    for link in (h5py.ExternalLink(str(tmp_path / "secret.h5"), "/"), h5py.SoftLink("/nowhere")):
        assert inside(tmp_path, lambda file, link=link: file.__setitem__("x", link)) == "'/x' must lie in the file, and is a link"


def test_data_outside(tmp_path):
    (tmp_path / "secret").write_bytes(b"secret")
    outside = "'/x' must lie in the file, and is kept outside"
    secret = [(str(tmp_path / "secret"), 0, 6)]
    assert inside(tmp_path, lambda file: file.create_dataset("x", (6,), "u1", external=secret)) == outside
    layout = h5py.VirtualLayout((6,), "u1")
    layout[:] = h5py.VirtualSource(str(tmp_path / "secret"), "y", (6,))
    assert inside(tmp_path, lambda file: file.create_virtual_dataset("x", layout)) == outside


def test_other_types(tmp_path):
    kinds = "'/x' must hold numbers or text, not "
    assert inside(tmp_path, lambda file: file.create_dataset("x", (2,), np.dtype([("a", "i4")]))).startswith(kinds)
    assert inside(tmp_path, lambda file: file.create_dataset("x", (2,), h5py.ref_dtype)).startswith(kinds)
    assert inside(tmp_path, lambda file: file.create_dataset("x", (2,), h5py.vlen_dtype(np.int32))).startswith(kinds)
    assert inside(tmp_path, lambda file: file.create_dataset("x", (2,), np.complex64)).startswith(kinds)
    assert inside(tmp_path, lambda file: file.create_dataset("x", data=h5py.Empty("f"))) == "'/x' must have a value, and is empty"
    assert inside(tmp_path, lambda file: file.__setitem__("x", np.dtype("f8"))) == \
        "'/x' must be a group or a dataset, and is a named type"
    assert inside(tmp_path, lambda file: file.create_dataset("x", data=b"\xff\xfe")) == "'/x' must be UTF-8 text, and is not"


def test_groups_without_end(tmp_path):
    deep = "its groups must be nested at most 16 deep"
    assert inside(tmp_path, lambda file: file.create_group("/".join("x" * 40))) == deep

    def itself(file):
        group = file.create_group("x")
        group["x"] = group
    assert inside(tmp_path, itself) == deep

    def doubling(file):
        group = file
        for _ in range(15):
            group["b"] = group.create_group("a")
            group = group["a"]
    assert inside(tmp_path, doubling) == "it must hold at most 32768 objects"


def test_a_file_that_never_ends(tmp_path, monkeypatch):
    """Some damaged files keep the HDF5 library busy for ever: the process that reads them is stopped."""
    (tmp_path / "x.nir").write_bytes(b"x")
    run = subprocess.run

    def slow(arguments, **options):
        return run([sys.executable, "-c", "while True: pass"], **options)
    monkeypatch.setattr("snnhw.frontend.hdf5.subprocess.run", slow)
    monkeypatch.setattr("snnhw.frontend.hdf5.MAX_SECONDS", 0.5)
    refused(tmp_path / "x.nir", "must be an HDF5 file, and keeps its library busy for ever")


def test_processor_time_is_limited(tmp_path):
    """The program limits itself too, so that a damaged file does not occupy a machine for the minute that the parent waits."""
    program = ("import resource, sys\nsys.argv = ['x']\nimport snnhw.frontend.hdf5_unpack as unpacker\nunpacker.MAX_SECONDS = 1\n"
               "def spin(content):\n    while True: pass\nunpacker.unpack = spin\nunpacker.main()\n")
    done = subprocess.run([sys.executable, "-c", program], input=b"", capture_output=True, timeout=60, check=False)
    assert done.returncode < 0


def test_the_documentation_states_the_limits():
    from snnhw.frontend import hdf5
    from snnhw.frontend import hdf5_unpack as unpacker
    assert hdf5.MAX_HDF5_BYTES == unpacker.MAX_BYTES
    text = (Path(__file__).resolve().parents[2] / "docs" / "nir.md").read_text()
    for limits in (f"{unpacker.MAX_BYTES >> 20} MiB each", f"{unpacker.MAX_OBJECTS:,} and {unpacker.MAX_DEPTH}",
                   f"{unpacker.MAX_TEXT >> 20} MiB", f"{unpacker.MAX_TEXTS:,} and {unpacker.MAX_WORD >> 10} KiB",
                   f"{unpacker.MAX_SECONDS} seconds and {unpacker.MAX_MEMORY >> 30} GiB", f"{hdf5.MAX_SECONDS:.0f} seconds"):
        assert f"| {limits} |\n" in text
    assert ", ".join([*unpacker.FILTERS.values()][:-1]) + f" and {unpacker.FILTERS[32000]}" in text

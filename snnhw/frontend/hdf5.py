"""Reading untrusted HDF5 files within a budget: groups become dicts, datasets arrays or text."""

import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from snnhw.errors import FileError
from snnhw.files import parse_json, read_bytes
from snnhw.tools import require_package

__all__ = ["MAX_HDF5_BYTES", "Tree", "read_tree"]

Tree = dict[str, Any]  # text, arrays and trees, by name

MAX_HDF5_BYTES = 64 << 20
MAX_SECONDS = 60.0


def read_tree(path: Path, what: str) -> Tree:
    """Read a whole HDF5 file; `what` names it in messages.

    A dataset of numbers becomes an array, a text a str, a dataset of text an object array of str. The file is unpacked by another
    process, :mod:`snnhw.frontend.hdf5_unpack`, with limits of time and memory: some damaged files keep the HDF5 library busy for
    ever.

    Raises
    ------
    FileError
        The file is missing, damaged, too large, or holds what is not read.
    """
    path = Path(path)
    content = read_bytes(path, what, MAX_HDF5_BYTES)
    require_package("h5py", "nir", f"reading a {what}")
    program = Path(__file__).with_name("hdf5_unpack.py")
    try:
        done = subprocess.run([sys.executable, "-P", str(program)], input=content, timeout=MAX_SECONDS, check=False,
                              capture_output=True, env=dict(os.environ, OPENBLAS_NUM_THREADS="1"))
    except subprocess.TimeoutExpired:
        raise FileError(f"{what} {str(path)!r} must be an HDF5 file, and keeps its library busy for ever") from None
    try:
        head, _, rest = done.stdout.partition(b"\n")
        if done.returncode == 0:
            tree = _restore(parse_json(head), _Cutter(rest))
            if isinstance(tree, dict):
                return tree
        elif done.returncode == 1:
            raise FileError(f"{what} {str(path)!r} is not usable: {parse_json(head)}")
    except ValueError:
        pass
    raise FileError(f"{what} {str(path)!r} must be an HDF5 file, and is damaged or something else")


class _Cutter:
    """Cuts one array after the other from bytes."""

    def __init__(self, content: bytes):
        self.content, self.place = content, 0

    def __call__(self, kind: str, shape: list[int]) -> np.ndarray:
        dtype = np.dtype(kind)
        if dtype.kind not in "biuf":
            raise ValueError("numbers must be numbers")
        count = math.prod(shape)
        array = np.frombuffer(self.content, dtype, count, self.place).reshape(shape)
        self.place += count * dtype.itemsize
        return array


def _restore(value: Any, cut: Callable[[str, list[int]], np.ndarray]) -> Any:
    """Return what the unpacking program described."""
    if isinstance(value, str):
        return value
    if "group" in value:
        return {name: _restore(item, cut) for name, item in value["group"].items()}
    if "numbers" in value:
        return cut(value["numbers"], value["shape"])
    words = np.empty(len(value["texts"]), object)
    words[:] = value["texts"]
    return words.reshape(value["shape"])

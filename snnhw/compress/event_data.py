"""The event data sets that users bring: gestures before an event camera, and spoken digits of an artificial cochlea.

Their files are read as tonic and SpikingJelly leave them on disk, within a budget and without either package. Nothing is ever
downloaded but by :func:`fetch`, the only code that imports tonic (GPL-3.0).
"""

import contextlib
import importlib
import math
import os
import re
import struct
import subprocess
import sys
import threading
import tokenize
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np

from snnhw.compress.catalogue import CATALOGUE, data_folder
from snnhw.compress.framing import Events, Framer
from snnhw.compress.recordings import read_arrays
from snnhw.errors import FileError, UsageError
from snnhw.files import read_bytes
from snnhw.tools import require_package

__all__ = ["DVS_SHAPE", "GESTURES", "SHD_SHAPE", "SHD_WORDS", "fetch", "read_dvs128_gesture", "read_dvs_gesture", "read_shd"]

DVS_SHAPE = (2, 128, 128)  # polarity, y, x
GESTURES = ("Hand clapping", "Right hand wave", "Left hand wave", "Right arm clockwise", "Right arm counterclockwise",
            "Left arm clockwise", "Left arm counterclockwise", "Arm roll", "Air drums", "Air guitar", "Other gestures")
SHD_SHAPE = (700,)
SHD_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine",
             "null", "eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun")

RECORDING_LIMIT = 1 << 28  # bytes of a recording of gestures
FILES_LIMIT = 20_000  # of a split
TIME_LIMIT_US = 1 << 46
SHD_LIMIT = 1 << 31  # bytes of the file
SHD_SAMPLES, SHD_EVENTS = 1 << 16, 1 << 18  # of a file; of a recording
SHD_REFUSED = 0xFFFFFFFF  # see shd_unpack
SHD_SECONDS = 330.0

Arrays = dict[str, np.ndarray]


def read_dvs_gesture(folder: Path, framer: Framer, most: int | None) -> Arrays:
    """Read DVS-Gesture as tonic unpacks it: ``ibmGestureTrain|ibmGestureTest/user<NN>_<light>/<label>.npy``.

    Such a file is an array (events, 4) of x, y, polarity and milliseconds. Samples stand in the order of user, light and label;
    a recording begins with its first event.

    Parameters
    ----------
    folder : Path
        Folder with the two splits.
    framer : Framer
        For a sensor of ``DVS_SHAPE``.
    most : int or None
        Only the first samples of each split.
    """
    return _gestures(folder, {"train": "ibmGestureTrain", "test": "ibmGestureTest"}, framer, most,
                     re.compile(r"(?P<trial>user\d\d_[a-z_]{1,40})/(?P<number>)(?P<label>\d|10)\.npy", re.ASCII),
                     "user<NN>_<light>/<label>.npy", _tonic_events)


def read_dvs128_gesture(folder: Path, framer: Framer, most: int | None) -> Arrays:
    """Read DVS-Gesture as SpikingJelly cuts it: ``train|test/<label>/user<NN>_<light>_<number>.npz``.

    Such a file has arrays x, y, p and t in microseconds. Samples stand in the order of user, light, label and number; a recording
    begins with its first event. See :func:`read_dvs_gesture` for the parameters.
    """
    return _gestures(folder, {"train": "train", "test": "test"}, framer, most,
                     re.compile(r"(?P<label>\d|10)/(?P<trial>user\d\d_[a-z_]{1,40})_(?P<number>\d{1,4})\.npz", re.ASCII),
                     "<label>/user<NN>_<light>_<number>.npz", _spikingjelly_events)


def _gestures(folder: Path, splits: dict[str, str], framer: Framer, most: int | None, pattern: re.Pattern[str], form: str,
              read: Callable[[Path], Events]) -> Arrays:
    arrays = {}
    for split, name in splits.items():
        paths, labels = _listed(folder / name, pattern, form, most)
        arrays[f"{split}_values"] = framer.split(len(paths), map(read, paths))
        arrays[f"{split}_labels"] = np.array(labels, np.int64)
    return arrays


def _listed(folder: Path, pattern: re.Pattern[str], form: str, most: int | None) -> tuple[list[Path], list[int]]:
    """Return the recordings below a folder, and their labels."""
    found = []
    try:
        inside = [path for path in folder.iterdir() if not path.name.startswith(".") and path.is_dir()]
        for path in (path for parent in inside for path in parent.iterdir()):
            if path.suffix not in (".npy", ".npz") or path.name.startswith("."):
                continue
            name = f"{path.parent.name}/{path.name}"
            match = pattern.fullmatch(name)
            if match is None:
                raise FileError(f"gesture folder {str(folder)!r} must hold {form}, not {name[:100]!r}")
            found.append((match["trial"], int(match["label"]), int(match["number"] or 0), path))
            if len(found) > FILES_LIMIT:
                raise FileError(f"gesture folder {str(folder)!r} must hold at most {FILES_LIMIT} recordings")
    except OSError as error:
        raise FileError(f"gesture folder {str(folder)!r} cannot be read: {error.strerror}") from None
    if not found:
        raise FileError(f"gesture folder {str(folder)!r} must hold recordings {form}, and holds none")
    chosen = sorted(found)[:most]
    return [path for *_, path in chosen], [label for _, label, _, _ in chosen]


def _tonic_events(path: Path) -> Events:
    array = _read_npy(path)
    if array.ndim != 2 or array.shape[1] != 4:
        raise FileError(f"gesture file {str(path)!r} must hold an array (events, 4), not {array.shape}")
    x, y, polarity, milliseconds = array.T
    if array.dtype.kind == "f":
        if not np.isfinite(array).all() or (array[:, :3] % 1).any():
            raise FileError(f"gesture file {str(path)!r} must hold whole numbers for x, y and polarity, and finite times")
        milliseconds = milliseconds.astype(np.float64)
    elif array.dtype.kind == "i":
        milliseconds = milliseconds.astype(np.int64)
    return _checked_events(path, x, y, polarity, milliseconds, 1000)


def _spikingjelly_events(path: Path) -> Events:
    arrays = read_arrays(path, "gesture file", dict.fromkeys("xypt", ""), RECORDING_LIMIT)
    shapes = {array.shape for array in arrays.values()}
    if len(shapes) > 1 or len(next(iter(shapes))) != 1 or any(array.dtype.kind not in "iub" for array in arrays.values()):
        raise FileError(f"gesture file {str(path)!r} must hold x, y, p and t as integers, one of each for every event")
    return _checked_events(path, arrays["x"], arrays["y"], arrays["p"], arrays["t"], 1)


def _checked_events(path: Path, x: np.ndarray, y: np.ndarray, polarity: np.ndarray, time: np.ndarray, unit_us: int) -> Events:
    _, height, width = DVS_SHAPE
    if not len(x):
        return Events(np.zeros(0, np.int64), np.zeros(0, np.int64))
    for name, values, most in (("x", x, width - 1), ("y", y, height - 1), ("polarity", polarity, 1)):
        if values.min() < 0 or values.max() > most:
            raise FileError(f"gesture file {str(path)!r} must have {name} between 0 and {most}, not {values.min():g} to "
                            f"{values.max():g}")
    if abs(float(time.min())) > TIME_LIMIT_US / unit_us or abs(float(time.max())) > TIME_LIMIT_US / unit_us:
        raise FileError(f"gesture file {str(path)!r} must have times of at most {TIME_LIMIT_US} microseconds")
    time_us = ((time - time.min()) * unit_us).astype(np.int64)
    place = (polarity.astype(np.int64) * height + y.astype(np.int64)) * width + x.astype(np.int64)
    return Events(time_us, place)


def _read_npy(path: Path) -> np.ndarray:
    """Read an array of numbers; nothing larger than the file is ever allocated."""
    content = read_bytes(path, "gesture file", RECORDING_LIMIT)
    file = BytesIO(content)
    try:
        version = np.lib.format.read_magic(file)
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = header(file)
        if dtype.hasobject or dtype.kind not in "iuf":
            raise FileError(f"gesture file {str(path)!r} must hold numbers, not {dtype}")
        if dtype.itemsize * math.prod(shape) != len(content) - file.tell():
            raise ValueError
        return np.frombuffer(content, dtype, offset=file.tell()).reshape(shape, order="F" if fortran else "C")
    except (ValueError, TypeError, EOFError, SyntaxError, RecursionError, MemoryError, tokenize.TokenError):
        raise FileError(f"gesture file {str(path)!r} must be an npy file, and is damaged or something else") from None


def read_shd(folder: Path, framer: Framer, most: int | None) -> Arrays:
    """Read the Spiking Heidelberg Digits, ``shd_train.h5`` and ``shd_test.h5``.

    Such a file has lists of seconds ``spikes/times`` and of channels ``spikes/units``, and ``labels``. It is unpacked by another
    process, :mod:`snnhw.compress.shd_unpack`, with limits of time and memory; never more than one recording is in memory. A
    recording begins at 0 s.

    Parameters
    ----------
    folder : Path
        Folder with the two files.
    framer : Framer
        For a sensor of ``SHD_SHAPE``.
    most : int or None
        Only the first samples of each split.
    """
    require_package("h5py", "nir", "reading the data set 'shd'")
    arrays = {}
    for split in ("train", "test"):
        with _Unpacked(folder / f"shd_{split}.h5", most) as recordings:
            arrays[f"{split}_labels"] = recordings.labels
            arrays[f"{split}_values"] = framer.split(len(recordings.labels), recordings)
    return arrays


class _Unpacked:
    """The recordings of one file, as another process unpacks them."""

    def __init__(self, path: Path, most: int | None):
        self._path = path
        size = path.stat().st_size if path.is_file() else -1
        if not 0 <= size <= SHD_LIMIT:
            raise FileError(f"SHD file {str(path)!r} must be a regular file of at most {SHD_LIMIT} bytes")
        program = Path(__file__).with_name("shd_unpack.py")
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(program), str(path), str(min(most or SHD_SAMPLES, SHD_SAMPLES))],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env=dict(os.environ, OPENBLAS_NUM_THREADS="1"))
        self._timer = threading.Timer(SHD_SECONDS, self._process.kill)

    def __enter__(self) -> "_Unpacked":
        self._timer.start()
        try:
            self.labels = np.frombuffer(self._bytes(self._number(SHD_SAMPLES)), np.uint8).astype(np.int64)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self._process.kill()
        self._stream.close()
        self._process.wait()

    def __iter__(self) -> Iterator[Events]:
        for _ in self.labels:
            events = self._number(SHD_EVENTS)
            times = np.frombuffer(self._bytes(4 * events), "<u4").astype(np.int64)
            channels = np.frombuffer(self._bytes(2 * events), "<u2").astype(np.int64)
            yield Events(times, channels)

    @property
    def _stream(self) -> BinaryIO:
        assert self._process.stdout is not None
        return self._process.stdout  # type: ignore[return-value]

    def _number(self, most: int) -> int:
        number, = struct.unpack("<I", self._bytes(4))
        if number == SHD_REFUSED:
            raise FileError(f"SHD file {str(self._path)!r} is not usable: {self._stream.readline(1000).decode().strip()}")
        if number > most:
            raise self._damaged()
        return int(number)

    def _bytes(self, count: int) -> bytes:
        content = self._stream.read(count)
        if len(content) != count:
            raise self._damaged()
        return content

    def _damaged(self) -> FileError:
        return FileError(f"SHD file {str(self._path)!r} must be an HDF5 file, and is damaged or something else")


def fetch(name: str) -> Path:
    """Download a data set through tonic, which checks its MD5, into the folder of the data; return its folder.

    Does nothing when the files are there.
    """
    known = [source.name for source in CATALOGUE.values() if source.tonic]
    if name not in known:
        raise UsageError(f"data set to fetch must be {' or '.join(map(repr, known))}, not {name!r}")
    source = CATALOGUE[name]
    if not source.missing():
        return source.folder
    require_package("tonic", "events", f"fetching the data set {name!r}")
    with contextlib.redirect_stdout(sys.stderr):  # where tonic says what it does
        make = getattr(importlib.import_module("tonic.datasets"), source.tonic)
        for train in (True, False):
            try:
                make(save_to=str(data_folder()), train=train)
            except (OSError, RuntimeError, EOFError) as error:
                raise FileError(f"the data set {name!r} cannot be fetched from {source.page}: {error}") from None
    return source.present()

"""Event data sets in the formats their authors gave them, read within a budget and never unpacked to disk."""

import io
import lzma
import re
import tarfile
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from snnhw.compress.framing import Events, Framer
from snnhw.errors import FileError, UsageError
from snnhw.files import read_bytes

__all__ = ["BRAILLE_SHAPE", "BRAILLE_STEP_US", "GSC_WORDS", "NMNIST_SHAPE", "read_arrays", "read_braille",
           "read_braille_events", "read_gsc", "read_nmnist"]

NMNIST_SHAPE = (2, 34, 34)  # polarity, y, x
BRAILLE_SHAPE = (12,)
BRAILLE_STEP_US = 5000
EVENT_BYTES = 5
TAR_LIMIT = 1 << 26  # bytes of the decompressed archive
XZ_MEMORY = 1 << 28  # bytes that its decoder may take
RECORDING_LIMIT = 1 << 20  # bytes of a recording: 209,715 events
MEMBER_LIMIT = 20_000
RECORDING_NAME = re.compile(r"(?:\./)?(?:NMNIST/)?(Train|Test)/([0-9])/([0-9]{1,6})\.bin", re.ASCII)
NPZ_LIMIT = 1 << 27  # bytes of one decompressed array

# The vocabulary of Google Speech Commands v0.02 in alphabetical order, which is how networks for all of it number their outputs.
GSC_WORDS = ("backward", "bed", "bird", "cat", "dog", "down", "eight", "five", "follow", "forward", "four", "go", "happy",
             "house", "learn", "left", "marvin", "nine", "no", "off", "on", "one", "right", "seven", "sheila", "six", "stop",
             "three", "tree", "two", "up", "visual", "wow", "yes", "zero")


def read_nmnist(path: Path, framer: Framer, most: int | None) -> dict[str, np.ndarray]:
    """Read an xz-compressed tar of N-MNIST recordings ``NMNIST/Train|Test/<digit>/<number>.bin``.

    A recording is a list of events of 40 bits, big-endian: x (8), y (8), polarity (1), microseconds (23). Samples stand in the
    order of their numbers.

    Parameters
    ----------
    path : Path
        The archive.
    framer : Framer
        For a sensor of ``NMNIST_SHAPE``.
    most : int or None
        Only the first recordings of each split.
    """
    recordings = _recordings(path)
    arrays = {}
    for split in ("Train", "Test"):
        chosen = [recordings[key] for key in sorted(key for key in recordings if key[0] == split)[:most]]
        if not chosen:
            raise FileError(f"N-MNIST archive {str(path)!r} must hold recordings NMNIST/{split}/<digit>/<number>.bin, "
                            f"and holds none")
        events = (_events(path, name, content) for name, content, _ in chosen)
        arrays[f"{split.lower()}_values"] = framer.split(len(chosen), events)
        arrays[f"{split.lower()}_labels"] = np.array([digit for *_, digit in chosen], np.int64)
    return arrays


def _events(path: Path, name: str, content: bytes) -> Events:
    events = np.frombuffer(content, np.uint8).reshape(-1, EVENT_BYTES).astype(np.int64)
    x, y, polarity = events[:, 0], events[:, 1], events[:, 2] >> 7
    _, height, width = NMNIST_SHAPE
    if (x >= width).any() or (y >= height).any():
        raise FileError(f"N-MNIST archive {str(path)!r}: events of {name!r} must lie within {width}x{height} pixels")
    microseconds = (events[:, 2] & 127) << 16 | events[:, 3] << 8 | events[:, 4]
    return Events(microseconds, (polarity * height + y) * width + x)


def _recordings(path: Path) -> dict[tuple[str, int], tuple[str, bytes, int]]:
    """Return name, bytes and digit of each recording by split and number."""
    damaged = FileError(f"N-MNIST archive {str(path)!r} must be an xz-compressed tar, and is damaged or something else")
    compressed = read_bytes(path, "N-MNIST archive", TAR_LIMIT)
    decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY)
    try:
        content = decoder.decompress(compressed, TAR_LIMIT + 1)
    except lzma.LZMAError:
        raise damaged from None
    if len(content) > TAR_LIMIT:
        raise FileError(f"N-MNIST archive {str(path)!r} must be at most {TAR_LIMIT} bytes when decompressed")
    if not decoder.eof or decoder.unused_data:
        raise damaged
    found: dict[tuple[str, int], tuple[str, bytes, int]] = {}
    try:
        for member, recording in _members(path, content):
            match = RECORDING_NAME.fullmatch(member)
            if match is None:
                raise FileError(f"N-MNIST archive {str(path)!r} must hold files NMNIST/Train|Test/<digit>/<number>.bin, "
                                f"not {member[:100]!r}")
            split, digit, number = match.groups()
            if (split, int(number)) in found:
                raise FileError(f"N-MNIST archive {str(path)!r} must hold each recording once, not {member!r} again")
            found[split, int(number)] = (member, recording, int(digit))
    except (tarfile.TarError, EOFError, ValueError, OverflowError, RecursionError, OSError):
        raise damaged from None
    return found


def _members(path: Path, content: bytes) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as archive:
        for count, member in enumerate(archive, 1):
            if count > MEMBER_LIMIT:
                raise FileError(f"N-MNIST archive {str(path)!r} must have at most {MEMBER_LIMIT} members")
            if member.type == tarfile.DIRTYPE:
                continue
            if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or member.issparse():
                raise FileError(f"N-MNIST archive {str(path)!r} must hold plain files and folders only, "
                                f"not {member.name[:100]!r}")
            if member.size > RECORDING_LIMIT or member.size % EVENT_BYTES:
                raise FileError(f"N-MNIST archive {str(path)!r}: {member.name[:100]!r} must have at most {RECORDING_LIMIT} "
                                f"bytes, {EVENT_BYTES} for each event, not {member.size}")
            file = archive.extractfile(member)
            assert file is not None
            recording = file.read()
            if len(recording) != member.size:
                raise EOFError
            yield member.name, recording


def read_arrays(path: Path, what: str, dtypes: dict[str, str], limit: int = NPZ_LIMIT) -> dict[str, np.ndarray]:
    """Read arrays of an npz file.

    Parameters
    ----------
    path : Path
        The file.
    what : str
        Names it in messages.
    dtypes : dict of str to str
        Name and type of each array, as ``np.dtype.str`` without the byte order, or empty for any; other arrays are not read.
    limit : int
        Bytes of a decompressed array.
    """
    content = read_bytes(path, what, limit)
    arrays = {}
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for name in dtypes:
                if archive.getinfo(f"{name}.npy").file_size > limit:
                    raise FileError(f"{what} {str(path)!r}: array {name!r} must have at most {limit} bytes")
                with archive.open(f"{name}.npy") as file:
                    arrays[name] = np.lib.format.read_array(file, allow_pickle=False)
    except (KeyError, ValueError, EOFError, OSError, RuntimeError, MemoryError, SyntaxError, tokenize.TokenError,
            zipfile.BadZipFile, zlib.error, lzma.LZMAError):
        raise FileError(f"{what} {str(path)!r} must be an npz file with {', '.join(dtypes)}, "
                        f"and is damaged or something else") from None
    for name, dtype in dtypes.items():
        if dtype and arrays[name].dtype.str[1:] != dtype:
            raise FileError(f"{what} {str(path)!r}: array {name!r} must be {np.dtype(dtype)}, not {arrays[name].dtype}")
    return arrays


def read_braille(path: Path, timesteps: int, combine: str) -> dict[str, np.ndarray]:
    """Read the tactile letters; `timesteps` must divide theirs, and `combine` (``"or"``, ``"sum"``) says how."""
    values, labels, is_test = _letters(path)
    samples, steps, inputs = values.shape
    if not steps or steps % timesteps:
        raise UsageError(f"timesteps of the data set 'braille' must divide {steps}, not {timesteps}")
    grouped = values.reshape(samples, timesteps, steps // timesteps, inputs)
    values = grouped.max(axis=2) if combine == "or" else grouped.sum(axis=2, dtype=np.uint16)
    return _by_split(values, labels, is_test)


def read_braille_events(path: Path, framer: Framer) -> dict[str, np.ndarray]:
    """Read the tactile letters as recordings of events, those of one step in the order of their taxels."""
    values, labels, is_test = _letters(path)
    if values.shape[2:] != BRAILLE_SHAPE:
        raise FileError(f"Braille file {str(path)!r} must have {BRAILLE_SHAPE[0]} inputs, not {values.shape[2]}")
    frames = framer.split(len(values), (Events(step * BRAILLE_STEP_US, taxel) for step, taxel in map(np.nonzero, values)))
    return _by_split(frames, labels, is_test)


def _letters(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return values (samples, timesteps, inputs), labels, and which belong to the test split."""
    arrays = read_arrays(path, "Braille file", {"x": "u1", "y": "u1", "is_test": "b1"})
    values, labels, is_test = arrays["x"], arrays["y"], arrays["is_test"]
    if values.ndim != 3 or labels.shape != values.shape[:1] or is_test.shape != labels.shape or values.max(initial=0) > 1:
        raise FileError(f"Braille file {str(path)!r} must hold x (samples, timesteps, inputs) of 0 and 1, and one y and is_test "
                        f"for each sample, not {values.shape}, {labels.shape} and {is_test.shape}")
    return values, labels, is_test


def _by_split(values: np.ndarray, labels: np.ndarray, is_test: np.ndarray) -> dict[str, np.ndarray]:
    return {"train_values": values[~is_test], "train_labels": labels[~is_test],
            "test_values": values[is_test], "test_labels": labels[is_test]}


def read_gsc(path: Path, timesteps: int) -> dict[str, np.ndarray]:
    """Read the speech clips: the keywords are the test split; silence and unknown words, for calibration, the other.

    Labels are positions in ``GSC_WORDS``, -1 for silence and unknown words.
    """
    arrays = read_arrays(path, "GSC file", {"ev": "i1", "y": "u1", "classes": "U7"})
    values, labels, classes = arrays["ev"], arrays["y"], [str(name) for name in arrays["classes"].flat]
    if (values.ndim != 3 or labels.shape != values.shape[:1] or labels.max(initial=0) >= len(classes)
            or not set(classes) <= {*GSC_WORDS, "silence", "unknown"} or values.min(initial=0) < -1 or values.max(initial=0) > 1):
        raise FileError(f"GSC file {str(path)!r} must hold ev (samples, timesteps, inputs) of -1, 0 and 1, and for each sample "
                        f"a y below {len(classes)}, not {values.shape} and {labels.shape}")
    if values.shape[1] != timesteps:
        raise UsageError(f"timesteps of the data set 'gsc-kws01' must be {values.shape[1]}, not {timesteps}")
    labels = np.array([GSC_WORDS.index(name) if name in GSC_WORDS else -1 for name in classes], np.int64)[labels]
    word = labels >= 0
    return {"train_values": values[~word], "train_labels": labels[~word],
            "test_values": values[word], "test_labels": labels[word]}

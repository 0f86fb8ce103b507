"""Unpack the recordings of one untrusted file of the Spiking Heidelberg Digits: a program of its own.

Damaged HDF5 files can stop or crash their library, so :mod:`snnhw.compress.event_data` starts this within limits of time and
memory. It needs nothing of this package. ``shd_unpack.py FILE MOST`` writes to the standard output how many recordings follow,
at most MOST (4 bytes), the label of each (1 byte), and for each the number of its events (4 bytes), their microseconds (4 bytes
each) and their channels (2 bytes each), little endian. Instead of a number, ``REFUSED`` is followed by a line with the reason.

Only what lies in the file itself is read: no links, no external or virtual data, no filters but those of every HDF5 library.
"""

import math
import struct
import sys
from typing import BinaryIO

import h5py
import numpy as np

__all__ = ["CHANNELS", "CLASSES", "MAX_EVENTS", "MAX_SAMPLES", "REFUSED", "RefusedError", "main", "unpack"]

CHANNELS, CLASSES = 700, 20
MAX_SAMPLES = 1 << 16
MAX_EVENTS = 1 << 18  # of a recording; the real ones have some ten thousand
MAX_ALL_EVENTS = 1 << 28
MAX_TIME_S = 60.0
MAX_CHUNK = 1 << 26  # bytes; a chunk is unpacked whole
MAX_SECONDS, MAX_MEMORY = 300, 3 << 30
FILTERS = {1: "gzip", 2: "shuffle", 3: "fletcher32", 32000: "lzf"}
REFUSED = 0xFFFFFFFF


class RefusedError(Exception):
    """Something in the file is not read; the message says what."""


def unpack(path: str, most: int, out: BinaryIO) -> None:
    """Write the first `most` recordings of a file to `out`."""
    with h5py.File(path, "r") as file:
        times, units, labels = (_dataset(file, name) for name in ("spikes/times", "spikes/units", "labels"))
        for name, dataset, kinds, what in (("spikes/times", times, "f", "lists of floats"),
                                           ("spikes/units", units, "iu", "lists of integers")):
            inner = h5py.check_vlen_dtype(dataset.dtype)
            if inner is None or inner.kind not in kinds:
                raise RefusedError(f"its {name} must hold {what}, not {inner or dataset.dtype}")
        if labels.dtype.kind not in "iu":
            raise RefusedError(f"its labels must be integers, not {labels.dtype}")
        if labels.ndim != 1 or not times.shape == units.shape == labels.shape or not 0 < labels.size <= MAX_SAMPLES:
            raise RefusedError(f"it must hold one label and one list of times and units for each of at most {MAX_SAMPLES} "
                               f"recordings, not shapes {labels.shape}, {times.shape} and {units.shape}")
        count = min(most, labels.size)
        classes = np.asarray(labels[:count])
        if not 0 <= classes.min() <= classes.max() < CLASSES:
            raise RefusedError(f"its labels must lie between 0 and {CLASSES - 1}")
        out.write(_number(count) + classes.astype(np.uint8).tobytes())
        total = 0
        for index in range(count):
            microseconds, channels = _recording(np.asarray(times[index]), np.asarray(units[index]), index)
            total += len(channels)
            if total > MAX_ALL_EVENTS:
                raise RefusedError(f"it must hold at most {MAX_ALL_EVENTS} events")
            out.write(_number(len(channels)) + microseconds.tobytes() + channels.tobytes())


def _number(value: int) -> bytes:
    return struct.pack("<I", value)


def _dataset(file: h5py.File, name: str) -> h5py.Dataset:
    """Return a dataset that lies in the file itself."""
    item = file
    for part in name.split("/"):
        link = item.get(part, getlink=True) if isinstance(item, h5py.Group) else None
        if not isinstance(link, h5py.HardLink):
            raise RefusedError(f"it must hold {name}" if link is None else f"its {name} must lie in the file, and is a link")
        item = item[part]
    if not isinstance(item, h5py.Dataset) or item.shape is None:
        raise RefusedError(f"its {name} must be a dataset")
    properties = item.id.get_create_plist()
    if item.is_virtual or properties.get_external_count():
        raise RefusedError(f"its {name} must lie in the file, and is kept outside")
    for number in range(properties.get_nfilters()):
        if (code := properties.get_filter(number)[0]) not in FILTERS:
            allowed = ", ".join(FILTERS.values())
            raise RefusedError(f"its {name} must be packed with {allowed} or not at all, not with filter {code}")
    if math.prod(item.chunks or ()) * max(item.dtype.itemsize, 16) > MAX_CHUNK:
        raise RefusedError(f"its {name} must have chunks of at most {MAX_CHUNK} bytes")
    return item


def _recording(times: np.ndarray, units: np.ndarray, index: int) -> tuple[np.ndarray, np.ndarray]:
    if times.shape != units.shape or len(times) > MAX_EVENTS:
        raise RefusedError(f"its recording {index} must have one time for each of at most {MAX_EVENTS} units, "
                           f"not {len(times)} and {len(units)}")
    seconds = times.astype(np.float64)
    if not ((seconds >= 0) & (seconds <= MAX_TIME_S)).all():  # not a number is neither
        raise RefusedError(f"times of its recording {index} must lie between 0 and {MAX_TIME_S:g} seconds")
    if len(units) and not 0 <= units.min() <= units.max() < CHANNELS:
        raise RefusedError(f"units of its recording {index} must lie between 0 and {CHANNELS - 1}")
    return (seconds * 1e6).astype("<u4"), units.astype("<u2")


def main() -> None:
    """Unpack the file that the arguments name; end with 1 and a reason, or with 2 for what the library cannot read."""
    try:
        import resource
    except ImportError:  # no limits but the time that the parent waits
        pass
    else:
        resource.setrlimit(resource.RLIMIT_CPU, (MAX_SECONDS, MAX_SECONDS))
        resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))
    out = sys.stdout.buffer
    try:
        unpack(sys.argv[1], int(sys.argv[2]), out)
    except RefusedError as error:
        out.write(_number(REFUSED) + str(error).encode() + b"\n")
        out.flush()
        sys.exit(1)
    except Exception:
        sys.exit(2)
    out.flush()


if __name__ == "__main__":
    main()

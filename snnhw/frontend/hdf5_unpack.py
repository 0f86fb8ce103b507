"""Unpack one untrusted HDF5 file: a program of its own, because damaged files can stop or crash the HDF5 library.

Reads the file from the standard input, and writes its numbers and text to the standard output: one line of JSON, then the bytes
of the arrays. It needs nothing of this package, and :mod:`snnhw.frontend.hdf5` starts it within limits of time and memory.

Only what lies in the file itself is read: no links, no external or virtual data, no filters but those of every HDF5 library, and
no types but numbers and text.
"""

import json
import math
import sys
from typing import Any

import h5py
import numpy as np

__all__ = ["MAX_BYTES", "RefusedError", "main", "unpack"]

MAX_BYTES = 64 << 20  # of the file, and of everything in it when unpacked
MAX_OBJECTS = 1 << 15
MAX_DEPTH = 16
MAX_TEXT = 16 << 20
MAX_TEXTS, MAX_WORD = 1 << 15, 1 << 10  # elements of an array of text, and the bytes of one
MAX_SECONDS, MAX_MEMORY = 8, 2 << 30
FILTERS = {1: "gzip", 2: "shuffle", 3: "fletcher32", 32000: "lzf"}


class RefusedError(Exception):
    """Something in the file is not read; the message says where and what."""


def unpack(content: bytes) -> dict[str, Any]:
    """Return groups as dicts, numbers as arrays, text as str, and arrays of text as object arrays of str."""
    with h5py.File(h5py.h5f.open_file_image(content)) as file:
        return _Reader().group(file, "/", 0)


class _Reader:
    """What one file has used of its budget."""

    def __init__(self) -> None:
        self.objects = 0
        self.bytes = 0

    def group(self, group: h5py.Group, where: str, depth: int) -> dict[str, Any]:
        if depth > MAX_DEPTH:
            raise RefusedError(f"its groups must be nested at most {MAX_DEPTH} deep")
        tree: dict[str, Any] = {}
        for name in group:
            self.objects += 1
            if self.objects > MAX_OBJECTS:
                raise RefusedError(f"it must hold at most {MAX_OBJECTS} objects")
            inside = f"{where.rstrip('/')}/{name}"
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise RefusedError(f"{inside!r} must lie in the file, and is a link")
            item = group[name]
            if isinstance(item, h5py.Group):
                tree[name] = self.group(item, inside, depth + 1)
            elif isinstance(item, h5py.Dataset):
                tree[name] = self.dataset(item, inside)
            else:
                raise RefusedError(f"{inside!r} must be a group or a dataset, and is a named type")
        return tree

    def dataset(self, dataset: h5py.Dataset, where: str) -> np.ndarray | str:
        if dataset.shape is None:
            raise RefusedError(f"{where!r} must have a value, and is empty")
        properties = dataset.id.get_create_plist()
        if dataset.is_virtual or properties.get_external_count():
            raise RefusedError(f"{where!r} must lie in the file, and is kept outside")
        for number in range(properties.get_nfilters()):
            if (code := properties.get_filter(number)[0]) not in FILTERS:
                allowed = ", ".join(FILTERS.values())
                raise RefusedError(f"{where!r} must be packed with {allowed} or not at all, not with filter {code}")
        kind = dataset.dtype
        text = h5py.check_string_dtype(kind)
        if text is None and kind.kind not in "biuf":
            raise RefusedError(f"{where!r} must hold numbers or text, not {kind}")
        for count in (math.prod(dataset.shape), math.prod(dataset.chunks or ())):  # a chunk is unpacked whole
            if count * kind.itemsize > MAX_BYTES - self.bytes:
                raise RefusedError(f"its content must be at most {MAX_BYTES} bytes unpacked, and {where!r} is larger")
        self.bytes += math.prod(dataset.shape) * kind.itemsize
        if text is None:
            return np.asarray(dataset[()])
        if dataset.shape == ():
            return self.text(dataset[()], where, MAX_TEXT)
        if dataset.size > MAX_TEXTS:
            raise RefusedError(f"{where!r} must hold at most {MAX_TEXTS} texts, not {dataset.size}")
        words = np.empty(dataset.shape, object)
        index: tuple[int, ...]
        for index in np.ndindex(dataset.shape):  # one by one, because many elements may refer to one large text
            words[index] = self.text(dataset[index], where, MAX_WORD)
        return words

    def text(self, value: bytes | str, where: str, longest: int) -> str:
        self.bytes += len(value)
        if len(value) > longest or self.bytes > MAX_BYTES:
            raise RefusedError(f"{where!r} must hold at most {longest} bytes of text, not {len(value)}")
        try:
            return value.decode() if isinstance(value, bytes) else str(value)
        except UnicodeDecodeError:
            raise RefusedError(f"{where!r} must be UTF-8 text, and is not") from None


def main() -> None:
    """Unpack the standard input to the standard output, or end with 1 and a reason."""
    try:
        import resource
    except ImportError:  # no limits but the time that the parent waits
        pass
    else:
        resource.setrlimit(resource.RLIMIT_CPU, (MAX_SECONDS, MAX_SECONDS))
        resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))
    arrays: list[np.ndarray] = []

    def describe(value: Any) -> Any:
        if isinstance(value, dict):
            return {"group": {name: describe(item) for name, item in value.items()}}
        if isinstance(value, str):
            return value
        if value.dtype == object:
            return {"texts": value.ravel().tolist(), "shape": list(value.shape)}
        arrays.append(np.ascontiguousarray(value).astype(value.dtype.newbyteorder("<")))
        return {"numbers": value.dtype.newbyteorder("<").str, "shape": list(value.shape)}

    try:
        tree = describe(unpack(sys.stdin.buffer.read()))
    except RefusedError as error:
        print(json.dumps(str(error)))
        sys.exit(1)
    except Exception:
        sys.exit(2)
    sys.stdout.write(json.dumps(tree) + "\n")
    sys.stdout.flush()
    for array in arrays:
        sys.stdout.buffer.write(array.tobytes())


if __name__ == "__main__":
    main()

"""Reading untrusted files within a budget, and writing files that appear whole or not at all."""

import ctypes
import json
import os
import re
import secrets
import shutil
import stat
import struct
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_bytes
from safetensors.numpy import save as save_bytes

from snnhw.errors import FileError

__all__ = ["MAX_FILE_BYTES", "atomic_folder", "format_toml", "parse_json", "read_bytes", "read_json", "read_tensors",
           "write_bytes", "write_json", "write_tensors"]

MAX_FILE_BYTES = 1 << 30
_TOML_BARE = re.compile(r"[A-Za-z0-9_-]+")  # keys that need no quotes
MAX_JSON_BYTES = 16 << 20
MAX_HEADER_BYTES = 4 << 20  # of a safetensors file; parsed JSON takes up to 25 times as much memory


def read_bytes(path: Path, what: str, limit: int = MAX_FILE_BYTES) -> bytes:
    """Read a regular file of at most `limit` bytes; `what` names it in messages."""
    try:
        # Not blocking, or opening a named pipe would wait for its other end.
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | getattr(os, "O_NONBLOCK", 0))) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise FileError(f"{what} {str(path)!r} must be a regular file")
            if status.st_size > limit:
                raise FileError(f"{what} {str(path)!r} must be at most {limit} bytes, not {status.st_size}")
            return file.read(status.st_size)
    except IsADirectoryError:
        raise FileError(f"{what} {str(path)!r} must be a file, not a folder") from None
    except FileNotFoundError:
        raise FileError(f"{what} {str(path)!r} does not exist") from None
    except (OSError, ValueError) as error:
        raise FileError(f"{what} {str(path)!r} cannot be read: {_reason(error)}") from None


def parse_json(text: bytes | str) -> Any:
    """Parse strict JSON: UTF-8, every key once, finite numbers.

    Raises
    ------
    ValueError
        It is something else, or nested too deeply.
    """
    try:
        return json.loads(text if isinstance(text, str) else text.decode(),
                          object_pairs_hook=_unique, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("JSON must not be nested so deeply") from None


def read_json(path: Path, what: str, limit: int = MAX_JSON_BYTES) -> Any:
    """Read a JSON file."""
    content = read_bytes(path, what, limit)
    try:
        return parse_json(content)
    except ValueError:
        raise FileError(f"{what} {str(path)!r} must be JSON, and is not") from None


def read_tensors(path: Path, what: str, limit: int = MAX_FILE_BYTES) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Read a safetensors file: arrays by name, and the metadata of its header."""
    content = read_bytes(path, what, limit)
    try:
        header = _tensor_header(content)
        return load_bytes(content), header.get("__metadata__", {})
    except (ValueError, KeyError, SafetensorError):
        raise FileError(f"{what} {str(path)!r} must be a safetensors file, and is damaged or something else") from None


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file atomically: under another name first, synced, then renamed."""
    path = Path(path)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = _beside(path)
        with open(temporary, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except (OSError, ValueError) as error:
        raise FileError(f"output {str(path)!r} cannot be written: {_reason(error)}") from None
    finally:
        if temporary is not None:
            with suppress(OSError, ValueError):
                temporary.unlink()


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON with a final newline, atomically."""
    write_bytes(path, (json.dumps(value, indent=2, allow_nan=False) + "\n").encode())


def write_tensors(path: Path, tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str] | None = None) -> None:
    """Write a safetensors file, atomically and with the same bytes every time."""
    content = save_bytes({name: np.asarray(tensors[name], order="C") for name in sorted(tensors)})
    if metadata is not None:
        # safetensors orders metadata by a random hash; the header is ours to order.
        length, = struct.unpack("<Q", content[:8])
        header = {"__metadata__": dict(sorted(metadata.items()))} | json.loads(content[8:8 + length])
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        content = struct.pack("<Q", len(text)) + text + content[8 + length:]
    write_bytes(path, content)


@contextmanager
def atomic_folder(path: Path, *, replace: bool = True) -> Iterator[Path]:
    """Give a temporary folder that becomes `path` when the block ends well, and vanishes when it does not.

    An existing `path` is replaced only if `replace` and it is an earlier output: its ``manifest.json`` names a
    ``schema`` and the ``command`` that wrote it. It stays as it is until the new one is complete; on Linux the
    two are swapped in one step, elsewhere in two.
    """
    what = f"output folder {str(path)!r}"
    try:
        path = Path(path).resolve()
        _check_replaceable(path, what, replace)
        temporary = _beside(path)
        temporary.mkdir(parents=True)
    except (OSError, ValueError) as error:
        raise FileError(f"{what} cannot be written: {_reason(error)}") from None
    try:
        yield temporary
        try:
            os.replace(temporary, path)  # onto nothing, or onto an empty folder
        except OSError:
            _check_replaceable(path, what, replace)
            _swap(temporary, path)
    except OSError as error:
        if error.filename is not None and not str(error.filename).startswith((str(temporary), str(path))):
            raise  # the block failed at something else
        raise FileError(f"{what} cannot be written: {_reason(error)}") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _toml_value(value: Any) -> str:
    """Return a value as TOML on one line."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return _toml_text(value)
    if isinstance(value, Mapping):
        pairs = (f"{_toml_key(name)} = {_toml_value(inner)}" for name, inner in value.items() if inner is not None)
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml_value, value)) + "]"
    return repr(value)


def _toml_key(name: str) -> str:
    return name if _TOML_BARE.fullmatch(name) else _toml_text(name)


def _toml_text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def format_toml(tree: Mapping[str, Any]) -> str:
    """Return a tree of plain values as TOML, one line for each field or table; None is left out."""
    return "".join(f"{_toml_key(name)} = {_toml_value(value)}\n" for name, value in tree.items() if value is not None)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("JSON must not have a key twice")
    return result


def _no_constant(name: str) -> None:
    raise ValueError(f"JSON must hold finite numbers, not {name}")


def _tensor_header(content: bytes) -> dict[str, Any]:
    """Return the header of a safetensors file, its metadata checked to be text; raise ValueError."""
    if len(content) < 8:
        raise ValueError
    length, = struct.unpack("<Q", content[:8])
    if length > min(MAX_HEADER_BYTES, len(content) - 8):
        raise ValueError
    header = parse_json(content[8:8 + length])
    if not isinstance(header, dict):
        raise ValueError
    metadata = header.get("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise ValueError
    return header


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _beside(path: Path) -> Path:
    """Return a new hidden name in the folder of `path`."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")


def _check_replaceable(path: Path, what: str, replace: bool) -> None:
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    if not replace:
        raise FileError(f"{what} must be new or empty")
    try:
        manifest = read_json(path / "manifest.json", "manifest")
    except FileError:
        manifest = None
    if not isinstance(manifest, dict) or not {"schema", "command"} <= set(manifest):
        raise FileError(f"{what} must be new, empty or an earlier output with a manifest.json")


def _swap(temporary: Path, path: Path) -> None:
    """Exchange two folders; at every moment one of them is `path`, on Linux."""
    if sys.platform == "linux":
        rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
        here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
        if rename is not None and rename(here, os.fsencode(temporary), here, os.fsencode(path), exchange) == 0:
            return
    old = _beside(path)
    os.replace(path, old)
    try:
        os.replace(temporary, path)
    except OSError:
        os.replace(old, path)
        raise
    os.replace(old, temporary)

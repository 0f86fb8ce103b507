"""Reading untrusted files within a budget, and writing files that appear whole or not at all."""

import json
import os
import secrets
import shutil
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_bytes
from safetensors.numpy import save as save_bytes

from snnhw.errors import FileError

__all__ = ["MAX_FILE_BYTES", "atomic_folder", "read_bytes", "read_json", "read_tensors", "write_bytes", "write_json", "write_tensors"]

MAX_FILE_BYTES = 1 << 30
MAX_HEADER_BYTES = 16 << 20


def read_bytes(path: Path, what: str, limit: int = MAX_FILE_BYTES) -> bytes:
    """Read a file of at most `limit` bytes; `what` names it in messages."""
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > limit:
                raise FileError(f"{what} {str(path)!r} must be at most {limit} bytes, not {size}")
            return file.read(limit + 1)
    except IsADirectoryError:
        raise FileError(f"{what} {str(path)!r} must be a file, not a folder") from None
    except FileNotFoundError:
        raise FileError(f"{what} {str(path)!r} does not exist") from None
    except OSError as error:
        raise FileError(f"{what} {str(path)!r} cannot be read: {error.strerror}") from None


def read_json(path: Path, what: str, limit: int = MAX_HEADER_BYTES) -> Any:
    """Read a JSON file."""
    try:
        return json.loads(read_bytes(path, what, limit))
    except (ValueError, RecursionError):
        raise FileError(f"{what} {str(path)!r} must be JSON, and is not") from None


def read_tensors(path: Path, what: str, limit: int = MAX_FILE_BYTES) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Read a safetensors file: arrays by name, and the metadata of its header."""
    content = read_bytes(path, what, limit)
    try:
        if len(content) < 8:
            raise ValueError
        length, = struct.unpack("<Q", content[:8])
        if length > min(MAX_HEADER_BYTES, len(content) - 8):
            raise ValueError
        header = json.loads(content[8:8 + length])
        metadata = header.get("__metadata__", {})
        if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
            raise ValueError
        return load_bytes(content), metadata
    except (ValueError, RecursionError, KeyError, AttributeError, TypeError, SafetensorError):
        raise FileError(f"{what} {str(path)!r} must be a safetensors file, and is damaged or something else") from None


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file atomically: under another name first, synced, then renamed."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise FileError(f"output {str(path)!r} cannot be written: {error.strerror}") from None
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON with a final newline, atomically."""
    write_bytes(path, (json.dumps(value, indent=2, allow_nan=False) + "\n").encode())


def write_tensors(path: Path, tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str] | None = None) -> None:
    """Write a safetensors file, atomically and with the same bytes every time."""
    content = save_bytes({name: np.ascontiguousarray(tensors[name]) for name in sorted(tensors)})
    if metadata is not None:
        # safetensors orders metadata by a random hash; the header is ours to order.
        length, = struct.unpack("<Q", content[:8])
        header = {"__metadata__": dict(sorted(metadata.items()))} | json.loads(content[8:8 + length])
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        text += b" " * (-len(text) % 8)
        content = struct.pack("<Q", len(text)) + text + content[8 + length:]
    write_bytes(path, content)


@contextmanager
def atomic_folder(path: Path, *, replace: bool = True) -> Iterator[Path]:
    """Give a temporary folder that becomes `path` when the block ends well, and vanishes when it does not.

    An existing `path` is replaced only if `replace` and it carries a ``manifest.json``, that is, only
    if it is an earlier output.
    """
    path = Path(path).absolute()
    if path.exists() and not (replace and (path / "manifest.json").is_file()) and (not path.is_dir() or any(path.iterdir())):
        raise FileError(f"output folder {str(path)!r} must be new, empty or an earlier output with a manifest.json")
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    old = path.with_name(f".{path.name}.{secrets.token_hex(4)}.old")
    try:
        temporary.mkdir(parents=True)
    except OSError as error:
        raise FileError(f"output folder {str(path)!r} cannot be written: {error.strerror}") from None
    try:
        yield temporary
        if path.exists():
            os.replace(path, old)
        os.replace(temporary, path)
    except OSError as error:
        raise FileError(f"output folder {str(path)!r} cannot be written: {error.strerror}") from None
    finally:
        if old.exists() and not path.exists():
            os.replace(old, path)
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)

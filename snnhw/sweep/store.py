"""The folder of a sweep: what is in it, who may write it, and how it is found again after a crash.

=============================  ==========================================================================================
``study.json``                 the study, the model's recipe and the hash of its files; written once
``journal.log``                the proposals and what they were worth (Optuna); only the coordinator writes it
``model/``                     copy of the model folder
``pretrain/KEY/``              a float network that candidates share; ``pretrain/KEY.json`` appears when it is complete
``trials/N/candidate.json``    parameters of candidate N
``trials/N/STAGE.json``        what a stage found; it appears whole, when the stage is over, and is never written again
``trials/N/full/``             the trained candidate: a model folder, its checkpoint, its graph
``trials/N/hardware/``         its Verilog
``trials/N/bitstream/``        what place and route made
=============================  ==========================================================================================
"""

import hashlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from snnhw.errors import FileError, UsageError
from snnhw.files import read_json, write_json

__all__ = ["Store", "copy_model", "model_hash"]

SCHEMA = 1
CODE = "model.py", "recipe.toml"


def model_hash(folder: Path) -> str:
    """Return the hash of the code and the recipe of a model."""
    return hashlib.sha256(b"\0".join((folder / name).read_bytes() for name in CODE)).hexdigest()


def copy_model(source: Path, target: Path, *, skip: tuple[str, ...] = ()) -> None:
    """Copy code and recipe of a model into a new folder; other files, which may be large data, become links."""
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted(source.iterdir()):
        if path.name in skip or path.name.startswith((".", "__")) or path.name == "checkpoint.safetensors":
            continue
        if path.name in CODE:
            shutil.copyfile(path, target / path.name)
        else:
            (target / path.name).symlink_to(path.resolve())


class Store:
    """The folder of one sweep, locked while it is open. The lock ends with the process, however that ends.

    Parameters
    ----------
    folder : Path
        The folder; made when it is missing.
    """

    def __init__(self, folder: Path):
        import fcntl  # not on Windows, where other commands of this room work
        self.folder = Path(folder).resolve()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self.folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise FileError(f"sweep folder {str(folder)!r} cannot be written: {error.strerror}") from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise UsageError(f"sweep folder {str(folder)!r} must be used by one sweep at a time, and another one runs") from None

    def close(self) -> None:
        """Give the folder back."""
        os.close(self._lock)

    def prepare(self, identity: Mapping[str, Any], model: Path, free: tuple[str, ...]) -> None:
        """Begin a sweep here, or check that it is the one that was begun here, and take away what a crash left.

        Parameters
        ----------
        identity : mapping
            Everything that decides what is found, as JSON.
        model : Path
            Model folder.
        free : tuple of str
            Dotted names in `identity` that may differ when a sweep goes on.
        """
        path = self.folder / "study.json"
        if path.exists():
            earlier = read_json(path, "study of the sweep")
            changed = _difference(earlier, dict(identity), free)
            if changed:
                raise UsageError(f"sweep folder {str(self.folder)!r} holds a sweep with another {changed}; use another folder")
        elif any(item.name not in (".lock", "model") for item in self.folder.iterdir()):
            raise FileError(f"sweep folder {str(self.folder)!r} must be new, empty or that of an earlier sweep")
        if not path.exists():
            shutil.rmtree(self.folder / "model", ignore_errors=True)
            copy_model(model, self.folder / "model")
        write_json(path, identity)
        for left in [*self.folder.glob("trials/*/.*.tmp"), *self.folder.glob("pretrain/.*.tmp")]:
            shutil.rmtree(left, ignore_errors=True)
            left.unlink(missing_ok=True)

    @property
    def journal(self) -> Path:
        return self.folder / "journal.log"

    def trial(self, number: int) -> Path:
        """Return the folder of a candidate."""
        return self.folder / "trials" / str(number)

    def read(self, number: int, stage: str) -> dict[str, Any] | None:
        """Return what a stage found, None when it is not over."""
        path = self.trial(number) / f"{stage}.json"
        return read_json(path, "result of a candidate") if path.exists() else None

    def write(self, number: int, stage: str, result: Mapping[str, Any]) -> None:
        """Write what a stage found, once and for all."""
        write_json(self.trial(number) / f"{stage}.json", {"schema": SCHEMA, "stage": stage, "number": number, **result})


def _difference(earlier: Any, now: Any, free: tuple[str, ...], name: str = "") -> str:
    """Return the dotted name of the first part in which two JSON values differ, apart from those in `free`."""
    if name in free:
        return ""
    if isinstance(earlier, dict) and isinstance(now, dict):
        for key in sorted(earlier.keys() | now.keys()):
            if found := _difference(earlier.get(key), now.get(key), free, f"{name}.{key}" if name else key):
                return found
        return ""
    return "" if earlier == now else name

"""Runs that take minutes and are done once: each leaves one file, which appears whole, when the run is over."""

import hashlib
import json
import math
import platform
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from snnhw import __version__
from snnhw.errors import FileError
from snnhw.files import read_json, write_json
from snnhw.tools import package_version

__all__ = ["RunCache"]

SCHEMA = 1
_PACKAGES = "numpy", "torch", "snntorch"


class RunCache:
    """Results of runs, found again by what they depend on.

    A run is named by its key. Whoever changes what a run computes changes its key too, by a number in it, say. A process that is
    killed loses the run that it is in and no other. Two processes that do the same run at the same time both do it, and leave one
    file.

    Parameters
    ----------
    folder : Path
        Where the files are; made when the first run is over.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)

    def path(self, key: Mapping[str, Any], suffix: str = ".json") -> Path:
        """Return the file of a run. With another suffix: one for the arrays of the run, to be written before it is over."""
        text = _canonical(key)
        return self.folder / f"{hashlib.sha256(text.encode()).hexdigest()[:24]}{suffix}"

    def record(self, key: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return what is known of a finished run, None if there is none.

        Returns
        -------
        dict or None
            ``key``, ``result``, ``versions`` and ``seconds``. A file that is damaged, or of another key, is no finished run.
        """
        path = self.path(key)
        if not path.exists():
            return None
        try:
            found = read_json(path, "result of a run")
        except FileError:
            return None
        plain = json.loads(_canonical(key))
        if not isinstance(found, dict) or found.get("schema") != SCHEMA or found.get("key") != plain:
            return None
        return found if isinstance(found.get("result"), dict) else None

    def get(self, key: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the result of a finished run, None if there is none."""
        found = self.record(key)
        return None if found is None else found["result"]

    def run(self, key: Mapping[str, Any], function: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
        """Return the result of a run, which is done only if it is not finished.

        Parameters
        ----------
        key : mapping
            Everything that the result depends on: text, numbers, booleans, None, and lists and mappings of them.
        function : callable
            Does the run and returns its result, of the same plain values and with finite numbers.

        Returns
        -------
        dict
            The result as it was written, so that it is the same now and later: sequences are lists.
        """
        path, found = self.path(key), self.get(key)
        if found is not None:
            return found
        began = time.monotonic()
        result = dict(function())
        text = _canonical(result, "Result")
        versions = {"snnhw": __version__, "python": platform.python_version()}
        versions |= {name: version for name in _PACKAGES if (version := package_version(name))}
        write_json(path, {"schema": SCHEMA, "key": json.loads(_canonical(key)), "versions": versions,
                          "seconds": round(time.monotonic() - began, 3), "result": json.loads(text)})
        return json.loads(text)


def _canonical(value: Mapping[str, Any], what: str = "Key") -> str:
    """Return the one JSON text of a mapping of plain values."""
    _check(value, what, what.lower())
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _check(value: Any, what: str, where: str) -> None:
    """Raise TypeError or ValueError where a value is not plain: JSON would change it, or refuse it without saying where."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            if not isinstance(name, str):
                raise TypeError(f"{what} of a run must have names that are text, not {name!r} in {where}")
            _check(item, what, f"{where}.{name}")
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            _check(item, what, f"{where}[{index}]")
    elif type(value) not in (str, int, float, bool, type(None)):
        raise TypeError(f"{what} of a run must be plain values, not {type(value).__name__} at {where}")
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{what} of a run must have finite numbers, not {value!r} at {where}")

"""The external programs: where they are, what version they are, and how they are run.

Every program is started with an argument list, never through a shell. Yosys runs in a fresh process
for each script, because a second synthesis in the same process gives other cell counts.
"""

import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from snnhw.errors import ToolMissing

__all__ = ["ToolFailed", "find_program", "package_file", "package_version", "require_package", "run_program", "run_yosys",
           "yosys_abc"]

_YOSYS = """
import sys
from pyosys import libyosys
design = libyosys.Design()
libyosys.run_pass("script " + sys.argv[1], design)
"""


class ToolFailed(Exception):
    """An external program ended with an error; the message is the end of what it printed."""


def package_version(name: str) -> str | None:
    """Return the version of an installed package, or None."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def require_package(module: str, extra: str, purpose: str) -> None:
    """Raise :class:`ToolMissing` with the install line when `module` cannot be imported."""
    if importlib.util.find_spec(module.partition(".")[0]) is None:
        raise ToolMissing(f"{purpose} needs the package {module!r}, install it with: pip install 'snnhw[{extra}]'")


def package_file(module: str, *parts: str) -> Path:
    """Return the path of a file inside an installed package, without importing the package."""
    spec = importlib.util.find_spec(module)
    assert spec is not None, module
    assert spec.submodule_search_locations, module
    return Path(next(iter(spec.submodule_search_locations))).joinpath(*parts)


def find_program(name: str, install: str) -> Path:
    """Return the path of a program, looking beside this Python first and then on PATH."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.is_file() else shutil.which(name)
    if found is None:
        raise ToolMissing(f"program {name!r} is not installed, install it with: {install}")
    return Path(found)


def run_program(arguments: Sequence[str | Path], cwd: Path, *, env: Mapping[str, str] | None = None,
                timeout_s: float | None = None) -> str:
    """Run a program and return what it printed; raise :class:`ToolFailed` when it does not end with 0, or not in time."""
    name = Path(str(arguments[0])).name
    try:
        done = subprocess.run([str(item) for item in arguments], cwd=cwd, env=dict(os.environ, **(env or {})), timeout=timeout_s,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    except subprocess.TimeoutExpired:
        raise ToolFailed(f"{name} did not end within {timeout_s:g} seconds") from None
    text = done.stdout.decode(errors="replace")
    if done.returncode:
        raise ToolFailed(f"{name} ended with {done.returncode}:\n{text[-4000:]}")
    return text


def run_yosys(script: str | Sequence[str], cwd: Path) -> str:
    """Run Yosys commands in a fresh process, in the folder `cwd`, and return the log."""
    require_package("pyosys", "rtl", "Yosys")
    lines = script if isinstance(script, str) else "\n".join(script)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "script.ys"
        file.write_text(lines + "\n")
        return run_program([sys.executable, "-c", _YOSYS, file], cwd)


def yosys_abc() -> Path:
    """Return the path of the ABC that comes with Yosys."""
    require_package("pyosys", "rtl", "ABC")
    return package_file("pyosys", "yosys-abc")

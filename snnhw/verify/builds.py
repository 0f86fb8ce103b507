"""The cache of compiled simulators: one folder for each content, made whole or not at all."""

import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from snnhw.assets import asset
from snnhw.tools import ToolFailed, find_program, package_file, package_version, run_program

__all__ = ["LIBRARY", "cache_folder", "cached_build", "compile_library", "cxxrtl_include", "harness_sources", "quoted",
           "tool_versions"]

LIBRARY = "simulator.so"
MAX_CACHE_BYTES = 1 << 30
STALE_SECONDS = 24 * 3600
COMPILER_INSTALL = "apt-get install g++"


def cache_folder() -> Path:
    """Return where compiled simulators are kept: ``SNNHW_CACHE``, or ``snnhw`` in the user's cache folder."""
    named = os.environ.get("SNNHW_CACHE")
    if named:
        return Path(named).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "snnhw"


def harness_sources(*names: str) -> dict[str, str]:
    """Return the texts of the C++ harness, by file name."""
    return {name: asset("sim", "native", name).read_text() for name in names}


def tool_versions(*packages: str) -> str:
    """Return a line that changes whenever a tool does that a build depends on."""
    compiler = run_program([find_program("g++", COMPILER_INSTALL), "-dumpfullversion", "-dumpmachine"], Path.cwd())
    return " ".join([*(f"{name} {package_version(name)}" for name in packages), *compiler.split()])


def cached_build(parts: Sequence[str], make: Callable[[Path, Path], None]) -> tuple[Path, float]:
    """Return the folder of a build and the seconds it took, 0 when it was there already.

    Parameters
    ----------
    parts : sequence of str
        Everything the result depends on.
    make : function of (Path, Path)
        Fills the first folder; the second is the path that the folder will have in the end.
    """
    root = cache_folder()
    folder = root / hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]
    if folder.is_dir():
        os.utime(folder)
        return folder, 0.0
    began = time.perf_counter()
    temporary = root / f"{folder.name}.{secrets.token_hex(4)}.tmp"
    temporary.mkdir(parents=True)
    try:
        make(temporary, folder)
        try:
            os.replace(temporary, folder)
        except OSError:
            assert folder.is_dir(), folder  # another process was faster; its result is the same
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    _forget_oldest(root)
    return folder, time.perf_counter() - began


def _forget_oldest(root: Path) -> None:
    """Keep the cache within its budget; what is unfinished and a day old is left over from an interrupted build."""
    entries = []
    for entry in os.scandir(root):
        try:
            used = entry.stat().st_mtime
            if entry.name.endswith(".tmp"):
                if time.time() - used > STALE_SECONDS:
                    shutil.rmtree(entry.path, ignore_errors=True)
            elif entry.is_dir():
                entries.append((used, sum(item.stat().st_size for item in os.scandir(entry.path)), entry.path))
        except FileNotFoundError:
            continue
    total = sum(size for _, size, _ in entries)
    for _, size, path in sorted(entries)[:-1]:
        if total <= MAX_CACHE_BYTES:
            break
        shutil.rmtree(path, ignore_errors=True)
        total -= size


def quoted(path: Path) -> str:
    """Return a path as Yosys reads it: whole, even where a folder of the user's has spaces in its name."""
    return f'"{path}"'


def compile_library(folder: Path, arguments: Sequence[str | Path], environment: dict[str, str] | None = None) -> None:
    """Link a shared library in `folder` from g++ arguments."""
    compiler = find_program("g++", COMPILER_INSTALL)
    run_program(
        [compiler, "-std=c++17", "-shared", "-fPIC", "-fno-gnu-unique", "-w", *arguments, "-o", LIBRARY], folder, env=environment
    )


def cxxrtl_include() -> Path:
    """Return the include folder of the CXXRTL headers that belong to the installed Yosys."""
    folder = package_file("pyosys", "share", "include", "backends", "cxxrtl", "runtime")
    if not folder.is_dir():
        raise ToolFailed(f"CXXRTL headers are missing from the Yosys package: {folder} does not exist")
    return folder

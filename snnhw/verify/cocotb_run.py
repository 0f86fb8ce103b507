"""The shipped bench, run on the Verilog of an output folder."""

import json
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from snnhw.assets import asset
from snnhw.errors import FileError, ToolMissing
from snnhw.files import write_bytes
from snnhw.tools import ToolFailed, find_program, require_package, run_program
from snnhw.verify.design import TOP, find_verilog

__all__ = ["BenchRun", "CocotbSimulator", "run_bench"]

CocotbSimulator = Literal["icarus", "verilator"]
TESTS = ("undisturbed", "stalled", "interrupted")
TIMEOUT_SECONDS = 4 * 3600


@dataclass(frozen=True)
class BenchRun:
    """Outcome of the bench.

    Attributes
    ----------
    tests : mapping of str to mapping
        For each test that came to its end the numbers that the bench counted, and ``failure``, empty when everything was equal.
    seconds : float
        Compiling and running.
    log : str
        What simulator and bench printed.
    """

    tests: dict[str, dict[str, Any]]
    seconds: float
    log: str

    @property
    def problem(self) -> str | None:
        """What differs, or None."""
        failures = [f"test {name!r}: {counts['failure']}" for name, counts in self.tests.items() if counts["failure"]]
        failures += [f"test {name!r}: must come to its end, and did not" for name in TESTS if name not in self.tests]
        return failures[0] if failures else None


def run_bench(folder: Path, vectors: bytes, *, simulator: CocotbSimulator, seed: int = 0, waves: Path | None = None) -> BenchRun:
    """Simulate the Verilog of an output folder in the bench that ships with it.

    The bench is that of the installed package, byte for byte what was copied into the folder; the folder gives
    the Verilog only, so nothing in it is run as Python.

    Parameters
    ----------
    folder : Path
        Output folder.
    vectors : bytes
        Golden vectors.
    simulator : str
        ``"icarus"`` or ``"verilator"``.
    seed : int
        Of the stalls, of the order of events, and of the moment of the reset.
    waves : Path or None
        FST file to write.

    Raises
    ------
    ToolMissing
        The simulator or cocotb is not installed.
    """
    require_package("cocotb", "sim", "the bench")
    if simulator == "icarus":
        find_program("iverilog", "apt-get install iverilog")
    else:
        require_package("verilator", "sim", "Verilator")
    verilog = find_verilog(folder)
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        (work / "vectors.json").write_bytes(vectors)
        began = time.perf_counter()
        arguments: list[str | Path] = [
            sys.executable,
            asset("sim", "run.py"),
            "--simulator",
            simulator,
            "--seed",
            str(seed),
            "--vectors",
            work / "vectors.json",
            "--rtl",
            verilog.parent.resolve(),
            "--build",
            work / "build",
        ]
        try:
            log = run_program(
                [*arguments, *(["--waves"] if waves is not None else [])],
                work,
                env={"PYTHONDONTWRITEBYTECODE": "1"},
                timeout_s=TIMEOUT_SECONDS,
            )
        except ToolFailed as error:
            log = str(error)
        seconds = time.perf_counter() - began
        results = work / "build" / "bench.json"
        if not results.is_file():
            raise _explain(simulator, log)
        if waves is not None:
            write_bytes(waves, (work / "build" / f"{TOP}.fst").read_bytes())
        return BenchRun(json.loads(results.read_text(encoding="utf-8")), seconds, log)


def _explain(simulator: str, log: str) -> Exception:
    """Return the error for a bench that did not even start."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    if any("install it with" in line for line in lines):
        return ToolMissing(next(line for line in lines if "install it with" in line).removeprefix("error: "))
    errors = [line for line in lines if "error" in line.lower()] or lines or ["it printed nothing"]
    return FileError(f"the Verilog cannot be simulated with {simulator}: {errors[0]}")

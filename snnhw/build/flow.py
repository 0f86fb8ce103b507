"""From a plan or a generated folder to a bitstream, with what it uses and how fast it runs."""

import os
import statistics
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rtl_gen.board_pins import board_pins
from rtl_gen.board_top import BOARD_NAME
from snnhw.board import RESOURCES, Board, available, shortages
from snnhw.build.board_files import board_verilog
from snnhw.build.family import FAMILIES
from snnhw.build.route import Route, pack_bitstream, pack_cells, place_and_route
from snnhw.build.source import Source, read_source
from snnhw.build.synthesis import CORE_PORTS, Synthesis, run_synthesis
from snnhw.build.vivado import format_script
from snnhw.errors import BoardError, UsageError
from snnhw.files import atomic_folder, write_json
from snnhw.plan import Plan
from snnhw.plan.area import estimate_area
from snnhw.tools import package_version, require_package

__all__ = ["DEFAULT_SEEDS", "BuildResult", "build", "measure_core", "pack_core", "synthesize"]

DEFAULT_SEEDS = (1, 2, 3)
MAX_SEEDS = 64
Progress = Callable[[str], None]


@dataclass(frozen=True)
class BuildResult:
    """What a design uses on a board, and how fast it runs there.

    Attributes
    ----------
    board : Board
        The board.
    top : str
        ``"core"`` alone, or with the serial line of the ``"board"``.
    cells : dict
        Mapped cells by kind, before packing.
    used : dict
        Resources: packed where the design was placed, mapped cells otherwise.
    fmax_mhz : dict
        Highest clock frequency by seed; empty for a project that was not run.
    bitstream : Path or None
        The bitstream, from the seed with the highest frequency.
    commands : list of list of str
        What was run, in the output folder; Yosys ran ``synthesis.ys``.
    """

    board: Board
    top: Literal["core", "board"]
    cells: dict[str, int]
    used: dict[str, int]
    fmax_mhz: dict[int, float]
    bitstream: Path | None
    commands: list[list[str]]

    @property
    def rams(self) -> int:
        """Block RAMs."""
        return self.used["block_ram"]

    @property
    def median_mhz(self) -> float | None:
        """Median of the highest frequencies of all seeds."""
        return round(statistics.median(self.fmax_mhz.values()), 2) if self.fmax_mhz else None

    @property
    def fits(self) -> bool:
        """The device has enough of everything; a build that does not fit ends in a BoardError."""
        return not shortages(self.used, self.board, "design")

    @property
    def meets_clock(self) -> bool | None:
        """The best seed, that of the bitstream, reaches the board's clock; None when nothing was placed."""
        return max(self.fmax_mhz.values()) * 1e6 >= self.board.clock.hz if self.fmax_mhz else None

    @property
    def verdict(self) -> str:
        """One sentence about fit and clock."""
        target = self.board.clock.hz / 1e6
        if self.median_mhz is None:
            return f"fits {self.board} by its mapped cells; place and route are left to the vendor's tool"
        how = f"{self.median_mhz:g} MHz (median of {len(self.fmax_mhz)} seeds)"
        if self.meets_clock:
            return f"fits {self.board} and meets its {target:g} MHz clock: {how}"
        return f"fits {self.board} and misses its {target:g} MHz clock: {how}; use fewer lanes or narrower states"

    def as_dict(self) -> dict[str, Any]:
        """Return the result for ``build.json``."""
        have = available(self.board)
        packages = ("pyosys", *FAMILIES[self.board.family].packages)
        return {
            "board": self.board.name, "device": self.board.device, "top": self.top,
            "used": {name: {"used": self.used.get(name, 0), "available": have[name]} for name in RESOURCES if have[name]},
            "cells": self.cells,
            "fmax_mhz": {str(seed): value for seed, value in self.fmax_mhz.items()}, "median_mhz": self.median_mhz,
            "clock_mhz": self.board.clock.hz / 1e6, "fits": self.fits, "meets_clock": self.meets_clock, "verdict": self.verdict,
            "bitstream": self.bitstream.name if self.bitstream else None,
            "program": [line.replace("{}", self.bitstream.name if self.bitstream else "") for line in self.board.program],
            "seeds": list(self.fmax_mhz), "commands": self.commands,
            "tools": {name: version for name in packages if (version := package_version(name))},
        }


def _check_seeds(seeds: Sequence[int]) -> tuple[int, ...]:
    if not (1 <= len(seeds) <= MAX_SEEDS and len(set(seeds)) == len(seeds) and all(0 <= seed < 1 << 31 for seed in seeds)):
        raise UsageError(f"seeds must be 1 to {MAX_SEEDS} different numbers from 0 to {(1 << 31) - 1}, "
                         f"not {', '.join(map(str, seeds))[:80] or 'none'}")
    return tuple(seeds)


def _synthesize(source: Source, board: Board, top: Literal["core", "board"], folder: Path) -> Synthesis:
    done = run_synthesis(source, board, top, board_pins(board), folder)
    if done.problems:
        raise BoardError("; ".join(done.problems))
    return done


def _write_constraints(board: Board, done: Synthesis, clock_hz: int) -> Path:
    """Write pins and clock beside the netlist."""
    family = FAMILIES[board.family]
    pins = board_pins(board)
    if done.top == "core":
        pins = {port: pins[name] for port, name in CORE_PORTS.items()}
    path = done.netlist.with_name(f"pins{family.constraints_suffix}")
    path.write_text(family.format_constraints(pins, clock_hz))
    return path


def _route(source: Source, board: Board, done: Synthesis, seeds: Sequence[int], clock_hz: int, tell: Progress) -> list[Route]:
    """Place and route every seed, as many at a time as there are processors."""
    constraints = _write_constraints(board, done, clock_hz)

    def one(seed: int) -> Route:
        route = place_and_route(done.netlist, board, seed, clock_hz=clock_hz, constraints=constraints, design=source.title)
        tell(f"seed {seed}: {route.fmax_mhz:.1f} MHz")
        return route

    with ThreadPoolExecutor(min(len(seeds), os.cpu_count() or 1)) as pool:
        return list(pool.map(one, seeds))


def _frequencies(routes: Sequence[Route]) -> dict[int, float]:
    return {route.seed: round(route.fmax_mhz, 2) for route in routes}


def synthesize(design: Plan | Path, board: Board, folder: Path, *, top: Literal["core", "board"] = "core") -> Synthesis:
    """Synthesise a design for a board, without placing it.

    Parameters
    ----------
    design : Plan or Path
        A plan, or a folder that ``snnhw generate`` wrote.
    board : Board
        Decides family and device.
    folder : Path
        Must exist; gets netlist, script, log and statistics.
    top : str
        ``"core"`` alone, or with the serial line of the ``"board"``.

    Raises
    ------
    BoardError
        The device has too little of something.
    """
    return _synthesize(read_source(design), board, top, folder)


def measure_core(design: Plan | Path, board: Board, folder: Path, *, seeds: Sequence[int] = DEFAULT_SEEDS,
                 clock_hz: int | None = None, progress: Progress | None = None) -> BuildResult:
    """Place and route the bare core, with pins for its clock and reset only.

    What reaches the streams is neither placed on pads nor timed, so resources and frequency are those of the core
    inside a larger design. `clock_hz` is what the router aims at, by default the board's clock. Otherwise as :func:`build`.
    """
    seeds = _check_seeds(seeds)
    source = read_source(design)
    done = _synthesize(source, board, "core", folder)
    routes = _route(source, board, done, seeds, clock_hz or board.clock.hz, progress or (lambda text: None))
    return BuildResult(board, "core", done.cells, done.used | routes[0].used, _frequencies(routes), None,
                       [route.command for route in routes])


def pack_core(design: Plan | Path, board: Board, folder: Path) -> BuildResult:
    """Pack the bare core without placing it: the resources of :func:`measure_core` in a fraction of its time, no frequency."""
    done = _synthesize(read_source(design), board, "core", folder)
    packed = pack_cells(done.netlist, board, _write_constraints(board, done, board.clock.hz))
    return BuildResult(board, "core", done.cells, done.used | packed, {}, None, [])


def build(design: Plan | Path, board: Board, *, seeds: Sequence[int] = DEFAULT_SEEDS, out: Path,
          progress: Progress | None = None) -> BuildResult:
    """Build the bitstream of a design for a board, or the project for a vendor's tool.

    The same design, board and seeds give the same bitstream: that of the fastest seed, the first of them on a tie.

    Parameters
    ----------
    design : Plan or Path
        A plan, or a folder that ``snnhw generate`` wrote; its Verilog is what is built.
    board : Board
        The board.
    seeds : sequence of int
        Starts of the placer; the frequency of each is reported.
    out : Path
        New folder: bitstream, constraints, netlist, reports, the log of every step, ``manifest.json``.
    progress : function of str, optional
        Told of each step.

    Raises
    ------
    BoardError
        The design does not fit the board. Nothing is left behind.
    """
    tell = progress or (lambda text: None)
    seeds = _check_seeds(seeds)
    require_package("pyosys", "rtl", "Synthesis")
    source = read_source(design, verilog=board.flow == "vivado")
    # What surely does not fit is not worth the minutes that its synthesis takes.
    problems = estimate_area(source.plan, board).problems(source.title, weights_loaded=source.plan.loaded_words > 0)
    if problems:
        raise BoardError("; ".join(problems))
    family = FAMILIES[board.family]
    with atomic_folder(out) as folder:
        tell(f"synthesis for {board}")
        done = _synthesize(source, board, "board", folder)
        if board.flow == "vivado":
            tell("writing the Vivado project")
            (folder / f"{BOARD_NAME}.v").write_bytes(board_verilog(source.plan, board))
            (folder / "build.tcl").write_text(format_script(board))
            (folder / "pins.xdc").write_text(family.format_constraints(board_pins(board), board.clock.hz))
            (folder / "netlist.json").unlink()
            (folder / "board.il").unlink()
            result = BuildResult(board, "board", done.cells, done.used, {}, None,
                                 [["vivado", "-mode", "batch", "-source", "build.tcl"]])
        else:
            tell(f"place and route, {len(seeds)} seed{'s' if len(seeds) > 1 else ''}")
            routes = _route(source, board, done, seeds, board.clock.hz, tell)
            best = max(routes, key=lambda route: route.fmax_mhz)
            bitstream, command = pack_bitstream(best, board, BOARD_NAME)
            for route in routes:
                if route is not best:
                    route.routed.unlink()
            result = BuildResult(board, "board", done.cells, done.used | best.used, _frequencies(routes),
                                 Path(out) / bitstream.name, [*(route.command for route in routes), command])
        write_json(folder / "manifest.json", {"schema": 1, "command": "build"} | result.as_dict())
    return result

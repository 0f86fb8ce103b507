"""From a plan or a generated folder to a bitstream, with what it uses and how fast it runs."""

import os
import statistics
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

from rtl_gen.board_pins import board_pins
from rtl_gen.board_top import BOARD_NAME
from snnhw.board import RESOURCES, Board, ClockSettings, available, choose_clock, clocks_of, shortages
from snnhw.board.pll import BAUD_TOLERANCE, baud_error
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
MAX_ROUNDS = 5
AMBITION = 4  # times the board's own clock: where the search for the fastest begins
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
    clock : ClockSettings or None
        The clock that the board makes for the design; None for that of its oscillator.
    rounds : list of dict
        Of a search for the fastest clock: the clocks that were tried before, and what each seed reached.
    """

    board: Board
    top: Literal["core", "board"]
    cells: dict[str, int]
    used: dict[str, int]
    fmax_mhz: dict[int, float]
    bitstream: Path | None
    commands: list[list[str]]
    clock: ClockSettings | None = None
    rounds: list[dict[str, Any]] = field(default_factory=list)

    @property
    def clock_hz(self) -> int:
        """Frequency that the design runs at."""
        return self.clock.hz if self.clock is not None else self.board.clock.hz

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
        """The best seed, that of the bitstream, reaches the clock, however fast it may be; None when nothing was placed."""
        fastest = self.clock_hz * (1 + (self.clock.tolerance if self.clock is not None else 0))
        return max(self.fmax_mhz.values()) * 1e6 >= fastest if self.fmax_mhz else None

    @property
    def verdict(self) -> str:
        """One sentence about fit and clock."""
        target = round(self.clock_hz / 1e6, 3)
        if self.median_mhz is None:
            return f"fits {self.board} by its mapped cells; place and route are left to the vendor's tool"
        seeds = len(self.fmax_mhz)
        how = f"{self.median_mhz:g} MHz ({f'median of {seeds} seeds' if seeds > 1 else 'one seed'})"
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
            "clock_mhz": self.clock_hz / 1e6, "clock": _describe(self.clock), "rounds": self.rounds,
            "fits": self.fits, "meets_clock": self.meets_clock, "verdict": self.verdict,
            "bitstream": self.bitstream.name if self.bitstream else None,
            "program": [line.replace("{}", self.bitstream.name if self.bitstream else "") for line in self.board.program],
            "seeds": list(self.fmax_mhz), "commands": self.commands,
            "tools": {name: version for name in packages if (version := package_version(name))},
        }


def _describe(clock: ClockSettings | None) -> dict[str, Any] | None:
    """Return what makes a clock, for ``build.json``; None for the oscillator of the board."""
    if clock is None:
        return None
    return {"primitive": clock.primitive, "source_mhz": clock.source_hz / 1e6, "parameters": dict(clock.parameters)}


def _check_seeds(seeds: Sequence[int]) -> tuple[int, ...]:
    if not (1 <= len(seeds) <= MAX_SEEDS and len(set(seeds)) == len(seeds) and all(0 <= seed < 1 << 31 for seed in seeds)):
        raise UsageError(f"seeds must be 1 to {MAX_SEEDS} different numbers from 0 to {(1 << 31) - 1}, "
                         f"not {', '.join(map(str, seeds))[:80] or 'none'}")
    return tuple(seeds)


def _synthesize(source: Source, board: Board, top: Literal["core", "board"], folder: Path,
                clock: ClockSettings | None = None) -> Synthesis:
    done = run_synthesis(source, board, top, board_pins(board), folder, clock)
    if done.problems:
        raise BoardError("; ".join(done.problems))
    return done


def _write_constraints(board: Board, done: Synthesis, clock_hz: int, clock: ClockSettings | None = None) -> Path:
    """Write pins and clock beside the netlist. Of a clock that the board makes, the router finds the frequency itself."""
    family = FAMILIES[board.family]
    pins = board_pins(board)
    if done.top == "core":
        pins = {port: pins[name] for port, name in CORE_PORTS.items()}
    if clock is not None:
        clock_hz = board.clock.hz
        if clock.primitive == "SB_HFOSC":
            pins, clock_hz = {name: pin for name, pin in pins.items() if name != "clk"}, 0
    path = done.netlist.with_name(f"pins{family.constraints_suffix}")
    path.write_text(family.format_constraints(pins, clock_hz))
    return path


def _route(source: Source, board: Board, done: Synthesis, seeds: Sequence[int], clock_hz: int, tell: Progress,
           clock: ClockSettings | None = None) -> list[Route]:
    """Place and route every seed, as many at a time as there are processors."""
    constraints = _write_constraints(board, done, clock_hz, clock)

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


def _begin(board: Board, clock: float | Literal["max"] | None) -> ClockSettings | None:
    """Return the clock to try first."""
    if clock is None:
        return None
    if board.flow == "vivado":
        raise BoardError(f"board {board.name!r}: clock must be that of the board, because no PLL is made for {board.family}")
    if clock == "max":
        options = clocks_of(board)
        return choose_clock(board, board.clock.hz if not options else _usable(board, AMBITION * board.clock.hz))
    if not 0 < clock < 1e10:
        raise UsageError(f"clock must be positive and below 10 GHz, not {clock / 1e6:g} MHz")
    return choose_clock(board, clock)


def _usable(board: Board, hz: float) -> float:
    """Return the fastest clock that the board can have, not above `hz`, and from which it can make its serial line."""
    found = [float(item.exact_hz) for item in clocks_of(board)
             if item.exact_hz * (1 + Fraction(item.tolerance)) <= hz and baud_error(item.exact_hz, board.uart.baud,
                                                                                 item.tolerance) <= BAUD_TOLERANCE]
    own = [float(board.clock.hz)] * (board.clock.hz <= hz)
    if not found and not own:
        raise BoardError(f"board {board.name!r} has no clock as slow as {hz / 1e6:.6g} MHz, which is what the design reaches; "
                         "use fewer lanes or narrower states")
    return max([*found, *own])


def build(design: Plan | Path, board: Board, *, seeds: Sequence[int] = DEFAULT_SEEDS, out: Path,
          clock: float | Literal["max"] | None = None, progress: Progress | None = None) -> BuildResult:
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
    clock : float or "max", optional
        Clock of the design in Hz: the board makes the fastest that is not above it. ``"max"`` aims at four times the clock of
        the board, and then at what the best seed has reached, each time from synthesis on, until the best seed meets it.
        None is the clock of the board.
    progress : function of str, optional
        Told of each step.

    Raises
    ------
    BoardError
        The design does not fit the board, or the board cannot make the clock. Nothing is left behind.
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
    made = _begin(board, clock)
    with atomic_folder(out) as folder:
        tell(f"synthesis for {board}" + (f" at {made}" if made is not None else ""))
        done = _synthesize(source, board, "board", folder, made)
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
            rounds: list[dict[str, Any]] = []
            while True:
                hz = made.hz if made is not None else board.clock.hz
                routes = _route(source, board, done, seeds, hz, tell, made)
                best = max(routes, key=lambda route: route.fmax_mhz)
                reached = _frequencies(routes)
                result = BuildResult(board, "board", done.cells, done.used | best.used, reached, None, [], made, rounds)
                if clock != "max" or result.meets_clock or len(rounds) + 1 == MAX_ROUNDS or made is None:
                    break
                rounds = [*rounds, {"clock_mhz": hz / 1e6, "fmax_mhz": {str(seed): value for seed, value in reached.items()}}]
                made = choose_clock(board, _usable(board, min(best.fmax_mhz * 1e6, hz - 1)))
                tell(f"synthesis for {board} at {made or 'its own clock'}")
                done = _synthesize(source, board, "board", folder, made)
            bitstream, command = pack_bitstream(best, board, BOARD_NAME)
            for route in routes:
                if route is not best:
                    route.routed.unlink()
            result = BuildResult(board, "board", done.cells, done.used | best.used, _frequencies(routes),
                                 Path(out) / bitstream.name, [*(route.command for route in routes), command], made, rounds)
        write_json(folder / "manifest.json", {"schema": 1, "command": "build"} | result.as_dict())
    return result

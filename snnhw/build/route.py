"""From a mapped netlist to a placed and routed design and its bitstream, with nextpnr."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from snnhw.board import Board
from snnhw.build.family import FAMILIES
from snnhw.errors import BoardError
from snnhw.tools import ToolFailed, find_program, run_program

__all__ = ["Route", "pack_bitstream", "pack_cells", "place_and_route"]

INSTALL = "pip install 'snnhw[synth]'"
_FULL = re.compile(r"unable to (find|place|fit)|no more|not enough|too many|overutili|exceed|failed to place|no bels|"
                   r"expanding region", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True)
class Route:
    """A placed and routed design.

    Attributes
    ----------
    seed : int
        Start of the placer.
    fmax_mhz : float
        Highest frequency of the clock, by static timing; 0 for a design without.
    used : dict
        Resources, packed.
    reported : dict
        Every kind the router reports: used and available.
    routed : Path
        Input of the bitstream packer.
    command : list of str
        What was run.
    """

    seed: int
    fmax_mhz: float
    used: dict[str, int]
    reported: dict[str, dict[str, int]]
    routed: Path
    command: list[str]


def _fill(options: tuple[str, ...], file: str) -> list[str]:
    return [option.replace("{}", file) for option in options]


def place_and_route(netlist: Path, board: Board, seed: int, *, clock_hz: int, constraints: Path, design: str,
                    clocked: bool = True) -> Route:
    """Place and route a netlist; log and report stay beside it.

    Parameters
    ----------
    netlist : Path
        Yosys JSON.
    board : Board
        Decides the device.
    seed : int
        Start of the placer.
    clock_hz : int
        Frequency the router aims at; missing it is not an error.
    constraints : Path
        Pins, in the same folder.
    design : str
        How messages call the design.
    clocked : bool
        Whether it has a clock that must be timed.
    """
    family = FAMILIES[board.family]
    folder, stem = netlist.parent, f"seed{seed}"
    routed, report = f"{stem}{family.routed_suffix}", f"{stem}.report.json"
    command = [family.place, *family.place_options(board), "--json", netlist.name, *_fill(family.constraints, constraints.name),
               "--seed", str(seed), "--freq", f"{clock_hz / 1e6:g}", "--timing-allow-fail", "--report", report,
               *_fill(family.routed, routed)]
    log = folder / f"{stem}.log"
    try:
        log.write_text(run_program([find_program(command[0], INSTALL), *command[1:]], folder))
    except ToolFailed as error:
        log.write_text(str(error))
        reason = next((line for line in str(error).splitlines() if line.startswith("ERROR:")), "no reason given")[:200]
        if _FULL.search(reason):
            raise BoardError(f"{design} does not fit {board}: {reason.removeprefix('ERROR: ')}; "
                             f"use fewer lanes or a larger board") from None
        raise
    values = json.loads((folder / report).read_text())
    clocks = {name: float(clock["achieved"]) for name, clock in values["fmax"].items()}
    if not clocks and clocked:
        raise BoardError(f"{design} has no path between registers that could be timed on {board}")
    reported = {kind: {"used": int(use["used"]), "available": int(use["available"])}
                for kind, use in sorted(values["utilization"].items()) if use["available"]}
    used = {resource: sum(reported[kind]["used"] for kind in kinds if kind in reported)
            for resource, kinds in family.reported.items()}
    return Route(seed, min(clocks.values(), default=0.0), used, reported, folder / routed, command)


def pack_cells(netlist: Path, board: Board, constraints: Path) -> dict[str, int]:
    """Return the resources of a netlist once its cells are packed together, without placing them.

    On Gowin the router adds and removes cells later, so the numbers are not those of the placed design.
    """
    family = FAMILIES[board.family]
    command = [family.place, *family.place_options(board), "--json", netlist.name, *_fill(family.constraints, constraints.name),
               "--pack-only"]
    log = run_program([find_program(command[0], INSTALL), *command[1:]], netlist.parent)
    counts = {kind: int(number) for kind, number in re.findall(r"^Info:\s+(\w+):\s*(\d+)/\s*\d+\s+\d+%", log, re.MULTILINE)}
    return {resource: sum(counts.get(kind, 0) for kind in kinds) for resource, kinds in family.reported.items()}


def pack_bitstream(route: Route, board: Board, name: str) -> tuple[Path, list[str]]:
    """Make the bitstream of a routed design; return its path and the command."""
    family = FAMILIES[board.family]
    folder = route.routed.parent
    bitstream = folder / f"{name}{family.bitstream_suffix}"
    names: Mapping[str, str] = {"{routed}": route.routed.name, "{bitstream}": bitstream.name}
    command = [names.get(part, part) for part in family.pack(board)]
    log = run_program([find_program(command[0], INSTALL), *command[1:]], folder)
    (folder / "pack.log").write_text(log)
    return bitstream, command

"""``snnhw build``: the bitstream of a generated core, and what it uses."""

from pathlib import Path
from typing import Annotated

import typer

from snnhw.cli.folding import parse_clock
from snnhw.cli.options import Board, Debug, Hardware, Json, Quiet
from snnhw.cli.output import Session, key_values, table
from snnhw.cli.runs import board_of_hardware, run_of_hardware
from snnhw.errors import UsageError

__all__ = ["command"]


def command(hardware: Hardware, board: Board = None,
            out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder to write; beside the hardware by default.",
                                                     show_default=False)] = None,
            seeds: Annotated[int, typer.Option("--seeds", help="Placements to try; the median frequency is reported.")] = 3,
            clock: Annotated[str | None, typer.Option(
                "--clock", metavar="MHZ|max", show_default=False,
                help="Clock of the design, made by the PLL: the fastest not above MHZ, or the fastest that place and route meet.")
            ] = None,
            json: Json = False, quiet: Quiet = False, debug: Debug = False) -> None:
    """Build the bitstream for a board with Yosys and nextpnr, and report cells, memories and frequency.

    Exits with 1 when the design misses its clock: that of the board, or the one that is asked for.
    """
    session = Session("build", json=json, quiet=quiet)
    from snnhw.board import load_board
    from snnhw.build import build
    target = load_board(board or board_of_hardware(hardware))
    if not 1 <= seeds <= 64:
        raise UsageError(f"--seeds must be between 1 and 64, not {seeds}")
    folder = out or hardware.with_name(f"{hardware.name}-{target.name}")
    result = build(hardware, target, seeds=range(1, seeds + 1), out=folder, clock=parse_clock(clock),
                   progress=session.progress)
    results = result.as_dict() | {"folder": str(folder), "ok": result.meets_clock is not False, "problem": result.verdict}
    rows = [(name.replace("_", " "), value["used"], value["available"], f"{value['used'] / value['available']:.1%}")
            for name, value in results["used"].items()]
    timing: dict[str, object] = {f"MHz, seed {seed}": value for seed, value in result.fmax_mhz.items()}
    timing |= {"clock": f"{result.clock_hz / 1e6:.6g} MHz" + (f" from {result.clock.primitive}" if result.clock else ""),
               "MHz, median": result.median_mhz, "verdict": result.verdict, "bitstream": result.bitstream}
    session.finish(results, table(f"Built for {target}", ("resource", "used", "available", "share"), rows),
                   key_values("Timing", timing), folder=run_of_hardware(hardware))

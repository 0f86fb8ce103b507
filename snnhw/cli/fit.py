"""``snnhw fit``: the best of many trained networks for a board, or the largest that fits it."""

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from snnhw.cli.folding import parse_clock
from snnhw.cli.options import Board as BoardOption
from snnhw.cli.options import Clock, Debug, Json, LatencyOf, Quiet
from snnhw.cli.output import Session, key_values, table
from snnhw.errors import FileError, UsageError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from snnhw.board import Board

__all__ = ["command"]

SHOWN = 10
WEIGHTS = {"fixed": (False,), "loaded": (True,), "both": (False, True)}


def command(networks: Annotated[list[Path] | None, typer.Argument(
                help="Run folders, folders that hold some, or folders of sweeps.", show_default=False)] = None,
            board: BoardOption = None,
            accuracy: Annotated[str, typer.Option(
                "--accuracy", "-a", metavar="SHARE", help="Lowest accuracy, such as 97% or 0.97.")] = "0%",
            max_latency: Annotated[str | None, typer.Option(
                "--max-latency", metavar="TIME", help="Longest time of a sample, such as 1ms.", show_default=False)] = None,
            best: Annotated[str, typer.Option(
                "--best", metavar="energy|latency|area|accuracy", help="What decides between those that fit.")] = "energy",
            weights: Annotated[str, typer.Option(
                "--weights", metavar="fixed|loaded|both", help="Weights in the bitstream, loaded at run time, or both are tried.",
                )] = "both",
            samples: Annotated[int, typer.Option("--samples", "-n", help="Test samples behind latency and energy.")] = 200,
            largest: Annotated[bool, typer.Option(
                "--largest", help="Find the largest network of a shape that fits, by the estimate, and what runs out.")] = False,
            shape: Annotated[str, typer.Option("--shape", help="Sizes of the layers of --largest, N for the hidden one.",
                                               )] = "784-N-10",
            weight_bits: Annotated[int, typer.Option("--weight-bits", help="Bits of a weight of --largest.")] = 4,
            state_bits: Annotated[int, typer.Option("--state-bits", help="Bits of a state of --largest.")] = 12,
            latency_of: LatencyOf = "worst", clock: Clock = None,
            out: Annotated[Path | None, typer.Option(
                "--out", "-o", show_default=False,
                help="Folder for fit.json; by default the first of the networks. With --largest also for that network.")] = None,
            json: Json = False, quiet: Quiet = False, debug: Debug = False) -> None:
    """Find the best of many trained networks for a board, and how to build it; say why each other cannot be built.

    Every network is folded, with fixed and with loaded weights; nothing is synthesised. Exits with 1 when none is feasible.
    """
    session = Session("fit", json=json, quiet=quiet)
    from snnhw.board import load_board
    if board is None:
        raise UsageError("--board must be given")
    if weights not in WEIGHTS:
        raise UsageError(f"--weights must be fixed, loaded or both, not {weights[:40]!r}")
    target = load_board(board)
    if largest:
        if networks:
            raise UsageError(f"--largest must be given without networks, not with {str(networks[0])!r}")
        _largest(session, target, WEIGHTS[weights], shape, weight_bits, state_bits, out)
        return
    if not networks:
        raise UsageError("networks must be given: run folders, folders that hold some, or folders of sweeps")
    from snnhw.fit import Wish, find_candidates, select
    from snnhw.plan.folding import parse_time
    objective: Any = best
    statistic: Any = latency_of
    wish = Wish(target, _share(accuracy), None if max_latency is None else parse_time(max_latency, "--max-latency"), objective,
                statistic, parse_clock(clock), WEIGHTS[weights], samples)
    session.progress("looking for networks")
    results = select(find_candidates(networks), wish, progress=session.progress)
    winner = results["winner"]
    results["command"] = None if winner is None else _command(winner, target)
    session.finish(results, *_tables(results, target), folder=out or networks[0])


def _share(text: str) -> float:
    """Return an accuracy from a text such as ``97%`` or ``0.97``."""
    found = re.fullmatch(r"([0-9]{1,3}(?:\.[0-9]{1,9})?)\s*(%?)", text.strip())
    share = float(found[1]) / (100 if found[2] else 1) if found is not None else -1.0
    if not 0 <= share <= 1:
        raise UsageError(f"--accuracy must be a share such as 97% or 0.97, not {text[:40]!r}")
    return share


def _command(winner: dict[str, Any], board: "Board") -> str:
    """Return the command that generates a design."""
    plan, folder = winner["plan"], Path(winner["folder"])
    words = ["snnhw", "generate", str(folder), "--board", board.name, "--out", str(folder / "hw")]
    words += [word for name, lanes in plan["lanes"].items() for word in ("--lanes", f"{name}={lanes}")]
    for option, names in (("--format", "formats"), ("--packing", "packings"), ("--events", "events")):
        # What is the default without a word needs none.
        words += [word for name, kind in plan.get(names, {}).items() if kind not in ("none", "list")
                  for word in (option, f"{name}={kind}")]
    return shlex.join(words + ["--load-weights"] * plan["load_weights"])


def _tables(results: dict[str, Any], board: "Board") -> list["RenderableType"]:
    """Return the feasible designs, the best first, the others with their reasons, and what to do."""
    from snnhw.plan.folding import format_time
    shown = []
    feasible = results["feasible"]
    if feasible:
        rows = [(row["network"], f"{row['accuracy']:.2%}", row["weights"],
                 " ".join(f"{name}={lanes}" for name, lanes in row["plan"]["lanes"].items()), format_time(row["seconds"]),
                 f"{row['energy_nj']:,.0f}", row["used"]["logic"]["estimate"], row["used"]["logic"]["high"],
                 row["used"]["block_ram"]["estimate"]) for row in feasible[:SHOWN]]
        more = f", {len(feasible) - SHOWN} more in fit.json" if len(feasible) > SHOWN else ""
        shown.append(table(f"Fits {board}, best {results['best']} first",
                           ("network", "accuracy", "weights", "lanes", f"latency, {results['statistic']}", "nJ", "logic", "up to",
                            "block RAM"), rows, caption=f"estimated, before synthesis; cycles are exact{more}"))
    if results["rejected"]:
        shown.append(table("Not feasible", ("network", "accuracy", "weights", "why"),
                           [(row["network"], f"{row['accuracy']:.2%}", row["weights"] or "any", row["reason"])
                            for row in results["rejected"]]))
    if results["winner"] is not None:
        shown.append(key_values("Best", {"network": results["winner"]["network"], "limited by": results["winner"]["limits"],
                                         "command": results["command"]}))
    return shown


def _largest(session: Session, board: "Board", loaded: tuple[bool, ...], shape: str, weight_bits: int, state_bits: int,
             out: Path | None) -> None:
    from snnhw.fit import find_largest, write_network
    if out is not None and out.exists() and not out.is_dir():
        raise FileError(f"--out must be a folder, not {str(out)!r}")
    found = [find_largest(board, shape=shape, weight_bits=weight_bits, state_bits=state_bits, loaded=way,
                          progress=session.progress) for way in loaded]
    best = max(found, key=lambda item: item.hidden)
    results: dict[str, Any] = {"board": board.name, "shape": shape, "weight_bits": weight_bits, "state_bits": state_bits,
                               "hidden": best.hidden, "largest": [item.as_dict() for item in found], "command": None}
    if out is not None:
        write_network(best.graph, out)
        results["command"] = _command(best.as_dict() | {"folder": str(out)}, board)
    rows = [(row["network"], row["weights"], f"{row['synapses']:,}",
             *(f"{row['used'][name]['high']:,} of {row['used'][name]['available']:,}" if name in row["used"] else "-"
               for name in ("logic", "block_ram", "single_port_ram")),
             ", ".join(name.replace("_", " ") for name in row["runs_out"])) for row in results["largest"]]
    session.finish(
        results, table(f"Largest {shape} with {weight_bits}-bit weights on {board}",
                       ("network", "weights", "synapses", "logic", "block RAM", "single-port RAM", "runs out first"), rows,
                       caption="upper bounds of the estimate; weights are random"),
        key_values("Why the next size does not fit", {row["weights"]: row["next"] for row in results["largest"]}),
        *([key_values("Written", {"folder": out, "command": results["command"]})] if out is not None else []), folder=out)

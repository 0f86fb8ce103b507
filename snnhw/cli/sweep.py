"""``snnhw sweep``: search for the best candidates of a network and its hardware."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from snnhw.cli.options import Debug, Json, Out, Quiet
from snnhw.cli.output import Session, key_values, table

if TYPE_CHECKING:
    from snnhw.sweep import Status

__all__ = ["command"]


def command(study: Annotated[Path, typer.Argument(help="Study file (TOML): model, space, objectives, stages.",
                                                  show_default=False)],
            out: Out,
            jobs: Annotated[int, typer.Option("--jobs", "-j", help="Processes on this machine, with one thread each.")] = 1,
            engine: Annotated[str, typer.Option(
                "--engine", metavar="ENGINE", help="Where candidates run: local, dask:ADDRESS, ray:ADDRESS or slurm.")] = "local",
            json: Json = False, quiet: Quiet = False, debug: Debug = False) -> None:
    """Search over compression and hardware: propose candidates, drop the bad ones early, build the best, show the trade-offs.

    Interrupted or killed, the same command goes on where it was: what is finished is not done again. Exits with 1 when no
    candidate passes every stage within the constraints.
    """
    from snnhw.tools import require_package
    require_package("torch", "train", "training")
    require_package("optuna", "sweep", "the search")
    from snnhw.sweep import run_sweep
    from snnhw.sweep.output import write_outputs
    session = Session("sweep", json=json, quiet=quiet)
    session.progress("checking the study")
    with _Screen(quiet=quiet) as screen:
        results = run_sweep(study, out, engine=engine, jobs=jobs, progress=screen.show)
    paths = write_outputs(out, results)
    session.finish(results, *_tables(results), key_values("Files", paths), folder=out, seed=results["seed"])


class _Screen:
    """The state of the sweep on the terminal, redrawn in place; nothing where stderr is not a terminal."""

    def __init__(self, *, quiet: bool):
        console = Console(stderr=True, highlight=False)
        self._live = Live(console=console, transient=True, auto_refresh=False) if console.is_terminal and not quiet else None

    def __enter__(self) -> "_Screen":
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._live is not None:
            self._live.stop()
        sys.stderr.flush()

    def show(self, status: "Status") -> None:
        """Draw how far the sweep has come."""
        if self._live is None:
            return
        grid = Table.grid(padding=(0, 2))
        grid.add_row(Text(status.stage, "bold"), f"{status.done} of {status.total}",
                     f"candidates: {status.proposed} of {status.candidates}, {status.alive} alive, {status.dropped} dropped, "
                     f"{status.failed} failed")
        if status.best:
            best = ", ".join(f"{name} {value:.4g}" for name, value in status.best.items())
            grid.add_row(Text("best", "dim"), "", Text(f"{best} (each by itself, {status.best_stage})", "dim"))
        self._live.update(grid, refresh=True)


def _tables(results: dict[str, Any]) -> list[Any]:
    """Return the front, what was estimated and measured of it, and how many candidates came how far."""
    counts, names = results["counts"], [item["name"] for item in results["objectives"]]
    parameters = [axis["name"] for axis in results["space"]]
    members = [row for row in results["candidates"] if row["fate"] == "front"]
    shown = [key_values(f"Sweep of {results['model']} for {results['board']}", {
        "candidates": counts["proposed"], **{f"went through {stage}": count for stage, count in results["reached"].items()},
        "dropped": counts["dropped"], "failed": counts["failed"], "Pareto front": counts["front"]}),
        table("Pareto front", ["candidate", *names, "accuracy held out", *(name.rpartition(".")[2] for name in parameters)],
              [(row["number"], *(row["metrics"][name] for name in names), row.get("accuracy_held_out"),
                *(row["values"][name] for name in parameters)) for row in members])]
    compared = [(row["number"], name, pair["estimate"], pair["measured"], _error(pair))
                for row in members for name, pair in row.get("comparison", {}).items() if pair["measured"] or pair["estimate"]]
    if compared:
        columns = "candidate", "metric", "estimate", "measured", "estimate is off by"
        shown.append(table("Estimated and measured", columns, compared))
    return shown


def _error(pair: dict[str, float]) -> str:
    return f"{pair['estimate'] / pair['measured'] - 1:+.1%}" if pair["measured"] else "-"

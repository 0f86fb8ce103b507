"""``snnhw calibrate``: designs to measure at the rail of a board, and energy constants from the readings."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from snnhw.cli.options import Debug, Json, Quiet
from snnhw.cli.output import Session, key_values, table
from snnhw.cli.runs import open_run
from snnhw.errors import UsageError

if TYPE_CHECKING:
    from snnhw.calibrate import Accelerator

__all__ = ["app"]

app = typer.Typer(help="Energy constants of a board of your own, from what you measure at its rail.")

MAX_SAMPLES = 16


def _accelerator(run: Path | None, samples: int) -> "Accelerator | None":
    if run is None:
        return None
    from snnhw.calibrate import Accelerator
    opened = open_run(run)
    spikes, _ = opened.samples(samples)
    return Accelerator(opened.plan(None, False, {}), spikes)


def _amounts(design: dict[str, Any]) -> str:
    return ", ".join(f"{name} {rate / design['clock_hz']:.4g}" for name, rate in design["rates"].items()
                     if name != "static" and rate != 1.0) if design["clock_hz"] else ""


@app.command("designs")
def designs(board: Annotated[str, typer.Option("--board", "-b", help="Board name, or the path of a board file.",
                                               show_default=False)],
            out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write, or to go on in.", show_default=False)],
            run: Annotated[Path | None, typer.Option(
                "--run", help="Run folder of the network of the accelerator designs; a small one of random weights by default.",
                show_default=False)] = None,
            samples: Annotated[int, typer.Option("--samples", "-n", help="Samples of that run to store on the device.")] = 1,
            only: Annotated[list[str] | None, typer.Option("--only", metavar="NAME", help="Only this design; may be repeated.",
                                                           show_default=False)] = None,
            count_only: Annotated[bool, typer.Option("--count-only", help="No bitstreams, only what each design does.")] = False,
            json: Json = False, quiet: Quiet = False, debug: Debug = False) -> None:
    """Build the designs to measure: a bitstream for each, what it does in a second, and a table to fill in.

    A design that is there already, from the same circuit and tools, is not built again.
    """
    session = Session("calibrate-designs", json=json, quiet=quiet)
    from snnhw.board import load_board
    from snnhw.calibrate import README, build_designs, load_designs, template
    from snnhw.files import write_bytes
    target = load_board(board)
    if not 1 <= samples <= MAX_SAMPLES:
        raise UsageError(f"--samples must be between 1 and {MAX_SAMPLES}, not {samples}")
    results = build_designs(target, out, accelerator=_accelerator(run, samples), only=only or (), bitstreams=not count_only,
                            progress=session.count)
    _, records = load_designs(out)
    readings = out / "measurements.csv"
    if not readings.exists():  # what a person filled in is theirs
        write_bytes(readings, template(records).encode())
    programs = "\n".join(f"- `{record.name}`: {record.title}. `{target.program[0].replace('{}', record.bitstream)}`"
                         for record in records if record.bitstream and target.program)
    write_bytes(out / "README.md", README.format(board=target, designs=programs or "(no bitstreams)").encode())
    rows = [(design["name"], design["clock_hz"] / 1e6, design["used"].get("logic"), design["title"], _amounts(design))
            for design in results["designs"]]
    session.finish(results | {"folder": str(out), "ok": True},
                   table(f"Calibration designs for {target}", ("design", "MHz", "cells", "spends on", "amounts per cycle"), rows,
                         caption=f"fill in {readings}, as {out / 'README.md'} says; then: snnhw calibrate fit {readings} "
                                 f"--designs {out} --out my.toml"))


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:+.1%}"


def _held_out(results: dict[str, Any]) -> str:
    if results["held_out_worst"] is None:
        return "no row could be predicted from the others"
    return f"held out: the worst row is off by {results['held_out_worst']:.1%}, the mean is {results['held_out_mean']:.1%}"


def _band(record: dict[str, Any] | None) -> str:
    return "" if record is None else f"{record['mid']:.3g} ({record['low']:.3g} .. {record['high']:.3g})"


@app.command("fit")
def fit(measurements: Annotated[str, typer.Argument(
            help="The filled-in measurements.csv; or a TOML file that has the rates of each row, such as ice40_power.",
            show_default=False)],
        designs: Annotated[Path | None, typer.Option("--designs", help="Folder of the designs, for a .csv file.",
                                                     show_default=False)] = None,
        base: Annotated[str | None, typer.Option("--base", help="Constant set to change; that of the board by default.",
                                                 show_default=False)] = None,
        out: Annotated[Path | None, typer.Option("--out", "-o", help="Constants file to write, for --constants.",
                                                 show_default=False)] = None,
        json: Json = False, quiet: Quiet = False, debug: Debug = False) -> None:
    """Fit energy constants to measured power: non-negative least squares, with residuals and the error of rows held out."""
    session = Session("calibrate-fit", json=json, quiet=quiet)
    from snnhw.calibrate import fit_measurements
    if out is not None and out.suffix != ".toml":
        raise UsageError(f"--out must be a .toml file, not {str(out)!r}")
    session.progress("fitting, and fitting again without each row")
    results = fit_measurements(measurements, designs=designs, base=base, out=out)
    parameters = [(row["parameter"], row["unit"], row["fitted"], row["standard_error"], _band(row["before"]),
                   "" if row["status"] == "kept" else _band(row["after"]), row["status"]) for row in results["parameters"]]
    rows = [(row["measurement"], row["measured_mw"], row["predicted_mw"], f"{row['residual_sigmas']:+.1f}",
             _percent(row["held_out_error"]), ", ".join(row["held_out_without"])) for row in results["rows"]]
    session.finish(results | {"out": str(out) if out is not None else None, "ok": True},
                   table(f"Constants on {results['base']}", ("parameter", "unit", "fitted", "error", "before", "after", "record"),
                         parameters),
                   table("Rows", ("measurement", "measured mW", "fitted mW", "off by sigma", "held out", "then from its record"),
                         rows, caption=_held_out(results)),
                   *([key_values("Warnings", {str(number): text for number, text in enumerate(results["warnings"], start=1)})]
                     if results["warnings"] else []))

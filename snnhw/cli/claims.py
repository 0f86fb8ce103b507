"""``snnhw claims``: the claims of the papers, measured again."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from snnhw.cli.options import Debug, Json, Out, Quiet
from snnhw.cli.output import Session, table, versions
from snnhw.errors import UsageError

if TYPE_CHECKING:
    from snnhw.studies import Bench

__all__ = ["command"]


def _draw(bench: "Bench", folder: Path) -> list[Path]:
    """Draw the figures of what is finished."""
    from snnhw.files import write_bytes
    from snnhw.report.claims import draw_claims
    from snnhw.studies import figure_data, grid_of
    paths = []
    for name, text in draw_claims(figure_data(grid_of(bench))).items():
        paths.append(folder / f"claims-{name}.svg")
        write_bytes(paths[-1], text.encode())
    return paths


def command(
        out: Out,
        claims: Annotated[list[str] | None, typer.Argument(
            help="Claims by their number, or a letter for all of a paper; all of them by default.", show_default=False)] = None,
        quick: Annotated[bool, typer.Option(
            "--quick", help="A small network, one seed, the digits that come with scikit-learn: does everything run?")] = False,
        collect: Annotated[bool, typer.Option("--collect", help="Run nothing: gather what is finished.")] = False,
        grid: Annotated[bool, typer.Option(
            "--grid", help="Also train the points of the grid of paper A that no claim rests on.")] = False,
        data: Annotated[str, typer.Option("--data", help="Data set of the grid of paper A: mnist or fashion.")] = "mnist",
        seeds: Annotated[int | None, typer.Option(
            "--seeds", help="Every run is repeated with so many seeds; 3, or 1 when quick.", show_default=False)] = None,
        hardware: Annotated[bool, typer.Option(
            "--hardware/--no-hardware", help="Simulate the hardware of some networks of paper A.")] = True,
        write: Annotated[Path | None, typer.Option(
            "--write", help="Page to write; its figures go beside it.", show_default=False)] = None,
        json: Json = False, quiet: Quiet = False, debug: Debug = False) -> None:
    """Measure the claims of the papers on the data that is there; finished runs are kept and never repeated."""
    from snnhw.tools import require_package
    require_package("torch", "train", "measuring claims")
    from snnhw.files import write_bytes
    from snnhw.report.claims import CAPTIONS
    from snnhw.studies import Bench, RunCache, check_hardware, choose_claims, claims_page, fill_grid, run_claims
    if data not in ("mnist", "fashion"):
        raise UsageError(f"--data must be mnist or fashion, not {data!r}")
    if seeds is not None and not 1 <= seeds <= 100:
        raise UsageError(f"--seeds must be between 1 and 100, not {seeds}")
    chosen = choose_claims(claims or [])
    session = Session("claims", json=json, quiet=quiet)
    count = seeds or (1 if quick else 3)
    bench = Bench(RunCache(out / "runs"), tuple(range(1, count + 1)), quick, collect, data, session.progress)
    if grid and not collect:
        fill_grid(bench)
    results = run_claims(chosen, bench)
    of_grid = any(claim.id.startswith("A") for claim in chosen)
    simulated = check_hardware(bench) if of_grid and hardware else []
    if write is not None:
        figures = [(f"figures/{path.name}", CAPTIONS[path.stem.removeprefix("claims-")])
                   for path in (_draw(bench, write.parent / "figures") if of_grid else [])]
        write_bytes(write, claims_page(results, simulated, figures, versions()).encode())
    different = [row["title"] for row in simulated if row["problem"] is not None]
    problem = f"the hardware must equal the reference, and differs for {', '.join(different)}"
    session.finish(
        {"claims": results, "hardware": simulated, "ok": not different, "problem": problem if different else ""},
        table("Claims", ("claim", "what is claimed", "published", "ours", "verdict"),
              [(item["id"], item["claim"], item["published"], item["ours"] or "-",
                item["verdict"] + (f": {item['why']}" if item["why"] else "")) for item in results]),
        *([table("Reference against RTL", ("network", "samples", "words", "different"),
                 [(row["title"], row["samples"], row["spike_words"] + row["membrane_words"] + row["output_words"],
                   row["spike_mismatches"] + row["membrane_mismatches"] + row["output_mismatches"]) for row in simulated])]
          if simulated else []), folder=out)

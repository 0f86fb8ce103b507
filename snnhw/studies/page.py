"""The claim table as a page of Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any

from snnhw.studies.verdicts import VERDICTS

__all__ = ["claims_page"]

COMPARED = "spike_words", "membrane_words", "output_words", "cycle_counts"
DIFFERENT = "spike_mismatches", "membrane_mismatches", "output_mismatches", "cycle_mismatches"
INTRODUCTION = """\
# Claims of the papers, measured here

`snnhw claims --out FOLDER --write docs/claims.md` wrote this page. Each claim was measured again on networks of this project, on
the data named with it, and judged by the rule that stands there. *Reproduced*: the rule holds. *Direction only*: the sign holds,
the size does not. *Not reproduced*: neither does. Numbers are means over seeds, with the standard deviation (±) or the range;
accuracies are those of the test split, and no network or format is chosen by them. What is measured is where they fall: the
pruned share of A2 and the narrowest words of C3 are read off the test split. Energies are modelled, not measured ([the
model](compression-model.md)).
"""


def claims_page(results: Sequence[Mapping[str, Any]], hardware: Sequence[Mapping[str, Any]] = (),
                figures: Sequence[tuple[str, str]] = (), versions: Mapping[str, str] | None = None) -> str:
    """Return the page.

    Parameters
    ----------
    results : sequence of mapping
        What :func:`snnhw.studies.run_claims` returned.
    hardware : sequence of mapping
        What :func:`snnhw.studies.check_hardware` returned.
    figures : sequence of (path, caption)
        Pictures, by their path from the page.
    versions : mapping of str to str
        Of what was used.
    """
    parts = [INTRODUCTION, _counted(results), _table(
        ("claim", "what is claimed", "published", "ours", "data", "verdict"),
        [(f"[{item['id']}](#{item['id'].lower()})", item["claim"], item["published"], item["ours"] or "-", _basis(item),
          f"**{item['verdict']}**" + (f": {item['why']}" if item["why"] else "")) for item in results])]
    if versions:
        parts.append("Versions: " + ", ".join(f"{name} {text}" for name, text in versions.items()) + ".\n")
    if figures:
        parts.append("## Figures\n")
        parts += [f"![{path.rpartition('/')[2]}]({path})\n\n{caption}\n" for path, caption in figures]
    if hardware:
        parts.append(_hardware(hardware))
    parts.append("## Claim by claim\n")
    parts += [_one(item) for item in results]
    return "\n".join(parts)


def _counted(results: Sequence[Mapping[str, Any]]) -> str:
    found = [item["verdict"] for item in results]
    return f"Of {len(results)}: " + ", ".join(f"{found.count(name)} {name}" for name in VERDICTS if name in found) + ".\n"


def _basis(item: Mapping[str, Any]) -> str:
    seeds = f"seed{'s' * (len(item['seeds']) > 1)} {', '.join(map(str, item['seeds']))}" if item["seeds"] else ""
    return "; ".join(filter(None, (item["data"], seeds))) or "-"


def _cell(text: str) -> str:
    """Return text that stays in its cell."""
    return " ".join(text.replace("|", "\\|").split())


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(map(_cell, columns)) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(map(_cell, row)) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _one(item: Mapping[str, Any]) -> str:
    lines = [f"### {item['id']}\n", f"{item['paper']}: {item['claim']}. Published: {item['published']}.\n",
             f"- rule: {item['rule']}", f"- ours: {item['ours'] or '-'}", f"- on: {_basis(item)}",
             f"- verdict: **{item['verdict']}**" + (f": {item['why']}" if item["why"] else ""), f"- again: `{item['command']}`\n"]
    if item["rows"]:
        lines.append(_table(tuple(item["rows"][0]), [tuple(row.values()) for row in item["rows"]]))
    return "\n".join(lines)


def _hardware(rows: Sequence[Mapping[str, Any]]) -> str:
    table = _table(("network", "data", "seed", "samples", "words compared", "words that differ", "access counts that differ"),
                   [(row["title"], row["data"], str(row["seed"]), str(row["samples"]), f"{_words(row, COMPARED):,}",
                     f"{_words(row, DIFFERENT):,}", f"{row['access_mismatches']:,}") for row in rows])
    return ("## The hardware of these networks\n\nThe generated accelerator, simulated, against the integer reference: every "
            "spike, every\nmembrane, every output, the cycles of every sample and the accesses of every memory.\n\n" + table)


def _words(row: Mapping[str, Any], names: Sequence[str]) -> int:
    return sum(int(row[name]) for name in names)

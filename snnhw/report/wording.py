"""How the records are put into words."""

from snnhw.report.page import Block, Note
from snnhw.report.records import MAX_DIGITS, Part, Run

__all__ = ["MAKERS", "layers_of", "mismatch_counts", "missing", "percent", "thousands", "words"]

MAKERS = {
    "train": "snnhw train MODEL --out RUN",
    "lower": "snnhw lower MODEL --out RUN",
    "import": "snnhw import SOURCE --out RUN",
    "explain": "snnhw explain SOURCE RUN",
    "inspect": "snnhw inspect RUN",
    "estimate": "snnhw estimate RUN --board BOARD",
    "generate": "snnhw generate RUN --board BOARD --out RUN/hw",
    "verify": "snnhw verify RUN/hw",
    "build": "snnhw build RUN/hw",
    "energy": "snnhw energy RUN",
}


def missing(run: Run, *commands: str) -> list[Block]:
    """Return a note for each of the records that is not there, with the command that makes it."""
    notes: list[Block] = []
    for command in commands:
        if command in run.damaged:
            notes.append(Note(f"The record {command}.json cannot be read; run the command again:", "missing", MAKERS[command]))
        elif not run.has(command):
            notes.append(Note("Not in this run folder. Made by:", "missing", MAKERS[command]))
    return notes


def percent(number: float | None) -> str:
    return "" if number is None else f"{number * 100:.2f} %"


def thousands(number: float | None) -> str:
    """Return a count, or a mean of counts, with thousands set apart."""
    if number is None:
        return ""
    whole = number == int(number) or number >= 1000
    return f"{number:,.0f}" if whole and abs(number) < MAX_DIGITS else f"{number:.4g}"


def words(name: str) -> str:
    """Return a key of a record as words."""
    return " ".join({"acs": "ACs", "macs": "MACs"}.get(part, part) for part in name.split("_"))


def layers_of(run: Run) -> list[Part]:
    """Return the layers of the run, as the estimate describes them."""
    for command in ("estimate", "energy", "inspect"):
        layers = run[command]["layers"].elements
        if layers:
            return layers
    return []


def mismatch_counts(part: Part) -> list[tuple[str, str, float, float]]:
    """Return every comparison in a record: of what, words compared, words that differ.

    A comparison is an object with ``<kind>_mismatches`` beside ``<kind>_words``, ``<kind>_counts`` or ``<kind>_samples``.
    """
    found = []
    for path, place in part.walk():
        for name, value in place.items:
            kind = name.removesuffix("_mismatches")
            if kind != name and (wrong := value.number) is not None:
                sizes = (place[kind + suffix].number for suffix in ("_words", "_counts", "_samples"))
                # A difference counts even where the record does not say among how many.
                compared = max(next((size for size in sizes if size is not None), 0), wrong)
                if compared > 0:
                    where = place["simulator"].text or place["engine"].text or " ".join(path)
                    found.append((words(where), words(kind), compared, wrong))
    return found

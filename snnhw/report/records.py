"""Records of a run: what each command wrote, read without trusting any of it."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snnhw.errors import FileError
from snnhw.files import read_json

__all__ = ["COMMANDS", "Part", "Run", "read_run"]

COMMANDS = ("train", "lower", "import", "explain", "inspect", "estimate", "generate", "verify", "build", "energy")
"""Commands whose records a report gathers, in the order of a session."""

MAX_ITEMS = 10_000
MAX_TEXT = 2_000
MAX_DIGITS = 1e12
MAX_NUMBER = 1e24  # nothing that is recorded comes near; what is larger is no measurement


class Part:
    """A JSON value that may be anything; asking for what is not there gives nothing, never an error."""

    def __init__(self, value: Any = None):
        self.value = value

    def __getitem__(self, key: str) -> "Part":
        return Part(self.value.get(key)) if isinstance(self.value, dict) else Part()

    def __bool__(self) -> bool:
        return self.value not in (None, {}, [], "")

    @property
    def number(self) -> float | None:
        """The value, if it is a number that can be meant."""
        value = self.value
        return value if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < MAX_NUMBER else None

    @property
    def flag(self) -> bool | None:
        return self.value if isinstance(self.value, bool) else None

    @property
    def text(self) -> str:
        """The value, if it is text, without characters that mean something to a terminal; else empty."""
        if not isinstance(self.value, str):
            return ""
        return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in self.value[:MAX_TEXT])

    @property
    def shown(self) -> str:
        """The value in a table cell; empty for what is no scalar."""
        if (flag := self.flag) is not None:
            return "yes" if flag else "no"
        if (number := self.number) is not None:
            return f"{number:,}" if isinstance(number, int) and abs(number) < MAX_DIGITS else f"{number:.4g}"
        return self.text

    @property
    def items(self) -> list[tuple[str, "Part"]]:
        """Entries of an object, in its order."""
        if not isinstance(self.value, dict):
            return []
        return [(Part(str(name)).text, Part(value)) for name, value in list(self.value.items())[:MAX_ITEMS]]

    @property
    def elements(self) -> list["Part"]:
        """Elements of an array."""
        return [Part(value) for value in self.value[:MAX_ITEMS]] if isinstance(self.value, list) else []

    def walk(self, path: tuple[str, ...] = (), depth: int = 6) -> Iterator[tuple[tuple[str, ...], "Part"]]:
        """Yield every object inside the value, itself included, with the names that lead to it."""
        if isinstance(self.value, dict):
            yield path, self
        if depth:
            named = self.items or [(str(index), element) for index, element in enumerate(self.elements)]
            for name, part in named:
                yield from part.walk((*path, name), depth - 1)


@dataclass(frozen=True)
class Run:
    """A run folder.

    Attributes
    ----------
    name : str
        Name of the folder.
    records : dict of str to Part
        What each command wrote; empty for a command that has not run.
    damaged : dict of str to str
        Why a record that is there cannot be read.
    """

    name: str
    records: dict[str, Part]
    damaged: dict[str, str]

    def __getitem__(self, command: str) -> Part:
        """Return the results of a command."""
        record = self.records.get(command, Part())
        return record["results"] if isinstance(record["results"].value, dict) else record

    def has(self, command: str) -> bool:
        return command in self.records

    @property
    def lowered(self) -> str:
        """The command that made the graph: ``"import"``, or else ``"lower"``."""
        return "import" if self.has("import") else "lower"

    @property
    def versions(self) -> dict[str, dict[str, str]]:
        """Versions of the tools, by tool and by command."""
        found: dict[str, dict[str, str]] = {}
        for command, record in self.records.items():
            for tool, version in [*record["versions"].items, *record["results"]["tools"].items]:
                if version.shown:
                    found.setdefault(tool, {})[command] = version.shown
        return found

    @property
    def commands(self) -> list[tuple[str, str, str, str]]:
        """Command, its line, seed and seconds of each record."""
        rows = []
        for command, record in self.records.items():
            arguments = [element.shown for element in record["arguments"].elements]
            line = shlex.join(
                arguments
                if arguments[:1] == ["snnhw"]
                else ["snnhw", *([] if arguments[:1] == [command] else [command]), *arguments]
            )
            seconds = record["seconds"].number
            rows.append((command, line, record["seed"].shown, f"{seconds:.1f}" if seconds is not None else ""))
        return rows


def read_run(folder: Path) -> Run:
    """Read the records of a run folder, and of the generated hardware in it.

    Raises
    ------
    FileError
        The folder does not exist.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileError(f"run folder {str(folder)!r} does not exist")
    records, damaged = {}, {}
    nested = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    for command in COMMANDS:
        for place in (folder, *nested):
            path = place / f"{command}.json"
            if not path.is_file():
                continue
            try:
                value = read_json(path, "record")
                if not isinstance(value, dict):
                    raise FileError(f"record {str(path)!r} must be a JSON object")
            except FileError as error:
                damaged[command] = str(error)
                continue
            records[command] = Part(value)
            damaged.pop(command, None)
            break
    return Run(folder.absolute().name, records, damaged)

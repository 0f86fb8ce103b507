"""What a page consists of; the template knows these and nothing else."""

from dataclasses import dataclass, field

__all__ = [
    "ESTIMATED",
    "MEASURED",
    "PLACED",
    "SIMULATED",
    "Arrow",
    "Bar",
    "Bars",
    "Block",
    "Box",
    "Diagram",
    "Figure",
    "Note",
    "Page",
    "Section",
    "Table",
    "Tile",
]

MEASURED, ESTIMATED, SIMULATED, PLACED = "computed in software", "estimated", "simulated", "placed and routed"
"""Where a number comes from: the labels."""


@dataclass(frozen=True)
class Tile:
    """One number of the summary."""

    title: str
    value: str
    detail: str
    label: str
    good: bool | None = None


@dataclass(frozen=True)
class Table:
    """Cells of text. Columns in `numeric` are set flush right, those in `wide` may break lines."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    label: str = ""
    numeric: frozenset[int] = frozenset()
    wide: frozenset[int] = frozenset()
    total: bool = False

    def __post_init__(self) -> None:
        assert all(len(row) == len(self.columns) for row in self.rows), self.title


@dataclass(frozen=True)
class Figure:
    """A picture made here, as SVG markup, and what it says in words."""

    svg: str
    caption: str
    label: str = ""


@dataclass(frozen=True)
class Note:
    """A paragraph; `tone` is ``""``, ``"good"``, ``"bad"`` or ``"missing"``. `command` is set in type."""

    text: str
    tone: str = ""
    command: str = ""


@dataclass(frozen=True)
class Bar:
    """A part of a budget."""

    title: str
    value: str
    share: float


@dataclass(frozen=True)
class Bars:
    """Budgets, each as a bar."""

    title: str
    bars: tuple[Bar, ...]
    label: str


@dataclass(frozen=True)
class Box:
    """A box of a diagram: its place, its title and lines of text, cut to fit, and the whole of them."""

    x: int
    y: int
    width: int
    height: int
    kind: str
    title: str
    lines: tuple[str, ...]
    whole: str


@dataclass(frozen=True)
class Arrow:
    """A path between boxes and what is written at it."""

    path: str
    text: str
    x: int
    y: int


@dataclass(frozen=True)
class Diagram:
    """Boxes and arrows."""

    width: int
    height: int
    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]
    caption: str
    label: str


Block = Table | Figure | Note | Bars | Diagram


@dataclass
class Section:
    """A chapter of the report; blocks are added one after another."""

    anchor: str
    title: str
    blocks: list[Block] = field(default_factory=list)


@dataclass(frozen=True)
class Page:
    """The report."""

    title: str
    subtitle: str
    tiles: tuple[Tile, ...]
    sections: tuple[Section, ...]
    version: str

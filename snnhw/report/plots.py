"""Plots as SVG markup that takes its colours from the page."""

import itertools
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from typing import Any

import matplotlib
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from snnhw.cost import KINDS

__all__ = ["LadderBar", "Pair", "draw_ladder", "draw_pairs", "energy_scale", "markup", "shortened"]

# Colours stand for variables of the style sheet, so that one picture serves dark and light.
INK, QUIET, GRID = "#010101", "#020202", "#030303"
FIRST, SECOND = "#040404", "#050505"
KIND_COLOURS = {kind: f"#0606{index:02x}" for index, kind in enumerate(KINDS, start=1)}
_VARIABLES = {INK: "ink", QUIET: "quiet", GRID: "rule", FIRST: "first", SECOND: "second"} | {
    colour: f"kind-{kind}" for kind, colour in KIND_COLOURS.items()
}

STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "axes.unicode_minus": False,
    "font.size": 9.5,
    "font.family": "DejaVu Sans",
    "text.color": INK,
    "axes.labelcolor": QUIET,
    "axes.edgecolor": GRID,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "grid.color": GRID,
    "legend.frameon": False,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
}


@dataclass(frozen=True)
class LadderBar:
    """One rung: its parts by kind, and the band of the whole, in picojoules."""

    name: str
    basis: str
    parts: dict[str, float]
    low: float
    median: float
    high: float


@dataclass(frozen=True)
class Pair:
    """One quantity, computed and simulated: middle value, 5 % and 95 % of each, in picojoules."""

    name: str
    first: tuple[float, float, float]
    second: tuple[float, float, float]


def energy_scale(largest: float) -> tuple[float, str]:
    """Return the unit in which the largest value has one to three digits before the point."""
    return next(((size, unit) for size, unit in ((1e9, "mJ"), (1e6, "µJ"), (1e3, "nJ")) if largest >= size), (1.0, "pJ"))


def shortened(name: str) -> str:
    return name if len(name) <= 28 else name[:27] + "…"


def markup(figure: Figure, salt: str) -> str:
    """Return a figure as an SVG element that can stand in a page: no prolog, no metadata, ids of its own, colours of the page."""
    target = StringIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph", UserWarning)  # a name may use any script; the browser has the letters
        FigureCanvasSVG(figure).print_svg(target, metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = target.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"\bid=\"", f'id="{salt}-', text)
    text = re.sub(r"(url\(|href=\")#", rf"\g<1>#{salt}-", text)
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, f"var(--{variable})")
    text = re.sub(r"font: ([\d.]+)px 'DejaVu Sans'", r"font: \1px var(--font)", text)
    return re.sub(r'<svg ([^>]*?)width="[\d.]+pt"', r"<svg \1", re.sub(r'height="[\d.]+pt" ', "", text, count=1), count=1)


def draw_ladder(panels: Sequence[tuple[str, Sequence[LadderBar]]]) -> str:
    """Return stacked bars, one for each rung, with the band of the whole; one panel and one scale for each technology."""
    panels = [(title, bars) for title, bars in panels if bars]
    with matplotlib.rc_context(STYLE | {"svg.hashsalt": "ladder"}):
        figure = Figure(figsize=(8.6, 3.5), layout="constrained")
        axes = figure.subplots(1, len(panels), squeeze=False, width_ratios=[len(bars) + 0.6 for _, bars in panels])[0]
        seen: dict[str, Any] = {}
        for axis, (title, bars) in zip(axes, panels, strict=True):
            size, unit = energy_scale(max(max(bar.high, sum(bar.parts.values())) for bar in bars))
            for position, bar in enumerate(bars):
                bottom = 0.0
                for kind in KINDS:
                    part = bar.parts.get(kind, 0.0)
                    if part > 0:
                        colour = KIND_COLOURS[kind]
                        seen[kind] = axis.bar(position, part / size, 0.58, bottom / size, color=colour, edgecolor="none")[0]
                        bottom += part
                axis.errorbar(
                    position + 0.36,
                    bar.median / size,
                    [[(bar.median - bar.low) / size], [(bar.high - bar.median) / size]],
                    fmt="o",
                    color=INK,
                    markersize=3.5,
                    capsize=3,
                    linewidth=1.1,
                )
            axis.set_xticks(range(len(bars)), [f"{bar.name}\n{bar.basis}" for bar in bars])
            axis.set_title(title)
            axis.set_ylabel(f"{unit} per sample")
            axis.set_xlim(-0.5, len(bars) - 0.3)
            axis.set_ylim(bottom=0)
            axis.grid(axis="y", linewidth=0.6)
            axis.set_axisbelow(True)
            axis.tick_params(length=0)
        names = [kind for kind in reversed(KINDS) if kind in seen]
        figure.legend([seen[kind] for kind in names], names, loc="outside right center", handlelength=1, handleheight=1)
        return markup(figure, "ladder")


def draw_pairs(pairs: Sequence[Pair], first: str, second: str) -> str:
    """Return two bars with their bands for each quantity."""
    with matplotlib.rc_context(STYLE | {"svg.hashsalt": "pairs"}):
        figure = Figure(figsize=(8.6, 0.9 + 0.42 * len(pairs)), layout="constrained")
        axis = figure.subplots()
        size, unit = energy_scale(max(itertools.chain.from_iterable((*pair.first, *pair.second) for pair in pairs), default=0.0))
        for position, pair in enumerate(pairs):
            for offset, (mid, low, high), colour, label in (
                (-0.19, pair.first, FIRST, first),
                (0.19, pair.second, SECOND, second),
            ):
                axis.barh(
                    position + offset, mid / size, 0.34, color=colour, edgecolor="none", label=label if position == 0 else None
                )
                if high > 0:
                    axis.plot(
                        [low / size, high / size], [position + offset] * 2, color=INK, linewidth=1.0, solid_capstyle="butt"
                    )
        axis.set_yticks(range(len(pairs)), [shortened(pair.name) for pair in pairs])
        axis.set_ylim(len(pairs) - 0.45, -0.55)
        axis.set_xlim(left=0)
        axis.set_xlabel(f"{unit} per sample")
        axis.grid(axis="x", linewidth=0.6)
        axis.set_axisbelow(True)
        axis.tick_params(length=0)
        figure.legend(loc="outside upper right", ncols=2, handlelength=1, handleheight=1)
        return markup(figure, "pairs")

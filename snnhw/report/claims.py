"""The figures of the claim table: pictures that stand by themselves, in SVG."""

import re
from collections.abc import Callable, Mapping, Sequence
from io import StringIO
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

__all__ = ["CAPTIONS", "COLOURS", "INK", "STYLE", "decades", "document", "draw_claims", "label"]

COLOURS = "#1f4e8c", "#c2571a", "#2d7d46", "#7a3b8f", "#a0841c", "#5b6770"
MARKS = "o", "s", "^", "D", "v", "P"
INK, RULE = "#1c1c1c", "#d5d5d5"
LABEL_DISTANCE = 1.3    # ratio of energies of neighbours on a front that carry their names
SHOWN_POINTS = 8        # of accuracy below the best that are shown

CAPTIONS = {
    "accuracy": "Test accuracy over energy of a sample (run-length weights, DRAM, timestep by timestep); the line is the Pareto "
                "front, chosen on samples held out of the training split.",
    "pruning": "Energy of a sample over the pruned share of all weights, for four formats of the weights.",
    "bits": "Energy of a sample over the width of the weights, not pruned, with and without use of the zeros that quantization "
            "makes.",
    "layers": "Zeros among the weights of each layer.",
    "parts": "Where the energy of a sample goes: DRAM with timesteps one by one, with all at once, and weights on chip.",
}
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none", "svg.hashsalt": "claims", "text.parse_math": False, "axes.unicode_minus": False, "font.size": 9.5,
    "font.family": "DejaVu Sans", "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": RULE, "xtick.color": INK,
    "ytick.color": INK, "axes.spines.top": False, "axes.spines.right": False, "figure.facecolor": "white", "grid.color": RULE,
    "legend.frameon": False, "axes.titlesize": 10, "axes.titlelocation": "left",
}


def draw_claims(data: Mapping[str, Any]) -> dict[str, str]:
    """Return one SVG document for each figure of :func:`snnhw.studies.figure_data`, by its name."""
    drawn = {}
    for name, draw in _DRAWN.items():
        if name in data:
            with matplotlib.rc_context(STYLE):
                figure = Figure(figsize=(8.0, 4.4), layout="constrained")
                draw(figure, data[name])
                drawn[name] = document(figure)
    return drawn


def document(figure: Figure) -> str:
    """Return a figure as an SVG document."""
    target = StringIO()
    FigureCanvasSVG(figure).print_svg(target, metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    # Whatever font the reader has: nothing is loaded from elsewhere.
    return re.sub(r"[ \t]+$", "", target.getvalue().replace("'DejaVu Sans'", "'DejaVu Sans', sans-serif"), flags=re.MULTILINE)


def label(axis: Axes, x: str, y: str) -> None:
    """Name the axes and draw a light grid."""
    axis.set_xlabel(x)
    axis.set_ylabel(y)
    axis.grid(linewidth=0.6)
    axis.set_axisbelow(True)
    axis.tick_params(length=0)


def decades(axis: Axes, which: str) -> None:
    """Label a logarithmic axis with 1, 2 and 5 of each decade, as plain numbers."""
    one = axis.xaxis if which == "x" else axis.yaxis
    one.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    one.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    one.set_minor_formatter(NullFormatter())


def _accuracy(figure: Figure, content: Mapping[str, Any]) -> None:
    axis = figure.subplots()
    titles: dict[tuple[float, float], str] = {}
    for index, (name, points) in enumerate(content["series"].items()):
        axis.errorbar([point["x"][0] for point in points], [point["y"][0] for point in points],
                      yerr=[point["y"][1] for point in points], fmt=MARKS[index], color=COLOURS[index], markersize=5, linewidth=1,
                      label=name)
        titles |= {(point["x"][0], point["y"][0]): point["title"] for point in points}
    front = [(float(x), float(y)) for x, y in content["front"]]
    axis.plot(*zip(*front, strict=True), color=INK, linewidth=1, zorder=1, label="Pareto front")
    best = max(y for _, y in front)
    near: list[tuple[float, float]] = []
    for x, y in front:
        if best - y <= 3 and (not near or x >= LABEL_DISTANCE * near[-1][0]):
            near.append((x, y))
    for index, (x, y) in enumerate(near):
        above = index % 2 == 0
        axis.annotate(titles.get((x, y), ""), (x, y), xytext=(-5, 7) if above else (5, -13), textcoords="offset points",
                      ha="right" if above else "left", fontsize=8)
    axis.set_xscale("log")
    lowest = min(point["y"][0] for points in content["series"].values() for point in points)
    axis.set_ylim(max(lowest - 1, best - SHOWN_POINTS), best + 0.8)
    decades(axis, "x")
    label(axis, "energy of a sample, µJ (modelled)", "accuracy on the test split, %")
    axis.legend(loc="lower right")


def _lines(figure: Figure, content: Mapping[str, Any], x: str, *, log: bool = False) -> None:
    axis = figure.subplots()
    for index, (name, points) in enumerate(content["series"].items()):
        xs, ys, spread = zip(*points, strict=True)
        axis.errorbar(xs, ys, yerr=spread, color=COLOURS[index % 4], marker=MARKS[index % 4], markersize=4, linewidth=1.2,
                      linestyle="--" if index < len(content["series"]) / 2 and len(content["series"]) > 4 else "-", label=name)
    if log:
        axis.set_yscale("log")
        decades(axis, "y")
    else:
        axis.set_ylim(bottom=0)
    label(axis, x, "energy of a sample, µJ (modelled)")
    figure.legend(loc="outside right center")


def _layers(figure: Figure, content: Mapping[str, Any]) -> None:
    axis = figure.subplots()
    bars = content["bars"]
    width = 0.8 / len(bars)
    for index, (name, values) in enumerate(bars.items()):
        places = [place + (index - (len(bars) - 1) / 2) * width for place in range(len(content["names"]))]
        axis.bar(places, [value[0] for value in values], 0.9 * width, yerr=[value[1] for value in values], color=COLOURS[index],
                 error_kw={"linewidth": 1}, label=name)
    axis.set_xticks(range(len(content["names"])), content["names"])
    label(axis, "", "weights that are 0, %")
    axis.grid(visible=False, axis="x")
    figure.legend(loc="outside right center")


def _parts(figure: Figure, content: Mapping[str, Any]) -> None:
    axes: Sequence[Axes] = figure.subplots(1, len(content["panels"]), squeeze=False)[0]
    for axis, (title, rows) in zip(axes, content["panels"].items(), strict=True):
        for place, parts in enumerate(rows.values()):
            bottom = 0.0
            for index, part in enumerate(content["parts"]):
                axis.bar(place, parts[part], 0.65, bottom, color=COLOURS[index], label=part if place == 0 else None)
                bottom += parts[part]
        axis.set_xticks(range(len(rows)), [name.replace(" + ", "\n+ ").replace(" joint", "") for name in rows], fontsize=8)
        axis.set_title(title)
        label(axis, "", "energy of a sample, µJ (modelled)" if axis is axes[0] else "")
        axis.grid(visible=False, axis="x")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles[::-1], labels[::-1], loc="outside right center")


_DRAWN: dict[str, Callable[[Figure, Any], None]] = {
    "accuracy": _accuracy,
    "pruning": lambda figure, content: _lines(figure, content, "pruned share of all weights, %", log=True),
    "bits": lambda figure, content: _lines(figure, content, "width of a weight, bits"),
    "layers": _layers,
    "parts": _parts,
}

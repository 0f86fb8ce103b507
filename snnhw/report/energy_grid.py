"""The figures of the energy grid: pictures that stand by themselves, in SVG."""

from collections.abc import Mapping
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from snnhw.report.claims import COLOURS, INK, STYLE, decades, document, label

__all__ = ["GRID_CAPTIONS", "draw_energy_grid"]

GRID_CAPTIONS = {
    "front": "Test accuracy over energy of a sample on three rungs, one row for each network; the line is the Pareto front. The "
             "number at a point that was not pruned is the width of its weights. A1 has constants of 45 nm, R2 and R3 those of "
             "iCE40UP5K.",
    "scatter": "The analytical energy (A1, 45 nm) against that of the hardware's own activity (iCE40UP5K), with bands of 5 to 95 "
               "%. On the grey line lie points whose energies differ by the median factor.",
}
MARKS = {"not pruned": "o", "unstructured": "^", "pruned in banks": "s"}
SHORT = 5.0        # end over begin of an axis with more numbers
SHOWN_POINTS = 12  # of accuracy below the best that are shown


def draw_energy_grid(data: Mapping[str, Any]) -> dict[str, str]:
    """Return one SVG document for each figure of :func:`snnhw.studies.energy_page.grid_figures`, by its name."""
    drawn = {}
    for name, draw in (("front", _front), ("scatter", _scatter)):
        rows = data[name]
        if rows:
            with matplotlib.rc_context(STYLE | {"svg.hashsalt": "energy-grid"}):
                columns = max(len(panels) for panels in rows.values())
                figure = Figure(figsize=(9.6, 0.6 + 3.5 * len(rows)), layout="constrained")
                axes = figure.subplots(len(rows), columns, squeeze=False)
                for row, (network, panels) in zip(axes, rows.items(), strict=True):
                    for axis, (rung, content) in zip(row, panels.items(), strict=False):
                        draw(axis, content, rung)
                        axis.set_title(f"{network}, {rung}")
                    for axis in row[len(panels):]:
                        axis.set_axis_off()
                handles = [axes[0][0].plot([], [], MARKS[series], color=COLOURS[index], markersize=5)[0]
                           for index, series in enumerate(MARKS)]
                figure.legend(handles, list(MARKS), loc="outside lower center", ncols=len(MARKS))
                drawn[name] = document(figure)
    return drawn


def _ticks(axis: Axes, which: str) -> None:
    """Label a logarithmic axis, with more numbers where it is short."""
    decades(axis, which)
    one = axis.xaxis if which == "x" else axis.yaxis
    low, high = axis.get_xlim() if which == "x" else axis.get_ylim()
    if high / low < SHORT:
        one.set_major_locator(LogLocator(subs=(1.0, 1.2, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0)))


def _front(axis: Axes, content: Mapping[str, Any], rung: str) -> None:
    best = max(y for _, y in content["front"])
    axis.plot(*zip(*content["front"], strict=True), color=INK, linewidth=1, zorder=1)
    for index, (series, mark) in enumerate(MARKS.items()):
        points = [point for point in content["series"].get(series, []) if point["y"] > best - SHOWN_POINTS]
        axis.plot([point["x"] for point in points], [point["y"] for point in points], mark, color=COLOURS[index], markersize=4.5)
        if series == "not pruned":
            for point in points:
                axis.annotate(str(point["bits"]), (point["x"], point["y"]), xytext=(0, 5), textcoords="offset points",
                              ha="center", fontsize=8)
    axis.set_xscale("log")
    axis.set_ylim(best - SHOWN_POINTS, best + 1.2)
    _ticks(axis, "x")
    label(axis, "energy of a sample, µJ", "accuracy on the test split, %" if rung == "A1" else "")


def _scatter(axis: Axes, content: Mapping[str, Any], rung: str) -> None:
    factors, ends = [], []
    for index, series in enumerate(MARKS):
        for point in content.get(series, []):
            (x_low, x, x_high), (y_low, y, y_high) = point["x"], point["y"]
            axis.plot([x_low, x_high], [y, y], color=COLOURS[index], linewidth=0.4, alpha=0.4, zorder=1)
            axis.plot([x, x], [y_low, y_high], color=COLOURS[index], linewidth=0.4, alpha=0.4, zorder=1)
            axis.plot([x], [y], MARKS[series], color=COLOURS[index], markersize=4.5, zorder=2)
            factors.append(y / x)
            ends.append(x)
    middle = sorted(factors)[len(factors) // 2]
    axis.plot([min(ends), max(ends)], [min(ends) * middle, max(ends) * middle], color="#a0a0a0", linewidth=1, zorder=0)
    axis.set_xscale("log")
    axis.set_yscale("log")
    _ticks(axis, "x")
    _ticks(axis, "y")
    label(axis, "A1, µJ", f"{rung}, µJ")

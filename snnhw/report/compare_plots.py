"""Plots of a comparison of design points."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from snnhw.cost import KINDS, Band
from snnhw.report.plots import FIRST, GRID, INK, KIND_COLOURS, QUIET, SECOND, STYLE, energy_scale, markup, shortened

__all__ = ["StackedPanel", "draw_fronts", "draw_rates", "draw_ratios", "draw_scatters", "draw_stacks"]

MAX_NAMED = 14  # points of a scatter that are named
CLOSE = 8.0  # ends of an axis, one over the other: numbers at more places
FAR_PLACES = (1.0, 2.0, 5.0)
CLOSE_PLACES = (1.0, 1.1, 1.2, 1.5, 2.0, 3.0, 5.0, 7.0, 8.0, 9.0)
LAYER_KINDS = ("accumulate", "weights", "clock", "finalise", "events", "flip-flops", "membranes", "logic", "static", "parameters")


@dataclass(frozen=True)
class StackedPanel:
    """The points on one rung.

    Parameters
    ----------
    title : str
        Of the rung and its constants.
    parts : sequence of mapping of str to float
        For each point its energy in pJ by part.
    bands : sequence of Band
        For each point that of the whole.
    """

    title: str
    parts: Sequence[Mapping[str, float]]
    bands: Sequence[Band]


def _colours(parts: Sequence[str]) -> dict[str, str]:
    """Return a colour for each part: its own if it is a kind of energy, else those of kinds that can be told apart."""
    if set(parts) <= set(KINDS):
        return {part: KIND_COLOURS[part] for part in parts}
    colours = [KIND_COLOURS[kind] for kind in LAYER_KINDS]
    return {part: colours[index % len(colours)] for index, part in enumerate(parts)}


def draw_stacks(names: Sequence[str], panels: Sequence[StackedPanel], parts: Sequence[str], salt: str) -> str:
    """Return a stacked bar for each point on each rung, with the band of the whole; each rung has its own scale."""
    with matplotlib.rc_context(STYLE | {"svg.hashsalt": salt}):
        columns = 2 if len(panels) in (2, 4) else min(3, len(panels))
        rows = math.ceil(len(panels) / columns)
        figure = Figure(figsize=(8.6, 0.75 + rows * (0.62 + 0.27 * len(names))), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False, sharey=True)
        colours, seen = _colours(parts), {}
        for axis, panel in zip(axes.flat, panels, strict=False):
            size, unit = energy_scale(max(max(band.high for band in panel.bands), max(sum(row.values()) for row in panel.parts)))
            for place, (row, band) in enumerate(zip(panel.parts, panel.bands, strict=True)):
                left = 0.0
                for part in parts:
                    if (value := row.get(part, 0.0)) > 0:
                        seen[part] = axis.barh(place, value / size, 0.62, left / size, color=colours[part], edgecolor="none")[0]
                        left += value
                axis.plot([band.low / size, band.high / size], [place + 0.4] * 2, color=INK, linewidth=1.0, solid_capstyle="butt")
                axis.plot([band.median / size], [place + 0.4], "o", color=INK, markersize=2.6)
            axis.set_title(panel.title)
            axis.set_xlabel(f"{unit} per sample")
            axis.set_xlim(left=0)
            axis.set_ylim(len(names) - 0.35, -0.55)
            axis.set_yticks(range(len(names)), [shortened(name) for name in names])
            axis.grid(axis="x", linewidth=0.6)
            axis.set_axisbelow(True)
            axis.tick_params(length=0)
        for axis in list(axes.flat)[len(panels):]:
            axis.set_visible(False)
        shown = [part for part in parts if part in seen]
        figure.legend([seen[part] for part in shown], [shortened(part) for part in shown], loc="outside lower center",
                      ncols=min(7, len(shown)), handlelength=1, handleheight=1, columnspacing=1.2)
        return markup(figure, salt)


def draw_scatters(panels: Sequence[tuple[str, str, bool, Sequence[tuple[str, Band, Band]]]]) -> str:
    """Return each point by its energy on two rungs, with the bands of both.

    Parameters
    ----------
    panels : sequence of (str, str, bool, sequence of (str, Band, Band))
        The rungs, whether they are of the same hardware, and the points. Of the same hardware the line is that of equal energies;
        else that of the median factor between the two.
    """
    with matplotlib.rc_context(STYLE | {"svg.hashsalt": "scatter"}):
        columns = min(2, len(panels))
        rows = math.ceil(len(panels) / columns)
        figure = Figure(figsize=(8.6, 3.5 * rows), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False)
        for axis, (first, second, same, points) in zip(axes.flat, panels, strict=False):
            _scatter(axis, first, second, same, points)
        for axis in list(axes.flat)[len(panels):]:
            axis.set_visible(False)
        return markup(figure, "scatter")


def _scatter(axis: Any, first: str, second: str, same: bool, points: Sequence[tuple[str, Band, Band]]) -> None:
    across, along = energy_scale(max(one.high for _, one, _ in points)), energy_scale(max(other.high for _, _, other in points))
    if same:
        across = along
    factors = sorted(other.median / one.median for _, one, other in points)
    factor = 1.0 if same else factors[len(factors) // 2]
    low = min(one.low for _, one, _ in points)
    high = max(one.high for _, one, _ in points)
    ends = [low / 1.2, high * 1.2]
    label = "equal energies" if same else f"{second} = {factor:.3g} × {first}, the median factor"
    axis.plot([end / across[0] for end in ends], [end * factor / along[0] for end in ends], color=QUIET, linewidth=0.9,
              linestyle=(0, (4, 3)), label=label)
    for _, one, other in points:
        x, y = one.median / across[0], other.median / along[0]
        axis.plot([one.low / across[0], one.high / across[0]], [y, y], color=FIRST, linewidth=0.8)
        axis.plot([x, x], [other.low / along[0], other.high / along[0]], color=FIRST, linewidth=0.8)
        axis.plot([x], [y], "o", color=SECOND, markersize=4.5)
    axis.set_xscale("log")
    axis.set_yscale("log")
    if len(points) <= MAX_NAMED:
        _name_points(axis, [(name, one.median / across[0], other.median / along[0]) for name, one, other in points])
    axis.set_xlabel(f"{first}, {across[1]} per sample")
    axis.set_ylabel(f"{second}, {along[1]} per sample")
    axis.set_title(f"{second} against {first}")
    for side in (axis.xaxis, axis.yaxis):
        _number_logarithms(side)
    axis.grid(linewidth=0.6)
    axis.set_axisbelow(True)
    axis.tick_params(length=0, which="both")
    axis.legend(loc="upper left", fontsize=8)


def _number_logarithms(side: Any, at: Sequence[float] = FAR_PLACES) -> None:
    """Write numbers at these places of every decade of an axis."""
    side.set_major_locator(matplotlib.ticker.LogLocator(subs=at))
    side.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda value, _: f"{value:g}"))
    side.set_minor_formatter(matplotlib.ticker.NullFormatter())


def _name_points(axis: Any, points: Sequence[tuple[str, float, float]]) -> None:
    """Write names beside points, moved up where they would lie on each other."""
    (left, right), (bottom, top) = (tuple(math.log(end) for end in ends) for ends in (axis.get_xlim(), axis.get_ylim()))
    used = -1.0
    for name, x, y in sorted(points, key=lambda point: point[2]):
        across, along = (math.log(x) - left) / (right - left), (math.log(y) - bottom) / (top - bottom)
        used = max(along - 0.035, used + 0.05)
        begins = across < 0.62
        axis.annotate(shortened(name), (across, along), xytext=(across + (0.05 if begins else -0.05), used),
                      xycoords="axes fraction", textcoords="axes fraction", fontsize=7.5, color=INK, va="center",
                      ha="left" if begins else "right",
                      arrowprops={"arrowstyle": "-", "color": QUIET, "linewidth": 0.4, "shrinkA": 1, "shrinkB": 3})


def draw_ratios(pairs: Sequence[tuple[str, Sequence[tuple[str, Band]]]]) -> str:
    """Return the ratio of each pair on each rung, with its band, beside a line at 1.

    Parameters
    ----------
    pairs : sequence of (str, sequence of (str, Band))
        Title of the pair; rung and ratio.
    """
    with matplotlib.rc_context(STYLE | {"svg.hashsalt": "ratios"}):
        rows = sum(len(ratios) for _, ratios in pairs)
        figure = Figure(figsize=(8.6, 0.8 + 0.22 * rows + 0.16 * len(pairs)), layout="constrained")
        axis = figure.subplots()
        axis.axvline(1.0, color=INK, linewidth=0.9)
        place, places, labels = 0.0, [], []
        for title, ratios in pairs:
            for index, (rung, band) in enumerate(ratios):
                decided = band.low > 1 or band.high < 1
                axis.plot([band.low, band.high], [place, place], color=SECOND if decided else FIRST, linewidth=2.4,
                          solid_capstyle="butt")
                axis.plot([band.median], [place], "o", color=INK, markersize=3.2)
                places.append(place)
                labels.append(f"{title}   {rung}" if index == 0 else rung)
                place += 1.0
            place += 0.7
        axis.set_yticks(places, labels)
        axis.set_ylim(place - 0.9, -0.7)
        axis.set_xscale("log")
        low, high = axis.get_xlim()
        _number_logarithms(axis.xaxis, FAR_PLACES if high / low > CLOSE else CLOSE_PLACES)
        axis.set_xlabel("energy of the first over that of the second")
        axis.grid(axis="x", linewidth=0.6, which="both")
        axis.set_axisbelow(True)
        axis.tick_params(length=0, which="both")
        return markup(figure, "ratios")


RatePanel = tuple[str, Sequence[float], Sequence[Band], Band, Band | None, tuple[float, float] | None]


def draw_rates(panels: Sequence[RatePanel], salt: str) -> str:
    """Return energy over spikes per synapse for the spiking network, beside that of the network without spikes.

    Parameters
    ----------
    panels : sequence of tuple
        Title; spikes per synapse and inference; the energy of the spiking network at each, and without spikes, in pJ; where
        both are equal, if anywhere; spikes per synapse and median energy of real samples, if there are any.
    salt : str
        Of the names inside the picture, different for each on a page.
    """
    with matplotlib.rc_context(STYLE | {"svg.hashsalt": salt}):
        figure = Figure(figsize=(8.6, 3.3), layout="constrained")
        axes = figure.subplots(1, len(panels), squeeze=False)[0]
        for axis, (title, spikes, spiking, matching, crossing, own) in zip(axes, panels, strict=True):
            size, unit = energy_scale(max(matching.high, spiking[-1].median))
            top = max(matching.high * 2.2, own[1] * 1.25 if own else 0.0) / size
            axis.fill_between(spikes, [band.low / size for band in spiking], [band.high / size for band in spiking], color=SECOND,
                              alpha=0.22, linewidth=0)
            axis.plot(spikes, [band.median / size for band in spiking], color=SECOND, linewidth=1.6, label="with spikes")
            axis.axhspan(matching.low / size, matching.high / size, color=FIRST, alpha=0.22, linewidth=0)
            axis.axhline(matching.median / size, color=FIRST, linewidth=1.6, label="without spikes")
            shown = max(2.0 * (crossing.high if crossing else 0.0), 1.3 * (own[0] if own else 0.0), 0.05 * spikes[-1])
            if crossing is not None:
                axis.axvspan(crossing.low, crossing.high, color=GRID, alpha=0.5, linewidth=0)
                axis.axvline(crossing.median, color=INK, linewidth=0.9, linestyle=(0, (4, 3)), label="equal energies")
            if own is not None:
                axis.plot([own[0]], [own[1] / size], "D", color=INK, markersize=5, label="these samples")
            axis.set_xlim(0, min(shown, spikes[-1]))
            axis.set_ylim(0, top)
            axis.set_title(title)
            axis.set_xlabel("spikes per synapse and inference")
            axis.set_ylabel(f"{unit} per inference")
            axis.grid(linewidth=0.6)
            axis.set_axisbelow(True)
            axis.tick_params(length=0)
        handles: dict[str, Any] = {}
        for axis in axes:
            for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
                handles.setdefault(label, handle)
        figure.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=4)
        return markup(figure, salt)


def draw_fronts(panels: Sequence[tuple[str, Sequence[tuple[str, float, Band, bool]]]]) -> str:
    """Return accuracy over energy on each rung, the points of the front joined.

    Parameters
    ----------
    panels : sequence of (str, sequence of (str, float, Band, bool))
        Title; name, accuracy, energy in pJ, and whether the point is on the front.
    """
    with matplotlib.rc_context(STYLE | {"svg.hashsalt": "fronts"}):
        figure = Figure(figsize=(8.6, 3.3), layout="constrained")
        axes = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
        for axis, (title, points) in zip(axes, panels, strict=True):
            size, unit = energy_scale(max(band.high for _, _, band, _ in points))
            front = sorted((band.median / size, accuracy * 100) for _, accuracy, band, on in points if on)
            axis.plot(*zip(*front, strict=True), color=SECOND, linewidth=1.2, drawstyle="steps-post")
            for place, (name, accuracy, band, on) in enumerate(points):
                axis.plot([band.low / size, band.high / size], [accuracy * 100] * 2, color=FIRST, linewidth=0.8)
                axis.plot([band.median / size], [accuracy * 100], "o", color=SECOND if on else FIRST, markersize=4.5)
                if on and len(points) <= 3 * MAX_NAMED:
                    axis.annotate(shortened(name), (band.median / size, accuracy * 100), xytext=(4, 4 if place % 2 else -9),
                                  textcoords="offset points", fontsize=7.5, color=INK)
            axis.set_title(title)
            axis.set_xscale("log")
            _number_logarithms(axis.xaxis)
            axis.set_xlabel(f"{unit} per sample")
            axis.grid(linewidth=0.6)
            axis.set_axisbelow(True)
            axis.tick_params(length=0, which="both")
        axes[0].set_ylabel("accuracy, %")
        return markup(figure, "fronts")

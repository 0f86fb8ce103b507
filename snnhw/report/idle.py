"""Energy per inference against inferences per second: a block of the chapter on energy."""

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
from matplotlib.figure import Figure as Plot
from matplotlib.ticker import NullFormatter

from snnhw.cost.bands import format_energy
from snnhw.report.page import Block, Figure, Note
from snnhw.report.plots import FIRST, GRID, INK, KIND_COLOURS, QUIET, SECOND, STYLE, markup
from snnhw.report.records import Part

__all__ = ["IdleCurve", "draw_idle", "idle_blocks"]

_COLOURS = {"clocked": FIRST, "clock-stopped": SECOND, "powered-down": KIND_COLOURS["weights"]}
MOST_CURVES, MOST_POINTS = 8, 1000


@dataclass(frozen=True)
class IdleCurve:
    """A policy: inferences per second, and the median and the band of the energy of each, in picojoules."""

    name: str
    points: tuple[tuple[float, float, float, float], ...]


def _rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _round_energy(pj: float, position: object = None) -> str:
    """Return a power of ten of an energy, without the digits after its point."""
    number, _, unit = format_energy(pj).partition(" ")
    return f"{float(number):g} {unit}"


def draw_idle(curves: Sequence[IdleCurve], most_per_second: float, crossings: Sequence[float]) -> str:
    """Return energy per inference against inferences per second, both logarithmic, with the bands.

    Parameters
    ----------
    curves : sequence of IdleCurve
        The policies.
    most_per_second : float
        Rate above which the design cannot keep up.
    crossings : sequence of float
        Rates to mark.
    """
    with matplotlib.rc_context(STYLE | {"svg.hashsalt": "idle"}):
        figure = Plot(figsize=(8.6, 3.7), layout="constrained")
        axis = figure.subplots()
        for curve in curves:
            colour = _COLOURS.get(curve.name, QUIET)
            rates, median, low, high = (list(column) for column in zip(*curve.points, strict=True))
            axis.fill_between(rates, low, high, color=colour, alpha=0.18, linewidth=0)
            axis.plot(rates, median, color=colour, linewidth=1.8, label=curve.name)
        axis.set_xscale("log")
        axis.set_yscale("log")
        bottom = axis.get_ylim()[0]
        for rate, colour, style in [*((rate, QUIET, (0, (3, 3))) for rate in crossings), (most_per_second, INK, "solid")]:
            axis.axvline(rate, color=colour, linewidth=0.9, linestyle=style)
            axis.annotate(_rate(rate), (rate, bottom), (4, 4), textcoords="offset points", fontsize=8, color=colour,
                          verticalalignment="bottom")
        for scale, words in ((axis.xaxis, lambda value, _: f"{value:,g}"), (axis.yaxis, _round_energy)):
            scale.set_major_formatter(words)
            scale.set_minor_formatter(NullFormatter())
        axis.set_xlim(min(point[0] for curve in curves for point in curve.points), most_per_second * 4)
        axis.set_xlabel("inferences per second")
        axis.set_ylabel("energy per inference")
        axis.grid(which="major", linewidth=0.6, color=GRID)
        axis.set_axisbelow(True)
        axis.tick_params(which="both", length=0)
        figure.legend(loc="outside upper right", ncols=3, handlelength=1.4)
        return markup(figure, "idle")


def _positive(part: Part, *names: str) -> tuple[float, ...] | None:
    found = [part[name].number for name in names]
    there = tuple(value for value in found if value is not None and value > 0)
    return there if len(there) == len(names) else None


def _between(values: tuple[float, ...]) -> str:
    return f"{_rate(values[0])} ({_rate(values[1])} to {_rate(values[2])})"


def idle_blocks(record: Part) -> list[Block]:
    """Return plot and sentences of an idle policy as a record has it; nothing where it has none.

    Parameters
    ----------
    record : Part
        What :func:`snnhw.cost.idle.idle_policy_json` gave.
    """
    curves = []
    for row in record["policies"].elements[:MOST_CURVES]:
        found = [_positive(point, "per_second", "median", "low", "high") for point in row["points"].elements[:MOST_POINTS]]
        points = sorted((values[0], values[1], values[2], values[3]) for values in found if values is not None)
        if len(points) > 1:
            curves.append(IdleCurve(row["policy"].text, tuple(points)))
    most = record["most_per_second"].number
    if not curves or most is None or most <= 0:
        return []
    crossings, sentences = [], []
    for row in record["crossovers"].elements:
        values = _positive(row, "median", "low", "high")
        if values is not None:
            crossings.append(values[0])
            sentences.append(f"below {_between(values)} inferences per second {row['cheaper_below'].text} costs less than "
                             f"{row['than'].text}")
    for row in record["waiting_dominates_below"].elements:
        values = _positive(row, "median", "low", "high")
        if values is not None:
            sentences.append(f"below {_between(values)} waiting {row['policy'].text} costs more than the inference itself")
    seconds = record["seconds_per_inference"].number
    blocks: list[Block] = [Figure(
        draw_idle(curves, most, crossings),
        f"Energy per inference, with everything that is spent until the next one, against inferences per second: rung "
        f"{record['rung'].text} with {record['constants'].text} constants, medians and 5 to 95 %. "
        + (f"An inference takes {seconds * 1e3:,.3g} ms, so the design keeps up with {_rate(most)} per second: the line at the "
           f"right. Broken lines: where the curves of powering down cross the others." if seconds else ""),
    )]
    if sentences:
        text = "; ".join(sentences)
        blocks.append(Note(text[0].upper() + text[1:] + "."))
    assumed = ", ".join(name.text for name in record["assumed"].elements)
    notes = [note.text for note in record["notes"].elements if note.text]
    notes += [f"ASSUMED constants: {assumed}"] if assumed else []
    blocks += [Note(note[0].upper() + note[1:] + ".") for note in notes]
    return blocks

"""Section about what limits the design."""

from snnhw.report.page import ESTIMATED, Note, Section, Table
from snnhw.report.records import Part, Run
from snnhw.report.wording import missing, percent, thousands, words

__all__ = ["limits_section"]

_CYCLES = (("mean", "mean"), ("p99", "99 of 100 samples take at most"), ("worst", "longest"),
           ("bound", "if every input and every neuron fired in every timestep"))
_GOALS = {"latency": "the smallest design that is fast enough", "area": "the fastest design that is small enough",
          "fastest": "the fastest design that fits the board"}


def limits_section(run: Run) -> Section:
    """Show how long samples take, which part of which layer takes the time, and why it is no wider."""
    section = Section("limits", "What limits the design")
    limits = run["estimate"]["limits"]
    if not limits:
        section.blocks += missing(run, "estimate")
        if run.has("estimate") and not section.blocks:
            section.blocks.append(Note("The record of the estimate says nothing about it; run the command again:", "missing",
                                       "snnhw estimate RUN --board BOARD"))
        return section
    if sentence := limits["sentence"].text:
        section.blocks.append(Note(sentence[0].upper() + sentence[1:] + "."))
    chosen = run["estimate"]["folding"] if run["estimate"]["folding"] else run["generate"]["folding"]
    if goal := _GOALS.get(chosen["goal"].text):
        section.blocks.append(Note(f"Lanes were chosen for {goal}: {_lanes(chosen)}."))
    rows = [(title, thousands(limits["cycles"][name].number), _micros(limits["microseconds"][name]))
            for name, title in _CYCLES if limits["cycles"][name].number is not None]
    if rows:
        samples, clock = limits["samples"].number, limits["clock_hz"].number
        over = f" over {thousands(samples)} samples" if samples is not None else ""
        at = f", at {clock / 1e6:g} MHz" if clock is not None else ""
        title = f"Time of a sample{over}{at}"
        section.blocks.append(Table(title, ("", "cycles", "µs"), tuple(rows), ESTIMATED, frozenset({1, 2})))
    layers = [(
        layer["layer"].text, layer["lanes"].shown, layer["units"].shown, layer["memory_roof"].shown or "no blocks",
        _memory(layer["weight_memory"]),
        *(percent(layer["parts"][part].number) for part in ("weights", "events", "finaliser")),
        percent(sum(share.number or 0.0 for _, share in layer["limiting"].items)), layer["verdict"].text,
    ) for layer in limits["layers"].elements]
    if layers:
        waiting = limits["waiting"].number
        title = "Share of a sample's cycles in which each part works, and in which everything waits for the layer"
        columns = ("layer", "lanes", "neurons or channels", "lanes that memory can feed", "weights in", "weights", "events",
                   "finaliser", "limits", "more lanes")
        section.blocks.append(Table(title, columns, tuple(layers), ESTIMATED, frozenset({1, 2, 3, 5, 6, 7, 8}), frozenset({9})))
        if waiting is not None:
            section.blocks.append(Note(f"{percent(waiting)} of the cycles go to no part: the way of the first timestep in and of "
                                       "the last one out, and waiting where the slowest part changes."))
    return section


def _lanes(chosen: Part) -> str:
    return ", ".join(f"{name} {count.shown}" for name, count in chosen["lanes"].items)


def _memory(part: Part) -> str:
    resource = words(part["resource"].text)
    there = part["available"].number
    return f"{part['blocks'].shown} of {thousands(there)} {resource}" if there is not None and part["blocks"].number else resource


def _micros(part: Part) -> str:
    return "" if part.number is None else f"{part.number:,.4g}"

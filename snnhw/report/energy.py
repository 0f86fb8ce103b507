"""The chapter on energy: ladder, comparison, constants."""

from snnhw.cost.bands import format_energy
from snnhw.report.idle import idle_blocks
from snnhw.report.page import ESTIMATED, SIMULATED, Block, Figure, Note, Section, Table
from snnhw.report.plots import LadderBar, Pair, draw_ladder, draw_pairs
from snnhw.report.records import Part, Run
from snnhw.report.wording import missing

__all__ = ["constants_section", "energy_section"]

MAX_PAIRS = 60


def _numbers(part: Part, *names: str) -> tuple[float, ...] | None:
    """Return some numbers of an object that must not be negative, or None unless all are there."""
    values = [part[name].number for name in names]
    return (
        tuple(value for value in values if value is not None)
        if all(value is not None and value >= 0 for value in values)
        else None
    )


def _rungs(run: Run) -> list[Part]:
    found = run["energy"]["rungs"].elements or run["estimate"]["energy"].elements
    return [rung for rung in found if _numbers(rung, "mid_pj", "median", "low", "high")]


def _label(rung: Part) -> str:
    return SIMULATED if rung["basis"].text == SIMULATED else ESTIMATED


def _basis(rung: Part) -> str:
    """Return how the counts came to be, and from how many samples where not from all."""
    measured, every = rung["sampling"]["measured"].number, rung["sampling"]["of"].number
    if measured is None or every is None or measured >= every:
        return _label(rung)
    error = rung["sampling"]["relative_error"].number
    return f"{_label(rung)}, {measured:.0f} of {every:.0f} samples, error {'unknown' if error is None else f'{error:.1%}'}"


def _ladder(rungs: list[Part]) -> Figure | None:
    panels: dict[str, list[LadderBar]] = {}
    for rung in rungs:
        values = _numbers(rung, "low", "median", "high")
        assert values is not None
        parts = {name: part["mid_pj"].number or 0.0 for name, part in rung["kinds"].items}
        panels.setdefault(f"{rung['constants_title'].text} constants", []).append(
            LadderBar(rung["rung"].text, _label(rung), parts, *values)
        )
    if not panels:
        return None
    return Figure(
        draw_ladder(list(panels.items())),
        "Energy per sample on each rung: bars at the middle constants, by kind; the point and its whiskers are the "
        "median and 5 to 95 % of the Monte-Carlo. The panels are different hardware, each with its own scale.",
    )


def _rung_table(rungs: list[Part]) -> Table:
    rows = []
    for rung in rungs:
        values = _numbers(rung, "median", "low", "high")
        assert values is not None
        median, low, high = values
        drivers = ", ".join(
            f"{' × '.join(name.text for name in driver['parameters'].elements)} {driver['share'].number or 0:.0%} "
            f"{driver['provenance'].text.upper() if driver['provenance'].text == 'assumed' else driver['provenance'].text}"
            for driver in rung["drivers"].elements[:3]
        )
        evidence = f"largest term ASSUMED: {drivers}" if rung["largest_is_assumed"].flag else drivers
        per_operation = rung["pj_per_synaptic_operation"].number
        rows.append(
            (
                rung["rung"].text,
                rung["title"].text,
                rung["constants_title"].text,
                _basis(rung),
                format_energy(median),
                f"{format_energy(low)} .. {format_energy(high)}",
                "" if per_operation is None else f"{per_operation:.3g}",
                evidence,
            )
        )
    return Table(
        "The ladder, per sample",
        ("rung", "counts", "constants", "basis", "median", "5 .. 95 %", "pJ / SOP", "rests on"),
        tuple(rows),
        "",
        frozenset({4, 5, 6}),
        frozenset({1, 3, 7}),
    )


def _last_with(rungs: list[Part], name: str) -> Part:
    return next((rung for rung in rungs if rung["rung"].text == name and rung["constants_kind"].text == "fpga"), Part())


def _cells(rung: Part) -> dict[tuple[str, str], tuple[float, float, float]]:
    found: dict[tuple[str, str], tuple[float, float, float]] = {}
    for row in rung["rows"].elements:
        values = _numbers(row, "mid_pj", "low", "high")
        if values is not None:
            found[row["layer"].text, row["kind"].text] = (values[0], values[1], values[2])
    return found


def _comparison(rungs: list[Part]) -> list[Block]:
    analytical, activity = _cells(_last_with(rungs, "A2")), _cells(_last_with(rungs, "R2"))
    if not analytical or not activity:
        return []
    keys = [*activity, *(key for key in analytical if key not in activity)]
    order = {layer: index for index, layer in enumerate(dict.fromkeys(layer for layer, _ in [*analytical, *activity]))}
    keys.sort(key=lambda key: (key[0] == "", order[key[0]]))
    none = (0.0, 0.0, 0.0)
    pairs = [
        Pair(f"{layer or 'design'}: {kind}", analytical.get((layer, kind), none), activity.get((layer, kind), none))
        for layer, kind in keys
    ]

    netlists = {name: cells for name in ("R3", "R4") if (cells := _cells(_last_with(rungs, name)))}
    columns = [analytical, activity, *netlists.values()]
    keys += [key for key in dict.fromkeys(key for cells in netlists.values() for key in cells) if key not in keys]
    order |= {layer: len(order) for layer, _ in keys if layer not in order}
    keys.sort(key=lambda key: (key[0] == "", order[key[0]]))

    def row(layer: str, kind: str, values: list[float]) -> tuple[str, ...]:
        return layer, kind, *map(format_energy, values), f"{values[1] / values[0]:.2f}" if values[0] else "–"

    rows = [row(layer or "design", kind, [cells.get((layer, kind), none)[0] for cells in columns]) for layer, kind in keys]
    rows.append(row("total", "", [sum(value[0] for value in cells.values()) for cells in columns]))
    return [
        Figure(
            draw_pairs(pairs[:MAX_PAIRS], "A2, analytical (estimated)", "R2, RTL activity (simulated)"),
            "Analytical model against the activity of the RTL, per layer and per kind, with the same constants: bars at their "
            "middle values, lines from 5 to 95 %.",
        ),
        Table(
            f"Analytical model against {'RTL and netlist' if netlists else 'RTL'} activity, middle constants",
            ("layer", "kind", "A2 estimated", "R2 simulated", *(f"{name} netlist" for name in netlists), "R2 / A2"),
            tuple(rows),
            "",
            frozenset(range(2, 5 + len(netlists))),
            total=True,
        ),
    ]


def energy_section(run: Run) -> Section:
    """Show the energy ladder, and what the analytical model misses."""
    section = Section("energy", "Energy", missing(run, "energy"))
    rungs = _rungs(run)
    if not rungs:
        return section
    if (figure := _ladder(rungs)) is not None:
        section.blocks.append(figure)
    section.blocks.append(_rung_table(rungs))
    section.blocks += _comparison(rungs)
    steps = []
    for step in run["energy"]["steps"].elements:
        values = _numbers(step, "median", "low", "high")
        if values is not None:
            meaning = step["meaning"].text + (f" ({step['note'].text})" if step["note"].text else "")
            steps.append(
                (
                    f"{step['to'].text} / {step['from'].text}",
                    f"{values[0]:.3g}",
                    f"{values[1]:.3g} .. {values[2]:.3g}",
                    step["constants"].text,
                    meaning,
                )
            )
    if steps:
        section.blocks.append(
            Table(
                "What each rung adds: ratios in common draws",
                ("ratio", "median", "5 .. 95 %", "constants", "what it isolates"),
                tuple(steps),
                "",
                frozenset({1, 2}),
                frozenset({4}),
            )
        )
    section.blocks += idle_blocks(run["energy"]["idle_policy"] or run["estimate"]["idle_policy"])
    notes = run["energy"]["notes"].elements or run["estimate"]["notes"].elements
    section.blocks += [Note(note.text[0].upper() + note.text[1:] + ".") for note in notes if note.text]
    return section


def constants_section(run: Run) -> Section:
    """Show the constants and where each comes from."""
    section = Section("constants", "Energy constants")
    for constants in run["energy"]["constants"].elements:
        rows = []
        for row in constants["parameters"].elements:
            values = _numbers(row, "mid", "low", "high")
            if values is not None:
                rows.append(
                    (
                        row["name"].text,
                        f"{values[0]:g}",
                        f"{values[1]:g} .. {values[2]:g}",
                        row["unit"].text,
                        row["provenance"].text,
                        row["source"].text,
                    )
                )
        if rows:
            section.blocks.append(
                Table(
                    f"{constants['title'].text}: {constants['device'].text}, {constants['node'].text}",
                    ("parameter", "mid", "5 .. 95 %", "unit", "evidence", "source"),
                    tuple(rows),
                    "",
                    frozenset({1, 2}),
                    frozenset({5}),
                )
            )
    if not section.blocks:
        section.blocks += missing(run, "energy")
    return section

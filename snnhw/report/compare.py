"""The page of a comparison: design points on every rung of the energy ladder."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from snnhw import __version__
from snnhw.cost import KINDS, Band, Comparison, DesignPoint, Energy, RateSweep, format_energy
from snnhw.cost.ann import ASSUMPTIONS, LITERATURE
from snnhw.cost.compare import scatter, select
from snnhw.cost.metrics import NEUROBENCH, energy_metrics, sample_seconds
from snnhw.files import write_bytes
from snnhw.report.compare_plots import StackedPanel, draw_fronts, draw_rates, draw_ratios, draw_scatters, draw_stacks
from snnhw.report.page import ESTIMATED, MEASURED, SIMULATED, Block, Figure, Note, Page, Section, Table, Tile
from snnhw.report.write import render

__all__ = ["ComparisonPage", "write_comparison"]

MAX_STACKED = 24
MAX_PAIRS = 6
SMALL_SPREAD = 1.15  # of factors; below it, shares of the difference say little
LABELS = {"A0": ESTIMATED, "A1": ESTIMATED, "A2": ESTIMATED}
BEST = ("R4", "R3", "R2", "A2")  # the rung that says most about the hardware


@dataclass(frozen=True)
class ComparisonPage:
    """What the page shows.

    Parameters
    ----------
    title, subtitle : str
        Heading.
    comparison : Comparison
        The design points.
    sweeps : mapping of str to RateSweep
        By network, its rates against the network without spikes.
    constants : sequence of mapping
        What :func:`snnhw.cost.results.constants_json` returned of each set.
    notes : sequence of str
        What holds for all numbers.
    """

    title: str
    subtitle: str
    comparison: Comparison
    sweeps: dict[str, RateSweep] = field(default_factory=dict)
    constants: Sequence[dict[str, Any]] = ()
    notes: Sequence[str] = ()


def write_comparison(content: ComparisonPage, path: Path) -> Path:
    """Write one self-contained HTML page, whole or not at all; the same content gives the same bytes."""
    comparison = content.comparison
    sections = [
        _conclusion(content), _points(comparison), _bars(comparison), _agreement(comparison), _ratios(comparison),
        _front(comparison), _less(comparison), _sweep(content), _metrics(comparison), _constants(content),
    ]
    page = Page(content.title, content.subtitle, _tiles(comparison), tuple(section for section in sections if section.blocks),
                __version__)
    write_bytes(path, render(page).encode())
    return path


def _main(comparison: Comparison) -> str:
    return next((rung for rung in BEST if rung in comparison.rungs), comparison.rungs[-1])


def _interval(band: Band) -> str:
    return f"{format_energy(band.low)} .. {format_energy(band.high)}"


def _number(band: Band) -> str:
    return f"{band.median:.3g} ({band.low:.3g} .. {band.high:.3g})"


def _stacked(comparison: Comparison) -> list[DesignPoint]:
    return list(comparison.points[:MAX_STACKED])


def _tiles(comparison: Comparison) -> tuple[Tile, ...]:
    rung = _main(comparison)
    known = [point for point in comparison.points if rung in point.energies]
    least = min(known, key=lambda point: point.energies[rung].mid_pj)
    energy = least.energies[rung]
    label = SIMULATED if energy.basis == SIMULATED else ESTIMATED
    distinct = sum(not rung.startswith("R1") for rung in comparison.rungs)  # R1 repeats A1 and A2
    tiles = [Tile("Design points", str(len(comparison.points)), f"on {distinct} rungs", ""),
             Tile(f"Least energy, {rung}", format_energy(energy.band.median), f"{least.name}, {_interval(energy.band)}", label)]
    for formula in ("A1", "A2"):
        found = comparison.correlation(formula, rung) if formula != rung else None
        if found is not None and found.tau is not None and found.band is not None:
            tiles.append(Tile(f"Same order, {formula} and {rung}", f"tau {found.tau:.2f}",
                              f"{found.band.low:.2f} .. {found.band.high:.2f}; {found.discordant} of {found.pairs} pairs turned "
                              "round", label))
    if comparison.compared:
        count = len(comparison.violations)
        tiles.append(Tile("Less that costs more", str(count), f"of {comparison.compared} comparisons", "", count == 0))
    return tuple(tiles)


def _conclusion(content: ComparisonPage) -> Section:
    blocks: list[Block] = [Note(text) for text in content.comparison.conclusion]
    return Section("conclusion", "Conclusion", [*blocks, *(Note(note) for note in content.notes)])


def _shown(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _points(comparison: Comparison) -> Section:
    rungs = [rung for rung in comparison.rungs if not rung.startswith("R1")]
    rows = []
    for point in comparison.points:
        kept = sorted(set(point.formats.values()))
        energies = [format_energy(point.energies[rung].band.median) if rung in point.energies else "" for rung in rungs]
        hardware = "" if point.hardware == point.name else point.hardware
        rows.append((point.name, point.network, _shown(point.bits, ".3g"),
                     "" if point.sparsity is None else f"{point.sparsity:.0%}", ", ".join(kept), hardware,
                     "" if point.accuracy is None else f"{point.accuracy:.2%}", _shown(point.cycles, ",.0f"), *energies))
    columns = ("point", "network", "bits", "pruned", "format", "hardware", "accuracy", "cycles", *rungs)
    numeric = frozenset({2, 3, 6, 7, *range(8, len(columns))})
    kept_columns = [index for index in range(len(columns)) if any(row[index] for row in rows)]
    return Section("points", "Design points", [
        Table("Points and the median of their energy per sample", tuple(columns[index] for index in kept_columns),
              tuple(tuple(row[index] for index in kept_columns) for row in rows), "",
              frozenset(place for place, index in enumerate(kept_columns) if index in numeric)),
        _band_table(comparison, rungs)])


def _band_table(comparison: Comparison, rungs: Sequence[str]) -> Table:
    rows = []
    for point in comparison.points:
        for rung in rungs:
            if rung in point.energies:
                energy = point.energies[rung]
                sampling = f"; {energy.sampling}" if energy.sampling is not None else ""
                rows.append((point.name, rung, energy.constants.title, energy.basis, format_energy(energy.band.median),
                             _interval(energy.band), energy.evidence + sampling))
    return Table("The ladder of each point, and the three largest parts it rests on",
                 ("point", "rung", "constants", "counts", "median", "5 .. 95 %", "rests on"), tuple(rows), "", frozenset({4, 5}),
                 frozenset({6}))


def _by_layer(energy: Energy) -> dict[str, float]:
    return {layer or "design as a whole": energy.part(layer=layer).mid_pj for layer in energy.layers}


def _panels(comparison: Comparison, *, layers: bool) -> tuple[list[StackedPanel], list[str], list[str]]:
    points = _stacked(comparison)
    panels, found = [], []
    for rung in comparison.rungs:
        if rung.startswith("R1") or any(rung not in point.energies for point in points):
            continue
        energies = [point.energies[rung] for point in points]
        parts = [_by_layer(energy) if layers else {kind: energy.part(kind=kind).mid_pj for kind in energy.kinds}
                 for energy in energies]
        panels.append(StackedPanel(f"{rung}: {energies[0].constants.title}", parts, [energy.band for energy in energies]))
        found += [part for row in parts for part in row]
    names = list(dict.fromkeys(found))
    if not layers:
        names.sort(key=KINDS.index)
    elif "design as a whole" in names:
        names.sort(key=lambda name: name == "design as a whole")
    return panels, names, [point.name for point in points]


def _bars(comparison: Comparison) -> Section:
    section = Section("parts", "Where the energy goes")
    for layers, what in ((False, "kind"), (True, "layer")):
        panels, parts, names = _panels(comparison, layers=layers)
        if panels:
            section.blocks.append(Figure(
                draw_stacks(names, panels, parts, f"stack-{what}"),
                f"Energy per sample by {what}: bars at the middle constants; below each the median and 5 to 95 % of the "
                "Monte-Carlo. Each rung has its own scale; constants of 45 nm are other hardware than those of the FPGA."))
    if len(comparison.points) > MAX_STACKED and section.blocks:
        section.blocks.append(Note(f"Drawn are the first {MAX_STACKED} of {len(comparison.points)} points."))
    return section


def _agreement(comparison: Comparison) -> Section:
    section = Section("agreement", "Formula against hardware")
    panels = []
    for first in ("A1", "A2"):
        for second in ("R2", "R3", "R4"):
            seen = scatter(comparison.points, first, second)
            if len(seen) > 1:
                point = select(comparison.points, seen[0][0])
                same = point.energies[first].constants == point.energies[second].constants
                panels.append((first, second, same, [(name, one, other) for name, one, other, _, _ in seen]))
    if panels:
        section.blocks.append(Figure(
            draw_scatters(panels),
            "Analytical model against the activity of the hardware, a mark for each design point with its bands. With the same "
            " constants on both sides the line is that of equal energies; else it is the median factor between the two.",
            SIMULATED))
    rows = [(f"{one.first} and {one.second}", str(one.points), "" if one.tau is None else f"{one.tau:.3f}",
             "" if one.band is None else f"{one.band.low:.3f} .. {one.band.high:.3f}", f"{one.discordant} of {one.pairs}",
             "; ".join(f"{pair.dearer} / {pair.cheaper}: {pair.first.median:.3g} and {pair.second.median:.3g}"
                       for pair in one.disagreements[:3]))
            for one in comparison.correlations if not (one.first + one.second).count("R1")]
    if rows:
        section.blocks.append(Table(
            "Do rungs order the points alike? Kendall's tau-b",
            ("rungs", "points", "tau", "5 .. 95 %", "pairs turned round", "largest disagreements: ratios under each"),
            tuple(rows), "", frozenset({1, 2, 3, 4}), frozenset({5})))
    factors = []
    for found in comparison.factors:
        small = found.spread_mid < SMALL_SPREAD
        parts = "" if small else ", ".join(f"{part.kind} {part.share:.0%}" for part in found.parts[:3])
        steps = " × ".join(f"{factor:.3g} ({one} to {other})" for one, other, factor in found.steps)
        factors.append((f"{found.upper} / {found.lower}", f"{found.mids[found.smallest]:.3g}", found.smallest,
                        f"{found.mids[found.largest]:.3g}", found.largest, _number(found.spread), parts, steps))
    if factors:
        section.blocks.append(Table(
            "Factors between rungs: a ratio that is taken from the lower one can be wrong by largest over smallest",
            ("rungs", "smallest", "at", "largest", "at", "largest / smallest", "what makes the difference", "in steps"),
            tuple(factors), "", frozenset({1, 3, 5}), frozenset({6, 7})))
    rungs = [rung for rung in comparison.rungs if not rung.startswith("R1")]
    textbook = [(row.model, row.title, row.hardware, *(f"{row.tau[rung]:.2f}" if rung in row.tau else "" for rung in rungs))
                for row in comparison.textbook if row.tau]
    if textbook:
        section.blocks.append(Table(
            "Models of papers, of other hardware: Kendall's tau of their order with that of each rung",
            ("model", "counts", "constants of", *rungs), tuple(textbook), ESTIMATED, frozenset(range(3, 3 + len(rungs))),
            frozenset({1})))
    return section


def _ratios(comparison: Comparison) -> Section:
    section = Section("ratios", "Ratios between points")
    shown: dict[tuple[str, str], list[Any]] = {}
    for row in comparison.ratios:
        if not row.rung.startswith("R1"):
            shown.setdefault((row.over, row.under), []).append(row)
    if not shown:
        return section
    drawn = [(f"{over}  over  {under}", [(row.rung, row.band) for row in rows if row.rung != "A0"])
             for (over, under), rows in shown.items()][:MAX_PAIRS]
    section.blocks.append(Figure(
        draw_ratios(drawn), "Ratios with common draws: what both points rest on cancels. Dark bands leave no doubt which is the "
        "cheaper; light ones contain 1."))
    rows = tuple((row.over, row.under, row.rung, f"{row.mid:.3g}", f"{row.band.median:.3g}",
                  f"{row.band.low:.3g} .. {row.band.high:.3g}", f"{row.share:.0%}", row.verdict)
                 for found in shown.values() for row in found)
    section.blocks.append(Table(
        "Energy of the one over that of the other",
        ("point", "over", "rung", "middle", "median", "5 .. 95 %", "dearer in", "the first is"), rows, "",
        frozenset({3, 4, 5, 6})))
    models = [(row.model, over, under, f"{value:.3g}", row.hardware)
              for row in comparison.textbook if row.tau for over, under, value in row.ratios]
    if models:
        section.blocks.append(Table("The same by the models of papers", ("model", "point", "over", "ratio", "constants of"),
                                    tuple(models), ESTIMATED, frozenset({3})))
    return section


def _front(comparison: Comparison) -> Section:
    section = Section("front", "Accuracy against energy")
    rungs = [rung for rung in ("A1", _main(comparison)) if rung in comparison.fronts]
    panels = []
    for rung in dict.fromkeys(rungs):
        points = [(point.name, point.accuracy, point.energies[rung].band, point.name in comparison.fronts[rung])
                  for point in comparison.points if point.accuracy is not None and rung in point.energies]
        if len({accuracy for _, accuracy, _, _ in points}) > 1:
            panels.append((rung, points))
    if panels:
        section.blocks.append(Figure(
            draw_fronts(panels), "Accuracy against energy; the points that no other point is better than in both are joined."))
        rows = tuple((rung, ", ".join(names)) for rung, names in comparison.fronts.items() if not rung.startswith("R1"))
        section.blocks.append(Table("Pareto fronts, the least energy first", ("rung", "points"), rows, "", frozenset(),
                                    frozenset({1})))
    return section


def _less(comparison: Comparison) -> Section:
    section = Section("less", "Less that costs more")
    rows = tuple((found.axis, f"{found.from_value:.3g} → {found.to_value:.3g}", found.less, found.more, found.rung,
                  _number(found.factor), f"{found.share:.0%}", _shown(found.work, ".2f"),
                  ", ".join(f"{cause.layer or 'design'} {cause.kind} {format_energy(cause.more_pj)} → "
                            f"{format_energy(cause.less_pj)}" for cause in found.causes[:3]))
                 for found in comparison.violations)
    if rows:
        section.blocks.append(Table(
            "Fewer bits, weights or spikes with more energy",
            ("axis", "change", "point", "dearer than", "rung", "factor", "in draws", "operations", "what grew"), rows, "",
            frozenset({5, 6, 7}), frozenset({8})))
    return section


def _sweep(content: ComparisonPage) -> Section:
    section = Section("rate", "Spikes or none")
    for place, (network, sweep) in enumerate(content.sweeps.items()):
        panels = []
        for found in sweep.crossovers:
            spikes = [rate * sweep.timesteps for rate in sweep.rates]
            matching = sweep.matching[found.rung]
            own = None
            if sweep.own_rate is not None and found.rung in sweep.own_ratios:
                own = sweep.own_rate * sweep.timesteps, sweep.own_ratios[found.rung].median * matching.median
            crossing = None if found.never == 1 or found.always == 1 else found.spikes_per_synapse
            panels.append((found.rung, spikes, sweep.spiking[found.rung], matching, crossing, own))
        section.blocks.append(Figure(
            draw_rates(panels, f"rates{place}"),
            f"{network}: energy over the spikes that a synapse sees in an inference, against a quantized network without spikes "
            "of the same shape, bits, lanes and formats. Shaded: 5 to 95 %, which move together. The rates are made up, "
            "spread evenly; the diamond is what the samples do.", ESTIMATED))
        section.blocks.append(Table(
            f"{network}: where both need the same energy, {sweep.timesteps} timesteps",
            ("rung", "spikes per synapse and inference", "spike rate", "never, in draws", "at its own rate, spiking / not"),
            tuple((found.rung, _number(found.spikes_per_synapse),
                   f"{found.rate.median:.2%} ({found.rate.low:.2%} .. {found.rate.high:.2%})", f"{found.never:.0%}",
                   _number(sweep.own_ratios[found.rung]) if found.rung in sweep.own_ratios else "")
                  for found in sweep.crossovers), ESTIMATED, frozenset({1, 2, 3, 4})))
        section.blocks += [Note(text) for text in sweep.conclusion()]
    if content.sweeps:
        section.blocks.append(Table(
            "What others found, on other hardware", ("source", "finding"),
            tuple((str(row["source"]), str(row["text"])) for row in LITERATURE), "", frozenset(), frozenset({1})))
        section.blocks.append(Note("Assumed: " + "; ".join(ASSUMPTIONS) + "."))
    return section


def _metrics(comparison: Comparison) -> Section:
    known = [point for point in comparison.points if point.metrics]
    if not known:
        return Section("metrics", "Metrics")
    names = [name for name in NEUROBENCH if any(name in point.metrics for point in known)]
    rows = tuple((point.name, *(_metric(name, point.metrics.get(name)) for name in names)) for point in known)
    section = Section("metrics", "Metrics", [Table(
        "Metrics per sample, by their NeuroBench names", ("point", *(NEUROBENCH[name].removeprefix("SynapticOperations: ")
                                                                    for name in names)), rows, MEASURED,
        frozenset(range(1, 1 + len(names))))])
    merits = []
    for point in known:
        for rung in point.rungs:
            if rung.startswith("R1"):
                continue
            energy = point.energies[rung]
            found = energy_metrics(energy, point.metrics)
            product, seconds = found["energy_delay_js"], sample_seconds(energy)
            merits.append((point.name, rung, energy.constants.title, _figure(found["pj_per_synaptic_operation"]),
                           _figure(found["pj_per_effective_operation"]), "" if seconds is None else f"{seconds * 1e6:,.1f}",
                           f"{product['median']:.2e} ({product['low']:.2e} .. {product['high']:.2e})"
                           if isinstance(product, dict) else ""))
    section.blocks.append(Table(
        "Figures of merit; the rungs without a clock have no delay",
        ("point", "rung", "constants", "pJ per synaptic operation", "pJ per effective operation", "µs per sample",
         "energy-delay product, J s"), tuple(merits), "", frozenset({3, 4, 5, 6})))
    return section


def _figure(value: Any) -> str:
    return "" if value is None else f"{value:.3g}"


def _metric(name: str, value: float | None) -> str:
    if value is None:
        return ""
    if name.endswith("sparsity"):
        return f"{value:.2%}"
    return f"{value:,.0f}" if value >= 100 else f"{value:.4g}"


def _constants(content: ComparisonPage) -> Section:
    section = Section("constants", "Energy constants")
    for constants in content.constants:
        rows = tuple((row["name"], f"{row['mid']:g}", f"{row['low']:g} .. {row['high']:g}", row["unit"], row["provenance"],
                      row["source"]) for row in constants["parameters"])
        section.blocks.append(Table(
            f"{constants['title']}: {constants['device']}, {constants['node']}",
            ("parameter", "mid", "5 .. 95 %", "unit", "evidence", "source"), rows, "", frozenset({1, 2}), frozenset({5})))
    return section

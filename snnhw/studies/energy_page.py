"""The page of the energy grid: what its records say of quantization against pruning on generated hardware, rung by rung."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from snnhw.cost.bands import Band, format_energy
from snnhw.cost.compare import Comparison, RatioRow, compare_points
from snnhw.cost.constants import load_constants
from snnhw.cost.correlation import RankCorrelation, correlate
from snnhw.cost.energy import ratio
from snnhw.cost.factors import RungFactors
from snnhw.cost.monotone import Violation
from snnhw.cost.points import DesignPoint, load_points
from snnhw.studies.energy_grid import LOADED

__all__ = ["Headline", "NetworkGrid", "energy_page", "grid_figures", "point_title"]

PUBLISHED = 13.977 / 9.593  # mJ, run-length weights: 8 bits with 80 % pruned over ternary (Schaefer et al. 2023)
EQUAL = 0.01                # of accuracy, as on the page of claims
HEADLINE = 0.8
PAPERS = "8 b + 80 % unstructured over ternary (the paper's ratio)"
BANKS = "8 b + 80 % in banks over the best quantization"
BEST = "80 % pruned, any width, at most one point lost, over the best quantization"
LADDER = "A0", "A1", "A2", "R2", "R3", "R4"
"""Rungs of the tables; R1 has the counts of A1 and A2, measured, and the same values."""
ALIKE = 0.02                # of a ratio
_EPS = 1e-9
_SIDES = {"dearer": "quantization is cheaper, as in the paper, under {}", "cheaper": "pruning is cheaper under {}",
          "equal": f"they cost the same within {ALIKE:.0%} under {{}}", "undecided": "the constants do not decide it under {}"}

Record = Mapping[str, Any]


def point_title(record: Record) -> str:
    """Return what a point is called on the page, without its network."""
    width = "ternary" if record["bits"] == 2 else f"{record['bits']} b"
    pruned = f", {record['sparsity'] * 100:g} % {record['structure']}" if record["sparsity"] else ""
    return width + pruned + (f", {record['hardware']}" if record.get("hardware") else "")


@dataclass(frozen=True)
class Headline:
    """A pruned network over the best quantization.

    Attributes
    ----------
    what : str
        Which pruned network.
    rows : tuple of RatioRow
        By rung; on each the cheapest of those that are meant. The best quantization is the cheapest network without pruning that
        loses at most one point of accuracy against the best one.
    """

    what: str
    rows: tuple[RatioRow, ...]


class NetworkGrid:
    """The records of one network.

    Parameters
    ----------
    name : str
        Of the network.
    records : sequence of mapping
        As :meth:`snnhw.studies.energy_measure.Hardware.record` makes them.
    """

    def __init__(self, name: str, records: Sequence[Record]) -> None:
        self.name = name
        own = [dict(record) | {"name": point_title(record)} for record in records if record["network"] == name]
        self.records = [record for record in own if record.get("hardware") != LOADED]
        self.points = load_points(self.records)
        self.loaded = load_points([record for record in own if record.get("hardware") == LOADED])
        self.by_title = dict(zip((point.name for point in self.points), self.records, strict=True))

    @cached_property
    def comparison(self) -> Comparison:
        """All points beside each other."""
        return compare_points(self.points, pairs=[])

    @property
    def rungs(self) -> tuple[str, ...]:
        """Rungs that are shown."""
        return tuple(rung for rung in LADDER if rung in self.comparison.rungs)

    def accuracy(self, point: DesignPoint) -> float:
        """Return the accuracy of a point."""
        assert point.accuracy is not None
        return point.accuracy

    @cached_property
    def best_accuracy(self) -> float:
        """Accuracy of the best network that is not pruned."""
        return max(self.accuracy(point) for point in self.points if not point.sparsity)

    def cheapest(self, points: Sequence[DesignPoint], rung: str) -> DesignPoint | None:
        """Return the point with the lowest energy on a rung; None if none has that rung."""
        known = [point for point in points if rung in point.energies]
        return min(known, key=lambda point: point.energies[rung].mid_pj, default=None)

    def equal(self, points: Sequence[DesignPoint]) -> list[DesignPoint]:
        """Return the points that lose at most one point of accuracy against the best network that is not pruned."""
        return [point for point in points if self.accuracy(point) >= self.best_accuracy - EQUAL - _EPS]

    def _headline(self, what: str, over: Sequence[DesignPoint], under: Sequence[DesignPoint] | None = None) -> Headline:
        rows: list[RatioRow] = []
        below = self.equal([point for point in self.points if not point.sparsity]) if under is None else under
        chosen: tuple[DesignPoint | None, DesignPoint | None] = (None, None)
        for rung in self.rungs:
            # Where not all have the rung, those that the rung before has chosen.
            one, other = (self.cheapest(pool, rung) if all(rung in point.energies for point in pool) else before
                          for pool, before in zip((over, below), chosen, strict=True))
            if one is None or other is None or one is other or not (rung in one.energies and rung in other.energies):
                continue
            chosen = one, other
            first, second = one.energies[rung], other.energies[rung]
            rows.append(RatioRow(one.name, other.name, rung, first.mid_pj / second.mid_pj, ratio(first, second).band,
                                 float(np.mean(first.drawn_pj > second.drawn_pj))))
        return Headline(what, tuple(rows))

    @cached_property
    def headlines(self) -> tuple[Headline, ...]:
        """The ratios that the paper's claim is held against, the first one its own."""
        pruned = [point for point in self.points if point.sparsity == HEADLINE]
        eight = [point for point in pruned if point.bits == 8]
        ternary = [point for point in self.points if not point.sparsity and point.bits == 2]
        widest = [point for point in self.points if not point.sparsity and point.bits == 8]
        found = [self._headline(PAPERS,
                                [point for point in eight if point.structure == "unstructured"], ternary),
                 self._headline("8 b + 80 % unstructured over the best quantization",
                                [point for point in eight if point.structure == "unstructured"]),
                 self._headline(BANKS,
                                [point for point in eight if point.structure == "bank"]),
                 self._headline(BEST, self.equal(pruned)),
                 self._headline("80 % pruned, any width, whatever it loses, over the best quantization", pruned),
                 self._headline("8 b + 80 % unstructured over 8 b: what pruning alone saves",
                                [point for point in eight if point.structure == "unstructured"], widest),
                 self._headline("8 b + 80 % in banks over 8 b", [point for point in eight if point.structure == "bank"], widest)]
        return tuple(line for line in found if line.rows)


def _band(band: Band) -> str:
    return f"{band.low:.3g} to {band.high:.3g}"


def _percent(share: float, digits: int = 2) -> str:
    return f"{share * 100:.{digits}f} %"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)]) + "\n"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


INTRODUCTION = """\
# Quantization or pruning, on generated hardware

Written by `python benchmarks/energy_grid.py page` (`make energy-grid` also trains and measures what is missing) from
[`benchmarks/energy_grid.json`](../benchmarks/energy_grid.json). The experiment is that of Schaefer et al. (2023): one network,
trained with weights of 2 (ternary), 3, 4, 6 and 8 bits, pruned by 0 to 95 %. They priced it on an architectural model and found
that 8-bit weights pruned by 80 % need 45 % more energy than the best quantization, ternary weights ([our runs of that
model](claims.md#a3)). Here every point is a generated accelerator with all weights on chip, and its energy is given on each rung:

| rung | what is counted | priced with |
|---|---|---|
| A0 | operations, the formula of most papers | 45 nm, per operation |
| A1 | and every memory access, by size and width of the memory | 45 nm, per operation and access |
| A2 | the counts of A1, clock, flip-flops, static power | iCE40UP5K |
| R1 | the counts of A1 and A2 measured in the RTL: equal to the last one, so R1 is A1 (45 nm) or A2 (iCE40UP5K) | either |
| R2 | toggles of every RTL signal, measured accesses and cycles | iCE40UP5K |
| R3 | toggles of every net of the synthesised netlist, accesses of its memory blocks, no delays | iCE40UP5K |
| R4 | the same with the delays of cells and connections, so that glitches count | iCE40UP5K |

No joule here was measured on a board. Constants of iCE40UP5K at 12 MHz; weights that do not fit the part are counted as if it had
more blocks. Bands are 5 to 95 % of 2,000 draws of all constants, common to both sides of a ratio.
"""


def energy_page(grid: Mapping[str, Any], figures: Sequence[tuple[str, str]] = ()) -> str:
    """Return the page.

    Parameters
    ----------
    grid : mapping
        Contents of ``benchmarks/energy_grid.json``: ``points``, ``networks``, ``versions``.
    figures : sequence of (path, caption)
        Pictures, by their path from the page.
    """
    names = list(dict.fromkeys(record["network"] for record in grid["points"]))
    networks = [NetworkGrid(name, grid["points"]) for name in names]
    parts = [INTRODUCTION, "## In short\n", *(_short(network) for network in networks), _setup(grid, networks)]
    parts.append("## The paper's ratio on every rung\n")
    parts += [_headlines(network) for network in networks]
    parts += ["## Does the conclusion carry over?\n", *(_verdict(network) for network in networks)]
    parts += [_homes(network) for network in networks if network.loaded]
    parts += ["## Can the formula be trusted?\n", _agreement(networks), *(_factors(network) for network in networks)]
    parts += ["## Does less ever cost more?\n", *(_violations(network) for network in networks)]
    parts.append("## Accuracy against energy\n")
    parts += [f"![{path.rpartition('/')[2]}]({path})\n\n{caption}\n" for path, caption in figures]
    parts += [_fronts(network) for network in networks]
    parts += ["## All points\n", *(_points(network) for network in networks)]
    parts.append("Versions: " + ", ".join(f"{name} {text}" for name, text in grid["versions"].items()) + ".\n")
    return "\n".join(parts)


def _short(network: NetworkGrid) -> str:
    """Return the main numbers of a network in one paragraph."""
    lines = {line.what: line for line in network.headlines}

    def values(line: Headline) -> str:
        rows = {row.rung: row for row in line.rows}
        return ", ".join(f"{rows[rung].mid:.2f} ({rung})" for rung in ("A1", "A2", "R2", "R3") if rung in rows)

    sentences = [f"**{network.name}**:"]
    for what, text in ((PAPERS, "8-bit weights with 80 % pruned need {} times the energy of ternary weights; "
                                f"the paper has {PUBLISHED:.2f}."),
                       (BANKS, "Pruned in banks, they need {} times that of the best quantization."),
                       (BEST, "The cheapest network with 80 % pruned that loses at most one point needs {} times that.")):
        if what in lines:
            sentences.append(text.format(values(lines[what])))
    if BEST not in lines:
        sentences.append("No network with 80 % pruned loses at most one point.")
    for upper in ("R2", "R3"):
        found = network.comparison.correlation("A1", upper)
        step = next((step for step in network.comparison.factors if (step.lower, step.upper) == ("A1", upper)), None)
        if found is not None and found.tau is not None and step is not None:
            sentences.append(f"A1 and {upper} order {found.points} points with a Kendall tau of {found.tau:.2f}, and a ratio of "
                             f"two of them that is taken from A1 is wrong by up to {step.spread_mid:.1f}.")
    if network.loaded:
        sentences.append(_at_home(network))
    return " ".join(sentences) + "\n"


def _setup(grid: Mapping[str, Any], networks: Sequence[NetworkGrid]) -> str:
    rows = []
    for network in networks:
        record, facts = network.records[0], grid["networks"][network.name]
        rows.append([network.name, facts["layers"], f"{record['weights']:,}", str(facts["timesteps"]), facts["training"],
                     f"{facts['tested']:,}", str(len(network.records)),
                     str(sum("R3" in point.energies for point in network.points)),
                     str(sum("R4" in point.energies for point in network.points))])
    first = networks[0].records[0]
    compared = sum(record["counts_compared"] for network in networks for record in network.records)
    columns = ("network", "layers", "weights", "timesteps", "training of a point", "test images", "points", "with R3", "with R4")
    return ("## Setup\n\n" + _table(columns, rows)
            + f"\nAll points of a network start from one float network (seed {first['seed']}). Every layer has "
              f"{max(first['lanes'].values())} lanes in every point, so that what differs is the weights, and what the plan "
              "makes of them: it chooses the format of each fully connected layer by stored bits times cycles. Accuracy is "
              "that of the integer network on all test images; activity is that of "
              f"{first['samples']} of them, the first of each class. The RTL gives the spikes of the integer reference, and "
              f"{compared:,} counts of accesses and cycles, predicted and measured, are equal.\n\n"
              "*Unstructured*: the smallest weights of the whole network (mnist-fc, as in the paper) or of each layer but the "
              "first (mnist-conv). *Bank*: the same number of weights for each lane and presynaptic neuron (mnist-fc) or channel "
              "(mnist-conv, all but the first layer), rounded to whole weights, at least one. What was reached stands in the "
              "column *zeros*, which also counts the zeros that quantization makes. Kernels of convolutions are always kept in "
              "blocks, words of one weight for each lane, and a word is left out only where all its weights are 0.\n")


def _headlines(network: NetworkGrid) -> str:
    rungs = network.rungs
    rows = []
    for line in network.headlines:
        found = {row.rung: row for row in line.rows}
        rows.append([line.what, *(f"{found[rung].mid:.2f} ({_band(found[rung].band)})" if rung in found else "-"
                                  for rung in rungs)])
    named = []
    for line in network.headlines:
        pairs: dict[tuple[str, str], list[str]] = {}
        for row in line.rows:
            pairs.setdefault((row.over, row.under), []).append(row.rung)
        said = "; ".join(f"{_named(network, over)} over {_named(network, under)} ({', '.join(on)})"
                         for (over, under), on in pairs.items())
        named.append(f"- {line.what}: {said}")
    return (f"### {network.name}\n\nPaper: {PUBLISHED:.2f}. Ratio at the middle constants, and its band.\n\n"
            + _table(("ratio", *rungs), rows) + "\nWhich networks these are, with their accuracy:\n\n" + "\n".join(named) + "\n")


def _homes(network: NetworkGrid) -> str:
    """Return what the same networks cost with their weights in the large memories of the board."""
    rungs = [rung for rung in network.rungs if all(rung in point.energies for point in network.loaded)]
    fixed = {(point.bits, point.sparsity): point for point in network.points}
    rows = []
    for point in network.loaded:
        other = fixed[point.bits, point.sparsity]
        cells = []
        for rung in rungs:
            energy = point.energies[rung]
            beside = f" ({ratio(other.energies[rung], energy).band.median:.1f})" if rung in other.energies else ""
            cells.append(format_energy(energy.mid_pj) + beside)
        rows.append([point.name, *cells])
    return (f"### {network.name}, weights in the large memories\n\nFixed weights lie in block RAM, of which a read enables every "
            "row: what is stored is paid for with each access, so fewer bits and fewer weights pay twice. The iCE40UP5K also has "
            "four large single-port memories (10 pJ an access, assumed, 3 to 30), which must be loaded at start-up and take the "
            "unpruned networks only. In brackets: energy with fixed weights over this.\n\n"
            + _table(("weights", *rungs), rows) + f"\n{_at_home(network)}\n")


def _at_home(network: NetworkGrid) -> str:
    """Return what width and pruning are worth where the large memories hold what is not pruned."""
    rungs = [rung for rung in network.rungs if rung != "A0" and all(rung in point.energies for point in network.loaded)]
    narrow = min(network.loaded, key=lambda point: point.bits or 0)
    wide = max(network.loaded, key=lambda point: point.bits or 0)
    banks = (wide.bits, HEADLINE, "bank")
    pruned = next((point for point in network.points if (point.bits, point.sparsity, point.structure) == banks), None)

    def over(point: DesignPoint, under: DesignPoint) -> str:
        return _listed([f"{point.energies[rung].mid_pj / under.energies[rung].mid_pj:.2f} ({rung})"
                        for rung in rungs if rung in point.energies])

    said = (f"With the weights in the large memories of the part, weights of {wide.bits:g} bits need {over(wide, narrow)} times "
            f"the energy of weights of {narrow.bits:g} bits.")
    if pruned is not None:
        said += (f" Pruned by 80 % in banks, with fixed weights in block RAM, they need {over(pruned, wide)} times that of the "
                 "same width, unpruned, in the large memories.")
    return said


def _named(network: NetworkGrid, title: str) -> str:
    return f"{title} [{_percent(network.by_title[title]['accuracy'])}]"


def _verdict(network: NetworkGrid) -> str:
    """Return the conclusion of one network in sentences that its numbers decide."""
    sentences = [f"### {network.name}\n"]
    for line in network.headlines[:5]:
        sides: dict[str, list[str]] = {}
        for row in line.rows:
            sides.setdefault("equal" if abs(row.mid - 1) < ALIKE else row.verdict, []).append(f"{row.rung} {row.mid:.2f}")
        said = [text.format(_listed(sides[side])) for side, text in _SIDES.items() if side in sides]
        last = line.rows[-1]
        gained = (network.by_title[last.over]["accuracy"] - network.by_title[last.under]["accuracy"]) * 100
        sentences.append(f"- **{line.what}**: {'; '.join(said)}. {last.over} is {abs(gained):.2f} points "
                         f"{'more' if gained > 0 else 'less'} accurate than {last.under}.")
    return "\n".join(sentences) + "\n\n" + _why(network)


def _why(network: NetworkGrid) -> str:
    """Return what makes the difference between the pruned network and the best quantization, by kind of energy."""
    line = next((line for line in network.headlines if line.what.startswith("8 b + 80 % unstructured over the best")), None)
    if line is None:
        return ""
    points = {point.name: point for point in network.points}
    rows = []
    for row in line.rows:
        over, under = points[row.over].energies[row.rung], points[row.under].energies[row.rung]
        kinds = sorted({*over.kinds, *under.kinds})
        steps = {kind: (over.part(kind=kind).mid_pj - under.part(kind=kind).mid_pj) / under.mid_pj for kind in kinds}
        large = sorted(steps, key=lambda kind: -abs(steps[kind]))[:4]
        rows.append([row.rung, f"{row.over} over {row.under}", f"{row.mid:.2f}",
                     ", ".join(f"{kind} {steps[kind]:+.2f}" for kind in large)])
    one, other = (network.by_title[name] for name in (line.rows[-1].over, line.rows[-1].under))
    facts = (f"{one['stored_bits']:,} stored bits against {other['stored_bits']:,}, {one['cycles']:,.0f} cycles a sample "
             f"against {other['cycles']:,.0f}; stored as {_formats(one)} against {_formats(other)}.")
    return (f"Why, for {line.rows[-1].over} against {line.rows[-1].under}: {facts} What each kind of energy adds to a ratio of 1:"
            "\n\n"
            + _table(("rung", "networks", "ratio", "largest parts of ratio - 1"), rows))


def _formats(record: Record) -> str:
    return " / ".join(name if record["packing"][layer] == "none" else f"{name} ({record['packing'][layer]})"
                      for layer, name in record["format"].items())


def _correlation_row(who: str, found: RankCorrelation) -> list[str]:
    tau = "-" if found.tau is None else f"{found.tau:.3f}"
    band = "-" if found.band is None else _band(found.band)
    return [who, f"{found.first}, {found.second}", str(found.points), tau, band, f"{found.discordant} of {found.pairs}"]


PAIRS = ("A0", "A1"), ("A1", "A2"), ("A1", "R2"), ("A1", "R3"), ("A2", "R2"), ("A2", "R3"), ("R2", "R3"), ("R3", "R4")


def _agreement(networks: Sequence[NetworkGrid]) -> str:
    """Return Kendall's tau of each network and of all points together."""
    rows = []
    for first, second in PAIRS:
        for network in networks:
            if first in network.rungs and second in network.rungs:
                rows.append(_correlation_row(network.name, correlate(network.points, first, second)))
        if len(networks) > 1:
            every = [point for network in networks for point in network.points]
            if all(first in network.rungs and second in network.rungs for network in networks):
                rows.append(_correlation_row("both", correlate(every, first, second, shown=0)))
    asic = load_constants("asic45")
    assert asic.sram is not None
    power = asic[asic.sram.size_exponent].mid
    return ("Kendall's tau of the order of the points on two rungs: 1 for the same order; the band is over the constants. "
            "Memories are what rungs see most differently: A1 charges an access the size of the memory to the power of "
            f"{power:g}; on the FPGA a read enables every block of a memory that is deeper than one, so that it costs in "
            "proportion to all bits of the memory. That is why large dense weights have the largest factors below.\n\n"
            + _table(("network", "rungs", "points", "tau", "band", "pairs in another order"), rows))


def _factors(network: NetworkGrid) -> str:
    steps = {(step.lower, step.upper): step for step in network.comparison.factors}
    chosen = [steps[pair] for pair in (("A1", "R2"), ("A1", "R3"), ("A2", "R2"), ("A2", "R3"), ("R2", "R3"), ("R3", "R4"))
              if pair in steps and len(steps[pair].mids) > 1]
    return f"### {network.name}\n\n" + "\n".join(map(_factor, chosen)) + "\n"


def _factor(step: RungFactors) -> str:
    way = " x ".join(f"{factor:.3g} ({one} to {other})" for one, other, factor in step.steps)
    parts = ", ".join(f"{part.kind} {part.largest:.3g} against {part.smallest:.3g}" for part in step.parts[:4])
    return (f"- **{step.upper} over {step.lower}**: {step.mids[step.smallest]:.3g} ({step.smallest}) to "
            f"{step.mids[step.largest]:.3g} ({step.largest})"
            + (f" = {way}" if len(step.steps) > 1 else "")
            + f". Largest over smallest: {step.spread_mid:.2f} ({_band(step.spread)}), by which a ratio taken from {step.lower} "
              f"can be wrong. What makes it, in the larger and the smaller factor: {parts}.")


def _violations(network: NetworkGrid) -> str:
    """Return where fewer bits or fewer weights have more energy, and what grew."""
    shown = [found for found in network.comparison.violations if not found.rung.startswith("R1")]
    count = {rung: sum(found.rung == rung for found in shown) for rung in network.rungs}
    said = ", ".join(f"{rung} {number}" for rung, number in count.items())
    text = (f"### {network.name}\n\nNeighbouring points that differ in bits or density alone, of which the one with less has the "
            f"higher energy, by rung: {said}. R1 has those of A1 and A2.\n")
    if shown:
        text += ("\nThese networks are trained apart, so they do not spike alike: operations and spikes of the dearer one over "
                 "those of the other stand beside. Where pruning brings little, that decides, and what quantization makes 0 in "
                 "layers that are not pruned. For the same events, fewer bits or fewer weights of a layer never raise A0, A1 or "
                 "R1; a test holds that.\n")
    if not shown:
        return text
    groups: dict[tuple[str, str, str], list[Violation]] = {}
    for found in shown:
        groups.setdefault((found.axis, found.less, found.more), []).append(found)
    rows = []
    for (axis, less, more), each in groups.items():
        largest = max(each, key=lambda found: found.factor_mid)
        work = "-" if largest.work is None else f"{largest.work:.3f}"
        grown = "; ".join(f"{cause.kind} of {cause.layer or 'the design'} +{format_energy(cause.less_pj - cause.more_pj)}"
                          for cause in largest.causes[:2])
        spikes = network.by_title[less]["metrics"]["spikes"] / network.by_title[more]["metrics"]["spikes"]
        rows.append([axis, less, more, ", ".join(f"{found.rung} {found.factor_mid:.3f}" for found in each), work, f"{spikes:.3f}",
                     f"{network.by_title[more]['zeros']:.3f} to {network.by_title[less]['zeros']:.3f}",
                     f"{_formats(network.by_title[more])} to {_formats(network.by_title[less])}", grown])
    return text + "\n" + _table(("less of", "dearer", "than", "by", "synaptic operations", "spikes", "zeros", "formats",
                                 "what grew, where the factor is largest"), rows)


def _fronts(network: NetworkGrid) -> str:
    rows = []
    for rung in network.rungs:
        names = network.comparison.fronts.get(rung, ())
        near = [name for name in names if network.by_title[name]["accuracy"] >= network.best_accuracy - 2 * EQUAL - _EPS]
        points = {point.name: point for point in network.points}
        rows.append([rung, str(len(names)),
                     "; ".join(f"{_named(network, name)} {format_energy(points[name].energies[rung].mid_pj)}" for name in near)])
    return (f"### {network.name}\n\nOn the front of each rung no other point is as accurate and cheaper. Shown are those that "
            "lose at most two points of accuracy.\n\n" + _table(("rung", "points on the front", "from the cheapest"), rows))


def _points(network: NetworkGrid) -> str:
    rungs = network.rungs
    rows = []
    for point, record in zip(network.points, network.records, strict=True):
        energies = [format_energy(point.energies[rung].mid_pj) if rung in point.energies else "" for rung in rungs]
        rows.append([point.name, _percent(record["accuracy"]), f"{record['zeros']:.3f}", _formats(record),
                     f"{record['stored_bits'] / 1000:,.1f}", f"{record['cycles']:,.0f}", *energies])
    return (f"### {network.name}\n\nEnergy of a sample at the middle constants; bits are those of weights, of what tells their "
            "places, and of where lists lie.\n\n"
            + _table(("weights", "accuracy", "zeros", "format of each layer", "kbit", "cycles", *rungs), rows))


def grid_figures(grid: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the figures show: plain values; energies in µJ, accuracies in percent.

    Returns
    -------
    dict
        ``"front"``: by network and rung the points, each structure a series, and the front. ``"scatter"``: by network A1 against
        R2 and R3.
    """
    front: dict[str, Any] = {}
    pairs: dict[str, Any] = {}
    for name in dict.fromkeys(record["network"] for record in grid["points"]):
        network = NetworkGrid(name, grid["points"])
        points = {point.name: point for point in network.points}
        for rung in (rung for rung in ("A1", "R2", "R3") if rung in network.rungs):
            series: dict[str, list[dict[str, Any]]] = {}
            for point in network.points:
                if rung in point.energies:
                    series.setdefault(_series(point), []).append(
                        {"bits": point.bits, "x": point.energies[rung].mid_pj / 1e6, "y": network.accuracy(point) * 100})
            line = [[points[found].energies[rung].mid_pj / 1e6, network.accuracy(points[found]) * 100]
                    for found in network.comparison.fronts.get(rung, ())]
            front.setdefault(name, {})[rung] = {"series": series, "front": line}
        for upper in (rung for rung in ("R2", "R3") if rung in network.rungs):
            found: dict[str, list[dict[str, Any]]] = {}
            for point in network.points:
                if upper in point.energies:
                    one, other = point.energies["A1"], point.energies[upper]
                    found.setdefault(_series(point), []).append(
                        {"bits": point.bits, "x": [value / 1e6 for value in (one.band.low, one.mid_pj, one.band.high)],
                         "y": [value / 1e6 for value in (other.band.low, other.mid_pj, other.band.high)]})
            pairs.setdefault(name, {})[upper] = found
    return {"front": front, "scatter": pairs}


def _series(point: DesignPoint) -> str:
    return {"none": "not pruned", "bank": "pruned in banks"}.get(point.structure, point.structure)

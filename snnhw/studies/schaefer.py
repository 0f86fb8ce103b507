"""Claims A1 to A10: what Schaefer et al. (2023) say, held against the grid of our own runs.

Each function takes a :class:`Grid` and returns an :class:`Outcome`; nothing is trained here. Two accuracies are *equal* when they
differ by at most one point in the mean of the seeds, the tolerance of the claim table.
"""

import itertools
from collections.abc import Callable

from snnhw.cost.bands import format_energy
from snnhw.cost.encodings import parse_encoding
from snnhw.studies.grid import FORMATS, Grid, Spread, Trained
from snnhw.studies.quantize_prune import BITS, LEVELS, Point
from snnhw.studies.verdicts import NOT, Outcome, judge

__all__ = ["CLAIMS", "NEEDS", "knee"]

EQUAL = 0.01          # of accuracy
COLLAPSE = 0.05       # of accuracy
PUBLISHED_RATIO = 13.977 / 9.593
PUBLISHED_ZEROS = {2: 0.679, 3: 0.316, 4: 0.151, 6: 0.036, 8: 0.009}
TERNARY, PRUNED, COMBINED = Point("joint", 2), Point("joint", 8, 0.8), Point("joint", 3, 0.8)
LATER = Point("cumulative", 3, 0.8)
DENSE = tuple(Point("joint", bits) for bits in BITS)
_EPS = 1e-9           # sums of floats


def _energy(spread: Spread) -> str:
    """Return a mean energy and its deviation."""
    return f"{format_energy(spread.mean)}" + (f" ± {spread.deviation / spread.mean:.1%}" if len(spread.values) > 1 else "")


def a1(grid: Grid) -> Outcome:
    """Return whether ternary weights cost accuracy."""
    widest = Point("joint", 8)
    losses = {point.bits: grid.loss(point, widest) for point in DENSE}
    lost = losses[2].mean
    others = max(losses[bits].mean for bits in BITS if bits != 2)
    rows = [{"weights": point.title, "validation": grid.accuracy(point, "validation").percent(),
             "test": grid.accuracy(point).percent(), "lost against 8 b, points": losses[point.bits].text(2, 100)}
            for point in DENSE]
    why = "" if lost <= EQUAL + _EPS else f"ternary loses {lost * 100:.2f} points"
    return Outcome(judge(lost <= EQUAL + _EPS, others <= EQUAL + _EPS),
                   f"ternary {grid.accuracy(TERNARY).percent()}, 8 b {grid.accuracy(widest).percent()}; "
                   f"lost {losses[2].text(2, 100)} points", why, grid.seeds(*DENSE), rows=rows)


def knee(grid: Grid, bits: int = 8, schedule: str = "joint", split: str = "test") -> float:
    """Return the largest pruned share up to which, without a gap, accuracy stays equal to that without pruning."""
    widest, last = Point("joint", bits), 0.0
    for pruned in LEVELS[1:]:
        point = Point(schedule, bits, pruned)
        if point not in grid.complete:
            continue
        if grid.loss(point, widest, split).mean > EQUAL + _EPS:
            break
        last = pruned
    return last


def a2(grid: Grid) -> Outcome:
    """Return where pruning begins to cost accuracy."""
    widest = Point("joint", 8)
    points = [widest, *(point for pruned in LEVELS[1:] if (point := Point("joint", 8, pruned)) in grid.complete)]
    found, held = knee(grid), knee(grid, split="validation")
    most = points[-1]
    fallen = grid.loss(most, widest)
    rows = [{"pruned": f"{point.pruned:.1%}", "zeros": grid.each(lambda item: item.zeros, point).percent(1),
             "validation": grid.accuracy(point, "validation").percent(), "test": grid.accuracy(point).percent(),
             "lost, points": grid.loss(point, widest).text(2, 100)} for point in points]
    collapses = fallen.mean >= COLLAPSE
    why = ""
    if not 0.8 <= found <= 0.85:
        why = f"accuracy stays equal up to {found:.1%} pruned, in the paper up to 80 to 85 %"
    elif not collapses:
        why = f"at {most.pruned:.1%} only {fallen.mean * 100:.2f} points are lost"
    return Outcome(judge(not why, collapses and found > 0),
                   f"equal up to {found:.1%} (chosen on validation: {held:.1%}); {fallen.text(1, 100)} points lost at "
                   f"{most.pruned:.1%}", why, grid.seeds(widest, most), rows=rows)


def a3(grid: Grid) -> Outcome:
    """Return what pruned 8-bit weights cost more than ternary ones."""
    ratios = {name: grid.ratio(PRUNED, TERNARY, name) for name in FORMATS}
    lost = grid.loss(TERNARY, PRUNED)
    main = ratios["rle4"]
    batch, chip = grid.ratio(PRUNED, TERNARY, "rle4", "batch"), grid.ratio(PRUNED, TERNARY, "rle4", "chip")
    rows = [{"weights": name, "ternary": _energy(grid.energy(TERNARY, name)), "8 b + 80 %": _energy(grid.energy(PRUNED, name)),
             "ratio": ratios[name].text(3), "paper": paper,
             "all timesteps at once": grid.ratio(PRUNED, TERNARY, name, "batch").text(3),
             "weights on chip": grid.ratio(PRUNED, TERNARY, name, "chip").text(3)}
            for name, paper in zip(FORMATS, ("1.457", "1.457", "1.343", "1.387"), strict=True)]
    equal = abs(lost.mean) <= EQUAL + _EPS
    higher = min(main.values) > 1
    near = main.mean >= 1 + (PUBLISHED_RATIO - 1) / 2
    why = []
    if not equal:
        why.append(f"accuracies differ by {lost.mean * 100:.2f} points")
    if not near:
        why.append(f"the ratio is {main.mean:.3f}, not {PUBLISHED_RATIO:.3f}")
    elif not higher:
        why.append(f"the ratio of a seed is {min(main.values):.3f}")
    return Outcome(judge(equal and higher and near, higher),
                   f"RLE {ratios['rle4'].text(3)}, CP {ratios['cp'].text(3)}, UOP {ratios['uop'].text(3)}, "
                   f"UBM {ratios['ubm'].text(3)}; all timesteps at once {batch.text(3)}, weights on chip {chip.text(3)} (RLE)",
                   "; ".join(why), grid.seeds(PRUNED, TERNARY), rows=rows)


def a4(grid: Grid) -> Outcome:
    """Return how many zeros quantization makes."""
    zeros = {point.bits: grid.each(lambda item: item.zeros, point) for point in DENSE}
    falls = all(zeros[left].mean > zeros[right].mean for left, right in itertools.pairwise(BITS))
    inside = 0.5 <= zeros[2].mean <= 0.8
    layers = [layer.name for layer in grid.first(TERNARY).layers]
    rows = [{"weights": point.title, "zeros": zeros[point.bits].percent(1), "paper": f"{PUBLISHED_ZEROS[point.bits]:.1%}"}
            | {name: grid.each(_zeros_of(index), point).percent(1) for index, name in enumerate(layers)} for point in DENSE]
    why = ""
    if not falls:
        why = "the share of zeros does not fall with every step in width"
    elif not inside:
        why = f"ternary weights are zero to {zeros[2].mean:.1%}, expected were 50 to 80 %"
    return Outcome(judge(falls and inside, falls), " / ".join(f"{zeros[bits].mean:.1%}" for bits in BITS)
                   + f" at {' / '.join(map(str, BITS))} b", why, grid.seeds(*DENSE), rows=rows)


def _zeros_of(index: int) -> Callable[[Trained], float]:
    return lambda item: 1 - item.layers[index].weight_density


def a5(grid: Grid) -> Outcome:
    """Return at which widths compressing pays, in bits and in energy, and whether break-even formulas say so before."""
    rows, right, cases = [], 0, 0
    pays: dict[str, list[int]] = {"energy": [], "rle4": [], "bitmask": []}
    for point in DENSE:
        density = 1 - grid.each(lambda item: item.zeros, point).mean
        row = {"weights": point.title, "density": f"{density:.3f}"}
        for name in ("rle4", "bitmask"):
            limit = parse_encoding(name).break_even(point.bits, (1 << 20, 1 << 10), "sparseloop") or 0.0
            share = grid.each(lambda item, name=name: item.exact_bits(name) / item.exact_bits("dense"), point)
            cases += 1
            right += (density < limit) == (share.mean < 1)
            if share.mean < 1:
                pays[name].append(point.bits)
            row |= {f"{name} pays below": f"{limit:.3f}", f"{name} bits / dense": share.text(3)}
        whole = grid.energy(point, "dense", zeros=False)
        part = grid.energy(point, "rle4")
        if part.mean < whole.mean:
            pays["energy"].append(point.bits)
        rows.append(row | {"energy, rle4": _energy(part), "energy, dense": _energy(whole)})
    narrow = pays["energy"] == list(BITS[:len(pays["energy"])]) and 2 in pays["energy"] and 8 not in pays["energy"]
    why = "" if pays["energy"] == [2, 3] else f"in energy run lengths pay {_up_to(pays['energy'])}, in the paper up to 3 b"
    return Outcome(judge(not why, narrow),
                   f"energy: RLE pays {_up_to(pays['energy'])}; stored bits: RLE {_up_to(pays['rle4'])}, bitmask "
                   f"{_up_to(pays['bitmask'])}; break-even formulas right in {right} of {cases} cases", why,
                   grid.seeds(*DENSE), rows=rows)


def _up_to(bits: list[int]) -> str:
    return f"up to {max(bits)} b" if bits else "nowhere"


def a6(grid: Grid) -> Outcome:
    """Return whether run lengths and coordinates beat offsets and masks."""
    rows, wins = [], []
    for point in (TERNARY, PRUNED, COMBINED):
        energies = {name: grid.energy(point, name) for name in FORMATS}
        wins.append(max(energies["rle4"].mean, energies["cp"].mean) < min(energies["uop"].mean, energies["ubm"].mean))
        rows.append({"weights": point.title} | {name: _energy(energies[name]) for name in FORMATS})
    first = {name: grid.energy(TERNARY, name) for name in FORMATS}
    why = "" if all(wins) else f"holds for {sum(wins)} of {len(wins)} points"
    return Outcome(judge(all(wins), wins[0]),
                   "ternary: " + " / ".join(f"{name} {_energy(first[name])}" for name in FORMATS), why,
                   grid.seeds(TERNARY, PRUNED, COMBINED), rows=rows)


def a7(grid: Grid) -> Outcome:
    """Return which part of the energy DRAM takes, and what takes its place where weights lie on chip."""
    points = TERNARY, Point("joint", 8), PRUNED
    rows, shares = [], []
    for point in points:
        once = grid.each(lambda item: item.energy("rle4").share("dram", "dram_link"), point)
        batch = grid.each(lambda item: item.energy("rle4", "batch").share("dram", "dram_link"), point)
        chip = grid.each(_weights_on_chip, point)
        shares.append(once)
        rows.append({"weights": point.title, "DRAM, timestep by timestep": once.percent(1),
                     "DRAM, all timesteps at once": batch.percent(1), "weights on chip: bringing them": chip.percent(1)})
    dominates = all(share.mean > 0.5 for share in shares)
    return Outcome(judge(dominates, shares[0].mean > 0.5),
                   " / ".join(f"{point.title} {share.percent(0)}" for point, share in zip(points, shares, strict=True))
                   + "; on chip there is none, and bringing weights takes "
                   + " / ".join(row["weights on chip: bringing them"] for row in rows),
                   "" if dominates else "DRAM takes less than half somewhere", grid.seeds(*points), rows=rows)


def _weights_on_chip(item: Trained) -> float:
    """Return the part of the energy that weights from the large memory take."""
    found = item.energy("rle4", "chip")
    by = found.energy_by("level", "kind")
    return sum(by.get((level, "weights"), 0.0) for level in ("global_buffer", "array_link")) / found.energy_pj


def a8(grid: Grid) -> Outcome:
    """Return whether 3 bits and pruning together keep accuracy and still do not beat ternary weights."""
    widest = Point("joint", 8)
    points = TERNARY, COMBINED, LATER
    rows = [{"weights": point.title, "test": grid.accuracy(point).percent(), "energy, rle4": _energy(grid.energy(point)),
             "of ternary": grid.ratio(point, TERNARY).text(3), "of ternary, bits": grid.each(_bits_ratio, point, TERNARY).text(3),
             "of ternary, on chip": grid.ratio(point, TERNARY, "rle4", "chip").text(3)} for point in points]
    lost = grid.loss(COMBINED, widest).mean
    ratios = [grid.ratio(point, TERNARY) for point in (COMBINED, LATER)]
    kept, dearer = lost <= EQUAL + _EPS, min(min(ratio.values) for ratio in ratios) > 1
    why = []
    if not kept:
        why.append(f"3 b + 80 % lose {lost * 100:.2f} points")
    if not dearer:
        why.append(f"they need {grid.ratio(COMBINED, TERNARY).mean:.2f} (joint) and {grid.ratio(LATER, TERNARY).mean:.2f} "
                   f"(cumulative) of the energy of ternary weights, not 1.14 and 1.15, and are more accurate by "
                   f"{grid.loss(TERNARY, COMBINED).mean * 100:.2f} and {grid.loss(TERNARY, LATER).mean * 100:.2f} points")
    return Outcome(judge(kept and dearer, kept and min(ratio.mean for ratio in ratios) > 1),
                   f"joint {grid.accuracy(COMBINED).percent()} at {grid.ratio(COMBINED, TERNARY).text(3)} of ternary, "
                   f"cumulative {grid.accuracy(LATER).percent()} at {grid.ratio(LATER, TERNARY).text(3)}", "; ".join(why),
                   grid.seeds(*points, widest), rows=rows)


def _bits_ratio(mine: Trained, its: Trained) -> float:
    return min(mine.exact_bits(name) for name in ("rle4", "bitmask")) / min(its.exact_bits(name) for name in ("rle4", "bitmask"))


def a9(grid: Grid) -> Outcome:
    """Return whether pruned ternary networks lie on the Pareto front."""
    front = grid.front()
    best = max(grid.accuracy(point, "validation").mean for point in front)
    rows = [{"weights": point.title, "energy, rle4": _energy(grid.energy(point)),
             "validation": grid.accuracy(point, "validation").percent(), "test": grid.accuracy(point).percent()}
            for point in front]
    both = [point for point in front if point.bits == 2 and point.pruned]
    near = [point for point in both if best - grid.accuracy(point, "validation").mean <= 2 * EQUAL + _EPS]
    why = "" if near else (f"pruned ternary points on the front lose more than {2 * EQUAL:.0%}" if both
                           else "no pruned ternary point is on the front")
    named = near or both or list(front[:1])
    return Outcome(judge(bool(near), bool(both)), f"{len(front)} of {len(grid.complete)} points on the front, "
                   + ", ".join(f"{point.title}: {grid.accuracy(point).percent()} at {_energy(grid.energy(point))}"
                               for point in named[-2:]), why, grid.seeds(*front), rows=rows)


def a10(grid: Grid) -> Outcome:
    """Return how far the two schedules differ up to 90 % pruned."""
    pairs = [(point, Point("cumulative", point.bits, point.pruned)) for point in grid.complete
             if point.schedule == "joint" and 0 < point.pruned <= 0.9]
    pairs = [pair for pair in pairs if pair[1] in grid.complete]
    if not pairs:
        return Outcome(NOT, "none", "no point was trained in both schedules")
    apart = {pair: grid.loss(pair[1], pair[0]) for pair in pairs}
    rows = [{"weights": f"{pair[0].bits} b + {pair[0].pruned:.1%}", "joint": grid.accuracy(pair[0]).percent(),
             "cumulative": grid.accuracy(pair[1]).percent(), "joint is better by, points": apart[pair].text(2, 100)}
            for pair in pairs]
    size = {pair: abs(spread.mean) for pair, spread in apart.items()}
    mean, worst = sum(size.values()) / len(size), max(size, key=lambda pair: size[pair])
    why = "" if size[worst] <= EQUAL + _EPS else (f"{worst[0].bits} b + {worst[0].pruned:.1%} differ by "
                                                  f"{size[worst] * 100:.2f} points")
    return Outcome(judge(not why, mean <= EQUAL + _EPS), f"{mean * 100:.2f} points apart in the mean of {len(pairs)} points, "
                   f"at most {size[worst] * 100:.2f}", why, grid.seeds(*(point for pair in pairs for point in pair)), rows=rows)


CLAIMS: dict[str, Callable[[Grid], Outcome]] = {
    "A1": a1, "A2": a2, "A3": a3, "A4": a4, "A5": a5, "A6": a6, "A7": a7, "A8": a8, "A9": a9, "A10": a10}
"""What each claim makes of a grid."""

_EDGE = tuple(Point("joint", 8, pruned) for pruned in (0.0, 0.8, 0.85, 0.9, 0.95, 0.975))
NEEDS: dict[str, tuple[Point, ...]] = {
    "A1": DENSE, "A2": _EDGE, "A3": (TERNARY, PRUNED), "A4": DENSE, "A5": DENSE, "A6": (TERNARY, PRUNED, COMBINED),
    "A7": (TERNARY, Point("joint", 8), PRUNED), "A8": (TERNARY, COMBINED, LATER, Point("joint", 8)),
    "A9": (TERNARY, PRUNED, COMBINED, Point("joint", 8), Point("joint", 2, 0.75), Point("joint", 2, 0.85),
           Point("cumulative", 2, 0.85)),
    "A10": (COMBINED, LATER, PRUNED, Point("cumulative", 8, 0.8), Point("joint", 8, 0.9), Point("cumulative", 8, 0.9)),
}
"""The points that a claim cannot do without."""

"""Design points beside each other: what each rung says of them, where rungs disagree, and what may be concluded."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from snnhw.cost.bands import DRAWS, Band
from snnhw.cost.constants import ConstantSet
from snnhw.cost.correlation import RankCorrelation, correlate, kendall_tau
from snnhw.cost.energy import ratio
from snnhw.cost.factors import RungFactors, rung_factors
from snnhw.cost.metrics import energy_metrics
from snnhw.cost.monotone import Violation, find_violations
from snnhw.cost.pareto import pareto_front
from snnhw.cost.points import DesignPoint, common_rungs, load_points

__all__ = ["Comparison", "RatioRow", "TextbookRow", "compare_points", "compare_records", "scatter", "select"]

Json = dict[str, Any]
FORMULA = "A1"


@dataclass(frozen=True)
class RatioRow:
    """Energy of one point over that of another, on one rung.

    Attributes
    ----------
    over, under, rung : str
        The points and the rung.
    mid : float
        At the middle constants.
    band : Band
        Draw by draw, in common draws.
    share : float
        Part of the draws in which `over` is the dearer.
    """

    over: str
    under: str
    rung: str
    mid: float
    band: Band
    share: float

    @property
    def verdict(self) -> str:
        """``"dearer"`` or ``"cheaper"`` where the band leaves no doubt, else ``"undecided"``; ``"equal"`` for the same energy."""
        if self.band.low == self.band.high == 1.0:
            return "equal"
        return "dearer" if self.band.low > 1 else "cheaper" if self.band.high < 1 else "undecided"


@dataclass(frozen=True)
class TextbookRow:
    """What a model of papers says of the points, beside the rungs.

    Attributes
    ----------
    model, title, hardware : str
        Name, and what its constants are of: never the hardware of the rungs, so that its joules are not compared with theirs.
    points : int
        How many points have it.
    tau : dict of str to float
        By rung, Kendall's tau-b of the order in which both put the points.
    ratios : tuple of (str, str, float)
        For the pairs that were asked for: over, under, and the ratio at the middle constants.
    """

    model: str
    title: str
    hardware: str
    points: int
    tau: dict[str, float]
    ratios: tuple[tuple[str, str, float], ...]


@dataclass(frozen=True)
class Comparison:
    """What rungs say about design points.

    Attributes
    ----------
    points : tuple of DesignPoint
        What was compared.
    rungs : tuple of str
        Rungs that at least two points have, in the order of the ladder.
    correlations : tuple of RankCorrelation
        Of any two rungs that two points have.
    ratios : tuple of RatioRow
        Of the pairs that were asked for, on each rung that both points have.
    factors : tuple of RungFactors
        Between the rungs that are worth comparing.
    fronts : dict of str to tuple of str
        By rung, the points that no other has a better accuracy and a lower energy than; empty without accuracies.
    violations : tuple of Violation
        Where less costs more.
    compared : int
        How many comparisons the violations are of.
    textbook : tuple of TextbookRow
        The models of papers, where points have them.
    conclusion : tuple of str
        The same in sentences.
    """

    points: tuple[DesignPoint, ...]
    rungs: tuple[str, ...]
    correlations: tuple[RankCorrelation, ...]
    ratios: tuple[RatioRow, ...]
    factors: tuple[RungFactors, ...]
    fronts: dict[str, tuple[str, ...]]
    violations: tuple[Violation, ...]
    compared: int
    textbook: tuple[TextbookRow, ...]
    conclusion: tuple[str, ...]

    def correlation(self, first: str, second: str) -> RankCorrelation | None:
        """Return the correlation of two rungs, None where there is none."""
        return next((found for found in self.correlations if {found.first, found.second} == {first, second}), None)

    def as_json(self) -> Json:
        """Return everything as plain values."""
        return {
            "points": [_point_json(point) for point in self.points],
            "rungs": list(self.rungs),
            "tau": [asdict(found) for found in self.correlations],
            "ratios": [asdict(row) | {"verdict": row.verdict} for row in self.ratios],
            "factors": [asdict(found) for found in self.factors],
            "pareto": {rung: list(names) for rung, names in self.fronts.items()},
            "violations": [asdict(found) for found in self.violations],
            "compared": self.compared,
            "textbook": [asdict(row) for row in self.textbook],
            "conclusion": list(self.conclusion),
        }


_WORK = {"synaptic_operations": 0, "effective_acs": 0, "effective_macs": 0}


def _point_json(point: DesignPoint) -> Json:
    rungs: Json = {}
    for rung in point.rungs:
        energy = point.energies[rung]
        rungs[rung] = {
            "title": energy.title, "basis": energy.basis, "constants": energy.constants.title, "mid_pj": energy.mid_pj,
            **energy.band.as_json(), "kinds": {kind: energy.part(kind=kind).mid_pj for kind in energy.kinds},
            "layers": {layer or "(design)": energy.part(layer=layer).mid_pj for layer in energy.layers},
            "largest_is_assumed": energy.largest_is_assumed, "evidence": energy.evidence,
            **energy_metrics(energy, _WORK | dict(point.metrics)),
        }
    return {"name": point.name, "network": point.network, "bits": point.bits, "sparsity": point.sparsity,
            "structure": point.structure, "seed": point.seed, "rate": point.rate, "accuracy": point.accuracy,
            "formats": dict(point.formats), "cycles": point.cycles, "seconds": point.seconds, "metrics": dict(point.metrics),
            "rungs": rungs, "textbook": [found.as_json() for found in point.textbook.values()]}


def compare_records(records: Sequence[Mapping[str, Any]], *, sets: Mapping[str, ConstantSet] | None = None,
                    pairs: Sequence[tuple[str, str]] | None = None, draws: int = DRAWS, seed: int = 0) -> Comparison:
    """Compare design points that are given as records; see :func:`compare_points` and :meth:`DesignPoint.of`."""
    return compare_points(load_points(records, sets, draws=draws, seed=seed), pairs=pairs)


def compare_points(points: Sequence[DesignPoint], *, pairs: Sequence[tuple[str, str]] | None = None) -> Comparison:
    """Compare design points on all their rungs.

    Parameters
    ----------
    points : sequence of DesignPoint
        Of one draw: their energies must agree in `draws` and `seed`.
    pairs : sequence of (str, str) or None
        Names of points whose energies are divided, over and under; every point over the first by default.
    """
    from snnhw.cost.conclusion import conclude

    points = tuple(points)
    rungs = common_rungs(points)
    if pairs is None:
        pairs = [(point.name, points[0].name) for point in points[1:]]
    pairs_of_rungs = [(one, other) for index, one in enumerate(rungs) for other in rungs[index + 1:]]
    ranked = (correlate(points, one, other) for one, other in pairs_of_rungs)
    correlations = tuple(rank for rank in ranked if rank.points > 1)
    factors = tuple(found for lower, upper in _steps(rungs) if (found := rung_factors(points, lower, upper)) is not None)
    fronts = {rung: front for rung in rungs if (front := _front(points, rung))}
    violations, compared = find_violations(points, rungs)
    ratios = _ratios(points, pairs, rungs)
    bare = Comparison(points, rungs, correlations, ratios, factors, fronts, tuple(violations), compared,
                      _textbook(points, pairs, rungs), ())
    return replace(bare, conclusion=conclude(bare))


def _steps(rungs: Sequence[str]) -> list[tuple[str, str]]:
    """Return the rungs to compare: the formula with each above it, and the model of the FPGA with the activity."""
    wanted = [("A0", "A1"), ("A1", "A2"), ("A1", "R2"), ("A1", "R3"), ("A1", "R4"), ("A2", "R2"), ("A2", "R3"), ("A2", "R4"),
              ("R2", "R3"), ("R3", "R4")]
    return [(lower, upper) for lower, upper in wanted if lower in rungs and upper in rungs]


def select(points: Sequence[DesignPoint], name: str) -> DesignPoint:
    """Return the point of a name."""
    found = next((point for point in points if point.name == name), None)
    if found is None:
        raise ValueError(f"Design point must be one of {', '.join(point.name for point in points)}, not {name!r}")
    return found


def _ratios(points: Sequence[DesignPoint], pairs: Sequence[tuple[str, str]], rungs: Sequence[str]) -> tuple[RatioRow, ...]:
    rows = []
    for over, under in pairs:
        one, other = select(points, over), select(points, under)
        for rung in rungs:
            if rung in one.energies and rung in other.energies and other.energies[rung].mid_pj > 0:
                above, below = one.energies[rung], other.energies[rung]
                share = float(np.mean(above.drawn_pj > below.drawn_pj))
                rows.append(RatioRow(over, under, rung, above.mid_pj / below.mid_pj, ratio(above, below).band, share))
    return tuple(rows)


def _textbook(points: Sequence[DesignPoint], pairs: Sequence[tuple[str, str]], rungs: Sequence[str]) -> tuple[TextbookRow, ...]:
    found = {model: energy for point in points for model, energy in point.textbook.items()}
    rows = []
    for model, one in found.items():
        having = [point for point in points if model in point.textbook]
        taus: dict[str, float] = {}
        for rung in rungs:
            both = [(point.textbook[model].mid_pj, point.energies[rung].mid_pj) for point in having if rung in point.energies]
            if len(both) > 1 and np.isfinite(tau := float(kendall_tau(*np.array(both).T))):
                taus[rung] = tau
        energies = {point.name: point.textbook[model].mid_pj for point in having}
        ratios = tuple((over, under, energies[over] / energies[under]) for over, under in pairs
                       if over in energies and energies.get(under, 0.0) > 0)
        rows.append(TextbookRow(model, one.title, one.hardware, len(having), taus, ratios))
    return tuple(rows)


def _front(points: Sequence[DesignPoint], rung: str) -> tuple[str, ...]:
    known = [point for point in points if point.accuracy is not None and rung in point.energies]
    values = [(point.energies[rung].mid_pj, point.accuracy or 0.0) for point in known]
    kept = [known[index] for index in pareto_front(values, maximise=(1,))] if values else []
    return tuple(point.name for point in sorted(kept, key=lambda point: point.energies[rung].mid_pj))


def scatter(points: Sequence[DesignPoint], first: str, second: str) -> list[tuple[str, Band, Band, float, float]]:
    """Return for each point that has both rungs its name, both bands, and both energies at the middle constants, in pJ."""
    return [(point.name, point.energies[first].band, point.energies[second].band, point.energies[first].mid_pj,
             point.energies[second].mid_pj)
            for point in points if first in point.energies and second in point.energies]

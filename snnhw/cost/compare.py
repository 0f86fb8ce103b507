"""Design points beside each other: what each rung says of them, where rungs disagree, and what may be concluded."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from snnhw.cost.bands import DRAWS, Band
from snnhw.cost.constants import ConstantSet
from snnhw.cost.correlation import RankCorrelation, correlate
from snnhw.cost.energy import ratio
from snnhw.cost.factors import RungFactors, rung_factors
from snnhw.cost.metrics import energy_metrics
from snnhw.cost.monotone import Violation, find_violations
from snnhw.cost.pareto import pareto_front
from snnhw.cost.points import DesignPoint, common_rungs, load_points

__all__ = ["Comparison", "RatioRow", "compare_points", "compare_records", "scatter", "select"]

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
class Comparison:
    """What rungs say about design points.

    Attributes
    ----------
    points : tuple of DesignPoint
        What was compared.
    rungs : tuple of str
        Rungs that at least two points have, in the order of the ladder.
    correlations : tuple of RankCorrelation
        Of any two rungs.
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
            "rungs": rungs}


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
    correlations = tuple(correlate(points, one, other) for index, one in enumerate(rungs) for other in rungs[index + 1:])
    factors = tuple(found for lower, upper in _steps(rungs) if (found := rung_factors(points, lower, upper)) is not None)
    fronts = {rung: front for rung in rungs if (front := _front(points, rung))}
    violations, compared = find_violations(points, rungs)
    ratios = _ratios(points, pairs, rungs)
    bare = Comparison(points, rungs, correlations, ratios, factors, fronts, tuple(violations), compared, ())
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

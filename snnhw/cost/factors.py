"""Factors between two rungs: how much more one counts than the other, where it differs most, and which kinds make it."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from snnhw.cost.bands import Band
from snnhw.cost.energy import KINDS, Energy, ratio
from snnhw.cost.points import DesignPoint

__all__ = ["FactorPart", "RungFactors", "rung_factors"]


@dataclass(frozen=True)
class FactorPart:
    """What one kind of energy has in a factor.

    A factor is the sum over kinds of what the upper rung counts of a kind, divided by the whole of the lower rung. So the parts
    of a factor add up to it, and the parts of a difference of two factors add up to that.

    Attributes
    ----------
    kind : str
        One of :data:`snnhw.cost.KINDS`.
    largest, smallest, lower : float
        Its part of the largest and of the smallest factor, and its share in the lower rung where the factor is largest.
    share : float
        Its part of the difference between the two factors; where there is none, of the largest factor.
    """

    kind: str
    largest: float
    smallest: float
    lower: float
    share: float


@dataclass(frozen=True)
class RungFactors:
    """Energy on one rung over energy on another, over the points that have both.

    Attributes
    ----------
    lower, upper : str
        The rungs.
    factors : dict of str to Band
        By point.
    mids : dict of str to float
        The same at the middle constants.
    largest, smallest : str
        The points where the factor is largest and smallest, at the middle constants.
    spread : Band
        Largest over smallest, draw by draw: how wrong a ratio of two points can be that is taken from the lower rung.
    spread_mid : float
        The same at the middle constants.
    steps : tuple of (str, str, float)
        The largest factor as a product: the rungs between the two that the point has, and the factor of each step.
    parts : tuple of FactorPart
        The kinds, the largest share first.
    note : str
        Not empty where the rungs are of different hardware.
    """

    lower: str
    upper: str
    factors: dict[str, Band]
    mids: dict[str, float]
    largest: str
    smallest: str
    spread: Band
    spread_mid: float
    steps: tuple[tuple[str, str, float], ...]
    parts: tuple[FactorPart, ...]
    note: str


def _share(energy: Energy, kind: str, whole: float) -> float:
    return energy.part(kind=kind).mid_pj / whole


def rung_factors(points: Sequence[DesignPoint], lower: str, upper: str) -> RungFactors | None:
    """Return the factors between two rungs, and what makes the largest differ from the smallest; None without a common point."""
    both = [point for point in points if lower in point.energies and upper in point.energies
            and point.energies[lower].mid_pj > 0]
    if not both:
        return None
    pairs = {point.name: (point.energies[lower], point.energies[upper]) for point in both}
    quotients = {name: ratio(over, under) for name, (under, over) in pairs.items()}
    mids = {name: over.mid_pj / under.mid_pj for name, (under, over) in pairs.items()}
    largest, smallest = max(mids, key=lambda name: mids[name]), min(mids, key=lambda name: mids[name])
    drawn = {name: over.drawn_pj / under.drawn_pj for name, (under, over) in pairs.items()}
    difference = mids[largest] - mids[smallest]
    parts = []
    for kind in KINDS:
        under, over = pairs[largest]
        high = _share(over, kind, under.mid_pj)
        low = _share(pairs[smallest][1], kind, pairs[smallest][0].mid_pj)
        share = (high - low) / difference if difference > 0 else high / mids[largest] if mids[largest] else 0.0
        if high or low:
            parts.append(FactorPart(kind, high, low, _share(under, kind, under.mid_pj), share))
    parts.sort(key=lambda part: -abs(part.share))
    point = next(point for point in both if point.name == largest)
    return RungFactors(lower, upper, {name: found.band for name, found in quotients.items()}, mids, largest, smallest,
                       Band.of(drawn[largest] / drawn[smallest]), mids[largest] / mids[smallest] if mids[smallest] else 0.0,
                       _steps(point, lower, upper), tuple(parts), quotients[largest].note)


_BETWEEN = ("A1", "A2", "R2", "R3", "R4")  # each adds one thing to the one before


def _steps(point: DesignPoint, lower: str, upper: str) -> tuple[tuple[str, str, float], ...]:
    """Return the factors from a rung to another through those between them that the point has."""
    if lower not in _BETWEEN or upper not in _BETWEEN:
        return ((lower, upper, point.energies[upper].mid_pj / point.energies[lower].mid_pj),)
    found = _BETWEEN[_BETWEEN.index(lower):_BETWEEN.index(upper) + 1]
    way = [rung for rung in found if rung in point.energies]
    return tuple((one, other, point.energies[other].mid_pj / point.energies[one].mid_pj)
                 for one, other in pairwise(way) if point.energies[one].mid_pj)

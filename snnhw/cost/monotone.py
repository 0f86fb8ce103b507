"""Less should not cost more: points with fewer bits, weights or spikes that have the higher energy."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from snnhw.cost.bands import Band
from snnhw.cost.correlation import TIE
from snnhw.cost.energy import ratio
from snnhw.cost.points import DesignPoint

__all__ = ["AXES", "Cause", "Violation", "find_violations", "neighbours"]

AXES = ("bits", "density", "rate")
"""What a point can have less of."""


@dataclass(frozen=True)
class Cause:
    """A kind of energy of one layer that grew where it should not; `layer` is empty for the design as a whole."""

    layer: str
    kind: str
    less_pj: float
    more_pj: float


@dataclass(frozen=True)
class Violation:
    """Two points that differ in one axis, of which the one with less has the higher energy.

    Attributes
    ----------
    axis, rung : str
        What they differ in, and where the energy is higher.
    less, more : str
        The points.
    from_value, to_value : float
        Value of the axis at `more` and at `less`.
    factor : Band
        Energy of `less` over that of `more`, draw by draw.
    factor_mid : float
        The same at the middle constants: above 1.
    share : float
        Part of the draws in which it is above 1.
    work : float or None
        Synaptic operations of `less` over those of `more`, where both are known: networks that are trained apart do not spike
        alike, and what is above 1 here is work that the axis does not take away.
    causes : tuple of Cause
        What grew, the most first.
    """

    axis: str
    rung: str
    less: str
    more: str
    from_value: float
    to_value: float
    factor: Band
    factor_mid: float
    share: float
    work: float | None
    causes: tuple[Cause, ...]


def _value(point: DesignPoint, axis: str) -> float | None:
    if axis == "density":
        return None if point.sparsity is None else 1.0 - point.sparsity
    value: float | None = getattr(point, axis)
    return value


def _others(point: DesignPoint, axis: str, structure: str) -> tuple[object, ...]:
    """Return what must be equal of two points that differ in `axis` only; a dense network belongs to every structure."""
    values = [_value(point, other) for other in AXES if other != axis]
    return point.network, point.hardware, point.seed, structure, *values


def _dense(point: DesignPoint) -> bool:
    return bool(point.formats) and set(point.formats.values()) == {"dense"}


def neighbours(points: Sequence[DesignPoint], axis: str) -> Iterator[tuple[DesignPoint, DesignPoint]]:
    """Yield pairs of points that differ in one axis and are next to each other there: the one with less, the one with more.

    If energy grows from each to the next it grows over the whole axis, so others need not be looked at. Of the density, a point
    that keeps its zeros in memory as any other weight is above the break-even, and is not asked to cost less than another that
    does the same.
    """
    structures = {point.structure for point in points}
    seen = set()
    for structure in sorted(structures):
        chains: dict[tuple[object, ...], list[DesignPoint]] = {}
        for point in points:
            whole = point.sparsity in (None, 0.0) or point.structure == "none"
            if _value(point, axis) is not None and (point.structure == structure or (axis == "density" and whole)):
                chains.setdefault(_others(point, axis, structure), []).append(point)
        for chain in chains.values():
            chain.sort(key=lambda point: (_value(point, axis) or 0.0, point.name))
            for less, more in pairwise(chain):
                key = less.name, more.name
                if key in seen or _value(less, axis) == _value(more, axis):
                    continue
                if axis == "density" and _dense(less) and _dense(more):
                    continue
                seen.add(key)
                yield less, more


def find_violations(points: Sequence[DesignPoint], rungs: Sequence[str],
                    axes: Sequence[str] = AXES) -> tuple[list[Violation], int]:
    """Return where less costs more, and how many comparisons were made.

    Parameters
    ----------
    points : sequence of DesignPoint
        Those with equal network, hardware, seed and structure are compared where all axes but one are equal.
    rungs : sequence of str
        Rungs to look at.
    axes : sequence of str
        Of :data:`AXES`.
    """
    found, compared = [], 0
    for axis in axes:
        for less, more in neighbours(points, axis):
            for rung in rungs:
                if rung not in less.energies or rung not in more.energies:
                    continue
                compared += 1
                over, under = less.energies[rung], more.energies[rung]
                if over.mid_pj <= under.mid_pj * (1 + TIE):
                    continue
                work = _work(less, more)
                start, end = _value(more, axis), _value(less, axis)
                assert start is not None
                assert end is not None
                found.append(Violation(
                    axis, rung, less.name, more.name, start, end, ratio(over, under).band,
                    over.mid_pj / under.mid_pj if under.mid_pj else float("inf"),
                    float(np.mean(over.drawn_pj > under.drawn_pj)), work, _causes(less, more, rung)))
    return found, compared


def _work(less: DesignPoint, more: DesignPoint) -> float | None:
    one, other = (point.metrics.get("synaptic_operations") for point in (less, more))
    return one / other if one is not None and other else None


def _causes(less: DesignPoint, more: DesignPoint, rung: str) -> tuple[Cause, ...]:
    over, under = less.energies[rung], more.energies[rung]
    cells = dict.fromkeys((*over.cells, *under.cells))
    rows = [Cause(layer, kind, over.part(layer=layer, kind=kind).mid_pj, under.part(layer=layer, kind=kind).mid_pj)
            for layer, kind in cells]
    grown = [row for row in rows if row.less_pj > row.more_pj * (1 + TIE)]
    return tuple(sorted(grown, key=lambda row: row.more_pj - row.less_pj))

"""Which candidates are better: constraints first, then Pareto rank, then room around them."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from snnhw.cost.pareto import pareto_front

__all__ = ["crowding", "fronts", "order"]

Directions = Sequence[Literal["max", "min"]]


def _costs(points: Sequence[Sequence[float]], directions: Directions) -> np.ndarray:
    """Return points to be minimised, (points, objectives)."""
    costs = np.asarray(points, np.float64).reshape(len(points), len(directions))
    return costs * np.where([direction == "max" for direction in directions], -1.0, 1.0)


def _front(points: Sequence[Sequence[float]], directions: Directions) -> tuple[int, ...]:
    return pareto_front(points, maximise=[column for column, direction in enumerate(directions) if direction == "max"])


def fronts(points: Sequence[Sequence[float]], directions: Directions) -> list[list[int]]:
    """Return the indices in fronts: the Pareto front, then that of the rest, and so on."""
    left, result = list(range(len(points))), []
    while left:
        front = {left[index] for index in _front([points[index] for index in left], directions)}
        result.append(sorted(front))
        left = [index for index in left if index not in front]
    return result


def crowding(points: Sequence[Sequence[float]], directions: Directions) -> np.ndarray:
    """Return the room around each point of a front, float64, (points,).

    The sum over the objectives of the distance between its two neighbours, as a share of the span of the front; infinite at
    the ends (Deb et al., A fast and elitist multiobjective genetic algorithm: NSGA-II, 2002).
    """
    costs = _costs(points, directions)
    room = np.zeros(len(costs))
    for column in costs.T:
        span = column.max() - column.min() if len(column) else 0.0
        if span == 0:
            continue
        along = np.argsort(column, kind="stable")
        room[along[0]] = room[along[-1]] = np.inf
        room[along[1:-1]] += (column[along[2:]] - column[along[:-2]]) / span
    return room


def order(points: Sequence[Sequence[float]], directions: Directions, violations: Sequence[float]) -> tuple[list[int], int]:
    """Return all indices, the best first, and how many of them are the Pareto front of the feasible ones.

    Points without violation come before the others. Among them, a lower front comes first, and in a front the point with more
    room around it; among the others, the smaller violation. What is still equal stays in its order.
    """
    feasible = [index for index, violation in enumerate(violations) if violation <= 0]
    result: list[int] = []
    first = 0
    for front in fronts([points[index] for index in feasible], directions):
        members = [feasible[index] for index in front]
        room = crowding([points[index] for index in members], directions)
        result += [members[index] for index in np.argsort(-room, kind="stable")]
        first = first or len(members)
    rest = [index for index in range(len(violations)) if violations[index] > 0]
    return result + sorted(rest, key=lambda index: violations[index]), first

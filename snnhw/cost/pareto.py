"""Pareto front: the points that no other point is better than."""

from collections.abc import Sequence

import numpy as np

__all__ = ["pareto_front"]


def pareto_front(points: Sequence[Sequence[float]] | np.ndarray, *, maximise: Sequence[int] = ()) -> tuple[int, ...]:
    """Return the indices of the points that no other point dominates, in ascending order.

    A point dominates another if it is at least as good in every objective and better in one. Points that are equal in
    every objective dominate neither each other nor are they merged: all of them stay.

    Parameters
    ----------
    points : sequence of sequences of float, (points, objectives)
        Finite values. Every objective is made small, except those in `maximise`.
    maximise : sequence of int
        Columns that are made large.
    """
    values = np.array(points, np.float64)
    if values.size == 0 and values.ndim < 2:
        return ()
    if values.ndim != 2 or values.shape[1] == 0:
        raise ValueError(f"Points must have shape (points, objectives), not {values.shape}")
    if not np.isfinite(values).all():
        row, column = np.argwhere(~np.isfinite(values))[0]
        raise ValueError(f"Objective {column} of point {row} must be finite, not {values[row, column]}")
    for column in maximise:
        if column not in range(values.shape[1]):
            raise ValueError(f"Objective to maximise must be between 0 and {values.shape[1] - 1}, not {column!r}")
    values[:, sorted(set(maximise))] *= -1
    # In the order of the first objective, ties by the next ones, nothing later dominates anything earlier.
    front: list[int] = []
    for index in np.lexsort(values.T[::-1]):
        kept = values[front]
        if not ((kept <= values[index]).all(axis=1) & (kept < values[index]).any(axis=1)).any():
            front.append(int(index))
    return tuple(sorted(front))

"""Do two rungs order design points alike? Kendall's rank correlation, and the pairs they disagree about."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from snnhw.cost.bands import Band
from snnhw.cost.points import DesignPoint

__all__ = ["Disagreement", "RankCorrelation", "correlate", "kendall_tau"]

TIE = 1e-9
"""Values closer than this part of the larger are equal: sums of the same terms in another order are."""


def _order(values: np.ndarray, index: int) -> np.ndarray:
    """Return the sign of every later point against that at `index`: int8, (later, ...)."""
    one, others = values[index], values[index + 1:]
    step = others - one
    return np.where(np.abs(step) <= TIE * np.maximum(np.abs(one), np.abs(others)), 0, np.sign(step)).astype(np.int8)


def kendall_tau(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return Kendall's tau-b of two rankings.

    With C pairs of points that both order alike, D that they order differently, and T1, T2 pairs that are tied in the first or in
    the second: ``(C - D) / sqrt((pairs - T1) (pairs - T2))``. It is 1 for the same order, -1 for the opposite.

    Parameters
    ----------
    first, second : array, (points, ...)
        Values; the further axes are rankings of their own.

    Returns
    -------
    float64 array, (...)
        nan where a ranking has nothing but ties.
    """
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if first.shape != second.shape or first.ndim == 0:
        raise ValueError(f"Rankings must have the same shape, not {first.shape} and {second.shape}")
    score = np.zeros(first.shape[1:])
    untied = np.zeros((2, *first.shape[1:]))
    for index in range(len(first) - 1):
        one, other = _order(first, index), _order(second, index)
        score += (one * other).sum(axis=0)
        untied += np.stack([np.count_nonzero(one, axis=0), np.count_nonzero(other, axis=0)])
    scale = np.sqrt(untied[0] * untied[1])
    return np.divide(score, scale, out=np.full(score.shape, np.nan), where=scale > 0)


@dataclass(frozen=True)
class Disagreement:
    """Two points that two rungs order differently.

    Attributes
    ----------
    cheaper, dearer : str
        As the first rung has it.
    first, second : Band
        Energy of `dearer` over that of `cheaper` on each of the rungs; the middle of `first` is above 1, that of `second` below.
    share : float
        Part of the draws in which the two rungs order them differently.
    """

    cheaper: str
    dearer: str
    first: Band
    second: Band
    share: float


@dataclass(frozen=True)
class RankCorrelation:
    """How alike two rungs order the points that both have.

    Attributes
    ----------
    first, second : str
        The rungs.
    points, pairs, discordant : int
        How many there are, and how many pairs are ordered differently at the middle constants.
    tau : float or None
        Kendall's tau-b at the middle constants; None where one rung orders nothing.
    band : Band or None
        Of tau over the draws of the constants.
    disagreements : tuple of Disagreement
        The pairs of which the rungs are surest, and disagree: the largest first.
    """

    first: str
    second: str
    points: int
    pairs: int
    discordant: int
    tau: float | None
    band: Band | None
    disagreements: tuple[Disagreement, ...]


def correlate(points: Sequence[DesignPoint], first: str, second: str, *, shown: int = 5) -> RankCorrelation:
    """Return how alike two rungs order the points that have both; `shown` disagreements are kept."""
    both = [point for point in points if first in point.energies and second in point.energies]
    energies = [[point.energies[rung] for point in both] for rung in (first, second)]
    count = len(both)
    pairs = count * (count - 1) // 2
    if count < 2:
        return RankCorrelation(first, second, count, pairs, 0, None, None, ())
    mids = [np.array([energy.mid_pj for energy in row]) for row in energies]
    drawn = [np.stack([energy.drawn_pj for energy in row]) for row in energies]
    tau = float(kendall_tau(*mids))
    taus = kendall_tau(*drawn)
    found: list[tuple[float, int, int]] = []
    for index in range(count - 1):
        one, other = _order(mids[0], index), _order(mids[1], index)
        for place in np.flatnonzero(one * other < 0):
            later = index + 1 + int(place)
            cheap, dear = (index, later) if one[place] > 0 else (later, index)
            # A disagreement is as large as the smaller of what the two rungs say.
            size = min(abs(float(np.log(row[dear] / row[cheap]))) if row[cheap] > 0 < row[dear] else 0.0 for row in mids)
            found.append((size, cheap, dear))
    found.sort(key=lambda item: (-item[0], item[1:]))
    kept = []
    for _, cheap, dear in found[:shown]:
        steps = [row[dear] - row[cheap] for row in drawn]
        bands = [Band.of(row[dear] / row[cheap]) for row in drawn]
        share = float(np.mean(steps[0] * steps[1] < 0))
        kept.append(Disagreement(both[cheap].name, both[dear].name, bands[0], bands[1], share))
    clear = taus[np.isfinite(taus)]
    return RankCorrelation(first, second, count, pairs, len(found), tau if np.isfinite(tau) else None,
                           Band.of(clear) if clear.size else None, tuple(kept))

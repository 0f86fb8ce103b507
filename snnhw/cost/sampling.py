"""Few samples for many: chosen by strata of their work, scaled by exact counts, with the error that this leaves."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

Key = TypeVar("Key")

__all__ = ["Sampling", "choose_samples", "jackknife", "scale"]


@dataclass(frozen=True)
class Sampling:
    """What a measurement on some of the samples says of all of them.

    Parameters
    ----------
    measured, of : int
        Samples that were measured, and those that the result is for.
    relative_error : float or None
        Standard error over the value, 0 if all were measured; None for a single one of many, which says nothing of its error.
    """

    measured: int
    of: int
    relative_error: float | None

    def __str__(self) -> str:
        if self.measured == self.of:
            return f"all {self.of} samples"
        error = "unknown" if self.relative_error is None else f"{self.relative_error:.1%}"
        return f"{self.measured} of {self.of} samples, standard error {error}"


def choose_samples(work: np.ndarray, count: int) -> np.ndarray:
    """Return which samples to measure: the middle one of each of `count` strata of equal size, by their work.

    Parameters
    ----------
    work : array, (samples,)
        What is known of each, its clock cycles say.
    count : int
        How many; all if there are not more.

    Returns
    -------
    int64 array
        Ascending.
    """
    order = np.argsort(work, kind="stable")
    if count >= order.size:
        return np.arange(order.size)
    edges = np.linspace(0, order.size, count + 1)
    middles = ((edges[:-1] + edges[1:]) / 2).astype(int)
    return np.sort(order[middles])


def scale(measured: np.ndarray, work: np.ndarray, every: np.ndarray) -> float:
    """Return the mean over all samples of what was measured on some: it grows as the work does.

    Parameters
    ----------
    measured, work : array, (chosen,)
        What was measured, and the work of the same samples.
    every : array, (samples,)
        Work of all samples.
    """
    total = float(work.sum())
    if not total:
        return float(measured.mean())
    return float(measured.sum()) * float(every.mean()) / total


def jackknife(
    counts: Mapping[Key, tuple[np.ndarray, np.ndarray, np.ndarray]], value: Callable[[Mapping[Key, float]], float], of: int
) -> Sampling:
    """Return the sampling of a value that is made of scaled counts; its error comes from leaving out one sample after another.

    Parameters
    ----------
    counts : mapping of key to (array, array, array)
        What :func:`scale` takes, by key.
    value : function of mapping of key to float
        The value that the scaled counts give.
    of : int
        Number of all samples.
    """
    chosen = len(next(iter(counts.values()))[0]) if counts else 0
    if chosen == of:
        return Sampling(chosen, of, 0.0)
    if chosen < 2:
        return Sampling(chosen, of, None)
    left: Sequence[np.ndarray] = [np.arange(chosen) != index for index in range(chosen)]
    values = np.array([
        value({key: scale(measured[keep], work[keep], every) for key, (measured, work, every) in counts.items()}) for keep in left
    ])
    whole = value({key: scale(*arrays) for key, arrays in counts.items()})
    # What is measured of a finite number says more of it than of an endless supply.
    variance = (chosen - 1) / chosen * float(np.sum((values - values.mean()) ** 2)) * (1 - chosen / of)
    return Sampling(chosen, of, float(np.sqrt(variance)) / whole if whole else 0.0)

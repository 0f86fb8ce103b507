"""Uncertainty: log-normal parameters, drawn once and shared by everything that is compared.

The draws of a parameter depend on the seed, its set and its name, and on nothing else. Two designs, or
two rungs, therefore see the same world in every draw, and a parameter that both rest on cancels in
their ratio.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np

from snnhw.cost.constants import Constant

__all__ = ["DRAWS", "Band", "Parameters", "draw", "format_energy"]

DRAWS = 2000
NORMAL_95 = 1.6448536269514722  # the standard normal stays below this with probability 0.95


@dataclass(frozen=True)
class Band:
    """Median and 5 to 95 % interval of a Monte-Carlo result."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: np.ndarray) -> "Band":
        low, median, high = np.percentile(values, (5, 50, 95))
        return cls(float(median), float(low), float(high))

    def as_json(self) -> dict[str, float]:
        return {"median": self.median, "low": self.low, "high": self.high}


class Parameters(Protocol):
    """A named set of constants: a constant set, or an architecture."""

    @property
    def name(self) -> str:
        """Name of the set."""

    def __getitem__(self, name: str) -> Constant:
        """Return a constant by name."""


def draw(constants: Parameters, name: str, *, draws: int = DRAWS, seed: int = 0) -> np.ndarray:
    """Return values of a parameter: float64, (draws,), median `mid`, 5 % below `low`, 5 % above `high`.

    Each half is log-normal with its own width, so that a lopsided band keeps all three of its values.
    """
    constant = constants[name]
    return _draw(constants.name, constant.drawn_with or name, constant, draws, seed)


@lru_cache(maxsize=256)
def _draw(set_name: str, drawn_as: str, constant: Constant, draws: int, seed: int) -> np.ndarray:
    key = hashlib.sha256(f"{set_name}/{drawn_as}".encode()).digest()
    normal = np.random.default_rng([seed, *key]).standard_normal(draws)
    below, above = np.log(constant.mid / constant.low), np.log(constant.high / constant.mid)
    values = constant.mid * np.exp(normal / NORMAL_95 * np.where(normal < 0, below, above))
    values.setflags(write=False)
    return values


_PREFIXES: Sequence[tuple[float, str]] = ((1e12, "J"), (1e9, "mJ"), (1e6, "µJ"), (1e3, "nJ"), (1.0, "pJ"))


def format_energy(pj: float) -> str:
    """Return an energy given in picojoules with three digits and a fitting prefix."""
    if not np.isfinite(pj):
        return f"{pj} pJ"
    size, unit = next((entry for entry in _PREFIXES if abs(pj) >= 0.9995 * entry[0]), _PREFIXES[-1])
    value = float(f"{pj / size:.3g}")
    digits = max(0, 2 - int(np.floor(np.log10(abs(value))))) if value else 0
    return f"{value:.{digits}f} {unit}"

"""The resets that are known, and currents that tell them apart.

In snntorch 1.0 the attribute, the buffer and the behaviour of a neuron's reset can all differ, so only the trace on these
currents is believed.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

__all__ = ["DEFECTIVE", "KNOWN", "NAMED_DRIVES", "RANDOM_ROWS", "STEPS", "TOLERANCE", "Semantics"]

STEPS = 32
RANDOM_ROWS = 24
TOLERANCE = 1e-9       # of the threshold; the probe runs in double precision

# Currents in units of the threshold, from a cleared state; zeros follow to the end.
NAMED_DRIVES = {
    "below the threshold": (0.4, 0.3, 0.0, 0.2),
    "exactly at the threshold": (1.0,),
    "one spike and silence": (1.5,),
    "twice the threshold": (2.6,),
    "far above, then input": (3.5, 0.4, 0.9, -0.3, 0.9),
    "negative drive": (-1.2, 0.5, 2.9, -2.0),
    "input after a spike": (1.3, 1.3, 1.3, 1.3, 0.0, 1.3),
}

Step = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Semantics:
    """One known neuron: its name in the fields of Behaviour, and ``step(v, I, beta, threshold) -> (v', s)``."""

    reset: str
    reset_time: str
    input_on_reset: str
    step: Step


def _none(v: np.ndarray, i: np.ndarray, b: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    u = b * v + i
    return u, u > t


def _zero_next(v: np.ndarray, i: np.ndarray, b: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    u = b * np.where(v > t, 0, v) + i
    return u, u > t


def _zero_next_drop(v: np.ndarray, i: np.ndarray, b: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    u = np.where(v > t, 0, b * v + i)
    return u, u > t


def _zero_immediate(v: np.ndarray, i: np.ndarray, b: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    u = b * v + i
    return np.where(u > t, 0, u), u > t


def _subtract_next(v: np.ndarray, i: np.ndarray, b: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    u = b * v + i - t * (v > t)
    return u, u > t


def _subtract_immediate(v: np.ndarray, i: np.ndarray, b: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    u = b * v + i
    return u - t * (u > t), u > t


def _subtract_twice(v: np.ndarray, i: np.ndarray, b: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """snntorch 1.0 with reset_delay=False: a residue above the threshold costs the next spike, which is then paid back."""
    r = v > t
    u = b * v + i - t * r
    s = u > t
    return u - t * (s.astype(float) - r), s


KNOWN = (
    Semantics("none", "immediate", "keep", _none),
    Semantics("zero", "next", "keep", _zero_next),
    Semantics("zero", "next", "drop", _zero_next_drop),
    Semantics("zero", "immediate", "keep", _zero_immediate),
    Semantics("subtract", "next", "keep", _subtract_next),
    Semantics("subtract", "immediate", "keep", _subtract_immediate),
)
DEFECTIVE = Semantics("subtract", "immediate", "keep", _subtract_twice)

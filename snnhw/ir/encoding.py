"""How small integers become spikes, defined on integers so that software and hardware agree.

With ``x`` the value of input ``i``, 0 to ``levels``, and ``mix`` a hash of 32 bits to 32 bits:

    h(i)         mix(i + mix(seed))
    events       the input already is spikes; graded ones have values other than 1
    direct       a spike of value x at every timestep
    accumulate   spike at t when  (p + x*(t+1)) // levels > (p + x*t) // levels,   p = h(i) mod levels
    rate         spike at t when  mix(h(i) + 0x27D4EB2F*t) mod levels < x,         the same for every sample
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

__all__ = ["Encoding"]

KINDS = ("events", "direct", "accumulate", "rate")
MAX_LEVELS = 65535
MAX_EVENT = 1 << 15  # largest magnitude of an event


def _mix(values: np.ndarray | np.uint64) -> np.ndarray:
    """Return 32 well-mixed bits of each value modulo 2**32: three rounds of multiply and xor-shift, a bijection."""
    mixed = np.asarray(values, np.uint64) & np.uint64(0xFFFFFFFF)
    for factor, shift in ((0x9E3779B1, 15), (0x85EBCA77, 13), (0xC2B2AE3D, 16)):
        mixed = (mixed * np.uint64(factor)) & np.uint64(0xFFFFFFFF)
        mixed = mixed ^ (mixed >> np.uint64(shift))
    return mixed


@dataclass(frozen=True)
class Encoding:
    """Encoder of one input.

    Parameters
    ----------
    kind : str
        ``"events"``, ``"direct"``, ``"accumulate"`` (evenly spaced spikes, phase from the seed) or ``"rate"`` (Bernoulli from
        the seed).
    levels : int
        Largest value: with it ``"accumulate"`` and ``"rate"`` spike at every timestep. 1 for ``"events"``.
    seed : int
        Selects the phases, or the random numbers.
    """

    kind: Literal["events", "direct", "accumulate", "rate"] = "events"
    levels: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.kind, str) or self.kind not in KINDS:
            raise ValueError(f"Encoding kind must be {', '.join(KINDS[:-1])} or {KINDS[-1]}, not {self.kind!r}")
        for name, lowest, highest in (("levels", 1, MAX_LEVELS), ("seed", 0, (1 << 32) - 1)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool):
                raise TypeError(f"Encoding {name} must be an integer, not {value!r}")
            if not lowest <= value <= highest:
                raise ValueError(f"Encoding {name} must be between {lowest} and {highest}, not {value}")
        if self.kind == "events" and self.levels != 1:
            raise ValueError(f"Encoding levels of events must be 1, not {self.levels}")

    def __call__(self, values: np.ndarray, timesteps: int) -> np.ndarray:
        """Encode values to spikes.

        Parameters
        ----------
        values : int array, (samples, inputs); for events (samples, timesteps, inputs)
            Between 0 and `levels`; for events the values of the spikes, between -32768 and 32768.
        timesteps : int
            Number of timesteps.

        Returns
        -------
        bool array, (samples, timesteps, inputs)
            int32 if there are values that are neither 0 nor 1, and for ``"direct"``.
        """
        values = np.asarray(values)
        if values.dtype.kind not in "biu":
            raise TypeError(f"Input values must be integers, not {values.dtype}")
        if self.kind == "events":
            if values.ndim != 3 or values.shape[1] != timesteps:
                raise ValueError(f"Event input must have shape (samples, {timesteps}, inputs), not {values.shape}")
            lowest, highest = int(values.min(initial=0)), int(values.max(initial=0))
            if lowest < -MAX_EVENT or highest > MAX_EVENT:
                raise ValueError(f"Event values must be between {-MAX_EVENT} and {MAX_EVENT}, not {lowest} to {highest}")
            return values.astype(np.int32 if lowest < 0 or highest > 1 else bool)
        if values.size and (values.min() < 0 or values.max() > self.levels):
            raise ValueError(f"Input values must be between 0 and {self.levels}, not {values.min()} to {values.max()}")
        if values.ndim != 2:
            raise ValueError(f"Input values must have shape (samples, inputs), not {values.shape}")
        if self.kind == "direct":
            return np.repeat(values.astype(np.int32)[:, None, :], timesteps, axis=1)
        values = values.astype(np.int64)[:, None, :]
        time = np.arange(timesteps, dtype=np.int64)[None, :, None]
        hashed = _mix(np.arange(values.shape[2], dtype=np.uint64) + _mix(np.uint64(self.seed)))
        if self.kind == "accumulate":
            phase = (hashed % np.uint64(self.levels)).astype(np.int64)
            return (phase + values * (time + 1)) // self.levels > (phase + values * time) // self.levels
        noise = _mix(hashed + time.astype(np.uint64) * np.uint64(0x27D4EB2F))
        return (noise % np.uint64(self.levels)).astype(np.int64) < values

    def __str__(self) -> str:
        return self.kind if self.kind == "events" else f"{self.kind}, {self.levels} levels, seed {self.seed}"

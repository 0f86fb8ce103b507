"""How small integers become spikes, defined on integers so that software and hardware agree.

With ``x`` the value of an input, 0 to ``levels``, and ``h(i)``, ``h(t, i)`` hashes of the seed:

    events       the input already is spikes
    accumulate   spike at t when  (h(i) + x*(t+1)) // levels  is above  (h(i) + x*t) // levels
    rate         spike at t when  h(t, i) < x            (h below levels, the same for every sample)
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

__all__ = ["Encoding"]

KINDS = ("events", "accumulate", "rate")


def _mix(values: np.ndarray) -> np.ndarray:
    """Return 32 well-mixed bits of each 32-bit value: three rounds of multiply and xor-shift."""
    mixed = values.astype(np.uint64) & 0xFFFFFFFF
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
        ``"events"``, ``"accumulate"`` (evenly spaced spikes, phase from the seed) or ``"rate"`` (Bernoulli from the seed).
    levels : int
        Value that spikes at every timestep. 1 for ``"events"``.
    seed : int
        Selects the phases, or the random numbers.
    """

    kind: Literal["events", "accumulate", "rate"] = "events"
    levels: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"Encoding kind must be events, accumulate or rate, not {self.kind!r}")
        if not isinstance(self.levels, int) or not 1 <= self.levels <= 65535:
            raise ValueError(f"Encoding levels must be an integer between 1 and 65535, not {self.levels!r}")
        if self.kind == "events" and self.levels != 1:
            raise ValueError(f"Encoding levels of events must be 1, not {self.levels}")
        if not isinstance(self.seed, int) or not 0 <= self.seed < 1 << 32:
            raise ValueError(f"Encoding seed must be between 0 and {2**32 - 1}, not {self.seed!r}")

    def __call__(self, values: np.ndarray, timesteps: int) -> np.ndarray:
        """Encode values to spikes.

        Parameters
        ----------
        values : int array, (samples, inputs); for events bool or 0/1, (samples, timesteps, inputs)
            Between 0 and `levels`.
        timesteps : int
            Number of timesteps.

        Returns
        -------
        bool array, (samples, timesteps, inputs)
        """
        values = np.asarray(values)
        if values.size and (values.min() < 0 or values.max() > self.levels):
            raise ValueError(f"Input values must be between 0 and {self.levels}, not {values.min()} to {values.max()}")
        if self.kind == "events":
            if values.ndim != 3 or values.shape[1] != timesteps:
                raise ValueError(f"Event input must have shape (samples, {timesteps}, inputs), not {values.shape}")
            return values.astype(bool)
        if values.ndim != 2:
            raise ValueError(f"Input values must have shape (samples, inputs), not {values.shape}")
        values = values.astype(np.int64)[:, None, :]
        time = np.arange(timesteps, dtype=np.int64)[None, :, None]
        index = np.arange(values.shape[2], dtype=np.int64)
        if self.kind == "accumulate":
            phase = (_mix(index + (self.seed << 12)) % np.uint64(self.levels)).astype(np.int64)
            return (phase + values * (time + 1)) // self.levels > (phase + values * time) // self.levels
        noise = _mix(_mix(index + (self.seed << 12))[None, None, :] + time.astype(np.uint64) * np.uint64(0x27D4EB2F))
        return (noise % np.uint64(self.levels)).astype(np.int64) < values

    def __str__(self) -> str:
        return self.kind if self.kind == "events" else f"{self.kind}, {self.levels} levels, seed {self.seed}"

"""Fixed-point numbers Qi.f, and three ways to round to them.

A signed number of ``i`` integer bits, the sign among them, and ``f`` fractional bits. With ``x`` a real number:

    truncate     floor(x * 2**f)
    nearest      floor(x * 2**f + 1/2)
    stochastic   floor(x * 2**f + U),   U uniform in [0, 1), from a seed

and always saturated to ``-2**(i+f-1) .. 2**(i+f-1) - 1`` steps of ``2**-f``.
"""

import re
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from snnhw.fixed import signed_range

__all__ = ["CLASSES", "FLOAT_BITS", "Fixed", "Formats", "Rounding", "round_steps"]

Rounding = Literal["truncate", "nearest", "stochastic"]
FLOAT_BITS = 32
MAX_BITS = 24
CLASSES = ("weight", "membrane", "threshold", "trace")
_Q = re.compile(r"Q(\d{1,2})\.(\d{1,2})")


@dataclass(frozen=True)
class Fixed:
    """A fixed-point format.

    Parameters
    ----------
    integer : int
        Bits before the point, the sign included; at least 1.
    fraction : int
        Bits behind the point. Both together 2 to 24, so that float32 holds every value.
    """

    integer: int
    fraction: int

    def __post_init__(self) -> None:
        for name, lowest in (("integer", 1), ("fraction", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool):
                raise TypeError(f"Format {name} bits must be an integer, not {value!r}")
            if value < lowest:
                raise ValueError(f"Format {name} bits must be at least {lowest}, not {value}")
        if not 2 <= self.bits <= MAX_BITS:
            raise ValueError(f"Format must have between 2 and {MAX_BITS} bits, not {self.bits}")

    @classmethod
    def parse(cls, text: str) -> "Fixed":
        """Read ``Qi.f``."""
        found = _Q.fullmatch(text)
        if found is None:
            raise ValueError(f"Format must be Qi.f, such as Q1.7, not {text!r}")
        return cls(int(found[1]), int(found[2]))

    @property
    def bits(self) -> int:
        return self.integer + self.fraction

    @property
    def step(self) -> float:
        """Value of the least significant bit."""
        return 2.0 ** -self.fraction

    @property
    def steps(self) -> tuple[int, int]:
        """Lowest and highest value, in steps."""
        return signed_range(self.bits)

    @property
    def highest(self) -> float:
        return self.steps[1] * self.step

    def quantize(self, values: np.ndarray, rounding: Rounding, generator: np.random.Generator | None = None) -> np.ndarray:
        """Return the values of this format that `values` become: float32, saturated.

        Parameters
        ----------
        values : float array
        rounding : str
            ``"truncate"``, ``"nearest"`` or ``"stochastic"``.
        generator : numpy Generator
            For ``"stochastic"``.
        """
        steps = round_steps(np.asarray(values) * np.float32(2.0 ** self.fraction), rounding, generator)
        return (np.clip(steps, *self.steps) * self.step).astype(np.float32)

    def __str__(self) -> str:
        return f"Q{self.integer}.{self.fraction}"


def round_steps(values: np.ndarray, rounding: Rounding, generator: np.random.Generator | None = None) -> np.ndarray:
    """Return whole numbers, in the type of `values`, without saturation."""
    if rounding == "truncate":
        return np.floor(values)
    if rounding == "nearest":
        return np.floor(values + np.float32(0.5))
    if rounding != "stochastic":
        raise ValueError(f"Rounding must be {', '.join(get_args(Rounding))}, not {rounding!r}")
    if generator is None:
        raise ValueError("Rounding 'stochastic' must have a generator")
    # Between a whole number and the next; the sum of both as float32 could round up to the next.
    below = np.floor(values)
    return below + (generator.random(values.shape, np.float32) < values - below)


@dataclass(frozen=True)
class Formats:
    """Formats of the classes of words; None is float32.

    Parameters
    ----------
    weight, membrane, threshold, trace : Fixed or None
        Of weights; of membranes; of thresholds with their adaptation; of the traces of training.
    rounding : str
        Of weights, thresholds and traces.
    leak_rounding : str
        Of what a membrane loses in a timestep. The hardware has ``"truncate"``: an arithmetic shift.
    """

    weight: Fixed | None = None
    membrane: Fixed | None = None
    threshold: Fixed | None = None
    trace: Fixed | None = None
    rounding: Rounding = "nearest"
    leak_rounding: Rounding = "truncate"

    def __post_init__(self) -> None:
        for name in ("rounding", "leak_rounding"):
            if getattr(self, name) not in get_args(Rounding):
                raise ValueError(f"Rounding must be {', '.join(get_args(Rounding))}, not {getattr(self, name)!r}")

    def bits(self, name: str) -> int:
        """Return the width of a class of words."""
        form = getattr(self, name)
        return FLOAT_BITS if form is None else form.bits

    def of(self, name: str, form: Fixed | None) -> "Formats":
        """Return these formats with another one for a class of words."""
        if name not in CLASSES:
            raise ValueError(f"Class of words must be {', '.join(CLASSES)}, not {name!r}")
        weight, membrane, threshold, trace = (form if each == name else getattr(self, each) for each in CLASSES)
        return Formats(weight, membrane, threshold, trace, self.rounding, self.leak_rounding)

    def rounded(self, name: str, values: np.ndarray, generator: np.random.Generator | None = None) -> np.ndarray:
        """Return what words of a class become, float32; unchanged where there is no format."""
        form = getattr(self, name)
        return np.asarray(values, np.float32) if form is None else form.quantize(values, self.rounding, generator)

    def __str__(self) -> str:
        return ", ".join(f"{name} {getattr(self, name) or 'float32'}" for name in CLASSES) + f", {self.rounding}"

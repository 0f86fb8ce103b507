"""How a neuron behaves, in real numbers."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

__all__ = ["Behaviour", "as_floats"]


def as_floats(values: object, what: str) -> np.ndarray:
    """Return a read-only float64 copy of finite `values`."""
    array = np.array(values, np.float64)
    if not np.isfinite(array).all():
        raise ValueError(f"{what} must be finite, not {array[~np.isfinite(array)].flat[0]}")
    array.setflags(write=False)
    return array


@dataclass(frozen=True, eq=False)
class Behaviour:
    """Arithmetic of a population of neurons. Names of fields and of values are those of :class:`snnhw.ir.NeuronSpec`.

    With ``I`` the current of the timestep, bias included, ``v`` the stored membrane, ``T`` the threshold, ``S`` or ``V`` the
    reset amount, and ``>`` the comparison:

        synapse     c' = alpha*c + I, and c' takes the place of I below
        immediate   u = beta*v + I;  s = u > T;  v' = u, or when s: 0, V, u - S      (none; zero, value, subtract)
        next        r = v > T;       v' = beta*v + I - S*r                                            (subtract)
                    v' = beta*(0 or V if r else v) + I, or when r and the input is dropped: 0 or V         (zero, value)
                    s = v' > T
        count       s = number of k in 1..grades with u > T + (k-1)*S;  v' = u - s*S     (subtract, immediate)
        state       no spikes: v' itself is handed on

    Arrays are float64 and hold one value for all neurons, shape (), or one for each, (neurons,), in the C order of the shape.

    Parameters
    ----------
    beta : float array
        Factor of the membrane per timestep, 0 to 1.
    threshold : float array
        ``T``.
    compare : str
        ``">"`` or ``">="``.
    reset : str
        ``"none"``, ``"zero"``, ``"value"`` or ``"subtract"``.
    reset_amount : float array
        ``S`` or ``V``; 0 otherwise.
    reset_time : str
        ``"immediate"`` or ``"next"``.
    input_on_reset : str
        ``"keep"`` or ``"drop"``.
    alpha : float array or None
        Factor of the synaptic current per timestep, of neurons that have one.
    bias : float array
        Current added every timestep, beside those of the layers before.
    start : float
        Membrane at the beginning of a sample.
    output : str
        ``"spike"``, ``"count"`` or ``"state"``.
    grades : int
        Most spikes of a timestep; 1 unless the output is a count.
    rounding : str
        How a decay with a multiplier is to be rounded when it becomes an integer: ``"floor"``, or toward ``"zero"``.
    """

    beta: np.ndarray | float
    threshold: np.ndarray | float = 1.0
    compare: Literal[">", ">="] = ">"
    reset: Literal["none", "zero", "value", "subtract"] = "zero"
    reset_amount: np.ndarray | float = 0.0
    reset_time: Literal["immediate", "next"] = "immediate"
    input_on_reset: Literal["keep", "drop"] = "keep"
    alpha: np.ndarray | float | None = None
    bias: np.ndarray | float = 0.0
    start: float = 0.0
    output: Literal["spike", "count", "state"] = "spike"
    grades: int = 1
    rounding: Literal["floor", "zero"] = "floor"

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            if (choice := getattr(self, name)) not in choices:
                raise ValueError(f"Neuron {name} must be one of {', '.join(choices)}, not {choice!r}")
        for name in ("beta", "alpha", "threshold", "reset_amount", "bias"):
            if getattr(self, name) is None:
                continue
            array = as_floats(getattr(self, name), f"Neuron {name}")
            if array.ndim > 1 or not array.size:
                raise ValueError(f"Neuron {name} must be one value or one for each neuron, not shape {array.shape}")
            if name in ("beta", "alpha") and (array.min() < 0 or array.max() > 1):
                raise ValueError(f"Neuron {name} must be between 0 and 1, not {array[(array < 0) | (array > 1)].flat[0]:g}")
            object.__setattr__(self, name, array)
        if not np.isfinite(self.start):
            raise ValueError(f"Neuron start must be finite, not {self.start}")
        if type(self.grades) is not int or (self.grades > 1) != (self.output == "count") or self.grades < 1:
            raise ValueError(f"Neuron grades must be 1, or at least 2 for output 'count', not {self.grades!r}")
        if self.output == "count" and (self.reset, self.reset_time) != ("subtract", "immediate"):
            raise ValueError("Neuron output 'count' must have an immediate reset by subtraction")
        if self.output == "state" and self.reset != "none":
            raise ValueError(f"Neuron reset must be 'none' for output 'state', not {self.reset!r}")

    def check(self, neurons: int) -> list[str]:
        """Return what does not fit a population of `neurons` neurons."""
        return [f"{name} must be one value or {neurons} values, not {np.size(array)}"
                for name in ("beta", "alpha", "threshold", "reset_amount", "bias")
                if np.ndim(array := getattr(self, name)) == 1 and np.size(array) != neurons]

    @property
    def kind(self) -> str:
        """The reset in words."""
        if self.output == "state":
            return "no spikes, the state is read out"
        what = {"none": "no reset", "zero": "reset to zero", "value": f"reset to {_brief(self.reset_amount)}",
                "subtract": "threshold subtracted" if np.array_equal(self.reset_amount, self.threshold)
                else f"{_brief(self.reset_amount)} subtracted"}[self.reset]
        dropped = ", input dropped" if self.input_on_reset == "drop" else ""
        when = "" if self.reset == "none" else ", at once" if self.reset_time == "immediate" else ", one timestep later"
        return what + dropped + when

    def __str__(self) -> str:
        parts = [self.kind, f"beta {_brief(self.beta)}"]
        if self.alpha is not None:
            parts.append(f"alpha {_brief(self.alpha)}")
        if self.output != "state":
            parts.append(f"fires {self.compare} {_brief(self.threshold)}")
        if self.output == "count":
            parts.append(f"up to {self.grades} spikes a timestep")
        if np.any(self.bias):
            parts.append(f"bias {_brief(self.bias)}")
        if self.start:
            parts.append(f"start {self.start:.6g}")
        return ", ".join(parts)


_CHOICES = {
    "compare": (">", ">="), "reset": ("none", "zero", "value", "subtract"), "reset_time": ("immediate", "next"),
    "input_on_reset": ("keep", "drop"), "output": ("spike", "count", "state"), "rounding": ("floor", "zero"),
}


def _brief(values: np.ndarray | float) -> str:
    array = np.asarray(values)
    return f"{float(array):.6g}" if array.ndim == 0 else f"{array.min():.6g}..{array.max():.6g}"

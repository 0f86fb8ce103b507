"""The arithmetic of a spiking neuron: every choice a named field.

With ``I`` the exact current of the timestep (weighted sum shifted left by ``frac``, plus ``bias``),
``D`` the decay and ``clip`` the overflow rule:

    immediate   u = clip(D(v) + I);  s = u >= T;  v' = u, or when s: 0, V, u - S     (zero, value, subtract)
    next        r = v >= T
                subtract   v' = clip(D(v) + I - S*r)
                zero       v' = clip(D(0 if r else v) + I)       input_on_reset = keep
                           v' = 0 if r else clip(D(v) + I)       input_on_reset = drop
                value      the same with V in the place of 0
                s = v' >= T
    synapse     c' = clip(Dc(c) + I), and c' takes the place of I above

    spike       s as above
    count       s = how many k of 1..grades have u >= T + (k-1)*S; v' = u - s*S      (immediate subtract, S > 0)
    state       s = 0; every v' is handed on, in every timestep                      (reset none, T is ignored)

    decay       one: v    shift: v - (v >> k)    mul, floor: (v*B) >> f    mul, zero: sign(v) * ((|v|*B) >> f)

``reset = none`` never changes the state; the spike is still ``v' >= T``. Shifts are arithmetic
(floor). ``S*r`` is subtracted before the one saturation of the timestep. ``exact`` does not clip:
every stored state, ``v'`` and ``c'``, provably fits in its word; ``u``, which is not stored, may be wider.
"""

from dataclasses import dataclass, fields
from typing import Literal

import numpy as np

from snnhw.fixed import signed_range

__all__ = ["Decay", "NeuronSpec", "as_integers"]

MAX_STATE_BITS = 32
MAX_FACTOR_BITS = 16
MAX_GRADES = 15


def as_integers(values: object, what: str) -> np.ndarray:
    """Return a read-only int64 copy of `values`; refuse what is not integral.

    Parameters
    ----------
    values : array-like
        Integers, or floats that hold integral finite values.
    what : str
        Name of the thing, for the error message.
    """
    try:
        array = np.asarray(values)
    except ValueError:
        raise ValueError(f"{what} must form a rectangular array") from None
    if array.dtype.kind == "O" and array.size and all(type(value) is int for value in array.flat):
        raise ValueError(f"{what} must fit in 64 bits, not {max(array.flat, key=abs)}")
    if array.dtype.kind not in "iuf":
        raise TypeError(f"{what} must be integers, not {array.dtype}")
    if array.dtype.kind == "f":
        array = array.astype(np.result_type(array, np.float64))
        if not np.isfinite(array).all():
            raise ValueError(f"{what} must be finite, not {array[~np.isfinite(array)].flat[0]}")
        if (array != np.floor(array)).any():
            raise ValueError(f"{what} must be integers, not {array[array != np.floor(array)].flat[0]}")
    wide = array[(array < -(1 << 63)) | (array >= 1 << 63)]
    if wide.size:
        raise ValueError(f"{what} must fit in 64 bits, not {int(wide.flat[0])}")
    result = array.astype(np.int64)
    result.setflags(write=False)
    return result


@dataclass(frozen=True, eq=False)
class Decay:
    """Leak of a state: ``v``, ``v - (v >> shift)``, ``(v * factor) >> shift`` or the same rounded toward zero.

    Parameters
    ----------
    kind : str
        ``"one"`` (no leak), ``"shift"`` or ``"mul"``.
    shift : int
        Amount of the arithmetic right shift. 0 for ``"one"``.
    factor : int array, () or (neurons,)
        Multiplier of ``"mul"``, 0 to ``2**shift``; one for all neurons or one for each.
    rounding : str
        Of ``"mul"``: ``"floor"`` (arithmetic shift), or toward ``"zero"``: ``sign(v) * ((abs(v) * factor) >> shift)``.
    """

    kind: Literal["one", "shift", "mul"] = "one"
    shift: int = 0
    factor: np.ndarray | int | None = None
    rounding: Literal["floor", "zero"] = "floor"

    def __post_init__(self) -> None:
        if not isinstance(self.kind, str) or self.kind not in ("one", "shift", "mul"):
            raise ValueError(f"Decay kind must be one, shift or mul, not {self.kind!r}")
        limit = {"one": 0, "shift": MAX_STATE_BITS, "mul": MAX_FACTOR_BITS}[self.kind]
        if not isinstance(self.shift, int) or isinstance(self.shift, bool):
            raise TypeError(f"Decay shift must be an integer, not {self.shift!r}")
        if not (self.kind != "one") <= self.shift <= limit:
            raise ValueError(f"Decay shift of {self.kind!r} must be between {int(self.kind != 'one')} and {limit}, "
                             f"not {self.shift}")
        if (self.factor is not None) != (self.kind == "mul"):
            raise ValueError("Decay factor must be given for 'mul' and for nothing else")
        if self.factor is not None:
            factor = as_integers(self.factor, "Decay factor")
            if factor.ndim > 1 or factor.size == 0:
                raise ValueError(f"Decay factor must be one value or one for each neuron, not shape {factor.shape}")
            if (outside := _outside(factor, 0, 1 << self.shift)) is not None:
                raise ValueError(f"Decay factor must be between 0 and {1 << self.shift}, not {outside}")
            object.__setattr__(self, "factor", factor)
        if not isinstance(self.rounding, str) or self.rounding not in ("floor", "zero"):
            raise ValueError(f"Decay rounding must be floor or zero, not {self.rounding!r}")
        if self.rounding == "zero" and self.kind != "mul":
            raise ValueError(f"Decay rounding of {self.kind!r} must be floor, not 'zero'")

    def __call__(self, state: np.ndarray) -> np.ndarray:
        """Return the decayed state; `state` is (..., neurons), of a signed type that holds ``state * factor``."""
        if self.kind == "one":
            return state
        if self.kind == "shift":
            return state - (state >> self.shift)
        factor = np.asarray(self.factor).astype(state.dtype, copy=False)
        if self.rounding == "zero":
            return np.sign(state) * ((np.abs(state) * factor) >> self.shift)
        return (state * factor) >> self.shift

    @property
    def ratio(self) -> np.ndarray:
        """The real number that the state is multiplied by, but for rounding: float64, () or (neurons,)."""
        if self.kind == "mul":
            return np.asarray(self.factor) / 2.0 ** self.shift
        return np.asarray(1.0 if self.kind == "one" else 1 - 2.0 ** -self.shift)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Decay):
            return NotImplemented
        return all(_same(getattr(self, field.name), getattr(other, field.name)) for field in fields(self))

    def __hash__(self) -> int:
        return hash((self.kind, self.shift, self.rounding))

    def __str__(self) -> str:
        if self.kind == "one":
            return "v"
        if self.kind == "shift":
            return f"v - (v >> {self.shift})"
        return f"(v * {_brief(self.factor)}) >> {self.shift}{' toward zero' if self.rounding == 'zero' else ''}"


@dataclass(frozen=True, eq=False)
class NeuronSpec:
    """Arithmetic of one population of neurons. The module docstring has the formulas.

    Arrays are int64 and hold one value for all neurons, shape (), or one for each, (neurons,).

    Parameters
    ----------
    threshold : int array
        ``T``: the neuron fires when its state is at or above it. State units.
    decay : Decay
        Leak of the membrane.
    reset : str
        ``"none"``, ``"zero"``, ``"value"`` or ``"subtract"``.
    reset_amount : int array
        ``S`` of ``"subtract"``, ``V`` of ``"value"``, 0 otherwise. State units.
    reset_time : str
        ``"immediate"``, or ``"next"``: one timestep later, from ``v >= T`` of the stored state.
    input_on_reset : str
        ``"keep"`` or ``"drop"`` the current of the timestep in which a ``next`` reset to zero or to a value happens.
    overflow : str
        ``"exact"`` (the plan proves that the state fits in `bits`) or ``"saturate"`` (once per timestep).
    bits : int
        Width of the signed state.
    frac : int
        Fractional bits of the state below the least significant bit of the weights.
    bias : int array
        Current added every timestep. State units.
    start : int
        Initial state.
    clear : str
        ``"sample"``: back to `start` at the end of a sample; ``"never"``.
    synapse : Decay or None
        Leak of a second state between the weighted sum and the membrane (CuBa); it starts at 0.
    output : str
        ``"spike"``; ``"count"``, a spike that carries how many thresholds were reached; or ``"state"``: no spikes, every
        neuron hands its state on in every timestep.
    grades : int
        Highest value of a ``"count"``, 1 to 15; 1 otherwise.
    """

    threshold: np.ndarray | int
    decay: Decay = Decay()
    reset: Literal["none", "zero", "value", "subtract"] = "zero"
    reset_amount: np.ndarray | int = 0
    reset_time: Literal["immediate", "next"] = "immediate"
    input_on_reset: Literal["keep", "drop"] = "keep"
    overflow: Literal["exact", "saturate"] = "saturate"
    bits: int = 16
    frac: int = 0
    bias: np.ndarray | int = 0
    start: int = 0
    clear: Literal["sample", "never"] = "sample"
    synapse: Decay | None = None
    output: Literal["spike", "count", "state"] = "spike"
    grades: int = 1

    def __post_init__(self) -> None:
        for name, allowed in _CHOICES.items():
            choice = getattr(self, name)
            if not isinstance(choice, str) or choice not in allowed:
                raise ValueError(f"Neuron {name} must be {', '.join(allowed[:-1])} or {allowed[-1]}, not {choice!r}")
        for name in ("bits", "frac", "start", "grades"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool):
                raise TypeError(f"Neuron {name} must be an integer, not {value!r}")
        for name, lowest, highest in (("bits", 2, MAX_STATE_BITS), ("frac", 0, MAX_STATE_BITS - 2), ("grades", 1, MAX_GRADES)):
            if not lowest <= getattr(self, name) <= highest:
                raise ValueError(f"Neuron {name} must be between {lowest} and {highest}, not {getattr(self, name)}")
        if not isinstance(self.decay, Decay):
            raise TypeError(f"Neuron decay must be a Decay, not {self.decay!r}")
        if self.synapse is not None and not isinstance(self.synapse, Decay):
            raise TypeError(f"Neuron synapse must be a Decay or None, not {self.synapse!r}")
        for name in ("threshold", "reset_amount", "bias"):
            array = as_integers(getattr(self, name), f"Neuron {name}")
            if array.ndim > 1 or array.size == 0:
                raise ValueError(f"Neuron {name} must be one value or one for each neuron, not shape {array.shape}")
            object.__setattr__(self, name, array)
        sizes = {name: np.size(array) for name, array in self._arrays.items() if np.ndim(array) == 1}
        if len(set(sizes.values())) > 1:
            raise ValueError(f"Neuron parameters must agree on the number of neurons, "
                             f"not {', '.join(f'{name} {size}' for name, size in sizes.items())}")
        self._check_words()
        if self.input_on_reset == "drop" and (self.reset_time != "next" or self.reset not in ("zero", "value")):
            raise ValueError("Neuron input_on_reset must be keep unless a reset to zero or to a value happens "
                             "at the next timestep, not drop")
        self._check_output()

    def _check_output(self) -> None:
        """Raise ValueError when the other fields do not go with what is handed on."""
        choices: dict[str, dict[str, object]] = {"spike": {"grades": 1},
                                                 "count": {"reset": "subtract", "reset_time": "immediate"},
                                                 "state": {"grades": 1, "reset": "none"}}
        for name, value in choices[self.output].items():
            if getattr(self, name) != value:
                raise ValueError(f"Neuron {name} must be {value} for output {self.output!r}, not {getattr(self, name)}")
        if self.output == "count" and (outside := _outside(np.asarray(self.reset_amount), 1, 1 << MAX_STATE_BITS)) is not None:
            raise ValueError(f"Neuron reset_amount must be positive for output 'count', not {outside}")
        if self.output == "state" and (outside := _outside(np.asarray(self.threshold), 0, 0)) is not None:
            raise ValueError(f"Neuron threshold must be 0 for output 'state', not {outside}")

    def _check_words(self) -> None:
        """Raise ValueError when a constant does not fit where the formulas put it."""
        word, widest = signed_range(self.bits), signed_range(MAX_STATE_BITS)
        threshold, amount = np.asarray(self.threshold), np.asarray(self.reset_amount)
        state = f"the {self.bits}-bit state ({word[0]}..{word[1]})"
        if (outside := _outside(threshold, *word)) is not None:
            raise ValueError(f"Neuron threshold must fit in {state}, not {outside}")
        if not word[0] <= self.start <= word[1]:
            raise ValueError(f"Neuron start must fit in {state}, not {self.start}")
        for name in ("bias", "reset_amount"):
            if (outside := _outside(np.asarray(getattr(self, name)), *widest)) is not None:
                raise ValueError(f"Neuron {name} must fit in {MAX_STATE_BITS} bits, not {outside}")
        if self.reset == "value" and (outside := _outside(amount, *word)) is not None:
            raise ValueError(f"Neuron reset_amount must fit in {state}, not {outside}")
        if self.reset == "subtract" and (outside := _outside(amount, 0, widest[1])) is not None:
            raise ValueError(f"Neuron reset_amount of subtract must not be negative, not {outside}")
        if self.reset == "subtract" and self.reset_time == "immediate" and (
                outside := _outside(threshold - amount, *word)) is not None:
            raise ValueError(f"Neuron threshold less reset_amount must fit in {state}, not {outside}")
        if self.reset in ("none", "zero") and (outside := _outside(amount, 0, 0)) is not None:
            raise ValueError(f"Neuron reset_amount must be 0 for reset {self.reset!r}, not {outside}")

    @property
    def _arrays(self) -> dict[str, np.ndarray | int]:
        """Parameters that may differ between neurons, by the name that messages use."""
        factors = {"decay factor": self.decay.factor, "synapse factor": self.synapse.factor if self.synapse is not None else None}
        return {"threshold": self.threshold, "reset_amount": self.reset_amount, "bias": self.bias,
                **{name: factor for name, factor in factors.items() if factor is not None}}

    @property
    def parameters(self) -> dict[str, np.ndarray | int]:
        """Parameters by name: threshold, reset_amount, bias, and factor and synapse_factor where there are such decays."""
        return {name.removeprefix("decay ").replace(" ", "_"): array for name, array in self._arrays.items()}

    @property
    def per_neuron(self) -> tuple[str, ...]:
        """Names of the parameters that differ between neurons."""
        return tuple(name for name, array in self.parameters.items() if np.ndim(array) == 1)

    def check(self, neurons: int) -> list[str]:
        """Return what does not fit a population of `neurons` neurons."""
        return [f"{name} must be one value or {neurons} values, not {np.size(array)}"
                for name, array in self._arrays.items() if np.ndim(array) == 1 and np.size(array) != neurons]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, NeuronSpec):
            return NotImplemented
        return all(_same(getattr(self, field.name), getattr(other, field.name)) for field in fields(self))

    def __hash__(self) -> int:
        return hash((self.decay, self.reset, self.reset_time, self.bits, self.frac))

    def __str__(self) -> str:
        reset = {"none": "none", "zero": "zero", "value": f"value {_brief(self.reset_amount)}",
                 "subtract": f"subtract {_brief(self.reset_amount)}"}[self.reset]
        parts = [f"decay {self.decay}"]
        if self.output == "state":
            parts.append("hands its state on")
        else:
            graded = f" up to {self.grades} times" if self.output == "count" else ""
            parts += [f"fire v >= {_brief(self.threshold)}{graded}", f"reset {reset} {self.reset_time}"]
        if self.input_on_reset == "drop":
            parts.append("input on reset dropped")
        parts.append(f"state {self.bits} bits, {self.frac} fractional, {self.overflow}")
        if np.any(self.bias):
            parts.append(f"bias {_brief(self.bias)}")
        if self.start:
            parts.append(f"start {self.start}")
        if self.clear != "sample":
            parts.append("never cleared")
        if self.synapse is not None:
            parts.append(f"synapse {self.synapse}")
        return ", ".join(parts)


_CHOICES: dict[str, tuple[str, ...]] = {
    "reset": ("none", "zero", "value", "subtract"),
    "reset_time": ("immediate", "next"),
    "input_on_reset": ("keep", "drop"),
    "overflow": ("exact", "saturate"),
    "clear": ("sample", "never"),
    "output": ("spike", "count", "state"),
}


def _same(left: object, right: object) -> bool:
    if isinstance(left, np.ndarray) or isinstance(right, np.ndarray):
        return isinstance(left, np.ndarray) and isinstance(right, np.ndarray) and np.array_equal(left, right)
    return left == right


def _outside(values: np.ndarray, lowest: int, highest: int) -> int | None:
    """Return the first value that is not between `lowest` and `highest`, or None."""
    found = values[(values < lowest) | (values > highest)]
    return int(found.flat[0]) if found.size else None


def _brief(values: object) -> str:
    array = np.asarray(values)
    if array.ndim == 0:
        return str(int(array))
    return f"[{array.min()}..{array.max()}]"

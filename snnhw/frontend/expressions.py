"""What a tensor of one timestep is, as a formula over spikes and inputs; equal formulas are one.

A formula is relative to a timestep: only its leaves, the spikes of a layer and the input, say how many timesteps back
they lie. So the formulas of a layer at two timesteps can be compared.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Affine", "Expression", "Expressions"]

Shape = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Affine:
    """``factor * x + shift``, element by element; each () or the shape of x."""

    factor: np.ndarray
    shift: np.ndarray

    def key(self) -> tuple[Any, ...]:
        return tuple(part for array in (self.factor, self.shift)
                     for part in (array.shape, hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()))


@dataclass(frozen=True)
class Expression:
    """One formula.

    Parameters
    ----------
    kind : str
        Leaves: ``"zero"``, ``"input"``, ``"spikes"``, ``"membrane"``, ``"opaque"``. Of operands: ``"layer"`` (Linear and
        convolutions), ``"affine"``, ``"average"``, ``"maximum"``, ``"add"``, ``"reshape"``.
    what : object
        The path of the layer, a window, the key of an affine map ...
    shape : tuple of int
        Shape of the result, () if unknown.
    operands : tuple of int
        Other expressions by number.
    back : int or None
        How many timesteps back a leaf lies; None for what is the same at every timestep.
    """

    kind: str
    what: Any = None
    shape: Shape = ()
    operands: tuple[int, ...] = ()
    back: int | None = None


class Expressions:
    """Expressions by number, each once."""

    ZERO = 0

    def __init__(self) -> None:
        self.all: list[Expression] = [Expression("zero")]
        self.affines: dict[Any, Affine] = {}
        self._numbers: dict[Expression, int] = {self.all[0]: 0}
        self._shifted: dict[tuple[int, int], int] = {}

    def __getitem__(self, number: int) -> Expression:
        return self.all[number]

    def add(self, kind: str, what: Any = None, shape: Shape = (), operands: tuple[int, ...] = (), back: int | None = None) -> int:
        """Return the number of an expression, new or known."""
        if kind == "reshape":
            inner = self.all[operands[0]]
            if inner.kind == "zero" or inner.shape == shape:
                return operands[0]
            if inner.kind == "reshape":
                return self.add("reshape", None, shape, inner.operands)
        expression = Expression(kind, what, tuple(shape), tuple(operands), back)
        number = self._numbers.get(expression)
        if number is None:
            number = self._numbers[expression] = len(self.all)
            self.all.append(expression)
        return number

    def affine(self, operand: int, factor: np.ndarray, shift: np.ndarray | float = 0.0) -> int:
        """Return ``factor * operand + shift``."""
        factor, shift = _plain(np.asarray(factor, np.float64)), _plain(np.asarray(shift, np.float64))
        inner = self.all[operand]
        if factor.ndim == 0 and shift.ndim == 0 and factor == 1 and shift == 0:
            return operand
        if inner.kind == "affine":
            before = self.affines[inner.what]
            return self.affine(inner.operands[0], factor * before.factor, factor * before.shift + shift)
        affine = Affine(factor, shift)
        key = affine.key()
        self.affines[key] = affine
        return self.add("affine", key, inner.shape, (operand,))

    def earlier(self, number: int, back: int) -> int:
        """Return an expression as it was `back` timesteps before."""
        if back == 0:
            return number
        known = self._shifted.get((number, back))
        if known is None:
            old = self.all[number]
            operands = tuple(self.earlier(operand, back) for operand in old.operands)
            known = self.add(old.kind, old.what, old.shape, operands, None if old.back is None else old.back + back)
            self._shifted[number, back] = known
        return known

    def starts_as(self, late: int, early: int, step: int) -> bool:
        """Tell whether `early`, seen at timestep `step`, is `late` with zeros in the place of what lies before the sample."""
        if late == early:
            return True
        one, other = self.all[late], self.all[early]
        if other.kind == "zero":
            return one.kind == "spikes" and one.back is not None and one.back > step
        return ((one.kind, one.what, one.shape, one.back) == (other.kind, other.what, other.shape, other.back)
                and len(one.operands) == len(other.operands)
                and all(self.starts_as(*pair, step) for pair in zip(one.operands, other.operands, strict=True)))

    def walk(self, numbers: Iterator[int] | list[int]) -> Iterator[int]:
        """Yield expressions and everything they are made of, each once."""
        seen, waiting = set(), list(numbers)
        while waiting:
            number = waiting.pop()
            if number not in seen:
                seen.add(number)
                yield number
                waiting += self.all[number].operands


def _plain(array: np.ndarray) -> np.ndarray:
    """Return one value for all where all are the same."""
    return array.reshape(-1)[0] if array.ndim and (array == array.flat[0]).all() else array

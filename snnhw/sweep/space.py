"""What is searched: fields of recipe and plan, each with its values."""

import itertools
import json
import math
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = ["Axis", "Range", "Values", "choice_label", "draw", "flatten_axes", "grid", "grid_size", "set_field", "settings",
           "snap"]

Values = dict[str, Any]
"""A value for each axis, by dotted name."""


class Range(BaseModel):
    """Numbers between two bounds, both included.

    Parameters
    ----------
    low, high : int or float
        Bounds. Whole numbers are drawn when both are whole.
    step : int or float, optional
        Distance of the numbers, counted from `low`.
    log : bool
        Draw evenly on a logarithmic scale.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    low: Annotated[int, Field(strict=True)] | Annotated[float, Field(strict=True)]
    high: Annotated[int, Field(strict=True)] | Annotated[float, Field(strict=True)]
    step: Annotated[int, Field(gt=0, strict=True)] | Annotated[float, Field(gt=0, strict=True)] | None = None
    log: bool = False

    @model_validator(mode="after")
    def _check(self) -> "Range":
        if self.low > self.high:
            raise ValueError(f"low must be at most high, not {self.low} and {self.high}")
        if self.log and (self.low <= 0 or self.step is not None):
            raise ValueError("a range with log must start above 0 and have no step")
        if self.whole and isinstance(self.step, float):
            raise ValueError("step must be a whole number, as low and high are")
        return self

    @property
    def whole(self) -> bool:
        return isinstance(self.low, int) and isinstance(self.high, int)

    def numbers(self) -> list[int] | list[float] | None:
        """Return all numbers, or None when there is no end of them."""
        if self.whole:
            return list(range(int(self.low), int(self.high) + 1, int(self.step or 1)))
        if self.step is None:
            return None
        count = math.floor((self.high - self.low) / self.step + 1e-9) + 1
        return [round(self.low + index * self.step, 12) for index in range(count)]

    def draw(self, rng: np.random.Generator) -> int | float:
        """Return one of the numbers, all as likely."""
        if self.log:
            value = math.exp(rng.uniform(math.log(self.low), math.log(self.high)))
            return min(max(round(value), int(self.low)), int(self.high)) if self.whole else value
        numbers = self.numbers()
        return float(rng.uniform(self.low, self.high)) if numbers is None else numbers[int(rng.integers(len(numbers)))]


Axis = Range | Annotated[list[Any], Field(min_length=1)]
"""The values of one field: a range, or a list of what TOML can hold."""


def flatten_axes(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested tables as one with dotted names; a table with ``low`` is a range, and ends the name."""
    result: dict[str, Any] = {}
    for name, value in table.items():
        dotted = f"{prefix}.{name}" if prefix else name
        if isinstance(value, Mapping) and not ({"low", "high"} & set(value)):
            result |= flatten_axes(value, dotted)
        else:
            result[dotted] = value
    return result


def choice_label(value: Any) -> Any:
    """Return what stands for a value of a list: itself when it is a scalar, else its JSON."""
    return value if isinstance(value, str | int | float | bool) else json.dumps(value, sort_keys=True)


def grid_size(space: Mapping[str, Axis]) -> float:
    """Return the number of points, infinity when a range has no step."""
    counts = [axis.numbers() if isinstance(axis, Range) else axis for axis in space.values()]
    return math.inf if any(numbers is None for numbers in counts) else math.prod(len(numbers or ()) for numbers in counts)


def grid(space: Mapping[str, Axis]) -> Iterator[Values]:
    """Return every point, the last axis fastest. Values of lists are labels."""
    axes = [(axis.numbers() or []) if isinstance(axis, Range) else [choice_label(value) for value in axis]
            for axis in space.values()]
    for point in itertools.product(*axes):
        yield dict(zip(space, point, strict=True))


def draw(space: Mapping[str, Axis], rng: np.random.Generator) -> Values:
    """Return a point at random. Values of lists are labels."""
    return {name: axis.draw(rng) if isinstance(axis, Range) else choice_label(axis[int(rng.integers(len(axis)))])
            for name, axis in space.items()}


def snap(axis: Axis, value: Any) -> Any:
    """Return a drawn value as :meth:`Range.numbers` has it: 0.35, not 0.35000000000000003."""
    return round(value, 12) if isinstance(axis, Range) and axis.step is not None and isinstance(value, float) else value


def settings(space: Mapping[str, Axis], point: Values) -> Values:
    """Return a point with its labels replaced by the values that they stand for."""
    result = {}
    for name, axis in space.items():
        value = point[name]
        result[name] = value if isinstance(axis, Range) else next(item for item in axis if choice_label(item) == value)
    return result


def set_field(table: dict[str, Any], dotted: str, value: Any) -> None:
    """Put a value into nested tables, which are made where they are missing."""
    *path, last = dotted.split(".")
    for name in path:
        inner = table.get(name)
        table[name] = inner = dict(inner) if isinstance(inner, dict) else {}
        table = inner
    table[last] = value

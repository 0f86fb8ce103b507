"""Nodes of the float network that hold real numbers. Input, MaxPool, Flatten, Delay and Readout are those of the graph."""

import math
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np

from snnhw.ir.nodes import CURRENT, POINT, SPIKES, STATES, Node, Shape, WeightedSum, Windowed, too_many
from snnhw.ir.windows import Window, convolve, sum_windows
from snnhw.network.behaviour import Behaviour, as_floats

__all__ = ["Conv", "Linear", "Neuron", "Pool", "Scale"]


@dataclass(frozen=True, eq=False)
class _Affine(WeightedSum):
    weight: np.ndarray = field(default_factory=lambda: np.zeros((1, 1)))
    bias: np.ndarray | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        where = f"layer {self.name!r} ({type(self).__name__})"
        for name in ("weight", "bias"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, as_floats(getattr(self, name), f"{where}: {name}"))
        if self.bias is not None and self.bias.shape != self.weight.shape[:1]:
            raise ValueError(f"{where}: bias must have {self.weight.shape[0]} values, not shape {self.bias.shape}")

    def _add_bias(self, values: np.ndarray) -> np.ndarray:
        if self.bias is None:
            return values
        return values + self.bias.reshape(-1, *[1] * (values.ndim - 2)).astype(values.dtype)


@dataclass(frozen=True, eq=False)
class Linear(_Affine):
    """``weight @ x + bias``.

    Parameters
    ----------
    weight : float array, (outputs, inputs)
    bias : float array, (outputs,), or None
    """

    def infer(self, shapes: tuple[Shape, ...]) -> Shape:
        return (int(self.weight.shape[0]),)

    def check(self, shapes: tuple[Shape, ...]) -> list[str]:
        if self.weight.ndim != 2:
            return [f"weights must have shape (outputs, inputs), not {self.weight.shape}"]
        if shapes[0] != self.weight.shape[1:]:
            return [f"input must have {self.weight.shape[1]} values, not {'x'.join(map(str, shapes[0]))}"]
        return too_many(self.infer(shapes))

    def apply(self, values: np.ndarray) -> np.ndarray:
        return self._add_bias(values @ self.weight.T.astype(values.dtype))

    @property
    def title(self) -> str:
        return f"Linear, {self.weight.shape[-1]} → {self.weight.shape[0]}"


@dataclass(frozen=True, eq=False)
class Conv(_Affine):
    """Convolution over one or two dimensions, and a bias for each output channel.

    Parameters
    ----------
    weight : float array, (output channels, input channels / groups, *kernel)
    bias : float array, (output channels,), or None
    window : Window
        Geometry; its kernel is the kernel of the weights.
    groups : int
        Groups of channels that do not see each other.
    """

    window: Window = POINT
    groups: int = 1

    def infer(self, shapes: tuple[Shape, ...]) -> Shape:
        return int(self.weight.shape[0]), *self.window.output(shapes[0][1:])

    def check(self, shapes: tuple[Shape, ...]) -> list[str]:
        if self.weight.ndim != 2 + self.window.rank or self.weight.shape[2:] != self.window.kernel:
            return [f"weights must have shape (output channels, input channels / groups, "
                    f"{', '.join(map(str, self.window.kernel))}), not {self.weight.shape}"]
        if self.groups < 1 or self.weight.shape[0] % self.groups:
            return [f"{self.groups} groups must divide the {self.weight.shape[0]} output channels"]
        if shapes[0][0] != self.weight.shape[1] * self.groups:
            return [f"input must have {self.weight.shape[1] * self.groups} channels, not {shapes[0][0]}"]
        return self.window.check(shapes[0]) or too_many(self.infer(shapes))

    def apply(self, values: np.ndarray) -> np.ndarray:
        return self._add_bias(convolve(values, self.weight.astype(values.dtype), self.window, self.groups))

    @property
    def title(self) -> str:
        kernel = "x".join(map(str, self.window.kernel))
        return f"Conv{self.window.rank}d, {self.weight.shape[1] * self.groups} → {self.weight.shape[0]}, {kernel}"


@dataclass(frozen=True, eq=False)
class Scale(WeightedSum):
    """One factor for each element, or one for all.

    Parameters
    ----------
    weight : float array, () or the shape of the input
    """

    weight: np.ndarray = field(default_factory=lambda: np.ones(()))

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "weight", as_floats(self.weight, f"layer {self.name!r} (Scale): weight"))

    def infer(self, shapes: tuple[Shape, ...]) -> Shape:
        return shapes[0]

    def check(self, shapes: tuple[Shape, ...]) -> list[str]:
        if self.weight.ndim and self.weight.shape != shapes[0]:
            return [f"weights must be one value or of shape {'x'.join(map(str, shapes[0]))}, not {self.weight.shape}"]
        return []

    def apply(self, values: np.ndarray) -> np.ndarray:
        return values * self.weight.astype(values.dtype)


@dataclass(frozen=True, eq=False)
class Pool(Windowed, WeightedSum):
    """Sum or average under a window, channel by channel. The average counts the zeros of the padding.

    Parameters
    ----------
    kind : str
        ``"sum"`` or ``"average"``.
    window : Window
        Geometry.
    """

    kind: Literal["sum", "average"] = "sum"
    window: Window = POINT

    def apply(self, values: np.ndarray) -> np.ndarray:
        total = sum_windows(values, self.window)
        return total if self.kind == "sum" else total / np.asarray(self.window.positions, values.dtype)

    @property
    def title(self) -> str:
        return f"{'Sum' if self.kind == 'sum' else 'Avg'}Pool{self.window.rank}d, {self.window}"


@dataclass(frozen=True, eq=False)
class Neuron(Node):
    """Population of neurons, driven by the sum of its inputs, which may be spikes too.

    Parameters
    ----------
    behaviour : Behaviour
        Their arithmetic.
    """

    behaviour: Behaviour = field(default_factory=lambda: Behaviour(0.0))
    arity: ClassVar[int | None] = None
    takes: ClassVar[tuple[str, ...]] = (SPIKES, CURRENT)

    def infer(self, shapes: tuple[Shape, ...]) -> Shape:
        return shapes[0]

    def check(self, shapes: tuple[Shape, ...]) -> list[str]:
        return self.behaviour.check(math.prod(shapes[0]))

    def gives(self, carried: tuple[str, ...]) -> str:
        return STATES if self.behaviour.output == "state" else SPIKES

    @property
    def fires(self) -> bool:
        return self.behaviour.output != "state"

    @property
    def grades(self) -> int:
        return self.behaviour.grades

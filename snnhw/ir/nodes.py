"""Nodes of the graph. Each answers for its own shape and its own errors."""

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from snnhw.fixed import Interval, signed_range
from snnhw.ir.encoding import Encoding
from snnhw.ir.neuron import NeuronSpec, as_integers

__all__ = ["Input", "Linear", "Neuron", "Node", "Readout"]

Shape = tuple[int, ...]
MAX_WEIGHT_BITS = 16
MAX_NEURONS = 1 << 16


@dataclass(frozen=True)
class Node:
    """One operation of the network.

    Parameters
    ----------
    name : str
        Name as the user wrote it. Any text; it never reaches generated code.
    inputs : tuple of str
        Names of the nodes whose outputs this node reads.
    """

    name: str
    inputs: tuple[str, ...] = ()
    arity: ClassVar[int] = 1

    def infer(self, shapes: tuple[Shape, ...]) -> Shape:
        """Return the shape of the output, without batch and time, for the given input shapes."""
        raise AssertionError(f"{type(self).__name__} must implement infer")

    def check(self, shapes: tuple[Shape, ...]) -> list[str]:
        """Return what is wrong with this node given its input shapes, one clause each."""
        return []

    @property
    def title(self) -> str:
        """Kind and size, for tables and messages."""
        return type(self).__name__


@dataclass(frozen=True, eq=False)
class Input(Node):
    """Spikes from outside.

    Parameters
    ----------
    shape : tuple of int
        Shape without batch and time.
    encoding : Encoding
        How a data set's values become these spikes.
    """

    shape: Shape = (1,)
    encoding: Encoding = field(default_factory=Encoding)
    arity: ClassVar[int] = 0

    def infer(self, shapes: tuple[Shape, ...]) -> Shape:
        return self.shape

    def check(self, shapes: tuple[Shape, ...]) -> list[str]:
        if len(self.shape) != 1 or not 1 <= self.shape[0] <= MAX_NEURONS:
            return [f"shape must be one size between 1 and {MAX_NEURONS}, not {self.shape}"]
        return []

    @property
    def title(self) -> str:
        return f"Input, {'x'.join(map(str, self.shape))}"


@dataclass(frozen=True, eq=False)
class Linear(Node):
    """Weighted sum of spikes: ``current = weight @ spikes``, exact.

    Parameters
    ----------
    weight : int array, (outputs, inputs)
        Signed integers.
    weight_bits : int
        Width of a stored weight, 1 to 16. A 1-bit weight is -1 or 0.
    """

    weight: np.ndarray = field(default_factory=lambda: np.zeros((1, 1), np.int64))
    weight_bits: int = 8

    def __post_init__(self) -> None:
        object.__setattr__(self, "weight", as_integers(self.weight, f"layer {self.name!r} (Linear): weights"))

    @property
    def outputs(self) -> int:
        return int(self.weight.shape[0])

    @property
    def sources(self) -> int:
        """Number of presynaptic neurons."""
        return int(self.weight.shape[1])

    def infer(self, shapes: tuple[Shape, ...]) -> Shape:
        return (self.outputs,)

    def check(self, shapes: tuple[Shape, ...]) -> list[str]:
        problems = []
        if self.weight.ndim != 2 or 0 in self.weight.shape:
            return [f"weights must have shape (outputs, inputs), not {self.weight.shape}"]
        if self.outputs > MAX_NEURONS:
            problems.append(f"outputs must be at most {MAX_NEURONS}, not {self.outputs}")
        if shapes[0] != (self.sources,):
            problems.append(f"input must have {self.sources} values, not {'x'.join(map(str, shapes[0]))}")
        if not isinstance(self.weight_bits, int) or not 1 <= self.weight_bits <= MAX_WEIGHT_BITS:
            problems.append(f"weight width must be between 1 and {MAX_WEIGHT_BITS} bits, not {self.weight_bits}")
        else:
            lowest, highest = signed_range(self.weight_bits)
            if self.weight.min() < lowest or self.weight.max() > highest:
                needed = Interval(int(self.weight.min()), int(self.weight.max())).bits
                problems.append(f"weights need {needed} bits, the layer declares {self.weight_bits}")
        return problems

    @property
    def title(self) -> str:
        return f"Linear, {self.sources} → {self.outputs}"


@dataclass(frozen=True, eq=False)
class Neuron(Node):
    """Population of spiking neurons.

    Parameters
    ----------
    spec : NeuronSpec
        Their arithmetic.
    """

    spec: NeuronSpec = field(default_factory=lambda: NeuronSpec(threshold=1))

    def infer(self, shapes: tuple[Shape, ...]) -> Shape:
        return shapes[0]

    def check(self, shapes: tuple[Shape, ...]) -> list[str]:
        return self.spec.check(int(np.prod(shapes[0])))

    @property
    def title(self) -> str:
        return "Neuron"


@dataclass(frozen=True, eq=False)
class Readout(Node):
    """Decision of a sample: the class whose neuron spiked most often, the lowest index when several did."""

    def infer(self, shapes: tuple[Shape, ...]) -> Shape:
        return shapes[0]

    @property
    def title(self) -> str:
        return "Readout, spike count"

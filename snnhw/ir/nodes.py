"""Nodes of the graph. Each answers for its own shape and its own errors."""

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from snnhw.fixed import Interval, signed_range
from snnhw.ir.encoding import Encoding
from snnhw.ir.neuron import NeuronSpec, as_integers

__all__ = ["Input", "Linear", "Neuron", "Node", "Readout"]

Shape = tuple[int, ...]
# With these two and the limits of the neuron, every word of the arithmetic fits in 63 bits, so int64 is exact.
MAX_WEIGHT_BITS = 16
MAX_NEURONS = 1 << 16
MAX_NAME = 255


def check_text(value: object, what: str, longest: int | None = None) -> None:
    """Raise TypeError or ValueError unless `value` is text that can be written to a file."""
    if not isinstance(value, str):
        raise TypeError(f"{what} must be text, not {value!r}")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise ValueError(f"{what} must be valid Unicode, not {value!r}")
    if longest is not None and not 1 <= len(value) <= longest:
        raise ValueError(f"{what} must have between 1 and {longest} characters, not {len(value)}")


@dataclass(frozen=True)
class Node:
    """One operation of the network.

    Parameters
    ----------
    name : str
        Name as the user wrote it. Any text; it never reaches generated code.
    inputs : tuple of str
        Names of the nodes whose outputs this node reads.

    Attributes
    ----------
    arity : int
        Number of inputs.
    takes, gives : str
        What the inputs must carry, and what the output carries: ``"spikes"``, a ``"current"`` or a ``"decision"``.
    """

    name: str
    inputs: tuple[str, ...] = ()
    arity: ClassVar[int] = 1
    takes: ClassVar[str] = "spikes"
    gives: ClassVar[str] = "spikes"

    def __post_init__(self) -> None:
        check_text(self.name, "Layer name", MAX_NAME)
        if not isinstance(self.inputs, tuple | list) or not all(isinstance(name, str) for name in self.inputs):
            raise TypeError(f"layer {self.name!r}: inputs must be names of layers, not {self.inputs!r}")
        object.__setattr__(self, "inputs", tuple(self.inputs))

    def infer(self, shapes: tuple[Shape, ...]) -> Shape:
        """Return the shape of the output, without batch and time, for the given input shapes."""
        raise NotImplementedError

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

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.shape, tuple | list) or not all(type(size) is int for size in self.shape):
            raise TypeError(f"layer {self.name!r} (Input): shape must be a tuple of integers, not {self.shape!r}")
        object.__setattr__(self, "shape", tuple(self.shape))
        if not isinstance(self.encoding, Encoding):
            raise TypeError(f"layer {self.name!r} (Input): encoding must be an Encoding, not {self.encoding!r}")

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
    gives: ClassVar[str] = "current"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.weight_bits, int) or isinstance(self.weight_bits, bool):
            raise TypeError(f"layer {self.name!r} (Linear): weight width must be an integer, not {self.weight_bits!r}")
        object.__setattr__(self, "weight", as_integers(self.weight, f"layer {self.name!r} (Linear): weights"))
        if self.weight.ndim != 2 or 0 in self.weight.shape:
            raise ValueError(f"layer {self.name!r} (Linear): weights must have shape (outputs, inputs), not {self.weight.shape}")

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
        if self.outputs > MAX_NEURONS:
            problems.append(f"outputs must be at most {MAX_NEURONS}, not {self.outputs}")
        if shapes[0] != (self.sources,):
            problems.append(f"input must have {self.sources} values, not {'x'.join(map(str, shapes[0]))}")
        if not 1 <= self.weight_bits <= MAX_WEIGHT_BITS:
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
    takes: ClassVar[str] = "current"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.spec, NeuronSpec):
            raise TypeError(f"layer {self.name!r} (Neuron): spec must be a NeuronSpec, not {self.spec!r}")

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

    gives: ClassVar[str] = "decision"

    def infer(self, shapes: tuple[Shape, ...]) -> Shape:
        return shapes[0]

    @property
    def title(self) -> str:
        return "Readout, spike count"

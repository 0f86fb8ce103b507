"""Nodes of the graph. Each answers for its own shape and its own errors.

Shapes have neither batch nor time, and channels first: (n,), (channels, length) or (channels, height, width). Wherever
neurons or inputs are numbered, an element of such a shape has its index in C order.
"""

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar, Literal

import numpy as np

from snnhw.fixed import Interval, signed_range
from snnhw.ir.encoding import Encoding
from snnhw.ir.neuron import NeuronSpec, as_integers
from snnhw.ir.windows import Window, convolve, sum_windows

__all__ = ["Conv", "Delay", "Flatten", "Input", "Linear", "MaxPool", "Neuron", "Node", "Readout", "Scale", "SumPool",
           "WeightedSum"]

Shape = tuple[int, ...]
# With these two and the limits of the neuron, every word of the arithmetic fits in 63 bits, so int64 is exact.
MAX_WEIGHT_BITS = 16
MAX_NEURONS = 1 << 16
MAX_NAME = 255
MAX_INPUT = 1 << 15
POINT = Window((1,))
SPIKES, CURRENT, STATES, DECISION = "spikes", "current", "states", "decision"


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
    arity : int or None
        Number of inputs; None for one or more, of one shape, which are summed.
    takes : tuple of str
        What the inputs may carry: ``"spikes"``, a ``"current"``, ``"states"`` or a ``"decision"``.
    fires : bool
        It makes spikes of its own.
    grades : int
        Largest value of those spikes.
    """

    name: str
    inputs: tuple[str, ...] = ()
    arity: ClassVar[int | None] = 1
    takes: ClassVar[tuple[str, ...]] = (SPIKES,)

    @property
    def fires(self) -> bool:
        return False

    @property
    def grades(self) -> int:
        return 1

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

    def gives(self, carried: tuple[str, ...]) -> str:
        """Return what the output carries, given what the inputs carry."""
        return SPIKES

    @property
    def title(self) -> str:
        """Kind and size, for tables and messages."""
        return type(self).__name__


def _sizes(shape: Shape) -> str:
    return "x".join(map(str, shape))


def too_many(shape: Shape) -> list[str]:
    """Return what is wrong with an output of `shape`."""
    return [f"outputs must be at most {MAX_NEURONS}, not {_sizes(shape)}"] if math.prod(shape) > MAX_NEURONS else []


@dataclass(frozen=True, eq=False)
class Input(Node):
    """Spikes from outside: of value 1, or graded.

    Parameters
    ----------
    shape : tuple of int
        Shape without batch and time, one to three sizes.
    encoding : Encoding
        How a data set's values become these spikes.
    lowest, highest : int
        Values that a spike may have; 0 is no spike. 0 and 1 are binary spikes.
    """

    shape: Shape = (1,)
    encoding: Encoding = field(default_factory=Encoding)
    lowest: int = 0
    highest: int = 1
    arity: ClassVar[int | None] = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_shape(self)
        if not isinstance(self.encoding, Encoding):
            raise TypeError(f"layer {self.name!r} (Input): encoding must be an Encoding, not {self.encoding!r}")
        for name, low, high in (("lowest", -MAX_INPUT, 0), ("highest", 0, MAX_INPUT)):
            value = getattr(self, name)
            if type(value) is not int or not low <= value <= high:
                raise ValueError(f"layer {self.name!r} (Input): {name} must be an integer between {low} and {high}, "
                                 f"not {value!r}")
        if self.lowest == self.highest:
            raise ValueError(f"layer {self.name!r} (Input): a spike must have another value than 0")

    def infer(self, shapes: tuple[Shape, ...]) -> Shape:
        return self.shape

    def check(self, shapes: tuple[Shape, ...]) -> list[str]:
        problems = _shape_problems(self.shape)
        wanted = {"events": None, "direct": self.encoding.levels}.get(self.encoding.kind, 1)
        if wanted is not None and (self.lowest, self.highest) != (0, wanted):
            problems.append(f"spikes of the encoding {self.encoding.kind!r} must have values 0 to {wanted}, "
                            f"not {self.lowest} to {self.highest}")
        return problems

    @property
    def values(self) -> Interval:
        """Values of a spike, and 0."""
        return Interval(self.lowest, self.highest)

    @property
    def title(self) -> str:
        return f"Input, {_sizes(self.shape)}"


def _check_shape(node: "Input | Delay") -> None:
    where = f"layer {node.name!r} ({type(node).__name__})"
    if not isinstance(node.shape, tuple | list) or not all(type(size) is int for size in node.shape):
        raise TypeError(f"{where}: shape must be a tuple of integers, not {node.shape!r}")
    object.__setattr__(node, "shape", tuple(node.shape))


def _shape_problems(shape: Shape) -> list[str]:
    if not 1 <= len(shape) <= 3 or min(shape) < 1 or math.prod(shape) > MAX_NEURONS:
        return [f"shape must be one to three sizes with a product between 1 and {MAX_NEURONS}, not {shape}"]
    return []


@dataclass(frozen=True, eq=False)
class WeightedSum(Node):
    """Linear map of its summed inputs. What it computes is a current; every subclass says which."""

    arity: ClassVar[int | None] = None
    takes: ClassVar[tuple[str, ...]] = (SPIKES, CURRENT)

    def gives(self, carried: tuple[str, ...]) -> str:
        return CURRENT

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Return the map of `values`, float (batch, *shape), in the same type; exact if every partial sum is."""
        raise NotImplementedError

    @property
    def gain(self) -> int:
        """Largest sum of absolute weights of an output: how much wider a current can get here."""
        raise NotImplementedError


@dataclass(frozen=True, eq=False)
class _Weighted(WeightedSum):
    """A map whose weights are stored.

    Attributes
    ----------
    order : str
        Of the weights in memory, as numpy names it, where they are kept to be applied.
    """

    order: ClassVar[Literal["C", "F"]] = "C"
    weight: np.ndarray = field(default_factory=lambda: np.zeros((1, 1), np.int64))
    weight_bits: int = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        where = f"layer {self.name!r} ({type(self).__name__})"
        if not isinstance(self.weight_bits, int) or isinstance(self.weight_bits, bool):
            raise TypeError(f"{where}: weight width must be an integer, not {self.weight_bits!r}")
        object.__setattr__(self, "weight", as_integers(self.weight, f"{where}: weights"))
        if problem := self._weight_problem():
            raise ValueError(f"{where}: {problem}, not {self.weight.shape}")

    def _weight_problem(self) -> str:
        """Return which shape the weights must have and do not, or nothing."""
        raise NotImplementedError

    def weight_as(self, kind: np.dtype) -> np.ndarray:
        """Return the weights in another type. Made once: networks run often."""
        if kind not in self._typed:
            self._typed[kind] = self.weight.astype(kind, order=self.order)
        return self._typed[kind]

    @cached_property
    def _typed(self) -> dict[np.dtype, np.ndarray]:
        return {}

    def check(self, shapes: tuple[Shape, ...]) -> list[str]:
        if not 1 <= self.weight_bits <= MAX_WEIGHT_BITS:
            return [f"weight width must be between 1 and {MAX_WEIGHT_BITS} bits, not {self.weight_bits}"]
        lowest, highest = signed_range(self.weight_bits)
        if self.weight.min() < lowest or self.weight.max() > highest:
            needed = Interval(int(self.weight.min()), int(self.weight.max())).bits
            return [f"weights need {needed} bits, the layer declares {self.weight_bits}"]
        return []


@dataclass(frozen=True, eq=False)
class Linear(_Weighted):
    """Fully connected: ``current = weight @ spikes``, exact.

    Parameters
    ----------
    weight : int array, (outputs, inputs)
        Signed integers.
    weight_bits : int
        Width of a stored weight, 1 to 16. A 1-bit weight is -1 or 0.
    """

    order: ClassVar[Literal["C", "F"]] = "F"

    def _weight_problem(self) -> str:
        return "weights must have shape (outputs, inputs)" if self.weight.ndim != 2 or 0 in self.weight.shape else ""

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
            problems.append(f"input must have {self.sources} values, not {_sizes(shapes[0])}")
        return problems + super().check(shapes)

    def apply(self, values: np.ndarray) -> np.ndarray:
        return values @ self.weight_as(values.dtype).T

    @property
    def gain(self) -> int:
        return int(np.abs(self.weight).sum(axis=1).max())

    @property
    def title(self) -> str:
        return f"Linear, {self.sources} → {self.outputs}"


@dataclass(frozen=True, eq=False)
class Conv(_Weighted):
    """Convolution over one or two dimensions; the formula stands in :func:`snnhw.ir.windows.convolve`.

    Parameters
    ----------
    weight : int array, (output channels, input channels / groups, *kernel)
        Signed integers.
    weight_bits : int
        Width of a stored weight, 1 to 16.
    window : Window
        Geometry; its kernel is the kernel of the weights.
    groups : int
        Groups of channels that do not see each other.
    """

    weight: np.ndarray = field(default_factory=lambda: np.zeros((1, 1, 1), np.int64))
    window: Window = POINT
    groups: int = 1

    def _weight_problem(self) -> str:
        if not isinstance(self.window, Window):
            return "its window must be a Window, and weights fit it"
        if self.weight.ndim != 2 + self.window.rank or 0 in self.weight.shape or self.weight.shape[2:] != self.window.kernel:
            kernel = ", ".join(map(str, self.window.kernel))
            return f"weights must have shape (output channels, input channels / groups, {kernel})"
        if type(self.groups) is not int or self.groups < 1 or self.weight.shape[0] % self.groups:
            return f"{self.groups!r} groups must divide the output channels of the weights"
        return ""

    @property
    def channels(self) -> int:
        """Input channels."""
        return int(self.weight.shape[1]) * self.groups

    def infer(self, shapes: tuple[Shape, ...]) -> Shape:
        return int(self.weight.shape[0]), *self.window.output(shapes[0][1:])

    def check(self, shapes: tuple[Shape, ...]) -> list[str]:
        problems = self.window.check(shapes[0])
        if shapes[0][0] != self.channels:
            problems.append(f"input must have {self.channels} channels, not {shapes[0][0]}")
        return (problems or too_many(self.infer(shapes))) + super().check(shapes)

    def apply(self, values: np.ndarray) -> np.ndarray:
        return convolve(values, self.weight_as(values.dtype), self.window, self.groups)

    @property
    def gain(self) -> int:
        return int(np.abs(self.weight).reshape(len(self.weight), -1).sum(axis=1).max())

    @property
    def title(self) -> str:
        return f"Conv{self.window.rank}d, {self.channels} → {self.weight.shape[0]}, {_sizes(self.window.kernel)}"


@dataclass(frozen=True, eq=False)
class Scale(_Weighted):
    """One weight for each element: one-to-one connections.

    Parameters
    ----------
    weight : int array, () or the shape of the input
        Signed integers.
    weight_bits : int
        Width of a stored weight, 1 to 16.
    """

    weight: np.ndarray = field(default_factory=lambda: np.ones((), np.int64))

    def _weight_problem(self) -> str:
        return "" if self.weight.ndim <= 3 and self.weight.size else "weights must be one value or one for each element"

    def infer(self, shapes: tuple[Shape, ...]) -> Shape:
        return shapes[0]

    def check(self, shapes: tuple[Shape, ...]) -> list[str]:
        problems = [] if self.weight.ndim == 0 or self.weight.shape == shapes[0] else [
            f"weights must be one value or of shape {_sizes(shapes[0])}, not {_sizes(self.weight.shape)}"]
        return problems + super().check(shapes)

    def apply(self, values: np.ndarray) -> np.ndarray:
        return values * self.weight_as(values.dtype)

    @property
    def gain(self) -> int:
        return int(np.abs(self.weight).max())


class Windowed:
    """What all pools have in common: each channel by itself under a window."""

    window: Window

    def infer(self, shapes: tuple[Shape, ...]) -> Shape:
        return shapes[0][0], *self.window.output(shapes[0][1:])

    def check(self, shapes: tuple[Shape, ...]) -> list[str]:
        return self.window.check(shapes[0]) or too_many(self.infer(shapes))


@dataclass(frozen=True, eq=False)
class SumPool(Windowed, WeightedSum):
    """Sum of the elements under a window, channel by channel. An average is this, its factor folded into the neurons.

    Parameters
    ----------
    window : Window
        Geometry.
    """

    window: Window = POINT

    def apply(self, values: np.ndarray) -> np.ndarray:
        return sum_windows(values, self.window)

    @property
    def gain(self) -> int:
        return self.window.positions

    @property
    def title(self) -> str:
        return f"SumPool{self.window.rank}d, {self.window}"


@dataclass(frozen=True, eq=False)
class MaxPool(Windowed, Node):
    """A spike wherever there is one under the window, channel by channel: the maximum of binary spikes.

    Parameters
    ----------
    window : Window
        Geometry.
    """

    window: Window = POINT

    @property
    def fires(self) -> bool:
        return True

    @property
    def title(self) -> str:
        return f"MaxPool{self.window.rank}d, {self.window}"


@dataclass(frozen=True, eq=False)
class Flatten(Node):
    """The same elements as one dimension, in C order."""

    takes: ClassVar[tuple[str, ...]] = (SPIKES, CURRENT)

    def infer(self, shapes: tuple[Shape, ...]) -> Shape:
        return (math.prod(shapes[0]),)

    def gives(self, carried: tuple[str, ...]) -> str:
        return carried[0]


@dataclass(frozen=True, eq=False)
class Delay(Node):
    """Spikes of the timestep before; none in the first timestep of a sample.

    The only node whose input may stand later in the list: every cycle of a recurrent network has one.

    Parameters
    ----------
    shape : tuple of int
        Shape of the input.
    """

    shape: Shape = (1,)

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_shape(self)

    def infer(self, shapes: tuple[Shape, ...]) -> Shape:
        return self.shape

    def check(self, shapes: tuple[Shape, ...]) -> list[str]:
        return _shape_problems(self.shape)


@dataclass(frozen=True, eq=False)
class Neuron(Node):
    """Population of neurons, driven by the sum of its inputs.

    Parameters
    ----------
    spec : NeuronSpec
        Their arithmetic.
    """

    spec: NeuronSpec = field(default_factory=lambda: NeuronSpec(threshold=1))
    arity: ClassVar[int | None] = None
    takes: ClassVar[tuple[str, ...]] = (CURRENT,)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.spec, NeuronSpec):
            raise TypeError(f"layer {self.name!r} (Neuron): spec must be a NeuronSpec, not {self.spec!r}")

    def infer(self, shapes: tuple[Shape, ...]) -> Shape:
        return shapes[0]

    def check(self, shapes: tuple[Shape, ...]) -> list[str]:
        return self.spec.check(math.prod(shapes[0]))

    def gives(self, carried: tuple[str, ...]) -> str:
        return STATES if self.spec.output == "state" else SPIKES

    @property
    def fires(self) -> bool:
        return self.spec.output != "state"

    @property
    def grades(self) -> int:
        return self.spec.grades

    @property
    def title(self) -> str:
        return "Neuron"


@dataclass(frozen=True, eq=False)
class Readout(Node):
    """Decision of a sample: the class that wins, the lowest index when several do.

    Parameters
    ----------
    kind : str
        ``"count"``: the largest sum of spikes. ``"first"``: the earliest spike, the end of the sample for a neuron that never
        spikes. ``"membrane"``: the largest state of neurons that hand on their state.
    over : str
        Which state of a sample counts for ``"membrane"``: the ``"last"``, the largest (``"max"``), or their ``"sum"``. ``"sum"``
        for the other kinds.
    """

    kind: Literal["count", "first", "membrane"] = "count"
    over: Literal["last", "max", "sum"] = "sum"
    takes: ClassVar[tuple[str, ...]] = (SPIKES, STATES)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, choices in (("kind", ("count", "first", "membrane")), ("over", ("last", "max", "sum"))):
            if (choice := getattr(self, name)) not in choices:
                raise ValueError(f"layer {self.name!r} (Readout): {name} must be one of {', '.join(choices)}, not {choice!r}")
        if self.kind != "membrane" and self.over != "sum":
            raise ValueError(f"layer {self.name!r} (Readout): over must be 'sum' for kind {self.kind!r}, not {self.over!r}")

    def infer(self, shapes: tuple[Shape, ...]) -> Shape:
        return shapes[0]

    def gives(self, carried: tuple[str, ...]) -> str:
        return DECISION

    @property
    def title(self) -> str:
        words = {"count": "spike count", "first": "first spike", "membrane": f"membrane, {self.over}"}
        return f"Readout, {words[self.kind]}"

"""From the formulas of a recorded forward to the nodes of a network; constants fold into the weights beside them."""

from collections import Counter
from typing import Literal

import numpy as np
import torch
from torch import nn

from snnhw.errors import NetworkError
from snnhw.frontend.classify import Found, Recurrence
from snnhw.frontend.expressions import Expression
from snnhw.frontend.layers import where
from snnhw.frontend.record import Record, conv_window
from snnhw.ir.nodes import Delay, Flatten, Input, MaxPool, Node, Readout
from snnhw.network import Behaviour, Conv, Linear, Neuron, Pool, Scale

__all__ = ["Assembler"]

Names = tuple[str, ...]
Map = np.ndarray | None  # a constant current for each element, or none


class _Refused(Exception):
    """A formula has no form in hardware; the message ends a sentence that begins with the layer that needs it."""


def _sum(first: Map, second: Map) -> Map:
    return second if first is None else first if second is None else first + second


def _per_channel(values: np.ndarray) -> np.ndarray | None:
    """Return one value for each channel, (channels,), where the elements of a channel have one; () stays ()."""
    if values.ndim == 0:
        return values
    first = values.reshape(len(values), -1)
    return first[:, 0].copy() if (first == first[:, :1]).all() else None


class Assembler:
    """Builds nodes.

    Parameters
    ----------
    module : torch.nn.Module
        The network, for its weights.
    seen : Record
        Its recorded forward.
    found : dict of str to Found
        What each neuron was classified as; those that are needed.
    lowest, highest : int
        Values that a spike of the input may have.
    """

    def __init__(self, module: nn.Module, seen: Record, found: dict[str, Found], lowest: int, highest: int):
        self.module = module
        self.known = seen.expressions
        self.seen = seen
        self.found = found
        self.nodes: list[Node] = []
        self.taken: set[str] = set()
        self.choices: dict[str, str] = {}
        self.problems: dict[str, None] = {}
        self.values: dict[int, tuple[Names, Map]] = {}
        self.delays: dict[str, str] = {}
        self.flattened: dict[str, str] = {}
        self.range = lowest, highest
        self.input_name = ""
        self.input_shape: tuple[int, ...] = ()
        self.uses: Counter[int] = Counter()
        self.folds: dict[str, list[str]] = {}

    def name(self, wanted: str) -> str:
        """Return a name that is free."""
        base, number = wanted or "network", 2
        wanted = base
        while wanted in self.taken:
            wanted, number = f"{base}_{number}", number + 1
        self.taken.add(wanted)
        return wanted

    def add(self, node: Node) -> str:
        self.nodes.append(node)
        return node.name

    # The order of the layers.

    def formula(self, name: str) -> int:
        """Return the formula of the input of a neuron, which is that of its last timestep."""
        formulas = self.seen.inputs[name]
        late = formulas[-1]
        for step, early in enumerate(formulas):
            if not self.known.starts_as(late, early, step):
                raise _Refused(f"its input must be made the same way at every timestep, and at timestep {step} is not as "
                               f"at the last")
        return late

    def needed(self, last: str) -> dict[str, int]:
        """Return the formulas of the neurons that `last` depends on, and its own, in the order of the first call."""
        found, waiting = {}, [last]
        while waiting:
            name = waiting.pop()
            if name in found:
                continue
            try:
                found[name] = self.formula(name)
            except _Refused as error:
                self.refuse(name, error)
                found[name] = self.known.ZERO
            leaves = [self.known[number] for number in self.known.walk([found[name]])]
            waiting += [leaf.what for leaf in leaves if leaf.kind == "spikes"]
        return {name: found[name] for name in self.seen.inputs if name in found}

    def refuse(self, name: str, error: Exception) -> None:
        self.problems.setdefault(f"{where(name, self.module.get_submodule(name))}: {error}")

    def prepare(self, formulas: dict[str, int]) -> None:
        """Name the input, decide its shape, and count who uses what."""
        self.taken = {name for name, _ in self.module.named_modules() if name}
        self.input_name, output = self.name("input"), self.name("output")
        self.taken -= {name for name, _ in self.module.named_modules() if name}
        self.taken |= {self.input_name, output, *formulas}
        shapes, frames = set(), set()
        for number in self.known.walk(list(formulas.values())):
            expression = self.known[number]
            for operand in expression.operands:
                self.uses[operand] += 1
                if self.known[operand].kind == "input":
                    frames.add(self.known[operand].shape)
                    shapes.add(expression.shape if expression.kind == "reshape" else self.known[operand].shape)
        for formula in formulas.values():
            self.uses[formula] += 1
            if self.known[formula].kind == "input":
                shapes.add(self.known[formula].shape)
        if not shapes:
            self.problems.setdefault("the network's output must depend on its input, and does not")
            shapes.add(self.seen.layout.frame or (1,))
        several = {shape for shape in shapes if len(shape) > 1}
        if len(several) > 1:
            raise NetworkError(f"the network's input must be used in one shape, not in {' and '.join(map(str, sorted(several)))}")
        self.input_shape = several.pop() if several else shapes.pop()
        lowest, highest = self.range
        self.add(Input(self.input_name, (), self.input_shape, lowest=lowest, highest=highest))

    def build(self, last: str, kind: Literal["count", "first", "membrane"],
              over: Literal["last", "max", "sum"]) -> tuple[Node, ...]:
        """Return the nodes of the network that ends in the neuron `last`."""
        formulas = self.needed(last)
        self.prepare(formulas)
        given = dict(self.problems)
        self.problems.clear()
        for name, formula in formulas.items():
            try:
                self.neuron(name, formula, state=kind == "membrane" and name == last)
            except _Refused as error:
                self.refuse(name, error)
        self.problems = self.problems or given  # the cause before its consequences
        self.add(Readout("output" if "output" not in formulas else self.name("output"), (last,), kind,
                         over if kind == "membrane" else "sum"))
        return tuple(self.nodes)

    def neuron(self, name: str, formula: int, *, state: bool) -> None:
        """Add a population, and before it what drives it."""
        found, shape = self.found[name], self.seen.shapes[name]
        self.folds = {}
        if np.any(found.gain != 1):
            formula = self.known.affine(formula, np.broadcast_to(found.gain, shape))
            self.fold(name, f"input gain {_brief(found.gain)}")
        names, shift = self.value(formula)
        if not names:
            raise _Refused("it must be driven by the network's input or by other layers")
        if found.recurrence is not None:
            names = (*names, self.recurrence(name, found.recurrence, shape))
        behaviour = found.behaviour
        bias: np.ndarray | float = 0.0
        if shift is not None and np.any(shift):
            flat = np.broadcast_to(shift, shape).reshape(-1)
            bias = flat[0] if (flat == flat[0]).all() else flat
        if state:
            behaviour = Behaviour(behaviour.beta, 0.0, reset="none", alpha=behaviour.alpha, bias=bias, output="state")
        elif np.any(bias):
            behaviour = Behaviour(**{**{key: getattr(behaviour, key) for key in behaviour.__dataclass_fields__}, "bias": bias})
        self.add(Neuron(name, names, behaviour))
        kind = type(self.module.get_submodule(name)).__name__
        self.choices[f"layer {name!r}"] = f"{kind}, found by driving it: {behaviour}"
        for layer, what in self.folds.items():
            self.choices[f"layer {layer!r} folded"] = "; ".join(what)

    def fold(self, layer: str, what: str) -> None:
        self.folds.setdefault(layer, []).append(what)

    def recurrence(self, name: str, recurrence: Recurrence, shape: tuple[int, ...]) -> str:
        source = (self.delay(name, shape),)
        wanted = self.name(f"{name}.recurrent")
        if recurrence.kind == "linear":
            return self.add(Linear(wanted, source, recurrence.weight, recurrence.bias))
        if recurrence.kind == "conv":
            assert recurrence.window is not None
            return self.add(Conv(wanted, source, recurrence.weight, recurrence.bias, recurrence.window))
        return self.add(Scale(wanted, source, recurrence.weight))

    def delay(self, name: str, shape: tuple[int, ...]) -> str:
        if name not in self.delays:
            self.delays[name] = self.add(Delay(self.name(f"{name}.delay"), (name,), shape))
        return self.delays[name]

    # Formulas.

    def value(self, number: int) -> tuple[Names, Map]:
        """Return the nodes whose sum is a formula, and a constant map that belongs to it besides."""
        if number not in self.values:
            expression = self.known[number]
            self.values[number] = getattr(self, f"_{expression.kind}")(expression, number)
        return self.values[number]

    def _zero(self, expression: Expression, number: int) -> tuple[Names, Map]:
        return (), None

    def _opaque(self, expression: Expression, number: int) -> tuple[Names, Map]:
        raise _Refused("its input must be made of spikes")

    def _membrane(self, expression: Expression, number: int) -> tuple[Names, Map]:
        label = where(expression.what, self.module.get_submodule(expression.what)).removeprefix("layer ")
        raise _Refused(f"its input must be made of spikes, not of the membrane of {label}; pass the first output of the neuron")

    def _input(self, expression: Expression, number: int) -> tuple[Names, Map]:
        if expression.back:
            raise _Refused("the network's input must be used in its own timestep; delay the spikes of a layer instead")
        if expression.shape != self.input_shape:
            raise _Refused(f"the network's input must be used in one shape, not in {expression.shape} and {self.input_shape}")
        return (self.input_name,), None

    def _spikes(self, expression: Expression, number: int) -> tuple[Names, Map]:
        if not expression.back:
            return (expression.what,), None
        if expression.back > 1:
            raise _Refused(f"spikes of {expression.what!r} must be used in their own timestep or in the next, "
                           f"not {expression.back} timesteps later")
        return (self.delay(expression.what, expression.shape),), None

    def _reshape(self, expression: Expression, number: int) -> tuple[Names, Map]:
        inner = self.known[expression.operands[0]]
        if inner.kind == "input" and not inner.back and expression.shape == self.input_shape:
            return (self.input_name,), None
        if len(expression.shape) != 1:
            raise _Refused(f"a reshape must be to one dimension, not from {inner.shape} to {expression.shape}; keep the channels "
                           f"and sizes of the layer before")
        if inner.kind == "input" and not inner.back:
            names: Names = (self.input_name,)
            shift: Map = None
        else:
            names, shift = self.value(expression.operands[0])
        if len(self.shape(inner)) == 1:
            return names, shift
        flat = tuple(self.flatten(name) for name in names)
        return flat, None if shift is None or shift.ndim == 0 else shift.reshape(-1)

    def shape(self, expression: Expression) -> tuple[int, ...]:
        return self.input_shape if expression.kind == "input" else expression.shape

    def flatten(self, name: str) -> str:
        if name not in self.flattened:
            self.flattened[name] = self.add(Flatten(self.name(f"{name}.flatten"), (name,)))
        return self.flattened[name]

    def _add(self, expression: Expression, number: int) -> tuple[Names, Map]:
        names: Names = ()
        shift: Map = None
        for operand in expression.operands:
            more, extra = self.value(operand)
            for name in more:
                if name in names:  # a layer twice in one sum
                    name = self.add(Scale(self.name(f"{name}.again"), (name,), np.ones(())))
                names = (*names, name)
            shift = _sum(shift, extra)
        return names, shift

    def _average(self, expression: Expression, number: int) -> tuple[Names, Map]:
        names, shift = self.value(expression.operands[0])
        if not names:
            return names, self.pooled(expression, shift)
        name = self.add(Pool(self.name(f"{self.base(names)}.pool"), names, "average", expression.what))
        return (name,), self.pooled(expression, shift)

    def pooled(self, expression: Expression, shift: Map) -> Map:
        if shift is None:
            return None
        shape = self.shape(self.known[expression.operands[0]])
        return Pool("pool", ("x",), "average", expression.what).apply(np.broadcast_to(shift, shape)[None])[0]

    def base(self, names: Names) -> str:
        return names[0].split(".flatten")[0].split(".pool")[0]

    def _maximum(self, expression: Expression, number: int) -> tuple[Names, Map]:
        inner = self.known[expression.operands[0]]
        while inner.kind in ("reshape", "maximum"):
            inner = self.known[inner.operands[0]]
        if inner.kind not in ("spikes", "input"):
            raise _Refused("a maximum must be taken of spikes, not of currents; nearest supported form: pool after the neuron, "
                           "or use average pooling")
        names, _ = self.value(expression.operands[0])
        return (self.add(MaxPool(self.name(f"{self.base(names)}.pool"), names, expression.what)),), None

    def _affine(self, expression: Expression, number: int) -> tuple[Names, Map]:
        affine = self.known.affines[expression.what]
        names, shift = self.scaled(expression.operands[0], affine.factor)
        return names, _sum(shift, affine.shift if np.any(affine.shift) else None)

    def scaled(self, number: int, factor: np.ndarray) -> tuple[Names, Map]:
        """Return a formula times a factor, which goes into weights where there are some that are used for nothing else."""
        inner = self.known[number]
        names: Names
        shift: Map
        if factor.ndim == 0 and factor == 1:
            return self.value(number)
        alone = self.uses.get(number, 1) <= 1
        if alone and inner.kind == "affine":
            affine = self.known.affines[inner.what]
            names, shift = self.scaled(inner.operands[0], factor * affine.factor)
            return names, _sum(shift, factor * affine.shift if np.any(affine.shift) else None)
        if alone and inner.kind == "add":
            names, shift = (), None
            for operand in inner.operands:
                more, extra = self.scaled(operand, factor)
                names, shift = (*names, *more), _sum(shift, extra)
            return names, shift
        if alone and inner.kind == "reshape":
            before = self.shape(self.known[inner.operands[0]])
            names, shift = self.scaled(inner.operands[0], factor if factor.ndim == 0 else factor.reshape(before))
            if before == inner.shape or len(inner.shape) != 1:
                return names, shift
            return tuple(map(self.flatten, names)), None if shift is None or shift.ndim == 0 else shift.reshape(-1)
        channel = _per_channel(factor)
        if alone and inner.kind == "average" and channel is not None:
            before = self.shape(self.known[inner.operands[0]])
            spread = channel if channel.ndim == 0 else np.broadcast_to(channel.reshape(-1, *[1] * (len(before) - 1)), before)
            names, shift = self.scaled(inner.operands[0], spread)
            if not names:
                return names, self.pooled(inner, shift)
            name = self.add(Pool(self.name(f"{self.base(names)}.pool"), names, "average", inner.what))
            return (name,), self.pooled(inner, shift)
        if alone and inner.kind == "layer" and channel is not None:
            return self.layer(inner, channel)
        names, shift = self.value(number)
        if names:
            names = (self.add(Scale(self.name(f"{self.base(names)}.scale"), names, factor)),)
        return names, None if shift is None else factor * shift

    def _layer(self, expression: Expression, number: int) -> tuple[Names, Map]:
        return self.layer(expression, np.ones(()))

    def layer(self, expression: Expression, factor: np.ndarray) -> tuple[Names, Map]:
        """Add a Linear or a convolution, its outputs times a factor, () or (channels,)."""
        path = expression.what
        module = self.module.get_submodule(path)
        assert isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d)
        weight = _floats(module.weight)
        bias = None if module.bias is None else _floats(module.bias)
        operand = self.known[expression.operands[0]]
        seen = operand.shape
        groups = 1 if isinstance(module, nn.Linear) else module.groups
        names, shift, scale = self.source(expression.operands[0], groups)
        if scale is not None:
            weight = weight * scale.reshape(1, -1, *[1] * (weight.ndim - 2)) if scale.ndim else weight * scale
            self.fold(path, f"factor {_brief(scale)} of its input")
        if factor.ndim or factor != 1:
            weight = weight * factor.reshape(-1, *[1] * (weight.ndim - 1)) if factor.ndim else weight * factor
            bias = None if bias is None else bias * factor
            self.fold(path, f"factor {_brief(factor)} of its output")
        if isinstance(module, nn.Linear):
            node: Linear | Conv = Linear(self.name(path), names, weight, bias)
        else:
            node = Conv(self.name(path), names, weight, bias, conv_window(module), groups)
        shift = self.mapped(node, shift, seen)
        if shift is not None and (channel := _per_channel(shift)) is not None:
            total = np.broadcast_to(channel, weight.shape[:1]) + (0.0 if bias is None else bias)
            node = Linear(node.name, names, weight, total) if isinstance(node, Linear) else Conv(
                node.name, names, weight, total, node.window, groups)
            self.fold(path, "a constant in its bias")
            shift = None
        if names:
            return (self.add(node),), shift
        own = np.zeros(expression.shape) if node.bias is None else np.broadcast_to(
            node.bias.reshape(-1, *[1] * (len(expression.shape) - 1)), expression.shape)
        return (), _sum(shift, own)

    def mapped(self, node: Linear | Conv, shift: Map, seen: tuple[int, ...]) -> Map:
        """Return what a layer makes of a constant map, its bias left out."""
        if shift is None:
            return None
        bare = Linear("x", ("y",), node.weight) if isinstance(node, Linear) else Conv(
            "x", ("y",), node.weight, None, node.window, node.groups)
        return bare.apply(np.broadcast_to(shift, seen)[None])[0]

    def source(self, number: int, groups: int) -> tuple[Names, Map, np.ndarray | None]:
        """Return what a layer reads, with a factor that can go into its weights instead: () or one for each input (channel)."""
        inner, shape = self.known[number], self.known[number].shape
        flat = inner.kind == "reshape"
        below = self.known[inner.operands[0]] if flat else inner
        if below.kind == "affine" and not (flat and len(shape) != 1):
            operand = below.operands[0]
            affine = self.known.affines[below.what]
            factor = affine.factor.reshape(-1) if flat and affine.factor.ndim else affine.factor
            channel = factor if factor.ndim == 0 or len(shape) == 1 else _per_channel(factor)
            fits = channel is not None and (groups == 1 or channel.ndim == 0)
            if fits and channel is not None and self.known[operand].kind in ("spikes", "input", "maximum"):
                read = self.known.add("reshape", None, shape, (operand,)) if flat else operand
                names, shift = self.value(read)
                extra: Map = affine.shift if np.any(affine.shift) else None
                if extra is not None and extra.ndim and flat:
                    extra = extra.reshape(-1)
                assert shift is None
                # The layer multiplies the map with its scaled weights.
                if extra is not None:
                    if not np.all(channel):
                        names, shift = self.value(number)
                        return names, shift, None
                    over = channel if channel.ndim == 0 else channel.reshape(-1, *[1] * (len(shape) - 1))
                    extra = extra / over
                return names, extra, channel
        names, shift = self.value(number)
        return names, shift, None


def _floats(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy().astype(np.float64)


def _brief(values: np.ndarray) -> str:
    array = np.asarray(values)
    return f"{float(array):.6g}" if array.size == 1 else f"{array.min():.6g}..{array.max():.6g}"

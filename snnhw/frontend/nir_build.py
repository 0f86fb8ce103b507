"""From the nodes of a NIR file to a float network."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from snnhw.errors import NetworkError, raise_problems
from snnhw.frontend.nir_choices import Decided
from snnhw.frontend.nir_graph import NEURONS, Item, NirGraph, cut_cycles, order
from snnhw.ir import Delay, Flatten, Input, Node, Readout, Window
from snnhw.ir.nodes import Shape
from snnhw.network import Behaviour, Conv, Linear, Network, Neuron, Pool, Scale

__all__ = ["build"]

DIFFERENT = 0.01  # decays that differ by more make another network
ROUNDED = 1e-6  # gains that differ by less are the same number, written in single precision


class _Problem(Exception):
    """What is wrong with one node; the message follows its name."""


def build(graph: NirGraph, decided: Decided, name: str, record: Mapping[str, str]) -> Network:
    """Return the network of `graph` under the choices of `decided`; `record` is put before the choices.

    Raises
    ------
    NetworkError
        With one sentence for each thing that has no hardware.
    """
    return _Builder(graph, decided).network(name, record)


class _Builder:
    """State while one network is built."""

    def __init__(self, graph: NirGraph, decided: Decided):
        self.graph, self.decided = graph, decided
        self.nodes: dict[str, Node] = {}
        self.shapes: dict[str, Shape] = {}
        self.gains: dict[str, np.ndarray] = {}  # of neurons: what an input counts, () or of the shape of the neurons
        self.notes: dict[str, str] = {}
        self.extra: dict[str, list[Node]] = {}  # nodes put before another

    def network(self, name: str, record: Mapping[str, str]) -> Network:
        self._drop_unused()
        self._drop_no_delays()
        if cut := cut_cycles(self.graph):
            self.notes["cycles"] = f"one timestep later along {', '.join(cut)}; NIR does not say"
        names = order(self.graph)[0]
        self._make(names)
        order_of = self._final_order(names)
        for item in self.gains:
            self._fold_into_inputs(item)
        nodes = [node for item in order_of for node in (*self.extra.get(item, ()), self.nodes[item])]
        return Network(name, tuple(nodes), self.decided.timesteps, {**record, **self._choices(), **self.notes})

    def _final_order(self, names: list[str]) -> list[str]:
        """Delays first, so that what they feed comes later, and the readout last."""
        last = [name for name in names if self.graph.items[name].kind == "Output"]
        rest = [name for name in names if name not in last]
        first = [name for name in rest if self.graph.items[name].kind == "Input"]
        return first + [name for name in rest if name not in first] + last

    def _choices(self) -> dict[str, str]:
        decided = self.decided
        kinds = {item.kind for item in self.graph.items.values()}
        shown = ["tool"]
        if kinds & {"LI", "LIF", "CubaLI", "CubaLIF", "Delay"}:
            shown += ["dt", "tau_unit", "method", "input_gain", "rounding"]
        if kinds & {"IF", "LIF", "CubaLIF"}:
            shown += ["reset", "reset_time", "compare", "grades"]
        if kinds & {"I", "LI", "CubaLI"}:
            shown.append("over")
        shown.append("timesteps")
        words = {"dt": f"{decided.dt} s" if decided.tau_unit == "s" else "1 timestep", "tool": str(decided.tool or "not given")}
        return {name: f"{words.get(name, decided.values[name])}, {decided.origins[name]}" for name in shown}

    def _drop_unused(self) -> None:
        """Remove what the output does not depend on."""
        sources = self.graph.sources()
        needed = {name for name, item in self.graph.items.items() if item.kind in ("Input", "Output")}
        todo = list(needed)
        while todo:
            new = [name for name in sources[todo.pop()] if name not in needed]
            needed.update(new)
            todo += new
        unused = [name for name in self.graph.items if name not in needed]
        if unused:
            self.notes["left out"] = f"{', '.join(map(repr, unused))}: the output does not depend on it"
            for name in unused:
                del self.graph.items[name]
            self.graph.edges = [edge for edge in self.graph.edges if edge[0] in needed and edge[1] in needed]

    def _drop_no_delays(self) -> None:
        """Check every delay of the file, and join what stands around a delay of no timesteps."""
        nothing = set()
        for item in [item for item in self.graph.items.values() if item.kind == "Delay"]:
            try:
                steps = self._delay_steps(item)
            except _Problem as problem:
                raise NetworkError(f"{item.where}: {problem}") from None
            if steps == 0:
                nothing.add(item.name)
                self.notes[f"layer {item.name!r}"] = "left out, it delays by nothing"
        self.graph.splice(nothing)

    def _delay_steps(self, item: Item) -> int:
        delay = _real(item, "delay")
        if not np.isfinite(delay).all() or (delay < 0).any():
            raise _Problem(f"delay must be finite and not negative, not {_first(delay, ~(np.isfinite(delay) & (delay >= 0)))}")
        steps = np.unique(np.round(delay / self.decided.dt, 3))
        if steps.size != 1:
            raise _Problem(f"delay must be the same for all elements, not {delay.min():g} to {delay.max():g}")
        if steps[0] not in (0, 1):
            raise _Problem(f"delay must be 0 or 1 timestep of {self.decided.dt:g}, not {steps[0]:g}")
        return int(steps[0])

    # Nodes, without the gains of the neurons

    def _make(self, names: list[str]) -> None:
        """Make every node whose input has a shape, again until no shape is found any more."""
        sources = self.graph.sources()
        problems: dict[str, str] = {}
        waiting = names
        while waiting:
            left = []
            for name in waiting:
                item = self.graph.items[name]
                known = [self.shapes[source] for source in sources[name] if source in self.shapes]
                if not known and sources[name]:
                    left.append(name)
                    continue
                try:
                    node = self._node(item, tuple(sources[name]), known[0] if known else ())
                    self.nodes[name], self.shapes[name] = node, self._infer(node, known[:1])
                except _Problem as problem:
                    problems[name] = f"{item.where}: {problem}"
                except (ValueError, TypeError) as error:
                    problems[name] = str(error) if str(error).startswith("layer ") else f"{item.where}: {error}"
            if len(left) == len(waiting):
                break
            waiting = left
        if waiting and not problems:
            problems[""] = f"{self.graph.items[waiting[0]].where}: its shape must follow from the input, and does not"
        raise_problems(problems.values())

    def _infer(self, node: Node, shapes: list[Shape]) -> Shape:
        found = node.check(tuple(shapes)) if shapes else []
        if found:
            raise _Problem("; ".join(found))
        return node.infer(tuple(shapes))

    def _node(self, item: Item, inputs: tuple[str, ...], shape: Shape) -> Node:
        name = item.name
        match item.kind:
            case "Input":
                return Input(name, (), self._input_shape(item))
            case "Output":
                state = len(inputs) == 1 and isinstance(node := self.nodes[inputs[0]], Neuron) and not node.fires
                return Readout(name, inputs, "membrane", self.decided.over) if state else Readout(name, inputs)
            case "Affine" | "Linear":
                weight = _finite(item, "weight")
                if weight.ndim != 2 or 0 in weight.shape:
                    raise _Problem(f"weight must have shape (outputs, inputs), not {weight.shape}")
                return Linear(name, inputs, weight, _bias(item, weight.shape[0]) if item.kind == "Affine" else None)
            case "Scale":
                return Scale(name, inputs, _fit(_finite(item, "scale"), shape, "scale"))
            case "Conv1d" | "Conv2d":
                return self._conv(item, inputs, 1 if item.kind == "Conv1d" else 2)
            case "SumPool2d" | "AvgPool2d":
                kernel = _sizes(item, "kernel_size", 2)
                window = Window(kernel, _sizes(item, "stride", 2, kernel), _sizes(item, "padding", 2, (0, 0)))
                return Pool(name, inputs, "sum" if item.kind == "SumPool2d" else "average", window)
            case "Flatten":
                return self._flatten(item, inputs, shape)
            case "Delay":
                return Delay(name, inputs, shape)
            case kind if kind in NEURONS:
                return self._neuron(item, inputs, shape)
        raise AssertionError(f"no reader for {item.kind}")

    def _input_shape(self, item: Item) -> Shape:
        shape = _integers(item, "shape")
        while len(shape) > 3 and shape[0] == 1:
            shape = shape[1:]
        if not 1 <= len(shape) <= 3 or min(shape) < 1:
            raise _Problem(f"shape must be one to three positive sizes, not {shape}")
        return shape

    def _conv(self, item: Item, inputs: tuple[str, ...], rank: int) -> Conv:
        weight = _finite(item, "weight")
        if weight.ndim != 2 + rank or 0 in weight.shape:
            raise _Problem(f"weight must have {2 + rank} dimensions, not shape {weight.shape}")
        kernel = tuple(weight.shape[2:])
        stride, dilation = _sizes(item, "stride", rank, (1,) * rank), _sizes(item, "dilation", rank, (1,) * rank)
        padding = item.fields.get("padding", np.array(0))
        end: tuple[int, ...] = ()
        if isinstance(padding, str):
            if padding not in ("same", "valid"):
                raise _Problem(f"padding must be integers, 'same' or 'valid', not {padding[:40]!r}")
            if padding == "same" and set(stride) != {1}:
                raise _Problem(f"stride must be 1 for padding 'same', not {stride}")
            total = [size * (count - 1) if padding == "same" else 0 for size, count in zip(dilation, kernel, strict=True)]
            begin, end = tuple(value // 2 for value in total), tuple(value - value // 2 for value in total)
        else:
            begin = _sizes(item, "padding", rank, (0,) * rank)
        groups = _sizes(item, "groups", 1, (1,))[0]
        if groups < 1:
            raise _Problem(f"groups must be positive, not {groups}")
        return Conv(item.name, inputs, weight, _bias(item, weight.shape[0]), Window(kernel, stride, begin, end, dilation), groups)

    def _flatten(self, item: Item, inputs: tuple[str, ...], shape: Shape) -> Node:
        rank, size = len(shape), int(np.prod(shape))
        start, end = _integers(item, "start_dim", (1,))[0], _integers(item, "end_dim", (-1,))[0]
        last = end if end >= 0 else end + rank
        first = start if start >= 0 else start + rank
        if not any(extent > 1 for extent in (*shape[:max(first, 0)], *shape[last + 1:])) or rank == 1:
            return Flatten(item.name, inputs)
        readers = [self.graph.items[name] for name in self.graph.targets()[item.name]]
        whole = all(reader.kind in ("Affine", "Linear") and _finite(reader, "weight").shape[1:] == (size,) for reader in readers)
        if start == 1 and whole and readers:
            self.notes[f"layer {item.name!r}"] = "flattens everything: its start_dim counts a dimension of samples"
            return Flatten(item.name, inputs)
        raise _Problem(f"must flatten all dimensions of {'x'.join(map(str, shape))}, not those from {start} to {end}")

    # Neurons

    def _neuron(self, item: Item, inputs: tuple[str, ...], shape: Shape) -> Neuron:
        decided = self.decided
        if item.kind == "Threshold":
            return Neuron(item.name, inputs, Behaviour(0.0, _even(_fit(_finite(item, "threshold"), shape, "threshold")),
                                                       decided.compare, "none"))
        beta, gain, drive = self._membrane(item, shape)
        alpha, start = None, 0.0
        shift = np.zeros(())
        if item.kind in ("CubaLI", "CubaLIF"):
            alpha, factor = self._decay(item, "tau_syn", shape)
            gain = gain * factor * _fit(_finite(item, "w_in", 1.0), shape, "w_in")
            leak = _even(_fit(_finite(item, "v_leak", 0.0), shape, "v_leak"))
            if np.ndim(leak):
                raise _Problem("v_leak must be the same for all neurons with a synaptic current")
            # The constant current of v_leak would pass the synapse; the membrane is counted from v_leak instead.
            shift, drive, start = np.asarray(leak), np.zeros(()), -float(leak)
        self.gains[item.name] = gain
        values: dict[str, Any] = {"bias": _even(drive), "start": start, "rounding": decided.rounding,
                                  "alpha": None if alpha is None else _even(alpha)}
        if item.kind in ("I", "LI", "CubaLI"):
            return Neuron(item.name, inputs, Behaviour(_even(beta), 0.0, reset="none", output="state", **values))
        threshold = _fit(_finite(item, "v_threshold"), shape, "v_threshold")
        base = _fit(_finite(item, "v_reset", 0.0), shape, "v_reset")
        reset, amount = decided.reset, np.zeros(())
        if reset == "subtract":
            amount = threshold - base
            if (amount < 0).any():
                raise _Problem(f"v_threshold must be above v_reset for a reset by subtraction, not {amount.min():g} below")
        elif reset in ("zero", "value"):
            amount = (base if reset == "value" else np.zeros(())) - shift
            reset = "value" if amount.any() else "zero"
        count = decided.grades > 1
        behaviour = Behaviour(
            _even(beta), _even(threshold - shift), decided.compare, reset, _even(amount) if reset != "zero" else 0.0,
            decided.reset_time if reset != "none" else "immediate", output="count" if count else "spike",
            grades=decided.grades, **values)
        return Neuron(item.name, inputs, behaviour)

    def _membrane(self, item: Item, shape: Shape) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return beta, what an input counts, and the constant current of the leak voltage."""
        r = _fit(_real(item, "r"), shape, "r")
        if item.kind in ("I", "IF"):
            _check_resistance(r)
            return np.ones(()), np.ones(()) if self.decided.input_gain == "one" else r, np.zeros(())
        name = "tau_mem" if item.kind in ("CubaLI", "CubaLIF") else "tau"
        tau = _fit(_real(item, name), shape, name)
        beta, factor = self._decay(item, name, shape)
        endless = np.isinf(tau) & np.isinf(r)
        if endless.any() and self.decided.tool == "snntorch":  # its way to write beta = 1
            tau, r, factor = (np.broadcast_to(value, np.broadcast_shapes(tau.shape, r.shape)) for value in (tau, r, factor))
            r, factor = np.where(endless, 1.0, r), np.where(endless, 1.0, factor)
        _check_resistance(r)
        leak = _fit(_finite(item, "v_leak", 0.0), shape, "v_leak")
        return beta, np.ones(()) if self.decided.input_gain == "one" else r * factor, leak * (1 - beta)

    def _decay(self, item: Item, name: str, shape: Shape) -> tuple[np.ndarray, np.ndarray]:
        """Return the factor of a state per timestep, and what its input counts."""
        tau = _fit(_real(item, name), shape, name)
        if not (tau > 0).all():
            raise _Problem(f"{name} must be positive, not {_first(tau, ~(tau > 0))}")
        dt, method = self.decided.dt, self.decided.method
        euler, exact = 1 - dt / tau, np.exp(-dt / tau)
        if self.decided.tau_unit == "steps" and self.decided.origins["dt"] != "given" and (tau < 1).all():
            raise _Problem(f"{name} must be a number of timesteps for {self.decided.tool}, and {tau.max():g} is less than one; "
                           f"give dt in seconds")
        if method == "euler" and (euler < 0).any():
            raise _Problem(f"{name} must be at least the timestep of {dt:g}, not {tau.min():g}; "
                           f"give another dt, or method = 'exact'")
        if (difference := float(np.abs(euler - exact).max())) > DIFFERENT:
            self.notes[f"decay of {item.name!r}"] = (
                f"{method}; euler and exact differ by up to {difference:.3g} at this timestep, so tools may spike differently")
        beta = euler if method == "euler" else exact
        return beta, 1 - beta if method == "exact" else dt / tau

    # Gains of neurons go into the weights before them

    def _fold_into_inputs(self, name: str) -> None:
        neuron, gain = self.nodes[name], self.gains[name]
        first = gain.flat[0]
        if np.allclose(gain, first, rtol=ROUNDED, atol=0):
            gain = np.asarray(1.0 if abs(first - 1) < ROUNDED else first)
        inputs = tuple(source if self._fold(source, gain) else self._scale(name, source, gain) for source in neuron.inputs)
        self.nodes[name] = replace(neuron, inputs=inputs)

    def _fold(self, name: str, gain: np.ndarray) -> bool:
        """Multiply what `name` gives by `gain`, if it is a current that nothing else reads."""
        node = self.nodes[name]
        if not isinstance(node, Linear | Conv | Scale | Pool | Flatten):
            return False
        if isinstance(node, Pool | Flatten):  # per channel is possible too, and rare
            if gain.ndim or len(self.graph.targets()[name]) != 1 or not all(self._foldable(source) for source in node.inputs):
                return False
            return all([self._fold(source, gain) for source in node.inputs])
        if gain.ndim == 0 and gain == 1:
            return True
        if len(self.graph.targets()[name]) != 1:
            return False
        if isinstance(node, Scale):
            self.nodes[name] = replace(node, weight=node.weight * gain)
            return True
        if gain.ndim and isinstance(node, Conv):
            channels = gain.reshape(len(gain), -1)
            if (channels != channels[:, :1]).any():
                return False
            gain = channels[:, 0]
        weight = node.weight * (gain.reshape(-1, *[1] * (node.weight.ndim - 1)) if gain.ndim else gain)
        self.nodes[name] = replace(node, weight=weight, bias=None if node.bias is None else node.bias * gain)
        return True

    def _foldable(self, name: str) -> bool:
        """Tell whether one factor can be multiplied into what `name` gives."""
        node = self.nodes[name]
        if isinstance(node, Linear | Conv | Scale):
            return len(self.graph.targets()[name]) == 1
        return (isinstance(node, Pool | Flatten) and len(self.graph.targets()[name]) == 1
                and all(self._foldable(source) for source in node.inputs))

    def _scale(self, neuron: str, source: str, gain: np.ndarray) -> str:
        """Put a factor between a source and a neuron; return its name."""
        taken = self.nodes.keys() | {node.name for nodes in self.extra.values() for node in nodes}
        name = f"{neuron}.gain"
        while name in taken:
            name += "'"
        self.extra.setdefault(neuron, []).append(Scale(name, (source,), gain))
        return name


def _real(item: Item, name: str, default: float | None = None) -> np.ndarray:
    """Return a field as float64."""
    value = item.fields.get(name, default)
    if value is None:
        raise _Problem(f"must have {name}")
    if isinstance(value, str | dict) or np.asarray(value).dtype.kind not in "biuf":
        raise _Problem(f"{name} must be numbers")
    array = np.asarray(value, np.float64)
    if not array.size:
        raise _Problem(f"{name} must not be empty")
    if np.isnan(array).any():
        raise _Problem(f"{name} must be a number, not nan")
    return array


def _finite(item: Item, name: str, default: float | None = None) -> np.ndarray:
    array = _real(item, name, default)
    if not np.isfinite(array).all():
        raise _Problem(f"{name} must be finite, not {_first(array, ~np.isfinite(array))}")
    return array


def _bias(item: Item, channels: int) -> np.ndarray | None:
    bias = _finite(item, "bias", 0.0)
    if not bias.any():
        return None
    if bias.size not in (1, channels):
        raise _Problem(f"bias must have {channels} values, not {bias.size}")
    return np.broadcast_to(bias.ravel(), (channels,))


def _integers(item: Item, name: str, default: tuple[int, ...] | None = None) -> tuple[int, ...]:
    if name not in item.fields and default is not None:
        return default
    array = _finite(item, name)
    if array.ndim > 1 or array.size > 8 or (array != np.round(array)).any() or np.abs(array).max() > 1 << 31:
        raise _Problem(f"{name} must be integers")
    return tuple(int(value) for value in array.ravel())


def _sizes(item: Item, name: str, rank: int, default: tuple[int, ...] | None = None) -> tuple[int, ...]:
    """Return one integer for each dimension; one for all is repeated."""
    values = _integers(item, name, default)
    if len(values) not in (1, rank):
        raise _Problem(f"{name} must be one or {rank} integers, not {len(values)}")
    return values * rank if len(values) == 1 else values


def _fit(values: np.ndarray, shape: Shape, name: str) -> np.ndarray:
    """Return parameters as one value, or as an array of `shape`; one value for all and one for each channel are spread."""
    if values.size == 1:
        return values.reshape(())
    while values.ndim > len(shape) and values.shape[0] == 1:
        values = values[0]
    if values.ndim == 1 and values.size == np.prod(shape):
        return values.reshape(shape)
    if values.ndim == len(shape) and all(size in (1, extent) for size, extent in zip(values.shape, shape, strict=True)):
        return np.broadcast_to(values, shape)
    raise _Problem(f"{name} must be one value or of shape {'x'.join(map(str, shape))}, not {values.shape}")


def _even(values: np.ndarray) -> np.ndarray | float:
    """Return one value if all are the same, else one for each neuron."""
    flat = np.ravel(values)
    return float(flat[0]) if (flat == flat[0]).all() else flat


def _first(array: np.ndarray, bad: np.ndarray) -> str:
    return f"{array[bad].flat[0]:g}"


def _check_resistance(r: np.ndarray) -> None:
    if not (np.isfinite(r) & (r > 0)).all():
        raise _Problem(f"r must be finite and positive, not {_first(r, ~(np.isfinite(r) & (r > 0)))}")

"""Where a network and what was made of it first part, and which part of the arithmetic does it.

Three networks run side by side on the same spikes: ``float``, as it was trained; ``fake``, the float arithmetic with the
constants of the integers, so that nothing is rounded or clipped while it runs; and ``integer``, the reference, which the
hardware equals. They are compared at the first spike in which the floats and the integers differ: earliest sample, then
timestep, then layer, then neuron. Until there that neuron received the same in both, so it alone is computed again, with one
field after the other taken from the one and from the other.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from snnhw import ir
from snnhw.ir import Decay, Delay, Graph, Input, NeuronSpec
from snnhw.ir.nodes import Node
from snnhw.ir.traverse import route
from snnhw.network import Behaviour, Conv, Linear, Network, Neuron, Pool, Scale, run_network
from snnhw.reference import run

__all__ = ["Agreement", "Difference", "agreements", "explain", "fake_quantized"]

FIELDS = ("weights", "bias", "threshold", "reset amount", "decay", "rounding of the leak", "saturation")
"""What may differ between a float neuron and its integers, in the order in which it is tried."""

SHOWN = 12


def fake_quantized(graph: Graph) -> Network:
    """Return the float network with the constants of `graph`, in units of its weights."""
    nodes: list[Node] = []
    for node in graph.nodes:
        if isinstance(node, ir.Linear):
            nodes.append(Linear(node.name, node.inputs, node.weight))
        elif isinstance(node, ir.Conv):
            nodes.append(Conv(node.name, node.inputs, node.weight, None, node.window, node.groups))
        elif isinstance(node, ir.Scale):
            nodes.append(Scale(node.name, node.inputs, node.weight))
        elif isinstance(node, ir.SumPool):
            nodes.append(Pool(node.name, node.inputs, "sum", node.window))
        elif isinstance(node, ir.Neuron):
            nodes.append(Neuron(node.name, node.inputs, _behaviour(node.spec, 2.0 ** -node.spec.frac)))
        else:
            nodes.append(node)
    return Network(graph.name, tuple(nodes), graph.timesteps)


def _behaviour(spec: NeuronSpec, unit: float) -> Behaviour:
    """Return the arithmetic of `spec` without rounding and clipping; `unit` is the worth of a step of the state."""
    return Behaviour(
        spec.decay.ratio, np.asarray(spec.threshold) * unit, ">=", spec.reset, np.asarray(spec.reset_amount) * unit,
        spec.reset_time, spec.input_on_reset, None if spec.synapse is None else spec.synapse.ratio,
        np.asarray(spec.bias) * unit, spec.start * unit, spec.output, spec.grades)


@dataclass(frozen=True)
class Agreement:
    """How far two networks agree in one layer.

    Attributes
    ----------
    layer : str
        Name of the neurons.
    words, equal : int
        Spike words, and those that are equal.
    """

    layer: str
    words: int
    equal: int


@dataclass(frozen=True)
class Difference:
    """The first spike in which two networks differ.

    Attributes
    ----------
    left, right : str
        The networks.
    sample, step, neuron : int
        Where.
    layer : str
        Name of the neurons.
    spikes : tuple of int
        Of the left and of the right network.
    membranes : mapping of str to float array, (timesteps,)
        State of the neuron in each network that was compared, in steps of the integer state.
    threshold : int
        At or above it the integer neuron fires.
    cause : tuple of str
        Fields that explain it: with them taken from the right network, the neuron of the left fires as that of the right. One
        field where one alone does; several where only together; empty where the neuron's own arithmetic does not explain it.
    """

    left: str
    right: str
    sample: int
    step: int
    layer: str
    neuron: int
    spikes: tuple[int, int]
    membranes: Mapping[str, np.ndarray]
    threshold: int
    cause: tuple[str, ...]

    def __str__(self) -> str:
        lines = [f"{self.left} and {self.right} first differ in layer {self.layer!r}, neuron {self.neuron}, timestep {self.step} "
                 f"of sample {self.sample}: {self.left} gives {self.spikes[0]}, {self.right} gives {self.spikes[1]}"]
        first = max(0, self.step - SHOWN + 2)
        steps = range(first, self.step + 1)
        rows = [("timestep", [str(at) for at in steps])]
        rows += [(f"membrane, {name}", [f"{values[at]:.6g}" for at in steps]) for name, values in self.membranes.items()]
        widths = [max(len(values[column]) for _, values in rows) for column in range(len(steps))]
        lines += [f"  {title:<20}" + " ".join(f"{value:>{width}}" for value, width in zip(values, widths, strict=True))
                  for title, values in rows]
        lines.append(f"  {'fires from':<20}{self.threshold}, in steps of the integer state")
        if not self.cause:
            lines.append("  its own arithmetic does not explain it")
        elif len(self.cause) == 1:
            lines.append(f"  explained by: {self.cause[0]}")
        else:
            lines.append(f"  explained by these together: {', '.join(self.cause)}")
        return "\n".join(lines)


def agreements(left: Mapping[str, np.ndarray], right: Mapping[str, np.ndarray], names: list[str]) -> list[Agreement]:
    """Return how far spikes by name, (samples, timesteps, neurons), agree."""
    return [Agreement(name, left[name].size, int((left[name] == right[name]).sum())) for name in names]


def _first(left: Mapping[str, np.ndarray], right: Mapping[str, np.ndarray], names: list[str]) -> tuple[int, int, int, int] | None:
    """Return (sample, step, layer, neuron) of the earliest difference."""
    found = []
    for layer, name in enumerate(names):
        differs = left[name] != right[name]
        if differs.any():
            sample = int(differs.any(axis=(1, 2)).argmax())
            at, neuron = np.unravel_index(int(differs[sample].argmax()), differs.shape[1:])
            found.append((sample, int(at), layer, int(neuron)))
    return min(found) if found else None


def _drive(network: Network | Graph, name: str, trains: Mapping[str, np.ndarray], neuron: int) -> np.ndarray:
    """Return the current of one neuron in one sample, float64 (timesteps,), without what its own arithmetic adds.

    `trains` are the spikes of the input and of all that fire, (timesteps, elements).
    """
    nodes = {node.name: node for node in network.nodes}

    def given(source: str) -> np.ndarray | None:
        node = nodes[source]
        if isinstance(node, Delay):
            before = trains[node.inputs[0]].astype(np.float64)
            return np.concatenate([np.zeros_like(before[:1]), before[:-1]]).reshape(-1, *node.shape)
        return trains[source].astype(np.float64).reshape(-1, *network.shapes[source]) if source in trains else None

    found: dict[str, np.ndarray] = {}
    kinds = dict.fromkeys(nodes, np.dtype(np.float64))
    parts = [route(nodes, source, given, kinds, found) for source in nodes[name].inputs]
    return np.sum([part.reshape(len(part), -1)[:, neuron] for part in parts], axis=0)


def _one(array: object, neuron: int) -> float:
    values = np.asarray(array, np.float64)
    return float(values if values.ndim == 0 else values[neuron])


@dataclass(frozen=True)
class _Single:
    """One neuron in real numbers, in steps of the integer state, that rounds and clips as it is told."""

    current: np.ndarray
    beta: float
    alpha: float | None
    threshold: float
    strict: bool
    amount: float
    bias: float
    start: float
    like: NeuronSpec
    rounds: bool
    clips: bool

    def run(self) -> tuple[np.ndarray, np.ndarray]:
        """Return spikes and states, (timesteps,)."""
        spec = self.like
        low, high = -(1 << (spec.bits - 1)), (1 << (spec.bits - 1)) - 1

        def leak(value: float, factor: float, decay: Decay) -> float:
            if not self.rounds:
                return value * factor
            if decay.kind == "one":
                return value
            if decay.kind == "shift":
                return value - math.floor(value / 2.0 ** decay.shift)
            scaled = value * factor
            return float(math.trunc(scaled) if decay.rounding == "zero" else math.floor(scaled))

        def clip(value: float) -> float:
            return min(max(value, low), high) if self.clips else value

        def fires(value: float) -> bool:
            return value > self.threshold if self.strict else value >= self.threshold

        target = {"zero": 0.0, "value": self.amount}.get(spec.reset)
        v, c = self.start, 0.0
        spikes, states = [], []
        for current in self.current:
            drive = float(current) + self.bias
            if spec.synapse is not None and self.alpha is not None:
                drive = c = clip(leak(c, self.alpha, spec.synapse) + drive)
            if spec.reset_time == "immediate":
                u = clip(leak(v, self.beta, spec.decay) + drive)
                count = sum(u - k * self.amount > self.threshold if self.strict else u - k * self.amount >= self.threshold
                            for k in range(spec.grades)) if spec.output == "count" else int(fires(u))
                v = u
                if count and target is not None:
                    v = target
                elif spec.reset == "subtract":
                    v = u - count * self.amount
            else:
                fired = fires(v)
                if fired and target is not None and spec.input_on_reset == "drop":
                    v = target
                else:
                    before = target if fired and target is not None else v
                    loss = self.amount if fired and spec.reset == "subtract" else 0.0
                    v = clip(leak(before, self.beta, spec.decay) + drive - loss)
                count = int(fires(v))
            spikes.append(count)
            states.append(v)
        return np.array(spikes), np.array(states)


def explain(network: Network, graph: Graph, units: Mapping[str, np.ndarray], spikes: np.ndarray) -> Difference | None:
    """Return where the float network and its integers first differ, and why; None where they never do.

    Parameters
    ----------
    network : Network
        In floats.
    graph : Graph
        In integers, made from it: same names.
    units : mapping of str to float array, () or (neurons,)
        Worth of a step of the integer state, for each layer of neurons.
    spikes : bool or int array, (samples, timesteps, inputs)
        Input spikes.
    """
    names = [node.name for node in graph.neurons if node.spec.output != "state"]
    real, whole = run_network(network, spikes), run(graph, spikes)
    where = _first(real.spikes, whole.spikes, names)
    if where is None:
        return None
    sample, at, layer, neuron = where
    name = names[layer]
    node, source = graph[name], network[name]
    assert isinstance(node, ir.Neuron)
    assert isinstance(source, Neuron)
    spec, behaviour, unit = node.spec, source.behaviour, _one(units[name], neuron)
    left = {key: values[sample, :at + 1] for key, values in real.spikes.items()}
    right = {key: values[sample, :at + 1] for key, values in whole.spikes.items()}
    trained = _Single(
        _drive(network, name, left, neuron) / unit, _one(behaviour.beta, neuron),
        None if behaviour.alpha is None else _one(behaviour.alpha, neuron), _one(behaviour.threshold, neuron) / unit,
        behaviour.compare == ">", _one(behaviour.reset_amount, neuron) / unit, _one(behaviour.bias, neuron) / unit,
        behaviour.start / unit, spec, False, False)
    bias = _biases_before(network, name, neuron)
    trained = replace(trained, current=trained.current - bias / unit, bias=trained.bias + bias / unit)
    made = _Single(
        _drive(graph, name, right, neuron) * 2.0 ** spec.frac, _one(spec.decay.ratio, neuron),
        None if spec.synapse is None else _one(spec.synapse.ratio, neuron), _one(spec.threshold, neuron), False,
        _one(spec.reset_amount, neuron), _one(spec.bias, neuron), spec.start, spec, True, spec.overflow == "saturate")
    parts: dict[str, dict[str, object]] = {
        "weights": {"current": made.current}, "bias": {"bias": made.bias},
        "threshold": {"threshold": made.threshold, "strict": False}, "reset amount": {"amount": made.amount, "start": made.start},
        "decay": {"beta": made.beta, "alpha": made.alpha}, "rounding of the leak": {"rounds": True},
        "saturation": {"clips": made.clips}}
    wanted = int(whole.spikes[name][sample, at, neuron])
    cause = _cause(trained, parts, wanted)
    scale = 1 / unit
    fake = run_network(fake_quantized(graph), spikes[sample:sample + 1, :at + 1])
    return Difference(
        "float", "integer", sample, at, name, neuron, (int(real.spikes[name][sample, at, neuron]), wanted),
        {"float": real.membranes[name][sample, :at + 1, neuron] * scale,
         "fake": fake.membranes[name][0, :, neuron] * 2.0 ** spec.frac,
         "integer": whole.membranes[name][sample, :at + 1, neuron].astype(np.float64)},
        int(_one(spec.threshold, neuron)), cause)


def _biases_before(network: Network, name: str, neuron: int) -> float:
    """Return the part of a neuron's current that is there without any spike."""
    silent = {node.name: np.zeros((1, math.prod(network.shapes[node.name])))
              for node in network.nodes if node.fires or isinstance(node, Input)}
    return float(_drive(network, name, silent, neuron)[0])


def _cause(trained: _Single, parts: Mapping[str, Mapping[str, object]], wanted: int) -> tuple[str, ...]:
    """Return the fewest fields, tried in order, that make the trained neuron fire as the integer one does."""
    def fires(names: tuple[str, ...]) -> bool:
        changed: dict[str, object] = {}
        for field in names:
            changed |= parts[field]
        return int(replace(trained, **changed).run()[0][-1]) == wanted  # type: ignore[arg-type]

    for field in FIELDS:
        if fires((field,)):
            return (field,)
    taken: tuple[str, ...] = ()
    for field in FIELDS:
        taken = (*taken, field)
        if fires(taken):
            needed = taken
            for other in taken:
                fewer = tuple(item for item in needed if item != other)
                if fires(fewer):
                    needed = fewer
            return needed
    return ()

"""Decide how a graph is computed."""

from collections.abc import Mapping

from snnhw.errors import UsageError, raise_problems
from snnhw.ir import Graph, Linear, Readout
from snnhw.plan.plan import LayerPlan, Plan
from snnhw.plan.ranges import current_range, state_ranges

__all__ = ["DEFAULT_LANES", "make_plan"]

DEFAULT_LANES = 16
MAX_LANES = 256
EXPECTED_RATE = 0.1  # spikes per neuron and timestep; only balances the lanes of the layers, never enters a result


def _cycles(inputs: int, outputs: int, lanes: int) -> float:
    """Return the expected cycles of a timestep: tiles times events, but not less than the serial finaliser."""
    return max(-(-outputs // lanes) * max(1.0, EXPECTED_RATE * inputs), outputs)


def _balance(sizes: list[tuple[int, int]], lanes: int) -> list[int]:
    """Give each layer the fewest lanes, up to `lanes`, with which it is no slower than the slowest with `lanes` lanes."""
    slowest = max(_cycles(inputs, outputs, min(lanes, outputs)) for inputs, outputs in sizes)
    return [next(count for count in range(1, min(lanes, outputs) + 1)
                 if count == min(lanes, outputs) or _cycles(inputs, outputs, count) <= slowest) for inputs, outputs in sizes]


def _check_lanes(lanes: object, what: str) -> None:
    if not isinstance(lanes, int) or isinstance(lanes, bool) or not 1 <= lanes <= MAX_LANES:
        raise UsageError(f"{what} must be an integer between 1 and {MAX_LANES}, not {lanes!r}")


def make_plan(graph: Graph, *, lanes: int | Mapping[str, int] = DEFAULT_LANES, load_weights: bool = False) -> Plan:
    """Plan one core for each layer of `graph`.

    Parameters
    ----------
    graph : Graph
        A chain of weighted sums and neurons.
    lanes : int or mapping of str to int
        The most lanes of a layer: the slowest gets them if they help it, the others are balanced against it; or the
        lanes of each layer of neurons, by name. More lanes than neurons are never built.
    load_weights : bool
        Write the weights through a stream at start-up, for memories that a bitstream cannot initialise.

    Raises
    ------
    NetworkError
        Something in the network has no hardware here; all such layers are named.
    UsageError
        The lanes name an unknown layer, or are not between 1 and 256.
    """
    problems = []
    previous = graph.input.name
    for linear, neuron in graph.layers:
        if linear.inputs != (previous,):
            problems.append(f"layer {linear.name!r} ({linear.title}): input must be {previous!r}, the layer before it, "
                            f"not {linear.inputs[0]!r}; only chains are planned")
        if neuron.spec.output != "spike":
            problems.append(f"layer {neuron.name!r} (Neuron): output must be spike, not {neuron.spec.output}")
        previous = neuron.name
    paired = {node.name for pair in graph.layers for node in pair}
    for node in graph.nodes:
        if isinstance(node, Linear) and node.name not in paired:
            problems.append(f"layer {node.name!r} ({node.title}): must drive a layer of neurons")
    readouts = [node for node in graph.nodes if isinstance(node, Readout)]
    problems += [f"layer {node.name!r} (Readout): input must be the last layer {previous!r}, not {node.inputs[0]!r}"
                 for node in readouts if node.inputs != (previous,)]
    raise_problems(problems)

    sizes = [(linear.sources, linear.outputs) for linear, _ in graph.layers]
    names = [neuron.name for _, neuron in graph.layers]
    if isinstance(lanes, Mapping):
        if unknown := sorted(set(lanes) - set(names)):
            raise UsageError(f"lanes name the layer {unknown[0]!r}, the network has {', '.join(map(repr, names))}")
        for name, asked in lanes.items():
            _check_lanes(asked, f"lanes of layer {name!r}")
        counts = [min(lanes.get(name, DEFAULT_LANES), outputs) for name, (_, outputs) in zip(names, sizes, strict=True)]
    else:
        _check_lanes(lanes, "lanes")
        counts = _balance(sizes, lanes)
    layers = []
    for index, ((linear, neuron), count) in enumerate(zip(graph.layers, counts, strict=True)):
        ranges = state_ranges(current_range(linear), neuron, graph.timesteps)
        layers.append(LayerPlan(index, linear, neuron, count, ranges.current, ranges.update, ranges.state, load_weights,
                                ranges.synapse_update, ranges.synapse))
    return Plan(graph, tuple(layers))

"""The order in which a network is computed, whatever its numbers are: used by the reference and by the float interpreter.

Layers that lie in one cycle advance together, timestep by timestep; every other layer is computed over the whole sample
before those that read it. Currents are computed when neurons need them, a bounded part of samples and timesteps at a time.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Protocol

import numpy as np

from snnhw.ir.nodes import Delay, Flatten, MaxPool, Node, Readout, Shape, WeightedSum
from snnhw.ir.windows import sum_windows

__all__ = ["Population", "blocks", "conclude", "decide", "route", "traverse", "weigh"]

BUDGET = 1 << 18  # largest number of elements of one layer that are held as currents


class Population(Protocol):
    """Neurons of one layer while a network runs."""

    @property
    def persists(self) -> bool:
        """Samples follow each other through one state."""

    def begin(self, samples: int) -> None:
        """Be at the beginning of `samples` samples side by side; of neurons that persist, only the first call counts."""

    def step(self, current: np.ndarray, samples: slice, timestep: int) -> np.ndarray:
        """Advance by one timestep and return what is handed on; both arrays are (samples, neurons)."""


def blocks(nodes: Sequence[Node]) -> list[list[Node]]:
    """Return the nodes in an order in which they can be computed; those of one cycle stand together, its delays first."""
    index = {node.name: place for place, node in enumerate(nodes)}
    before = [1 << place for place in range(len(nodes))]
    changed = True
    while changed:
        changed = False
        for place, node in enumerate(nodes):
            known = before[place]
            for name in node.inputs:
                known |= before[index[name]]
            changed |= known != before[place]
            before[place] = known
    # Of two nodes the later one has the earlier one's predecessors and itself; in a cycle all have the same.
    order = sorted(range(len(nodes)), key=lambda place: (before[place].bit_count(), before[place],
                                                         not isinstance(nodes[place], Delay), place))
    return [[nodes[place] for place in places] for _, places in groupby(order, lambda place: before[place])]


def weigh(node: Node, inputs: Sequence[np.ndarray], kind: np.dtype) -> np.ndarray:
    """Return what a node without a state computes from its inputs, (batch, *shape); sums are taken in the type `kind`."""
    if isinstance(node, Flatten):
        return inputs[0].reshape(len(inputs[0]), math.prod(inputs[0].shape[1:]))
    if isinstance(node, MaxPool):
        return sum_windows(inputs[0] != 0, node.window)
    total = inputs[0].astype(kind, copy=False)
    for other in inputs[1:]:
        total = total + other.astype(kind, copy=False)
    return node.apply(total) if isinstance(node, WeightedSum) else total


def route(nodes: Mapping[str, Node], name: str, given: Callable[[str], np.ndarray | None],
          kinds: Mapping[str, np.dtype], found: dict[str, np.ndarray]) -> np.ndarray:
    """Return the output of one node, and of all that it needs, from what is `given`.

    Parameters
    ----------
    nodes : mapping of str to Node
        All nodes, by name.
    name : str
        The wanted one.
    given : callable
        Outputs that are known, (batch, *shape), by name; None for others.
    kinds : mapping of str to dtype
        In which each current is computed.
    found : dict of str to array
        Outputs computed so far; changed in place.
    """
    pending = [name]
    while pending:
        node = nodes[pending[-1]]
        if node.name in found or (known := given(node.name)) is not None:
            if node.name not in found:
                assert known is not None
                found[node.name] = known
            pending.pop()
        elif missing := [source for source in node.inputs if source not in found]:
            pending += missing
        else:
            found[node.name] = weigh(node, [found[source] for source in node.inputs], kinds[node.name])
            pending.pop()
    return found[name]


def traverse(nodes: Sequence[Node], shapes: Mapping[str, Shape], trains: Mapping[str, np.ndarray],
             populations: Mapping[str, Population], kinds: Mapping[str, np.dtype],
             order: Sequence[Sequence[Node]] | None = None) -> None:
    """Compute what every layer hands on.

    Parameters
    ----------
    nodes : sequence of Node
        The network.
    shapes : mapping of str to tuple of int
        Shape of each node's output.
    trains : mapping of str to array, (samples, timesteps, elements)
        That of the input is read; those of neurons and of MaxPool nodes are written.
    populations : mapping of str to Population
        The neurons, by name.
    kinds : mapping of str to dtype
        Type in which the current of each node is computed: that of a float, or one in which it is exact.
    order : sequence of sequence of Node, optional
        The :func:`blocks` of the nodes, if they are known.
    """
    by_name = {node.name: node for node in nodes}
    samples, timesteps = next(iter(trains.values())).shape[:2]
    widest = max([math.prod(shape) for shape in shapes.values()] + [
        node.window.padded(shapes[node.inputs[0]]) for node in nodes if hasattr(node, "window")])
    for block in blocks(nodes) if order is None else order:
        if not any(node.name in trains and node.inputs for node in block):
            continue
        neurons = [populations[node.name] for node in block if node.name in populations]
        batch = 1 if any(neuron.persists for neuron in neurons) else max(1, BUDGET // widest)
        for start in range(0, samples, batch):
            part = slice(start, min(start + batch, samples))
            for neuron in neurons:
                neuron.begin(part.stop - part.start)
            _advance(block, by_name, shapes, trains, populations, kinds, part, timesteps, widest)


def _advance(block: Sequence[Node], nodes: Mapping[str, Node], shapes: Mapping[str, Shape], trains: Mapping[str, np.ndarray],
             populations: Mapping[str, Population], kinds: Mapping[str, np.dtype], part: slice, timesteps: int,
             widest: int) -> None:
    """Compute the layers of one block for some samples."""
    count = part.stop - part.start
    inside = {node.name for node in block}
    outside = {name for node in block for name in node.inputs} - inside
    chunk = max(1, BUDGET // (widest * count))
    for first in range(0, timesteps, chunk):
        last = min(first + chunk, timesteps)

        def given(name: str, first: int = first, last: int = last) -> np.ndarray | None:
            node = nodes[name]
            if isinstance(node, Delay):
                train = trains[node.inputs[0]][part, max(first - 1, 0):last - 1]
                if not first:
                    train = np.concatenate([np.zeros_like(train, shape=(count, 1, train.shape[2])), train], axis=1)
            elif name in trains:
                train = trains[name][part, first:last]
            else:
                return None
            return train.reshape(count * (last - first), *shapes[name])

        found: dict[str, np.ndarray] = {}
        known = {name: route(nodes, name, given, kinds, found).reshape(count, last - first, *shapes[name]) for name in outside}
        found.clear()
        if not any(node.name in populations for node in block):
            node, = block
            pooled = weigh(node, [known[name].reshape(-1, *shapes[name]) for name in node.inputs], kinds[node.name])
            trains[node.name][part, first:last] = pooled.reshape(count, last - first, -1)
            continue
        for t in range(first, last):
            now = {name: values[:, t - first] for name, values in known.items()}
            for node in block:
                if isinstance(node, Delay):
                    past = trains[node.inputs[0]][part, t - 1] if t else np.zeros_like(trains[node.inputs[0]][part, 0])
                    now[node.name] = past.reshape(count, *node.shape)
                    continue
                values = weigh(node, [now[name] for name in node.inputs], kinds[node.name])
                if node.name in populations:
                    values = populations[node.name].step(values.reshape(count, -1), part, t)
                if node.name in trains:
                    trains[node.name][part, t] = values.reshape(count, -1)
                now[node.name] = values.reshape(count, *shapes[node.name])


def decide(values: np.ndarray, kind: str = "count", over: str = "sum") -> np.ndarray:
    """Return the class of each sample, the lowest index on a tie.

    Parameters
    ----------
    values : array, (samples, timesteps, neurons)
        Spikes, or states for kind ``"membrane"``.
    kind, over : str
        As in :class:`snnhw.ir.Readout`.
    """
    samples, timesteps = values.shape[:2]
    if not timesteps:
        return np.zeros(samples, np.int64)
    if kind == "first":
        fired = values != 0
        return np.where(fired.any(axis=1), fired.argmax(axis=1), timesteps).argmin(axis=1)
    if kind == "membrane" and over != "sum":
        return (values[:, -1] if over == "last" else values.max(axis=1)).argmax(axis=1)
    return values.sum(axis=1).argmax(axis=1)


def conclude(nodes: Sequence[Node], trains: Mapping[str, np.ndarray], states: Mapping[str, np.ndarray]) -> tuple[str, np.ndarray]:
    """Return the layer that the readout reads, and the class of each sample, from spikes and states by name."""
    by_name = {node.name: node for node in nodes}
    readout = nodes[-1]
    assert isinstance(readout, Readout)
    node, late = by_name[readout.inputs[0]], False
    while isinstance(node, Flatten | Delay):
        late |= isinstance(node, Delay)
        node = by_name[node.inputs[0]]
    values = (states if readout.kind == "membrane" else trains)[node.name]
    if late:
        values = np.concatenate([np.zeros_like(values[:, :1]), values[:, :-1]], axis=1)
    return node.name, decide(values, readout.kind, readout.over)

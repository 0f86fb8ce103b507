"""Scales: how much of a float one unit of an integer current is worth.

A node's scale is that of its output. A weighted node's is free, and its weights are divided by it and multiplied by that of
its input; a sum has one scale, so that what is added must agree; an average divides the scale by the size of its window.
Weighted nodes whose outputs are added therefore form a group with one free scale; an average on the way gives a member
a fixed ratio to it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from snnhw.ir import Delay, Flatten, Input, MaxPool, Node, Readout
from snnhw.network import Conv, Linear, Network, Neuron, Pool, Scale
from snnhw.ptq.options import Options

__all__ = ["Group", "Member", "best_scale", "group_nodes", "identities", "input_scales", "integers"]

CANDIDATES = 96

Weighted = Linear | Conv | Scale


@dataclass
class Member:
    """A weighted node of a group: its scale is `ratio` times that of the group."""

    node: Weighted
    ratio: float


@dataclass
class Group:
    """Weighted nodes with one scale, in the order of the network.

    Attributes
    ----------
    members : list of Member
        Its nodes.
    neurons : dict of str to float
        Neurons that it drives: their scale is this times that of the group.
    inner : bool
        Other weights follow before the neurons.
    """

    members: list[Member] = field(default_factory=list)
    neurons: dict[str, float] = field(default_factory=dict)
    inner: bool = False


def identities(network: Network) -> tuple[list[Node], dict[str, str]]:
    """Return the nodes with a Scale of 1 wherever spikes, or sums of them, go where currents with a free scale must.

    Returns
    -------
    list of Node
        The nodes, in order.
    dict of str to str
        Name of the neurons, or of the sum, for which each new Scale was made.
    """
    taken = {node.name for node in network.nodes}
    fixed: dict[str, float | None] = {}  # scale of outputs that have one whatever the weights become
    nodes: list[Node] = []
    added: dict[str, str] = {}
    for node in network.nodes:
        if isinstance(node, Delay | Input | MaxPool | Readout):
            nodes.append(node)
            fixed[node.name] = 1.0
            continue
        inputs = []
        agree = len({fixed[name] for name in node.inputs}) == 1
        for name in node.inputs:
            if fixed[name] is not None and (isinstance(node, Neuron) or not agree):
                scale = f"{node.name}.identity"
                while scale in taken:
                    scale += "_"
                taken.add(scale)
                nodes.append(Scale(scale, (name,)))
                added[scale] = node.name
                name, fixed[scale] = scale, None
            inputs.append(name)
        nodes.append(node if tuple(inputs) == node.inputs else replace(node, inputs=tuple(inputs)))
        value = fixed[inputs[0]]
        if isinstance(node, Pool) and node.kind == "average" and value is not None:
            value /= node.window.positions
        fixed[node.name] = 1.0 if isinstance(node, Neuron) else None if isinstance(node, Weighted) else value
    return nodes, added


def group_nodes(nodes: Sequence[Node]) -> list[Group]:
    """Return the groups, those before other groups first."""
    parents: dict[str, tuple[str, float]] = {}  # of a weighted node: another of its group, and the ratio to it

    def root(name: str) -> tuple[str, float]:
        ratio = 1.0
        while name in parents:
            name, factor = parents[name]
            ratio *= factor
        return name, ratio

    scale: dict[str, tuple[str, float] | None] = {}
    drives: dict[str, tuple[str, float]] = {}
    inner: set[str] = set()
    for node in nodes:
        if not node.inputs or isinstance(node, Delay | MaxPool | Readout):
            scale[node.name] = None
            continue
        found = [scale[name] for name in node.inputs]
        first = found[0]
        for other in found[1:]:
            if first is None or other is None:
                assert first is other, "an identity is missing"
                continue
            (kept, left), (name, right) = root(first[0]), root(other[0])
            if kept != name:  # first's ratio * left * kept == other's ratio * right * name
                parents[name] = kept, first[1] * left / (other[1] * right)
        if isinstance(node, Neuron):
            assert first is not None, "an identity is missing"
            drives[node.name] = first
            scale[node.name] = None
        elif isinstance(node, Weighted):
            if first is not None:
                inner.add(first[0])
            scale[node.name] = node.name, 1.0
        elif first is not None and isinstance(node, Pool) and node.kind == "average":
            scale[node.name] = first[0], first[1] / node.window.positions
        else:
            scale[node.name] = first
    groups: dict[str, Group] = {}
    for node in nodes:
        if isinstance(node, Weighted):
            name, ratio = root(node.name)
            group = groups.setdefault(name, Group())
            group.members.append(Member(node, ratio))
            group.inner |= node.name in inner
    for name, (source, factor) in drives.items():
        top, ratio = root(source)
        groups[top].neurons[name] = ratio * factor
    return list(groups.values())


def best_scale(weights: Sequence[np.ndarray], highest: Sequence[int], options: Options) -> float:
    """Return the scale for some arrays of weights, of which each has its largest integer."""
    pairs = [(np.abs(array[array != 0]), top) for array, top in zip(weights, highest, strict=True) if (array != 0).any()]
    if not pairs:
        return 2.0 ** -int(max(highest)).bit_length()
    largest = max(float(array.max()) / top for array, top in pairs)
    smallest = min(float(array.min()) for array, _ in pairs)
    # Weights that already lie on a grid, such as those of a network that was trained quantized, stay as they are.
    for part in range(1, 9):
        step = smallest / part
        if step >= largest * (1 - 1e-9) and all(np.allclose(array / step, np.round(array / step), rtol=0, atol=1e-6)
                                                for array, _ in pairs):
            return step
    if options.method == "minmax":
        return largest
    if options.method == "percentile":
        return max(float(np.percentile(array, options.percentile)) / top for array, top in pairs)
    candidates = largest * np.linspace(0.05, 1.0, CANDIDATES)
    errors = [sum(float(np.square(array - scale * np.minimum(np.round(array / scale), top)).sum()) for array, top in pairs)
              for scale in candidates]
    return float(candidates[int(np.argmin(errors))])


def integers(weight: np.ndarray, scale: np.ndarray | float, highest: int) -> np.ndarray:
    """Return weights in units of a scale, which has one value or one for each output channel: rounded and clipped, int64."""
    scale = np.asarray(scale, np.float64)
    if scale.ndim:
        scale = scale.reshape(-1, *[1] * (weight.ndim - 1))
    return np.clip(np.round(weight / scale), -highest, highest).astype(np.int64)


def input_scales(nodes: Sequence[Node], scales: Mapping[str, np.ndarray | float]) -> dict[str, np.ndarray | float]:
    """Return the scale of what each node reads, from those of weighted nodes that are known."""
    outputs: dict[str, np.ndarray | float] = {}
    found: dict[str, np.ndarray | float] = {}
    for node in nodes:
        if not node.inputs or isinstance(node, Delay | MaxPool | Neuron | Readout):
            outputs[node.name] = 1.0
            continue
        if node.inputs[0] not in outputs:
            continue
        found[node.name] = value = outputs[node.inputs[0]]
        if isinstance(node, Weighted):
            if node.name in scales:
                outputs[node.name] = scales[node.name]
        elif isinstance(node, Pool) and node.kind == "average":
            outputs[node.name] = value / node.window.positions
        elif isinstance(node, Flatten | Pool):
            outputs[node.name] = value
    return found

"""The graph: what a network computes, in integers and nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from types import MappingProxyType

import numpy as np

from snnhw.errors import raise_problems
from snnhw.fixed import Interval
from snnhw.ir.check import check_nodes
from snnhw.ir.nodes import MAX_NAME, Input, Linear, Neuron, Node, Readout, Shape, check_text

__all__ = ["Graph"]

MAX_TIMESTEPS = 1 << 20


@dataclass(frozen=True, eq=False)
class Graph:
    """A network, complete in itself.

    Constructing a graph verifies it: names are unique, every edge leads to an earlier node that gives
    what is taken, shapes agree, weights and states fit their words.

    Parameters
    ----------
    name : str
        Name of the network, any text.
    nodes : tuple of Node
        In topological order.
    timesteps : int
        Length of a sample in timesteps.
    meta : mapping of str to str
        Provenance, for people. Nothing computes from it.

    Raises
    ------
    NetworkError
        With one sentence for each problem, all of them collected.
    """

    name: str
    nodes: tuple[Node, ...]
    timesteps: int
    meta: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_text(self.name, "Network name", MAX_NAME)
        object.__setattr__(self, "nodes", tuple(self.nodes))
        for node in self.nodes:
            if not isinstance(node, Node):
                raise TypeError(f"Network nodes must be nodes, not {node!r}")
        object.__setattr__(self, "meta", MappingProxyType(dict(self.meta)))
        for key, value in self.meta.items():
            check_text(key, "Network meta key")
            check_text(value, f"Network meta {key!r}")
        raise_problems(self._problems())

    def _problems(self) -> list[str]:
        if isinstance(self.timesteps, bool) or not isinstance(self.timesteps, int) or not 1 <= self.timesteps <= MAX_TIMESTEPS:
            return [f"network {self.name!r}: timesteps must be an integer between 1 and {MAX_TIMESTEPS}, not {self.timesteps!r}"]
        problems, _ = check_nodes(self.nodes)
        if sum(isinstance(node, Input) for node in self.nodes) != 1:
            problems.append(f"network {self.name!r}: must have exactly one input")
        if not any(isinstance(node, Neuron) for node in self.nodes):
            problems.append(f"network {self.name!r}: must have at least one layer of neurons")
        if not self.nodes or not isinstance(self.nodes[-1], Readout):
            problems.append(f"network {self.name!r}: must end in a readout")
        return problems

    @cached_property
    def shapes(self) -> Mapping[str, Shape]:
        """Shape of each node's output, by name, without batch and time."""
        return MappingProxyType(check_nodes(self.nodes)[1])

    @cached_property
    def _by_name(self) -> Mapping[str, Node]:
        return MappingProxyType({node.name: node for node in self.nodes})

    def __getitem__(self, name: str) -> Node:
        return self._by_name[name]

    @property
    def input(self) -> Input:
        """The one input node."""
        return next(node for node in self.nodes if isinstance(node, Input))

    @property
    def neurons(self) -> tuple[Neuron, ...]:
        """Populations of neurons, in order."""
        return tuple(node for node in self.nodes if isinstance(node, Neuron))

    def values(self, name: str) -> Interval:
        """Return the values that the spikes of a node may have, 0 for none included."""
        node = self[name]
        while not (node.fires or isinstance(node, Input)):
            node = self[node.inputs[0]]
        if isinstance(node, Input):
            return node.values
        if isinstance(node, Neuron):
            return Interval(0, node.spec.grades)
        return Interval(0, 1)

    @property
    def layers(self) -> tuple[tuple[Linear, Neuron], ...]:
        """Pairs of a weighted sum and the neurons it drives, in order."""
        return tuple((linear, node) for node in self.nodes if isinstance(node, Neuron)
                     and isinstance(linear := self[node.inputs[0]], Linear))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Graph):
            return NotImplemented
        return ((self.name, self.timesteps, dict(self.meta), len(self.nodes)) ==
                (other.name, other.timesteps, dict(other.meta), len(other.nodes))
                and all(_same_node(left, right) for left, right in zip(self.nodes, other.nodes, strict=True)))

    def __hash__(self) -> int:
        return hash((self.name, self.timesteps, tuple(node.name for node in self.nodes)))

    def __str__(self) -> str:
        from snnhw.ir.text import format_graph
        return format_graph(self)


def _same_node(left: Node, right: Node) -> bool:
    if type(left) is not type(right):
        return False
    for item in fields(left):
        a, b = getattr(left, item.name), getattr(right, item.name)
        if not (np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b):
            return False
    return True

"""A network in real numbers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType

from snnhw.errors import raise_problems
from snnhw.ir.check import check_nodes
from snnhw.ir.graph import MAX_TIMESTEPS
from snnhw.ir.nodes import Input, Node, Readout, Shape
from snnhw.network.nodes import Neuron

__all__ = ["Network"]


@dataclass(frozen=True, eq=False)
class Network:
    """Nodes in topological order, as in :class:`snnhw.ir.Graph`, with real weights and behaviours in the place of integers.

    Constructing a network verifies it.

    Parameters
    ----------
    name : str
        Name of the network, any text.
    nodes : tuple of Node
        One input first, a readout last.
    timesteps : int
        Length of a sample; what a file does not say is 1, and is set by the samples.
    choices : mapping of str to str
        What was decided about the network while it was read, and by whom: ``{"dt": "0.0001 s, default for snntorch", ...}``.
        Shown to the user, and carried into the meta of the graph.

    Raises
    ------
    NetworkError
        With one sentence for each problem, all of them collected.
    """

    name: str
    nodes: tuple[Node, ...]
    timesteps: int = 1
    choices: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "nodes", tuple(self.nodes))
        object.__setattr__(self, "choices", MappingProxyType(dict(self.choices)))
        problems, _ = check_nodes(self.nodes)
        if not 1 <= self.timesteps <= MAX_TIMESTEPS:
            problems.append(f"network {self.name!r}: timesteps must be between 1 and {MAX_TIMESTEPS}, not {self.timesteps}")
        if sum(isinstance(node, Input) for node in self.nodes) != 1:
            problems.append(f"network {self.name!r}: must have exactly one input")
        if not self.neurons:
            problems.append(f"network {self.name!r}: must have at least one layer of neurons")
        if not self.nodes or not isinstance(self.nodes[-1], Readout):
            problems.append(f"network {self.name!r}: must end in a readout")
        raise_problems(problems)

    def __deepcopy__(self, memo: object) -> "Network":
        return self  # nothing in it changes

    @cached_property
    def shapes(self) -> Mapping[str, Shape]:
        """Shape of each node's output, by name."""
        return MappingProxyType(check_nodes(self.nodes)[1])

    def __getitem__(self, name: str) -> Node:
        return self._by_name[name]

    @cached_property
    def _by_name(self) -> Mapping[str, Node]:
        return MappingProxyType({node.name: node for node in self.nodes})

    @property
    def input(self) -> Input:
        """The one input node."""
        return next(node for node in self.nodes if isinstance(node, Input))

    @property
    def neurons(self) -> tuple[Neuron, ...]:
        """Populations of neurons, in order."""
        return tuple(node for node in self.nodes if isinstance(node, Neuron))

    def __str__(self) -> str:
        lines = [f"network {self.name!r}, {self.timesteps} timesteps"]
        for node in self.nodes:
            source = f" ({', '.join(repr(name) for name in node.inputs)})" if node.inputs else ""
            detail = f"  # {node.behaviour}" if isinstance(node, Neuron) else ""
            lines.append(f"  {node.name!r} = {node.title}{source} : {'x'.join(map(str, self.shapes[node.name]))}{detail}")
        return "\n".join(lines + [f"  {key}: {value}" for key, value in self.choices.items()]) + "\n"

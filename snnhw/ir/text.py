"""Readable text form of a graph, for people and for golden tests."""

from snnhw.ir.graph import Graph
from snnhw.ir.nodes import Input, Linear, Neuron, Node, Readout

__all__ = ["format_graph"]


def _detail(node: Node) -> str:
    match node:
        case Input(encoding=encoding):
            return f"encoding {encoding}"
        case Linear(weight=weight, weight_bits=bits):
            density = float((weight != 0).mean())
            return f"weights {bits} bits, {weight.min()}..{weight.max()}, density {density:.3f}"
        case Neuron(spec=spec):
            return str(spec)
        case Readout():
            return ""
    raise AssertionError(f"no text form for {type(node).__name__}")


def format_graph(graph: Graph) -> str:
    """Return one line for each node: name, operation, inputs, output shape, arithmetic."""
    lines = [f"graph {graph.name!r}, {graph.timesteps} timesteps"]
    for node in graph.nodes:
        shape = "x".join(map(str, graph.shapes[node.name]))
        source = f" ({', '.join(repr(name) for name in node.inputs)})" if node.inputs else ""
        detail = _detail(node)
        lines.append(f"  {node.name!r} = {type(node).__name__}{source} : {shape}{'  # ' + detail if detail else ''}")
    return "\n".join(lines) + "\n"

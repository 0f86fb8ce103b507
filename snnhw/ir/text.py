"""Readable text form of a graph, for people and for golden tests."""

from snnhw.ir.graph import Graph
from snnhw.ir.nodes import Conv, Delay, Flatten, Input, Linear, MaxPool, Neuron, Node, Readout, Scale, SumPool

__all__ = ["format_graph"]


def _detail(node: Node) -> str:
    match node:
        case Input(encoding=encoding, lowest=lowest, highest=highest):
            return f"encoding {encoding}" + ("" if (lowest, highest) == (0, 1) else f", values {lowest}..{highest}")
        case Linear() | Conv() | Scale():
            density = float((node.weight != 0).mean())
            text = f"weights {node.weight_bits} bits, {node.weight.min()}..{node.weight.max()}, density {density:.3f}"
            if isinstance(node, Conv):
                text = f"{node.window}{f', {node.groups} groups' if node.groups > 1 else ''}, {text}"
            return text
        case SumPool(window=window) | MaxPool(window=window):
            return str(window)
        case Neuron(spec=spec):
            return str(spec)
        case Readout():
            return "" if node.kind == "count" else node.title.removeprefix("Readout, ")
        case Flatten() | Delay():
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

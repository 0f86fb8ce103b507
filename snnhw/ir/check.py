"""What must hold between the nodes of a network, whatever their numbers are: used by the graph and by the float network."""

from collections.abc import Mapping, Sequence

from snnhw.ir.nodes import CURRENT, STATES, Delay, Flatten, Input, MaxPool, Node, Readout, Shape

__all__ = ["check_nodes"]


def check_nodes(nodes: Sequence[Node]) -> tuple[list[str], dict[str, Shape]]:
    """Return what is wrong with `nodes`, one sentence each, and the shapes of those that have no problem.

    Names are unique; every edge leads to an earlier node, but a delay's to any; nodes read what they take, in one shape.
    """
    problems: list[str] = []
    seen: dict[str, Node] = {}
    carried: dict[str, str] = {}
    shapes: dict[str, Shape] = {}  # of the nodes without a problem; one that reads another has its cause reported there
    for node in nodes:
        where = f"layer {node.name!r} ({node.title})"
        if node.name in seen:
            problems.append(f"{where}: name must be unique in the network")
            continue
        seen[node.name] = node
        missing = [name for name in node.inputs if name not in seen or name == node.name]
        if missing and not isinstance(node, Delay):
            problems.append(f"{where}: input {missing[0]!r} must be an earlier layer")
        elif len(node.inputs) != node.arity if node.arity is not None else not node.inputs:
            wanted = "at least one input" if node.arity is None else f"{node.arity} input(s)"
            problems.append(f"{where}: must have {wanted}, not {len(node.inputs)}")
        elif isinstance(node, Delay):  # read here, defined later: its shape is what it says
            found = node.check(())
            problems += [f"{where}: {problem}" for problem in found]
            if not found:
                carried[node.name], shapes[node.name] = node.gives(()), node.shape
        elif all(name in shapes for name in node.inputs):
            given = tuple(shapes[name] for name in node.inputs)
            found = _check_inputs(node, carried, given) or node.check(given)
            problems += [f"{where}: {problem}" for problem in found]
            if not found:
                shapes[node.name] = node.infer(given)
                carried[node.name] = node.gives(tuple(carried[name] for name in node.inputs))
    return problems + _check_spikes({node.name: node for node in nodes}, shapes), shapes


def _check_inputs(node: Node, carried: Mapping[str, str], shapes: tuple[Shape, ...]) -> list[str]:
    """Return what is wrong with what a node reads."""
    for name in node.inputs:
        if carried[name] not in node.takes:
            return [f"input {name!r} must give {' or '.join(node.takes)}, not {_article(carried[name])}"]
    if isinstance(node, Readout) and (node.kind == "membrane") != (carried[node.inputs[0]] == STATES):
        wanted = "states" if node.kind == "membrane" else "spikes"
        return [f"input {node.inputs[0]!r} must give {wanted}, not {carried[node.inputs[0]]}"]
    for name, shape in zip(node.inputs[1:], shapes[1:], strict=True):
        if shape != shapes[0]:
            return [f"inputs must have one shape, not {_sizes(shapes[0])} and, from {name!r}, {_sizes(shape)}"]
    return []


def _check_spikes(nodes: Mapping[str, Node], shapes: Mapping[str, Shape]) -> list[str]:
    """Return what is wrong with nodes that look back in time, or that take binary spikes alone, now that all are known."""
    problems = []
    for node in nodes.values():
        where = f"layer {node.name!r} ({node.title})"
        if isinstance(node, Delay) and node.inputs:
            source = nodes.get(node.inputs[0])
            if source is None:
                problems.append(f"{where}: input {node.inputs[0]!r} must be a layer")
            elif not source.fires:
                problems.append(f"{where}: input {source.name!r} must be spiking neurons or a MaxPool, not {source.title}")
            elif source.name in shapes and shapes[source.name] != node.shape:
                problems.append(f"{where}: shape must be that of {source.name!r}, {_sizes(shapes[source.name])}, "
                                f"not {_sizes(node.shape)}")
        elif isinstance(node, MaxPool) and node.name in shapes:
            source = nodes[node.inputs[0]]
            while isinstance(source, Flatten | Delay) and source.inputs[0] in nodes:
                source = nodes[source.inputs[0]]
            graded = (source.lowest, source.highest) != (0, 1) if isinstance(source, Input) else source.grades > 1
            if graded:
                problems.append(f"{where}: input {source.name!r} must give binary spikes")
    return problems


def _article(carried: str) -> str:
    return f"a {carried}" if carried == CURRENT else carried


def _sizes(shape: Shape) -> str:
    return "x".join(map(str, shape))

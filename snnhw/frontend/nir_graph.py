"""The nodes and edges of a NIR file, nested graphs inlined, every cycle cut by a timestep."""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from snnhw.errors import NetworkError, raise_problems
from snnhw.frontend.hdf5 import Tree

__all__ = ["FIRING", "NEURONS", "Item", "NirGraph", "collect", "cut_cycles", "order"]

FIRING = frozenset(("IF", "LIF", "CubaLIF", "Threshold"))
NEURONS = FIRING | {"I", "LI", "CubaLI"}
KINDS = NEURONS | {"Input", "Output", "NIRGraph", "Affine", "Linear", "Scale", "Conv1d", "Conv2d", "SumPool2d", "AvgPool2d",
                   "Flatten", "Delay"}
MAX_ITEMS, MAX_EDGES, MAX_PATH = 1 << 12, 1 << 14, 1 << 10


@dataclass(frozen=True, eq=False)
class Item:
    """One node of the file: its fields are arrays and text."""

    name: str
    kind: str
    fields: dict[str, Any]

    @property
    def where(self) -> str:
        return f"layer {self.name!r} ({self.kind})"


@dataclass(eq=False)
class NirGraph:
    """Nodes by name and edges in the order of the file."""

    items: dict[str, Item] = field(default_factory=dict)
    edges: list[tuple[str, str]] = field(default_factory=list)

    def sources(self) -> dict[str, list[str]]:
        """Return what each node reads, by name."""
        found: dict[str, list[str]] = {name: [] for name in self.items}
        for source, target in self.edges:
            found[target].append(source)
        return found

    def targets(self) -> dict[str, list[str]]:
        """Return what reads each node, by name."""
        found: dict[str, list[str]] = {name: [] for name in self.items}
        for source, target in self.edges:
            found[source].append(target)
        return found

    def splice(self, names: set[str]) -> None:
        """Take nodes out that only pass on what they read."""
        sources = self.sources()
        found: dict[tuple[str, str], None] = {}
        for first, target in self.edges:
            if target in names:
                continue
            todo, seen = [first], {first}
            while todo:
                source = todo.pop()
                if source not in names:
                    if (source, target) in found:
                        raise NetworkError(f"edge {source!r} → {target!r} must be there once, not twice")
                    found[source, target] = None
                    continue
                new = [name for name in sources[source] if name not in seen]
                seen.update(new)
                todo += reversed(new)
        self.edges = list(found)
        for name in names:
            del self.items[name]


def collect(root: Tree) -> NirGraph:
    """Return the nodes and edges of a NIRGraph; raise ValueError when it is malformed, NetworkError when it makes no sense."""
    graph = NirGraph()
    entry, leave = _inline(root, "", graph)
    for what, names in (("Input", entry), ("Output", leave)):
        if len(names) != 1:
            raise NetworkError(f"the network must have exactly one {what}, not {len(names)}")
    (first,), (last,) = entry, leave
    graph.splice({name for name, item in graph.items.items() if item.kind in ("Input", "Output")} - {first, last})
    sources = graph.sources()
    problems = []
    if sources[first]:
        problems.append(f"{graph.items[first].where}: must read no layer, not {sources[first][0]!r}")
    if graph.targets()[last]:
        problems.append(f"{graph.items[last].where}: must be read by no layer, not by {graph.targets()[last][0]!r}")
    problems += [f"{graph.items[name].where}: must read a layer, and no edge leads to it"
                 for name, found in sources.items() if not found and name != first]
    raise_problems(problems)
    return graph


def _nodes(tree: Tree, prefix: str = "") -> dict[str, Tree]:
    """Return the nodes below a group. A name with a slash in it has become nested groups, of which the last has a type."""
    found: dict[str, Tree] = {}
    for name, content in tree.items():
        path = prefix + name
        if not isinstance(content, dict):
            raise ValueError(f"node {path!r} must be a group")
        if isinstance(content.get("type"), str):
            found[path] = content
        elif any(isinstance(item, dict) for item in content.values()):
            found |= _nodes(content, path + "/")
        else:
            raise ValueError(f"node {path!r} must have a type")
    return found


def _inline(tree: Tree, prefix: str, graph: NirGraph) -> tuple[list[str], list[str]]:
    """Add the content of a NIRGraph under dotted names; return the names of its inputs and outputs."""
    where = f"graph {prefix[:-1]!r}" if prefix else "the graph"
    nodes, edges = tree.get("nodes"), tree.get("edges")
    if not isinstance(nodes, dict) or not isinstance(edges, np.ndarray):
        raise ValueError(f"{where} must have nodes and edges")
    if edges.size and (edges.dtype != object or edges.ndim != 2 or edges.shape[1] != 2):
        raise ValueError(f"edges of {where} must be pairs of names")
    ports: dict[str, tuple[list[str], list[str]]] = {}  # what an edge to a node leads to, and from a node comes from
    for short, content in _nodes(nodes).items():
        name, kind = prefix + short, content["type"]
        if len(name) > MAX_PATH or kind not in KINDS:
            raise NetworkError(f"layer {name[:MAX_PATH]!r} ({kind[:40]}): " + (
                f"its type must be one of {', '.join(sorted(KINDS))}" if kind not in KINDS else
                f"its name must have at most {MAX_PATH} characters"))
        if kind == "NIRGraph":
            ports[short] = _inline(content, f"{name}.", graph)
            for what, names in zip(("Input", "Output"), ports[short], strict=True):
                if len(names) != 1:
                    raise NetworkError(f"layer {name!r} (NIRGraph): must have exactly one {what}, not {len(names)}")
            continue
        if name in graph.items:
            raise NetworkError(f"layer {name!r} ({kind}): name must be unique once the graphs in the network are taken apart")
        graph.items[name] = Item(name, kind, content)
        ports[short] = [name], [name]
        if len(graph.items) > MAX_ITEMS:
            raise NetworkError(f"the network must have at most {MAX_ITEMS} layers")
    seen = set()
    for source, target in edges.tolist() if edges.size else ():
        for end in (source, target):
            if end not in ports:
                raise NetworkError(f"edge {source!r} → {target!r} of {where}: {end!r} must be a layer")
        if (source, target) in seen:
            raise NetworkError(f"edge {source!r} → {target!r} of {where} must be there once, not twice")
        seen.add((source, target))
        graph.edges.append((ports[source][1][0], ports[target][0][0]))
    if len(graph.edges) > MAX_EDGES:
        raise NetworkError(f"the network must have at most {MAX_EDGES} edges")
    own = {kind: [ports[short][0][0] for short, content in _nodes(nodes).items() if content["type"] == kind]
           for kind in ("Input", "Output")}
    return own["Input"], own["Output"]


def order(graph: NirGraph) -> tuple[list[str], list[str]]:
    """Return the names in topological order, and those that wait for themselves. A delay waits for nothing."""
    targets = graph.targets()
    waiting = {name: 0 if graph.items[name].kind == "Delay" else len(found) for name, found in graph.sources().items()}
    ready = [name for name in reversed(graph.items) if not waiting[name]]
    found = []
    while ready:
        name = ready.pop()
        found.append(name)
        for target in targets[name]:
            if graph.items[target].kind != "Delay":
                waiting[target] -= 1
                if not waiting[target]:
                    ready.append(target)
    return found, [name for name, count in waiting.items() if count]


def _search(graph: NirGraph, starts: list[str], links: dict[str, list[str]]) -> tuple[list[list[str]], list[tuple[str, str]]]:
    """Search depth first along `links`; return what each start reached, last left first, and the links back to a node on the way.

    Links to a delay are not followed.
    """
    state: dict[str, int] = defaultdict(int)
    trees, closing = [], []
    for start in starts:
        if state[start]:
            continue
        state[start], left = 1, []
        stack = [(start, iter(links[start]))]
        while stack:
            name, rest = stack[-1]
            for target in rest:
                if graph.items[target].kind == "Delay":
                    continue
                if state[target] == 1:
                    closing.append((name, target))
                elif not state[target]:
                    state[target] = 1
                    stack.append((target, iter(links[target])))
                    break
            else:
                state[name] = 2
                left.append(name)
                stack.pop()
        trees.append(left[::-1])
    return trees, closing


def cut_cycles(graph: NirGraph) -> list[str]:
    """Put a delay of one timestep into every cycle, behind the neurons whose spikes go round; return what was done.

    An edge that closes a cycle is found by a search from the input on, in the order of the file. Spikes are what is delayed:
    from that edge the way is followed back to the neurons of the cycle that send them, and the edge out of those is cut.

    Raises
    ------
    NetworkError
        A cycle has no spiking neurons.
    """
    done: list[str] = []
    delays: dict[str, str] = {}
    while order(graph)[1]:
        sources, targets = graph.sources(), graph.targets()
        first = [name for name, item in graph.items.items() if item.kind == "Input"]
        trees, closing = _search(graph, first + list(graph.items), targets)
        # Nodes that reach each other: search backwards, starting with what was left last.
        backwards = {name: [] if graph.items[name].kind == "Delay" else found for name, found in sources.items()}
        starts = [name for tree in trees[::-1] for name in tree]
        group = {name: index for index, tree in enumerate(_search(graph, starts, backwards)[0]) for name in tree}
        cut: dict[tuple[str, str], None] = {}
        back, seen = closing[::-1], set(closing)
        while back:
            edge = back.pop()
            if graph.items[edge[0]].kind in FIRING:
                cut[edge] = None
                continue
            further = [(before, edge[0]) for before in sources[edge[0]] if group.get(before) == group[edge[0]]]
            back += [item for item in further if item not in seen]
            seen.update(further)
        if not cut:
            raise NetworkError(f"{graph.items[closing[0][1]].where}: a cycle of layers must go through spiking neurons, "
                               f"and this one does not")
        kept = []
        for source, target in graph.edges:
            if (source, target) not in cut:
                kept.append((source, target))
                continue
            if source not in delays:
                name = f"{source}.delay"
                while name in graph.items:
                    name += "'"
                delays[source] = name
                graph.items[name] = Item(name, "Delay", {})
                kept.append((source, name))
            kept.append((delays[source], target))
            done.append(f"{source!r} → {target!r}")
        graph.edges = kept
    return done

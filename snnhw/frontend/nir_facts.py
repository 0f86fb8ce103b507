"""The exact content of a network beside its NIR form: everything NIR cannot say, in the metadata of the file.

One text of JSON holds the structure, and every field of every node that is no array; arrays lie beside it. Reading it back gives
the same graph or network, provided that the NIR nodes still say the same: whoever edits them has another network, and is told so.
"""

import json
from dataclasses import fields
from typing import Any

import numpy as np

from snnhw import ir, network
from snnhw.errors import NetworkError
from snnhw.files import parse_json
from snnhw.frontend.hdf5 import Tree
from snnhw.frontend.nir_form import nir_form
from snnhw.frontend.nir_graph import NirGraph
from snnhw.ir import Graph
from snnhw.network import Network

__all__ = ["exact_content", "exact_facts"]

VERSION = 1
MAX_CONTENT_NODES = 1 << 12
_COMMON: tuple[type, ...] = (ir.Input, ir.Flatten, ir.Delay, ir.MaxPool, ir.Readout)
_NODES: dict[str, dict[str, type]] = {
    "graph": {kind.__name__: kind for kind in (*_COMMON, ir.Linear, ir.Conv, ir.Scale, ir.SumPool, ir.Neuron)},
    "network": {kind.__name__: kind for kind in (
        *_COMMON, network.Linear, network.Conv, network.Scale, network.Pool, network.Neuron)}}
_RECORDS: dict[str, type] = {kind.__name__: kind for kind in (
    ir.Encoding, ir.Window, ir.Decay, ir.NeuronSpec, network.Behaviour)}


def exact_facts(content: Graph | Network) -> dict[str, Any]:
    """Return the metadata that describe `content` exactly: a text, and arrays by name."""
    arrays: dict[str, Any] = {}

    def describe(value: Any, where: str) -> Any:
        if isinstance(value, np.ndarray):
            if value.ndim == 0:
                return value.item()
            arrays[where] = value
            return {"array": where}
        if type(value).__name__ in _RECORDS:
            return {"record": type(value).__name__} | {
                item.name: describe(getattr(value, item.name), f"{where}.{item.name}") for item in fields(value)}
        return list(value) if isinstance(value, tuple) else value

    exact = isinstance(content, Graph)
    nodes = [{"node": type(node).__name__} | {item.name: describe(getattr(node, item.name), f"{index:04d}.{item.name}")
                                              for item in fields(node)} for index, node in enumerate(content.nodes)]
    text = json.dumps({"version": VERSION, "content": "graph" if exact else "network", "name": content.name,
                       "timesteps": content.timesteps, "nodes": nodes,
                       "notes": dict(content.meta if isinstance(content, Graph) else content.choices)},
                      ensure_ascii=True, allow_nan=False)
    return {"facts": text} | arrays


def exact_content(root: Tree, found: NirGraph) -> Graph | Network | None:
    """Return what :func:`exact_facts` described in the metadata of a NIRGraph, or None if there are none.

    Raises
    ------
    ValueError
        The facts are malformed.
    NetworkError
        The NIR nodes say something else than the facts.
    """
    metadata = root.get("metadata")
    facts = metadata.get("snnhw") if isinstance(metadata, dict) else None
    if facts is None:
        return None
    if not isinstance(facts, dict) or not isinstance(facts.get("facts"), str):
        raise ValueError("its metadata 'snnhw' must be a group with a text 'facts'")
    arrays = {name: value for name, value in facts.items() if isinstance(value, np.ndarray) and value.dtype != object}
    try:
        content = _restore(parse_json(facts["facts"]), arrays)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"its metadata 'snnhw' must be what snnhw writes, and is not ({str(error)[:200]})") from None
    expected, edges = nir_form(content)
    for name in sorted({*expected, *found.items}):
        item = found.items.get(name)
        if name not in expected or item is None or item.kind != expected[name][0] or any(
                not _same(item.fields.get(field), value) for field, value in expected[name][1].items()):
            raise NetworkError(f"layer {name!r}: was changed after snnhw wrote the file, whose metadata still describe another "
                               f"network; metadata = 'ignore' reads the nodes alone")
    if sorted(found.edges) != sorted(edges):
        raise NetworkError("the edges were changed after snnhw wrote the file, whose metadata still describe another network; "
                           "metadata = 'ignore' reads the nodes alone")
    return content


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, str) or isinstance(right, str):
        return isinstance(left, str) and left == right
    return left is not None and not isinstance(left, dict) and np.array_equal(np.asarray(left), np.asarray(right))


def _restore(content: Any, arrays: dict[str, np.ndarray]) -> Graph | Network:
    if content["version"] != VERSION:
        raise ValueError(f"version must be {VERSION}, not {content['version']!r}")

    def value(item: Any) -> Any:
        if isinstance(item, dict) and set(item) == {"array"}:
            return arrays[item["array"]]
        if isinstance(item, dict):
            return made(_RECORDS[item["record"]], item, "record")
        return tuple(item) if isinstance(item, list) else item

    def made(kind: type, item: dict[str, Any], tag: str) -> Any:
        if set(item) != {tag, *(part.name for part in fields(kind))}:
            raise ValueError(f"{kind.__name__} must have its fields")
        return kind(**{part.name: value(item[part.name]) for part in fields(kind)})

    kinds = _NODES[content["content"]]
    if len(content["nodes"]) > MAX_CONTENT_NODES:
        raise ValueError(f"at most {MAX_CONTENT_NODES} nodes")
    nodes = tuple(made(kinds[item["node"]], item, "node") for item in content["nodes"])
    whole = Graph if content["content"] == "graph" else Network
    return whole(content["name"], nodes, content["timesteps"], content["notes"])

"""The graph file: one safetensors file whose header holds the structure as JSON.

Version 2. Metadata key ``snnhw`` holds ``{"format": "snnhw-graph", "version": 2, "name", "timesteps",
"meta", "nodes"}``; a node holds its kind and every field. An array field is ``{"tensor": name}`` and lies
in the same file, each tensor used once; a compound field is ``{"record": kind, ...}`` with its fields.
"""

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from snnhw.errors import FileError
from snnhw.files import parse_json, read_tensors, write_tensors
from snnhw.ir.encoding import Encoding
from snnhw.ir.graph import Graph
from snnhw.ir.neuron import Decay, NeuronSpec
from snnhw.ir.nodes import Conv, Delay, Flatten, Input, Linear, MaxPool, Neuron, Node, Readout, Scale, SumPool
from snnhw.ir.windows import Window

__all__ = ["load_graph", "save_graph"]

FORMAT, VERSION = "snnhw-graph", 2
MAX_GRAPH_BYTES = 64 << 20  # 8-bit weights become 64-bit words in memory: half a GiB at most
NODES: dict[str, type[Node]] = {kind.__name__: kind for kind in (
    Input, Linear, Conv, Scale, SumPool, MaxPool, Flatten, Delay, Neuron, Readout)}
RECORDS: dict[str, type] = {kind.__name__: kind for kind in (Encoding, Window, Decay, NeuronSpec)}


def _narrow(array: np.ndarray) -> np.ndarray:
    """Return the array in the smallest signed type that holds it."""
    for kind in (np.int8, np.int16, np.int32):
        if array.size == 0 or (array.min() >= np.iinfo(kind).min and array.max() <= np.iinfo(kind).max):
            return array.astype(kind)
    return array


def _encode(value: Any, where: str, tensors: dict[str, np.ndarray]) -> Any:
    if isinstance(value, np.ndarray):
        if value.ndim == 0:
            return int(value)
        tensors[where] = _narrow(value)
        return {"tensor": where}
    if type(value).__name__ in RECORDS:
        return {"record": type(value).__name__} | {
            item.name: _encode(getattr(value, item.name), f"{where}.{item.name}", tensors) for item in fields(value)}
    if isinstance(value, tuple):
        return list(value)
    return value


def save_graph(graph: Graph, path: Path) -> None:
    """Write `graph` to one file, atomically; the same graph gives the same bytes."""
    tensors: dict[str, np.ndarray] = {}
    nodes = []
    for index, node in enumerate(graph.nodes):
        nodes.append({"node": type(node).__name__} | {
            item.name: _encode(getattr(node, item.name), f"{index:04d}.{item.name}", tensors) for item in fields(node)})
    if (size := sum(tensor.nbytes for tensor in tensors.values())) > MAX_GRAPH_BYTES - (1 << 20):
        raise FileError(f"graph file {str(path)!r} must be at most {MAX_GRAPH_BYTES} bytes, not {size} and a header")
    text = json.dumps({"format": FORMAT, "version": VERSION, "name": graph.name, "timesteps": graph.timesteps,
                       "meta": dict(graph.meta), "nodes": nodes}, ensure_ascii=True, allow_nan=False)
    write_tensors(Path(path), tensors, {"snnhw": text})


class _Malformed(Exception):
    """The file does not follow the format; the message says where."""


def _only(content: object, names: set[str], where: str) -> dict[str, Any]:
    """Return `content` if it is a JSON object with exactly these keys."""
    if not isinstance(content, dict):
        raise _Malformed(f"{where} must be an object, not {content!r}")
    if missing := names - set(content):
        raise _Malformed(f"{where} has no field {min(missing)!r}")
    if unknown := set(content) - names:
        raise _Malformed(f"{where} has an unknown field {min(unknown)!r}")
    return content


def _decode(value: Any, tensors: dict[str, np.ndarray], where: str) -> Any:
    if isinstance(value, dict) and set(value) == {"tensor"}:
        name = value["tensor"]
        if not isinstance(name, str) or name not in tensors:
            raise _Malformed(f"{where} must name a tensor that is in the file and not used before, not {name!r}")
        return tensors.pop(name)
    if isinstance(value, dict):
        kind = value.get("record")
        if not isinstance(kind, str) or kind not in RECORDS:
            raise _Malformed(f"{where} must be a record of {', '.join(RECORDS)}, not {kind!r}")
        return _build(RECORDS[kind], "record", value, tensors, where)
    if isinstance(value, list) and all(type(item) in (str, int) for item in value):
        return tuple(value)
    if value is None or type(value) in (str, int):
        return value
    raise _Malformed(f"{where} must be text, an integer or a list of them, not {value!r}")


def _build(kind: type, tag: str, content: dict[str, Any], tensors: dict[str, np.ndarray], where: str) -> Any:
    """Construct the object whose kind stands under `tag` and whose fields stand beside it."""
    _only(content, {tag} | {item.name for item in fields(kind)}, where)
    values = {item.name: _decode(content[item.name], tensors, f"{where} {item.name}") for item in fields(kind)}
    try:
        return kind(**values)
    except (TypeError, ValueError) as error:
        raise _Malformed(f"{where}: {error}") from None


def _parse(text: str, tensors: dict[str, np.ndarray]) -> Graph:
    content = parse_json(text)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise _Malformed("it is not a graph")
    if type(content.get("version")) is not int or content["version"] != VERSION:
        raise _Malformed(f"its format version must be {VERSION}, not {content.get('version')!r}")
    _only(content, {"format", "version", "name", "timesteps", "meta", "nodes"}, "its header")
    if not isinstance(content["nodes"], list) or not isinstance(content["meta"], dict):
        raise _Malformed("its nodes must be a list and its meta an object")
    nodes = []
    for index, item in enumerate(content["nodes"]):
        kind = item.get("node") if isinstance(item, dict) else None
        if not isinstance(kind, str) or kind not in NODES:
            raise _Malformed(f"node {index} must be one of {', '.join(NODES)}, not {kind!r}")
        nodes.append(_build(NODES[kind], "node", item, tensors, f"node {index}"))
    if tensors:
        raise _Malformed(f"tensor {min(tensors)!r} is not used")
    try:
        return Graph(content["name"], tuple(nodes), content["timesteps"], content["meta"])
    except (TypeError, ValueError) as error:
        raise _Malformed(str(error)) from None


def load_graph(path: Path) -> Graph:
    """Read a graph file written by :func:`save_graph`.

    Nothing in the file is executed, and nothing outside it is read.

    Raises
    ------
    FileError
        The file is missing, damaged, too large, of another kind or of a newer version.
    NetworkError
        The file is well formed and describes a network that does not verify.
    """
    path = Path(path)
    tensors, metadata = read_tensors(path, "graph file", MAX_GRAPH_BYTES)
    try:
        for name, array in tensors.items():
            if array.dtype.kind not in "iu":
                raise _Malformed(f"tensor {name!r} must hold integers, not {array.dtype}")
        if "snnhw" not in metadata:
            raise _Malformed("it has no 'snnhw' entry in its header")
        return _parse(metadata["snnhw"], tensors)
    except _Malformed as error:
        raise FileError(f"graph file {str(path)!r} is not usable: {error}") from None
    except (ValueError, RecursionError):
        raise FileError(f"graph file {str(path)!r} is not usable: its header is not JSON") from None

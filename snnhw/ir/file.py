"""The graph file: one safetensors file whose header holds the structure as JSON.

Version 1. Metadata key ``snnhw`` holds ``{"format": "snnhw-graph", "version": 1, "name", "timesteps",
"meta", "nodes"}``; an array field of a node is ``{"tensor": name}`` and lies in the same file.
"""

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from snnhw.errors import FileError, NetworkError
from snnhw.files import read_tensors, write_tensors
from snnhw.ir.encoding import Encoding
from snnhw.ir.graph import Graph
from snnhw.ir.neuron import Decay, NeuronSpec
from snnhw.ir.nodes import Input, Linear, Neuron, Node, Readout

__all__ = ["load_graph", "save_graph"]

FORMAT, VERSION = "snnhw-graph", 1
NODES: dict[str, type[Node]] = {kind.__name__: kind for kind in (Input, Linear, Neuron, Readout)}
RECORDS: dict[str, type] = {kind.__name__: kind for kind in (Encoding, Decay, NeuronSpec)}


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
    text = json.dumps({"format": FORMAT, "version": VERSION, "name": graph.name, "timesteps": graph.timesteps,
                       "meta": dict(graph.meta), "nodes": nodes}, ensure_ascii=True, allow_nan=False)
    write_tensors(Path(path), tensors, {"snnhw": text})


class _Malformed(Exception):
    """The file does not follow the format; the message says where."""


def _decode(value: Any, tensors: dict[str, np.ndarray], where: str) -> Any:
    if isinstance(value, list):
        if not all(isinstance(item, str | int) for item in value):
            raise _Malformed(f"{where} must be a list of names or sizes")
        return tuple(value)
    if isinstance(value, dict):
        if set(value) == {"tensor"}:
            if value["tensor"] not in tensors:
                raise _Malformed(f"{where} names a tensor that is not in the file")
            return tensors[value["tensor"]]
        kind = RECORDS.get(value.get("record", ""))
        if kind is None:
            raise _Malformed(f"{where} must be a known record, not {value.get('record')!r}")
        return _build(kind, {name: item for name, item in value.items() if name != "record"}, tensors, where)
    if value is None or isinstance(value, str | int):
        return value
    raise _Malformed(f"{where} must be text or an integer, not {value!r}")


def _build(kind: type, values: dict[str, Any], tensors: dict[str, np.ndarray], where: str) -> Any:
    unknown = set(values) - {item.name for item in fields(kind)}
    if unknown:
        raise _Malformed(f"{where} has an unknown field {sorted(unknown)[0]!r}")
    try:
        return kind(**{name: _decode(value, tensors, f"{where}.{name}") for name, value in values.items()})
    except (TypeError, ValueError) as error:
        raise _Malformed(f"{where}: {error}") from None


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
    tensors, metadata = read_tensors(path, "graph file")
    if any(array.dtype.kind not in "iu" for array in tensors.values()):
        raise FileError(f"graph file {str(path)!r} must hold integer tensors only")
    try:
        if "snnhw" not in metadata:
            raise _Malformed("it has no 'snnhw' entry in its header")
        content = json.loads(metadata["snnhw"])
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise _Malformed("it is not a graph")
        if content.get("version") != VERSION:
            raise _Malformed(f"its format version must be {VERSION}, not {content.get('version')!r}")
        nodes, meta = content.get("nodes"), content.get("meta")
        if not isinstance(nodes, list) or not isinstance(meta, dict) or not isinstance(content.get("name"), str):
            raise _Malformed("its name, nodes or meta are missing")
        if not all(isinstance(item, str) for item in meta.values()):
            raise _Malformed("its meta must be text")
        built = []
        for index, item in enumerate(nodes):
            if not isinstance(item, dict) or item.get("node") not in NODES:
                raise _Malformed(f"node {index} must be one of {', '.join(NODES)}")
            if not isinstance(item.get("name"), str) or not isinstance(item.get("inputs"), list):
                raise _Malformed(f"node {index} has no name or no inputs")
            built.append(_build(NODES[item["node"]], {key: value for key, value in item.items() if key != "node"},
                                tensors, f"node {index} ({item['name']!r})"))
        return Graph(content["name"], tuple(built), content.get("timesteps"), meta)
    except _Malformed as error:
        raise FileError(f"graph file {str(path)!r} is not usable: {error}") from None
    except (ValueError, RecursionError):
        raise FileError(f"graph file {str(path)!r} is not usable: its header is not JSON") from None
    except (TypeError, AttributeError, IndexError, OverflowError) as error:
        raise FileError(f"graph file {str(path)!r} is not usable: {error}") from None
    except NetworkError:
        raise

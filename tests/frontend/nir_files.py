"""NIR files written field by field, so that they may be wrong in any way."""

from itertools import pairwise

import numpy as np
import pytest

h5py = pytest.importorskip("h5py")
__all__ = ["chain", "lif", "unpacked", "write"]


def write(path, nodes, edges, *, version="1.0.8", root=None):
    """Write nodes (dicts with a type, nested ones with nodes and edges) and edges as nir writes them."""
    with h5py.File(path, "w") as file:
        if version is not None:
            file["version"] = version
        _group(file.create_group("node"), {"type": "NIRGraph", "nodes": nodes, "edges": edges, **(root or {})})
    return path


def _group(group, content):
    for name, value in content.items():
        if isinstance(value, dict):
            _group(group.create_group(name), value)
        elif isinstance(value, list) and value:
            group.create_dataset(name, data=np.array(value, object), dtype=h5py.string_dtype())
        elif isinstance(value, str):
            group.create_dataset(name, data=value, dtype=h5py.string_dtype())
        else:
            group.create_dataset(name, data=value)


def lif(neurons=2, **fields):
    """Return an LIF node whose input counts 1 with Euler and a timestep of 1e-4."""
    ones = np.ones(neurons)
    return {"type": "LIF", "tau": 1e-3 * ones, "r": 10 * ones, "v_leak": 0 * ones, "v_threshold": ones,
            "v_reset": 0 * ones} | fields


def chain(*nodes, shape=(2,), output=(2,)):
    """Return nodes and edges from an input through `nodes`, named a, b, c, ..., to an output."""
    named = {"in": {"type": "Input", "shape": np.array(shape)}}
    named |= {chr(ord("a") + index): node for index, node in enumerate(nodes)}
    named["out"] = {"type": "Output", "shape": np.array(output)}
    names = list(named)
    return named, [list(pair) for pair in pairwise(names)]


def unpacked(path, what):
    """Read a file as :func:`snnhw.frontend.hdf5.read_tree` does, without the other process."""
    from snnhw.frontend.hdf5_unpack import unpack

    return unpack(path.read_bytes())

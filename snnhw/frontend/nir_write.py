"""Write a NIR file."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np

from snnhw.errors import FileError
from snnhw.files import write_bytes
from snnhw.frontend.hdf5 import MAX_HDF5_BYTES
from snnhw.frontend.nir_facts import exact_facts
from snnhw.frontend.nir_form import TIMESTEP, nir_form
from snnhw.ir import Graph
from snnhw.network import Network
from snnhw.tools import require_package

__all__ = ["write_nir"]


def write_nir(content: Graph | Network, path: Path | str) -> None:
    """Write a graph or a float network as a NIR file, atomically.

    Other tools find the nodes of the standard, with a timestep of 1e-4 s and forward Euler; weights of a graph are its integers.
    :func:`snnhw.frontend.read_nir` finds the whole content in the metadata, and returns it unchanged. A MaxPool of spikes is
    written as a sum with a threshold; ``docs/nir.md`` says what else is lost on other tools.

    Raises
    ------
    NetworkError
        The network has something that NIR has no node for.
    FileError
        The file cannot be written, or would be larger than a reader takes.
    """
    require_package("nir", "nir", "writing a NIR file")
    import nir

    form, edges = nir_form(content)
    nodes: dict[str, Any] = {}
    for name, (kind, fields) in form.items():
        values = {key: value for key, value in fields.items() if key not in ("shape", "input_type")}
        if kind in ("Input", "Output"):
            port = {"input" if kind == "Input" else "output": fields["shape"]}
            nodes[name] = nir.Input(input_type=port) if kind == "Input" else nir.Output(output_type=port)
        elif kind == "Flatten":
            nodes[name] = nir.Flatten(input_type={"input": fields["input_type"]}, **values)
        else:
            nodes[name] = getattr(nir, kind)(**values)
    facts = exact_facts(content)
    size = sum(value.nbytes for _, fields in form.values() for value in fields.values() if isinstance(value, np.ndarray))
    size += sum(value.nbytes if isinstance(value, np.ndarray) else len(value) for value in facts.values())
    if size > MAX_HDF5_BYTES - (1 << 20):
        raise FileError(f"NIR file {str(path)!r} must be at most {MAX_HDF5_BYTES} bytes, not {size}")
    graph = nir.NIRGraph(nodes=nodes, edges=edges, type_check=False, metadata={
        "snnhw": facts, "reading": json.dumps({"dt": TIMESTEP, "method": "euler"})})
    buffer = io.BytesIO()
    nir.write(buffer, graph)
    write_bytes(Path(path), buffer.getvalue())

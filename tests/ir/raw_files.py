"""Graph files taken apart and put together again, to build hostile ones."""

import json
import struct

import numpy as np

from snnhw.ir import Decay, Encoding, Graph, Input, Linear, Neuron, NeuronSpec, Readout, save_graph

__all__ = ["example", "join", "split", "structure_of", "with_structure"]


def example():
    """Return a graph with every kind of node, record and tensor."""
    spec = NeuronSpec([4, 9], Decay("mul", 8, [230, 3]), "subtract", [2, 3], "next", "keep", "exact", 20, 2, [-1, 1], 3, "sample",
                      Decay("shift", 2))
    last = NeuronSpec(5, reset="value", reset_amount=-2, reset_time="next", input_on_reset="drop", bits=8)
    return Graph("net", (
        Input("in", (), (3,), Encoding("accumulate", 16, 7)),
        Linear("fc1", ("in",), [[1, -200, 3], [0, 5, 6]], 9), Neuron("lif1", ("fc1",), spec),
        Linear("fc2", ("lif1",), [[1, -2]], 3), Neuron("lif2", ("fc2",), last), Readout("out", ("lif2",))), 5, {"by": "hand"})


def split(path):
    """Return the header as a dict, and the bytes of the tensors."""
    content = path.read_bytes()
    length, = struct.unpack("<Q", content[:8])
    return json.loads(content[8:8 + length]), content[8 + length:]


def join(path, header, body):
    """Write a safetensors file; `header` is a dict, or text to be taken as it is."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)
    return path


def structure_of(path):
    """Return the structure of a graph file: the JSON inside its header."""
    return json.loads(split(path)[0]["__metadata__"]["snnhw"])


def with_structure(path, structure, tensors=None):
    """Save the example with another structure (a dict, or text), and other tensors when given."""
    save_graph(example(), path)
    header, body = split(path)
    if tensors is not None:
        header, body = {"__metadata__": header["__metadata__"]}, b""
        for name, (kind, array) in tensors.items():
            content = np.asarray(array).tobytes()
            header[name] = {"dtype": kind, "shape": list(np.shape(array)), "data_offsets": [len(body), len(body) + len(content)]}
            body += content
    header["__metadata__"]["snnhw"] = structure if isinstance(structure, str) else json.dumps(structure)
    return join(path, header, body)

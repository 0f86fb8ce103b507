"""The graph file: what is written is read back, always with the same bytes; what is wrong is named."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from network_strategies import any_graphs, graphs
from raw_files import example, join, split, structure_of, with_structure

from snnhw.errors import FileError, NetworkError
from snnhw.files import write_tensors
from snnhw.ir import Graph, Input, Linear, Neuron, NeuronSpec, Readout, load_graph, save_graph


@pytest.fixture
def fast_writes(monkeypatch):
    monkeypatch.setattr("os.fsync", lambda file: None)


@given(st.one_of(graphs(overflow=("exact", "saturate")), any_graphs()))
def test_round_trip(tmp_path, fast_writes, graph):
    path, again = tmp_path / "graph.safetensors", tmp_path / "again.safetensors"
    save_graph(graph, path)
    loaded = load_graph(path)
    assert loaded == graph
    save_graph(loaded, again)
    assert again.read_bytes() == path.read_bytes()


def test_bytes_do_not_depend_on_the_hash_seed(tmp_path):
    program = ("import sys; sys.path.insert(0, sys.argv[2])\n"
               "from raw_files import example, save_graph\n"
               "save_graph(example(), sys.argv[1])")
    for seed in ("0", "1", "4711"):
        subprocess.run([sys.executable, "-c", program, tmp_path / seed, Path(__file__).parent],
                       env=dict(os.environ, PYTHONHASHSEED=seed), check=True)
    save_graph(example(), tmp_path / "here")
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1


@pytest.mark.parametrize(("weights", "kind"), [([[-128, 127]], "I8"), ([[-129, 0]], "I16"), ([[128, 0]], "I16")])
def test_tensors_are_stored_narrow(tmp_path, weights, kind):
    graph = Graph("net",
                  (Input("in", (), (2,)), Linear("fc", ("in",), weights, 9),
                   Neuron("lif", ("fc",), NeuronSpec([1 << 20], bits=32)),
                          Readout("out", ("lif",))), 5)
    save_graph(graph, tmp_path / "graph")
    header, _ = split(tmp_path / "graph")
    assert header["0001.weight"]["dtype"] == kind
    assert header["0002.spec.threshold"]["dtype"] == "I32"
    assert load_graph(tmp_path / "graph") == graph


def test_refuses_to_write_what_it_would_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr("snnhw.ir.file.MAX_GRAPH_BYTES", (1 << 20) + 10)
    with pytest.raises(FileError, match=r"^graph file '.*g' must be at most 1048586 bytes, not 24 and a header$"):
        save_graph(example(), tmp_path / "g")
    assert list(tmp_path.iterdir()) == []


def changed(*where, to):
    """Return a change of the structure: the value at the path `where` becomes `to`, or `to` of it."""
    def change(structure):
        place = structure
        for key in where[:-1]:
            place = place[key]
        place[where[-1]] = to
        return structure
    return change


def without(*where):
    def change(structure):
        place = structure
        for key in where[:-1]:
            place = place[key]
        del place[where[-1]]
        return structure
    return change


NODE = "nodes", 2, "spec"
KINDS = "Input, Linear, Conv, Scale, SumPool, MaxPool, Flatten, Delay, Neuron, Readout"
STRUCTURES = [
    (changed("format", to="onnx"), "it is not a graph"),
    (lambda structure: [structure], "it is not a graph"),
    (lambda structure: None, "it is not a graph"),
    (changed("version", to=1), "its format version must be 2, not 1"),
    (changed("version", to=0), "its format version must be 2, not 0"),
    (changed("version", to=True), "its format version must be 2, not True"),
    (changed("version", to=1.0), "its format version must be 2, not 1.0"),
    (without("version"), "its format version must be 2, not None"),
    (without("meta"), "its header has no field 'meta'"),
    (changed("author", to="x"), "its header has an unknown field 'author'"),
    (changed("nodes", to={}), "its nodes must be a list and its meta an object"),
    (changed("meta", to=[]), "its nodes must be a list and its meta an object"),
    (changed("meta", "by", to=3), "Network meta 'by' must be text, not 3"),
    (changed("name", to=["net"]), "Network name must be text, not ['net']"),
    (changed("nodes", 0, to=5), f"node 0 must be one of {KINDS}, not None"),
    (changed("nodes", 0, "node", to="Conv2d"), f"node 0 must be one of {KINDS}, not 'Conv2d'"),
    (changed("nodes", 0, "node", to=["Input"]), f"node 0 must be one of {KINDS}, not ['Input']"),
    (without("nodes", 1, "weight"), "node 1 has no field 'weight'"),
    (changed("nodes", 1, "stride", to=2), "node 1 has an unknown field 'stride'"),
    (changed("nodes", 0, "node", to="Readout"), "node 0 has no field 'kind'"),
    (changed("nodes", 0, "name", to=3), "node 0: Layer name must be text, not 3"),
    (changed("nodes", 0, "shape", to=[True]), "node 0 shape must be text, an integer or a list of them, not [True]"),
    (changed("nodes", 0, "shape", to=[[3]]), "node 0 shape must be text, an integer or a list of them, not [[3]]"),
    (changed("nodes", 0, "shape", to=3), "node 0: layer 'in' (Input): shape must be a tuple of integers, not 3"),
    (changed("nodes", 0, "encoding", to="rate"), "node 0: layer 'in' (Input): encoding must be an Encoding, not 'rate'"),
    (changed("nodes", 0, "encoding", "seed", to=-1), "node 0 encoding: Encoding seed must be between 0 and 4294967295, not -1"),
    (changed("nodes", 0, "encoding", "record", to="Decay"), "node 0 encoding has no field 'factor'"),
    (changed("nodes", 0, "encoding", "record", to={}),
     "node 0 encoding must be a record of Encoding, Window, Decay, NeuronSpec, not {}"),
    (changed("nodes", 1, "weight", to=[1, 2]),
     "node 1: layer 'fc1' (Linear): weights must have shape (outputs, inputs), not (2,)"),
    (changed("nodes", 1, "weight", "tensor", to="gone"),
     "node 1 weight must name a tensor that is in the file and not used before, not 'gone'"),
    (changed("nodes", 1, "weight", "tensor", to=3),
     "node 1 weight must name a tensor that is in the file and not used before, not 3"),
    (changed("nodes", 3, "weight", "tensor", to="0001.weight"),
     "node 3 weight must name a tensor that is in the file and not used before, not '0001.weight'"),
    (changed("nodes", 3, "weight", to=[[1, -2]]), "node 3 weight must be text, an integer or a list of them, not [[1, -2]]"),
    (changed("nodes", 4, "spec", "reset_amount", to=0.5),
     "node 4 spec reset_amount must be text, an integer or a list of them, not 0.5"),
    (changed("nodes", 1, "weight_bits", to=True), "node 1 weight_bits must be text, an integer or a list of them, not True"),
    (changed("nodes", 1, "weight_bits", to="9"), "node 1: layer 'fc1' (Linear): weight width must be an integer, not '9'"),
    (changed(*NODE, "bits", to=1 << 70), f"node 2 spec: Neuron bits must be between 2 and 32, not {1 << 70}"),
    (changed(*NODE, "frac", to=-3), "node 2 spec: Neuron frac must be between 0 and 30, not -3"),
    (changed(*NODE, "start", to=None), "node 2 spec: Neuron start must be an integer, not None"),
    (changed(*NODE, "start", to=1 << 70),
     f"node 2 spec: Neuron start must fit in the 20-bit state (-524288..524287), not {1 << 70}"),
    (changed("nodes", 4, "spec", "threshold", to=1 << 70), f"node 4 spec: Neuron threshold must fit in 64 bits, not {1 << 70}"),
    (changed(*NODE, "reset", to=1), "node 2 spec: Neuron reset must be none, zero, value or subtract, not 1"),
    (changed(*NODE, "decay", "shift", to=-8), "node 2 spec decay: Decay shift of 'mul' must be between 1 and 16, not -8"),
    (changed(*NODE, "decay", to=None), "node 2 spec: Neuron decay must be a Decay, not None"),
    (changed("nodes", to=[]), "tensor '0001.weight' is not used"),
]


@pytest.mark.parametrize(("change", "message"), STRUCTURES, ids=[message for _, message in STRUCTURES])
def test_names_what_is_wrong(tmp_path, change, message):
    save_graph(example(), tmp_path / "g")
    path = with_structure(tmp_path / "g", change(structure_of(tmp_path / "g")))
    with pytest.raises(FileError, match=f"^{re.escape(f'graph file {str(path)!r} is not usable: {message}')}$"):
        load_graph(path)


@pytest.mark.parametrize("text",
                         ["", "{", "[" * 100000, "nul", '{"a": 1, "a": 2}', '{"format": NaN}', '{"a": 1e9999999}x', "9" * 5000])
def test_refuses_a_structure_that_is_not_strict_json(tmp_path, text):
    path = with_structure(tmp_path / "g", text)
    with pytest.raises(FileError, match=f"^{re.escape(f'graph file {str(path)!r} is not usable: its header is not JSON')}$"):
        load_graph(path)


def test_nested_records_cannot_exhaust_the_stack(tmp_path):
    save_graph(example(), tmp_path / "g")
    text = json.dumps(structure_of(tmp_path / "g"))
    flat = '{"record": "Decay", "kind": "shift", "shift": 2, "factor": null, "rounding": "floor"}'
    assert flat in text
    for depth in (10, 100, 300, 400, 900, 10000):
        nested = '{"record": "Decay", "kind": "one", "shift": 0, "factor": ' * depth + "null" + "}" * depth
        with_structure(tmp_path / "g", text.replace(flat, nested))
        with pytest.raises(FileError, match=r"^graph file .* is not usable: "):
            load_graph(tmp_path / "g")


def test_a_well_formed_network_that_does_not_verify_is_a_network_error(tmp_path):
    save_graph(example(), tmp_path / "g")
    path = with_structure(tmp_path / "g", changed("timesteps", to=0)(structure_of(tmp_path / "g")))
    with pytest.raises(NetworkError, match=r"^network 'net': timesteps must be an integer between 1 and 1048576, not 0$"):
        load_graph(path)


@pytest.mark.parametrize(("kind", "array", "message"), [
    ("F32", np.array([[1, np.nan]], np.float32), "tensor '0003.weight' must hold integers, not float32"),
    ("F64", np.array([[1.0, 2.0]]), "tensor '0003.weight' must hold integers, not float64"),
    ("F16", np.array([[1, -2]], np.float16), "tensor '0003.weight' must hold integers, not float16"),
    ("BOOL", np.array([[True, False]]), "tensor '0003.weight' must hold integers, not bool"),
    ("U64", np.array([[1 << 63, 0]], np.uint64), f"node 3: layer 'fc2' (Linear): weights must fit in 64 bits, not {1 << 63}"),
    ("U8", np.array([1, 2], np.uint8), "node 3: layer 'fc2' (Linear): weights must have shape (outputs, inputs), not (2,)"),
    ("I8", np.zeros((1, 0), np.int8), "node 3: layer 'fc2' (Linear): weights must have shape (outputs, inputs), not (1, 0)"),
])
def test_refuses_tensors_of_another_kind(tmp_path, kind, array, message):
    save_graph(example(), tmp_path / "g")
    structure = structure_of(tmp_path / "g")
    tensors = {"0001.weight": ("I16", np.array([[1, -200, 3], [0, 5, 6]], np.int16)), "0003.weight": (kind, array)}
    for place, count in (("threshold", 2), ("reset_amount", 2), ("bias", 2)):
        tensors[f"0002.spec.{place}"] = "I8", np.full(count, 2, np.int8)
    tensors["0002.spec.decay.factor"] = "I16", np.full(2, 3, np.int16)
    path = with_structure(tmp_path / "g", structure, tensors)
    with pytest.raises(FileError, match=f"^{re.escape(f'graph file {str(path)!r} is not usable: {message}')}$"):
        load_graph(path)
    tensors["0003.weight"] = "U64", np.array([[1, 2]], np.uint64)
    assert load_graph(with_structure(path, structure, tensors))["fc2"].weight.tolist() == [[1, 2]]


def test_refuses_other_safetensors_files(tmp_path):
    write_tensors(tmp_path / "g", {"weight": np.zeros(3)})
    with pytest.raises(FileError, match=r"^graph file '.*g' is not usable: tensor 'weight' must hold integers, not float64$"):
        load_graph(tmp_path / "g")
    write_tensors(tmp_path / "g", {"weight": np.zeros(3, int)})
    with pytest.raises(FileError, match=r"^graph file '.*g' is not usable: it has no 'snnhw' entry in its header$"):
        load_graph(tmp_path / "g")


def test_refuses_a_file_beyond_the_budget(tmp_path):
    with open(tmp_path / "g", "wb") as file:
        file.truncate((64 << 20) + 1)
    with pytest.raises(FileError, match=r"^graph file '.*g' must be at most 67108864 bytes, not 67108865$"):
        load_graph(tmp_path / "g")


def test_a_tensor_may_be_anywhere_in_the_file(tmp_path):
    """The order of the header and of the bytes is not part of the meaning."""
    save_graph(example(), tmp_path / "g")
    header, body = split(tmp_path / "g")
    assert load_graph(join(tmp_path / "g", dict(reversed(header.items())), body)) == example()

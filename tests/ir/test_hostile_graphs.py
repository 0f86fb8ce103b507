"""Thousands of damaged and hostile graph files: a named error or a graph that works, within the memory budget."""

import json
import random
import resource
import struct
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
from raw_files import example, join, split, structure_of, with_structure

from snnhw.errors import FileError, NetworkError
from snnhw.ir import Graph, format_graph, load_graph, save_graph
from snnhw.plan import format_plan, make_plan
from snnhw.reference import run

CASES = 1500


@pytest.fixture(autouse=True)
def no_sync(monkeypatch):
    """Do not wait for the disk thousands of times."""
    monkeypatch.setattr("os.fsync", lambda file: None)


@contextmanager
def memory_limit(more):
    """Allow this process `more` bytes than it has now."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + more, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.fixture
def little_memory():
    with memory_limit(512 << 20):
        yield


def outcome(path) -> str:
    """Load a file; use what loads as everybody would."""
    try:
        graph = load_graph(path)
    except FileError:
        return "file"
    except NetworkError:
        return "network"
    assert isinstance(graph, Graph)
    format_graph(graph)
    save_graph(graph, path)
    assert load_graph(path) == graph
    with suppress(NetworkError):
        format_plan(make_plan(graph))
    try:
        run(graph, np.ones((2, min(3, graph.timesteps), *graph.input.shape), bool))
    except NetworkError:
        return "overflow"
    return "works"


def test_damaged_bytes(tmp_path, little_memory):
    """Flip, cut, insert and overwrite bytes anywhere in the file."""
    chance = random.Random(1)
    path = tmp_path / "g"
    save_graph(example(), path)
    original = path.read_bytes()
    found = []
    for _ in range(CASES):
        content = bytearray(original)
        for _ in range(chance.choice((1, 1, 1, 2, 5))):
            place = chance.randrange(len(content))
            match chance.randrange(5):
                case 0:
                    content[place] ^= 1 << chance.randrange(8)
                case 1:
                    del content[place:place + chance.choice((1, 8, 1000))]
                case 2:
                    content[place:place] = chance.randbytes(chance.choice((1, 8)))
                case 3:
                    content[place:place + 4] = chance.choice((b"\xff\xff\xff\xff", b"null", b"9999", b"\x00" * 4, b"true"))
                case 4:
                    content[:8] = struct.pack("<Q", chance.choice((0, 7, len(content), len(content) - 8, 1 << 62, (1 << 64) - 1)))
        path.write_bytes(content)
        found.append(outcome(path))
    assert {"file", "works"} <= set(found)


HOSTILE = (None, True, False, 0, 1, -1, 2, 255, 65536, 1 << 31, -1 << 31, 1 << 32, 1 << 63, -1 << 63, 1 << 64, 1 << 200, 0.5,
           -0.0, 1e300, "",
           "in", "fc1", "one", "mul", "next", "exact", "never", "name\n$finish;", "\x00", "\ud800", "x" * 300,
           [], ["in"], ["in", "in"], [3], [1 << 40], [[]],
           {}, {"tensor": "0001.weight"}, {"tensor": "0002.spec.bias"}, {"tensor": None}, {"record": "Decay"}, {"record": None},
           {"record": "Decay", "kind": "one", "shift": 0, "factor": None},
           {"record": "Encoding", "kind": "events", "levels": 1, "seed": 0})


def places(value, path=()):
    """Return the path of every value inside a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path] + [found for key, item in items for found in places(item, (*path, key))]


def mutate(value, chance):
    """Change one value inside a JSON value: another one, a copy from elsewhere, nothing, or twice."""
    *way, last = chance.choice([path for path in places(value) if path])
    holder = value
    for key in way:
        holder = holder[key]
    match chance.randrange(6):
        case 0 | 1 | 2:
            holder[last] = chance.choice(HOSTILE)
        case 3:
            source = value
            for key in chance.choice(places(value)):
                source = source[key]
            holder[last] = json.loads(json.dumps(source))
        case 4:
            del holder[last]
        case 5 if isinstance(holder, list):
            holder.insert(last, holder[last])
        case 5:
            holder[chance.choice(("x", "node", "record", "tensor", "weight"))] = holder[last]


def test_mutated_structures(tmp_path, little_memory):
    chance = random.Random(2)
    save_graph(example(), tmp_path / "g")
    original = json.dumps(structure_of(tmp_path / "g"))
    header, body = split(tmp_path / "g")
    found = []
    for _ in range(CASES):
        structure = json.loads(original)
        for _ in range(chance.choice((1, 1, 1, 2, 3))):
            mutate(structure, chance)
        header["__metadata__"]["snnhw"] = json.dumps(structure)
        found.append(outcome(join(tmp_path / "h", header, body)))
    assert {"file", "network", "works"} <= set(found)


def test_mutated_headers(tmp_path, little_memory):
    chance = random.Random(3)
    save_graph(example(), tmp_path / "g")
    header, body = split(tmp_path / "g")
    original = json.dumps(header)
    for _ in range(CASES):
        header = json.loads(original)
        for _ in range(chance.choice((1, 1, 2))):
            mutate(header, chance)
        outcome(join(tmp_path / "h", header, body))


@pytest.mark.parametrize("header", [
    b'{"a": {"dtype": "I8", "shape": [1152921504606846976], "data_offsets": [0, 1152921504606846976]}}',
    b'{"a": {"dtype": "I64", "shape": [4294967296, 4294967296], "data_offsets": [0, 8]}}',
    b'{"a": {"dtype": "I8", "shape": [0, 1152921504606846976, 1152921504606846976], "data_offsets": [0, 0]}}',
    b'{"a": {"dtype": "I8", "shape": [8], "data_offsets": [0, 8]}, "b": {"dtype": "I8", "shape": [8], "data_offsets": [0, 8]}}',
    b'{"a": {"dtype": "I8", "shape": [4], "data_offsets": [4, 8]}}',
    b'{"a": {"dtype": "I8", "shape": [8], "data_offsets": [0, 8]}, "a": {"dtype": "I8", "shape": [8], "data_offsets": [0, 8]}}',
    b'{"a": {"dtype": "BF16", "shape": [4], "data_offsets": [0, 8]}}',
    b'{"a": {"dtype": "F8_E4M3", "shape": [8], "data_offsets": [0, 8]}}',
    b'{"a": {"dtype": "I4", "shape": [16], "data_offsets": [0, 8]}}',
    b'{"__metadata__": {"snnhw": {}}}', b'{"__metadata__": []}', b'{"__metadata__": null}', b"[]", b"null", b"", b"\xff\xfe{}",
    b"{}",
    b'{"a": 1}', b'{"__metadata__": {"\xff": "x"}}', b"[" * 100000, b'{"a":' * 50000, b'{"a": NaN}', b"\xef\xbb\xbf{}",
])
def test_hostile_headers(tmp_path, little_memory, header):
    assert outcome(join(tmp_path / "g", header, bytes(8))) == "file"


def test_the_header_has_a_budget_of_its_own(tmp_path, little_memory):
    for filling in (b'{"a": [' + b"[],"[:3] * (2 << 20) + b"[]]}", b" " * (5 << 20)):
        assert outcome(join(tmp_path / "g", filling, b"")) == "file"
    within = with_structure(tmp_path / "g", "[" + "{}," * 1_300_000 + "{}]")
    assert outcome(within) == "file"


def test_one_tensor_cannot_be_multiplied_by_using_it_often(tmp_path, little_memory):
    save_graph(example(), tmp_path / "g")
    structure = structure_of(tmp_path / "g")
    linear = structure["nodes"][1]
    structure["nodes"] = [structure["nodes"][0]] + [dict(linear, name=str(index)) for index in range(1000)]
    path = with_structure(tmp_path / "g", structure, {"0001.weight": ("I8", np.zeros((1000, 30000), np.int8))})
    assert outcome(path) == "file"


def test_the_largest_file_stays_within_a_gibibyte(tmp_path):
    """The budget of 64 MiB of 8-bit weights costs 64 MiB twice, and 64-bit words."""
    save_graph(example(), tmp_path / "g")
    structure = structure_of(tmp_path / "g")
    tensors = {"0001.weight": ("I8", np.zeros((1000, 62000), np.int8))}
    path = with_structure(tmp_path / "g", structure, tensors)
    del tensors
    with memory_limit(1 << 30):
        assert outcome(path) == "file"


@pytest.mark.parametrize("size", range(0, 200, 7))
def test_truncated_files(tmp_path, size):
    save_graph(example(), tmp_path / "g")
    content = (tmp_path / "g").read_bytes()
    (tmp_path / "g").write_bytes(content[:len(content) * size // 200])
    assert outcome(tmp_path / "g") == "file"

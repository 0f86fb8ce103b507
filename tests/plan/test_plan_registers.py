"""The register map, and the three files that are made of it."""

import re
import shutil
import zlib
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from snnhw.errors import UsageError
from snnhw.ir import Decay, Graph, Input, Linear, Neuron, NeuronSpec, Readout
from snnhw.plan import Choices, Plan, make_plan
from snnhw.plan.accesses import access_names
from snnhw.plan.adjustable import adjustables, parameters, widened
from snnhw.plan.register_text import format_header, format_markdown, format_rdl, register_files
from snnhw.plan.registers import MAGIC, STRIDE, checksum, loading_chunks, register_map
from snnhw.reference import NeuronState, step
from snnhw.tools import run_program


def plan_of(*specs: NeuronSpec, control: str | None = "axi4-lite", **options) -> Plan:
    rng = np.random.default_rng(0)
    nodes: list = [Input("input", shape=(6,))]
    for index, spec in enumerate(specs):
        nodes.append(Linear(f"sum {index}", (nodes[-1].name,), rng.integers(-8, 8, (5, 6 if not index else 5)), 4))
        nodes.append(Neuron(f"lif {index}", (nodes[-1].name,), spec))
    reads = "membrane" if specs[-1].output == "state" else "count"
    graph = Graph("net", (*nodes, Readout("out", (nodes[-1].name,), reads)), 4)
    return make_plan(graph, control=control, **{"formats": "dense", "packings": "none"} | options)


SPECS = {
    "plain": NeuronSpec(threshold=5, bits=8),
    "shift": NeuronSpec(threshold=5, bits=8, decay=Decay("shift", 3), synapse=Decay("mul", 4, 9)),
    "factor": NeuronSpec(threshold=5, bits=8, decay=Decay("mul", 6, 50), reset="subtract", reset_amount=20, reset_time="next"),
    "immediate": NeuronSpec(threshold=5, bits=8, reset="subtract", reset_amount=20, decay=Decay("mul", 6, 50, "zero")),
    "value": NeuronSpec(threshold=5, bits=8, reset="value", reset_amount=-9, reset_time="next", decay=Decay("shift", 2)),
    "exact": NeuronSpec(threshold=5, bits=16, overflow="exact", decay=Decay("shift", 1)),
    "each": NeuronSpec(threshold=[1, 2, 3, 4, 5], bits=8, decay=Decay("mul", 4, [1, 2, 3, 4, 5])),
    "count": NeuronSpec(threshold=5, bits=8, reset="subtract", reset_amount=3, output="count", grades=3),
    "state": NeuronSpec(threshold=0, bits=8, reset="none", output="state", decay=Decay("shift", 2)),
}


def test_lanes_with_queues_count_operations_and_others_slots():
    blocks = register_map(plan_of(SPECS["plain"], SPECS["plain"], formats={"lif 0": "queued", "lif 1": "csc"})).blocks
    texts = [next(counter.description for counter in block.counters if counter.name == "accumulate") for block in blocks[1:]]
    assert texts == ["synaptic operations, of all lanes together",
                     "slots of synaptic operations, each of as many as there are lanes"]


def test_addresses_are_words_in_order_and_apart():
    registers = register_map(plan_of(SPECS["shift"], SPECS["each"], load_weights=True))
    addresses = [block.address + register.offset for block, register in registers]
    assert addresses == sorted(set(addresses))
    assert all(address % 4 == 0 for address in addresses)
    assert [block.address for block in registers.blocks] == [0, STRIDE, 2 * STRIDE]
    assert max(addresses) < 1 << registers.address_bits
    for block, register in registers:
        ends = [(item.lsb, item.lsb + item.bits) for item in register.fields]
        assert all(end <= begin for (_, end), (begin, _) in pairwise(ends)), register.name
        assert len({item.name for item in register.fields}) == len(register.fields)
        assert register.offset < STRIDE, block.name


def test_it_says_what_was_built():
    plan = plan_of(SPECS["plain"], SPECS["shift"], lanes={"lif 0": 5, "lif 1": 2}, load_weights=True)
    registers = register_map(plan)
    core, first, second = registers.blocks
    assert core["magic"].reset == MAGIC == int.from_bytes(b"SNNH", "big")
    assert core["shape"].reset == 2 | 1 << 16
    assert (core["inputs"].reset, core["outputs"].reset, core["timesteps"].reset) == (6, 5, 4)
    assert (first["lanes"].reset, second["lanes"].reset) == (5, 2)
    assert second["widths"].reset & 0xFF == 4
    assert core["weights_words"].reset == plan.loaded_words == 6 + 3 * 5
    assert [counter.name for counter in first.counters] == [*access_names(plan.layers[0]), "stalls", "saturations"]
    assert registers.address("layer1", "threshold") == 0x210


def test_the_graph_is_known_by_its_file(tmp_path):
    import hashlib

    from snnhw.ir import save_graph
    plan = plan_of(SPECS["plain"])
    save_graph(plan.graph, tmp_path / "graph.safetensors")
    found = hashlib.sha256((tmp_path / "graph.safetensors").read_bytes()).hexdigest()
    assert f"{register_map(plan).blocks[0]['graph'].reset:08x}" == found[:8]


def test_without_loading_there_is_no_window():
    names = {register.name for register in register_map(plan_of(SPECS["plain"])).blocks[0].registers}
    assert not any(name.startswith("weights") for name in names)
    fixed, loaded = (register_map(plan_of(SPECS["plain"], load_weights=load)).blocks[0]["status"] for load in (False, True))
    assert fixed.reset == 0b1110
    assert loaded.reset == 0


def test_the_expected_checksum_is_that_of_the_padded_words():
    plan = plan_of(SPECS["plain"], load_weights=True, lanes=5)
    assert loading_chunks(plan) == 1
    words = plan.layers[0].weight_words
    assert checksum(plan) == zlib.crc32(np.array(words, "<u4").tobytes())
    wide = plan_of(*[NeuronSpec(threshold=5, bits=8)] * 2, load_weights=True)
    assert register_map(wide).blocks[0]["weights_expected"].reset == checksum(wide) == zlib.crc32(
        np.array([word for layer in wide.layers for word in layer.weight_words], "<u4").tobytes())


@pytest.mark.parametrize(("name", "expected"), {
    "plain": {"threshold": (-128, 127)},
    "shift": {"threshold": (-128, 127), "decay": (1, 8), "synapse": (0, 16)},
    "factor": {"threshold": (-128, 127), "decay": (0, 64)},
    "immediate": {"threshold": (-108, 127), "decay": (0, 64)},
    "value": {"threshold": (-128, 127)},
    "exact": {},
    "each": {},
    "count": {},
    "state": {"decay": (1, 8)},
}.items())
def test_what_can_be_adjusted(name, expected):
    spec = SPECS[name]
    assert {item.name: (item.lowest, item.highest) for item in adjustables(spec)} == expected
    block = register_map(plan_of(spec)).blocks[1]
    for item in parameters(spec):
        field, = block[item.name].fields
        assert field.access == ("rw" if item.name in expected else "ro")
        assert field.reset == (item.value or 0)
        assert ("Cannot be changed" in field.description) == (item.name not in expected)


@pytest.mark.parametrize("seed", range(30))
def test_widened_ranges_hold_for_every_adjustment(seed):
    """Random thresholds and decays, extreme currents: the reference never leaves what was planned."""
    rng = np.random.default_rng(seed)
    spec = SPECS[["plain", "shift", "factor", "immediate", "value", "state"][seed % 6]]
    plan = plan_of(spec)
    layer = plan.layers[0]
    assert layer.ranges == widened(make_plan(plan.graph, formats="dense", packings="none").layers[0].ranges, spec)
    fields: dict = {}
    for item in adjustables(spec):
        value = int(rng.choice([item.lowest, item.highest, rng.integers(item.lowest, item.highest + 1)]))
        decay = getattr(spec, item.name)
        fields[item.name] = (value if item.kind == "threshold" else replace(decay, factor=value) if item.kind == "factor"
                             else replace(decay, shift=value))
    changed = replace(spec, **fields)
    state = NeuronState.initial(changed, 1, layer.outputs)
    for _ in range(60):
        current = rng.choice([layer.current.lowest, 0, layer.current.highest], (1, layer.outputs))
        drive = (current << spec.frac) + spec.bias
        if changed.synapse is not None:
            total = changed.synapse(state.synapse) + drive
            assert layer.synapse_update.lowest <= total.min() <= total.max() <= layer.synapse_update.highest
            drive = np.clip(total, -128, 127)
        exact = changed.decay(state.membrane) + drive
        assert layer.update.lowest <= exact.min() <= exact.max() <= layer.update.highest
        if spec.reset == "subtract" and spec.reset_time == "next":
            assert layer.update.lowest <= exact.min() - int(spec.reset_amount)
        step(changed, state, current)
        assert layer.state.lowest <= state.membrane.min() <= state.membrane.max() <= layer.state.highest


def test_a_plan_without_a_port_is_what_it_was():
    spec = SPECS["factor"]
    assert plan_of(spec, control=None).layers[0].update_bits <= plan_of(spec).layers[0].update_bits
    assert plan_of(spec, control=None).control is None
    with pytest.raises(ValueError, match=r"^Plan must have a control port$"):
        register_map(plan_of(spec, control=None))


def test_the_bus_is_a_choice():
    plan = plan_of(SPECS["plain"], control="wishbone")
    assert Choices.of(plan).control == "wishbone"
    assert make_plan(plan.graph, **Choices.of(plan).arguments()).control == "wishbone"
    with pytest.raises(UsageError, match=r"^control must be 'axi4-lite' or 'wishbone', not 'apb'$"):
        plan_of(SPECS["plain"], control="apb")



def full_map(**options):
    return register_map(plan_of(*(spec for name, spec in SPECS.items() if name not in ("count", "state")), load_weights=True,
                                **options))


def test_systemrdl_says_the_same():
    systemrdl = pytest.importorskip("systemrdl", reason="systemrdl-compiler is not installed: pip install -e .[dev]")
    from systemrdl.node import FieldNode, RegNode
    registers = full_map()
    compiler = systemrdl.RDLCompiler()
    import tempfile
    from pathlib import Path
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "snnhw.rdl"
        path.write_text(format_rdl(registers))
        compiler.compile_file(str(path))
    top = compiler.elaborate().top
    found = {node.get_path().partition(".")[2]: node for node in top.descendants()}
    expected = {f"{block.name}.{register.name}": (block, register) for block, register in registers}
    assert {path for path, node in found.items() if isinstance(node, RegNode)} == set(expected)
    for path, (block, register) in expected.items():
        assert found[path].absolute_address == block.address + register.offset
        for item in register.fields:
            field = found[f"{path}.{item.name}"]
            assert isinstance(field, FieldNode)
            assert (field.low, field.width) == (item.lsb, item.bits)
            assert field.get_property("reset") == item.reset
            assert field.is_sw_readable == (item.access != "wo")
            assert field.is_sw_writable == (item.access != "ro")
            assert field.is_hw_writable == (item.access in ("ro", "w1c") and not item.constant)


@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
def test_the_header_compiles_and_holds_every_address(tmp_path):
    registers = full_map()
    (tmp_path / "snnhw_regs.h").write_text(format_header(registers))
    checks = [f"_Static_assert(SNNHW_{'' if block.name == 'core' else block.name.upper() + '_'}{register.name.upper()} == "
              f"{block.address + register.offset}u, \"\");" for block in registers.blocks for register in block.words]
    use = ["uint64_t f(void *b) { snnhw_write(b, SNNHW_CONTROL, SNNHW_CONTROL_RUN_MASK); return snnhw_count(b, SNNHW_CYCLES); }",
           "int g[] = {SNNHW_LAYER0_THRESHOLD_LOWEST, SNNHW_LAYER0_THRESHOLD_HIGHEST, SNNHW_LAYER0_THRESHOLD_THRESHOLD_RESET};"]
    (tmp_path / "check.c").write_text("\n".join(['#include "snnhw_regs.h"', '#include "snnhw_regs.h"', *checks, *use, ""]))
    run_program(["gcc", "-Wall", "-Werror", "-std=c99", "-fsyntax-only", "snnhw_regs.h"], tmp_path)
    run_program(["gcc", "-Wall", "-Wextra", "-Werror", "-std=c11", "-fsyntax-only", "check.c"], tmp_path)


def test_markdown_has_a_row_for_every_field():
    registers = full_map()
    rows = re.findall(r"^\| 0x([0-9a-f]+) \| `([\w.]+)` \|", format_markdown(registers), re.MULTILINE)
    expected = [(block.address + register.offset, f"{register.name}.{item.name}") for block in registers.blocks
                for register in block.words for item in register.fields]
    expected += [(block.address + counter.offset, counter.name) for block in registers.blocks for counter in block.counters]
    assert sorted((int(address, 16), name) for address, name in rows) == sorted(expected)


def test_a_negative_threshold_is_written_as_one():
    registers = register_map(plan_of(NeuronSpec(threshold=-3, bits=8)))
    assert "#define SNNHW_LAYER0_THRESHOLD_THRESHOLD_RESET (-2 - 1)\n" in format_header(registers)
    assert re.search(r"`threshold\.threshold` \| 31:0 \| rw \| -3 \|", format_markdown(registers))


def test_the_files_are_plain_and_the_same_every_time():
    registers = full_map(control="wishbone")
    files = register_files(registers)
    assert set(files) == {"registers.md", "snnhw.rdl", "snnhw_regs.h"}
    assert files == register_files(registers)
    for content in files.values():
        assert content.isascii()
        assert content.endswith(b"\n")
    assert b"Wishbone" in files["snnhw.rdl"]

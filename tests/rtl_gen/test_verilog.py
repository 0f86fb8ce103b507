# amaranth: UnusedElaboratable=no
"""What is emitted: deterministic, readable, clean, and free of what users wrote."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from networks import chain, random_trains

from rtl_gen import TOP, emit_verilog, generate, to_rtlil
from snnhw import reference
from snnhw.errors import FileError
from snnhw.ir import Graph, Input, Linear, Neuron, NeuronSpec, Readout, load_graph
from snnhw.plan import Choices, Plan, make_plan
from snnhw.plan.accesses import access_names
from snnhw.tools import package_file, run_program

HOSTILE = 'x"; $finish; \\ `include "a" é\n'


def small_plan(load_weights: bool = False, name: str = "layer") -> Plan:
    rng = np.random.default_rng(5)
    first = Linear("sum", ("input",), weight=rng.integers(-8, 8, (6, 9)), weight_bits=4)
    spec = NeuronSpec(threshold=[1, 2, 3, 4, 5, 6], reset="subtract", reset_amount=3, bits=8)
    nodes = (Input("input", shape=(9,)), first, Neuron(name, ("sum",), spec=spec),
             Linear("sum 2", (name,), weight=rng.integers(-8, 8, (3, 6)), weight_bits=4),
             Neuron("out", ("sum 2",), spec=NeuronSpec(threshold=2)), Readout("readout", ("out",)))
    return make_plan(Graph(name, nodes, 4), lanes={name: 4, "out": 2}, load_weights=load_weights)


@pytest.fixture(scope="module")
def output(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("output") / "hw"
    generate(small_plan(name=HOSTILE), folder, vectors=b"{}\n", extra_files={"constraints/board.pcf": b"set_io aclk 35\n"})
    return folder


def test_the_same_plan_gives_the_same_bytes_whatever_the_hash_seed(tmp_path):
    script = ("import sys; sys.path[:0] = sys.argv[2:]\nfrom pathlib import Path\nfrom test_verilog import small_plan\n"
              "from rtl_gen import generate\ngenerate(small_plan(), Path(sys.argv[1]))")
    here = Path(__file__).resolve().parent
    contents = []
    for seed in ("1", "2"):
        folder = tmp_path / seed / "deep" / "folder"
        folder.parent.mkdir(parents=True)
        run_program([sys.executable, "-c", script, folder, here], tmp_path / seed,
                    env={"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)})
        contents.append({str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()})
    assert contents[0] == contents[1]


def test_names_of_users_reach_data_only(output):
    for path in output.rglob("*"):
        if path.is_file() and path.suffix not in (".safetensors",):
            content = path.read_text()
            assert "$finish" not in content or path.suffix == ".json", path
            assert content.isascii(), path
    assert json.loads((output / "names.json").read_text())["instances"] == {
        f"{TOP}.layer0": {"sums": ["sum"], "neurons": HOSTILE}, f"{TOP}.layer1": {"sums": ["sum 2"], "neurons": "out"}}


def test_every_identifier_is_plain(output):
    text = (output / "rtl" / f"{TOP}.v").read_text()
    assert "\\" not in text
    assert set(re.findall(r"\$\w+", text)) <= {"$readmemb", "$signed"}
    assert not re.search(r"'[bh][0-9a-f]*x", text)


def test_there_is_a_module_for_each_component_and_a_port_for_each_access(output):
    text = (output / "rtl" / f"{TOP}.v").read_text()
    modules = {name: ports.split(", ") for name, ports in re.findall(r"^module (\w+)\((.*)\);$", text, re.MULTILINE)}
    parts = ("", "_event_list", "_accumulator", "_finaliser")
    layers = {f"{TOP}_layer{k}{part}" for k in (0, 1) for part in parts}
    assert set(modules) == {TOP, f"{TOP}_input_register", f"{TOP}_output_register"} | layers
    traced = {"trace_valid", "trace_neuron", "trace_membrane", "trace_spike"}
    assert traced | {*access_names(small_plan().layers[0])} <= set(modules[f"{TOP}_layer0"])
    assert "parameters_read" not in modules[f"{TOP}_layer1"]
    axis = {f"{side}_axis_{name}" for side in "sm" for name in ("tvalid", "tready", "tdata", "tlast", "tuser")}
    assert set(modules[TOP]) == {"aclk", "aresetn"} | axis
    memories = re.findall(r"^  reg .*\] (\w+) \[\d+:0\];$", text, re.MULTILINE)
    assert sorted(memories) == sorted(["weights", "events", "membranes"] * 2 + ["parameters"])


def test_the_manifest_accounts_for_every_file(output):
    manifest = json.loads((output / "manifest.json").read_text())
    files = {str(path.relative_to(output)): path.read_bytes() for path in output.rglob("*") if path.is_file()}
    del files["manifest.json"]
    assert {name: entry["sha256"] for name, entry in manifest["files"].items()} == {
        name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    assert manifest["plan"] == Choices.of(small_plan(name=HOSTILE)).arguments()
    assert manifest["plan"]["lanes"] == {HOSTILE: 4, "out": 2}
    assert load_graph(output / "graph.safetensors") == small_plan(name=HOSTILE).graph


@pytest.mark.parametrize("name", ["../out.pcf", "/out.pcf", "rtl/snnhw_top.v", ""])
def test_an_extra_file_cannot_leave_the_folder_or_replace_a_file(name, tmp_path):
    with pytest.raises(FileError, match=f"^extra file must have a new path inside the folder, not {re.escape(repr(name))}$"):
        generate(small_plan(), tmp_path / "hw", extra_files={name: b""})
    assert not (tmp_path / "hw").exists()


@pytest.mark.parametrize("load_weights", [False, True])
def test_verilator_finds_nothing_but_what_is_waived(load_weights, tmp_path):
    generate(small_plan(load_weights), tmp_path / "hw")
    verilator = package_file("verilator", "bin", "verilator")
    run_program([verilator, "--lint-only", "-Wall", "--top-module", TOP, "../lint/waivers.vlt", f"{TOP}.v"],
                tmp_path / "hw" / "rtl")


@pytest.mark.parametrize("options", [
    {"formats": "dense", "packings": "codebook"}, {"formats": "dense", "packings": "ternary", "events": "bitmap"},
    {"formats": "bank", "packings": "ternary"}, {"formats": "run-length", "packings": "codebook", "load_weights": True},
    {"formats": "bitmap"}, {"formats": "block"}, {"formats": "queued"},
], ids=lambda options: "-".join(map(str, options.values())))
def test_verilator_finds_nothing_in_other_ways_to_store_weights(options, tmp_path):
    rng = np.random.default_rng(6)
    spec = NeuronSpec(threshold=5, overflow="saturate", bits=10)
    few = [-3, 0, 2] if options.get("packings") == "ternary" else [-3, -1, 0, 2, 3]
    weights = [rng.choice(few, (13, 20)), rng.choice(few, (10, 13))]
    plan = make_plan(chain([20, 13, 10], weights, [4, 4], [spec, spec], 3), lanes={"neurons 0": 5, "neurons 1": 2}, **options)
    assert {layer.packing.name if layer.packing else None for layer in plan.layers} == {options.get("packings")}
    generate(plan, tmp_path / "hw")
    verilator = package_file("verilator", "bin", "verilator")
    run_program([verilator, "--lint-only", "-Wall", "--top-module", TOP, "../lint/waivers.vlt", f"{TOP}.v"],
                tmp_path / "hw" / "rtl")


def test_every_waiver_is_needed(output):
    verilator = package_file("verilator", "bin", "verilator")
    done = subprocess.run([verilator, "--lint-only", "-Wall", "--top-module", TOP, f"{TOP}.v"], cwd=output / "rtl",
                          capture_output=True, text=True, check=False)
    waived = re.findall(r"-rule (\w+)", (output / "lint" / "waivers.vlt").read_text())
    assert set(re.findall(r"%Warning-(\w+)", done.stderr)) == set(waived)


BENCH = """
module bench;
  reg aclk = 0, aresetn = 0, valid = 0, ready = 0;
  reg [{bits}:0] beats [0:{last}];
  reg [{bits}:0] beat = 0;
  integer sent = 0, ticks = 0, cycle = 0;
  wire s_ready, m_valid, m_last, m_user;
  wire [7:0] m_data;
  {top} dut (.aclk(aclk), .aresetn(aresetn),
    .s_axis_tvalid(valid), .s_axis_tready(s_ready), .s_axis_tdata(beat[7:0]), .s_axis_tlast(beat[8]), .s_axis_tuser(beat[9]),
    .m_axis_tvalid(m_valid), .m_axis_tready(ready), .m_axis_tdata(m_data), .m_axis_tlast(m_last), .m_axis_tuser(m_user));
  always #5 aclk = ~aclk;
  initial begin
    $readmemb("beats.mem", beats);
    repeat (4) @(negedge aclk);
    aresetn = 1;
    while (ticks < {ticks}) begin
      @(negedge aclk);
      if (^{{s_ready, m_valid, m_data, m_last, m_user, dut.layer0.trace_valid, dut.layer0.accumulate}} === 1'bx)
        $display("unknown");
      valid = sent < {count};
      beat = beats[valid ? sent : 0];
      ready = cycle % 3 != 0;
      #1;
      if (m_valid && ready) begin
        if (m_last) begin $display("tick %b", m_user); ticks = ticks + 1; end
        else $display("spike %0d", m_data);
      end
      if (valid && s_ready) sent = sent + 1;
      cycle = cycle + 1;
      if (cycle > 20000) begin $display("late"); $finish; end
    end
    $finish;
  end
endmodule
"""


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="Icarus Verilog is not installed: apt-get install iverilog")
@pytest.mark.parametrize("standard", ["-g2005", "-g2012"])
def test_plain_verilog_simulates_without_any_unknown(standard, tmp_path):
    plan = small_plan()
    trains = random_trains(np.random.default_rng(2), plan, 3)
    beats = [beat for sample in trains for t, step in enumerate(sample)
             for beat in [*np.flatnonzero(step).tolist(), 1 << 8 | (t == len(sample) - 1) << 9]]
    emit_verilog(plan, tmp_path)
    (tmp_path / "beats.mem").write_text("".join(f"{beat:010b}\n" for beat in beats))
    ticks = trains.shape[0] * trains.shape[1]
    (tmp_path / "bench.v").write_text(BENCH.format(bits=9, last=len(beats) - 1, count=len(beats), ticks=ticks, top=TOP))
    run_program(["iverilog", standard, "-o", "bench.vvp", "bench.v", f"{TOP}.v"], tmp_path)
    # Icarus warns of memories whose last word comes first in their declaration, as Yosys writes them.
    printed = [line for line in run_program(["vvp", "bench.vvp"], tmp_path).splitlines() if "Standard inconsistency" not in line]
    expected = [line for sample in reference.run(plan.graph, trains).output_spikes for t, step in enumerate(sample)
                for line in [*(f"spike {neuron}" for neuron in np.flatnonzero(step)), f"tick {int(t == len(sample) - 1)}"]]
    assert printed == expected


def test_written_memories_are_marked_as_never_read_while_written(output):
    text = (output / "rtl" / f"{TOP}.v").read_text()
    assert re.findall(r"\(\* no_rw_check \*\)\n  reg .*\] (\w+) \[", text) == ["events", "membranes"] * 2


def test_written_memories_have_no_initial_contents():
    text = to_rtlil(small_plan(load_weights=True))
    initialised = re.findall(r'cell \$meminit_v2 .*\n    parameter \\MEMID "\\\\(\w+)"', text)
    assert initialised == ["parameters"]
    assert "COLLISION_X_MASK 1'0" not in text


@pytest.mark.parametrize(("name", "banks"), [("csc", 3), ("block", 1)])
def test_so_have_both_halves_of_the_currents(name, banks, tmp_path):
    graph = small_plan().graph
    plan = make_plan(graph, lanes={"layer": 3, "out": 3}, formats=name)
    names = [f"currents_{bank}_{half}" for bank in range(banks) for half in range(2)]
    emit_verilog(plan, tmp_path)
    marked = re.findall(r"\(\* no_rw_check \*\)\n  reg .*\] (currents_\w+) \[", (tmp_path / f"{TOP}.v").read_text())
    assert sorted(marked) == sorted(names * 2)
    text = to_rtlil(plan)
    assert not [memory for memory in re.findall(r'cell \$meminit_v2 .*\n    parameter \\MEMID "\\\\(\w+)"', text)
                if memory.startswith("currents")]
    assert "COLLISION_X_MASK 1'0" not in text

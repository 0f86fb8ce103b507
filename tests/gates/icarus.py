"""Netlists in another simulator: Icarus, and what its nets did."""

import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from snnhw.gates import Delays, GateActivity, Netlist, write_netlist
from snnhw.tools import package_file

HAVE_ICARUS = shutil.which("iverilog") is not None
PERIOD = 40_000
FIRST = 3 * PERIOD  # the first rising edge

BENCH = """
`timescale 1ps/1ps
module bench;
  reg clk = 0;
  initial begin
    $dumpfile("bench.vcd"); $dumpvars(1, bench.dut);
    #{first};
    repeat ({edges}) begin clk = 1; #{half}; clk = 0; #{half}; end
    $finish;
  end
  {top} dut({ports});
endmodule
"""

# A connection carries everything, a table forgets what is taken back. What happens at the same time happens together: outputs
# in the active region, arrivals as non-blocking assignments, then #0 and one look at all of them.
TABLE = """
`timescale 1ps/1ps
module table5 #(parameter [31:0] F = 0, parameter D = 1, W0 = 0, W1 = 0, W2 = 0, W3 = 0, W4 = 0)
  (input [4:0] i, input kick, output o);
  reg [4:0] pins = 0;
  reg value = 0;
  always @(i[0] or kick) pins[0] <= #W0 i[0];
  always @(i[1] or kick) pins[1] <= #W1 i[1];
  always @(i[2] or kick) pins[2] <= #W2 i[2];
  always @(i[3] or kick) pins[3] <= #W3 i[3];
  always @(i[4] or kick) pins[4] <= #W4 i[4];
  always @(pins or kick) #0 value = F[pins];
  assign #D o = value;
endmodule
"""


def delayed_verilog(netlist: Netlist, delays: Delays, inputs: Mapping[str, int]) -> str:
    """Return a module ``copy`` of tables and flip-flops, a picosecond for each step; one delay for each kind of table."""
    wires = delays.wires(netlist)
    lines = ["`timescale 1ps/1ps", "module copy(input clk);", "  reg kick = 0;", f"  initial #{PERIOD} kick = 1;",
             "  wire n0 = 0, n1 = 1;"]
    held = {net: inputs.get(name, 0) >> bit & 1 for name, (is_input, nets) in netlist.ports.items() if is_input
            for bit, net in enumerate(nets) if net != netlist.clock}
    lines += [f"  wire n{net} = {value};" for net, value in held.items()]
    flops = {flop.output for flop in netlist.flip_flops}
    lines += [f"  {'reg' if net in flops else 'wire'} n{net};" for net in range(2, netlist.nets)
              if net not in held and net != netlist.clock]
    for index, (table, wire) in enumerate(zip(netlist.tables, wires, strict=True)):
        own = {delays.cell(table.kind, pin) for pin in table.pins}
        assert len(own) == 1
        ends = ", ".join(f".W{pin}({steps})" for pin, steps in enumerate(wire))
        ins = ", ".join(f"n{net}" for net in reversed((*table.inputs, *(0,) * (5 - len(table.inputs)))))
        lines.append(f"  table5 #(.F({table.function}), .D({own.pop()}), {ends}) t{index}({{{ins}}}, kick, n{table.output});")
    for flop in netlist.flip_flops:
        enabled = f"n{flop.enable} == {flop.enable_level}"
        given = f"{enabled} ? n{flop.data} : n{flop.output}"
        reset = f"(n{flop.reset} == {flop.reset_level} && {enabled if flop.reset_needs_enable else '1'})"
        lines.append(f"  initial n{flop.output} = {flop.initial};")
        lines.append(f"  always @(posedge clk) n{flop.output} <= #{delays.launch('register')} "
                     f"{reset} ? {flop.reset_value} : {given};")
    assert not netlist.blocks
    return "\n".join([*lines, "endmodule", TABLE])


def read_changes(path: Path, bits: Mapping[str, int]) -> tuple[list[np.ndarray], np.ndarray]:
    """Return the values of named bits, and the number of their changes, in each cycle from the first rising edge to the next."""
    codes: dict[str, list[tuple[int, int]]] = {}
    text = path.read_text()
    head, _, body = text.partition("$enddefinitions $end")
    for width, code, name, span in re.findall(r"\$var \w+ (\d+) (\S+) (\S+)(?: \[(-?\d+(?::-?\d+)?)\])? \$end", head):
        base = name.removeprefix("\\")
        low = int(span.rpartition(":")[2]) if span else 0
        for bit in range(int(width)):
            label = f"{base}[{bit + low}]" if span or f"{base}[0]" in bits else base  # a vector of one bit has no span here
            if label in bits:
                codes.setdefault(code, []).append((bit, bits[label]))
    values, changes = np.full(max(bits.values()) + 1, -1), np.zeros(max(bits.values()) + 1, int)
    ends: list[np.ndarray] = []
    counts: list[np.ndarray] = []
    cycle = -1
    for line in body.split("\n"):
        if line.startswith("#"):
            now = (int(line[1:]) - FIRST) // PERIOD
            while cycle < now:
                ends.append(values.copy())
                counts.append(changes.copy())
                changes[:] = 0
                cycle += 1
        elif line and line[0] in "01xzb":
            word, code = line[1:].split() if line[0] == "b" else (line[0], line[1:])
            for bit, net in codes.get(code, ()):
                digit = word[-1 - bit] if bit < len(word) else "0" if word[0] == "1" else word[0]
                value = int(digit) if digit in "01" else -1
                changes[net] += value != values[net]
                values[net] = value
    return ends[1:], np.array(counts[1:])


def simulate(folder: Path, sources: Sequence[Path], text: str, top: str, ports: str, edges: int) -> Path:
    """Run a clocked module in Icarus and return what it dumped."""
    design = folder / "design.v"
    design.write_text(text + BENCH.format(first=FIRST, half=PERIOD // 2, edges=edges, top=top, ports=ports))
    subprocess.run(["iverilog", "-g2012", "-s", "bench", "-o", "bench.vvp", *map(str, sources), design.name], cwd=folder,
                   check=True, capture_output=True)
    subprocess.run(["vvp", "-n", "bench.vvp"], cwd=folder, check=True, capture_output=True)
    return folder / "bench.vcd"


def delayed_toggles(folder: Path, netlist: Netlist, delays: Delays, inputs: Mapping[str, int], warm: int,
                    cycles: int) -> np.ndarray:
    """Return the changes of each net with delays, as :func:`snnhw.gates.run_free` counts them."""
    dump = simulate(folder, [], delayed_verilog(netlist, delays, inputs), "copy", ".clk(clk)", warm + cycles)
    driven = {f"n{net}": net for net, kind in enumerate(netlist.classes) if kind}
    _, counts = read_changes(dump, driven)
    total = np.zeros(netlist.nets, int)
    total[:counts.shape[1]] = counts[warm - 1:warm + cycles - 1].sum(axis=0)
    return total


def cell_models(family: str) -> str:
    """Return Yosys' models of the cells, without what is only for timing."""
    share = package_file("pyosys", "share")
    if family == "ice40":
        return "`define NO_ICE40_DEFAULT_ASSIGNMENTS\n" + (share / "ice40" / "cells_sim.v").read_text()
    text = "".join((share / "lattice" / name).read_text() for name in ("common_sim.vh", "ccu2c_sim.vh"))
    wanted = "LUT2", "LUT4", "PFUMX", "L6MUX21", "CCU2C", "TRELLIS_FF", "TRELLIS_DPR16X4"
    modules = re.finditer(r"^module (\w+).*?^endmodule$", text, re.DOTALL | re.MULTILINE)
    found = [match[0] for match in modules if match[1] in wanted]
    assert len(found) == len(wanted)
    return re.sub(r"\bspecify\b.*?\bendspecify\b", "", "\n".join(found), flags=re.DOTALL)


def settled_toggles(folder: Path, family: str, activity: GateActivity, inputs: Mapping[str, int], warm: int,
                    cycles: int) -> tuple[np.ndarray, np.ndarray]:
    """Return toggles of settled cycles of each named net, and cycles that it was high, from Yosys' models of the cells.

    -1 for a net without a name, or without a value in some cycle.
    """
    netlist = activity.netlist
    write_netlist(activity, folder / "netlist.v")
    (folder / "cells.v").write_text(cell_models(family))
    ports = ", ".join([f".{name}({inputs[name]})" if name in inputs else f".{name}(clk)"
                       for name, (is_input, _) in netlist.ports.items() if is_input])
    dump = simulate(folder, [folder / "netlist.v", folder / "cells.v"], "", netlist.top, ports, warm + cycles)
    driven = {name: net for net, kind in enumerate(netlist.classes) if kind for name in netlist.names[net]}
    values, _ = read_changes(dump, driven)
    toggles, highs = (np.full(netlist.nets, -1) for _ in range(2))
    named = [net for net, kind in enumerate(netlist.classes) if kind and netlist.names[net]]
    steps = np.array(values[warm - 2:warm + cycles - 1])[:, named]
    toggles[named] = np.where((steps >= 0).all(axis=0), (steps[1:] != steps[:-1]).sum(axis=0), -1)
    highs[named] = steps[1:].sum(axis=0)
    return toggles, highs

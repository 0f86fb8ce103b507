"""What the gate simulator does not have is refused, in one sentence."""

import re

import pytest
from gate_designs import from_verilog

from snnhw.errors import UsageError
from snnhw.gates import load_delays, parse_netlist, run_free, synthesise

BUFFERS = {"ice40": "(* keep *) SB_LUT4 #(.LUT_INIT(16'h5555)) {0}(.I0({1}), .I1(1'b0), .I2(1'b0), .I3(1'b0), .O({2}));",
           "ecp5": "(* keep *) LUT4 #(.INIT(16'h5555)) {0}(.A({1}), .B(1'b0), .C(1'b0), .D(1'b0), .Z({2}));"}


def design(body, ports="input clk, input other, input d, output reg q"):
    return f"module top({ports});\n{body}\nendmodule\n"


def loop(family):
    cells = "\n".join(BUFFERS[family].format(*item) for item in (("one", "a", "b"), ("two", "b", "a")))
    return design(f"wire a, b;\n{cells}\nalways @(posedge clk) q <= a ^ d;")


@pytest.mark.parametrize("family", ["ice40", "ecp5"])
@pytest.mark.parametrize(("body", "message"), [
    ("always @(negedge clk) q <= d;", r"cell '.*' \(\w+\) must not have a falling clock edge to be simulated"),
    ("always @(posedge clk or posedge other) if (other) q <= 0; else q <= d;",
     r"cell '.*' \(\w+\) must not have an asynchronous reset to be simulated"),
    ("reg p; always @(posedge clk) q <= p; always @(posedge other) p <= d;",
     r"netlist 'top' must have one clock, 'clk', and cell '.*' has another"),
    ("always @(posedge clk) q <= d; (* keep *) stranger s(.a(d));",
     r"netlist 'top' must be of CCU2C, .* and .*'s' is a stranger"),
])
def test_cells_are_refused_by_name(family, body, message):
    extra = "(* blackbox *) module stranger(input a); endmodule\n" if "stranger" in body else ""
    with pytest.raises(UsageError, match=f"^{message}$"):
        from_verilog(extra + design(body), "top", family)


@pytest.mark.parametrize("family", ["ice40", "ecp5"])
def test_loops_are_refused(family):
    netlist = from_verilog(loop(family), "top", family)
    with pytest.raises(UsageError, match=r"^netlist 'top' must not have loops without a flip-flop, '.*' is in one$"):
        run_free(netlist, 10)


def test_missing_ports_are_named():
    netlist = from_verilog(design("always @(posedge clk) q <= d ^ other;"), "top", "ice40")
    expected = "netlist 'top' must have the ports clk, reset, it has "
    with pytest.raises(UsageError, match=f"^{re.escape(expected)}.*d.*$"):
        run_free(netlist, 10, inputs={"reset": 1})
    with pytest.raises(UsageError, match=r"^netlist 'top' must have the clock 'aclk', its ports are .*clk.*$"):
        parse_netlist(netlist.file, "top", "aclk")


def test_other_families_are_refused():
    with pytest.raises(UsageError, match=r"^netlists are simulated for 'ice40' and 'ecp5', not for 'gowin'$"):
        synthesise([], "top", "gowin")
    with pytest.raises(UsageError, match=r"^delays are known for .*ECP5.*, not for the device 'GW1NR-9'$"):
        load_delays("GW1NR-9")

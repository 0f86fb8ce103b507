"""Toggles are those of another simulator: Icarus, with Yosys' models of the cells, and with delays."""

import numpy as np
import pytest
from gate_designs import FAMILIES, LOGIC, MEMORIES, PLAIN, SMALL, from_verilog
from icarus import HAVE_ICARUS, delayed_toggles, settled_toggles

from snnhw.gates import CLASSES, Delays, load_delays, run_free
from snnhw.gates.delays import DelayRecord

pytestmark = pytest.mark.skipif(not HAVE_ICARUS, reason="Icarus Verilog is not installed")
WARM, CYCLES = 12, 40


def memories(family):
    # A product of four bits where there is no model of the multiplier.
    text = MEMORIES.format(small=SMALL[family])
    changes = {'"block"': '"distributed"', "0:511": "0:31", "i < 512": "i < 32", "[13:5]": "[9:5]", "[27:19]": "[23:19]",
               "a * $signed(r[25:12])": "a + r", "q * r[6:0]": "q + r"}
    for old, new in changes.items() if family == "ecp5" else ():
        assert old in text
        text = text.replace(old, new)
    return text


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("design", ["logic_only", "memories"])
def test_settled_toggles_are_those_of_the_cell_models(family, design, tmp_path):
    text = LOGIC if design == "logic_only" else memories(family)
    dsp = " -dsp" if family == "ice40" and design == "memories" else ""
    netlist = from_verilog(text, design, family, PLAIN[family] + dsp)
    inputs = {"hold": 0, "add": 5} if design == "logic_only" else {"hold": 0}
    activity = run_free(netlist, CYCLES, inputs=inputs, warm=WARM)
    toggles, highs = settled_toggles(tmp_path, family, activity, inputs, WARM, CYCLES)
    known = toggles >= 0
    # What has no value there is an output of a memory that is never written.
    unknown = [net for net in np.flatnonzero(~known) if netlist.classes[net] and netlist.names[net]]
    assert {netlist.classes[net] for net in unknown} <= {"memory"}
    assert activity.toggles[unknown].sum() == 0
    assert known.sum() > 100
    assert (toggles[known] == activity.settled[known]).all()
    assert (highs[known] == activity.highs[known]).all()
    assert (activity.toggles == activity.settled).all()
    assert {kind for kind, count in activity.by_class().items() if count} >= {"register", "routed", "local"}
    assert set(activity.by_class()) == set(CLASSES)


@pytest.mark.parametrize("seed", [None, 1])
@pytest.mark.parametrize("family", FAMILIES)
def test_glitches_are_those_of_inertial_tables_and_transport_connections(family, seed, tmp_path):
    netlist = from_verilog(LOGIC, "logic_only", family, PLAIN[family])
    inputs, rng = {"hold": 0, "add": 5}, np.random.default_rng(seed)
    cells = {}
    for table in netlist.tables:
        if table.kind not in cells:
            cells[table.kind] = dict.fromkeys(table.pins, 10 if seed is None else 10 * int(rng.integers(1, 60)))
    record = DelayRecord(name="drawn", title="drawn", devices=("drawn",), cells={**cells, "register": {"clock": 30}},
                         connections=(10, 10) if seed is None else (0, 300, 2000), carry_connection=10 if seed is None else 70,
                         source="drawn")
    delays = Delays(record, seed or 0)
    activity = run_free(netlist, CYCLES, inputs=inputs, warm=WARM, delays=delays)
    found = delayed_toggles(tmp_path, netlist, delays, inputs, WARM, CYCLES)
    assert (found == activity.toggles).all()
    settled = run_free(netlist, CYCLES, inputs=inputs, warm=WARM)
    assert (activity.settled == settled.toggles).all()
    assert (activity.highs == settled.highs).all()
    assert activity.glitches > 1.2


CHAIN = """
module chain(input clk, output o);
  reg t = 0, u = 0;
  wire w, v;
  always @(posedge clk) begin t <= ~t; u <= v; end
  {first}
  {second}
  assign o = u;
endmodule
"""
LUTS = {"ice40": ("SB_LUT4", "LUT_INIT", "O", ("I0", "I1", "I2", "I3"), "ice40up5k"),
        "ecp5": ("LUT4", "INIT", "Z", ("A", "B", "C", "D"), "lfe5u")}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("pin", range(4))
def test_a_path_takes_the_sum_of_its_delays(family, pin):
    kind, parameter, output, pins, device = LUTS[family]
    # A buffer through one pin, the others low.
    function = sum(1 << index for index in range(16) if index >> pin & 1)
    cell = "(* keep *) {kind} #(.{parameter}(16'h{function:04X})) {name}({ends}, .{output}({to}));"

    zero = "1'b0"

    def instance(name, source, to):
        ends = ", ".join(f".{other}({source if place == pin else zero})" for place, other in enumerate(pins))
        return cell.format(kind=kind, parameter=parameter, function=function, name=name, output=output, to=to, ends=ends)

    first, second = instance("one", "t", "w"), instance("two", "w", "v")
    netlist = from_verilog(CHAIN.format(first=first, second=second), "chain", family, PLAIN[family])
    record = load_delays(device)
    delays = Delays(record, spread=False)
    activity = run_free(netlist, 20, delays=delays)
    own = delays.cell(kind, pins[pin])
    assert activity.slowest_steps == delays.launch("register") + 2 * (delays.connection + own)
    assert activity.slowest_ns == pytest.approx(activity.slowest_steps / 100)

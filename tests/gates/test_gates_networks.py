"""Netlists of random networks compute what the reference does, and a netlist with an error does not."""

import json
from dataclasses import replace

import numpy as np
import pytest
from gate_designs import PLAIN, from_verilog

from snnhw.errors import CheckFailed
from snnhw.gates import gate_simulator, run_free
from snnhw.gates.cells import CONVERT
from snnhw.ir import Decay, Graph, Input, Linear, Neuron, NeuronSpec, Readout
from snnhw.plan import make_plan
from snnhw.plan.cycles import predict_cycles
from snnhw.reference import run
from snnhw.verify.random_graphs import random_graph_case
from snnhw.verify.random_networks import random_case

NETWORKS = [("network", 3, "ice40"), ("network", 9, "ecp5"), ("graph", 4, "ecp5"), ("graph", 5, "ice40")]
MORE = [(kind, seed, family) for seed in range(10, 18) for kind in ("network", "graph") for family in ("ice40", "ecp5")]


def drawn(kind, seed):
    return random_case(seed, largest=16, layers=1) if kind == "network" else random_graph_case(seed)


@pytest.mark.parametrize(("kind", "seed", "family"), [
    *NETWORKS, *(pytest.param(*item, marks=pytest.mark.slow) for item in MORE)])
def test_random_netlists_are_equal(kind, seed, family):
    case = drawn(kind, seed)
    simulator = gate_simulator(case.plan, family=family)
    settled, delayed = (simulator.run(case.spikes, delayed=delayed) for delayed in (False, True))
    assert settled.output.size > 0
    assert (settled.output == delayed.output).all()
    trains = run(case.plan.graph, case.spikes, keep_membranes=False).spikes
    for result in (settled, delayed):
        assert (result.cycles == predict_cycles(case.plan, trains)).all()
        groups = sum(int(values.sum()) for key, values in result.activity.totals.items() if " " not in key.count)
        assert groups == result.activity.driven_toggles == sum(result.activity.by_class().values())
    activity = settled.activity
    assert (activity.toggles == activity.settled).all()
    assert (delayed.activity.settled == activity.toggles).all()
    assert (delayed.activity.highs == activity.highs).all()
    assert (delayed.activity.toggles >= delayed.activity.settled).all()
    assert ((delayed.activity.toggles - delayed.activity.settled) % 2 == 0).all()  # a glitch comes back
    assert 0 < delayed.activity.slowest_ns < 200
    assert activity.glitches == 1 < delayed.activity.glitches


def small():
    rng = np.random.default_rng(3)
    spec = NeuronSpec(threshold=5, decay=Decay("shift", 2), reset="subtract", reset_amount=5, reset_time="immediate", bits=8)
    nodes = (Input("in", (), (6,)), Linear("sum", ("in",), rng.integers(-4, 8, (4, 6)), 4), Neuron("fires", ("sum",), spec),
             Readout("out", ("fires",)))
    return make_plan(Graph("small", nodes, 6), lanes=2), rng.random((40, 6, 6)) < 0.4


@pytest.mark.parametrize("family", ["ice40", "ecp5"])
def test_errors_of_the_netlist_are_noticed(family):
    plan, spikes = small()
    simulator = gate_simulator(plan, family=family)
    right = simulator.run(spikes)
    netlist, rng = simulator.netlist, np.random.default_rng(0)
    noticed = {"bit": 0, "carry": 0, "value": 0}
    tried = dict.fromkeys(noticed, 0)
    busy = [index for index, table in enumerate(netlist.tables) if right.activity.toggles[table.output] > 40]
    carries = [index for index, table in enumerate(netlist.tables)
               if netlist.classes[table.output] == "carry" and right.activity.toggles[table.output] > 10]
    for turn in range(30):
        tables, flops = list(netlist.tables), list(netlist.flip_flops)
        kind = ("bit", "carry", "value")[turn % 3]
        if kind == "value":
            index = int(rng.integers(len(flops)))
            flops[index] = replace(flops[index], data=0 if flops[index].data else 1)
            if right.activity.toggles[flops[index].output] < 10:
                continue
        else:
            index = int(rng.choice(busy if kind == "bit" else carries))
            table = tables[index]
            pins = [place for place, net in enumerate(table.inputs) if right.activity.toggles[net] > 0]
            pin = int(rng.choice(pins))
            inputs = tuple(1 if kind == "carry" and place == pin else net for place, net in enumerate(table.inputs))
            # The whole half of the function that the pin decides, so that the bits are met.
            mask = sum(1 << row for row in range(1 << len(table.inputs)) if row >> pin & 1)
            tables[index] = replace(table, inputs=inputs, function=table.function ^ (mask if kind == "bit" else 0))
        tried[kind] += 1
        wrong = replace(simulator, netlist=replace(netlist, tables=tuple(tables), flip_flops=tuple(flops)))
        try:
            wrong.run(spikes)
        except CheckFailed:
            noticed[kind] += 1
    assert all(noticed.values())
    assert sum(noticed.values()) >= 0.8 * sum(tried.values()), (noticed, tried)


def test_a_wrong_word_is_described():
    plan, spikes = small()
    simulator = gate_simulator(plan)
    # Its output stream names other neurons: swap two bits of the address.
    ports = dict(simulator.netlist.ports)
    is_input, nets = ports["m_axis_tdata"]
    flags, last = ports["m_axis_tvalid"][1][0], nets[0]
    ports["m_axis_tdata"] = is_input, (nets[1], last, *nets[2:])
    assert flags != last
    with pytest.raises(CheckFailed, match=r"^netlist of network 'small': .+$"):
        replace(simulator, netlist=replace(simulator.netlist, ports=ports)).run(spikes)


def test_every_kind_of_cell_has_a_test():
    """Kinds that the designs of this room are mapped to; those left out are refused by a test, or told apart by their names."""
    met = {"SB_LUT4", "SB_CARRY", "SB_RAM40_4K", "SB_SPRAM256KA", "SB_MAC16", "LUT4", "PFUMX", "L6MUX21", "CCU2C", "TRELLIS_FF",
           "DP16KD", "TRELLIS_DPR16X4", "MULT18X18D"}
    assert {kind for kind in CONVERT if not kind.startswith("SB_DFF")} == met


FLOPS = """
module flops(input clk, output reg [5:0] o = 0);
  reg [15:0] r = 16'hACE1;
  always @(posedge clk) begin
    r <= {r[14:0], r[15] ^ r[13] ^ r[12] ^ r[10]};
    o[0] <= r[0];
    if (r[4]) o[1] <= r[0];
    if (r[5]) o[2] <= 0; else o[2] <= r[0];
    if (r[5]) o[3] <= 1; else o[3] <= r[0];
    if (r[4]) if (r[6]) o[4] <= 0; else o[4] <= r[0];
    if (r[4]) if (r[6]) o[5] <= 1; else o[5] <= r[0];
  end
endmodule
"""


@pytest.mark.parametrize("family", ["ice40", "ecp5"])
def test_flip_flops_enable_and_reset(family):
    netlist = from_verilog(FLOPS, "flops", family, PLAIN[family])
    kinds = {cell["type"] for cell in json.loads(netlist.file.read_text())["modules"]["flops"]["cells"].values()}
    if family == "ice40":
        assert {kind for kind in kinds if "DFF" in kind} == {f"SB_DFF{form}" for form in ("", "E", "SR", "SS", "ESR", "ESS")}
    # The same in Python.
    r, o, before, toggles, highs = 0xACE1, [0] * 6, [0] * 6, np.zeros(6, int), np.zeros(6, int)
    for _ in range(500):
        bit = [r >> place & 1 for place in range(16)]
        o = [bit[0], bit[0] if bit[4] else o[1], 0 if bit[5] else bit[0], 1 if bit[5] else bit[0],
             (0 if bit[6] else bit[0]) if bit[4] else o[4], (1 if bit[6] else bit[0]) if bit[4] else o[5]]
        r = (r << 1 | bit[15] ^ bit[13] ^ bit[12] ^ bit[10]) & 0xFFFF
        toggles += np.array(o) != before
        highs += np.array(o)
        before = o
    activity = run_free(netlist, 501, warm=0)
    nets = list(netlist.ports["o"][1])
    assert (activity.toggles[nets] == toggles).all()
    assert (activity.highs[nets] == highs).all()

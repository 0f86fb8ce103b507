"""Count toggles of generated cores in the RTL and in the synthesised iCE40 netlist, on the same samples. Prints JSON lines.

    python benchmarks/toggle_ratio.py [--samples 3] [--designs 5]

Behind the constants ``netlist_per_rtl_toggle`` and ``add_toggles`` of ``snnhw/cost/constants``. Zero delay, no glitches: settled
values once a cycle. Memories stay behavioural, their data outputs are counted. The netlist must answer as the RTL does.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import numpy as np

from snnhw.cost import predict_counts
from snnhw.cost.rungs import finaliser_bits
from snnhw.ir import Decay, Graph, Input, Linear, Neuron, NeuronSpec, Readout
from snnhw.plan import Plan, make_plan
from snnhw.reference import run
from snnhw.verify.cxxrtl import build_cxxrtl
from snnhw.verify.design import TOP, Design
from snnhw.verify.native import Simulator
from snnhw.verify.random_networks import random_case
from snnhw.verify.simulation import Simulation

SYNTHESIS = f"synth_ice40 -top {TOP} -device u -run"
MODELS = "read_verilog -defer -D NO_ICE40_DEFAULT_ASSIGNMENTS +/ice40/cells_sim.v"


class MappedDesign(Design):
    """The design after synthesis, its cells replaced by what they compute; leaves the netlist in `file`."""

    file: Path

    @classmethod
    def of(cls, plan: Plan, file: Path) -> "MappedDesign":
        design = cls(plan)
        object.__setattr__(design, "file", file)
        return design

    @cached_property
    def text(self) -> str:
        return f"{super().text}\n# {self.file}\n"  # never from the cache: the netlist must be written

    def flatten(self) -> list[str]:
        return [
            *super().flatten(),
            f"{SYNTHESIS} begin:flatten",
            f"{SYNTHESIS} coarse:map_ram",
            "opt -fast",
            f"{SYNTHESIS} map_gates:check",
            "autoname",
            f"select {TOP}",
            f"write_json -selected {self.file}",
            "select -clear",
            "delete =A:blackbox =A:whitebox",
            MODELS,
            f"hierarchy -top {TOP}",
            "proc",
            "flatten",
        ]


def simulate(design: Design, spikes: np.ndarray) -> Simulation:
    folder, seconds = build_cxxrtl([design], nets=True, optimize="-O0")
    return Simulator(design.plan, "cxxrtl", folder, 0, seconds).run(spikes, activity=True)


def count_cell_outputs(netlist: Path, simulation: Simulation) -> int:
    """Return the toggles of everything that a cell of the netlist drives, each wire once."""
    module = json.loads(netlist.read_text())["modules"][TOP]
    driven = {
        bit
        for cell in module["cells"].values()
        for port, bits in cell["connections"].items()
        if cell["port_directions"][port] == "output"
        for bit in bits
        if isinstance(bit, int)
    }
    activity = simulation.activity
    assert activity is not None
    toggles: dict[int, int] = {}
    for name, net in module["netnames"].items():
        if name in activity and activity[name].bits == len(net["bits"]):
            toggles |= {bit: int(count) for bit, count in zip(net["bits"], activity[name].toggles, strict=True) if bit in driven}
    return sum(toggles.values())


def compare(plan: Plan, spikes: np.ndarray) -> dict[str, float | int]:
    """Return the toggles of both descriptions, and per bit of addition."""
    rtl = simulate(Design(plan), spikes)
    with tempfile.TemporaryDirectory() as folder:
        netlist = Path(folder) / "mapped.json"
        mapped = simulate(MappedDesign.of(plan, netlist), spikes)
        toggles = count_cell_outputs(netlist, mapped)
    assert np.array_equal(rtl.output, mapped.output), "the netlist computes something else"
    assert rtl.activity is not None
    trains = run(plan.graph, spikes, keep_membranes=False).spikes
    counts = predict_counts(plan, trains)
    synaptic = sum(int(counts.layers[layer.index]["events_write"].sum()) * layer.outputs for layer in plan.layers)
    bits = sum(
        int(counts.layers[layer.index]["events_write"].sum()) * layer.outputs * layer.current_bits
        + int(counts.layers[layer.index]["finalise"].sum()) * sum(finaliser_bits(layer)[:2])
        for layer in plan.layers
    )
    return {
        "rtl_toggles": rtl.activity.toggles,
        "netlist_toggles": toggles,
        "netlist_per_rtl": round(toggles / rtl.activity.toggles, 3),
        "toggles_per_synaptic_operation": round(toggles / synaptic, 1),
        "toggles_per_bit_added": round(toggles / bits, 2),
    }


def designs(count: int, samples: int) -> Iterator[tuple[str, Plan, np.ndarray]]:
    """Yield a 64-64-10 network, lanes 4 and 16, then random networks with enough spikes to count."""
    rng = np.random.default_rng(0)
    spec = NeuronSpec(threshold=24, decay=Decay("shift", 3), reset="subtract", reset_amount=24, reset_time="next", bits=12)
    graph = Graph(
        "64-64-10",
        (
            Input("in", shape=(64,)),
            Linear("fc1", ("in",), rng.integers(-8, 8, (64, 64)), 4),
            Neuron("lif1", ("fc1",), spec),
            Linear("fc2", ("lif1",), rng.integers(-8, 8, (10, 64)), 4),
            Neuron("lif2", ("fc2",), spec),
            Readout("out", ("lif2",)),
        ),
        16,
    )
    spikes = rng.random((samples, 16, 64)) < 0.2
    found = 0
    for lanes in (4, 16):
        found += 1
        yield f"64-64-10, {lanes} lanes", make_plan(graph, lanes=lanes), spikes
    seed = 0
    while found < count:
        seed += 1
        case = random_case(seed, largest=64)
        if case.spikes.sum() > 200 and not case.plan.loaded_words:
            found += 1
            yield str(case), case.plan, case.spikes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--samples", type=int, default=3)
    parser.add_argument("--designs", type=int, default=5)
    options = parser.parse_args()
    for name, plan, spikes in designs(options.designs, options.samples):
        print(json.dumps({"design": name} | compare(plan, spikes)), flush=True)


if __name__ == "__main__":
    main()

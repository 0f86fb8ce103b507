"""Count toggles of generated cores in the RTL and in the synthesised netlist, on the same samples. Prints JSON lines.

    python benchmarks/toggle_ratio.py [--samples 3] [--designs 5] [--family ice40 | ecp5]

Behind the constants ``netlist_per_rtl_toggle`` and ``add_toggles`` of ``snnhw/cost/constants``. Zero delay, no glitches: settled
values once a cycle, of everything that a cell drives; data outputs of memories are among them. The netlist must answer as the
reference does.
"""

import argparse
import json
from collections.abc import Iterator

import numpy as np

from snnhw.cost import predict_counts
from snnhw.cost.rungs import finaliser_bits
from snnhw.gates import FAMILIES, simulate_gates
from snnhw.ir import Decay, Graph, Input, Linear, Neuron, NeuronSpec, Readout
from snnhw.plan import Plan, make_plan
from snnhw.reference import run
from snnhw.verify.native import simulate
from snnhw.verify.random_networks import random_case


def compare(plan: Plan, spikes: np.ndarray, family: str) -> dict[str, float | int]:
    """Return the toggles of both descriptions, and per bit of addition."""
    rtl = simulate(plan, spikes, activity=True, optimize="-O0").activity
    assert rtl is not None
    toggles = simulate_gates(plan, spikes, family=family).activity.driven_toggles
    trains = run(plan.graph, spikes, keep_membranes=False).spikes
    counts = predict_counts(plan, trains)
    synaptic = sum(int(counts.layers[layer.index]["events_write"].sum()) * layer.outputs for layer in plan.layers)
    bits = sum(
        int(counts.layers[layer.index]["events_write"].sum()) * layer.outputs * layer.current_bits
        + int(counts.layers[layer.index]["finalise"].sum()) * sum(finaliser_bits(layer)[:2])
        for layer in plan.layers
    )
    return {
        "rtl_toggles": rtl.toggles,
        "netlist_toggles": toggles,
        "netlist_per_rtl": round(toggles / rtl.toggles, 3),
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
    parser.add_argument("--family", choices=list(FAMILIES), default="ice40")
    options = parser.parse_args()
    for name, plan, spikes in designs(options.designs, options.samples):
        print(json.dumps({"design": name} | compare(plan, spikes, options.family)), flush=True)


if __name__ == "__main__":
    main()

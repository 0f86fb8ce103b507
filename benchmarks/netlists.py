"""Gate-level verification: mapped netlists of iCE40 and ECP5 against the reference, without delays and with them.

    [SNNHW_DATA=folder] python benchmarks/netlists.py [random] [MODEL ...] [--family ice40 ecp5] [--networks 40] [--samples 2]
                                                      [--seed 0] [--record]

random   random networks and graphs, with every format, packing, way to keep events, loaded weights and kind of node
MODEL    the networks in models/, lowered as benchmarks/counts.py does, into the same folder

Of each sample every output word and the number of clock cycles are compared, twice: settled in no time, and with the delays of
cells and of drawn connections. The two runs must toggle every net the same number of times, glitches aside. Toggles by class of
net are those of a synaptic operation. With --record, benchmarks/netlists.json takes the results. Ends with 1 at a difference.
"""

import argparse
import json
import sys
import time
from collections import Counter
from typing import Any

import numpy as np
from counts import MODELS, ROOT, features, lowered, random_cases

from snnhw.cli.output import versions
from snnhw.cost import network_metrics
from snnhw.errors import CheckFailed
from snnhw.files import read_tensors
from snnhw.gates import FAMILIES, gate_simulator
from snnhw.ir import load_graph
from snnhw.plan import Plan, make_plan
from snnhw.plan.cycles import predict_cycles
from snnhw.reference import run

RECORD = ROOT / "benchmarks" / "netlists.json"


def check(plan: Plan, spikes: np.ndarray, family: str, seed: int) -> dict[str, Any]:
    """Map a plan, run samples twice, and return what was compared and what toggled."""
    trains = run(plan.graph, spikes, keep_membranes=False).spikes
    began = time.perf_counter()
    simulator = gate_simulator(plan, family=family)
    mapped = time.perf_counter()
    row: dict[str, Any] = {"samples": len(spikes), "cells": simulator.netlist.cells, "problem": None}
    try:
        settled = simulator.run(spikes)
        delayed = simulator.run(spikes, delayed=True, seed=seed)
    except CheckFailed as error:
        return row | {"problem": str(error)}
    expected = predict_cycles(plan, trains)
    problems = [
        *(f"{wrong} samples take other cycles" for one in (settled, delayed) if (wrong := int((one.cycles != expected).sum()))),
        *(f"{wrong} nets settle otherwise with delays"
          for wrong in [int((settled.activity.toggles != delayed.activity.settled).sum())] if wrong),
    ]
    total = network_metrics(plan, trains)["synaptic_operations"] * len(spikes)
    return row | {
        "problem": "; ".join(problems) or None, "words": 2 * settled.output.size, "differing_words": 0,
        "clock_cycles": int(settled.cycles.sum()), "nets": simulator.netlist.nets,
        "toggles": settled.activity.driven_toggles, "glitch_factor": round(delayed.activity.glitches, 3),
        "toggles_per_synaptic_operation": {
            name: {kind: round(count / total, 3) for kind, count in one.activity.by_class().items() if count}
            for name, one in (("settled", settled), ("delayed", delayed)) if total},
        "slowest_settling_ns": round(delayed.activity.slowest_ns, 2),
        "seconds": {"synthesis": round(mapped - began, 1), "settled": round(settled.seconds, 2),
                    "delayed": round(delayed.seconds, 2)},
    }


def measure_random(networks: int, families: list[str], seed: int) -> dict[str, Any]:
    """Return what random networks come to, each on one family in turn."""
    seen: Counter[str] = Counter()
    cells: Counter[str] = Counter()
    problems, samples, words, cycles, glitches = [], 0, 0, 0, []
    for number, case in enumerate(random_cases(networks)):
        family = families[number // 2 % len(families)]
        row = check(case.plan, case.spikes, family, seed)
        seen.update({*features(case.plan), f"family {family}"})
        cells.update(row["cells"])
        samples += len(case.spikes)
        if row["problem"]:
            problems.append(f"{family}, {case}: {row['problem']}")
            continue
        words, cycles = words + row["words"], cycles + row["clock_cycles"]
        glitches.append(row["glitch_factor"])
        print(f"  {number + 1} of {networks} networks, {words} words, {len(problems)} differ", file=sys.stderr, flush=True)
    return {"networks": networks, "seeds": f"chains and graphs 0 to {(networks - 1) // 2}", "samples": samples, "words": words,
            "differing_networks": len(problems), "problems": problems, "clock_cycles": cycles,
            "glitch_factor": [round(float(value), 3) for value in np.quantile(glitches, (0, 0.5, 1))] if glitches else None,
            "cells": dict(sorted(cells.items())), "features": dict(sorted(seen.items()))}


def measure_model(model: str, families: list[str], samples: int, seed: int) -> dict[str, Any]:
    """Return what a model comes to on each family, with the plan that is made of it unless something else is asked for."""
    out = lowered(model)
    graph = load_graph(out / "graph.safetensors")
    values = read_tensors(out / "samples.safetensors", "samples")[0]["values"][:samples]
    plan = make_plan(graph)
    spikes = graph.input.encoding(values, graph.timesteps)
    return {family: check(plan, spikes, family, seed) for family in families}


def main() -> int:
    parser = argparse.ArgumentParser(description="Mapped netlists against the reference.")
    parser.add_argument("what", nargs="*", metavar="random|MODEL", help="which; all by default")
    parser.add_argument("--family", nargs="+", default=list(FAMILIES), choices=list(FAMILIES), help="of the cells (default: all)")
    parser.add_argument("--networks", type=int, default=40, help="random networks (default: 40)")
    parser.add_argument("--samples", type=int, default=2, help="samples of each model (default: 2)")
    parser.add_argument("--seed", type=int, default=0, help="of the delays of connections")
    parser.add_argument("--record", action="store_true", help="write benchmarks/netlists.json")
    given = parser.parse_args()
    if unknown := set(given.what) - {"random", *MODELS}:
        parser.error(f"what must be random or of {', '.join(MODELS)}, not {min(unknown)!r}")
    broken = False
    for name in given.what or ("random", *MODELS):
        began = time.monotonic()
        if name == "random":
            row = measure_random(given.networks, given.family, given.seed)
            found = row["problems"]
        else:
            row = measure_model(name, given.family, given.samples, given.seed)
            found = [f"{family}: {one['problem']}" for family, one in row.items() if one["problem"]]
        print(f"{name}: {'DIFFERENT' if found else 'difference 0'}, {time.monotonic() - began:.0f} s", flush=True)
        for problem in found:
            print(f"  {problem}", file=sys.stderr)
        broken |= bool(found)
        if given.record:
            record = json.loads(RECORD.read_text()) if RECORD.exists() else {}
            old = record.get(name, {}) if name != "random" else {}
            record[name] = {**old, **row, "seed": given.seed, "versions": versions()}
            RECORD.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    return int(broken)


if __name__ == "__main__":
    sys.exit(main())

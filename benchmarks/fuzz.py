"""Random networks through reference and hardware, for as long as there is time.

    python benchmarks/fuzz.py --minutes 10 --seed 0 --log build/fuzz.jsonl

Even seeds are chains of fully connected layers (``random_case``), odd ones graphs with every kind of node
(``random_graph_case``). A failing case is made again from its seed alone:

    python benchmarks/fuzz.py --only 1234

With a log, a run goes on behind the last case that the log has. Ends with 1 at a mismatch.
"""

import argparse
import json
import os
import shutil
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from itertools import count
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from snnhw.verify import RandomCase, Simulator, check_disturbed, check_undisturbed, compile_batch, random_case
from snnhw.verify.random_graphs import random_graph_case

BATCH = 8
BATCHES_PER_PROCESS = 50
SIZES = (24, 24, 24, 80, 300)
"""Largest layer of the cases, in turn."""


def largest(seed: int) -> int:
    """Return the most neurons a layer of a case may have."""
    return SIZES[seed % len(SIZES)]


def draw(seed: int) -> RandomCase:
    """Return the case of a seed."""
    return random_graph_case(seed) if seed % 2 else random_case(seed, largest=largest(seed // 2))


def run_case(case: RandomCase, simulator: Simulator) -> dict[str, Any]:
    """Check a compiled case and return its record."""
    alone, disturbed = check_undisturbed(simulator, case.spikes), check_disturbed(simulator, case.spikes, case.seed)
    counts = alone.comparison.counts()
    return {
        "seed": case.seed, "case": str(case), "problem": alone.problem or disturbed.problem,
        "layers": len(case.plan.layers), "clock_cycles": alone.simulation.total_cycles + disturbed.simulation.total_cycles,
        "accesses": alone.access_counts, "cycles": counts["cycle_counts"],
        "spikes": 2 * counts["spike_words"], "membranes": 2 * counts["membrane_words"],
        "features": sorted({f"{name} {value}" for layer in case.plan.layers for name, value in (
            ("decay", layer.spec.decay.kind), ("reset", f"{layer.spec.reset} {layer.spec.reset_time}"),
            ("overflow", layer.spec.overflow), ("clear", layer.spec.clear), ("input", layer.spec.input_on_reset),
            ("output", layer.spec.output), ("synapse", layer.spec.synapse is not None),
            ("weights", "lists" if layer.scattered else "dense"), ("sources", len(layer.sources)),
            ("graded", layer.input_value_bits > 0))} | {f"node {type(node).__name__}" for node in case.plan.graph.nodes}),
    }


def run_batch(seeds: list[int]) -> list[dict[str, Any]]:
    """Compile and check some cases, and return a record of each."""
    os.environ["OMP_NUM_THREADS"] = "1"
    cases = [draw(seed) for seed in seeds]
    try:
        simulators = compile_batch([case.plan for case in cases])
    except Exception as error:  # a generator or compiler that gives up is a finding like any other
        if len(seeds) > 1:
            return [record for seed in seeds for record in run_batch([seed])]
        return [{"seed": seeds[0], "case": str(cases[0]), "problem": f"{type(error).__name__}: {error}", "features": []}]
    records = [run_case(case, simulator) for case, simulator in zip(cases, simulators, strict=True)]
    # Nothing of a random network is ever built again; kept, it would push other builds out of the cache.
    shutil.rmtree(simulators[0].folder, ignore_errors=True)
    return records


def batches(first: int):
    """Give the seeds of one batch after another."""
    for start in count(first, BATCH):
        yield list(range(start, start + BATCH))


def main() -> int:
    parser = argparse.ArgumentParser(description="Random networks through reference and hardware.")
    parser.add_argument("--minutes", type=float, default=10.0, help="when to stop (default: 10)")
    parser.add_argument("--seed", type=int, default=1_000_000, help="first case (default: 1000000)")
    parser.add_argument("--only", type=int, help="run this one case and show it")
    parser.add_argument("--log", type=Path, help="one JSON line for each case; an earlier run goes on where it ended")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: one per core)")
    options = parser.parse_args()
    if options.only is not None:
        record, = run_batch([options.only])
        print(record["case"], record["problem"] or "equal", sep="\n")
        return int(record["problem"] is not None)

    earlier = [json.loads(line) for line in options.log.read_text().splitlines()] if options.log and options.log.exists() else []
    first = max([options.seed, *(record["seed"] + 1 for record in earlier)])
    totals: Counter[str] = Counter()
    features: Counter[str] = Counter()
    failing: list[int] = []
    began = time.monotonic()

    def gather(records: list[dict[str, Any]]) -> None:
        for record in records:
            totals.update({"cases": 1} | {name: record.get(name, 0) for name in (
                "layers", "spikes", "membranes", "cycles", "accesses", "clock_cycles")})
            features.update(record["features"])
            if record["problem"] is not None:
                failing.append(record["seed"])
                print(f"seed {record['seed']} fails\n{record['case']}\n{record['problem']}", file=sys.stderr, flush=True)

    gather(earlier)
    # A loaded library is never let go, so the processes are renewed now and then.
    with ProcessPoolExecutor(options.jobs, get_context("spawn"), max_tasks_per_child=BATCHES_PER_PROCESS) as pool:
        source = batches(first)
        # No more batches in flight than processes, and their results in order, so that a log never has gaps.
        flying = [pool.submit(run_batch, next(source)) for _ in range(options.jobs)]
        while flying:
            records = flying.pop(0).result()
            gather(records)
            if options.log:
                options.log.parent.mkdir(parents=True, exist_ok=True)
                with options.log.open("a", encoding="utf-8") as log:
                    log.writelines(json.dumps(record) + "\n" for record in records)
            minutes = (time.monotonic() - began) / 60
            print(f"{minutes:5.1f} min, {totals['cases']} cases, {len(failing)} failing", file=sys.stderr, flush=True)
            if minutes < options.minutes and not failing:
                flying.append(pool.submit(run_batch, next(source)))
    print(json.dumps({"first_seed": options.seed, "minutes": round((time.monotonic() - began) / 60, 2), **totals,
                      "failing_seeds": failing, "features": dict(sorted(features.items()))}, indent=2))
    return int(bool(failing))


if __name__ == "__main__":
    sys.exit(main())

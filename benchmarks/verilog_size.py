"""Lines and seconds of generated Verilog against the number of synapses, to a million: ``python benchmarks/verilog_size.py``.

    python benchmarks/verilog_size.py [dense] [sparse] [convolution] [--runs 3] [--record]

dense        784-N-10, 8-bit random weights, N from 16 to 1300
sparse       the same with one weight of eight not zero, N to 1300
convolution  8 to 16 channels, 3x3, padding 1, on squares of 4 to 30

Seconds are those of the plan and of the Verilog with its memory files, in a process that is warm: medians of the runs. ``cpu_s``
are those of the processor for both, Yosys included, which depend less on other work on the machine.
``exponent`` is the slope of log(value) over log(synapses) fitted to all sizes, ``exponent_large`` to those from 100,000 synapses
on, where a constant part weighs less. With --record, benchmarks/verilog_size.json takes the results. Ends with 1 when 784-128-10
has 6,000 lines or takes 5 s, or when an exponent, other than that of ``total_s``, is above 1.05.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from rtl_gen.verilog import TOP, format_verilog
from snnhw.cli.output import versions
from snnhw.files import write_bytes
from snnhw.ir import Conv, Graph, Input, Linear, Neuron, NeuronSpec, Readout, Window
from snnhw.plan import make_plan

ROOT = Path(__file__).resolve().parent.parent
RECORD = ROOT / "benchmarks" / "verilog_size.json"
SEED, TIMESTEPS, LARGE = 0, 16, 100_000
SPEC = NeuronSpec(500, bits=16, reset="subtract", reset_amount=500)
FITTED = "total_s", "cpu_s", "lines", "verilog_bytes", "memory_bytes"
MAX_LINES, MAX_SECONDS, MAX_EXPONENT = 6000, 5.0, 1.05


def dense(neurons: int, density: float = 1.0) -> Graph:
    """Return 784-N-10 with random weights."""
    rng = np.random.default_rng(SEED)
    weights = [rng.integers(-128, 128, shape) * (rng.random(shape) < density) for shape in ((neurons, 784), (10, neurons))]
    nodes = (Input("input", (), (784,)), Linear("fc1", ("input",), weights[0], 8), Neuron("lif1", ("fc1",), SPEC),
             Linear("fc2", ("lif1",), weights[1], 8), Neuron("lif2", ("fc2",), SPEC), Readout("output", ("lif2",)))
    return Graph("dense", nodes, TIMESTEPS)


def sparse(neurons: int) -> Graph:
    """Return the same with seven weights of eight zero."""
    return dense(neurons, 0.125)


def convolution(side: int) -> Graph:
    """Return one convolution of 3x3 from 8 to 16 channels."""
    weight = np.random.default_rng(SEED).integers(-128, 128, (16, 8, 3, 3))
    nodes = (Input("input", (), (8, side, side)), Conv("conv", ("input",), weight, 8, Window((3, 3), (), (1, 1))),
             Neuron("lif", ("conv",), SPEC), Readout("output", ("lif",)))
    return Graph("convolution", nodes, TIMESTEPS)


FAMILIES: dict[str, tuple[Callable[[int], Graph], tuple[int, ...]]] = {
    "dense": (dense, (16, 32, 64, 128, 256, 512, 1024, 1300)),
    "sparse": (sparse, (16, 32, 64, 128, 256, 512, 1024, 1300)),
    "convolution": (convolution, (4, 6, 8, 12, 16, 22, 30)),
}


def processor_seconds() -> float:
    """Return what this process and those it waited for have used."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def measure(graph: Graph, runs: int) -> dict[str, Any]:
    """Return what the Verilog of a graph has and takes."""
    seconds: dict[str, list[float]] = {"plan_s": [], "verilog_s": [], "total_s": [], "cpu_s": []}
    for _ in range(runs):
        busy = processor_seconds()
        started = time.perf_counter()
        plan = make_plan(graph)
        planned = time.perf_counter()
        files = format_verilog(plan)
        ended = time.perf_counter()
        spent = planned - started, ended - planned, ended - started, processor_seconds() - busy
        for name, value in zip(seconds, spent, strict=True):
            seconds[name].append(value)
    text = files[f"{TOP}.v"]
    return {"synapses": sum(layer.synapses.synapses for layer in plan.layers),
            "lines": text.count(b"\n"), "verilog_bytes": len(text),
            "memory_files": len(files) - 1, "memory_bytes": sum(map(len, files.values())) - len(text),
            **{name: round(statistics.median(values), 3) for name, values in seconds.items()}}


def exponent(rows: list[dict[str, Any]], name: str, least: int = 0) -> float:
    """Return the slope of the logarithms of one value over those of the synapses, of the rows that have `least` of them."""
    points = [(np.log(row["synapses"]), np.log(row[name])) for row in rows if row["synapses"] >= least]
    return round(float(np.polyfit(*zip(*points, strict=True), 1)[0]), 3)


def main() -> int:
    parser = argparse.ArgumentParser(description="Lines and seconds of generated Verilog against the number of synapses.")
    parser.add_argument("families", nargs="*", metavar="FAMILY", help=f"which of {', '.join(FAMILIES)}; all by default")
    parser.add_argument("--runs", type=int, default=3, help="runs of each size (default: 3)")
    parser.add_argument("--record", action="store_true", help="write benchmarks/verilog_size.json")
    given = parser.parse_args()
    if unknown := set(given.families) - set(FAMILIES):
        parser.error(f"families must be of {', '.join(FAMILIES)}, not {min(unknown)!r}")
    record = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    failed = False
    measure(dense(16), 1)  # imports
    for family in given.families or FAMILIES:
        make, sizes = FAMILIES[family]
        rows = []
        for size in sizes:
            rows.append({"size": size, **measure(make(size), given.runs)})
            print(json.dumps({family: rows[-1]}), flush=True)
            if (family, size) == ("dense", 128):
                failed |= rows[-1]["lines"] >= MAX_LINES or rows[-1]["total_s"] >= MAX_SECONDS
        slopes = {title: {name: exponent(rows, name, least) for name in FITTED}
                  for title, least in (("exponent", 0), ("exponent_large", LARGE))}
        print(json.dumps({family: slopes}), flush=True)
        failed |= any(slope > MAX_EXPONENT for kind in slopes.values() for name, slope in kind.items() if name != "total_s")
        record[family] = {"seed": SEED, "runs": given.runs, **slopes, "sizes": rows,
                          "load_average": os.getloadavg()[0], "versions": versions()}
        if given.record:
            write_bytes(RECORD, (json.dumps(record, indent=1) + "\n").encode())
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())

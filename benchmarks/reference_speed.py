"""Time the integer reference against snntorch's own forward pass: same network, batch and machine.

    SNNHW_DATA=folder python benchmarks/reference_speed.py [mnist] [lenet] [--record]

snntorch computes the float network of a folder in models/ with its trained parameters, by the forward of its ``model.py`` and
without gradients: all timesteps, returning what that forward records of the last layer. The reference computes the graph that the
same checkpoint lowers to: all timesteps, returning the spikes or states of the last layer and the decisions. Both take test
images that are encoded beforehand, each in the arrangement that it wants.

Each side is a process of its own. They take turns, so that the noise of the machine meets both: a round is one timing of snntorch
and one of the reference. A timing is a mean over as many calls as take ``SECONDS``; the figure is the median over the rounds, and
so is the ratio, which is snntorch's time over the reference's of the same round; ``cpu`` marks times of the processor, which
depend less on other work on the machine. Everything is measured with one thread and with as many as the libraries take by
themselves. With --record, benchmarks/reference_speed.json takes the results.
Ends with 1 when a ratio is below 3 at batch 1 or below 1 at batch 1000.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from snnhw.cli.output import versions
from snnhw.files import read_tensors, write_bytes
from snnhw.ir import load_graph
from snnhw.reference import Interpreter

ROOT = Path(__file__).resolve().parent.parent
RECORD = ROOT / "benchmarks" / "reference_speed.json"
RUNS = ROOT / "build" / "reference_speed"
MODELS = "mnist", "lenet"
BATCHES = 1, 10, 100, 1000
WANTED = {1: 3.0, 1000: 1.0}
SIDES = "snntorch", "reference"
THREADS = {"one thread": "1", "default threads": None}
VARIABLES = "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"
SECONDS = 0.2


def snntorch_side(model: str, spikes: np.ndarray) -> tuple[Callable[[], np.ndarray], dict[str, Any]]:
    """Return a forward pass that gives the class of each sample, and what it is made with."""
    import torch

    from snnhw.compress.checkpoint import load_checkpoint
    from snnhw.frontend.folder import load_model, load_parameters

    folder = ROOT / "models" / model
    module = load_model(folder).eval()
    stored = load_checkpoint(folder / "checkpoint.safetensors")
    load_parameters(module, stored.pretrained or stored.trained)
    frames = torch.from_numpy(spikes).float().reshape(*spikes.shape[:2], 1, 28, 28)
    # mnist takes (timesteps, samples, ...) and returns the spikes; lenet one image, and returns the sum of the states.
    given = {"mnist": frames.transpose(0, 1).contiguous(), "lenet": frames[:, 0].contiguous()}[model]

    def forward() -> np.ndarray:
        with torch.inference_mode():
            found = module(given)
        return (found.sum(dim=0) if found.ndim == 3 else found).argmax(dim=1).numpy()

    return forward, {"threads": torch.get_num_threads()}


def reference_side(model: str, spikes: np.ndarray) -> tuple[Callable[[], np.ndarray], dict[str, Any]]:
    """Return the same of the integer reference."""
    graph = load_graph(RUNS / model / "graph.safetensors")
    interpreter = Interpreter(graph)
    return lambda: interpreter.run(spikes, keep_membranes=False, count=False).decisions, {}


def work(model: str, side: str) -> None:
    """Be one side: for each line of stdin, ``batch`` or ``batch calls``, print what was found or the seconds of a call."""
    graph = load_graph(RUNS / model / "graph.safetensors")
    tensors = read_tensors(RUNS / model / "samples.safetensors", "samples")[0]
    make = {"snntorch": snntorch_side, "reference": reference_side}[side]
    for line in sys.stdin:
        batch, *calls = map(int, line.split())
        if not calls:
            spikes = graph.input.encoding(tensors["values"][:batch], graph.timesteps)
            forward, facts = make(model, spikes)
            started = time.perf_counter()
            decisions = forward()
            seconds = time.perf_counter() - started
            answer: dict[str, Any] = {"seconds": seconds, "decisions": decisions.tolist(), **facts,
                                      "accuracy": float((decisions == tensors["labels"][:batch]).mean())}
        else:
            started, busy = time.perf_counter(), time.process_time()
            for _ in range(calls[0]):
                forward()
            answer = {"seconds": (time.perf_counter() - started) / calls[0], "cpu": (time.process_time() - busy) / calls[0]}
        print(json.dumps(answer), flush=True)


class Side:
    """A process that computes one model in one way."""

    def __init__(self, model: str, side: str, threads: str | None) -> None:
        environment = {name: value for name, value in os.environ.items() if name not in VARIABLES}
        if threads is not None:
            environment |= dict.fromkeys(VARIABLES, threads)
        self._process = subprocess.Popen([sys.executable, __file__, "--side", side, model], env=environment, text=True,
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, *numbers: int) -> dict[str, Any]:
        """Send one line and return the answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(" ".join(map(str, numbers)) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(self._process.wait() or 1)
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def measure(model: str, threads: str | None, rounds: int) -> dict[str, Any]:
    """Return the seconds of both sides and their ratio, by batch."""
    sides = {side: Side(model, side, threads) for side in SIDES}
    found: dict[str, Any] = {}
    for batch in BATCHES:
        first = {side: sides[side].ask(batch) for side in SIDES}
        calls = {side: max(1, round(SECONDS / sides[side].ask(batch, 1)["seconds"])) for side in SIDES}
        taken: dict[str, list[dict[str, Any]]] = {side: [] for side in SIDES}
        for _ in range(rounds):
            for side in SIDES:
                taken[side].append(sides[side].ask(batch, calls[side]))
        seconds, used = ({side: [timing[name] for timing in taken[side]] for side in SIDES} for name in ("seconds", "cpu"))
        ratios, used_ratios = ([slow / fast for slow, fast in zip(*(times[side] for side in SIDES), strict=True)]
                               for times in (seconds, used))
        same = np.equal(*(first[side]["decisions"] for side in SIDES)).mean()
        found[str(batch)] = {
            **{f"{side}_ms": round(1e3 * statistics.median(seconds[side]), 4) for side in SIDES},
            **{f"{side}_cpu_ms": round(1e3 * statistics.median(used[side]), 4) for side in SIDES},
            "ratio_cpu": round(statistics.median(used_ratios), 3), "ratio": round(statistics.median(ratios), 3),
            "ratio_lowest": round(min(ratios), 3), "ratio_highest": round(max(ratios), 3), "calls_per_timing": calls,
            "accuracy": {side: first[side]["accuracy"] for side in SIDES}, "same_decisions": float(same),
        }
        print(json.dumps({model: {"threads": threads or "default", "batch": batch, **found[str(batch)]}}), flush=True)
        found["torch_threads"] = first["snntorch"]["threads"]
    for process in sides.values():
        process.close()
    return found


def prepare(model: str) -> None:
    """Lower the shipped checkpoint, unless that was done."""
    from snnhw.compress.flow import lower_model

    done, source = RUNS / model / "samples.safetensors", ROOT / "models" / model
    if not done.exists() or done.stat().st_mtime < (source / "checkpoint.safetensors").stat().st_mtime:
        RUNS.mkdir(parents=True, exist_ok=True)
        lower_model(source, RUNS / model, checkpoint=source / "checkpoint.safetensors")


def main() -> int:
    parser = argparse.ArgumentParser(description="The integer reference against snntorch's forward pass.")
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"which of {', '.join(MODELS)}; all by default")
    parser.add_argument("--rounds", type=int, default=9, help="timings of each side (default: 9)")
    parser.add_argument("--record", action="store_true", help="write benchmarks/reference_speed.json")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if unknown := set(given.models) - set(MODELS):
        parser.error(f"models must be of {', '.join(MODELS)}, not {min(unknown)!r}")
    if "SNNHW_DATA" not in os.environ:
        parser.error("SNNHW_DATA must name the folder of the data sets")
    if given.side:
        work(given.models[0], given.side)
        return 0
    record = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    below = False
    for model in given.models or MODELS:
        prepare(model)
        found = {name: measure(model, threads, given.rounds) for name, threads in THREADS.items()}
        below |= any(found[name][str(batch)]["ratio"] < wanted for name in THREADS for batch, wanted in WANTED.items())
        record[model] = {"rounds": given.rounds, "seconds_per_timing": SECONDS, "samples": "the first of the MNIST test split",
                         "cpus": os.cpu_count(), "load_average": os.getloadavg()[0], "machine": platform.machine(),
                         **found, "versions": versions()}
        if given.record:
            write_bytes(RECORD, (json.dumps(record, indent=1) + "\n").encode())
    return int(below)


if __name__ == "__main__":
    sys.exit(main())

"""What a trained candidate is worth: accuracy, cycles, energy, area and memory, without and with the hardware."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from snnhw import reference
from snnhw.board import Board
from snnhw.cost import energy_ladder, estimate
from snnhw.errors import FileError
from snnhw.files import read_tensors
from snnhw.ir import Graph, load_graph
from snnhw.plan import Plan
from snnhw.plan.area import estimate_area

__all__ = ["Trained", "estimates", "load_trained", "measured_energy"]

BATCH = 250
DRAWS = 100  # only the middle values are used, which draws do not change
ESTIMATED_RUNG, MEASURED_RUNG = "A2", "R2"

Json = dict[str, Any]


@dataclass(frozen=True)
class Trained:
    """The graph of a candidate and its test samples.

    Attributes
    ----------
    graph : Graph
        The network.
    values : integer array, (samples, ...)
        Inputs of all test samples.
    labels : int array, (samples,)
        Their classes.
    searched, held : int array
        Samples that the search decides by, and those it does not see, in a random order that only the seed decides.
    """

    graph: Graph
    values: np.ndarray
    labels: np.ndarray
    searched: np.ndarray
    held: np.ndarray

    def spikes(self, chosen: np.ndarray) -> np.ndarray:
        """Return input spikes of samples, (samples, timesteps, inputs)."""
        return self.graph.input.encoding(self.values[chosen], self.graph.timesteps)

    def accuracy(self, chosen: np.ndarray) -> float:
        """Return the share of samples that the integer graph decides as labelled."""
        right = 0
        for start in range(0, len(chosen), BATCH):
            part = chosen[start:start + BATCH]
            trace = reference.run(self.graph, self.spikes(part), keep_membranes=False)
            right += int((trace.decisions == self.labels[part]).sum())
        return right / len(chosen)


def load_trained(folder: Path, *, holdout: float, seed: int) -> Trained:
    """Return what lowering left in `folder`, the test samples split by `seed`."""
    tensors, _ = read_tensors(folder / "samples.safetensors", "samples file")
    if not {"values", "labels"} <= set(tensors) or not len(tensors["labels"]):
        raise FileError(f"samples file {str(folder / 'samples.safetensors')!r} must be one that lower wrote")
    count = len(tensors["labels"])
    drawn = np.random.default_rng(seed).permutation(count)
    held = min(round(holdout * count), count - 1)
    return Trained(load_graph(folder / "graph.safetensors"), tensors["values"], tensors["labels"], drawn[held:], drawn[:held])


def estimates(trained: Trained, plan: Plan, board: Board, samples: int) -> Json:
    """Return all metrics of a plan, estimated, as JSON: ``metrics``, and ``board`` with what is missing on it.

    Cycles and energy are means over the first `samples` of the searched samples.
    """
    trace = reference.run(trained.graph, trained.spikes(trained.searched[:samples]), keep_membranes=False)
    cost = estimate(plan, trace.spikes, board=board, draws=DRAWS)
    area = estimate_area(plan, board)
    memories = [memory for layer in plan.layers for memory in layer.memories]
    metrics = {
        "accuracy": trained.accuracy(trained.searched),
        "energy_nj": _picojoules(cost["energy"], ESTIMATED_RUNG) / 1e3,
        "latency_us": cost["microseconds"]["mean"],
        "cycles": cost["cycles"]["mean"],
        **{name: area.used[name][0] for name in ("logic", "flip_flops", "block_ram", "dsp")},
        "memory_bits": sum(memory.bits for memory in memories),
        "weight_memory_bits": sum(memory.bits for memory in memories if memory.role == "weights"),
    }
    lacks = [max(0.0, found["low"] / max(1, found["available"]) - 1) for found in area.as_dict()["used"].values()]
    return {
        "metrics": metrics,
        "board": {"missing": sum(lacks),
                  "problem": "; ".join(area.problems(f"network {trained.graph.name!r}", weights_loaded=plan.loaded_words > 0))},
    }


def measured_energy(plan: Plan, spikes: np.ndarray, board: Board, flip_flops: int | None) -> Json:
    """Return cycles and energy of samples, estimated and as the simulated hardware has them."""
    from snnhw.verify.native import simulate
    trace = reference.run(plan.graph, spikes, keep_membranes=False)
    before = estimate(plan, trace.spikes, board=board, draws=DRAWS)
    simulation = simulate(plan, spikes, activity=True)
    ladder = energy_ladder(plan, trace.spikes, measured=simulation.measured(), board=board, flip_flops=flip_flops, draws=DRAWS)
    return {
        "samples": len(spikes),
        "cycles": {"estimate": before["cycles"]["mean"], "measured": float(np.mean(simulation.cycles))},
        "energy_nj": {"estimate": _picojoules(before["energy"], ESTIMATED_RUNG) / 1e3,
                      "measured": _picojoules(ladder["rungs"], MEASURED_RUNG) / 1e3},
    }


def _picojoules(rungs: list[Json], name: str) -> float:
    return next(rung["mid_pj"] for rung in rungs if rung["rung"] == name)

"""The two runs that hold a compiled accelerator against the reference: undisturbed, and disturbed in every way."""

from dataclasses import dataclass

import numpy as np

from snnhw.plan.accesses import TIMES, count_accesses, count_times, predict_schedule, timed_samples
from snnhw.plan.cycles import predict_cycles
from snnhw.reference import run
from snnhw.verify.compare import Comparison, compare
from snnhw.verify.native import Simulator
from snnhw.verify.simulation import Simulation, Stalls

__all__ = ["Check", "check_disturbed", "check_undisturbed"]

ABORT_CYCLES = 101
"""Cycles before the reset that a disturbed run begins with; more than its streams need to be in full flow."""


@dataclass(frozen=True)
class Check:
    """Outcome of a run.

    Attributes
    ----------
    comparison : Comparison
        Words and cycles.
    access_counts, access_mismatches : int
        How many counts of accesses were compared, and how many differ.
    problem : str or None
        What is wrong first, in words of the user.
    simulation : Simulation
        The run itself.
    """

    comparison: Comparison
    access_counts: int
    access_mismatches: int
    problem: str | None
    simulation: Simulation


def check_undisturbed(simulator: Simulator, spikes: np.ndarray) -> Check:
    """Run each sample for itself, with streams that never wait: words, cycles and counts must be exact.

    Busy, stalled and idle cycles are compared of :func:`~snnhw.plan.accesses.timed_samples`.
    """
    plan = simulator.plan
    trace = run(plan.graph, spikes)
    simulation = simulator.run(spikes, trace=True)
    comparison = compare(plan, trace, simulation, predict_cycles(plan, trace.spikes))
    counted = mismatches = 0
    wrong = ""
    predicted = [dict(counts) for counts in count_accesses(plan, trace.spikes)]
    if simulator.tapped:
        timed = timed_samples(plan, trace.spikes)
        schedule = predict_schedule(plan, {name: train[:timed] for name, train in trace.spikes.items()})
        for counts, times in zip(predicted, count_times(schedule), strict=True):
            counts.update(times)
    for layer, expected, got in zip(plan.layers, predicted, simulation.accesses, strict=True):
        # Without taps there is nothing to count: `got` is empty.
        for name in got:
            found = got[name][:expected[name].size] if name in TIMES else got[name]
            differs = np.flatnonzero(expected[name] != found)
            counted += found.size
            mismatches += differs.size
            if differs.size and not wrong:
                sample = int(differs[0])
                wrong = (f"layer {layer.name!r}: {name} must be {expected[name][sample]} in sample {sample}, "
                         f"not {got[name][sample]}")  # fmt: skip
    problem = str(comparison) if not comparison.equal else wrong or None
    return Check(comparison, counted, mismatches, problem, simulation)


def check_disturbed(simulator: Simulator, spikes: np.ndarray, seed: int) -> Check:
    """Run after a reset in the middle of a sample, without gaps, with random stalls and order of events: the same words."""
    plan = simulator.plan
    simulation = simulator.run(
        spikes, trace=True, isolated=False, stalls=Stalls(seed), order=seed, abort_cycles=1 + seed % ABORT_CYCLES
    )
    comparison = compare(plan, run(plan.graph, spikes), simulation)
    problem = None if comparison.equal else f"disturbed with seed {seed}: {comparison}"
    return Check(comparison, 0, 0, problem, simulation)

"""The fast path: whole data sets through the compiled design, one C call for many samples."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from snnhw.errors import UsageError
from snnhw.plan import Plan
from snnhw.plan.accesses import TIMES, access_names, queue_names
from snnhw.plan.cycles import rest_cycles
from snnhw.reference import run
from snnhw.verify.activity import gather_activity
from snnhw.verify.builds import LIBRARY
from snnhw.verify.cxxrtl import build_cxxrtl, nets_file
from snnhw.verify.design import Design
from snnhw.verify.harness import Conduct, run_library
from snnhw.verify.simulation import Simulation, Stalls
from snnhw.verify.verilated import build_verilated

__all__ = [
    "CXXRTL_LIMIT_BITS",
    "Engine",
    "Simulator",
    "choose_engine",
    "compile_batch",
    "compile_plan",
    "datapath_bits",
    "simulate",
]

Engine = Literal["auto", "cxxrtl", "verilator"]

CXXRTL_LIMIT_BITS = 2_500
"""Datapath bits above which Verilator is taken.

CXXRTL writes the design as one function, which g++ compiles in more than linear time. Measured on 256-256-256
networks with 8-bit weights, CPU seconds of the build and million cycles per second, CXXRTL against Verilator:

    16 lanes,  1216 bits    8 s, 0.87      14 s, 1.02
    64 lanes,  4864 bits   19 s, 0.41      19 s, 0.45
    128 lanes, 9728 bits   45 s, 0.29      26 s, 0.43

and of 784-128-10 on 128 and 10 lanes, 3804 bits: more than 460 s (ended by hand) against 65 s of a busy machine.
"""


def datapath_bits(plan: Plan) -> int:
    """Return the bits of accumulators, of shadow registers and of weight words: what the simulator evaluates every cycle."""
    return sum(layer.lanes * (2 * layer.current_bits + layer.weight_bits) for layer in plan.layers)


def choose_engine(plan: Plan, engine: Engine, activity: bool) -> Literal["cxxrtl", "verilator"]:
    """Return the simulator to use: the one asked for; else CXXRTL, up to :data:`CXXRTL_LIMIT_BITS` or to count activity."""
    if engine == "verilator" and activity:
        raise UsageError("activity is counted by the engine 'cxxrtl', not by 'verilator'")
    if engine != "auto":
        return engine
    return "verilator" if datapath_bits(plan) > CXXRTL_LIMIT_BITS and not activity else "cxxrtl"


@dataclass(frozen=True)
class Simulator:
    """A compiled accelerator.

    Attributes
    ----------
    plan : Plan
        What it is meant to compute.
    engine : str
        ``"cxxrtl"`` or ``"verilator"``.
    folder : Path
        Where the build is.
    index : int
        Which design of the build.
    build_seconds : float
        What the build took, 0 from the cache.
    tapped : bool
        Whether the layers can be looked into; without, runs give the output stream only.
    """

    plan: Plan
    engine: str
    folder: Path
    index: int
    build_seconds: float
    tapped: bool = True

    def run(
        self,
        spikes: np.ndarray,
        *,
        trace: bool = False,
        activity: bool = False,
        isolated: bool = True,
        stalls: Stalls | None = None,
        order: int | None = None,
        abort_cycles: int = 0,
        threads: int | None = None,
    ) -> Simulation:
        """Run samples after a reset.

        Parameters
        ----------
        spikes : bool or int array, (samples, timesteps, inputs)
            Input spikes.
        trace : bool
            Also return the membranes.
        activity : bool
            Also count the activity of every signal; the build must have kept their names.
        isolated : bool
            Wait for the last output of a sample, and until the accelerator is at rest, before the next begins, which makes
            `cycles` meaningful. Otherwise samples follow each other without a gap.
        stalls : Stalls or None
            Random pauses on both sides. None: the source always has a beat, the sink always takes one.
        order : int or None
            Seed of a random order of the events within each timestep. None: ascending.
        abort_cycles : int
            First run this many cycles and reset in the middle of them; then load again and run all samples.
        threads : int or None
            Instances that share the samples, when the network clears its state between them. None: one per core.
        """
        plan = self.plan
        spikes = np.ascontiguousarray(spikes)
        if spikes.ndim != 3 or spikes.shape[2] != plan.inputs or 0 in spikes.shape:
            raise ValueError(
                f"Input spikes must have shape samples x timesteps x {plan.inputs}, none of them 0, not {spikes.shape}"
            )
        columns = _columns(plan) if self.tapped else []
        began = time.perf_counter()
        raw = run_library(
            self.folder / LIBRARY,
            self.index,
            plan,
            spikes,
            Conduct(isolated, rest_of(plan, spikes), stalls, order, abort_cycles, activity),
            trace=trace and self.tapped,
            columns=len(columns),
            threads=threads or os.cpu_count() or 1,
        )
        accesses: tuple[dict[str, np.ndarray], ...] = tuple({} for _ in plan.layers)
        for column, (layer, name) in enumerate(columns):
            accesses[layer][name] = raw.counts[:, column]
        names = [layer.name for layer in plan.layers]
        return Simulation(
            engine=self.engine,
            spikes=dict(zip(names, raw.spikes, strict=True)) if self.tapped else {},
            membranes=dict(zip(names, raw.membranes, strict=True)) if raw.membranes is not None else {},
            output=raw.output,
            cycles=raw.cycles,
            accesses=accesses,
            results=plan.decision.unpack(raw.results) if plan.decision is not None else None,
            total_cycles=raw.total_cycles,
            violation=raw.violation,
            activity=gather_activity(raw.activity, self.folder / nets_file(self.index), raw.total_cycles)
            if raw.activity is not None
            else None,
            build_seconds=self.build_seconds,
            run_seconds=time.perf_counter() - began,
        )


def _columns(plan: Plan) -> list[tuple[int, str]]:
    """Return the core and the name of each count, in the order of the harness."""
    signals = [(layer.index, name) for layer in plan.layers for name in access_names(layer)]
    transfers = [(layer.index, name) for layer in plan.layers for name in queue_names(layer)]
    return [*signals, *transfers, *((layer.index, name) for layer in plan.layers for name in ("events_sent", *TIMES))]


def compile_plan(
    plan: Plan, *, folder: Path | None = None, engine: Engine = "auto", activity: bool = False, optimize: str = "-O2"
) -> Simulator:
    """Compile the hardware of a plan.

    Parameters
    ----------
    plan : Plan
        What the hardware is meant to compute.
    folder : Path or None
        Output folder whose Verilog is simulated. None generates the design from the plan.
    engine : str
        ``"cxxrtl"``, ``"verilator"``, or ``"auto"`` for the one that suits the size of the design.
    activity : bool
        Keep the names of the signals, so that runs can count their activity.
    optimize : str
        Option of the C++ compiler, for short runs that are not worth an optimized build.

    Raises
    ------
    UsageError
        `activity` was asked of an engine that does not count it.
    """
    chosen, design = choose_engine(plan, engine, activity), Design(plan, folder)
    if chosen == "cxxrtl":
        build, seconds = build_cxxrtl([design], nets=activity, optimize=optimize)
    else:
        build, seconds = build_verilated(design, optimize=optimize)
    return Simulator(plan, chosen, build, 0, seconds)


def compile_batch(plans: Sequence[Plan]) -> list[Simulator]:
    """Compile many small plans into one library, quickly, for short runs; `build_seconds` are shared out evenly."""
    build, seconds = build_cxxrtl([Design(plan) for plan in plans], optimize="-O0")
    return [Simulator(plan, "cxxrtl", build, index, seconds / len(plans)) for index, plan in enumerate(plans)]


def rest_of(plan: Plan, spikes: np.ndarray) -> int:
    """Return the cycles between samples after which the accelerator is at rest."""
    return rest_cycles(plan, run(plan.graph, spikes, keep_membranes=False).spikes) if plan.lags else 0


def simulate(
    plan: Plan,
    spikes: np.ndarray,
    *,
    trace: bool = False,
    activity: bool = False,
    engine: Engine = "auto",
    folder: Path | None = None,
    isolated: bool = True,
    stalls: Stalls | None = None,
    order: int | None = None,
    abort_cycles: int = 0,
    threads: int | None = None,
    optimize: str = "-O2",
) -> Simulation:
    """Compile the hardware of a plan and run samples through it.

    The parameters are those of :func:`compile_plan` and of :meth:`Simulator.run`.
    """
    simulator = compile_plan(plan, folder=folder, engine=engine, activity=activity, optimize=optimize)
    return simulator.run(
        spikes,
        trace=trace,
        activity=activity,
        isolated=isolated,
        stalls=stalls,
        order=order,
        abort_cycles=abort_cycles,
        threads=threads,
    )

"""What the commands ``estimate`` and ``energy`` compute, as JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from snnhw.board import Board, load_board
from snnhw.cost.bands import DRAWS
from snnhw.cost.constants import ConstantSet, constant_sets, load_constants
from snnhw.cost.counts import Counts, check_counts
from snnhw.cost.energy import Energy
from snnhw.cost.idle import IdlePolicy, idle_policy_json
from snnhw.cost.metrics import network_metrics
from snnhw.cost.netlist import NetlistActivity, netlist_energy
from snnhw.cost.results import (
    Json,
    comparison_json,
    constants_json,
    energy_json,
    layers_json,
    spread_json,
    steps_json,
)
from snnhw.cost.rungs import Target, activity_energy, full_energy, memory_energy, operation_energy
from snnhw.cost.widths import work_json
from snnhw.errors import UsageError
from snnhw.plan import Plan
from snnhw.plan.accesses import count_accesses, count_times, predict_schedule, timed_samples
from snnhw.plan.cycles import predict_cycles

__all__ = ["constants_for", "energy_ladder", "estimate", "make_target", "predict_counts"]

DEFAULT_ASIC, DEFAULT_BOARD = "asic45", "icebreaker"

IDLE_POLICY = (
    "a sample is charged for its own cycles only: between samples the clock is stopped and static power is not counted; "
    "'idle_policy' says what waiting costs"
)
GATES = (
    "the netlist is that of the core alone, without pads and board; delays of connections are drawn from those of a placed and "
    "routed design"
)
NET_CLASSES = (
    "R2: synthesis decides which nets there are and where they run, so toggles of RTL signals are scaled to those of a netlist, "
    "and every net costs the average of a circuit that was measured"
)


def constants_for(board: Board) -> ConstantSet:
    """Return the constant set of a board's device."""
    device = board.device.lower()
    for name in constant_sets():
        constants = load_constants(name)
        if constants.kind == "fpga" and device.startswith(constants.devices):
            return constants
    raise UsageError(f"energy constants of the device {board.device!r} are not known, give a file with --constants")


def predict_counts(plan: Plan, trains: Mapping[str, np.ndarray]) -> Counts:
    """Return the counts and cycles of samples without a simulation; they are exact.

    Busy, stalled and idle cycles are those of the first :func:`~snnhw.plan.accesses.timed_samples`.

    Parameters
    ----------
    plan : Plan
        The hardware.
    trains : mapping of str to bool array, (samples, timesteps, neurons)
        Spikes of the input and of every layer, :attr:`snnhw.reference.Trace.spikes`.
    """
    timed = timed_samples(plan, trains)
    schedule = predict_schedule(plan, {name: train[:timed] for name, train in trains.items()})
    layers = [{**counts, **times} for counts, times in zip(count_accesses(plan, trains), count_times(schedule), strict=True)]
    cycles = schedule.cycles if timed >= len(trains[plan.graph.input.name]) else predict_cycles(plan, trains)
    return Counts.of(plan, layers, cycles)


def make_target(
    board: Board | None = None,
    *,
    clock_hz: float | None = None,
    constants: ConstantSet | None = None,
    flip_flops: int | None = None,
) -> Target:
    """Return where the hardware runs: a board, by default the iCEBreaker, its clock and its constants unless others are given."""
    board = board if board is not None else load_board(DEFAULT_BOARD)
    constants = constants if constants is not None else constants_for(board)
    if constants.kind != "fpga":
        raise UsageError(f"constants of the target must be those of an FPGA, not of {constants.title}")
    hertz = float(board.clock.hz if clock_hz is None else clock_hz)
    if not 0 < hertz < float("inf"):
        raise UsageError(f"clock must be a positive number of hertz, not {clock_hz}")
    return Target(board, constants, hertz, flip_flops)


def _notes(plan: Plan, *others: str) -> list[str]:
    return [IDLE_POLICY, *others]


def _common(plan: Plan, trains: Mapping[str, np.ndarray], counts: Counts, target: Target) -> Json:
    return {
        "network": plan.graph.name,
        "board": target.board.name,
        "samples": counts.samples,
        "clock_hz": target.clock_hz,
        "cycles": spread_json(counts.cycles) | {"label": "exact"},
        "layers": layers_json(plan, trains, counts),
        "work": work_json(plan, trains, counts, target.board),
        "metrics": network_metrics(plan, trains),
    }


def estimate(
    plan: Plan,
    trains: Mapping[str, np.ndarray],
    *,
    board: Board | None = None,
    clock_hz: float | None = None,
    asic: ConstantSet | None = None,
    fpga: ConstantSet | None = None,
    flip_flops: int | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> Json:
    """Return cycles, time, lane utilisation and the analytical energies of samples, without a simulation.

    Parameters
    ----------
    plan, trains : Plan, mapping of str to bool array, (samples, timesteps, neurons)
        The hardware, and the spikes of the input and of every layer.
    board : Board or None
        Where it runs, by default the iCEBreaker; gives the clock and the constants unless others are given.
    clock_hz : float or None
        Clock, in the place of the board's.
    asic, fpga : ConstantSet or None
        Constants of the rungs A0 and A1, and of A2.
    flip_flops : int or None
        Those of the design after synthesis, when they are known.

    Returns
    -------
    dict
        Energies are picojoules per sample, the mean over the samples. Utilisation is synaptic operations over lanes times cycles.
        The ``label`` of cycles and microseconds is ``"exact"``.
    """
    target = make_target(board, clock_hz=clock_hz, constants=fpga, flip_flops=flip_flops)
    counts = predict_counts(plan, trains)
    results = _common(plan, trains, counts, target)
    metrics = results["metrics"]
    energies = _predicted(plan, counts, asic, target, draws, seed)
    return results | {
        "label": "estimated",
        "microseconds": spread_json(counts.cycles / target.clock_hz * 1e6) | {"label": "exact"},
        "samples_per_second": target.clock_hz / counts.mean_cycles,
        "lane_utilisation": metrics["synaptic_operations"] / (sum(layer.lanes for layer in plan.layers) * counts.mean_cycles),
        "energy": [energy_json(energy, metrics) for energy in energies],
        "idle_policy": _idle_policy(energies, counts),
        "notes": _notes(plan),
        "draws": draws,
        "seed": seed,
    }


def _predicted(plan: Plan, counts: Counts, asic: ConstantSet | None, target: Target, draws: int, seed: int) -> list[Energy]:
    cells = asic if asic is not None else load_constants(DEFAULT_ASIC)
    return [
        operation_energy(plan, counts, cells, draws=draws, seed=seed),
        memory_energy(plan, counts, cells, draws=draws, seed=seed),
        full_energy(plan, counts, target, draws=draws, seed=seed),
    ]


def _idle_policy(energies: Sequence[Energy], counts: Counts) -> Json:
    """Return the energy per inference under each idle policy, from the highest rung with the constants of an FPGA."""
    policy = IdlePolicy([energy for energy in energies if energy.constants.kind == "fpga"][-1])
    return idle_policy_json(replace(policy, slowest_s=float(counts.cycles.max()) / policy.clock_hz))


def energy_ladder(
    plan: Plan,
    trains: Mapping[str, np.ndarray],
    *,
    measured: Mapping[str, Any] | None = None,
    board: Board | None = None,
    clock_hz: float | None = None,
    asic: ConstantSet | None = None,
    fpga: ConstantSet | None = None,
    flip_flops: int | None = None,
    netlists: Sequence[NetlistActivity] = (),
    draws: int = DRAWS,
    seed: int = 0,
) -> Json:
    """Return the energy ladder of the same samples: A0, A1, A2 predicted, R1, R2, R3 and R4 measured.

    Parameters are those of :func:`estimate`, and

    Parameters
    ----------
    measured : mapping or None
        What the RTL simulation of these samples counted; without it there are no R rungs.
        ``"cycles"``: int array, (samples,). ``"accesses"``: for each core a mapping of signal to int array, (samples,), as
        :func:`snnhw.plan.accesses.count_accesses` predicts them. ``"toggles"``: for each signal its toggles in all samples
        together, each wire under one name; ``"aliases"``: its further names, and the one that stands in toggles.
        ``"engine"``: str.
    netlists : sequence of NetlistActivity
        What the synthesised netlist did with some of the samples, without delays and with them.

    Raises
    ------
    CheckFailed
        A measured count differs from the predicted one.
    """
    target = make_target(board, clock_hz=clock_hz, constants=fpga, flip_flops=flip_flops)
    counts = predict_counts(plan, trains)
    energies = _predicted(plan, counts, asic, target, draws, seed)
    cells = energies[0].constants
    identity: Json | None = None
    if measured is not None:
        found = Counts.of(plan, measured["accesses"], measured["cycles"])
        identity = {"compared": check_counts(plan, counts, found), "different": 0, "engine": str(measured.get("engine", ""))}
        toggles, aliases = measured["toggles"], measured.get("aliases")
        energies += [
            memory_energy(plan, found, cells, rung="R1", basis="simulated", draws=draws, seed=seed),
            full_energy(plan, found, target, rung="R1", basis="simulated", draws=draws, seed=seed),
            activity_energy(plan, found, toggles, target, aliases=aliases, draws=draws, seed=seed),
        ]
    energies += [netlist_energy(plan, counts, activity, target, draws=draws, seed=seed) for activity in netlists]
    results = _common(plan, trains, counts, target)
    return results | {
        "label": "simulated" if measured is not None else "estimated",
        "rungs": [energy_json(energy, results["metrics"]) for energy in energies],
        "steps": steps_json(energies),
        "comparison": comparison_json(energies),
        "idle_policy": _idle_policy(energies, counts),
        "count_identity": identity,
        "constants": [constants_json(cells), constants_json(target.constants)],
        "netlists": [
            {"family": item.family, "delayed": item.delayed, "samples": [int(sample) for sample in item.samples],
             "flip_flops": item.flip_flops, "glitches": item.glitches, "cells": dict(item.cells)}
            for item in netlists
        ],
        "notes": _notes(plan, *([NET_CLASSES] if measured is not None else []), *([GATES] if netlists else [])),
        "draws": draws,
        "seed": seed,
    }

"""What the commands ``estimate`` and ``energy`` compute, as JSON."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from snnhw.board import Board
from snnhw.cost.bands import DRAWS
from snnhw.cost.constants import ConstantSet, constant_sets, load_constants
from snnhw.cost.counts import Counts, check_counts
from snnhw.cost.metrics import network_metrics
from snnhw.cost.results import (
    Json,
    comparison_json,
    constants_json,
    energy_json,
    idle_json,
    layers_json,
    spread_json,
    steps_json,
)
from snnhw.cost.rungs import activity_energy, full_energy, memory_energy, operation_energy
from snnhw.errors import UsageError
from snnhw.plan import Plan
from snnhw.plan.accesses import count_accesses
from snnhw.plan.cycles import predict_cycles

__all__ = ["constants_for", "energy_ladder", "estimate", "predict_counts"]

DEFAULT_FPGA = "ice40up5k"
DEFAULT_CLOCK_HZ = 12_000_000

IDLE_POLICY = (
    "a sample is charged for its own cycles only: between samples the clock is stopped and static power is not counted; "
    "'idle' says what a second of waiting costs"
)
NET_CLASSES = (
    "every RTL signal is taken for general routing, the expensive class, because synthesis decides where it runs; "
    "only the sum of a lane is known to stay in its adder's cells"
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
    """Return the counts and cycles of samples without a simulation.

    Parameters
    ----------
    plan : Plan
        The hardware.
    trains : mapping of str to bool array, (samples, timesteps, neurons)
        Spikes of the input and of every layer, :attr:`snnhw.reference.Trace.spikes`.
    """
    return Counts.of(plan, count_accesses(plan, trains), predict_cycles(plan, trains))


def _targets(board: Board | None, clock_hz: float | None, fpga: ConstantSet | None) -> tuple[ConstantSet, float, str]:
    constants = fpga or (constants_for(board) if board is not None else load_constants(DEFAULT_FPGA))
    if constants.kind != "fpga":
        raise UsageError(f"constants of the target must be those of an FPGA, not of {constants.title}")
    if clock_hz is not None:
        if not 0 < clock_hz < float("inf"):
            raise UsageError(f"clock must be a positive number of hertz, not {clock_hz}")
        return constants, float(clock_hz), "given"
    if board is not None:
        return constants, float(board.clock.hz), f"board {board.name}"
    return constants, float(DEFAULT_CLOCK_HZ), "default"


def estimate(
    plan: Plan,
    trains: Mapping[str, np.ndarray],
    *,
    board: Board | None = None,
    clock_hz: float | None = None,
    asic: ConstantSet | None = None,
    fpga: ConstantSet | None = None,
    flip_flop_count: int | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> Json:
    """Return cycles, time, lane utilisation and the analytical energies of samples, without a simulation.

    Parameters
    ----------
    plan, trains : Plan, mapping of str to bool array, (samples, timesteps, neurons)
        The hardware, and the spikes of the input and of every layer.
    board : Board or None
        Gives the clock and the constants where those are not given. Without a board: iCE40UP5K at 12 MHz.
    clock_hz : float or None
        Clock, in the place of the board's.
    asic, fpga : ConstantSet or None
        Constants of the rungs A0 and A1, and of A2.
    flip_flop_count : int or None
        Flip-flops after synthesis, when they are known.

    Returns
    -------
    dict
        Energies are picojoules per sample, the mean over the samples. Utilisation is synaptic operations over lanes times cycles.
    """
    target, hertz, origin = _targets(board, clock_hz, fpga)
    counts = predict_counts(plan, trains)
    metrics = network_metrics(plan, trains)
    work = float(metrics["synaptic_operations"])
    cells = asic or load_constants("asic45")
    energies = [
        operation_energy(plan, counts, cells, draws=draws, seed=seed),
        memory_energy(plan, counts, cells, draws=draws, seed=seed),
        full_energy(plan, counts, target, hertz, flip_flop_count=flip_flop_count, draws=draws, seed=seed),
    ]
    return {
        "label": "estimated",
        "network": plan.graph.name,
        "board": board.name if board is not None else None,
        "samples": counts.samples,
        "clock_hz": hertz,
        "clock_origin": origin,
        "cycles": spread_json(counts.cycles),
        "microseconds": spread_json(counts.cycles / hertz * 1e6),
        "samples_per_second": hertz / counts.mean_cycles,
        "lane_utilisation": work / (sum(layer.lanes for layer in plan.layers) * counts.mean_cycles),
        "layers": layers_json(plan, trains, counts),
        "metrics": metrics,
        "energy": [energy_json(energy, work) for energy in energies],
        "idle": idle_json(target, hertz),
        "notes": [IDLE_POLICY],
        "draws": draws,
        "seed": seed,
    }


def energy_ladder(
    plan: Plan,
    trains: Mapping[str, np.ndarray],
    *,
    measured: Mapping[str, Any] | None = None,
    board: Board | None = None,
    clock_hz: float | None = None,
    asic: ConstantSet | None = None,
    fpga: ConstantSet | None = None,
    flip_flop_count: int | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> Json:
    """Return the energy ladder of the same samples: A0, A1, A2 predicted, R1 and R2 measured.

    Parameters
    ----------
    measured : mapping or None
        What the RTL simulation of these samples counted; without it there are no R rungs.
        ``"cycles"``: int array, (samples,). ``"accesses"``: for each core a mapping of signal to int array, (samples,), as
        :func:`snnhw.plan.count_accesses` predicts them.
        ``"toggles"``: for each signal its toggles in all samples together, each wire under one name; ``"aliases"``:
        its further names, and the one that stands in toggles. ``"engine"``: str.

    Raises
    ------
    CheckFailed
        A measured count differs from the predicted one.
    """
    target, hertz, origin = _targets(board, clock_hz, fpga)
    cells = asic or load_constants("asic45")
    predicted = predict_counts(plan, trains)
    metrics = network_metrics(plan, trains)
    options: Json = {"draws": draws, "seed": seed}
    hardware: Json = {**options, "flip_flop_count": flip_flop_count}
    energies = [
        operation_energy(plan, predicted, cells, **options),
        memory_energy(plan, predicted, cells, **options),
        full_energy(plan, predicted, target, hertz, **hardware),
    ]
    identity: Json | None = None
    if measured is not None:
        found = Counts.of(plan, measured["accesses"], measured["cycles"])
        identity = {"compared": check_counts(plan, predicted, found), "different": 0, "engine": str(measured.get("engine", ""))}
        energies += [
            memory_energy(plan, found, cells, rung="R1", basis="simulated", **options),
            full_energy(plan, found, target, hertz, rung="R1", basis="simulated", **hardware),
            activity_energy(plan, found, measured["toggles"], target, hertz, aliases=measured.get("aliases"), **hardware),
        ]
    work = float(metrics["synaptic_operations"])
    return {
        "label": "simulated" if measured is not None else "estimated",
        "network": plan.graph.name,
        "board": board.name if board is not None else None,
        "samples": predicted.samples,
        "clock_hz": hertz,
        "clock_origin": origin,
        "cycles": spread_json(predicted.cycles),
        "layers": layers_json(plan, trains, predicted),
        "metrics": metrics,
        "rungs": [energy_json(energy, work) for energy in energies],
        "steps": steps_json(energies),
        "comparison": comparison_json(energies),
        "count_identity": identity,
        "constants": [constants_json(cells), constants_json(target)],
        "idle": idle_json(target, hertz),
        "notes": [IDLE_POLICY, *([NET_CLASSES] if measured is not None else [])],
        "draws": draws,
        "seed": seed,
    }

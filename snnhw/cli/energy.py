"""``snnhw energy``: the analytical energy against that of the RTL's own activity."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from snnhw.cli.options import (
    Board,
    Constants,
    Debug,
    Events,
    Formats,
    Json,
    Lanes,
    LoadWeights,
    Packings,
    Quiet,
    Run,
    parse_constants,
    parse_lanes,
    parse_memories,
)
from snnhw.cli.output import Session, text_table
from snnhw.cli.runs import open_run

if TYPE_CHECKING:
    import numpy as np

    from snnhw.board import Board as BoardRecord
    from snnhw.gates import GateRun
    from snnhw.plan import Plan
    from snnhw.verify.simulation import Simulation

__all__ = ["NETLIST_SAMPLES", "command", "run_netlist"]

MEASURED_SAMPLES = 50
NETLIST_SAMPLES = 3


def run_netlist(plan: "Plan", target: "BoardRecord", spikes: "np.ndarray", chosen: "np.ndarray",
                session: Session) -> list["GateRun"]:
    """Return what the netlist did with the chosen samples, without delays and with them; nothing for a family without a model."""
    from snnhw.gates import FAMILIES, gate_simulator
    if target.family not in FAMILIES:
        session.progress(f"no netlist of {target.family} is simulated, only of {' and '.join(FAMILIES)}")
        return []
    session.progress("synthesising the core")
    simulator = gate_simulator(plan, board=target)
    runs = []
    for delayed in (False, True):
        session.progress(f"simulating the netlist {'with' if delayed else 'without'} delays on {len(chosen)} samples")
        runs.append(simulator.run(spikes[chosen], delayed=delayed))
    return runs


def _export(folder: Path, simulation: "Simulation", runs: list["GateRun"], hertz: int) -> None:
    """Write the activity of signals, and of nets with the netlist they are of, for other power tools."""
    from snnhw.files import atomic_folder, write_json
    from snnhw.gates import netlist_saif, write_netlist
    from snnhw.verify.design import TOP
    from snnhw.verify.saif import rtl_saif
    period = round(1e12 / hertz)
    assert simulation.activity is not None
    with atomic_folder(folder) as target:
        (target / "rtl.saif").write_text(rtl_saif(TOP, simulation.activity, period))
        if runs:
            (target / "netlist.saif").write_text(netlist_saif(runs[-1].activity, period))
            write_netlist(runs[-1].activity, target / "netlist.v")
        # With it, a later call replaces the folder.
        write_json(target / "manifest.json", {"schema": 1, "command": "energy", "files": sorted(os.listdir(target))})


def command(run: Run, board: Board = None, lanes: Lanes = None, load_weights: LoadWeights = None,
            formats: Formats = None, packings: Packings = None, events: Events = None,
            samples: Annotated[int | None, typer.Option(
                "--samples", "-n", help="Test samples to measure, the same on every rung; the first 50 by default.",
                show_default=False)] = None,
            netlist_samples: Annotated[int, typer.Option(
                "--netlist-samples", min=0,
                help="Samples for the synthesised netlist (R3, R4), chosen by strata of their cycles; 0 for no netlist.",
            )] = NETLIST_SAMPLES,
            saif: Annotated[Path | None, typer.Option(
                "--saif", show_default=False,
                help="Folder for the activity of all signals and nets as SAIF, and the netlist as Verilog.")] = None,
            constants: Constants = None,
            seed: Annotated[int, typer.Option("--seed", min=0, help="Of the draws behind the bands.")] = 0,
            json: Json = False, quiet: Quiet = False, debug: Debug = False) -> None:
    """Compare the energy of the analytical models with that of the simulated RTL and of its netlist, on the same samples."""
    session = Session("energy", json=json, quiet=quiet)
    opened = open_run(run)
    from snnhw.board import load_board
    from snnhw.cost import comparison_table, energy_ladder, energy_table
    from snnhw.cost.idle import idle_table
    from snnhw.cost.sampling import choose_samples
    from snnhw.reference import run as interpret
    from snnhw.verify.compare import check_output
    from snnhw.verify.native import simulate
    target = load_board(board or opened.board)
    sets = parse_constants(constants)
    plan = opened.plan(parse_lanes(lanes), load_weights, parse_memories(formats, packings, events))
    spikes, _ = opened.samples(samples, default=MEASURED_SAMPLES)
    session.progress(f"running the integer reference on {len(spikes)} samples")
    trace = interpret(opened.graph, spikes, keep_membranes=False)
    session.progress("simulating the RTL and counting its activity")
    simulation = simulate(plan, spikes, activity=True)
    check_output(plan, trace, simulation.output)
    chosen = choose_samples(simulation.cycles, netlist_samples)
    runs = run_netlist(plan, target, spikes, chosen, session) if netlist_samples else []
    if saif is not None:
        _export(saif, simulation, runs, target.clock.hz)
    session.progress("drawing the bands")
    # Those of the netlist, of the core alone; without one they are estimated.
    flip_flops = runs[0].activity.flip_flops if runs else None
    results = energy_ladder(plan, trace.spikes, measured=simulation.measured(), board=target, flip_flops=flip_flops,
                            netlists=[run.measured(chosen) for run in runs], seed=seed, asic=sets.get("asic"),
                            fpga=sets.get("fpga"))
    session.finish(results, text_table(energy_table(results["rungs"])), text_table(comparison_table(results["comparison"])),
                   text_table(idle_table(results["idle_policy"])),
                   folder=opened.folder, seed=seed)

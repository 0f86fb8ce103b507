"""``snnhw energy``: the analytical energy against that of the RTL's own activity."""

from typing import TYPE_CHECKING, Annotated, Any

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

    from snnhw.plan import Plan

__all__ = ["command"]

MEASURED_SAMPLES = 50


def _measure(plan: "Plan", spikes: "np.ndarray") -> dict[str, Any]:
    """Return what the RTL did with the samples, in the form that the cost model takes."""
    from snnhw.verify.native import simulate
    simulation = simulate(plan, spikes, activity=True)
    activity = simulation.activity
    assert activity is not None
    return {"cycles": simulation.cycles, "engine": simulation.engine, "accesses": simulation.accesses,
            "toggles": {name: net.owned_toggles for name, net in activity.nets.items()}, "aliases": activity.aliases}


def command(run: Run, board: Board = None, lanes: Lanes = None, load_weights: LoadWeights = None,
            formats: Formats = None, packings: Packings = None, events: Events = None,
            samples: Annotated[int | None, typer.Option(
                "--samples", "-n", help="Test samples to measure, the same on every rung; the first 50 by default.",
                show_default=False)] = None,
            constants: Constants = None,
            seed: Annotated[int, typer.Option("--seed", help="Of the draws behind the bands.")] = 0,
            json: Json = False, quiet: Quiet = False, debug: Debug = False) -> None:
    """Compare the energy of the analytical models with that of the simulated RTL, on the same samples."""
    session = Session("energy", json=json, quiet=quiet)
    opened = open_run(run)
    from snnhw.board import load_board
    from snnhw.cost import comparison_table, energy_ladder, energy_table
    from snnhw.reference import run as interpret
    target = load_board(board or opened.board)
    sets = parse_constants(constants)
    plan = opened.plan(parse_lanes(lanes), load_weights, parse_memories(formats, packings, events))
    spikes, _ = opened.samples(samples, default=MEASURED_SAMPLES)
    session.progress(f"running the integer reference on {len(spikes)} samples")
    trace = interpret(opened.graph, spikes, keep_membranes=False)
    session.progress("simulating the RTL and counting its activity")
    measured = _measure(plan, spikes)
    session.progress("drawing the bands")
    built = opened.recorded("build", "board", "used")
    # Those of another plan, or of a build that did not count them, are estimated.
    same = built.get("board") == target.name and lanes is None and load_weights is None and not (formats or packings or events)
    flip_flops = built["used"].get("flip_flops", {}).get("used") if same else None
    results = energy_ladder(plan, trace.spikes, measured=measured, board=target, flip_flops=flip_flops, seed=seed, **sets)
    session.finish(results, text_table(energy_table(results["rungs"])), text_table(comparison_table(results["comparison"])),
                   folder=opened.folder, seed=seed)

"""``snnhw generate``: the Verilog of a network, with everything that is needed to check and build it."""

import shlex
from typing import TYPE_CHECKING, Annotated

import typer

from snnhw.cli.folding import fold_run, folding_table, parse_clock, parse_goal
from snnhw.cli.options import Board as BoardOption
from snnhw.cli.options import (
    Clock,
    ControlPort,
    Debug,
    Decide,
    Events,
    Fastest,
    Formats,
    Json,
    Lanes,
    LatencyOf,
    LoadWeights,
    Out,
    Packings,
    Quiet,
    Run,
    TargetArea,
    TargetLatency,
    parse_lanes,
    parse_memories,
)
from snnhw.cli.output import Session, key_values
from snnhw.cli.runs import check_events, open_run
from snnhw.errors import UsageError

if TYPE_CHECKING:
    from snnhw.board import Board
    from snnhw.plan import LayerPlan, Plan

__all__ = ["command"]

SHIPPED_SAMPLES = 4


def _told_packing(layer: "LayerPlan") -> str | None:
    """Return the packing that a command must name to get this one; None where the default gives none either."""
    from snnhw.plan.formats import UNPACKED
    from snnhw.plan.packing import pack
    if layer.packing is not None:
        return layer.packing.name
    if layer.weights_loaded or layer.format in UNPACKED:
        return None
    synapses = layer.synapses
    return "none" if pack("auto", synapses.values, layer.weight_bits, layer.lanes) is not None else None


def _line(plan: "Plan", board: "Board | None", samples: int) -> str:
    """Return the command with everything that decides the content and nothing of where it is, for the manifest."""
    words = ["snnhw", "generate", *(f"--lanes {shlex.quote(f'{layer.name}={layer.lanes}')}" for layer in plan.layers),
             *(f"--format {shlex.quote(f'{layer.name}={layer.format_choice}')}" for layer in plan.layers),
             *(f"--packing {shlex.quote(f'{layer.name}={packing}')}" for layer in plan.layers
               if (packing := _told_packing(layer)) is not None),
             *(f"--events {shlex.quote(f'{layer.name}={layer.events}')}" for layer in plan.layers if layer.events != "list")]
    words += ["--load-weights"] * (plan.loaded_words > 0) + ["--decide"] * plan.decide
    words += [f"--control {plan.control}"] if plan.control is not None else []
    words += ([f"--board {board.name}"] if board is not None else [])
    return " ".join([*words, f"--samples {samples}"])


def command(run: Run, out: Out, board: BoardOption = None, lanes: Lanes = None, load_weights: LoadWeights = None,
            formats: Formats = None, packings: Packings = None,
            events: Events = None, decide: Decide = False, control: ControlPort = None,
            samples: Annotated[int | None, typer.Option(
                "--samples", "-n", help="Test samples that ship as golden vectors; the first 4 by default.",
                show_default=False)] = None,
            target_latency: TargetLatency = None, target_area: TargetArea = None, fastest: Fastest = False,
            latency_of: LatencyOf = "worst", clock: Clock = None,
            json: Json = False, quiet: Quiet = False, debug: Debug = False) -> None:
    """Generate a self-contained folder: Verilog, FuseSoC core, constraints, bench with golden vectors, manifest."""
    from snnhw.tools import require_package
    require_package("amaranth", "rtl", "generating")
    session = Session("generate", json=json, quiet=quiet)
    opened = open_run(run)
    from rtl_gen import generate
    from snnhw.board import load_board
    from snnhw.plan import DEFAULT_LANES, Choices, make_plan
    from snnhw.verify.vectors import make_vectors
    if clock is not None and not (target_latency or target_area or fastest):
        raise UsageError("--clock must be given with --target-latency, --target-area or --fastest; "
                         "snnhw build --clock makes the clock of a bitstream")
    chosen = parse_lanes(lanes)
    target = load_board(board) if board is not None else None
    folding = None
    if target_latency or target_area or fastest:
        if target is None:
            raise UsageError("--board must be given for lanes to be chosen")
        goal = parse_goal(target, target_latency, target_area, fastest, latency_of, lanes)
        assert goal is not None
        folding = fold_run(session, opened, target, goal, parse_clock(clock),
                           {"load_weights": load_weights, "decide": decide, "control": control,
                            **parse_memories(formats, packings, events)})
        plan = folding.plan
    else:
        plan = make_plan(opened.graph, lanes=DEFAULT_LANES if chosen is None else chosen, load_weights=bool(load_weights),
                         decide=decide, control=control, **parse_memories(formats, packings, events))  # type: ignore[arg-type]
    if target is not None:
        check_events(plan, target)
    spikes, _ = opened.samples(samples, default=SHIPPED_SAMPLES)
    session.progress(f"computing golden vectors of {len(spikes)} samples")
    vectors = make_vectors(plan, spikes)
    extra = {}
    if target is not None:
        from snnhw.build.board_files import board_files
        session.progress(f"writing top and pins for {target}")
        extra = board_files(plan, target)
    session.progress("generating")
    generate(plan, out, board=target, vectors=vectors, extra_files=extra, command=_line(plan, target, len(spikes)))
    files = {str(path.relative_to(out)): path.stat().st_size for path in sorted(out.rglob("*")) if path.is_file()}
    results = {
        "folder": str(out), "board": target.name if target is not None else None,
        "plan": Choices.of(plan).arguments(),
        "samples": len(spikes), "files": files, "folding": folding.as_dict() if folding is not None else None,
    }
    session.finish(results, *([folding_table(folding)] if folding is not None else []),
                   key_values(f"Generated {out}", files, caption="bytes of each file"), folder=opened.folder)

"""``snnhw estimate``: cycles, area and energy before anything is generated."""

from snnhw.cli.options import Board, Debug, Formats, Json, Lanes, LoadWeights, Quiet, Run, Samples, parse_formats, parse_lanes
from snnhw.cli.output import Session, key_values, table, text_table
from snnhw.cli.runs import open_run

__all__ = ["command"]


def command(run: Run, board: Board = None, lanes: Lanes = None, load_weights: LoadWeights = None,
            formats: Formats = None, samples: Samples = None,
            json: Json = False, quiet: Quiet = False, debug: Debug = False) -> None:
    """Predict cycles, area and energy from the plan, without torch, synthesis or simulation.

    Exits with 1 when the network surely needs more than the board has.
    """
    session = Session("estimate", json=json, quiet=quiet)
    opened = open_run(run)
    from snnhw.board import load_board
    from snnhw.cost import energy_table, estimate, layer_table
    from snnhw.plan.area import estimate_area
    from snnhw.reference import run as interpret
    target = load_board(board or opened.board)
    plan = opened.plan(parse_lanes(lanes), load_weights, parse_formats(formats))
    spikes, _ = opened.samples(samples)
    session.progress(f"running the integer reference on {len(spikes)} samples")
    trace = interpret(opened.graph, spikes, keep_membranes=False)
    session.progress("counting cycles and accesses")
    results = estimate(plan, trace.spikes, board=target)
    area = estimate_area(plan, target)
    problems = area.problems(f"network {opened.graph.name!r}", weights_loaded=plan.loaded_words > 0)
    results |= {"area": area.as_dict(), "ok": not problems, "problem": "; ".join(problems) or None}
    cycles, micros = results["cycles"], results["microseconds"]
    estimated = "" if plan.predictable else ", estimated"
    session.finish(
        results,
        key_values(f"Estimate for {target}", {
            "samples": results["samples"], "clock MHz": results["clock_hz"] / 1e6,
            f"cycles per sample{estimated}": f"{cycles['mean']:,.0f} ({cycles['min']:,.0f} .. {cycles['max']:,.0f})",
            f"µs per sample{estimated}": f"{micros['mean']:,.1f} ({micros['min']:,.1f} .. {micros['max']:,.1f})",
            "lane utilisation": f"{results['lane_utilisation']:.1%}",
        }),
        table(f"Area, before synthesis{'' if area.calibrated else ', not calibrated for cores with lists'}",
              ("resource", "estimate", "low", "high", "available"), area.rows()),
        text_table(layer_table(results["layers"])), text_table(energy_table(results["energy"])), folder=opened.folder)

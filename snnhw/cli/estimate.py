"""``snnhw estimate``: cycles, area and energy before anything is generated."""

from snnhw.cli.folding import fold_run, folding_table, parse_clock, parse_goal
from snnhw.cli.options import (
    Board,
    Clock,
    Constants,
    Debug,
    Events,
    Fastest,
    Formats,
    Json,
    Lanes,
    LatencyOf,
    LoadWeights,
    Packings,
    Quiet,
    Run,
    Samples,
    TargetArea,
    TargetLatency,
    parse_constants,
    parse_lanes,
    parse_memories,
)
from snnhw.cli.output import Session, key_values, table, text_table
from snnhw.cli.runs import check_events, open_run
from snnhw.errors import UsageError

__all__ = ["command"]


def command(run: Run, board: Board = None, lanes: Lanes = None, load_weights: LoadWeights = None,
            formats: Formats = None, packings: Packings = None,
            events: Events = None, samples: Samples = None, target_latency: TargetLatency = None,
            target_area: TargetArea = None, fastest: Fastest = False, latency_of: LatencyOf = "worst", clock: Clock = None,
            constants: Constants = None,
            json: Json = False, quiet: Quiet = False, debug: Debug = False) -> None:
    """Predict cycles, area and energy from the plan, and what limits it, without torch, synthesis or simulation.

    Exits with 1 when the network surely needs more than the board has.
    """
    session = Session("estimate", json=json, quiet=quiet)
    opened = open_run(run)
    from snnhw.board import load_board
    from snnhw.cost import energy_table, estimate, layer_table
    from snnhw.cost.widths import count_table
    from snnhw.plan.area import estimate_area
    from snnhw.plan.limits import find_limits
    from snnhw.plan.waste import memory_rows
    from snnhw.reference import run as interpret
    target = load_board(board or opened.board)
    hertz = parse_clock(clock)
    sets = parse_constants(constants)
    goal = parse_goal(target, target_latency, target_area, fastest, latency_of, lanes)
    folding, memories = None, parse_memories(formats, packings, events)
    if goal is not None:
        folding = fold_run(session, opened, target, goal, hertz, {"load_weights": load_weights,
                                                                  **memories})
    plan = folding.plan if folding is not None else opened.plan(parse_lanes(lanes), load_weights, memories)
    check_events(plan, target)
    spikes, _ = opened.samples(samples)
    session.progress(f"running the integer reference on {len(spikes)} samples")
    trace = interpret(opened.graph, spikes, keep_membranes=False)
    session.progress("counting cycles and accesses")
    area = estimate_area(plan, target)
    if hertz == "max":
        if area.fmax_mhz is None:
            raise UsageError(f"--clock must be a number of MHz on {target}: the highest frequency is not estimated "
                             "for this network")
        hertz = area.fmax_mhz[1] * 1e6
    results = estimate(plan, trace.spikes, board=target, clock_hz=hertz, asic=sets.get("asic"), fpga=sets.get("fpga"))
    session.progress("looking for what limits it")
    limits = find_limits(plan, trace.spikes, target)
    problems = area.problems(f"network {opened.graph.name!r}", weights_loaded=plan.loaded_words > 0)
    results |= {"area": area.as_dict(), "ok": not problems, "problem": "; ".join(problems) or None}
    results |= {"limits": limits.as_dict(results["clock_hz"]), "folding": folding.as_dict() if folding is not None else None}
    results["memories"] = memories_there = memory_rows(plan, target)
    cycles, micros = results["limits"]["cycles"], results["limits"]["microseconds"]
    spread = "{mean:,.0f} on average, p99 {p99:,.0f}, worst {worst:,.0f}"
    session.finish(
        results, *([folding_table(folding)] if folding is not None else []),
        key_values(f"Estimate for {target}", {
            "samples": results["samples"], "clock MHz": results["clock_hz"] / 1e6,
            "cycles per sample": spread.format(**cycles),
            "µs per sample": spread.replace("0f", "1f").format(**micros),
            "if every input and neuron always fired": f"{cycles['bound']:,.0f} cycles, {micros['bound']:,.1f} µs",
            "lane utilisation": f"{results['lane_utilisation']:.1%}",
        }),
        table(f"Area, before synthesis{'' if area.calibrated else ', not calibrated for this kind of network'}",
              ("resource", "estimate", "low", "high", "available"), area.rows()),
        table(f"Memories on {target}", ("layer", "memory", "bits", "becomes", "blocks", "of them empty"), [
            (row["layer"], row["memory"], row["bits"], str(row["resource"]).replace("_", " "), row["blocks"] or "",
             "" if row["waste"] is None else f"{row['waste']:.0%}") for row in memories_there]),
        table("What limits it", ("layer", "lanes", "weights in", "weights", "events", "finaliser", "limits", "more lanes"),
              limits.rows(),
              caption=f"{limits.sentence}; shares of the cycles of a sample"),
        text_table(layer_table(results["layers"])), text_table(count_table(results["layers"], results["work"])),
        text_table(energy_table(results["energy"])), folder=opened.folder)

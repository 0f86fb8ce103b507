"""What ``--target-latency``, ``--target-area`` and ``--fastest`` mean, for the commands that have them."""

import re
from typing import TYPE_CHECKING, Any, Literal

from snnhw.cli.output import Session, key_values
from snnhw.cli.runs import RunFolder
from snnhw.errors import UsageError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from snnhw.board import Board
    from snnhw.plan.folding import Folding, Goal

__all__ = ["fold_run", "folding_table", "parse_clock", "parse_goal"]


def parse_clock(text: str | None) -> float | Literal["max"] | None:
    """Return what ``--clock`` says, in Hz."""
    if text is None:
        return None
    if text == "max":
        return "max"
    if not re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,6})?", text) or float(text) <= 0:
        raise UsageError(f"--clock must be a number of MHz, or max, not {text[:40]!r}")
    return float(text) * 1e6


def parse_goal(board: "Board", target_latency: str | None, target_area: str | None, fastest: bool, latency_of: str,
               lanes: object) -> "Goal | None":
    """Return the goal that the options name; None where lanes are not to be chosen."""
    named = [name for name, given in (("--lanes", lanes), ("--target-latency", target_latency), ("--target-area", target_area),
                                      ("--fastest", fastest)) if given]
    if len(named) > 1:
        raise UsageError(f"{named[1]} must be given without {named[0]}: each of them decides on the lanes")
    from snnhw.plan.folding import Goal, parse_area, parse_time
    statistic: Any = latency_of
    if target_latency is not None:
        return Goal("latency", parse_time(target_latency, "--target-latency"), statistic)
    if target_area is not None:
        return Goal("area", parse_area(target_area, board, "--target-area"), statistic)
    return Goal("fastest", statistic=statistic) if fastest else None


def fold_run(session: Session, opened: RunFolder, board: "Board", goal: "Goal", clock: float | Literal["max"] | None,
             fixed: dict[str, Any]) -> "Folding":
    """Choose the lanes of a run folder's network; `fixed` are the options of the plan that are told."""
    from snnhw.plan.folding import fold_samples
    from snnhw.reference import run as interpret
    spikes, _ = opened.samples()
    session.progress(f"choosing lanes with {len(spikes)} samples")
    trace = interpret(opened.graph, spikes, keep_membranes=False)
    given = {name: value for name, value in fixed.items() if value is not None}
    return fold_samples(opened.graph, board, trace.spikes, goal, fixed=given, clock_hz=clock)


def folding_table(folding: "Folding") -> "RenderableType":
    """Return what was chosen, for a person."""
    from snnhw.plan.folding import format_time
    goal, used = folding.goal, folding.area.used["logic"]
    asked = {"latency": f"at most {format_time(goal.limit)}", "area": f"at most {goal.limit:,.0f} logic cells",
             "fastest": "as fast as the board allows"}[goal.kind]
    # The smallest that is fast enough for some samples, and is for all, is the smallest for all.
    whole = folding.followed == len(folding.cycles) or (goal.kind, goal.statistic) == ("latency", "worst")
    searched = "" if whole else f" for the {folding.followed} samples that were searched with"
    return key_values("Folding", {
        "asked": asked, "lanes": ", ".join(f"{name}={lanes}" for name, lanes in folding.configuration["lanes"].items()),
        f"latency, {goal.statistic} of {len(folding.cycles)} samples":
            f"{format_time(folding.seconds)} ({folding.latency_cycles:,.0f} cycles at {folding.clock_hz / 1e6:g} MHz)",
        "logic cells": f"{used[0]:,} ({used[1]:,} .. {used[2]:,})",
        "combinations": f"{folding.combinations:,}, {'none' if folding.proven else 'no neighbour'} is better{searched}",
    }, caption="what was asked holds for the upper bound of the estimated area")

"""The numbers at the top of the page."""

from snnhw.cost.bands import format_energy
from snnhw.report.page import ESTIMATED, MEASURED, PLACED, SIMULATED, Tile
from snnhw.report.records import Run
from snnhw.report.wording import mismatch_counts, percent, thousands

__all__ = ["tiles"]


def tiles(run: Run) -> tuple[Tile, ...]:
    """Return the numbers at the top of the page, those that are known."""
    found = []
    accuracy = run[run.lowered]["accuracy"]
    if (integer := accuracy["integer"].number) is not None:
        float_accuracy = accuracy["float"].number
        found.append(
            Tile(
                "accuracy, integer model",
                percent(integer),
                f"float {percent(float_accuracy)}" if float_accuracy is not None else "",
                MEASURED,
            )
        )
    counts = mismatch_counts(run["verify"])
    if counts:
        wrong, compared = sum(row[3] for row in counts), sum(row[2] for row in counts)
        found.append(
            Tile("mismatches", thousands(wrong), f"of {thousands(compared)} words and counts of the RTL", SIMULATED, wrong == 0)
        )
    estimate = run["estimate"]
    cycles = estimate["cycles"]["mean"].number
    if cycles is not None:
        found.append(
            Tile(
                "cycles per sample",
                thousands(round(cycles)),
                f"lane utilisation {percent(estimate['lane_utilisation'].number)}",
                ESTIMATED,
            )
        )
    time = estimate["microseconds"]["mean"].number
    clock = estimate["clock_hz"].number
    if time is not None:
        found.append(Tile("time per sample", f"{time:,.4g} µs", f"at {clock / 1e6:g} MHz" if clock else "", ESTIMATED))
    build = run["build"]
    if (fmax := build["median_mhz"].number) is not None:
        target = build["clock_mhz"].number
        meets = build["meets_clock"].flag
        found.append(Tile("clock reached", f"{fmax:g} MHz", f"board clock {target:g} MHz" if target else "", PLACED, meets))
    logic = build["used"]["logic"]
    if (used := logic["used"].number) is not None:
        found.append(
            Tile("logic used", thousands(used), f"of {thousands(logic['available'].number)}", PLACED, build["fits"].flag)
        )
    rungs = [
        rung for rung in run["energy"]["rungs"].elements or estimate["energy"].elements if rung["constants_kind"].text == "fpga"
    ]
    if rungs and (median := rungs[-1]["median"].number) is not None:
        last = rungs[-1]
        low, high = last["low"].number, last["high"].number
        band = f"{format_energy(low)} .. {format_energy(high)}" if low is not None and high is not None else ""
        assumed = ", largest term ASSUMED" if last["largest_is_assumed"].flag else ""
        label = SIMULATED if last["basis"].text == SIMULATED else ESTIMATED
        found.append(Tile(f"energy per sample, {last['rung'].text}", format_energy(median), f"{band}{assumed}", label))
    return tuple(found)

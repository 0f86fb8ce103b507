"""``snnhw lower``: from a trained network to the integer graph."""

from pathlib import Path
from typing import Annotated

import typer

from snnhw.cli.options import Debug, Json, Out, Quiet
from snnhw.cli.output import Session, key_values
from snnhw.cli.train import ModelFolder

__all__ = ["command"]


def command(model: ModelFolder, out: Out,
            checkpoint: Annotated[Path | None, typer.Option(
                "--checkpoint", help="Trained network; by default that of the run folder, else the one in the model folder.",
                show_default=False)] = None,
            json: Json = False, quiet: Quiet = False, debug: Debug = False) -> None:
    """Lower a trained network to integers, and check that not one spike or membrane word changed."""
    from snnhw.tools import require_package
    require_package("torch", "train", "lowering")
    from snnhw.compress import lower_model
    session = Session("lower", json=json, quiet=quiet)
    results = lower_model(model, out, checkpoint=checkpoint, progress=session.progress)
    session.finish(results, key_values(f"Lowered {model.name}", results), folder=out)

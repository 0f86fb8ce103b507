"""``snnhw train``: train and compress a network from its recipe."""

from pathlib import Path
from typing import Annotated

import typer

from snnhw.cli.options import Debug, Json, Out, Quiet
from snnhw.cli.output import Session, key_values

__all__ = ["command"]

ModelFolder = Annotated[Path, typer.Argument(help="Model folder: model.py and recipe.toml.", show_default=False)]


def command(model: ModelFolder, out: Out,
            seed: Annotated[int | None, typer.Option("--seed", help="In the place of the recipe's.", show_default=False)] = None,
            json: Json = False, quiet: Quiet = False, debug: Debug = False) -> None:
    """Train a network, quantization-aware, from its recipe."""
    from snnhw.tools import require_package
    require_package("torch", "train", "training")
    from snnhw.compress import train_model
    session = Session("train", json=json, quiet=quiet)
    results = train_model(model, out, seed=seed, progress=session.progress)
    session.finish(results, key_values(f"Trained {model.name}", {"checkpoint": out / "checkpoint.safetensors"}), folder=out,
                   seed=seed)

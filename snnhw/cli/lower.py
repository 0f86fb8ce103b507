"""``snnhw lower``: from a trained network to the integer graph."""

from pathlib import Path
from typing import Annotated

import typer

from snnhw.cli.options import Debug, Json, Out, Quiet
from snnhw.cli.output import Session, key_values
from snnhw.cli.train import ModelFolder, layer_table

__all__ = ["command"]


def command(model: ModelFolder, out: Out,
            checkpoint: Annotated[Path | None, typer.Option(
                "--checkpoint", help="Trained network; by default that of the run folder, else the one in the model folder.",
                show_default=False)] = None,
            json: Json = False, quiet: Quiet = False, debug: Debug = False) -> None:
    """Lower a trained network to integers, and check that not one spike or membrane word changed."""
    from snnhw.tools import require_package
    require_package("torch", "train", "lowering")
    from snnhw.compress.flow import lower_model
    session = Session("lower", json=json, quiet=quiet)
    results = lower_model(model, out, checkpoint=checkpoint, progress=session.count)
    accuracy = {f"accuracy, {name}": f"{value:.2%}" for name, value in results["accuracy"].items()}
    found = results["mismatches"]
    session.finish(
        results, key_values(f"Lowered {results['model']}", {
            "test samples": results["test_samples"], "timesteps": results["timesteps"], **accuracy,
            "different spikes": f"{found['spikes']:,} of {found['spikes_compared']:,}, quantized torch network against integers",
            "different membrane words": f"{found['membranes']:,} of {found['membranes_compared']:,}",
            "graph": out / "graph.safetensors"}),
        layer_table(results["layers"]), folder=out, seed=results["seed"])

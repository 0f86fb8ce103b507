"""``snnhw train``: train and compress a network from its recipe."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import RenderableType

from snnhw.cli.options import Debug, Json, Out, Quiet
from snnhw.cli.output import Session, key_values, table

__all__ = ["ModelFolder", "command", "layer_table"]

ModelFolder = Annotated[Path, typer.Argument(help="Model folder: model.py and recipe.toml.", show_default=False)]

Pretrained = Annotated[Path | None, typer.Option(
    "--pretrained", help="Checkpoint or state_dict of the float network, which is then not trained.", show_default=False)]


def command(model: ModelFolder, out: Out, pretrained: Pretrained = None, json: Json = False, quiet: Quiet = False,
            debug: Debug = False) -> None:
    """Train a network from its recipe, the float network first, then quantization-aware."""
    from snnhw.tools import require_package
    require_package("torch", "train", "training")
    from snnhw.compress.flow import train_model
    session = Session("train", json=json, quiet=quiet)
    results = train_model(model, out, pretrained=pretrained, progress=session.count)
    accuracy = {f"accuracy, {name}": f"{value:.2%}" for name, value in results["accuracy"].items()}
    session.finish(
        results, key_values(f"Trained {results['model']} on {results['data']}", {
            "training samples": results["train_samples"], "test samples": results["test_samples"],
            "timesteps": results["timesteps"], **accuracy, "checkpoint": out / "checkpoint.safetensors"}),
        layer_table(results["layers"]), folder=out, seed=results["seed"])


def layer_table(layers: list[dict[str, Any]]) -> RenderableType:
    """Return the layers of a trained or lowered network: what the probe found, and what became of it."""
    def span(values: list[int]) -> str:
        return str(values[0]) if values[0] == values[1] else f"{values[0]} .. {values[1]}"

    columns = ("layer", "inputs", "neurons", "probed as", "beta", "decay", "weight bits", "state bits", "threshold", "zeros")
    fields = ("neuron", "inputs", "outputs", "behaviour", "beta", "decay", "weight_bits", "state_bits")
    return table("Layers", columns, [(*(layer[field] for field in fields), span(layer["threshold"]), f"{layer['sparsity']:.1%}")
                                     for layer in layers])

"""``snnhw compress``: make a trained network smaller, by the sections of a recipe."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import RenderableType

from snnhw.cli.options import Debug, Json, Out, Quiet
from snnhw.cli.output import Session, key_values, table
from snnhw.cli.train import layer_table

__all__ = ["command"]

Source = Annotated[Path, typer.Argument(
    metavar="SOURCE", show_default=False,
    help="Model folder with a checkpoint, folder with model.py and its parameters, NIR file (.nir) or Lava network (.net).")]


def command(source: Source, out: Out,
            recipe: Annotated[Path | None, typer.Option(
                "--recipe", "-r", help="Recipe; by default recipe.toml of the model folder.", show_default=False)] = None,
            checkpoint: Annotated[Path | None, typer.Option(
                "--checkpoint", help="Parameters of a folder; by default those found there.", show_default=False)] = None,
            json: Json = False, quiet: Quiet = False, debug: Debug = False) -> None:
    """Compress a trained network: narrower layers, fewer timesteps, fewer weights, fewer bits, as the sections of a recipe say.

    Sections: structure (with convert and pretrain to train the narrow network), temporal, noise, ptq, prune, quantize, finetune.
    """
    from snnhw.tools import require_package
    require_package("torch", "train", "compressing")
    from snnhw.compress.reduce import compress_model
    session = Session("compress", json=json, quiet=quiet)
    results = compress_model(source, out, recipe=recipe, checkpoint=checkpoint, progress=session.count)
    names = {"before": "as it was given", "narrow": "narrow", "short": "short", "quantized": "quantized", "integer": "integer"}
    accuracy = {f"accuracy, {names[name]}": f"{value:.2%}" for name, value in results["accuracy"].items()}
    differing = results["mismatches"]
    size = results["parameters"]
    session.finish(
        results, *_tables(results), key_values(f"Compressed {results['model']}", {
            "test samples": results["test_samples"], "timesteps": results["timesteps"],
            "parameters": f"{size['after']:,} of {size['before']:,}", **accuracy,
            "different spikes": f"{differing['spikes']:,} of {differing['spikes_compared']:,}, quantized torch network "
                                f"against integers",
            "different membrane words": f"{differing['membranes']:,} of {differing['membranes_compared']:,}",
            "graph": out / "graph.safetensors", "float network": out / "network.nir"}),
        layer_table(results["layers"]), folder=out, seed=results["seed"])


def _tables(results: dict[str, Any]) -> list[RenderableType]:
    """Return a table for each section that was there."""
    found: list[RenderableType] = []
    if "structure" in results:
        found.append(table("Structure", ("layer", "width", "dimensions", "new width", "explained", "parameters", "new", "kept"), [
            (row["layer"], row["width"], row["dimensions"], row["new_width"], f"{row['explained']:.2%}", row["parameters"],
             row["new_parameters"], row["kept"]) for row in results["structure"]],
            caption="dimensions: principal components that explain the wanted share of the variance of membranes"))
    if "convert" in results:
        convert = results["convert"]
        found.append(key_values("Network without spikes", {
            "accuracy": f"{convert['accuracy']:.2%}", "accuracy as spikes, untrained": f"{convert['converted']:.2%}",
            **{f"threshold of {name}": value for name, value in convert["thresholds"].items()}}))
    if "temporal" in results:
        found.append(table("Fewer timesteps", ("timesteps", "accuracy"), [
            (row["timesteps"], f"{row['accuracy']:.2%}") for row in results["temporal"]["curve"]]))
    if "noise" in results:
        found.append(table("Noise on the input", ("sigma", "accuracy", "lowest", "highest"), [
            (row["sigma"], *(f"{value:.2%}" for value in (
                sum(row["accuracy"]) / len(row["accuracy"]), min(row["accuracy"]), max(row["accuracy"]))))
            for row in results["noise"]]))
    if "ptq" in results:
        found.append(table("Weights quantized without training", ("bits", "accuracy"), [
            (row["bits"], f"{row['accuracy']:.2%}") for row in results["ptq"]]))
    return found

"""``snnhw import``: from a network that another tool trained to the integer graph."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import RenderableType

from snnhw.cli.options import Debug, Json, Out, Quiet
from snnhw.cli.output import Session, key_values, table
from snnhw.errors import UsageError

if TYPE_CHECKING:
    from snnhw.compress import Recipe

__all__ = ["command"]

Source = Annotated[Path, typer.Argument(
    metavar="SOURCE", show_default=False,
    help="A NIR file (.nir), a Lava network (.net), or a folder with model.py and its parameters (.pt, .safetensors).")]


def command(source: Source, out: Out,
            samples: Annotated[Path | None, typer.Option(
                "--samples", help="Samples: a .safetensors file with `values` and `labels`.", show_default=False)] = None,
            data: Annotated[str | None, typer.Option(
                "--data", help="Samples: a data set by name (`snnhw data list` has them), or a .py file with a loader.",
                show_default=False)] = None,
            timesteps: Annotated[int | None, typer.Option(
                "--timesteps", help="Length of a sample; by default that of the samples.", show_default=False)] = None,
            encoding: Annotated[str | None, typer.Option(
                "--encoding", help="How still samples become spikes: accumulate (default), rate or direct.",
                show_default=False)] = None,
            levels: Annotated[int | None, typer.Option(
                "--levels", help="Scale the pixels of mnist and fashion to 0..LEVELS.", show_default=False)] = None,
            check: Annotated[int | None, typer.Option(
                "--check", help="Number of test samples; all by default.", show_default=False)] = None,
            calibrate: Annotated[int, typer.Option(
                "--calibrate", help="Number of samples that the widths of the states are chosen with.")] = 64,
            bits: Annotated[int | None, typer.Option(
                "--bits", help="Bits of a weight, 2 to 16; 8 by default.", show_default=False,
                rich_help_panel="Quantization")] = None,
            layer_bits: Annotated[list[str] | None, typer.Option(
                "--layer-bits", help="Bits of one layer's weights; once for each layer.", metavar="LAYER=N", show_default=False,
                rich_help_panel="Quantization")] = None,
            per_channel: Annotated[bool, typer.Option(
                "--per-channel", help="One scale for each output channel instead of one for each layer.",
                rich_help_panel="Quantization")] = False,
            method: Annotated[str, typer.Option(
                "--method", help="How the largest weight is chosen: minmax, percentile or mse.",
                rich_help_panel="Quantization")] = "mse",
            percentile: Annotated[float, typer.Option(
                "--percentile", help="Percentile of --method percentile.", rich_help_panel="Quantization")] = 99.9,
            state_bits: Annotated[int | None, typer.Option(
                "--state-bits", help="Bits of every state; chosen for each layer by default.", show_default=False,
                rich_help_panel="Quantization")] = None,
            decay: Annotated[str, typer.Option(
                "--decay", help="Leak: auto, shift or mul.", rich_help_panel="Quantization")] = "auto",
            decay_bits: Annotated[int, typer.Option(
                "--decay-bits", help="Bits of a leak that multiplies.", rich_help_panel="Quantization")] = 12,
            tool: Annotated[str | None, typer.Option(
                "--tool", help="Tool whose neurons a NIR file means.", show_default=False, rich_help_panel="Reading")] = None,
            dt: Annotated[float | None, typer.Option(
                "--dt", help="Seconds of a timestep of a NIR file.", show_default=False, rich_help_panel="Reading")] = None,
            choose: Annotated[list[str] | None, typer.Option(
                "--choose", help="Another choice of the reader, such as reset=subtract; once for each.", metavar="NAME=VALUE",
                show_default=False, rich_help_panel="Reading")] = None,
            json: Json = False, quiet: Quiet = False, debug: Debug = False) -> None:
    """Import a network that another tool trained: read it, quantize it, and measure what that changed.

    What is not given comes from the recipe.toml of a model folder, if it has one and names the same data: data,
    timesteps, framing of events, encoding, levels of direct encoding, and bits.
    """
    recipe = _recipe(source, data) if samples is None and source.is_dir() else None
    if recipe is not None:
        data = str(source / recipe.data) if recipe.data.endswith((".safetensors", ".py")) else recipe.data
        timesteps = recipe.timesteps if timesteps is None else timesteps
        bits = recipe.quantize.bits if bits is None else bits
        if recipe.encoding.kind != "events":
            encoding = recipe.encoding.kind if encoding is None else encoding
            levels = recipe.encoding.levels if levels is None and encoding == "direct" else levels
    if (samples is None) == (data is None):
        raise UsageError("samples must be given, by --samples or by --data" + (", not by both" if data else ""))
    if encoding not in (None, "accumulate", "rate", "direct"):
        raise UsageError(f"--encoding must be accumulate, rate or direct, not {encoding!r}")
    if not source.exists():
        raise UsageError(f"network {str(source)!r} does not exist")
    if source.is_dir():
        from snnhw.tools import require_package
        require_package("torch", "train", "reading a model folder")
    from snnhw.ptq import Options
    from snnhw.ptq.flow import import_model, load_samples
    options = Options(8 if bits is None else bits, _pairs("--layer-bits", layer_bits, whole=True),
                      "channel" if per_channel else "tensor", method, percentile, state_bits, decay=decay, decay_bits=decay_bits)  # type: ignore[arg-type]
    choices = {"tool": tool, "dt": dt} | _pairs("--choose", choose)
    session = Session("import", json=json, quiet=quiet)
    loaded = load_samples(samples if samples is not None else str(data), timesteps=timesteps, calibrate=calibrate, count=check,
                          levels=levels, events=None if recipe is None else recipe.events)
    results = import_model(source, out, loaded, options=options, encoding=encoding, timesteps=timesteps,  # type: ignore[arg-type]
                           choices={name: value for name, value in choices.items() if value is not None}, progress=session.count)
    accuracy = {f"accuracy, {name}": f"{value:.2%}" for name, value in results["accuracy"].items()}
    same = {"same decisions": f"{results['same_decisions']:.2%}"} if "same_decisions" in results else {}
    session.finish(
        results, table(f"Read {results['model']}", ("layer", "kind", "from", "shape", "behaviour"),
                       [tuple(row.values()) for row in results["nodes"]]),
        *([key_values("Choices", results["choices"])] if results["choices"] else []),
        *_tables(results), key_values(f"Imported {results['model']}", {
            "data": results["data"], "test samples": results["test_samples"], "timesteps": results["timesteps"],
            "input": f"{'x'.join(map(str, results['inputs']))}, {results['encoding']}", **accuracy, **same,
            "graph": out / "graph.safetensors"}), folder=out, seed=0)


def _recipe(folder: Path, data: str | None) -> "Recipe | None":
    """Return the recipe of a model folder, unless there is none or it is about other data."""
    path = folder / "recipe.toml"
    if not path.is_file():
        return None
    from snnhw.tools import require_package
    require_package("torch", "train", "reading a model folder")
    from snnhw.compress import load_recipe
    recipe = load_recipe(path)
    return recipe if data in (None, recipe.data) else None


def _tables(results: dict[str, Any]) -> list[RenderableType]:
    """Return what quantization made of a float network; nothing for one of integers."""
    report = results["quantization"]
    if not report:
        return []
    agreement = {row["name"]: row for row in results["layers"]}

    def span(values: list[Any], form: str = "") -> str:
        return f"{values[0]:{form}}" if values[0] == values[1] else f"{values[0]:{form}} .. {values[1]:{form}}"

    weights = table("Weights", ("layer", "kind", "bits", "scales", "scale", "clipped", "error", "zeros"), [
        (row["name"], row["kind"], row["weight_bits"], row["scales"], span(row["scale"], ".4g"), row["clipped"],
         f"{row['relative_error']:.2%}", f"{row['sparsity']:.1%}") for row in report["layers"]])
    neurons = table("Neurons", ("layer", "neurons", "decay", "threshold", "state bits", "observed", "possible", "clipped words",
                                "equal spikes", "rate, float", "rate, integer"), [
        (row["name"], row["neurons"], row["decay"], span(row["threshold"]), row["state_bits"], row["observed_bits"],
         row["proven"].bit_length() + 1, found["saturated_words"], *(
             f"{found[key]:.2%}" if key in found else None for key in ("agreement", "rate_float", "rate_integer")))
        for row in report["neurons"] for found in [agreement[row["name"]]]],
        caption="observed, possible: bits that the samples needed, and that any samples could need")
    return [weights, neurons]


def _pairs(option: str, texts: list[str] | None, *, whole: bool = False) -> dict[str, Any]:
    """Return what an option with NAME=VALUE says: integers, sizes such as 2x34x34, floats, or text."""
    found: dict[str, Any] = {}
    for text in texts or []:
        # The name of a layer may have the sign in it, the value of a choice too: "compare=>=".
        name, equals, value = text.rpartition("=") if whole else text.partition("=")
        if not equals or not name or not value:
            raise UsageError(f"{option} must be NAME=VALUE, not {text!r}")
        parsed = _value(value)
        if whole and not isinstance(parsed, int):
            raise UsageError(f"{option} must be a whole number, not {value!r}")
        found[name] = parsed
    return found


def _value(text: str) -> int | float | str | tuple[int, ...]:
    sizes = text.split("x")
    if all(part.isascii() and part.isdigit() and len(part) < 10 for part in sizes):
        numbers = tuple(map(int, sizes))
        return numbers if len(numbers) > 1 else numbers[0]
    try:
        return float(text)
    except ValueError:
        return text

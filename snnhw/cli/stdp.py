"""``snnhw stdp``: networks that learn without labels, by spike timing."""

from pathlib import Path
from typing import Annotated, Any

import typer

from snnhw.cli.options import Debug, Json, Out, Quiet
from snnhw.cli.output import Session, key_values, table
from snnhw.errors import UsageError

__all__ = ["command"]

ACTIONS = ("train", "lower", "explore")
FORMATS = "Formats (train)"
CHOICE = "Choice (explore)"


def command(action: Annotated[str, typer.Argument(metavar="ACTION", show_default=False,
                                                  help="train: learn by the recipe, quantize, lower, measure. lower: only lower "
                                                       "and measure. explore: find formats, choose, lower, measure.")],
            model: Annotated[Path, typer.Argument(help="Folder with recipe.toml, and network.safetensors once it is trained; "
                                                       "also a run folder.", show_default=False)],
            out: Out,
            samples: Annotated[int | None, typer.Option(
                "--samples", "-n", show_default=False, help="Test samples the graph is measured on; all by default.")] = None,
            shared: Annotated[bool, typer.Option(
                "--shared/--full", help="Inhibition whose sources share one list of weights, or as full matrices.")] = True,
            seed: Annotated[int | None, typer.Option("--seed", help="In the place of the recipe's.", show_default=False)] = None,
            weight: Annotated[str | None, typer.Option(
                "--weight", metavar="Qi.f", help="Format of weights.", show_default=False, rich_help_panel=FORMATS)] = None,
            membrane: Annotated[str | None, typer.Option(
                "--membrane", metavar="Qi.f", help="Format of membranes.", show_default=False, rich_help_panel=FORMATS)] = None,
            threshold: Annotated[str | None, typer.Option(
                "--threshold", metavar="Qi.f", help="Format of thresholds.", show_default=False, rich_help_panel=FORMATS)] = None,
            rounding: Annotated[str | None, typer.Option(
                "--rounding", help="truncate, nearest or stochastic.", show_default=False, rich_help_panel=FORMATS)] = None,
            when: Annotated[str | None, typer.Option(
                "--when", help="after training, or in training too.", show_default=False, rich_help_panel=FORMATS)] = None,
            loss: Annotated[float, typer.Option(
                "--loss", min=0, max=1, help="Accuracy that a class of words may lose.", rich_help_panel=CHOICE)] = 0.01,
            target: Annotated[float, typer.Option(
                "--target", min=0, max=1, help="Lowest accuracy of the choice.", rich_help_panel=CHOICE)] = 0.0,
            reward: Annotated[str, typer.Option("--reward", help="product or linear.", rich_help_panel=CHOICE)] = "product",
            mu: Annotated[float, typer.Option(
                "--mu", min=0, help="Weight of memory in the linear reward.", rich_help_panel=CHOICE)] = 0.1,
            training: Annotated[bool, typer.Option(
                "--in-training", help="Also train in each candidate's formats.", rich_help_panel=CHOICE)] = False,
            json: Json = False, quiet: Quiet = False, debug: Debug = False) -> None:
    """Train a network of winners without labels (STDP), choose its fixed-point formats, and lower it to a graph.

    The accuracy is that of the graph, in integers, on the test samples; labels and vote are applied outside of it. The run
    folder that is written goes on to inspect, estimate, generate, verify and build.
    """
    if action not in ACTIONS:
        raise UsageError(f"ACTION must be {', '.join(ACTIONS[:-1])} or {ACTIONS[-1]}, not {action!r}")
    if samples is not None and samples < 1:
        raise UsageError(f"--samples must be at least 1, not {samples}")
    from snnhw.stdp import flow
    session = Session("stdp", json=json, quiet=quiet)
    if action == "train":
        results = flow.train_model(model, out, seed=seed, weight=weight, membrane=membrane, threshold=threshold,
                                   rounding=rounding, when=when, samples=samples, shared=shared, progress=session.count)
    elif action == "lower":
        results = flow.lower_model(model, out, samples=samples, shared=shared, progress=session.count)
    else:
        results = flow.explore_model(model, out, loss=loss, target=target, reward=reward, mu=mu, training=training,
                                     samples=samples, shared=shared, progress=session.count)
    session.finish({"action": action, **results}, *_tables(action, results), folder=out, seed=results.get("seed"))


def _tables(action: str, results: dict[str, Any]) -> list[Any]:
    """Return what a person sees of the results."""
    graph = results["graph"]
    head: dict[str, object] = {}
    if action == "train":
        head = {"training images": results["train_samples"], "seconds of training": results["train_seconds"],
                "spikes of an image in training": results["train_spikes"]}
        for name, scores in (("float32", results["validation_float"]), ("quantized", results["validation"])):
            if scores:
                head[f"validation, {name}"] = ", ".join(f"{vote} {value:.2%}" for vote, value in scores.items())
    shown = [key_values(f"STDP network on {results['data']}, {results['neurons']} neurons", {
        **head, "formats": results["formats"], "inhibition": results["competition"], "vote": results["vote"],
        "graph, test images": graph["samples"], "graph, accuracy": f"{graph['accuracy']:.2%}",
        "graph, spikes of an image": graph["spikes"], "neurons by class": " ".join(map(str, results["neurons_by_class"])),
        "bits that inference stores": results["memory_bits"]})]
    if action == "explore":
        shown.append(table("Sensitivity: one class of words at a time, the others in float32",
                           ("class", "format", "bits", "accuracy", "smallest"),
                           [(item["class"], point["format"], point["bits"], f"{point['accuracy']:.2%}",
                             point["format"] == item["smallest"])
                            for item in results["sensitivity"] for point in item["points"]]))
        front = results["pareto"]
        columns = ("weight", "membrane", "threshold", "rounding", "when", "accuracy", "bits", "front", "chosen")
        shown.append(table("Candidates", columns,
                           [(item["weight"], item["membrane"], item["threshold"], item["rounding"], item["when"],
                             f"{item['accuracy']:.2%}", item["memory_bits"], item in front, item == results["chosen"])
                            for item in results["candidates"]]))
    else:
        rows = [(item["name"], item["words"], item["bits"], item["total_bits"]) for item in results["memory"]]
        shown.append(table("Stored words of inference", ("words", "number", "bits", "bits in all"), rows))
    return shown

"""``snnhw encodings``: how many bits the weights take in which encoding, and whether that pays."""

from pathlib import Path
from typing import Annotated, Any

import typer

from snnhw.cli.options import Debug, Json, Quiet, Run
from snnhw.cli.output import Session, text_table
from snnhw.cli.runs import open_run
from snnhw.errors import UsageError

__all__ = ["command"]

MODELLED_SAMPLES = 50


def command(run: Run,
            model: Annotated[str | None, typer.Option(
                "--model", "-m", show_default=False,
                help="Also model the energy on an architecture: eyeriss45, eyeriss-ratios, onchip45, or a .toml file.")] = None,
            activity: Annotated[str, typer.Option("--activity", help="Inputs of the model: mean, or worst sample.")] = "mean",
            time_batch: Annotated[int | None, typer.Option(
                "--time-batch", min=1, show_default=False,
                help="Most timesteps that a layer of the model computes before another layer.")] = None,
            layers: Annotated[Path | None, typer.Option(
                "--layers", show_default=False,
                help="Also write the sizes and densities of the layers, as .csv or .json.")] = None,
            samples: Annotated[int | None, typer.Option(
                "--samples", "-n", show_default=False,
                help="Test samples behind the densities; the first 50 by default.")] = None,
            seed: Annotated[int, typer.Option("--seed", help="Of the draws behind the bands.")] = 0,
            json: Json = False, quiet: Quiet = False, debug: Debug = False) -> None:
    """Compare encodings of the weights, bit by bit, and say which one pays.

    With --model the energy of an accelerator with DRAM, buffer and scratchpads is modelled for each of them; its inputs are
    the spikes of the run folder's test samples.
    """
    session = Session("encodings", json=json, quiet=quiet)
    opened = open_run(run)
    from snnhw.cost.compression import compare_encodings, compare_formats, encoding_tables, format_tables
    from snnhw.cost.hierarchy import load_architecture
    from snnhw.cost.workload import record_densities, save_workloads
    if model is None and (samples is not None or time_batch is not None) and layers is None:
        raise UsageError("--samples and --time-batch must come with --model or --layers")
    architecture = None if model is None else load_architecture(model)
    if architecture is not None and time_batch is not None:
        architecture = architecture.changed(mapping={"time_batch": time_batch})
    session.progress("encoding the weights")
    comparison = compare_encodings(opened.graph)
    results: dict[str, Any] = {"network": opened.graph.name} | comparison
    shown = [*encoding_tables(comparison)]
    if architecture is not None or layers is not None:
        spikes, _ = opened.samples(samples, default=MODELLED_SAMPLES)
        session.progress(f"running the integer reference on {len(spikes)} samples")
        workloads = record_densities(opened.graph, spikes)
        results["samples"] = len(spikes)
        if layers is not None:
            save_workloads(workloads, layers)
        if architecture is not None:
            session.progress("searching mappings")
            results["model"] = compare_formats(workloads, architecture, activity=activity, seed=seed)
            shown += format_tables(results["model"])
    session.finish(results, *map(text_table, shown), folder=opened.folder, seed=seed if model else None)

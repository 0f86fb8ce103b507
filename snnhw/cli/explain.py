"""``snnhw explain``: where an imported network and its integers first differ, and why."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from snnhw.cli.options import Debug, Json, Quiet
from snnhw.cli.output import Session, key_values, table
from snnhw.errors import FileError

if TYPE_CHECKING:
    import numpy as np

    from snnhw.ir import Graph
    from snnhw.network import Network
    from snnhw.verify.explain import Difference

__all__ = ["command"]

FEW = 8


def command(
        source: Annotated[Path, typer.Argument(help="What was imported: a NIR file, or a folder with model.py.",
                                               show_default=False)],
        run: Annotated[Path, typer.Argument(help="Run folder that snnhw import wrote.", show_default=False)],
        samples: Annotated[int | None, typer.Option("--samples", "-n", help="Number of test samples; the first 8 by default.",
                                                    show_default=False)] = None,
        rtl: Annotated[bool, typer.Option("--rtl", help="Run the hardware on them too.")] = False,
        json: Json = False, quiet: Quiet = False, debug: Debug = False) -> None:
    """Run the floats, the floats with the constants of the integers, the integers and the hardware side by side.

    Shows how far they agree in every layer, the first spike in which floats and integers differ, the states that led there, and
    the part of the arithmetic that explains it.
    """
    from snnhw.cli.runs import open_run
    from snnhw.frontend import read_file
    from snnhw.ir import Graph
    session = Session("explain", json=json, quiet=quiet)
    folder = open_run(run)
    spikes, labels = folder.samples(samples, default=FEW)
    quantization, reading = _imported(run)
    session.progress("reading the network")
    network = read_file(source, **{name: tuple(value) if isinstance(value, list) else value for name, value in reading.items()})
    results: dict[str, Any] = {"samples": len(labels)}
    shown = [key_values("Explained", {"network": source, "samples": len(labels)})]
    if not isinstance(network, Graph):
        session.progress("running floats and integers")
        shown += _compare(network, folder.graph, _units(folder.graph, quantization), spikes, results)
    if rtl:
        from snnhw.plan import make_plan
        from snnhw.verify import check_undisturbed, compile_plan
        session.progress("compiling and running the hardware")
        check = check_undisturbed(compile_plan(make_plan(folder.graph)), spikes)
        results |= {"rtl": check.comparison.counts(), "ok": check.problem is None, "problem": check.problem}
        shown.append(check.problem or f"integers and hardware: {check.comparison}")
    session.finish(results, *shown, folder=run)


def _compare(network: "Network", graph: "Graph", units: dict[str, "np.ndarray"], spikes: "np.ndarray",
             results: dict[str, Any]) -> list[Any]:
    """Compare floats and integers, add what is found to `results`, and return what is shown."""
    from snnhw.network import run_network
    from snnhw.reference import run
    from snnhw.verify.explain import agreements, explain, fake_quantized
    names = [node.name for node in graph.neurons if node.spec.output != "state"]
    real, fake = run_network(network, spikes).spikes, run_network(fake_quantized(graph), spikes).spikes
    whole = run(graph, spikes).spikes
    rows = [(first.layer, first.equal / first.words, second.equal / second.words) for first, second in zip(
        agreements(real, fake, names), agreements(fake, whole, names), strict=True)]
    results["agreement"] = {name: {"float to fake": first, "fake to integer": second} for name, first, second in rows}
    difference = explain(network, graph, units, spikes)
    results["difference"] = None if difference is None else _plain(difference)
    return [
        table("Equal spike words", ("layer", "float to its constants rounded", "those to integers"),
              [(name, f"{first:.3%}", f"{second:.3%}") for name, first, second in rows]),
        str(difference) if difference is not None else "floats and integers give the same spikes",
    ]


def _imported(run: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return how the network was quantized, and how it was read."""
    from snnhw.files import read_json
    record = read_json(run / "import.json", "record")
    results = record.get("results") if isinstance(record, dict) else None
    found = results if isinstance(results, dict) else {}
    quantization, reading = found.get("quantization"), found.get("reading")
    if not isinstance(quantization, dict) or not isinstance(reading, dict):
        raise FileError(f"record {str(run / 'import.json')!r} must be one that snnhw import wrote")
    return quantization, reading


def _units(graph: "Graph", quantization: dict[str, Any]) -> dict[str, "np.ndarray"]:
    """Return the worth of a step of each state, () or (neurons,)."""
    import math

    import numpy as np
    units = {}
    for row in quantization.get("neurons", []):
        values, count = np.asarray(row["units"], np.float64), math.prod(graph.shapes[row["name"]])
        units[row["name"]] = values.reshape(()) if values.size == 1 else np.repeat(values, count // values.size)
    return units


def _plain(difference: "Difference") -> dict[str, Any]:
    return {"sample": difference.sample, "timestep": difference.step, "layer": difference.layer, "neuron": difference.neuron,
            "spikes": dict(zip((difference.left, difference.right), difference.spikes, strict=True)),
            "threshold": difference.threshold, "cause": list(difference.cause),
            "membranes": {name: values.tolist() for name, values in difference.membranes.items()}}

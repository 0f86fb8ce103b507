"""``snnhw compare``: design points beside each other on every rung of the energy ladder."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from snnhw.cli.energy import run_netlist
from snnhw.cli.options import (
    Board,
    Constants,
    Debug,
    Events,
    Formats,
    Json,
    Lanes,
    LoadWeights,
    Out,
    Packings,
    Quiet,
    parse_constants,
    parse_lanes,
    parse_memories,
)
from snnhw.cli.output import Session, key_values, table
from snnhw.cli.runs import RunFolder, open_run
from snnhw.errors import NetworkError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from snnhw.board import Board as BoardRecord
    from snnhw.cost import Comparison, ConstantSet, RateSweep
    from snnhw.plan import Plan

__all__ = ["command"]

SAMPLES = 20
LANES = 2, 4, 8, 16
FORMATS = "dense", "csc", "bitmap", "queued"
ACCURACY_SAMPLES = 500
PAIRS_SHOWN = 12


@dataclass(frozen=True)
class _Design:
    """A plan to measure, and what it is called."""

    name: str
    hardware: str
    run: RunFolder
    plan: "Plan"


def command(runs: Annotated[list[Path], typer.Argument(
                help="Run folders, or graph files; of one alone, variants with other lanes and formats are compared.",
                show_default=False)],
            out: Out, board: Board = None, lanes: Lanes = None, load_weights: LoadWeights = None, formats: Formats = None,
            packings: Packings = None, events: Events = None,
            samples: Annotated[int | None, typer.Option(
                "--samples", "-n", help=f"Test samples of each run; the first {SAMPLES} by default.", show_default=False)] = None,
            netlist_samples: Annotated[int, typer.Option(
                "--netlist-samples", min=0,
                help="Samples for the synthesised netlist of each design (R3, R4); 0 for no netlist.")] = 0,
            constants: Constants = None,
            seed: Annotated[int, typer.Option("--seed", min=0, help="Of the draws behind the bands.")] = 0,
            json: Json = False, quiet: Quiet = False, debug: Debug = False) -> None:
    """Compare the energy of several networks, or of variants of one: on every rung, with ratios, ranks and a page.

    The energy of each design is counted as `energy` counts it, on its own samples. The page shows where formula and hardware
    disagree, and at what spike rate a network without spikes would need less.
    """
    from snnhw.tools import require_package
    require_package("jinja2", "report", "the page")
    require_package("matplotlib", "report", "the page")
    session = Session("compare", json=json, quiet=quiet)
    from snnhw.board import load_board
    from snnhw.cost import compare_records, sweep_rates
    from snnhw.cost.flow import make_target
    from snnhw.errors import UsageError
    from snnhw.report.compare import ComparisonPage, write_comparison
    opened = [open_run(path) for path in runs]
    target = load_board(board or opened[0].board)
    sets = parse_constants(constants)
    memories = parse_memories(formats, packings, events)
    if len(runs) == 1:
        designs = list(_variants(opened[0], parse_lanes(lanes), load_weights, memories))
    else:
        designs = [_Design(name, "", run, run.plan(parse_lanes(lanes), load_weights, memories))
                   for name, run in zip(_names(runs), opened, strict=True)]
    if len({design.name for design in designs}) < len(designs):
        raise UsageError("run folders must differ, and one of them is given twice")
    records: list[dict[str, Any]] = []
    notes: dict[str, None] = {}
    shown_sets: dict[str, dict[str, Any]] = {}
    sweeps: dict[str, RateSweep] = {}
    for place, design in enumerate(designs, start=1):
        session.count("design", place, len(designs), design.name)
        record, results, trains = _measure(design, target, samples, netlist_samples, sets, seed, session)
        records.append(record)
        notes |= dict.fromkeys(results["notes"])
        shown_sets |= {row["name"]: row for row in results["constants"]}
        # Variants of one run compute the same; runs of the same shape differ in bits and spikes.
        network = record["network"] if len(runs) == 1 else design.name
        if network not in sweeps:
            session.progress(f"sweeping the spike rate of {network}")
            try:
                sweeps[network] = sweep_rates(design.plan, trains, target=make_target(target, constants=sets.get("fpga")),
                                              asic=sets.get("asic"), seed=seed)
            except UsageError as error:
                notes[f"no sweep of the spike rate of {network}: {error}"] = None
    session.progress("comparing")
    comparison = compare_records(records, sets={found.name: found for found in sets.values()}, seed=seed)
    page = out / "compare.html"
    session.progress("drawing")
    write_comparison(ComparisonPage(
        "Energy of " + (f"variants of {designs[0].run.graph.name}" if len(runs) == 1 else f"{len(designs)} networks"),
        f"on {target.name}", comparison, sweeps, list(shown_sets.values()),
        [note[0].upper() + note[1:] + "." for note in notes]), page)
    results = comparison.as_json() | {
        "sweeps": {name: sweep.as_json() for name, sweep in sweeps.items()}, "records": records, "board": target.name,
        "constants": list(shown_sets.values()), "notes": list(notes), "page": str(page), "seed": seed}
    session.finish(results, *_tables(comparison, sweeps), key_values("Files", {"page": page, "results": out / "compare.json"}),
                   folder=out, seed=seed)


def _names(paths: Sequence[Path]) -> list[str]:
    """Return a name for each run: that of its folder, or its path where two have the same."""
    names = [(path if path.is_dir() else path.parent).resolve().name for path in paths]
    return [name if names.count(name) == 1 else str(path) for name, path in zip(names, paths, strict=True)]


def _variants(run: RunFolder, lanes: int | dict[str, int] | None, load_weights: bool | None,
              memories: Mapping[str, Any]) -> Iterator[_Design]:
    """Yield designs of one network: as it is planned, with other lanes, with other formats; without what layers cannot have."""
    planned = run.plan(lanes, load_weights, memories)
    wanted: list[tuple[Any, str | None]] = [(lanes, None)]
    if lanes is None:
        wanted += [({layer.name: min(count, layer.outputs) for layer in planned.layers}, None) for count in LANES]
    if "formats" not in memories:
        wanted += [(lanes, name) for name in FORMATS]
    seen = set()
    for count, name in wanted:
        try:
            plan = run.plan(count, load_weights, dict(memories) | ({"formats": name} if name else {}))
        except NetworkError:
            continue
        title = (f"lanes {_joined([str(layer.lanes) for layer in plan.layers])}, "
                 f"{_joined([layer.format_choice for layer in plan.layers])}")
        if title not in seen:
            seen.add(title)
            yield _Design(title, title, run, plan)


def _joined(values: Sequence[str]) -> str:
    """Return what the layers have, once where all have the same."""
    return values[0] if len(set(values)) == 1 else "/".join(values)


def _measure(design: _Design, target: "BoardRecord", samples: int | None, netlist_samples: int,
             sets: Mapping[str, "ConstantSet"], seed: int, session: Session) -> tuple[dict[str, Any], dict[str, Any], Any]:
    """Return the record of a design point, the results of its ladder, and its spikes."""
    from snnhw.cost import energy_ladder
    from snnhw.cost.metrics import network_metrics
    from snnhw.cost.sampling import choose_samples
    from snnhw.cost.textbook import textbook_energies
    from snnhw.reference import run as interpret
    from snnhw.verify.compare import check_output
    from snnhw.verify.native import simulate
    plan, graph = design.plan, design.run.graph
    spikes, _ = design.run.samples(samples, default=SAMPLES)
    trace = interpret(graph, spikes)
    simulation = simulate(plan, spikes, activity=True)
    check_output(plan, trace, simulation.output)
    chosen = choose_samples(simulation.cycles, netlist_samples)
    gates = run_netlist(plan, target, spikes, chosen, session) if netlist_samples else []
    results = energy_ladder(plan, trace.spikes, measured=simulation.measured(), board=target, asic=sets.get("asic"),
                            fpga=sets.get("fpga"), netlists=[one.measured(chosen) for one in gates], seed=seed)
    metrics = network_metrics(plan, trace.spikes, trace.membranes)
    sizes = [plan.inputs, *(layer.outputs for layer in plan.layers)]
    bits = [layer.weight_bits for layer in plan.layers for _ in range(max(1, layer.synapses.stored))]
    dense = all(layer.format == "dense" for layer in plan.layers)
    record = {
        "name": design.name, "network": "-".join(map(str, sizes)), "hardware": design.hardware,
        "bits": round(sum(bits) / len(bits), 2), "sparsity": 0.0 if dense else round(float(metrics["connection_sparsity"]), 2),
        "accuracy": _accuracy(design.run), "formats": {layer.name: layer.format_choice for layer in plan.layers},
        "lanes": {layer.name: layer.lanes for layer in plan.layers}, "cycles": results["cycles"]["mean"],
        "samples": len(spikes), "metrics": metrics, "energy": results["rungs"],
        "textbook": [found.as_json() for found in textbook_energies(graph, trace.spikes, seed=seed)]}
    return record, results, trace.spikes


def _accuracy(run: RunFolder) -> float:
    """Return the accuracy that was recorded when the network was lowered, or that of the first samples."""
    found = run.recorded("lower", "accuracy").get("accuracy")
    recorded = found.get("integer") if isinstance(found, dict) else None
    if isinstance(recorded, int | float) and 0 <= recorded <= 1:
        return float(recorded)
    from snnhw.reference import run as interpret
    spikes, labels = run.samples(None, default=ACCURACY_SAMPLES)
    return float((interpret(run.graph, spikes, keep_membranes=False).decisions == labels).mean())


def _tables(comparison: "Comparison", sweeps: Mapping[str, "RateSweep"]) -> list["RenderableType"]:
    """Return points, ranks, ratios, the crossover and the conclusion."""
    from rich.text import Text

    from snnhw.cost import format_energy
    rungs = [rung for rung in comparison.rungs if not rung.startswith("R1")]
    shown: list[RenderableType] = [table(
        "Design points, median energy per sample", ["point", "accuracy", "cycles", *rungs],
        [(point.name, "-" if point.accuracy is None else f"{point.accuracy:.1%}", f"{point.cycles or 0:,.0f}",
          *(format_energy(point.energies[rung].band.median) if rung in point.energies else "-" for rung in rungs))
         for point in comparison.points])]
    taus = [(f"{one.first} and {one.second}", one.points, one.tau, "-" if one.band is None else
             f"{one.band.low:.2f} .. {one.band.high:.2f}", f"{one.discordant} of {one.pairs}")
            for one in comparison.correlations if one.first in rungs and one.second in rungs]
    if taus:
        shown.append(table("Same order? Kendall's tau-b", ["rungs", "points", "tau", "5 .. 95 %", "pairs turned round"], taus))
    ratios = [(row.over, row.under, row.rung, f"{row.band.median:.3g}", f"{row.band.low:.3g} .. {row.band.high:.3g}", row.verdict)
              for row in comparison.ratios if row.rung in rungs]
    if ratios:
        kept = ratios[:PAIRS_SHOWN * len(rungs)]
        caption = f"{len(ratios) - len(kept)} more on the page" if len(kept) < len(ratios) else ""
        shown.append(table("Ratios", ["energy of", "over that of", "rung", "median", "5 .. 95 %", "the first is"], kept, caption))
    crossings = [(network, found.rung, f"{found.spikes_per_synapse.median:.2g}",
                  f"{found.rate.median:.2%} ({found.rate.low:.2%} .. {found.rate.high:.2%})",
                  "-" if sweep.own_rate is None else f"{sweep.own_rate:.2%}")
                 for network, sweep in sweeps.items() for found in sweep.crossovers]
    if crossings:
        shown.append(table("As cheap as a quantized network without spikes, below",
                           ["network", "rung", "spikes per synapse", "spike rate", "its own rate"], crossings))
    text = Text("\n".join(f"  {sentence}" for sentence in comparison.conclusion))
    return [*shown, Text("Conclusion", "bold"), text, Text("")]

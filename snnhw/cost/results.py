"""Results as JSON."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from itertools import product
from typing import Any

import numpy as np

from snnhw.cost.constants import ConstantSet
from snnhw.cost.counts import Counts
from snnhw.cost.energy import Energy, ratio
from snnhw.cost.metrics import energy_metrics, layer_metrics
from snnhw.plan import Plan
from snnhw.plan.accesses import TIMES, count_names, events_of

__all__ = ["Json", "comparison_json", "constants_json", "energy_json", "layers_json", "spread_json", "steps_json"]

Json = dict[str, Any]


def spread_json(values: np.ndarray) -> Json:
    """Return mean, extremes and percentiles of a number that each sample has."""
    p5, p50, p95 = np.percentile(values, (5, 50, 95))
    return {
        "mean": float(values.mean()),
        "min": float(values.min()),
        "p5": float(p5),
        "p50": float(p50),
        "p95": float(p95),
        "max": float(values.max()),
    }


def _amounts(energy: Energy) -> Json:
    return {"mid_pj": energy.mid_pj, **energy.band.as_json()}


def energy_json(energy: Energy, metrics: Mapping[str, float]) -> Json:
    """Return an energy as JSON: the whole with its band, the parts, and what it rests on.

    Middle values of parts add up to that of the whole; medians and percentiles do not. `metrics` are those of the same samples:
    :func:`snnhw.cost.metrics.network_metrics`.
    """
    whole = energy.mid_pj

    def row(layer: str, kind: str) -> Json:
        part = energy.part(layer=layer, kind=kind)
        return {"layer": layer, "kind": kind, "share": part.mid_pj / whole if whole else 0.0, **_amounts(part)}

    return {
        "rung": energy.rung,
        "title": energy.title,
        "basis": energy.basis,
        "constants": energy.constants.name,
        "constants_title": energy.constants.title,
        "constants_kind": energy.constants.kind,
        "unit": "pJ per sample",
        **_amounts(energy),
        "sampling": asdict(energy.sampling) if energy.sampling is not None else None,
        **energy_metrics(energy, metrics),
        "static": _amounts(energy.part(static=True)),
        "dynamic": _amounts(energy.part(static=False)),
        "layers": {layer or "(design)": _amounts(energy.part(layer=layer)) for layer in energy.layers},
        "kinds": {kind: _amounts(energy.part(kind=kind)) for kind in energy.kinds},
        "rows": [row(*cell) for cell in energy.cells],
        "terms": [[term.layer, term.kind, term.amount, term.unit, list(term.parameters)] for term in energy.terms],
        "drivers": [
            {
                "parameters": list(driver.parameters),
                "share": driver.share,
                "provenance": driver.provenance,
                "value": driver.description,
            }
            for driver in energy.drivers
        ],
        "largest_is_assumed": energy.largest_is_assumed,
        "text": str(energy),
    }


def constants_json(constants: ConstantSet) -> Json:
    """Return a constant set as JSON rows."""
    return {
        "name": constants.name,
        "title": constants.title,
        "kind": constants.kind,
        "device": constants.device,
        "node": constants.node,
        "flavour": constants.flavour,
        "parameters": [
            {"name": name, **record.model_dump(), "device": constants.where(record)[0], "node": constants.where(record)[1]}
            for name, record in constants.parameters.items()
        ],
    }


def layers_json(plan: Plan, trains: Mapping[str, np.ndarray], counts: Counts) -> list[Json]:
    """Return shape, counts and metrics of each layer; utilisation is synaptic operations over lanes times cycles."""
    rows = []
    for layer in plan.layers:
        metrics = layer_metrics(layer, events_of(layer, trains), trains[layer.name])
        rows.append(
            {
                "layer": layer.name,
                "inputs": layer.inputs,
                "neurons": layer.outputs,
                "sources": [{"layer": source.name, "delayed": source.delayed} for source in layer.sources],
                "lanes": layer.lanes,
                "tiles": layer.tiles,
                "weight_bits": layer.weight_bits,
                "state_bits": layer.state_bits,
                "lane_utilisation": float(metrics["synaptic_operations"]) / (layer.lanes * counts.mean_cycles),
                "counts": {
                    name: counts.mean(layer.index, name) for name in (*count_names(layer), *(TIMES if counts.times else ()))
                },
                "metrics": metrics,
            }
        )
    return rows


_STEPS = (
    ("A0", "A1", "memory accesses that the operation count leaves out"),
    ("A1", "A2", "the constants of the FPGA, its clock and its static power"),
    ("A1", "R1", "error of the predicted counts"),
    ("A2", "R1", "error of the predicted counts"),
    ("A2", "R2", "activity that a count of operations cannot see"),
    ("R2", "R3", "what synthesis makes of the signals: nets by class, and memory blocks that are really enabled"),
    ("R3", "R4", "glitches: R3 takes their share from the circuit its constants were measured on, R4 counts them"),
)


def steps_json(energies: list[Energy]) -> list[Json]:
    """Return what each rung adds to the one before, as a ratio in common draws: the upper rung over the lower."""
    steps = []
    for lower, upper, meaning in _STEPS:
        for under, over in product(energies, energies):
            # Only the step from A1 to A2 changes the constants, and its ratio says so.
            alike = under.constants == over.constants or (lower, upper) == ("A1", "A2")
            if (under.rung, over.rung) == (lower, upper) and alike:
                quotient = ratio(over, under)
                steps.append(
                    {
                        "from": lower,
                        "to": upper,
                        "constants": over.constants.title,
                        "meaning": meaning,
                        **quotient.band.as_json(),
                        "note": quotient.note,
                        "text": str(quotient),
                    }
                )
    return steps


def comparison_json(energies: list[Energy]) -> list[Json]:
    """Return the analytical, the RTL and the netlist energy of each kind in each layer, FPGA constants on all sides."""
    by_rung = {energy.rung: energy for energy in energies if energy.constants.kind == "fpga"}
    if "R2" not in by_rung:
        return []
    named = {"analytical_pj": "A2", "rtl_pj": "R2", "netlist_pj": "R3", "delayed_pj": "R4"}
    found = {name: by_rung[rung] for name, rung in named.items() if rung in by_rung}
    every = replace(by_rung["R2"], terms=tuple(term for energy in found.values() for term in energy.terms))
    rows = []
    for layer, kind in every.cells:
        values = {name: energy.part(layer=layer, kind=kind).mid_pj for name, energy in found.items()}
        one = values["analytical_pj"]
        rows.append({"layer": layer, "kind": kind, **values, "ratio": values["rtl_pj"] / one if one else None})
    return rows

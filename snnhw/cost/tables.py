"""Results of the flow as tables of text, for the terminal and for the report."""

from dataclasses import dataclass
from typing import Any

from snnhw.cost.bands import format_energy

__all__ = ["TextTable", "comparison_table", "constants_table", "energy_table", "layer_table"]


@dataclass(frozen=True)
class TextTable:
    """A table for people.

    Parameters
    ----------
    title : str
        What it shows.
    columns : tuple of str
        Headings.
    rows : tuple of tuple of str
        Cells.
    numeric : frozenset of int
        Columns that are set flush right.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: frozenset[int]


def _evidence(energy: dict[str, Any]) -> str:
    parts = ", ".join(
        f"{' x '.join(driver['parameters'])} {driver['share']:.0%} "
        f"{driver['provenance'].upper() if driver['provenance'] == 'assumed' else driver['provenance']}"
        for driver in energy["drivers"][:3]
    )
    return f"largest term ASSUMED: {parts}" if energy["largest_is_assumed"] else parts


def _basis(energy: dict[str, Any]) -> str:
    sampling = energy.get("sampling")
    if sampling is None or sampling["measured"] == sampling["of"]:
        return str(energy["basis"])
    error = "unknown" if sampling["relative_error"] is None else f"{sampling['relative_error']:.1%}"
    return f"{energy['basis']}, {sampling['measured']} of {sampling['of']} samples, error {error}"


def energy_table(energies: list[dict[str, Any]]) -> TextTable:
    """Return one line for each rung; a joule whose largest term is assumed says so in its line."""
    rows = tuple(
        (
            energy["rung"],
            energy["title"],
            _basis(energy),
            energy["constants_title"],
            format_energy(energy["median"]),
            f"{format_energy(energy['low'])} .. {format_energy(energy['high'])}",
            "" if energy["pj_per_synaptic_operation"] is None else f"{energy['pj_per_synaptic_operation']:.3g}",
            _evidence(energy),
        )
        for energy in energies
    )
    return TextTable(
        "energy per sample",
        ("rung", "counts", "basis", "constants", "median", "5 .. 95 %", "pJ/SOP", "rests on"),
        rows,
        frozenset({4, 5, 6}),
    )


def comparison_table(comparison: list[dict[str, Any]]) -> TextTable:
    """Return the analytical energy against that of the activity of RTL and netlist, per layer and kind, and their sums."""
    names = {"analytical_pj": "A2 analytical", "rtl_pj": "R2 RTL", "netlist_pj": "R3 netlist", "delayed_pj": "R4 with delays"}
    shown = [name for name in names if comparison and name in comparison[0]]

    def cells(layer: str, kind: str, values: dict[str, float]) -> tuple[str, ...]:
        analytical = values.get("analytical_pj")
        ratio = f"{values['rtl_pj'] / analytical:.2f}" if analytical else "-"
        return layer, kind, *(format_energy(values[name]) for name in shown), ratio

    rows = [cells(row["layer"] or "(design)", row["kind"], row) for row in comparison]
    if comparison:
        rows.append(cells("total", "", {name: sum(row[name] for row in comparison) for name in shown}))
    return TextTable(
        "analytical against RTL and netlist activity, middle constants" if "netlist_pj" in shown
        else "analytical against RTL activity, middle constants",
        ("layer", "kind", *(names[name] for name in shown), "R2 / A2"),
        tuple(rows),
        frozenset(range(2, 3 + len(shown))),
    )


def layer_table(layers: list[dict[str, Any]]) -> TextTable:
    """Return the work of each layer."""
    rows = tuple(
        (
            row["layer"],
            f"{row['inputs']} → {row['neurons']}",
            str(row["lanes"]),
            f"{row['weight_bits']} / {row['state_bits']}",
            f"{row['metrics']['synaptic_operations']:.0f}",
            f"{row['metrics']['effective_acs']:.0f}",
            f"{row['metrics']['spikes']:.1f}",
            f"{row['lane_utilisation']:.1%}",
        )
        for row in layers
    )
    return TextTable(
        "work per sample",
        ("layer", "shape", "lanes", "weight / state bits", "synaptic operations", "effective ACs", "spikes", "lane utilisation"),
        rows,
        frozenset({2, 3, 4, 5, 6, 7}),
    )


def constants_table(constants: dict[str, Any]) -> TextTable:
    """Return the parameters of a set with their evidence."""
    rows = tuple(
        (row["name"], f"{row['mid']:g}", f"{row['low']:g} .. {row['high']:g}", row["unit"], row["provenance"], row["source"])
        for row in constants["parameters"]
    )
    return TextTable(
        f"{constants['title']}: {constants['device']}",
        ("parameter", "mid", "5 .. 95 %", "unit", "evidence", "source"),
        rows,
        frozenset({1, 2}),
    )

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


def energy_table(energies: list[dict[str, Any]]) -> TextTable:
    """Return one line for each rung; a joule whose largest term is assumed says so in its line."""
    rows = tuple(
        (
            energy["rung"],
            energy["title"],
            energy["basis"],
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
    """Return the analytical energy against that of the RTL's activity, per layer and kind, and their sums."""

    def cells(layer: str, kind: str, analytical: float, rtl: float) -> tuple[str, ...]:
        return layer, kind, format_energy(analytical), format_energy(rtl), f"{rtl / analytical:.2f}" if analytical else "-"

    rows = [cells(row["layer"] or "(design)", row["kind"], row["analytical_pj"], row["rtl_pj"]) for row in comparison]
    if comparison:
        rows.append(cells("total", "", sum(row["analytical_pj"] for row in comparison), sum(row["rtl_pj"] for row in comparison)))
    return TextTable(
        "analytical against RTL activity, middle constants",
        ("layer", "kind", "A2 analytical", "R2 RTL", "R2 / A2"),
        tuple(rows),
        frozenset({2, 3, 4}),
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

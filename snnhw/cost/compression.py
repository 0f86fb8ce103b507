"""What encodings and the architecture model say of one network, as plain values and as tables."""

from collections.abc import Sequence
from typing import Any

from snnhw.cost.architecture import SPADS, Architecture
from snnhw.cost.bands import format_energy
from snnhw.cost.encodings import parse_encoding
from snnhw.cost.hierarchy import evaluate, ratio_band
from snnhw.cost.ranking import ENCODINGS, best_run_length, find_break_even, rank_encodings
from snnhw.cost.tables import TextTable
from snnhw.cost.workload import LayerWorkload
from snnhw.ir import Conv, Graph, Linear, Scale

__all__ = ["MODEL_FORMATS", "compare_encodings", "compare_formats", "encoding_tables", "format_tables"]

#: Formats of weights that the architecture model is evaluated with.
MODEL_FORMATS = "dense", "rle4", "cp", "bitmask", "ubm", "uop"
LEVEL_GROUPS = {"DRAM": ("dram",), "buffer": ("global_buffer",), "scratchpads": SPADS, "units": ("units",),
                "links": ("dram_link", "array_link", "unit_link")}


def compare_encodings(graph: Graph) -> dict[str, Any]:
    """Return the size of the weights of each layer in each encoding, and which one pays.

    Run lengths are compared with a field of 4 bits, and with the width that suits the layer best.
    """
    layers: list[dict[str, Any]] = []
    for node in graph.nodes:
        if not isinstance(node, Linear | Conv | Scale):
            continue
        best_run = best_run_length(node.weight, node.weight_bits)
        ranked = rank_encodings(node.weight, node.weight_bits, tuple(dict.fromkeys((*ENCODINGS, best_run))))
        layers.append({
            "layer": node.name, "shape": list(node.weight.shape), "weight_bits": node.weight_bits, "density": ranked[0].density,
            "best": ranked[0].encoding.name, "saving": ranked[0].saving() if ranked[0].saves else 0.0,
            "encodings": [item.as_dict() | {"found_break_even": find_break_even(item.encoding, node.weight, node.weight_bits)}
                          for item in ranked],
        })
    dense = sum(layer["encodings"][0]["dense_bits"] for layer in layers)
    best = sum(layer["encodings"][0]["exact_bits"] for layer in layers)
    return {"layers": layers, "dense_bits": dense, "best_bits": best, "pays": best < dense}


def encoding_tables(comparison: dict[str, Any]) -> tuple[TextTable, ...]:
    """Return one table for each layer, the smallest encoding first."""
    return tuple(_encoding_table(layer) for layer in comparison["layers"])


def _encoding_table(layer: dict[str, Any]) -> TextTable:
    shape = "x".join(map(str, layer["shape"])) or "one"
    verdict = f"{layer['best']} saves {layer['saving']:.1%}" if layer["saving"] else "nothing saves"
    rows = tuple((
        item["encoding"], f"{item['exact_bits']:,}", f"{item['exact_payload_bits']:,}", f"{item['exact_metadata_bits']:,}",
        f"{item['sparseloop_bits']:,.0f}", f"{item['bits_per_weight']:.3f}", f"{item['ratio']:.3f}",
        _density(item["break_even"]), _density(item["found_break_even"]), "yes" if item["saves"] else "no",
    ) for item in layer["encodings"])
    # Names come from files; the terminal shows titles as they are.
    name = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in layer["layer"])
    return TextTable(
        f"{name}: {shape} weights of {layer['weight_bits']} bits, density {layer['density']:.3f}; {verdict}",
        ("encoding", "bits", "payload", "metadata", "as Sparseloop", "bits/weight", "of dense", "pays below", "on these weights",
         "pays"), rows, frozenset(range(1, 9)))


def _density(value: float | None) -> str:
    return "never" if value is None else f"{value:.3f}"


def compare_formats(workloads: Sequence[LayerWorkload], architecture: Architecture, *, activity: str = "mean",
                    formats: Sequence[str] = MODEL_FORMATS, seed: int = 0) -> dict[str, Any]:
    """Return what the network costs on an architecture with each format of its weights, and in detail with the cheapest.

    Every format gets the mappings that suit it best. Ratios are to dense weights, with the band of parameters drawn together.
    """
    names = tuple(dict.fromkeys(("dense", *formats)))
    results = {name: evaluate(workloads, architecture.changed(formats={"weights": parse_encoding(name).name}), activity=activity)
               for name in names}
    rows: list[dict[str, Any]] = []
    for name, result in results.items():
        ratio = ratio_band(result, results["dense"], seed=seed)
        rows.append({
            "format": name, "energy_pj": result.energy_pj, "band_pj": result.band(seed=seed).as_json(), "cycles": result.cycles,
            "edp_pj_cycles": result.edp, "metadata_pj": result.energy_by("part").get(("metadata",), 0.0),
            "dram_share": result.share("dram", "dram_link"), "of_dense": ratio.as_json(), "pays": ratio.median < 1,
            "levels": {level: pj for (level,), pj in result.energy_by("level").items()},
        })
    rows.sort(key=lambda row: (row["energy_pj"], row["format"] != "dense"))
    return {"architecture": architecture.name, "activity": activity, "best": rows[0]["format"], "formats": rows,
            "detail": results[rows[0]["format"]].as_dict(seed=seed)}


def format_tables(comparison: dict[str, Any]) -> tuple[TextTable, ...]:
    """Return the formats with their energies, and the energy of each layer and level with the best of them."""
    rows = tuple((
        row["format"], format_energy(row["energy_pj"]),
        f"{format_energy(row['band_pj']['low'])} .. {format_energy(row['band_pj']['high'])}", format_energy(row["metadata_pj"]),
        f"{row['dram_share']:.0%}", f"{row['cycles']:,.0f}",
        f"{row['of_dense']['median']:.3f} ({row['of_dense']['low']:.2f} .. {row['of_dense']['high']:.2f})",
        "yes" if row["pays"] else "no",
    ) for row in comparison["formats"])
    detail = comparison["detail"]
    layers = []
    for layer in detail["layers"]:
        spent: dict[str, float] = {}
        for use in layer["uses"]:
            spent[use["level"]] = spent.get(use["level"], 0.0) + use["pj"]
        layers.append((layer["layer"], _mapping(layer["mapping"]), f"{layer['cycles']:,.0f}", layer["bound_by"].replace("_", " "),
                       format_energy(layer["energy_pj"]), *_grouped(spent)))
    layers.append(("total", "", f"{detail['cycles']:,.0f}", "", format_energy(detail["energy_pj"]), *_grouped(detail["levels"])))
    return (
        TextTable(f"energy per sample on {detail['title']}, {comparison['activity']} activity, modelled",
                  ("weights", "energy", "5 .. 95 %", "metadata", "DRAM", "cycles", "of dense", "pays"), rows,
                  frozenset(range(1, 7))),
        TextTable(f"energy of each layer and level, weights {comparison['best']}",
                  ("layer", "mapping", "cycles", "bound by", "energy", *LEVEL_GROUPS), tuple(layers),
                  frozenset({2, *range(4, 5 + len(LEVEL_GROUPS))})),
    )


def _grouped(levels: dict[str, float]) -> tuple[str, ...]:
    """Return the energies of some levels in the columns of the table."""
    return tuple(format_energy(sum(levels.get(level, 0.0) for level in group)) for group in LEVEL_GROUPS.values())


def _mapping(mapping: dict[str, Any]) -> str:
    parts = [f"{mapping['order']} {mapping['m']}x{mapping['c']}"]
    parts += [f"{what}{mapping[name]}" for name, what in (("x", "x="), ("t", "t=")) if mapping[name] > 1]
    return " ".join(parts)

"""What the figures of Schaefer et al. (2023) show, from our own runs: plain values, which the report draws."""

from typing import Any

from snnhw.studies.grid import FORMATS, Grid, Spread, Trained
from snnhw.studies.quantize_prune import BITS, CHECKED, Point

__all__ = ["figure_data"]

LEVELS_OF = {"DRAM": ("dram", "dram_link"), "buffer": ("global_buffer", "array_link"),
             "scratchpads": ("input_spad", "weight_spad", "sum_spad", "unit_link"), "units": ("units",)}


def figure_data(grid: Grid) -> dict[str, Any]:
    """Return the points of each figure, as far as they are trained. Energies in µJ, accuracies and zeros in percent.

    Returns
    -------
    dict
        ``"accuracy"``: series of accuracy over energy, and the Pareto front. ``"pruning"``: energy over pruned share, a series
        for each format of 8-bit and of ternary weights. ``"bits"``: energy over width, with and without use of zeros.
        ``"layers"``: zeros of each layer. ``"parts"``: energy of each level. Figures without points are left out.
    """
    found = {"accuracy": _accuracy(grid), "pruning": _pruning(grid), "bits": _bits(grid), "layers": _layers(grid),
             "parts": _parts(grid)}
    return {name: content for name, content in found.items() if content}


def _uj(spread: Spread) -> list[float]:
    return [spread.mean / 1e6, spread.deviation / 1e6]


def _percent(spread: Spread) -> list[float]:
    return [spread.mean * 100, spread.deviation * 100]


def _accuracy(grid: Grid) -> dict[str, Any]:
    groups = {"quantized": lambda point: not point.pruned, "pruned, 8 b": lambda point: point.pruned and point.bits == 8,
              "both, jointly": lambda point: point.pruned and point.bits < 8 and point.schedule == "joint",
              "both, cumulatively": lambda point: point.pruned and point.bits < 8 and point.schedule == "cumulative"}
    series = {name: [{"title": point.title, "x": _uj(grid.energy(point)), "y": _percent(grid.accuracy(point))}
                     for point in grid.complete if choose(point)] for name, choose in groups.items()}
    front = [[grid.energy(point).mean / 1e6, grid.accuracy(point).mean * 100] for point in grid.front()]
    return {"series": {name: points for name, points in series.items() if points}, "front": front} if front else {}


def _pruning(grid: Grid) -> dict[str, Any]:
    series = {}
    for bits in (2, 8):
        points = [point for point in grid.complete if point.schedule == "joint" and point.bits == bits]
        for name in FORMATS:
            if len(points) > 1:
                width = "ternary" if bits == 2 else f"{bits} b"
                series[f"{name}, {width}"] = [[point.pruned * 100, *_uj(grid.energy(point, name))] for point in points]
    return {"series": series} if series else {}


def _bits(grid: Grid) -> dict[str, Any]:
    points = [point for bits in BITS if grid.has(point := Point("joint", bits))]
    ways = {"rle4, zeros used": ("rle4", True), "uop, zeros used": ("uop", True), "ubm, zeros used": ("ubm", True),
            "dense, zeros not used": ("dense", False)}
    series = {title: [[point.bits, *_uj(grid.energy(point, name, zeros=zeros))] for point in points]
              for title, (name, zeros) in ways.items()}
    return {"series": series} if len(points) > 1 else {}


def _layers(grid: Grid) -> dict[str, Any]:
    points = [point for point in CHECKED if grid.has(point)]
    if not points:
        return {}
    names = [layer.name for layer in grid.first(points[0]).layers]
    bars = {}
    for point in points:
        bars[point.title] = [_percent(grid.each(lambda item, index=index: 1 - item.layers[index].weight_density, point))
                             for index in range(len(names))]
    return {"names": names, "bars": bars}


def _parts(grid: Grid) -> dict[str, Any]:
    points = [point for point in (Point("joint", 8), Point("joint", 8, 0.8), Point("joint", 2), Point("joint", 3, 0.8))
              if grid.has(point)]
    panels = {"DRAM, timesteps\none by one": "dram", "DRAM, timesteps\nall at once": "batch", "weights\non chip": "chip"}
    bars = {title: {point.title: {part: _part(grid, point, architecture, levels) for part, levels in LEVELS_OF.items()}
                    for point in points} for title, architecture in panels.items()}
    return {"parts": list(LEVELS_OF), "panels": bars} if points else {}


def _part(grid: Grid, point: Point, architecture: str, levels: tuple[str, ...]) -> float:
    """Return the mean energy of some levels in µJ."""
    def part(item: Trained) -> float:
        found = item.energy("rle4", architecture)
        return found.share(*levels) * found.energy_pj / 1e6

    return grid.each(part, point).mean

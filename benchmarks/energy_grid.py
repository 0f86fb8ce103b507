"""Quantization against pruning on generated hardware: the experiment of Schaefer et al. (2023) on the rungs of the energy ladder.

    SNNHW_DATA=folder python benchmarks/energy_grid.py [train | measure | page] [--out FOLDER] [--network NAME] [--gates COUNT]

``train`` trains what is missing, ``measure`` also simulates what is missing and writes benchmarks/energy_grid.json, ``page`` only
writes docs/energy.md and its figures from that file, without any data; without a name all three are done. Each run leaves its
file under --out, so that what is stopped goes on. Two networks, weights of 2, 3, 4, 6 and 8 bits, 0 to 95 % pruned without
structure and in banks: 55 points each. The netlists of COUNT of them are simulated too, those that conclusions rest on first.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from snnhw.cli.output import versions
from snnhw.files import read_json, write_bytes
from snnhw.report.energy_grid import GRID_CAPTIONS, draw_energy_grid
from snnhw.studies import RunCache
from snnhw.studies.energy_grid import LOADED, GridPoint, GridStudy, every_grid_point, grid_study
from snnhw.studies.energy_measure import Hardware, priced
from snnhw.studies.energy_page import energy_page, grid_figures

ROOT = Path(__file__).resolve().parent.parent
RECORD = ROOT / "benchmarks" / "energy_grid.json"
PAGE = ROOT / "docs" / "energy.md"
NETWORKS = "mnist-fc", "mnist-conv"
SEED = 1
GATES = GridPoint(2), GridPoint(8, 0.8, "unstructured"), GridPoint(8, 0.8, "bank"), GridPoint(3), GridPoint(4), GridPoint(8), \
    GridPoint(3, 0.8, "unstructured"), GridPoint(3, 0.8, "bank"), GridPoint(2, 0.8, "unstructured"), GridPoint(2, 0.8, "bank"), \
    GridPoint(6), GridPoint(4, 0.8, "unstructured"), GridPoint(4, 0.8, "bank")
"""The points whose netlists are simulated first."""
DELAYED = GridPoint(2), GridPoint(8, 0.8, "unstructured"), GridPoint(8, 0.8, "bank")
"""The points whose netlists are simulated with delays too."""
LARGE_MEMORIES = tuple(GridPoint(bits) for bits in (2, 3, 4, 6, 8))
"""The points of the fully connected network that are also built with their weights in the large memories of the board."""


def say(text: str) -> None:
    """Tell what was done."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def train(study: GridStudy) -> None:
    """Train every point that is missing."""
    for point in every_grid_point():
        found = study.trained(SEED, point)
        say(f"{study.name}, {point.title}: {found['test']:.2%}")


def gate_points() -> tuple[GridPoint, ...]:
    """Return all points in the order in which their netlists are simulated."""
    return (*GATES, *(point for point in every_grid_point() if point not in GATES))


def measure(study: GridStudy, gates: int) -> list[dict[str, Any]]:
    """Return the records of a network; the netlists of the first `gates` points are simulated too, if they were not before."""
    points = every_grid_point()
    chosen = set(gate_points()[:gates])
    records = []
    for point in points:
        hardware = Hardware(study, SEED, point)
        plain = point in chosen or hardware.has_netlist()
        delayed = (point in chosen and point in DELAYED) or hardware.has_netlist(delayed=True)
        record = hardware.record(gates=plain, delayed=delayed)
        records.append(record)
        say(f"{study.name}, {point.title}: "
            + ", ".join(f"{row['rung']} {row['mid_pj'] / 1e6:.4g} uJ" for row in record["energy"]))
    if study.name == NETWORKS[0]:
        for point in LARGE_MEMORIES:
            hardware = Hardware(study, SEED, point, LOADED)
            records.append(hardware.record(gates=bool(gates) or hardware.has_netlist(),
                                           delayed=bool(gates) or hardware.has_netlist(delayed=True)))
            say(f"{study.name}, {point.title}, {LOADED}")
    return records


def write_record(grid: dict[str, Any]) -> None:
    """Write benchmarks/energy_grid.json, a line for each point."""
    lines = ",\n".join(json.dumps(record, separators=(",", ":")) for record in grid["points"])
    head = json.dumps({name: grid[name] for name in ("versions", "networks")}, indent=1)[:-2]
    write_bytes(RECORD, f'{head},\n "points": [\n{lines}\n ]\n}}\n'.encode())


def write_page(grid: dict[str, Any]) -> None:
    """Write docs/energy.md and its figures."""
    figures = []
    for name, text in draw_energy_grid(grid_figures(grid)).items():
        write_bytes(PAGE.parent / "figures" / f"energy-{name}.svg", text.encode())
        figures.append((f"figures/energy-{name}.svg", GRID_CAPTIONS[name]))
    write_bytes(PAGE, energy_page(grid, figures).encode())


def main() -> int:
    parser = argparse.ArgumentParser(description="Quantization against pruning on generated hardware.")
    parser.add_argument("what", nargs="?", choices=("train", "measure", "page"), help="by default all of it")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "energy-grid", help="where finished runs are kept")
    parser.add_argument("--network", choices=NETWORKS, action="append", help="only this one (with train and measure)")
    parser.add_argument("--gates", type=int, default=13, help="points of each network whose netlist is simulated (13)")
    given = parser.parse_args()
    if given.what != "page" and "SNNHW_DATA" not in os.environ:
        parser.error("SNNHW_DATA must name the folder of the data sets")
    names = tuple(given.network or NETWORKS)
    if given.what != "page":
        cache = RunCache(given.out / "runs")
        records = []
        for name in names:
            study = grid_study(name, cache)
            train(study)
            if given.what != "train":
                records += measure(study, given.gates)
        if given.what != "train" and names == NETWORKS:
            facts = {name: grid_study(name, cache).facts() for name in names}
            write_record({"versions": versions(), "networks": facts, "points": records})
    if given.what in (None, "page"):
        grid = read_json(RECORD, "record of the energy grid")
        assert isinstance(grid, dict)
        # Constants may be others than when the points were measured: what was counted stays.
        grid["points"] = [priced(record) for record in grid["points"]]
        write_record(grid)
        write_page(grid)
    return 0


if __name__ == "__main__":
    sys.exit(main())

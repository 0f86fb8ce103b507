"""The committed record of the energy grid, and the page that is made of it."""

import importlib.util
import re
from pathlib import Path

import pytest

from snnhw.files import read_json
from snnhw.studies.energy_page import NetworkGrid, energy_page

ROOT = Path(__file__).resolve().parent.parent.parent
RECORD, PAGE = ROOT / "benchmarks" / "energy_grid.json", ROOT / "docs" / "energy.md"


@pytest.fixture(scope="module")
def grid():
    return read_json(RECORD, "record of the energy grid")


@pytest.fixture(scope="module")
def script():
    found = importlib.util.spec_from_file_location("energy_grid_script", ROOT / "benchmarks" / "energy_grid.py")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def test_page_is_that_of_the_record(grid, script):
    figures = [(f"figures/energy-{name}.svg", text) for name, text in script.GRID_CAPTIONS.items()]
    assert PAGE.read_text() == energy_page(grid, figures)
    assert all((PAGE.parent / path).is_file() for path in re.findall(r"\]\((figures/[^)]+)\)", PAGE.read_text()))


def test_record_has_the_whole_grid_on_every_rung(grid, script):
    for name in script.NETWORKS:
        network = NetworkGrid(name, grid["points"])
        wanted = {(point.bits, point.sparsity, point.structure) for point in script.every_grid_point()}
        assert {(item["bits"], item["sparsity"], item["structure"]) for item in network.records} == wanted
        for item in network.records:
            assert {"A0", "A1", "A2", "R1", "R2"} <= {row["rung"] for row in item["energy"]}
        assert sum("R3" in point.energies for point in network.points) >= 8


def test_energies_are_the_sums_of_their_terms(grid, script):
    for name in script.NETWORKS:
        for point, item in zip((network := NetworkGrid(name, grid["points"])).points, network.records, strict=True):
            for row in item["energy"]:
                key = "R1 fpga" if row["rung"] == "R1" and row["constants_kind"] == "fpga" else row["rung"]
                assert point.energies[key].mid_pj == pytest.approx(row["mid_pj"], rel=1e-5)


def test_counts_of_the_rtl_are_the_predicted_ones(grid):
    for item in grid["points"]:
        rungs = {(row["rung"], row["constants_kind"]): row["terms"] for row in item["energy"]}
        assert rungs["A1", "asic"] == rungs["R1", "asic"]
        assert rungs["A2", "fpga"] == rungs["R1", "fpga"]

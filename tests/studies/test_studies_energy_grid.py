"""The energy grid: balanced masks, what the page concludes from made-up records, and the whole way on the digits."""

import json
from dataclasses import replace

import numpy as np
import pytest

from snnhw.compress.config import PruneConfig
from snnhw.compress.prune import magnitude_masks
from snnhw.cost import Energy, Term, estimate, load_constants
from snnhw.cost.results import energy_json
from snnhw.ir import Encoding, Graph, Input, Linear, Neuron, NeuronSpec, Readout
from snnhw.plan import make_plan
from snnhw.reference import run
from snnhw.report.energy_grid import GRID_CAPTIONS, draw_energy_grid
from snnhw.studies import RunCache
from snnhw.studies.energy_grid import SPARSITIES, GridPoint, balanced_mask, every_grid_point, grid_study
from snnhw.studies.energy_measure import Hardware, rounded, stratified
from snnhw.studies.energy_page import NetworkGrid, energy_page, grid_figures
from snnhw.studies.quantize_prune import BITS, DIGITS

ASIC, FPGA = load_constants("asic45"), load_constants("ice40up5k")
METRICS = {"spikes": 9.0, "synaptic_operations": 50.0, "effective_acs": 40.0, "effective_macs": 0.0}


# -------------------------------------------------------------------------- points and masks


def test_the_grid_is_that_of_the_issue():
    points = every_grid_point()
    assert len(points) == len(set(points)) == len(BITS) * (1 + 2 * (len(SPARSITIES) - 1)) == 55
    assert {point.sparsity for point in points[:15]} == {0.0, 0.8}


@pytest.mark.parametrize(("sparsity", "structure"), [(0.0, "bank"), (0.8, "none"), (0.8, "block")])
def test_points_must_make_sense(sparsity, structure):
    with pytest.raises(ValueError, match=rf"^Structure must be .*, not '{structure}'$"):
        GridPoint(8, sparsity, structure)
    with pytest.raises(ValueError, match=r"^Sparsity must be from 0 to below 1, not 1$"):
        GridPoint(8, 1, "bank")


def test_banks_of_one_source_are_those_of_the_pruner():
    weight = np.random.default_rng(1).normal(size=(22, 9))
    found = balanced_mask(np.abs(weight), 0.6, np.arange(22) % 4)
    expected = magnitude_masks({"fc": weight}, PruneConfig(sparsity=0.6, scope="bank", lanes=4))["fc"]
    assert np.array_equal(found, expected)


def test_banks_of_more_sources_keep_as_many_of_the_largest():
    magnitudes = np.abs(np.random.default_rng(2).normal(size=(8, 3, 2, 2)))
    lane = np.arange(8) // 2
    mask = balanced_mask(magnitudes, 0.7, lane, 4)
    for one in range(4):
        for channel in range(3):
            bank, kept = magnitudes[lane == one][:, channel], mask[lane == one][:, channel]
            assert kept.sum() == 2  # of 8: 0.3 * 8 = 2.4
            assert bank[kept].min() > bank[~kept].max()
    with pytest.raises(ValueError, match=r"^Span must divide the 12 presynaptic elements, not 5$"):
        balanced_mask(magnitudes, 0.7, lane, 5)


def test_samples_are_the_first_of_each_class():
    assert stratified(np.array([2, 0, 2, 1, 0, 1, 2]), 2).tolist() == [0, 1, 2, 3, 4, 5]


def test_rounding_keeps_what_is_no_float():
    assert rounded({"a": [1.23456789, 7, "x", True, 3.0], "b": (1e-9,)}) == {"a": [1.23457, 7, "x", True, 3], "b": [1e-9]}


# -------------------------------------------------------------------------- the page, from made-up records


def energy(rung, amount, kind="weights"):
    """Return an energy as it stands in a record, of `amount` pJ."""
    constants, name, unit = (ASIC, "add", "bit") if rung in ("A0", "A1") else (FPGA, "toggle", "toggle")
    term = Term("fc", kind, amount / constants[name].mid, unit, (name,))
    return energy_json(Energy(rung, rung, "simulated", constants, (term,)), METRICS)


def record(bits, sparsity=0.0, structure="none", *, accuracy=0.97, a1=None, r2=None, network="mnist-fc"):
    """Return a made-up record whose energies are those of its stored bits, unless told."""
    size = bits * (1 - sparsity) * 100
    return {"network": network, "bits": bits, "sparsity": sparsity, "structure": structure, "seed": 1, "hardware": "",
            "accuracy": accuracy, "weights": 1000, "zeros": sparsity, "format": {"fc": "dense" if not sparsity else "bank"},
            "packing": {"fc": "none"}, "lanes": {"fc": 4}, "stored_bits": 1000 * bits, "samples": 10, "cycles": 100.0,
            "counts_compared": 7, "metrics": METRICS,
            "energy": [energy("A1", size if a1 is None else a1), energy("R2", 2 * size if r2 is None else r2)]}


def grid(*records):
    """Return what the page is made of."""
    facts = {"layers": "784-128-10", "timesteps": 8, "tested": 10_000, "training": "2 epochs"}
    return {"versions": {"snnhw": "0"}, "networks": {item["network"]: facts for item in records}, "points": list(records)}


FULL = [record(bits) for bits in BITS] + [record(bits, 0.8, structure) for structure in ("unstructured", "bank") for bits in BITS]


@pytest.mark.parametrize(("accuracy", "best"), [(0.9599, "3 b"), (0.96, "ternary")])
def test_best_quantization_is_the_cheapest_that_loses_at_most_a_point(accuracy, best):
    pruned = record(8, 0.8, "unstructured", accuracy=0.9)
    network = NetworkGrid("mnist-fc", [record(2, accuracy=accuracy), record(3, accuracy=0.96), record(8, accuracy=0.97), pruned])
    found = {line.what: line.rows for line in network.headlines}
    assert {row.under for row in found["8 b + 80 % unstructured over the best quantization"]} == {best}
    assert "80 % pruned, any width, at most one point lost, over the best quantization" not in found


def test_rungs_that_not_all_have_keep_the_choice_of_the_rung_before():
    cheap, dear = record(3, 0.8, "bank"), record(8, 0.8, "bank")
    for item in (dear, record_of_ternary := record(2)):
        item["energy"].append(energy("R3", 1000.0))
    network = NetworkGrid("mnist-fc", [record_of_ternary, cheap, dear])
    found = {line.what: {row.rung: row.over for row in line.rows} for line in network.headlines}
    cheapest = found["80 % pruned, any width, whatever it loses, over the best quantization"]
    assert cheapest == dict.fromkeys(("A1", "R2"), "3 b, 80 % bank")
    widest = found["8 b + 80 % in banks over the best quantization"]
    assert widest == dict.fromkeys(("A1", "R2", "R3"), "8 b, 80 % bank")


def test_headlines_are_ratios_of_what_they_say():
    network = NetworkGrid("mnist-fc", [*FULL[:-1], record(8, 0.8, "bank", a1=100, r2=1000)])
    found = {line.what: {row.rung: row for row in line.rows} for line in network.headlines}
    paper = found["8 b + 80 % unstructured over ternary (the paper's ratio)"]
    assert paper["A1"].mid == pytest.approx(8 * 0.2 / 2)
    assert paper["A1"].verdict == "cheaper"
    banks = found["8 b + 80 % in banks over the best quantization"]
    assert (banks["A1"].mid, banks["R2"].mid) == pytest.approx((0.5, 2.5))
    page = energy_page(grid(*network.records))
    assert ("- **8 b + 80 % in banks over the best quantization**: quantization is cheaper, as in the paper, under R2 2.50; "
            "pruning is cheaper under A1 0.50. ") in page


def test_more_energy_for_less_is_listed_with_what_grew():
    records = [*FULL[:1], record(3, a1=100.0), *FULL[2:]]  # ternary has 200
    page = energy_page(grid(*records))
    assert "by rung: A1 1, R2 0." in page
    assert "| bits | ternary | 3 b | A1 2.000 | 1.000 | 1.000 |" in page
    assert "weights of fc +100 pJ" in page


def test_page_and_figures_show_every_network():
    records = [*FULL, *(item | {"network": "mnist-conv"} for item in FULL)]
    data = grid(*records)
    drawn = draw_energy_grid(grid_figures(data))
    assert drawn.keys() == GRID_CAPTIONS.keys()
    page = energy_page(data, [(f"figures/{name}.svg", text) for name, text in GRID_CAPTIONS.items()])
    assert page.count("### mnist-conv") == page.count("### mnist-fc") == 6
    assert all(f"mnist-conv, {rung}" in drawn[name] for name, rungs in (("front", ("A1", "R2")), ("scatter", ("R2",)))
               for rung in rungs)
    assert "| both | A1, R2 | 30 | 1.000 |" in page


# -------------------------------------------------------------------------- less never costs more, for the same events


def analytical(weight, bits, lane_format, events):
    """Return A0 and A1 of one layer whose inputs are given, with the counts that they come from: those of the RTL, R1."""
    entry = Input("input", (), (weight.shape[1],), Encoding("events"), 0, 1)
    neuron = Neuron("lif", ("fc",), NeuronSpec(1000, overflow="exact", bits=24))
    graph = Graph("layer", (entry, Linear("fc", ("input",), weight, bits), neuron, Readout("readout", ("lif",))), 5)
    plan = make_plan(graph, lanes={"lif": 4}, formats=lane_format, packings="none")
    return [row["mid_pj"] for row in estimate(plan, run(graph, events).spikes, draws=10)["energy"][:2]]


@pytest.mark.parametrize("name", ["csc", "bank", "run-length", "bitmap", "block"])
def test_fewer_weights_never_raise_a1(name):
    rng = np.random.default_rng(3)
    weight, events = rng.integers(1, 100, (32, 40)), rng.random((4, 5, 40)) < 0.2
    energies = [analytical(np.where(balanced_mask(weight, sparsity, np.arange(32) % 4), weight, 0), 8, name, events)
                for sparsity in (0.5, 0.75, 0.85, 0.95)]
    assert (np.diff(energies, axis=0) <= 1e-9).all()


def test_fewer_bits_never_raise_a1():
    rng = np.random.default_rng(4)
    weight, events = rng.integers(-127, 128, (32, 40)), rng.random((4, 5, 40)) < 0.2
    energies = [analytical(weight >> (8 - bits), bits, "dense", events) for bits in (8, 6, 4, 3, 2)]
    assert (np.diff(energies, axis=0) < 0).all()


# -------------------------------------------------------------------------- the whole way


def test_digits_from_training_to_the_netlist(tmp_path):
    pytest.importorskip("torch")
    setting = replace(DIGITS, hidden=16, timesteps=4, float_samples=300, float_epochs=4, samples=300, epochs=1, tested=100,
                      counted=20)
    study = grid_study("digits-fc", RunCache(tmp_path), setting)
    point = GridPoint(8, 0.75, "bank")
    item = Hardware(study, 1, point).record(gates=True)
    assert [row["rung"] for row in item["energy"]] == ["A0", "A1", "A2", "R1", "R1", "R2", "R3"]
    rungs = {(row["rung"], row["constants_kind"]): row["mid_pj"] for row in item["energy"]}
    assert rungs["A1", "asic"] == rungs["R1", "asic"]
    assert rungs["A2", "fpga"] == rungs["R1", "fpga"]
    assert item["samples"] == 10
    assert item["counts_compared"] > 100
    assert item["accuracy"] == study.trained(1, point)["test"]
    weight = study.grid_graph(1, point)["fc1"].weight
    for lane in range(4):  # 4 neurons of each lane, of which one may stay, unless it became 0
        assert (np.count_nonzero(weight[lane::4], axis=0) <= 1).all()
    assert item["zeros"] >= 0.7
    assert item["synthesis"]["cells"]["SB_LUT4"] > 100
    # All of it is found again, the netlist too: nothing is simulated twice.
    files = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert json.dumps(Hardware(study, 1, point).record(gates=True)) == json.dumps(item)
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == files

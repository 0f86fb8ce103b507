"""Calibration designs: synthesis keeps what they are for, the netlist does what they promise, bitstreams come of them."""

import json

import numpy as np
import pytest

from rtl_gen.calibration import (
    CALIBRATION_NAME,
    CHAIN,
    COUNTER_BITS,
    Beat,
    CalibrationDesign,
    calibration_designs,
    calibration_rtlil,
)
from snnhw.board import load_board
from snnhw.build.family import FAMILIES
from snnhw.calibrate import build_designs, count_design, example_accelerator, load_designs, stored_beats
from snnhw.calibrate.counting import DesignCounts
from snnhw.cost import load_constants
from snnhw.errors import BoardError, FileError, UsageError
from snnhw.files import write_json
from snnhw.tools import run_yosys

BOARDS = ("icebreaker", "ulx3s-85f")
CASES = [pytest.param(board, design.name, id=f"{board}-{design.name}")
         for board in BOARDS for design in calibration_designs(load_board(board), accelerator=False)]


def design_of(board, name):
    return next(design for design in calibration_designs(load_board(board)) if design.name == name)


def counts_of(board, name):
    design, target = design_of(board, name), load_board(board)
    text = calibration_rtlil(design, target, clock=False)
    return count_design(design, target, {"bare.il": text.encode()}, ["read_rtlil bare.il"])


def expected(board, design):
    """Return toggles in a cycle by class, enabled reads and writes, multiplications, flip-flops: what a design is for."""
    size, busy = design.size, design.activity == "busy"
    toggles, accesses, flip_flops = {}, {}, 2  # the probe and the light
    if design.pattern == "flip_flops":
        flip_flops += size
        toggles = {"register": size, "local": 1} if busy else {}
    elif design.pattern == "local":
        flip_flops += size + 1
        toggles = {"register": size + 1, "local": size + 1}
    elif design.pattern in ("near", "far"):
        flip_flops += size // CHAIN
        toggles = {"register": size // CHAIN, "local": 1, "routed": size}
    elif design.pattern == "fan_out":
        flip_flops += size
        toggles = {"register": size, "local": 1}
    elif design.pattern.endswith("_ram"):
        accesses = {design.pattern: {"reads": size * (design.activity != "write"), "writes": size * (design.activity == "write")}}
        flip_flops = None
    else:
        flip_flops = None
    return toggles, accesses, flip_flops


@pytest.mark.parametrize(("board", "name"), CASES)
def test_the_netlist_does_what_the_design_is_for(board, name):
    design, counts = design_of(board, name), counts_of(board, name)
    toggles, accesses, flip_flops = expected(board, design)
    if design.pattern == "static":
        assert counts == DesignCounts(0, {}, {}, 0.0, 0)
        return
    moved = {kind: count for kind, count in counts.toggles.items() if count}
    assert {resource: counts.accesses[resource] for resource in accesses} == accesses
    if flip_flops is not None:
        assert (counts.flip_flops, moved) == (flip_flops, toggles)
    elif design.pattern == "carry":
        bits = design.size * COUNTER_BITS
        assert counts.flip_flops == bits + 2
        # An odd constant turns over half of all bits, and the lowest one always.
        assert 0.45 * bits < moved["register"] < 0.65 * bits
        assert 0.3 * bits < moved["carry"] < 0.65 * bits
        assert moved.get("routed", 0) <= design.size
    elif design.pattern.endswith("_ram"):
        width = 36 if board == "ulx3s-85f" else 16
        data = {"read": 0.5 * design.size * width, "write": 0, "idle": 0}[design.activity]
        assert moved.get("memory", 0) == pytest.approx(data, rel=0.05)
        assert (design.activity == "idle") == (not moved)
        assert moved.get("routed", 0) < 2
    else:
        assert (counts.multiplications > 0.85 * design.size) == (design.pattern == "multiplier")
        assert (moved.get("multiplier", 0) > 2 * design.size) == (design.pattern == "multiplier")
        assert (moved.get("routed", 0) > 20 * design.size) == (design.pattern == "lut_multiplier")


@pytest.mark.parametrize(("board", "name", "cells"), [
    ("icebreaker", "luts_far", {"SB_LUT4": 512, "SB_DFF": 66}),
    ("icebreaker", "fan_out", {"SB_LUT4": 64 * CHAIN, "SB_DFF": 66}),
    ("icebreaker", "carry", {"SB_CARRY": 32 * (COUNTER_BITS - 2), "SB_DFF": 514}),
    ("icebreaker", "block_ram_write", {"SB_RAM40_4K": 8}),
    ("icebreaker", "single_port_ram_read", {"SB_SPRAM256KA": 4}),
    ("icebreaker", "multiplier_one", {"SB_MAC16": 4}),
    ("icebreaker", "lut_multiplier", {"SB_MAC16": 0}),
    ("icebreaker", "clock_x4", {"SB_PLL40_PAD": 1}),
    ("ulx3s-85f", "luts_local", {"LUT4": 512, "TRELLIS_FF": 515}),
    ("ulx3s-85f", "block_ram_read", {"DP16KD": 8}),
    ("ulx3s-85f", "multiplier", {"MULT18X18D": 4}),
    ("ulx3s-85f", "clock_x2", {"EHXPLLL": 1}),
])
def test_cells_survive_synthesis(tmp_path, board, name, cells):
    target = load_board(board)
    (tmp_path / "d.il").write_text(calibration_rtlil(design_of(board, name), target))
    run_yosys(["read_rtlil d.il", f"hierarchy -top {CALIBRATION_NAME}",
               f"{FAMILIES[target.family].synthesis(target)} -top {CALIBRATION_NAME}", "tee -q -o s.json stat -json"], tmp_path)
    found = json.loads((tmp_path / "s.json").read_text())["design"]["num_cells_by_type"]
    for kind, least in cells.items():
        number = found.get(kind, 0)
        # Tables beside those of the chains lead to the light.
        assert least <= number <= least + (280 if "LUT" in kind else 0), (kind, number)


def test_designs_are_those_that_the_board_has_cells_for():
    up5k, ecp5 = ({design.name for design in calibration_designs(load_board(board))} for board in BOARDS)
    assert up5k - ecp5 == {"luts_far", "single_port_ram_read", "single_port_ram_write", "single_port_ram_idle"}
    assert ecp5 <= up5k
    hx8k = {design.name for design in calibration_designs(load_board("ice40-hx8k"))}
    assert hx8k & {"multiplier", "multiplier_one", "single_port_ram_read"} == set()
    assert [design_of("icebreaker", f"clock_x{factor}").clock_hz(load_board("icebreaker")) for factor in (2, 4)] == [24e6, 48e6]


def test_the_same_design_is_the_same_text():
    board = load_board("icebreaker")
    for name in ("carry", "block_ram_read"):
        assert calibration_rtlil(design_of("icebreaker", name), board) == calibration_rtlil(design_of("icebreaker", name), board)


@pytest.mark.parametrize(("changes", "message"), [
    ({"pattern": "heater"}, r"^Pattern must be one of static, .*, accelerator, not 'heater'$"),
    ({"size": 0}, r"^Size must be between 1 and 65536, not 0$"),
    ({"activity": "read"}, r"^Activity of flip_flops must be busy or quiet, not 'read'$"),
    ({"pattern": "block_ram"}, r"^Activity of block_ram must be read or write or idle, not 'busy'$"),
])
def test_wrong_designs_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        CalibrationDesign(**{"name": "x", "title": "x", "pattern": "flip_flops"} | changes)


def test_beats_are_events_and_ticks():
    plan = example_accelerator().plan
    spikes = np.zeros((1, 2, 64), bool)
    spikes[0, 0, [5, 9]] = True
    assert stored_beats(plan, spikes) == (Beat(5), Beat(9), Beat(0, True), Beat(0, True, True))
    with pytest.raises(UsageError, match=r"^samples must have at most 4096 spikes and timesteps together .*, not 6500;"):
        stored_beats(plan, np.ones((10, 10, 64), bool))


def test_the_accelerator_computes_while_it_is_calibrated(tmp_path):
    board = load_board("icebreaker")
    results = build_designs(board, tmp_path / "out", only=["accelerator_idle", "accelerator_busy"], bitstreams=False)
    idle, busy = results["designs"]
    assert idle["counts"]["flip_flops"] == busy["counts"]["flip_flops"] > 200
    assert sum(idle["counts"]["toggles"].values()) < 1
    assert sum(busy["counts"]["toggles"].values()) > 50
    assert busy["counts"]["accesses"]["block_ram"]["reads"] > 1
    assert busy["rates"]["clock"] == idle["rates"]["clock"] == 12e6


def test_a_build_goes_on_where_it_ended(tmp_path):
    board, told = load_board("icebreaker"), []

    def tell(stage, done, total, text):
        told.append((stage, done, total, text))

    first = build_designs(board, tmp_path / "out", only=["static", "flip_flops_busy_8"], progress=tell)
    assert [row["name"] for row in first["designs"]] == ["static", "flip_flops_busy_8"]
    assert [(tmp_path / "out" / row["bitstream"]).stat().st_size for row in first["designs"]] == [104_090] * 2
    again = build_designs(board, tmp_path / "out", only=["flip_flops_busy_8", "carry"], bitstreams=False, progress=tell)
    assert [entry[1:] for entry in told] == [(1, 2, "static"), (2, 2, "flip_flops_busy_8"),
                                             (1, 2, "flip_flops_busy_8 (as it was)"), (2, 2, "carry")]
    assert [row["name"] for row in again["designs"]] == ["static", "flip_flops_busy_8", "carry"]
    name, records = load_designs(tmp_path / "out")
    assert name == "ice40up5k"
    assert [record.clock_hz for record in records] == [0, 12_000_000, 12_000_000]
    busy = records[1].counts.rates(1e6, load_constants("ice40up5k"), records[1].made_by)
    assert busy == {"static": 1.0, "clock": 1e6, "flip_flop_clock": 10e6, "toggle_register": 8e6, "toggle_local": 1e6}


def test_what_cannot_be_built_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"^design must be one of static, clock, .*, accelerator_busy, not 'heater'$"):
        build_designs(load_board("icebreaker"), tmp_path / "out", only=["heater"])
    with pytest.raises(BoardError, match=r"^board 'arty-a7-35t': calibration designs are made for ice40 and ecp5, not"):
        build_designs(load_board("arty-a7-35t"), tmp_path / "out")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("x")
    with pytest.raises(FileError, match=r"^output folder '.*mine' must be new, empty or one of calibration designs$"):
        build_designs(load_board("icebreaker"), tmp_path / "mine")
    write_json(tmp_path / "other" / "designs.json", {"schema": 1, "board": "ulx3s-85f", "designs": []})
    with pytest.raises(FileError, match=r"^output folder '.*other' must be of board 'icebreaker', not of 'ulx3s-85f'$"):
        build_designs(load_board("icebreaker"), tmp_path / "other")
    with pytest.raises(FileError, match=r"^designs file '.*designs\.json' must be one that `snnhw calibrate designs` wrote$"):
        load_designs(tmp_path / "other")


@pytest.mark.parametrize("amount", ["-5", "1e999", '"many"', "null"])
def test_amounts_of_a_damaged_file_are_refused(tmp_path, amount):
    counts = f'{{"flip_flops": {amount}, "toggles": {{}}, "accesses": {{}}, "multiplications": 0, "cycles": 1}}'
    row = f'{{"name": "clock", "title": "t", "clock_hz": 1, "made_by": "", "bitstream": "", "counts": {counts}}}'
    (tmp_path / "designs.json").write_text(f'{{"schema": 1, "constants": "ice40up5k", "designs": [{row}]}}')
    with pytest.raises(FileError, match=r"^designs file '.*designs\.json' must be one that `snnhw calibrate designs` wrote$"):
        load_designs(tmp_path)
    (tmp_path / "designs.json").write_text(f'{{"schema": 1, "constants": "ice40up5k", "designs": [{row.replace(amount, "5")}]}}')
    assert load_designs(tmp_path)[1][0].counts.flip_flops == 5


def test_amounts_are_those_of_the_parameters():
    accesses = {"block_ram": {"reads": 1.0, "writes": 0.5}, "distributed_ram": {"reads": 7.0, "writes": 0.0}}
    counts = DesignCounts(100, {"register": 3.0, "carry": 0.0}, accesses, 2.0, 4096)
    rates = counts.rates(10.0, load_constants("ecp5"), "pll")
    assert rates == {"static": 1.0, "clock": 10.0, "flip_flop_clock": 1000.0, "toggle_register": 30.0, "dp16kd": 15.0,
                     "multiply": 2 * 64 * 10.0, "pll": 1.0}
    assert counts.rates(0.0, load_constants("ecp5")) == {"static": 1.0}

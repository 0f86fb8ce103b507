# amaranth: UnusedElaboratable=no
"""Clocks that a board makes: exact dividers, a top that waits for them, and builds that meet them or say how far they came."""

import json
import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from board_bench import SimulatedBoard, small_plan
from hypothesis import given
from hypothesis import strategies as st

from rtl_gen.board_top import board_format, board_top_rtlil
from snnhw.board import Board, choose_clock, clocks_of, load_board
from snnhw.board.pll import LIMITS, baud_error, limits_of
from snnhw.build import build, flow
from snnhw.build.host import run_on_board
from snnhw.build.route import Route
from snnhw.build.synthesis import Synthesis
from snnhw.cli.folding import parse_clock
from snnhw.errors import BoardError, UsageError
from snnhw.reference import run

NAMES = ["icebreaker", "ice40-hx8k", "ulx3s-85f", "orangecrab-25f", "tang-nano-9k"]
MHZ = 1_000_000


def with_pll(name: str, **fields: object) -> Board:
    """Return a board whose PLL has other fields."""
    board = load_board(name)
    return board.model_copy(update={"pll": board.pll.model_copy(update=fields)})


def recompute(board: Board, parameters: dict) -> tuple[Fraction, Fraction, Fraction]:
    """Return phase detector, oscillator and output, from the formulas of the data sheets."""
    p, source = parameters, board.clock.hz
    if board.family == "ice40":
        detector = Fraction(source, p["DIVR"] + 1)
        vco = detector * (p["DIVF"] + 1)
        return detector, vco, vco / 2 ** p["DIVQ"]
    if board.family == "ecp5":
        detector = Fraction(source, p["CLKI_DIV"])
        vco = detector * p["CLKFB_DIV"] * p["CLKOP_DIV"]
        return detector, vco, vco / p["CLKOS_DIV"]
    detector = Fraction(source, p["IDIV_SEL"] + 1)
    output = detector * (p["FBDIV_SEL"] + 1)
    return detector, output * p["ODIV_SEL"], output


RANGES = {"DIVR": 16, "DIVF": 128, "DIVQ": 7, "FILTER_RANGE": 7, "CLKI_DIV": 129, "CLKFB_DIV": 81, "CLKOP_DIV": 129,
          "CLKOS_DIV": 129, "IDIV_SEL": 64, "FBDIV_SEL": 64, "ODIV_SEL": 129}


@pytest.mark.parametrize("name", NAMES)
def test_every_clock_is_what_its_dividers_make_and_within_the_limits(name):
    board, limits = load_board(name), LIMITS[load_board(name).pll.primitive]
    clocks = clocks_of(board)
    assert len(clocks) == len({clock.exact_hz for clock in clocks}) > 100
    assert [clock.exact_hz for clock in clocks] == sorted((clock.exact_hz for clock in clocks), reverse=True)
    for clock in clocks:
        detector, vco, output = recompute(board, clock.parameters)
        assert output == clock.exact_hz
        for value, (lowest, highest) in ((detector, limits.detector_hz), (vco, limits.vco_hz), (output, limits.output_hz)):
            assert lowest <= value <= highest
        assert all(0 <= value < RANGES[key] for key, value in clock.parameters.items())
        assert min(value for key, value in clock.parameters.items() if key.startswith("CLK") or key in ("DIVQ", "ODIV_SEL")) >= 1


def brute_force(board: Board) -> np.ndarray:
    """Return every frequency that the dividers of a board's PLL make within its limits, by trying all of them."""
    limits = limits_of(board)
    if board.family == "ice40":
        r, f, q = np.meshgrid(np.arange(1, 17), np.arange(1, 129), np.arange(1, 7), indexing="ij")
        detector = board.clock.hz / r
        vco = detector * f
        output = vco / 2.0 ** q
    elif board.family == "ecp5":
        r, multiple, q = np.meshgrid(np.arange(1, 129), np.arange(1, 81), np.arange(1, 129), indexing="ij")
        detector = board.clock.hz / r
        vco = detector * multiple
        output = vco / q
    else:
        r, f, q = np.meshgrid(np.arange(1, 65), np.arange(1, 65), [2, 4, 8, 16, 32, 48, 64, 80, 96, 112, 128], indexing="ij")
        detector = board.clock.hz / r
        output = detector * f
        vco = output * q
    fits = np.ones(output.shape, bool)
    for value, (lowest, highest) in ((detector, limits.detector_hz), (vco, limits.vco_hz), (output, limits.output_hz)):
        fits &= (value >= lowest - 1e-3) & (value <= highest + 1e-3)
    return np.unique(output[fits])


@pytest.mark.parametrize("name", NAMES)
def test_no_clock_is_missed(name):
    board = load_board(name)
    found = np.array([float(clock.exact_hz) for clock in clocks_of(board)])
    for wanted in brute_force(board):
        assert np.abs(found - wanted).min() < 1e-3


@given(name=st.sampled_from(NAMES), mhz=st.floats(20, 250))
def test_the_clock_is_the_fastest_that_is_not_above(name, mhz):
    board = load_board(name)
    best = max(clock.exact_hz for clock in clocks_of(board) if clock.exact_hz <= mhz * MHZ + 1)
    if baud_error(best, board.uart.baud) > 0.02:
        with pytest.raises(BoardError, match=(rf"^board '{name}': a clock of [\d.]+ MHz must give \d+ baud within 2%, and is "
                                              r"off by [\d.]+%; the next lower clock that does is [\d.]+ MHz$")):
            choose_clock(board, mhz * MHZ)
    elif abs(mhz * MHZ - board.clock.hz) > 1:
        assert choose_clock(board, mhz * MHZ).exact_hz == best


@pytest.mark.parametrize(("name", "mhz", "parameters"), [
    ("icebreaker", 24, {"DIVR": 0, "DIVF": 63, "DIVQ": 5, "FILTER_RANGE": 1}),  # as icepll has it
    ("ice40-hx8k", 48, {"DIVR": 0, "DIVF": 63, "DIVQ": 4, "FILTER_RANGE": 1}),
    ("ulx3s-85f", 60, {"CLKI_DIV": 1, "CLKFB_DIV": 1, "CLKOP_DIV": 24, "CLKOS_DIV": 10}),
    ("tang-nano-9k", 54, {"IDIV_SEL": 0, "FBDIV_SEL": 1, "ODIV_SEL": 16}),
])
def test_dividers_that_are_known(name, mhz, parameters):
    chosen = choose_clock(load_board(name), mhz * MHZ)
    assert (chosen.hz, chosen.parameters) == (mhz * MHZ, parameters)


def test_the_clock_of_the_board_needs_no_pll():
    assert choose_clock(load_board("icebreaker"), 12 * MHZ) is None


@pytest.mark.parametrize(("board", "mhz", "message"), [
    ("icebreaker", 5, "board 'icebreaker': clock must be between 16.125 and 270 MHz for its SB_PLL40_PAD, not 5"),
    ("ulx3s-85f", 500, "board 'ulx3s-85f': clock must be between 3.125 and 400 MHz for its EHXPLLL, not 500"),
    ("arty-a7-35t", 50, "board 'arty-a7-35t' has no other clock than its own, its board file has no pll beside 100 MHz"),
])
def test_a_clock_that_cannot_be_made_is_one_sentence(board, mhz, message):
    with pytest.raises(BoardError, match=f"^{re.escape(message)}$"):
        choose_clock(load_board(board), mhz * MHZ)


def test_a_line_that_would_be_too_far_off_is_one_sentence():
    board = load_board("icebreaker")
    assert baud_error(16.5e6, 1_000_000) == pytest.approx(0.0303, abs=1e-4)
    with pytest.raises(BoardError, match=(r"^board 'icebreaker': a clock of 16\.5 MHz must give 1000000 baud within 2%, "
                                          r"and is off by 3\.0%; the next lower clock that does is 16\.3125 MHz$")):
        choose_clock(board, 16.5 * MHZ)
    slow = load_board("ulx3s-85f")
    with pytest.raises(BoardError, match=r"^board 'ulx3s-85f': a clock of 5 MHz must .*, and divides by less than 8$"):
        choose_clock(slow, 5 * MHZ)


def test_limits_of_the_board_file_count():
    board = with_pll("icebreaker", output_hz=[16 * MHZ, 48 * MHZ])
    assert clocks_of(board)[0].hz == 48 * MHZ
    assert clocks_of(with_pll("icebreaker", input_hz=[16 * MHZ, 133 * MHZ])) == ()
    with pytest.raises(BoardError, match=r"^board 'icebreaker' has no other clock .*, its SB_PLL40_PAD cannot be used at 12 "):
        choose_clock(with_pll("icebreaker", input_hz=[16 * MHZ, 133 * MHZ]), 24 * MHZ)


def test_an_oscillator_without_a_crystal_is_refused_unless_it_was_measured():
    with pytest.raises(BoardError, match=r"^board 'icebreaker': a clock of 24 MHz must give .* within 2%, and is off by 10\.0%$"):
        choose_clock(with_pll("icebreaker", primitive="SB_HFOSC"), 24 * MHZ)
    measured = with_pll("icebreaker", primitive="SB_HFOSC", tolerance=0.01)
    assert [clock.hz for clock in clocks_of(measured)] == [48 * MHZ, 24 * MHZ, 12 * MHZ, 6 * MHZ]
    clock = choose_clock(measured, 47 * MHZ)
    assert (clock.hz, clock.parameters, clock.source_hz) == (24 * MHZ, {"CLKHF_DIV": 1}, 48 * MHZ)
    text = board_top_rtlil(board_format(small_plan([3, 2])), measured, led_inverted=False, clock=clock)
    assert 'parameter \\CLKHF_DIV "0b01"' in text
    assert not re.search(r"input \d+ +\\clk\n", text.partition("\nend\n")[0])


@pytest.mark.parametrize(("name", "cell", "line"), [
    ("icebreaker", "SB_PLL40_PAD", "connect \\PACKAGEPIN"), ("ice40-hx8k", "SB_PLL40_CORE", "connect \\REFERENCECLK"),
    ("ulx3s-85f", "EHXPLLL", "parameter \\CLKOS_DIV"), ("tang-nano-9k", "rPLL", 'parameter \\FCLKIN "27"')])
def test_the_cell_is_in_the_top(name, cell, line):
    board = load_board(name)
    plan = small_plan([3, 2])
    text = board_top_rtlil(board_format(plan), board, led_inverted=False, clock=choose_clock(board, 54 * MHZ))
    assert f"cell \\{cell} \\cell" in text
    assert line in text
    assert board_top_rtlil(board_format(plan), board, led_inverted=False, clock=choose_clock(board, 54 * MHZ)) == text
    assert cell not in board_top_rtlil(board_format(plan), board, led_inverted=False)


def test_spikes_behind_a_clock_that_locks_late_are_those_of_the_reference():
    plan = small_plan([5, 6, 3])
    spikes = np.random.default_rng(0).random((2, plan.graph.timesteps, plan.inputs)) < 0.5
    board = SimulatedBoard(plan, wild_cycles=200)
    assert (run_on_board(plan, board, spikes) == run(plan.graph, spikes).output_spikes).all()


def test_nothing_moves_before_the_clock_is_steady_nor_after_it_is_lost():
    plan = small_plan([2, 2])
    board = SimulatedBoard(plan, wild_cycles=600)
    core, seen = board.top.core, []

    async def watch(ctx):
        while not ctx.get(board.maker.locked):
            await ctx.posedge(core.aclk)
            assert (ctx.get(core.aresetn), ctx.get(board.top.uart_tx), ctx.get(board.top.led)) == (0, 1, 0)
            seen.append("wild")
        steady = 0
        while not ctx.get(core.aresetn):
            await ctx.posedge(core.aclk)
            steady += 1
        seen.append(steady)
        ctx.set(board.maker.locked, 0)
        for _ in range(5):
            await ctx.posedge(core.aclk)
        seen.append(ctx.get(core.aresetn))
    board.simulator.add_testbench(watch, background=True)
    board.run(1200)
    assert seen.count("wild") > 200
    # 16 microseconds at 8 MHz, and the edges that the lock takes to come through.
    assert 128 <= seen[-2] <= 133
    assert seen[-1] == 0


class Router:
    """Stands in for synthesis and router: reaches a frequency that depends on what is aimed at."""

    def __init__(self, monkeypatch, reach):
        self.aims, self.reach = [], reach
        monkeypatch.setattr(flow, "run_synthesis", self.synthesise)
        monkeypatch.setattr(flow, "_route", self.route)
        monkeypatch.setattr(flow, "pack_bitstream", lambda route, board, name: (route.routed, ["pack"]))

    def synthesise(self, source, board, top, pins, folder, clock=None):
        return Synthesis(top, {}, {}, folder / "netlist.json", [])

    def route(self, source, board, done, seeds, clock_hz, tell, clock=None):
        self.aims.append(clock_hz / 1e6)
        assert clock_hz == (clock.hz if clock else board.clock.hz)
        folder = done.netlist.parent
        routes = []
        for seed in seeds:
            (folder / f"seed{seed}.asc").write_text("")
            routes.append(Route(seed, self.reach(clock_hz / 1e6, seed), {}, {}, folder / f"seed{seed}.asc", ["route"]))
        return routes


def test_the_fastest_clock_is_found_from_what_the_best_seed_reaches(tmp_path, monkeypatch):
    router = Router(monkeypatch, lambda aim, seed: {48.0: 33.1, 33.0: 32.2}.get(aim, 32.9) - seed)
    result = build(small_plan([3, 2]), load_board("icebreaker"), seeds=(0, 1, 2), out=tmp_path / "out", clock="max")
    assert router.aims == [48.0, 33.0, 31.875]
    assert (result.clock.hz, result.meets_clock, result.bitstream.name) == (31_875_000, True, "seed0.asc")
    assert [entry["clock_mhz"] for entry in result.rounds] == [48.0, 33.0]
    assert "meets its 31.875 MHz clock" in result.verdict
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["clock"] == {"primitive": "SB_PLL40_PAD", "source_mhz": 12.0, "parameters": dict(result.clock.parameters)}
    assert manifest["rounds"][0]["fmax_mhz"] == {"0": 33.1, "1": 32.1, "2": 31.1}


def test_a_design_that_reaches_less_than_the_pll_makes_runs_at_the_clock_of_the_board(tmp_path, monkeypatch):
    router = Router(monkeypatch, lambda aim, seed: 14.0)
    result = build(small_plan([3, 2]), load_board("icebreaker"), seeds=(1,), out=tmp_path / "out", clock="max")
    assert router.aims == [48.0, 12.0]
    assert (result.clock, result.clock_hz, result.meets_clock) == (None, 12 * MHZ, True)


def test_a_design_that_is_slower_than_every_clock_is_one_sentence(tmp_path, monkeypatch):
    Router(monkeypatch, lambda aim, seed: 9.0)
    with pytest.raises(BoardError, match=r"^board 'icebreaker' has no clock as slow as 9 MHz, which is what the design reaches"):
        build(small_plan([3, 2]), load_board("icebreaker"), seeds=(1,), out=tmp_path / "out", clock="max")
    assert list(tmp_path.iterdir()) == []


def test_a_clock_that_is_missed_is_named_with_what_was_reached(tmp_path, monkeypatch):
    Router(monkeypatch, lambda aim, seed: 51.25)
    result = build(small_plan([3, 2]), load_board("ulx3s-85f"), seeds=(1,), out=tmp_path / "out", clock=60e6)
    assert result.meets_clock is False
    assert result.verdict == ("fits Radiona ULX3S with LFE5U-85F (LFE5U-85F) and misses its 60 MHz clock: 51.25 MHz (one "
                              "seed); use fewer lanes or narrower states")


@pytest.mark.parametrize("clock", [0.0, -1.0, 1e10])
def test_a_clock_is_positive(tmp_path, clock):
    with pytest.raises(UsageError, match=r"^clock must be positive and below 10 GHz, not "):
        build(small_plan([3, 2]), load_board("icebreaker"), out=tmp_path / "out", clock=clock)


def test_a_vivado_project_keeps_the_clock_of_the_board(tmp_path):
    with pytest.raises(BoardError, match=r"^board 'arty-a7-35t': clock must be that of the board, because"):
        build(small_plan([3, 2]), load_board("arty-a7-35t"), out=tmp_path / "out", clock=50e6)


@pytest.mark.parametrize("text", ["", "x", "0", "-3", "1e3", "24 MHz", "12345", "１２"])
def test_the_option_is_a_frequency_or_max(text):
    with pytest.raises(UsageError, match=r"^--clock must be a number of MHz, or max, not "):
        parse_clock(text)
    assert (parse_clock(None), parse_clock("max"), parse_clock("24"), parse_clock("33.25")) == (None, "max", 24e6, 33.25e6)


def derived(folder: Path) -> list[float]:
    """Return the frequencies that the router itself found behind the PLL."""
    log = (folder / "seed1.log").read_text()
    return [float(value) for value in re.findall(r"Derived frequency constraint of ([\d.]+) MHz", log)]


def test_the_router_sees_the_clock_that_was_asked_for(tmp_path):
    result = build(small_plan([5, 4, 3]), load_board("icebreaker"), seeds=(1,), out=tmp_path / "out", clock=24e6)
    assert derived(tmp_path / "out") == [24.0]
    assert (result.meets_clock, result.clock_hz) == (True, 24 * MHZ)
    report = json.loads((tmp_path / "out" / "seed1.report.json").read_text())
    assert report["utilization"]["ICESTORM_PLL"]["used"] == 1
    assert {round(clock["constraint"]) for clock in report["fmax"].values()} == {24}
    assert result.bitstream.stat().st_size == 104_090


@pytest.mark.slow
@pytest.mark.parametrize(("board", "mhz", "seen"), [
    (load_board("ice40-hx8k"), 48, [48.0]), (load_board("ulx3s-85f"), 60, [25.0, 60.0]),
    (load_board("orangecrab-25f"), 72, [48.0, 72.0]), (load_board("tang-nano-9k"), 54, []),
    (with_pll("icebreaker", primitive="SB_HFOSC", tolerance=0.01), 24, [24.0])])
def test_every_kind_of_clock_is_built(tmp_path, board, mhz, seen):
    result = build(small_plan([5, 4, 3]), board, seeds=(1,), out=tmp_path / "out", clock=mhz * MHZ)
    assert sorted(derived(tmp_path / "out")) == seen
    assert result.meets_clock
    assert result.bitstream.stat().st_size > 50_000

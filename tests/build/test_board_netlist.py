"""The netlist that becomes the bitstream, behind its serial line, equal to the reference."""

import shutil

import numpy as np
import pytest
from board_bench import small_plan

from snnhw.board import load_board
from snnhw.board.link import QUEUE_BYTES, Decoder
from snnhw.build import synthesize
from snnhw.build.host import loading_words
from snnhw.build.source import read_source
from snnhw.reference import run
from snnhw.tools import find_program, package_file, run_program, run_yosys


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("iverilog") is None, reason="Icarus Verilog is not installed: apt-get install iverilog")
@pytest.mark.parametrize(("sizes", "load", "cells"), [
    ([6, 5, 3], False, {"SB_RAM40_4K"}),
    ([9, 8, 3], True, {"SB_RAM40_4K", "SB_SPRAM256KA"}),
])
def test_bytes_through_the_netlist_are_those_of_the_reference(tmp_path, root, sizes, load, cells):
    plan = small_plan(sizes, load_weights=load, weight_bits=8)
    board = load_board("icebreaker")
    done = synthesize(plan, board, tmp_path, top="board")
    assert {kind for kind in done.cells if kind.startswith(("SB_RAM", "SB_SPRAM"))} == cells
    run_yosys(["read_json netlist.json", "select snnhw_board", "write_verilog -noattr -selected netlist.v"], tmp_path)

    form = read_source(plan).form
    spikes = np.random.default_rng(3).random((2, plan.graph.timesteps, plan.inputs)) < 0.5
    steps = [step for sample in spikes for step in form.timesteps(sample)]
    assert sum(map(len, steps)) <= QUEUE_BYTES
    content = form.restart() + form.weights(loading_words(plan)) + b"".join(steps)
    (tmp_path / "input.hex").write_text("\n".join(f"{byte:02x}" for byte in content) + "\n")
    models = package_file("pyosys", "share", "ice40", "cells_sim.v")
    run_program([find_program("iverilog", "apt-get install iverilog"), "-g2012", "-DNO_ICE40_DEFAULT_ASSIGNMENTS",
                 f"-Pbench.COUNT={len(content)}", f"-Pbench.DIVISOR={board.clock.hz // board.uart.baud}", "-s", "bench",
                 "-o", "bench.vvp", root / "tests" / "build" / "board_bench.v", "netlist.v", models], tmp_path)
    log = run_program([find_program("vvp", "apt-get install iverilog"), "-n", "bench.vvp"], tmp_path, timeout_s=300)
    assert "broken" not in log

    answer = bytes(int(line.split()[1], 16) for line in log.splitlines() if line.startswith("byte "))
    got = list(Decoder(form).feed(answer))
    expected = run(plan.graph, spikes).output_spikes.reshape(-1, plan.outputs)
    assert 0 < expected.sum() < expected.size
    assert [addresses for addresses, _ in got] == [np.flatnonzero(row).tolist() for row in expected]
    assert [last for _, last in got] == ([False] * (plan.graph.timesteps - 1) + [True]) * 2

# amaranth: UnusedElaboratable=no
"""The board top in the simulator: bytes in, bytes out, equal to the reference."""

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.sim import Simulator
from board_bench import CLOCK_HZ, SimulatedBoard, small_plan
from example_graphs import EXAMPLES, example_graph, spikes_of

from rtl_gen.board_top import BoardTop, board_format, board_top_rtlil
from rtl_gen.uart import UARTReceiver, UARTTransmitter
from snnhw.board import load_board
from snnhw.board.link import QUEUE_BYTES, Code, Decoder, exchange, restart
from snnhw.build.host import loading_words, run_on_board
from snnhw.plan import make_plan
from snnhw.reference import run
from snnhw.verify.compare import output_of


def trains(plan, samples: int, *, seed: int = 0, rate: float = 0.5) -> np.ndarray:
    return np.random.default_rng(seed).random((samples, plan.graph.timesteps, plan.inputs)) < rate


@pytest.mark.parametrize(("sizes", "load"), [([5, 6, 3], False), ([3, 4, 2], True)])
def test_spikes_on_the_board_are_those_of_the_reference(sizes, load):
    plan = small_plan(sizes, load_weights=load)
    spikes = trains(plan, 2)
    expected = run(plan.graph, spikes).output_spikes
    assert 0 < expected.sum() < expected.size
    assert (run_on_board(plan, SimulatedBoard(plan), spikes) == expected).all()


@pytest.mark.parametrize("load", [False, True])
@pytest.mark.parametrize("name", EXAMPLES)
def test_any_graph_on_the_board_answers_as_the_reference(name, load):
    graph = example_graph(name)
    plan = make_plan(graph, lanes=2, load_weights=load)
    spikes = spikes_of(graph, 2)
    expected = output_of(plan, run(graph, spikes))
    got = run_on_board(plan, SimulatedBoard(plan), spikes)
    assert got.dtype == (np.int64 if name in ("state", "count") else bool)
    assert np.unique(expected).size > 1
    assert (got == expected).all()
    assert (expected.min() < 0) == (name == "state")


def test_the_queue_holds_what_the_window_allows():
    """Few inputs and many outputs, so that the line back is slower than the line in."""
    plan = small_plan([2, 9, 7], timesteps=6)
    spikes = trains(plan, 1, rate=1.0)
    board = SimulatedBoard(plan)
    content = b"".join(board.top.form.timesteps(spikes[0]))
    expected = run(plan.graph, spikes).output_spikes[0]
    assert len(content) < len(expected) + 2 * expected.sum()
    assert len(content) <= QUEUE_BYTES
    board.write(content)  # all of it at once, which the window allows
    decoder, got = Decoder(board.top.form), []
    while content := board.read():
        got += decoder.feed(content)
    assert [sorted(step) for step, _ in got] == [np.flatnonzero(row).tolist() for row in expected]


def test_a_restart_recovers_from_half_a_message_and_half_a_sample():
    plan = small_plan([5, 4])
    spikes = trains(plan, 1)
    board = SimulatedBoard(plan, silence_cycles=1500)
    board.write(board.top.form.timestep([0, 1, 2], last=False) + bytes([Code.SPIKE]))  # a spike that lost its address
    restart(board, board.top.form)
    board.write(bytes([0x77]))  # not a message
    assert (exchange(board, board.top.form, spikes[0]) == run(plan.graph, spikes).output_spikes[0]).all()


def test_weights_are_needed_again_after_a_restart():
    plan = small_plan([3, 2], load_weights=True)
    spikes = trains(plan, 1)
    board = SimulatedBoard(plan, silence_cycles=1500)
    expected = run(plan.graph, spikes).output_spikes
    assert (run_on_board(plan, board, spikes) == expected).all()
    assert len(loading_words(plan)) == plan.loaded_words
    assert (run_on_board(plan, board, spikes) == expected).all()


def test_the_light_shows_activity():
    plan = small_plan([2, 2])
    board = SimulatedBoard(plan)
    lights = []

    async def watch(ctx):
        lights.append(ctx.get(board.top.led))
        await ctx.posedge(board.top.led)
        lights.append(ctx.get(board.top.led))
    board.simulator.add_testbench(watch, background=True)
    board.write(bytes([Code.TICK]))
    board.read()
    assert lights == [0, 1]


def test_the_core_waits_until_block_ram_reads_right():
    plan = small_plan([2, 2])
    board = SimulatedBoard(plan)
    core = board.top.core
    waited = 0

    async def watch(ctx):
        nonlocal waited
        while not ctx.get(core.aresetn):
            await ctx.posedge(core.aclk)
            waited += 1
    board.simulator.add_testbench(watch, background=True)
    board.run(200)
    assert 16e-6 * CLOCK_HZ <= waited <= 16e-6 * CLOCK_HZ + 2


def receive(divisor: int, wave: list[int]) -> list[int]:
    dut, got = UARTReceiver(divisor=divisor), []
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)

    async def drive(ctx):
        for level in wave:
            ctx.set(dut.rx, level)
            await ctx.tick()
            if ctx.get(dut.o.valid):
                got.append(ctx.get(dut.o.payload))
    simulator.add_testbench(drive)
    simulator.run()
    return got


def frame(byte: int, period: float, *, stop: int = 1) -> list[int]:
    bits = [0, *((byte >> index) & 1 for index in range(8)), stop]
    return [bits[int(cycle / period)] for cycle in range(round(10 * period))]


@pytest.mark.parametrize("divisor", [8, 9, 27])
@pytest.mark.parametrize("error", [0.97, 1.0, 1.03])
def test_a_receiver_bears_three_percent(divisor, error):
    wave = [1] * 5
    for byte in (0x00, 0xFF, 0x55, 0x81):
        wave += frame(byte, divisor * error)
    assert receive(divisor, wave + [1] * 3 * divisor) == [0x00, 0xFF, 0x55, 0x81]


def test_a_receiver_drops_glitches_and_broken_frames():
    quiet = [1] * 40
    assert receive(8, [*quiet, 0, 0, *quiet, *frame(0x3C, 8), *quiet]) == [0x3C]
    assert receive(8, [*quiet, *frame(0x3C, 8, stop=0), *quiet, *frame(0xA5, 8), *quiet]) == [0xA5]


def test_a_byte_takes_as_long_as_promised():
    divisor = 9
    dut = UARTTransmitter(divisor=divisor)
    receiver = UARTReceiver(divisor=divisor)
    m = Module()
    m.submodules += [dut, receiver]
    m.d.comb += receiver.rx.eq(dut.tx)
    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    accepted, received, levels = [], [], []

    async def bench(ctx):
        ctx.set(dut.i.valid, 1)
        ctx.set(dut.i.payload, 0xA6)
        for cycle in range(2 * 10 * divisor + 20):
            if ctx.get(dut.i.ready):
                accepted.append(cycle)
            if ctx.get(receiver.o.valid):
                received.append(cycle)
                assert ctx.get(receiver.o.payload) == 0xA6
            levels.append(ctx.get(dut.tx))
            await ctx.tick()
    simulator.add_testbench(bench)
    simulator.run()
    assert accepted[1] - accepted[0] == 10 * divisor + 1
    start = levels.index(0)
    assert received[0] - start == 2 + divisor // 2 + 9 * divisor


@pytest.mark.parametrize("divisor", [7, -1])
def test_a_divisor_that_is_too_small_is_refused(divisor):
    with pytest.raises(ValueError, match=f"Divisor must be at least 8, not {divisor}"):
        UARTReceiver(divisor=divisor)
    with pytest.raises(TypeError, match=r"Divisor must be an integer, not 8\.5"):
        UARTTransmitter(divisor=8.5)


def test_the_same_board_top_is_the_same_text():
    plan = small_plan([300, 3])
    board = load_board("icebreaker")
    texts = {board_top_rtlil(board_format(plan), board, led_inverted=True) for _ in range(2)}
    assert len(texts) == 1
    text, = texts
    for port in ("input 0  \\clk", "input 1  \\uart_rx", "output 2  \\uart_tx", "output 3  \\led"):
        assert port in text
    assert "cell \\snnhw_top \\core" in text
    assert "attribute \\src" not in text


def test_bit_time_is_that_of_the_line():
    plan = small_plan([2, 2])
    top = BoardTop(board_format(plan), clock_hz=12_000_000, baud=115_200)
    assert top.divisor == 104

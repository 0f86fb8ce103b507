"""A board in the simulator, with a serial port that the host's code talks to."""

from itertools import pairwise

import numpy as np
from amaranth.hdl import ClockDomain, Elaboratable, Module, Signal
from amaranth.sim import Simulator

from rtl_gen import Accelerator
from rtl_gen.board_top import BoardTop, board_format
from rtl_gen.clocking import ClockedTop
from snnhw.ir import Decay, Graph, Input, Linear, Neuron, NeuronSpec, Readout
from snnhw.plan import Plan, make_plan

BAUD = 1_000_000
CLOCK_HZ = 8 * BAUD
CYCLE_S = 1 / CLOCK_HZ
BIT_CYCLES = CLOCK_HZ // BAUD


def small_graph(sizes: list[int], *, seed: int = 0, weight_bits: int = 4, timesteps: int = 4) -> Graph:
    """Return a random chain of LIF layers that spikes well."""
    rng = np.random.default_rng(seed)
    highest = (1 << (weight_bits - 1)) - 1
    nodes: list = [Input("input", (), (sizes[0],))]
    for index, (inputs, outputs) in enumerate(pairwise(sizes)):
        weight = rng.integers(-highest // 2, highest + 1, (outputs, inputs))
        nodes.append(Linear(f"sum {index}", (nodes[-1].name,), weight, weight_bits))
        threshold = max(1, int(highest * inputs ** 0.5 / 3))
        spec = NeuronSpec(threshold=threshold, decay=Decay("shift", 2), reset="subtract", reset_amount=threshold, bits=12)
        nodes.append(Neuron(f"neurons {index}", (nodes[-1].name,), spec))
    return Graph("small", (*nodes, Readout("readout", (nodes[-1].name,))), timesteps)


def small_plan(sizes: list[int], *, lanes: int = 4, load_weights: bool = False, **options: int) -> Plan:
    """Return the plan of a small random network."""
    return make_plan(small_graph(sizes, **options), lanes=lanes, load_weights=load_weights)


class StandIn(Elaboratable):
    """What the simulator has in the place of :class:`~rtl_gen.clocking.ClockMaker`; the testbench makes the clock `clk_o`."""

    def __init__(self, clk_o):
        self.clk_i, self.clk_o, self.locked = Signal(), clk_o, Signal()

    def elaborate(self, platform):
        return Module()


class SimulatedBoard:
    """Port of a simulated board: what is written goes over `uart_rx` bit by bit, what comes over `uart_tx` is read.

    Parameters
    ----------
    plan : Plan
        Network on the board.
    silence_cycles : int
        Cycles without a byte after which a read gives up.
    wild_cycles : int or None
        The clock is made on the device: it runs wild for so many cycles, then it is steady, as `maker.locked` says.
    """

    def __init__(self, plan: Plan, *, silence_cycles: int = 3000, wild_cycles: int | None = None):
        self.silence_cycles = silence_cycles
        self._outgoing = bytearray()
        self._incoming = bytearray()
        core = Accelerator(plan)
        self.top = top = BoardTop(board_format(plan), clock_hz=CLOCK_HZ, baud=BAUD, core=core)
        m = Module()
        self.maker = StandIn(core.aclk) if wild_cycles is not None else None
        if self.maker is not None:
            m.submodules.top = ClockedTop(top, self.maker)
        else:
            m.submodules.top = top
            m.domains.sync = sync = ClockDomain(reset_less=True)
            m.d.comb += sync.clk.eq(core.aclk)
        # Board and core get their clock through the same number of assignments, so that both see an edge at once.
        self.simulator = Simulator(m)
        self.cycles = 0

        async def clock(ctx):
            for cycle in range(wild_cycles or 0):
                await ctx.delay(CYCLE_S / (9, 40, 3)[cycle % 3])
                ctx.set(core.aclk, cycle % 2)
            if self.maker is not None:
                ctx.set(core.aclk, 0)
                ctx.set(self.maker.locked, 1)
            while True:
                await ctx.delay(CYCLE_S / 2)
                ctx.set(core.aclk, 1)
                await ctx.delay(CYCLE_S / 2)
                ctx.set(core.aclk, 0)

        async def send(ctx):
            while True:
                if not self._outgoing:
                    await ctx.delay(CYCLE_S * BIT_CYCLES)
                    continue
                byte = self._outgoing.pop(0)
                for bit in (0, *((byte >> index) & 1 for index in range(8)), 1):
                    ctx.set(top.uart_rx, bit)
                    await ctx.delay(CYCLE_S * BIT_CYCLES)

        async def receive(ctx):
            while True:
                await ctx.negedge(top.uart_tx)
                await ctx.delay(CYCLE_S * BIT_CYCLES * 1.5)
                byte = 0
                for index in range(8):
                    byte |= ctx.get(top.uart_tx) << index
                    await ctx.delay(CYCLE_S * BIT_CYCLES)
                assert ctx.get(top.uart_tx) == 1, "stop bit must be high"
                self._incoming.append(byte)

        self.simulator.add_testbench(clock, background=True)
        self.simulator.add_testbench(send, background=True)
        self.simulator.add_testbench(receive, background=True)

    def run(self, cycles: int) -> None:
        """Let time pass."""
        self.cycles += cycles
        self.simulator.run_until(self.cycles * CYCLE_S)

    def write(self, content: bytes) -> None:
        self._outgoing += content

    def read(self) -> bytes:
        silent = 0
        while not self._incoming and silent < self.silence_cycles:
            self.run(100)
            silent = 0 if self._outgoing else silent + 100
        content = bytes(self._incoming)
        self._incoming.clear()
        return content


__all__ = ["BAUD", "CLOCK_HZ", "SimulatedBoard", "small_graph", "small_plan"]

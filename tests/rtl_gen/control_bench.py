"""Drive an accelerator and its control port in Amaranth's simulator, and say what its registers should hold."""

import zlib
from collections import deque
from dataclasses import dataclass, field

import numpy as np
from amaranth.hdl import ClockDomain, ClockSignal, Module, Signal
from amaranth.sim import Simulator
from bench import beat, signed

from rtl_gen import Accelerator
from snnhw.plan import Plan
from snnhw.plan.registers import RegisterMap, loading_chunks, register_map

__all__ = ["Host", "Model", "beats_of", "run"]

FULL = 0xF


def beats_of(plan: Plan, trains: np.ndarray) -> list[tuple[int, int, int]]:
    """Return tdata, tlast and tuser of every beat of samples, (samples, timesteps, inputs)."""
    beats = []
    for sample in trains:
        for t, step in enumerate(sample):
            beats += [(beat(plan, int(a), int(step[a])), 0, 0) for a in np.flatnonzero(step)]
            beats.append((0, 1, int(t == len(sample) - 1)))
    return beats


@dataclass
class Host:
    """What a scenario does with an accelerator: it reads and writes registers, and hands beats over.

    Attributes
    ----------
    map : RegisterMap
        Names of the registers.
    beats, words : deque
        What the source of spikes and the source of weights still have to offer.
    output : list of (int, int, int)
        tdata, tlast and tuser of every beat that left.
    sinking : bool
        Beats that leave are taken.
    """

    dut: Accelerator
    map: RegisterMap
    rng: np.random.Generator | None
    ctx: object = None
    aresetn: Signal = field(default_factory=lambda: Signal(init=1))
    beats: deque = field(default_factory=deque)
    words: deque = field(default_factory=deque)
    output: list = field(default_factory=list)
    sinking: bool = True

    def ready(self) -> bool:
        return self.rng is None or bool(self.rng.random() < 0.6)

    async def tick(self, *signals):
        _, _, *values = await self.ctx.tick().sample(*signals)
        return values

    async def access(self, address: int, data: int | None = None, strobe: int = FULL) -> tuple[int, bool]:
        """Read, or write `data`; return the word that was read and whether the access was refused."""
        go = self._axi if self.map.control == "axi4-lite" else self._wishbone
        for _ in range(200):
            if self.ready():
                break
            await self.tick()
        return await go(address, data, strobe)

    async def read(self, name: str, block: str = "core") -> int:
        word, refused = await self.access(self.map.address(block, name))
        assert not refused
        return word

    async def write(self, name: str, value: int, block: str = "core", strobe: int = FULL) -> None:
        _, refused = await self.access(self.map.address(block, name), value & 0xFFFFFFFF, strobe)
        assert not refused

    async def count(self, name: str, block: str = "core") -> int:
        low = await self.read(f"{name}_low", block)
        return low | await self.read(f"{name}_high", block) << 32

    async def idle(self, extra: int = 60) -> None:
        """Wait until everything that was given is computed; cores that clear what they read get some cycles more."""
        for _ in range(20000):
            await self.tick()
            if not self.beats and not await self.read("status") & 1:
                for _ in range(extra):
                    await self.tick()
                return
        raise AssertionError("never idle")

    async def _wishbone(self, address, data, strobe):
        dut, ctx = self.dut, self.ctx
        request = {"cyc": 1, "stb": 1, "we": data is not None, "adr": address, "dat_w": data or 0, "sel": strobe}
        for name, value in request.items():
            ctx.set(getattr(dut, f"wb_{name}"), value)
        for _ in range(200):
            ack, err, word = await self.tick(dut.wb_ack, dut.wb_err, dut.wb_dat_r)
            assert not (ack and err)
            if ack or err:
                ctx.set(dut.wb_stb, 0)
                ctx.set(dut.wb_cyc, 0)
                assert await self.tick(dut.wb_ack, dut.wb_err) == [0, 0]
                return word, bool(err)
        raise AssertionError("no answer")

    async def _axi(self, address, data, strobe):
        if data is None:
            channels, answer = {"ar": {"addr": address}}, "r"
        else:
            channels, answer = {"aw": {"addr": address}, "w": {"data": data, "strb": strobe}}, "b"
        dut, ctx = self.dut, self.ctx

        def port(name):
            return getattr(dut, f"s_axi_control_{name}")

        waiting, offered = dict(channels), set()
        for _ in range(400):
            for name in waiting:
                if name not in offered and self.ready():
                    offered.add(name)
                    ctx.set(port(f"{name}valid"), 1)
                    for part, value in channels[name].items():
                        ctx.set(port(f"{name}{part}"), value)
            willing = self.ready()
            ctx.set(port(f"{answer}ready"), willing)
            signals = [port(f"{name}ready") for name in sorted(offered)]
            word = port("rdata") if answer == "r" else port("bresp")
            *taken, valid, resp, word = await self.tick(*signals, port(f"{answer}valid"), port(f"{answer}resp"), word)
            assert not (valid and waiting), "an answer before the whole request"
            for name, ready in zip(sorted(offered), taken, strict=True):
                if ready:
                    offered.remove(name)
                    del waiting[name]
                    ctx.set(port(f"{name}valid"), 0)
            if valid and willing:
                assert resp in (0, 2)
                ctx.set(port(f"{answer}ready"), 0)
                return word, resp == 2
        raise AssertionError("no answer")

    def outputs(self, plan: Plan, samples: int) -> np.ndarray:
        """Return the values of the output stream: int64, (samples, timesteps, outputs)."""
        steps, bits = plan.graph.timesteps, plan.last.output_value_bits
        values = np.zeros((samples * steps, plan.outputs), np.int64)
        step = 0
        for data, last, user in self.output:
            if last:
                step += 1
                assert user == (step % steps == 0)
            else:
                address, value = data & (1 << plan.last.output_address_bits) - 1, data >> plan.last.output_address_bits
                values[step, address] = signed(value, bits) if bits else 1
        assert step == samples * steps
        return values.reshape(samples, steps, plan.outputs)


def run(plan: Plan, scenario, *, rng: np.random.Generator | None = None, words: list[int] | None = None) -> Host:
    """Run a scenario, a coroutine that takes a host; with `rng` all handshakes are delayed at random.

    `words` are offered on the loading stream; those of the plan, if it has any, by default.
    """
    dut = Accelerator(plan)
    host = Host(dut, register_map(plan), rng)
    if plan.loaded_words:
        stored = [word for layer in plan.layers if layer.weights_loaded for word in layer.weight_words]
        host.words.extend(stored if words is None else words)
    m = Module()
    m.domains.sync = ClockDomain(reset_less=True)
    m.submodules.dut = dut
    m.d.comb += [dut.aclk.eq(ClockSignal()), dut.aresetn.eq(host.aresetn)]

    async def testbench(ctx):
        host.ctx = ctx
        await scenario(host)

    async def source(ctx):
        offered = False
        while True:
            if not offered and host.beats and host.ready():
                offered = True
                for name, value in zip(("tdata", "tlast", "tuser"), host.beats[0], strict=True):
                    ctx.set(getattr(dut, f"s_axis_{name}"), value)
            offered = offered and bool(host.beats)  # a scenario may withdraw what a stopped accelerator does not take
            ctx.set(dut.s_axis_tvalid, offered)
            _, _, ready = await ctx.tick().sample(dut.s_axis_tready)
            if offered and ready:
                host.beats.popleft()
                offered = False

    async def sink(ctx):
        while True:
            ready = host.sinking and host.ready()
            ctx.set(dut.m_axis_tready, ready)
            names = ("tvalid", "tdata", "tlast", "tuser")
            _, _, valid, *values = await ctx.tick().sample(*(getattr(dut, f"m_axis_{name}") for name in names))
            if valid and ready:
                host.output.append(tuple(values))

    async def loader(ctx):
        offered = False
        while True:
            if not offered and host.words and host.ready():
                offered = True
                ctx.set(dut.s_axis_weights_tdata, host.words[0])
            ctx.set(dut.s_axis_weights_tvalid, offered)
            _, _, ready = await ctx.tick().sample(dut.s_axis_weights_tready)
            if offered and ready:
                host.words.popleft()
                offered = False

    sim = Simulator(m)
    sim.add_clock(1e-6)
    sim.add_testbench(testbench)
    sim.add_testbench(source, background=True)
    sim.add_testbench(sink, background=True)
    if plan.loaded_words:
        sim.add_testbench(loader, background=True)
    sim.run()
    return host


class Model:
    """What the registers of an idle accelerator hold; no spikes, and weights through the window only."""

    def __init__(self, plan: Plan):
        self.plan, self.map, self.chunks = plan, register_map(plan), loading_chunks(plan)
        self.words = {block.address + register.offset: register.reset for block, register in self.map}
        self.names = {block.address + register.offset: (block, register) for block, register in self.map}
        self.fields: list[int] = []  # chunks of weights so far

    def _set(self, name: str, value: int) -> None:
        self.words[self.map.address("core", name)] = value

    def _get(self, name: str) -> int:
        return self.words[self.map.address("core", name)]

    def read(self, address: int) -> tuple[int, bool]:
        word = address & ~3
        if word not in self.words:
            return 0, True
        self._derive()
        return self.words[word], False

    def _derive(self) -> None:
        """Compute what follows from the weights and from the control register."""
        loaded = ok = True
        if self.chunks:
            count = len(self.fields) // self.chunks
            crc = zlib.crc32(b"".join(chunk.to_bytes(4, "little") for chunk in self.fields[:count * self.chunks]))
            loaded = count == self.plan.loaded_words
            ok = loaded and crc == self._get("weights_expected")
            self._set("weights_loaded", count)
            self._set("weights_checksum", crc)
        control = self._get("control")
        taking = control & 1 and loaded and (ok or not control & 2)
        self._set("status", self._get("status") & 0x100 | taking << 1 | loaded << 2 | ok << 3)

    def write(self, address: int, data: int, strobe: int) -> bool:
        """Write, and return whether there is no such register."""
        address &= ~3
        if address not in self.words:
            return True
        block, register = self.names[address]
        mask = sum(0xFF << 8 * byte for byte in range(4) if strobe >> byte & 1)
        old = self.words[address]
        new = old & ~mask | data & mask
        if register.name == "weights_data":
            if strobe != FULL or len(self.fields) == self.chunks * self.plan.loaded_words:
                self._refuse()
            else:
                self.fields.append(data)
            return False
        if register.name == "control" and data & mask & 1 << 10 and self.chunks:
            self.fields.clear()
        if register.name == "status":
            self._set("status", old & ~(data & mask & 0x100))
            return False
        for item in block.adjustable:
            if item.name == register.name:
                number = signed(new, 32)
                if not item.fixed and item.lowest <= number <= item.highest:
                    self.words[address] = new
                elif not item.fixed:
                    self._refuse()
                return False
        for part in register.fields:
            if part.access == "rw":
                bits = (1 << part.bits) - 1 << part.lsb
                self.words[address] = self.words[address] & ~bits | new & bits
        return False

    def _refuse(self) -> None:
        self._set("status", self._get("status") | 0x100)

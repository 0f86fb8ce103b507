"""Designs that each spend energy on one thing, to find out at a rail what that thing costs.

Every design has a clock, an input ``uart_rx``, whose line rests high, and an output ``led``. From the input comes `probe`, a
register that stays 0 while the line rests. Nothing in a design is constant for synthesis, because the input decides, and nothing
of it reaches the light, because `probe` does not let it: the light neither shines nor flickers, and what a design spends, it
spends on what it is there for. Look-up tables that must stay as they are are cells of the family, marked to be kept.

There is no reset: registers start with the bitstream.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from amaranth.back import rtlil
from amaranth.hdl import Cat, ClockDomain, ClockSignal, Const, Instance, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from rtl_gen.board_top import START_UP_S, CorePorts, board_format
from rtl_gen.clocking import ClockedTop, ClockMaker
from rtl_gen.control_ports import control_inputs
from rtl_gen.verilog import relax_memories
from snnhw.board import Board, ClockSettings, clocks_of
from snnhw.plan import Plan

__all__ = ["CALIBRATION_NAME", "PATTERNS", "Beat", "Calibration", "CalibrationDesign", "calibration_designs", "calibration_rtlil"]

CALIBRATION_NAME = "snnhw_calibration"
PATTERNS = ("static", "flip_flops", "local", "near", "far", "fan_out", "carry", "block_ram", "single_port_ram", "multiplier",
            "lut_multiplier", "accelerator")
CHAIN = 8  # look-up tables one behind the other; as many as a tile of the iCE40 has
COUNTER_BITS = 16
FACTOR_BITS = 8
WARM_UP = 1024  # cycles after which every design does what it does from then on

_MODULE = re.compile(rf"\\{CALIBRATION_NAME}((?:\.\w+)+)")
# Cell, parameter of its table, inputs from the lowest bit of the index, output.
_LUT: Mapping[str, tuple[str, str, tuple[str, str, str, str], str]] = {
    "ice40": ("SB_LUT4", "LUT_INIT", ("I0", "I1", "I2", "I3"), "O"),
    "ecp5": ("LUT4", "INIT", ("A", "B", "C", "D"), "Z"),
    "gowin": ("LUT4", "INIT", ("I0", "I1", "I2", "I3"), "F"),
}
_XOR = 0x6666  # of the first two
_PROBE = 0x9600  # exclusive or of the first three where the fourth is 1
_AND = 0x8888
# Tiles of logic: the column at the left, the one at the right edge, and rows that all have logic.
_TILES = {"iCE40UP5K": (2, 23, 2, 29), "iCE40HX8K": (2, 31, 2, 31), "iCE40HX4K": (2, 31, 2, 31), "iCE40LP8K": (2, 31, 2, 31),
          "iCE40LP4K": (2, 31, 2, 31)}
# Taps of shift registers with the longest period; Xilinx XAPP 052, table 3.
_TAPS = {8: (8, 6, 5, 4), 9: (9, 5), 10: (10, 7), 11: (11, 9), 12: (12, 6, 4, 1), 16: (16, 15, 13, 4), 32: (32, 22, 2, 1),
         36: (36, 25), 64: (64, 63, 61, 60)}


@dataclass(frozen=True)
class Beat:
    """What a core takes in one cycle: the address of a spike, or the end of a timestep, perhaps of the sample."""

    data: int
    tick: bool = False
    last: bool = False


@dataclass(frozen=True)
class CalibrationDesign:
    """One design.

    Parameters
    ----------
    name : str
        For files and tables.
    title : str
        What it isolates.
    pattern : str
        One of :data:`PATTERNS`.
    size : int
        Registers, tables, counters, blocks or multipliers.
    activity : str
        ``"busy"``, or ``"quiet"``: the same circuit at rest, or multiplying by 1; of a RAM ``"read"``, ``"write"`` or ``"idle"``,
        which is enabled reads of one word.
    clock : ClockSettings or None
        The clock that the board makes for it; None for that of its oscillator.
    """

    name: str
    title: str
    pattern: str
    size: int = 1
    activity: str = "busy"
    clock: ClockSettings | None = None

    def __post_init__(self) -> None:
        if self.pattern not in PATTERNS:
            raise ValueError(f"Pattern must be one of {', '.join(PATTERNS)}, not {self.pattern!r}")
        if not 1 <= self.size <= 1 << 16:
            raise ValueError(f"Size must be between 1 and 65536, not {self.size}")
        kinds = ("read", "write", "idle") if self.pattern.endswith("_ram") else ("busy", "quiet")
        if self.activity not in kinds:
            raise ValueError(f"Activity of {self.pattern} must be {' or '.join(kinds)}, not {self.activity!r}")

    def clock_hz(self, board: Board) -> int:
        """Frequency of its clock; 0 where it has none."""
        if self.pattern == "static":
            return 0
        return self.clock.hz if self.clock is not None else board.clock.hz


def _clock(board: Board, multiple: int) -> ClockSettings | None:
    """Return the fastest clock that the board makes, not above a multiple of its own and above the next smaller multiple."""
    own = board.clock.hz
    found = [item for item in clocks_of(board) if Fraction(own) * multiple / 2 < item.exact_hz <= Fraction(own) * multiple]
    return found[0] if found else None


def calibration_designs(board: Board, *, accelerator: bool = True) -> tuple[CalibrationDesign, ...]:
    """Return the designs for a board: those that its device has the cells for.

    Parameters
    ----------
    board : Board
        Its clocks, memories and multipliers decide.
    accelerator : bool
        Also the accelerator, idle and busy.
    """
    make = CalibrationDesign
    designs = [make("static", "configured, no clock", "static"),
               make("clock", "the clock alone", "flip_flops", 1, "quiet")]
    for multiple in (2, 4):
        clock = _clock(board, multiple)
        if clock is not None:
            designs.append(make(f"clock_x{multiple}", f"the clock alone, from the PLL, {multiple} times as fast or a little less",
                                "flip_flops", 1, "quiet", clock))
    for size in (8, 64, 512):
        designs.append(make(f"flip_flops_quiet_{size}", f"{size} flip-flops that are clocked and stay as they are", "flip_flops",
                            size, "quiet"))
    for size in (8, 64, 512):
        designs.append(make(f"flip_flops_busy_{size}", f"{size} flip-flops that toggle in every cycle", "flip_flops", size))
    placed = board.device in _TILES
    designs += [
        make("luts_local", "512 look-up tables, each before the flip-flop of its own logic cell", "local", 512),
        make("luts_near", f"512 look-up tables in chains of {CHAIN}{', each in a tile' if placed else ''}", "near", 512),
    ]
    if placed:
        designs.append(make("luts_far", f"512 look-up tables in chains of {CHAIN}, from edge to edge of the device", "far", 512))
    designs += [
        make("fan_out", "64 flip-flops that toggle, each before 8 look-up tables", "fan_out", 64),
        make("carry", f"32 counters of {COUNTER_BITS} bits with carry chains", "carry", 32),
    ]
    single_port = board.budget.single_port_ram
    for pattern, count in (("block_ram", 8), ("single_port_ram", single_port.count if single_port is not None else 0)):
        for activity, what in (("read", "read in every cycle"), ("write", "written in every cycle"),
                               ("idle", "enabled, one word again and again")):
            if count:
                title = f"{count} {'block' if pattern == 'block_ram' else 'single-port'} RAMs, {what}"
                designs.append(make(f"{pattern}_{activity}", title, pattern, count, activity))
    if board.budget.dsp.count:
        count = min(4, board.budget.dsp.count)
        designs += [make("multiplier", f"{count} multipliers of 8 x 8 bits in DSP blocks", "multiplier", count),
                    make("multiplier_one", f"{count} multipliers in DSP blocks, one factor 1", "multiplier", count, "quiet")]
    designs.append(make("lut_multiplier", "4 multipliers of 8 x 8 bits in look-up tables", "lut_multiplier", 4))
    if accelerator:
        designs += [make("accelerator_idle", "the accelerator, waiting", "accelerator", 1, "quiet"),
                    make("accelerator_busy", "the accelerator, one sample after another", "accelerator", 1, "busy")]
    return tuple(designs)


class Calibration(wiring.Component):
    """The circuit of one design, in the domain ``sync``.

    Parameters
    ----------
    design : CalibrationDesign
        Which.
    board : Board
        Decides the cells.
    plan : Plan or None
        Of the accelerator.
    beats : sequence of Beat
        What the accelerator is given, again and again.

    Members
    -------
    uart_rx : ``In(1)``
        An input that rests high.
    led : ``Out(1)``
        Dark while the input rests.
    """

    def __init__(self, design: CalibrationDesign, board: Board, *, plan: Plan | None = None, beats: Sequence[Beat] = ()):
        if board.family not in _LUT:
            raise ValueError(f"Family must be one of {', '.join(_LUT)}, not {board.family!r}")
        if design.pattern == "accelerator" and (plan is None or not beats):
            raise ValueError("Accelerator must have a plan and at least one beat")
        self.design, self.board, self.plan, self.beats = design, board, plan, tuple(beats)
        super().__init__({"uart_rx": In(1, init=1), "led": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        if self.design.pattern == "static":
            m.d.comb += self.led.eq(~self.uart_rx)
            return m
        self._luts = 0
        self._probe = probe = Signal(reset_less=True)
        light = Signal(reset_less=True)
        m.d.sync += probe.eq(~self.uart_rx)
        watched: list[Value] = list(getattr(self, f"_{self.design.pattern}")(m))
        bits = [bit for value in watched for bit in value]
        while len(bits) > 1:
            bits = [self._lut(m, _PROBE, *(bits[start:start + 3] + [Const(0)] * 2)[:3], probe)
                    for start in range(0, len(bits), 3)]
        m.d.sync += light.eq(bits[0] & probe)
        m.d.comb += self.led.eq(light)
        return m

    def _lut(self, m: Module, table: int, *inputs: Value, at: str = "") -> Signal:
        """Return the output of a look-up table that synthesis leaves alone, at a place where one is given."""
        cell, parameter, names, output = _LUT[self.board.family]
        result = Signal(name=f"table_{self._luts}")
        ports = {f"i_{name}": value for name, value in zip(names, (*inputs, *[Const(0)] * 4), strict=False)}
        options: dict[str, Any] = {"a_keep": Const(1, 1), f"p_{parameter}": Const(table, 16)}
        if at:
            options["a_BEL"] = at
        m.submodules[f"lut_{self._luts}"] = Instance(cell, **options, **ports, **{f"o_{output}": result})
        self._luts += 1
        return result

    def _toggler(self, m: Module) -> Signal:
        """Return a register that toggles in every cycle, or, at rest, one that stays 0."""
        head = Signal(reset_less=True)
        m.d.sync += head.eq(~head if self.design.activity == "busy" else self._probe)
        return head

    def _shift_register(self, m: Module, size: int, head: Value | None = None) -> list[Signal]:
        """Return registers of which each takes what the one before had, the first a register that toggles or rests."""
        found = [self._toggler(m)] if head is None else []
        last: Value = found[0] if found else head if head is not None else Const(0)
        while len(found) < size:
            stage = Signal(name=f"stage_{len(found)}", reset_less=True)
            m.d.sync += stage.eq(last)
            found.append(stage)
            last = stage
        return found

    def _noise(self, m: Module, bits: int, name: str) -> Signal:
        """Return a shift register with feedback that runs through all its states but one, from 0."""
        state = Signal(bits, name=name, reset_less=True)
        m.d.sync += state.eq(Cat(~Cat(*(state[tap - 1] for tap in _TAPS[bits])).xor(), state[:-1]))
        return state

    def _flip_flops(self, m: Module) -> Iterator[Value]:
        yield self._shift_register(m, self.design.size)[-1]

    def _local(self, m: Module) -> Iterator[Value]:
        last = self._toggler(m)
        for index in range(self.design.size):
            stage = Signal(name=f"stage_{index}", reset_less=True)
            m.d.sync += stage.eq(self._lut(m, _XOR, last, self._probe))
            last = stage
        yield last

    def _chains(self, m: Module, places: Iterator[str]) -> Iterator[Value]:
        for value in self._shift_register(m, self.design.size // CHAIN):
            for _ in range(CHAIN):
                value = self._lut(m, _XOR, value, self._probe, at=next(places, ""))
            yield value

    def _near(self, m: Module) -> Iterator[Value]:
        return self._chains(m, self._tiles(lambda tile, step: (tile, step)))

    def _far(self, m: Module) -> Iterator[Value]:
        # Two chains share two tiles at opposite edges, and change between them from table to table.
        return self._chains(m, self._tiles(lambda chain, step: (
            (chain // 2, step % 2), CHAIN // 2 * (chain % 2) + step // 2)))

    def _tiles(self, spread: Any) -> Iterator[str]:
        """Yield the place of every table of every chain."""
        if self.board.device not in _TILES:
            return
        left, right, bottom, top = _TILES[self.board.device]
        rows = top - bottom + 1
        for chain in range(self.design.size // CHAIN):
            for step in range(CHAIN):
                tile, cell = spread(chain, step)
                number, side = tile if isinstance(tile, tuple) else (tile, 0)
                column = number // rows
                yield f"X{right - column if side else left + column}/Y{bottom + number % rows}/lc{cell}"

    def _fan_out(self, m: Module) -> Iterator[Value]:
        for stage in self._shift_register(m, self.design.size):
            for _ in range(CHAIN):
                yield self._lut(m, _AND, stage, self._probe)

    def _carry(self, m: Module) -> Iterator[Value]:
        for index in range(self.design.size):
            state = Signal(COUNTER_BITS, name=f"counter_{index}", reset_less=True)
            step = 0x2D35 + 0x1A52 * index & (1 << COUNTER_BITS) - 1 | 1
            m.d.sync += state.eq(state + step)
            yield state[-1]

    def _block_ram(self, m: Module) -> Iterator[Value]:
        depth, width = max(self.board.budget.block_ram.shapes, key=lambda shape: shape[1])
        bits = (depth - 1).bit_length()
        activity = self.design.activity
        address = self._noise(m, bits, "address") if activity != "idle" else Cat(*self._shift_register(m, bits, self._probe))
        data = self._noise(m, 36 if width > 16 else 16, "data")[:width] if activity == "write" else self._probe.replicate(width)
        for block in range(self.design.size):
            content = [word * 0x9E3779B97 + (block + 1) * 0x85EBCA6B >> 7 & (1 << width) - 1 for word in range(depth)]
            memory = m.submodules[f"block_{block}"] = Memory(shape=width, depth=depth, init=content,
                                                            attrs={"ram_style": "block"})
            write, read = memory.write_port(), memory.read_port()
            m.d.comb += [write.addr.eq(address), write.data.eq(data), read.addr.eq(address),
                         write.en.eq(activity == "write" or self._probe),
                         read.en.eq(self._probe if activity == "write" else 1)]
            yield read.data

    def _single_port_ram(self, m: Module) -> Iterator[Value]:
        bits, width = 8, 16
        busy, write = self.design.activity != "idle", Signal()
        address = self._noise(m, bits, "address") if busy else Cat(*self._shift_register(m, bits, self._probe))
        data = self._noise(m, width, "data") if busy else Cat(*self._shift_register(m, width, self._probe))
        if self.design.activity == "write":
            m.d.comb += write.eq(1)
        elif busy:
            # What is read must have been written.
            written = Signal(range((1 << bits) + 1), reset_less=True)
            m.d.sync += written.eq(written + write)
            m.d.comb += write.eq(~written[-1])
        else:
            m.d.comb += write.eq(self._probe)
        for block in range(self.design.size):
            output = Signal(width, name=f"output_{block}")
            m.submodules[f"block_{block}"] = Instance(
                "SB_SPRAM256KA", a_keep=Const(1, 1),
                i_ADDRESS=Cat(address, Const(0, 14 - bits)), i_DATAIN=data.rotate_left(block),
                i_MASKWREN=Const(15, 4), i_WREN=write, i_CHIPSELECT=Const(1), i_CLOCK=ClockSignal(), i_STANDBY=Const(0),
                i_SLEEP=Const(0), i_POWEROFF=Const(1), o_DATAOUT=output)
            yield output

    def _factors(self, m: Module) -> Iterator[tuple[Value, Value]]:
        """Yield factors that change in every cycle, from registers."""
        noise = self._noise(m, 64, "noise")
        one = Cat(~self._probe, self._probe.replicate(FACTOR_BITS - 1))
        for index in range(self.design.size):
            a, b = (noise.word_select(number % 8, FACTOR_BITS) for number in (2 * index, 2 * index + 1))
            yield a, b if self.design.activity == "busy" else one

    def _multiplier(self, m: Module) -> Iterator[Value]:
        for index, (a, b) in enumerate(self._factors(m)):
            product = Signal(2 * FACTOR_BITS, name=f"product_{index}")
            m.d.comb += product.eq(a * b)
            yield product

    def _lut_multiplier(self, m: Module) -> Iterator[Value]:
        for index, (a, b) in enumerate(self._factors(m)):
            # Sums of shifted factors: a product would become a DSP block where there is one.
            total: Value = Const(0)
            for place in range(FACTOR_BITS):
                total = total + ((a & b[place].replicate(FACTOR_BITS)) << place)
            product = Signal(2 * FACTOR_BITS, name=f"product_{index}")
            m.d.comb += product.eq(total)
            yield product

    def _accelerator(self, m: Module) -> Iterator[Value]:
        assert self.plan is not None
        form = board_format(self.plan)
        m.submodules.core = core = CorePorts(form, control_inputs(self.plan))
        start_up_cycles = round(self.board.clock.hz * START_UP_S)
        waited, running = Signal(range(start_up_cycles + 1), reset_less=True), Signal(reset_less=True)
        with m.If(waited != start_up_cycles):
            m.d.sync += waited.eq(waited + 1)
        m.d.sync += running.eq(waited == start_up_cycles)
        yield from self._feed(m, core, running)

    def _feed(self, m: Module, core: CorePorts, running: Signal) -> Iterator[Value]:
        """Give the core its beats from a memory, one after another, and take all that it gives."""
        bits = 8 * board_format(self.plan).input_bytes if self.plan is not None else 0
        words = [beat.data | beat.tick << bits | beat.last << bits + 1 for beat in self.beats]
        m.submodules.beats = memory = Memory(shape=bits + 2, depth=len(words), init=words, attrs={"ram_style": "block",
                                                                                                "rom_style": "block"})
        read = memory.read_port()
        index, following, full = Signal(range(len(words)), reset_less=True), Signal(range(len(words))), Signal(reset_less=True)
        taken = Signal()
        start = running if self.design.activity == "busy" else self._probe
        m.d.comb += [taken.eq(core.s_axis_tvalid & core.s_axis_tready),
                     following.eq(index), core.aresetn.eq(running), core.m_axis_tready.eq(1),
                     core.s_axis_tvalid.eq(full), Cat(core.s_axis_tdata, core.s_axis_tlast, core.s_axis_tuser).eq(read.data),
                     read.addr.eq(following), read.en.eq(start & (taken | ~full))]
        with m.If(taken):
            m.d.comb += following.eq(0)
            with m.If(index != len(words) - 1):
                m.d.comb += following.eq(index + 1)
        m.d.sync += index.eq(following)
        with m.If(start):
            m.d.sync += full.eq(1)
        yield from (core.m_axis_tvalid, core.m_axis_tlast, core.m_axis_tuser, core.m_axis_tdata)


def calibration_rtlil(design: CalibrationDesign, board: Board, *, led_inverted: bool = False, clock: bool = True,
                      plan: Plan | None = None, beats: Iterable[Beat] = ()) -> str:
    """Return the RTLIL of the module ``snnhw_calibration``, with ports ``clk, uart_rx, led``.

    The accelerator stays an instance of ``snnhw_top``. A static design has no ``clk``.

    Parameters
    ----------
    design, board, plan, beats : CalibrationDesign, Board, Plan, iterable of Beat
        As :class:`Calibration` takes them.
    led_inverted : bool
        A low level lights the light.
    clock : bool
        With the cell that makes its clock, where it has one; without, ``clk`` is that clock.
    """
    top = Calibration(design, board, plan=plan, beats=tuple(beats))
    m = Module()
    led = Signal(name="led")
    m.d.comb += led.eq(top.led ^ led_inverted)
    inputs = [top.uart_rx]
    if design.pattern == "static":
        m.submodules.design = top
    elif clock and design.clock is not None:
        clk = Signal(name="clk")
        maker = ClockMaker(design.clock, device=board.variant or "")
        m.submodules.clocked = ClockedTop(top, maker)
        m.d.comb += maker.clk_i.eq(clk)
        inputs += [] if design.clock.primitive == "SB_HFOSC" else [clk]
    else:
        m.domains.sync = sync = ClockDomain(reset_less=True)
        m.submodules.design = top
        inputs.append(sync.clk)
    text = rtlil.convert(m, name=CALIBRATION_NAME, ports=[*inputs, led], emit_src=False)
    text = _MODULE.sub(lambda match: f"\\{CALIBRATION_NAME}{match[1].replace('.', '_')}", text)
    return relax_memories(text, ())

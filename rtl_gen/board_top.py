"""Top of a bitstream: the core behind a serial line."""

import re
from collections.abc import Mapping
from typing import Protocol

from amaranth.back import rtlil
from amaranth.hdl import ClockDomain, ClockSignal, Const, Elaboratable, Instance, Module, Signal
from amaranth.lib import fifo, wiring
from amaranth.lib.wiring import In, Out

from rtl_gen.clocking import ClockedTop, ClockMaker
from rtl_gen.link import MessageReader, MessageWriter
from rtl_gen.uart import UARTReceiver, UARTTransmitter
from snnhw.board import Board, ClockSettings
from snnhw.board.link import QUEUE_BYTES, Format
from snnhw.plan import Plan

__all__ = ["BoardTop", "CorePorts", "board_format", "board_top_rtlil"]

CORE_NAME = "snnhw_top"
BOARD_NAME = "snnhw_board"
_MODULE = re.compile(rf"\\{BOARD_NAME}((?:\.\w+)+)")
# Lattice: block RAM of iCE40 reads wrong for a few microseconds after configuration, so nothing starts before 16.
START_UP_S = 16e-6
LIGHT_S = 0.05
LIGHT_PACE = 256  # cycles by which that is counted


def board_format(plan: Plan) -> Format:
    """Return the message sizes of a plan's core on a board."""
    weight_bits = max((layer.memories[0].width for layer in plan.layers if layer.weights_loaded), default=0)
    result_bytes = plan.decision.result_bytes if plan.decision is not None else 0
    return Format(plan.inputs, plan.outputs, weight_bits, plan.input_value_bits, plan.last.output_value_bits, result_bytes)


class CorePorts(wiring.Component):
    """The core's ports, joined to the module ``snnhw_top`` that another file brings.

    Parameters
    ----------
    form : Format
        Sizes of its messages.
    idle : mapping of str to int
        Inputs that nothing is joined to, with their widths; they are held at 0.

    Members
    -------
    aresetn, s_axis_*, m_axis_*, s_axis_weights_*, m_axis_result_*
        As :class:`rtl_gen.Accelerator` has them; its clock is the domain ``sync``.
    """

    def __init__(self, form: Format, idle: Mapping[str, int] | None = None):
        self.form, self.idle = form, dict(idle or {})
        members = {"aresetn": In(1)}
        for name, flow, reverse, width in (("s_axis", In, Out, 8 * form.input_bytes), ("m_axis", Out, In, 8 * form.output_bytes)):
            members |= {f"{name}_tvalid": flow(1), f"{name}_tready": reverse(1), f"{name}_tdata": flow(width),
                        f"{name}_tlast": flow(1), f"{name}_tuser": flow(1)}
        if form.weight_bits:
            members |= {"s_axis_weights_tvalid": In(1), "s_axis_weights_tready": Out(1),
                        "s_axis_weights_tdata": In(8 * form.weight_bytes)}
        if form.result_bytes:
            members |= {"m_axis_result_tvalid": Out(1), "m_axis_result_tready": In(1),
                        "m_axis_result_tdata": Out(8 * form.result_bytes), "m_axis_result_tlast": Out(1)}
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        ports = {("i_" if member.flow is In else "o_") + name: getattr(self, name)
                 for name, member in self.signature.members.items()}
        rest = {f"i_{name}": Const(0, width) for name, width in self.idle.items()}
        m.submodules.core = Instance(CORE_NAME, i_aclk=ClockSignal(), **ports, **rest)
        return m


class Core(Protocol):
    """What the board top needs of a core: the members of :class:`CorePorts`."""

    def elaborate(self, platform: object) -> Elaboratable: ...


class BoardTop(wiring.Component):
    """Serial line, messages and core.

    Bytes that the core cannot take yet wait in a queue of ``QUEUE_BYTES``. After power-up the core is held in reset
    for 16 microseconds; a reset message resets it again. The light is on for 50 to 100 ms after each byte.

    Parameters
    ----------
    form : Format
        Sizes of the messages.
    clock_hz, baud : int
        Frequency of the clock, bits per second of the line.
    led_inverted : bool
        A low level lights the light.
    core : Elaboratable
        The core, with the ports of :class:`CorePorts` in the domain ``sync``.

    Members
    -------
    uart_rx : ``In(1)``
        Line from the host.
    uart_tx : ``Out(1)``
        Line to the host.
    led : ``Out(1)``
        Activity light.
    """

    def __init__(self, form: Format, *, clock_hz: int, baud: int, led_inverted: bool = False, core: Elaboratable | None = None):
        self.form = form
        self.clock_hz = clock_hz
        self.divisor = round(clock_hz / baud)
        self.led_inverted = led_inverted
        self.core = CorePorts(form) if core is None else core
        super().__init__({"uart_rx": In(1, init=1), "uart_tx": Out(1, init=1), "led": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.receiver = receiver = UARTReceiver(divisor=self.divisor)
        m.submodules.queue = queue = fifo.SyncFIFOBuffered(width=8, depth=QUEUE_BYTES)
        m.submodules.reader = reader = MessageReader(self.form)
        m.submodules.core = core = self.core
        m.submodules.writer = writer = MessageWriter(self.form)
        m.submodules.transmitter = transmitter = UARTTransmitter(divisor=self.divisor)

        start_up_cycles = round(self.clock_hz * START_UP_S)
        waited = Signal(range(start_up_cycles + 1))
        with m.If(waited != start_up_cycles):
            m.d.sync += waited.eq(waited + 1)

        # A register of its own: what decodes a message must not stand before the reset of the whole core.
        running = Signal()
        m.d.sync += running.eq((waited == start_up_cycles) & ~reader.restart)

        m.d.comb += [
            receiver.rx.eq(self.uart_rx),
            queue.w_data.eq(receiver.o.payload),
            queue.w_en.eq(receiver.o.valid),
            self.uart_tx.eq(transmitter.tx),
            core.aresetn.eq(running),
            core.s_axis_tvalid.eq(reader.o_events.valid),
            core.s_axis_tdata.eq(reader.o_events.payload.data),
            core.s_axis_tlast.eq(reader.o_events.payload.tick),
            core.s_axis_tuser.eq(reader.o_events.payload.last),
            reader.o_events.ready.eq(core.s_axis_tready),
            writer.i.valid.eq(core.m_axis_tvalid),
            writer.i.payload.data.eq(core.m_axis_tdata),
            writer.i.payload.tick.eq(core.m_axis_tlast),
            writer.i.payload.last.eq(core.m_axis_tuser),
            core.m_axis_tready.eq(writer.i.ready),
        ]
        if self.form.weight_bits:
            m.d.comb += [
                core.s_axis_weights_tvalid.eq(reader.o_weights.valid),
                core.s_axis_weights_tdata.eq(reader.o_weights.payload),
                reader.o_weights.ready.eq(core.s_axis_weights_tready),
            ]
        if self.form.result_bytes:
            m.d.comb += core.m_axis_result_tready.eq(1)  # the line has no message for results
        wiring.connect(m, queue.r_stream, reader.i)
        wiring.connect(m, writer.o, transmitter.i)

        # In two short counters, each of which starts with zeros alone: anything else would be slower than the core.
        pace = Signal(range(LIGHT_PACE))
        paced = Signal()
        dark = Signal(range(-(-round(self.clock_hz * LIGHT_S) // LIGHT_PACE)))
        light = Signal()
        m.d.sync += [pace.eq(pace + 1), paced.eq(pace == 0)]
        with m.If(receiver.o.valid | (transmitter.i.valid & transmitter.i.ready)):
            m.d.sync += [light.eq(1), dark.eq(0)]
        with m.Elif(paced):
            m.d.sync += dark.eq(dark + 1)
            with m.If(dark.all()):
                m.d.sync += light.eq(0)
        m.d.comb += self.led.eq(light ^ self.led_inverted)
        return m


def board_top_rtlil(form: Format, board: Board, *, led_inverted: bool, clock: ClockSettings | None = None,
                    idle: Mapping[str, int] | None = None) -> str:
    """Return the RTLIL of the module ``snnhw_board``, with ports ``clk, uart_rx, uart_tx, led`` and the core as an instance.

    Modules are named after their place, ``snnhw_board_board_receiver``. Without a `clock` it runs at that of the board; with one
    that needs no other, it has no port ``clk``. `idle` are inputs of the core that are held at 0, with their widths.
    """
    top = BoardTop(form, clock_hz=clock.hz if clock else board.clock.hz, baud=board.uart.baud, led_inverted=led_inverted,
                   core=CorePorts(form, idle))
    if clock is not None:
        maker = ClockMaker(clock, device=board.variant or "")
        clk = Signal(name="clk")
        m = Module()
        m.submodules.clocked = ClockedTop(top, maker)
        m.d.comb += maker.clk_i.eq(clk)
        inputs = [] if clock.primitive == "SB_HFOSC" else [clk]
        return _named(rtlil.convert(m, name=BOARD_NAME, ports=[*inputs, top.uart_rx, top.uart_tx, top.led], emit_src=False))
    m = Module()
    # Registers start with the bitstream, so the board's logic needs no reset.
    m.domains.sync = sync = ClockDomain(reset_less=True)
    m.submodules.board = top
    ports = [sync.clk, top.uart_rx, top.uart_tx, top.led]
    return _named(rtlil.convert(m, name=BOARD_NAME, ports=ports, emit_src=False))


def _named(text: str) -> str:
    """Return RTLIL with plain names of modules."""
    return _MODULE.sub(lambda match: f"\\{BOARD_NAME}{match[1].replace('.', '_')}", text)

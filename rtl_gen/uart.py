"""Serial line: 8 data bits, no parity, 1 stop bit, least significant bit first."""

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

__all__ = ["UARTReceiver", "UARTTransmitter"]

MIN_DIVISOR = 8


def _check(divisor: int) -> int:
    if not isinstance(divisor, int):
        raise TypeError(f"Divisor must be an integer, not {divisor!r}")
    if divisor < MIN_DIVISOR:
        raise ValueError(f"Divisor must be at least {MIN_DIVISOR}, not {divisor}")
    return divisor


class UARTReceiver(wiring.Component):
    """Receiver.

    Samples each bit in its middle, counted from the falling edge of the start bit. A start bit that is
    high in its middle, or a stop bit that is low, drops the byte.

    A byte is offered ``2 + divisor // 2 + 9 * divisor`` cycles after its start bit began, for one cycle, ready or not.

    Parameters
    ----------
    divisor : int
        Clock cycles of a bit.

    Members
    -------
    rx : ``In(1)``
        Line, asynchronous, high when idle.
    o : ``Out(stream.Signature(8, always_ready=True))``
        Bytes.
    """

    def __init__(self, *, divisor: int):
        self.divisor = _check(divisor)
        super().__init__({"rx": In(1, init=1), "o": Out(stream.Signature(8, always_ready=True))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        line = Signal(init=1)
        m.submodules.synchronizer = FFSynchronizer(self.rx, line, init=1)
        timer = Signal(range(self.divisor))
        remaining = Signal(range(11))
        bits = Signal(8)

        m.d.comb += [self.o.payload.eq(bits), self.o.valid.eq((remaining == 1) & (timer == 0) & line)]
        with m.If(remaining == 0):
            m.d.sync += timer.eq(self.divisor // 2 - 1)
            with m.If(~line):
                m.d.sync += remaining.eq(10)
        with m.Elif(timer != 0):
            m.d.sync += timer.eq(timer - 1)
        with m.Else():
            m.d.sync += timer.eq(self.divisor - 1)
            with m.If((remaining == 10) & line):
                m.d.sync += remaining.eq(0)
            with m.Else():
                m.d.sync += remaining.eq(remaining - 1)
            with m.If(remaining != 1):
                m.d.sync += bits.eq(Cat(bits[1:], line))
        return m


class UARTTransmitter(wiring.Component):
    """Transmitter.

    A byte takes ``10 * divisor`` cycles; the next is accepted in the cycle after its stop bit.

    Parameters
    ----------
    divisor : int
        Clock cycles of a bit.

    Members
    -------
    i : ``In(stream.Signature(8))``
        Bytes.
    tx : ``Out(1)``
        Line, high when idle.
    """

    def __init__(self, *, divisor: int):
        self.divisor = _check(divisor)
        super().__init__({"i": In(stream.Signature(8)), "tx": Out(1, init=1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        timer = Signal(range(self.divisor))
        remaining = Signal(range(11))
        bits = Signal(9, init=0x1FF)

        m.d.comb += [self.tx.eq(bits[0]), self.i.ready.eq(remaining == 0)]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [bits.eq(Cat(Const(0, 1), self.i.payload)), remaining.eq(10), timer.eq(self.divisor - 1)]
        with m.Elif(timer != 0):
            m.d.sync += timer.eq(timer - 1)
        with m.Elif(remaining != 0):
            m.d.sync += [timer.eq(self.divisor - 1), remaining.eq(remaining - 1), bits.eq(Cat(bits[1:], Const(1, 1)))]
        return m

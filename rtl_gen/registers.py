"""Stream registers that keep the outside from reaching in."""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["InputRegister", "OutputRegister"]


class InputRegister(wiring.Component):
    """Register before a consumer whose ``ready`` comes from a register.

    ``i.ready`` is then one gate behind registers, and `i` reaches nothing but registers. Latency is one
    cycle; throughput is one payload per cycle.

    Parameters
    ----------
    layout : data.StructLayout
        Payload.

    Members
    -------
    i, o : ``In(stream.Signature(layout))``, ``Out(stream.Signature(layout))``
        Streams.
    """

    def __init__(self, layout: data.StructLayout):
        super().__init__({"i": In(stream.Signature(layout)), "o": Out(stream.Signature(layout))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += self.i.ready.eq(~self.o.valid | self.o.ready)
        with m.If(self.i.ready):
            m.d.sync += [self.o.valid.eq(self.i.valid), self.o.payload.eq(self.i.payload)]
        return m


class OutputRegister(wiring.Component):
    """Register behind a producer, with a second one for what is under way when the consumer stops.

    Every output is a register, ``i.ready`` included. Latency is one cycle; throughput is one payload per cycle.

    Parameters
    ----------
    layout : data.StructLayout
        Payload.

    Members
    -------
    i, o : ``In(stream.Signature(layout))``, ``Out(stream.Signature(layout))``
        Streams.
    """

    def __init__(self, layout: data.StructLayout):
        self.layout = layout
        super().__init__({"i": In(stream.Signature(layout)), "o": Out(stream.Signature(layout))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        spare = Signal(self.layout, reset_less=True)
        spare_valid = Signal()
        m.d.comb += self.i.ready.eq(~spare_valid)
        with m.If(self.o.ready | ~self.o.valid):
            m.d.sync += spare_valid.eq(0)
            with m.If(spare_valid):
                m.d.sync += self.o.payload.eq(spare)
            with m.Else():
                m.d.sync += [self.o.valid.eq(self.i.valid), self.o.payload.eq(self.i.payload)]
        with m.Elif(self.i.valid & self.i.ready):
            m.d.sync += [spare_valid.eq(1), spare.eq(self.i.payload)]
        return m

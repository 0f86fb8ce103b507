"""What the host link writes, it reads: every beat, once, in order."""

import pytest
from amaranth.hdl import Assume, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect

from rtl_gen.link import MessageReader, MessageWriter
from rtl_gen.properties import StreamClaim
from rtl_gen.prove import decide
from snnhw.board.link import Format


class Link(wiring.Component):
    """Beats through a writer and a reader. A spike has no `last`, and a tick no address."""

    def __init__(self, address_bytes, *, fault=False):
        self.fault = fault
        form = Format(inputs=1 << 8 * address_bytes, outputs=1 << 8 * address_bytes)
        self.writer, self.reader = MessageWriter(form), MessageReader(form)
        super().__init__({"i": In(self.writer.i.signature.flip()), "o": Out(self.reader.o_events.signature)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.writer, m.submodules.reader = writer, reader = self.writer, self.reader
        connect(m, wiring.flipped(self.i), writer.i)
        connect(m, writer.o, reader.i)
        connect(m, reader.o_events, wiring.flipped(self.o))
        if self.fault:
            m.d.comb += reader.i.payload[4].eq(writer.o.payload[4] & writer.o.payload[0])
        beat = self.i.payload
        m.d.comb += Assume(~self.i.valid | ((beat.tick | ~beat.last) & (~beat.tick | (beat.data == 0))))
        return m


@pytest.mark.parametrize("address_bytes", [1, 2])
def test_what_is_written_is_read(address_bytes):
    assert decide(StreamClaim(Link(address_bytes), capacity=2, latency_cycles=2 + address_bytes)).answer == "proved"


@pytest.mark.parametrize("cover", ["full", "drained_after_stall"])
def test_the_link_reaches(cover):
    assert decide(StreamClaim(Link(1), capacity=2, latency_cycles=3, cover=cover)).answer == "refuted"


def test_a_wrong_bit_is_found():
    assert decide(StreamClaim(Link(1, fault=True), capacity=2, latency_cycles=3)).answer == "refuted"

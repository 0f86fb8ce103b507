# amaranth: UnusedElaboratable=no
"""Unbounded proofs of the small blocks, each with witnesses that it is not empty and broken blocks it must refute."""

import pytest
from amaranth.hdl import Assert, Assume, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from rtl_gen.claims import EventBufferClaim, WeightLoaderClaim
from rtl_gen.events import EventBuffer
from rtl_gen.loader import WeightLoader
from rtl_gen.properties import Claim, StreamClaim
from rtl_gen.prove import decide
from rtl_gen.registers import InputRegister, OutputRegister

LAYOUT = data.StructLayout({"address": 2, "tick": 1})
REGISTERS = [(InputRegister, 1), (OutputRegister, 2)]
BUFFERS = [(1, 1, 1), (1, 1, 2), (2, 1, 2), (3, 2, 1)]


def holds(claim, **options):
    assert decide(claim, **options).answer == "proved"


def fails(claim, **options):
    assert decide(claim, **options).answer == "refuted"


def through(block, capacity, cover=None):
    return StreamClaim(block(LAYOUT), capacity=capacity, latency_cycles=1, cover=cover)


@pytest.mark.parametrize(("block", "capacity"), REGISTERS)
def test_registers_carry_every_item_once_in_order(block, capacity):
    holds(through(block, capacity))


@pytest.mark.parametrize("cover", StreamClaim.covers)
@pytest.mark.parametrize(("block", "capacity"), REGISTERS)
def test_registers_reach(block, capacity, cover):
    fails(through(block, capacity, cover))


@pytest.mark.parametrize(("inputs", "bits", "tiles"), BUFFERS)
def test_event_buffers_replay_every_timestep(inputs, bits, tiles):
    holds(EventBufferClaim(EventBuffer(inputs=inputs, address_bits=bits, tiles=tiles)), written={"events"})


@pytest.mark.parametrize(("inputs", "bits", "tiles", "value_bits"), [(1, 1, 1, 2), (2, 1, 1, 2), (2, 1, 2, 1)])
def test_event_buffers_bring_values_back(inputs, bits, tiles, value_bits):
    claim = EventBufferClaim(EventBuffer(inputs=inputs, address_bits=bits, tiles=tiles, value_bits=value_bits))
    holds(claim, written={"events"})


@pytest.mark.parametrize("cover", EventBufferClaim.covers)
def test_event_buffers_with_values_reach(cover):
    fails(EventBufferClaim(EventBuffer(inputs=2, address_bits=1, tiles=1, value_bits=2), cover), written={"events"})


@pytest.mark.parametrize("cover", EventBufferClaim.covers)
def test_event_buffers_reach(cover):
    fails(EventBufferClaim(EventBuffer(inputs=2, address_bits=1, tiles=2), cover), written={"events"})


@pytest.mark.parametrize("depths", [(1,), (3,), (2, 1, 3)])
def test_weight_loaders_fill_every_word_once(depths):
    holds(WeightLoaderClaim(WeightLoader(depths=depths, width=2)))
    fails(WeightLoaderClaim(WeightLoader(depths=depths, width=2), "done"))


class Broken(wiring.Component):
    """A register of one item with a fault to be found."""

    def __init__(self, fault):
        self.fault = fault
        super().__init__({"i": In(stream.Signature(LAYOUT)), "o": Out(stream.Signature(LAYOUT))})

    def elaborate(self, platform):
        m = Module()
        i, o = self.i, self.o
        full, since = Signal(), Signal(range(6))
        word, out = Value.cast(i.payload), Value.cast(o.payload)
        kept = Signal(len(word))
        m.d.comb += [i.ready.eq(~full | o.ready), o.valid.eq(full), out.eq(kept)]
        with m.If(i.valid & i.ready):
            m.d.sync += [full.eq(1), kept.eq(word)]
        with m.Elif(o.ready):
            m.d.sync += full.eq(0)
        m.d.sync += since.eq(since + (since < 5))
        match self.fault:
            case "overwrites while full":
                m.d.comb += i.ready.eq(1)
            case "offers twice":
                with m.If(full & o.ready & ~(i.valid & i.ready) & (kept == 5)):
                    m.d.sync += full.eq(1)
            case "withdraws an offer":
                m.d.comb += o.valid.eq(full & (o.ready | (kept != 3)))
            case "changes an offer":
                m.d.comb += out.eq(kept ^ (o.ready & (kept == 6)))
            case "changes a payload":
                m.d.comb += out.eq(kept | (kept == 2))
            case "loses an item":
                with m.If(i.valid & i.ready & (word == 7)):
                    m.d.sync += full.eq(full & ~o.ready)
            case "waits for ever":
                m.d.comb += o.valid.eq(full & (kept != 4))
            case "takes late":
                m.d.comb += i.ready.eq((~full | o.ready) & (since == 5))
        return m


FAULTS = ("overwrites while full", "offers twice", "withdraws an offer", "changes an offer", "changes a payload", "loses an item",
          "waits for ever", "takes late")


@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_register_is_found(fault):
    fails(StreamClaim(Broken(fault), capacity=1, latency_cycles=1))


def test_the_same_register_without_a_fault_is_proved():
    holds(StreamClaim(Broken(None), capacity=1, latency_cycles=1))


class Elsewhere(wiring.Component):
    """An event buffer behind a fault."""

    def __init__(self, fault):
        self.fault = fault
        self.inputs, self.tiles, self.address_bits, self.value_bits = 2, 2, 1, 2 * (fault == "value")
        self.block = EventBuffer(inputs=2, address_bits=1, tiles=2, value_bits=self.value_bits)
        super().__init__(self.block.signature)

    def elaborate(self, platform):
        m = Module()
        m.submodules.block = block = self.block
        wiring.connect(m, wiring.flipped(self.i), block.i)
        m.d.comb += [block.advance.eq(self.advance), self.slot.eq(block.slot), self.address.eq(block.address),
                     self.write.eq(block.write), self.read.eq(block.read)]
        count = Signal(2)
        with m.If(self.slot.valid & self.advance):
            m.d.sync += count.eq(count + 1)
        match self.fault:
            case "address":
                m.d.comb += self.address.eq(block.address ^ (count == 3))
            case "value":
                m.d.comb += self.value.eq(Mux(count == 3, -1, block.value))
            case "end of tile":
                m.d.comb += self.slot.tile_end.eq(block.slot.tile_end | (count == 2))
            case "end of sample":
                m.d.comb += self.slot.sample_end.eq(block.slot.sample_end & (count != 2))
            case "empty":
                m.d.comb += self.slot.empty.eq(block.slot.empty & (count != 1))
            case "gap":
                m.d.comb += [self.slot.valid.eq(block.slot.valid & (count != 3)), block.advance.eq(self.advance & (count != 3))]
        return m


@pytest.mark.parametrize("fault", ["address", "value", "end of tile", "end of sample", "empty", "gap"])
def test_a_broken_event_buffer_is_found(fault):
    fails(EventBufferClaim(Elsewhere(fault)), written={"events"})


class Second(Claim):
    """The last of several promises is false, unless the assumptions are narrow."""

    covers = ("anything",)

    def __init__(self, *, narrow, cover=None):
        self.narrow = narrow
        super().__init__({"a": In(2)}, cover)

    def elaborate(self, platform):
        m = Module()
        was = Signal(2)
        m.d.sync += was.eq(self.a)
        if self.narrow:
            m.d.comb += Assume(self.a == 2)
        m.d.comb += Assert(was <= 3)
        self.claim(m, {"true": was != was + 1, "false": was != 3}, {"anything": was == 1})
        return m


def test_every_promise_counts():
    fails(Second(narrow=False))


def test_a_cover_exposes_assumptions_that_leave_nothing_to_prove():
    holds(Second(narrow=True))
    holds(Second(narrow=True, cover="anything"))  # never happens, so the claim says nothing about it
    fails(Second(narrow=False, cover="anything"))


def test_giving_up_is_not_a_proof():
    verdict = decide(EventBufferClaim(EventBuffer(inputs=7, address_bits=3, tiles=3)), limit_s=1)
    assert verdict.answer == "undecided"


def test_a_cover_must_exist():
    with pytest.raises(ValueError, match=r"^Cover must be one of done, not 'nothing'$"):
        WeightLoaderClaim(WeightLoader(depths=(1,), width=1), "nothing")

"""What the blocks of a core promise beyond their streams."""

from amaranth.hdl import Assume, Cat, Module, Mux, Signal, Value, signed
from amaranth.lib.wiring import In

from rtl_gen.events import EventBuffer
from rtl_gen.loader import WeightLoader
from rtl_gen.properties import Claim, keep_stalled

__all__ = ["EventBufferClaim", "WeightLoaderClaim"]


class EventBufferClaim(Claim):
    """Every timestep is replayed once for each tile, complete, in order and without a gap.

    One beat is followed. If it is a spike, its address and value must come back at its place in every tile; in any
    case the timestep it belongs to must have as many slots as it had events (one if it had none), the right
    ends, and begin when the timestep before is over.

    Parameters
    ----------
    block : EventBuffer
        At a small size.
    cover : str or None
        See :class:`~rtl_gen.properties.Claim`.

    Members
    -------
    valid, address, tick, last, value : ``In``
        What the producer offers; it keeps its offers, and offers at most `inputs` spikes in a timestep. `value` only where
        events have one.
    advance : ``In(1)``
        The consumer takes a slot.
    pick : ``In(1)``
        The beat that enters now is the one to follow.
    """

    covers = ("longest_step_replayed", "empty_step", "as_many_steps_as_fit")

    def __init__(self, block: EventBuffer, cover: str | None = None):
        self.block = block
        value = {"value": In(signed(block.value_bits))} if block.value_bits else {}
        super().__init__({"valid": In(1), "address": In(block.address_bits), "tick": In(1), "last": In(1),
                          "advance": In(1), "pick": In(1)} | value, cover)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.block = block = self.block
        inputs, tiles = block.inputs, block.tiles
        listed = Signal(range(inputs + 1))  # events of the timestep that is entering
        m.d.comb += [
            block.i.valid.eq(self.valid),
            block.i.payload.address.eq(self.address),
            block.i.payload.tick.eq(self.tick),
            block.i.payload.last.eq(self.last),
            block.advance.eq(self.advance),
            Assume(keep_stalled(m, block.i, "i")),
            Assume(~(self.valid & ~self.tick) | (listed < inputs)),
        ]
        told, comes_back = self.address, block.address
        if block.value_bits:
            m.d.comb += block.i.payload.value.eq(self.value)
            told, comes_back = Cat(told, self.value), Cat(comes_back, block.value)
        entering, leaving, step_ends = Signal(), Signal(), Signal()
        slot = block.slot
        m.d.comb += [
            entering.eq(block.i.valid & block.i.ready),
            leaving.eq(slot.valid & self.advance),
            step_ends.eq(leaving & slot.step_end),
        ]
        with m.If(entering):
            m.d.sync += listed.eq(Mux(self.tick, 0, listed + 1))
        steps = Signal(3)  # timesteps that have entered and not left
        m.d.sync += steps.eq(steps + (entering & self.tick) - step_ends)

        place, tile = Signal(range(inputs + 1)), Signal(range(tiles + 1))  # of the slot that is on offer
        with m.If(leaving):
            m.d.sync += [place.eq(Mux(slot.tile_end, 0, place + 1)), tile.eq(tile + slot.tile_end)]
        with m.If(step_ends):
            m.d.sync += tile.eq(0)

        following, spike, closed, sample_end = Signal(), Signal(), Signal(), Signal()
        ahead, index, length, expected = Signal.like(steps), Signal.like(listed), Signal.like(listed), Signal(len(told))
        remaining = Signal.like(steps)
        m.d.comb += remaining.eq(steps - step_ends)
        with m.If(entering & self.pick & ~following):
            m.d.sync += [following.eq(1), spike.eq(~self.tick), closed.eq(0), ahead.eq(remaining), index.eq(listed),
                         expected.eq(told)]
        with m.If(entering & self.tick & (following & ~closed | self.pick & ~following)):
            m.d.sync += [closed.eq(1), length.eq(listed), sample_end.eq(self.last)]
        with m.If(following & step_ends):
            m.d.sync += ahead.eq(ahead - 1)
            with m.If(ahead == 0):
                m.d.sync += following.eq(0)

        now = Signal()  # the slot on offer belongs to the timestep that is followed
        due, held = Signal(), Signal()
        was_slot, was_event = Signal(len(Value.cast(slot))), Signal(len(told))
        m.d.comb += now.eq(following & (ahead == 0) & slot.valid)
        m.d.sync += [due.eq(self.advance & (remaining != 0)), held.eq(~self.advance),
                     was_slot.eq(slot), was_event.eq(comes_back)]
        expects_end = Mux(length == 0, place == 0, place == length - 1)
        self.claim(m, {
            "begins_when_closed": ~now | closed,
            "brings_every_event_back": ~(now & spike & (place == index)) | (~slot.empty & (comes_back == expected)),
            "is_empty_without_events": ~now | (slot.empty == (length == 0)),
            "ends_each_tile": ~now | (slot.tile_end == expects_end),
            "ends_the_step_after_all_tiles": ~now | (slot.step_end == (slot.tile_end & (tile == tiles - 1))),
            "knows_the_end_of_the_sample": ~now | (slot.sample_end == sample_end),
            "invents_nothing": ~slot.valid | (steps != 0),
            "ends_nothing_without_a_slot": slot.valid | ~(slot.tile_end | slot.step_end),
            "leaves_no_gap": ~due | slot.valid,
            "holds_while_told": ~held | ((Value.cast(slot) == was_slot) & (comes_back == was_event)),
            "takes_the_next_step": (steps > 1) | block.i.ready,
            "holds_no_more_than_three_steps": steps <= 3,
            "writes_spikes": block.write == (entering & ~self.tick),
        }, {
            "longest_step_replayed": now & spike & leaving & (length == inputs) & (index == inputs - 1) & (tile == tiles - 1)
                                     & (place == index) & sample_end & expected.all(),
            "empty_step": now & leaving & (length == 0) & slot.step_end & ~sample_end,
            "as_many_steps_as_fit": steps == 3,
        })
        return m


class WeightLoaderClaim(Claim):
    """The words fill one memory after the other, each address once, in order; then no more is taken.

    Parameters
    ----------
    block : WeightLoader
        At a small size.
    cover : str or None
        See :class:`~rtl_gen.properties.Claim`.

    Members
    -------
    valid : ``In(1)``
        A word is offered.
    """

    covers = ("done",)

    def __init__(self, block: WeightLoader, cover: str | None = None):
        self.block = block
        super().__init__({"valid": In(1)}, cover)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.block = block = self.block
        places = [(memory, address) for memory, depth in enumerate(block.depths) for address in range(depth)]
        taken = Signal(range(len(places) + 1))
        entering = Signal()
        m.d.comb += [block.i.valid.eq(self.valid), entering.eq(self.valid & block.i.ready)]
        m.d.sync += taken.eq(taken + entering)
        right = Signal()
        with m.Switch(taken):
            for number, (memory, address) in enumerate(places):
                with m.Case(number):
                    m.d.comb += right.eq((block.write == 1 << memory) & (block.address == address))
        self.claim(m, {
            "writes_where_it_belongs": ~entering | right,
            "writes_only_what_it_takes": entering | (block.write == 0),
            "takes_all": block.i.ready == (taken != len(places)),
            "is_done_after_the_last": block.done == (taken == len(places)),
        }, {"done": block.done})
        return m

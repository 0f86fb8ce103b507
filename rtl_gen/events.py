"""Event lists and event bitmaps: what a core keeps of a timestep, and how it replays it."""

from amaranth.hdl import Cat, Module, Mux, ShapeLike, Signal, Value, signed
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from snnhw.fixed import unsigned_bits
from snnhw.plan.plan import BITMAP_BITS

__all__ = ["EventBitmap", "EventBuffer", "event_layout", "slot_layout"]


def event_layout(address_bits: int, value: ShapeLike = 0) -> data.StructLayout:
    """Return the payload of an event stream.

    A spike carries its ``address`` and, if it has a shape, a ``value``: a number of the input, a count, or a state in two's
    complement.
    A ``tick`` ends the timestep; its address and its value mean nothing. Every event of a core's output in the last timestep
    of a sample has ``last``; of an accelerator's input, only the tick needs it.
    """
    return data.StructLayout({"address": address_bits, "last": 1, "tick": 1} | ({"value": value} if value else {}))


def slot_layout() -> data.StructLayout:
    """Return the flags that accompany one slot of accumulation through its pipeline.

    ``valid``: there is a slot. ``empty``: it adds nothing, because its timestep has no event.
    ``tile_end``, ``step_end``: it is the last of its tile, of its timestep. ``sample_end``: its timestep is the last of a sample.
    """
    return data.StructLayout({"valid": 1, "empty": 1, "tile_end": 1, "step_end": 1, "sample_end": 1})


class EventBuffer(wiring.Component):
    """Double-buffered list of the events of a timestep, replayed once for each tile.

    One bank collects the events of the next timestep while the other is read. A tick closes the bank
    that is being written; it is handed to the reader when the reader is idle or issues its last slot.
    Only while a closed bank waits is `i` not ready, so nothing is lost between timesteps.

    Accepts one event per cycle. The first slot of a timestep is issued in the cycle after its tick, or
    in the cycle after the last slot of the timestep before; then one slot is issued in every cycle with
    `advance`: ``tiles * max(1, events)`` slots. A slot is on `slot` in the cycle after its issue.

    Parameters
    ----------
    inputs : int
        Number of addresses, and the most events of a timestep.
    address_bits : int
        Width of an address.
    tiles : int
        How often a list is replayed.
    value_bits : int
        Width of the signed value of an event; 0 when it has none.

    Members
    -------
    i : ``In(stream.Signature(event_layout(address_bits, ...)))``
        Events, each address at most once per timestep, and ticks.
    advance : ``In(1)``
        The slot on `slot` is taken. While low, nothing is read and `slot` is held.
    slot : ``Out(slot_layout())``
        Flags of a slot.
    address : ``Out(address_bits)``
        Its address, valid unless the slot is empty.
    value : ``Out(signed(value_bits))``
        Its value, likewise; only where events have one.
    write, read : ``Out(1)``
        The memory is written, read.
    """

    def __init__(self, *, inputs: int, address_bits: int, tiles: int, value_bits: int = 0):
        if inputs < 1:
            raise ValueError(f"Inputs must be positive, not {inputs}")
        if tiles < 1:
            raise ValueError(f"Tiles must be positive, not {tiles}")
        self.inputs, self.address_bits, self.tiles, self.value_bits = inputs, address_bits, tiles, value_bits
        super().__init__({
            "i": In(stream.Signature(event_layout(address_bits, signed(value_bits) if value_bits else 0))),
            "advance": In(1),
            "slot": Out(slot_layout()),
            "address": Out(address_bits),
            "write": Out(1),
            "read": Out(1),
        } | ({"value": Out(signed(value_bits))} if value_bits else {}))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.events = events = memory.Memory(shape=self.address_bits + self.value_bits, depth=2 * self.inputs, init=[])
        write_port = events.write_port()
        read_port = events.read_port()

        bank = Signal()  # bank that is written; the reader has the other
        write_address = Signal(range(2 * self.inputs))
        some = Signal()  # the written bank has an event
        several = Signal()  # it has more than one
        closed = Signal()  # the written bank is complete and waits for the reader
        closed_last = Signal()

        reading = Signal()
        read_address = Signal(range(2 * self.inputs), reset_less=True)
        read_limit = Signal(range(2 * self.inputs), reset_less=True)  # address of the last event but one
        read_empty = Signal()
        read_several = Signal()
        read_sample_end = Signal()
        tile_end = Signal()
        tile = Signal(range(self.tiles))

        accepted = Signal()
        tick = Signal()
        issue = Signal()
        rewind = Signal()
        finish = Signal()
        handover = Signal()
        last_tile = Signal()
        m.d.comb += [
            self.i.ready.eq(~closed),
            accepted.eq(self.i.valid & ~closed),
            tick.eq(accepted & self.i.payload.tick),
            last_tile.eq(tile == self.tiles - 1),
            issue.eq(reading & self.advance),
            rewind.eq(issue & tile_end),
            finish.eq(rewind & last_tile),
            handover.eq((tick | closed) & (~reading | finish)),
            self.write.eq(accepted & ~self.i.payload.tick),
            write_port.en.eq(self.write),
            write_port.addr.eq(write_address),
            write_port.data.eq(Cat(self.i.payload.address, self.i.payload.value) if self.value_bits else self.i.payload.address),
            self.read.eq(issue & ~read_empty),
            read_port.en.eq(self.read),
            read_port.addr.eq(read_address),
            self.address.eq(read_port.data[:self.address_bits]),
        ]
        if self.value_bits:
            m.d.comb += self.value.eq(read_port.data[self.address_bits:].as_signed())

        with m.If(self.write):
            m.d.sync += [write_address.eq(write_address + 1), some.eq(1), several.eq(some)]
        with m.If(tick):
            m.d.sync += [closed.eq(1), closed_last.eq(self.i.payload.last)]
        with m.If(issue):
            # Found out one slot ahead: the end of a tile is at the root of everything that follows from it.
            m.d.sync += [read_address.eq(read_address + 1), tile_end.eq(read_address == read_limit)]
        with m.If(rewind):
            m.d.sync += [tile.eq(tile + 1), tile_end.eq(~read_several)]
        with m.If(rewind | handover):
            # Outermost, so that the bits that are 0 in both banks become synchronous resets.
            m.d.sync += read_address.eq(Mux(bank ^ handover, 0, self.inputs))
        with m.If(finish):
            m.d.sync += [reading.eq(0), tile.eq(0)]
        with m.If(handover):
            m.d.sync += [
                reading.eq(1),
                read_limit.eq(write_address - 2),
                read_empty.eq(~some),
                read_several.eq(several),
                # The tick that closed the bank is on the stream, or has been kept.
                read_sample_end.eq(Mux(closed, closed_last, self.i.payload.last)),
                tile_end.eq(~several),
                bank.eq(~bank),
                write_address.eq(Mux(bank, 0, self.inputs)),
                some.eq(0),
                several.eq(0),
                closed.eq(0),
            ]
        with m.If(self.advance):
            m.d.sync += [
                self.slot.valid.eq(reading),
                self.slot.empty.eq(read_empty),
                self.slot.tile_end.eq(reading & tile_end),
                self.slot.step_end.eq(reading & tile_end & last_tile),
                self.slot.sample_end.eq(read_sample_end),
            ]
        return m


class EventBitmap(wiring.Component):
    """The events of a timestep as one bit for each address, replayed once for each tile.

    Does what an :class:`EventBuffer` does, with the same ports, in two memories of which one takes the events of the next
    timestep while the other is read. A word holds the bits of :data:`~snnhw.plan.plan.BITMAP_BITS` neighbouring addresses.
    Its events are issued in ascending order, one slot per cycle with `advance`; a word without events is an empty slot. The
    next word is read ahead, so none waits; the first slot of a timestep is issued three cycles after its tick, or after the
    last slot of the timestep before. A timestep without events has one empty slot for each tile.

    A word is cleared when its last event is issued for the last tile. After a reset all are cleared first, while `clearing`.

    The memories are written bit by bit, which only some parts can do without a memory for each bit: iCE40.

    Parameters
    ----------
    inputs : int
        Number of addresses.
    address_bits : int
        Width of an address.
    tiles : int
        How often the events are replayed.

    Members
    -------
    i, advance, slot, address, write, read :
        Those of an :class:`EventBuffer`; `read` is high for each word.
    clear : ``Out(1)``
        A word is cleared.
    clearing : ``Out(1)``
        No event may come yet.
    """

    def __init__(self, *, inputs: int, address_bits: int, tiles: int):
        self.inputs, self.address_bits, self.tiles = inputs, address_bits, tiles
        self.words = -(-inputs // BITMAP_BITS)
        super().__init__({
            "i": In(stream.Signature(event_layout(address_bits))),
            "advance": In(1),
            "slot": Out(slot_layout()),
            "address": Out(address_bits),
            "write": Out(1),
            "read": Out(1),
            "clear": Out(1),
            "clearing": Out(1, init=1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        last_word = self.words - 1
        bank = Signal()  # that is written; the reader has the other
        some = Signal()  # the written bank has an event
        closed = Signal()  # the written bank is complete and waits for the reader
        closed_last = Signal()
        reading = Signal()
        read_empty = Signal()
        read_sample_end = Signal()
        begin, filled = Signal(), Signal()  # the first word is read; it is at the output of the memory
        ready = Signal()  # there is a word to issue from
        word = Signal(range(self.words), reset_less=True)  # its number
        rest = Signal(BITMAP_BITS, reset_less=True)  # its events that are not issued yet
        tile = Signal(range(self.tiles))

        accepted, tick, issue, handover = Signal(), Signal(), Signal(), Signal()
        behind_first = Signal(BITMAP_BITS)
        ends, word_end, tile_end, last_tile, finish = Signal(), Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            self.i.ready.eq(~closed & ~self.clearing),
            accepted.eq(self.i.valid & self.i.ready),
            tick.eq(accepted & self.i.payload.tick),
            self.write.eq(accepted & ~self.i.payload.tick),
            behind_first.eq(rest & (rest - 1)),
            ends.eq(~behind_first.any()),
            issue.eq(ready & self.advance),
            word_end.eq(issue & ends),
            tile_end.eq(word_end & (read_empty | (word == last_word))),
            last_tile.eq(tile == self.tiles - 1),
            finish.eq(tile_end & last_tile),
            handover.eq((tick | closed) & (~reading | finish)),
        ]
        clear_word = Signal(range(self.words))
        with m.If(self.clearing):
            m.d.sync += clear_word.eq(clear_word + 1)
            with m.If(clear_word == last_word):
                m.d.sync += [self.clearing.eq(0), clear_word.eq(0)]

        # Words are read one ahead, up to the last of the last tile; the output of the memory keeps the next.
        load, next_word = Signal(), Signal.like(word)
        fetch_word, fetch_tile, fetched = Signal.like(word), Signal.like(tile), Signal()
        m.d.comb += [load.eq(filled | word_end), self.read.eq((begin | load) & ~fetched & ~read_empty)]
        with m.If(self.read):
            m.d.sync += [next_word.eq(fetch_word), fetch_word.eq(fetch_word + 1)]
            with m.If(fetch_word == last_word):
                m.d.sync += [fetch_word.eq(0), fetch_tile.eq(fetch_tile + 1), fetched.eq(fetch_tile == self.tiles - 1)]
        with m.If(handover):
            m.d.sync += [fetch_word.eq(0), fetch_tile.eq(0), fetched.eq(0)]
        stored = self._memories(m, bank, word, clear_word, fetch_word)

        m.d.sync += [begin.eq(handover), filled.eq(begin)]
        with m.If(load):
            m.d.sync += [rest.eq(Mux(read_empty, 0, stored)), word.eq(next_word)]
        with m.Elif(issue):
            m.d.sync += rest.eq(behind_first)
        m.d.comb += self.clear.eq(word_end & last_tile & ~read_empty)
        with m.If(self.write):
            m.d.sync += some.eq(1)
        with m.If(tick):
            m.d.sync += [closed.eq(1), closed_last.eq(self.i.payload.last)]
        with m.If(tile_end):
            m.d.sync += tile.eq(Mux(last_tile, 0, tile + 1))
        with m.If(finish):
            m.d.sync += [reading.eq(0), ready.eq(0)]
        with m.Elif(filled):
            m.d.sync += ready.eq(1)
        with m.If(handover):
            m.d.sync += [
                reading.eq(1), read_empty.eq(~some), bank.eq(~bank), some.eq(0), closed.eq(0),
                # The tick that closed the bank is on the stream, or has been kept.
                read_sample_end.eq(Mux(closed, closed_last, self.i.payload.last)),
            ]
        lowest = Signal(range(BITMAP_BITS))
        for offset in reversed(range(BITMAP_BITS)):
            with m.If(rest[offset]):
                m.d.comb += lowest.eq(offset)
        with m.If(self.advance):
            m.d.sync += [
                self.slot.valid.eq(ready),
                self.slot.empty.eq(~rest.any()),
                self.slot.tile_end.eq(tile_end),
                self.slot.step_end.eq(finish),
                self.slot.sample_end.eq(read_sample_end),
                self.address.eq(Cat(lowest, word)),
            ]
        return m

    def _memories(self, m: Module, bank: Value, word: Value, clear_word: Value, fetch_word: Value) -> Value:
        """Build both memories; return what the one that is read has at its output."""
        offset_bits = unsigned_bits(BITMAP_BITS - 1)
        address = self.i.payload.address
        whole = (1 << BITMAP_BITS) - 1
        outputs = []
        for side in range(2):
            m.submodules[f"events_{side}"] = events = memory.Memory(shape=BITMAP_BITS, depth=self.words, init=[])
            write_port, read_port = events.write_port(granularity=1), events.read_port()
            written = Signal(name=f"written_{side}")
            m.d.comb += [
                written.eq(bank == side),
                write_port.addr.eq(Mux(self.clearing, clear_word, Mux(written, address[offset_bits:], word))),
                write_port.data.eq(Mux(written & ~self.clearing, whole, 0)),
                write_port.en.eq(Mux(self.clearing | (~written & self.clear), whole,
                                     Mux(written & self.write, 1 << address[:offset_bits], 0))),
                read_port.addr.eq(fetch_word),
                read_port.en.eq(self.read & ~written),
            ]
            outputs.append(read_port.data)
        return Mux(bank, outputs[0], outputs[1])

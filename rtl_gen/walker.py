"""Weighted sums by lists: every event adds the words of its list to the currents of the neurons it reaches."""

from amaranth.hdl import Cat, Const, Module, Mux, ShapeLike, Signal, Value, signed
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from rtl_gen.currents import Currents
from rtl_gen.events import slot_layout
from rtl_gen.loader import address_bits, weight_memory
from rtl_gen.unpack import unpacked
from snnhw.fixed import pack_words, unsigned_bits
from snnhw.plan import LayerPlan
from snnhw.plan.columns import Columns
from snnhw.plan.synapses import Dense, Scattered

__all__ = ["Walker", "input_value"]


def input_value(layer: LayerPlan) -> ShapeLike:
    """Return the shape of the value of an event that a core takes; 0 when it has none."""
    return signed(layer.input_value_bits) if layer.input_value_bits else 0


class Walker(wiring.Component):
    """Reads the list of each event of a timestep, one weight word per cycle, and adds it to the currents.

    Pipeline:

        0  the event; read where its list lies, unless all lists are equally long
        1  pointer to a weight word; with the last one of a list, the next event moves up
        2  weight memory, and what decodes it if weights are packed
        3  place in the currents, and what is added there: weights, times the value of a graded event
           (:class:`~rtl_gen.currents.Currents` reads, adds, writes and hands over the sums)

    An event stays in stage 1 for as many cycles as its list has words, and at least one. Stages 0 and 1 and the slot before
    them move together, whenever stage 1 is empty or done: `advance`. The first event of a timestep waits in stage 1 until the
    currents are free. So a timestep takes one cycle for each of its words, and for each event without one, from the first to
    the last; the next follows without a gap if its events are there and the sums of the timestep before were taken.

    Parameters
    ----------
    layer : LayerPlan
        Sizes, widths and lists.

    Members
    -------
    slot, address, value : ``In``
        Slot of an :class:`~rtl_gen.events.EventBuffer`; `value` only where events have one.
    advance : ``Out(1)``
        The slot is taken.
    clearing : ``Out(1)``
        The currents are cleared after a reset.
    valid, sum, sample_end, take :
        Result of the next neuron, in ascending order, see :class:`~rtl_gen.currents.Currents`.
    sources_read, weights_read, accumulate, currents_read, currents_clear : ``Out(1)``
        A memory is read; a word is added; currents of a neuron are read; what was read is cleared.
    load_active, load_write, load_address, load_data : ``In``
        Only with loaded weights. While active, the weight memory belongs to the loader.
    """

    def __init__(self, layer: LayerPlan):
        assert not isinstance(layer.synapses, Dense)
        self.layer, self.synapses = layer, layer.synapses
        members: dict[str, object] = {
            "slot": In(slot_layout()),
            "address": In(layer.input_address_bits),
            "advance": Out(1),
            "clearing": Out(1),
            "valid": Out(1),
            "sum": Out(signed(layer.current_bits)),
            "sample_end": Out(1),
            "take": In(1),
        }
        if layer.input_value_bits:
            members["value"] = In(signed(layer.input_value_bits))
        members |= {name: Out(1) for name in ("sources_read", "weights_read", "accumulate", "currents_read", "currents_clear")}
        weights = layer.memories[0]
        if layer.weights_loaded:
            members |= {"load_active": In(1), "load_write": In(1), "load_address": In(address_bits(weights.depth)),
                        "load_data": In(weights.width)}
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        layer, synapses = self.layer, self.synapses
        m.submodules.currents = currents = Currents(layer)
        for name in ("clearing", "valid", "sum", "sample_end", "accumulate", "currents_read", "currents_clear"):
            m.d.comb += getattr(self, name).eq(getattr(currents, name))
        m.d.comb += currents.take.eq(self.take)

        # 0: the event
        found = Signal(slot_layout())
        value_bits = layer.input_value_bits
        found_value = Signal(signed(max(1, value_bits)), reset_less=True)
        base, first, count = self._source(m)
        with m.If(self.advance):
            m.d.sync += found.eq(self.slot)
            if value_bits:
                m.d.sync += found_value.eq(self.value)

        # 1: a pointer into its list
        present = Signal()
        some = Signal()  # the list has words
        step_end = Signal()
        sample_end = Signal()
        last = Signal()
        begins = Signal()
        pointer = Signal(address_bits(layer.memories[0].depth), reset_less=True)
        left = Signal(len(count), reset_less=True)  # words after this one
        walk_base = Signal(len(base), reset_less=True)
        walk_value = Signal.like(found_value, name="walk_value")
        issue = Signal()
        m.d.comb += [
            issue.eq(present & currents.free),
            last.eq(~left.any() | ~some),
            self.advance.eq(~present | (issue & last)),
            currents.close.eq(issue & last & step_end),
            self.weights_read.eq(issue & some),
        ]
        with m.If(self.advance):
            m.d.sync += [
                present.eq(found.valid), some.eq(count.any() & ~found.empty), begins.eq(1),
                step_end.eq(found.step_end), sample_end.eq(found.sample_end),
                pointer.eq(first), left.eq(count - 1), walk_base.eq(base), walk_value.eq(found_value),
            ]
        with m.Elif(issue):
            m.d.sync += [pointer.eq(pointer + (synapses.sources if synapses.uniform else 1)), left.eq(left - 1), begins.eq(0)]

        # 2: the weight memory
        fetch_valid = Signal()
        fetch_begins = Signal(reset_less=True)
        fetch_end = Signal()
        fetch_last = Signal(reset_less=True)
        fetch_base = Signal.like(walk_base, name="fetch_base")
        fetch_value = Signal.like(found_value, name="fetch_value")
        m.d.sync += [
            fetch_valid.eq(self.weights_read), fetch_begins.eq(begins), fetch_end.eq(currents.close), fetch_last.eq(sample_end),
            fetch_base.eq(walk_base), fetch_value.eq(walk_value),
        ]
        word = unpacked(m, layer, weight_memory(m, self, layer, pointer, self.weights_read))
        fields = _split(word, [bits for _, bits in layer.word_fields])

        # 3: places, and what is added there
        added, places, weights = self._decode(m, fields, fetch_valid, fetch_begins, fetch_base)
        place_valid = Signal()
        place_end = Signal()
        place_last = Signal(reset_less=True)
        m.d.sync += [place_valid.eq(added), place_end.eq(fetch_end), place_last.eq(fetch_last)]
        m.d.comb += [currents.valid_in.eq(place_valid), currents.end.eq(place_end), currents.end_last.eq(place_last)]
        for bank, place in enumerate(places):
            m.d.comb += currents.place[bank].eq(place)
        for lane, weight in enumerate(weights):
            product = weight.as_signed() * fetch_value if value_bits else weight.as_signed()
            addend = Signal(signed(layer.current_bits), name=f"addend_{lane}", reset_less=True)
            m.d.sync += addend.eq(product)
            m.d.comb += currents.addend[lane].eq(addend)
        return m

    def _source(self, m: Module) -> tuple[Value, Value, Value]:
        """Return the base, the first word and the number of words of the list of the event in stage 0."""
        layer, synapses = self.layer, self.synapses
        if synapses.uniform:
            address = Signal(layer.input_address_bits, name="found_address", reset_less=True)
            with m.If(self.advance):
                m.d.sync += address.eq(self.address)
            return Const(0), address, Const(synapses.uniform)
        fields = [bits for _, bits in layer.source_fields]
        m.submodules.sources = sources = memory.Memory(shape=sum(fields), depth=layer.inputs,
                                                       init=pack_words(layer.source_fields))
        source = sources.read_port()
        m.d.comb += [self.sources_read.eq(self.advance & self.slot.valid & ~self.slot.empty), source.en.eq(self.sources_read),
                     source.addr.eq(self.address)]
        base, first, count = [Const(0), *_split(source.data, fields)][-3:]
        return base, first, count

    def _decode(self, m: Module, fields: list[Value], valid: Value, begins: Value,
                base: Value) -> tuple[Value, list[Value], list[Value]]:
        """Return whether a word is added, and, registered, its place in each memory; and the weights of the word."""
        synapses = self.synapses
        if isinstance(synapses, Scattered):
            *weights, offset = fields
            place = Signal(unsigned_bits(synapses.words - 1), reset_less=True)
            m.d.sync += place.eq(base + offset)
            return valid, [place], weights
        assert isinstance(synapses, Columns)
        if synapses.headers:
            return self._masked(m, fields, valid, begins)
        if not synapses.row_bits:
            return valid, [Const(0)] * synapses.lanes, fields
        places = []
        for lane, row in enumerate(fields[synapses.lanes:]):
            place = Signal(unsigned_bits(synapses.words - 1), name=f"place_{lane}", reset_less=True)
            places.append(place)
            with m.If(valid):
                m.d.sync += place.eq(row + Mux(begins, 0, place) if synapses.format == "run-length" else row)
        return valid, places, fields[:synapses.lanes]

    def _masked(self, m: Module, fields: list[Value], valid: Value, begins: Value) -> tuple[Value, list[Value], list[Value]]:
        """Return the same as :meth:`_decode` where bits of rows come before the weights: a weight takes the lowest one left."""
        assert isinstance(self.synapses, Columns)
        rows, headers = self.synapses.words, self.synapses.headers
        header = Signal()
        behind = Signal(range(headers + 1), reset_less=True)  # header words after the one that begins a list
        m.d.comb += header.eq(begins | behind.any())
        with m.If(valid):
            m.d.sync += behind.eq(Mux(begins, headers - 1, Mux(behind.any(), behind - 1, 0)))
        places = []
        for lane, chunk in enumerate(fields):
            mask = Signal(headers * self.synapses.weight_bits, name=f"mask_{lane}", reset_less=True)
            place = Signal(unsigned_bits(rows - 1), name=f"place_{lane}", reset_less=True)
            places.append(place)
            lowest = Signal.like(place, name=f"lowest_{lane}")
            for row in reversed(range(rows)):
                with m.If(mask[row]):
                    m.d.comb += lowest.eq(row)
            with m.If(valid):
                m.d.sync += [place.eq(lowest), mask.eq(Mux(header, Cat(mask, chunk)[len(chunk):], mask & (mask - 1)))]
        return valid & ~header, places, fields


def _split(word: Value, widths: list[int]) -> list[Value]:
    """Return the fields of a word, the lowest first."""
    fields, offset = [], 0
    for bits in widths:
        fields.append(word[offset:offset + bits])
        offset += bits
    return fields

"""Weighted sums by lists: every event adds the words of its list to a memory of currents."""

from amaranth.hdl import Module, Mux, ShapeLike, Signal, Value, signed
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from rtl_gen.events import event_layout
from rtl_gen.loader import address_bits, weight_memory
from snnhw.fixed import pack_words, unsigned_bits
from snnhw.plan import LayerPlan
from snnhw.plan.synapses import Scattered

__all__ = ["Walker", "input_value"]


def input_value(layer: LayerPlan) -> ShapeLike:
    """Return the shape of the value of an event that a core takes; 0 when it has none."""
    return signed(layer.input_value_bits) if layer.input_value_bits else 0


class Walker(wiring.Component):
    """Adds the weights of a timestep's events, list by list, and hands the sums over one neuron at a time.

    Pipeline, one weight word per cycle:

        0  take an event; read where its list lies
        1  pointer to a weight word; with the last one, the next event's list is loaded
        2  weight memory
        3  place in the currents: base of the event + offset of the word; weights, times the value of a graded event
        4  currents are read; a word that is being written comes from stage 5 instead
        5  addition, and write

    A tick waits until the pipeline is empty. Then the currents are read neuron by neuron, in the order of their numbers, while
    `take` asks for them; a word is cleared when its last neuron is taken. After the last neuron events are taken again. After a
    reset all words are cleared first: ``synapses.words`` cycles.

    A timestep takes ``words + outputs + 7`` cycles when events are waiting and sums are taken at once, from its first event to
    its last sum; `words` are those of its lists, and one for each event whose list is empty. Events with empty lists at its end
    overlap with the pipeline: each of them makes the 7 one less, down to 3. Where no list has words it is 3, without events 2.

    Parameters
    ----------
    layer : LayerPlan
        Sizes, widths and lists.

    Members
    -------
    i : ``In(stream.Signature(event_layout(layer.input_address_bits, input_value(layer))))``
        Events and ticks.
    valid : ``Out(1)``
        There is a result.
    sum : ``Out(signed(layer.current_bits))``
        Weighted sum of the next neuron, in ascending order.
    sample_end : ``Out(1)``
        Its timestep is the last of the sample.
    take : ``In(1)``
        The result is taken.
    sources_read, weights_read, accumulate, currents_read, currents_clear : ``Out(1)``
        A memory is read; a word is added; currents of a neuron are read; a word of currents is cleared.
    load_active, load_write, load_address, load_data : ``In``
        Only with loaded weights. While active, the weight memory belongs to the loader.
    """

    def __init__(self, layer: LayerPlan):
        assert isinstance(layer.synapses, Scattered)
        self.layer, self.synapses = layer, layer.synapses
        members: dict[str, object] = {
            "i": In(stream.Signature(event_layout(layer.input_address_bits, input_value(layer)))),
            "valid": Out(1),
            "sum": Out(signed(layer.current_bits)),
            "sample_end": Out(1),
            "take": In(1),
        }
        members |= {name: Out(1) for name in ("sources_read", "weights_read", "accumulate", "currents_read", "currents_clear")}
        weights = layer.memories[0]
        if layer.weights_loaded:
            members |= {"load_active": In(1), "load_write": In(1), "load_address": In(address_bits(weights.depth)),
                        "load_data": In(weights.width)}
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        layer, words = self.layer, self.synapses.words
        m.submodules.currents = currents = memory.Memory(shape=layer.lanes * layer.current_bits, depth=words, init=[])
        read = currents.read_port()
        write = currents.write_port()

        clearing = Signal(init=1)
        sweeping = Signal()
        clear_place = Signal(range(words))
        m.d.sync += clear_place.eq(clear_place + 1)
        with m.If(clear_place == words - 1):
            m.d.sync += [clearing.eq(0), clear_place.eq(0)]
        with m.If(~clearing):
            m.d.sync += clear_place.eq(0)

        walk_read, walk_place, adds, add_place, total = self._walk(m, ~clearing & ~sweeping, read.data)
        begin = Signal()
        m.d.comb += begin.eq(self.i.valid & self.i.payload.tick & self.i.ready)
        sweep_place, taken_place, end = self._sweep(m, begin, sweeping, read.data)
        with m.If(begin):
            m.d.sync += [sweeping.eq(1), self.sample_end.eq(self.i.payload.last)]
        with m.Elif(end):
            m.d.sync += sweeping.eq(0)
        m.d.comb += [
            read.en.eq(walk_read | self.currents_read),
            read.addr.eq(Mux(sweeping, sweep_place, walk_place)),
            write.en.eq(adds | self.currents_clear | clearing),
            write.addr.eq(Mux(clearing, clear_place, Mux(sweeping, taken_place, add_place))),
            write.data.eq(Mux(adds, total, 0)),
            self.accumulate.eq(adds),
        ]
        return m

    def _walk(self, m: Module, walking: Value, current: Value) -> tuple[Value, ...]:
        """Build stages 0 to 5; return what the memory of currents needs of them."""
        layer = self.layer
        value_bits = layer.input_value_bits
        fields = [bits for _, bits in layer.source_fields]
        m.submodules.sources = sources = memory.Memory(shape=sum(fields), depth=layer.inputs,
                                                       init=pack_words(layer.source_fields))
        source = sources.read_port()
        base, first, count = _split(source.data, fields)

        # 0: an event; what is read stays at the output of the memory until it is loaded
        found = Signal()
        load = Signal()
        found_value = Signal(signed(max(1, value_bits)), reset_less=True)
        ready = walking & (~found | load)
        m.d.comb += [self.sources_read.eq(self.i.valid & ~self.i.payload.tick & ready), source.en.eq(self.sources_read),
                     source.addr.eq(self.i.payload.address)]
        with m.If(self.sources_read):
            m.d.sync += found.eq(1)
            if value_bits:
                m.d.sync += found_value.eq(self.i.payload.value)
        with m.Elif(load):
            m.d.sync += found.eq(0)

        # 1: a pointer into its list
        walk_valid = Signal()
        walk_last = Signal()
        pointer = Signal(address_bits(layer.memories[0].depth), reset_less=True)
        left = Signal(fields[2], reset_less=True)  # words after this one
        walk_base = Signal(fields[0], reset_less=True)
        walk_value = Signal.like(found_value, name="walk_value")
        m.d.comb += [walk_last.eq(~left.any()), load.eq(found & (~walk_valid | walk_last))]
        with m.If(load):
            m.d.sync += [walk_valid.eq(count.any()), pointer.eq(first), left.eq(count - 1), walk_base.eq(base),
                         walk_value.eq(found_value)]
        with m.Elif(walk_valid):
            m.d.sync += [walk_valid.eq(~walk_last), pointer.eq(pointer + 1), left.eq(left - 1)]

        # 2: the weight memory
        fetch_valid = Signal()
        fetch_base = Signal.like(walk_base, name="fetch_base")
        fetch_value = Signal.like(found_value, name="fetch_value")
        m.d.comb += self.weights_read.eq(walk_valid)
        m.d.sync += [fetch_valid.eq(walk_valid), fetch_base.eq(walk_base), fetch_value.eq(walk_value)]
        word = weight_memory(m, self, layer, pointer, self.weights_read)
        *weights, offset = _split(word, [bits for _, bits in layer.weight_fields])

        # 3: a place, and what is added there
        place_valid = Signal()
        place = Signal(unsigned_bits(self.synapses.words - 1), reset_less=True)
        m.d.sync += [place_valid.eq(fetch_valid), place.eq(fetch_base + offset)]
        addends = []
        for lane, weight in enumerate(weights):
            product = weight.as_signed() * fetch_value if value_bits else weight.as_signed()
            addend = Signal(signed(layer.current_bits), name=f"addend_{lane}", reset_less=True)
            m.d.sync += addend.eq(product)
            addends.append(addend)

        # 4: the currents there, or what is just being written
        add_valid = Signal()
        add_forward = Signal()
        add_place = Signal.like(place, name="add_place")
        forward = Signal()
        m.d.comb += forward.eq(add_valid & (add_place == place))
        m.d.sync += [add_valid.eq(place_valid), add_place.eq(place), add_forward.eq(forward)]

        # 5: addition
        total = Signal(len(current))
        written = Signal(len(current), reset_less=True)
        m.d.sync += written.eq(total)
        for lane, addend in enumerate(addends):
            added = Signal.like(addend, name=f"added_{lane}")
            m.d.sync += added.eq(addend)
            before = Mux(add_forward, written, current).word_select(lane, layer.current_bits).as_signed()
            m.d.comb += total.word_select(lane, layer.current_bits).eq(before + added)

        idle = ~(found | walk_valid | fetch_valid | place_valid | add_valid)
        m.d.comb += self.i.ready.eq(Mux(self.i.payload.tick, walking & idle, ready))
        return place_valid & ~forward, place, add_valid, add_place, total

    def _sweep(self, m: Module, begin: Value, sweeping: Value, current: Value) -> tuple[Value, Value, Value]:
        """Build what reads the sums in the order of the neurons; return the word to read, the word taken, and the end."""
        layer, grid = self.layer, self.synapses.grid
        lanes, tiles = layer.lanes, layer.tiles
        more = Signal()
        column, row, tile, lane = (Signal(range(size), name=name, reset_less=True) for name, size in (
            ("column", grid.columns), ("row", grid.rows), ("tile", tiles), ("lane", lanes)))
        place = Signal(range(self.synapses.words), reset_less=True)
        row_end = Signal()
        tile_end = Signal()
        lane_end = Signal()
        last_lane = Signal()
        m.d.comb += [
            row_end.eq(column == grid.columns - 1),
            tile_end.eq(row_end & (row == grid.rows - 1)),
            lane_end.eq(tile_end & (tile == tiles - 1)),
            last_lane.eq(lane == lanes - 1),
        ]
        final_tile = (grid.channels - 1) % tiles  # of the last channel, whose lane is the last
        finished = last_lane & tile_end & (tile == final_tile)
        complete = last_lane | ((lane == lanes - 2) & (tile > final_tile)) if lanes > 1 else last_lane

        taken_place = Signal.like(place, name="taken_place")
        taken_lane = Signal.like(lane, name="taken_lane")
        taken_clears = Signal()
        taken_last = Signal()
        m.d.comb += self.currents_read.eq(sweeping & more & (~self.valid | self.take))
        with m.If(begin):
            m.d.sync += [more.eq(1), column.eq(0), row.eq(0), tile.eq(0), lane.eq(0), place.eq(grid.origin)]
        with m.If(self.currents_read):
            m.d.sync += [
                self.valid.eq(1), taken_place.eq(place), taken_lane.eq(lane), taken_clears.eq(complete), taken_last.eq(finished),
                more.eq(~finished), column.eq(column + 1), place.eq(place + 1),
            ]
            with m.If(row_end):
                m.d.sync += [column.eq(0), row.eq(row + 1), place.eq(place + 1 + grid.pitch - grid.columns)]
            with m.If(tile_end):
                rest = grid.words - (grid.rows - 1) * grid.pitch - grid.columns + 1
                m.d.sync += [row.eq(0), tile.eq(tile + 1), place.eq(place + rest)]
            with m.If(lane_end):
                m.d.sync += [tile.eq(0), lane.eq(lane + 1), place.eq(grid.origin)]
        with m.Elif(self.take):
            m.d.sync += self.valid.eq(0)
        m.d.comb += [
            self.sum.eq(current.word_select(taken_lane, layer.current_bits).as_signed()),
            self.currents_clear.eq(self.take & taken_clears),
        ]
        return place, taken_place, self.take & taken_last


def _split(word: Value, widths: list[int]) -> list[Value]:
    """Return the fields of a word, the lowest first."""
    fields, offset = [], 0
    for bits in widths:
        fields.append(word[offset:offset + bits])
        offset += bits
    return fields

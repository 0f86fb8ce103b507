"""Weighted sums by lists of single lanes, which run ahead of each other behind queues of events."""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, ShapeLike, Signal, Value, signed
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from rtl_gen.currents import Currents
from rtl_gen.events import slot_layout
from rtl_gen.loader import address_bits
from snnhw.fixed import pack_words, unsigned_bits
from snnhw.plan import LayerPlan
from snnhw.plan.accesses import access_bits
from snnhw.plan.queued import Queued

__all__ = ["LaneCurrents", "LaneQueue", "QueuedWalker"]


class LaneCurrents(Currents):
    """Memories of currents whose lanes may be in different timesteps.

    As :class:`~rtl_gen.currents.Currents`, with a memory for each lane; but `valid_in`, `end`, `end_last`, `close` and `free` are
    arrays: each lane adds to the half of its own timestep, ends it by itself, and may begin the next but one when the sums of its
    first are taken. Sums are read when all lanes have ended the timestep. `accumulate` is the number of words that are added.

    Parameters
    ----------
    layer : LayerPlan
        Sizes, widths and lists.
    """

    def _members(self) -> dict[str, Any]:
        lanes = self.layer.lanes
        return super()._members() | {name: flow(1).array(lanes) for name, flow in (
            ("valid_in", In), ("end", In), ("end_last", In), ("close", In), ("free", Out))} | {
            "accumulate": Out(access_bits(self.layer, "accumulate"))}

    def _inputs(self, m: Module, begin: Signal, idle: Value, swept_all: Value) -> Sequence[tuple[Value, Value, Value, Value]]:
        inputs, overs = [], []
        for lane in range(self.layer.lanes):
            half, add_valid, add_half, add_end = (Signal(name=f"{name}_{lane}") for name in
                                                  ("half", "add_valid", "add_half", "add_end"))
            m.d.sync += [add_valid.eq(self.valid_in[lane]), add_half.eq(half), add_end.eq(self.end[lane]),
                         half.eq(half ^ self.end[lane])]
            # Timesteps that are over wait for the sweep of the one before, and for the other lanes.
            waiting, behind = Signal(2, name=f"waiting_{lane}"), Signal(2, name=f"behind_{lane}")
            m.d.sync += [waiting.eq(waiting + add_end - begin), behind.eq(behind + self.close[lane] - swept_all)]
            m.d.comb += self.free[lane].eq(~behind[1] & ~self.clearing)
            inputs.append((self.valid_in[lane], half, add_valid, add_half))
            overs.append(add_end | waiting.any())
            if not lane:
                self._sample_ends(m, begin, waiting, add_end)
        m.d.comb += [self.accumulate.eq(sum(add_valid for _, _, add_valid, _ in inputs)), begin.eq(Cat(overs).all() & idle)]
        return inputs

    def _sample_ends(self, m: Module, begin: Value, waiting: Signal, add_end: Value) -> None:
        """Keep which of the timesteps that are over in a lane is the last of a sample; there are two at most."""
        add_last, first, second = (Signal(name=name) for name in ("add_last", "first_last", "second_last"))
        m.d.sync += add_last.eq(self.end_last[0])
        with m.If(begin):
            m.d.sync += [self.sample_end.eq(Mux(waiting.any(), first, add_last)), first.eq(second)]
        with m.If(add_end):
            with m.If(waiting == begin):
                m.d.sync += first.eq(add_last)
            with m.Else():
                m.d.sync += second.eq(add_last)


class LaneQueue(wiring.Component):
    """Queue of a few words in registers, which move up as the first is taken.

    What comes in is on offer in the next cycle at the earliest. Takes a word per cycle unless it is full, whatever is taken.

    Parameters
    ----------
    shape : shape-like
        Words.
    depth : int
        How many there are at most.

    Members
    -------
    i, o : ``In``, ``Out(stream.Signature(shape))``
        Words.
    """

    def __init__(self, shape: ShapeLike, *, depth: int):
        self.depth = depth
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        given = Value.cast(self.i.payload)
        words = [Signal(len(given), name=f"word_{place}", reset_less=True) for place in range(self.depth)]
        filled = Signal(self.depth)  # the lowest bits, as many as there are words
        read = Signal()
        m.d.comb += [
            self.i.ready.eq(~filled[-1]),
            self.o.valid.eq(filled[0]),
            Value.cast(self.o.payload).eq(words[0]),
            read.eq(self.o.valid & self.o.ready),
        ]
        with m.If(self.i.valid & self.i.ready & ~read):
            m.d.sync += filled.eq(Cat(1, filled))
        with m.Elif(read & ~(self.i.valid & self.i.ready)):
            m.d.sync += filled.eq(filled[1:])
        for place, word in enumerate(words):
            # What is not filled may hold anything: so what comes in is where it belongs without being told.
            later = Mux(filled[place + 1], words[place + 1], given) if place + 1 < self.depth else given
            with m.If(read):
                m.d.sync += word.eq(later)
            with m.Elif(~filled[place]):
                m.d.sync += word.eq(given)
        return m


class QueuedWalker(wiring.Component):
    """Gives each event to the lanes in which it has weights, and each lane adds its own list, one weight per cycle.

    Pipeline:

        0  the event; where its list lies in each lane
           queues: an event enters those of the lanes in which it has weights, the last one of a timestep those of all
        1  of each lane: pointer to a weight; with the last one of a list, the next event leaves the queue
        2  weight memory of the lane
        3  place in its currents, and what is added there (:class:`LaneCurrents` reads, adds and writes)

    Events enter one per cycle as long as no queue is full, and a lane issues a weight per cycle as long as its queue is not
    empty. The mark of a timestep's last event tells each lane by itself that the timestep is over: lanes may be a timestep
    apart, and two where the sums of the first are taken.

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
    sources_read, currents_read, currents_clear : ``Out(1)``
        A memory is read; currents of a neuron are read; what was read is cleared.
    weights_read, accumulate : ``Out(unsigned_bits(layer.lanes))``
        How many lanes read their weight memory; how many add.
    """

    def __init__(self, layer: LayerPlan):
        assert isinstance(layer.synapses, Queued)
        self.layer, self.synapses = layer, layer.synapses
        super().__init__({
            "slot": In(slot_layout()),
            "address": In(layer.input_address_bits),
            "advance": Out(1),
            "clearing": Out(1),
            "valid": Out(1),
            "sum": Out(signed(layer.current_bits)),
            "sample_end": Out(1),
            "take": In(1),
        } | ({"value": In(signed(layer.input_value_bits))} if layer.input_value_bits else {}) | {
            name: Out(access_bits(layer, name))
            for name in ("sources_read", "weights_read", "accumulate", "currents_read", "currents_clear")
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        layer, synapses = self.layer, self.synapses
        m.submodules.currents = currents = LaneCurrents(layer)
        for name in ("clearing", "valid", "sum", "sample_end", "accumulate", "currents_read", "currents_clear"):
            m.d.comb += getattr(self, name).eq(getattr(currents, name))
        m.d.comb += currents.take.eq(self.take)

        # 0: the event
        found = Signal(slot_layout())
        found_value = Signal(signed(max(1, layer.input_value_bits)), reset_less=True)
        with m.If(self.advance):
            m.d.sync += found.eq(self.slot)
            if layer.input_value_bits:
                m.d.sync += found_value.eq(self.value)
        m.submodules.sources = sources = memory.Memory(shape=sum(bits for _, bits in synapses.source_fields), depth=layer.inputs,
                                                       init=pack_words(synapses.source_fields))
        source = sources.read_port()
        m.d.comb += [self.sources_read.eq(self.advance & self.slot.valid & ~self.slot.empty), source.en.eq(self.sources_read),
                     source.addr.eq(self.address)]
        (_, first_bits), (_, count_bits), *_ = synapses.source_fields
        room = Signal()
        m.d.comb += self.advance.eq(~found.valid | room)

        entry = data.StructLayout({"first": first_bits, "count": count_bits, "step_end": 1, "sample_end": 1}
                                  | ({"value": signed(layer.input_value_bits)} if layer.input_value_bits else {}))
        rooms, reads = [], []
        for lane in range(layer.lanes):
            pointers = source.data.word_select(lane, first_bits + count_bits)
            given = Signal(entry, name=f"given_{lane}")
            m.d.comb += [given.first.eq(pointers[:first_bits]), given.step_end.eq(found.step_end),
                         given.sample_end.eq(found.sample_end)]
            with m.If(~found.empty):
                m.d.comb += given.count.eq(pointers[first_bits:])
            if layer.input_value_bits:
                m.d.comb += given.value.eq(found_value)
            m.submodules[f"queue_{lane}"] = queue = LaneQueue(entry, depth=synapses.queue)
            m.d.comb += [queue.i.payload.eq(given),
                         queue.i.valid.eq(found.valid & room & (given.count.any() | found.step_end))]
            rooms.append(queue.i.ready)
            reads.append(self._lane(m, currents, lane, queue, entry))
        m.d.comb += [room.eq(Cat(rooms).all()), self.weights_read.eq(sum(reads))]
        return m

    def _lane(self, m: Module, currents: LaneCurrents, lane: int, queue: LaneQueue, entry: data.StructLayout) -> Value:
        """Build stages 1 to 3 of a lane; return whether it reads its weight memory."""
        layer, synapses = self.layer, self.synapses

        # 1: a pointer into its list
        present = Signal(name=f"present_{lane}")
        walked = Signal(entry, name=f"walked_{lane}", reset_less=True)  # `count`: words after this one
        pointer = Signal(address_bits(synapses.depth), name=f"pointer_{lane}", reset_less=True)
        some = Signal(name=f"some_{lane}", reset_less=True)
        issue, last, load = (Signal(name=f"{name}_{lane}") for name in ("issue", "last", "load"))
        read = Signal(name=f"read_{lane}")
        following = queue.o.payload
        m.d.comb += [
            issue.eq(present & currents.free[lane]),
            last.eq(~walked.count.any() | ~some),
            load.eq(~present | (issue & last)),
            queue.o.ready.eq(load),
            currents.close[lane].eq(issue & last & walked.step_end),
            read.eq(issue & some),
        ]
        with m.If(load):
            m.d.sync += [present.eq(queue.o.valid), walked.eq(following), walked.count.eq(following.count - 1),
                         some.eq(following.count.any()), pointer.eq(following.first)]
        with m.Elif(issue):
            m.d.sync += [pointer.eq(pointer + 1), walked.count.eq(walked.count - 1)]

        # 2: the weight memory
        fields = synapses.lane_fields[lane]
        m.submodules[f"weights_{lane}"] = weights = memory.Memory(shape=sum(bits for _, bits in fields), depth=synapses.depth,
                                                                  init=pack_words(fields))
        port = weights.read_port()
        m.d.comb += [port.addr.eq(pointer), port.en.eq(read)]
        fetch_valid, fetch_end = Signal(name=f"fetch_valid_{lane}"), Signal(name=f"fetch_end_{lane}")
        fetch_last = Signal(name=f"fetch_last_{lane}", reset_less=True)
        m.d.sync += [fetch_valid.eq(read), fetch_end.eq(currents.close[lane]), fetch_last.eq(walked.sample_end)]

        # 3: a place, and what is added there
        weight = port.data[:layer.weight_bits].as_signed()
        product: Value = weight
        if layer.input_value_bits:
            fetch_value = Signal(signed(layer.input_value_bits), name=f"fetch_value_{lane}", reset_less=True)
            m.d.sync += fetch_value.eq(walked.value)
            product = weight * fetch_value
        addend = Signal(signed(layer.current_bits), name=f"addend_{lane}", reset_less=True)
        place_valid, place_end = Signal(name=f"place_valid_{lane}"), Signal(name=f"place_end_{lane}")
        place_last = Signal(name=f"place_last_{lane}", reset_less=True)
        place = Signal(unsigned_bits(synapses.words - 1), name=f"place_{lane}", reset_less=True)
        m.d.sync += [place_valid.eq(fetch_valid), place_end.eq(fetch_end), place_last.eq(fetch_last), addend.eq(product),
                     place.eq(port.data[layer.weight_bits:] if synapses.row_bits else Const(0))]
        m.d.comb += [currents.valid_in[lane].eq(place_valid), currents.end[lane].eq(place_end),
                     currents.end_last[lane].eq(place_last), currents.addend[lane].eq(addend), currents.place[lane].eq(place)]
        return read

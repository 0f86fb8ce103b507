"""Memories of currents: the sums of a timestep are read while those of the next are added."""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from snnhw.fixed import unsigned_bits
from snnhw.plan import LayerPlan
from snnhw.plan.synapses import Dense, Scattered

__all__ = ["Currents", "currents_names"]


def currents_names(banks: int) -> list[str]:
    """Return the names of the memories of currents, those of the two halves side by side."""
    return [f"currents_{bank}_{half}" for bank in range(banks) for half in range(2)]


class Currents(wiring.Component):
    """Adds a word to every lane in each cycle, and hands the sums of the timestep before over one neuron at a time.

    There are two halves, each with its memories: one, as wide as all lanes, where they share an address, or one for each lane.
    One half belongs to the timestep whose words come in. After its last word the halves change places: the neurons of the
    other are read in ascending order, and what was read is cleared, so that it is zero when it is wanted again.

    Pipeline, one word per cycle, which nothing can stop:

        3  a place and what is added there; the currents are read, but for a word that is being written
        4  addition, and write

    The last word of a timestep is announced by `close` up to any number of cycles ahead. From then on until its sums are taken
    the timestep is behind; while two are behind, `free` is low and no words of a third may be announced or come in. The first
    sum is valid two cycles after stage 4 of the last word, or after the last sum before it was taken. After a reset all words
    are cleared first: ``synapses.words`` cycles with `clearing`.

    Parameters
    ----------
    layer : LayerPlan
        Sizes, widths and lists.

    Members
    -------
    valid_in : ``In(1)``
        There is a word in stage 3.
    place : ``In(unsigned).array(synapses.banks)``
        Where it is added, in each memory.
    addend : ``In(signed(layer.current_bits)).array(layer.lanes)``
        What is added.
    end, end_last : ``In(1)``
        With the last word of a timestep, or without a word: the timestep is over; it is the last of a sample.
    close : ``In(1)``
        A timestep ends, whose `end` follows.
    free : ``Out(1)``
        Words of the next timestep may come.
    clearing : ``Out(1)``
        The memories are cleared after a reset.
    valid, sum, sample_end, take :
        Result of the next neuron, in ascending order; its timestep is the last of the sample; it is taken.
    accumulate, currents_read, currents_clear : ``Out(1)``
        A word is added; the sum of a neuron is read; what was read is cleared.
    """

    def __init__(self, layer: LayerPlan):
        assert not isinstance(layer.synapses, Dense)
        self.layer, self.synapses = layer, layer.synapses
        super().__init__(self._members())

    def _members(self) -> dict[str, Any]:
        """Return the ports."""
        layer = self.layer
        return {
            "valid_in": In(1),
            "place": In(unsigned_bits(self.synapses.words - 1)).array(self.synapses.banks),
            "addend": In(signed(layer.current_bits)).array(layer.lanes),
            "end": In(1),
            "end_last": In(1),
            "close": In(1),
            "free": Out(1),
            "clearing": Out(1, init=1),
            "valid": Out(1),
            "sum": Out(signed(layer.current_bits)),
            "sample_end": Out(1),
            "take": In(1),
            "accumulate": Out(1),
            "currents_read": Out(1),
            "currents_clear": Out(1),
        }

    def elaborate(self, platform: object) -> Module:
        m = Module()
        layer, words, banks = self.layer, self.synapses.words, self.synapses.banks
        each = layer.lanes // banks  # lanes of a memory
        bits = each * layer.current_bits

        clear_place = Signal(range(words))
        with m.If(self.clearing):
            m.d.sync += clear_place.eq(clear_place + 1)
            with m.If(clear_place == words - 1):
                m.d.sync += [self.clearing.eq(0), clear_place.eq(0)]

        # Halves: the words that come in belong to one, the sums that are read to `swept`.
        swept = Signal(init=1)
        sweeping = Signal()
        swept_all = Signal()
        begin = Signal()
        inputs = self._inputs(m, begin, ~sweeping | swept_all, swept_all)
        with m.If(begin):
            m.d.sync += [sweeping.eq(1), swept.eq(~swept)]
        with m.Elif(swept_all):
            m.d.sync += sweeping.eq(0)

        sweep_place, sweep_bank, taken_place, taken_lane, complete = self._sweep(m, begin, sweeping, swept_all)
        names = iter(currents_names(banks))
        totals: list[Value] = []
        swept_words: list[Value] = []
        for bank, (valid_in, half, add_valid, add_half) in enumerate(inputs):
            ports = []
            current = Signal(bits, name=f"current_{bank}")
            add_place = Signal.like(self.place[bank], name=f"add_place_{bank}", reset_less=True)
            add_forward = Signal(name=f"add_forward_{bank}")
            forward = Signal(name=f"forward_{bank}")
            written = Signal(bits, name=f"written_{bank}", reset_less=True)
            total = Signal(bits, name=f"total_{bank}")
            m.d.comb += forward.eq(add_valid & (add_half == half) & (add_place == self.place[bank]))
            m.d.sync += [add_place.eq(self.place[bank]), add_forward.eq(forward), written.eq(total)]
            reads = self.currents_read & (sweep_bank == bank) if banks > 1 else self.currents_read
            clears = self.currents_clear & (taken_lane == bank) if banks > 1 else self.currents_clear & complete
            for side in range(2):
                m.submodules[next(names)] = currents = memory.Memory(shape=bits, depth=words, init=[])
                read, write = currents.read_port(), currents.write_port()
                mine = Signal(name=f"mine_{bank}_{side}")  # it is being swept
                m.d.comb += [
                    mine.eq(sweeping & (swept == side)),
                    read.en.eq(Mux(mine, reads, valid_in & ~forward & (half == side))),
                    read.addr.eq(Mux(mine, sweep_place, self.place[bank])),
                    write.en.eq(Mux(mine, clears, add_valid & (add_half == side)) | self.clearing),
                    write.addr.eq(Mux(self.clearing, clear_place, Mux(mine, taken_place, add_place))),
                    write.data.eq(Mux(mine | self.clearing, 0, total)),
                ]
                ports.append(read)
            m.d.comb += current.eq(Mux(add_half, ports[1].data, ports[0].data))
            swept_words.append(Mux(swept, ports[1].data, ports[0].data))
            before = Mux(add_forward, written, current)
            for lane in range(each):
                added = Signal(signed(layer.current_bits), name=f"added_{bank}_{lane}", reset_less=True)
                m.d.sync += added.eq(self.addend[bank * each + lane])
                place = slice(lane * layer.current_bits, (lane + 1) * layer.current_bits)
                m.d.comb += total[place].eq(before[place].as_signed() + added)
            totals.append(total)
        # As wide as what is shifted: Verilog has no word for a part of that, and linters complain of what gets lost.
        shifted = Signal(layer.lanes * layer.current_bits)
        m.d.comb += [shifted.eq(Cat(swept_words) >> taken_lane * layer.current_bits),
                     self.sum.eq(shifted[:layer.current_bits].as_signed())]
        return m

    def _inputs(self, m: Module, begin: Signal, idle: Value, swept_all: Value) -> Sequence[tuple[Value, Value, Value, Value]]:
        """Build what follows the timesteps of the words that come in.

        Drive `begin` when the sums of the next are to be read, which they can be when `idle`, and what goes with them. Return,
        for each memory, that there is a word in stage 3 and to which half it belongs, and the same of stage 4.
        """
        half, add_valid, add_half, add_end, add_last = (
            Signal(name=name) for name in ("half", "add_valid", "add_half", "add_end", "add_last"))
        m.d.sync += [add_valid.eq(self.valid_in), add_half.eq(half), add_end.eq(self.end), add_last.eq(self.end_last),
                     half.eq(half ^ self.end)]
        m.d.comb += self.accumulate.eq(add_valid)

        # Timesteps that are over wait for the sweep of the one before.
        waiting = Signal()
        waiting_last = Signal()
        m.d.comb += begin.eq((add_end | waiting) & idle)
        m.d.sync += waiting.eq((add_end | waiting) & ~begin)
        with m.If(add_end):
            m.d.sync += waiting_last.eq(add_last)
        with m.If(begin):
            m.d.sync += self.sample_end.eq(Mux(waiting, waiting_last, add_last))
        behind = Signal(2)
        m.d.sync += behind.eq(behind + self.close - swept_all)
        m.d.comb += self.free.eq(~behind[1] & ~self.clearing)
        return [(self.valid_in, half, add_valid, add_half)] * self.synapses.banks

    def _sweep(self, m: Module, begin: Value, sweeping: Value, end: Signal) -> tuple[Value, ...]:
        """Build what reads the sums in the order of the neurons.

        Return the word and the memory to read, the word and the lane of the sum on offer, whether that completes a word of a
        shared memory; drive `end` when the last sum is taken.
        """
        more = Signal()
        place = Signal(range(self.synapses.words), reset_less=True)
        lane = Signal(range(self.layer.lanes), reset_less=True)
        taken_place, taken_lane = Signal.like(place, name="taken_place"), Signal.like(lane, name="taken_lane")
        taken_completes, taken_last = Signal(), Signal()
        m.d.comb += [
            self.currents_read.eq(sweeping & more & (~self.valid | self.take)),
            end.eq(self.take & taken_last),
        ]
        step = self._along_grid if isinstance(self.synapses, Scattered) else self._along_rows
        finished, completes = step(m, begin, place, lane)
        with m.If(self.currents_read):
            m.d.sync += [self.valid.eq(1), taken_place.eq(place), taken_lane.eq(lane), taken_completes.eq(completes),
                         taken_last.eq(finished), more.eq(~finished)]
        with m.Elif(self.take):
            m.d.sync += [self.valid.eq(0), taken_last.eq(0)]
        with m.If(begin):
            m.d.sync += more.eq(1)
        m.d.comb += self.currents_clear.eq(self.take & (taken_completes if self.synapses.banks == 1 else 1))
        return place, lane, taken_place, taken_lane, taken_completes

    def _along_rows(self, m: Module, begin: Value, place: Signal, lane: Signal) -> tuple[Value, Value]:
        """Move from lane to lane, then to the next row; return whether this neuron is the last, and whether a row is complete."""
        lanes, last = self.layer.lanes, self.layer.outputs - 1
        row_end = Signal()
        m.d.comb += row_end.eq(lane == lanes - 1)
        with m.If(self.currents_read):
            m.d.sync += lane.eq(lane + 1)
            with m.If(row_end):
                m.d.sync += [lane.eq(0), place.eq(place + 1)]
        with m.If(begin):
            m.d.sync += [lane.eq(0), place.eq(0)]
        return (lane == last % lanes) & (place == last // lanes), row_end

    def _along_grid(self, m: Module, begin: Value, place: Signal, lane: Signal) -> tuple[Value, Value]:
        """Move along the grid, tile by tile, then to the next lane; return the same as :meth:`_along_rows`."""
        assert isinstance(self.synapses, Scattered)
        grid, lanes, tiles = self.synapses.grid, self.layer.lanes, self.layer.tiles
        column, row, tile = (Signal(range(size), name=name, reset_less=True) for name, size in (
            ("column", grid.columns), ("row", grid.rows), ("tile", tiles)))
        row_end, tile_end, lane_end, last_lane = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            row_end.eq(column == grid.columns - 1),
            tile_end.eq(row_end & (row == grid.rows - 1)),
            lane_end.eq(tile_end & (tile == tiles - 1)),
            last_lane.eq(lane == lanes - 1),
        ]
        final_tile = (grid.channels - 1) % tiles  # of the last channel, whose lane is the last
        with m.If(self.currents_read):
            m.d.sync += [column.eq(column + 1), place.eq(place + 1)]
            with m.If(row_end):
                m.d.sync += [column.eq(0), row.eq(row + 1), place.eq(place + 1 + grid.pitch - grid.columns)]
            with m.If(tile_end):
                rest = grid.words - (grid.rows - 1) * grid.pitch - grid.columns + 1
                m.d.sync += [row.eq(0), tile.eq(tile + 1), place.eq(place + rest)]
            with m.If(lane_end):
                m.d.sync += [tile.eq(0), lane.eq(lane + 1), place.eq(grid.origin)]
        with m.If(begin):
            m.d.sync += [column.eq(0), row.eq(0), tile.eq(0), lane.eq(0), place.eq(grid.origin)]
        # The lanes before the last have a channel in every tile, the last one none after the final.
        complete = last_lane | ((lane == lanes - 2) & (tile > final_tile)) if lanes > 1 else last_lane
        return last_lane & tile_end & (tile == final_tile), complete

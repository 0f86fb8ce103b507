"""What the currents of a core promise: every sum of a timestep, of all words that came for it and of no other."""

from amaranth.hdl import Assume, Cat, Module, Mux, Signal
from amaranth.lib.wiring import In

from rtl_gen.currents import Currents
from rtl_gen.properties import Claim
from snnhw.plan import LayerPlan
from snnhw.plan.columns import Columns
from snnhw.plan.synapses import Dense, Scattered

__all__ = ["CurrentsClaim"]


class CurrentsClaim(Claim):
    """A neuron gets the sum of what was added for it in a timestep, in its turn and in time; a third timestep is held off.

    Neither half, nor that one is cleared while it is swept, is in the model: it keeps one sum for the timestep whose words come
    in, and one for each of the two before. That the block has their sums again and again, its memories holding anything at the
    begin and a read beside a write of the same word giving anything, needs that no half is added to while it is swept, and that
    what was handed over is cleared.

    Parameters
    ----------
    layer : LayerPlan
        Of a few neurons, whose currents are narrow. Sums wrap around like those of the block.
    index : int
        Neuron.
    cover : str or None
        See :class:`~rtl_gen.properties.Claim`.
    block : Currents or None
        Instead of the currents of `layer`: a wrong block, which must be refuted.

    Members
    -------
    valid, place, addend, end, end_last, close : ``In``
        Words, and ends of timesteps, as a :class:`~rtl_gen.walker.Walker` gives them: none of a third timestep while two are
        behind, each end after its announcement.
    take : ``In(1)``
        The consumer takes a sum if there is one.
    """

    covers = ("three_in_a_row", "empty_step", "holds_off", "same_place_twice")

    def __init__(self, layer: LayerPlan, index: int, cover: str | None = None, *, block: Currents | None = None):
        assert not isinstance(layer.synapses, Dense)
        self.layer, self.synapses, self.index = layer, layer.synapses, index
        self.block = block or Currents(layer)
        self._place_bits = len(self.block.place[0])
        banks = len(self.block.place)
        super().__init__({"valid": In(1), "place": In(banks * self._place_bits), "addend": In(layer.lanes * layer.current_bits),
                          "end": In(1), "end_last": In(1), "close": In(1), "take": In(1)}, cover)

    def _where(self) -> tuple[int, int, int]:
        """Return the memory, the word and the lane of the neuron."""
        synapses = self.synapses
        if isinstance(synapses, Columns):
            place, lane = divmod(self.index, self.layer.lanes)
            return lane, place, lane
        assert isinstance(synapses, Scattered)
        grid, tiles = synapses.grid, synapses.tiles
        channel, inside = divmod(self.index, grid.rows * grid.columns)
        row, column = divmod(inside, grid.columns)
        return 0, channel % tiles * grid.words + grid.origin + row * grid.pitch + column, channel // tiles

    def elaborate(self, platform: object) -> Module:
        m = Module()
        layer, words = self.layer, self.synapses.words
        m.submodules.block = block = self.block
        places = [self.place.word_select(bank, self._place_bits) for bank in range(len(block.place))]
        addends = [self.addend.word_select(lane, layer.current_bits) for lane in range(layer.lanes)]
        bank, word, lane = self._where()

        # Timesteps that are announced, over, and taken: differences of at most two.
        announced, over = Signal(2), Signal(2)  # announced and not taken; over and not taken
        cleared = Signal(range(words + 1))
        taking, last_take = Signal(), Signal()
        neuron = Signal(range(layer.outputs))  # of the sum on offer
        m.d.comb += [
            taking.eq(block.valid & self.take),
            last_take.eq(taking & (neuron == layer.outputs - 1)),
            block.valid_in.eq(self.valid), block.end.eq(self.end), block.end_last.eq(self.end_last), block.close.eq(self.close),
            block.take.eq(taking),
            Assume(~self.valid | ((over < 2) & (cleared == words))),
            Assume(~self.close | ((announced < 2) & (cleared == words))),
            Assume(~self.end | (announced + self.close > over)),
            *(Assume(place < words) for place in places),
            *(given.eq(place) for given, place in zip(block.place, places, strict=True)),
            *(given.eq(addend.as_signed()) for given, addend in zip(block.addend, addends, strict=True)),
        ]
        m.d.sync += [announced.eq(announced + self.close - last_take), over.eq(over + self.end - last_take)]
        with m.If(cleared != words):
            m.d.sync += cleared.eq(cleared + 1)
        with m.If(taking):
            m.d.sync += neuron.eq(Mux(last_take, 0, neuron + 1))

        # The sum of the timestep whose words come in, and those that wait, the oldest first.
        partial, total, meets = Signal(layer.current_bits), Signal(layer.current_bits), Signal()
        sums, ends = ([Signal(bits, name=f"{name}_{age}") for age in range(2)] for name, bits in (
            ("sum", layer.current_bits), ("sample_end", 1)))
        left = Signal(2)  # that wait when the oldest has been taken
        m.d.comb += [meets.eq(self.valid & (places[bank] == word)), total.eq(partial + Mux(meets, addends[lane], 0)),
                     left.eq(over - last_take)]
        m.d.sync += partial.eq(Mux(self.end, 0, total))
        with m.If(last_take):
            m.d.sync += [sums[0].eq(sums[1]), ends[0].eq(ends[1])]
        for age in range(2):
            with m.If(self.end & (left == age)):
                m.d.sync += [sums[age].eq(total), ends[age].eq(self.end_last)]

        # A timestep is begun when it is over and the one before is taken; its sums are there two cycles later.
        active, begin, begun, due, met, added = Signal(), Signal(), Signal(), Signal(), Signal(), Signal()
        m.d.comb += begin.eq(Mux(active, last_take & (over == 2), over != 0))
        m.d.sync += [active.eq(begin | (active & ~last_take)), begun.eq(begin), due.eq(begun | (due & ~last_take)),
                     met.eq(meets), added.eq(self.valid)]
        held, was = Signal(), Signal.like(block.sum)
        m.d.sync += [held.eq(block.valid & ~self.take), was.eq(block.sum)]
        now, steps = Signal(), Signal(2)
        with m.If(last_take & (steps != 3)):
            m.d.sync += steps.eq(steps + 1)
        m.d.comb += now.eq(block.valid & (neuron == self.index))
        self.claim(m, {
            "clears_every_word_first": block.clearing == (cleared != words),
            "holds_off_a_third_timestep": block.free == ((announced < 2) & (cleared == words)),
            "has_every_sum_in_time": block.valid == due,
            "is_the_sum_of_the_timestep": ~now | (block.sum.as_unsigned() == sums[0]),
            "knows_the_end_of_the_sample": ~block.valid | (block.sample_end == ends[0]),
            "keeps_its_offers": ~held | (block.valid & (block.sum == was)),
            "counts_every_word": block.accumulate == added,
        }, {
            "three_in_a_row": now & (steps == 2) & (sums[0] != 0) & (sums[1] != 0) & (over == 2),
            "empty_step": now & (steps == 1) & (sums[0] == 0) & ~Cat(partial, sums[1]).any(),
            "holds_off": now & ~block.free & (over == 2),
            "same_place_twice": met & meets & (addends[lane] != 0) & (partial != 0) & (steps == 1),
        })
        return m

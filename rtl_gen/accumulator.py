"""Weighted sums: one accumulator for each lane."""

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from rtl_gen.events import slot_layout
from rtl_gen.loader import address_bits, weight_memory
from rtl_gen.unpack import unpacked
from snnhw.plan import LayerPlan

__all__ = ["Accumulator"]


class Accumulator(wiring.Component):
    """Adds the weights of a timestep's events, tile by tile, and hands the sums over one neuron at a time.

    Pipeline, one slot per cycle with `advance`:

        1  address of the weight word: base of the tile + address of the event (no multiplier: the base grows by `inputs`)
        2  weight memory, and what decodes it if weights are packed
        3  its output register, zero for an empty slot
        4  accumulators; on the last slot of a tile sums and weights go to the shadow register, and the accumulators to zero

    The shadow register shifts towards lane 0, one neuron per `take`, while the next tile accumulates. The
    pipeline stands still, `advance` low, exactly while a finished tile is in stage 4 and the shadow register
    holds a neuron that is not being taken.

    Parameters
    ----------
    layer : LayerPlan
        Sizes, widths and weights.

    Members
    -------
    slot, address : ``In(slot_layout())``, ``In(layer.input_address_bits)``
        Slot of an :class:`~rtl_gen.events.EventBuffer`.
    advance : ``Out(1)``
        The slot is taken.
    valid : ``Out(1)``
        There is a result.
    sum, weight : ``Out(signed(layer.current_bits))``, ``Out(signed(layer.weight_bits))``
        Result of the next neuron, in ascending order: its weighted sum is the sum of both.
    sample_end : ``Out(1)``
        Its timestep is the last of the sample.
    take, take_last : ``In(1)``
        The result is taken; it was the last of its tile.
    read, accumulate : ``Out(1)``
        The weight memory is read; a slot is added.
    load_active, load_write, load_address, load_data : ``In``
        Only with loaded weights. While active, the memory belongs to the loader.
    """

    def __init__(self, layer: LayerPlan):
        self.layer = layer
        weights, *_ = layer.memories
        self._memory = weights
        members: dict[str, object] = {
            "slot": In(slot_layout()),
            "address": In(layer.input_address_bits),
            "advance": Out(1),
            "valid": Out(1),
            "sum": Out(signed(layer.current_bits)),
            "weight": Out(signed(layer.weight_bits)),
            "sample_end": Out(1),
            "take": In(1),
            "take_last": In(1),
            "read": Out(1),
            "accumulate": Out(1),
        }
        if layer.weights_loaded:
            members |= {"load_active": In(1), "load_write": In(1), "load_address": In(address_bits(weights.depth)),
                        "load_data": In(weights.width)}
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        layer = self.layer

        # 1: address
        weight_address = Signal(address_bits(self._memory.depth), reset_less=True)
        if layer.tiles > 1:
            tile_base = Signal(address_bits(self._memory.depth))
            with m.If(self.advance & self.slot.tile_end):
                m.d.sync += tile_base.eq(tile_base + layer.inputs)
            with m.If(self.advance & self.slot.step_end):
                m.d.sync += tile_base.eq(0)
            address = tile_base + self.address
        else:
            address = self.address

        # 2: memory, 3: output register, 4: accumulators
        fetch, weigh, add = (Signal(slot_layout(), name=name) for name in ("fetch_slot", "weigh_slot", "add_slot"))
        weight_word = Signal(layer.lanes * layer.weight_bits, reset_less=True)
        stored = unpacked(m, layer, weight_memory(m, self, layer, weight_address, self.read))
        with m.If(self.advance):
            m.d.sync += [weight_address.eq(address), weight_word.eq(stored)]
            m.d.sync += [fetch.eq(self.slot), weigh.eq(fetch), add.eq(weigh)]
            with m.If(weigh.empty):
                m.d.sync += weight_word.eq(0)
        m.d.comb += self.read.eq(fetch.valid & ~fetch.empty & self.advance)

        filled = Signal()  # the shadow register holds a result
        load = Signal()
        m.d.comb += [
            self.advance.eq(~add.tile_end | ~filled | self.take_last),
            self.accumulate.eq(add.valid & self.advance),
            load.eq(add.tile_end & self.advance),
        ]
        with m.If(load):
            m.d.sync += [filled.eq(1), self.sample_end.eq(add.sample_end)]
        with m.Elif(self.take_last):
            m.d.sync += filled.eq(0)

        # The last weight of a tile is not added here but handed over beside the sum of the others: the shadow
        # register then takes what flip-flops hold, and no logic cell is spent on bringing a sum to two places.
        result = data.StructLayout({"sum": signed(layer.current_bits), "weight": signed(layer.weight_bits)})
        shadows = [Signal(result, name=f"shadow_{lane}", reset_less=True) for lane in range(layer.lanes)]
        for lane, shadow in enumerate(shadows):
            accumulator = Signal(signed(layer.current_bits), name=f"accumulator_{lane}")
            lane_weight = weight_word.word_select(lane, layer.weight_bits).as_signed()
            with m.If(self.accumulate):
                m.d.sync += accumulator.eq(accumulator + lane_weight)
            with m.If(load):
                # Outermost, so that it becomes the synchronous reset of the flip-flops.
                m.d.sync += [accumulator.eq(0), shadow.sum.eq(accumulator), shadow.weight.eq(lane_weight)]
            if lane + 1 < layer.lanes:
                with m.Elif(self.take):
                    m.d.sync += shadow.eq(shadows[lane + 1])
        m.d.comb += [self.valid.eq(filled), self.sum.eq(shadows[0].sum), self.weight.eq(shadows[0].weight)]
        return m

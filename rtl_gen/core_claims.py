"""What a core promises: the weighted sums of every timestep, and the arithmetic of every neuron.

The parts of a core are claimed apart, each against a model with no more history than the formulas have (a sum
depends on one timestep, a state on the state before it), and for one neuron at a time: what concerns the others
is then nothing the prover has to find out about.
"""

import numpy as np
from amaranth.hdl import Assume, Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib.wiring import In

from rtl_gen.accumulator import Accumulator
from rtl_gen.finaliser import Finaliser
from rtl_gen.properties import Claim, keep_stalled
from snnhw.fixed import signed_range, unsigned_bits
from snnhw.ir import Decay
from snnhw.plan import LayerPlan
from snnhw.plan.stages import pause_slots, write_stage
from snnhw.plan.synapses import Dense

__all__ = ["NeuronClaim", "SequenceClaim", "SumClaim"]


class SumClaim(Claim):
    """A neuron gets the sum of its weights over the slots of its tile, in its turn; the pipeline stops only when it must.

    The model looks the weights up by neuron and address, where the block computes the address of a packed word.

    Parameters
    ----------
    layer : LayerPlan
        Of a few inputs and neurons.
    index : int
        Neuron.
    cover : str or None
        See :class:`~rtl_gen.properties.Claim`.
    built : LayerPlan or None
        What the block is built from instead of `layer`, of the same widths: a wrong block, which must be refuted.

    Members
    -------
    valid, empty, tile_end, sample_end, address : ``In``
        Slot, as an :class:`~rtl_gen.events.EventBuffer` promises it: held while it is not taken, one `sample_end` for a timestep.
    take : ``In(1)``
        The consumer takes a result if there is one.
    """

    covers = ("result", "empty_step", "stops")

    def __init__(self, layer: LayerPlan, index: int, cover: str | None = None, *, built: LayerPlan | None = None):
        self.layer, self.index, self.built = layer, index, built or layer
        super().__init__({"valid": In(1), "empty": In(1), "tile_end": In(1), "sample_end": In(1),
                          "address": In(layer.input_address_bits), "take": In(1)}, cover)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        layer = self.layer
        m.submodules.block = block = Accumulator(self.built)
        tile, within = Signal(range(layer.tiles)), Signal()  # of the slot on offer; it is not the first of its timestep
        step_end, offer = Signal(), Cat(self.valid, self.empty, self.tile_end, self.address)
        held, was_offer, was_end = Signal(), Signal(len(offer)), Signal()
        seen = Signal(layer.inputs)  # addresses of the tile so far
        m.d.comb += [
            step_end.eq(self.tile_end & (tile == layer.tiles - 1)),
            block.slot.valid.eq(self.valid),
            block.slot.empty.eq(self.empty),
            block.slot.tile_end.eq(self.tile_end),
            block.slot.step_end.eq(step_end),
            block.slot.sample_end.eq(self.sample_end),
            block.address.eq(self.address),
            Assume(self.valid | ~self.tile_end),
            Assume(~self.empty | ~self.valid | (self.tile_end & ~seen.any())),
            Assume(self.empty | ~self.valid | ((self.address < layer.inputs) & ~seen.bit_select(self.address, 1))),
            Assume(~held | (offer == was_offer)),
            Assume(~(held | within) | (self.sample_end == was_end)),
        ]
        m.d.sync += [held.eq(~block.advance), was_offer.eq(offer), was_end.eq(self.sample_end)]
        with m.If(self.valid & block.advance):
            m.d.sync += [within.eq(~step_end), tile.eq(Mux(step_end, 0, tile + self.tile_end)),
                         seen.eq(Mux(self.tile_end, 0, seen | (1 << self.address)))]

        bits = signed(layer.current_bits)
        weight, partial, expected = Signal(bits), Signal(bits), Signal(bits)
        for source, value in enumerate(_weight(layer)[self.index].tolist()):
            with m.If(~self.empty & (self.address == source)):
                m.d.comb += weight.eq(value)
        ends_tile_here = self.tile_end & (tile == self.index // layer.lanes)
        item: Value = Cat(weight, self.valid, self.tile_end, ends_tile_here, self.sample_end)
        for stage in range(3):
            later = Signal(len(item), name=f"stage_{stage + 1}")
            with m.If(block.advance):
                m.d.sync += later.eq(item)
            item = later
        added = item[:len(weight)].as_signed()
        adds, ends, ends_mine, of_last = item[len(weight):]

        neuron = Signal(range(layer.outputs))  # of the result on offer
        filled, taking, take_last, sample_end = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            taking.eq(filled & self.take),
            take_last.eq(taking & ends_tile(layer, neuron)),
            block.take.eq(taking),
            block.take_last.eq(take_last),
        ]
        with m.If(taking):
            m.d.sync += neuron.eq(Mux(neuron == layer.outputs - 1, 0, neuron + 1))
        with m.If(take_last):
            m.d.sync += filled.eq(0)
        with m.If(block.advance & adds):
            m.d.sync += partial.eq(Mux(ends, 0, partial + added))
            with m.If(ends):
                m.d.sync += [filled.eq(1), sample_end.eq(of_last)]
            with m.If(ends_mine):
                m.d.sync += expected.eq(partial + added)

        now = Signal()
        result = block.sum + block.weight
        m.d.comb += now.eq(filled & (neuron == self.index))
        self.claim(m, {
            "has_a_result_in_time": block.valid == filled,
            "is_the_weighted_sum": ~now | (result == expected),
            "knows_the_end_of_the_sample": ~filled | (block.sample_end == sample_end),
            "stops_only_when_it_must": block.advance == ~(adds & ends & filled & ~take_last),
            "counts_every_slot": block.accumulate == (adds & block.advance),
        }, {
            "result": now & (result == int(_weight(layer)[self.index].sum())) & sample_end,
            "empty_step": now & (result == 0),
            "stops": now & ~block.advance,
        })
        return m


def _weight(layer: LayerPlan) -> np.ndarray:
    assert isinstance(layer.synapses, Dense)
    return layer.synapses.weight


def _sums(layer: LayerPlan) -> tuple[np.ndarray, np.ndarray]:
    """Return the lowest and the highest weighted sum of each neuron."""
    none = np.zeros(layer.inputs, np.int64)
    return layer.synapses.current_range(none, none + 1)


class _Pipeline:
    """A finaliser under free inputs, and its schedule."""

    def __init__(self, m: Module, claim: "SequenceClaim | NeuronClaim", built: LayerPlan):
        layer = claim.layer
        m.submodules.block = self.block = block = Finaliser(built)
        self.layer, self.m = layer, m
        self.current = claim.sum + claim.weight
        self.neuron = Signal(range(layer.outputs))
        offered, was_offer, was_end = Signal(), Signal(layer.current_bits + layer.weight_bits), Signal()
        offer = Cat(claim.sum, claim.weight)
        m.d.comb += [
            block.valid.eq(claim.valid), block.sum.eq(claim.sum), block.weight.eq(claim.weight),
            block.sample_end.eq(claim.sample_end), block.o.ready.eq(claim.ready),
            Assume(~offered | (claim.valid & (offer == was_offer))),
            Assume(~(offered | (self.neuron != 0)) | (claim.sample_end == was_end)),
        ]
        m.d.sync += [offered.eq(claim.valid & ~block.take), was_offer.eq(offer), was_end.eq(claim.sample_end)]
        for index, (lowest, highest) in enumerate(zip(*(bound.tolist() for bound in _sums(layer)), strict=True)):
            with m.If(self.neuron == index):
                m.d.comb += Assume((self.current >= lowest) & (self.current <= highest))

        self.run, self.fresh, self.pause = Signal(), Signal(init=1), Signal(range(pause_slots(layer) + 1))
        self.sample_end = Signal()
        m.d.comb += self.run.eq(~block.o.valid | claim.ready)
        with m.If(block.take):
            m.d.sync += self.neuron.eq(self.neuron + 1)
            with m.If(self.neuron == layer.outputs - 1):
                m.d.sync += [self.neuron.eq(0), self.pause.eq(pause_slots(layer)), self.sample_end.eq(claim.sample_end)]
                m.d.sync += self.fresh.eq(claim.sample_end if layer.spec.clear == "sample" else 0)
        with m.Elif(self.run & (self.pause != 0)):
            m.d.sync += self.pause.eq(self.pause - 1)

    def delay(self, *parts: Value) -> list[Value]:
        """Return the parts as they are in the write stage."""
        item: Value = Cat(*parts)
        for stage in range(write_stage(self.layer)):
            later = Signal(len(item), name=f"stage_{stage + 1}")
            with self.m.If(self.run):
                self.m.d.sync += later.eq(item)
            item = later
        ends = np.cumsum([len(part) for part in parts]).tolist()
        return [item[end - len(part):end] for part, end in zip(parts, ends, strict=True)]


def _offers(layer: LayerPlan) -> dict[str, object]:
    """Return the free inputs of a finaliser."""
    return {"valid": In(1), "sum": In(signed(layer.current_bits)), "weight": In(signed(layer.weight_bits)), "sample_end": In(1),
            "ready": In(1)}


class SequenceClaim(Claim):
    """Every neuron is taken, written and told in its turn, then the tick; whatever its arithmetic.

    Parameters
    ----------
    layer : LayerPlan
        Of a few neurons.
    cover : str or None
        See :class:`~rtl_gen.properties.Claim`.

    Members
    -------
    valid, sum, weight, sample_end : ``In``
        What the accumulator offers: kept until taken, within the range of its neuron, one `sample_end` for a timestep.
    ready : ``In(1)``
        The consumer takes an event.
    """

    covers = ("spike_of_the_last", "waits_for_the_consumer", "ends_the_sample")

    def __init__(self, layer: LayerPlan, cover: str | None = None):
        self.layer = layer
        super().__init__(_offers(layer), cover)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        layer = self.layer
        model = _Pipeline(m, self, layer)
        block, payload = model.block, model.block.o.payload
        ticks = model.pause == pause_slots(layer)
        ends = Mux(block.take, self.sample_end, model.sample_end)
        is_neuron, which, is_tick, is_last = model.delay(block.take, model.neuron, ticks, ends)
        tells = Const(1) if layer.spec.output == "state" else block.state_spike
        told, address, tick, last = Signal(), Signal.like(which), Signal(), Signal()  # what the output offers
        with m.If(model.run):
            m.d.sync += [told.eq((is_neuron & tells) | is_tick), address.eq(Mux(is_tick, 0, which)),
                         tick.eq(is_tick), last.eq(is_last)]
        self.claim(m, {
            "takes_whenever_it_can": block.take == (self.valid & model.run & (model.pause == 0)),
            "ends_each_tile": block.take_last == (block.take & ends_tile(layer, model.neuron)),
            "writes_every_state": block.state_write == (is_neuron & model.run),
            "in_turn": ~block.state_write | (block.state_neuron == which),
            "tells_every_event": block.o.valid == told,
            "tells_which": ~told | ((payload.tick == tick) & (payload.address == address)),
            "tells_the_end": ~told | (payload.last == last),
            "keeps_its_offers": keep_stalled(m, block.o, "o"),
        }, {
            "spike_of_the_last": told & ~tick & (address == layer.outputs - 1),
            "waits_for_the_consumer": is_neuron & tells & ~model.run,
            "ends_the_sample": told & tick & last,
        })
        return m


class NeuronClaim(Claim):
    """The states and the spikes of one neuron are what the formulas of :mod:`snnhw.ir.neuron` say, for ever.

    The model keeps what was last written for the neuron, computes the next state from it when the result is
    taken, and follows it through as many stages as the pipeline has. What is written is right if what was
    written before is; the first is computed from the initial state; so all are.

    Parameters
    ----------
    layer : LayerPlan
        Of a few neurons with narrow states. The range of an exact state must hold for samples of any length.
    index : int
        Neuron.
    cover : str or None
        See :class:`~rtl_gen.properties.Claim`.
    built : LayerPlan or None
        What the block is built from instead of `layer`, of the same widths: a wrong block, which must be refuted.

    Members
    -------
    valid, sum, weight, sample_end : ``In``
        What the accumulator offers: kept until taken, within the range of its neuron, one `sample_end` for a timestep.
    ready : ``In(1)``
        The consumer takes an event.
    """

    covers = ("spike", "highest_state", "lowest_state")

    def __init__(self, layer: LayerPlan, index: int, cover: str | None = None, *, built: LayerPlan | None = None):
        self.layer, self.index, self.built = layer, index, built or layer
        super().__init__(_offers(layer), cover)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        layer = self.layer
        model = _Pipeline(m, self, self.built)
        block = model.block
        state, updated = Signal(signed(layer.state_bits)), Signal(signed(layer.state_bits))
        synapse, filtered = (Signal(signed(max(1, layer.synapse_bits))) for _ in range(2))
        fires = Signal(unsigned_bits(layer.spec.grades))
        new, fired, current = update(layer, self.index, Mux(model.fresh, layer.spec.start, state), Mux(model.fresh, 0, synapse),
                                     model.current)
        m.d.comb += [updated.eq(new), fires.eq(fired)]
        if layer.synapse_bits:
            m.d.comb += filtered.eq(current)
        value, count, kept = model.delay(updated, fires, filtered)
        now, spike = Signal(), count.any()
        m.d.comb += now.eq(block.state_write & (block.state_neuron == self.index))
        with m.If(now):
            m.d.sync += state.eq(block.state_value)
            if layer.synapse_bits:
                m.d.sync += synapse.eq(block.state_synapse)
        extra = {}
        if layer.synapse is not None:
            extra["has_the_right_synapse"] = ~now | (block.state_synapse == kept.as_signed())
            extra["keeps_the_synapse_within_its_range"] = ~now | ((block.state_synapse >= layer.synapse.lowest)
                                                                  & (block.state_synapse <= layer.synapse.highest))
        if layer.spec.grades > 1:
            extra["counts_right"] = ~now | (block.state_count == count)
        self.claim(m, extra | {
            "has_the_right_state": ~now | (block.state_value == value.as_signed()),
            "fires_when_it_should": ~now | (block.state_spike == spike),
            "stays_within_the_proven_range":
                ~now | ((block.state_value >= layer.state.lowest) & (block.state_value <= layer.state.highest)),
        }, {
            "spike": now & spike,
            "highest_state": now & (block.state_value > layer.spec.start),
            "lowest_state": now & (block.state_value < layer.spec.start),
        })
        return m


def ends_tile(layer: LayerPlan, neuron: Value) -> Value:
    """Return whether a neuron is the last of its tile."""
    return Cat(neuron == end for end in [*range(layer.lanes - 1, layer.outputs, layer.lanes), layer.outputs - 1]).any()


def update(layer: LayerPlan, index: int, stored: Value, synapse: Value, total: Value) -> tuple[Value, Value, Value]:
    """Return the new state, how often neuron `index` fires, and the new synaptic current.

    The formulas, in one go and without a width to save. Without a synapse, what is in its place means nothing.
    """
    spec = layer.spec

    def constant(array: object) -> int:
        values = np.asarray(array)
        return int(values if values.ndim == 0 else values[index])

    def leak(kind: Decay, state: Value) -> Value:
        if kind.kind == "one":
            return state
        if kind.kind == "shift":
            return state - (state >> kind.shift)
        factor = constant(kind.factor)
        if kind.rounding == "zero":
            return Mux(state < 0, -((-state * factor) >> kind.shift), (state * factor) >> kind.shift)
        return (state * factor) >> kind.shift

    def decay(state: Value) -> Value:
        return leak(spec.decay, state)

    def clip(value: Value) -> Value:
        if spec.overflow == "exact":
            return value
        lowest, highest = signed_range(spec.bits)
        return Mux(value < lowest, lowest, Mux(value > highest, highest, value))

    threshold, amount = constant(spec.threshold), constant(spec.reset_amount)
    current = (total << spec.frac) + constant(spec.bias)
    if spec.synapse is not None:
        current = clip(leak(spec.synapse, synapse) + current)
    if spec.reset_time == "immediate" or spec.reset == "none":
        new = clip(decay(stored) + current)
        if spec.output == "state":
            return new, Const(0), current
        fires: Value = sum((new >= threshold + count * amount for count in range(spec.grades)), Const(0))
        after = {"none": new, "subtract": new - fires * amount}.get(spec.reset, Value.cast(amount))
        return Mux(fires.any(), after, new), fires, current
    fired = stored >= threshold
    if spec.reset == "subtract":
        new = clip(decay(stored) + current - Mux(fired, amount, 0))
    elif spec.input_on_reset == "drop":
        new = Mux(fired, amount, clip(decay(stored) + current))
    else:
        new = clip(decay(Mux(fired, amount, stored)) + current)
    return new, new >= threshold, current

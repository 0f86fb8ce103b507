"""What the blocks between the cores promise: no event is lost or told twice, and no timestep begins before its time."""

from amaranth.hdl import Assume, Const, Module, Mux, Signal, Value
from amaranth.lib.wiring import In

from rtl_gen.properties import Claim, keep_stalled
from rtl_gen.routing import Fork, Merge

__all__ = ["ForkClaim", "MergeClaim"]


class ForkClaim(Claim):
    """Every consumer takes every item once, in order, whatever the others do; and its offers are kept.

    The items that have entered, and those that each consumer has taken, are counted apart: a consumer may be one ahead of
    the item that is still on offer to others, and no further.

    Parameters
    ----------
    block : Fork
        Of any payload.
    cover : str or None
        See :class:`~rtl_gen.properties.Claim`.

    Members
    -------
    valid, payload : ``In``
        What the producer offers; it keeps its offers.
    ready : ``In(outputs)``
        Which consumers take.
    """

    covers = ("one_after_the_other", "back_to_back")

    def __init__(self, block: Fork, cover: str | None = None):
        self.block = block
        self._bits = len(Value.cast(block.i.payload))
        super().__init__({"valid": In(1), "payload": In(self._bits), "ready": In(block.outputs)}, cover)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.block = block = self.block
        m.d.comb += [
            block.i.valid.eq(self.valid),
            Value.cast(block.i.payload).eq(self.payload),
            Assume(keep_stalled(m, block.i, "i")),
        ]
        entering, entered = Signal(), Signal(2)
        m.d.comb += entering.eq(block.i.valid & block.i.ready)
        m.d.sync += entered.eq(entered + entering)
        promises: dict[str, Value] = {}
        through = Signal(block.outputs)  # who takes in this cycle
        alone = Signal(block.outputs)  # who has taken the item on offer and waits for the others
        for index, output in enumerate(block.o):
            taken, after = Signal(2, name=f"taken_{index}"), Signal(2, name=f"after_{index}")
            m.d.comb += [
                output.ready.eq(self.ready[index]),
                through[index].eq(output.valid & output.ready),
                alone[index].eq(taken != entered),
                after.eq(taken + through[index]),
            ]
            m.d.sync += taken.eq(after)
            promises |= {
                f"keeps_its_offers_{index}": keep_stalled(m, output, f"o_{index}"),
                f"loses_nothing_{index}": ~entering | (after == (entered + 1)[:2]),
                f"tells_nothing_twice_{index}": entering | (after == entered) | (after == (entered + 1)[:2]),
                f"offers_at_once_{index}": output.valid == (block.i.valid & ~alone[index]),
                f"tells_what_it_was_told_{index}": ~output.valid | (Value.cast(output.payload) == self.payload),
            }
        promises["waits_for_nobody_else"] = ~block.i.valid | (block.i.ready == (alone | self.ready).all())
        told = Signal(block.outputs)  # who has taken alone while the item was on offer
        m.d.sync += told.eq(Mux(entering, 0, told | Mux(through.any() & ~entering, through, 0)))
        was_through = Signal()
        m.d.sync += was_through.eq(entering & through.all())
        self.claim(m, promises, {
            "one_after_the_other": entering & told[-1] & ~told[0] if block.outputs > 1 else entering,
            "back_to_back": was_through & entering & through.all(),
        })
        return m


class MergeClaim(Claim):
    """Every event of a timestep comes out between its ticks, moved by the offset of its source; every tick counts once.

    The timesteps are those of the result. A source is over when its tick of this timestep is in; a delayed one is when the
    first timestep begins. Whatever enters must come from a source that is not over, and the tick goes out when all are.

    Parameters
    ----------
    block : Merge
        With narrow addresses.
    cover : str or None
        See :class:`~rtl_gen.properties.Claim`.

    Members
    -------
    valid{k}, payload{k} : ``In``
        What source k offers; it keeps its offers. Every event of a delayed source in the last timestep of a sample has `last`,
        no other has; the ticks of all sources agree on which timestep that is.
    last : ``In(1)``
        Whether the timestep that begins is the last of its sample.
    ready : ``In(1)``
        The consumer takes.
    """

    covers = ("full_step", "empty_step", "drops", "passes_what_came_early", "next_sample")

    def __init__(self, block: Merge, cover: str | None = None):
        self.block = block
        self._inputs = [getattr(block, f"i{index}") for index in range(len(block.sources))]
        members = {"last": In(1), "ready": In(1)}
        for index, given in enumerate(self._inputs):
            members |= {f"valid{index}": In(1), f"payload{index}": In(len(Value.cast(given.payload)))}
        super().__init__(members, cover)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.block = block = self.block
        o, count = block.o, len(block.sources)
        initial = sum(source.delayed << index for index, source in enumerate(block.sources))
        over = Signal(count, init=initial)
        last_now, last_before = Signal(), Signal()  # this timestep, and the one before, is the last of a sample
        ticking, some = Signal(), Signal(count)  # the tick leaves; sources of which an event was passed in this timestep
        m.d.comb += [o.ready.eq(self.ready), ticking.eq(o.valid & o.payload.tick & o.ready)]
        begins = Signal(init=1)  # the timestep has just begun: now it is decided whether it is the last
        last_kept = Signal()
        m.d.comb += last_now.eq(Mux(begins, self.last, last_kept))
        m.d.sync += [begins.eq(ticking), last_kept.eq(last_now)]

        entering, passed, dropped = Signal(count), Signal(count), Signal(count)
        wanted, agrees = Signal(count), Signal(count)  # has something for this timestep; what leaves is what enters
        promises: dict[str, Value] = {}
        for index, (source, given) in enumerate(zip(block.sources, self._inputs, strict=True)):
            payload = given.payload
            m.d.comb += [
                given.valid.eq(getattr(self, f"valid{index}")),
                Value.cast(payload).eq(getattr(self, f"payload{index}")),
                Assume(keep_stalled(m, given, f"i_{index}")),
                Assume(~payload.tick | (payload.address == 0)),
            ]
            belongs = last_before if source.delayed else last_now
            told = Const(1) if source.delayed else payload.tick
            m.d.comb += [
                Assume(over[index] | ~given.valid | ~told | (payload.last == belongs)),
                entering[index].eq(given.valid & given.ready),
                wanted[index].eq(given.valid & ~over[index]),
                dropped[index].eq(entering[index] & ~payload.tick & (last_before if source.delayed else 0)),
                passed[index].eq(entering[index] & ~payload.tick & ~dropped[index]),
            ]
            same: Value = o.payload.address == payload.address + source.offset
            if "value" in o.payload.shape().members:
                same &= o.payload.value == (payload.value if "value" in payload.shape().members else 1)
            m.d.comb += agrees[index].eq(same)
            promises[f"waits_for_the_tick_{index}"] = ~entering[index] | ~over[index]
            promises[f"tells_what_it_was_told_{index}"] = ~passed[index] | agrees[index]
        ticks = Signal(count)
        for index, given in enumerate(self._inputs):
            m.d.comb += ticks[index].eq(entering[index] & given.payload.tick)
        m.d.sync += [over.eq(Mux(ticking, 0, over | ticks)), some.eq(Mux(ticking, 0, some | passed))]
        with m.If(ticking):
            m.d.sync += last_before.eq(last_now)
        leaving = Signal()
        single = (passed & (passed - 1)[:count]) == 0
        m.d.comb += leaving.eq(o.valid & ~o.payload.tick & o.ready)
        first, early, drops = Signal(init=1), Signal(), Signal()
        m.d.sync += [first.eq(first & ~ticking), drops.eq(drops | dropped.any())]
        for index, given in enumerate(self._inputs):
            with m.If(given.valid & over[index] & ~over.all()):
                m.d.sync += early.eq(1)
        sample_over = Signal()
        m.d.sync += sample_over.eq(sample_over | (ticking & last_now))
        self.claim(m, promises | {
            "passes_every_event_once": (leaving == passed.any()) & single,
            "ticks_when_all_have": (o.valid & o.payload.tick) == over.all(),
            "takes_nothing_with_the_tick": ~over.all() | (entering == 0),
            "knows_the_end_of_the_sample": ~(o.valid & o.payload.tick) | (o.payload.last == last_now),
            "gives_only_ticks_an_end": ~o.valid | o.payload.tick | ~o.payload.last,
            "goes_on": ~self.ready | ~wanted.any() | over.all() | entering.any(),
            "keeps_its_offers": keep_stalled(m, o, "o"),
        }, {
            "full_step": ticking & some.all(),
            "empty_step": ticking & (some == 0) & ~first,
            "drops": ticking & drops if initial else ticking,
            "passes_what_came_early": ticking & early,
            "next_sample": ticking & sample_over & ~last_now & some.any(),
        })
        return m

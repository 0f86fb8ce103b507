"""What a stream must keep, written once and proven of every block that has one.

A claim is a component around a block. Its inputs are free: the prover drives them in every possible way.
It assumes what the block may rely on and asserts what the block promises; asked for a cover instead, it
asserts that the cover never happens, so that the counterexample is the witness that the claim is not empty.
"""

from collections.abc import Mapping
from typing import Any

from amaranth.hdl import Assert, Assume, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In

__all__ = ["Claim", "StreamClaim", "keep_stalled", "stalled"]


def stalled(m: Module, stream: Any, name: str) -> tuple[Signal, Signal]:
    """Return whether `stream` was stalled in the cycle before, and the payload it had."""
    payload = Value.cast(stream.payload)
    was_stalled, was = Signal(name=f"{name}_was_stalled"), Signal(payload.shape(), name=f"{name}_was")
    m.d.sync += [was_stalled.eq(stream.valid & ~stream.ready), was.eq(payload)]
    return was_stalled, was


def keep_stalled(m: Module, stream: Any, name: str) -> Value:
    """Return the rule of a producer: what is offered and not taken is still offered in the next cycle, unchanged."""
    was_stalled, was = stalled(m, stream, name)
    return ~was_stalled | (stream.valid & (Value.cast(stream.payload) == was))


class Claim(wiring.Component):
    """Base of all claims.

    Parameters
    ----------
    signature : mapping of str to wiring.Member
        Free inputs, all of them ``In``.
    cover : str or None
        The named cover is claimed never to happen; without a name, the promises are claimed.
    """

    covers: tuple[str, ...] = ()

    def __init__(self, signature: Mapping[str, Any], cover: str | None = None):
        if cover is not None and cover not in self.covers:
            raise ValueError(f"Cover must be one of {', '.join(self.covers)}, not {cover!r}")
        self.cover = cover
        super().__init__(dict(signature))

    def claim(self, m: Module, promises: Mapping[str, Any], covers: Mapping[str, Any]) -> None:
        """Assert the promises, or that the chosen cover never happens."""
        assert tuple(covers) == self.covers
        if self.cover is not None:
            m.d.comb += Assert(~Value.cast(covers[self.cover]).any())
            return
        for name, promise in promises.items():
            held = Signal(name=f"promise_{name}")
            m.d.comb += [held.eq(promise), Assert(held)]


class StreamClaim(Claim):
    """What enters a block leaves it: every item, once, in order, unchanged and in time; and the output keeps its offers.

    One item is followed, chosen by the prover when it enters: how many are ahead of it, and what it must be when
    it leaves. Because it may be any item, the claim holds for all.

    Parameters
    ----------
    block : wiring.Component
        With streams `i` and `o` of one layout.
    capacity : int
        Items the block can hold.
    latency_cycles : int
        Cycles after which an item inside is offered.
    cover : str or None
        See :class:`Claim`.

    Members
    -------
    valid, payload : ``In``
        What the producer offers; it keeps its offers.
    ready : ``In(1)``
        The consumer takes.
    pick : ``In(1)``
        The item that enters now is the one to follow.
    """

    covers = ("full", "back_to_back", "drained_after_stall")

    def __init__(self, block: wiring.Component, *, capacity: int, latency_cycles: int, cover: str | None = None):
        self.block, self.capacity, self.latency_cycles = block, capacity, latency_cycles
        self._bits = len(Value.cast(block.i.payload))
        super().__init__({"valid": In(1), "payload": In(self._bits), "ready": In(1), "pick": In(1)}, cover)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.block = block = self.block
        m.d.comb += [
            block.i.valid.eq(self.valid),
            Value.cast(block.i.payload).eq(self.payload),
            block.o.ready.eq(self.ready),
            Assume(keep_stalled(m, block.i, "i")),
        ]
        entering, leaving = Signal(), Signal()
        m.d.comb += [entering.eq(block.i.valid & block.i.ready), leaving.eq(block.o.valid & block.o.ready)]

        inside = Signal(range(self.capacity + 2))
        m.d.sync += inside.eq(inside + entering - leaving)
        waited = Signal(range(self.latency_cycles + 2))
        with m.If(block.o.valid | (inside == 0)):
            m.d.sync += waited.eq(0)
        with m.Elif(waited <= self.latency_cycles):
            m.d.sync += waited.eq(waited + 1)

        following = Signal()
        ahead, expected = Signal.like(inside), Signal(self._bits)
        with m.If(entering & self.pick & ~following):
            m.d.sync += [following.eq(1), ahead.eq(inside - leaving), expected.eq(self.payload)]
        with m.If(following & leaving):
            m.d.sync += ahead.eq(ahead - 1)
            with m.If(ahead == 0):
                m.d.sync += following.eq(0)

        through = Signal(3)  # transfers of the last cycles, on both sides at once
        filled = Signal()  # has been full since the last reset
        m.d.sync += [through.eq(Value.cast(entering & leaving) | through << 1), filled.eq(filled | (inside == self.capacity))]
        self.claim(m, {
            "keeps_its_offers": keep_stalled(m, block.o, "o"),
            "invents_nothing": ~leaving | (inside != 0),
            "holds_no_more": inside <= self.capacity,
            "keeps_order_and_value": ~(following & leaving & (ahead == 0)) | (Value.cast(block.o.payload) == expected),
            "offers_in_time": waited < self.latency_cycles,
            "takes_when_empty": (inside != 0) | block.i.ready,
        }, {
            "full": inside == self.capacity,
            "back_to_back": through.all(),
            "drained_after_stall": filled & following & leaving & (ahead == 0) & (inside == 1) & expected.any(),
        })
        return m

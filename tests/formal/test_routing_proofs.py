# amaranth: UnusedElaboratable=no
"""Unbounded proofs of what parts and joins streams, with witnesses and broken blocks; the larger ones are slow."""

import pytest
from routing_blocks import LAYOUT, fork, merge

from rtl_gen.properties import StreamClaim
from rtl_gen.prove import decide
from rtl_gen.routing import Fork, Merge, Queue
from rtl_gen.routing_claims import ForkClaim, MergeClaim


def holds(claim, **options):
    assert decide(claim, **options).answer == "proved"


def fails(claim, **options):
    assert decide(claim, **options).answer == "refuted"


@pytest.mark.parametrize("outputs", [1, 3])
def test_forks_lose_nothing_and_tell_nothing_twice(outputs):
    holds(ForkClaim(fork(outputs)))


@pytest.mark.parametrize("cover", ForkClaim.covers)
def test_forks_reach(cover):
    fails(ForkClaim(fork(3), cover))


@pytest.mark.parametrize(("delayed", "graded"), [("n", True), ("nn", False), ("dn", True), ("ndn", False)])
def test_merges_keep_timesteps_apart(delayed, graded):
    holds(MergeClaim(merge(delayed, graded=graded)))


@pytest.mark.parametrize("cover", MergeClaim.covers)
def test_merges_reach(cover):
    fails(MergeClaim(merge("nd"), cover))


def test_queues_carry_every_item_once_in_order():
    holds(StreamClaim(Queue(LAYOUT, 3), capacity=3, latency_cycles=2), written={"storage"})


@pytest.mark.parametrize("cover", StreamClaim.covers)
def test_queues_reach(cover):
    fails(StreamClaim(Queue(LAYOUT, 3), capacity=3, latency_cycles=2, cover=cover), written={"storage"})


class BrokenFork(Fork):
    """A fork with a fault."""

    fault = ""

    def elaborate(self, platform):
        m = super().elaborate(platform)
        first, second = self.o
        match self.fault:
            case "loses":
                m.d.comb += self.i.ready.eq(first.ready)
            case "tells twice":
                m.d.comb += second.valid.eq(self.i.valid)
            case "tells both or none":
                m.d.comb += [first.valid.eq(self.i.valid & second.ready), second.valid.eq(self.i.valid & first.ready)]
            case "changes an event":
                m.d.comb += second.payload.address.eq(self.i.payload.address | (self.i.payload.address == 2))
        return m


@pytest.mark.parametrize("fault", ["loses", "tells twice", "tells both or none", "changes an event"])
def test_a_broken_fork_is_found(fault):
    fails(ForkClaim(fork(2, type("Fault", (BrokenFork,), {"fault": fault}))))


class BrokenMerge(Merge):
    """A merge of a source that is not delayed and one that is, with a fault."""

    fault = ""

    def elaborate(self, platform):
        m = super().elaborate(platform)
        first, second, o = self.i0, self.i1, self.o
        match self.fault:
            case "loses an event":
                m.d.comb += second.ready.eq(second.valid & (o.ready | second.payload.address))
            case "loses a tick":
                m.d.comb += first.ready.eq(o.ready)
            case "ticks early":
                with m.If(first.valid & first.payload.tick):
                    m.d.comb += [o.valid.eq(1), o.payload.tick.eq(1)]
            case "changes an offer":
                with m.If(first.valid & ~first.payload.tick):
                    m.d.comb += o.payload.address.eq(first.payload.address)
            case "wrong address":
                m.d.comb += o.payload.address[1].eq(0)
            case "drops nothing":
                with m.If(second.valid & ~second.payload.tick & o.ready & second.ready):
                    m.d.comb += o.valid.eq(1)
            case "no end":
                m.d.comb += o.payload.last.eq(0)
            case "stops":
                with m.If(first.valid & second.valid):
                    m.d.comb += [first.ready.eq(0), second.ready.eq(0), o.valid.eq(0)]
        return m


@pytest.mark.parametrize("fault", ["loses an event", "loses a tick", "ticks early", "changes an offer", "wrong address",
                                   "drops nothing", "no end", "stops"])
def test_a_broken_merge_is_found(fault):
    fails(MergeClaim(merge("nd", kind=type("Fault", (BrokenMerge,), {"fault": fault}))))


@pytest.mark.slow
@pytest.mark.parametrize("outputs", [2, 4, 5])
def test_longer_forks(outputs):
    holds(ForkClaim(fork(outputs)), limit_s=600)


@pytest.mark.slow
@pytest.mark.parametrize("graded", [False, True])
@pytest.mark.parametrize("delayed", ["n", "nn", "dn", "nd", "nnn", "nnd", "dnn", "ddn", "ndd", "dnd", "nnnn", "nddn", "dddn"])
def test_longer_merges(delayed, graded):
    holds(MergeClaim(merge(delayed, graded=graded)), limit_s=600)


@pytest.mark.slow
@pytest.mark.parametrize("cover", [*MergeClaim.covers])
@pytest.mark.parametrize("delayed", ["dn", "nnd", "dnd"])
def test_longer_merges_reach(delayed, cover):
    fails(MergeClaim(merge(delayed, graded=True), cover))


@pytest.mark.slow
@pytest.mark.parametrize("depth", [2, 4, 5, 8])
def test_longer_queues(depth):
    holds(StreamClaim(Queue(LAYOUT, depth), capacity=depth, latency_cycles=2), written={"storage"}, limit_s=600)

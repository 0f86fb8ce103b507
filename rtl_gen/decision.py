"""The decision of a sample: the class that wins, its score, and how far it is ahead."""

from amaranth.hdl import Module, Mux, ResetSignal, Shape, ShapeLike, Signal, Value
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from rtl_gen.events import event_layout
from snnhw.plan.decision import DecisionPlan

__all__ = ["Decider", "result_layout"]


def result_layout(decision: DecisionPlan) -> data.StructLayout:
    """Return the payload of a result, every field in whole bytes; :class:`snnhw.plan.decision.DecisionPlan` has the same."""
    of_class, of_score, of_margin = decision.fields
    return data.StructLayout({"index": 8 * of_class, "score": Shape(8 * of_score, decision.signed), "margin": 8 * of_margin})


class Decider(wiring.Component):
    """Follows the events of a core and gives a result for each sample.

    Scores are those of :mod:`snnhw.plan.decision`. Of the classes only the best and the best score of the others are kept, since
    a score that has become best stays so until another passes it; sums need a word of memory for each class besides.
    Sums of spikes, which need not come, carry the number of their sample: one of another sample counts as 0. With every sample
    one word is written anew, so that none is older than there are numbers.

    Takes one event per cycle. A result is offered two cycles after the last tick of its sample is taken, three when scores are
    sums. That tick is not taken while the result of the sample before is still on offer, or on its way: then the events wait,
    and with them everything before them. Samples whose last ticks are at least four cycles apart never wait for an `o` that is
    always ready.

    Parameters
    ----------
    decision : DecisionPlan
        How it is decided.
    address_bits, value_bits : int
        Of the events, as :class:`~snnhw.plan.LayerPlan` has them of a core's output.

    Members
    -------
    i : ``In(stream.Signature(event_layout(address_bits, value_bits)))``
        Events of the core.
    o : ``Out(stream.Signature(result_layout(decision)))``
        Results, from registers.
    """

    def __init__(self, decision: DecisionPlan, *, address_bits: int, value_bits: int):
        self.decision, self.address_bits, self.value_bits = decision, address_bits, value_bits
        super().__init__({
            "i": In(stream.Signature(event_layout(address_bits, value_bits))),
            "o": Out(stream.Signature(result_layout(decision))),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        decision, event = self.decision, self.i.payload
        lowest, shape = decision.scores.lowest, Shape(decision.score_bits, decision.signed)
        busy = Signal()  # a result is on offer, or will be
        taken = Signal()
        ends = Signal()
        counts = Signal()  # the event changes what the best scores are
        m.d.comb += [
            self.i.ready.eq(~(busy & event.tick & event.last)),
            taken.eq(self.i.valid & self.i.ready),
            ends.eq(taken & event.tick & event.last),
            counts.eq(taken & ~event.tick),
        ]
        if decision.kind == "membrane" and decision.over != "max":
            m.d.comb += counts.eq(taken & ~event.tick & event.last)

        rival_valid = Signal()
        rival_class = Signal(self.address_bits, reset_less=True)
        rival_score = Signal(shape, reset_less=True)
        decide = Signal()
        if decision.accumulates:
            self._accumulate(m, taken, counts, ends, rival_valid, rival_class, rival_score, decide)
        else:
            m.d.sync += [rival_valid.eq(counts), rival_class.eq(event.address), rival_score.eq(self._score(m, taken)),
                         decide.eq(ends)]

        best_class = Signal(self.address_bits)
        best = Signal(shape, init=lowest)
        second = Signal(shape, init=lowest)
        with m.If(rival_valid):
            with m.If(rival_class == best_class):
                m.d.sync += best.eq(Mux(rival_score > best, rival_score, best))
            with m.Elif((rival_score > best) | ((rival_score == best) & (rival_class < best_class))):
                m.d.sync += [best_class.eq(rival_class), best.eq(rival_score), second.eq(best)]
            with m.Elif(rival_score > second):
                m.d.sync += second.eq(rival_score)
        with m.If(ends):
            m.d.sync += busy.eq(1)
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += [self.o.valid.eq(0), busy.eq(0)]
        with m.If(decide):
            m.d.sync += [
                self.o.valid.eq(1),
                self.o.payload.index.eq(best_class),
                self.o.payload.score.eq(best),
                self.o.payload.margin.eq((best - second)[:decision.margin_bits] if decision.classes > 1 else 0),
                best_class.eq(0),
                best.eq(lowest),
                second.eq(lowest),
            ]
        return m

    def _value(self) -> Value:
        """Return what the event adds."""
        event = self.i.payload
        if not self.value_bits:
            return Value.cast(1)
        value = Value.cast(event.value)
        return value.as_signed() if self.decision.signed else value

    def _score(self, m: Module, taken: Signal) -> Value:
        """Return the score that the event alone gives its class."""
        if self.decision.kind != "first":
            return self._value()
        event, left = self.i.payload, Signal(range(self.decision.timesteps + 1), init=self.decision.timesteps)
        with m.If(taken & event.tick):
            with m.If(event.last):
                m.d.sync += left.eq(self.decision.timesteps)
            with m.Elif(left != 0):
                m.d.sync += left.eq(left - 1)
        return left

    def _accumulate(self, m: Module, taken: Signal, counts: Signal, ends: Signal, rival_valid: Signal, rival_class: Signal,
                    rival_score: Signal, decide: Signal) -> None:
        """Build the memory of sums. An event reads in its first cycle and writes in its second; the rival follows in the third.

        Between two events of a class lies a tick, so a sum is written before it is read again.
        """
        decision, event = self.decision, self.i.payload
        word: ShapeLike = data.StructLayout({"score": Shape(decision.score_bits, decision.signed)}
                                            | ({"age": decision.age_bits} if decision.age_bits else {}))
        m.submodules.scores = scores = memory.Memory(shape=word, depth=decision.classes, init=[])
        read_port, write_port = scores.read_port(), scores.write_port()
        adds = Signal()
        adds_class = Signal(self.address_bits, reset_less=True)
        adds_value = Signal(self._value().shape(), reset_less=True)
        adds_counts = Signal()
        adds_ends = Signal()
        fresh = Signal()  # the event is the first of its class
        first = Signal()  # that is known before its word is read
        total = Signal(Shape(decision.score_bits, decision.signed))
        old = read_port.data
        m.d.sync += [adds.eq(taken & ~event.tick), adds_class.eq(event.address), adds_value.eq(self._value()),
                     adds_counts.eq(counts), adds_ends.eq(ends)]
        m.d.comb += [
            read_port.addr.eq(event.address),
            read_port.en.eq(taken & ~event.tick & ~first),
            write_port.addr.eq(adds_class),
            write_port.data.score.eq(total),
            write_port.en.eq(adds),
        ]
        m.d.sync += [rival_valid.eq(adds_counts), rival_class.eq(adds_class), rival_score.eq(total), decide.eq(adds_ends)]
        was_first = Signal()
        m.d.sync += was_first.eq(first)
        with m.If(fresh):
            m.d.comb += total.eq(adds_value)
        with m.Else():
            m.d.comb += total.eq(old.score + adds_value)
        if not decision.age_bits:
            # Every neuron hands on its state in every timestep, so also in the first.
            beginning = Signal(init=1)
            m.d.comb += [first.eq(beginning), fresh.eq(was_first)]
            with m.If(taken & event.tick):
                m.d.sync += beginning.eq(event.last)
            return
        # A reset ends a sample too, and what it leaves in the memory must not be taken for the next one's.
        age = Signal(decision.age_bits, reset_less=True)
        renewed = Signal(range(max(2, decision.classes)), reset_less=True)
        turn = Signal()
        m.d.comb += [
            turn.eq(adds_ends | ResetSignal()),
            first.eq(turn & (event.address == renewed)),
            fresh.eq(was_first | (old.age != age)),
            write_port.data.age.eq(age),
        ]
        with m.If(turn):
            m.d.sync += age.eq(age + 1)
            with m.If(renewed == decision.classes - 1):
                m.d.sync += renewed.eq(0)
            with m.Else():
                m.d.sync += renewed.eq(renewed + 1)
            m.d.comb += [write_port.addr.eq(renewed), write_port.data.score.eq(0), write_port.data.age.eq(age + 1),
                         write_port.en.eq(1)]

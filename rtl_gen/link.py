"""Messages of :mod:`snnhw.board.link` to and from the core's streams."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from snnhw.board.link import Code, Format

__all__ = ["MessageReader", "MessageWriter"]


def _beat(event_bytes: int) -> data.StructLayout:
    return data.StructLayout({"data": 8 * event_bytes, "tick": 1, "last": 1})


class MessageReader(wiring.Component):
    """Turns the host's bytes into beats of events, words of weights, and resets.

    A beat or word is offered in the cycle after its last byte. Until it is taken, no byte is accepted; otherwise one
    in every cycle.

    Parameters
    ----------
    form : Format
        Sizes of the messages.

    Members
    -------
    i : ``In(stream.Signature(8))``
        Bytes.
    o_events : ``Out(stream.Signature(StructLayout({"data": 8 * form.input_bytes, "tick": 1, "last": 1})))``
        Spikes and ticks; `last` on a tick ends the sample.
    o_weights : ``Out(stream.Signature(8 * form.weight_bytes))``
        Words of weights, if the core loads any.
    restart : ``Out(1)``
        High for one cycle when the host asks for a reset.
    """

    def __init__(self, form: Format):
        self.form = form
        members = {"i": In(stream.Signature(8)), "o_events": Out(stream.Signature(_beat(form.input_bytes))), "restart": Out(1)}
        if form.weight_bits:
            members["o_weights"] = Out(stream.Signature(8 * form.weight_bytes))
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        form = self.form
        # Bytes enter at the top, so a shorter number ends up in the upper bytes of the register.
        word = Signal(8 * max(form.input_bytes, form.weight_bytes))
        missing = Signal(range(max(form.input_bytes, form.weight_bytes) + 1))
        event = Signal()
        weights = Signal()
        tick = Signal()
        last = Signal()
        o_events = self.o_events

        m.d.comb += [
            o_events.payload.data.eq(Mux(tick, 0, word[-8 * form.input_bytes:])),
            o_events.payload.tick.eq(tick),
            o_events.payload.last.eq(tick & last),
            o_events.valid.eq(event & (missing == 0)),
            self.i.ready.eq((missing != 0) | ~(event | weights)),
        ]
        taken = o_events.valid & o_events.ready
        if form.weight_bits:
            m.d.comb += [
                self.o_weights.payload.eq(word[-8 * form.weight_bytes:]),
                self.o_weights.valid.eq(weights & (missing == 0)),
            ]
            taken |= self.o_weights.valid & self.o_weights.ready
        with m.If(taken):
            m.d.sync += [event.eq(0), weights.eq(0)]

        with m.If(self.i.valid & self.i.ready):
            with m.If(missing != 0):
                m.d.sync += [word.eq(Cat(word[8:], self.i.payload)), missing.eq(missing - 1)]
            with m.Else(), m.Switch(self.i.payload):
                with m.Case(Code.SPIKE):
                    m.d.sync += [event.eq(1), tick.eq(0), missing.eq(form.input_bytes)]
                with m.Case(Code.TICK, Code.LAST_TICK):
                    m.d.sync += [event.eq(1), tick.eq(1), last.eq(self.i.payload == Code.LAST_TICK)]
                if form.weight_bits:
                    with m.Case(Code.WEIGHTS):
                        m.d.sync += [weights.eq(1), missing.eq(form.weight_bytes)]
                with m.Case(Code.RESET):
                    m.d.comb += self.restart.eq(1)
        return m


class MessageWriter(wiring.Component):
    """Turns the core's beats into bytes for the host.

    A beat is accepted while none is being sent; its first byte is offered in the next cycle.

    Parameters
    ----------
    form : Format
        Sizes of the messages.

    Members
    -------
    i : ``In(stream.Signature(StructLayout({"data": 8 * form.output_bytes, "tick": 1, "last": 1})))``
        Spikes and ticks.
    o : ``Out(stream.Signature(8))``
        Bytes.
    """

    def __init__(self, form: Format):
        self.form = form
        super().__init__({"i": In(stream.Signature(_beat(form.output_bytes))), "o": Out(stream.Signature(8))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        beat = self.i.payload
        message = Signal(8 * (1 + self.form.output_bytes))
        remaining = Signal(range(2 + self.form.output_bytes))

        m.d.comb += [self.i.ready.eq(remaining == 0), self.o.valid.eq(remaining != 0), self.o.payload.eq(message[:8])]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += [message.eq(message >> 8), remaining.eq(remaining - 1)]
        with m.If(self.i.valid & self.i.ready):
            code = Mux(beat.tick, Mux(beat.last, Const(Code.LAST_TICK, 8), Const(Code.TICK, 8)), Const(Code.SPIKE, 8))
            m.d.sync += [message.eq(Cat(code, beat.data)), remaining.eq(Mux(beat.tick, 1, 1 + self.form.output_bytes))]
        return m

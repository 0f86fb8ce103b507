"""Streams that part and meet between cores."""

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from snnhw.plan import Source

__all__ = ["Fork", "Merge", "Queue"]


class Fork(wiring.Component):
    """Gives every event to several consumers; each takes it when it can, and the next comes when all have.

    No latency; one event per cycle if all consumers are ready.

    Parameters
    ----------
    layout : data.StructLayout
        Payload.
    outputs : int
        Number of consumers.

    Members
    -------
    i : ``In(stream.Signature(layout))``
        Events.
    o : ``Out(stream.Signature(layout)).array(outputs)``
        The same events.
    """

    def __init__(self, layout: data.StructLayout, outputs: int):
        self.outputs = outputs
        super().__init__({"i": In(stream.Signature(layout)), "o": Out(stream.Signature(layout)).array(outputs)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        taken = Signal(self.outputs)  # who has the event that is still offered to others
        done = Signal(self.outputs)
        for index, output in enumerate(self.o):
            m.d.comb += [
                output.valid.eq(self.i.valid & ~taken[index]),
                output.payload.eq(self.i.payload),
                done[index].eq(taken[index] | output.ready),
            ]
        m.d.comb += self.i.ready.eq(done.all())
        with m.If(self.i.valid):
            m.d.sync += taken.eq(Mux(self.i.ready, 0, done))
        return m


class Queue(wiring.Component):
    """First-in first-out memory for the events of a timestep. Latency at least two cycles; one event per cycle.

    Parameters
    ----------
    layout : data.StructLayout
        Payload.
    depth : int
        Events.

    Members
    -------
    i, o : ``In(stream.Signature(layout))``, ``Out(stream.Signature(layout))``
        Streams.
    """

    def __init__(self, layout: data.StructLayout, depth: int):
        self.layout, self.depth = layout, depth
        super().__init__({"i": In(stream.Signature(layout)), "o": Out(stream.Signature(layout))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.fifo = queue = fifo.SyncFIFOBuffered(width=self.layout.size, depth=self.depth)
        m.d.comb += [
            queue.w_en.eq(self.i.valid), queue.w_data.eq(self.i.payload), self.i.ready.eq(queue.w_rdy),
            self.o.valid.eq(queue.r_rdy), Value.cast(self.o.payload).eq(queue.r_data), queue.r_en.eq(self.o.ready),
        ]
        return m


class Merge(wiring.Component):
    """Joins the events of a timestep from several sources into one stream, whose tick comes when every source has ticked.

    Addresses move by the offset of their source. The tick has the `last` of the sources that are not delayed. A delayed source
    begins with a tick that it need not send; what it sends in the last timestep of a sample is dropped, but for its tick, so
    that the next sample begins without spikes of this one. An event that waits for the consumer stays on offer, whatever else
    arrives.

    No latency; one event per cycle, and one cycle for each tick.

    Parameters
    ----------
    sources : tuple of Source
        Where events come from; at least one is not delayed.
    layouts : tuple of data.StructLayout
        Payload of each source.
    layout : data.StructLayout
        Payload of the result.

    Members
    -------
    i{k} : ``In(stream.Signature(layouts[k]))``
        Events of source k.
    o : ``Out(stream.Signature(layout))``
        Events of all.
    """

    def __init__(self, sources: tuple[Source, ...], layouts: tuple[data.StructLayout, ...], layout: data.StructLayout):
        if all(source.delayed for source in sources):
            raise ValueError("Sources must not all be delayed")
        self.sources = sources
        super().__init__({f"i{index}": In(stream.Signature(given)) for index, given in enumerate(layouts)}
                         | {"o": Out(stream.Signature(layout))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        inputs = [getattr(self, f"i{index}") for index in range(len(self.sources))]
        initial = sum(source.delayed << index for index, source in enumerate(self.sources))
        ticked = Signal(len(inputs), init=initial)  # sources whose timestep is over
        ending = Signal()
        with m.If(ticked.all()):
            m.d.comb += [self.o.valid.eq(1), self.o.payload.tick.eq(1), self.o.payload.last.eq(ending)]
            with m.If(self.o.ready):
                m.d.sync += ticked.eq(0)
        waiting = Signal(len(inputs))  # whose event is on offer and has not been taken
        m.d.sync += waiting.eq(0)
        chosen: Value | None = None
        for index, (source, given) in enumerate(zip(self.sources, inputs, strict=True)):
            # The first that has something to say, unless a later one has begun.
            condition = given.valid & ~ticked[index] & ~waiting[index + 1:].any()
            with (m.If(condition) if chosen is None else m.Elif(condition)):
                dropped = given.payload.last if source.delayed else 0
                with m.If(given.payload.tick):
                    m.d.comb += given.ready.eq(1)
                    m.d.sync += ticked[index].eq(1)
                    if not source.delayed:
                        m.d.sync += ending.eq(given.payload.last)
                with m.Else():
                    m.d.comb += [
                        given.ready.eq(self.o.ready | dropped),
                        self.o.valid.eq(~Value.cast(dropped)),
                        self.o.payload.address.eq(given.payload.address + source.offset),
                    ]
                    m.d.sync += waiting[index].eq(self.o.valid & ~self.o.ready)
                    if "value" in self.o.payload.shape().members:
                        carried = "value" in given.payload.shape().members
                        m.d.comb += self.o.payload.value.eq(given.payload.value if carried else 1)
            chosen = condition
        return m


"""Loading of weights at run time."""

from amaranth.hdl import Array, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["WeightLoader"]


class WeightLoader(wiring.Component):
    """Distributes a stream of words to the weight memories, layer by layer, in the order of addresses.

    Takes one word per cycle; after the last one it is done until the next reset.

    Parameters
    ----------
    depths : tuple of int
        Words of each memory.
    width : int
        Width of the widest word.

    Members
    -------
    i : ``In(stream.Signature(width))``
        Words.
    address : ``Out(range(max(depths)))``
        Where the word on `i` belongs.
    write : ``Out(len(depths))``
        In whose memory it is written now, one bit for each.
    done : ``Out(1)``
        All memories are full.
    """

    def __init__(self, *, depths: tuple[int, ...], width: int):
        if not depths or min(depths) < 1:
            raise ValueError(f"Depths must be positive, and at least one, not {depths}")
        self.depths = depths
        super().__init__({
            "i": In(stream.Signature(width)),
            "address": Out(range(max(depths))),
            "write": Out(len(depths)),
            "done": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        layer = Signal(range(len(self.depths)))
        last = Signal()
        m.d.comb += [
            self.i.ready.eq(~self.done),
            last.eq(self.address == Array([depth - 1 for depth in self.depths])[layer]),
        ]
        with m.If(self.i.valid & ~self.done):
            m.d.comb += self.write.bit_select(layer, 1).eq(1)
            m.d.sync += self.address.eq(self.address + 1)
            with m.If(last):
                m.d.sync += [self.address.eq(0), layer.eq(layer + 1)]
                with m.If(layer == len(self.depths) - 1):
                    m.d.sync += self.done.eq(1)
        return m

"""Loading of weights at run time."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from snnhw.fixed import unsigned_bits
from snnhw.plan import LayerPlan

__all__ = ["WeightLoader", "address_bits", "weight_memory"]


def address_bits(depth: int) -> int:
    """Return the width of an address; 1 even where there is nothing to choose, because Verilog has no empty vectors."""
    return unsigned_bits(depth - 1)


def weight_memory(m: Module, core: wiring.Component, layer: LayerPlan, address: Value, read: Value) -> Value:
    """Build the weight memory of a core, read at `address` when `read` is high; return its output.

    With loaded weights it belongs to the loader while ``core.load_active`` is high.
    """
    shape = layer.memories[0]
    m.submodules.weights = weights = memory.Memory(shape=shape.width, depth=shape.depth,
                                                   init=[] if layer.weights_loaded else layer.weight_words)
    read_port = weights.read_port()
    if not layer.weights_loaded:
        m.d.comb += [read_port.addr.eq(address), read_port.en.eq(read)]
        return read_port.data
    write_port = weights.write_port()
    # One address for both directions, and never both at once: single-port memories will do.
    m.d.comb += [
        read_port.addr.eq(Mux(core.load_active, core.load_address, address)),
        read_port.en.eq(read & ~core.load_active),
        write_port.addr.eq(read_port.addr),
        write_port.en.eq(core.load_write & core.load_active),
        write_port.data.eq(core.load_data),
    ]
    return read_port.data


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
    address : ``Out(address_bits(max(depths)))``
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
            "address": Out(address_bits(max(depths))),
            "write": Out(len(depths)),
            "done": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        selected = Signal(len(self.depths), init=1)  # one bit for the memory that is being filled
        last = Signal()
        m.d.comb += [
            self.i.ready.eq(~self.done),
            self.write.eq(selected & (self.i.valid & self.i.ready).replicate(len(selected))),
            last.eq((selected & Cat(self.address == depth - 1 for depth in self.depths)).any()),
        ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += self.address.eq(self.address + 1)
            with m.If(last):
                m.d.sync += [self.address.eq(0), selected.eq(selected << 1), self.done.eq(selected[-1])]
        return m

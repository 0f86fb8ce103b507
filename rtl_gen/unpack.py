"""Decoding of packed weights, between the weight memory and the register behind it."""

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from snnhw.plan import LayerPlan
from snnhw.plan.packing import GROUP, Packing

__all__ = ["Unpacker", "unpacked"]


class Unpacker(wiring.Component):
    """Turns the codes of a word into its weights, see :class:`~snnhw.plan.packing.Packing`.

    Combinational: latency zero. A code that stands for nothing gives any weight.

    Parameters
    ----------
    packing : Packing
        Codes.
    weight_bits : int
        Width of a weight.
    lanes : int
        Weights of a word.

    Members
    -------
    i : ``In(packing.bits(lanes))``
        Codes of all lanes, lane 0 in the lowest bits.
    o : ``Out(lanes * weight_bits)``
        Their weights.
    """

    def __init__(self, *, packing: Packing, weight_bits: int, lanes: int):
        self.packing, self.weight_bits, self.lanes = packing, weight_bits, lanes
        super().__init__({"i": In(packing.bits(lanes)), "o": Out(lanes * weight_bits)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        offset, lane = 0, 0
        for bits in self.packing.widths(self.lanes):
            code = self.i[offset:offset + bits]
            offset += bits
            count = min(GROUP, self.lanes - lane) if self.packing.name == "ternary" else 1
            for place in _digits(code, count) if self.packing.name == "ternary" else [code]:
                m.d.comb += self.o.word_select(lane, self.weight_bits).eq(self._weight(m, place, lane))
                lane += 1
        return m

    def _weight(self, m: Module, place: Value, lane: int) -> Signal:
        """Return the weight of a place in the book."""
        weight = Signal(signed(self.weight_bits), name=f"weight_{lane}")
        m.d.comb += weight.eq(Array(Const(value, signed(self.weight_bits)) for value in self.packing.book)[place])
        return weight


def _digits(code: Value, count: int) -> list[Value]:
    """Return the digits of a code, two bits each, see :func:`~snnhw.plan.packing.ternary_code`."""
    if count < 3:
        return [code[2 * place:2 * place + 2] for place in range(count)]
    if count == 3:
        pair_only = code[:2] == 3
        first, second = _pair(code[2:5])
        two = Const(2, 2)
        return [Mux(pair_only, code[2:4], code[:2]), Mux(pair_only, two, first), Mux(pair_only, two, second)]
    if count == 4:
        return [*_digits(code[:5], 3), code[5:7]]
    moved = (code[:2] == 3) & code[4]
    first, second = _pair(code[5:8])
    two = Const(2, 2)
    return [*_digits(Mux(moved, Cat(code[2:4], code[5:8]), code[:5]), 3), Mux(moved, two, first), Mux(moved, two, second)]


def _pair(code: Value) -> tuple[Value, Value]:
    """Return the two digits of three bits."""
    turned = code[:2] == 3
    return Mux(turned, Const(2, 2), code[2]), Mux(turned, code[2], code[:2])


def unpacked(m: Module, layer: LayerPlan, word: Value) -> Value:
    """Return a word of the weight memory with the weights of a core in the place of their codes."""
    if layer.packing is None:
        return word
    bits = layer.packing.bits(layer.lanes)
    m.submodules.unpacker = unpacker = Unpacker(packing=layer.packing, weight_bits=layer.weight_bits, lanes=layer.lanes)
    m.d.comb += unpacker.i.eq(word[:bits])
    return Cat(unpacker.o, word[bits:])

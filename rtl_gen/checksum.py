"""Words of weights on their way into the memories, and their checksum."""

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from snnhw.fixed import unsigned_bits

__all__ = ["CHUNK_BITS", "WeightIntake", "next_crc"]

CHUNK_BITS = 32
_POLYNOMIAL = 0xEDB88320  # CRC-32 of Ethernet, lowest bit first


def _shifted(word: int) -> int:
    for _ in range(CHUNK_BITS):
        word = word >> 1 ^ (_POLYNOMIAL if word & 1 else 0)
    return word


def next_crc(crc: Value, chunk: Value) -> Value:
    """Return the register of a CRC-32, which begins as all ones, after 32 more bits, the lowest first."""
    # Every bit of the result is the parity of some bits of the operand.
    columns = [_shifted(1 << bit) for bit in range(CHUNK_BITS)]
    operand = Cat(crc ^ chunk)
    return Cat(Cat(operand[bit] for bit, column in enumerate(columns) if column >> row & 1).xor() for row in range(CHUNK_BITS))


class WeightIntake(wiring.Component):
    """Takes words of weights from a stream or, 32 bits at a time, from a register, and computes their CRC-32.

    A word that began in the register is completed there before the stream is taken again. A word of n chunks of 32 bits
    stays for n cycles, so that one word is taken every n cycles. It is on `word` in the last of them. After the last
    word nothing is taken until the next reset.

    Parameters
    ----------
    width : int
        Width of a word.
    words : int
        How many there are.

    Members
    -------
    i : ``In(stream.Signature(width))``
        Words.
    word, write : ``Out(width)``, ``Out(1)``
        The word that goes into its memory now.
    chunk, chunk_valid, chunk_ready : ``In(32)``, ``In(1)``, ``Out(1)``
        Part of a word from the register, the lowest first. Not ready only while a word is inside.
    complete : ``Out(1)``
        All words came in.
    count : ``Out(unsigned_bits(words))``
        Words that came in.
    crc : ``Out(32)``
        CRC-32 of the words that left.
    """

    def __init__(self, *, width: int, words: int):
        if width < 1 or words < 1:
            raise ValueError(f"Width and words must be positive, not {width} and {words}")
        self.width, self.words = width, words
        super().__init__({
            "i": In(stream.Signature(width)),
            "word": Out(width), "write": Out(1),
            "chunk": In(CHUNK_BITS), "chunk_valid": In(1), "chunk_ready": Out(1),
            "complete": Out(1),
            "count": Out(unsigned_bits(words)),
            "crc": Out(32),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        chunks = -(-self.width // CHUNK_BITS)
        held = Signal(chunks * CHUNK_BITS, reset_less=True)
        full = Signal()
        place = Signal(range(chunks))  # chunk of the word that is in the lowest bits, or that comes next from the register
        last = Signal()
        turned = Signal.like(held)
        takes = Signal()
        taken = Signal()
        remainder = Signal(32, init=(1 << 32) - 1)
        m.d.comb += [
            last.eq(place == chunks - 1),
            turned.eq(Cat(held[CHUNK_BITS:], held[:CHUNK_BITS])),
            # In the last cycle the word is as it came, but for one turn.
            self.word.eq(turned),
            self.write.eq(full & last),
            self.complete.eq(self.count == self.words),
            self.chunk_ready.eq(~full & ~self.complete),
            takes.eq((~full & (place == 0) | self.write) & ~self.chunk_valid & ~self.complete),
            self.i.ready.eq(takes),
            taken.eq(self.i.valid & takes),
            self.crc.eq(~remainder),
        ]
        with m.If(full):
            m.d.sync += [held.eq(turned), place.eq(place + 1), remainder.eq(next_crc(remainder, held[:CHUNK_BITS]))]
            with m.If(last):
                m.d.sync += [place.eq(0), full.eq(0)]
        with m.Elif(self.chunk_valid & self.chunk_ready):
            m.d.sync += [held.eq(Cat(held, self.chunk)[CHUNK_BITS:]), place.eq(place + 1)]
            with m.If(last):
                m.d.sync += [place.eq(0), full.eq(1), self.count.eq(self.count + 1)]
        with m.If(taken):
            m.d.sync += [held.eq(self.i.payload), full.eq(1), self.count.eq(self.count + 1)]
        return m

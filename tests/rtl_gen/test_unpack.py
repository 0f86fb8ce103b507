"""Decoders of packed weights against the codes of the plan."""

import numpy as np
import pytest
from amaranth.sim import Simulator

from rtl_gen.unpack import Unpacker
from snnhw.fixed import pack_words, signed_range
from snnhw.plan.packing import Packing


def decode(dut, words):
    """Return the weights, (words, lanes), that come out."""
    found = []

    async def testbench(ctx):
        for word in words:
            ctx.set(dut.i, word)
            await ctx.delay(1e-9)
            value = ctx.get(dut.o)
            found.append([value >> lane * dut.weight_bits & (1 << dut.weight_bits) - 1 for lane in range(dut.lanes)])

    sim = Simulator(dut)
    sim.add_testbench(testbench)
    sim.run()
    return np.array(found)


def check(packing, bits, weights):
    lanes = weights.shape[1]
    dut = Unpacker(packing=packing, weight_bits=bits, lanes=lanes)
    np.testing.assert_array_equal(decode(dut, pack_words(packing.encode(weights))), weights & (1 << bits) - 1)


@pytest.mark.parametrize("book", [(-1, 0, 1), (0, 3, 7), (-8, -7), (5,)])
@pytest.mark.parametrize("lanes", range(1, 6))
def test_every_row_of_five_weights_comes_back(lanes, book):
    rows = np.indices((len(book),) * lanes).reshape(lanes, -1).T
    check(Packing("ternary", book), 4, np.asarray(book)[rows])


@pytest.mark.parametrize("lanes", [1, 6, 13])
def test_groups_are_decoded_side_by_side(lanes):
    weights = np.random.default_rng(lanes).choice([-2, 0, 2], (40, lanes))
    check(Packing("ternary", (-2, 0, 2)), 3, weights)


@pytest.mark.parametrize("bits", [1, 4, 9, 16])
@pytest.mark.parametrize("size", [1, 2, 3, 5, 16, 100])
def test_every_value_of_a_book_comes_back(bits, size):
    rng = np.random.default_rng(size)
    lowest, highest = signed_range(bits)
    book = np.unique(np.r_[lowest, highest, rng.integers(lowest, highest + 1, size)])[:size]
    weights = np.stack([book, book[::-1], rng.permutation(book)], axis=1)
    check(Packing("codebook", tuple(book.tolist())), bits, weights)

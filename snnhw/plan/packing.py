"""Packings of weights: a weight that takes few different values is stored as a code, and decoded behind the memory.

A packing is chosen beside the format. It replaces the weights of a word, those of all lanes, by codes, and leaves everything
else of the word, what tells rows and places, as it is. The *book* of a layer holds the values that its words contain, with the
zeros that fill up lists. It belongs to the decoder, not to the memory: weights that are loaded at run time are loaded as codes,
and only values of the book can be.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np

from snnhw.fixed import unsigned_bits

__all__ = ["AUTO_BOOK", "GROUP", "MAX_BOOK", "PACKINGS", "Packing", "PackingName", "pack", "ternary_code"]

PackingName = Literal["codebook", "ternary"]
#: What can be asked for a layer, beside the choice itself.
PACKINGS = "none", "codebook", "ternary"
#: Values of the largest book that is chosen without being asked for: each bit of a weight is then one table of four inputs.
AUTO_BOOK = 16
MAX_BOOK = 256
#: Weights that share a code of a ternary packing, and the bits of a code of fewer of them.
GROUP = 5
_GROUP_BITS = (0, 2, 4, 5, 7, 8)


@dataclass(frozen=True)
class Packing:
    """How the weights of a word are stored.

    ``"codebook"``: each as its place in the book. ``"ternary"``: five weights of three values in eight bits, 1.6 bits each, as
    :func:`ternary_code` tells; of the last lanes of a word, four share 7 bits, three 5, two 4, and one has 2.

    Parameters
    ----------
    name : str
        ``"codebook"`` or ``"ternary"``.
    book : tuple of int
        Values, rising: code k of a weight stands for ``book[k]``. At most three of them in ternary.
    """

    name: PackingName
    book: tuple[int, ...]

    def __post_init__(self) -> None:
        most = 3 if self.name == "ternary" else MAX_BOOK
        if not 1 <= len(self.book) <= most or list(self.book) != sorted(set(self.book)):
            raise ValueError(f"Book must be 1 to {most} rising values, not {self.book}")

    def __str__(self) -> str:
        return f"{self.name} of {len(self.book)} values"

    def widths(self, lanes: int) -> tuple[int, ...]:
        """Return the widths of the codes of a word, lane 0 in the first."""
        if self.name == "codebook":
            return (unsigned_bits(len(self.book) - 1),) * lanes
        whole, rest = divmod(lanes, GROUP)
        return (_GROUP_BITS[GROUP],) * whole + (_GROUP_BITS[rest],) * (rest > 0)

    def bits(self, lanes: int) -> int:
        """Return the bits of the codes of a word."""
        return sum(self.widths(lanes))

    @property
    def filler(self) -> int:
        """Value of lanes without a neuron: 0 if there is a code for it, else any other."""
        return 0 if 0 in self.book else self.book[0]

    def encode(self, weights: np.ndarray) -> tuple[tuple[np.ndarray, int], ...]:
        """Return the columns of codes, each with its width, of weights, (words, lanes), all of which are in the book."""
        places = np.searchsorted(self.book, weights)
        lanes = weights.shape[1]
        assert (np.asarray(self.book)[places.clip(0, len(self.book) - 1)] == weights).all()
        widths = self.widths(lanes)
        if self.name == "codebook":
            return tuple((places[:, lane], bits) for lane, bits in enumerate(widths))
        columns = []
        for group, bits in enumerate(widths):
            trits = places[:, group * GROUP:(group + 1) * GROUP]
            number = trits @ 3 ** np.arange(trits.shape[1])
            columns.append((_codes(trits.shape[1])[number], bits))
        return tuple(columns)


def ternary_code(code: int, count: int) -> tuple[int, ...] | None:
    """Return the digits, 0 to 2, that a code of `count` of them stands for; None if it is not used.

    All codes are put together from three, so that a decoder is some multiplexers and no table. Two bits hold a digit ``d``, and
    3 leaves room for something else. Three bits ``p`` hold every pair of digits but (2, 2): ``(p >> 2, p & 3)``, and with 3
    there ``(2, p >> 2)``. Five bits hold three digits: a digit below, a pair above; 3 below stands for the pair (2, 2), and the
    digit is then above, below 4. Of the eight bits of five digits the lower five are three digits and the upper three a pair;
    where the lower five are none, 3 below and 4 or more above, the pair is (2, 2) and the three digits are the upper three
    bits over the two bits in the middle of the lower five.
    """
    if not 0 <= code < 1 << _GROUP_BITS[count]:
        raise ValueError(f"Code of {count} digits must have at most {_GROUP_BITS[count]} bits, not be {code}")
    low, high = code & 31, code >> 5
    if count == 5:
        if low & 3 == 3 and low >> 4:
            three, pair = ternary_code(low >> 2 & 3 | high << 2, 3), (2, 2)
        else:
            three, pair = ternary_code(low, 3), _pair(high)
        return None if three is None else three + pair
    if count == 4:
        three = ternary_code(low, 3)
        return None if three is None or high == 3 else (*three, high)
    if count == 3:
        if low & 3 < 3:
            return (low & 3, *_pair(low >> 2))
        return None if low >> 2 > 2 else (low >> 2, 2, 2)
    digits = tuple(code >> 2 * place & 3 for place in range(count))
    return None if 3 in digits else digits


def _pair(code: int) -> tuple[int, int]:
    """Return the two digits of three bits."""
    return (2, code >> 2) if code & 3 == 3 else (code >> 2, code & 3)


@cache
def _codes(count: int) -> np.ndarray:
    """Return the code of every number of `count` digits in base 3, the lowest digit first."""
    codes = np.full(3 ** count, -1)
    for code in reversed(range(1 << _GROUP_BITS[count])):
        digits = ternary_code(code, count)
        if digits is not None:
            codes[sum(digit * 3 ** place for place, digit in enumerate(digits))] = code
    assert codes.min() >= 0
    return codes


def pack(name: str, values: Sequence[int] | np.ndarray, weight_bits: int, lanes: int) -> Packing | None:
    """Return a packing of a layer; None stores weights as they are.

    Parameters
    ----------
    name : str
        One of :data:`PACKINGS`, or ``"auto"``: what takes the fewest bits, a book of at most 16 values among it; nothing where
        none takes fewer than the weights.
    values : sequence of int
        Values that its words contain.
    weight_bits : int
        Width of a weight.
    lanes : int
        Weights of a word.

    Raises
    ------
    ValueError
        There are more values than the packing can have.
    """
    book = tuple(sorted({int(value) for value in values}))
    if name == "none":
        return None
    for asked, most in (("codebook", MAX_BOOK), ("ternary", 3)):
        if name == asked and len(book) > most:
            raise ValueError(f"Weights must take at most {most} values, not {len(book)}")
    if name == "codebook":
        return Packing("codebook", book)
    if name == "ternary":
        return Packing("ternary", book)
    options = [Packing("codebook", book)] if len(book) <= AUTO_BOOK else []
    if len(book) == 3:
        options.append(Packing("ternary", book))
    options = [option for option in options if option.bits(lanes) < weight_bits * lanes]
    return min(options, key=lambda option: option.bits(lanes), default=None)

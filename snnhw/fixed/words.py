"""Two's-complement words."""

from collections.abc import Iterable

import numpy as np

__all__ = ["pack_words", "saturate", "signed_bits", "signed_range", "unsigned_bits"]


def signed_range(bits: int) -> tuple[int, int]:
    """Return the lowest and the highest value of a signed word, ``-2**(bits-1)`` and ``2**(bits-1) - 1``."""
    if bits < 1:
        raise ValueError(f"Word must have at least 1 bit, not {bits}")
    return -(1 << (bits - 1)), (1 << (bits - 1)) - 1


def signed_bits(lowest: int, highest: int) -> int:
    """Return the width of the smallest signed word that holds every value from `lowest` to `highest`."""
    if lowest > highest:
        raise ValueError(f"Lowest value must not be above the highest, not {lowest} above {highest}")
    return max(int(value if value >= 0 else ~value).bit_length() for value in (lowest, highest)) + 1


def unsigned_bits(highest: int) -> int:
    """Return the width of the smallest unsigned word that holds 0 to `highest`; at least 1."""
    if highest < 0:
        raise ValueError(f"Highest value must not be negative, not {highest}")
    return max(1, int(highest).bit_length())


def saturate(values: np.ndarray, bits: int) -> np.ndarray:
    """Clip integers to the range of a signed word of `bits` bits."""
    lowest, highest = signed_range(bits)
    return np.clip(values, lowest, highest)


def pack_words(fields: Iterable[tuple[np.ndarray, int]]) -> list[int]:
    """Pack columns of integers, each with its width, into words, the first column in the lowest bits."""
    words: list[int] = []
    offset = 0
    for column, bits in fields:
        mask = (1 << bits) - 1
        parts = [(value & mask) << offset for value in column.tolist()]
        words = [word | part for word, part in zip(words, parts, strict=True)] if offset else parts
        offset += bits
    return words

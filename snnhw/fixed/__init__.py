"""Integer arithmetic that every reader of the graph shares: ranges, widths, saturation."""

from snnhw.fixed.interval import Interval
from snnhw.fixed.words import pack_words, saturate, signed_bits, signed_range, unsigned_bits

__all__ = ["Interval", "pack_words", "saturate", "signed_bits", "signed_range", "unsigned_bits"]

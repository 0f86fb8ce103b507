"""Integer arithmetic that every reader of the graph shares: ranges, widths, saturation."""

from snnhw.fixed.interval import Interval
from snnhw.fixed.words import saturate, signed_bits, signed_range, unsigned_bits

__all__ = ["Interval", "saturate", "signed_bits", "signed_range", "unsigned_bits"]

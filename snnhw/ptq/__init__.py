"""Post-training quantization: a float network and some samples become an integer graph, and a report of what that cost."""

from snnhw.ptq.compare import compare
from snnhw.ptq.options import Options
from snnhw.ptq.quantize import quantize

__all__ = ["Options", "compare", "quantize"]

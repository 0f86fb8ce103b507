"""Hardware: the accelerator in Amaranth, its Verilog, and the folder that carries both."""

from rtl_gen.accelerator import Accelerator
from rtl_gen.output import generate
from rtl_gen.verilog import TOP, emit_verilog, to_rtlil

__all__ = ["TOP", "Accelerator", "emit_verilog", "generate", "to_rtlil"]

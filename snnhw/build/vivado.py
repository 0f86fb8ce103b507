"""A Vivado project: script, constraints and Verilog, written and not run."""

from rtl_gen.board_top import BOARD_NAME
from snnhw.board import Board

__all__ = ["format_script"]

SCRIPT = """\
# Builds {top} from the files of this folder: vivado -mode batch -source build.tcl
set_part {part}
read_verilog [glob *.v]
foreach file [glob -nocomplain *.mem] {{ read_mem $file }}
read_xdc pins.xdc
synth_design -top {top} -part {part}
opt_design
place_design
phys_opt_design
route_design
report_utilization -file utilization.rpt
report_timing_summary -file timing.rpt
write_bitstream -force {top}.bit
"""


def format_script(board: Board) -> str:
    """Return the script that builds the bitstream from the Verilog, memories and pins beside it."""
    return SCRIPT.format(part=board.device, top=BOARD_NAME)

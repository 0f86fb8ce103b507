"""A Vivado project: script, constraints and Verilog, written and not run."""

from pathlib import Path

from rtl_gen.board_top import BOARD_NAME
from snnhw.board import Board
from snnhw.tools import run_yosys

__all__ = ["format_script", "write_verilog"]

SCRIPT = """\
# Builds {title} from the files of this folder: vivado -mode batch -source build.tcl
set_part {part}
read_verilog [glob *.v]
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
    """Return the script that builds the bitstream."""
    return SCRIPT.format(title=BOARD_NAME, part=board.device, top=BOARD_NAME)


def write_verilog(read: tuple[str, ...], folder: Path) -> None:
    """Write the design that the Yosys commands `read` load as one Verilog file, memories initialised inside it."""
    script = [*read, f"hierarchy -check -top {BOARD_NAME}", "proc", "pmuxtree", "opt_clean", "memory_collect",
              f"write_verilog -noattr {BOARD_NAME}.v"]
    (folder / "verilog.log").write_text(run_yosys(script, folder))

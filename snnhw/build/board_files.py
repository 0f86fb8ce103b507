"""What a bitstream needs besides the core, for those who build it with tools of their own."""

import tempfile
from pathlib import Path

from rtl_gen.board_pins import board_pins
from rtl_gen.board_top import BOARD_NAME, board_format, board_top_rtlil
from rtl_gen.control_ports import control_inputs
from snnhw.board import Board
from snnhw.build.family import FAMILIES
from snnhw.plan import Plan
from snnhw.tools import run_yosys

__all__ = ["board_files", "board_verilog"]


def board_verilog(plan: Plan, board: Board) -> bytes:
    """Return the serial-line top of a board in Verilog."""
    pins = board_pins(board)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "board.il").write_text(board_top_rtlil(board_format(plan), board, led_inverted=pins["led"].inverted,
                                                           idle=control_inputs(plan)))
        run_yosys(["read_rtlil board.il", "proc", "pmuxtree", "opt_clean", "memory_collect",
                   f"write_verilog -noattr {BOARD_NAME}.v"], folder)
        # The first line names the machine that Yosys was built on.
        return (folder / f"{BOARD_NAME}.v").read_bytes().partition(b"\n\n")[2]


def board_files(plan: Plan, board: Board) -> dict[str, bytes]:
    """Return the serial-line top in Verilog and the pins of a board, by path in the output folder.

    The top is named ``snnhw_board`` and instantiates ``snnhw_top``. The same plan and board give the same bytes.
    """
    family = FAMILIES[board.family]
    return {f"board/{BOARD_NAME}.v": board_verilog(plan, board),
            f"board/pins{family.constraints_suffix}": family.format_constraints(board_pins(board), board.clock.hz).encode()}

"""From a core to a mapped netlist, with Yosys."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rtl_gen.board_pins import Pin
from rtl_gen.board_top import BOARD_NAME, CORE_NAME, board_top_rtlil
from rtl_gen.control_ports import control_inputs
from snnhw.board import Board, ClockSettings, shortages
from snnhw.build.family import FAMILIES
from snnhw.build.source import Source
from snnhw.errors import BoardError
from snnhw.plan import Plan
from snnhw.plan.ram import single_port_layers
from snnhw.tools import run_yosys

__all__ = ["CORE_PORTS", "Synthesis", "placed_memories", "run_synthesis"]

# Ports of a bare core that are placed on pins, and the board's pins they borrow.
CORE_PORTS = {"aclk": "clk", "aresetn": "uart_rx"}

# What Yosys leaves in a netlist for people.
_NOT_CELLS = ("$scopeinfo",)


@dataclass(frozen=True)
class Synthesis:
    """A mapped netlist.

    Attributes
    ----------
    top : str
        ``"core"`` or ``"board"``.
    cells : dict
        Mapped cells by kind.
    used : dict
        Resources they use, before packing.
    netlist : Path
        Yosys JSON.
    problems : list of str
        A sentence for each resource of which the device has too few.
    """

    top: Literal["core", "board"]
    cells: dict[str, int]
    used: dict[str, int]
    netlist: Path
    problems: list[str]


def placed_memories(plan: Plan, board: Board) -> list[str]:
    """Return the Yosys commands that put loaded weights into the large memories of a board.

    Yosys weighs cost, not what the device has, and would spread them over block RAM.
    """
    units = ["walker" if layer.scattered else "accumulator" for layer in plan.layers]
    return [f'setattr -set ram_style "huge" {CORE_NAME}_layer{layer}_{units[layer]}/m:weights'
            for layer in single_port_layers(plan, board)]


def run_synthesis(source: Source, board: Board, top: Literal["core", "board"], pins: Mapping[str, Pin],
                  folder: Path, clock: ClockSettings | None = None) -> Synthesis:
    """Synthesise `source` for `board` in `folder`; the log, the script and the statistics stay there.

    Parameters
    ----------
    source : Source
        The core.
    board : Board
        Decides family and device.
    top : str
        ``"core"``: the core alone; ``"board"``: behind the serial line.
    pins : mapping of str to Pin
        Pins of the board.
    folder : Path
        Must exist.
    clock : ClockSettings, optional
        What the ``"board"`` makes of its clock.
    """
    files = dict(source.files)
    read = list(source.read)
    name = CORE_NAME
    if top == "board":
        name = BOARD_NAME
        files["board.il"] = board_top_rtlil(source.form, board, led_inverted=pins["led"].inverted, clock=clock,
                                            idle=control_inputs(source.plan)).encode()
        read.append("read_rtlil board.il")
    for file, content in files.items():
        (folder / file).write_bytes(content)
    family = FAMILIES[board.family]
    # The cell that makes a clock is known only to the synthesis of the family, which checks again.
    check = "-check " if clock is None else ""
    placed = placed_memories(source.plan, board)
    script = [*read, *placed, f"hierarchy {check}-top {name}", f"{family.synthesis(board)} -top {name}"]
    if top == "core":
        # The streams of a bare core end in no pads: they would not fit the package, nor be timed.
        script.append(f"delete -port w:* {' '.join(f'w:{port}' for port in CORE_PORTS)} %u %d")
    script += [*family.pads, "tee -q -o statistics.json stat -json", "write_json netlist.json"]
    (folder / "synthesis.ys").write_text("\n".join(script) + "\n")
    (folder / "synthesis.log").write_text(run_yosys(script, folder))
    statistics = json.loads((folder / "statistics.json").read_text())["design"]["num_cells_by_type"]
    cells = {kind: int(number) for kind, number in sorted(statistics.items()) if kind not in _NOT_CELLS}
    unmapped = [kind for kind in cells if kind.startswith("$")]
    if unmapped:
        raise BoardError(f"{source.title} uses {unmapped[0]!r}, which {board} cannot hold")
    used = family.count(cells)
    problems = shortages(used, board, source.title, weights_loaded=source.plan.loaded_words > 0)
    return Synthesis(top, cells, used, folder / "netlist.json", problems)

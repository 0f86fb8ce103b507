"""What a calibration design does in each cycle, counted in its netlist."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rtl_gen.calibration import CALIBRATION_NAME, WARM_UP, CalibrationDesign
from snnhw.board import Board
from snnhw.build.family import FAMILIES
from snnhw.cost import ConstantSet
from snnhw.gates import run_free, synthesise

__all__ = ["DesignCounts", "count_design"]

CYCLES, ACCELERATOR_CYCLES = 4096, 1 << 15
MULTIPLIER_BITS2 = 64  # 8 x 8 bits
REST = {"uart_rx": 1}


@dataclass(frozen=True)
class DesignCounts:
    """What a design has, and what it does in a cycle on average.

    Attributes
    ----------
    flip_flops : int
        All of them clocked in every cycle.
    toggles : mapping of str to float
        By class of net.
    accesses : mapping of str to {"reads": float, "writes": float}
        Of all blocks of a resource together, enabled ones.
    multiplications : float
        Changes of the factors of the multipliers.
    cycles : int
        Over how many cycles.
    """

    flip_flops: int
    toggles: Mapping[str, float]
    accesses: Mapping[str, Mapping[str, float]]
    multiplications: float
    cycles: int

    def as_json(self) -> dict[str, Any]:
        """Return the counts for ``designs.json``."""
        return {"flip_flops": self.flip_flops, "toggles": dict(self.toggles),
                "accesses": {resource: dict(counts) for resource, counts in self.accesses.items()},
                "multiplications": self.multiplications, "cycles": self.cycles}

    def rates(self, clock_hz: float, constants: ConstantSet, made_by: str = "") -> dict[str, float]:
        """Return the amount per second of every parameter of a constant set: what its value is multiplied with to give a power.

        A memory in look-up tables has no parameter of its own; its toggles stand for it.

        Parameters
        ----------
        clock_hz : float
            Frequency of the clock; 0 for none.
        constants : ConstantSet
            Of an FPGA; decides which parameter each resource has.
        made_by : str
            What makes the clock on the device, a parameter of its own: its power is none of the design's.
        """
        found: dict[str, float] = {"static": 1.0}
        if not clock_hz:
            return found
        found |= {"clock": 1.0, "flip_flop_clock": float(self.flip_flops)}
        for kind, toggles in self.toggles.items():
            name = f"toggle_{kind}"
            name = name if name in constants.parameters else "toggle"
            found[name] = found.get(name, 0.0) + toggles
        for resource, counts in self.accesses.items():
            if resource in constants.blocks:
                name = constants.blocks[resource]
                found[name] = found.get(name, 0.0) + sum(counts.values())
        found["multiply"] = self.multiplications * MULTIPLIER_BITS2
        rates = {name: amount * (clock_hz if name != "static" else 1.0) for name, amount in found.items()}
        return {name: rate for name, rate in rates.items() if rate} | ({made_by: 1.0} if made_by else {})


def count_design(design: CalibrationDesign, board: Board, files: Mapping[str, bytes], read: Sequence[str]) -> DesignCounts:
    """Synthesise a design and count, in the simulated netlist, what it does.

    Parameters
    ----------
    design : CalibrationDesign
        Which.
    board : Board
        Its family must be one whose netlists are simulated.
    files : mapping of str to bytes
        What the commands read, without the cell that makes the clock.
    read : sequence of str
        Yosys commands that read it.
    """
    if design.pattern == "static":
        return DesignCounts(0, {}, {}, 0.0, 0)
    netlist = synthesise(read, CALIBRATION_NAME, board.family, files=files, synthesis=FAMILIES[board.family].synthesis(board))
    cycles = ACCELERATOR_CYCLES if design.pattern == "accelerator" else CYCLES
    activity = run_free(netlist, cycles, inputs=REST, warm=WARM_UP)
    accesses: dict[str, dict[str, float]] = {}
    multiplications = 0.0
    for block in activity.blocks:
        if block.kind == "multiplier":
            multiplications += block.reads / cycles
            continue
        sums = accesses.setdefault(block.kind, {"reads": 0.0, "writes": 0.0})
        sums["reads"] += block.reads / cycles
        sums["writes"] += block.writes / cycles
    toggles = {kind: count / cycles for kind, count in activity.by_class().items()}
    return DesignCounts(activity.flip_flops, toggles, accesses, multiplications, cycles)

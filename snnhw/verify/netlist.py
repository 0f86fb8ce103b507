"""The synthesised netlist in the same harness: what the FPGA's cells compute, held against the reference.

The cells are replaced by the models that Yosys has of them, flattened, and compiled by CXXRTL. iCE40 has
models of everything, block RAM included. ECP5 has none of its block RAM and of its multipliers, so there the
memories stay as they are, products are made of logic, and everything else is mapped.
"""

from dataclasses import replace
from pathlib import Path
from typing import Literal

from snnhw.errors import UsageError
from snnhw.plan import Plan
from snnhw.tools import run_yosys
from snnhw.verify.builds import cached_build, harness_sources, quoted, tool_versions
from snnhw.verify.cxxrtl import SOURCES, link_cxxrtl
from snnhw.verify.design import TOP, Design
from snnhw.verify.native import Simulator

__all__ = ["Family", "compile_netlist"]

Family = Literal["ice40", "ecp5"]

# Commands that map the design, and those that read the models of the cells.
FLOWS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "ice40": ((f"synth_ice40 -top {TOP}",), ("read_verilog -defer -D NO_ICE40_DEFAULT_ASSIGNMENTS +/ice40/cells_sim.v",)),
    "ecp5": (
        (f"synth_ecp5 -top {TOP} -nodsp -run begin:map_ram", f"synth_ecp5 -top {TOP} -nodsp -run map_gates:blif"),
        ("read_verilog -defer -D NO_INCLUDES +/ecp5/cells_sim.v", "read_verilog -defer +/ecp5/cells_ff.vh"),
    ),
}


# The models of block RAM write each bit through a port of its own. CXXRTL ends in a segmentation fault when a memory
# has that many; these commands join them again.
TIDY = ("opt_clean -purge", "opt_expr", "memory -nomap", "opt_clean")


def compile_netlist(
    plan: Plan, family: Family, *, folder: Path | None = None, trace: bool = False, optimize: str = "-O1"
) -> Simulator:
    """Synthesise the hardware of a plan and compile its netlist.

    Runs of the result give the output stream; the spikes and states of hidden layers only with `trace`.

    Parameters
    ----------
    plan : Plan
        What the hardware is meant to compute.
    family : str
        ``"ice40"`` or ``"ecp5"``.
    folder : Path or None
        Output folder whose Verilog is synthesised. None generates the design from the plan.
    trace : bool
        Synthesise with ports for the states and accesses of every layer, which changes the netlist a little.
    optimize : str
        Option of the C++ compiler.
    """
    if family not in FLOWS:
        raise UsageError(f"netlists are replayed for {' and '.join(map(repr, FLOWS))}, not for {family!r}")
    design = Design(plan, folder, tapped=trace)
    synthesis, models = FLOWS[family]

    def make(target: Path, final: Path) -> None:
        commands, cwd = design.read(target)
        netlist = target / "netlist.il"
        run_yosys(
            [
                *commands,
                *design.flatten(),
                *synthesis,
                f"select {TOP}",
                f"write_rtlil -selected {quoted(netlist)}",
                "design -reset",
                f"read_rtlil {quoted(netlist)}",
                *models,
                f"hierarchy -check -top {TOP}",
                "proc",
                "flatten",
                *TIDY,
                f"write_cxxrtl -g0 -namespace design0 {quoted(target / 'design0.cpp')}",
            ],
            cwd,
        )
        link_cxxrtl(target, [design.ports], optimize=optimize, nets=False)

    build, seconds = cached_build(
        [
            "netlist",
            design.text,
            *design.flatten(),
            *synthesis,
            *models,
            *TIDY,
            optimize,
            *harness_sources(*SOURCES).values(),
            tool_versions("pyosys"),
        ],
        make,
    )
    return replace(Simulator(plan, f"{family} netlist", build, 0, seconds), tapped=trace)

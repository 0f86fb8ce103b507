"""Unbounded proofs of claims, and of netlists against their RTL: Amaranth to AIGER with Yosys, decided by ABC.

Anything but an explicit proof is a failure; a prover that gives up has proven nothing.
"""

import re
import tempfile
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from amaranth.back import rtlil
from amaranth.lib import wiring

from rtl_gen.verilog import relax_memories
from snnhw.tools import run_program, run_yosys, yosys_abc

__all__ = ["FAMILIES", "Verdict", "compare", "decide"]

# Memories become flip-flops, checks become outputs. What is undefined (a word never written, a read beside a write
# of the same word) becomes a free input before any pass could choose a convenient value for it.
_TO_MODULE = """
read_rtlil {name}.il
hierarchy -check -top {name}
proc -noopt
flatten
memory_map
"""
_TO_AIGER = """
chformal -lower
async2sync
opt -full
techmap
opt -full
dffunmap
aigmap
opt_clean
check -assert
write_aiger -zinit claim.aig
"""
# One copy is synthesized, the other is what was meant; their inputs are joined, their outputs compared. What has no
# initial value starts as 0 in both, because no two undefined values would be equal.
_TO_MITER = """
setundef -undriven -init -zero
opt_clean
design -save meant
{synthesis} -top block
techmap -wb -D EQUIV -autoproc -map {cells}
design -stash mapped
design -load {meant}
design -stash meant
design -copy-from meant -as meant block
design -copy-from mapped -as mapped block
miter -equiv -make_assert -flatten meant mapped claim
hierarchy -check -top claim
"""
# Without block RAM and multipliers, whose cells have no model that could be compared.
FAMILIES = {
    "ice40": ("synth_ice40 -nobram", "+/ice40/cells_sim.v"),
    "ecp5": ("synth_ecp5 -nobram -nolutram -nodsp", "+/ecp5/cells_sim.v"),
}


# Merging registers that are always equal often leaves little to prove; but when it leaves nothing at all, the
# prover has no answer, and is asked about the whole.
_STEPS = ("strash; scorr; dc2; ", "")


@dataclass(frozen=True)
class Verdict:
    """What the prover found.

    Parameters
    ----------
    answer : str
        ``"proved"`` for all time, ``"refuted"`` by a counterexample, or ``"undecided"``.
    frame : int or None
        Clock cycle of the counterexample, from 0.
    seconds : float
        Time of the prover alone.
    """

    answer: Literal["proved", "refuted", "undecided"]
    frame: int | None
    seconds: float


def decide(claim: wiring.Component, *, written: Collection[str] = (), limit_s: int = 60) -> Verdict:
    """Prove or refute every assertion of `claim`, from its initial state on, for all inputs that keep its assumptions.

    Parameters
    ----------
    claim : wiring.Component
        Assertions about a block; its ports are free.
    written : collection of str
        Memories that promise no more than they must, see :func:`~rtl_gen.verilog.relax_memories`.
    limit_s : int
        Seconds after which the prover gives up.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write(claim, "claim", folder, written)
        run_yosys(_TO_MODULE.format(name="claim") + "setundef -undriven -anyseq\n" + _TO_AIGER, folder)
        return _ask(folder, limit_s)


def compare(block: wiring.Component, family: str, *, against: wiring.Component | None = None, limit_s: int = 60) -> Verdict:
    """Prove that the netlist of `block` has the same outputs as its RTL in every cycle, from the initial state on.

    Parameters
    ----------
    block : wiring.Component
        What is synthesized for `family`, with its memories in flip-flops.
    family : str
        ``"ice40"`` or ``"ecp5"``.
    against : wiring.Component or None
        RTL to compare with, when it is not that of `block`; it must have the same ports.
    limit_s : int
        Seconds after which the prover gives up.
    """
    synthesis, cells = FAMILIES[family]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write(block, "block", folder)
        script = _TO_MODULE.format(name="block")
        if against is not None:
            (folder / "other").mkdir()
            _write(against, "block", folder / "other")
            other = script.replace("block.il", "other/block.il")
            script = other + "setundef -undriven -init -zero\nopt_clean\ndesign -stash other\n" + script
        run_yosys(script + _TO_MITER.format(synthesis=synthesis, cells=cells, meant="meant" if against is None else "other")
                  + _TO_AIGER, folder)
        return _ask(folder, limit_s)


def _write(component: wiring.Component, name: str, folder: Path, written: Collection[str] = ()) -> None:
    text = rtlil.convert(component, name=name, emit_src=False)
    (folder / f"{name}.il").write_text(relax_memories(text, written) if written else text)


def _ask(folder: Path, limit_s: int) -> Verdict:
    started = time.perf_counter()
    for steps in _STEPS:
        log = run_program([yosys_abc(), "-c", f"read_aiger claim.aig; fold; {steps}pdr -T {limit_s}"], folder)
        refuted = re.search(r"^Output \d+ of miter .* was asserted in frame (\d+)\.", log, re.MULTILINE)
        if refuted:
            return Verdict("refuted", int(refuted[1]), time.perf_counter() - started)
        if re.search(r"^Property proved\.", log, re.MULTILINE):
            return Verdict("proved", None, time.perf_counter() - started)
    return Verdict("undecided", None, time.perf_counter() - started)

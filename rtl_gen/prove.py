"""Unbounded proofs of claims: Amaranth to AIGER with Yosys, decided by ABC.

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

__all__ = ["Verdict", "decide"]

# Memories become flip-flops, checks become outputs. What is undefined (a word never written, a read beside a write
# of the same word) becomes a free input before any pass could choose a convenient value for it.
_TO_AIGER = """
read_rtlil claim.il
hierarchy -check -top claim
proc -noopt
flatten
memory_map
setundef -undriven -anyseq
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
        text = rtlil.convert(claim, name="claim", emit_src=False)
        (folder / "claim.il").write_text(relax_memories(text, written) if written else text)
        run_yosys(_TO_AIGER, folder)
        started = time.perf_counter()
        for steps in _STEPS:
            log = run_program([yosys_abc(), "-c", f"read_aiger claim.aig; fold; {steps}pdr -T {limit_s}"], folder)
            refuted = re.search(r"^Output \d+ of miter .* was asserted in frame (\d+)\.", log, re.MULTILINE)
            if refuted:
                return Verdict("refuted", int(refuted[1]), time.perf_counter() - started)
            if re.search(r"^Property proved\.", log, re.MULTILINE):
                return Verdict("proved", None, time.perf_counter() - started)
    return Verdict("undecided", None, time.perf_counter() - started)

"""Unbounded proofs of claims: Amaranth to AIGER with Yosys, decided by ABC.

Anything but an explicit proof is a failure; a prover that gives up has proven nothing.
"""

import re
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from amaranth.back import rtlil
from amaranth.lib import wiring

from snnhw.tools import run_program, run_yosys, yosys_abc

__all__ = ["Verdict", "decide"]

# Memories become flip-flops, checks become outputs, and what is undefined becomes a free input.
_TO_AIGER = """
read_rtlil claim.il
prep -flatten -nordff -top claim
memory_map
chformal -lower
async2sync
setundef -undriven -anyseq
techmap
opt -full
dffunmap
aigmap
opt_clean
check -assert
write_aiger -zinit claim.aig
"""


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


def decide(claim: wiring.Component, *, limit_s: int = 60) -> Verdict:
    """Prove or refute every assertion of `claim`, from its initial state on, for all inputs that keep its assumptions."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "claim.il").write_text(rtlil.convert(claim, name="claim", emit_src=False))
        run_yosys(_TO_AIGER, folder)
        started = time.perf_counter()
        log = run_program([yosys_abc(), "-c", f"read_aiger claim.aig; fold; pdr -T {limit_s}"], folder)
        seconds = time.perf_counter() - started
    refuted = re.search(r"^Output \d+ of miter .* was asserted in frame (\d+)\.", log, re.MULTILINE)
    if refuted:
        return Verdict("refuted", int(refuted[1]), seconds)
    return Verdict("proved" if re.search(r"^Property proved\.", log, re.MULTILINE) else "undecided", None, seconds)

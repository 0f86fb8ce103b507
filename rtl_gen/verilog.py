"""From a plan to RTLIL and to Verilog."""

import re
import tempfile
from collections.abc import Collection
from pathlib import Path

from amaranth.back import rtlil

from rtl_gen.accelerator import Accelerator
from snnhw.files import write_bytes
from snnhw.plan import Plan
from snnhw.tools import run_yosys

__all__ = ["TOP", "emit_verilog", "relax_memories", "to_rtlil"]

TOP = "snnhw_top"

_INITIAL = re.compile(r"  cell \$meminit_v2 \S+\n(?:    .*\n)*?    parameter \\MEMID \"\\\\(?P<memory>\w+)\"\n(?:    .*\n)*?  end\n\n")
_MODULE = re.compile(rf"\\{TOP}((?:\.\w+)+)")


def to_rtlil(plan: Plan, *, trace: bool = False) -> str:
    """Return the accelerator as RTLIL: the same text for the same plan, wherever and whenever.

    Modules are named after their place: ``snnhw_top``, ``snnhw_top_layer0``, ``snnhw_top_layer0_finaliser``.
    Memories are described as they are used, see :func:`relax_memories`.
    """
    return relax_memories(_convert(plan, trace), _written(plan))


def relax_memories(text: str, written: Collection[str]) -> str:
    """Return RTLIL whose written memories promise no more than the cores need, so that more kinds of RAM fit.

    They have no initial contents, because every word is written before it is read; and what a read returns
    while the same word is written is not defined, because that never happens.
    """
    return _INITIAL.sub(lambda match: "" if match["memory"] in written else match[0], text).replace(
        "parameter \\COLLISION_X_MASK 1'0", "parameter \\COLLISION_X_MASK 1'1")


def _convert(plan: Plan, trace: bool) -> str:
    text = rtlil.convert(Accelerator(plan, trace=trace), name=TOP, emit_src=False)
    return _MODULE.sub(lambda match: f"\\{TOP}{match[1].replace('.', '_')}", text)


def _written(plan: Plan) -> set[str]:
    return {memory.role for layer in plan.layers for memory in layer.memories if memory.content != "rom"}


def emit_verilog(plan: Plan, folder: Path, *, trace: bool = False) -> Path:
    """Write the accelerator as Verilog into `folder`, and return the path of ``snnhw_top.v``.

    Initial contents of memories lie beside it as ``.mem`` files, which ``$readmemb`` looks for in the
    working directory of the simulator or of the synthesis.
    """
    # An undefined read would be written out as logic that no RAM is inferred from, so only initial values go.
    text = _INITIAL.sub(lambda match: "" if match["memory"] in _written(plan) else match[0], _convert(plan, trace))
    folder = Path(folder)
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        (work / f"{TOP}.il").write_text(text)
        run_yosys(f"read_rtlil {TOP}.il\nproc\npmuxtree\nopt_clean\nmemory_collect\nwrite_verilog -noattr -norename -extmem {TOP}.v", work)
        (work / f"{TOP}.il").unlink()
        for file in sorted(work.iterdir()):
            write_bytes(folder / file.name, file.read_bytes())
    return folder / f"{TOP}.v"

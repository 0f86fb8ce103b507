"""From a plan to RTLIL and to Verilog."""

import re
import tempfile
from pathlib import Path

from amaranth.back import rtlil

from rtl_gen.accelerator import Accelerator
from snnhw.files import write_bytes
from snnhw.plan import Plan
from snnhw.tools import run_yosys

__all__ = ["TOP", "emit_verilog", "to_rtlil"]

TOP = "snnhw_top"

_INITIAL = re.compile(r"  cell \$meminit_v2 \S+\n(?:    .*\n)*?    parameter \\MEMID \"\\\\(?P<memory>\w+)\"\n(?:    .*\n)*?  end\n\n")
_MODULE = re.compile(rf"\\{TOP}((?:\.\w+)+)")


def to_rtlil(plan: Plan, *, trace: bool = False) -> str:
    """Return the accelerator as RTLIL: the same text for the same plan, wherever and whenever.

    Modules are named after their place: ``snnhw_top``, ``snnhw_top_layer0``, ``snnhw_top_layer0_finaliser``.
    Only memories that are never written have initial contents: the others are written before they are
    read, and a memory without initial contents fits more kinds of RAM.
    """
    text = rtlil.convert(Accelerator(plan, trace=trace), name=TOP, emit_src=False)
    written = {memory.role for layer in plan.layers for memory in layer.memories if memory.content != "rom"}
    text = _INITIAL.sub(lambda match: "" if match["memory"] in written else match[0], text)
    return _MODULE.sub(lambda match: f"\\{TOP}{match[1].replace('.', '_')}", text)


def emit_verilog(plan: Plan, folder: Path, *, trace: bool = False) -> Path:
    """Write the accelerator as Verilog into `folder`, and return the path of ``snnhw_top.v``.

    Initial contents of memories lie beside it as ``.mem`` files, which ``$readmemb`` looks for in the
    working directory of the simulator or of the synthesis.
    """
    folder = Path(folder)
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        (work / f"{TOP}.il").write_text(to_rtlil(plan, trace=trace))
        run_yosys(f"read_rtlil {TOP}.il\nproc\npmuxtree\nopt_clean\nmemory_collect\nwrite_verilog -noattr -norename -extmem {TOP}.v", work)
        (work / f"{TOP}.il").unlink()
        for file in sorted(work.iterdir()):
            write_bytes(folder / file.name, file.read_bytes())
    return folder / f"{TOP}.v"

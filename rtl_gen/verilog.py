"""From a plan to RTLIL and to Verilog."""

import re
import tempfile
from collections.abc import Collection
from pathlib import Path

from rtl_gen.accelerator import DOMAIN, Accelerator
from rtl_gen.currents import currents_names
from rtl_gen.hierarchy import Contents, convert_hierarchy, insert_contents
from snnhw.files import write_bytes
from snnhw.plan import Plan
from snnhw.tools import run_yosys

__all__ = ["TOP", "emit_verilog", "format_verilog", "relax_memories", "to_rtlil"]

TOP = "snnhw_top"

# Icarus 11 leaves `always @*` blocks undefined and refuses the functions that `$pmux` becomes: proc and pmuxtree.
# Enables and synchronous resets become `if` (opt_dff), what they leave undefined becomes 0, so nothing simulates as X.
_SCRIPT = (f"read_rtlil {TOP}.il", f"hierarchy -check -top {TOP}", "proc -norom", "pmuxtree", "opt_clean", "opt_dff", "opt_expr",
           "setundef -zero", "memory_collect", "opt_clean -purge", f"write_verilog -noattr -extmem {TOP}.v")
_INITIAL = re.compile(r"  cell \$meminit_v2 \S+\n(?:    .*\n)*?"
                      r"    parameter \\MEMID \"\\\\(?P<memory>\w+)\"\n(?:    .*\n)*?  end\n\n")
_ARRAY = re.compile(r"^(?=  reg .*\] (\w+) \[\d+:0\];$)", re.MULTILINE)
_NOT = re.compile(r"(?<= = )! ")
_MODULE = re.compile(r"^module (\w+)|\$readmemb\(\"(.+)\", (\w+)\)", re.MULTILINE)


def to_rtlil(plan: Plan, *, trace: bool = False) -> str:
    """Return the accelerator as RTLIL: the same text for the same plan, wherever and whenever.

    Modules are named after their place: ``snnhw_top``, ``snnhw_top_layer0``, ``snnhw_top_layer0_finaliser``.
    Memories are described as they are used, see :func:`relax_memories`.
    """
    text, contents = _convert(plan, trace)
    written = _written(plan)
    return relax_memories(insert_contents(_without_initial(text, written), contents), written)


def relax_memories(text: str, written: Collection[str]) -> str:
    """Return RTLIL whose written memories promise no more than the cores need, so that more kinds of RAM fit.

    They have no initial contents, because every word is written before it is read; and what a read returns
    while the same word is written is not defined, because that never happens.
    """
    return _without_initial(text, written).replace("parameter \\COLLISION_X_MASK 1'0", "parameter \\COLLISION_X_MASK 1'1")


def _without_initial(text: str, memories: Collection[str]) -> str:
    return _INITIAL.sub(lambda match: "" if match["memory"] in memories else match[0], text)


def _convert(plan: Plan, trace: bool) -> tuple[str, dict[tuple[str, str], Contents]]:
    return convert_hierarchy(Accelerator(plan, trace=trace), name=TOP, domain=DOMAIN)


def _written(plan: Plan) -> set[str]:
    """Return the names of the memories that are written, as the components call them."""
    names = {"storage"}  # of a queue
    for layer in plan.layers:
        for memory in layer.memories:
            if memory.role == "currents":
                names |= set(currents_names(memory.copies // 2))
            elif memory.content != "rom":
                names |= {memory.role} if memory.copies == 1 else {f"{memory.role}_{copy}" for copy in range(memory.copies)}
    return names


def format_verilog(plan: Plan, *, trace: bool = False) -> dict[str, bytes]:
    """Return the accelerator as Verilog: content by file name, the same for the same plan.

    ``snnhw_top.v`` holds all modules. Initial contents of memories lie beside it, ``<module>_<memory>.mem``,
    which ``$readmemb`` looks for in the working directory of the simulator or of the synthesis.
    """
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        converted, contents = _convert(plan, trace)
        # A read that may return anything would be written out as logic that no RAM is inferred from.
        (work / f"{TOP}.il").write_text(_without_initial(converted, _written(plan)))
        run_yosys(_SCRIPT, work)
        text = (work / f"{TOP}.v").read_text()
        files: dict[str, bytes] = {}
        module = ""

        def rename(match: re.Match[str]) -> str:
            nonlocal module
            module = match[1] or module
            if match[1]:
                return match[0]
            file = f"{module}_{match[3]}.mem"
            files[file] = ("\n".join(contents[module, match[3]].lines) + "\n").encode()
            return f'$readmemb("{file}", {match[3]})'

        # The first line names the build of Yosys, which is the manifest's business.
        body = _MODULE.sub(rename, text.partition("\n")[2])
        # Says in Yosys' words what the header says in ours; without it, block RAM of some families gets bypass logic.
        body = _ARRAY.sub(lambda match: "  (* no_rw_check *)\n" if match[1] in _written(plan) | {"scores"} else "", body)
        # Yosys writes a comparison with 0 as `!`, of which linters complain where there are several bits.
        body = _NOT.sub("~| ", body)
        return {f"{TOP}.v": (_header(plan) + body).encode()} | dict(sorted(files.items()))


def _header(plan: Plan) -> str:
    sizes = " -> ".join(str(size) for size in (plan.inputs, *(layer.outputs for layer in plan.layers)))
    lines = ["Spiking neural network accelerator, one core per layer.", "",
             f"  neurons      {sizes}",
             f"  lanes        {', '.join(str(layer.lanes) for layer in plan.layers)}",
             f"  weight bits  {', '.join(str(layer.weight_bits) for layer in plan.layers)}",
             f"  state bits   {', '.join(str(layer.state_bits) for layer in plan.layers)}", "",
             "No memory is read at an address while that is written.",
             "Clock aclk; synchronous reset aresetn, active low. Streams are AXI4-Stream:",
             "  TLAST = 0: a spike of neuron TDATA. TLAST = 1: end of the timestep, with TUSER = 1 of the sample."]
    if plan.decision is not None:
        index, score, margin = plan.decision.fields
        sign = "signed" if plan.decision.signed else "unsigned"
        lines += ["  m_axis_result, one beat for each sample, from the lowest byte: the class that wins, its score, and how much",
                  f"  that is above the next best. {index}, {score} and {margin} bytes; the score is {sign}."]
    if plan.loaded_words:
        lines.append(f"  After each reset {plan.loaded_words} words must come in on s_axis_weights before spikes are taken.")
    return "".join(f"// {line}".rstrip() + "\n" for line in lines)


def emit_verilog(plan: Plan, folder: Path, *, trace: bool = False) -> Path:
    """Write the files of :func:`format_verilog` into `folder`, and return the path of ``snnhw_top.v``."""
    for name, content in format_verilog(plan, trace=trace).items():
        write_bytes(Path(folder) / name, content)
    return Path(folder) / f"{TOP}.v"

"""The design under test as Yosys sees it: from the plan, or from the Verilog of an output folder."""

import hashlib
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from snnhw.errors import FileError
from snnhw.files import read_bytes
from snnhw.plan import LayerPlan, Plan
from snnhw.plan.accesses import access_bits, access_names, queue_names
from snnhw.plan.queued import Queued
from snnhw.plan.synapses import Dense
from snnhw.verify.packing import loading_word_bytes

__all__ = ["TOP", "Design", "find_verilog"]

TOP = "snnhw_top"


MAX_VERILOG_BYTES = 256 << 20
# What is not logic: comments, text and escaped names. Then what generated Verilog has: two casts and the reading of memory files.
_APART = re.compile(r'//[^\n]*|/\*.*?\*/|\\\S+|"[^"\n]*"', re.DOTALL)
_TASK = re.compile(r"\$\w+")
_TASKS = frozenset({"$signed", "$unsigned", "$readmemb"})
_FOREIGN = re.compile(r"`\w*|\b(?:import|export|bind|include|program|package|class)\b")
_MEMORY = re.compile(r'\$readmemb\s*\(\s*"([^"\n]*)"')
_FILE = re.compile(r"\w+\.mem")


def find_verilog(folder: Path) -> Path:
    """Return the top Verilog file of an output folder, which holds nothing that a simulator would run beside the logic.

    The folder may come from anybody. Simulators execute what system tasks, compiler directives and foreign functions ask for, so
    only those are let through that generated Verilog has.
    """
    path = Path(folder) / "rtl" / f"{TOP}.v"
    if not path.is_file():
        raise FileError(f"output folder {str(folder)!r} must hold rtl/{TOP}.v, and does not")
    text = read_bytes(path, "Verilog", MAX_VERILOG_BYTES).decode("utf-8", "replace")
    logic = _APART.sub(lambda match: " " if match[0][0] != '"' else '""', text)
    unknown = [task for task in _TASK.findall(logic) if task not in _TASKS] + _FOREIGN.findall(logic)
    if unknown:
        raise FileError(f"Verilog {str(path)!r} must be as snnhw generate wrote it, and has {unknown[0]!r}, which is not")
    for name in _MEMORY.findall(text):
        if not _FILE.fullmatch(name):
            raise FileError(f"Verilog {str(path)!r} must read memory files that lie beside it, not {name!r}")
    return path


def _padded(bits: int) -> int:
    """Return the bits of tdata: an event, padded to whole bytes."""
    return -(-bits // 8) * 8


def transfers(layer: LayerPlan) -> dict[str, tuple[list[str], list[str]]]:
    """Return, for each of the :func:`~snnhw.plan.accesses.queue_names` of a core, the ``valid`` and ``ready`` of its queues."""
    lanes = [f"layer{layer.index}.walker.queue_{lane}" for lane in range(layer.lanes)]
    found = {}
    for name, place in queue_names(layer).items():
        side = "i" if name.endswith("write") else "o"
        ends = [f"{queue}.{side}" for queue in (lanes if place is None else [f"queue{layer.index}_{place}"])]
        found[name] = [f"{end}__valid" for end in ends], [f"{end}__ready" for end in ends]
    return found


def states(layer: LayerPlan) -> dict[str, list[str]]:
    """Return the signals of a core that tell what it does in a cycle.

    ``valid``, ``ready``, ``tick``: of its output. ``has``: adders that have something to add, or a finished sum; ``free``: they
    may go on.
    """
    core = f"layer{layer.index}"
    if isinstance(layer.synapses, Dense):
        has, free = ["1'1"], [f"{core}.accumulator.advance"]
    elif isinstance(layer.synapses, Queued):
        has = [f"{core}.walker.present_{lane}" for lane in range(layer.lanes)]
        free = [f"{core}.walker.currents.free__{lane}" for lane in range(layer.lanes)]
    else:
        has, free = [f"{core}.walker.present"], [f"{core}.walker.currents.free"]
    return {"valid": [f"{core}.o__valid"], "ready": [f"{core}.o__ready"],
            "tick": [f"{core}.o__payload[{layer.output_address_bits + 1}]"], "has": has, "free": free}


@dataclass(frozen=True)
class Design:
    """Hardware to be simulated.

    The design is the one that ships: without ports for a bench. Yosys flattens it and ties the trace and the access
    signals of each layer to ports ``trace<k>_*`` and ``count<k>_*`` of the copy that is simulated. Of what several signals tell
    together, :func:`transfers` and :func:`states` have the ports.

    Parameters
    ----------
    plan : Plan
        What the hardware is meant to compute.
    folder : Path or None
        Output folder whose Verilog is taken; None generates the design from the plan.
    tapped : bool
        Add those ports.
    """

    plan: Plan
    folder: Path | None = None
    tapped: bool = True

    @cached_property
    def text(self) -> str:
        """Everything that the simulated hardware depends on: RTLIL, or the hashes of the Verilog and its memories."""
        if self.folder is None:
            from rtl_gen import to_rtlil

            return to_rtlil(self.plan)
        source = find_verilog(self.folder)
        return "\0".join(
            f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}"
            for path in sorted(source.parent.iterdir())
            if path.is_file()
        )

    def read(self, target: Path, file: str = "design.il") -> tuple[list[str], Path]:
        """Return the Yosys commands that read the design, and the folder to run them in; RTLIL is put into `target`."""
        if self.folder is None:
            (target / file).write_text(self.text)
            return [f"read_rtlil {file}"], target
        # $readmemb looks for its files in the working directory.
        source = find_verilog(self.folder).resolve()
        return [f"read_verilog -sv {source.name}"], source.parent

    @cached_property
    def taps(self) -> dict[str, tuple[str, int]]:
        """Ports that are added for the harness: the signals each is tied to, the highest first, and its bits, by name."""
        taps: dict[str, tuple[str, int]] = {}
        for layer in self.plan.layers if self.tapped else ():
            widths = {"valid": 1, "neuron": layer.output_address_bits, "membrane": layer.state_bits, "spike": 1}
            taps |= {f"trace{layer.index}_{name}": (f"layer{layer.index}.trace_{name}", bits) for name, bits in widths.items()}
            taps |= {f"count{layer.index}_{name}": (f"layer{layer.index}.{name}", access_bits(layer, name))
                     for name in access_names(layer)}
            taps |= {f"state{layer.index}_{name}": (",".join(signals), len(signals)) for name, signals in states(layer).items()}
            for name, (valid, ready) in transfers(layer).items():
                taps |= {f"pass{layer.index}_{name}_valid": (",".join(valid), len(valid)),
                         f"pass{layer.index}_{name}_ready": (",".join(ready), len(ready))}
        return taps

    @cached_property
    def ports(self) -> dict[str, int]:
        """Ports that the harness uses: bits by name."""
        plan = self.plan
        widths = {"aclk": 1, "aresetn": 1}
        for side, bits in (("s", plan.input_bits), ("m", plan.output_bits)):
            widths |= {
                f"{side}_axis_tvalid": 1,
                f"{side}_axis_tready": 1,
                f"{side}_axis_tlast": 1,
                f"{side}_axis_tuser": 1,
                f"{side}_axis_tdata": _padded(bits),
            }
        if plan.loaded_words:
            widths |= {
                "s_axis_weights_tvalid": 1,
                "s_axis_weights_tready": 1,
                "s_axis_weights_tdata": loading_word_bytes(plan) * 8,
            }
        if plan.decision is not None:
            widths |= {f"m_axis_result_t{name}": 1 for name in ("valid", "ready", "last")}
            widths["m_axis_result_tdata"] = 8 * plan.decision.result_bytes
        return widths | {name: bits for name, (_, bits) in self.taps.items()}

    def flatten(self) -> list[str]:
        """Return the Yosys commands that flatten the design and add the taps."""
        commands = [f"hierarchy -check -top {TOP}", "proc", "flatten", f"cd {TOP}"]
        for port, (signals, bits) in self.taps.items():
            tied = ",".join(signal if signal[0].isdigit() else f"\\{signal}" for signal in signals.split(","))
            commands += [f"add -output {port} {bits}", f"connect -set {port} {tied}"]
        return [*commands, "cd .."]

    def clock_reads(self) -> list[str]:
        """Return the Yosys commands that make clocked read ports of the memories again, after `flatten`.

        Verilog makes each an unclocked port and a register. That reads in every cycle, also beyond the depth while the port is
        disabled; a simulator that refuses such reads must not see them. RTLIL that was generated has clocked ports.
        """
        return [] if self.folder is None else ["opt_clean", "opt_dff -nosdff -simple-dffe", "opt_clean", "memory_dff"]

"""The output folder: a core that is checked, built and understood without this package."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import snnhw
from rtl_gen.verilog import TOP, format_verilog
from snnhw.assets import asset
from snnhw.board import Board
from snnhw.errors import FileError
from snnhw.files import atomic_folder, write_bytes
from snnhw.ir import save_graph
from snnhw.plan import Choices, Plan, plan_rows
from snnhw.plan.register_text import register_files
from snnhw.plan.registers import register_map
from snnhw.tools import package_version

__all__ = ["generate"]

# Rules of Verilator that the Verilog is not written for, each with its reason.
WAIVERS = {
    "DECLFILENAME": "one file holds the top and the modules below it",
    "PROCASSINIT": "registers have the value of their reset from power-up on, as FPGAs give it to them",
    "WIDTHEXPAND": "operands are extended to the width of the result, with their sign where they are signed",
    "UNUSEDSIGNAL": "padding of AXI4-Stream data, carries out of counters, and the trace and access signals that benches look at",
}


def generate(plan: Plan, folder: Path, *, board: Board | None = None, vectors: bytes | None = None,
             extra_files: Mapping[str, bytes] | None = None, command: str = "snnhw generate") -> None:
    """Write the output folder of a plan; it appears whole or not at all, and with the same bytes every time.

    Parameters
    ----------
    plan : Plan
        What is built.
    folder : Path
        New, empty, or an earlier output, which is replaced.
    board : Board, optional
        What it is meant for; named in the manifest.
    vectors : bytes, optional
        Golden vectors of the bench, ``sim/vectors.json``.
    extra_files : mapping of str to bytes, optional
        More files, such as constraints, by their path in the folder, with ``/`` between its parts.
    command : str
        What was run, for the manifest.
    """
    files: dict[str, bytes] = {f"rtl/{name}": content for name, content in format_verilog(plan).items()}
    files["lint/waivers.vlt"] = _waivers()
    files[f"{TOP}.core"] = _fusesoc(plan, [name for name in files if name.endswith(".mem")])
    files["plan.json"] = _json({"schema": 1, "network": plan.graph.name, "layers": plan_rows(plan)})
    files["names.json"] = _json({"schema": 1, "network": plan.graph.name, "instances": {
        f"{TOP}.layer{layer.index}": {"sums": list(layer.sums), "neurons": layer.neuron.name} for layer in plan.layers}})
    if plan.control is not None:
        files |= {f"regs/{name}": content for name, content in register_files(register_map(plan)).items()}
    for path in sorted(asset("sim").iterdir()):
        if path.is_file() and not path.name.startswith("."):
            files[f"sim/{path.name}"] = path.read_bytes()
    if vectors is not None:
        files["sim/vectors.json"] = vectors
    for name, content in (extra_files or {}).items():
        parts = PurePosixPath(name).parts
        if not parts or PurePosixPath(name).is_absolute() or ".." in parts or name in files:
            raise FileError(f"extra file must have a new path inside the folder, not {name!r}")
        files[name] = content
    with atomic_folder(Path(folder)) as work:
        for name, content in files.items():
            write_bytes(work / name, content)
        save_graph(plan.graph, work / "graph.safetensors")
        files["graph.safetensors"] = (work / "graph.safetensors").read_bytes()
        write_bytes(work / "manifest.json", _json(_manifest(plan, board, files, command)))


def _manifest(plan: Plan, board: Board | None, files: Mapping[str, bytes], command: str) -> dict[str, object]:
    versions = {"snnhw": snnhw.__version__} | {name: package_version(name) for name in ("amaranth", "pyosys", "numpy")}
    return {
        "schema": 1,
        "command": command,
        "versions": versions,
        "board": board.name if board is not None else None,
        "top": TOP,
        "plan": Choices.of(plan).arguments(),
        "files": {name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
                  for name, content in sorted(files.items())},
    }


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=True, allow_nan=False) + "\n").encode()


def _waivers() -> bytes:
    lines = ["`verilator_config", ""]
    for rule, reason in WAIVERS.items():
        lines += [f"// {reason[0].upper()}{reason[1:]}.", f'lint_off -rule {rule} -file "*{TOP}.v"', ""]
    return "\n".join(lines).encode()


def _fusesoc(plan: Plan, memories: list[str]) -> bytes:
    """Return the FuseSoC description (CAPI2); every name in it is ours."""
    lines = [
        "CAPI=2:",
        f"name: ::{TOP}:{snnhw.__version__}",
        f"description: Spiking neural network accelerator, {plan.inputs} inputs, {plan.outputs} outputs",
        "filesets:",
        "  rtl:",
        "    files:",
        f"      - rtl/{TOP}.v: {{file_type: verilogSource}}",
    ]
    # $readmemb looks in the working directory.
    lines += [f"      - {name}: {{file_type: user, copyto: {PurePosixPath(name).name}}}" for name in memories]
    lines += [
        "  waivers:",
        "    files:",
        "      - lint/waivers.vlt: {file_type: vlt}",
        "targets:",
        "  default:",
        "    filesets: [rtl]",
        f"    toplevel: {TOP}",
        "  lint:",
        "    flow: lint",
        "    flow_options: {tool: verilator, verilator_options: [-Wall]}",
        "    filesets: [rtl, waivers]",
        f"    toplevel: {TOP}",
        "  synth:",
        "    flow: generic",
        "    flow_options: {tool: yosys, arch: xilinx}",
        "    filesets: [rtl]",
        f"    toplevel: {TOP}",
    ]
    return ("\n".join(lines) + "\n").encode()

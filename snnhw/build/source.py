"""The core that is built: from a plan, or as a generated folder holds it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rtl_gen import TOP, to_rtlil
from rtl_gen.board_top import board_format
from rtl_gen.verilog import format_verilog
from snnhw.board.link import Format
from snnhw.errors import FileError, NetworkError, UsageError
from snnhw.files import read_bytes, read_json
from snnhw.ir import load_graph
from snnhw.plan import Plan, make_plan

__all__ = ["Source", "read_source"]

MAX_VERILOG_BYTES = 256 << 20
# No word of a memory is ever read and written in the same cycle. RTLIL says so, Verilog cannot.
READ_VERILOG = (f"read_verilog -sv {TOP}.v",
                *(f"setattr -set no_rw_check 1 */m:{role}" for role in ("events", "membranes", "weights")))


@dataclass(frozen=True)
class Source:
    """A core as files for Yosys.

    Parameters
    ----------
    plan : Plan
        What it is.
    files : mapping of str to bytes
        Content by file name.
    read : tuple of str
        Yosys commands that read them.
    """

    plan: Plan
    files: Mapping[str, bytes]
    read: tuple[str, ...]

    @property
    def title(self) -> str:
        """How messages call it."""
        return f"network {self.plan.graph.name!r}"

    @property
    def form(self) -> Format:
        """Sizes of its messages."""
        return board_format(self.plan)


def _plan_of(folder: Path) -> Plan:
    manifest: Any = read_json(folder / "manifest.json", "manifest")
    made = manifest.get("plan") if isinstance(manifest, dict) else None
    if not (isinstance(made, dict) and isinstance(made.get("lanes"), dict) and isinstance(made.get("load_weights"), bool)):
        raise FileError(f"manifest {str(folder / 'manifest.json')!r} must say with which lanes and weights the core was planned, "
                        f"and does not")
    try:
        return make_plan(load_graph(folder / "graph.safetensors"), lanes=made["lanes"], load_weights=made["load_weights"])
    except (UsageError, NetworkError, TypeError) as error:
        raise FileError(f"manifest {str(folder / 'manifest.json')!r} does not belong to the graph beside it: {error}") from None


def read_source(design: Plan | Path, *, verilog: bool = False) -> Source:
    """Return the core of a plan, or of a folder that ``snnhw generate`` wrote.

    From a folder it is the Verilog in it that is built, the one that was verified, not a new one. A plan is
    read without that detour, unless `verilog` asks for it.
    """
    if isinstance(design, Plan):
        if not verilog:
            return Source(design, {"core.il": to_rtlil(design).encode()}, ("read_rtlil core.il",))
        return Source(design, format_verilog(design), READ_VERILOG)
    folder = Path(design)
    plan = _plan_of(folder)
    top = next((path for path in (folder / "rtl" / f"{TOP}.v", folder / f"{TOP}.v") if path.is_file()), None)
    if top is None:
        raise FileError(f"output folder {str(folder)!r} must hold {TOP}.v, and does not")
    memories = sorted(path for path in top.parent.iterdir() if path.suffix == ".mem")
    files = {path.name: read_bytes(path, "Verilog file", MAX_VERILOG_BYTES) for path in (top, *memories)}
    return Source(plan, files, READ_VERILOG)

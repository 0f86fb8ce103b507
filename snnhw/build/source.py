"""The core that is built: from a plan, or as a generated folder holds it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rtl_gen import TOP, to_rtlil
from rtl_gen.board_top import board_format
from rtl_gen.verilog import format_verilog
from snnhw.board.link import Format
from snnhw.errors import FileError
from snnhw.files import read_bytes
from snnhw.plan import Plan, load_plan

__all__ = ["Source", "read_source"]

MAX_VERILOG_BYTES = 256 << 20
# No word of a memory is ever read and written in the same cycle. RTLIL says so, Verilog cannot.
READ_VERILOG = (f"read_verilog -sv {TOP}.v",
                *(f"setattr -set no_rw_check 1 */m:{role}" for role in ("events", "membranes", "weights", "scores")))


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
    plan = load_plan(folder)
    top = next((path for path in (folder / "rtl" / f"{TOP}.v", folder / f"{TOP}.v") if path.is_file()), None)
    if top is None:
        raise FileError(f"output folder {str(folder)!r} must hold {TOP}.v, and does not")
    memories = sorted(path for path in top.parent.iterdir() if path.suffix == ".mem")
    files = {path.name: read_bytes(path, "Verilog file", MAX_VERILOG_BYTES) for path in (top, *memories)}
    return Source(plan, files, READ_VERILOG)

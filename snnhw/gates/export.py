"""Activity for other power tools: the netlist as Verilog, and what each of its nets did as SAIF."""

from pathlib import Path

from snnhw.gates.activity import GateActivity
from snnhw.tools import run_yosys
from snnhw.verify.builds import quoted
from snnhw.verify.saif import SaifNet, format_saif

__all__ = ["netlist_saif", "write_netlist"]


def netlist_saif(activity: GateActivity, period_ps: int) -> str:
    """Return the SAIF file of a simulated netlist: every net of the flat module by every name that it has in the Verilog."""
    netlist = activity.netlist
    nets = []
    for number, names in enumerate(netlist.names):
        clock = number == netlist.clock
        toggles = 2 * activity.cycles if clock else int(activity.settled[number])
        high = activity.cycles / 2 if clock else float(activity.highs[number])
        for name in names:
            # A bus bit is written name[bit] by the netlist; brackets elsewhere belong to the name.
            base, bracket, bit = name.rpartition("[")
            inside = bool(bracket) and bit.endswith("]") and bit[:-1].isdigit()
            nets.append(SaifNet((base if inside else name,), int(bit[:-1]) if inside else None, high, toggles,
                                0 if clock else int(activity.toggles[number] - activity.settled[number])))
    return format_saif(netlist.top, activity.cycles, period_ps, nets)


def write_netlist(activity: GateActivity, path: Path) -> None:
    """Write the netlist as Verilog, cells as instances."""
    run_yosys([f"read_json {quoted(activity.netlist.file)}", f"write_verilog -noattr -noexpr {path.name}"], path.parent)

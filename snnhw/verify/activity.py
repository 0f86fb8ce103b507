"""From counts under every name to the activity of every wire, each counted once."""

import json
from pathlib import Path

import numpy as np

from snnhw.verify.harness import RawActivity
from snnhw.verify.simulation import Activity, NetActivity

__all__ = ["gather_activity"]


def gather_activity(raw: RawActivity, nets_file: Path, cycles: int) -> Activity:
    """Join the counts with the netlist of their build.

    A wire has many names: a port and what is connected to it, a structure and its fields. The netlist numbers the
    wires, so each bit is owned by the one name that fits its driver best: first the names that are exactly the
    output of a cell or an input of the design, then the widest.
    """
    netlist = json.loads(nets_file.read_text())
    names = [name for name in netlist if name in raw.toggles and len(netlist[name]["bits"]) == raw.toggles[name].size]
    names.sort(key=lambda name: (not netlist[name]["driver"], -len(netlist[name]["bits"]), name.count("."), name))
    nets: dict[str, NetActivity] = {}
    aliases: dict[str, str] = {}
    whole: dict[tuple[int, ...], str] = {}
    owner: set[int] = set()
    for name in names:
        bits = tuple(netlist[name]["bits"])
        if bits in whole:
            aliases[name] = whole[bits]
            continue
        whole[bits] = name
        # Constant bits are the strings "0", "1" and "x".
        owned = np.array([isinstance(bit, int) and bit not in owner for bit in bits])
        owner.update(bit for bit in bits if isinstance(bit, int))
        nets[name] = NetActivity(raw.toggles[name], raw.highs[name], owned)
    return Activity(cycles, nets, aliases)

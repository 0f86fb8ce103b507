#!/usr/bin/env python3
"""Compare how eleven tools ran one LIF neuron with our rules for them: the table of docs/discretization.md.

    python scripts/lif_table.py            print the table
    python scripts/lif_table.py --write    put it into docs/discretization.md

The traces (input, voltage, spike; 1000 timesteps of 1e-4 s) and the NIR files are those of the NIR paper. They lie in the folder
``models/nir`` of the folder that SNNHW_DATA names.
"""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from snnhw import ir
from snnhw.frontend import NirChoices, read_nir
from snnhw.network import Network, run_network
from snnhw.reference import run

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "discretization.md"
BEGIN, END = "<!-- table: scripts/lif_table.py -->\n", "<!-- end of table -->\n"


@dataclass(frozen=True)
class Rule:
    """How one trace is reproduced: from a NIR file with choices, its voltage in our units, and how late it was recorded."""

    words: str
    file: str = ""
    choices: NirChoices | None = None
    unit: float = 1.0
    spikes_late: int = 0
    voltage_late: int = 0


PLAIN, ROCKPOOL = "lif_norse.nir", "lif_rockpool.nir"
INTEGERS = "integers: `(v*3933) >> 12` toward zero, weight 10, 6 fractional bits, `v > 1600`, to 0"
RULES = {
    "norse": Rule("Euler, `>`, to `v_reset`", PLAIN, NirChoices("norse", dt=1e-4)),
    "snntorch": Rule("Euler, `>`, to 0", PLAIN, NirChoices("snntorch", reset="zero"), unit=25),
    "spyx": Rule("Euler, `>`, threshold subtracted one timestep later", PLAIN, NirChoices("spyx"), spikes_late=1),
    "lava_cpu_float": Rule("Euler, `>`, to 0", PLAIN, NirChoices("lava"), spikes_late=1, voltage_late=1),
    "lava_cpu_fixed": Rule(INTEGERS, spikes_late=1, voltage_late=1),
    "lava_loihi_fixed": Rule(INTEGERS, spikes_late=1, voltage_late=1),
    "spinnaker2": Rule("Euler, `>`, to `v_reset`", PLAIN, NirChoices(dt=1e-4), unit=25),
    "nengo": Rule("exact, `>`, to 0", PLAIN, NirChoices("nengo", dt=1e-4), unit=10),
    "exact": Rule("exact, `>`, to `v_reset`", PLAIN, NirChoices(dt=1e-4, method="exact")),
    "rockpool": Rule("exact, inputs count 1, `>`, threshold subtracted", ROCKPOOL),
    "sinabs": Rule("exact, inputs count 1, `>=`, threshold subtracted as often as it fits", ROCKPOOL,
                   NirChoices("sinabs", dt=1e-4)),
}


def lava_integers(timesteps: int) -> ir.Graph:
    """Return the neuron as Lava ran it in integers: a decay of 4096*dt/tau = 163, a threshold of 0.1 = 1600, an input of 640."""
    spec = ir.NeuronSpec(1601, ir.Decay("mul", 12, 4096 - 163, "zero"), bits=24, frac=6)
    return ir.Graph("lava", (ir.Input("in", (), (1,)), ir.Linear("fc", ("in",), np.array([[10]]), 5),
                             ir.Neuron("lif", ("fc",), spec), ir.Readout("out", ("lif",))), timesteps)


def late(values: np.ndarray, steps: int) -> np.ndarray:
    """Return `values` as they are recorded `steps` timesteps later."""
    return np.concatenate([np.zeros(steps, values.dtype), values[:len(values) - steps]])


def compare(tool: str, folder: Path) -> tuple[np.ndarray, np.ndarray, float]:
    """Return the timesteps of the recorded spikes, of ours, and the largest difference of the voltages."""
    rule = RULES[tool]
    driven, voltage, fired = np.loadtxt(folder / "reference" / "lif" / f"lif_{tool}.csv", delimiter=",").T
    spikes = (driven > 0)[None, :, None]
    if rule.file:
        network = read_nir(folder / rule.file, rule.choices)
        assert isinstance(network, Network)
        floats = run_network(network, spikes)
        ours, membrane = floats.spikes[floats.output][0, :, 0], floats.membranes[floats.output][0, :, 0]
    else:
        trace = run(lava_integers(len(driven)), spikes)
        ours, membrane = trace.output_spikes[0, :, 0], trace.membranes[trace.output][0, :, 0]
    difference = float(np.abs(late(membrane * rule.unit, rule.voltage_late) - voltage).max())
    return np.flatnonzero(fired), np.flatnonzero(late(ours, rule.spikes_late)), difference


def table(folder: Path) -> str:
    """Return the table in Markdown."""
    lines = ["| trace | rule | recorded late by | spikes recorded | ours | spike times equal | largest voltage difference |",
             "|---|---|---|---|---|---|---|"]
    for tool, rule in RULES.items():
        recorded, ours, difference = compare(tool, folder)
        shift = f"{rule.spikes_late}" if rule.spikes_late == rule.voltage_late else f"{rule.spikes_late} (spikes alone)"
        equal = "yes" if np.array_equal(recorded, ours) else "**no**"
        lines.append(f"| {tool} | {rule.words} | {shift} | {len(recorded)} | {len(ours)} | {equal} | {difference:.2g} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    folder = Path(os.environ.get("SNNHW_DATA", ROOT.parent / "shared" / "data")) / "models" / "nir"
    text = table(folder)
    if sys.argv[1:] != ["--write"]:
        print(text, end="")
        return
    page = PAGE.read_text()
    before, after = page.split(BEGIN)[0], page.split(END)[1]
    PAGE.write_text(before + BEGIN + "\n" + text + "\n" + END + after)


if __name__ == "__main__":
    main()

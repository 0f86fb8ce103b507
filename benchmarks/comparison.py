"""Write docs/comparison.md: our designs (benchmarks/designs.json) beside published ones (published_designs.toml).

    python benchmarks/comparison.py
"""

import json
import sys
import tomllib
from pathlib import Path
from typing import Any

from snnhw.files import write_bytes

HERE = Path(__file__).resolve().parent
TARGET = HERE.parent / "docs" / "comparison.md"

HEAD = """# Beside published designs

Written by `python benchmarks/comparison.py` from `benchmarks/designs.json` (ours: `python benchmarks/designs.py --record`) and
`benchmarks/published_designs.toml` (theirs, with the source of each).

## What compares, and what does not

- **Accuracy** compares where the images do: all of ours are 28x28 pixels and all 10,000 test images, on the integer graph,
  which the hardware equals word for word; one published network takes 16x16 pixels. Others rarely say whether accuracy is that
  of the hardware.
- **Cells**: one of ours is a 4-input table with its flip-flop on iCE40 and a 4-input table on ECP5; a cell of a Xilinx device
  is a 6-input table, which holds up to about two of them. Ours include the serial link to the host.
- **Block RAM**: a block has 4 kbit on iCE40, 18 kbit on ECP5 and 36 kbit on Xilinx; the iCE40UP5K has single-port RAM of
  256 kbit beside. The table gives the kbit of the blocks that are used.
- **Latency** is per image, at the clock the design was routed for; the mean of our images is exact, from the schedule that
  equals the RTL. Encodings and numbers of timesteps differ between all designs.
- **Power** of others is mostly estimated by a vendor's tool. Ours is not in this table, because no board was measured; see
  `snnhw energy` and [evidence.md](evidence.md) for modelled energy with its bands.

"""


def _number(value: float | None, form: str = ",.0f") -> str:
    return "" if value is None else format(value, form)


def our_rows(record: dict[str, Any]) -> list[str]:
    """Return a line of the table for each of our designs."""
    rows = []
    for name, design in record["designs"].items():
        used = {key: value["used"] for key, value in design["build"]["used"].items()}
        native = design["verify"]["simulators"]["native"]
        bits = {"icebreaker": (4, 256), "ice40-hx8k": (4, 0)}.get(design["board"], (18, 0))
        kbit = used["block_ram"] * bits[0] + used.get("single_port_ram", 0) * bits[1]
        blocks = f"{used['block_ram']}" + (f" + {used['single_port_ram']} single-port" if used.get("single_port_ram") else "")
        mhz = design["build"]["clock_mhz"]
        cycles = design["cycles_mean"]
        wrong = native["spike_mismatches"] + native["membrane_mismatches"]
        rows.append(f"| **{name}** | {design['board']}, {mhz:g} MHz | {used['logic']:,} | {blocks} | {kbit:,} | "
                    f"{100 * design['accuracy']['integer']:.2f} % | {cycles / mhz / 1e3:.3f} | {cycles:,.0f} | "
                    f"{wrong} of {native['spike_words'] + native['membrane_words']:,} words, {native['samples']:,} images |")
    return rows


def published_rows() -> list[str]:
    """Return a line of the table for each published design."""
    designs = tomllib.loads((HERE / "published_designs.toml").read_text())["design"]
    return [f"| {design['name']} | {design['device']} | {design['network']} | {_number(design.get('cells'))} | "
            f"{_number(design.get('block_ram'), 'g')} | {_number(design.get('accuracy'), 'g')} | "
            f"{_number(design.get('latency_ms'), 'g')} | {_number(design.get('power_mw'))} | {design['source']} | "
            f"{design.get('note', '')} |" for design in designs]


def main() -> int:
    record = json.loads((HERE / "designs.json").read_text())
    lines = [HEAD + "## Ours\n",
             "| design | board, clock | cells | RAM blocks | kbit | accuracy | ms per image | cycles, mean | RTL differs in |",
             "|---|---|---|---|---|---|---|---|---|", *our_rows(record), "",
             "## Published\n",
             "| design | device | network | cells | RAM blocks | accuracy % | ms per image | mW | source | |",
             "|---|---|---|---|---|---|---|---|---|---|", *published_rows(), ""]
    write_bytes(TARGET, "\n".join(lines).encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""One network from its checkpoint to verified Verilog, a bitstream and its energy: ``make demo``, ``make mnist``.

Runs the commands that a user would type, in a folder below build/, and ends with one summary read from their records.
"""

import argparse
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def command(*arguments: object) -> None:
    """Show a command, run it, and end the demo with its exit code when it fails."""
    words = [str(argument) for argument in arguments]
    print(f"\n$ snnhw {' '.join(words)}", flush=True)
    done = subprocess.run([sys.executable, "-m", "snnhw", *words], cwd=ROOT, check=False)
    if done.returncode:
        print(f"error: snnhw {words[0]} ended with {done.returncode}, the demo stops here", file=sys.stderr)
        raise SystemExit(done.returncode)


def results(run: Path, name: str) -> dict:
    """Return what a command recorded."""
    return json.loads((ROOT / run / f"{name}.json").read_text())["results"]


def summary(run: Path, seconds: float) -> list[tuple[str, str]]:
    """Return the lines of the summary: what is shown, and its value."""
    lower, estimate, verified, built, energy = (
        results(run, name) for name in ("lower", "estimate", "verify", "build", "energy"))
    accuracy, cycles = lower["accuracy"], estimate["cycles"]["mean"]
    clock_mhz = built["clock_mhz"]
    lines = [("accuracy", ", ".join(f"{name} {accuracy[name]:.2%}" for name in ("float", "quantized", "integer"))
              + f"; {lower['test_samples']} test samples")]
    for simulator, found in verified["simulators"].items():
        different = sum(value for name, value in found.items() if name.endswith("_mismatches"))
        lines.append((f"RTL, {simulator}", f"{different} mismatches in {found['spike_words']:,} spike and "
                                           f"{found['membrane_words']:,} membrane words of {found['samples']} samples"))
    used = built["used"]
    lines += [
        ("hardware", f"{used['logic']['used']:,} of {used['logic']['available']:,} logic cells, "
                     f"{used['block_ram']['used']} of {used['block_ram']['available']} RAM blocks"),
        ("speed", f"{built['median_mhz']} MHz reached, {clock_mhz:g} MHz needed; {cycles:,.0f} cycles and "
                  f"{cycles / clock_mhz:,.0f} µs per sample"),
        *((f"energy {rung['rung']}", rung["text"].partition(" ")[2].partition(";")[0]
           + ("; its largest term is ASSUMED" if rung["largest_is_assumed"] else "")) for rung in energy["rungs"]),
        ("R1 against A", f"{energy['count_identity']['different']} of {energy['count_identity']['compared']} predicted counts "
                         f"differ from those measured in the RTL"),
        ("bitstream", str(Path(built["folder"]) / built["bitstream"])),
        ("report", str(run / "report.html")),
        ("time", f"{seconds:.0f} s"),
    ]
    return lines


def main() -> None:
    """Run the session."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="models/digits", help="model folder with a checkpoint (default: models/digits)")
    parser.add_argument("--board", default="icebreaker", help="board to build for (default: icebreaker)")
    parser.add_argument("--samples", type=int, default=50, help="samples to co-simulate with cocotb (default: 50)")
    parser.add_argument("--out", type=Path, default=Path("build/demo"), help="run folder, emptied first (default: build/demo)")
    options = parser.parse_args()
    started, run, hardware = time.monotonic(), options.out, options.out / "hw"
    shutil.rmtree(ROOT / run, ignore_errors=True)
    command("doctor")
    command("lower", options.model, "--out", run)
    command("inspect", run)
    command("estimate", run, "--board", options.board)
    command("generate", run, "--board", options.board, "--samples", options.samples, "--out", hardware)
    command("verify", hardware)
    command("build", hardware)
    command("energy", run)
    command("report", run)
    lines = summary(run, time.monotonic() - started)
    width = max(len(name) for name, _ in lines)
    print(f"\n{options.model} on {results(run, 'build')['device']}")
    for name, value in lines:
        print(f"  {name:<{width}}  {value}")


if __name__ == "__main__":
    main()

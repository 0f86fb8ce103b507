"""One network from its checkpoint to verified Verilog, a bitstream and its energy: ``make demo``.

Runs the commands that a user would type, in build/demo, and ends with one summary read from their records.
"""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RUN = Path("build/demo")
HARDWARE = RUN / "hw"
BOARD = "icebreaker"
COSIMULATED = 50


def command(*arguments: object) -> None:
    """Show a command, run it, and end the demo with its exit code when it fails."""
    words = [str(argument) for argument in arguments]
    print(f"\n$ snnhw {' '.join(words)}", flush=True)
    done = subprocess.run([sys.executable, "-m", "snnhw", *words], cwd=ROOT, check=False)
    if done.returncode:
        print(f"error: snnhw {words[0]} ended with {done.returncode}, the demo stops here", file=sys.stderr)
        raise SystemExit(done.returncode)


def results(name: str) -> dict:
    """Return what a command recorded."""
    return json.loads((ROOT / RUN / f"{name}.json").read_text())["results"]


def summary(verified: dict[str, dict], seconds: float) -> list[tuple[str, str]]:
    """Return the lines of the summary: what is shown, and its value."""
    lower, estimate, built = results("lower"), results("estimate"), results("build")
    accuracy, cycles = lower["accuracy"], estimate["cycles"]["mean"]
    clock_mhz = built["clock_mhz"]
    lines = [("accuracy", ", ".join(f"{name} {accuracy[name]:.2%}" for name in ("float", "quantized", "integer"))
              + f"; {lower['test_samples']} test samples")]
    for simulator, found in verified.items():
        different = sum(value for name, value in found.items() if name.endswith("_mismatches"))
        lines.append((f"RTL, {simulator}", f"{different} mismatches in {found['spike_words']:,} spike and "
                                           f"{found['membrane_words']:,} membrane words of {found['samples']} samples"))
    used = built["used"]
    lines += [
        ("hardware", f"{used['logic']['used']:,} of {used['logic']['available']:,} logic cells, "
                     f"{used['block_ram']['used']} of {used['block_ram']['available']} RAM blocks"),
        ("speed", f"{built['median_mhz']} MHz reached, {clock_mhz:g} MHz needed; {cycles:,.0f} cycles and "
                  f"{cycles / clock_mhz:,.0f} µs per sample"),
        ("bitstream", str(Path(built["folder"]) / built["bitstream"])),
        ("report", str(RUN / "report.html")),
        ("time", f"{seconds:.0f} s"),
    ]
    return lines


def main() -> None:
    """Run the demo."""
    started = time.monotonic()
    shutil.rmtree(ROOT / RUN, ignore_errors=True)
    command("doctor")
    command("lower", "models/digits", "--out", RUN)
    command("inspect", RUN)
    command("estimate", RUN, "--board", BOARD)
    command("generate", RUN, "--board", BOARD, "--samples", COSIMULATED, "--out", HARDWARE)
    verified = {}
    for simulator in ("icarus", "verilator", "native"):
        if simulator == "icarus" and shutil.which("iverilog") is None:
            print("\nIcarus Verilog is not installed: its co-simulation is left out")
            continue
        command("verify", HARDWARE, "--simulator", simulator)
        verified[simulator] = results("verify")
    command("build", HARDWARE)
    command("energy", RUN)
    command("report", RUN)
    lines = summary(verified, time.monotonic() - started)
    width = max(len(name) for name, _ in lines)
    print("\nmodels/digits on the iCEBreaker")
    for name, value in lines:
        print(f"  {name:<{width}}  {value}")


if __name__ == "__main__":
    main()

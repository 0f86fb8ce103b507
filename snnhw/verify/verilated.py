"""Verilator: the same harness round the same design, for designs too large for one CXXRTL function."""

from collections.abc import Mapping
from pathlib import Path

from snnhw.tools import find_program, package_file, require_package, run_program, run_yosys
from snnhw.verify.builds import COMPILER_INSTALL, LIBRARY, cached_build, compile_library, harness_sources, quoted, tool_versions
from snnhw.verify.design import TOP, Design

__all__ = ["build_verilated"]

SOURCES = ("model.h", "harness.h", "harness.cpp", "snnhw_verilated.h")
RUNTIME = ("verilated.cpp", "verilated_threads.cpp")


def _shared() -> Path:
    """Return the folder with Verilator's runtime and the harness, compiled once for all builds."""
    sources = harness_sources(*SOURCES)
    include = package_file("verilator", "include")

    def make(folder: Path, final: Path) -> None:
        for file, text in sources.items():
            (folder / file).write_text(text)
        compiler: list[str | Path] = [
            find_program("g++", COMPILER_INSTALL),
            "-std=c++17",
            "-fPIC",
            "-O2",
            "-w",
            f"-I{include}",
            f"-I{include}/vltstd",
            "-c",
        ]
        for name in RUNTIME:
            run_program([*compiler, include / name, "-o", f"{name}.o"], folder)
        run_program([*compiler, "harness.cpp", "-o", "harness.o"], folder)

    return cached_build(["verilated-shared", *sources.values(), tool_versions("verilator")], make)[0]


def _main(ports: Mapping[str, int]) -> str:
    """Return the C++ file that makes the model."""
    return "\n".join(
        [
            '#include "verilated.h"',
            f'#include "V{TOP}.h"',
            '#include "snnhw_verilated.h"',
            "double sc_time_stamp() { return 0; }",
            "std::unique_ptr<snnhw::Model> snnhw::make_model(uint64_t) {",
            f"  auto model = std::make_unique<Verilated<V{TOP}>>();",
            *(f'  model->port("{name}", model->top.{name}, {bits});' for name, bits in ports.items()),
            "  return model;",
            "}",
            "",
        ]
    )


def build_verilated(design: Design, *, optimize: str = "-O2") -> tuple[Path, float]:
    """Compile a design and return the folder of the library, and the seconds it took."""
    require_package("verilator", "sim", "Verilator")
    # proc and pmuxtree leave assignments and clocked blocks only; memories stay files.
    script = [*design.flatten(), "pmuxtree", "opt_clean", "memory_collect"]

    def make(folder: Path, final: Path) -> None:
        commands, cwd = design.read(folder)
        verilog = folder / f"{TOP}.v"
        run_yosys([*commands, *script, f"write_verilog -noattr -norename -extmem {quoted(verilog)}"], cwd)
        # Memory files are read when the model starts, from where the build will lie by then.
        verilog.write_text(verilog.read_text().replace(f'$readmemb("{folder}/', f'$readmemb("{final}/'))
        include = package_file("verilator", "include")
        run_program(
            [
                package_file("verilator", "bin", "verilator"),
                "--cc",
                "-O3",
                "-Wno-fatal",
                "-Wno-lint",
                "-Wno-style",
                "--top-module",
                TOP,
                "--Mdir",
                "obj",
                verilog.name,
            ],
            folder,
        )
        (folder / "main.cpp").write_text(_main(design.ports))
        shared = _shared()
        compile_library(
            folder,
            [
                optimize,
                "-Iobj",
                f"-I{shared}",
                f"-I{include}",
                f"-I{include}/vltstd",
                "main.cpp",
                *sorted((folder / "obj").glob("*.cpp")),
                shared / "harness.o",
                *(shared / f"{name}.o" for name in RUNTIME),
                "-pthread",
            ],
        )
        for path in sorted(folder.rglob("*"), reverse=True):
            if path.is_dir():
                path.rmdir()
            elif path.name != LIBRARY and path.suffix != ".mem":
                path.unlink()

    return cached_build(
        ["verilated", design.text, *script, optimize, *harness_sources(*SOURCES).values(), tool_versions("pyosys", "verilator")],
        make,
    )

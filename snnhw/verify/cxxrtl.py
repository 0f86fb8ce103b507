"""Yosys' CXXRTL: designs as C++ classes, linked with the harness into a shared library."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from snnhw.tools import find_program, run_program, run_yosys
from snnhw.verify.builds import (
    COMPILER_INSTALL,
    LIBRARY,
    cached_build,
    compile_library,
    cxxrtl_include,
    harness_sources,
    quoted,
    tool_versions,
)
from snnhw.verify.design import TOP, Design

__all__ = ["build_cxxrtl", "link_cxxrtl", "nets_file", "write_nets"]

SOURCES = ("model.h", "harness.h", "harness.cpp", "pre.h", "cxxrtl.h")


def nets_file(index: int) -> str:
    """Return the name of the file that holds the nets of a design of a build."""
    return f"nets{index}.json"


def _mangle(name: str) -> str:
    """Return the C++ member that CXXRTL makes of a public name without hierarchy."""
    return "p_" + name.replace("_", "__")


def _main(ports: Sequence[Mapping[str, int]], nets: bool) -> str:
    """Return the C++ file that gathers the designs of a build."""
    lines = [
        '#include "cxxrtl.h"',
        *(f'#include "design{index}.cpp"' for index in range(len(ports))),
        "std::unique_ptr<snnhw::Model> snnhw::make_model(uint64_t index) {",
        "  switch (index) {",
    ]
    for index, names in enumerate(ports):
        lines += [
            f"    case {index}: {{",
            f"      auto model = std::make_unique<{'NamedCxxrtl' if nets else 'Cxxrtl'}<design{index}::{_mangle(TOP)}>>();",
            *(f'      model->port("{name}", model->top.{_mangle(name)});' for name in names),
            "      return model;",
            "    }",
        ]
    return "\n".join([*lines, "  }", "  return nullptr;", "}", ""])


def _repair(source: Path) -> None:
    """Mend what CXXRTL writes: of an address without bits, in a memory of one word, it would read a word that is not there."""
    source.write_text(re.sub(r"memory_index\(value<0>\(\),", "memory_index(value<1>{0u},", source.read_text()))


def _shared(optimize: str) -> Path:
    """Return the folder with the precompiled header and the compiled harness that all builds share."""
    sources = harness_sources(*SOURCES)

    def make(folder: Path, final: Path) -> None:
        for file, text in sources.items():
            (folder / file).write_text(text)
        compiler: list[str | Path] = [find_program("g++", COMPILER_INSTALL), "-std=c++17", "-fPIC", f"-I{cxxrtl_include()}"]
        run_program([*compiler, optimize, "-x", "c++-header", "pre.h", "-o", "pre.h.gch"], folder)
        run_program([*compiler, "-O2", "-c", "harness.cpp", "-o", "harness.o"], folder)

    return cached_build(["cxxrtl-shared", *sources.values(), optimize, tool_versions("pyosys")], make)[0]


def link_cxxrtl(folder: Path, ports: Sequence[Mapping[str, int]], *, optimize: str, nets: bool) -> None:
    """Compile ``design<i>.cpp`` in `folder`, whose classes are in the namespaces ``design<i>``, to a shared library.

    Afterwards the folder holds nothing but the library and the files of nets.
    """
    for index in range(len(ports)):
        _repair(folder / f"design{index}.cpp")
    (folder / "main.cpp").write_text(_main(ports, nets))
    shared = _shared(optimize)
    # g++ takes a precompiled header only if -include names it and the options are those it was made with.
    compile_library(
        folder, ["-include", shared / "pre.h", optimize, f"-I{shared}", f"-I{cxxrtl_include()}", "main.cpp", shared / "harness.o"]
    )
    for path in folder.iterdir():
        if path.name != LIBRARY and path.suffix != ".json":
            path.unlink()


def build_cxxrtl(designs: Sequence[Design], *, nets: bool = False, optimize: str = "-O2") -> tuple[Path, float]:
    """Compile designs into one library and return its folder, and the seconds it took.

    Parameters
    ----------
    designs : sequence of Design
        What to simulate. Several small designs together compile in half the time.
    nets : bool
        Keep the names of all signals, so that their activity can be counted. Takes longer to compile and to run.
    optimize : str
        Option of the C++ compiler.
    """
    ports = [design.ports for design in designs]

    def make(folder: Path, final: Path) -> None:
        scripts: dict[Path, list[str]] = {}
        for index, design in enumerate(designs):
            commands, cwd = design.read(folder, f"design{index}.il")
            target = quoted(folder / f"design{index}.cpp")
            scripts.setdefault(cwd, []).extend([
                *commands,
                *design.flatten(),
                *design.clock_reads(),
                *([f"write_json {quoted(folder / nets_file(index))}"] if nets else []),
                f"write_cxxrtl {'-g4' if nets else '-g0'} -namespace design{index} {target}",
                "design -reset",
            ])  # fmt: skip
        for cwd, script in scripts.items():
            run_yosys(script, cwd)
        for index in range(len(designs) if nets else 0):
            write_nets(folder / nets_file(index))
        link_cxxrtl(folder, ports, optimize=optimize, nets=nets)

    texts = [part for design in designs for part in (design.text, *design.flatten(), *design.clock_reads())]
    return cached_build(
        ["cxxrtl", *texts, optimize, str(nets), *harness_sources(*SOURCES).values(), tool_versions("pyosys")], make
    )


def write_nets(path: Path) -> None:
    """Reduce a Yosys JSON netlist to the bit numbers of each named net, and whether a driver has exactly these bits."""
    module = json.loads(path.read_text())["modules"][TOP]
    driven = {
        tuple(bits)
        for cell in module["cells"].values()
        for port, bits in cell["connections"].items()
        if cell["port_directions"].get(port) == "output"
    }
    driven |= {tuple(port["bits"]) for port in module["ports"].values() if port["direction"] == "input"}
    # The ports that were added for the harness are no nets of the design.
    added = re.compile(r"(trace|count|state|pass)\d+_")
    path.write_text(
        json.dumps(
            {
                name: {"bits": net["bits"], "driver": tuple(net["bits"]) in driven}
                for name, net in module["netnames"].items()
                if not net["hide_name"] and not added.match(name)
            }
        )
    )

"""Bitstreams of the calibration designs, each with what it does in a second."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rtl_gen import to_rtlil
from rtl_gen.board_pins import board_pins
from rtl_gen.calibration import CALIBRATION_NAME, WARM_UP, Beat, CalibrationDesign, calibration_designs, calibration_rtlil
from snnhw.board import Board
from snnhw.board.link import address_bits
from snnhw.build.family import FAMILIES
from snnhw.build.route import pack_bitstream, place_and_route
from snnhw.build.synthesis import placed_memories
from snnhw.calibrate.counting import ACCELERATOR_CYCLES, CYCLES, DesignCounts, count_design
from snnhw.cost import ConstantSet, constants_for
from snnhw.errors import BoardError, FileError, UsageError
from snnhw.files import atomic_folder, read_json, write_json
from snnhw.ir import Decay, Encoding, Graph, Input, Linear, Neuron, NeuronSpec, Readout
from snnhw.plan import Plan, make_plan
from snnhw.tools import package_version, require_package, run_yosys

__all__ = ["Accelerator", "DesignRecord", "build_designs", "example_accelerator", "load_designs", "stored_beats"]

DESIGNS, MANIFEST = "designs.json", "manifest.json"
SEED = 1  # of the placer
SCHEMA = 1
MAX_BEATS = 1 << 12
MAX_AMOUNT = 1e12  # in a cycle, or hertz
Progress = Callable[[str, int, int, str], None]


@dataclass(frozen=True)
class Accelerator:
    """An accelerator and what it is given.

    Parameters
    ----------
    plan : Plan
        Its weights must be inside.
    spikes : array, (samples, timesteps, inputs)
        Samples that it computes, one after another, again and again.
    """

    plan: Plan
    spikes: np.ndarray

    def __post_init__(self) -> None:
        if self.plan.loaded_words:
            raise UsageError(f"network {self.plan.graph.name!r} must have its weights inside to run without a host, "
                             "not loaded ones")


@dataclass(frozen=True)
class DesignRecord:
    """A design as ``designs.json`` has it.

    Attributes
    ----------
    name, title : str
        What it is called, and what it isolates.
    clock_hz : int
        Its clock; 0 for none.
    made_by : str
        What makes the clock on the device: ``"pll"``, ``"oscillator"`` or nothing.
    counts : DesignCounts
        What it does in a cycle.
    bitstream : str
        Path in the folder.
    """

    name: str
    title: str
    clock_hz: int
    made_by: str
    counts: DesignCounts
    bitstream: str


def example_accelerator() -> Accelerator:
    """Return a network for 8 x 8 pixels, with weights and spikes from a fixed generator, and its plan."""
    generator = np.random.default_rng(0)

    def weights(neurons: int, sources: int) -> np.ndarray:
        return generator.integers(-7, 8, (neurons, sources))

    graph = Graph("calibration", (
        Input("pixels", (), (64,), Encoding("accumulate", 16, 1)),
        Linear("fc1", ("pixels",), weights(32, 64), 4),
        Neuron("hidden", ("fc1",), NeuronSpec(24, Decay("shift", 2), "subtract", bits=12)),
        Linear("fc2", ("hidden",), weights(10, 32), 4),
        Neuron("classes", ("fc2",), NeuronSpec(24, Decay("shift", 3), "subtract", bits=12)),
        Readout("decision", ("classes",)),
    ), 10)
    return Accelerator(make_plan(graph), generator.random((2, 10, 64)) < 0.15)


def stored_beats(plan: Plan, spikes: np.ndarray) -> tuple[Beat, ...]:
    """Return samples as what the core takes: the addresses of their spikes in ascending order, and the ends of the timesteps.

    Parameters
    ----------
    plan : Plan
        Of the core.
    spikes : array, (samples, timesteps, inputs)
        Where events have values, these.
    """
    shift, mask = address_bits(plan.inputs), (1 << plan.input_value_bits) - 1
    beats = []
    for sample in spikes:
        for step, values in enumerate(sample):
            beats += [Beat(int(index) | (int(values[index]) & mask) << shift) for index in np.flatnonzero(values)]
            beats.append(Beat(0, True, step == len(sample) - 1))
    if len(beats) > MAX_BEATS:
        raise UsageError(f"samples must have at most {MAX_BEATS} spikes and timesteps together to be stored on the device, "
                         f"not {len(beats)}; take fewer samples")
    return tuple(beats)


def build_designs(board: Board, out: Path, *, accelerator: Accelerator | None = None, only: Sequence[str] = (),
                  bitstreams: bool = True, progress: Progress | None = None) -> dict[str, Any]:
    """Build the calibration designs of a board, or go on where an earlier call ended, and return what ``designs.json`` says.

    A design that lies in the folder, made from the same circuit by the same tools, is taken as it is.

    Parameters
    ----------
    board : Board
        The board; the netlists of its family must be ones that are simulated.
    out : Path
        Folder: one folder for each design, and ``designs.json``.
    accelerator : Accelerator or None
        That of the designs ``accelerator_idle`` and ``accelerator_busy``; None for a small one that needs no data.
    only : sequence of str
        Names of designs; all by default.
    bitstreams : bool
        Whether to place, route and pack, besides counting.
    progress : function of stage, number, total and text
        Told of each design.
    """
    require_package("pyosys", "rtl", "Synthesis")
    accelerator = accelerator or example_accelerator()
    designs = calibration_designs(board)
    names = [design.name for design in designs]
    if unknown := [name for name in only if name not in names]:
        raise UsageError(f"design must be one of {', '.join(names)}, not {unknown[0]!r}")
    constants = constants_for(board)
    if board.flow == "vivado" or board.family not in ("ice40", "ecp5"):
        raise BoardError(f"board {board.name!r}: calibration designs are made for ice40 and ecp5, not for {board.family}")
    out = Path(out)
    _check_folder(out, board)
    tell = progress or (lambda stage, done, total, text: None)
    chosen = [design for design in designs if not only or design.name in only]
    rows = _known(out) if only else {}
    for number, design in enumerate(chosen):
        rows[design.name], found = _one(design, board, out / design.name, accelerator, bitstreams)
        tell("design", number + 1, len(chosen), design.name + (" (as it was)" if found else ""))
        ordered = [_row(rows[name], board, constants) for name in names if name in rows]
        write_json(out / DESIGNS, {"schema": SCHEMA, "board": board.name, "device": board.device, "constants": constants.name,
                                   "designs": ordered})
    return dict(read_json(out / DESIGNS, "designs file"))


def _check_folder(out: Path, board: Board) -> None:
    """Refuse a folder that holds something else, or the designs of another board."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    path = out / DESIGNS
    record = read_json(path, "designs file") if path.is_file() else None
    if not isinstance(record, dict) or "designs" not in record:
        raise FileError(f"output folder {str(out)!r} must be new, empty or one of calibration designs")
    if record.get("board") != board.name:
        raise FileError(f"output folder {str(out)!r} must be of board {board.name!r}, not of {record.get('board')!r}")
    load_designs(out)


def _known(out: Path) -> dict[str, dict[str, Any]]:
    path = out / DESIGNS
    if not path.is_file():
        return {}
    return {row["name"]: {key: value for key, value in row.items() if key != "rates"}
            for row in read_json(path, "designs file")["designs"]}


def _row(row: Mapping[str, Any], board: Board, constants: ConstantSet) -> dict[str, Any]:
    record = _record(row)
    return dict(row) | {"rates": record.counts.rates(record.clock_hz, constants, record.made_by)}


def _sources(design: CalibrationDesign, board: Board, accelerator: Accelerator) -> tuple[dict[str, bytes], list[str], list[str]]:
    """Return files, the commands that read them with the cell of the clock, and those without."""
    plan: Plan | None = None
    beats: tuple[Beat, ...] = ()
    files: dict[str, bytes] = {}
    read: list[str] = []
    if design.pattern == "accelerator":
        plan, beats = accelerator.plan, stored_beats(accelerator.plan, accelerator.spikes)
        files["core.il"] = to_rtlil(plan).encode()
        read.append("read_rtlil core.il")
        read += placed_memories(plan, board)
    inverted = board_pins(board)["led"].inverted
    for name, clock in (("board", True), ("bare", False)):
        text = calibration_rtlil(design, board, led_inverted=inverted, clock=clock, plan=plan, beats=beats)
        files[f"{name}.il"] = text.encode()
    return files, [*read, "read_rtlil board.il"], [*read, "read_rtlil bare.il"]


def _one(design: CalibrationDesign, board: Board, folder: Path, accelerator: Accelerator,
         bitstreams: bool) -> tuple[dict[str, Any], bool]:
    """Build one design, or find it built; return its record and whether it was there."""
    files, placed, bare = _sources(design, board, accelerator)
    family = FAMILIES[board.family]
    tools = [f"{name} {package_version(name)}" for name in ("pyosys", "amaranth", *family.packages)]
    digest = hashlib.sha256()
    texts = [board.model_dump_json(), f"{SCHEMA} {CYCLES} {ACCELERATOR_CYCLES} {WARM_UP}", *tools]
    for part in (*(content for _, content in sorted(files.items())), *map(str.encode, texts)):
        digest.update(hashlib.sha256(part).digest())
    key = digest.hexdigest()
    manifest = folder / MANIFEST
    if manifest.is_file():
        record = read_json(manifest, "manifest")
        there = record.get("design") if isinstance(record, dict) and record.get("key") == key else None
        if isinstance(there, dict) and (there.get("bitstream") or not bitstreams):
            return there, True
    counts = count_design(design, board, files, bare)
    made_by = "" if design.clock is None else "oscillator" if design.clock.primitive == "SB_HFOSC" else "pll"
    row = {"name": design.name, "title": design.title, "clock_hz": design.clock_hz(board), "made_by": made_by,
           "counts": counts.as_json(), "bitstream": "", "used": {}, "cells": {}}
    with atomic_folder(folder) as new:
        if bitstreams:
            row |= _bitstream(design, board, new, files, placed)
        write_json(new / MANIFEST, {"schema": SCHEMA, "command": "calibrate", "key": key, "tools": tools, "design": row})
    return row, False


def _bitstream(design: CalibrationDesign, board: Board, folder: Path, files: Mapping[str, bytes],
               read: Sequence[str]) -> dict[str, Any]:
    """Synthesise, place, route and pack a design in a folder; return the name of the bitstream and what the design uses."""
    family = FAMILIES[board.family]
    for name, content in files.items():
        (folder / name).write_bytes(content)
    script = [*read, f"hierarchy -top {CALIBRATION_NAME}", f"{family.synthesis(board)} -top {CALIBRATION_NAME}", *family.pads,
              "tee -q -o statistics.json stat -json", "write_json netlist.json"]
    (folder / "synthesis.ys").write_text("\n".join(script) + "\n")
    (folder / "synthesis.log").write_text(run_yosys(script, folder))
    cells = json.loads((folder / "statistics.json").read_text())["design"]["num_cells_by_type"]
    pins = board_pins(board)
    del pins["uart_tx"]
    clock_hz = design.clock_hz(board)
    if not clock_hz or (design.clock is not None and design.clock.primitive == "SB_HFOSC"):
        del pins["clk"]
    constraints = folder / f"pins{family.constraints_suffix}"
    constraints.write_text(family.format_constraints(pins, board.clock.hz if "clk" in pins else 0))
    route = place_and_route(folder / "netlist.json", board, SEED, clock_hz=clock_hz or board.clock.hz, constraints=constraints,
                            design=f"calibration design {design.name!r}", clocked=bool(clock_hz))
    bitstream, _ = pack_bitstream(route, board, design.name)
    for path in (route.routed, folder / "netlist.json"):
        path.unlink()
    return {"bitstream": f"{design.name}/{bitstream.name}", "used": route.used,
            "cells": {kind: int(number) for kind, number in sorted(cells.items()) if not kind.startswith("$")}}


def _record(row: Mapping[str, Any]) -> DesignRecord:
    counts = row["counts"]
    return DesignRecord(
        str(row["name"]), str(row["title"]), int(_amount(row["clock_hz"])), str(row["made_by"]),
        DesignCounts(int(_amount(counts["flip_flops"])), {str(kind): _amount(value) for kind, value in counts["toggles"].items()},
                     {str(resource): {what: _amount(value) for what, value in found.items()}
                      for resource, found in counts["accesses"].items()},
                     _amount(counts["multiplications"]), int(_amount(counts["cycles"]))), str(row["bitstream"]))


def _amount(value: Any) -> float:
    number = float(value)
    if not 0 <= number <= MAX_AMOUNT:
        raise ValueError(f"Amount must be between 0 and {MAX_AMOUNT:g}, not {value!r}")
    return number


def load_designs(folder: Path) -> tuple[str, tuple[DesignRecord, ...]]:
    """Return the name of the constant set of the board, and the designs in a folder that :func:`build_designs` wrote."""
    path = Path(folder) / DESIGNS
    record = read_json(path, "designs file")
    try:
        if record["schema"] != SCHEMA:
            raise ValueError
        return str(record["constants"]), tuple(_record(row) for row in record["designs"])
    except (KeyError, TypeError, ValueError, AttributeError):
        raise FileError(f"designs file {str(path)!r} must be one that `snnhw calibrate designs` wrote") from None


"""Netlists through the gate simulator: the accelerator with its streams, or any design left to itself."""

import ctypes
import hashlib
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from snnhw.board import Board
from snnhw.build.family import FAMILIES as BUILD_FAMILIES
from snnhw.build.source import read_source
from snnhw.build.synthesis import placed_memories
from snnhw.cost.netlist import NetlistActivity
from snnhw.errors import CheckFailed, UsageError
from snnhw.gates.activity import GateActivity, Grouping
from snnhw.gates.delays import Delays, load_delays
from snnhw.gates.netlist import Netlist, parse_netlist
from snnhw.plan import Plan
from snnhw.reference import run
from snnhw.tools import run_yosys
from snnhw.verify.builds import LIBRARY, cached_build, compile_library, harness_sources, tool_versions
from snnhw.verify.compare import check_output
from snnhw.verify.design import TOP
from snnhw.verify.harness import Conduct, open_library, run_library
from snnhw.verify.native import rest_of

__all__ = ["FAMILIES", "Family", "GateRun", "GateSimulator", "fingerprint", "gate_simulator", "run_free", "simulate_gates",
           "synthesise"]

Family = Literal["ice40", "ecp5"]
FAMILIES: dict[str, str] = {"ice40": "synth_ice40 -device u -spram -dsp", "ecp5": "synth_lattice -family ecp5"}
"""Synthesis of a family, where no board says more."""
DEVICES = {"ice40": "iCE40UP5K", "ecp5": "LFE5U"}
"""Device of a family, where no board says which."""
SOURCES = "model.h", "harness.h", "harness.cpp", "gates.cpp"
NETLIST = "netlist.txt"


def fingerprint() -> str:
    """Return a text that changes whenever the simulator, or what it is told of a netlist, does: for results that are kept."""
    here = Path(__file__).parent
    files = [here / f"{name}.py" for name in ("activity", "cells", "delays", "netlist", "simulate")]
    texts = [*harness_sources(*SOURCES).values(), *(path.read_text() for path in (*files, *sorted(here.glob("delays/*.toml"))))]
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]


def _library() -> Path:
    """Return the folder of the compiled simulator, the same for all netlists."""
    texts = harness_sources(*SOURCES)

    def make(folder: Path, final: Path) -> None:
        for name, text in texts.items():
            (folder / name).write_text(text)
        compile_library(folder, ["-O2", "harness.cpp", "gates.cpp", "-ldl"])

    return cached_build(["gates", *texts.values(), tool_versions()], make)[0]


def _build(text: str) -> Path:
    """Return a folder with the simulator beside the file of a netlist, where it looks for it."""
    library = _library() / LIBRARY

    def make(folder: Path, final: Path) -> None:
        (folder / NETLIST).write_text(text)
        shutil.copyfile(library, folder / LIBRARY)  # a link would be the library that is loaded already

    return cached_build(["gate-netlist 2", text, library.parent.name], make)[0]


def synthesise(commands: Sequence[str], top: str, family: str, *, clock: str = "clk", files: Mapping[str, bytes] | None = None,
               synthesis: str | None = None) -> Netlist:
    """Map a design to the cells of a family, without pads.

    Parameters
    ----------
    commands : sequence of str
        Yosys commands that read it.
    top, clock : str
        Its module, and the port of its clock.
    family : str
        ``"ice40"`` or ``"ecp5"``.
    files : mapping of str to bytes
        What the commands read, by name.
    synthesis : str or None
        Yosys command of the mapping, in the place of that of the family.
    """
    if family not in FAMILIES:
        raise UsageError(f"netlists are simulated for {' and '.join(map(repr, FAMILIES))}, not for {family!r}")
    script = [*commands, f"hierarchy -top {top}", f"{synthesis or FAMILIES[family]} -top {top}", "write_json netlist.json"]
    contents = dict(files or {})

    def make(folder: Path, final: Path) -> None:
        for name, content in contents.items():
            (folder / name).write_bytes(content)
        run_yosys(script, folder)
        for name in contents:
            (folder / name).unlink()

    parts = ["gate-synthesis", *script, *(f"{name}\0{content.hex()}" for name, content in sorted(contents.items())),
             tool_versions("pyosys")]
    return parse_netlist(cached_build(parts, make)[0] / "netlist.json", top, clock)


def gate_simulator(
    plan: Plan, *, board: Board | None = None, family: str = "ice40", folder: Path | None = None
) -> "GateSimulator":
    """Map the core of an accelerator to cells.

    Parameters
    ----------
    plan : Plan
        The accelerator.
    board : Board or None
        Decides the device, and which memory lies where.
    family : str
        ``"ice40"`` or ``"ecp5"``, where no board is given: an iCE40UP5K or an ECP5 without limits.
    folder : Path or None
        Output folder whose Verilog is mapped; None takes that of the plan.
    """
    source = read_source(plan if folder is None else folder)
    family = family if board is None else board.family
    synthesis = None
    if board is not None and family in FAMILIES:
        synthesis = BUILD_FAMILIES[family].synthesis(board)
    commands = [*source.read, *(placed_memories(plan, board) if board is not None else ())]
    netlist = synthesise(commands, TOP, family, clock="aclk", files=source.files, synthesis=synthesis)
    return GateSimulator(plan, netlist, board.device if board is not None else DEVICES[family], family)


def simulate_gates(
    plan: Plan, spikes: np.ndarray, *, board: Board | None = None, family: str = "ice40", delayed: bool = False
) -> "GateRun":
    """Map the core of an accelerator to cells and run samples: :func:`gate_simulator`, then :meth:`GateSimulator.run`."""
    return gate_simulator(plan, board=board, family=family).run(spikes, delayed=delayed)


@dataclass(frozen=True)
class GateRun:
    """What the netlist of an accelerator did.

    Attributes
    ----------
    output : int32 array, (samples, timesteps, outputs)
        Spikes of the output.
    cycles : int64 array, (samples,)
        Clock cycles of each sample.
    activity : GateActivity
        Toggles and memory accesses.
    seconds : float
        Of the simulation.
    delayed : bool
        Whether it had delays.
    family : str
        Of the cells.
    """

    output: np.ndarray
    cycles: np.ndarray
    activity: GateActivity
    seconds: float
    delayed: bool = False
    family: str = ""

    def measured(self, samples: np.ndarray) -> NetlistActivity:
        """Return what the energy model takes; `samples` are the numbers of those that were run."""
        activity = self.activity
        counts = {(key.layer, key.kind, key.count): values for key, values in activity.totals.items()}
        return NetlistActivity(np.asarray(samples), counts, activity.flip_flops, activity.netlist.product_bits, self.delayed,
                               self.family, activity.glitches, activity.netlist.cells)


@dataclass(frozen=True)
class GateSimulator:
    """The netlist of an accelerator.

    Attributes
    ----------
    plan : Plan
        What it is meant to compute.
    netlist : Netlist
        Its cells.
    device : str
        As board files name it: decides the delays.
    family : str
        Of the cells.
    """

    plan: Plan
    netlist: Netlist
    device: str
    family: str

    def run(self, spikes: np.ndarray, *, delayed: bool = False, seed: int = 0, spread: bool = True) -> GateRun:
        """Run samples after a reset, each when the one before it is over.

        Parameters
        ----------
        spikes : array, (samples, timesteps, inputs)
            Input spikes.
        delayed : bool
            With the delays of cells and connections, so that glitches count.
        seed : int
            Of the delays of connections.
        spread : bool
            Whether they differ.

        Raises
        ------
        CheckFailed
            The netlist broke a rule of the streams, or computes something else than the reference.
        """
        delays = Delays(load_delays(self.device), seed, spread) if delayed else None
        grouping = Grouping.of(self.netlist, [layer.name for layer in self.plan.layers])
        folder = _build(self.netlist.text(list(grouping.nets), list(grouping.blocks), len(grouping.keys), delays))
        plan, spikes = self.plan, np.ascontiguousarray(spikes)
        found: list[GateActivity] = []

        def read(loaded: ctypes.CDLL, simulator: int) -> None:
            loaded.snnhw_model.restype, loaded.snnhw_model.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
            found.append(_read(loaded, loaded.snnhw_model(simulator), self.netlist, grouping, len(spikes)))

        began = time.perf_counter()
        conduct = Conduct(True, rest_of(plan, spikes), activity=True, read=read)
        raw = run_library(folder / LIBRARY, 0, plan, spikes, conduct, trace=False, columns=0, threads=1)
        if raw.violation:
            raise CheckFailed(f"netlist of network {plan.graph.name!r}: {raw.violation}")
        expected = run(plan.graph, spikes, keep_membranes=False)
        check_output(plan, expected, raw.output, "netlist")
        return GateRun(raw.output, raw.cycles, found[0], time.perf_counter() - began, delayed, self.family)


def _read(loaded: ctypes.CDLL, model: int, netlist: Netlist, grouping: Grouping, samples: int) -> GateActivity:
    sizes = np.zeros(4, np.uint64)
    loaded.gates_sizes.argtypes = [ctypes.c_void_p] * 2
    loaded.gates_sizes(model, sizes.ctypes.data)
    toggles, settled, highs = (np.zeros(netlist.nets, np.uint64) for _ in range(3))
    groups = np.zeros((samples, len(grouping.keys)), np.uint64)
    loaded.gates_activity.argtypes = [*[ctypes.c_void_p] * 5, ctypes.c_uint64]
    loaded.gates_activity(model, toggles.ctypes.data, settled.ctypes.data, highs.ctypes.data, groups.ctypes.data, samples)
    return GateActivity(netlist, grouping, int(sizes[2]), toggles.astype(np.int64), settled.astype(np.int64),
                        highs.astype(np.int64), groups.astype(np.int64), int(sizes[3]))


def run_free(netlist: Netlist, cycles: int, *, inputs: Mapping[str, int] | None = None, clock: str = "clk", warm: int = 16,
             delays: Delays | None = None) -> GateActivity:
    """Let a design run by itself, its inputs held, and count its activity.

    Parameters
    ----------
    netlist : Netlist
        The design.
    cycles : int
        Clock cycles that count.
    inputs : mapping of str to int
        Values of input ports; 0 where nothing is said.
    clock : str
        Port of the clock.
    warm : int
        Clock cycles before them.
    delays : Delays or None
        Of cells and connections.
    """
    grouping = Grouping.of(netlist, [])
    folder = _build(netlist.text(list(grouping.nets), list(grouping.blocks), len(grouping.keys), delays))
    loaded = open_library(folder / LIBRARY)
    loaded.gates_open.restype = ctypes.c_void_p
    loaded.gates_close.argtypes = [ctypes.c_void_p]
    loaded.gates_free_run.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_void_p, *[ctypes.c_uint64] * 3]
    model = loaded.gates_open()
    assert model, folder
    try:
        held = dict(inputs or {})
        names = (ctypes.c_char_p * max(1, len(held)))(*(name.encode() for name in held))
        values = np.array([*held.values(), 0], np.uint64)
        if loaded.gates_free_run(model, clock.encode(), names, values.ctypes.data, len(held), warm, cycles):
            wanted = ", ".join([clock, *held])
            raise UsageError(f"netlist {netlist.top!r} must have the ports {wanted}, it has {', '.join(netlist.ports)}")
        return _read(loaded, model, netlist, grouping, 1)
    finally:
        loaded.gates_close(model)

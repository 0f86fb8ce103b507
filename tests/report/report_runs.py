"""Run folders for the tests of the report, with every record a session leaves."""

import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np

from snnhw.board import load_board
from snnhw.cost import energy_ladder, estimate
from snnhw.ir import Decay, Graph, Input, Linear, Neuron, NeuronSpec, Readout
from snnhw.plan import make_plan, plan_rows
from snnhw.plan.accesses import count_accesses
from snnhw.plan.cycles import predict_cycles
from snnhw.plan.limits import find_limits
from snnhw.reference import run

__all__ = ["VOID", "Page", "read_page", "record", "write_imported", "write_run"]

VOID = {"meta", "link", "br", "hr", "img", "input"}
VERSIONS = {"snnhw": "0.1.0", "numpy": "2.4.6", "pyosys": "0.70"}


def record(folder: Path, command: str, results: object, **others: object) -> None:
    """Write the record of a command."""
    value = {
        "schema": 1,
        "command": command,
        "arguments": [command, "run"],
        "versions": VERSIONS,
        "seed": 0,
        "seconds": 1.5,
        "results": results,
    } | others
    (folder / f"{command}.json").write_text(json.dumps(value))


def write_run(folder: Path, *, name: str = "digits", layer: str = "hidden", mismatches: int = 0) -> Path:
    """Write every record of a session with a small network; `layer` is the name of its first layer of neurons."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    spec = NeuronSpec(threshold=6, decay=Decay("shift", 3), reset="subtract", reset_amount=6, bits=12)
    graph = Graph(
        name,
        (
            Input("in", (), (16,)),
            Linear("fc1", ("in",), rng.integers(-8, 8, (12, 16)), 4),
            Neuron(layer, ("fc1",), spec),
            Linear("fc2", (layer,), rng.integers(-8, 8, (4, 12)), 4),
            Neuron("last", ("fc2",), spec),
            Readout("out", ("last",)),
        ),
        6,
    )
    plan = make_plan(graph, lanes=4)
    trains = run(graph, rng.random((3, 6, 16)) < 0.3).spikes
    board = load_board("icebreaker")
    measured = {
        "engine": "cxxrtl",
        "cycles": predict_cycles(plan, trains),
        "accesses": count_accesses(plan, trains),
        "toggles": {"layer0.accumulator.total_0": 9000, "layer1.finaliser.state": 600, "m_axis_tdata": 50},
    }
    record(folder, "train", {"float_accuracy": 0.9778, "epochs": 30})
    record(
        folder,
        "lower",
        {
            "accuracy": {"float": 0.9778, "quantized": 0.9722, "integer": 0.9722},
            "mismatches": {"spikes": 0, "membranes": 0, "samples": 360, "spikes_compared": 9000},
            "test_samples": 360,
            "timesteps": 6,
        },
    )
    record(folder, "inspect", {"layers": plan_rows(plan), "timesteps": 6})
    record(
        folder,
        "estimate",
        estimate(plan, trains, board=board, draws=200) | {
            "area": {"used": {"logic": {"used": 900, "available": 5280}}},
            "limits": find_limits(plan, trains, board).as_dict(board.clock.hz),
            "folding": {"goal": "fastest", "lanes": {layer.name: layer.lanes for layer in plan.layers}}},
    )
    record(folder, "generate", {"board": "icebreaker"})
    native = {
        "simulator": "native",
        "engine": "cxxrtl",
        "samples": 360,
        "spike_words": 34560,
        "spike_mismatches": mismatches,
        "membrane_words": 34560,
        "membrane_mismatches": 0,
        "cycle_counts": 360,
        "cycle_mismatches": 0,
    }
    icarus = {"simulator": "icarus", "spike_words": 960, "spike_mismatches": 0}
    problem = "layer 'last', neuron 3: spike must be 1, not 0" if mismatches else None
    record(folder, "verify", {"ok": not mismatches, "problem": problem, "simulators": {"native": native, "icarus": icarus}})
    record(
        folder,
        "build",
        {
            "board": "icebreaker",
            "used": {"logic": {"used": 1056, "available": 5280}, "block_ram": {"used": 15, "available": 30}},
            "cells": {"SB_LUT4": 845},
            "fmax_mhz": {"1": 41.25, "2": 40.5, "3": 43.0},
            "median_mhz": 41.25,
            "clock_mhz": 12.0,
            "fits": True,
            "meets_clock": True,
            "verdict": "fits the board and meets its 12 MHz clock",
            "bitstream": "snnhw.bin",
            "tools": {"apycula": "0.32"},
        },
    )
    record(folder, "energy", energy_ladder(plan, trains, measured=measured, board=board, draws=200))
    return folder


def write_imported(folder: Path, **options: object) -> Path:
    """Write the records of a session that imported its network: the same, but for ``lower`` and ``train``."""
    write_run(folder, **options)
    lowered = json.loads((folder / "lower.json").read_text())["results"]
    for command in ("train", "lower"):
        (folder / f"{command}.json").unlink()
    rates = {"agreement": 0.992, "rate_float": 0.11, "rate_integer": 0.108, "saturated_words": 3}
    record(folder, "import", {
        "model": "braille.nir", "data": "letters", "timesteps": 6, "test_samples": 360, "inputs": [4, 4], "encoding": "events",
        "choices": {"reset of 'hidden'": "subtract: the file says nothing"}, "accuracy": lowered["accuracy"],
        "same_decisions": 0.9861,
        "nodes": [{"name": "hidden", "kind": "Neuron", "from": "fc1", "shape": "12", "behaviour": "LIF"}],
        "quantization": {
            "layers": [{"name": "fc1", "kind": "Linear", "weight_bits": 8, "scales": 1, "scale": [0.011, 0.011], "clipped": 2,
                        "relative_error": 0.0042, "sparsity": 0.31}],
            "neurons": [{"name": "hidden", "neurons": 12, "decay": "(v * 230) >> 8", "threshold": [91, 91], "state_bits": 16,
                         "observed_bits": 11}]},
        "layers": [{"name": "hidden", **rates}],
    })
    agreement = {"hidden": {"float to fake": 0.991, "fake to integer": 0.999}}
    record(folder, "explain", {"samples": 8, "agreement": agreement, "difference": {
        "layer": "hidden", "neuron": 3, "timestep": 4, "sample": 1, "spikes": {"float": 0, "integer": 1}, "cause": ["weights"],
        "threshold": 91, "membranes": {"float": [1.5, 90.2], "integer": [1, 92]}}})
    return folder


class Page(HTMLParser):
    """A page as a browser reads it.

    Attributes
    ----------
    tags : list of (str, dict)
        Elements with their attributes.
    text : str
        Everything that is shown, style sheet left out.
    """

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._open: list[str] = []

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open, f"</{tag}> closes nothing"
        assert self._open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        if "style" not in self._open[-1:]:
            self.texts.append(data)

    def finish(self) -> None:
        """Require that every element was closed."""
        self.close()
        assert self._open == []


def read_page(path: Path) -> Page:
    """Parse a report, and require that every element is closed in its place."""
    page = Page()
    page.feed(path.read_text())
    page.finish()
    return page

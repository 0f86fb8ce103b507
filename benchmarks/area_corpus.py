"""Fit the area estimator to synthesised random plans. Writes snnhw/plan/area.toml.

    python benchmarks/area_corpus.py measure --count 60 [--board icebreaker ...]
    python benchmarks/area_corpus.py fit

``measure`` synthesises and packs the bare core of each plan, places and routes some (for Vivado, synthesises only), and appends
a line to ``benchmarks/area_corpus.jsonl``; plans that do not fit the device are passed over. A plan is drawn from its number
alone, so a line holds the number and what was measured: below 2000 chains of dense layers, from there on everything else.
``fit`` finds the non-negative coefficients of least relative error. The errors it reports are those of plans held out: five
times over, a fifth of the plans is predicted from the other four.
"""

import argparse
import json
import sys
import tempfile
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from scipy.optimize import nnls

from snnhw.board import Board, load_board
from snnhw.build import BuildResult, Synthesis, build, measure_core, pack_core, synthesize
from snnhw.build.family import FAMILIES
from snnhw.errors import BoardError, NetworkError, UsageError
from snnhw.files import write_bytes
from snnhw.ir import (
    Conv,
    Decay,
    Delay,
    Flatten,
    Graph,
    Input,
    Linear,
    MaxPool,
    Neuron,
    NeuronSpec,
    Readout,
    Scale,
    SumPool,
    Window,
)
from snnhw.plan import Plan, make_plan
from snnhw.plan.area import multipliers, plan_kind
from snnhw.plan.features import plan_features
from snnhw.plan.ram import map_memories

CORPUS = Path(__file__).with_name("area_corpus.jsonl")
TARGET = Path(__file__).parent.parent / "snnhw" / "plan" / "area.toml"
FOLDS = 5
LARGE = 1000
OTHER = 2000
LARGE_OTHER = 3000
FEATURED = 4000
# Written out, so that a plan of a number stays the same when there are more formats.
LISTED_FORMATS = "bank", "csc", "bitmap", "run-length"
FORMATS = "dense", *LISTED_FORMATS, "block"
KINDS = "bank", "conv", "csc", "graded", "bitmap", "recurrent", "run-length", "merged", "conv", "queue"
FEATURES_DRAWN = "queued", "decide", "bitmap", "control", "queued", "decide", "bitmap"
BOARDS = "icebreaker", "orangecrab-25f", "tang-nano-9k", "arty-a7-35t"
# What each quantity is made of. The names are those of snnhw.plan.features.
FEATURES = {
    "logic": ("core", "registers", "event_address_bits", "tiled", "update_bits", "counted_bits", "parameter_bits", "product_bits",
              "mux_bits", "lut_rams", "tables", "register_bits", "walker", "list_current_bits", "place_bits", "mask_bits",
              "queued_bits", "merged_bits", "event_bitmaps", "decision_bits", "counters"),
    "flip_flops": ("core", "registers", "parameter_bits", "multiplied_bits", "register_bits", "lut_rams", "output_bits", "banks",
                   "decision_bits", "counters"),
    "period_ns": ("accelerator", "widest_update", "deepest_mux", "block_states", "lists", "widest_product"),
}
# Where what a feature takes is from when no plan of a family has it.
LENDER = "orangecrab-25f"
# Period of other boards of the family, as a multiple: builds of one 64-64-10 network, median of 2 seeds.
PERIOD_SCALE = {
    "icebreaker": {"icebreaker": 1.0, "ice40-hx8k": 0.456},
    "orangecrab-25f": {"orangecrab-25f": 1.0, "ulx3s-85f": 1.384},
    "tang-nano-9k": {"tang-nano-9k": 1.0},
    "arty-a7-35t": {},
}
HEADER = """# Coefficients of snnhw/plan/area.py, written by benchmarks/area_corpus.py fit; do not edit.
# Bare cores of random plans, synthesised with pyosys, placed and routed with nextpnr, seed 1. The errors are those of
# plans held out in turn, a fifth at a time; the coefficients are then fitted to all plans.
"""


def _draw_neurons(rng: np.random.Generator, highest: int, inputs: int, outputs: int) -> NeuronSpec:
    """Return the arithmetic of neurons that so many inputs reach with weights up to `highest`."""
    frac = int(rng.choice([0, 0, 1, 2, 4]))
    scale = max(2, int(highest * inputs ** 0.5)) << frac
    state = int(rng.integers(max(6, scale.bit_length()), 20))
    threshold = min(scale, (1 << (state - 1)) - 1)

    def each(value: int) -> np.ndarray | int:
        return rng.integers(max(1, value // 2), value + 1, outputs) if rng.random() < 0.3 else value

    kind = str(rng.choice(["one", "shift", "shift", "mul"]))
    factor = int(rng.choice([3, 4, 6, 8]))
    if kind == "mul":
        decay = Decay("mul", factor, each((1 << factor) - 1))
    else:
        decay = Decay(kind, int(rng.integers(1, 7)) if kind == "shift" else 0)
    reset = str(rng.choice(["zero", "subtract", "subtract", "none"]))
    return NeuronSpec(threshold=each(threshold), decay=decay, reset=reset, bits=state, frac=frac,
                      reset_amount=max(1, threshold // 2) if reset == "subtract" else 0,
                      reset_time=str(rng.choice(["immediate", "next"])),
                      bias=each(max(1, threshold // 4)) if rng.random() < 0.5 else 0)


def draw_dense(number: int) -> Plan:
    """Return a chain of one to three dense layers, everything that decides its area varied; large ones from `LARGE` on."""
    rng = np.random.default_rng(number)
    first, others = ((300, 900), (60, 150)) if number >= LARGE else ((4, 150), (3, 70))
    while True:
        layers = int(rng.choice([1, 1, 2, 2, 3]))
        sizes = [int(np.exp(rng.uniform(np.log(lowest), np.log(highest)))) for lowest, highest in [first, *[others] * layers]]
        nodes: list = [Input("input", (), (sizes[0],))]
        for index, (inputs, outputs) in enumerate(pairwise(sizes)):
            bits = int(rng.choice([2, 3, 4, 4, 5, 6, 8]))
            highest = (1 << (bits - 1)) - 1
            weight = rng.integers(-highest, highest + 1, (outputs, inputs))
            weight[rng.random(weight.shape) < rng.choice([0.0, 0.3, 0.8])] = 0
            nodes.append(Linear(f"sum {index}", (nodes[-1].name,), weight, bits))
            nodes.append(Neuron(f"neurons {index}", (nodes[-1].name,),
                                _draw_neurons(rng, highest, inputs, outputs)))
        lanes = {f"neurons {index}": min(int(rng.choice([1, 2, 3, 4, 6, 8, 12, 16, 24, 32])), outputs)
                 for index, outputs in enumerate(sizes[1:])}
        graph = Graph("random", (*nodes, Readout("readout", (nodes[-1].name,))), 10)
        loaded = bool(rng.random() < (0.5 if number >= LARGE else 0.25))
        try:
            return make_plan(graph, lanes=lanes, load_weights=loaded, formats="dense", packings="none")
        except NetworkError:
            continue


class _Drawing:
    """A random graph beyond chains of dense layers, in the making.

    Attributes
    ----------
    nodes : list of Node
        So far; `shape` and `values` are those of the spikes of the last.
    shapes : dict of str to tuple of int
        Of all that give spikes.
    lanes, formats, packings : dict of str to int or str
        Choices for each core, by the name of its neurons.
    """

    def __init__(self, rng: np.random.Generator, kind: str, *, large: bool, wide: bool):
        self.rng, self.kind, self.large, self.wide = rng, kind, large, wide
        self.lanes: dict[str, int] = {}
        self.formats: dict[str, str] = {}
        self.packings: dict[str, str] = {}
        if kind == "conv" or rng.random() < 0.1:
            side = int(rng.integers(5, 14 if large else 10))
            self.shape: tuple[int, ...] = int(rng.integers(1, 4)), side, int(rng.integers(5, side + 1))
        else:
            self.shape = (int(np.exp(rng.uniform(*np.log((80, 300) if large else (16, 110))))),)
        graded = kind == "graded" or rng.random() < 0.1
        self.values = int(rng.choice([0, -1, -4])) if graded else 0, int(rng.choice([3, 7, 15, 100])) if graded else 1
        self.nodes: list = [Input("input", (), self.shape, lowest=self.values[0], highest=self.values[1])]
        self.shapes = {"input": self.shape}
        layers = int(rng.choice([1, 2, 2])) + (kind in ("merged", "queue"))
        for index in range(layers):
            self._add_layer(index, last=index == layers - 1)

    @property
    def graph(self) -> Graph:
        state = self.nodes[-1].spec.output == "state"
        readout = Readout("readout", (self.nodes[-1].name,), *(("membrane", "max") if state else ()))
        return Graph("random", (*self.nodes, readout), 10)

    def _weight(self, shape: tuple[int, ...], bits: int) -> np.ndarray:
        """Return random weights, some of few values."""
        highest = (1 << (bits - 1)) - 1
        some = self.rng.random()
        if some < 0.7:
            return self.rng.integers(-highest, highest + 1, shape)
        book = [-highest, 0, highest] if some < 0.8 else self.rng.integers(-highest, highest + 1, int(self.rng.integers(3, 13)))
        return self.rng.choice(book, shape)

    def _thin(self, weight: np.ndarray, lanes: int, balanced: bool) -> np.ndarray:
        """Return weights, (neurons, sources), of which some are zero; with `balanced` as many in each lane of each source."""
        density = float(self.rng.choice([0.06, 0.12, 0.25, 0.5]))
        drawn = self.rng.random(weight.shape)
        if balanced:
            for lane in range(lanes):
                rank = drawn[lane::lanes].argsort(axis=0).argsort(axis=0)
                drawn[lane::lanes] = np.where(rank < max(1, round(density * len(rank))), 0, 1)
        weight = np.where(drawn < density, weight, 0)
        weight[0, 0] = weight[0, 0] or 1
        return weight

    def _linear(self, name: str, source: str, outputs: int, bits: int, lanes: int, chosen: str) -> str:
        """Add a fully connected layer behind the spikes of a node."""
        shape = self.shapes[source]
        if len(shape) > 1:
            self.nodes.append(Flatten(f"flat {name}", (source,)))
            source = self.nodes[-1].name
        weight = self._weight((outputs, int(np.prod(shape))), bits)
        if chosen != "dense":
            weight = self._thin(weight, lanes, chosen == "bank")
        self.nodes.append(Linear(name, (source,), weight, bits))
        return name

    def _conv(self, name: str, source: str, bits: int) -> tuple[str, tuple[int, ...], int]:
        """Add a convolution, maybe behind a pool; return its name, its shape, and how many inputs reach a neuron."""
        rng, shape = self.rng, self.shape
        if rng.random() < 0.25 and min(shape[1:]) > 5:
            window = Window((2, 2), (2, 2))
            self.nodes.append(SumPool(f"pool {name}", (source,), window))
            source, shape = self.nodes[-1].name, (shape[0], *window.output(shape[1:]))
        kernel, padding = int(rng.integers(1, 5)), int(rng.integers(0, 3))
        window = Window((kernel, kernel), (int(rng.choice([1, 1, 2])),) * 2, (padding, padding))
        groups = shape[0] if rng.random() < 0.2 else 1
        channels = groups * int(rng.integers(1, 9 if groups == 1 else 4))
        self.nodes.append(Conv(name, (source,), self._weight((channels, shape[0] // groups, kernel, kernel), bits), bits, window,
                               groups=groups))
        return name, (channels, *window.output(shape[1:])), shape[0] // groups * kernel * kernel

    def _add_layer(self, index: int, *, last: bool) -> None:
        rng, kind, neurons = self.rng, self.kind, f"neurons {index}"
        source = self.nodes[-1].name
        bits = int(rng.choice([2, 3, 4, 4, 5, 6, 8]))
        chosen = kind if kind in (*LISTED_FORMATS, "queued") and index == 0 else str(rng.choice([*FORMATS, "dense"]))
        if chosen == "dense" and (self.values != (0, 1) or kind in ("recurrent", "graded")):
            chosen = "block"
        lanes = int(rng.choice([8, 12, 16, 16, 24, 32] if self.wide else [1, 2, 3, 4, 4, 6, 8, 8]))
        if len(self.shape) > 1 and (index == 0 or rng.random() < 0.3):
            name, shape, reach = self._conv(f"sum {index}", source, bits)
        else:
            outputs = int(np.exp(rng.uniform(*np.log((30, 120) if self.large else (6, 64)))))
            reach, shape = max(1, int(np.prod(self.shape)) // 4), (outputs,)
            name = self._linear(f"sum {index}", source, outputs, bits, lanes, chosen)
            self.formats[neurons] = chosen
        drivers = [name]
        flat = len(shape) == 1
        if (kind == "recurrent" and index == 0) or rng.random() < 0.05:
            self.nodes.append(Delay(f"late {index}", (neurons,), shape))
            if flat:
                # The delayed neurons come later in the graph: their shape is known, not inferred.
                weight = self._thin(self._weight((shape[0], shape[0]), bits), lanes, chosen == "bank")
                self.nodes.append(Linear(f"loop {index}", (f"late {index}",), weight, bits))
            else:
                self.nodes.append(Scale(f"loop {index}", (f"late {index}",), np.asarray(-1), bits))
            drivers.append(f"loop {index}")
        if last and flat and kind in ("merged", "queue"):
            skipped = "input"
            if kind == "queue":
                first = next(node for node in self.nodes if isinstance(node, Neuron))
                if first.spec.output != "spike":
                    raise ValueError("only spikes are delayed")
                self.shapes["late"] = self.shapes[first.name]
                self.nodes.append(Delay("late", (first.name,), self.shapes["late"]))
                skipped = "late"
            drivers.append(self._linear("skip", skipped, shape[0], bits, lanes, chosen))
        count = int(np.prod(shape))
        spec = _draw_neurons(rng, (1 << (bits - 1)) - 1, reach, count)
        if rng.random() < 0.25:
            spec = replace(spec, synapse=Decay("shift", int(rng.integers(1, 6))) if rng.random() < 0.6 else
                           Decay("mul", 8, int(rng.integers(128, 256))))
        if last and rng.random() < 0.12:
            spec = replace(spec, output="state", reset="none", reset_amount=0, threshold=0)
        elif spec.reset == "subtract" and spec.reset_time == "immediate" and rng.random() < 0.3:
            spec = replace(spec, output="count", grades=int(rng.integers(2, 5)))
        self.nodes.append(Neuron(neurons, tuple(drivers), spec))
        self.lanes[neurons] = min(lanes, count)
        self.packings[neurons] = "auto" if rng.random() < 0.7 else "none"
        self.shapes[neurons] = self.shape = shape
        self.values = 0, spec.grades
        if not flat and not last and spec.output == "spike" and min(shape[1:]) > 2 and rng.random() < 0.4:
            window = Window((2, 2), (2, 2))
            self.nodes.append(MaxPool(f"max {index}", (neurons,), window))
            self.shapes[f"max {index}"] = self.shape = shape[0], *window.output(shape[1:])
            self.lanes[f"max {index}"] = min(lanes, shape[0])


def draw_other(number: int) -> Plan:
    """Return a plan beyond chains of dense layers; large is every eighth, and with many lanes all from `LARGE_OTHER` on."""
    rng = np.random.default_rng(number)
    wide = number >= LARGE_OTHER
    large = wide or number % 8 == 7
    most_bits, most_lanes = (400_000, 900) if large else (70_000, 300)
    while True:
        try:
            drawing = _Drawing(rng, KINDS[number % len(KINDS)], large=large, wide=wide)
            plan = make_plan(drawing.graph, lanes=drawing.lanes, formats=drawing.formats, packings=drawing.packings,
                             load_weights=bool(rng.random() < 0.15))
        except (ValueError, NetworkError, UsageError):
            continue
        # What takes long to synthesise tells no more than what does not.
        if (sum(memory.bits for layer in plan.layers for memory in layer.memories) <= most_bits
                and sum(layer.lanes * layer.current_bits for layer in plan.layers) <= most_lanes):
            return plan


def draw_featured(number: int) -> Plan:
    """Return a plan of which one core, or the whole, has what few plans have, by `FEATURES_DRAWN`."""
    rng, wanted = np.random.default_rng(number), FEATURES_DRAWN[number % len(FEATURES_DRAWN)]
    while True:
        kind = "queued" if wanted == "queued" else str(rng.choice(KINDS))
        try:
            drawing = _Drawing(rng, kind, large=False, wide=False)
            bus = ("axi4-lite", "wishbone")[int(rng.integers(2))] if wanted == "control" else None
            if wanted == "bitmap":
                drawing.formats = dict.fromkeys(drawing.formats, "dense")
            plan = make_plan(
                drawing.graph, lanes=drawing.lanes, formats=drawing.formats, packings="none",
                events={name: "bitmap" for name in drawing.formats} if wanted == "bitmap" else "list",
                decide=wanted == "decide", control=bus)
        except (ValueError, NetworkError, UsageError):
            continue
        has = {"control", "decide"} | {layer.format for layer in plan.layers if layer.format == "queued"} | {
            layer.events for layer in plan.layers}
        if (wanted in has and sum(memory.bits for layer in plan.layers for memory in layer.memories) <= 70_000
                and sum(layer.lanes * layer.current_bits for layer in plan.layers) <= 150):
            return plan


def draw_plan(number: int) -> Plan:
    """Return random plan `number`: a chain of dense layers, or from `OTHER` on anything else."""
    return draw_featured(number) if number >= FEATURED else draw_other(number) if number >= OTHER else draw_dense(number)


def measure(count: int, boards: list[str], begin: int) -> None:
    """Append what random plans use of boards to the corpus."""
    known = {(record["board"], record["plan"]) for record in read_corpus()}
    for number in range(begin, begin + count):
        plan = draw_plan(number)
        for name in boards:
            if (name, number) in known:
                continue
            board = load_board(name)
            blocks = sum(use.blocks for use in map_memories(plan, board) if use.resource == "block_ram")
            if blocks > board.budget.block_ram.count:
                continue
            with tempfile.TemporaryDirectory() as folder:
                try:
                    # Placing takes most of the time, and only the frequency needs it; on Gowin the cells do too.
                    if board.flow == "vivado":
                        result: BuildResult | Synthesis = synthesize(plan, board, Path(folder))
                    elif number % (4 if number >= OTHER else 2) and board.family != "gowin":
                        result = pack_core(plan, board, Path(folder))
                    else:
                        result = measure_core(plan, board, Path(folder), seeds=(1,))
                except BoardError as error:
                    print(f"{name} {number}: {error}", file=sys.stderr)
                    continue
            fmax = result.median_mhz if isinstance(result, BuildResult) else None
            record = {"board": name, "plan": number, "used": result.used, "cells": result.cells, "fmax_mhz": fmax}
            with CORPUS.open("a") as file:
                file.write(json.dumps(record) + "\n")
            print(f"{name} {number}: {result.used} {fmax} MHz", file=sys.stderr)


def read_corpus() -> list[dict]:
    """Return the records of the corpus, in the order of boards and plans."""
    records = [json.loads(line) for line in CORPUS.read_text().splitlines()] if CORPUS.is_file() else []
    return sorted((record for record in records if "plan" in record), key=lambda record: (record["board"], record["plan"]))


def solve(features: list[dict[str, float]], values: np.ndarray, names: tuple[str, ...]) -> dict[str, float]:
    """Return non-negative coefficients of least relative error; what contributes nothing is left out."""
    matrix = np.array([[row.get(name, 0) for name in names] for row in features]) / values[:, None]
    weights, _ = nnls(matrix, np.ones(len(values)))
    return {name: float(f"{weight:.4g}") for name, weight in zip(names, weights, strict=True) if weight > 1e-9}


def errors(coefficients: dict[str, float], features: list[dict[str, float]], values: np.ndarray) -> np.ndarray:
    """Return the relative error of each plan."""
    predicted = np.array([sum(weight * row.get(name, 0) for name, weight in coefficients.items()) for row in features])
    return np.abs(predicted / values - 1)


def cross_validate(features: list[dict[str, float]], values: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    """Return the relative error of each plan under coefficients fitted to the plans of the other folds."""
    found = np.zeros(len(values))
    for fold in range(FOLDS):
        out = np.arange(len(values)) % FOLDS == fold
        if out.any():
            train, test = ([row for row, side in zip(features, out, strict=True) if side == wanted] for wanted in (False, True))
            found[out] = errors(solve(train, values[~out], names), test, values[out])
    return found


def fit() -> None:
    """Fit, print and write the coefficients and their errors."""
    lines = [HEADER]
    records = read_corpus()
    lent: dict[str, dict[str, float]] = {}
    for name in sorted(BOARDS, key=lambda name: name != LENDER):
        board = load_board(name)
        mine = [record for record in records if record["board"] == name]
        plans = [draw_plan(record["plan"]) for record in mine]
        kinds = np.array([plan_kind(plan) for plan in plans])
        features = [plan_features(plan, board) for plan in plans]
        report_memories(board, mine, plans)
        top = board_top(board)
        lines += [f"[{board.family}]", f"board_top = {{ {', '.join(f'{key} = {value}' for key, value in top.items())} }}", ""]
        for quantity, names in FEATURES.items():
            if quantity == "period_ns" and board.flow == "vivado":
                continue
            known = [index for index, record in enumerate(mine) if quantity != "period_ns" or record["fmax_mhz"]]
            rows = [features[index] for index in known]
            measured = np.array([1e3 / mine[index]["fmax_mhz"] if quantity == "period_ns" else mine[index]["used"][quantity]
                                 for index in known])
            unseen = cross_validate(rows, measured, names)
            final = solve(rows, measured, names)
            if name == LENDER:
                lent[quantity] = final
            final |= {key: value for key, value in lent[quantity].items() if not any(row.get(key, 0) for row in rows)}
            seen = errors(final, rows, measured)
            if quantity == "period_ns":
                lines += [f"[{board.family}.{quantity}]",
                          f"boards = {{ {', '.join(f'{key} = {value}' for key, value in PERIOD_SCALE[name].items())} }}", ""]
            for kind in sorted(set(kinds[known])):
                which = kinds[known] == kind
                median, p90, worst = np.median(unseen[which]), np.quantile(unseen[which], 0.9), unseen[which].max()
                print(f"{name} {quantity} {kind}: {which.sum()} plans, fitted to median {np.median(seen[which]):.1%}; held out: "
                      f"median {median:.1%}, 90 % within {p90:.1%}, worst {worst:.1%}")
                lines += [f"[{board.family}.{quantity}.{kind}]", f"plans = {which.sum()}", f"error_median = {median:.3f}",
                          f"error_p90 = {p90:.3f}", f"error_worst = {worst:.3f}", ""]
            lines += [f"[{board.family}.{quantity}.coefficients]"]
            lines += [*(f"{key} = {value:g}" for key, value in final.items()), ""]
    write_bytes(TARGET, "\n".join(lines).encode())


def report_memories(board: Board, records: list[dict], plans: list[Plan]) -> None:
    """Print how many plans had their memory blocks and multipliers counted right."""
    for resource in ("block_ram", "single_port_ram", "dsp"):
        family = FAMILIES[board.family]
        pairs = [(family.count(record["cells"]).get(resource, 0), multipliers(plan, board) if resource == "dsp" else
                  sum(use.blocks for use in map_memories(plan, board) if use.resource == resource), record["plan"])
                 for record, plan in zip(records, plans, strict=True)]
        wrong = [(number, measured, counted) for measured, counted, number in pairs if measured != counted]
        print(f"{board.name} {resource}: {len(pairs) - len(wrong)} of {len(pairs)} plans exact; "
              f"others as (plan, measured, counted): {wrong[:12]}")


def board_top(board: Board) -> dict[str, int]:
    """Return what the serial line and its messages add to a core, from one small network built both ways, once."""
    for line in CORPUS.read_text().splitlines():
        record = json.loads(line)
        if record["board"] == board.name and "board_top" in record:
            return record["board_top"]
    plan = draw_plan(11)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "core").mkdir()
        if board.flow == "vivado":
            (folder / "board").mkdir()
            whole = synthesize(plan, board, folder / "board", top="board").used
            core = synthesize(plan, board, folder / "core").used
        else:
            whole = build(plan, board, seeds=(1,), out=folder / "board").used
            core = measure_core(plan, board, folder / "core", seeds=(1,)).used
    added = {name: whole[name] - core[name] for name in ("logic", "flip_flops", "block_ram")}
    with CORPUS.open("a") as file:
        file.write(json.dumps({"board": board.name, "board_top": added}) + "\n")
    return added


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    measuring = commands.add_parser("measure", help="place and route random plans")
    measuring.add_argument("--count", type=int, default=60)
    measuring.add_argument("--begin", type=int, default=0)
    measuring.add_argument("--board", nargs="+", default=list(BOARDS))
    commands.add_parser("fit", help="fit the coefficients")
    arguments = parser.parse_args()
    if arguments.command == "measure":
        measure(arguments.count, arguments.board, arguments.begin)
    else:
        fit()


if __name__ == "__main__":
    main()

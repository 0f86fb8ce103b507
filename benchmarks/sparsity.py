"""What pruning brings back: cycles, bits, cells and energy of one 784-128 layer, for every format and several densities.

    SNNHW_DATA=folder python benchmarks/sparsity.py [--run RUN] [--lanes 8] [--images 200] [--synthesis FORMATS] [--record]

The layer is the first one of models/mnist, its 4-bit weights pruned by magnitude, in banks (as many in each lane) or over the
whole layer; its events are those of MNIST test images. Only what the pruning removes differs, so that rows compare; how well such
networks classify is in benchmarks/compressed.json. Cycles are predicted, and held to the simulated RTL on a tenth of the
images. Of layers pruned in banks, some formats are also synthesised, and their energy is that of the RTL's activity (R2, with
iCE40UP5K constants). Utilisation is synaptic operations with weights that are not zero (of dense weights: with all), divided by
lanes and cycles of the whole sample. With --record, benchmarks/sparsity.json and docs/sparsity.md take the results.
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from snnhw import reference
from snnhw.board import load_board
from snnhw.build import pack_core
from snnhw.cli.output import versions
from snnhw.compress.data import load_dataset
from snnhw.compress.flow import lower_model
from snnhw.cost import energy_ladder
from snnhw.files import write_bytes
from snnhw.ir import Graph, Linear, Readout, load_graph
from snnhw.plan import Plan, make_plan
from snnhw.plan.accesses import events_of
from snnhw.plan.cycles import predict_cycles
from snnhw.plan.formats import FORMATS
from snnhw.verify import check_undisturbed, compile_plan

ROOT = Path(__file__).resolve().parent.parent
RECORD = ROOT / "benchmarks" / "sparsity.json"
DENSITIES = 1.0, 0.5, 0.25, 0.125
KEPT = "rung", "basis", "constants", "median", "low", "high", "unit", "pj_per_synaptic_operation", "largest_is_assumed"
PAGE = ROOT / "docs" / "sparsity.md"
BOARD = "orangecrab-25f"  # all formats fit; iCE40 has a block for each lane's currents


def pruned(weight: np.ndarray, density: float, lanes: int | None) -> np.ndarray:
    """Return the weights, (neurons, sources), with the largest kept: as many for each lane and source, or of the whole."""
    magnitude = np.abs(weight) * weight.size - np.arange(weight.size).reshape(weight.shape)  # the first ones on a tie
    if lanes is None:
        kept = np.zeros(weight.size, bool)
        kept[np.argsort(-magnitude, axis=None)[:round(density * weight.size)]] = True
        return np.where(kept.reshape(weight.shape), weight, 0)
    result = np.zeros_like(weight)
    for lane in range(lanes):
        part = magnitude[lane::lanes]
        order = np.argsort(-part, axis=0)[:round(density * len(part))]
        columns = np.arange(weight.shape[1])
        result[order * lanes + lane, columns] = weight[order * lanes + lane, columns]
    return result


def first_layer(graph: Graph, weight: np.ndarray) -> Graph:
    """Return the network that ends behind its first neurons, with other weights."""
    given, linear, neuron = next(node for node in graph.nodes), *(
        next(node for node in graph.nodes if isinstance(node, kind)) for kind in (Linear, type(graph.neurons[0])))
    return Graph("layer", (given, Linear(linear.name, linear.inputs, weight, linear.weight_bits), neuron,
                           Readout("readout", (neuron.name,))), graph.timesteps)


def measure(plan: Plan, spikes: np.ndarray, synthesis: bool) -> dict[str, Any]:
    """Return what one plan of one layer comes to."""
    trace = reference.run(plan.graph, spikes)
    layer = plan.layers[0]
    cycles = predict_cycles(plan, trace.spikes)
    reached = np.full(layer.inputs, layer.outputs) if layer.format == "dense" else layer.synapses.fan_out()
    operations = events_of(layer, trace.spikes).sum(axis=1, dtype=np.int64) @ reached
    few = spikes[:max(1, len(spikes) // 10)]
    check = check_undisturbed(compile_plan(plan), few)
    weight_bits = sum(memory.bits for memory in layer.memories if memory.role in ("weights", "sources"))
    found: dict[str, Any] = {
        "format": layer.format, "lanes": layer.lanes, "stored_bits": weight_bits,
        "nonzero": int(layer.synapses.fan_out().sum()), "cycles_mean": float(cycles.mean()),
        "utilisation": float((operations / (layer.lanes * cycles)).mean()),
        "rtl": {"images": len(few), **check.comparison.counts(), "problem": check.problem,
                "cycles_differ": int((check.simulation.cycles != cycles[:len(few)]).sum())},
    }
    if synthesis:
        from snnhw.cli.energy import _measure
        board = load_board(BOARD)
        with tempfile.TemporaryDirectory() as folder:
            found["used"] = pack_core(plan, board, Path(folder)).used
        ladder = energy_ladder(plan, reference.run(plan.graph, few).spikes, measured=_measure(plan, few),
                               board=load_board("icebreaker"), flip_flops=found["used"]["flip_flops"])
        found["rungs"] = [{name: rung[name] for name in KEPT} for rung in ladder["rungs"]]
    return found


HEAD = """# What sparsity pays

Written by `python benchmarks/sparsity.py --record`; all figures are in `benchmarks/sparsity.json`.

One layer of 784 inputs and 128 neurons with 4-bit weights, the first of models/mnist, on {lanes} lanes and {images} MNIST test
images. Its weights are pruned by magnitude: in *banks*, as many for each lane and input, or over the whole *layer*. Bits are
those of weights, of what tells their rows, and of where lists lie. Cycles are those of an image, predicted, and equal to the RTL
on {checked} images of each row, where 0 words differ. Utilisation counts weights that are not zero (of dense weights: all).

| pruned in | density | format | bits | of dense | cycles | of dense | utilisation |
|---|---|---|---|---|---|---|---|"""
BUILT = """
Cells and memories of the bare core on an ECP5-25, packed; energy of the RTL's activity (R2) with iCE40UP5K constants, median and
5 to 95 % (its largest term, the access of a block RAM, is **assumed**):

| density | format | logic | flip-flops | RAM blocks | µJ per image | pJ per synaptic operation |
|---|---|---|---|---|---|---|"""


def page(result: dict[str, Any]) -> str:
    """Return docs/sparsity.md."""
    rows, dense = result["rows"], result["rows"][0]
    lines = [HEAD.format(lanes=result["lanes"], images=result["images"], checked=dense["rtl"]["images"])]
    for row in rows:
        lines.append(f"| {row['masks']} | {row['density']:g} | {row['format']} | {row['stored_bits']:,} | "
                     f"{row['stored_bits'] / dense['stored_bits']:.3f} | {row['cycles_mean']:,.0f} | "
                     f"{row['cycles_mean'] / dense['cycles_mean']:.3f} | {row['utilisation']:.2f} |")
    lines.append(BUILT)
    for row in rows:
        if "rungs" in row:
            energy = next(rung for rung in row["rungs"] if rung["rung"] == "R2")
            low, middle, high = (energy[name] / 1e6 for name in ("low", "median", "high"))
            lines.append(f"| {row['density']:g} | {row['format']} | {row['used']['logic']:,} | {row['used']['flip_flops']:,} | "
                         f"{row['used']['block_ram']} | {middle:.2f} ({low:.2f}..{high:.2f}) | "
                         f"{energy['pj_per_synaptic_operation']:.1f} |")
    return "\n".join([*lines, ""])


def main() -> int:
    parser = argparse.ArgumentParser(description="What pruning brings back in hardware.")
    parser.add_argument("--run", type=Path, help="where models/mnist was lowered; by default it is lowered first")
    parser.add_argument("--lanes", type=int, default=8)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--synthesis", default="dense,bank", help="formats whose cells and energy are wanted too (dense,bank)")
    parser.add_argument("--record", action="store_true", help="write benchmarks/sparsity.json")
    given = parser.parse_args()
    if "SNNHW_DATA" not in os.environ:
        parser.error("SNNHW_DATA must name the folder of the data sets")
    with tempfile.TemporaryDirectory() as place:
        run = given.run or Path(place) / "run"
        if given.run is None:
            lower_model(ROOT / "models" / "mnist", run, checkpoint=ROOT / "models" / "mnist" / "checkpoint.safetensors")
        graph = load_graph(run / "graph.safetensors")
    images = load_dataset("mnist", 1, ROOT).test_values[:given.images]
    spikes = graph.input.encoding(images, graph.timesteps)
    linear = next(node for node in graph.nodes if isinstance(node, Linear))
    rows, wanted = [], given.synthesis.split(",")
    for masks in ("bank", "layer"):
        for density in DENSITIES:
            if masks == "layer" and density == 1.0:
                continue
            weight = pruned(np.asarray(linear.weight), density, given.lanes if masks == "bank" else None)
            for name in FORMATS:
                if density == 1.0 and name != "dense":
                    continue
                plan = make_plan(first_layer(graph, weight), lanes={graph.neurons[0].name: given.lanes}, formats=name)
                row = {"masks": masks, "density": density} | measure(plan, spikes, masks == "bank" and name in wanted)
                rows.append(row)
                print(json.dumps(row), file=sys.stderr, flush=True)
    result = {"lanes": given.lanes, "images": given.images, "versions": versions(), "rows": rows}
    if given.record:
        write_bytes(RECORD, (json.dumps(result, indent=1) + "\n").encode())
        write_bytes(PAGE, page(result).encode())
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Share of its cycles in which a lane of the first layer does a synaptic operation, on real data. Prints JSON; --record keeps it.

    SNNHW_DATA=folder python benchmarks/utilisation.py [--samples 500] [--runs FOLDER] [--record]

Synaptic operations, divided by lanes and cycles of a whole sample that runs alone. Operations are counted twice: with all
connections of an event, as dense weights have them, and with those alone whose weight is not zero. The layer is planned alone
("layer"), and as the first of its network ("network"), where the last timesteps wait for the layers behind it. Cycles are
predicted, which equals the RTL in every run of ``snnhw verify``. --runs has folders of models that were lowered before.
"""

import argparse
import json
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from snnhw import reference
from snnhw.cli.output import versions
from snnhw.compress.flow import lower_model
from snnhw.files import read_tensors, write_bytes
from snnhw.ir import Conv, Graph, Linear, Readout, load_graph
from snnhw.plan import Plan, make_plan
from snnhw.plan.accesses import events_of
from snnhw.plan.cycles import predict_cycles

ROOT = Path(__file__).resolve().parent.parent
RECORD = ROOT / "benchmarks" / "utilisation.json"
CASES = ("mnist", 16), ("mnist", 32), ("nmnist", 8)


def first_layer(graph: Graph, *, ones: bool = False) -> Graph:
    """Return the network that ends behind its first neurons; with ones in the place of its weights, to count connections."""
    weights = next(node for node in graph.nodes if isinstance(node, Linear | Conv))
    if ones:
        weights = replace(weights, weight=np.ones_like(weights.weight))
    neurons = graph.neurons[0]
    return Graph("layer", (graph.nodes[0], weights, neurons, Readout("readout", (neurons.name,))), graph.timesteps)


def utilisation(plan: Plan, graph: Graph, spikes: np.ndarray) -> dict[str, float]:
    """Return the two utilisations of the first layer of a plan, and its cycles."""
    trace, layer = reference.run(plan.graph, spikes), plan.layers[0]
    cycles = predict_cycles(plan, trace.spikes)
    events = events_of(layer, trace.spikes).sum(axis=1, dtype=np.int64)
    connections = make_plan(first_layer(graph, ones=True), lanes=layer.lanes, formats="block").layers[0].synapses.fan_out()
    nonzero = make_plan(first_layer(graph), lanes=layer.lanes, formats="block").layers[0].synapses.fan_out()
    return {"all": float((events @ connections / (layer.lanes * cycles)).mean()),
            "nonzero": float((events @ nonzero / (layer.lanes * cycles)).mean()), "cycles_mean": float(cycles.mean())}


def main() -> int:
    parser = argparse.ArgumentParser(description="How busy the lanes are.")
    parser.add_argument("--samples", type=int, default=500)
    parser.add_argument("--runs", type=Path, help="folder of run folders, called as the models")
    parser.add_argument("--record", action="store_true", help="write benchmarks/utilisation.json")
    given = parser.parse_args()
    if "SNNHW_DATA" not in os.environ:
        parser.error("SNNHW_DATA must name the folder of the data sets")
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as place:
        for model, lanes in CASES:
            run = (given.runs or Path(place)) / model
            if not (run / "graph.safetensors").exists():
                lower_model(ROOT / "models" / model, run, checkpoint=ROOT / "models" / model / "checkpoint.safetensors")
            graph = load_graph(run / "graph.safetensors")
            values = read_tensors(run / "samples.safetensors", "samples")[0]["values"][:given.samples]
            spikes = graph.input.encoding(values, graph.timesteps)
            asked = {layer.name: lanes if layer is graph.neurons[0] else 16 for layer in graph.neurons}
            rows.append({"model": model, "lanes": lanes, "samples": len(spikes),
                         "layer": utilisation(make_plan(first_layer(graph), lanes=lanes), graph, spikes),
                         "network": utilisation(make_plan(graph, lanes=asked), graph, spikes)})
            print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    result = {"versions": versions(), "rows": rows}
    if given.record:
        write_bytes(RECORD, (json.dumps(result, indent=1) + "\n").encode())
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Networks that others trained, from their files to the hardware: accuracy, agreement, and every word of the RTL.

    SNNHW_DATA=folder python benchmarks/published.py [cnn] [speech] [oxford] [--samples 10]

cnn     cnn_sinabs.nir (NIR) on the 100 test files of N-MNIST
speech  s2s_gsc_snntorch.pt (snntorch, NeuroBench) on the 834 keyword clips
oxford  network.net (Lava, integers) on its own recording

Prints JSON lines; with --record also writes them to benchmarks/published.json. `--samples` is how many samples of cnn go
through the RTL; of speech six times as many do.
"""

import argparse
import importlib.util
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from snnhw.cli.output import versions
from snnhw.files import read_tensors
from snnhw.ir import Graph, load_graph
from snnhw.plan import make_plan
from snnhw.ptq.flow import import_model, load_samples
from snnhw.ptq.options import Options
from snnhw.verify import check_disturbed, check_undisturbed, compile_plan

ROOT = Path(__file__).resolve().parent.parent
RECORD = ROOT / "benchmarks" / "published.json"


def hardware(graph: Graph, spikes: np.ndarray) -> dict[str, Any]:
    """Hold the RTL of a graph against the reference on some samples, then again with random stalls on the first."""
    plan = make_plan(graph)
    simulator = compile_plan(plan)
    check, disturbed = check_undisturbed(simulator, spikes), check_disturbed(simulator, spikes[:1], 1)
    return {"engine": simulator.engine, **check.comparison.counts(), "access_counts": check.access_counts,
            "access_mismatches": check.access_mismatches, "stalled_samples": 1, "problem": check.problem or disturbed.problem,
            "cycles_mean": float(check.simulation.cycles.mean())}


def imported(source: Path, data: str, samples: int, granularity: str, **choices: object) -> dict[str, Any]:
    """Import a float network with 8-bit weights, measure it on all test samples, and run some through the hardware."""
    given = load_samples(data, timesteps=choices.pop("timesteps", None), calibrate=64, count=None)  # type: ignore[arg-type]
    with tempfile.TemporaryDirectory() as folder:
        found = import_model(source, Path(folder), given, options=Options(granularity=granularity),  # type: ignore[arg-type]
                             choices=choices)
        graph = load_graph(Path(folder) / "graph.safetensors")
        values = read_tensors(Path(folder) / "samples.safetensors", "samples")[0]["values"][:samples]
    return {
        "network": source.name, "data": data, "weight_bits": 8, "scales": granularity, "choices": found["choices"],
        "test_samples": found["test_samples"], "accuracy": found["accuracy"], "same_decisions": found["same_decisions"],
        "equal_spikes": {row["name"]: row["agreement"] for row in found["layers"] if "agreement" in row},
        "saturated_words": sum(row["saturated_words"] for row in found["layers"]),
        "state_bits": [row["state_bits"] for row in found["quantization"]["neurons"]],
        "rtl": hardware(graph, graph.input.encoding(values, graph.timesteps)),
    }


def cnn(data: Path, samples: int) -> dict[str, Any]:
    return imported(data / "models/nir/cnn_sinabs.nir", "nmnist", samples, "tensor", timesteps=300, reset="subtract")


def speech(data: Path, samples: int) -> dict[str, Any]:
    return imported(ROOT / "models/speech", "gsc-kws01", 6 * samples, "tensor",
                    checkpoint=str(data / "models/snntorch/s2s_gsc_snntorch.pt"))


def oxford(data: Path, samples: int) -> dict[str, Any]:
    spec = importlib.util.spec_from_file_location("oxford", ROOT / "tests/benchmarks/oxford.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    graph, spikes, recorded = module.load_oxford(data / "models/lava/oxford")
    rtl = hardware(graph, spikes)
    from snnhw.reference import run
    found = run(graph, spikes).output_spikes
    return {"network": "network.net", "data": "input.npy", "recorded_spikes": int(recorded.sum()),
            "reference": {"spikes": int(found.sum()), "equal_to_recorded": int((found & recorded).sum()),
                          "differ": int((found != recorded).sum())}, "rtl": rtl}


def main() -> int:
    parser = argparse.ArgumentParser(description="Networks that others trained, from their files to the hardware.")
    parser.add_argument("networks", nargs="*", metavar="cnn|speech|oxford", help="which; all by default")
    parser.add_argument("--samples", type=int, default=10, help="samples of cnn that go through the RTL (default: 10)")
    parser.add_argument("--record", action="store_true", help="write benchmarks/published.json")
    given = parser.parse_args()
    if "SNNHW_DATA" not in os.environ:
        parser.error("SNNHW_DATA must name the folder of the data sets")
    data = Path(os.environ["SNNHW_DATA"])
    known = {"cnn": cnn, "speech": speech, "oxford": oxford}
    if unknown := set(given.networks) - set(known):
        parser.error(f"networks must be of cnn, speech and oxford, not {min(unknown)!r}")
    record = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    broken = False
    for name in given.networks or known:
        row = known[name](data, given.samples)
        print(json.dumps({name: row}), flush=True)
        record[name] = row | {"versions": versions()}
        broken |= row["rtl"]["problem"] is not None
    if given.record:
        RECORD.write_text(json.dumps(record, indent=1) + "\n")
    return int(broken)


if __name__ == "__main__":
    sys.exit(main())

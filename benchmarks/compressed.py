"""Compressed models: accuracy on whole test sets, what they store, and every word of their hardware against the reference.

    SNNHW_DATA=folder python benchmarks/compressed.py [NAME ...] [--seeds 3] [--images 1000] [--record]

Each model is one of the folders in models/ with some fields of its recipe changed. All seeds begin with the same float network:
the one in the folder, or one that is trained once. Runs are kept in build/compressed and never repeated, so that the program may
be stopped and started. With --record, benchmarks/compressed.json takes the results.
"""

import argparse
import json
import os
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

import numpy as np

from snnhw.cli.output import versions
from snnhw.compress.flow import lower_model, train_model
from snnhw.files import format_toml, read_tensors, write_bytes
from snnhw.ir import load_graph
from snnhw.plan import make_plan
from snnhw.studies.cache import RunCache
from snnhw.verify import check_undisturbed, compile_plan

ROOT = Path(__file__).resolve().parent.parent
RECORD = ROOT / "benchmarks" / "compressed.json"

BANKS = {"sparsity": 0.875, "scope": "bank", "lanes": 16, "layers": {"fc2": 0.0}}
SHORT = {"epochs": 4}
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "mnist, 8 bits": ("mnist", {"finetune": SHORT, "quantize": {"weight_bits": 8}}),
    "mnist, 4 bits": ("mnist", {}),
    "mnist, ternary": ("mnist", {"finetune": SHORT, "quantize": {"weight_bits": "ternary"}}),
    "mnist, 4 bits, 87.5 % in banks": ("mnist", {"finetune": SHORT, "prune": BANKS}),
    "mnist, 4 bits, images moved": ("mnist", {"augment": 1, "finetune": {"epochs": 10}}),
    "mnist, 4 bits, few spikes": ("mnist", {"finetune": SHORT, "activity": {"spikes": 3.0}}),
    "mnist, 4 bits, 80 % global": ("mnist", {"finetune": SHORT, "prune": {"sparsity": 0.8, "scope": "global"}}),
    "mnist, 4 bits, 87.5 % in banks, distilled, few spikes": ("mnist", {
        "finetune": SHORT, "prune": {**BANKS, "until": 2}, "distill": {"weight": 0.5}, "activity": {"spikes": 3.0}}),
    "fashion, 784-128-10, 4 bits": ("mnist", {"data": "fashion", "finetune": SHORT}),
    "lenet, 4 bits": ("lenet", {}),
}
MANY_SEEDS = tuple(MODELS)[:5]


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return a recipe with some fields changed."""
    result = dict(base)
    for name, value in changes.items():
        result[name] = merged(result.get(name, {}), value) if isinstance(value, dict) else value
    return result


class Bench:
    """Trains, lowers and simulates models; keeps what it has done."""

    def __init__(self, folder: Path, images: int, quiet: bool = False) -> None:
        self.folder, self.images, self.quiet = folder, images, quiet
        self.cache = RunCache(folder / "runs")

    def _progress(self, name: str, done: int, total: int, text: str) -> None:
        if not self.quiet and (done == total or done % 200 == 0):
            print(f"  {name}: {done}/{total} {text}", file=sys.stderr, flush=True)

    def _folder(self, model: str, recipe: dict[str, Any], place: Path) -> Path:
        place.mkdir(parents=True, exist_ok=True)
        (place / "model.py").write_bytes((ROOT / "models" / model / "model.py").read_bytes())
        (place / "recipe.toml").write_text(format_toml(recipe))
        return place

    def pretrained(self, model: str, recipe: dict[str, Any]) -> Path:
        """Return a checkpoint of the float network: the shipped one if it learned the same data, else one trained once."""
        base = tomllib.loads((ROOT / "models" / model / "recipe.toml").read_text())
        shipped = ROOT / "models" / model / "checkpoint.safetensors"
        if recipe["data"] == base["data"] and shipped.exists():
            return shipped
        own = {**recipe, "seed": base["seed"], "finetune": {"epochs": 0}, "quantize": {"weight_bits": 8}, "prune": {},
               "distill": {}, "activity": {}}
        key = {"run": "float", "model": model, "recipe": own}
        path = self.cache.path(key, ".safetensors")

        def train() -> dict[str, Any]:
            with tempfile.TemporaryDirectory() as place:
                folder = self._folder(model, own, Path(place) / model)
                found = train_model(folder, Path(place) / "run", progress=self._progress)
                path.parent.mkdir(parents=True, exist_ok=True)
                os.replace(Path(place) / "run" / "checkpoint.safetensors", path)
            return {"accuracy": found["accuracy"]["float"], "seconds": found["training_seconds"]}

        self.cache.run(key, train)
        return path

    def measure(self, name: str, seed: int) -> dict[str, Any]:
        """Return what one model comes to."""
        model, changes = MODELS[name]
        base = tomllib.loads((ROOT / "models" / model / "recipe.toml").read_text())
        recipe = merged(base, {**changes, "seed": seed})

        def run() -> dict[str, Any]:
            pretrained = self.pretrained(model, recipe)
            with tempfile.TemporaryDirectory() as place:
                folder, out = self._folder(model, recipe, Path(place) / model), Path(place) / "run"
                shipped = ROOT / "models" / model / "checkpoint.safetensors"
                as_shipped = recipe == base and shipped.exists()
                if not as_shipped:
                    train_model(folder, out, pretrained=pretrained, progress=self._progress)
                lowered = lower_model(folder, out, checkpoint=shipped if as_shipped else None, progress=self._progress)
                graph = load_graph(out / "graph.safetensors")
                values = read_tensors(out / "samples.safetensors", "samples")[0]["values"][:self.images]
            plan = make_plan(graph)
            spikes = graph.input.encoding(values, graph.timesteps)
            check = check_undisturbed(compile_plan(plan), spikes)
            weights = [np.asarray(node.weight) for node in graph.nodes if hasattr(node, "weight")]
            return {
                "accuracy": lowered["accuracy"], "test_samples": lowered["test_samples"], "mismatches": lowered["mismatches"],
                "ok": lowered["ok"], "weights": sum(weight.size for weight in weights),
                "nonzero": sum(int(np.count_nonzero(weight)) for weight in weights),
                "weight_bits": [row["weight_bits"] for row in lowered["layers"]], "timesteps": graph.timesteps,
                "rates": lowered["rates"],
                "rtl": {"images": len(values), **check.comparison.counts(), "access_counts": check.access_counts,
                        "access_mismatches": check.access_mismatches, "problem": check.problem,
                        "cycles_mean": float(check.simulation.cycles.mean())},
            }

        return self.cache.run({"run": "compressed", "model": model, "recipe": recipe, "images": self.images}, run)


def main() -> int:
    parser = argparse.ArgumentParser(description="Compressed models against their hardware.")
    parser.add_argument("models", nargs="*", metavar="NAME", help="which; all by default")
    parser.add_argument("--seeds", type=int, default=3, help=f"seeds of {', '.join(map(repr, MANY_SEEDS))} (default: 3)")
    parser.add_argument("--images", type=int, default=1000, help="test images that go through the RTL (default: 1000)")
    parser.add_argument("--record", action="store_true", help="write benchmarks/compressed.json")
    given = parser.parse_args()
    if "SNNHW_DATA" not in os.environ:
        parser.error("SNNHW_DATA must name the folder of the data sets")
    if unknown := set(given.models) - set(MODELS):
        parser.error(f"models must be of {', '.join(map(repr, MODELS))}, not {min(unknown)!r}")
    bench = Bench(ROOT / "build" / "compressed", given.images)
    record = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    broken = False
    for name in given.models or MODELS:
        rows = {}
        for seed in range(1, 1 + (given.seeds if name in MANY_SEEDS else 1)):
            rows[str(seed)] = found = bench.measure(name, seed)
            broken |= found["rtl"]["problem"] is not None or not found["ok"]
            print(json.dumps({name: {"seed": seed, "accuracy": found["accuracy"], "rtl": found["rtl"]}}), flush=True)
        record[name] = {"seeds": rows, "versions": versions()}
        if given.record:
            write_bytes(RECORD, (json.dumps(record, indent=1) + "\n").encode())
    return int(broken)


if __name__ == "__main__":
    sys.exit(main())

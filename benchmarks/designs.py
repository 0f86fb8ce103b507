"""Whole designs: trained, lowered, generated, verified image by image, placed and routed. Each takes minutes.

    SNNHW_DATA=folder python benchmarks/designs.py [NAME ...] [--work build/designs] [--images 10000] [--record]

Every step is a command of the package; the designs differ in model, recipe and options. A network that was lowered into the work
folder is not trained again. With --record, benchmarks/designs.json takes the results.
"""

import argparse
import json
import os
import sys
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from typer.testing import CliRunner

from snnhw import reference
from snnhw.cli.app import app
from snnhw.cli.output import versions
from snnhw.compress.flow import lower_model, train_model
from snnhw.files import format_toml, read_tensors, write_bytes
from snnhw.plan import load_plan
from snnhw.plan.cycles import predict_cycles

ROOT = Path(__file__).resolve().parent.parent
RECORD = ROOT / "benchmarks" / "designs.json"
BANKS = {"finetune": {"epochs": 6}, "prune": {"sparsity": 0.875, "scope": "bank", "lanes": 16, "layers": {"fc2": 0.0}}}


@dataclass(frozen=True)
class Design:
    """A model with changes of its recipe, where it is built, and with what options of ``generate`` and ``build``."""

    model: str
    board: str
    generate: tuple[str, ...] = ()
    build: tuple[str, ...] = ()
    changes: dict[str, Any] = field(default_factory=dict)
    run: str | None = None  # folder of the network, where it is not that of the model
    images: int = 10_000


DESIGNS = {
    "mnist, UP5K": Design("mnist", "icebreaker", ("--load-weights", "--lanes", "lif1=16", "--lanes", "lif2=1"),
                          ("--clock", "max")),
    "mnist, UP5K, minimal": Design("mnist", "icebreaker", (
        "--load-weights", "--lanes", "lif1=4", "--lanes", "lif2=1", "--events", "lif1=bitmap"),
        ("--clock", "30")),
    "mnist, ECP5-85, fast": Design("mnist", "ulx3s-85f", ("--lanes", "lif1=128", "--lanes", "lif2=10", "--format", "dense"),
                                   ("--clock", "max")),
    "mnist, ECP5-25, 87.5 % in banks": Design("mnist", "orangecrab-25f", ("--lanes", "lif1=8", "--lanes", "lif2=1"),
                                              ("--clock", "72", "--seeds", "2"), BANKS, "mnist-banks"),
    "lenet, ECP5-85": Design("lenet", "ulx3s-85f", build=("--seeds", "1"), images=200),
}


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return a recipe with some fields changed."""
    return {**base, **{name: merged(base.get(name, {}), value) if isinstance(value, dict) else value
                       for name, value in changes.items()}}


def call(*words: str) -> dict[str, Any]:
    """Run a command of the package, and return its results."""
    done = CliRunner().invoke(app, [*words, "--json", "--quiet"])
    if done.exit_code:
        raise SystemExit(f"snnhw {' '.join(words)}: {done.output}")
    return json.loads(done.stdout)["results"]


def lowered(design: Design, run: Path) -> dict[str, Any]:
    """Train a model, unless it is shipped, and lower it."""
    if (run / "graph.safetensors").exists():
        return json.loads((run / "lowered.json").read_text())
    folder, checkpoint = ROOT / "models" / design.model, ROOT / "models" / design.model / "checkpoint.safetensors"
    if design.changes:
        base = tomllib.loads((folder / "recipe.toml").read_text())
        changed = run / "model"
        changed.mkdir(parents=True, exist_ok=True)
        (changed / "model.py").write_bytes((folder / "model.py").read_bytes())
        (changed / "recipe.toml").write_text(format_toml(merged(base, design.changes)))
        train_model(changed, run, pretrained=checkpoint)
        found = lower_model(changed, run)
    else:
        found = lower_model(folder, run, checkpoint=checkpoint)
    write_bytes(run / "lowered.json", json.dumps({"accuracy": found["accuracy"], "test_samples": found["test_samples"]}).encode())
    return json.loads((run / "lowered.json").read_text())


def cycles_of(run: Path, folder: Path, images: int) -> dict[str, float]:
    """Return the mean, the 99th percentile and the most of the cycles of an image, which are those of the RTL."""
    plan = load_plan(folder)
    values = read_tensors(run / "samples.safetensors", "samples")[0]["values"][:images]
    spikes = plan.graph.input.encoding(values, plan.graph.timesteps)
    cycles = predict_cycles(plan, reference.run(plan.graph, spikes, keep_membranes=False).spikes)
    return {"cycles_mean": float(cycles.mean()), "cycles_p99": float(np.quantile(cycles, 0.99)),
            "cycles_worst": int(cycles.max())}


def measure(name: str, work: Path, images: int) -> dict[str, Any]:
    """Return what one design comes to."""
    design = DESIGNS[name]
    run = work / (design.run or design.model)
    found = lowered(design, run)
    place = run / "".join(character if character.isalnum() else "-" for character in name)  # inside: its samples are verified
    generated = call("generate", str(run), "--out", str(place), "--board", design.board, *design.generate)
    built = call("build", str(place), *design.build)
    checked = call("verify", str(place), "--simulator", "native", "--samples", str(min(images, design.images)))
    return {"model": design.model, "changes": design.changes, "board": design.board, **found, "plan": generated["plan"],
            "build": built, "verify": checked, **cycles_of(run, place, design.images)}


def main() -> int:
    parser = argparse.ArgumentParser(description="Whole designs, from training to place and route.")
    parser.add_argument("designs", nargs="*", metavar="NAME", help=f"which of {', '.join(map(repr, DESIGNS))}; all by default")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "designs")
    parser.add_argument("--images", type=int, default=10_000, help="most test images that go through the RTL (default: 10000)")
    parser.add_argument("--record", action="store_true", help="write benchmarks/designs.json")
    given = parser.parse_args()
    if "SNNHW_DATA" not in os.environ:
        parser.error("SNNHW_DATA must name the folder of the data sets")
    known = json.loads(RECORD.read_text())["designs"] if RECORD.exists() else {}
    for name in given.designs or DESIGNS:
        known[name] = measure(name, given.work, given.images)
        print(json.dumps({name: known[name]}), file=sys.stderr, flush=True)
        if given.record:
            write_bytes(RECORD, (json.dumps({"versions": versions(), "designs": known}, indent=1) + "\n").encode())
    print(json.dumps(known))
    return 0


if __name__ == "__main__":
    sys.exit(main())

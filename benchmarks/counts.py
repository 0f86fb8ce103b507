"""Counts: what is predicted of every core against what counters find in its RTL, equal to the last one.

    [SNNHW_DATA=folder] python benchmarks/counts.py [random] [MODEL ...] [--networks 240] [--samples 4] [--record]

random   random networks with every format, packing, way to keep events, loaded weights and kind of node
MODEL    the networks in models/; those whose data set is not there are left out and named. A network that was lowered into
         build/counts, or put there (graph.safetensors, samples.safetensors), is not made again

Of each sample and each core everything that :func:`snnhw.plan.accesses.count_accesses` and :func:`count_times` predict is
compared: accesses of every memory, additions, updates, transfers through queues, events sent, busy, stalled and idle cycles; and
the cycles of the sample. With --record, benchmarks/counts.json takes the results. Ends with 1 at a difference.
"""

import argparse
import json
import os
import shutil
import sys
import time
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from typer.testing import CliRunner

from snnhw.cli.app import app
from snnhw.cli.output import versions
from snnhw.cost import Counts, check_counts
from snnhw.errors import CheckFailed, NetworkError, UsageError
from snnhw.files import format_toml, read_tensors
from snnhw.ir import load_graph
from snnhw.plan import Plan, make_plan
from snnhw.plan.accesses import TIMES, count_accesses, count_times, predict_schedule
from snnhw.plan.cycles import predict_cycles
from snnhw.plan.packing import PACKINGS
from snnhw.reference import run
from snnhw.verify import RandomCase, Simulator, compile_batch, compile_plan, random_case
from snnhw.verify.random_graphs import random_graph_case

ROOT = Path(__file__).resolve().parent.parent
RECORD = ROOT / "benchmarks" / "counts.json"
WORK = ROOT / "build" / "counts"
BATCH = 12
MODELS = ("digits", "mnist", "mnist-conv", "lenet", "fashion", "nmnist", "braille", "stdp", "speech")
IMPORTED = "fashion", "braille"  # trained in floating point
SETS = {"digits": None, "mnist": "MNIST", "mnist-conv": "MNIST", "lenet": "MNIST", "fashion": "FashionMNIST",
        "nmnist": "NMNIST-small", "braille": "Braille7", "stdp": "MNIST", "speech": "GSC-kws01"}


def compare(simulator: Simulator, spikes: np.ndarray) -> dict[str, Any]:
    """Run samples, compare all their counts with the predicted ones, and return how many there are of each name."""
    plan = simulator.plan
    trains = run(plan.graph, spikes, keep_membranes=False).spikes
    schedule = predict_schedule(plan, trains)
    layers = [{**counts, **times} for counts, times in zip(count_accesses(plan, trains), count_times(schedule), strict=True)]
    predicted = Counts.of(plan, layers, predict_cycles(plan, trains))
    simulation = simulator.run(spikes)
    names: Counter[str] = Counter({"cycles": 2 * len(spikes)})
    problem = simulation.violation
    if (predicted.cycles != schedule.cycles).any():
        problem = problem or "cycles by the formula of chains differ from those of the simulated control"
    try:
        check_counts(plan, predicted, Counts.of(plan, simulation.accesses, simulation.cycles))
    except CheckFailed as error:
        problem = problem or str(error)
    for layer in layers:
        names.update({name if not name.startswith("queue") else "queue_" + name.split("_")[1]: len(spikes) for name in layer})
    sums = {name: int(sum(layer[name].sum() for layer in layers)) for name in TIMES}
    return {"compared": names, "problem": problem, "sums": sums, "cycles": int(predicted.cycles.sum())}


def features(plan: Plan) -> set[str]:
    """Return what a plan has, in words."""
    found = {"chain" if plan.chained else "graph", *(["decision"] if plan.decide else [])}
    for layer in plan.layers:
        found |= {f"format {layer.format}", f"events as {layer.events}", f"output {layer.spec.output}"}
        found |= {f"packing {layer.packing.name}" if layer.packing else "no packing"}
        found |= {name for name, there in (
            ("loaded weights", layer.weights_loaded), ("merged sources", len(layer.sources) > 1),
            ("delayed source", any(source.delayed for source in layer.sources)),
            ("queue between cores", any(source.queue for source in layer.sources)),
            ("events with values", layer.input_value_bits), ("parameters", layer.parameter_bits)) if there}
    return found | {f"node {type(node).__name__}" for node in plan.graph.nodes}


def _varied(case: RandomCase) -> RandomCase:
    """Return the case with events as bits or with packed weights, where its plan allows that."""
    plan = case.plan
    choices: dict[str, Any] = {"lanes": {layer.name: layer.lanes for layer in plan.layers}, "load_weights": plan.loaded_words > 0,
                               "formats": {layer.name: layer.format_choice for layer in plan.layers}, "decide": plan.decide}
    rng = np.random.default_rng([case.seed, 17])
    for other in ({"events": "bitmap"}, {"packings": str(rng.choice(PACKINGS))})[:: 1 if rng.integers(2) else -1]:
        try:
            return RandomCase(case.seed, make_plan(plan.graph, **{**choices, **other}), case.spikes)
        except (UsageError, NetworkError):
            continue
    return case


def random_cases(networks: int) -> Iterator[RandomCase]:
    """Give random networks: chains and graphs in turn, every other one with choices of memories that are drawn too."""
    for seed in range(networks):
        case = random_graph_case(seed // 2) if seed % 2 else random_case(seed // 2, largest=20)
        yield _varied(case) if seed // 2 % 2 else case


def measure_random(networks: int) -> dict[str, Any]:
    """Return what random networks come to."""
    names: Counter[str] = Counter()
    sums: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    problems, samples, cycles = [], 0, 0
    cases = list(random_cases(networks))
    for first in range(0, len(cases), BATCH):
        batch = cases[first:first + BATCH]
        simulators = compile_batch([case.plan for case in batch])
        for case, simulator in zip(batch, simulators, strict=True):
            found = compare(simulator, case.spikes)
            names.update(found["compared"])
            sums.update(found["sums"])
            seen.update(features(case.plan))
            samples, cycles = samples + len(case.spikes), cycles + found["cycles"]
            if found["problem"]:
                problems.append(f"{case}: {found['problem']}")
        # Nothing of a random network is ever built again; kept, it would push other builds out of the cache.
        shutil.rmtree(simulators[0].folder, ignore_errors=True)
        print(f"  {first + len(batch)} of {len(cases)} networks, {sum(names.values())} counts, {len(problems)} networks differ",
              file=sys.stderr, flush=True)
    return {"networks": len(cases), "seeds": f"chains and graphs 0 to {(networks - 1) // 2}", "samples": samples,
            "counts": sum(names.values()), "differing_networks": len(problems), "problems": problems, "clock_cycles": cycles,
            "compared": dict(sorted(names.items())), "predicted_sums": dict(sums), "features": dict(sorted(seen.items()))}


def _changed(model: str, changes: Mapping[str, Any], place: Path) -> Path:
    """Return the folder of a model with some fields of its recipe changed."""
    place.mkdir(parents=True, exist_ok=True)
    recipe = tomllib.loads((ROOT / "models" / model / "recipe.toml").read_text())
    for name, value in changes.items():
        recipe[name] = {**recipe[name], **value} if isinstance(value, dict) else value
    (place / "model.py").write_bytes((ROOT / "models" / model / "model.py").read_bytes())
    (place / "recipe.toml").write_text(format_toml(recipe))
    return place


def lowered(model: str) -> Path:
    """Return the run folder of a model, made if it is not there."""
    out = WORK / model
    if (out / "graph.safetensors").exists():
        return out
    print(f"  lowering {model}", file=sys.stderr, flush=True)
    folder, checkpoint = ROOT / "models" / model, ROOT / "models" / model / "checkpoint.safetensors"
    if model == "stdp":
        from snnhw.stdp.flow import lower_model as lower_stdp
        lower_stdp(folder, out, samples=100)
    elif model == "speech":
        from snnhw.ptq.flow import import_model, load_samples
        from snnhw.ptq.options import Options
        given = load_samples("gsc-kws01", timesteps=None, calibrate=64, count=None)
        import_model(folder, out, given, options=Options(granularity="tensor"),
                     choices={"checkpoint": str(Path(os.environ["SNNHW_DATA"]) / "models/snntorch/s2s_gsc_snntorch.pt")})
    elif model in IMPORTED:
        done = CliRunner().invoke(app, ["import", str(folder), "--out", str(out), "--quiet"])
        if done.exit_code:
            raise SystemExit(f"snnhw import {model}: {done.output}")
    else:
        from snnhw.compress.flow import lower_model, train_model
        if checkpoint.exists():
            lower_model(folder, out, checkpoint=checkpoint)
        else:
            # Counts need no accuracy: one epoch of each stage.
            changed = _changed(model, {"convert": {"epochs": 1}}, out / "model")
            train_model(changed, out)
            lower_model(changed, out)
    return out


def measure_model(model: str, samples: int) -> dict[str, Any]:
    """Return what a model comes to, with the plan that is made of it unless something else is asked for."""
    out = lowered(model)
    graph = load_graph(out / "graph.safetensors")
    values = read_tensors(out / "samples.safetensors", "samples")[0]["values"][:samples]
    spikes = graph.input.encoding(values, graph.timesteps)
    plan = make_plan(graph)
    simulator = compile_plan(plan)
    found = compare(simulator, spikes)
    return {"samples": len(spikes), "timesteps": graph.timesteps, "engine": simulator.engine,
            "counts": sum(found["compared"].values()), "problem": found["problem"], "clock_cycles": found["cycles"],
            "compared": dict(sorted(found["compared"].items())), "predicted_sums": found["sums"],
            "layers": {layer.name: {"format": layer.format, "lanes": layer.lanes} for layer in plan.layers}}


def _there(model: str) -> bool:
    """Return whether the data set of a model is there, or its lowered network."""
    data, wanted = os.environ.get("SNNHW_DATA"), SETS[model]
    if wanted is None or (WORK / model / "graph.safetensors").exists():
        return True
    return data is not None and (Path(data) / wanted).exists()


def main() -> int:
    parser = argparse.ArgumentParser(description="Predicted counts against those of the RTL.")
    parser.add_argument("what", nargs="*", metavar="random|MODEL", help="which; all by default")
    parser.add_argument("--networks", type=int, default=240, help="random networks (default: 240)")
    parser.add_argument("--samples", type=int, default=4, help="samples of each model (default: 4)")
    parser.add_argument("--record", action="store_true", help="write benchmarks/counts.json")
    given = parser.parse_args()
    if unknown := set(given.what) - {"random", *MODELS}:
        parser.error(f"what must be random or of {', '.join(MODELS)}, not {min(unknown)!r}")
    broken = False
    for name in given.what or ("random", *MODELS):
        if name != "random" and not _there(name):
            print(f"{name} is left out: SNNHW_DATA has no {SETS[name]}", file=sys.stderr)
            continue
        began = time.monotonic()
        row = measure_random(given.networks) if name == "random" else measure_model(name, given.samples)
        row |= {"seconds": round(time.monotonic() - began, 1), "versions": versions()}
        differs = bool(row["problem"] if name != "random" else row["differing_networks"])
        broken |= differs
        print(f"{name}: {row['counts']} counts of {row['samples']} samples, {'DIFFERENT' if differs else 'difference 0'}, "
              f"{row['seconds']} s", flush=True)
        for problem in row.get("problems", [row.get("problem")]):
            if problem:
                print(f"  {problem}", file=sys.stderr)
        if given.record:
            record = (json.loads(RECORD.read_text()) if RECORD.exists() else {}) | {name: row}
            RECORD.write_text(json.dumps(record, indent=1) + "\n")
    return int(broken)


if __name__ == "__main__":
    sys.exit(main())

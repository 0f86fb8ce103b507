"""Claims C1, C3, C4 and C5 on networks that learn by spike timing: run seed by seed, judged over all of them."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from snnhw.compress.catalogue import CATALOGUE
from snnhw.stdp.data import StdpData, load_stdp_data
from snnhw.stdp.studies import CLAIMS, NEURONS, ROUNDINGS
from snnhw.studies.grid import Spread
from snnhw.studies.verdicts import UNFINISHED, Outcome, judge

if TYPE_CHECKING:
    from snnhw.studies.claims import Bench

__all__ = ["claim_c1", "claim_c3", "claim_c4", "claim_c5"]

REVISION = 1
SIZES = {"C1": (5000, 2000), "C3": (5000, 2000), "C4": (2000, 2000), "C5": (2000, 2000)}
"""Training and test samples."""
QUICK = 300, 100
CLASSES = "weight", "membrane", "threshold"
EQUAL = 0.01  # of accuracy


def _runs(bench: "Bench", claim: str) -> list[Mapping[str, Any]] | Outcome:
    """Return what the study of a claim found with each seed, or why not."""
    name = "digits" if bench.quick else "mnist"
    train, test = QUICK if bench.quick else SIZES[claim]
    keys = [{"study": "stdp", "revision": REVISION, "claim": claim, "data": name, "train": train, "test": test, "seed": seed}
            for seed in bench.seeds]
    if any(bench.cache.get(key) is None for key in keys):
        CATALOGUE[name].present()
        if bench.collect:
            left = sum(bench.cache.get(key) is None for key in keys)
            return Outcome(UNFINISHED, "", f"{left} of {len(keys)} runs are not finished")
    data: list[StdpData] = []

    def measure(seed: int) -> dict[str, Any]:
        if not data:
            data.append(load_stdp_data(name, Path(), validation=200 if bench.quick else 5000))
        return CLAIMS[claim](data[0], (seed,), lambda stage, done, total, text: bench.progress(f"{stage} {text}"),
                             train=train, test=test)

    return [bench.cache.run(key, partial(measure, seed)) for seed, key in zip(bench.seeds, keys, strict=True)]


def _concluded(bench: "Bench", claim: str, conclude: Callable[[Sequence[Mapping[str, Any]]], Outcome]) -> dict[str, Any]:
    found = _runs(bench, claim)
    if isinstance(found, Outcome):
        return found.as_dict()
    data = f"{'digits' if bench.quick else 'mnist'}, {NEURONS} neurons, {found[0]['train_samples']} training and " \
           f"{found[0]['test_samples']} test images"
    return conclude(found).as_dict() | {"seeds": list(bench.seeds), "data": data}


def _spread(runs: Sequence[Mapping[str, Any]], read: Callable[[Mapping[str, Any]], float]) -> Spread:
    """Return a number of the one row of each seed."""
    return Spread(tuple(float(read(run["rows"][0])) for run in runs))


def _rounded(when: str, name: str) -> Callable[[Mapping[str, Any]], float]:
    return lambda row: float(row[when][name])


def claim_c1(bench: "Bench") -> dict[str, Any]:
    """Measure what 8-bit fixed point saves and costs."""
    def conclude(runs: Sequence[Mapping[str, Any]]) -> Outcome:
        loss, memory = _spread(runs, lambda row: row["loss"]), _spread(runs, lambda row: row["memory_ratio"])
        rows = [{"words": name, "accuracy": _spread(runs, itemgetter(name)).percent()} for name in ("float32", *ROUNDINGS)]
        why = []
        if memory.mean < 3.8:
            why.append(f"memory falls by {memory.mean:.2f} times, not 4")
        if loss.mean > EQUAL:
            why.append(f"{loss.mean * 100:.2f} points are lost")
        return Outcome(judge(not why, memory.mean > 1 and loss.mean <= 2 * EQUAL),
                       f"{memory.text(2)} times less memory, {loss.text(2, 100)} points lost", "; ".join(why), rows=rows)

    return _concluded(bench, "C1", conclude)


def claim_c3(bench: "Bench") -> dict[str, Any]:
    """Measure how many bits each class of words needs."""
    def conclude(runs: Sequence[Mapping[str, Any]]) -> Outcome:
        found = {name: [run["rows"][0][name]["smallest_bits"] for run in runs] for name in CLASSES}
        if any(bits is None for values in found.values() for bits in values):
            return Outcome(judge(False, False), "", "at no width that was tried the loss stays within 1 point")
        wider = [min(membrane, threshold) > weight for weight, membrane, threshold in
                 zip(*(found[name] for name in CLASSES), strict=True)]
        rows = [{"words": name, "smallest width, bits": ", ".join(map(str, found[name])),
                 "format": ", ".join(str(run["rows"][0][name]["smallest"]) for run in runs)} for name in CLASSES]
        why = "" if all(wider) else f"holds for {sum(wider)} of {len(wider)} seeds"
        return Outcome(judge(all(wider), sum(wider) > len(wider) / 2),
                       "; ".join(f"{row['words']} {row['format']}" for row in rows), why, rows=rows)

    return _concluded(bench, "C3", conclude)


def claim_c4(bench: "Bench") -> dict[str, Any]:
    """Measure how far the rounding schemes are apart at 4 and at 8 bits."""
    def conclude(runs: Sequence[Mapping[str, Any]]) -> Outcome:
        apart: dict[tuple[str, int], float] = {}
        rows = []
        for when in ("after", "training"):
            for width in (4, 8):
                means = {rounding: _spread(runs, _rounded(when, f"{width} {rounding}")) for rounding in ROUNDINGS}
                values = [spread.mean for spread in means.values()]
                apart[when, width] = max(values) - min(values)
                rows.append({"rounded": {"after": "after training", "training": "in training"}[when], "weights": f"{width} b"}
                            | {rounding: spread.percent() for rounding, spread in means.items()})
        low, high = (max(apart[when, width] for when in ("after", "training")) for width in (4, 8))
        falls = all(apart[when, 4] > apart[when, 8] for when in ("after", "training"))
        why = "" if low > EQUAL and falls else "the roundings are no further apart at 4 bits than at 8" if low > EQUAL else \
            "the roundings differ by less than 1 point"
        return Outcome(judge(not why, low > high), f"{low * 100:.2f} points between roundings at 4 bits, {high * 100:.2f} at 8",
                       why, rows=rows)

    return _concluded(bench, "C4", conclude)


def claim_c5(bench: "Bench") -> dict[str, Any]:
    """Measure what the inhibitory layer and STDP at every spike cost."""
    def conclude(runs: Sequence[Mapping[str, Any]]) -> Outcome:
        ours = [run["ours"] for run in runs]
        memory = float(np.mean([item["memory_ratio"]["4900"] for item in ours]))
        training, inference = (Spread(tuple(item[f"{name}_operations_ratio"]["mean"] for item in ours))
                               for name in ("training", "inference"))
        names = list(ours[0]["accuracy"])
        before, after = (Spread(tuple(item["accuracy"][name]["mean"] for item in ours)) for name in names)
        lost = before.mean - after.mean
        rows = [{"network": name, "accuracy": spread.percent()} for name, spread in zip(names, (before, after), strict=True)]
        saves = memory > 1 and min(training.values) > 1 and min(inference.values) > 1
        why = []
        if memory <= 5:
            why.append(f"memory at 4900 neurons falls by {memory:.2f} times")
        if not saves:
            why.append("not every seed saves operations")
        if lost > EQUAL:
            why.append(f"{lost * 100:.2f} points are lost")
        return Outcome(judge(not why, saves),
                       f"{memory:.2f} times less memory at 4900 neurons; operations {training.text(2)} times fewer in training, "
                       f"{inference.text(2)} in inference", "; ".join(why), rows=rows)

    return _concluded(bench, "C5", conclude)

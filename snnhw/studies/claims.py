"""The claim table: what the papers say, how each claim is measured here, and what came out."""

import importlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from snnhw.compress.catalogue import CATALOGUE
from snnhw.errors import FileError, UsageError
from snnhw.studies.cache import RunCache
from snnhw.studies.grid import Grid, Trained
from snnhw.studies.quantize_prune import CHECKED, DIGITS, MNIST, Setting, Study, every_point
from snnhw.studies.schaefer import CLAIMS as SCHAEFER
from snnhw.studies.schaefer import NEEDS
from snnhw.studies.verdicts import MISSING, UNFINISHED, Outcome

__all__ = ["CLAIMS", "Bench", "Claim", "check_hardware", "choose_claims", "fill_grid", "grid_of", "run_claims", "study_of"]

SEEDS = 1, 2, 3
QUICK_SEEDS = (1,)
HARDWARE_SAMPLES = 20

Progress = Callable[[str], None]


def _silent(text: str) -> None:
    """Say nothing."""


@dataclass(frozen=True)
class Bench:
    """Where and how claims are measured.

    Parameters
    ----------
    cache : RunCache
        Finished runs.
    seeds : tuple of int
        Every run is repeated with each.
    quick : bool
        A small network on the digits that come with scikit-learn: it shows that everything runs, and proves nothing.
    collect : bool
        Nothing is run: what is finished is gathered.
    data : str
        Data set of the grid of paper A, unless `quick`.
    progress : callable
        Told what happens now.
    """

    cache: RunCache
    seeds: tuple[int, ...] = SEEDS
    quick: bool = False
    collect: bool = False
    data: str = "mnist"
    progress: Progress = field(default=_silent)


@dataclass(frozen=True)
class Claim:
    """One claim of a paper.

    Parameters
    ----------
    id, paper : str
        Number in the table, and who claims it.
    text, published : str
        What is claimed, and with what number.
    rule : str
        When it counts as reproduced.
    measure : callable
        From a :class:`Bench` to an :class:`Outcome`; a FileError says which data is not there.
    """

    id: str
    paper: str
    text: str
    published: str
    rule: str
    measure: Callable[[Bench], Outcome]


# ------------------------------------------------------------------ paper A


def study_of(bench: Bench) -> Study:
    """Return the study of paper A that a bench runs."""
    return Study(_setting(bench), bench.cache)


def _setting(bench: Bench) -> Setting:
    return DIGITS if bench.quick else replace(MNIST, data=bench.data)


def _grid(name: str) -> Callable[[Bench], Outcome]:
    """Return the measurement of a claim of paper A."""
    def measure(bench: Bench) -> Outcome:
        setting = _setting(bench)
        CATALOGUE[setting.data].present()
        study = Study(setting, bench.cache)
        if not bench.collect:
            study.run(bench.seeds, NEEDS[name], bench.progress)
        grid = grid_of(bench)
        if set(grid.seeds(*NEEDS[name])) != set(bench.seeds):  # "for every seed" means those that were asked for
            left = sum(study.find(seed, point) is None for seed in bench.seeds for point in NEEDS[name])
            return Outcome(UNFINISHED, "", f"{left} of {len(bench.seeds) * len(NEEDS[name])} runs are not finished")
        outcome = SCHAEFER[name](grid)
        return replace(outcome, data=f"{setting.data}, {_size(setting)}, T = {setting.timesteps}, {setting.epochs} epochs on "
                                     f"{setting.samples:,} images")

    return measure


def _size(setting: Setting) -> str:
    return f"{64 if setting.data == 'digits' else 784}-{setting.hidden}-10"


def grid_of(bench: Bench) -> Grid:
    """Return the points of the grid of paper A that are finished; none if its data is not there."""
    study = study_of(bench)
    return Grid(Trained(*item) for item in study.found(bench.seeds, every_point()))


def fill_grid(bench: Bench) -> None:
    """Train every point of the grid of paper A."""
    study_of(bench).run(bench.seeds, every_point(), bench.progress)


def check_hardware(bench: Bench, samples: int = HARDWARE_SAMPLES) -> list[dict[str, Any]]:
    """Simulate the hardware of representative points of the first seed; return words compared and different, a row for each.

    Points that are not trained yet are left out, and if nothing may be run, those that were not simulated.
    """
    study, rows = study_of(bench), []
    for point in CHECKED:
        seed = next((seed for seed in bench.seeds if study.find(seed, point) is not None), None)
        if seed is None:
            continue
        found = study.hardware_found(seed, point, samples)
        if found is None and not bench.collect:
            bench.progress(f"simulating the hardware of {point.title}")
            found = study.hardware(seed, point, samples)
        if found is not None:
            rows.append({"title": point.title, "seed": seed, "data": study.setting.data, **asdict(point), **found})
    return rows


# ------------------------------------------------------------ papers B and C


def _structure(function: str) -> Callable[[Bench], Outcome]:
    return _other("snnhw.studies.structure", function)


def _stdp(function: str) -> Callable[[Bench], Outcome]:
    return _other("snnhw.studies.stdp", function)


def _other(module: str, function: str) -> Callable[[Bench], Outcome]:
    """Return a measurement that another study has: a function from a bench to the plain values of an outcome."""
    def measure(bench: Bench) -> Outcome:
        CATALOGUE["digits" if bench.quick else "mnist"].present()
        return Outcome.of(getattr(importlib.import_module(module), function)(bench))

    return measure


_A, _B, _C = "Schaefer et al. 2023", "Chowdhury et al. 2021", "Putra and Shafique 2020 to 2022"

CLAIMS: tuple[Claim, ...] = (
    Claim("A1", _A, "quantization down to ternary weights costs no accuracy", "97.57 % at 2, 3, 4, 6 and 8 b",
          "ternary loses at most 1 point against 8 b", _grid("A1")),
    Claim("A2", _A, "pruning costs no accuracy up to 80 %",
          "97.57 % (80 % pruned), 96.88 (85), 95.49 (90), 81.60 (95), 59.03 (97.5)",
          "the last share that loses at most 1 point is 80 or 85 %, and at least 5 points are lost at the largest share",
          _grid("A2")),
    Claim("A3", _A, "8-bit weights pruned by 80 % need 45 % more energy than ternary ones",
          "1.457 (RLE, CP), 1.343 (UOP), 1.387 (UBM)",
          "accuracies within 1 point, the ratio with RLE above 1 for every seed and at least 1.23", _grid("A3")),
    Claim("A4", _A, "quantization makes zeros", "67.9 / 31.6 / 15.1 / 3.6 / 0.9 % at 2 / 3 / 4 / 6 / 8 b",
          "50 to 80 % of ternary weights, and fewer with every step in width", _grid("A4")),
    Claim("A5", _A, "compressing weights pays at few bits only",
          "up to 3 b: 9.59 against 16.56 mJ at 2 b, 23.28 against 20.33 mJ at 8 b",
          "energy with run lengths, against dense weights whose zeros are not used, is smaller at 2 and 3 b alone", _grid("A5")),
    Claim("A6", _A, "run lengths and coordinates beat offsets and masks for sparse weights",
          "ternary: 9.59 / 9.63 / 12.19 / 13.02 mJ for RLE / CP / UOP / UBM",
          "RLE and CP need less energy than UOP and UBM for ternary, 8 b + 80 % and 3 b + 80 %", _grid("A6")),
    Claim("A7", _A, "DRAM takes most of the energy", "70 / 82 / 80 % for ternary / 8 b / 8 b + 80 %",
          "more than half for all three, timestep by timestep", _grid("A7")),
    Claim("A8", _A, "3 bits and pruning together keep accuracy and do not beat ternary weights",
          "97.57 % at 1.14 (joint) and 1.15 (cumulative) times the energy of ternary",
          "at most 1 point lost, and more energy than ternary with both schedules for every seed", _grid("A8")),
    Claim("A9", _A, "giving up accuracy buys energy: pruned ternary networks are on the Pareto front",
          "97.22 % at 9.13 mJ, 96.53 % at 8.67 mJ, ternary 97.57 % at 9.59 mJ",
          "one is on the front of energy (RLE) and validation accuracy, at most 2 points below the best", _grid("A9")),
    Claim("A10", _A, "joint and cumulative training end nearly equal", "within about 1 point up to 90 % pruned",
          "at most 1 point apart at every pair of points up to 90 %", _grid("A10")),
    Claim("B1", _B, "principal components of membranes make a network 10 to 14 times smaller", "0.07 of the parameters",
          "8 times fewer parameters at most 1.5 points below", _structure("claim_b1")),
    Claim("B2", _B, "pruned networks keep their accuracy", "89.04 % (CIFAR-10; 90.10 % before), 66.4 % (CIFAR-100)",
          "at most 2 points below after both prunings", _structure("claim_b2")),
    Claim("B3", _B, "training with fewer and fewer timesteps lowers latency", "3 to 30 times against other networks",
          "a quarter of the timesteps at most 2 points below", _structure("claim_b3")),
    Claim("B4", _B, "the spatially pruned network spikes less", "no number", "fewer spikes for every seed",
          _structure("claim_b4")),
    Claim("B5", _B, "computing takes 8 to 14 times less energy than without spikes", "8 to 14",
          "at least 8 times less with 0.9 and 4.6 pJ for an addition and a multiplication with addition", _structure("claim_b5")),
    Claim("B6", _B, "weights quantized after training are stable down to 5 bits", "5 bits",
          "at most 2 points lost from 8 to 5 bits, more than 2 at 2 bits", _structure("claim_b6")),
    Claim("B7", _B, "pruned networks stand Gaussian noise better", "1 to 4 points",
          "at least 1 point more, averaged over the noise, for every seed", _structure("claim_b7")),
    Claim("C1", _C, "fixed point saves four times the memory within 1 % (unsupervised, MNIST)", "about 4 times, within 1 %",
          "at least 3.8 times less memory, at most 1 point lost", _stdp("claim_c1")),
    Claim("C3", _C, "the state of a neuron needs more bits than a weight", "for example Q1.4 against Q11.16",
          "membranes and thresholds need more bits than weights for every seed", _stdp("claim_c3")),
    Claim("C4", _C, "the rounding scheme changes the result at few bits", "no number",
          "more than 1 point between roundings at 4 bits, and less at 8", _stdp("claim_c4")),
    Claim("C5", _C, "removing the inhibitory layer and thinning STDP save memory and energy",
          "7.5 times (memory, 4900 neurons), 3.5 (energy of training), 1.8 (of inference)",
          "more than 5 times less memory at 4900 neurons, fewer operations for every seed, at most 1 point lost",
          _stdp("claim_c5")),
)
"""In the order of the table."""


def choose_claims(names: Sequence[str]) -> tuple[Claim, ...]:
    """Return the claims of these names, in the order of the table; all of them for no name. ``"A"`` names those of one paper."""
    known = {claim.id: claim for claim in CLAIMS}
    papers = {claim.id[0] for claim in CLAIMS}
    wanted: set[str] = set()
    for name in names:
        chosen = {claim.id for claim in CLAIMS if claim.id[0] == name.upper()} if name.upper() in papers else {name.upper()}
        if not chosen <= set(known):
            raise UsageError(f"claim must be one of {', '.join(known)}, or a letter for all of a paper, not {name!r}")
        wanted |= chosen
    return tuple(claim for claim in CLAIMS if not wanted or claim.id in wanted)


def run_claims(claims: Sequence[Claim], bench: Bench) -> list[dict[str, Any]]:
    """Measure claims and return them with their outcomes, plain values; data that is not there is an outcome too."""
    results = []
    for claim in claims:
        bench.progress(f"claim {claim.id}: {claim.text}")
        try:
            outcome = claim.measure(bench)
        except FileError as error:
            if "SNNHW_DATA" not in str(error):
                raise
            outcome = Outcome(MISSING, "", str(error))
        results.append({"id": claim.id, "paper": claim.paper, "claim": claim.text, "published": claim.published,
                        "rule": claim.rule, "command": _command(claim, bench), **outcome.as_dict()})
    return results


def _command(claim: Claim, bench: Bench) -> str:
    """Return what measures a claim again."""
    extra = " --quick" if bench.quick else f" --data {bench.data}" if claim.id[0] == "A" and bench.data != "mnist" else ""
    seeds = "" if bench.seeds == (QUICK_SEEDS if bench.quick else SEEDS) else f" --seeds {len(bench.seeds)}"
    return f"snnhw claims {claim.id} --out claims{extra}{seeds}"

"""The stages of a candidate, run in a worker process. Each ends in one file, which appears whole."""

import inspect
import os
import secrets
import shutil
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from snnhw.errors import SnnhwError, ToolMissing, UsageError
from snnhw.files import read_json, write_json
from snnhw.sweep.candidate import make_recipe, plan_options, pretrain, pretrain_key, shrink, train
from snnhw.sweep.space import Values
from snnhw.sweep.study import Study
from snnhw.tools import ToolFailed

__all__ = ["PRETRAIN", "Setting", "check_plan_options", "load_setting", "run_job"]

PRETRAIN = "pretrain"
KEPT_SAMPLES = 4  # golden vectors that ship with the Verilog

Json = dict[str, Any]


class Setting:
    """A candidate and everything around it, as the files of a sweep have it.

    Parameters
    ----------
    folder : Path
        Folder of the sweep.
    number : int
        Candidate.
    values : mapping
        Its parameters.
    identity : mapping
        Content of ``study.json``.
    """

    def __init__(self, folder: Path, number: int, values: Values, identity: Mapping[str, Any]):
        self.folder, self.number, self.values = folder, number, values
        self.study = Study.model_validate(identity["study"])
        self.board = identity["board"]
        self.model = folder / "model"
        self.name = f"{identity['name']}-{number}"
        self.recipe = make_recipe(identity["recipe"], self.study.recipe, values)
        self.plan = plan_options(self.study.plan, values)
        self.key = pretrain_key(self.recipe, self.study.after_pretrain, self.study.epoch_fields[0], identity["hash"])

    @property
    def trial(self) -> Path:
        return self.folder / "trials" / str(self.number)

    @property
    def floats(self) -> Path:
        """Folder of the float network; the file of the same name with ``.json`` says how it went."""
        return self.folder / PRETRAIN / self.key


def load_setting(folder: Path, number: int) -> Setting:
    """Return a candidate by its number."""
    stored = read_json(folder / "trials" / str(number) / "candidate.json", "candidate")
    return Setting(folder, number, stored["values"], read_json(folder / "study.json", "study of the sweep"))


def check_plan_options(options: Mapping[str, Any]) -> None:
    """Refuse options that the plan does not have."""
    from snnhw.plan import make_plan
    known = [name for name, parameter in inspect.signature(make_plan).parameters.items()
             if parameter.kind is parameter.KEYWORD_ONLY]
    for name in options:
        if name not in known:
            raise UsageError(f"plan options must be {', '.join(known)}, not {name!r}")


@contextmanager
def _new_folder(target: Path, name: str) -> Iterator[Path]:
    """Give a folder of that name which becomes `target` when the block ends well, and vanishes when it does not."""
    around = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        (around / name).mkdir(parents=True)
        yield around / name
        shutil.rmtree(target, ignore_errors=True)  # complete, but its result was not written yet
        os.replace(around / name, target)
    finally:
        shutil.rmtree(around, ignore_errors=True)


def run_job(job: Mapping[str, Any]) -> Json:
    """Run one stage of one candidate and write what it found; return that.

    What a candidate does wrong is a result, with ``ok`` false and a sentence. What every candidate would suffer from, such as a
    tool that is missing or a full disk, is raised.

    Parameters
    ----------
    job : mapping
        ``folder`` of the sweep, ``number`` of the candidate, ``stage``: one of :data:`snnhw.sweep.study.STAGES`, or
        :data:`PRETRAIN`.
    """
    setting = load_setting(Path(job["folder"]), job["number"])
    stage = job["stage"]
    target = setting.floats.with_suffix(".json") if stage == PRETRAIN else setting.trial / f"{stage}.json"
    if target.exists():
        return read_json(target, "result of a candidate")
    started = time.monotonic()
    try:
        result = {"ok": True, "problem": None, **_STAGES[stage](setting)}
    except (ToolMissing, OSError, MemoryError):
        raise
    except (SnnhwError, ToolFailed) as error:
        result = {"ok": False, "problem": str(error)}
    except Exception as error:
        result = {"ok": False, "problem": f"{type(error).__name__}: {error}", "traceback": traceback.format_exc()}
    result = {"schema": 1, "stage": stage, "number": setting.number, **result, "seconds": round(time.monotonic() - started, 2)}
    write_json(target, result)
    return result


def _pretrain(setting: Setting) -> Json:
    study = setting.study
    with _new_folder(setting.floats, setting.name) as folder:
        found = pretrain(setting.model, folder, setting.recipe, study.after_pretrain, study.epoch_fields[0])
    return {"accuracy": found["accuracy"].get("float")}


def _train(setting: Setting, folder: Path, share: float, samples: int, *, final: bool = False) -> Json:
    """Train a share of the epochs, lower, and estimate everything; if final, measure on held-out samples too.

    The run folder is `folder`.
    """
    from snnhw.board import load_board
    from snnhw.plan import make_plan
    from snnhw.sweep.measure import estimates, load_trained
    study = setting.study
    recipe = shrink(setting.recipe, study.epoch_fields, share)
    trained, lowered = train(setting.model, folder, recipe, setting.floats)
    if not lowered["ok"]:
        raise UsageError(str(lowered["problem"]))
    loaded = load_trained(folder, holdout=study.holdout, seed=study.seed)
    plan = make_plan(loaded.graph, **setting.plan)
    found = estimates(loaded, plan, load_board(setting.board), samples)
    if final and len(loaded.held):
        found["accuracy_held_out"] = loaded.accuracy(loaded.held)
    return found | {"layers": lowered["layers"], "training": {name: trained.get(name) for name in ("accuracy", "losses")}}


def _estimate(setting: Setting) -> Json:
    with _scratch(setting, "estimate") as folder:
        return _train(setting, folder, 0.0, setting.study.stages.estimate.samples)


def _short(setting: Setting) -> Json:
    stage = setting.study.stages.short
    assert stage is not None
    with _scratch(setting, "short") as folder:
        return _train(setting, folder, stage.epochs, stage.samples)


@contextmanager
def _scratch(setting: Setting, stage: str) -> Iterator[Path]:
    """Give a folder that vanishes."""
    around = setting.trial / f".{stage}.{secrets.token_hex(4)}.tmp"
    try:
        (around / setting.name).mkdir(parents=True)
        yield around / setting.name
    finally:
        shutil.rmtree(around, ignore_errors=True)


def _full(setting: Setting) -> Json:
    stage = setting.study.stages.full
    with _new_folder(setting.trial / "full", setting.name) as folder:
        return _train(setting, folder, stage.epochs, stage.samples, final=True)


def _verify(setting: Setting) -> Json:
    from rtl_gen import generate
    from snnhw.board import load_board
    from snnhw.build.board_files import board_files
    from snnhw.plan import make_plan
    from snnhw.sweep.measure import load_trained
    from snnhw.verify.flow import verify_folder
    from snnhw.verify.vectors import make_vectors
    stage, study = setting.study.stages.verify, setting.study
    assert stage is not None
    loaded = load_trained(setting.trial / "full", holdout=study.holdout, seed=study.seed)
    plan = make_plan(loaded.graph, **setting.plan)
    spikes = loaded.spikes(loaded.searched[:stage.samples])
    hardware = setting.trial / "hardware"
    shutil.rmtree(hardware, ignore_errors=True)
    board = load_board(setting.board)
    generate(plan, hardware, board=board, vectors=make_vectors(plan, spikes[:KEPT_SAMPLES]),
             extra_files=board_files(plan, board), command=f"snnhw sweep, candidate {setting.number}")
    found = verify_folder(hardware, simulator="native", spikes=spikes)
    return {"ok": found["ok"], "problem": found["problem"], "verification": found}


def _synthesis(setting: Setting) -> Json:
    from snnhw.board import load_board
    from snnhw.build import build
    from snnhw.plan import make_plan
    from snnhw.plan.area import estimate_area
    from snnhw.sweep.measure import load_trained, measured_energy
    stage, study = setting.study.stages.synthesis, setting.study
    assert stage is not None
    board = load_board(setting.board)
    loaded = load_trained(setting.trial / "full", holdout=study.holdout, seed=study.seed)
    plan = make_plan(loaded.graph, **setting.plan)
    out = setting.trial / "bitstream"
    shutil.rmtree(out, ignore_errors=True)
    hardware = setting.trial / "hardware"
    design = hardware if hardware.is_dir() and study.stages.verify else plan
    built = build(design, board, seeds=range(1, stage.seeds + 1), out=out)
    area = estimate_area(plan, board)
    comparison: Json = {
        name: {"estimate": area.used[name][0], "low": area.used[name][1], "high": area.used[name][2],
               "measured": built.used.get(name, 0)}
        for name in ("logic", "flip_flops", "block_ram", "dsp")}
    if area.fmax_mhz is not None and built.median_mhz is not None:
        estimated = dict(zip(("estimate", "low", "high"), area.fmax_mhz, strict=True))
        comparison["fmax_mhz"] = estimated | {"measured": built.median_mhz}
    spikes = loaded.spikes(loaded.searched[:stage.samples])
    found = measured_energy(plan, spikes, board, built.used.get("flip_flops"))
    comparison |= {name: found[name] for name in ("cycles", "energy_nj")}
    comparison["latency_us"] = {name: value / board.clock.hz * 1e6 for name, value in found["cycles"].items()}
    full = read_json(setting.trial / "full.json", "result of a candidate")["metrics"]
    metrics = full | {name: comparison[name]["measured"] for name in comparison if name in full}
    return {"metrics": metrics, "comparison": comparison, "verdict": built.verdict, "meets_clock": built.meets_clock,
            "fmax_mhz": built.median_mhz, "build": built.as_dict()}


_STAGES = {PRETRAIN: _pretrain, "estimate": _estimate, "short": _short, "full": _full, "verify": _verify, "synthesis": _synthesis}

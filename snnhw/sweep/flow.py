"""The coordinator: asks for candidates, has their stages run, drops the bad ones, and writes what came out.

Search goes in rounds. The candidates of a round are estimated; those that surely do not fit the board go; of the others, as many
as ``stages.short.keep`` says are trained shortly. The sampler is then told what each was worth, in the order of their numbers,
and proposes the next round. After the last round the candidates compete for full training, those for verification, those for
place and route. Who enters a stage is decided from finished results alone, by :func:`snnhw.sweep.rank.order`, so a sweep that was
killed and goes on decides the same.
"""

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snnhw.assets import asset
from snnhw.board import load_board
from snnhw.errors import FileError, SnnhwError, ToolMissing, UsageError
from snnhw.files import read_json, write_json
from snnhw.sweep.candidate import check_recipe, make_recipe, plan_options, read_recipe
from snnhw.sweep.engine import Done, Engine, make_engine
from snnhw.sweep.rank import order
from snnhw.sweep.space import Range, choice_label, settings
from snnhw.sweep.stages import PRETRAIN, Setting, check_plan_options
from snnhw.sweep.store import CODE, Store, model_hash
from snnhw.sweep.study import METRICS, STAGES, Study, load_study

if TYPE_CHECKING:
    from snnhw.sweep.sampler import Proposer

__all__ = ["Status", "run_sweep"]

SCHEMA = 1
ATTEMPTS = 2
WAIT_SECONDS = 0.5
FAILED_VIOLATION = 1e6
DROPPED_VIOLATION = 1e-6  # dropped before training: worse than all that were trained, better than what breaks a constraint

Json = dict[str, Any]


@dataclass
class Status:
    """How far a sweep has come.

    Attributes
    ----------
    stage : str
        What runs now.
    done, total : int
        Candidates of this stage that are over, and all of them.
    proposed, candidates : int
        Candidates so far, and how many there will be.
    alive, dropped, failed : int
        What has become of those.
    best : dict of str to float
        Best value of each objective so far, at the last stage that any candidate finished.
    best_stage : str
        That stage.
    """

    stage: str = ""
    done: int = 0
    total: int = 0
    proposed: int = 0
    candidates: int = 0
    alive: int = 0
    dropped: int = 0
    failed: int = 0
    best: dict[str, float] = field(default_factory=dict)
    best_stage: str = ""


Progress = Callable[[Status], None]


def run_sweep(path: Path, out: Path, *, engine: str | Engine = "local", jobs: int = 1,
              progress: Progress | None = None) -> Json:
    """Run a study, or go on with it, and return what ``sweep.json`` records.

    Parameters
    ----------
    path : Path
        Study file.
    out : Path
        Folder of the sweep: new, or that of the same study. What is finished there is not done again.
    engine : str or Engine
        See :func:`snnhw.sweep.engine.make_engine`.
    jobs : int
        Processes of the engine ``"local"``.
    progress : function of Status, optional
        Told whenever something is over.

    Returns
    -------
    dict
        Objectives, candidates with their parameters, results and fate, and the front. Plain values.
    """
    study = load_study(path)
    model = _model_folder(study.model, Path(path).resolve().parent)
    board = _board(study.board, Path(path).resolve().parent)
    base = read_recipe(model)
    _check_space(study, base, model)
    identity = {"schema": SCHEMA, "study": study.model_dump(mode="json"), "name": model.resolve().name, "recipe": base,
                "hash": model_hash(model), "board": board}
    free = ["study.model", "study.board", "study.candidates", "study.stages.verify.keep", "study.stages.synthesis.keep"]
    if study.stages.short is not None:
        free.append("study.stages.full.keep")
    started = time.monotonic()
    store = Store(out)
    try:
        store.prepare(identity, model, tuple(free))
        running = make_engine(engine, jobs=jobs, folder=store.folder) if isinstance(engine, str) else engine
        try:
            from snnhw.sweep.sampler import Proposer  # Optuna is optional, and other commands use this room
            sweep = _Sweep(study, store, Proposer(study, store.journal), running, progress or (lambda status: None))
            sweep.search()
            sweep.finish()
        finally:
            running.close()
        return sweep.results() | {"seconds": round(time.monotonic() - started, 1)}
    finally:
        store.close()


def _model_folder(name: str, beside: Path) -> Path:
    """Return a model folder: beside the study, or shipped."""
    tried = [beside / name, Path(name)]
    if Path(name).parent in (Path("."), Path("models")) and Path(name).name:
        tried.append(asset("models", Path(name).name))
    for path in tried:
        if all((path / part).is_file() for part in CODE):
            return path
    raise FileError(f"model folder {name!r} must hold {' and '.join(CODE)}, beside the study or among the shipped models")


def _board(name: str, beside: Path) -> str:
    """Return the name of a board, or the path of its file; refuse what is neither."""
    found = str((beside / name).resolve()) if name.endswith(".toml") else name
    load_board(found)
    return found


def _check_space(study: Study, base: Json, model: Path) -> None:
    """Refuse fields that neither the recipe nor the plan has, and those of which no value is allowed."""
    import tempfile
    first = {name: _values(axis)[0] for name, axis in study.space.items()}
    check_plan_options(plan_options(study.plan, first))
    with tempfile.TemporaryDirectory() as folder:
        try:
            check_recipe(make_recipe(base, study.recipe, {}), Path(folder))
        except UsageError as error:
            raise UsageError(f"study: recipe of the model with the fields of the study: {_after(error)}") from None
        for name, axis in study.space.items():
            problems = []
            for value in _values(axis):
                try:
                    check_recipe(make_recipe(base, study.recipe, {name: value}), Path(folder))
                except UsageError as error:
                    problems.append(_after(error))
            if len(problems) == len(_values(axis)):
                raise UsageError(f"study: space {name!r} must be a field of the recipe, or plan.OPTION: {problems[0]}")


def _values(axis: Any) -> list[Any]:
    return [axis.low, axis.high] if isinstance(axis, Range) else list(axis)


def _after(error: UsageError) -> str:
    """Return what is wrong with a recipe, without the name of the file that was made to find out."""
    return str(error).partition("': ")[2] or str(error)


class _Sweep:
    """One run of the coordinator."""

    def __init__(self, study: Study, store: Store, proposer: "Proposer", engine: Engine, progress: Progress):
        self.study, self.store, self.proposer, self.engine, self._tell_progress = study, store, proposer, engine, progress
        self.identity = read_json(store.folder / "study.json", "study of the sweep")
        self.stages = study.stages.names
        self.settings: dict[int, Setting] = {}
        self.found: dict[int, dict[str, Json]] = {}
        self.reasons: dict[int, str] = {}
        self.status = Status(candidates=study.candidates)

    # The search

    def search(self) -> None:
        """Run all rounds: estimate, short training, and telling the sampler."""
        size = self.study.round
        for start in range(0, self.study.candidates, size):
            numbers = list(takewhile(self._propose, range(start, min(start + size, self.study.candidates))))
            self._run("estimate", numbers)
            if start == 0 and numbers and not any(self._ok(number, "estimate") for number in numbers):
                problem = self.found[numbers[0]]["estimate"]["problem"]
                raise UsageError(f"study: all {len(numbers)} candidates of the first round failed, the first with: {problem}")
            searched = self.study.stages.searched
            self._run(searched, self._enter(searched, numbers))
            for number in numbers:
                if not self.proposer.told(number):
                    self._tell(number)
            if len(numbers) < min(size, self.study.candidates - start):
                break  # the space has no further point

    def _propose(self, number: int) -> bool:
        """Make candidate `number`; return whether there is one."""
        path = self.store.trial(number) / "candidate.json"
        point = self.proposer.point(number)
        if point is None:
            return False
        values = settings(self.study.space, point)
        if not path.exists():
            write_json(path, {"schema": SCHEMA, "number": number, "values": values})
        self.settings[number] = Setting(self.store.folder, number, values, self.identity)
        self.found[number] = {stage: result for stage in STAGES if (result := self.store.read(number, stage)) is not None}
        return True

    def _tell(self, number: int) -> None:
        stage = next((stage for stage in (self.study.stages.searched, "estimate") if self._ok(number, stage)), None)
        if stage is None or not self._ok(number, self._last(number)):
            # As bad as can be, so that its like is proposed no more; values of what breaks a constraint do not count.
            self.proposer.tell(number, [0.0] * len(self.study.objectives), FAILED_VIOLATION)
            return
        violation = self.violation(number, stage)
        if stage != self.study.stages.searched:
            violation = max(violation, DROPPED_VIOLATION)
        self.proposer.tell(number, self.objectives(number, stage), violation)

    # The final

    def finish(self) -> None:
        """Full training, verification, place and route, for those that are good enough."""
        previous = self.study.stages.searched
        for stage in self.stages[self.stages.index(previous) + 1:]:
            self._run(stage, self._enter(stage, [number for number in self.settings if self._ok(number, previous)]))
            previous = stage

    # Who goes on

    def _last(self, number: int) -> str:
        return next(stage for stage in reversed(self.stages) if stage in self.found[number])

    def _ok(self, number: int, stage: str) -> bool:
        return bool(self.found[number].get(stage, {}).get("ok"))

    def metrics(self, number: int, stage: str) -> dict[str, float]:
        """Return the metrics of a candidate at a stage; verification, which has none of its own, passes those before on."""
        known = [self.found[number][name] for name in STAGES[:STAGES.index(stage) + 1] if name in self.found[number]]
        return next(result["metrics"] for result in reversed(known) if "metrics" in result)

    def objectives(self, number: int, stage: str) -> list[float]:
        metrics = self.metrics(number, stage)
        return [metrics[name] for name in self.study.objectives]

    def violation(self, number: int, stage: str) -> float:
        """Return by how much a candidate misses the board and the constraints."""
        metrics = self.metrics(number, stage)
        total = sum(limit.violation(metrics[name]) for name, limit in self.study.constraints.items())
        if self.study.fits:
            known = [self.found[number][name] for name in ("full", "short", "estimate") if name in self.found[number]]
            board = next((result["board"] for result in known if "board" in result), None)
            if board is not None and board["problem"]:
                total += max(float(board["missing"]), DROPPED_VIOLATION)
        return total

    def _enter(self, stage: str, numbers: Sequence[int]) -> list[int]:
        """Return which candidates enter a stage, and note why the others do not."""
        before = self.stages[self.stages.index(stage) - 1]
        alive = [number for number in numbers if self._ok(number, before)]
        for number in [*alive]:
            problem = self._forbidden(number, before)
            if problem:
                self.reasons[number] = problem
                alive.remove(number)
        points = [self.objectives(number, before) for number in alive]
        ranked, front = order(points, self.study.directions, [self.violation(number, before) for number in alive])
        keep = getattr(self.study.stages, stage).keep
        count = front if keep == "front" else math.ceil(keep * len(alive)) if isinstance(keep, float) else min(keep, len(alive))
        for place, index in enumerate(ranked):
            if place < count:
                self.reasons.pop(alive[index], None)
            else:
                self.reasons[alive[index]] = f"place {place + 1} of {len(alive)} after {before}, {count} go on to {stage}"
        return sorted(alive[index] for index in ranked[:count])

    def _forbidden(self, number: int, stage: str) -> str:
        """Return why a candidate may not go on whatever the others are, or nothing."""
        board = self.found[number][stage].get("board")
        if self.study.fits and board is not None and board["problem"]:
            return str(board["problem"])
        if self.study.fits and self.found[number][stage].get("meets_clock") is False:
            return str(self.found[number][stage]["verdict"])
        if stage in ("full", "verify", "synthesis"):
            metrics = self.metrics(number, stage)
            for name, limit in self.study.constraints.items():
                if limit.violation(metrics[name]) > 0:
                    return f"{METRICS[name].title} must be {_text(limit)}, not {metrics[name]:.6g}"
        return ""

    # Running

    def _run(self, stage: str, numbers: Iterable[int]) -> None:
        """Have a stage run for those candidates for which it is not over."""
        numbers = list(numbers)
        self.status.stage, self.status.total = stage, len(numbers)
        missing = [number for number in numbers if stage not in self.found[number]]
        if stage == "estimate":
            missing = self._pretrain(missing)
        self.status.stage = stage
        self._report(len(numbers) - len(missing))
        for done in self._gather([self._job(number, stage) for number in missing], self._record):
            missing.remove(done)
            self._report(len(numbers) - len(missing))
        if numbers:
            self._report(len(numbers))

    def _record(self, job: Json, result: Json) -> int:
        self.found[job["number"]][job["stage"]] = result
        return job["number"]

    def _pretrain(self, numbers: list[int]) -> list[int]:
        """Train the float networks that candidates begin with; return those whose network is there."""
        by_key: dict[str, list[int]] = {}
        for number in numbers:
            by_key.setdefault(self.settings[number].key, []).append(number)
        known = {key: self._float_result(key) for key in by_key}
        jobs = [self._job(members[0], PRETRAIN) for key, members in by_key.items() if known[key] is None]
        self.status.stage, self.status.total = PRETRAIN, len(jobs)
        for count, key in enumerate(self._gather(jobs, lambda job, result: self.settings[job["number"]].key), 1):
            known[key] = self._float_result(key)
            self._report(count)
        self.status.total = len(numbers)
        left = []
        for key, members in by_key.items():
            result = known[key]
            for number in members:
                if result is not None and result["ok"]:
                    left.append(number)
                else:
                    problem = f"training of the float network: {result['problem'] if result else 'its worker ended'}"
                    self._fail(number, "estimate", problem)
        return sorted(left)

    def _float_result(self, key: str) -> Json | None:
        path = self.store.folder / PRETRAIN / f"{key}.json"
        return read_json(path, "result of a float network") if path.exists() else None

    def _job(self, number: int, stage: str) -> Json:
        return {"folder": str(self.store.folder), "number": number, "stage": stage}

    def _fail(self, number: int, stage: str, problem: str) -> None:
        self.store.write(number, stage, {"ok": False, "problem": problem, "seconds": 0.0})
        result = self.store.read(number, stage)
        assert result is not None
        self.found[number][stage] = result

    def _gather(self, jobs: Sequence[Json], record: Callable[[Json, Json], Any]) -> Iterable[Any]:
        """Run jobs; yield what `record` makes of each result. A job whose worker ended is tried once more."""
        attempts: dict[tuple[int, str], int] = {}
        for job in jobs:
            self.engine.submit(job)
        left = len(jobs)
        while left:
            for done in self.engine.gather(WAIT_SECONDS):
                job = dict(done.job)
                if done.died:
                    tries = attempts[job["number"], job["stage"]] = attempts.get((job["number"], job["stage"]), 0) + 1
                    if tries < ATTEMPTS:
                        self.engine.submit(job)
                        continue
                left -= 1
                yield record(job, self._result(done, job))

    def _result(self, done: Done, job: Json) -> Json:
        if isinstance(done.error, SnnhwError | OSError | MemoryError):  # every candidate would suffer from it
            raise done.error
        if done.error is not None:
            raise ToolMissing(f"engine must run jobs of the sweep, and cannot: {type(done.error).__name__}: {done.error}")
        if done.result is not None:
            return done.result
        problem = f"worker ended {ATTEMPTS} times without an answer; too little memory?"
        if job["stage"] != PRETRAIN:
            self._fail(job["number"], job["stage"], problem)
            return self.found[job["number"]][job["stage"]]
        return {"ok": False, "problem": problem}

    def _report(self, done: int) -> None:
        status = self.status
        status.done, status.proposed = done, len(self.settings)
        fates = [self.fate(number) for number in self.settings]
        status.failed, status.dropped = fates.count("failed"), fates.count("dropped")
        status.alive = len(fates) - status.failed - status.dropped
        for stage in reversed(self.stages):
            members = [number for number in self.settings if self._ok(number, stage)]
            if members:
                status.best_stage = stage
                status.best = {name: (max if METRICS[name].direction == "max" else min)(
                    self.metrics(number, stage)[name] for number in members) for name in self.study.objectives}
                break
        self._tell_progress(status)

    # The outcome

    def fate(self, number: int) -> str:
        """Return ``"failed"``, ``"dropped"`` or ``"alive"``."""
        if any(not result["ok"] for result in self.found[number].values()):
            return "failed"
        return "dropped" if number in self.reasons else "alive"

    def results(self) -> Json:
        """Return everything that was found, and which candidates are the front: of those that finished the last stage."""
        last = self.stages[-1]
        ended = [number for number in self.settings if self._ok(number, last)]
        for number in ended:
            if problem := self._forbidden(number, last):
                self.reasons[number] = problem
        ended = [number for number in ended if number not in self.reasons]
        ranked, count = order([self.objectives(number, last) for number in ended], self.study.directions, [0.0] * len(ended))
        front = sorted(ended[index] for index in ranked[:count])
        rows = [self._row(number, number in front) for number in sorted(self.settings)]
        reached = {stage: sum(stage in self.found[number] for number in self.settings) for stage in self.stages}
        fates = [row["fate"] for row in rows]
        return {
            "ok": bool(front), "problem": None if front else f"no candidate finished {last} within the constraints",
            "model": self.identity["name"], "board": self.identity["board"], "seed": self.study.seed,
            "objectives": [{"name": name, "direction": METRICS[name].direction, "title": METRICS[name].title}
                           for name in self.study.objectives],
            "metrics": {name: {"direction": metric.direction, "title": metric.title} for name, metric in METRICS.items()},
            "space": [{"name": name, "values": axis.model_dump() if isinstance(axis, Range) else list(map(choice_label, axis))}
                      for name, axis in self.study.space.items()],
            "constraints": {name: limit.model_dump() for name, limit in self.study.constraints.items()},
            "sampler": self.study.sampler.model_dump(), "stages": list(self.stages), "reached": reached,
            "counts": {name: fates.count(name) for name in ("front", "done", "dropped", "failed")} | {"proposed": len(rows)},
            "front": front, "candidates": rows,
            "stage_seconds": {stage: round(sum(found[stage]["seconds"] for found in self.found.values() if stage in found), 1)
                              for stage in self.stages},
        }

    def _row(self, number: int, in_front: bool) -> Json:
        found = self.found[number]
        failed = next((stage for stage in STAGES if stage in found and not found[stage]["ok"]), None)
        finished = [stage for stage in self.stages if self._ok(number, stage)]
        fate = "front" if in_front else "failed" if failed else "dropped" if number in self.reasons else "done"
        row: Json = {
            "number": number, "fate": fate, "values": self.settings[number].values, "stage": finished[-1] if finished else None,
            "reason": found[failed]["problem"] if failed else self.reasons.get(number), "failed_at": failed,
            "metrics": self.metrics(number, finished[-1]) if finished else None,
            "estimate": {stage: found[stage]["metrics"] for stage in ("estimate", "short", "full") if self._ok(number, stage)},
            "seconds": {stage: result["seconds"] for stage, result in found.items()},
        }
        if self._ok(number, "full"):
            row["accuracy_held_out"] = found["full"].get("accuracy_held_out")
        if "verify" in found:
            row["verification"] = found["verify"].get("verification")
        if self._ok(number, "synthesis"):
            row |= {name: found["synthesis"][name] for name in ("comparison", "verdict", "meets_clock", "fmax_mhz")}
        return row


def _text(limit: Any) -> str:
    """Return bounds in words."""
    return " and ".join(f"{word} {value:g}" for word, value in (("at least", limit.min), ("at most", limit.max))
                        if value is not None)

"""Proposals by Optuna, asked and told by the coordinator alone, the same after any crash.

The sampler of candidate N is made anew from the seed of the study and N, and sees what candidates of earlier rounds were worth.
So a sweep that was killed proposes what it would have proposed.
"""

import json
import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, NSGAIISampler, TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from snnhw.errors import FileError
from snnhw.sweep.space import Axis, Range, Values, choice_label, draw, grid, grid_size, snap
from snnhw.sweep.study import Study

__all__ = ["Proposer"]

NAME = "sweep"
MANY_DRAWS = 1000


class _NoLock:
    """The folder of the sweep is locked as a whole, by a lock that ends with the process; a file would stay behind."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        pass


def _distribution(axis: Axis) -> BaseDistribution:
    if not isinstance(axis, Range):
        return CategoricalDistribution([choice_label(value) for value in axis])
    if axis.whole:
        return IntDistribution(int(axis.low), int(axis.high), log=axis.log, step=int(axis.step or 1))
    return FloatDistribution(axis.low, axis.high, log=axis.log, step=axis.step)


def _key(point: Mapping[str, Any]) -> str:
    return json.dumps(point, sort_keys=True)


class _Sampler(BaseSampler):
    """Proposes all parameters at once, and none twice."""

    def __init__(self, study: Study):
        self._study = study
        self._space = study.space
        self._distributions = {name: _distribution(axis) for name, axis in study.space.items()}

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._distributions

    def sample_relative(self, study: optuna.Study, trial: FrozenTrial,
                        search_space: dict[str, BaseDistribution]) -> dict[str, Any]:
        rng = np.random.default_rng((self._study.seed, trial.number))
        point = draw(self._space, rng)
        inner = self._inner(int(rng.integers(1 << 31)))
        if inner is not None:
            point |= {name: snap(self._space[name], value)
                      for name, value in inner.sample_relative(study, trial, search_space).items()}
        used = {_key(other.params) for other in study.get_trials(deepcopy=False) if other.number != trial.number}
        if self._study.sampler.kind == "grid":
            return next(point for point in grid(self._space) if _key(point) not in used)
        for _ in range(MANY_DRAWS):
            if _key(point) not in used:
                return point
            point = draw(self._space, rng)
        if math.isfinite(grid_size(self._space)):
            return next((point for point in grid(self._space) if _key(point) not in used), point)
        return point

    def _inner(self, seed: int) -> BaseSampler | None:
        config = self._study.sampler
        if config.kind == "tpe":
            return TPESampler(seed=seed, n_startup_trials=config.startup, multivariate=True)
        if config.kind == "nsga2":
            return NSGAIISampler(seed=seed, population_size=config.population)
        return None

    def sample_independent(self, study: optuna.Study, trial: FrozenTrial, param_name: str,
                           param_distribution: BaseDistribution) -> Any:
        raise AssertionError("every parameter is proposed together with the others")


def _mend(path: Path) -> None:
    """Cut off a last line that a crash left incomplete."""
    if path.exists():
        content = path.read_bytes()
        if content and not content.endswith(b"\n"):
            with open(path, "r+b") as file:
                file.truncate(content.rfind(b"\n") + 1)


class Proposer:
    """The proposals of a sweep, in its journal.

    Parameters
    ----------
    study : Study
        What is searched.
    journal : Path
        File; made when it is missing.
    """

    def __init__(self, study: Study, journal: Path):
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._space = study.space
        _mend(journal)
        try:
            storage = JournalStorage(JournalFileBackend(str(journal), lock_obj=_NoLock()))  # type: ignore[arg-type]
            directions = [StudyDirection.MAXIMIZE if direction == "max" else StudyDirection.MINIMIZE
                          for direction in study.directions]
            self._optuna = optuna.create_study(storage=storage, study_name=NAME, directions=directions,
                                               sampler=_Sampler(study), load_if_exists=True)
        except (ValueError, KeyError) as error:
            raise FileError(f"journal {str(journal)!r} must be one that a sweep wrote: {error}") from None

    def _trials(self) -> list[FrozenTrial]:
        return self._optuna.get_trials(deepcopy=False)

    def __len__(self) -> int:
        return len(self._trials())

    def point(self, number: int) -> Values | None:
        """Return the parameters of candidate `number`, proposing them if need be; None when the space has no further point."""
        trials = self._trials()
        if number < len(trials) and len(trials[number].params) == len(self._space):
            return {name: trials[number].params[name] for name in self._space}
        assert number <= len(trials), "candidates are proposed in order"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if number < len(trials):  # a crash in the middle of asking; the same parameters come again
                trial = optuna.Trial(self._optuna, trials[number]._trial_id)
            elif len(trials) >= grid_size(self._space):
                return None
            else:
                trial = self._optuna.ask()
            for name, axis in self._space.items():
                trial._suggest(name, _distribution(axis))
        assert trial.number == number
        return {name: trial.params[name] for name in self._space}

    def told(self, number: int) -> bool:
        """Whether the sampler knows what candidate `number` was worth."""
        return self._trials()[number].state.is_finished()

    def tell(self, number: int, values: Sequence[float], violation: float = 0.0) -> None:
        """Tell what a candidate was worth: its objectives, and by how much it misses the constraints."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a crash between the two lines: the constraint is there already
            optuna.Trial(self._optuna, self._trials()[number]._trial_id).set_constraint("violation", violation)
            self._optuna.tell(number, list(values))

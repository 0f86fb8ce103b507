"""The best of many trained networks on one board: every one is folded, what cannot be is refused with the reason."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from snnhw import reference
from snnhw.board import Board
from snnhw.cost import estimate
from snnhw.errors import BoardError, NetworkError, UsageError
from snnhw.fit.candidates import Candidate
from snnhw.plan import Choices
from snnhw.plan.folding import Folding, Goal, fold, format_time
from snnhw.plan.limits import find_limits
from snnhw.plan.space import Space, Statistic

__all__ = ["OBJECTIVES", "Wish", "select"]

OBJECTIVES = ("energy", "latency", "area", "accuracy")
RUNGS = 5           # foldings of a network, from the smallest to the fastest
ENERGY_RUNG = "A2"  # operations, accesses, clock and static power, with the constants of the board
DRAWS = 100         # only the middle value is used, which draws do not change

Json = dict[str, Any]
Objective = Literal["energy", "latency", "area", "accuracy"]


@dataclass(frozen=True)
class Wish:
    """What is looked for.

    Parameters
    ----------
    board : Board
        Where it has to fit.
    accuracy : float
        Lowest accuracy.
    max_latency : float or None
        Longest time of a sample, seconds.
    best : str
        One of :data:`OBJECTIVES`; what is equal is decided by the area, then the latency.
    statistic : str
        Which of the samples is the latency: one of :data:`snnhw.plan.space.STATISTICS`.
    clock_hz : float, "max" or None
        Clock; by default the oscillator of the board.
    loaded : tuple of bool
        Weights in the bitstream, loaded at run time, or both are tried.
    samples : int
        Test samples behind latency and energy.
    """

    board: Board
    accuracy: float = 0.0
    max_latency: float | None = None
    best: Objective = "energy"
    statistic: Statistic = "worst"
    clock_hz: float | Literal["max"] | None = None
    loaded: tuple[bool, ...] = (False, True)
    samples: int = 200

    def __post_init__(self) -> None:
        if not 0 <= self.accuracy <= 1:
            raise UsageError(f"accuracy must be between 0 and 1, not {self.accuracy:g}")
        if self.best not in OBJECTIVES:
            raise UsageError(f"best must be {', '.join(OBJECTIVES[:-1])} or {OBJECTIVES[-1]}, not {self.best!r}")
        Goal("fastest", statistic=self.statistic)  # an unknown one is refused before anything is read
        if self.samples < 1:
            raise UsageError(f"samples must be at least 1, not {self.samples}")


@dataclass(frozen=True)
class _Design:
    """A network, folded."""

    candidate: Candidate
    loaded: bool
    folding: Folding
    energy_nj: float

    def key(self, best: Objective) -> tuple[float, ...]:
        """Return what is made small."""
        area, seconds = self.folding.area.used["logic"][0], self.folding.seconds
        first = {"energy": self.energy_nj, "latency": seconds, "area": area, "accuracy": -self.candidate.accuracy}[best]
        return first, area, seconds, self.energy_nj

    def as_dict(self) -> Json:
        used = self.folding.area.used
        return {
            "network": self.candidate.name, "accuracy": self.candidate.accuracy, "accuracy_from": self.candidate.source,
            "plan": Choices.of(self.folding.plan).arguments(), "weights": _weights(self.loaded),
            "seconds": self.folding.seconds, "cycles": self.folding.latency_cycles, "clock_hz": self.folding.clock_hz,
            "energy_nj": self.energy_nj, "samples": len(self.folding.cycles), "proven": self.folding.proven,
            "used": {name: {"estimate": estimate, "low": low, "high": high} for name, (estimate, low, high) in used.items()},
        }


def _weights(loaded: bool) -> str:
    return "loaded" if loaded else "fixed"


def select(candidates: Sequence[Candidate], wish: Wish, *, progress: Callable[[str], None] = lambda text: None) -> Json:
    """Return the best network and configuration, all that are feasible in order, and why the others are not.

    Nothing is synthesised. A configuration is feasible when the upper bound of its estimated area fits the board and its exact
    cycles, on the test samples of the network, are within the latency.

    Returns
    -------
    dict
        ``winner`` (None without one), ``feasible`` (the best first) and ``rejected``: for each network, or each network with
        fixed or loaded weights, one sentence.
    """
    feasible: list[_Design] = []
    rejected: list[Json] = []
    for place, candidate in enumerate(candidates, 1):
        progress(f"network {place} of {len(candidates)}: {candidate.name}")
        if candidate.accuracy < wish.accuracy:
            rejected.append(_rejection(candidate, None, f"accuracy must be at least {wish.accuracy:.2%}, and is "
                                                        f"{candidate.accuracy:.2%} ({candidate.source})"))
            continue
        trains = reference.run(candidate.graph, candidate.spikes(wish.samples), keep_membranes=False).spikes
        for loaded in wish.loaded:
            try:
                space = Space(candidate.graph, wish.board, trains, fixed={"load_weights": loaded})
                found = _foldings(space, wish)
            except (BoardError, NetworkError, UsageError) as error:
                rejected.append(_rejection(candidate, loaded, str(error)))
                continue
            if isinstance(found, str):
                rejected.append(_rejection(candidate, loaded, found))
                continue
            feasible += [_Design(candidate, loaded, folding, _energy_nj(folding, trains, wish.board)) for folding in found]
    feasible.sort(key=lambda design: (*design.key(wish.best), design.candidate.name, design.loaded))
    winner = feasible[0].as_dict() if feasible else None
    if winner is not None:
        best = feasible[0]
        trains = reference.run(best.candidate.graph, best.candidate.spikes(wish.samples), keep_membranes=False).spikes
        winner["limits"] = find_limits(best.folding.plan, trains, wish.board, cycles=best.folding.cycles).sentence
        winner["folder"] = str(best.candidate.folder)
    return {
        "ok": winner is not None,
        "problem": None if winner is not None else
        f"no network of {len(candidates)} fits {wish.board} as asked: {rejected[0]['reason'] if rejected else 'there is none'}",
        "board": wish.board.name, "accuracy": wish.accuracy, "max_latency": wish.max_latency, "best": wish.best,
        "statistic": wish.statistic, "networks": len(candidates), "winner": winner,
        "feasible": [design.as_dict() for design in feasible], "rejected": rejected,
    }


def _rejection(candidate: Candidate, loaded: bool | None, reason: str) -> Json:
    return {"network": candidate.name, "accuracy": candidate.accuracy, "weights": None if loaded is None else _weights(loaded),
            "reason": reason}


def _foldings(space: Space, wish: Wish) -> list[Folding] | str:
    """Return foldings from the smallest that is fast enough to the fastest, or why there is none."""
    fastest = fold(space, Goal("fastest", statistic=wish.statistic), clock_hz=wish.clock_hz)
    limit = math.inf if wish.max_latency is None else wish.max_latency
    if fastest.seconds > limit:
        lanes = ", ".join(f"{name}={count}" for name, count in fastest.configuration["lanes"].items())
        sentence = find_limits(fastest.plan, space.trains, space.board, cycles=fastest.cycles).sentence
        return (f"latency must be at most {format_time(limit)}, and is at least {format_time(fastest.seconds)} at "
                f"{fastest.clock_hz / 1e6:g} MHz with lanes {lanes}; {sentence}")
    smallest = fold(space, Goal("latency", limit, wish.statistic), clock_hz=wish.clock_hz)
    found = [smallest]
    for rung in range(1, RUNGS - 1):
        between = smallest.seconds * (fastest.seconds / smallest.seconds) ** (rung / (RUNGS - 1))
        found.append(fold(space, Goal("latency", max(between, fastest.seconds), wish.statistic), clock_hz=wish.clock_hz))
    found.append(fastest)
    return list({tuple(folding.configuration["lanes"].items()): folding for folding in found}.values())


def _energy_nj(folding: Folding, trains: Any, board: Board) -> float:
    """Return the mean energy of a sample, nJ."""
    results = estimate(folding.plan, trains, board=board, clock_hz=folding.clock_hz, draws=DRAWS)
    return float(next(rung["mid_pj"] for rung in results["energy"] if rung["rung"] == ENERGY_RUNG)) / 1e3

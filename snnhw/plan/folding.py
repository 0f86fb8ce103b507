"""Folding: how many lanes each layer gets, chosen for a latency, an area, or as fast as a board allows.

Cycles are those of :mod:`snnhw.plan.cycles` on given samples, area is that of :mod:`snnhw.plan.area`, and what is chosen fits
even when its area is the *upper* bound of the estimate.

The area is a sum over the layers, so combinations can be walked through from the smallest on, and the first that is fast enough
is the smallest. Most of those that are too slow are known to be without following their schedule, by the lower bound of
:mod:`snnhw.plan.pace`. What is taken at the end is compared with its neighbours once more, by the estimates of the whole plans.
"""

import heapq
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from snnhw.board import RESOURCES, Board, available
from snnhw.errors import BoardError, UsageError
from snnhw.ir import Graph
from snnhw.plan.area import Area
from snnhw.plan.cycles import predict_cycles
from snnhw.plan.plan import Plan
from snnhw.plan.planner import make_plan
from snnhw.plan.space import LANES, STATISTICS, Combination, Space, Statistic, statistic_of

__all__ = ["Folding", "Goal", "fold", "fold_samples", "format_time", "parse_area", "parse_time"]

FOLLOWED = 500          # samples that a search follows
ADDED = 20              # samples that are added where those were not the longest
MAX_WALKED = 50_000     # combinations that a search looks at
MAX_MEASURED = 400      # combinations of which a search computes the cycles
CLOSE = 1.02            # two latencies that bisection does not tell apart
_UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ns": 1e-9}


def parse_time(text: str, what: str) -> float:
    """Return seconds from a text such as ``1ms`` or ``50us``."""
    found = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*(s|ms|us|µs|μs|ns)", text.strip())
    if found is None or float(found[1]) <= 0:
        raise UsageError(f"{what} must be a time such as 1ms or 50us, not {text[:40]!r}")
    return float(found[1]) * _UNITS[found[2]]


def parse_area(text: str, board: Board, what: str) -> int:
    """Return logic cells from a text such as ``60%`` of the board, or ``1500``."""
    found = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*(%?)", text.strip())
    cells = 0
    if found is not None and (found[2] or "." not in found[1]):
        cells = math.floor(float(found[1]) / 100 * board.budget.logic.count) if found[2] else int(found[1])
    if cells < 1:
        raise UsageError(f"{what} must be a share of the board such as 60%, or a number of its logic cells, not {text[:40]!r}")
    return cells


def format_time(seconds: float) -> str:
    """Return a time with four digits, in the unit that suits it."""
    unit, factor = next(((unit, factor) for unit, factor in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)) if seconds >= factor),
                        ("ns", 1e-9))
    return f"{seconds / factor:.4g} {unit}"


@dataclass(frozen=True)
class Goal:
    """What a folding is for.

    Parameters
    ----------
    kind : str
        ``"latency"``: the smallest that is fast enough. ``"area"``: the fastest that is small enough. ``"fastest"``: the fastest
        that fits the board.
    limit : float
        Seconds of a sample, or logic cells; not used by ``"fastest"``.
    statistic : str
        One of :data:`STATISTICS`.
    """

    kind: Literal["latency", "area", "fastest"]
    limit: float = math.inf
    statistic: Statistic = "worst"

    def __post_init__(self) -> None:
        if self.statistic not in STATISTICS:
            raise UsageError(f"latency must be {', '.join(STATISTICS[:-1])} or {STATISTICS[-1]} of the samples, "
                             f"not {self.statistic!r}")


@dataclass(frozen=True)
class Folding:
    """What a search chose.

    Attributes
    ----------
    goal : Goal
        What for.
    plan : Plan
        The plan.
    configuration : dict
        Options with which :func:`make_plan` makes it.
    cycles : int64 array, (samples,)
        Of the samples that it was chosen with.
    area : Area
        Estimate.
    clock_hz : float
        Clock that the latency is at.
    measured : int
        Combinations whose cycles were computed, of :attr:`combinations`.
    combinations : int
        How many there are.
    proven : bool
        No combination is better by the estimates, for the samples that the search followed; else only no neighbour is.
    followed : int
        How many samples the search followed.
    """

    goal: Goal
    plan: Plan
    configuration: dict[str, Any]
    cycles: np.ndarray
    area: Area
    clock_hz: float
    measured: int
    combinations: int
    proven: bool
    followed: int

    @property
    def latency_cycles(self) -> float:
        """The statistic of the goal."""
        return statistic_of(self.cycles, self.goal.statistic)

    @property
    def seconds(self) -> float:
        return self.latency_cycles / self.clock_hz

    def as_dict(self) -> dict[str, Any]:
        """Return the folding as JSON."""
        limit = self.goal.limit if math.isfinite(self.goal.limit) else None
        return {
            "goal": self.goal.kind, "limit": limit, "limit_unit": {"latency": "s", "area": "logic cells"}.get(self.goal.kind),
            "statistic": self.goal.statistic, "samples": len(self.cycles), "followed": self.followed, "clock_hz": self.clock_hz,
            "cycles": self.latency_cycles, "seconds": self.seconds, "lanes": self.configuration["lanes"],
            "logic": dict(zip(("estimate", "low", "high"), self.area.used["logic"], strict=True)),
            "measured": self.measured, "combinations": self.combinations, "proven": self.proven,
            "promise": "the upper bound of the estimated area fits; cycles are exact",
        }


def _by_cost(options: Sequence[int], costs: Sequence[tuple[int, ...]]) -> list[int]:
    """Return choices of a layer, the smallest first."""
    return sorted(options, key=lambda index: (costs[index], index))


class _Search:
    """A search in a space, for one statistic and what may be used of each resource."""

    def __init__(self, space: Space, statistic: Statistic, allowed: Mapping[str, int]):
        self.space, self.statistic, self.allowed = space, statistic, allowed
        self.proven = True

    def latency(self, combination: Combination) -> float:
        """Return the cycles that count."""
        return statistic_of(self.space.cycles(combination), self.statistic)

    def fits(self, combination: Combination) -> bool:
        """Whether the upper bound of the estimate is allowed."""
        return all(high <= self.allowed[name] for name, (_, _, high) in self.space.area(combination).used.items())

    def smallest(self, limit: float = math.inf) -> Combination | None:
        """Return the smallest combination that fits and takes at most `limit` cycles, None when there is none."""
        options = self._fast_enough(limit)
        if options is None:
            return None
        found, complete = self._walk(options, limit)
        if not complete:
            self.proven = False
            found = self._climb(options, limit)
        return found if found is None else self._polished(found, self.space.cost, limit)

    def fastest(self) -> Combination | None:
        """Return the fastest combination that fits, and of those as fast the smallest; None when nothing fits."""
        best = self.smallest()
        if best is None:
            return None
        fastest = tuple(int(pace.sum(axis=(1, 2)).argmin()) for pace in self.space.paces)
        low, high = statistic_of(self.space.least_cycles(fastest), self.statistic), self.latency(best)
        while high > low * CLOSE:
            middle = math.sqrt(low * high)
            found = self.smallest(middle)
            if found is None:
                low = middle
            else:
                best, high = found, self.latency(found)
        while (found := self.smallest(math.nextafter(self.latency(best), 0))) is not None:
            best = found
        return self._polished(self.smallest(self.latency(best)) or best,
                              lambda each: (self.latency(each), *self.space.cost(each)), math.inf)

    def _fast_enough(self, limit: float) -> list[list[int]] | None:
        """Return the choices of each layer that by themselves are not too slow, None where a layer has none."""
        options = [[index for index in kept if statistic_of(pace[index].sum(axis=1), self.statistic) <= limit]
                   for kept, pace in zip(self.space.kept, self.space.paces, strict=True)]
        return options if all(options) else None

    def _walk(self, options: list[list[int]], limit: float) -> tuple[Combination | None, bool]:
        """Look at combinations from the smallest on; return the first that fits and is fast enough, and whether all were seen."""
        space, marginal = self.space, self.space.marginal
        ranked = [_by_cost(some, costs) for some, costs in zip(options, marginal, strict=True)]

        def costs(ranks: Combination) -> tuple[int, ...]:
            parts = [marginal[layer][ranked[layer][rank]] for layer, rank in enumerate(ranks)]
            return tuple(map(sum, zip(*parts, strict=True)))

        base = {name: space.area(space.first).used[name][2] for name in RESOURCES}
        loaded = any(layer.weights_loaded for layer in space.plan(space.first).layers)
        begin = (0,) * len(ranked)
        queue, seen = [(costs(begin), begin)], {begin}
        walked, before = 0, space.measured
        while queue:
            cost, ranks = heapq.heappop(queue)
            walked += 1
            if walked > MAX_WALKED or space.measured - before > MAX_MEASURED:
                return None, False
            highest = {name: base[name] + cost[LANES + 1 + place] for place, name in enumerate(RESOURCES)}
            if highest["logic"] > self.allowed["logic"] * 1.01 + len(ranks):  # and so has all that follows
                break
            combination = tuple(ranked[layer][rank] for layer, rank in enumerate(ranks))
            # Loaded weights share the single-port memories in an order of their own: only the whole plan says who gets some.
            if (loaded or all(highest[name] <= self.allowed[name] for name in ("block_ram", "dsp"))) \
                    and statistic_of(space.least_cycles(combination), self.statistic) <= limit \
                    and self.fits(combination) and self.latency(combination) <= limit:
                return combination, True
            for layer in range(len(ranks)):
                following = (*ranks[:layer], ranks[layer] + 1, *ranks[layer + 1:])
                if following[layer] < len(ranked[layer]) and following not in seen:
                    seen.add(following)
                    heapq.heappush(queue, (costs(following), following))
        return None, True

    def _climb(self, options: list[list[int]], limit: float) -> Combination | None:
        """Return what fits and is fast enough, from the smallest on, always by the step that saves most cycles for its cells."""
        space = self.space
        current = tuple(_by_cost(some, costs)[0] for some, costs in zip(options, space.marginal, strict=True))
        while not self.fits(current) or self.latency(current) > limit:
            steps = []
            for layer, some in enumerate(options):
                pace = space.paces[layer].sum(axis=(1, 2)).tolist()
                faster = [(-pace[index], index) for index in some if pace[index] < pace[current[layer]]]
                if faster:
                    step = space.replaced(current, layer, min(faster)[1])
                    if self.fits(step):
                        gain = float(space.cycles(current).sum() - space.cycles(step).sum())
                        steps.append((gain / max(1, space.cost(step)[0] - space.cost(current)[0]), step))
            if not steps:
                return None
            current = max(steps, key=lambda item: (item[0], item[1]))[1]
        return current

    def _polished(self, found: Combination, cost: Callable[[Combination], tuple[float, ...]], limit: float) -> Combination:
        """Return a combination that no neighbour beats; areas are now those of whole plans."""
        while True:
            better = [each for each in self.space.neighbours(found)
                      if cost(each) < cost(found) and self.fits(each) and self.latency(each) <= limit]
            if not better:
                return found
            found = min(better, key=cost)


def fold(space: Space, goal: Goal, *, clock_hz: float | Literal["max"] | None = None) -> Folding:
    """Choose how each layer is built.

    Parameters
    ----------
    space : Space
        The combinations.
    goal : Goal
        What for.
    clock_hz : float or "max", optional
        Clock that a latency is at: by default the oscillator of the board; ``"max"`` is the lower bound of the estimated highest
        frequency.

    Raises
    ------
    BoardError
        Nothing fits the board.
    UsageError
        The goal cannot be reached; the sentence says what can.
    """
    board = space.board
    allowed = available(board)
    if goal.kind == "area":
        allowed["logic"] = min(allowed["logic"], int(goal.limit))
    search = _Search(space, goal.statistic, allowed)
    hertz = _clock(space, clock_hz)
    while True:
        found = search.smallest(goal.limit * hertz * (1 + 1e-12)) if goal.kind == "latency" else search.fastest()
        if found is None:
            raise _impossible(space, goal, hertz)
        own = _clock_of(space, found) if clock_hz == "max" else hertz
        if own >= hertz or goal.kind != "latency":
            hertz = own
            break
        hertz = own  # slower than both ends: what is fast enough at the clock of the ends may not be at its own
    configuration = space.configuration(found)
    plan = make_plan(space.graph, **configuration)
    cycles = space.cycles(found)
    return Folding(goal, plan, configuration, cycles, space.area(found), hertz, space.measured,
                   math.prod(map(len, space.choices)), search.proven, len(cycles))


def fold_samples(graph: Graph, board: Board, trains: Mapping[str, np.ndarray], goal: Goal, *,
                 fixed: Mapping[str, Any] | None = None, clock_hz: float | Literal["max"] | None = None,
                 most: int = FOLLOWED) -> Folding:
    """Choose how each layer is built, for more samples than a search follows.

    A search follows `most` of them: for the worst those with the most input events, else the first. What it chooses is followed
    with all. Where a latency is then missed, it searches again, with the longest samples added or for less time.

    Parameters
    ----------
    graph, board, trains, fixed
        As of :class:`~snnhw.plan.space.Space`.
    goal, clock_hz
        As of :func:`fold`.
    most : int
        Samples that a search follows.
    """
    events = np.count_nonzero(np.asarray(trains[graph.input.name]), axis=(1, 2))
    total, asked, worst = len(events), goal, goal.statistic == "worst"
    chosen = np.sort(np.argsort(-events, kind="stable")[:most]) if worst else np.arange(min(most, total))
    while True:
        some = {name: np.asarray(train)[chosen] for name, train in trains.items()}
        try:
            found = fold(Space(graph, board, some, fixed=fixed), asked, clock_hz=clock_hz)
        except UsageError:
            if asked is goal:
                raise
            chosen, asked = np.arange(total), goal  # the time that was left was too short, by these samples
            continue
        cycles = found.cycles if len(chosen) == total else predict_cycles(found.plan, trains)
        seconds = statistic_of(cycles, goal.statistic) / found.clock_hz
        if goal.kind != "latency" or seconds <= goal.limit * (1 + 1e-12):
            return replace(found, goal=goal, cycles=cycles, proven=found.proven and asked is goal)
        if worst:
            chosen = np.union1d(chosen, np.argsort(-cycles, kind="stable")[:ADDED])
        else:
            asked = replace(asked, limit=asked.limit * goal.limit / seconds * (1 - 1e-9))


def _clock_of(space: Space, combination: Combination) -> float:
    """Return the lower bound of the highest clock frequency, Hz."""
    frequency = space.area(combination).fmax_mhz
    if frequency is None:
        raise UsageError(f"clock must be given in MHz for {space.board}: its highest frequency is not estimated for this network")
    return frequency[1] * 1e6


def _clock(space: Space, clock_hz: float | Literal["max"] | None) -> float:
    if clock_hz is None:
        return float(space.board.clock.hz)
    if clock_hz == "max":
        # Depth of the memories, and with it the frequency, follows the lanes: that of the slower end holds for all.
        return min(_clock_of(space, space.first), _clock_of(space, space.last))
    fastest = space.area(space.last).fmax_mhz
    if fastest is not None and clock_hz > fastest[2] * 1e6:
        raise UsageError(f"clock must be at most {fastest[2]:g} MHz on {space.board}, the upper bound of the estimated highest "
                         f"frequency, not {clock_hz / 1e6:g}")
    return float(clock_hz)


def _impossible(space: Space, goal: Goal, hertz: float) -> BoardError | UsageError:
    """Return why a goal cannot be reached, and what is nearest."""
    network, board = f"network {space.graph.name!r}", space.board
    search = _Search(space, goal.statistic, available(board))
    nearest = search.smallest()
    if nearest is None:
        return BoardError("; ".join(space.shortages()))
    if goal.kind == "area":
        high = space.area(nearest).used["logic"][2]
        return UsageError(f"target area must be at least {high:,} logic cells for {network} on {board}, the upper bound of the "
                          f"estimate of its smallest folding, not {int(goal.limit):,}")
    fastest = search.fastest()
    assert fastest is not None
    cycles = search.latency(fastest)
    lanes = ", ".join(f"{name}={count}" for name, count in space.configuration(fastest)["lanes"].items())
    return UsageError(f"target latency must be at least {format_time(cycles / hertz)} for {network} on {board} at "
                      f"{hertz / 1e6:g} MHz, not {format_time(goal.limit)}: the fastest folding that fits, with lanes {lanes}, "
                      f"takes {cycles:,.0f} cycles ({goal.statistic} of {len(space.cycles(fastest))} samples)")

"""What a folding is chosen from: every way to build the layers of a graph, with cycles and area.

A *choice* is one way to build one layer, a *combination* has one for each layer. Only those numbers of lanes are choices with
which a layer has fewer tiles than with one lane less: lanes between them cost area and save at most the rest of a tile.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np

from snnhw.board import RESOURCES, Board, available, shortages
from snnhw.ir import Graph
from snnhw.plan.accesses import events_of
from snnhw.plan.area import Area, estimate_area
from snnhw.plan.cycles import predict_cycles
from snnhw.plan.pace import core_pace
from snnhw.plan.plan import LayerPlan, Plan
from snnhw.plan.planner import MAX_LANES, make_plan
from snnhw.plan.synapses import Scattered

__all__ = ["LANES", "STATISTICS", "Choice", "Combination", "Space", "Statistic", "lane_steps", "statistic_of",
           "units_of"]

STATISTICS = ("worst", "p99", "mean")
"""What the latency of several samples is: the longest, the one that 99 of 100 do not exceed, or the mean."""

Statistic = Literal["worst", "p99", "mean"]
Combination = tuple[int, ...]
"""Index of the choice of each layer."""

LANES = 3  # place of the lanes in a cost


def lane_steps(units: int, most: int = MAX_LANES) -> tuple[int, ...]:
    """Return the numbers of lanes, rising, with which `units` neurons or channels need fewer tiles than with one lane less."""
    return tuple(sorted({-(-units // tiles) for tiles in range(1, units + 1) if -(-units // tiles) <= most}))


def statistic_of(cycles: np.ndarray, statistic: Statistic) -> float:
    """Return one number for the cycles of several samples."""
    if statistic == "mean":
        return float(cycles.mean())
    return float(cycles.max() if statistic == "worst" else np.percentile(cycles, 99, method="higher"))


def units_of(layer: LayerPlan) -> int:
    """Return how many lanes a layer can use: its neurons, or the channels of a map that is walked block by block."""
    return layer.synapses.grid.channels if isinstance(layer.synapses, Scattered) else layer.outputs


@dataclass(frozen=True)
class Choice:
    """One way to build one layer.

    Parameters
    ----------
    lanes : int
        Its lanes.
    others : tuple of (option, value)
        Further options of :func:`make_plan` that are given layer by layer, such as ``("formats", "csc")``.
    """

    lanes: int
    others: tuple[tuple[str, Any], ...] = ()


class Space:
    """Every combination for a graph on a board, with its cycles and its area; each is computed once.

    Parameters
    ----------
    graph : Graph
        The network.
    board : Board
        Where it is built.
    trains : mapping of str to array, (samples, timesteps, neurons)
        Spikes of the input and of every core, by name: ``Trace.spikes`` of the reference.
    fixed : mapping, optional
        Options of :func:`make_plan` that are the same for all.
    choices : mapping of str to sequence of Choice, optional
        For some layers, what there is to choose from; by default every step of its lanes.

    Attributes
    ----------
    choices : tuple of tuple of Choice
        Of each layer, the lanes rising.
    """

    def __init__(self, graph: Graph, board: Board, trains: Mapping[str, np.ndarray], *, fixed: Mapping[str, Any] | None = None,
                 choices: Mapping[str, Sequence[Choice]] | None = None):
        self.graph, self.board, self.trains, self.fixed = graph, board, trains, dict(fixed or {})
        single = make_plan(graph, lanes=1, **self.fixed)
        self.names = tuple(layer.name for layer in single.layers)
        given = choices or {}
        self.choices = tuple(tuple(sorted(dict.fromkeys(given.get(layer.name) or map(Choice, lane_steps(units_of(layer)))),
                                          key=lambda choice: choice.lanes)) for layer in single.layers)
        self._plans: dict[int, Plan] = {}
        self._cycles: dict[Combination, np.ndarray] = {}
        self._areas: dict[Combination, Area] = {}

    @property
    def measured(self) -> int:
        """Combinations of which the cycles were computed."""
        return len(self._cycles)

    def configuration(self, combination: Combination) -> dict[str, Any]:
        """Return the options of :func:`make_plan` for a combination."""
        result: dict[str, Any] = {**self.fixed, "lanes": {}}
        for name, choices, index in zip(self.names, self.choices, combination, strict=True):
            result["lanes"][name] = choices[index].lanes
            for option, value in choices[index].others:
                result.setdefault(option, {})[name] = value
        return result

    def plan(self, combination: Combination) -> Plan:
        """Return the plan of a combination. How a layer is built does not depend on the others: plans are put together of few."""
        for index in combination:
            if index not in self._plans:
                each = tuple(min(index, len(choices) - 1) for choices in self.choices)
                self._plans[index] = make_plan(self.graph, **self.configuration(each))
        parts = [self._plans[index].layers[layer] for layer, index in enumerate(combination)]
        return replace(self._plans[combination[0]], layers=tuple(parts))

    def cycles(self, combination: Combination) -> np.ndarray:
        """Return the cycles of each sample, int64, (samples,)."""
        if combination not in self._cycles:
            self._cycles[combination] = predict_cycles(self.plan(combination), self.trains)
        return self._cycles[combination]

    def know(self, combination: Combination, cycles: np.ndarray) -> None:
        """Take the cycles of a combination as given."""
        self._cycles[combination] = cycles

    def area(self, combination: Combination) -> Area:
        """Return the estimated area, with the serial line of the board."""
        if combination not in self._areas:
            self._areas[combination] = estimate_area(self.plan(combination), self.board)
        return self._areas[combination]

    def cost(self, combination: Combination) -> tuple[int, ...]:
        """Return what is made small: logic cells, and among as many, memory blocks, flip-flops and lanes."""
        used = self.area(combination).used
        lanes = sum(choices[index].lanes for choices, index in zip(self.choices, combination, strict=True))
        return used["logic"][0], used["block_ram"][0], used["flip_flops"][0], lanes

    @cached_property
    def first(self) -> Combination:
        """One lane everywhere."""
        return (0,) * len(self.choices)

    @cached_property
    def last(self) -> Combination:
        """Most lanes everywhere."""
        return tuple(len(choices) - 1 for choices in self.choices)

    @cached_property
    def marginal(self) -> tuple[tuple[tuple[int, ...], ...], ...]:
        """What each choice of each layer costs more than the first of that layer: logic, blocks, flip-flops, lanes; and each
        resource at the upper bound of its estimate.
        """
        def cost(combination: Combination) -> np.ndarray:
            used = self.area(combination).used
            return np.array([*self.cost(combination), *(used[name][2] for name in RESOURCES)])
        base = cost(self.first)
        return tuple(tuple(tuple(int(value) for value in cost(self.replaced(self.first, layer, index)) - base)
                           for index in range(len(choices))) for layer, choices in enumerate(self.choices))

    def replaced(self, combination: Combination, layer: int, index: int) -> Combination:
        """Return a combination with another choice for a layer."""
        return (*combination[:layer], index, *combination[layer + 1:])

    @cached_property
    def paces(self) -> tuple[np.ndarray, ...]:
        """Cycles that each choice of each layer needs for each timestep by itself: int64, (choices, samples, timesteps)."""
        result = []
        for layer, choices in enumerate(self.choices):
            plans = [self.plan(self.replaced(self.first, layer, index)).layers[layer] for index in range(len(choices))]
            events = events_of(plans[0], self.trains)
            result.append(np.stack([core_pace(plan, events) for plan in plans]))
        return tuple(result)

    def least_cycles(self, combination: Combination) -> np.ndarray:
        """Return a lower bound of the cycles of each sample, without following its schedule: int64, (samples,)."""
        paces = [pace[index] for pace, index in zip(self.paces, combination, strict=True)]
        return np.maximum.reduce(paces).sum(axis=1)

    @cached_property
    def kept(self) -> tuple[tuple[int, ...], ...]:
        """Choices of each layer that no other beats: one that is never slower, and takes no more of any resource."""
        result = []
        for layer, paces in enumerate(self.paces):
            costs = np.array([cost[:LANES] + cost[LANES + 1:] for cost in self.marginal[layer]])
            left = list(range(len(paces)))
            for index in range(len(paces)):
                if any(other != index and (costs[other] <= costs[index]).all() and (paces[other] <= paces[index]).all()
                       for other in left):
                    left.remove(index)
            result.append(tuple(left))
        return tuple(result)

    def shortages(self) -> list[str]:
        """Return a sentence for each resource of which the board has too few even for what comes nearest to fitting."""
        have = available(self.board)

        def lacks(area: Area) -> tuple[float, int]:
            lack = sum(max(0, high - have[name]) / max(1, have[name]) for name, (*_, high) in area.used.items())
            return lack, area.used["logic"][0]
        near = [self.first, *(self.replaced(self.first, layer, index) for layer, kept in enumerate(self.kept) for index in kept)]
        least = min((self.area(each) for each in near), key=lacks)
        loaded = any(layer.weights_loaded for layer in self.plan(self.first).layers)
        return shortages({name: high for name, (*_, high) in least.used.items()}, self.board, f"network {self.graph.name!r}",
                         weights_loaded=loaded, estimated=("logic", "flip_flops"))

    def neighbours(self, combination: Combination) -> Iterator[Combination]:
        """Yield every combination that differs in one layer, by one step."""
        for layer, index in enumerate(combination):
            for other in (index - 1, index + 1):
                if 0 <= other < len(self.choices[layer]):
                    yield self.replaced(combination, layer, other)

"""What limits a design: which part of which core takes the cycles, and why that part is no wider.

Every timestep waits for the slowest part of the slowest core (:mod:`snnhw.plan.pace`); its cycles are charged to that part. What
is left of a sample is the way of the first timestep in and of the last one out, and waiting where the slowest part changes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from snnhw.board import Board, RamBlock, available
from snnhw.plan.area import Area
from snnhw.plan.choices import Choices
from snnhw.plan.cycles import predict_cycles
from snnhw.plan.pace import PARTS, plan_pace
from snnhw.plan.plan import LayerPlan, Plan
from snnhw.plan.ram import RamUse
from snnhw.plan.space import Choice, Space, lane_steps, statistic_of, units_of

__all__ = ["LayerLimits", "Limits", "Step", "find_limits", "worst_trains"]

NO_GAIN = 0.995  # of the cycles: what takes more than that is no faster
_WORK = {"weights": "reading the weights of", "events": "taking the events of", "finaliser": "updating the neurons of"}
_REASON = {"events": "one event enters its list per cycle, whatever the lanes",
           "finaliser": "one neuron is updated per cycle, whatever the lanes"}


def worst_trains(plan: Plan) -> dict[str, np.ndarray]:
    """Return the spikes of one sample in which every input and every neuron fires in every timestep."""
    sizes = {plan.graph.input.name: plan.inputs, **{layer.name: layer.outputs for layer in plan.layers}}
    return {name: np.ones((1, plan.graph.timesteps, size), bool) for name, size in sizes.items()}


@dataclass(frozen=True)
class Step:
    """The next number of lanes with which a layer has fewer tiles.

    Attributes
    ----------
    lanes : int
        That number.
    cycles : float
        Mean cycles of a sample then.
    logic : int
        Logic cells then, upper bound of the estimate.
    verdict : str
        What prevents it, or what it would bring.
    possible : bool
        It fits, and is faster.
    """

    lanes: int
    cycles: float
    logic: int
    verdict: str
    possible: bool


@dataclass(frozen=True)
class LayerLimits:
    """What limits one layer.

    Attributes
    ----------
    name : str
        The layer.
    lanes, units : int
        Lanes, and how many it could use: neurons, or channels.
    memory_roof : int or None
        Lanes whose weights all memories of the board that hold them could deliver together in each cycle; None where weights
        are in no memory blocks.
    parts : dict of str to float
        Share of the cycles of a sample in which each part is at work.
    limiting : dict of str to float
        Share of the cycles of a sample in which each part is what everything waits for.
    weights : RamUse
        What the memory of its weights becomes.
    next : Step or None
        None where every unit has a lane.
    """

    name: str
    lanes: int
    units: int
    memory_roof: int | None
    parts: dict[str, float]
    limiting: dict[str, float]
    weights: RamUse
    next: Step | None

    @property
    def verdict(self) -> str:
        """Why it has no more lanes."""
        return self.next.verdict if self.next is not None else f"each of {self.units} has a lane"


@dataclass(frozen=True)
class Limits:
    """What limits a design.

    Attributes
    ----------
    cycles : dict of str to float
        ``mean``, ``p99`` and ``worst`` of the samples, and ``bound``: every input and every neuron fires in every timestep.
    samples : int
        How many samples.
    layers : tuple of LayerLimits
        Each layer.
    waiting : float
        Share of the cycles that is charged to no part.
    area : Area
        Estimate of the design.
    """

    cycles: dict[str, float]
    samples: int
    layers: tuple[LayerLimits, ...]
    waiting: float
    area: Area

    @property
    def sentence(self) -> str:
        """What limits the design, in one sentence."""
        layer, part, share = max(((layer, part, share) for layer in self.layers for part, share in layer.limiting.items()),
                                 key=lambda item: item[2])
        reason = _REASON.get(part) or f"{layer.lanes} lane{'s' * (layer.lanes > 1)}, {layer.verdict}"
        return f"{_WORK[part]} layer {layer.name!r} takes {share:.0%} of the cycles: {reason}"

    def as_dict(self, clock_hz: float) -> dict[str, Any]:
        """Return the limits as JSON, with times at a clock."""
        have = available(self.area.board)
        return {
            "sentence": self.sentence, "samples": self.samples,
            "cycles": self.cycles, "microseconds": {name: value / clock_hz * 1e6 for name, value in self.cycles.items()},
            "clock_hz": clock_hz, "waiting": self.waiting,
            "layers": [{
                "layer": layer.name, "lanes": layer.lanes, "units": layer.units, "memory_roof": layer.memory_roof,
                "parts": layer.parts, "limiting": layer.limiting,
                "weight_memory": {"resource": layer.weights.resource, "blocks": layer.weights.blocks,
                                  "available": have.get(layer.weights.resource)},
                "next": None if layer.next is None else {
                    "lanes": layer.next.lanes, "cycles": layer.next.cycles, "logic_high": layer.next.logic,
                    "possible": layer.next.possible},
                "verdict": layer.verdict,
            } for layer in self.layers],
        }

    def rows(self) -> list[tuple[str, ...]]:
        """Return a line for each layer: name, lanes, memory of its weights, work of each part, share in which it limits, why not
        more lanes.
        """
        lines, have = [], available(self.area.board)
        for layer in self.layers:
            roof = layer.units if layer.memory_roof is None else min(layer.units, layer.memory_roof)
            use = layer.weights
            memory = use.resource.replace("_", " ")
            if use.resource in have and use.blocks:
                memory = f"{use.blocks} of {have[use.resource]} {memory}"
            lines.append((layer.name, f"{layer.lanes} of {roof}", memory, *(f"{layer.parts[part]:.0%}" for part in PARTS),
                          f"{sum(layer.limiting.values()):.0%}", layer.verdict))
        return lines


def _memory_roof(layer: LayerPlan, use: RamUse, board: Board) -> int | None:
    """Return the lanes that memories of the kind that holds the weights could feed."""
    part = getattr(board.budget, use.resource, None)
    if not isinstance(part, RamBlock):
        return None
    width = -(-use.memory.width // layer.lanes)
    return max(1, part.count * max(width for _, width in part.shapes) // width)


def _lacks(area: Area) -> list[str]:
    """Return of what the board has too few, at the upper bound of the estimate."""
    have, budget = available(area.board), area.board.budget
    lacks = []
    for name, (_, _, high) in area.used.items():
        if high > have[name]:
            part = getattr(budget, name)
            upto = "up to " if name in ("logic", "flip_flops") else ""
            unit = "logic cells" if name == "logic" else part.unit if part is not None else name.replace("_", " ")
            lacks.append(f"{upto}{high:,} of {have[name]:,} {unit}")
    return lacks


def find_limits(plan: Plan, trains: Mapping[str, np.ndarray], board: Board, *, cycles: np.ndarray | None = None) -> Limits:
    """Return what limits a plan on a board.

    Parameters
    ----------
    plan : Plan
        The design.
    trains : mapping of str to array, (samples, timesteps, neurons)
        Spikes of the input and of every core, by name: ``Trace.spikes`` of the reference.
    board : Board
        Where it is built.
    cycles : int64 array, (samples,), optional
        Cycles of the samples, where they are known.
    """
    cycles = predict_cycles(plan, trains) if cycles is None else cycles
    pace = plan_pace(plan, trains)
    cores, parts, samples, timesteps = pace.shape
    flat = pace.reshape(cores * parts, samples, timesteps)
    winner, slowest, total = flat.argmax(axis=0), flat.max(axis=0), float(cycles.sum())
    charged = np.bincount(winner.ravel(), slowest.ravel(), cores * parts).reshape(cores, parts) / total
    work = pace.sum(axis=(2, 3)) / total

    options = {name: value for name, value in Choices.of(plan).arguments().items() if name != "lanes"}
    by_layer = {name: value for name, value in options.items() if isinstance(value, dict)}
    steps: dict[str, list[Choice]] = {}
    for layer in plan.layers:
        further = next((lanes for lanes in lane_steps(units_of(layer)) if -(-units_of(layer) // lanes) < layer.tiles), None)
        same = tuple((name, value[layer.name]) for name, value in by_layer.items() if layer.name in value)
        steps[layer.name] = [Choice(layer.lanes, same)]
        if further is not None:
            steps[layer.name].append(Choice(further, _with_zeros(layer, same)))
    space = Space(plan.graph, board, trains, choices=steps,
                  fixed={name: value for name, value in options.items() if name not in by_layer})
    space.know(space.first, cycles)
    area = space.area(space.first)
    uses = {use.layer: use for use in area.memories if use.memory.role == "weights"}
    found = []
    for layer in plan.layers:
        step = None
        if len(space.choices[layer.index]) > 1:
            step = _step(space, layer.index, cycles, area)
        found.append(LayerLimits(
            layer.name, layer.lanes, units_of(layer), _memory_roof(layer, uses[layer.index], board),
            {part: float(work[layer.index, place]) for place, part in enumerate(PARTS)},
            {part: float(charged[layer.index, place]) for place, part in enumerate(PARTS)}, uses[layer.index], step))
    bound = predict_cycles(plan, worst_trains(plan))
    spread = {"mean": float(cycles.mean()), "p99": statistic_of(cycles, "p99"), "worst": float(cycles.max()),
              "bound": float(bound.max())}
    return Limits(spread, samples, tuple(found), max(0.0, 1 - float(charged.sum())), area)


def _with_zeros(layer: LayerPlan, options: tuple[tuple[str, Any], ...]) -> tuple[tuple[str, Any], ...]:
    """Return the options of a layer for more lanes, whose lists may be filled up with zeros: three other values and these are
    too many for a ternary packing."""
    packing = layer.packing
    full = packing is not None and packing.name == "ternary" and len(packing.book) == 3 and 0 not in packing.book
    return tuple((name, "auto" if full and name == "packings" else value) for name, value in options)


def _step(space: Space, index: int, cycles: np.ndarray, area: Area) -> Step:
    """Return the next step of a layer."""
    wider = space.replaced(space.first, index, 1)
    lanes, then, high = space.choices[index][1].lanes, space.area(wider), space.area(wider).used["logic"][2]
    after = float(space.cycles(wider).mean())
    lacks = [lack for lack in _lacks(then) if lack not in _lacks(area)]
    if lacks:
        return Step(lanes, after, high, f"{lanes} need {' and '.join(lacks)}", False)
    if after > NO_GAIN * cycles.mean():
        return Step(lanes, after, high, f"{lanes} are no faster", False)
    more = then.used["logic"][0] - area.used["logic"][0]
    return Step(lanes, after, high, f"{lanes} take {1 - after / cycles.mean():.0%} fewer cycles and {more:+,} logic cells", True)

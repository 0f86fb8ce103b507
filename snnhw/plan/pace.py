"""How many cycles each part of a core needs for a timestep.

The parts work at the same time, each on a timestep of its own, so a core takes as long as the slowest of them, and a pipeline as
long as the slowest core. The sum over the timesteps of that is a lower bound of the cycles of a sample; what is missing is the
way of the first timestep in and of the last one out, and what parts wait for each other where the slowest of them changes.
"""

from collections.abc import Mapping

import numpy as np

from snnhw.plan.accesses import event_slots, events_of
from snnhw.plan.plan import LayerPlan, Plan
from snnhw.plan.queued import Queued
from snnhw.plan.stages import pause_slots
from snnhw.plan.synapses import Dense

__all__ = ["PARTS", "core_pace", "part_cycles", "plan_pace"]

PARTS = ("weights", "events", "finaliser")
"""Parts of a core: one word of the weight memory per cycle, one event into the list per cycle, one neuron per cycle."""


def part_cycles(layer: LayerPlan, events: np.ndarray) -> np.ndarray:
    """Return the cycles that each part of a core needs for each timestep.

    Parameters
    ----------
    layer : LayerPlan
        The core.
    events : bool array, (samples, timesteps, inputs)
        What reaches it: :func:`snnhw.plan.accesses.events_of`.

    Returns
    -------
    int64 array, (parts, samples, timesteps)
        In the order of :data:`PARTS`. Weights: a word for each event and tile, at least one for each tile, and one for each word
        without events of a bitmap; or each word of the lists of the events. Lanes with queues take as long as the one with most
        words, at least a cycle for each event. Events: one each, and the tick. Finaliser: one for each neuron, and the pause
        behind the last.
    """
    count = events.sum(axis=2, dtype=np.int64)
    if isinstance(layer.synapses, Dense):
        words = layer.tiles * event_slots(layer, events)
    elif isinstance(layer.synapses, Queued):
        words = np.maximum((events @ layer.synapses.lengths).max(axis=2), np.maximum(count, 1))
    else:
        words = np.maximum(events @ np.maximum(layer.synapses.list_lengths(), 1), 1)
    return np.stack([words, count + 1, np.full_like(count, layer.outputs + pause_slots(layer))])


def core_pace(layer: LayerPlan, events: np.ndarray) -> np.ndarray:
    """Return the cycles that a core needs for each timestep when nothing holds it up: int64, (samples, timesteps)."""
    return part_cycles(layer, events).max(axis=0)


def plan_pace(plan: Plan, trains: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return the cycles of every part of every core: int64, (cores, parts, samples, timesteps)."""
    return np.stack([part_cycles(layer, events_of(layer, trains)) for layer in plan.layers])

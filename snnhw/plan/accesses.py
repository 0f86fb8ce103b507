"""Exact number of accesses of each memory and unit, of what passes queues, and of cycles of each kind, for each sample."""

from collections.abc import Mapping

import numpy as np

from snnhw.fixed import unsigned_bits
from snnhw.plan.plan import BITMAP_BITS, LayerPlan, Plan
from snnhw.plan.queued import Queued
from snnhw.plan.skeleton import Schedule, simulate_control
from snnhw.plan.synapses import Dense, Scattered

__all__ = ["TIMES", "access_bits", "access_names", "count_accesses", "count_names", "count_times", "event_slots", "events_of",
           "predict_schedule", "queue_names", "timed_samples"]

_EVENTS = "events_write", "events_read", "events_clear"
_WEIGHTS = "weights_read", "accumulate"
_CURRENTS = "currents_read", "currents_clear"
_STATES = "finalise", "membranes_read", "membranes_write"
_ACCESSES = *_EVENTS, "sources_read", *_WEIGHTS, *_CURRENTS, *_STATES, "parameters_read"
_LANE_QUEUES = "lane_queues_write", "lane_queues_read"
#: Counts of cycles, of :class:`~snnhw.plan.skeleton.Occupancy`.
TIMES = "adders_waiting", "output_waiting", "busy", "stalled", "idle"
TIMED_EVENTS = 20_000


def access_names(layer: LayerPlan) -> tuple[str, ...]:
    """Return the signals of a core that tell its accesses, see :func:`access_bits`, in the order of its pipeline."""
    has = {memory.role for memory in layer.memories}
    left_out = {name for name, role in (("sources_read", "sources"), ("parameters_read", "parameters")) if role not in has}
    if layer.events != "bitmap":
        left_out.add("events_clear")
    if "currents" not in has:
        left_out.update(_CURRENTS)
    return tuple(name for name in _ACCESSES if name not in left_out)


def queue_names(layer: LayerPlan) -> dict[str, int | None]:
    """Return the counts of a core that are transfers through queues, by name: the place of their source, or None for lanes."""
    places = [place for place, source in enumerate(layer.sources) if source.queue]
    names: dict[str, int | None] = {f"queue{place}_{way}": place for place in places for way in ("write", "read")}
    return names | (dict.fromkeys(_LANE_QUEUES) if isinstance(layer.synapses, Queued) else {})


def count_names(layer: LayerPlan) -> tuple[str, ...]:
    """Return the names of what :func:`count_accesses` counts of a core: its signals, transfers through queues, and its events."""
    return *access_names(layer), *queue_names(layer), "events_sent"


def access_bits(layer: LayerPlan, name: str) -> int:
    """Return the width of such a signal: 1, high for one cycle per access; or that of a number of lanes, each with its own."""
    return unsigned_bits(layer.lanes) if isinstance(layer.synapses, Queued) and name in _WEIGHTS else 1


def events_of(layer: LayerPlan, trains: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return the events that reach a core: bool, (samples, timesteps, inputs); `trains` are all spikes by node name."""
    parts = []
    for source in layer.sources:
        train = np.asarray(trains[source.name]) != 0
        if source.delayed:
            train = np.concatenate([np.zeros_like(train[:, :1]), train[:, :-1]], axis=1)
        parts.append(train)
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=2)


def event_slots(layer: LayerPlan, events: np.ndarray) -> np.ndarray:
    """Return the slots that the events of a timestep take in each tile of a dense core: int64, `events` without its last axis.

    One for each event, at least one; where they are kept as a bitmap, also one for each of its words that has none.
    """
    counts = events.sum(axis=-1, dtype=np.int64)
    if layer.events != "bitmap":
        return np.maximum(counts, 1)
    words = -(-layer.inputs // BITMAP_BITS)
    padded = np.zeros((*events.shape[:-1], words * BITMAP_BITS), bool)
    padded[..., :layer.inputs] = events
    slots = np.maximum(padded.reshape(*events.shape[:-1], words, BITMAP_BITS).sum(axis=-1), 1).sum(axis=-1)
    return np.where(counts > 0, slots, 1)


def count_accesses(plan: Plan, trains: Mapping[str, np.ndarray]) -> tuple[dict[str, np.ndarray], ...]:
    """Return what each core does in each sample, when the samples are run in order after a reset.

    Parameters
    ----------
    plan : Plan
        The accelerator.
    trains : mapping of str to array, (samples, timesteps, neurons)
        Spikes of the input and of every core, by name: ``Trace.spikes`` of the reference.

    Returns
    -------
    tuple of dict of str to int64 array, (samples,)
        For each core, by the name of its signal in the hardware:

        events_write, events_read
            Event list: each event once; each event once for each tile. As a bitmap, each word once for each tile.
        events_clear
            Each word of a bitmap once, in timesteps with events.
        sources_read
            Where the list of an event lies: once for each event. Only where lists are not all equally long.
        weights_read
            Weight memory: a word of `lanes` weights for each event and tile, or for each word of the lists of the events.
        accumulate
            Slots of `lanes` additions: one for each event and tile, and one for each tile of a timestep without events. With
            lists, one for each word that is added, which reads and writes currents of all lanes. Lanes with queues count each
            for itself, here and in their weight memories.
        currents_read, currents_clear
            Memories of currents: read for each neuron; cleared once for each word that holds neurons.
        finalise
            Updates of a neuron.
        membranes_read, membranes_write
            State memory. The first timestep after a reset, and of a sample if states are cleared, reads nothing.
        parameters_read
            Only in a core that has parameters.

        And of what passes several signals:

        queue0_write, queue0_read, ...
            Events and ticks that enter and leave the queue before a source of the core, each with its place among the sources.
        lane_queues_write, lane_queues_read
            Events that enter and leave the queues of lanes: those of the lanes in which they have weights, the last one of a
            timestep those of all.
        events_sent
            Events that leave the core, without ticks.
    """
    result = []
    schedule: Schedule | None = None
    for layer in plan.layers:
        events = events_of(layer, trains)
        samples, timesteps, _ = events.shape
        updates = np.full(samples, timesteps * layer.outputs, np.int64)
        unread = np.where((np.arange(samples) == 0) | (layer.spec.clear == "sample"), min(timesteps, 1) * layer.outputs, 0)
        per_step = events.sum(axis=2, dtype=np.int64)
        written = per_step.sum(axis=1)
        synapses = layer.synapses
        if isinstance(synapses, Dense):
            counts = {"events_write": written, "events_read": written * layer.tiles, "weights_read": written * layer.tiles,
                      "accumulate": event_slots(layer, events).sum(axis=1) * layer.tiles}
            if layer.events == "bitmap":
                words = np.count_nonzero(per_step, axis=1) * -(-layer.inputs // BITMAP_BITS)
                counts |= {"events_read": words * layer.tiles, "events_clear": words}
        else:
            each = events.sum(axis=1, dtype=np.int64)
            cleared = layer.outputs
            if isinstance(synapses, Scattered):
                cleared = layer.tiles * synapses.grid.rows * synapses.grid.columns
            counts = {"events_write": written, "events_read": written, "weights_read": each @ synapses.list_lengths(),
                      "accumulate": each @ synapses.added_words(), "currents_read": updates,
                      "currents_clear": np.full(samples, timesteps * cleared, np.int64)}
            if isinstance(synapses, Queued):
                counts["weights_read"] = counts["accumulate"] = each @ synapses.lengths.sum(axis=1)
                if len(layer.sources) > 1:
                    # Which event comes last, and enters all queues, is decided when they meet.
                    schedule = schedule or simulate_control(plan, trains)
                    entered = schedule.entered[layer.index]
                else:
                    entered = _lane_events(synapses, events)
                counts["lane_queues_write"] = counts["lane_queues_read"] = entered
            if layer.source_fields:
                counts["sources_read"] = written
        counts |= {"finalise": updates, "membranes_read": updates - unread, "membranes_write": updates}
        if layer.parameter_bits:
            counts["parameters_read"] = updates
        for name, place in queue_names(layer).items():
            if place is not None:
                source = layer.sources[place]
                counts[name] = _sent(plan, source.core, source.name, trains) + timesteps
        counts["events_sent"] = _sent(plan, layer.index, layer.name, trains)
        result.append({name: counts[name] for name in count_names(layer)})
    return tuple(result)


def _sent(plan: Plan, core: int | None, name: str, trains: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return the events that a core sends in each sample, or those that come in: int64, (samples,)."""
    train = np.asarray(trains[name])
    if core is not None and plan.layers[core].spec.output == "state":
        return np.full(len(train), train[0].size, np.int64)
    return np.count_nonzero(train, axis=(1, 2)).astype(np.int64)


def _lane_events(synapses: Queued, events: np.ndarray) -> np.ndarray:
    """Return the events that enter the queues of lanes in each sample: int64, (samples,)."""
    lanes = np.count_nonzero(synapses.lengths, axis=1)
    entered = events.sum(axis=1, dtype=np.int64) @ lanes
    # The last of a timestep, in ascending order, enters all queues; without one, an empty mark does.
    last = np.where(events.any(axis=2), lanes[events.shape[2] - 1 - events[:, :, ::-1].argmax(axis=2)], 0)
    return entered + (synapses.lanes - last).sum(axis=1)


def predict_schedule(plan: Plan, trains: Mapping[str, np.ndarray]) -> Schedule:
    """Return when things happen: cycles of samples, and what each core does in them; slower than cycles alone of a chain.

    The arguments are those of :func:`snnhw.plan.cycles.predict_cycles`, and so are the conditions: events in ascending order,
    and no one who waits outside the accelerator.
    """
    return simulate_control(plan, trains, watch=True)


def timed_samples(plan: Plan, trains: Mapping[str, np.ndarray]) -> int:
    """Return of how many samples, at least one, the schedule is worth its time: it goes from event to event.

    Of plans that are no chains, these are all: only the schedule tells their cycles.
    """
    if not plan.chained:
        return len(trains[plan.graph.input.name])
    names = plan.graph.input.name, *(layer.name for layer in plan.layers)
    events = sum(np.count_nonzero(np.asarray(trains[name]), axis=(1, 2)) for name in names)
    return max(1, int(np.searchsorted(np.cumsum(events), TIMED_EVENTS, side="right")))


def count_times(schedule: Schedule) -> tuple[dict[str, np.ndarray], ...]:
    """Return the counts of :data:`TIMES` of each core."""
    return tuple({name: getattr(core, name) for name in TIMES} for core in schedule.cores)

"""Exact number of accesses of each memory and unit, for each sample."""

from collections.abc import Mapping

import numpy as np

from snnhw.plan.plan import LayerPlan, Plan
from snnhw.plan.synapses import Scattered

__all__ = ["SIGNALS", "access_names", "count_accesses", "events_of"]

_DENSE = "events_write", "events_read", "weights_read", "accumulate"
_SCATTERED = "sources_read", "weights_read", "accumulate", "currents_read", "currents_clear"
#: Every signal that a core may have.
SIGNALS = *dict.fromkeys((*_DENSE, *_SCATTERED)), "finalise", "membranes_read", "membranes_write", "parameters_read"


def access_names(layer: LayerPlan) -> tuple[str, ...]:
    """Return the one-bit signals of a core that are high for one cycle per access, in the order of its pipeline."""
    names = (*(_SCATTERED if layer.scattered else _DENSE), "finalise", "membranes_read", "membranes_write")
    return (*names, "parameters_read") if layer.parameter_bits else names


def events_of(layer: LayerPlan, trains: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return the events that reach a core: bool, (samples, timesteps, inputs); `trains` are all spikes by node name."""
    parts = []
    for source in layer.sources:
        train = np.asarray(trains[source.name]) != 0
        if source.delayed:
            train = np.concatenate([np.zeros_like(train[:, :1]), train[:, :-1]], axis=1)
        parts.append(train)
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=2)


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
            Event list: each event once; each event once for each tile.
        sources_read
            Where the list of an event lies: once for each event.
        weights_read
            Weight memory: a word of `lanes` weights for each event and tile, or for each word of the lists of the events.
        accumulate
            Slots of `lanes` additions: one for each event and tile, and one for each tile of a timestep without events. With
            lists, one for each word, which reads and writes a word of currents.
        currents_read, currents_clear
            Memory of currents: read for each neuron, cleared once for each word that holds neurons.
        finalise
            Updates of a neuron.
        membranes_read, membranes_write
            State memory. The first timestep after a reset, and of a sample if states are cleared, reads nothing.
        parameters_read
            Only in a core that has parameters.
    """
    result = []
    for layer in plan.layers:
        events = events_of(layer, trains)
        samples, timesteps, _ = events.shape
        updates = np.full(samples, timesteps * layer.outputs, np.int64)
        unread = np.where((np.arange(samples) == 0) | (layer.spec.clear == "sample"), min(timesteps, 1) * layer.outputs, 0)
        per_step = events.sum(axis=2, dtype=np.int64)
        written = per_step.sum(axis=1)
        if isinstance(layer.synapses, Scattered):
            grid = layer.synapses.grid
            words = events.sum(axis=1, dtype=np.int64) @ layer.synapses.list_lengths()
            counts = {"sources_read": written, "weights_read": words, "accumulate": words, "currents_read": updates,
                      "currents_clear": np.full(samples, timesteps * layer.tiles * grid.rows * grid.columns, np.int64)}
        else:
            counts = {"events_write": written, "events_read": written * layer.tiles, "weights_read": written * layer.tiles,
                      "accumulate": np.maximum(per_step, 1).sum(axis=1) * layer.tiles}
        counts |= {"finalise": updates, "membranes_read": updates - unread, "membranes_write": updates}
        if layer.parameter_bits:
            counts["parameters_read"] = updates
        result.append(counts)
    return tuple(result)

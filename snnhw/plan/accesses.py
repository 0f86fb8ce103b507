"""Exact number of accesses of each memory and unit, for each sample."""

from collections.abc import Mapping

import numpy as np

from snnhw.plan.plan import Plan

__all__ = ["count_accesses"]


def count_accesses(plan: Plan, trains: Mapping[str, np.ndarray]) -> tuple[dict[str, np.ndarray], ...]:
    """Return what each core does in each sample, when the samples are run in order after a reset.

    Parameters
    ----------
    plan : Plan
        The accelerator.
    trains : mapping of str to bool array, (samples, timesteps, neurons)
        Spikes of the input and of every layer, by name: ``Trace.spikes`` of the reference.

    Returns
    -------
    tuple of dict of str to int64 array, (samples,)
        For each core, by the name of its signal in the hardware:

        events_write, events_read
            Event list: each event once; each event once for each tile.
        weights_read
            Weight memory: a word of `lanes` weights for each event and tile.
        accumulate
            Slots of `lanes` additions: one for each event and tile, and one for each tile of a timestep without events.
        finalise
            Updates of a neuron.
        membranes_read, membranes_write
            State memory. The first timestep after a reset, and of a sample if states are cleared, reads nothing.
        parameters_read
            Only in a core that has parameters.
    """
    result = []
    previous = plan.graph.input.name
    for layer in plan.layers:
        events = np.asarray(trains[previous]).sum(axis=2, dtype=np.int64)
        samples, timesteps = events.shape
        written = events.sum(axis=1)
        updates = np.full(samples, timesteps * layer.outputs, np.int64)
        unread = np.where((np.arange(samples) == 0) | (layer.spec.clear == "sample"), min(timesteps, 1) * layer.outputs, 0)
        counts = {
            "events_write": written,
            "events_read": written * layer.tiles,
            "weights_read": written * layer.tiles,
            "accumulate": np.maximum(events, 1).sum(axis=1) * layer.tiles,
            "finalise": updates,
            "membranes_read": updates - unread,
            "membranes_write": updates,
        }
        if layer.parameter_bits:
            counts["parameters_read"] = updates
        result.append(counts)
        previous = layer.name
    return tuple(result)

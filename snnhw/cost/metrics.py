"""Operation counts and sizes, under the names of the NeuroBench metrics."""

from collections.abc import Mapping

import numpy as np

from snnhw.plan import LayerPlan, Plan
from snnhw.plan.accesses import events_of
from snnhw.plan.synapses import Scattered

__all__ = ["layer_metrics", "network_metrics"]


def layer_metrics(layer: LayerPlan, train: np.ndarray, fired: np.ndarray) -> dict[str, float | int]:
    """Return the metrics of one layer, means over the samples.

    Parameters
    ----------
    layer : LayerPlan
        The layer.
    train : bool array, (samples, timesteps, inputs)
        Events that reached the layer, those of all of its sources: :func:`snnhw.plan.accesses.events_of`.
    fired : array, (samples, timesteps, neurons)
        What left it, 0 for nothing.
    """
    samples, timesteps, _ = train.shape
    synapses = layer.synapses
    events = train.sum(axis=(0, 1), dtype=np.int64)
    effective = int(events @ synapses.fan_out()) / samples
    every = synapses.fan_out() if isinstance(synapses, Scattered) else np.full(layer.inputs, layer.outputs)
    return {
        "synaptic_operations_dense": int(every.sum()) * timesteps,
        "synaptic_operations": int(events @ every) / samples,
        "effective_acs": 0 if layer.input_value_bits else effective,
        "effective_macs": effective if layer.input_value_bits else 0,
        "membrane_updates": layer.outputs * timesteps,
        "spikes": int(fired.sum()) / samples,
        "activation_sparsity": 1.0 - float((fired != 0).mean()),
        "connection_sparsity": 1.0 - int(synapses.fan_out().sum()) / synapses.synapses,
        "parameter_count": synapses.stored + layer.outputs * len(layer.parameter_bits),
        "footprint_bytes": sum(memory.bits for memory in layer.memories) / 8,
    }


def network_metrics(plan: Plan, trains: Mapping[str, np.ndarray]) -> dict[str, float | int]:
    """Return the metrics of the network: sums over the layers, sparsities over all neurons and all synapses.

    ``synaptic_operations`` count an addition for each input spike and neuron, ``effective_acs`` only those whose
    weight is not zero, ``synaptic_operations_dense`` those of a network in which every neuron spikes always.
    """
    rows = [layer_metrics(layer, *_ends(plan, trains, layer)) for layer in plan.layers]
    total: dict[str, float | int] = {name: sum(row[name] for row in rows) for name in rows[0] if not name.endswith("sparsity")}
    neurons = [layer.outputs for layer in plan.layers]
    synapses = [layer.synapses.synapses for layer in plan.layers]
    total["activation_sparsity"] = sum(row["activation_sparsity"] * size for row, size in zip(rows, neurons, strict=True)) / sum(
        neurons
    )
    total["connection_sparsity"] = sum(row["connection_sparsity"] * size for row, size in zip(rows, synapses, strict=True)) / sum(
        synapses
    )
    return total


def _ends(plan: Plan, trains: Mapping[str, np.ndarray], layer: LayerPlan) -> tuple[np.ndarray, np.ndarray]:
    return events_of(layer, trains), trains[layer.name]

"""Operation counts and sizes, under the names of the NeuroBench metrics."""

from collections.abc import Mapping

import numpy as np

from snnhw.plan import LayerPlan, Plan

__all__ = ["layer_metrics", "network_metrics"]


def layer_metrics(layer: LayerPlan, train: np.ndarray, fired: np.ndarray) -> dict[str, float | int]:
    """Return the metrics of one layer, means over the samples.

    Parameters
    ----------
    layer : LayerPlan
        The layer.
    train, fired : bool array, (samples, timesteps, neurons)
        What reached the layer, and what left it.
    """
    samples, timesteps, _ = train.shape
    connections = layer.linear.weight != 0
    events = train.sum(axis=(0, 1), dtype=np.int64)
    return {
        "synaptic_operations_dense": layer.inputs * layer.outputs * timesteps,
        "synaptic_operations": int(events.sum()) * layer.outputs / samples,
        "effective_acs": int(events @ connections.sum(axis=0)) / samples,
        "effective_macs": 0,
        "membrane_updates": layer.outputs * timesteps,
        "spikes": int(fired.sum()) / samples,
        "activation_sparsity": 1.0 - float(fired.mean()),
        "connection_sparsity": 1.0 - float(connections.mean()),
        "parameter_count": int(connections.size) + layer.outputs * len(layer.parameter_bits),
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
    synapses = [layer.linear.weight.size for layer in plan.layers]
    total["activation_sparsity"] = sum(row["activation_sparsity"] * size for row, size in zip(rows, neurons, strict=True)) / sum(
        neurons
    )
    total["connection_sparsity"] = sum(row["connection_sparsity"] * size for row, size in zip(rows, synapses, strict=True)) / sum(
        synapses
    )
    return total


def _ends(plan: Plan, trains: Mapping[str, np.ndarray], layer: LayerPlan) -> tuple[np.ndarray, np.ndarray]:
    source = plan.graph.input.name if layer.index == 0 else plan.layers[layer.index - 1].name
    return trains[source], trains[layer.name]

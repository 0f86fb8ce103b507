"""Operation counts and sizes, under the names of the NeuroBench metrics, and the figures that are made of them and an energy.

Names and definitions are those of NeuroBench (Yik et al., *The NeuroBench framework*, 2025; checked against the code and the
documentation of version 2.2). A sample is a *model execution* there.

===========================  =================================================================================================
``footprint_bytes``          Bytes that represent the network: every weight, zeros included, at its width; the parameters of the
                             neurons that differ; their states, which are buffers there.
``connection_sparsity``      Zeros among the weights, a kernel counted once.
``activation_sparsity``      Outputs of all neurons in all timesteps that are 0. The input is not among them.
``synaptic_operations_dense``  *Dense*: every connection in every timestep, as if every input and every weight were 1.
``effective_acs``            *Effective_ACs*: connections whose weight is not 0, for each binary event.
``effective_macs``           *Effective_MACs*: the same for events that have values.
``parameter_count``          Weights and parameters that are stored.
``membrane_changes``         *MembraneUpdates*: neurons in the first timestep, and membranes that differ from the timestep before.
===========================  =================================================================================================

Beside them are three that NeuroBench does not have: ``synaptic_operations``, additions for each event whether or not the weight
is 0, which is what a core with dense weights does; ``membrane_updates``, neurons times timesteps, which is what the hardware
does whether or not a membrane changes; and ``memory_bytes``, of all memories of the accelerator, with their indices and without
the zeros that a sparse format leaves out.
"""

from collections.abc import Mapping

import numpy as np

from snnhw.cost.bands import Band
from snnhw.cost.energy import STATIC, Energy
from snnhw.ir import Conv, Linear
from snnhw.plan import LayerPlan, Plan
from snnhw.plan.accesses import events_of
from snnhw.plan.synapses import Scattered

__all__ = ["NEUROBENCH", "energy_metrics", "layer_metrics", "membrane_changes", "network_metrics", "sample_seconds"]

NEUROBENCH = {
    "footprint_bytes": "Footprint",
    "connection_sparsity": "ConnectionSparsity",
    "activation_sparsity": "ActivationSparsity",
    "synaptic_operations_dense": "SynapticOperations: Dense",
    "effective_acs": "SynapticOperations: Effective_ACs",
    "effective_macs": "SynapticOperations: Effective_MACs",
    "membrane_changes": "MembraneUpdates",
    "parameter_count": "ParameterCount",
}
"""Our name of each metric, and NeuroBench's."""

JOULES_PER_PICOJOULE = 1e-12


def layer_metrics(layer: LayerPlan, train: np.ndarray, fired: np.ndarray) -> dict[str, float | int]:
    """Return the metrics of one layer, means over the samples; ``connection_sparsity`` is that of its connections.

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
        "memory_bytes": sum(memory.bits for memory in layer.memories) / 8,
    }


def network_metrics(plan: Plan, trains: Mapping[str, np.ndarray],
                    membranes: Mapping[str, np.ndarray] | None = None) -> dict[str, float | int]:
    """Return the metrics of the network: sums over the layers, sparsities over all neurons and all weights.

    Parameters
    ----------
    plan : Plan
        The accelerator.
    trains : mapping of str to array, (samples, timesteps, neurons)
        Spikes of the input and of every layer.
    membranes : mapping of str to int array, (samples, timesteps, neurons)
        States after each timestep, :attr:`snnhw.reference.Trace.membranes`; without them ``membrane_changes`` is left out.
    """
    rows = [layer_metrics(layer, *_ends(plan, trains, layer)) for layer in plan.layers]
    total: dict[str, float | int] = {name: sum(row[name] for row in rows) for name in rows[0] if not name.endswith("sparsity")}
    neurons = [layer.outputs for layer in plan.layers]
    quiet = sum(row["activation_sparsity"] * size for row, size in zip(rows, neurons, strict=True))
    weights = [node for node in plan.graph.nodes if isinstance(node, Linear | Conv)]
    zeros, stored = sum(int((node.weight == 0).sum()) for node in weights), sum(node.weight.size for node in weights)
    states = sum(layer.outputs * (layer.state_bits + layer.synapse_bits + sum(layer.parameter_bits.values()))
                 for layer in plan.layers)
    total["activation_sparsity"] = quiet / sum(neurons)
    total["connection_sparsity"] = zeros / stored if stored else 0.0
    total["footprint_bytes"] = (sum(node.weight.size * node.weight_bits for node in weights) + states) / 8
    if membranes is not None:
        total["membrane_changes"] = sum(membrane_changes(values) for values in membranes.values())
    return total


def membrane_changes(membranes: np.ndarray) -> float:
    """Return the mean number of membrane updates of a sample as NeuroBench counts them.

    Each neuron counts in the first timestep, and in each later one in which its membrane differs from the timestep before.

    Parameters
    ----------
    membranes : int array, (samples, timesteps, neurons)
        States after each timestep.
    """
    samples, timesteps, neurons = membranes.shape
    changed = int(np.count_nonzero(membranes[:, 1:] != membranes[:, :-1]))
    return changed / samples + neurons * bool(timesteps)


def sample_seconds(energy: Energy) -> float | None:
    """Return the time for which an energy counts static power, which is that of a sample; None where it counts none."""
    amounts = [term.amount for term in energy.terms if term.kind == STATIC and term.unit == "s"]
    return sum(amounts) if amounts else None


def energy_metrics(energy: Energy, metrics: Mapping[str, float]) -> dict[str, float | dict[str, float] | None]:
    """Return the figures of merit of an energy, None for those that its counts or its rung do not give.

    Parameters
    ----------
    energy : Energy
        Of a sample.
    metrics : mapping of str to float
        What :func:`network_metrics` returned for the same samples.

    Returns
    -------
    dict
        ``pj_per_synaptic_operation`` and ``pj_per_effective_operation`` (accumulates and multiply-accumulates whose weight is not
        0), at the middle constants; ``seconds`` of a sample, and ``energy_delay_js``, the band of energy times that, in J s. The
        rungs A0 and A1 have no clock, hence no time.
    """
    work, seconds = metrics["synaptic_operations"], sample_seconds(energy)
    effective = metrics["effective_acs"] + metrics["effective_macs"]
    product = None
    if seconds is not None:
        product = Band.of(energy.drawn_pj * JOULES_PER_PICOJOULE * seconds).as_json()
    return {
        "pj_per_synaptic_operation": energy.mid_pj / work if work else None,
        "pj_per_effective_operation": energy.mid_pj / effective if effective else None,
        "seconds": seconds,
        "energy_delay_js": product,
    }


def _ends(plan: Plan, trains: Mapping[str, np.ndarray], layer: LayerPlan) -> tuple[np.ndarray, np.ndarray]:
    return events_of(layer, trains), trains[layer.name]

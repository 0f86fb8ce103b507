"""The plan: how this accelerator computes a graph."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from snnhw.fixed import Interval, unsigned_bits
from snnhw.ir import Graph, Linear, Neuron, NeuronSpec

__all__ = ["LayerPlan", "Memory", "Plan"]


@dataclass(frozen=True)
class Memory:
    """One memory of a core.

    Parameters
    ----------
    role : str
        ``"weights"``, ``"events"``, ``"membranes"`` or ``"parameters"``; also its name in the Verilog.
    depth : int
        Words.
    width : int
        Bits of a word.
    content : str
        ``"rom"`` (initialised, never written), ``"ram"`` or ``"loaded"`` (written through the loading stream).
    """

    role: Literal["weights", "events", "membranes", "parameters"]
    depth: int
    width: int
    content: Literal["rom", "ram", "loaded"]

    @property
    def bits(self) -> int:
        return self.depth * self.width


@dataclass(frozen=True)
class LayerPlan:
    """One core: a weighted sum and its neurons.

    Lane ``l`` of tile ``k`` computes neuron ``k * lanes + l``. Word ``k * inputs + a`` of the weight
    memory holds, lane 0 in the lowest bits, the weights of tile ``k`` for presynaptic neuron ``a``;
    lanes past the last neuron hold zeros.

    Parameters
    ----------
    index : int
        Position of the core in the pipeline.
    linear, neuron : Linear, Neuron
        Nodes of the graph.
    lanes : int
        Synaptic operations per cycle, 1 to the number of neurons.
    current : Interval
        Every value the weighted sum of a timestep can take, from the actual weights. Units of the weights.
    update : Interval
        Every value the new state can take before saturation and before an immediate reset.
    state : Interval
        Every value the stored state can take. Like `update` proven for samples of any length when the neuron
        saturates, and for the timesteps of the graph when it is exact.
    weights_loaded : bool
        The weight memory is written at run time instead of being initialised.
    synapse_update, synapse : Interval or None
        The same as `update` and `state` of the synaptic current, for neurons that have one.
    """

    index: int
    linear: Linear
    neuron: Neuron
    lanes: int
    current: Interval
    update: Interval
    state: Interval
    weights_loaded: bool = False
    synapse_update: Interval | None = None
    synapse: Interval | None = None

    @property
    def name(self) -> str:
        """Name of the neurons, as the user wrote it."""
        return self.neuron.name

    @property
    def spec(self) -> NeuronSpec:
        return self.neuron.spec

    @property
    def inputs(self) -> int:
        return self.linear.sources

    @property
    def outputs(self) -> int:
        return self.linear.outputs

    @property
    def tiles(self) -> int:
        """Groups of `lanes` neurons that are accumulated one after another."""
        return -(-self.outputs // self.lanes)

    @property
    def weight_bits(self) -> int:
        return self.linear.weight_bits

    @property
    def current_bits(self) -> int:
        """Width of a lane's accumulator."""
        return self.current.bits

    @property
    def update_bits(self) -> int:
        """Width of the new state before saturation."""
        return self.update.bits

    @property
    def state_bits(self) -> int:
        """Width of a stored state."""
        return self.spec.bits if self.spec.overflow == "saturate" else self.state.bits

    @property
    def synapse_bits(self) -> int:
        """Width of a stored synaptic current, beside the state in its word; 0 without one."""
        if self.synapse is None:
            return 0
        return self.spec.bits if self.spec.overflow == "saturate" else self.synapse.bits

    @property
    def synapse_update_bits(self) -> int:
        """Width of the new synaptic current before saturation; 0 without one."""
        return 0 if self.synapse_update is None else self.synapse_update.bits

    @property
    def value_bits(self) -> int:
        """Width of what an output event carries besides its address: an unsigned count, or a signed state; 0 for a spike."""
        if self.spec.output == "state":
            return self.state_bits
        return unsigned_bits(self.spec.grades) if self.spec.grades > 1 else 0

    @property
    def input_address_bits(self) -> int:
        return unsigned_bits(self.inputs - 1)

    @property
    def output_address_bits(self) -> int:
        return unsigned_bits(self.outputs - 1)

    @cached_property
    def parameter_bits(self) -> Mapping[str, int]:
        """Width of each parameter that differs between neurons, by name; empty when none does."""
        values = {name: np.asarray(self.spec.parameters[name]) for name in self.spec.per_neuron}
        return {name: Interval(int(array.min()), int(array.max())).bits for name, array in values.items()}

    @cached_property
    def weight_words(self) -> np.ndarray:
        """Weights as the memory holds them: int64, (words, lanes)."""
        padded = np.zeros((self.tiles * self.lanes, self.inputs), np.int64)
        padded[:self.outputs] = self.linear.weight
        return padded.reshape(self.tiles, self.lanes, self.inputs).transpose(0, 2, 1).reshape(-1, self.lanes)

    @property
    def memories(self) -> tuple[Memory, ...]:
        """Memory map of the core."""
        weights: Literal["loaded", "rom"] = "loaded" if self.weights_loaded else "rom"
        memories = [
            Memory("weights", self.tiles * self.inputs, self.lanes * self.weight_bits, weights),
            Memory("events", 2 * self.inputs, self.input_address_bits, "ram"),
            Memory("membranes", self.outputs, self.state_bits + self.synapse_bits, "ram"),
        ]
        if self.parameter_bits:
            memories.append(Memory("parameters", self.outputs, sum(self.parameter_bits.values()), "rom"))
        return tuple(memories)


@dataclass(frozen=True)
class Plan:
    """A graph and one core for each of its layers.

    Parameters
    ----------
    graph : Graph
        What is computed.
    layers : tuple of LayerPlan
        Cores, in the order of the pipeline.
    """

    graph: Graph
    layers: tuple[LayerPlan, ...]

    @property
    def inputs(self) -> int:
        return self.layers[0].inputs

    @property
    def outputs(self) -> int:
        return self.layers[-1].outputs

    @property
    def loaded_words(self) -> int:
        """Words that the loading stream must deliver before the first event."""
        return sum(layer.tiles * layer.inputs for layer in self.layers if layer.weights_loaded)

    def __str__(self) -> str:
        from snnhw.plan.text import format_plan
        return format_plan(self)

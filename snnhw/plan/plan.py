"""The plan: how this accelerator computes a graph."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from snnhw.fixed import Interval, pack_words, signed_bits, unsigned_bits
from snnhw.ir import Graph, Neuron, NeuronSpec, Readout
from snnhw.plan.columns import Columns
from snnhw.plan.decision import DecisionPlan
from snnhw.plan.packing import Packing
from snnhw.plan.queued import DEFAULT_QUEUE, Queued
from snnhw.plan.ranges import Ranges
from snnhw.plan.synapses import Dense, Scattered

__all__ = ["Control", "LayerPlan", "Memory", "Plan", "Source"]

Control = Literal["axi4-lite", "wishbone"]
Events = Literal["list", "bitmap"]
BITMAP_BITS = 16  # of a word that keeps events as bits: the widest of which iCE40 RAM writes single bits
Role = Literal["sources", "weights", "events", "lane_queues", "currents", "membranes", "parameters", "queue", "scores"]


@dataclass(frozen=True)
class Memory:
    """One memory of a core.

    Parameters
    ----------
    role : str
        What it holds; also its name in the Verilog.
    depth : int
        Words.
    width : int
        Bits of a word.
    content : str
        ``"rom"`` (initialised, never written), ``"ram"`` or ``"loaded"`` (written through the loading stream).
    copies : int
        How many memories of this size there are.
    """

    role: Role
    depth: int
    width: int
    content: Literal["rom", "ram", "loaded"]
    copies: int = 1

    @property
    def bits(self) -> int:
        """Bits of all copies."""
        return self.copies * self.depth * self.width


@dataclass(frozen=True)
class Source:
    """Where events of a core come from.

    Parameters
    ----------
    name : str
        Node of the graph whose spikes they are.
    core : int or None
        The core that computes it; None for the input of the accelerator.
    delayed : bool
        They are those of the timestep before.
    offset : int
        What is added to an address there to make one here.
    count : int
        Addresses there.
    values : Interval
        Values of an event; 0..1 when it has none.
    queue : int
        Events that can wait between the two cores: those of a whole timestep and its tick, where a core would otherwise wait
        for itself. 0 where they are joined directly.
    """

    name: str
    core: int | None
    delayed: bool
    offset: int
    count: int
    values: Interval
    queue: int = 0


@dataclass(frozen=True)
class LayerPlan:
    """One core: a population of neurons, and the weighted sums that drive it.

    A core with :class:`~snnhw.plan.synapses.Dense` synapses is output-stationary: lane ``l`` of tile ``k`` computes neuron
    ``k * lanes + l``. Word ``k * inputs + a`` of the weight memory holds, lane 0 in the lowest bits, the weights of tile ``k``
    for event ``a``; lanes past the last neuron hold zeros.

    A core with :class:`~snnhw.plan.synapses.Scattered` synapses walks the list of each event: word ``a`` of the memory of sources
    holds, from the lowest bits, the base of event ``a``, its first weight word and how many there are; each weight word holds,
    from the lowest bits, its weights, lane 0 first, and its offset. They are added to the word ``base + offset`` of the currents.

    A core with :class:`~snnhw.plan.columns.Columns` walks lists too, but each lane adds to a row of its own.

    With :class:`~snnhw.plan.queued.Queued` synapses each lane has a weight memory of its own, and a queue of events before it.

    With a `packing`, a word holds codes in the place of its weights, from the lowest bit; what follows them stays as it is.

    Parameters
    ----------
    index : int
        Position of the core in the accelerator.
    neuron : Neuron
        Node of the graph; of a maximum pool, neurons that compute it.
    sums : tuple of str
        Names of the nodes between the sources and the neurons.
    sources : tuple of Source
        Where its events come from.
    synapses : Dense, Scattered, Columns or Queued
        The weights.
    lanes : int
        Synaptic operations per cycle, 1 to the number of neurons.
    ranges : Ranges
        Every value that a word of the core can take. Proven for samples of any length when the neuron saturates, and for the
        timesteps of the graph when it is exact.
    weights_loaded : bool
        The weight memory is written at run time instead of being initialised.
    packing : Packing or None
        How its weights are coded; None if they are stored as they are.
    events : str
        How the events of a timestep are kept: a ``"list"`` of addresses, or a ``"bitmap"``, a bit for each, of dense cores only.
    outputs : int
        Number of neurons.
    """

    index: int
    neuron: Neuron
    sums: tuple[str, ...]
    sources: tuple[Source, ...]
    synapses: Dense | Scattered | Columns | Queued
    outputs: int
    lanes: int
    ranges: Ranges
    weights_loaded: bool = False
    packing: Packing | None = None
    events: Events = "list"

    @property
    def name(self) -> str:
        """Name of the neurons, as the user wrote it."""
        return self.neuron.name

    @property
    def spec(self) -> NeuronSpec:
        return self.neuron.spec

    @property
    def scattered(self) -> bool:
        """The core walks lists."""
        return not isinstance(self.synapses, Dense)

    @property
    def clears(self) -> bool:
        """After a reset, memories are cleared before events may come."""
        return self.scattered or self.events == "bitmap"

    @property
    def format(self) -> str:
        """How the weights are stored."""
        if isinstance(self.synapses, Columns):
            return self.synapses.format
        if isinstance(self.synapses, Queued):
            return "queued"
        return "dense" if isinstance(self.synapses, Dense) else "block"

    @property
    def format_choice(self) -> str:
        """The same, as it was asked for: with the width of a run, or the depth of a queue, where that is not the usual."""
        if isinstance(self.synapses, Columns) and self.synapses.run_bits:
            return f"{self.format}:{self.synapses.run_bits}"
        if isinstance(self.synapses, Queued) and self.synapses.queue != DEFAULT_QUEUE:
            return f"{self.format}:{self.synapses.queue}"
        return self.format

    @property
    def inputs(self) -> int:
        """Addresses of its events."""
        return sum(source.count for source in self.sources)

    @property
    def merged(self) -> bool:
        """Its events pass a merge: they have several sources, or waited in a queue, or change their format on the way."""
        source = self.sources[0]
        return len(self.sources) > 1 or source.queue > 0 or (source.core is not None and self.input_value_bits > 0)

    @property
    def input_values(self) -> Interval:
        """Values of its events."""
        values = [source.values for source in self.sources]
        return Interval(min(value.lowest for value in values), max(value.highest for value in values))

    @property
    def input_value_bits(self) -> int:
        """Width of the signed value of an event; 0 when all are 1."""
        values = self.input_values
        return 0 if (values.lowest, values.highest) == (0, 1) else signed_bits(values.lowest, values.highest)

    @property
    def output_value_bits(self) -> int:
        """Width of the signed value of an event that leaves the accelerator: the count of spikes, or the state; 0 without one."""
        return self.value_bits + (self.spec.output == "count" and self.value_bits > 0)

    @property
    def current(self) -> Interval:
        """Values of the weighted sum of a timestep, in units of the weights."""
        return self.ranges.current

    @property
    def update(self) -> Interval:
        """Values of the new state before saturation and before an immediate reset."""
        return self.ranges.update

    @property
    def state(self) -> Interval:
        """Values of the stored state."""
        return self.ranges.state

    @property
    def synapse_update(self) -> Interval | None:
        """The same as `update`, of the synaptic current; None for neurons without one."""
        return self.ranges.synapse_update

    @property
    def synapse(self) -> Interval | None:
        """Values of the stored synaptic current."""
        return self.ranges.synapse

    @property
    def tiles(self) -> int:
        """Groups of `lanes` neurons, or of channels, that are accumulated one after another."""
        return -(-self.outputs // self.lanes) if isinstance(self.synapses, Dense) else self.synapses.tiles

    @property
    def weight_bits(self) -> int:
        return self.synapses.weight_bits

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
    def word_fields(self) -> tuple[tuple[np.ndarray, int], ...]:
        """Columns of the weight memory before they are packed, each with its width, the lowest first: the weights of all lanes,
        then what tells their places."""
        if not isinstance(self.synapses, Dense):
            return self.synapses.word_fields
        padded = np.full((self.tiles * self.lanes, self.inputs), self.packing.filler if self.packing else 0)
        padded[:self.outputs] = self.synapses.weight
        words = padded.reshape(self.tiles, self.lanes, self.inputs).transpose(0, 2, 1).reshape(-1, self.lanes)
        return tuple((words[:, lane], self.weight_bits) for lane in range(self.lanes))

    @cached_property
    def weight_fields(self) -> tuple[tuple[np.ndarray, int], ...]:
        """Columns of the weight memory, each with its width, the lowest first."""
        if self.packing is None:
            return self.word_fields
        weights = np.stack([column for column, _ in self.word_fields[:self.lanes]], axis=1)
        return *self.packing.encode(weights), *self.word_fields[self.lanes:]

    @cached_property
    def weight_words(self) -> list[int]:
        """Content of the weight memory."""
        return pack_words(self.weight_fields)

    @property
    def source_fields(self) -> tuple[tuple[np.ndarray, int], ...]:
        """Columns of the memory that tells where the list of an event lies, each with its width, the lowest first."""
        return () if isinstance(self.synapses, Dense) else self.synapses.source_fields

    @property
    def memories(self) -> tuple[Memory, ...]:
        """Memory map of the core; the weights come first."""
        loaded: Literal["loaded", "rom"] = "loaded" if self.weights_loaded else "rom"
        fields = self.weight_fields
        copies = self.synapses.lanes if isinstance(self.synapses, Queued) else 1
        memories = [Memory("weights", len(fields[0][0]), sum(bits for _, bits in fields) // copies, loaded, copies)]
        if self.events == "bitmap":
            memories.append(Memory("events", -(-self.inputs // BITMAP_BITS), BITMAP_BITS, "ram", 2))
        else:
            memories.append(Memory("events", 2 * self.inputs, self.input_address_bits + self.input_value_bits, "ram"))
        if self.source_fields:
            memories.append(Memory("sources", self.inputs, sum(bits for _, bits in self.source_fields), "rom"))
        if isinstance(self.synapses, Queued):
            entry = self.synapses.queue_bits + self.input_value_bits
            memories.append(Memory("lane_queues", self.synapses.queue, entry, "ram", self.lanes))
        if not isinstance(self.synapses, Dense):
            # Two halves: the sums of a timestep are read while those of the next are added.
            banks = self.synapses.banks
            memories.append(Memory("currents", self.synapses.words, self.lanes // banks * self.current_bits, "ram", 2 * banks))
        memories.append(Memory("membranes", self.outputs, self.state_bits + self.synapse_bits, "ram"))
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
        Cores; each takes events of earlier ones, or delayed ones of any.
    output : int
        The core whose spikes leave the accelerator.
    decide : bool
        The accelerator also gives the decision of each sample.
    control : str or None
        Bus of the control port, see :mod:`snnhw.plan.registers`; None for an accelerator without one.
    """

    graph: Graph
    layers: tuple[LayerPlan, ...]
    output: int
    decide: bool = False
    control: Control | None = None

    @property
    def inputs(self) -> int:
        """Addresses of the events that come in."""
        return int(np.prod(self.graph.input.shape))

    @property
    def input_value_bits(self) -> int:
        """Width of the signed value of an event that comes in; 0 when all are 1."""
        values = self.graph.input.values
        return 0 if (values.lowest, values.highest) == (0, 1) else signed_bits(values.lowest, values.highest)

    @property
    def input_address_bits(self) -> int:
        return unsigned_bits(self.inputs - 1)

    @property
    def input_bits(self) -> int:
        """Width of an event that comes in: its address, and above it its value."""
        return self.input_address_bits + self.input_value_bits

    @property
    def output_bits(self) -> int:
        """Width of an event that leaves: its address, and above it its value."""
        return self.last.output_address_bits + self.last.output_value_bits

    @property
    def last(self) -> LayerPlan:
        """Core whose spikes leave the accelerator."""
        return self.layers[self.output]

    @property
    def outputs(self) -> int:
        return self.last.outputs

    @property
    def decision(self) -> DecisionPlan | None:
        """How the accelerator decides; None when it does not."""
        if not self.decide:
            return None
        readout = self.graph.nodes[-1]
        assert isinstance(readout, Readout)
        values = self.last.state if self.last.spec.output == "state" else Interval(0, self.last.spec.grades)
        return DecisionPlan.of(readout, self.outputs, self.graph.timesteps, values)

    @property
    def lags(self) -> bool:
        """A core may still be at work when the last tick of a sample leaves, because that did not wait for what it gives."""
        waited, pending = set(), [self.output]
        while pending:
            layer = self.layers[pending.pop()]
            if layer.index not in waited:
                waited.add(layer.index)
                pending += [source.core for source in layer.sources if source.core is not None and not source.delayed]
        return len(waited) < len(self.layers) or any(source.queue for layer in self.layers for source in layer.sources)

    @property
    def chained(self) -> bool:
        """Each core takes its events from the one before, and from it alone."""
        return all(not layer.merged and layer.sources[0].core == (layer.index - 1 if layer.index else None)
                   for layer in self.layers)

    @property
    def loaded_words(self) -> int:
        """Words that the loading stream must deliver before the first event."""
        return sum(layer.memories[0].depth for layer in self.layers if layer.weights_loaded)

    def __str__(self) -> str:
        from snnhw.plan.text import format_plan
        return format_plan(self)

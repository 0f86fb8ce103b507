"""The register map of an accelerator with a control port, computed from its plan.

Hardware, SystemRDL, C header and document all are made from what :func:`register_map` returns. Words have 32 bits, addresses
count bytes. The registers of the whole accelerator come first, then :data:`STRIDE` bytes for each core.
"""

import hashlib
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from snnhw.fixed import unsigned_bits
from snnhw.ir import Graph, save_graph
from snnhw.plan.accesses import access_names
from snnhw.plan.adjustable import Adjustable, parameters
from snnhw.plan.plan import Control, LayerPlan, Plan

__all__ = ["COUNTERS", "MAGIC", "STRIDE", "TOTALS", "VERSION", "WORD_BITS", "Access", "Block", "Counter", "Field", "Register",
           "RegisterMap", "checksum", "graph_word", "layer_counters", "loading_chunks", "register_map"]

Access = Literal["ro", "rw", "w1c", "wo"]

WORD_BITS = 32
MAGIC = 0x534E4E48  # "SNNH"
VERSION = 1, 0  # the second part grows with registers that older software need not know
STRIDE = 0x100  # bytes of the registers of a core, and of those of the whole
COUNTERS = 0x40, 0x80  # where the counters of a core begin, and those of the whole
_COUNTS = {
    "events_write": "events that came in",
    "events_read": "events, or words of their bitmap, that were read, once for each tile",
    "events_clear": "words of the bitmap of events that were cleared",
    "sources_read": "events whose list of weight words was looked up",
    "weights_read": "words read from the weight memory",
    "accumulate": "slots of synaptic operations, each of as many as there are lanes",
    "currents_read": "reads of the memory of currents",
    "currents_clear": "words of currents that were cleared",
    "finalise": "updates of a neuron",
    "membranes_read": "words read from the memory of states",
    "membranes_write": "words written to the memory of states",
    "parameters_read": "words read from the memory of parameters",
    "stalls": "cycles in which an event of this core waited for what follows it",
    "saturations": "states and synaptic currents that were clipped to their word",
}
#: Counters of the whole accelerator: name and what is counted.
TOTALS = {
    "cycles": "clock cycles",
    "busy_cycles": "clock cycles in which the accelerator was busy, as STATUS says",
    "input_events": "events that came in",
    "input_ticks": "timesteps that came in",
    "input_stalls": "cycles in which a beat was offered to s_axis and not taken, whatever the reason",
    "output_events": "events that left",
    "output_stalls": "cycles in which a beat was offered on m_axis and not taken",
    "slots": "slots of synaptic operations of all cores; of cores with lane queues every operation",
    "updates": "updates of neurons of all cores",
    "saturations": "words that were clipped in all cores",
}


@dataclass(frozen=True)
class Field:
    """Bits of a register.

    Parameters
    ----------
    name : str
        Unique in its register.
    lsb, bits : int
        Where it lies.
    access : str
        ``"ro"``; ``"rw"``; ``"w1c"``: writing 1 clears it; ``"wo"``: reads as 0.
    reset : int
        Value after a reset, as an unsigned word.
    description : str
        What it means.
    constant : bool
        It never has another value.
    signed : bool
        It is a number in two's complement.
    """

    name: str
    lsb: int
    bits: int
    access: Access
    reset: int
    description: str
    constant: bool = False
    signed: bool = False

    def __post_init__(self) -> None:
        assert self.lsb >= 0
        assert self.bits >= 1
        assert self.lsb + self.bits <= WORD_BITS
        assert 0 <= self.reset < 1 << self.bits
        assert not self.constant or self.access == "ro"


@dataclass(frozen=True)
class Register:
    """A word.

    Parameters
    ----------
    name : str
        Unique in its block.
    offset : int
        Bytes from the start of its block.
    description : str
        What it is for.
    fields : tuple of Field
        From the lowest bits; other bits read as 0.
    """

    name: str
    offset: int
    description: str
    fields: tuple[Field, ...]

    @property
    def reset(self) -> int:
        """Word after a reset, as it is read."""
        return sum(item.reset << item.lsb for item in self.fields if item.access != "wo")


@dataclass(frozen=True)
class Counter:
    """Two registers that hold a count of 64 bits; reading the low one keeps the high one for the read that follows.

    Parameters
    ----------
    name : str
        Its registers are ``<name>_low`` and ``<name>_high``.
    offset : int
        Bytes from the start of the block to the low one.
    description : str
        What is counted.
    """

    name: str
    offset: int
    description: str

    @property
    def registers(self) -> tuple[Register, Register]:
        low = Field("count", 0, WORD_BITS, "ro", 0, f"Lower half of the number of {self.description}.")
        high = Field("count", 0, WORD_BITS, "ro", 0, f"Upper half of the number of {self.description}.")
        return (Register(f"{self.name}_low", self.offset, "Read before the upper half, which it keeps.", (low,)),
                Register(f"{self.name}_high", self.offset + 4, "As it was when the lower half was read.", (high,)))


@dataclass(frozen=True)
class Block:
    """Registers of one core, or of the whole accelerator.

    Parameters
    ----------
    name : str
        ``"core"`` or ``"layer<k>"``.
    address : int
        Of its first register, in bytes.
    words : tuple of Register
        All that are no counters.
    counters : tuple of Counter
        The counters.
    description : str
        What it is of.
    adjustable : tuple of Adjustable
        What lies behind the registers ``threshold``, ``decay`` and ``synapse``.
    """

    name: str
    address: int
    words: tuple[Register, ...]
    counters: tuple[Counter, ...]
    description: str
    adjustable: tuple[Adjustable, ...] = ()

    @property
    def registers(self) -> tuple[Register, ...]:
        """All registers, by address."""
        return *self.words, *(register for counter in self.counters for register in counter.registers)

    def __getitem__(self, name: str) -> Register:
        return next(register for register in self.registers if register.name == name)


@dataclass(frozen=True)
class RegisterMap:
    """All registers of an accelerator.

    Parameters
    ----------
    control : str
        Bus of the control port.
    blocks : tuple of Block
        The first is that of the whole, then one for each core.
    """

    control: Control
    blocks: tuple[Block, ...]

    @property
    def address_bits(self) -> int:
        """Width of an address, in bytes."""
        return unsigned_bits(len(self.blocks) * STRIDE - 1)

    def __iter__(self) -> Iterator[tuple[Block, Register]]:
        return ((block, register) for block in self.blocks for register in block.registers)

    def address(self, block: str, register: str) -> int:
        """Return the address of a register, in bytes."""
        found = next(item for item in self.blocks if item.name == block)
        return found.address + found[register].offset


@cache
def graph_word(graph: Graph) -> int:
    """Return the first 32 bits of the SHA-256 of the graph's file, which is in every output folder and its manifest."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "graph.safetensors"
        save_graph(graph, path)
        return int.from_bytes(hashlib.sha256(path.read_bytes()).digest()[:4], "big")


def loading_chunks(plan: Plan) -> int:
    """Return how many 32-bit words of the bus hold one word of the loading stream; 0 when nothing is loaded."""
    return max((-(-layer.memories[0].width // WORD_BITS) for layer in plan.layers if layer.weights_loaded), default=0)


def checksum(plan: Plan) -> int:
    """Return the CRC-32 (the one of zlib and Ethernet) of the weights that the plan means.

    It runs over the words of the loading stream, each as little-endian bytes, padded with zeros to whole 32-bit words.
    """
    width, value = 4 * loading_chunks(plan), 0
    for layer in plan.layers:
        if layer.weights_loaded:
            value = zlib.crc32(b"".join(word.to_bytes(width, "little") for word in layer.weight_words), value)
    return value


def layer_counters(layer: LayerPlan) -> tuple[str, ...]:
    """Return the names of the counters of a core: its access signals, then stalls and saturations."""
    return (*access_names(layer), "stalls", "saturations")


def register_map(plan: Plan) -> RegisterMap:
    """Return the registers of an accelerator with a control port."""
    if plan.control is None:
        raise ValueError("Plan must have a control port")
    return RegisterMap(plan.control, (_core(plan), *(_layer(layer) for layer in plan.layers)))


def _word(name: str, value: int, description: str) -> Field:
    return Field(name, 0, WORD_BITS, "ro", value & (1 << WORD_BITS) - 1, description, constant=True)


def _core(plan: Plan) -> Block:
    loaded = plan.loaded_words > 0
    front = ["axi4-lite", "wishbone"].index(plan.control or "")
    largest = max(layer.output_address_bits for layer in plan.layers)
    state = max(layer.state_bits for layer in plan.layers)
    control = [
        Field("run", 0, 1, "rw", 1, "Beats are taken from s_axis; when 0, none enters, and what is inside is completed."),
        Field("hold", 1, 1, "rw", 0, "No beat is taken while STATUS.checksum_ok is 0."),
        Field("clear", 8, 1, "wo", 0, "Writing 1 drops everything under way, also an output beat that waits, and returns all "
              "states to their start, as a reset does; registers, counters and loaded weights stay."),
        Field("clear_counters", 9, 1, "wo", 0, "Writing 1 sets all counters to 0."),
    ]
    if loaded:
        control.append(Field("reload", 10, 1, "wo", 0, "Writing 1 does what clear does, and all weights must be loaded again."))
    registers = [
        Register("magic", 0x00, "Tells that this is such an accelerator.", (_word("value", MAGIC, "The letters SNNH."),)),
        Register("version", 0x04, "Version of this register map.", (
            Field("minor", 0, 16, "ro", VERSION[1], "Grows when registers are added.", constant=True),
            Field("major", 16, 16, "ro", VERSION[0], "Grows when registers change their meaning.", constant=True))),
        Register("graph", 0x08, "Which network it computes.", (
            _word("hash", graph_word(plan.graph), "First 32 bits of the SHA-256 of graph.safetensors."),)),
        Register("shape", 0x0C, "How the cores are arranged.", (
            Field("layers", 0, 16, "ro", len(plan.layers), "Number of cores.", constant=True),
            Field("output", 16, 16, "ro", plan.output, "The core whose spikes leave.", constant=True))),
        Register("features", 0x10, "What it was built with.", (
            Field("loaded", 0, 1, "ro", int(loaded), "Weights are loaded at run time.", constant=True),
            Field("bus", 4, 4, "ro", front, "Bus of this port: 0 AXI4-Lite, 1 Wishbone.", constant=True),
            Field("input_value_bits", 8, 8, "ro", plan.input_value_bits, "Width of the value of an input event; 0 without one.",
                  constant=True),
            Field("output_value_bits", 16, 8, "ro", plan.last.output_value_bits,
                  "Width of the value of an output event; 0 without one.", constant=True))),
        Register("inputs", 0x14, "Addresses of input events.", (_word("count", plan.inputs, "Number of inputs."),)),
        Register("outputs", 0x18, "Addresses of output events.", (_word("count", plan.outputs, "Number of outputs."),)),
        Register("timesteps", 0x1C, "Length of a sample.", (
            _word("count", plan.graph.timesteps, "Timesteps that the network was made for."),)),
        Register("control", 0x20, "Start, stop and clear.", tuple(control)),
        Register("status", 0x24, "What the accelerator does.", (
            Field("busy", 0, 1, "ro", 0, "A timestep has begun to come in, and not every core is done with it."),
            Field("taking", 1, 1, "ro", int(not loaded), "Beats of s_axis are let through: control.run is 1, the weights are "
                  "loaded, and nothing holds them."),
            Field("weights_loaded", 2, 1, "ro", int(not loaded), "All weights are loaded.", constant=not loaded),
            Field("checksum_ok", 3, 1, "ro", int(not loaded), "All weights are loaded, and their checksum is the expected one.",
                  constant=not loaded),
            Field("refused", 8, 1, "w1c", 0, "A write was ignored: a value that its register cannot take, or a word of weights "
                  "that was not whole or not wanted any more."))),
        Register("probe_layer", 0x28, "Core that is looked at; writing forgets what was seen.", (
            Field("index", 0, 16, "rw", 0, "Number of the core."),)),
        Register("probe_neuron", 0x2C, "Neuron that is looked at; writing forgets what was seen.", (
            Field("index", 0, largest, "rw", 0, "Number of the neuron in its core."),)),
        Register("probe_membrane", 0x30, "Reading keeps probe_state for the read that follows.", (
            Field("value", 0, WORD_BITS, "ro", 0, f"The state that was last written for this neuron, a signed number of at most "
                  f"{state} bits.", signed=True),)),
        Register("probe_state", 0x34, "Belongs to the membrane that was read last.", (
            Field("seen", 0, 1, "ro", 0, "The neuron was updated since it was chosen."),
            Field("fired", 1, 1, "ro", 0, "It fired in that update."))),
    ]
    if loaded:
        registers += [
            Register("weights_words", 0x40, "How much there is to load.", (
                _word("count", plan.loaded_words, "Words of weights, of all cores."),)),
            Register("weights_chunks", 0x44, "How a word of weights is written.", (
                _word("count", loading_chunks(plan), "Writes of weights_data that make one word."),)),
            Register("weights_loaded", 0x48, "How much is loaded.", (
                Field("count", 0, WORD_BITS, "ro", 0, "Words of weights that came in, through this port or s_axis_weights."),)),
            Register("weights_data", 0x4C, "Window for weights: words in the order of the stream, each from its lowest bits.", (
                Field("data", 0, WORD_BITS, "wo", 0, "Next 32 bits; all four bytes must be written at once."),)),
            Register("weights_checksum", 0x50, "What was loaded.", (
                Field("crc", 0, WORD_BITS, "ro", 0, "CRC-32 of the words so far, each padded with zeros to 32-bit words."),)),
            Register("weights_expected", 0x54, "What should be loaded.", (
                Field("crc", 0, WORD_BITS, "rw", checksum(plan), "CRC-32 that the weights must have; at first that of the "
                      "weights this core was generated from."),)),
        ]
    counters = tuple(Counter(name, COUNTERS[1] + 8 * index, text) for index, (name, text) in enumerate(TOTALS.items()))
    return Block("core", 0, tuple(registers), counters, "The whole accelerator.")


def _layer(layer: LayerPlan) -> Block:
    registers = [
        Register("inputs", 0x00, "Addresses of its events.", (_word("count", layer.inputs, "Number of addresses."),)),
        Register("neurons", 0x04, "Its population.", (_word("count", layer.outputs, "Number of neurons."),)),
        Register("lanes", 0x08, "Its adders.", (
            _word("count", layer.lanes, "Synaptic operations in a slot; with lane queues, at most in a cycle."),)),
        Register("widths", 0x0C, "Widths of its words, in bits.", (
            Field("weight", 0, 8, "ro", layer.weight_bits, "A weight.", constant=True),
            Field("current", 8, 8, "ro", layer.current_bits, "A weighted sum.", constant=True),
            Field("state", 16, 8, "ro", layer.state_bits, "A stored state.", constant=True),
            Field("frac", 24, 8, "ro", layer.spec.frac, "Fractional bits of a state.", constant=True))),
    ]
    shown = parameters(layer.spec)
    registers += [_adjustable(item, layer) for item in shown]
    # Lanes that run by themselves are counted one by one.
    counts = _COUNTS | ({"accumulate": "synaptic operations, of all lanes together"} if layer.format == "queued" else {})
    counters = tuple(Counter(name, COUNTERS[0] + 8 * index, counts[name]) for index, name in enumerate(layer_counters(layer)))
    assert COUNTERS[0] + 8 * len(counters) <= STRIDE
    return Block(f"layer{layer.index}", (layer.index + 1) * STRIDE, tuple(registers), counters, f"Core {layer.index}.", shown)


_OFFSETS = {"threshold": 0x10, "decay": 0x14, "synapse": 0x18}
_MEANINGS = {
    ("threshold", "threshold"): "Neurons fire when their state is at or above it.",
    ("decay", "factor"): "A membrane is multiplied by it and shifted right by {shift} in each timestep.",
    ("decay", "shift"): "A membrane loses itself, shifted right by it, in each timestep.",
    ("synapse", "factor"): "A synaptic current is multiplied by it and shifted right by {shift} in each timestep.",
    ("synapse", "shift"): "A synaptic current loses itself, shifted right by it, in each timestep.",
}


def _adjustable(item: Adjustable, layer: LayerPlan) -> Register:
    decay = layer.spec.synapse if item.name == "synapse" and layer.spec.synapse is not None else layer.spec.decay
    meaning = _MEANINGS[item.name, item.kind].format(shift=decay.shift)
    value = (0 if item.value is None else item.value) & (1 << WORD_BITS) - 1
    signed = item.kind == "threshold"
    if item.fixed:
        says = f"{meaning} Cannot be changed: {item.fixed}."
        says += f" Reads as 0; the values lie between {item.lowest} and {item.highest}." if item.value is None else ""
        field = Field(item.kind, 0, WORD_BITS, "ro", value, says, constant=True, signed=signed)
    else:
        field = Field(item.kind, 0, WORD_BITS, "rw", value, f"{meaning} {item.lowest} to {item.highest}; other values are "
                      "refused. Write while STATUS.busy is 0: it holds at once, also in the middle of a timestep.", signed=signed)
    return Register(item.name, _OFFSETS[item.name], f"{item.name.capitalize()} of all neurons of the core.", (field,))

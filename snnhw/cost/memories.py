"""Energy of a memory access, as an amount of parameters of a constant set."""

from collections.abc import Mapping

from snnhw.board import Board
from snnhw.cost.constants import ConstantSet, Sram
from snnhw.cost.energy import Term
from snnhw.plan import LayerPlan, Memory, Plan
from snnhw.plan.accesses import queue_names
from snnhw.plan.queued import Queued
from snnhw.plan.ram import RamUse, queue_memories, queue_use
from snnhw.plan.synapses import Dense

__all__ = ["ACCESSES", "at_once", "block_term", "block_terms", "macro", "macro_terms", "queue_accesses", "queue_terms"]

ACCESSES = (
    ("weights", "weights_read", False),
    ("sources", "sources_read", False),
    ("currents", "accumulate", False),
    ("currents", "accumulate", True),
    ("currents", "currents_read", False),
    ("currents", "currents_clear", True),
    ("events", "events_read", False),
    ("events", "events_write", True),
    ("events", "events_clear", True),
    ("membranes", "membranes_read", False),
    ("membranes", "membranes_write", True),
    ("parameters", "parameters_read", False),
)
"""Role of the memory, signal that is high for one access, whether it writes."""

REFERENCE_BITS = 8192  # the SRAM law is normalised to 1 KB
REFERENCE_WIDTH = 16  # and to 16-bit words


def at_once(layer: LayerPlan, role: str, signal: str) -> int:
    """Return how many memories of one size an access reaches: a word is added in the memory of every lane that has its own."""
    synapses = layer.synapses
    return synapses.banks if role == "currents" and signal == "accumulate" and not isinstance(synapses, Dense | Queued) else 1


def macro(memory: Memory, sram: Sram, constants: ConstantSet) -> float:
    """Return the energy of an access to one copy of a memory, in units of an access to the reference macro."""
    size = max(memory.depth * memory.width, sram.smallest_bits) / REFERENCE_BITS
    width = max(memory.width, sram.narrowest_bits) / REFERENCE_WIDTH
    return size ** constants[sram.size_exponent].mid * width ** constants[sram.width_exponent].mid


def queue_accesses(plan: Plan, layer: LayerPlan) -> list[tuple[Memory, str, bool]]:
    """Return what counts as an access to a queue: its memory, the count, whether it writes. Those of lanes are registers."""
    memories = queue_memories(plan, layer)
    lanes = next((memory for memory in layer.memories if memory.role == "lane_queues"), None)
    found = []
    for name, place in queue_names(layer).items():
        memory = lanes if place is None else memories[place]
        assert memory is not None
        found.append((memory, name, name.endswith("write")))
    return found


def macro_terms(plan: Plan, layer: LayerPlan, counts: Mapping[str, float], constants: ConstantSet) -> list[Term]:
    """Return the accesses of a core whose memories are SRAM macros; `counts` are those of a sample, by signal."""
    assert constants.sram is not None
    sram, read = constants.sram, constants.sram.read[constants.flavour]
    memories = {memory.role: memory for memory in layer.memories}
    accesses: list[tuple[Memory, str, float, bool]] = [
        (memories[role], role, counts[signal] * at_once(layer, role, signal), writes)
        for role, signal, writes in ACCESSES
        if role in memories and signal in counts
    ]
    accesses += [(memory, "queues", counts[name], writes)
                 for memory, name, writes in queue_accesses(plan, layer) if name in counts]
    return [
        Term(
            layer.name,
            kind,
            amount * macro(memory, sram, constants),
            "access",
            (read, sram.write_per_read) if writes else (read,),
        )
        for memory, kind, amount, writes in accesses
    ]


def block_terms(layer: LayerPlan, counts: Mapping[str, float], constants: ConstantSet, uses: Mapping[str, RamUse]) -> list[Term]:
    """Return the accesses of a core whose memories lie in the RAM of an FPGA; `uses` are theirs, by role."""
    return [
        block_term(layer, role, counts[signal] * at_once(layer, role, signal), writes, constants, uses[role])
        for role, signal, writes in ACCESSES
        if role in uses and signal in counts
    ]


def queue_terms(
    plan: Plan, layer: LayerPlan, counts: Mapping[str, float], constants: ConstantSet, board: Board, *, lanes: bool = True
) -> list[Term]:
    """Return the accesses of the queues of a core in the RAM of an FPGA, or in its registers.

    Queues of `lanes` are registers, which a simulation of signals has counted already.
    """
    return [
        block_term(layer, "queues", counts[name], writes, constants, queue_use(memory, board, layer))
        for memory, name, writes in queue_accesses(plan, layer)
        if name in counts and (lanes or memory.role == "queue")
    ]


def block_term(layer: LayerPlan, kind: str, accesses: float, writes: bool, constants: ConstantSet, use: RamUse) -> Term:
    """Return the energy of accesses to a memory.

    Synthesis decodes the address for writes only: a read enables every block of the memory, a write one row of them.
    """
    parameter = constants.blocks.get(use.resource)
    if parameter is None:
        return Term(layer.name, kind, accesses * use.memory.width, "bit", ("memory_toggles", "toggle"))
    blocks = use.blocks // use.memory.copies
    enabled = -(-blocks // use.rows) if writes else blocks
    return Term(layer.name, kind, accesses * enabled, "access", (parameter,))

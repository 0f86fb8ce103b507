"""Energy of a memory access, as an amount of parameters of a constant set."""

from collections.abc import Mapping

from snnhw.cost.constants import ConstantSet, Sram
from snnhw.cost.energy import Term
from snnhw.plan import LayerPlan, Memory
from snnhw.plan.queued import Queued
from snnhw.plan.ram import RamUse
from snnhw.plan.synapses import Dense

__all__ = ["ACCESSES", "block_terms", "macro_terms"]

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


def _at_once(layer: LayerPlan, role: str, signal: str) -> int:
    """Return how many memories of one size an access reaches: a word is added in the memory of every lane that has its own."""
    synapses = layer.synapses
    return synapses.banks if role == "currents" and signal == "accumulate" and not isinstance(synapses, Dense | Queued) else 1


def _macro(memory: Memory, sram: Sram, constants: ConstantSet) -> float:
    """Return the energy of an access to one copy of a memory, in units of an access to the reference macro."""
    size = max(memory.depth * memory.width, sram.smallest_bits) / REFERENCE_BITS
    width = max(memory.width, sram.narrowest_bits) / REFERENCE_WIDTH
    return size ** constants[sram.size_exponent].mid * width ** constants[sram.width_exponent].mid


def macro_terms(layer: LayerPlan, counts: Mapping[str, float], constants: ConstantSet) -> list[Term]:
    """Return the accesses of a core whose memories are SRAM macros; `counts` are those of a sample, by signal."""
    assert constants.sram is not None
    read = constants.sram.read[constants.flavour]
    memories = {memory.role: memory for memory in layer.memories}
    return [
        Term(
            layer.name,
            role,
            counts[signal] * _at_once(layer, role, signal) * _macro(memories[role], constants.sram, constants),
            "access",
            (read, constants.sram.write_per_read) if writes else (read,),
        )
        for role, signal, writes in ACCESSES
        if role in memories and signal in counts
    ]


def block_terms(layer: LayerPlan, counts: Mapping[str, float], constants: ConstantSet, uses: Mapping[str, RamUse]) -> list[Term]:
    """Return the accesses of a core whose memories lie in the RAM of an FPGA; `uses` are theirs, by role.

    Synthesis decodes the address for writes only: a read enables every block of the memory, a write one row of them.
    """
    terms = []
    for role, signal, writes in ACCESSES:
        if role not in uses or signal not in counts:
            continue
        use = uses[role]
        accesses = counts[signal] * _at_once(layer, role, signal)
        parameter = constants.blocks.get(use.resource)
        if parameter is None:
            terms.append(Term(layer.name, role, accesses * use.memory.width, "bit", ("memory_toggles", "toggle")))
        else:
            blocks = use.blocks // use.memory.copies
            enabled = -(-blocks // use.rows) if writes else blocks
            terms.append(Term(layer.name, role, accesses * enabled, "access", (parameter,)))
    return terms

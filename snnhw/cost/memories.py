"""Energy of a memory access, as an amount of parameters of a constant set."""

from collections.abc import Mapping

from snnhw.cost.constants import ConstantSet, Sram
from snnhw.cost.energy import Term
from snnhw.plan import LayerPlan, Memory
from snnhw.plan.ram import RamUse

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
    ("membranes", "membranes_read", False),
    ("membranes", "membranes_write", True),
    ("parameters", "parameters_read", False),
)
"""Role of the memory, signal that is high for one access, whether it writes."""

REFERENCE_BITS = 8192  # the SRAM law is normalised to 1 KB
REFERENCE_WIDTH = 16  # and to 16-bit words


def _macro(memory: Memory, sram: Sram, constants: ConstantSet) -> float:
    """Return the energy of an access in units of an access to the reference macro."""
    size = max(memory.bits, sram.smallest_bits) / REFERENCE_BITS
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
            counts[signal] * _macro(memories[role], constants.sram, constants),
            "access",
            (read, constants.sram.write_per_read) if writes else (read,),
        )
        for role, signal, writes in ACCESSES
        if role in memories
    ]


def block_terms(layer: LayerPlan, counts: Mapping[str, float], constants: ConstantSet, uses: Mapping[str, RamUse]) -> list[Term]:
    """Return the accesses of a core whose memories lie in the RAM of an FPGA; `uses` are theirs, by role.

    Synthesis decodes the address for writes only: a read enables every block of the memory, a write one row of them.
    """
    terms = []
    for role, signal, writes in ACCESSES:
        if role not in uses:
            continue
        use = uses[role]
        parameter = constants.blocks.get(use.resource)
        if parameter is None:
            bits = counts[signal] * use.memory.width
            terms.append(Term(layer.name, role, bits, "bit", ("memory_toggles", "toggle")))
        else:
            rows = use.mux_bits // use.memory.width + 1
            blocks = -(-use.blocks // rows) if writes else use.blocks
            terms.append(Term(layer.name, role, counts[signal] * blocks, "access", (parameter,)))
    return terms

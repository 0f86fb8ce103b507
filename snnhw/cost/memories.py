"""Energy of a memory access, as an amount of parameters of a constant set."""

from collections.abc import Mapping

from snnhw.cost.constants import Blocks, ConstantSet
from snnhw.cost.energy import Term
from snnhw.plan import LayerPlan, Memory

__all__ = ["ACCESSES", "blocks_of", "memory_terms"]

ACCESSES = (
    ("weights", "weights_read", False),
    ("events", "events_read", False),
    ("events", "events_write", True),
    ("membranes", "membranes_read", False),
    ("membranes", "membranes_write", True),
    ("parameters", "parameters_read", False),
)
"""Role of the memory, signal that is high for one access, whether it writes."""

REFERENCE_BITS = 8192  # the CACTI law is normalised to 1 KB ...
REFERENCE_WIDTH = 16  # ... and 16-bit words


def blocks_of(memory: Memory, constants: ConstantSet) -> tuple[Blocks, int, int]:
    """Return the kind of block that holds a memory, and how many blocks side by side and one behind the other.

    The shape with the fewest blocks is taken, and of several the widest.
    """
    kind = next(kind for kind in constants.blocks if memory.content in kind.holds)
    counts = [(-(-memory.width // width), -(-memory.depth // depth)) for depth, width in kind.shapes]
    columns, banks = min(counts, key=lambda count: (count[0] * count[1], count[0]))
    return kind, columns, banks


def _access(memory: Memory, writes: bool, constants: ConstantSet) -> tuple[float, tuple[str, ...]]:
    """Return the amount of one access, in accesses of the unit macro or block, and its parameters."""
    sram = constants.sram
    if sram is not None:
        size = max(memory.bits, sram.smallest_bits) / REFERENCE_BITS
        width = max(memory.width, sram.narrowest_bits) / REFERENCE_WIDTH
        amount = size ** constants[sram.size_exponent].mid * width ** constants[sram.width_exponent].mid
        read = sram.read[constants.flavour]
        return amount, (read, sram.write_per_read) if writes else (read,)
    kind, columns, banks = blocks_of(memory, constants)
    # Synthesis decodes the address for writes only: a read enables every block of the memory.
    return float(columns if writes else columns * banks), (kind.access,)


def memory_terms(layer: LayerPlan, counts: Mapping[str, float], constants: ConstantSet) -> list[Term]:
    """Return the accesses of a core; `counts` are those of a sample, by signal."""
    memories = {memory.role: memory for memory in layer.memories}
    terms = []
    for role, signal, writes in ACCESSES:
        if role in memories:
            amount, parameters = _access(memories[role], writes, constants)
            terms.append(Term(layer.name, role, counts[signal] * amount, "access", parameters))
    return terms

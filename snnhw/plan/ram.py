"""Which RAM of a device each memory of a plan becomes.

Yosys's ``memory_libmap`` picks, for each memory, the kind and shape of least cost among the RAMs of the family and plain
logic. This module computes the same costs from the same descriptions (Yosys 0.70, ``share/*/brams*.txt``,
``spram.txt``, ``lutrams*.txt``). With a shape of depth d and width w, a memory of depth D and width W takes

    rows    = ceil(D / d)
    blocks  = ceil(rows * ceil(W / byte) * byte / w)      bits of different rows share a block
    cost    = block cost * blocks + ((rows - 1) * W + rows) / 2 + 2

where the muxes between rows are the second term, and a memory that is never written needs no byte enables (``byte`` is 1) and no
row decoder. No core reads and writes a word in the same cycle, so nothing has to be emulated around the RAM.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from snnhw.board import Board
from snnhw.fixed import signed_bits
from snnhw.plan.plan import LayerPlan, Memory, Plan

__all__ = ["RamUse", "map_memories", "queue_memories", "queue_use", "single_port_layers"]


@dataclass(frozen=True)
class _Kind:
    """A kind of RAM: cost of a block, shapes, bits that are written together, and what it can hold.

    With `scaled`, the cost of a block shrinks with the part of its width that is used.
    """

    resource: str
    cost: float
    shapes: tuple[tuple[int, int], ...]
    byte: int | None
    rom: bool = True
    scaled: bool = False


_BLOCKS_18K = tuple((1 << 14 >> step, width) for step, width in enumerate((1, 2, 4, 9, 18, 36)))
_KINDS: Mapping[str, tuple[_Kind, ...]] = {
    "ice40": (
        _Kind("block_ram", 64, ((2048, 2), (1024, 4), (512, 8)), None),
        _Kind("block_ram", 64, ((256, 16),), 1),
    ),
    "ecp5": (
        _Kind("lut_ram", 4, ((16, 4),), None, rom=False),
        _Kind("block_ram", 128, _BLOCKS_18K, 9),
    ),
    "gowin": (
        _Kind("lut_ram", 4, ((16, 4),), None, rom=False, scaled=True),
        _Kind("block_ram", 128, _BLOCKS_18K, 9),
    ),
    "xilinx7": (
        _Kind("lut_ram", 8, ((32, 6), (64, 3)), None, rom=False, scaled=True),
        _Kind("block_ram", 129, _BLOCKS_18K, 9),
    ),
}
_SINGLE_PORT = {"ice40": _Kind("single_port_ram", 2048, ((16384, 16),), 4, rom=False)}
# How many constant bits in plain logic cost as much as one stored bit.
_CONSTANT_BITS = {"ice40": 16, "ecp5": 16, "gowin": 16, "xilinx7": 64}


@dataclass(frozen=True)
class RamUse:
    """What one memory becomes.

    Attributes
    ----------
    layer : int
        Its core.
    memory : Memory
        The memory.
    resource : str
        ``"block_ram"``, ``"single_port_ram"``, ``"lut_ram"`` or ``"logic"``.
    blocks : int
        How many of that, in all copies; 0 for logic.
    mux_bits : int
        Two-input multiplexers between the rows of its blocks, in all copies.
    """

    layer: int
    memory: Memory
    resource: str
    blocks: int
    mux_bits: int

    @property
    def rows(self) -> int:
        """Blocks one above the other, of each copy."""
        return self.mux_bits // (self.memory.copies * self.memory.width) + 1


def _blocks(rows: int, bits: int, block_width: int, byte: int | None) -> int:
    """Return the blocks of `rows` words side by side, cut into bytes that are written together; None: words share no block."""
    if byte is None or block_width % byte:
        byte = block_width if rows > 1 else 1
    return -(-rows * -(-bits // byte) // (block_width // byte))


def _cheapest(memory: Memory, family: str, layer: int, read_bits: int, *, further: tuple[_Kind, ...] = ()) -> RamUse:
    """Return what Yosys makes of a memory; blocks that only hold bits above the `read_bits` that anything reads vanish later.

    It has the kinds of RAM of the family to choose from, and those in `further`.
    """
    written = memory.content != "rom"
    depth, width, copies = memory.depth, memory.width, memory.copies
    best = RamUse(layer, memory, "logic", 0, 0)
    best_cost = depth * width // (1 if written else _CONSTANT_BITS[family])
    for kind in (*_KINDS[family], *further):
        if not (written or kind.rom) or memory.role == "lane_queues":  # queues are registers that move up
            continue
        for block_depth, block_width in kind.shapes:
            rows = -(-depth // block_depth)
            byte = kind.byte if written else 1
            blocks, kept = (_blocks(rows, bits, block_width, byte) for bits in (width, read_bits))
            price = kind.cost * (rows * width / block_width if kind.scaled else blocks)
            mux = (rows - 1) * width
            cost = price + (mux + (rows if written and rows > 1 else 0)) / 2 + 2
            if cost < best_cost:
                # Of two that differ by less than one, Yosys takes the first.
                best, best_cost = RamUse(layer, memory, kind.resource, copies * kept, copies * mux), math.floor(cost)
    return best


def _varying_bits(columns: Iterable[np.ndarray]) -> int:
    """Return how many bits of integers differ from word to word; Yosys drops the others from a memory that is never written."""
    return sum(int(np.bitwise_or.reduce(column ^ column[0])).bit_count() if column.min() >= 0 or column.max() < 0 else
               signed_bits(int(column.min()), int(column.max())) for column in columns)


def _of_yosys(layer: LayerPlan, memory: Memory, board: Board) -> RamUse:
    if memory.role in ("parameters", "sources"):
        varying = _varying_bits([column for column, _ in layer.source_fields] if memory.role == "sources" else
                                [np.asarray(layer.spec.parameters[name]) for name in layer.parameter_bits])
        use = _cheapest(replace(memory, width=max(1, varying)), board.family, layer.index, varying)
        return replace(use, memory=memory)
    read_bits = memory.width
    compared = layer.spec.reset_time == "next" and layer.spec.reset != "none"
    if memory.role == "membranes":
        # The upper bits of a state that is known to be small repeat its sign. A comparison reads them all; a decay those that it
        # shifts into what is wanted of its result.
        reached = max(layer.state.bits, layer.update_bits + layer.spec.decay.shift)
        read_bits = layer.state_bits if compared else min(layer.state_bits, reached)
        if layer.synapse is not None:
            read_bits += min(layer.synapse_bits, layer.synapse.bits)
    single_port = _SINGLE_PORT.get(board.family) if board.budget.single_port_ram is not None else None
    # Even where it is not asked for, single-port RAM costs Yosys less than very many blocks do, however few of it there are.
    further = (single_port,) if single_port is not None and memory.role == "weights" and layer.weights_loaded else ()
    return _cheapest(memory, board.family, layer.index, read_bits, further=further)


def single_port_layers(plan: Plan, board: Board) -> tuple[int, ...]:
    """Return the layers whose loaded weights go to the board's single-port RAM: the largest first, as long as it lasts.

    Such RAM cannot be initialised, and reads or writes in a cycle, never both: only loaded weights are of that kind.
    """
    kind, part = _SINGLE_PORT.get(board.family), board.budget.single_port_ram
    if kind is None or part is None:
        return ()
    left, chosen = part.count, []
    loaded = [layer for layer in plan.layers if layer.weights_loaded]
    for layer in sorted(loaded, key=lambda layer: (-layer.memories[0].bits, layer.index)):
        blocks = _single_port(layer, kind).blocks
        if blocks <= left and _of_yosys(layer, layer.memories[0], board).resource != "logic":
            chosen.append(layer.index)
            left -= blocks
    return tuple(sorted(chosen))


def _single_port(layer: LayerPlan, kind: _Kind) -> RamUse:
    memory = layer.memories[0]
    (depth, width), = kind.shapes
    rows = -(-memory.depth // depth)
    return RamUse(layer.index, memory, kind.resource, _blocks(rows, memory.width, width, kind.byte), (rows - 1) * memory.width)


def queue_memories(plan: Plan, layer: LayerPlan) -> dict[int, Memory]:
    """Return the memories between a core and the sources that it may leave waiting: an event with its flags in a word.

    They are given by the place of the source. Of a first-in first-out memory, the last word is the register behind it.
    """
    queues = {}
    for place, source in enumerate(layer.sources):
        if source.queue:
            given = plan.layers[source.core] if source.core is not None else None
            bits = given.output_address_bits + given.value_bits if given is not None else plan.input_bits
            queues[place] = Memory("queue", max(1, source.queue - 1), bits + 2, "ram")
    return queues


def _scores(plan: Plan, layer: LayerPlan) -> list[Memory]:
    """Return the memory in which the decision adds up what the last core hands on."""
    decision = plan.decision
    if decision is None or not decision.accumulates or layer.index != plan.output:
        return []
    return [Memory("scores", decision.classes, decision.score_bits + decision.age_bits, "ram")]


def queue_use(memory: Memory, board: Board, layer: LayerPlan) -> RamUse:
    """Return what one of the :func:`queue_memories` of a core becomes; a single word is registers."""
    return _of_yosys(layer, memory, board) if memory.depth > 1 else RamUse(layer.index, memory, "logic", 0, 0)


def map_memories(plan: Plan, board: Board) -> tuple[RamUse, ...]:
    """Return what every memory of `plan` becomes on `board`, the queues between cores and the scores of classes included."""
    chosen = single_port_layers(plan, board)
    uses = []
    for layer in plan.layers:
        queues = (memory for memory in queue_memories(plan, layer).values() if memory.depth > 1)
        for memory in (*layer.memories, *queues, *_scores(plan, layer)):
            if memory.role == "weights" and layer.index in chosen:
                uses.append(_single_port(layer, _SINGLE_PORT[board.family]))
            else:
                uses.append(_of_yosys(layer, memory, board))
    return tuple(uses)

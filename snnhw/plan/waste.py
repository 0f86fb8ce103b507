"""What the memories of a plan hold of the blocks that they take."""

from snnhw.board import Board, RamBlock
from snnhw.plan.plan import Plan
from snnhw.plan.ram import map_memories

__all__ = ["memory_rows"]


def memory_rows(plan: Plan, board: Board) -> list[dict[str, object]]:
    """Return one row for each memory of a plan: what it becomes on a board, the bits it holds, and the share of its blocks left.

    ``waste`` is None where a memory takes no blocks of the board's, but logic cells.
    """
    blocks = {"block_ram": board.budget.block_ram, "single_port_ram": board.budget.single_port_ram}
    rows: list[dict[str, object]] = []
    for use in map_memories(plan, board):
        kind = blocks.get(use.resource)
        capacity = use.blocks * kind.bits if isinstance(kind, RamBlock) else None
        rows.append({"layer": plan.layers[use.layer].name, "memory": use.memory.role, "bits": use.memory.bits,
                     "resource": use.resource, "blocks": use.blocks, "capacity": capacity,
                     "waste": None if not capacity else max(0.0, 1 - use.memory.bits / capacity)})
    return rows

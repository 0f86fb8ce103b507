"""Does a design fit a board, and what would make it fit."""

from collections.abc import Collection, Mapping

from snnhw.board.model import Board, RamBlock, board_names, load_board

__all__ = ["RESOURCES", "available", "shortages"]

RESOURCES = ("logic", "flip_flops", "block_ram", "single_port_ram", "dsp")
_REMEDIES = {
    "logic": "use fewer lanes or a narrower state",
    "flip_flops": "use fewer lanes or a narrower state",
    "single_port_ram": "use fewer weight bits or fewer neurons",
    "dsp": "use a decay by a shift",
}


def available(board: Board) -> dict[str, int]:
    """Return how many of each resource the device has."""
    parts = {name: getattr(board.budget, name) for name in RESOURCES}
    return {name: part.count if part is not None else 0 for name, part in parts.items()}


def _larger(board: Board, resource: str, need: int) -> list[str]:
    """Return the boards that come with the toolkit and have as much of a resource as `need` on `board`, smallest first."""
    def amount(other: Board, count: int | None = None) -> int:
        part = getattr(other.budget, resource)
        if part is None:
            return 0
        return (part.count if count is None else count) * (part.bits if isinstance(part, RamBlock) else 1)
    others = sorted((load_board(name) for name in board_names()), key=amount)
    return [other.name for other in others if amount(other) >= max(1, amount(board, need))]


def shortages(used: Mapping[str, int], board: Board, design: str, *, weights_loaded: bool = False,
              estimated: Collection[str] = ()) -> list[str]:
    """Return one sentence for each resource of which `design` needs more than `board` has: what, how much, and a remedy.

    Those in `estimated` are called approximate.
    """
    have = available(board)
    problems = []
    for resource in RESOURCES:
        need = used.get(resource, 0)
        if need <= have[resource]:
            continue
        part = getattr(board.budget, resource)
        unit = part.unit if part is not None else resource.replace("_", " ")
        remedies = []
        if resource == "block_ram":
            if board.budget.single_port_ram is not None and not weights_loaded:
                remedies.append(f"load the weights at run time into its {board.budget.single_port_ram.unit}")
            remedies.append("use fewer weight bits or fewer neurons")
        else:
            remedies.append(_REMEDIES[resource])
        larger = _larger(board, resource, need)
        if larger:
            remedies.append(f"use a larger board ({', '.join(larger[:3])})")
        about = "about " if resource in estimated else ""
        problems.append(f"{design} needs {about}{need} {unit}, {board} has {have[resource]}: {', or '.join(remedies)}")
    return problems

"""Rungs R3 and R4: toggles and memory accesses of the synthesised netlist."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from snnhw.cost.bands import DRAWS
from snnhw.cost.counts import Counts
from snnhw.cost.energy import KINDS, Energy, Term
from snnhw.cost.memories import ACCESSES
from snnhw.cost.rungs import Target, clock_terms
from snnhw.cost.sampling import jackknife, scale
from snnhw.plan import Plan

__all__ = ["NetlistActivity", "netlist_energy"]

DISTRIBUTED_BITS = 4  # of one cell of RAM in look-up tables
# The signal that a kind of logic, or a memory that is read or written, works with.
_LOGIC = {"accumulate": "accumulate", "finalise": "finalise"}
_MEMORIES = {(role, writes): signal for role, signal, writes in reversed(ACCESSES)}


@dataclass(frozen=True)
class NetlistActivity:
    """What a netlist did with some of the samples.

    Parameters
    ----------
    samples : int array, (chosen,)
        Which ones.
    counts : mapping of (str, str, str) to int64 array, (chosen,)
        By layer (empty for the design as a whole), kind (as of :data:`snnhw.cost.energy.KINDS`, or the role of a memory) and
        what is counted: a class of nets, ``"block_ram reads"``, ``"multiplier reads"`` and so on.
    flip_flops : int
        All of the netlist.
    product_bits : float
        Mean product of the widths of the factors, over the multipliers.
    delayed : bool
        Whether glitches are in the counts.
    family : str
        Of its cells.
    glitches : float
        Toggles over those without delays.
    cells : mapping of str to int
        Of the netlist.
    """

    samples: np.ndarray
    counts: Mapping[tuple[str, str, str], np.ndarray]
    flip_flops: int
    product_bits: float
    delayed: bool
    family: str
    glitches: float
    cells: Mapping[str, int]


def _work(plan: Plan, counts: Counts, layer: str, kind: str, what: str) -> np.ndarray:
    """Return the exact count that a count of the netlist is taken to grow with, for all samples."""
    signal = _MEMORIES.get((kind, what.endswith("writes")), _LOGIC.get(kind, ""))
    for core in plan.layers:
        if core.name == layer and signal in counts.layers[core.index]:
            return counts.layers[core.index][signal]
    return counts.cycles


def _term(layer: str, kind: str, what: str, amount: float, activity: NetlistActivity, target: Target) -> Term:
    shown = kind if kind in KINDS else "logic"
    if " " not in what:
        names = (f"toggle_{what}", *(("delayed_toggle",) if activity.delayed else ()))
        return Term(layer, shown, amount, "toggle", names)
    resource, _ = what.split()
    if resource == "multiplier":
        return Term(layer, shown, amount * activity.product_bits, "bit2", ("multiply",))
    parameter = target.constants.blocks.get(resource)
    if parameter is None:
        return Term(layer, shown, amount * DISTRIBUTED_BITS, "bit", ("memory_toggles", "toggle"))
    return Term(layer, shown, amount, "access", (parameter,))


def netlist_energy(
    plan: Plan, counts: Counts, activity: NetlistActivity, target: Target, *, draws: int = DRAWS, seed: int = 0
) -> Energy:
    """Return rung R3, or R4 where the toggles come with delays: the netlist's toggles by class of net, and what its memories did.

    Nothing of it is predicted: a memory that is read though nobody asked shows here, and nowhere above. Flip-flops are those of
    the netlist. What was counted on some samples is scaled to all by the exact counts of the same unit.

    Parameters
    ----------
    counts : Counts
        Of all samples.
    """
    exact = {
        key: (found.astype(float), _work(plan, counts, *key)[activity.samples], _work(plan, counts, *key))
        for key, found in activity.counts.items() if found.any()
    }
    rest = clock_terms(counts.mean_cycles, activity.flip_flops, target)

    def energy(amounts: Mapping[tuple[str, str, str], float]) -> Energy:
        terms = tuple(
            _term(layer, kind, what, amount, activity, target) for (layer, kind, what), amount in sorted(amounts.items())
        )
        rung, how = ("R4", "with delays") if activity.delayed else ("R3", "without delays")
        title = f"net toggles and memory accesses of the {activity.family} netlist {how}, clock and static power"
        return Energy(rung, title, "simulated", target.constants, (*terms, *rest), draws, seed)

    found = energy({key: scale(*arrays) for key, arrays in exact.items()})
    sampling = jackknife(exact, lambda amounts: energy(amounts).mid_pj, counts.samples)
    return replace(found, sampling=sampling)

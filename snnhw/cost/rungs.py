"""Rungs of the energy ladder: one function for each way to turn counts into terms."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from snnhw.board import Board
from snnhw.cost.bands import DRAWS
from snnhw.cost.constants import ConstantSet
from snnhw.cost.counts import Counts
from snnhw.cost.energy import STATIC, Energy, Term
from snnhw.cost.memories import block_terms, macro_terms, queue_terms
from snnhw.cost.widths import finaliser_steps
from snnhw.plan import LayerPlan, Plan
from snnhw.plan.area import estimate_area
from snnhw.plan.queued import Queued
from snnhw.plan.ram import RamUse, map_memories

__all__ = [
    "Target",
    "accumulate_bits",
    "activity_energy",
    "clock_terms",
    "finaliser_bits",
    "full_energy",
    "memory_energy",
    "operation_energy",
    "place",
]


@dataclass(frozen=True)
class Target:
    """Where the hardware runs.

    Parameters
    ----------
    board : Board
        Decides which RAM each memory becomes.
    constants : ConstantSet
        Of its FPGA.
    clock_hz : float
        A sample takes its cycles over this; static power counts for that time and no longer.
    flip_flops : int or None
        Those of the design after synthesis; None estimates them from the plan.
    """

    board: Board
    constants: ConstantSet
    clock_hz: float
    flip_flops: int | None = None


def finaliser_bits(layer: LayerPlan) -> tuple[int, int, int]:
    """Return what one neuron asks of the finaliser in a timestep: bits added, bits compared, products of bits multiplied.

    They are the sums over :func:`snnhw.cost.widths.finaliser_steps`.
    """
    sums = dict.fromkeys(("add", "compare", "multiply"), 0)
    for operation, bits, number in finaliser_steps(layer):
        sums[operation] += bits * number
    return sums["add"], sums["compare"], sums["multiply"]


def accumulate_bits(layer: LayerPlan, counts: Mapping[str, float]) -> tuple[float, float]:
    """Return what the weighted sums of a sample ask for: bits added, products of bits multiplied.

    A dense core adds a weight for each event and neuron; lanes past the last neuron are left out. A core with lists adds every
    lane of every word that it reads, or, where lanes have lists of their own, what each reads. Events with values multiply
    their weights.
    """
    if layer.scattered:
        additions = counts["accumulate"] * (1 if isinstance(layer.synapses, Queued) else layer.lanes)
    else:
        additions = counts["events_write"] * layer.outputs
    return additions * layer.current_bits, additions * layer.weight_bits * layer.input_value_bits


def _means(counts: Counts, index: int) -> dict[str, float]:
    return {name: counts.mean(index, name) for name in counts.layers[index]}


def _operation_terms(layer: LayerPlan, counts: Mapping[str, float], constants: ConstantSet) -> list[Term]:
    added, compared, multiplied = finaliser_bits(layer)
    synaptic, products = accumulate_bits(layer, counts)
    updates = counts["finalise"]
    if constants.kind == "asic":
        terms = [
            Term(layer.name, "accumulate", synaptic, "bit", ("add",)),
            Term(layer.name, "finalise", updates * added, "bit", ("add",)),
            Term(layer.name, "finalise", updates * compared, "bit", ("compare",)),
        ]
    else:
        terms = [
            Term(layer.name, "accumulate", synaptic, "bit", ("add_toggles", "toggle")),
            Term(layer.name, "finalise", updates * (added + compared), "bit", ("add_toggles", "toggle")),
        ]
    if products:
        terms.append(Term(layer.name, "accumulate", products, "bit2", ("multiply",)))
    if multiplied:
        terms.append(Term(layer.name, "finalise", updates * multiplied, "bit2", ("multiply",)))
    return terms


def _core_terms(plan: Plan, counts: Counts, constants: ConstantSet) -> list[Term]:
    return [term for layer in plan.layers for term in _operation_terms(layer, _means(counts, layer.index), constants)]


def _target_terms(plan: Plan, counts: Counts, target: Target, *, lane_queues: bool = True) -> list[Term]:
    """Return what an FPGA spends beside its logic: memory accesses, clock, flip-flops, static power.

    With or without the accesses of `lane_queues`, which are registers.
    """
    uses: list[dict[str, RamUse]] = [{} for _ in plan.layers]
    for use in map_memories(plan, target.board):
        uses[use.layer][use.memory.role] = use
    terms = [
        term
        for layer in plan.layers
        for term in block_terms(layer, _means(counts, layer.index), target.constants, uses[layer.index])
    ]
    terms += [
        term
        for layer in plan.layers
        for term in queue_terms(plan, layer, _means(counts, layer.index), target.constants, target.board, lanes=lane_queues)
    ]
    cycles = counts.mean_cycles
    registers = target.flip_flops
    if registers is None:
        registers = estimate_area(plan, target.board, top="core").used["flip_flops"][0]
    return [*terms, *clock_terms(cycles, registers, target)]


def clock_terms(cycles: float, flip_flops: float, target: Target) -> tuple[Term, ...]:
    """Return what a design spends in every cycle of a sample, whatever it computes: clocked flip-flops, clock, static power."""
    return (
        Term("", "flip-flops", cycles * flip_flops, "flip-flop*cycle", ("flip_flop_clock",)),
        Term("", "clock", cycles, "cycle", ("clock",)),
        Term("", STATIC, cycles / target.clock_hz, "s", ("static",)),
    )


def operation_energy(
    plan: Plan,
    counts: Counts,
    asic: ConstantSet,
    *,
    rung: str = "A0",
    basis: str = "estimated",
    draws: int = DRAWS,
    seed: int = 0,
) -> Energy:
    """Return rung A0: operations times energy per operation, the formula of most papers.

    A synaptic operation is an addition of the width of the accumulator: in a dense core input spikes times neurons,
    zero weights included, lanes past the last neuron not; in a core with lists every lane of every word of the lists of its
    events. Events with values multiply too.
    """
    return Energy(rung, "operations", basis, asic, tuple(_core_terms(plan, counts, asic)), draws, seed)


def memory_energy(
    plan: Plan,
    counts: Counts,
    asic: ConstantSet,
    *,
    rung: str = "A1",
    basis: str = "estimated",
    draws: int = DRAWS,
    seed: int = 0,
) -> Energy:
    """Return rung A1: A0 and every memory access times the energy of an access of its size and width.

    Weight words, event list, membranes (the sweep of the leak), parameters; in a core with lists where each list lies, and the
    currents: each word that is added is read and written, each neuron read, each word cleared; what enters and leaves the queues
    between cores and those of lanes. Neither clock nor leakage.
    """
    terms = _core_terms(plan, counts, asic)
    terms += [term for layer in plan.layers for term in macro_terms(plan, layer, _means(counts, layer.index), asic)]
    return Energy(rung, "operations and memory accesses", basis, asic, tuple(terms), draws, seed)


def full_energy(
    plan: Plan,
    counts: Counts,
    target: Target,
    *,
    rung: str = "A2",
    basis: str = "estimated",
    draws: int = DRAWS,
    seed: int = 0,
) -> Energy:
    """Return rung A2: the counts of A1 times the constants of an FPGA, with its clock, flip-flops and static power."""
    terms = [*_core_terms(plan, counts, target.constants), *_target_terms(plan, counts, target)]
    return Energy(rung, "operations, memory accesses, clock and static power", basis, target.constants, tuple(terms), draws, seed)


_PARTS = {"accumulator": "accumulate", "walker": "accumulate", "finaliser": "finalise"}


def place(names: Iterable[str]) -> tuple[int | None, str]:
    """Return the core and the kind of energy that a wire belongs to, from all its names.

    The name deepest in the hierarchy decides: a port of a core is also a signal of the unit that drives it.
    """
    path = min(names, key=lambda name: (-name.count("."), name)).split(".")
    core = int(found[1]) if (found := re.fullmatch(r"(?:layer|trace)(\d+)(?:_\w+)?", path[0])) else None
    return core, next((kind for part, kind in _PARTS.items() if part in path[1:-1]), "logic")


def activity_energy(
    plan: Plan,
    counts: Counts,
    toggles: Mapping[str, int],
    target: Target,
    *,
    aliases: Mapping[str, str] | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> Energy:
    """Return rung R2: toggles of every RTL signal, and measured memory accesses, clock, flip-flops and static power.

    Which nets there will be, and where they run, is decided by synthesis: the toggles of RTL signals are scaled to those
    of a netlist, and every net costs the average of a circuit that was measured. Products are charged by their measured
    number: what toggles inside of a multiplier is no signal of the RTL.

    Parameters
    ----------
    counts : Counts
        Measured ones.
    toggles : mapping of str to int
        Toggles of all samples together, by hierarchical signal name; each wire under one name.
    aliases : mapping of str to str
        Further names of those wires, and the name that stands in `toggles`.
    """
    names: dict[str, list[str]] = {name: [name] for name in toggles}
    for alias, name in (aliases or {}).items():
        if name in names:
            names[name].append(alias)
    sums: dict[tuple[str, str], int] = {}
    for name, count in toggles.items():
        core, kind = place(names[name])
        layer = plan.layers[core].name if core is not None and core < len(plan.layers) else ""
        sums[layer, kind] = sums.get((layer, kind), 0) + int(count)
    terms = [
        Term(layer, kind, count / counts.samples, "toggle", ("netlist_per_rtl_toggle", "toggle"))
        for (layer, kind), count in sorted(sums.items())
    ]
    terms += [term for term in _core_terms(plan, counts, target.constants) if term.parameters == ("multiply",)]
    terms += _target_terms(plan, counts, target, lane_queues=False)
    title = "signal toggles of the RTL, memory accesses, clock and static power"
    return Energy("R2", title, "simulated", target.constants, tuple(terms), draws, seed)

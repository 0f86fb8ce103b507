"""The network without spikes: at what spike rate a quantized network of the same shape and the same bits costs as much.

Both run on the same cores: the same lanes, formats of weights, memories and clock. The network without spikes has one pass in
the place of the timesteps. Every input of every layer is an activation of as many bits as the weights that it meets; each lane
has a multiplier, and sums are wider by those bits. Its counts are those of the plan for one timestep in which every neuron sends
an event, so that cycles and accesses are as exact as those of the spiking network. What that leaves out stands in
:data:`ASSUMPTIONS`, which every result carries.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from snnhw.cost.bands import DRAWS, Band
from snnhw.cost.constants import ConstantSet, load_constants
from snnhw.cost.counts import Counts
from snnhw.cost.energy import Energy, Term
from snnhw.cost.flow import DEFAULT_ASIC, make_target, predict_counts
from snnhw.cost.memories import block_term, macro
from snnhw.cost.metrics import network_metrics
from snnhw.cost.rungs import Target, accumulate_bits, clock_terms, full_energy, memory_energy, operation_energy
from snnhw.errors import UsageError
from snnhw.ir import MaxPool
from snnhw.plan import LayerPlan, Memory, Plan
from snnhw.plan.accesses import count_accesses
from snnhw.plan.area import estimate_area
from snnhw.plan.cycles import predict_cycles
from snnhw.plan.ram import RamUse, map_memories, queue_use

__all__ = ["ASSUMPTIONS", "LITERATURE", "RATES", "Crossover", "RateSweep", "ann_energies", "graded_trains", "sweep_rates"]

RATES = (0.0, 0.005, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0)
"""Spikes per neuron and timestep that are looked at; between them, energy is a straight line."""

ASSUMPTIONS = (
    "the network without spikes has the same layers and weights of the same bits, and activations of as many bits as the weights",
    "it runs on the same cores with a multiplier in each lane, and its layers work one after another as the accelerator has them",
    "it skips no activation that is 0, and of sparse weights it stores and multiplies what the spiking network stores",
    "it knows all its inputs, so that its sums stay in registers also where spikes are scattered to sums in a memory; for each "
    "word of weights it reads a word of weights and an activation, none of which is kept for another position or sample",
    "it keeps no states; rescaling its sums is a shift and costs nothing, a bias and a comparison cost as much as their bits",
    "spikes are spread evenly over the neurons of all layers, the input included, and over the timesteps",
    "whether both networks reach the same accuracy is not asked here",
)

LITERATURE = (
    {"source": "Yan et al. 2024, arXiv 2409.08290", "rate": [0.057, 0.064], "spikes_per_synapse": None,
     "text": "with data movement a spiking network needs less than the quantized one only below a spike rate of 5.7 to 6.4 %, at "
             "5 to 10 timesteps"},
    {"source": "Dampfhoffer et al. 2023, IEEE TETCI 7(3)", "rate": None, "spikes_per_synapse": [0.15, 1.38],
     "text": "networks of integrate-and-fire neurons compete at 0.15 to 1.38 spikes per synapse and inference, by architecture"},
)
"""Thresholds that others found, on other hardware and with other assumptions."""

RUNGS = ("A0", "A1", "A2")
_SAME = ("weights", "sources", "parameters")


def _activation_bits(layer: LayerPlan) -> int:
    return layer.weight_bits


def _sum_bits(layer: LayerPlan) -> int:
    return layer.current_bits + _activation_bits(layer)


def _memories(layer: LayerPlan) -> dict[str, Memory]:
    """Return the memories of a core without spikes, by role."""
    kept: dict[str, Memory] = {memory.role: memory for memory in layer.memories if memory.role in _SAME}
    return kept | {"events": Memory("events", 2 * layer.inputs, _activation_bits(layer), "ram")}


def _accesses(layer: LayerPlan, counts: Mapping[str, float]) -> list[tuple[str, float, bool]]:
    """Return role, accesses and whether they write, of one pass: an activation is read for each word of weights."""
    found = [("weights", counts["weights_read"], False), ("sources", counts.get("sources_read", 0.0), False),
             ("events", counts["events_write"], True), ("events", counts["weights_read"], False),
             ("parameters", counts.get("parameters_read", 0.0), False)]
    return [(role, amount, writes) for role, amount, writes in found if amount]


def _operation_terms(plan: Plan, layer: LayerPlan, counts: Mapping[str, float], constants: ConstantSet) -> list[Term]:
    sums, _ = accumulate_bits(layer, counts)
    additions = sums / layer.current_bits
    bits, updates = _sum_bits(layer), counts["finalise"]
    asic = constants.kind == "asic"
    add = ("add",) if asic else ("add_toggles", "toggle")
    terms = [Term(layer.name, "accumulate", additions * bits, "bit", add),
             Term(layer.name, "finalise", updates * bits, "bit", add),
             Term(layer.name, "finalise", updates * bits, "bit", ("compare",) if asic else add)]
    if not isinstance(plan.graph[layer.name], MaxPool):
        products = additions * layer.weight_bits * _activation_bits(layer)
        terms.append(Term(layer.name, "accumulate", products, "bit2", ("multiply",)))
    return terms


def _one_pass(plan: Plan) -> Counts:
    sizes = {plan.graph.input.name: plan.inputs} | {layer.name: layer.outputs for layer in plan.layers}
    trains = {name: np.ones((1, 1, size), bool) for name, size in sizes.items()}
    return Counts.of(plan, count_accesses(plan, trains), predict_cycles(plan, trains))


def ann_energies(plan: Plan, target: Target, asic: ConstantSet | None = None, *, draws: int = DRAWS,
                 seed: int = 0) -> dict[str, Energy]:
    """Return the energy of one inference without spikes, on the rungs A0, A1 and A2.

    Parameters
    ----------
    plan : Plan
        Accelerator of the spiking network: shapes, bits, lanes and formats are taken from it.
    target : Target
        Board, clock and constants of the rung A2.
    asic : ConstantSet or None
        Constants of the rungs A0 and A1.

    Raises
    ------
    UsageError
        The network has connections with a delay, so that no single pass computes what it does.
    """
    if delayed := [layer.name for layer in plan.layers if any(source.delayed for source in layer.sources)]:
        raise UsageError("a network to compare with one without spikes must have no delayed connections, "
                         f"and layer {delayed[0]!r} has one")
    asic = load_constants(DEFAULT_ASIC) if asic is None else asic
    counts = _one_pass(plan)
    means = [{name: counts.mean(layer.index, name) for name in counts.layers[layer.index]} for layer in plan.layers]
    cells = [term for layer, row in zip(plan.layers, means, strict=True) for term in _operation_terms(plan, layer, row, asic)]
    macros = [term for layer, row in zip(plan.layers, means, strict=True) for term in _macro_terms(layer, row, asic)]
    logic = [term for layer, row in zip(plan.layers, means, strict=True)
             for term in _operation_terms(plan, layer, row, target.constants)]
    return {
        "A0": Energy("A0", "operations without spikes", "estimated", asic, tuple(cells), draws, seed),
        "A1": Energy("A1", "operations and memory accesses without spikes", "estimated", asic, (*cells, *macros), draws, seed),
        "A2": Energy("A2", "operations, memory accesses, clock and static power without spikes", "estimated", target.constants,
                     (*logic, *_block_terms(plan, means, target),
                      *clock_terms(counts.mean_cycles, _flip_flops(plan, target), target)), draws, seed),
    }


def _macro_terms(layer: LayerPlan, counts: Mapping[str, float], asic: ConstantSet) -> list[Term]:
    assert asic.sram is not None
    sram, memories, read = asic.sram, _memories(layer), asic.sram.read[asic.flavour]
    return [Term(layer.name, role, amount * macro(memories[role], sram, asic), "access",
                 (read, sram.write_per_read) if writes else (read,))
            for role, amount, writes in _accesses(layer, counts)]


def _block_terms(plan: Plan, means: Sequence[Mapping[str, float]], target: Target) -> list[Term]:
    uses: dict[tuple[int, str], RamUse] = {(use.layer, use.memory.role): use for use in map_memories(plan, target.board)}
    terms = []
    for layer, counts in zip(plan.layers, means, strict=True):
        memories = _memories(layer)
        for role, amount, writes in _accesses(layer, counts):
            use = uses[layer.index, role] if role in _SAME else queue_use(memories[role], target.board, layer)
            terms.append(block_term(layer, role, amount, writes, target.constants, use))
    return terms


def _flip_flops(plan: Plan, target: Target) -> float:
    registers = target.flip_flops
    if registers is None:
        registers = estimate_area(plan, target.board, top="core").used["flip_flops"][0]
    # Each lane has a wider sum, and its activation before the multiplier.
    return registers + sum(layer.lanes * 2 * _activation_bits(layer) for layer in plan.layers)


def graded_trains(plan: Plan, rate: float, *, seed: int = 0) -> dict[str, np.ndarray]:
    """Return one sample in which every neuron sends about as many spikes: bool, (1, timesteps, neurons) for each source.

    Of two rates, the spikes of the lower are among those of the higher.
    """
    sizes = {plan.graph.input.name: plan.inputs} | {layer.name: layer.outputs for layer in plan.layers}
    trains = {}
    for place, (name, size) in enumerate(sizes.items()):
        count = plan.graph.timesteps * size
        order = np.random.default_rng([seed, place]).permutation(count)
        trains[name] = (order < round(rate * count)).reshape(1, plan.graph.timesteps, size)
    return trains


@dataclass(frozen=True)
class Crossover:
    """Where both networks need the same energy, on one rung.

    Attributes
    ----------
    rung : str
        ``"A0"``, ``"A1"`` or ``"A2"``.
    spikes_per_synapse, rate : Band
        Spikes that a synapse sees in an inference, and the same per timestep, over the draws. Below it the spiking network needs
        less. 0 where it needs more even without a spike; the most that was looked at where it needs less even so.
    never, always : float
        Part of the draws in which it is 0, and the most that was looked at.
    """

    rung: str
    spikes_per_synapse: Band
    rate: Band
    never: float
    always: float


@dataclass(frozen=True)
class RateSweep:
    """A spiking network at several rates, against the network without spikes.

    Attributes
    ----------
    timesteps : int
        Of a sample of the spiking network.
    rates : tuple of float
        Spikes per synapse and timestep.
    spiking : mapping of str to tuple of Band
        By rung, the energy at each rate, in pJ per inference.
    matching : mapping of str to Band
        By rung, the energy of the network without spikes.
    cycles : tuple of float
        Of the spiking network at each rate.
    matching_cycles : float
        Of the network without spikes.
    crossovers : tuple of Crossover
        By rung.
    own_rate : float or None
        Spikes per synapse and timestep of the samples that were given.
    own_ratios : mapping of str to Band
        By rung, energy of the spiking network on those samples over that without spikes.
    """

    timesteps: int
    rates: tuple[float, ...]
    spiking: Mapping[str, tuple[Band, ...]]
    matching: Mapping[str, Band]
    cycles: tuple[float, ...]
    matching_cycles: float
    crossovers: tuple[Crossover, ...]
    own_rate: float | None
    own_ratios: Mapping[str, Band]

    def as_json(self) -> dict[str, Any]:
        """Return everything as plain values, with what was assumed and what others found."""
        return asdict(self) | {"assumptions": list(ASSUMPTIONS), "literature": [dict(row) for row in LITERATURE],
                               "conclusion": self.conclusion()}

    def conclusion(self) -> list[str]:
        """Return what the sweep says, in sentences."""
        sentences = []
        for found in self.crossovers:
            band, rate = found.spikes_per_synapse, found.rate
            where = (f"{band.median:.2g} ({band.low:.2g} to {band.high:.2g}) spikes per synapse and inference, a rate of "
                     f"{rate.median:.2%} ({rate.low:.2%} to {rate.high:.2%}) at {self.timesteps} timesteps")
            if found.never == 1:
                sentences.append(f"Under {found.rung} the spiking network needs more than the one without spikes even if nothing "
                                 "spikes.")
            elif found.always == 1:
                sentences.append(f"Under {found.rung} the spiking network needs less at every rate that was looked at.")
            else:
                sentences.append(f"Under {found.rung} the spiking network needs less than the one without spikes below {where}.")
            if found.rung in self.own_ratios and self.own_rate is not None:
                own = self.own_ratios[found.rung]
                side = "less" if own.high < 1 else "more" if own.low > 1 else "perhaps less, perhaps more"
                sentences.append(f"At its own rate of {self.own_rate:.2%} it needs {own.median:.3g} ({own.low:.3g} to "
                                 f"{own.high:.3g}) times as much under {found.rung}: {side}.")
        return sentences


def sweep_rates(plan: Plan, trains: Mapping[str, np.ndarray] | None = None, *, target: Target | None = None,
                asic: ConstantSet | None = None, rates: Sequence[float] = RATES, draws: int = DRAWS, seed: int = 0) -> RateSweep:
    """Sweep the spike rate of a network on its accelerator, against the network without spikes on the same cores.

    Parameters
    ----------
    plan : Plan
        The accelerator.
    trains : mapping of str to array, (samples, timesteps, neurons), or None
        Spikes of real samples, which mark where the network itself is.
    target : Target or None
        By default the iCEBreaker.
    asic : ConstantSet or None
        Constants of A0 and A1.
    rates : sequence of float
        Ascending, from 0 to 1.
    """
    target = make_target() if target is None else target
    asic = load_constants(DEFAULT_ASIC) if asic is None else asic
    matching = ann_energies(plan, target, asic, draws=draws, seed=seed)
    found: list[tuple[float, float, dict[str, Energy]]] = []
    for rate in rates:
        spikes = graded_trains(plan, rate)
        counts = Counts.of(plan, count_accesses(plan, spikes), predict_cycles(plan, spikes))
        found.append((_per_synapse(plan, spikes), counts.mean_cycles, _spiking(plan, counts, target, asic, draws, seed)))
    own_rate, own = None, {}
    if trains is not None:
        own_rate = _per_synapse(plan, trains) / plan.graph.timesteps
        energies = _spiking(plan, predict_counts(plan, trains), target, asic, draws, seed)
        own = {rung: Band.of(energies[rung].drawn_pj / matching[rung].drawn_pj) for rung in RUNGS}
    seen = np.array([spikes for spikes, _, _ in found])
    crossovers = tuple(
        _crossover(rung, seen, np.stack([energies[rung].drawn_pj for _, _, energies in found]), matching[rung].drawn_pj,
                   plan.graph.timesteps) for rung in RUNGS)
    return RateSweep(
        plan.graph.timesteps, tuple(float(spikes) / plan.graph.timesteps for spikes in seen),
        {rung: tuple(energies[rung].band for _, _, energies in found) for rung in RUNGS},
        {rung: matching[rung].band for rung in RUNGS}, tuple(cycles for _, cycles, _ in found), _one_pass(plan).mean_cycles,
        crossovers, own_rate, own)


def _spiking(plan: Plan, counts: Counts, target: Target, asic: ConstantSet, draws: int, seed: int) -> dict[str, Energy]:
    return {"A0": operation_energy(plan, counts, asic, draws=draws, seed=seed),
            "A1": memory_energy(plan, counts, asic, draws=draws, seed=seed),
            "A2": full_energy(plan, counts, target, draws=draws, seed=seed)}


def _per_synapse(plan: Plan, trains: Mapping[str, np.ndarray]) -> float:
    """Return the spikes that a synapse sees in a sample, the mean over all synapses."""
    metrics = network_metrics(plan, trains)
    return metrics["synaptic_operations"] * plan.graph.timesteps / metrics["synaptic_operations_dense"]


def _crossover(rung: str, seen: np.ndarray, spiking: np.ndarray, matching: np.ndarray, timesteps: int) -> Crossover:
    """Return where lines through (spikes, energy) reach an energy, draw by draw.

    Parameters
    ----------
    seen : array, (rates,)
        Spikes per synapse, ascending.
    spiking, matching : array, (rates, draws) and (draws,)
        Energies; more spikes never need less.
    """
    # Points at or below the other network: the crossing is behind the last of them.
    below = (spiking <= matching).sum(axis=0)
    never, always = below == 0, below == len(seen)
    before = np.clip(below - 1, 0, len(seen) - 2)
    draws = np.arange(matching.size)
    low, high = spiking[before, draws], spiking[before + 1, draws]
    step = np.divide(matching - low, high - low, out=np.zeros_like(matching), where=high > low)
    where = seen[before] + step * (seen[before + 1] - seen[before])
    where = np.where(never, 0.0, np.where(always, seen[-1], where))
    return Crossover(rung, Band.of(where), Band.of(where / timesteps), float(never.mean()), float(always.mean()))

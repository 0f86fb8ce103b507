"""The architecture model: how often each memory, link and unit of an accelerator is used by a network, and what that costs.

The accelerator is :class:`snnhw.cost.architecture.Architecture`: DRAM, a global buffer, an array of add-and-compare units with
scratchpads for inputs, weights and sums. A layer is :class:`snnhw.cost.workload.LayerWorkload`. Nothing is simulated: counts are
products of sizes and densities, as in Timeloop and Sparseloop, with zeros taken to fall independently of each other.

A tile is `m` output channels times `c` input channels with their whole kernel: its weights lie in the scratchpads at once. Two
orders of the loops are searched over all tiles:

``weights``
    A tile stays until all positions of the output have used it. Every weight is brought once for each batch of timesteps; sums
    that are not complete, because ``c`` is less than all channels, go to their home and come back for each further tile.
``sums``
    Sums stay until they are complete, `x` positions of each column at once. Nothing is spilled; where the channels need several
    tiles, every weight is brought again for each group of positions.

With the number of tiles ``n_m = ceil(M / m)``, ``n_c = ceil(C / c)``, batches ``n_t = ceil(T / t)`` and groups of positions
``n_p = ceil(P Q t / (x columns))``, and with the densities ``d_w`` of the weights and ``d_i`` of the inputs:

=================  ===========================================================================================================
weights brought    ``M C R S n_t``, in the order ``sums`` times ``n_p`` unless ``n_c = 1``
inputs brought     ``inputs T n_m``, in the order ``sums`` times the overlap of the groups unless ``n_c = 1``
sums spilled       ``M P Q T (n_c - 1)``, each written and read, in the order ``weights``
operations         ``M C R S P Q T d_i d_w``: reads and writes of a sum, and reads of a weight
inputs read        ``M C R S P Q T / m'``, where a unit uses each input for its m' output channels
cycles             the largest of: operations over the units in use, edges of tiles included; bits over the width of each home
=================  ===========================================================================================================

`docs/compression-model.md` has the rest, and what the model leaves out.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from snnhw.cost.architecture import Architecture, Store, architecture_names, load_architecture
from snnhw.cost.bands import DRAWS, Band, draw
from snnhw.cost.encodings import Dense, Footprint
from snnhw.cost.workload import LayerWorkload
from snnhw.errors import UsageError, raise_problems

__all__ = ["Architecture", "HierarchyResult", "LayerMapping", "LayerResult", "LayerWorkload", "Use", "architecture_names",
           "evaluate", "load_architecture", "ratio_band"]

Amount = Any  # a float, or an array with one for each candidate of the search


@dataclass(frozen=True)
class LayerMapping:
    """How a layer is laid on the array.

    Parameters
    ----------
    order : str
        ``"weights"`` or ``"sums"``: what stays in the scratchpads.
    m, c : int
        Output and input channels of a tile.
    x : int
        Positions of the output of which a column holds sums at once; 1 in the order ``"weights"``.
    t : int
        Timesteps for which a weight that is brought is used.
    shared : bool
        Columns have the same weights, for different positions; otherwise every unit has its own.
    """

    order: Literal["weights", "sums"]
    m: int
    c: int
    x: int = 1
    t: int = 1
    shared: bool = True

    def __post_init__(self) -> None:
        if self.order not in ("weights", "sums"):
            raise ValueError(f"Order must be 'weights' or 'sums', not {self.order!r}")
        for name in ("m", "c", "x", "t"):
            if type(getattr(self, name)) is not int or getattr(self, name) < 1:
                raise ValueError(f"Mapping {name} must be an integer of at least 1, not {getattr(self, name)!r}")
        if self.order == "weights" and self.x != 1:
            raise ValueError(f"Mapping x must be 1 in the order 'weights', not {self.x}")


@dataclass(frozen=True)
class Use:
    """What one level does with one kind of data in one layer, in one sample.

    Attributes
    ----------
    level : str
        ``"dram"``, ``"dram_link"``, ``"global_buffer"``, ``"array_link"``, ``"input_spad"``, ``"weight_spad"``, ``"sum_spad"``,
        ``"unit_link"`` or ``"units"``.
    kind : str
        ``"inputs"``, ``"weights"``, ``"sums"``, ``"outputs"`` or ``"states"``.
    part : str
        ``"payload"``, ``"metadata"`` or ``"operation"``.
    action : str
        ``"read"``, ``"write"``, ``"move"``, ``"add"``, ``"compare"`` or ``"multiply"``.
    bits : float
        Bits that are moved; of an operation those that are added or compared, of a multiplication the product of both widths.
    accesses : float
        How often the energy is paid.
    energy : tuple of str
        Parameters of the architecture whose product is the energy of an access.
    pj : float
        Energy with the middle of each parameter.
    """

    level: str
    kind: str
    part: str
    action: str
    bits: float
    accesses: float
    energy: tuple[str, ...]
    pj: float


@dataclass(frozen=True)
class LayerResult:
    """What one layer costs in one sample.

    Attributes
    ----------
    workload : LayerWorkload
        The layer.
    mapping : LayerMapping
        How it is laid on the array.
    operations : float
        Additions to a sum.
    cycles_of : mapping of str to float
        Cycles of ``"units"``, and of each home that has a width: they work side by side, the slowest decides.
    uses : tuple of Use
        Everything that is counted.
    """

    workload: LayerWorkload
    mapping: LayerMapping
    operations: float
    cycles_of: Mapping[str, float]
    uses: tuple[Use, ...]

    @property
    def cycles(self) -> float:
        """Cycles of the layer."""
        return max(self.cycles_of.values())

    @property
    def bound_by(self) -> str:
        """What the cycles are those of."""
        return max(self.cycles_of, key=lambda name: self.cycles_of[name])

    @property
    def energy_pj(self) -> float:
        """Energy with the middle of each parameter."""
        return sum(use.pj for use in self.uses)


@dataclass(frozen=True)
class HierarchyResult:
    """What a network costs in one sample.

    Attributes
    ----------
    architecture : Architecture
        The accelerator.
    activity : str
        Whose input densities were used: ``"mean"`` or ``"worst"``.
    layers : tuple of LayerResult
        In order. Layers follow each other in time.
    """

    architecture: Architecture
    activity: str
    layers: tuple[LayerResult, ...]

    @property
    def energy_pj(self) -> float:
        """Energy with the middle of each parameter."""
        return sum(layer.energy_pj for layer in self.layers)

    @property
    def cycles(self) -> float:
        """Cycles of all layers, one after the other."""
        return sum(layer.cycles for layer in self.layers)

    @property
    def edp(self) -> float:
        """Energy-delay product in picojoule cycles."""
        return self.energy_pj * self.cycles

    def energy_by(self, *names: str) -> dict[tuple[str, ...], float]:
        """Return the energy in pJ for each combination of what `names` name: ``"layer"``, or a field of :class:`Use`."""
        found: dict[tuple[str, ...], float] = {}
        for layer in self.layers:
            for use in layer.uses:
                key = tuple(layer.workload.name if name == "layer" else getattr(use, name) for name in names)
                found[key] = found.get(key, 0.0) + use.pj
        return found

    def share(self, *levels: str) -> float:
        """Return the part of the energy that some levels take."""
        by_level = self.energy_by("level")
        return sum(by_level.get((level,), 0.0) for level in levels) / self.energy_pj if self.energy_pj else 0.0

    def draws(self, *, draws: int = DRAWS, seed: int = 0) -> np.ndarray:
        """Return the energy in pJ for drawn parameters, (draws,); the same draws for everything on one architecture."""
        amounts: dict[tuple[str, ...], float] = {}
        for layer in self.layers:
            for use in layer.uses:
                amounts[use.energy] = amounts.get(use.energy, 0.0) + use.accesses
        total = np.zeros(draws)
        for energy, amount in sorted(amounts.items()):
            product = np.full(draws, amount)
            for name in energy:
                product = product * draw(self.architecture, name, draws=draws, seed=seed)
            total += product
        return total

    def band(self, *, draws: int = DRAWS, seed: int = 0) -> Band:
        """Return median and 5 to 95 % of the energy in pJ."""
        return Band.of(self.draws(draws=draws, seed=seed))

    @property
    def overflows(self) -> tuple[dict[str, Any], ...]:
        """Memories that hold less than lies in them at once: level, bits it needs, bits it has. The model charges no spilling."""
        found = []
        for level in ("dram", "global_buffer"):
            if level in self.architecture.stores:
                needed, has = _needed(self, level), self.architecture.stores[level].bits
                if needed > has:
                    found.append({"level": level, "needs_bits": math.ceil(needed), "has_bits": int(has)})
        return tuple(found)

    def as_dict(self, *, seed: int = 0) -> dict[str, Any]:
        """Return everything as plain values."""
        return {
            "architecture": self.architecture.name, "title": self.architecture.title, "activity": self.activity,
            "formats": self.architecture.formats.model_dump(), "energy_pj": self.energy_pj,
            "band_pj": self.band(seed=seed).as_json(), "cycles": self.cycles, "edp_pj_cycles": self.edp,
            "overflows": list(self.overflows),
            "levels": {level: pj for (level,), pj in self.energy_by("level").items()},
            "parts": {part: pj for (part,), pj in self.energy_by("part").items()},
            "layers": [{
                "layer": layer.workload.name, "mapping": asdict(layer.mapping), "operations": layer.operations,
                "energy_pj": layer.energy_pj, "cycles": layer.cycles, "bound_by": layer.bound_by,
                "cycles_of": dict(layer.cycles_of), "uses": [asdict(use) | {"energy": list(use.energy)} for use in layer.uses],
            } for layer in self.layers],
            "parameters": {name: constant.model_dump() for name, constant in self.architecture.parameters.items()},
        }


def ratio_band(numerator: HierarchyResult, denominator: HierarchyResult, *, draws: int = DRAWS, seed: int = 0) -> Band:
    """Return the band of an energy ratio; on one architecture the parameters are drawn together, and cancel where they can."""
    return Band.of(numerator.draws(draws=draws, seed=seed) / denominator.draws(draws=draws, seed=seed))


def evaluate(workloads: Iterable[LayerWorkload], architecture: Architecture, *, activity: str = "mean",
             mappings: Mapping[str, LayerMapping] | None = None) -> HierarchyResult:
    """Count and price what a network does on an architecture.

    Each layer takes the mapping with the smallest objective of the architecture, of equal ones that with less energy, of those
    that with fewer cycles, of those the first. The search goes through all tiles of powers of two, so it always ends alike.

    Parameters
    ----------
    workloads : iterable of LayerWorkload
        The layers.
    architecture : Architecture
        The accelerator.
    activity : str
        ``"mean"`` or ``"worst"``: of the samples behind the input densities.
    mappings : mapping of str to LayerMapping, optional
        Mappings of layers by name, in the place of the search.

    Raises
    ------
    NetworkError
        A layer fits in no mapping, or not in that given for it.
    """
    if activity not in ("mean", "worst"):
        raise UsageError(f"activity must be mean or worst, not {activity!r}")
    layers, problems = [], []
    for workload in workloads:
        given = (mappings or {}).get(workload.name)
        mapping = _search(workload, architecture, activity) if given is None else given
        if mapping is None or not bool(_fits(workload, architecture, activity, _Tile.of(mapping))):
            what = "its mapping" if mapping else "one channel of its kernel"
            problems.append(f"layer {workload.name!r} ({workload.kind}, {workload.c} → {workload.m}): {what} must fit the "
                            f"scratchpads and the buffer of {architecture.name}, and does not")
            continue
        layers.append(_evaluate(workload, architecture, activity, mapping))
    raise_problems(problems)
    return HierarchyResult(architecture, activity, tuple(layers))


@dataclass(frozen=True)
class _Tile:
    """One mapping as floats, or many as arrays."""

    kept: Amount  # the order is "weights"
    m: Amount
    c: Amount
    x: Amount
    t: Amount
    shared: Amount

    @classmethod
    def of(cls, mapping: LayerMapping) -> "_Tile":
        return cls(mapping.order == "weights", float(mapping.m), float(mapping.c), float(mapping.x), float(mapping.t),
                   mapping.shared)

    def only(self, chosen: np.ndarray) -> "_Tile":
        """Return those mappings of an array of them for which `chosen` is true."""
        return _Tile(self.kept[chosen], self.m[chosen], self.c[chosen], self.x[chosen], self.t[chosen], self.shared[chosen])


def _powers(largest: int) -> list[int]:
    """Return the powers of two below `largest`, and `largest`."""
    return [1 << index for index in range((largest - 1).bit_length())] + [largest]


def _search(workload: LayerWorkload, architecture: Architecture, activity: str) -> LayerMapping | None:
    """Return the best mapping, or None if none fits."""
    batch = min(architecture.mapping.time_batch, workload.timesteps)
    words = architecture.array.units * architecture.stores["sum_spad"].bits // architecture.array.sum_bits
    most = max(1, int(min(workload.positions * batch, words)))
    must_share = architecture.mapping.columns == "positions" and workload.positions >= architecture.array.columns
    axes = np.meshgrid([True, False], _powers(workload.m // workload.groups), _powers(workload.c), _powers(most), _powers(batch),
                       [True] if must_share else [True, False], indexing="ij")
    kept, m, c, x, t, shared = (axis.ravel() for axis in axes)
    tile = _Tile(kept, m.astype(float), c.astype(float), x.astype(float), t.astype(float), shared).only(~kept | (x == 1))
    fits = _fits(workload, architecture, activity, tile)
    if not fits.any():
        return None
    tile = tile.only(fits)
    uses, cycles_of, _ = _count(workload, architecture, activity, tile)
    zeros = np.zeros(len(tile.m))
    energy = np.sum([zeros + use.pj for use in uses], axis=0)
    cycles = np.max([zeros + value for value in cycles_of.values()], axis=0)
    objective = {"edp": energy * cycles, "energy": energy, "cycles": cycles}[architecture.mapping.objective]
    best = int(np.lexsort((cycles, energy, objective))[0])
    return LayerMapping("weights" if tile.kept[best] else "sums", int(tile.m[best]), int(tile.c[best]), int(tile.x[best]),
                        int(tile.t[best]), bool(tile.shared[best]))


def _evaluate(workload: LayerWorkload, architecture: Architecture, activity: str, mapping: LayerMapping) -> LayerResult:
    uses, cycles_of, operations = _count(workload, architecture, activity, _Tile.of(mapping))
    plain = tuple(Use(use.level, use.kind, use.part, use.action, float(use.bits), float(use.accesses), use.energy, float(use.pj))
                  for use in uses)
    return LayerResult(workload, mapping, float(operations), {name: float(value) for name, value in cycles_of.items()}, plain)


def _each(kind: str, architecture: Architecture, positions: int, density: float, bits: int) -> Footprint:
    """Return the bits of one position of inputs, weights or outputs, as Sparseloop counts them."""
    whole = architecture.formats.encoding(kind).sparseloop(positions, density, bits, architecture.formats.fibre)
    return Footprint(whole.payload_bits / positions, whole.metadata_bits / positions)


def _weight(workload: LayerWorkload, architecture: Architecture) -> Footprint:
    return _each("weights", architecture, workload.weights, workload.weight_density, workload.weight_bits)


def _input(workload: LayerWorkload, architecture: Architecture, activity: str) -> Footprint:
    return _each("inputs", architecture, workload.inputs, workload.density(activity), workload.input_bits)


def _output(workload: LayerWorkload, architecture: Architecture, activity: str) -> Footprint:
    if not workload.neurons or not workload.output_bits:
        return Footprint(0, 0)
    density = workload.output_density if activity == "mean" else workload.output_density_worst
    return _each("outputs", architecture, workload.neurons, density, workload.output_bits)


def _fits(workload: LayerWorkload, architecture: Architecture, activity: str, tile: _Tile) -> Amount:
    """Return whether tiles fit the scratchpads, and what they spill the home of the sums."""
    array, stores = architecture.array, architecture.stores
    different = np.where(tile.shared, array.rows, array.units)  # units with different weights
    kernel = tile.c * workload.r * workload.s
    spilled = np.where(tile.kept & (tile.c < workload.c), tile.m * workload.positions * tile.t * array.sum_bits, 0)
    return ((tile.m * kernel * _weight(workload, architecture).bits <= different * stores["weight_spad"].bits)
            & (kernel * _input(workload, architecture, activity).bits <= different * stores["input_spad"].bits)
            & (tile.m * tile.x <= different * (stores["sum_spad"].bits // array.sum_bits))
            & (tile.m <= workload.m // workload.groups) & (tile.c <= workload.c) & (tile.t <= architecture.mapping.time_batch)
            & (spilled <= stores[architecture.homes.sums].bits))


class _Counter:
    """Collects uses of the levels."""

    def __init__(self, architecture: Architecture) -> None:
        self.architecture = architecture
        self.uses: list[Use] = []
        self.moved: dict[str, Amount] = {}

    def _add(self, level: str, kind: str, part: str, action: str, bits: Amount, accesses: Amount,
             energy: tuple[str, ...]) -> None:
        self.uses.append(Use(level, kind, part, action, bits, accesses, energy, accesses * self.architecture.price(energy)))

    def store(self, level: str, kind: str, action: str, elements: Amount, each: Footprint) -> None:
        """Count accesses of a memory; `each` is the size of one of the elements."""
        store: Store = self.architecture.stores[level]
        energy = store.read if action == "read" else store.write
        # An element that lies by itself is one access or more; compressed ones are as many as there are.
        alone = math.ceil(each.payload_bits / store.width) if each.payload_bits >= 1 else each.payload_bits
        accesses = elements * (each.payload_bits / store.width if store.packed else alone)
        self._add(level, kind, "payload", action, elements * each.payload_bits, accesses, energy)
        if each.metadata_bits:
            bits = elements * each.metadata_bits
            self._add(level, kind, "metadata", action, bits, bits / store.width, energy)

    def link(self, name: str, kind: str, elements: Amount, each: Footprint) -> None:
        """Count what passes a link, if there is one."""
        if name in self.architecture.links:
            price = self.architecture.links[name]
            for part, size in (("payload", each.payload_bits), ("metadata", each.metadata_bits)):
                if size:
                    bits = elements * size
                    self._add(f"{name}_link", kind, part, "move", bits, bits / price.width, price.energy)

    def home(self, kind: str, action: str, elements: Amount, each: Footprint) -> None:
        """Count accesses of the home of a kind of data, and of the links between it and the array."""
        level = getattr(self.architecture.homes, kind)
        self.store(level, kind, action, elements, each)
        self.moved[level] = self.moved.get(level, 0.0) + elements * each.bits
        if level == "dram":
            self.link("dram", kind, elements, each)
        self.link("array", kind, elements, each)

    def unit(self, level: str, kind: str, action: str, elements: Amount, each: Footprint) -> None:
        """Count accesses of a scratchpad by its unit."""
        self.store(level, kind, action, elements, each)
        self.link("unit", kind, elements, each)

    def operate(self, operation: Literal["add", "compare", "multiply"], kind: str, times: Amount, bits: int) -> None:
        """Count operations of the units."""
        energy = self.architecture.operations[operation].energy
        self._add("units", kind, "operation", operation, times * bits, times * bits, energy)


def _count(workload: LayerWorkload, architecture: Architecture, activity: str,
           tile: _Tile) -> tuple[list[Use], dict[str, Amount], Amount]:
    """Return uses, cycles and operations of one mapping, or of many at once."""
    array, zeros = architecture.array, architecture.zeros
    input_density, steps = workload.density(activity), workload.timesteps
    weight, seen = _weight(workload, architecture), _input(workload, architecture, activity)
    sums = Footprint(array.sum_bits, 0)
    kernel = tile.c * workload.r * workload.s
    columns = np.where(tile.shared, min(array.columns, workload.positions), 1)
    different = np.where(tile.shared, array.rows, array.units)
    tiles_m, tiles_c = np.ceil(workload.m // workload.groups / tile.m), np.ceil(workload.c / tile.c)
    batches = np.ceil(steps / tile.t)
    again = ~np.asarray(tile.kept) & (tiles_c > 1)  # groups of positions follow each other outside of the tiles
    groups = np.where(again, np.ceil(workload.positions * tile.t / (tile.x * columns)), 1)

    # What of all operations is done, and what of all positions takes a cycle.
    stored_dense = isinstance(architecture.formats.encoding("weights"), Dense)
    done_inputs = 1.0 if zeros.inputs == "none" else input_density
    done_weights = 1.0 if zeros.weights == "none" else workload.weight_density
    operations = workload.dense_operations * done_inputs * done_weights
    timed = ((input_density if zeros.inputs == "skip" else 1.0)
             * (workload.weight_density if zeros.weights == "skip" and not stored_dense else 1.0))
    # Dense weights are read before a zero is seen; a mask beside them tells in time.
    compressed = architecture.formats.encoding("weights").compressed
    read_payload = weight.payload_bits if compressed or stored_dense else workload.weight_bits * done_weights

    count = _Counter(architecture)
    brought = workload.weights * batches * groups
    count.home("weights", "read", brought, weight)
    count.store("weight_spad", "weights", "write", brought * columns, weight)
    count.unit("weight_spad", "weights", "read", workload.dense_operations * done_inputs,
               Footprint(read_payload, weight.metadata_bits))

    fetched = workload.inputs * steps * tiles_m * np.where(again, _overlap(workload, tile, columns), 1)
    count.home("inputs", "read", fetched, seen)
    count.store("input_spad", "inputs", "write", fetched * np.minimum(workload.r, different), seen)
    spread = np.maximum(1, np.minimum(different // np.minimum(different, kernel), tile.m))  # units over output channels
    count.unit("input_spad", "inputs", "read", workload.dense_operations / np.ceil(tile.m / spread), seen)

    for action in ("read", "write"):
        count.unit("sum_spad", "sums", action, operations, sums)
    spilled = workload.m * workload.positions * steps * np.where(tile.kept, tiles_c - 1, 0)
    for level, other in (("write", "read"), ("read", "write")):
        count.home("sums", level, spilled, sums)
        count.store("sum_spad", "sums", other, spilled, sums)

    updates = workload.neurons * steps
    count.home("outputs", "write", updates, _output(workload, architecture, activity))
    if architecture.homes.states != "none":
        for action in ("read", "write"):
            count.home("states", action, updates, Footprint(workload.state_bits, 0))
    count.operate("add", "sums", operations, array.sum_bits)
    if workload.input_bits > 1:
        count.operate("multiply", "sums", operations, workload.input_bits * workload.weight_bits)
    count.operate("add", "states", 2.0 * updates, workload.state_bits)  # what leaks, and the current
    count.operate("compare", "states", updates, workload.state_bits)

    working = np.minimum(different, tile.m * kernel)
    rounds = workload.groups * tiles_m * tiles_c * np.ceil(workload.positions / columns) * np.ceil(tile.m * kernel / working)
    cycles = {"units": steps * rounds * timed}
    for level, bits in count.moved.items():
        width = architecture.stores[level].bits_per_cycle
        if width is not None:
            cycles[level] = bits / width
    return count.uses, cycles, operations


def _overlap(workload: LayerWorkload, tile: _Tile, columns: Amount) -> Amount:
    """Return how often an input is brought because windows of neighbouring groups of positions overlap."""
    rows, along = np.minimum(workload.p, columns), np.minimum(workload.q, tile.x)
    down, across = workload.stride
    seen = ((rows - 1) * down + workload.r) * ((along - 1) * across + workload.s)
    return np.maximum(1, seen / (rows * along * down * across))


def _needed(result: HierarchyResult, level: str) -> float:
    """Return the bits that lie at a level at once: weights and states of all layers, inputs, outputs and sums of the largest."""
    architecture, homes = result.architecture, result.architecture.homes
    needed, largest = 0.0, 0.0
    for layer in result.layers:
        workload, t = layer.workload, layer.mapping.t
        if homes.weights == level:
            needed += workload.weights * _weight(workload, architecture).bits
        if homes.states == level:
            needed += workload.neurons * workload.state_bits
        now = 0.0
        if homes.inputs == level:
            now += workload.inputs * t * _input(workload, architecture, result.activity).bits
        if homes.outputs == level:
            now += workload.neurons * t * _output(workload, architecture, result.activity).bits
        if homes.sums == level and layer.mapping.order == "weights" and layer.mapping.c < workload.c:
            now += layer.mapping.m * workload.positions * t * architecture.array.sum_bits
        largest = max(largest, now)
    return needed + largest


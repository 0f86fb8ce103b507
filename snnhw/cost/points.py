"""Design points: one network on one accelerator, its energy on every rung, restored from records."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from snnhw.cost.bands import DRAWS
from snnhw.cost.constants import ConstantSet, constant_sets, load_constants
from snnhw.cost.energy import Energy
from snnhw.cost.metrics import sample_seconds
from snnhw.cost.textbook import TextbookEnergy
from snnhw.errors import UsageError

__all__ = ["RUNGS", "DesignPoint", "common_rungs", "load_points", "rung_key"]

RUNGS = ("A0", "A1", "R1", "A2", "R1 fpga", "R2", "R3", "R4")
"""Rungs in the order of the ladder. R1 has the constants of A1; the same counts with those of A2 are ``"R1 fpga"``."""


def rung_key(energy: Energy) -> str:
    """Return the name of a rung, different for the same counts with constants of an ASIC and of an FPGA."""
    return "R1 fpga" if energy.rung == "R1" and energy.constants.kind == "fpga" else energy.rung


_FIELDS = ("network", "structure", "seed", "hardware", "bits", "sparsity", "rate", "accuracy", "cycles", "metrics")


@dataclass(frozen=True, eq=False)
class DesignPoint:
    """One network on one accelerator.

    Parameters
    ----------
    name : str
        For people; no two points of a comparison have the same.
    energies : mapping of str to Energy
        Energy of a sample, by :func:`rung_key`.
    network, structure, seed : str, str, int
        What was trained, where its zeros are (``"none"`` for a network that was not pruned), and the seed of the training.
    hardware : str
        What was chosen of the accelerator, where points differ in that.
    bits, sparsity, rate : float or None
        Bits of a weight, part of the weights that is 0, spikes per input and timestep: what the points differ in.
    accuracy : float or None
        Part of the test samples that are classified as labelled.
    formats : mapping of str to str
        By layer, how its weights lie in memory.
    cycles : float or None
        Mean of a sample.
    metrics : mapping of str to float
        By their NeuroBench names, see :mod:`snnhw.cost.metrics`.
    textbook : mapping of str to TextbookEnergy
        By model, what the models of papers say of the same samples.
    """

    name: str
    energies: Mapping[str, Energy]
    network: str = ""
    structure: str = "none"
    seed: int = 0
    hardware: str = ""
    bits: float | None = None
    sparsity: float | None = None
    rate: float | None = None
    accuracy: float | None = None
    formats: Mapping[str, str] = field(default_factory=dict)
    cycles: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    textbook: Mapping[str, TextbookEnergy] = field(default_factory=dict)

    @property
    def rungs(self) -> tuple[str, ...]:
        """Rungs that the point has, in the order of the ladder, others last."""
        return tuple(sorted(self.energies, key=lambda key: (RUNGS.index(key) if key in RUNGS else len(RUNGS), key)))

    @property
    def seconds(self) -> float | None:
        """Time of a sample, from its static term; None where no rung has one."""
        return next((found for energy in self.energies.values() if (found := sample_seconds(energy)) is not None), None)

    @classmethod
    def of(cls, record: Mapping[str, Any], sets: Mapping[str, ConstantSet] | None = None, *, draws: int = DRAWS,
           seed: int = 0) -> "DesignPoint":
        """Restore a point from its record.

        Parameters
        ----------
        record : mapping
            ``energy``: list of what :func:`snnhw.cost.results.energy_json` wrote. The other fields are those of this class, all
            optional; without ``name`` the point is named after them. ``format`` may stand for ``formats``; ``textbook`` is a list
            of what :meth:`TextbookEnergy.as_json` returned.
        sets : mapping of str to ConstantSet
            Constants that do not come with the package, by name.
        draws, seed : int
            Of the bands, common to all points.
        """
        energies: dict[str, Energy] = {}
        for row in record["energy"]:
            energy = Energy.from_json(row, _constants(row["constants"], sets or {}), draws=draws, seed=seed)
            energies[rung_key(energy)] = energy
        given = {name: record[name] for name in _FIELDS if record.get(name) is not None}
        formats = record.get("formats") or record.get("format") or {}
        textbook = {row["model"]: TextbookEnergy.from_json(row) for row in record.get("textbook", ())}
        name = str(record.get("name") or describe(record))
        return cls(name=name, energies=energies, formats=formats, textbook=textbook, **given)


def describe(record: Mapping[str, Any]) -> str:
    """Return a name made of the network, its bits, its sparsity and, unless it is 0, the seed of its training."""
    parts = [str(record.get("network") or "network")]
    if record.get("bits") is not None:
        parts.append("ternary" if record["bits"] == 2 else f"{record['bits']:g} bits")
    if record.get("sparsity"):
        parts.append(f"{record['sparsity']:.0%} {record.get('structure') or 'pruned'}")
    if record.get("rate") is not None:
        parts.append(f"rate {record['rate']:.3g}")
    if record.get("hardware"):
        parts.append(str(record["hardware"]))
    if record.get("seed"):
        parts.append(f"seed {record['seed']}")
    return " ".join(parts)


def _constants(name: str, sets: Mapping[str, ConstantSet]) -> ConstantSet:
    if name in sets:
        return sets[name]
    if name not in constant_sets():
        known = ", ".join(sorted({*constant_sets(), *sets}))
        raise UsageError(f"constants of a record must be one of {known}, not {name!r}")
    return load_constants(name)


def load_points(records: Iterable[Mapping[str, Any]], sets: Mapping[str, ConstantSet] | None = None, *, draws: int = DRAWS,
                seed: int = 0) -> tuple[DesignPoint, ...]:
    """Restore the points of records, whose names must differ; see :meth:`DesignPoint.of`."""
    points = tuple(DesignPoint.of(record, sets, draws=draws, seed=seed) for record in records)
    names = [point.name for point in points]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(f"names of design points must differ, and {twice[0]!r} is there {names.count(twice[0])} times")
    return points


def common_rungs(points: Sequence[DesignPoint]) -> tuple[str, ...]:
    """Return the rungs that two or more of the points have, or one where there is one only, in the order of the ladder."""
    needed = min(2, len(points))
    found = {key for point in points for key in point.energies if sum(key in other.energies for other in points) >= needed}
    return tuple(sorted(found, key=lambda key: (RUNGS.index(key) if key in RUNGS else len(RUNGS), key)))

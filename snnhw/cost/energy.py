"""An energy as a sum of terms, each an amount times parameters that carry their evidence."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import Any

import numpy as np

from snnhw.cost.bands import DRAWS, Band, draw, format_energy
from snnhw.cost.constants import PROVENANCES, ConstantSet
from snnhw.cost.sampling import Sampling

__all__ = ["KINDS", "STATIC", "Driver", "Energy", "Ratio", "Term", "ratio"]

STATIC = "static"
KINDS = ("accumulate", "finalise", "logic", "weights", "sources", "events", "queues", "currents", "membranes", "parameters",
         "flip-flops", "clock", STATIC)
DRIVERS = 3


@dataclass(frozen=True)
class Term:
    """``amount`` times the product of some parameters.

    Parameters
    ----------
    layer : str
        Name of the layer; empty for what belongs to the design as a whole.
    kind : str
        One of :data:`KINDS`.
    amount : float
        How much, per sample.
    unit : str
        Unit of `amount`: factors separated by ``*``. With the units of the parameters it must give pJ.
    parameters : tuple of str
        Names in the constant set.
    """

    layer: str
    kind: str
    amount: float
    unit: str
    parameters: tuple[str, ...]

    def check(self, constants: ConstantSet) -> None:
        """Assert that the kind is known and that the units give an energy."""
        assert self.kind in KINDS, self.kind
        dimensions = Counter({name: 1 for name in self.unit.split("*")})
        for name in self.parameters:
            dimensions.update(constants[name].dimensions)
        left = {name: power for name, power in dimensions.items() if power}
        assert left == {"pJ": 1}, f"{self.unit} times {', '.join(self.parameters)} is in {left}, not in pJ"


@dataclass(frozen=True)
class Driver:
    """A parameter, or a product of some, that an energy rests on, and the part of the energy it makes."""

    parameters: tuple[str, ...]
    share: float
    provenance: str
    description: str

    def __str__(self) -> str:
        flag = self.provenance.upper() if self.provenance == "assumed" else self.provenance
        return f"{' x '.join(self.parameters)} {self.share:.0%} {flag}"


@dataclass(frozen=True, eq=False)
class Energy:
    """Energy of a sample on one rung.

    Parameters
    ----------
    rung : str
        ``"A0"``, ``"A1"``, ``"A2"``, ``"R1"``, ``"R2"``, ``"R3"`` or ``"R4"``.
    title : str
        What the rung counts.
    basis : str
        ``"estimated"`` (counts predicted) or ``"simulated"`` (counts measured in the RTL).
    constants : ConstantSet
        What the counts are multiplied with.
    terms : tuple of Term
        The sum.
    draws, seed : int
        Of the Monte-Carlo. Energies to be compared must agree in both.
    sampling : Sampling or None
        Of what was counted on some of the samples only. Its error is not in the band, which is that of the constants.
    """

    rung: str
    title: str
    basis: str
    constants: ConstantSet
    terms: tuple[Term, ...]
    draws: int = DRAWS
    seed: int = 0
    sampling: Sampling | None = None

    def __post_init__(self) -> None:
        for term in self.terms:
            term.check(self.constants)

    @classmethod
    def from_json(cls, record: Mapping[str, Any], constants: ConstantSet, *, draws: int = DRAWS, seed: int = 0) -> "Energy":
        """Return the energy whose results :func:`snnhw.cost.results.energy_json` wrote.

        Energies of different runs can so be compared in common draws. `constants` must be the set of that name.
        """
        if record["constants"] != constants.name:
            raise ValueError(f"Constants must be {record['constants']!r}, not {constants.name!r}")
        terms = tuple(Term(layer, kind, amount, unit, tuple(names)) for layer, kind, amount, unit, names in record["terms"])
        sampling = Sampling(**record["sampling"]) if record.get("sampling") else None
        return cls(record["rung"], record["title"], record["basis"], constants, terms, draws, seed, sampling)

    def part(self, *, layer: str | None = None, kind: str | None = None, static: bool | None = None) -> "Energy":
        """Return the part that belongs to a layer, to a kind, or that is static (or is not)."""
        return replace(
            self,
            terms=tuple(
                term
                for term in self.terms
                if layer in (None, term.layer) and kind in (None, term.kind) and static in (None, term.kind == STATIC)
            ),
        )

    @property
    def cells(self) -> tuple[tuple[str, str], ...]:
        """Layers and kinds that have a part, in the order of the network and of :data:`KINDS`, the design as a whole last."""
        found = {(term.layer, term.kind) for term in self.terms}
        return tuple((layer, kind) for layer in self.layers for kind in KINDS if (layer, kind) in found)

    @property
    def layers(self) -> tuple[str, ...]:
        """Layers that have a part, the design as a whole last."""
        return tuple(sorted(dict.fromkeys(term.layer for term in self.terms), key=lambda layer: layer == ""))

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds that have a part, in the order of :data:`KINDS`."""
        return tuple(kind for kind in KINDS if any(term.kind == kind for term in self.terms))

    def _scale(self, term: Term) -> float:
        return term.amount * prod(self.constants[name].scale for name in term.parameters)

    def _mid_pj(self, term: Term) -> float:
        return self._scale(term) * prod(self.constants[name].mid for name in term.parameters)

    @property
    def mid_pj(self) -> float:
        """The energy with every parameter at its middle value. Parts add up to the whole."""
        return sum((self._mid_pj(term) for term in self.terms), 0.0)

    @cached_property
    def drawn_pj(self) -> np.ndarray:
        """The energy in every draw: float64, (draws,). In each draw parts add up to the whole."""
        total = np.zeros(self.draws)
        for term in self.terms:
            drawn = prod(draw(self.constants, name, draws=self.draws, seed=self.seed) for name in term.parameters)
            total += self._scale(term) * drawn
        return total

    @cached_property
    def band(self) -> Band:
        """Median and 5 to 95 % of the whole."""
        return Band.of(self.drawn_pj)

    @cached_property
    def drivers(self) -> tuple[Driver, ...]:
        """Everything the energy rests on, the largest part first."""
        parts: dict[tuple[str, ...], float] = {}
        for term in self.terms:
            parts[term.parameters] = parts.get(term.parameters, 0.0) + self._mid_pj(term)
        total = self.mid_pj
        found = []
        for names, part in sorted(parts.items(), key=lambda item: (-item[1], item[0])):
            records = [self.constants[name] for name in names]
            found.append(
                Driver(
                    names,
                    part / total if total else 0.0,
                    max((record.provenance for record in records), key=PROVENANCES.index),
                    ", ".join(f"{name} {record.brief}" for name, record in zip(names, records, strict=True)),
                )
            )
        return tuple(found)

    @property
    def largest_is_assumed(self) -> bool:
        """The largest part rests on a parameter for which there is no evidence."""
        return bool(self.drivers) and self.drivers[0].provenance == "assumed"

    @property
    def evidence(self) -> str:
        """What the number rests on, in one line; a largest part that is assumed is said first."""
        parts = ", ".join(map(str, self.drivers[:DRIVERS])) or "nothing counted"
        return f"largest term ASSUMED: {parts}" if self.largest_is_assumed else f"largest terms: {parts}"

    def __str__(self) -> str:
        band = f"{format_energy(self.band.low)} .. {format_energy(self.band.high)}"
        return (
            f"{self.rung} {format_energy(self.band.median)} ({band}) per sample, "
            f"{self.basis} counts, {self.constants.title} constants; {self.evidence}"
        )


@dataclass(frozen=True)
class Ratio:
    """Quotient of two energies in a common world, with a warning where it compares different technologies."""

    band: Band
    note: str

    def __str__(self) -> str:
        text = f"{self.band.median:.3g} ({self.band.low:.3g} .. {self.band.high:.3g})"
        return f"{text} [{self.note}]" if self.note else text


def ratio(over: Energy, under: Energy) -> Ratio:
    """Return `over` divided by `under`, draw by draw."""
    assert (over.draws, over.seed) == (under.draws, under.seed), "Energies to be compared must share their draws"
    numerator, denominator = over.drawn_pj, under.drawn_pj
    if not denominator.all():
        raise ZeroDivisionError("Energy under the line must not be zero")
    note = ""
    if over.constants != under.constants:
        one, other = (f"{energy.constants.title} ({energy.constants.kind})" for energy in (over, under))
        note = f"different hardware: {one} over {other} constants"
    return Ratio(Band.of(numerator / denominator), note)

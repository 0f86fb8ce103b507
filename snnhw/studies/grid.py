"""The points of a study side by side: accuracies, zeros and energies, with their spread over seeds."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from snnhw.cost.architecture import load_architecture
from snnhw.cost.hierarchy import HierarchyResult, evaluate
from snnhw.cost.pareto import pareto_front
from snnhw.cost.workload import LayerWorkload
from snnhw.studies.quantize_prune import Point

__all__ = ["ARCHITECTURES", "FORMATS", "Grid", "Spread", "Trained"]

FORMATS = "rle4", "cp", "uop", "ubm"
"""Formats of sparse weights that energies are given for."""
ARCHITECTURES = {"dram": ("eyeriss45", 1), "batch": ("eyeriss45", 0), "chip": ("onchip45", 1)}
"""Architecture, and timesteps for which a weight that is brought is used: 1, or all of a sample (0)."""
TABLE = "dram"  # where nothing else is said


@dataclass(frozen=True)
class Spread:
    """One number of each seed.

    Parameters
    ----------
    values : tuple of float
        At least one.
    """

    values: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise ValueError("Spread must have at least one value, not 0")

    @property
    def mean(self) -> float:
        """Mean."""
        return float(np.mean(self.values))

    @property
    def deviation(self) -> float:
        """Standard deviation of the seeds, 0 for one of them."""
        return float(np.std(self.values, ddof=1)) if len(self.values) > 1 else 0.0

    def text(self, digits: int = 2, factor: float = 1.0, unit: str = "") -> str:
        """Return mean and standard deviation."""
        after = f" ± {self.deviation * factor:.{digits}f}" if len(self.values) > 1 else ""
        return f"{self.mean * factor:.{digits}f}{after}{unit}"

    def percent(self, digits: int = 2) -> str:
        """Return mean and standard deviation as percentages."""
        return self.text(digits, 100.0, " %")


@dataclass(frozen=True)
class Trained:
    """One point of one seed.

    Parameters
    ----------
    seed : int
        Of data order and first weights.
    point : Point
        What was compressed how.
    result : mapping
        What :meth:`Study.point` returned.
    """

    seed: int
    point: Point
    result: Mapping[str, Any]

    @cached_property
    def layers(self) -> tuple[LayerWorkload, ...]:
        """Sizes and densities."""
        return tuple(LayerWorkload(**layer) for layer in self.result["layers"])

    @property
    def zeros(self) -> float:
        """Share of all weights that are 0."""
        weights = sum(layer.weights for layer in self.layers)
        return 1 - sum(layer.weights * layer.weight_density for layer in self.layers) / weights

    def exact_bits(self, encoding: str) -> float:
        """Return the bits of all weights as the encoder emits them."""
        return float(sum(part["payload_bits"] + part["metadata_bits"] for part in self.result["exact"][encoding].values()))

    def energy(self, weights: str, architecture: str = TABLE, *, activity: str = "mean", zeros: bool = True) -> HierarchyResult:
        """Return what a sample costs.

        Parameters
        ----------
        weights : str
            Format of the weights.
        architecture : str
            Key of :data:`ARCHITECTURES`.
        activity : str
            ``"mean"``, or ``"worst"`` for the sample with most spikes.
        zeros : bool
            Whether zeros of weights are exploited; if not, all are stored, brought and added.
        """
        name, batch = ARCHITECTURES[architecture]
        model = load_architecture(name).changed(formats={"weights": weights},
                                                mapping={"time_batch": batch or max(layer.timesteps for layer in self.layers)})
        if not zeros:
            model = model.changed(zeros={"weights": "none"})
        return evaluate(self.layers, model, activity=activity)


class Grid:
    """The finished points of one study.

    Parameters
    ----------
    trained : iterable of Trained
        In any order.
    """

    def __init__(self, trained: Iterable[Trained]) -> None:
        self._found: dict[Point, dict[int, Trained]] = {}
        for item in trained:
            self._found.setdefault(item.point, {})[item.seed] = item
        self._energies: dict[tuple[Any, ...], float] = {}

    @property
    def points(self) -> tuple[Point, ...]:
        """Points that any seed has."""
        return tuple(sorted(self._found))

    @property
    def complete(self) -> tuple[Point, ...]:
        """Points that every seed has."""
        most = max((len(seeds) for seeds in self._found.values()), default=0)
        return tuple(point for point in self.points if len(self._found[point]) == most)

    def seeds(self, *points: Point) -> tuple[int, ...]:
        """Return the seeds that have all of these points."""
        return tuple(sorted(set.intersection(*(set(self._found.get(point, {})) for point in points))))

    def first(self, point: Point) -> Trained:
        """Return the point of its first seed."""
        return self._found[point][min(self._found[point])]

    def has(self, *points: Point) -> bool:
        """Return whether one seed has all of these points."""
        return bool(self.seeds(*points))

    def each(self, function: Callable[..., float], *points: Point) -> Spread:
        """Return what `function` makes of the trained points of each seed that has all of them."""
        return Spread(tuple(float(function(*(self._found[point][seed] for point in points))) for seed in self.seeds(*points)))

    def accuracy(self, point: Point, split: str = "test") -> Spread:
        """Return the accuracy on ``"test"`` or ``"validation"``."""
        return self.each(lambda item: item.result[split], point)

    def loss(self, point: Point, other: Point, split: str = "test") -> Spread:
        """Return by how much `point` is less accurate than `other`, seed by seed."""
        return self.each(lambda mine, its: its.result[split] - mine.result[split], point, other)

    def energy(self, point: Point, weights: str = "rle4", architecture: str = TABLE, *, activity: str = "mean",
               zeros: bool = True) -> Spread:
        """Return the energy of a sample in pJ."""
        return self.each(lambda item: self._energy(item, weights, architecture, activity, zeros), point)

    def ratio(self, point: Point, other: Point, weights: str = "rle4", architecture: str = TABLE) -> Spread:
        """Return the energy of `point` over that of `other`, seed by seed."""
        return self.each(lambda mine, its: self._energy(mine, weights, architecture) / self._energy(its, weights, architecture),
                         point, other)

    def _energy(self, item: Trained, weights: str, architecture: str, activity: str = "mean", zeros: bool = True) -> float:
        key = (item.seed, item.point, weights, architecture, activity, zeros)
        if key not in self._energies:
            self._energies[key] = item.energy(weights, architecture, activity=activity, zeros=zeros).energy_pj
        return self._energies[key]

    def front(self, weights: str = "rle4", architecture: str = TABLE, split: str = "validation") -> tuple[Point, ...]:
        """Return the points that no other is better than in mean accuracy on `split` and mean energy, the cheapest first.

        Only the complete points take part.
        """
        points = self.complete
        values = [(self.energy(point, weights, architecture).mean, self.accuracy(point, split).mean) for point in points]
        return tuple(sorted((points[index] for index in pareto_front(values, maximise=(1,))),
                            key=lambda point: self.energy(point, weights, architecture).mean))

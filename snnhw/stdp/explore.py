"""Which formats: sensitivity of one class of words at a time, exploration, rewards, the Pareto front, and a choice.

Rewards of a candidate with accuracy a and memory m, against a baseline with A and M:

    product   (M / m) * max(0, 1 - max(0, A - a) / tolerance)
    linear    a - mu * m / M
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from snnhw.errors import UsageError
from snnhw.stdp.config import StdpRecipe
from snnhw.stdp.data import StdpData
from snnhw.stdp.formats import CLASSES, Fixed, Formats, Rounding
from snnhw.stdp.labels import Vote
from snnhw.stdp.memory import memory_bits, memory_items
from snnhw.stdp.network import StdpNetwork
from snnhw.stdp.train import Progress, evaluate, train_stdp

__all__ = ["Candidate", "LinearReward", "ProductReward", "Reward", "Sensitivity", "choose", "default_formats", "explore", "grid",
           "pareto", "sensitivity"]

Reward = Callable[[float, int, float, int], float]
# Of thresholds up to a few hundred largest weights: 9 integer bits, the sign, and one to spare.
STATE_INTEGER = 11


@dataclass(frozen=True)
class ProductReward:
    """Memory saving times a penalty that grows with the lost accuracy; 0 from `tolerance` on."""

    tolerance: float = 0.05

    def __call__(self, accuracy: float, bits: int, baseline: float, baseline_bits: int) -> float:
        return baseline_bits / bits * max(0.0, 1 - max(0.0, baseline - accuracy) / self.tolerance)


@dataclass(frozen=True)
class LinearReward:
    """Accuracy less `mu` times the memory, as a share of the baseline's."""

    mu: float = 0.1

    def __call__(self, accuracy: float, bits: int, baseline: float, baseline_bits: int) -> float:
        return accuracy - self.mu * bits / baseline_bits


@dataclass(frozen=True)
class Candidate:
    """Formats, and what they cost and achieve.

    Parameters
    ----------
    formats : Formats
        Of the words.
    when : str
        ``"after"`` training or in ``"training"``.
    accuracy : float
        Share of samples.
    memory : int
        Bits of every word that inference stores.
    """

    formats: Formats
    when: str
    accuracy: float
    memory: int

    def plain(self) -> dict[str, Any]:
        names = {name: str(form) if (form := getattr(self.formats, name)) is not None else "float32" for name in CLASSES}
        return {**names, "rounding": self.formats.rounding, "when": self.when, "accuracy": self.accuracy,
                "memory_bits": self.memory}


@dataclass(frozen=True)
class Sensitivity:
    """Accuracy of one class of words at several widths, all others in float32.

    Parameters
    ----------
    name : str
        Class of the words.
    baseline : float
        Accuracy in float32.
    points : tuple of (Fixed, float)
        Format and accuracy, widest first.
    """

    name: str
    baseline: float
    points: tuple[tuple[Fixed, float], ...]

    def smallest(self, loss: float) -> Fixed | None:
        """Return the narrowest format such that it and all wider ones lose at most `loss`; None if the widest loses more."""
        found = None
        for form, accuracy in self.points:
            if accuracy < self.baseline - loss:
                break
            found = form
        return found

    def plain(self, loss: float) -> dict[str, Any]:
        smallest = self.smallest(loss)
        return {"class": self.name, "baseline": self.baseline,
                "points": [{"format": str(form), "bits": form.bits, "accuracy": accuracy} for form, accuracy in self.points],
                "smallest": None if smallest is None else str(smallest),
                "smallest_bits": None if smallest is None else smallest.bits}


def default_formats(name: str) -> tuple[Fixed, ...]:
    """Return the formats that a sensitivity pass tries for a class of words, widest first."""
    if name in ("weight", "trace"):
        return tuple(Fixed(1, fraction) for fraction in (15, 11, 7, 6, 5, 4, 3, 2, 1))
    narrow = tuple(Fixed(integer, 0) for integer in range(STATE_INTEGER - 1, 5, -1))
    return (*(Fixed(STATE_INTEGER, fraction) for fraction in (12, 8, 5, 3, 1, 0)), *narrow)


def sensitivity(network: StdpNetwork, data: StdpData, names: Sequence[str] = ("weight", "membrane", "threshold"), *,
                rounding: Rounding = "nearest", vote: Vote = "weighted", label_samples: int = 5000, split: str = "validation",
                samples: int | None = None, seed: int = 0, progress: Progress = lambda *args: None) -> list[Sensitivity]:
    """Quantize one class of words at a time after training, and measure.

    State words lose their fractional bits first, then integer bits, so that their range shrinks and they saturate. Traces exist
    in training only, so their sensitivity takes training: see :func:`explore`.
    """
    def measured(quantized: StdpNetwork) -> float:
        scores = evaluate(quantized, data, label_samples=label_samples, split=split, samples=samples,
                          generator=np.random.default_rng(seed))
        return scores.accuracy[vote]

    for name in names:
        if name not in CLASSES[:3]:
            raise UsageError(f"a class of words for a sensitivity pass must be weight, membrane or threshold, not {name!r}")
    baseline = measured(network)
    found = []
    for name in names:
        points = []
        for form in default_formats(name):
            formats = Formats(rounding=rounding).of(name, form)
            points.append((form, measured(network.quantized(formats, np.random.default_rng(seed)))))
            progress(f"sensitivity of {name}", len(points), len(default_formats(name)), f"{form}: {points[-1][1]:.2%}")
        found.append(Sensitivity(name, baseline, tuple(points)))
    return found


def explore(recipe: StdpRecipe, data: StdpData, candidates: Iterable[tuple[str, Formats]], *, network: StdpNetwork | None = None,
            vote: Vote = "weighted", label_samples: int = 5000, split: str = "validation", samples: int | None = None,
            progress: Progress = lambda *args: None) -> tuple[Candidate, list[Candidate]]:
    """Measure the float32 network and candidates.

    Parameters
    ----------
    recipe : StdpRecipe
        How networks are trained.
    candidates : iterable of (str, Formats)
        ``"after"`` quantizes the trained float32 network; ``"training"`` trains one in these formats.
    network : StdpNetwork or None
        Trained float32 network; trained here if None.
    vote, label_samples, split, samples
        How accuracy is measured.

    Returns
    -------
    Candidate, list of Candidate
        The float32 network, and the candidates in order.
    """
    def measured(quantized: StdpNetwork, when: str) -> Candidate:
        scores = evaluate(quantized, data, label_samples=label_samples, split=split, samples=samples,
                          generator=np.random.default_rng(recipe.seed))
        items = memory_items(quantized.inputs, quantized.neurons, quantized.competition, quantized.formats)
        return Candidate(quantized.formats, when, scores.accuracy[vote], memory_bits(items, training=False))

    wanted = list(candidates)
    if network is None:
        network = train_stdp(recipe.changed(formats__when="after"), data, progress=progress).network
    baseline = measured(network, "after")
    found = []
    for index, (when, formats) in enumerate(wanted):
        if when == "training":
            texts = {f"formats__{name}": None if (form := getattr(formats, name)) is None else str(form) for name in CLASSES}
            changed = recipe.changed(**texts, formats__rounding=formats.rounding, formats__when="training")
            quantized = train_stdp(changed, data).network
        elif when == "after":
            quantized = network.quantized(formats, np.random.default_rng(recipe.seed))
        else:
            raise UsageError(f"a candidate must be quantized 'after' or in 'training', not {when!r}")
        found.append(measured(quantized, when))
        progress("exploring", index + 1, len(wanted), f"{when} {formats}: {found[-1].accuracy:.2%}")
    return baseline, found


def pareto(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return the candidates that no other beats in accuracy and memory at once, smallest memory first; of equals the first."""
    front: list[Candidate] = []
    for candidate in sorted(candidates, key=lambda item: (item.memory, -item.accuracy)):
        if not front or candidate.accuracy > front[-1].accuracy:
            front.append(candidate)
    return front


def choose(candidates: Sequence[Candidate], baseline: Candidate, reward: Reward, *, target: float = 0.0,
           usable: Callable[[Candidate], bool] = lambda candidate: True) -> Candidate:
    """Return the candidate with the highest reward among those that reach the accuracy `target`.

    Raises
    ------
    UsageError
        None does.
    """
    allowed = [candidate for candidate in candidates if candidate.accuracy >= target and usable(candidate)]
    if not allowed:
        best = max((candidate.accuracy for candidate in candidates if usable(candidate)), default=0.0)
        raise UsageError(f"the accuracy target must be at most {best:.2%}, the best of the candidates, not {target:.2%}")
    return max(allowed, key=lambda item: (reward(item.accuracy, item.memory, baseline.accuracy, baseline.memory), -item.memory))


def grid(weights: Sequence[int] = (8, 6, 4, 3), states: Sequence[tuple[Fixed, Fixed]] = (), roundings: Sequence[Rounding] = (
        "truncate", "nearest", "stochastic"), schemes: Sequence[str] = ("after",)) -> list[tuple[str, Formats]]:
    """Return candidates: every scheme with every weight width, pair of membrane and threshold formats, and rounding.

    Membranes have at least the fractional bits of the weights, as the hardware needs.
    """
    found = []
    for when in schemes:
        for bits in weights:
            pairs = states or ((Fixed(STATE_INTEGER, bits - 1), Fixed(STATE_INTEGER, 0)),)
            for membrane, threshold in pairs:
                if membrane.fraction >= bits - 1:
                    found += [(when, Formats(Fixed(1, bits - 1), membrane, threshold, None, rounding)) for rounding in roundings]
    return found

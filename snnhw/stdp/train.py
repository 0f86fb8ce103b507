"""Training without labels, then labels for neurons."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from snnhw.errors import UsageError
from snnhw.stdp.config import StdpRecipe
from snnhw.stdp.counts import OperationCounts
from snnhw.stdp.data import StdpData
from snnhw.stdp.formats import Formats
from snnhw.stdp.labels import VOTES, Vote, accuracy, class_responses, vote_table
from snnhw.stdp.learning import Stdp
from snnhw.stdp.network import StdpNetwork, present, responses

__all__ = ["Progress", "Scores", "Training", "evaluate", "train_stdp"]

Progress = Callable[[str, int, int, str], None]


def _silent(stage: str, done: int, total: int, text: str) -> None:
    """Say nothing."""


@dataclass(frozen=True, eq=False)
class Training:
    """A trained network and what the training took.

    Attributes
    ----------
    network : StdpNetwork
        Formats are those of the training: float32, or the recipe's for ``when = "training"``.
    operations : OperationCounts
        Of presenting and learning.
    samples : int
        Samples shown, all passes together.
    spikes : int
        Of excitatory neurons.
    seconds : float
        Wall-clock time.
    """

    network: StdpNetwork
    operations: OperationCounts
    samples: int
    spikes: int
    seconds: float


def train_stdp(recipe: StdpRecipe, data: StdpData, *, progress: Progress = _silent) -> Training:
    """Train a network on the training images of a data set, without their labels.

    The same recipe and data give the same network, on the same machine.
    """
    values = data.train_values[:recipe.samples]
    if recipe.samples is not None and recipe.samples > len(values):
        raise UsageError(f"recipe samples must be at most {len(values)}, the training samples there are, not {recipe.samples}")
    if values.max() > recipe.encoding.levels:
        raise UsageError(f"recipe encoding.levels must be at least {values.max()}, the largest value of the data, "
                         f"not {recipe.encoding.levels}")
    generator = np.random.default_rng(recipe.seed)
    network = StdpNetwork.initial(recipe, data.inputs, generator)
    formats = recipe.formats.formats if recipe.formats.when == "training" else Formats()
    network = replace(network, formats=formats)
    learning = Stdp(recipe, network.weight, network.threshold, formats, generator)
    operations, spikes, started = OperationCounts(), 0, time.monotonic()
    total, done, batch = recipe.passes * len(values), 0, 0
    for _ in range(recipe.passes):
        order = generator.permutation(len(values))
        for first in range(0, len(values), recipe.batch):
            chosen = order[first:first + recipe.batch]
            learning.rate = 1 - done / total * (1 - recipe.learning.final)
            shown = present(network, network.encode(values[chosen], batch), learning=learning, generator=generator)
            learning.finish()
            operations += shown.operations
            spikes += int(shown.counts.sum())
            done, batch = done + len(chosen), batch + 1
            if batch % 64 == 0 or done == total:
                progress("training", done, total, f"images, {spikes / done:.1f} spikes each")
    network = replace(network, weight=learning.weight, threshold=learning.threshold)
    return Training(network, operations + learning.counts, done, spikes, time.monotonic() - started)


@dataclass(frozen=True, eq=False)
class Scores:
    """How well a network decides.

    Attributes
    ----------
    response : float64 array, (classes, neurons)
        Mean spike counts of the labelled training samples.
    accuracy : dict of Vote to float
        By vote, on the samples that were asked for.
    operations : OperationCounts
        Of those samples.
    spikes, silent : float
        Mean spikes of a sample; share of samples without any.
    """

    response: np.ndarray
    accuracy: dict[Vote, float]
    operations: OperationCounts
    spikes: float
    silent: float

    @property
    def best(self) -> Vote:
        """Vote with the highest accuracy, the first of equals."""
        return max(VOTES, key=lambda vote: self.accuracy[vote])


def evaluate(network: StdpNetwork, data: StdpData, *, label_samples: int = 10000, split: str = "validation",
             samples: int | None = None, generator: np.random.Generator | None = None, progress: Progress = _silent) -> Scores:
    """Assign labels by the first training samples, and measure on the validation or the test samples."""
    def said(stage: str) -> Callable[[int, int], None]:
        return lambda done, total: progress(stage, done, total, "images")

    counts, _ = responses(network, data.train_values[:label_samples], generator=generator, progress=said("labelling"))
    response = class_responses(counts, data.train_labels[:label_samples], data.classes)
    values, labels = (getattr(data, f"{split}_{part}")[:samples] for part in ("values", "labels"))
    if not len(values):
        raise UsageError(f"the {split} split must have samples, and has none")
    counts, operations = responses(network, values, generator=generator, progress=said(split))
    return Scores(response, {vote: accuracy(counts, labels, vote_table(response, vote)) for vote in VOTES}, operations,
                  float(counts.sum(axis=1).mean()), float((counts.sum(axis=1) == 0).mean()))

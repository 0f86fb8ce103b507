"""What a decision on the chip is: the score of each class, how wide it can get, and how a result is laid out.

A score is such that the larger one wins, and the lowest class of those that have it:

    readout            score of a class
    count              its spikes, each with its value, added over the sample
    first              timesteps of the graph less the timestep of its first spike; 0 when it never spiked
    membrane, last     its state after the last timestep
    membrane, max      its largest state of the sample
    membrane, sum      its states, added over the sample

The margin is the score of the winner less the largest score of the other classes, 0 when there is one class only.
Scores are proven for samples of as many timesteps as the graph has, or fewer.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from snnhw.errors import UsageError
from snnhw.fixed import Interval, unsigned_bits
from snnhw.ir import Readout

__all__ = ["DecisionPlan", "Results"]


@dataclass(frozen=True)
class Results:
    """Decisions of samples. Every array is int64, (samples,).

    Attributes
    ----------
    classes, scores, margins : int64 array
        The class that wins, its score, and what that is above the best other score.
    """

    classes: np.ndarray
    scores: np.ndarray
    margins: np.ndarray


@dataclass(frozen=True)
class DecisionPlan:
    """Decision behind the last core.

    A result is one word: from the lowest bits the class, its score and the margin, each in whole bytes; only the score of
    a membrane is signed.

    Parameters
    ----------
    kind, over : str
        As in :class:`snnhw.ir.Readout`.
    classes : int
        Neurons whose output is read.
    timesteps : int
        Of the longest sample.
    values : Interval
        What a neuron can hand on in a timestep, 0 for nothing.
    """

    kind: Literal["count", "first", "membrane"]
    over: Literal["last", "max", "sum"]
    classes: int
    timesteps: int
    values: Interval

    @classmethod
    def of(cls, readout: Readout, classes: int, timesteps: int, values: Interval) -> "DecisionPlan":
        """Return what decides as a readout says."""
        return cls(readout.kind, readout.over, classes, timesteps, values)

    @property
    def accumulates(self) -> bool:
        """Scores are sums, which are kept for each class; other readouts need the two best alone."""
        return self.kind != "first" and self.over == "sum"

    @property
    def signed(self) -> bool:
        """Scores can be negative."""
        return self.kind == "membrane"

    @property
    def scores(self) -> Interval:
        """Every score that a class can have at the end of a sample, and every sum on the way."""
        if self.kind == "first":
            return Interval(0, self.timesteps)
        if not self.accumulates:
            return self.values
        lowest, highest = self.values.lowest, self.values.highest
        return Interval(min(lowest, lowest * self.timesteps), max(highest, highest * self.timesteps))

    @property
    def score_bits(self) -> int:
        return self.scores.bits if self.signed else unsigned_bits(self.scores.highest)

    @property
    def margin_bits(self) -> int:
        return unsigned_bits(self.scores.highest - self.scores.lowest)

    @property
    def class_bits(self) -> int:
        return unsigned_bits(self.classes - 1)

    @property
    def fields(self) -> tuple[int, int, int]:
        """Bytes of class, score and margin in a result."""
        return -(-self.class_bits // 8), -(-self.score_bits // 8), -(-self.margin_bits // 8)

    @property
    def result_bytes(self) -> int:
        return sum(self.fields)

    @property
    def age_bits(self) -> int:
        """Bits of the number of the sample that each sum carries: enough to tell more than as many samples as classes apart."""
        return unsigned_bits(self.classes) if self.kind == "count" else 0

    def expect(self, values: np.ndarray) -> Results:
        """Return the results of samples, from what the neurons hand on: int array, (samples, timesteps, neurons)."""
        samples, timesteps, classes = values.shape
        if not 1 <= timesteps <= self.timesteps:
            raise UsageError(f"samples must have between 1 and {self.timesteps} timesteps for a decision on the chip, "
                             f"not {timesteps}")
        values = values.astype(np.int64)
        if self.kind == "first":
            fired = values != 0
            scores = np.where(fired.any(axis=1), self.timesteps - fired.argmax(axis=1), 0)
        elif self.over == "sum":
            scores = values.sum(axis=1)
        else:
            scores = values[:, -1] if self.over == "last" else values.max(axis=1)
        winner = scores.argmax(axis=1)
        ordered = np.sort(scores, axis=1)
        margins = ordered[:, -1] - ordered[:, -2] if classes > 1 else np.zeros(samples, np.int64)
        return Results(winner, ordered[:, -1], margins)

    def pack(self, results: Results) -> np.ndarray:
        """Return results as they leave the accelerator, the least significant byte first: uint8, (samples, result_bytes)."""
        columns = []
        for values, size in zip((results.classes, results.scores, results.margins), self.fields, strict=True):
            words = np.ascontiguousarray(values, "<i8").view(np.uint8).reshape(-1, 8)
            columns.append(words[:, :size])
        return np.concatenate(columns, axis=1)

    def unpack(self, content: np.ndarray) -> Results:
        """Return the results that :meth:`pack` packs so."""
        columns, start = [], 0
        for index, size in enumerate(self.fields):
            part = np.zeros((len(content), 8), np.uint8)
            part[:, :size] = content[:, start:start + size]
            if index == 1 and self.signed:
                part[:, size:] = np.where(part[:, size - 1:size] >= 128, 255, 0)
            columns.append(part.view("<i8").ravel().astype(np.int64))
            start += size
        return Results(*columns)

"""Sparse matrices whose lanes run ahead of each other: each has lists of its own, and a queue of events before it.

Neuron n is in lane ``n % lanes``, in row ``n // lanes`` of it, as in :mod:`snnhw.plan.columns`. But nothing is filled up: in each
lane the list of an event is as long as the weights that are there. The memory of sources, one for all lanes, tells where it
begins in each of them, and how long it is; so an event without weights in a lane never enters its queue.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from snnhw.fixed import unsigned_bits
from snnhw.plan.columns import Field, LaneMatrix

__all__ = ["DEFAULT_QUEUE", "MAX_QUEUE", "Queued"]

DEFAULT_QUEUE = 8
MAX_QUEUE = 16


@dataclass(frozen=True, eq=False)
class Queued(LaneMatrix):
    """A sparse matrix, kept lane by lane.

    Parameters
    ----------
    queue : int
        Events that can wait before each lane, 1 to 16.
    """

    queue: int = DEFAULT_QUEUE

    def __post_init__(self) -> None:
        if self.queue not in range(1, MAX_QUEUE + 1):
            raise ValueError(f"Queue must hold 1 to {MAX_QUEUE} events, not {self.queue}")

    @property
    def uniform(self) -> int | None:
        """Words of every list, where that needs no memory; never here."""
        return None

    @property
    def headers(self) -> int:
        """Words of a list that are not added."""
        return 0

    @property
    def row_bits(self) -> int:
        """Bits of an entry that tell its row."""
        return unsigned_bits(self.words - 1) if self.words > 1 else 0

    @cached_property
    def _entries(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Lane, source, row and weight of every entry, sorted."""
        outputs, sources = self.weight.shape
        by_lane = np.zeros((self.lanes, sources, self.words), np.int64)
        target = np.arange(outputs)
        by_lane[target % self.lanes, :, target // self.lanes] = self.weight
        lane, source, row = np.nonzero(by_lane)
        return lane, source, row, by_lane[lane, source, row]

    @cached_property
    def lengths(self) -> np.ndarray:
        """Weights that an event of each source adds in each lane: int64, (sources, lanes)."""
        lane, source, *_ = self._entries
        return np.bincount(source * self.lanes + lane, minlength=self.sources * self.lanes).reshape(self.sources, self.lanes)

    @property
    def depth(self) -> int:
        """Words of the memory of a lane: as many as the longest holds."""
        return max(1, int(self.lengths.sum(axis=0).max()))

    @cached_property
    def lane_fields(self) -> tuple[tuple[Field, ...], ...]:
        """Of each lane the columns of its weight memory, the lowest first: weights, and what tells their rows."""
        lane, _, row, weight = self._entries
        begin = np.searchsorted(lane, np.arange(self.lanes + 1))
        result = []
        for index in range(self.lanes):
            some = slice(begin[index], begin[index + 1])
            columns = []
            for values, bits in ((weight, self.weight_bits), (row, self.row_bits)):
                column = np.zeros(self.depth, np.int64)
                column[:begin[index + 1] - begin[index]] = values[some]
                columns.append((column, bits))
            result.append(tuple(columns[:1 + (self.row_bits > 0)]))
        return tuple(result)

    @property
    def word_fields(self) -> tuple[Field, ...]:
        """Columns of all lanes side by side, as they are written about; no memory holds them so."""
        return tuple(field for fields in self.lane_fields for field in fields)

    @cached_property
    def source_fields(self) -> tuple[Field, ...]:
        """Columns of the memory of sources: of each lane its first word, and the number of words."""
        count = self.lengths
        first = np.cumsum(count, axis=0) - count
        first = np.where(count > 0, first, 0)
        first_bits, count_bits = unsigned_bits(int(first.max())), unsigned_bits(int(count.max()))
        return tuple(field for lane in range(self.lanes)
                     for field in ((first[:, lane], first_bits), (count[:, lane], count_bits)))

    @property
    def queue_bits(self) -> int:
        """Bits of an event in a queue, without its value: where its list begins, how long it is, what it ends."""
        return sum(bits for _, bits in self.source_fields[:2]) + 2

    def list_lengths(self) -> np.ndarray:
        """Return the words that an event of each source reads in the lane that reads most: int64, (sources,)."""
        return self.lengths.max(axis=1)

    def added_words(self) -> np.ndarray:
        """Return how many of them are added, which is all: int64, (sources,)."""
        return self.list_lengths()

    @property
    def values(self) -> np.ndarray:
        """Values that the weights in memory take."""
        return np.unique(np.r_[0, self._entries[3]])

    @property
    def stored(self) -> int:
        """Weights in memory."""
        return self.depth * self.lanes

    @property
    def stored_bits(self) -> int:
        """Bits of weights, of what tells their rows, and of where lists lie."""
        return (self.stored * (self.weight_bits + self.row_bits)
                + self.sources * sum(bits for _, bits in self.source_fields))

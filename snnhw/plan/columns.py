"""Sparse matrices, column by column: for each event and each lane, the weights that are not zero.

Neuron n is in lane ``n % lanes``, in row ``n // lanes`` of it. The list of an event is a number of words, each with one entry
for every lane: a weight, and what tells its row. Lanes with fewer entries than the longest are filled up with zeros. Where
all lists are equally long, as bank-balanced pruning makes them, nothing needs to be stored about where they lie.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from snnhw.fixed import unsigned_bits
from snnhw.plan.synapses import Matrix

__all__ = ["COLUMN_FORMATS", "ColumnFormat", "Columns", "Field", "LaneMatrix"]

ColumnFormat = Literal["bank", "csc", "bitmap", "run-length"]
COLUMN_FORMATS: tuple[ColumnFormat, ...] = ("bank", "csc", "bitmap", "run-length")

#: A column of a memory: its integers, one for each word, and their width.
Field = tuple[np.ndarray, int]


@dataclass(frozen=True, eq=False)
class LaneMatrix(Matrix):
    """A sparse matrix in which each lane adds to currents of its own.

    Parameters
    ----------
    lanes : int
        Weights that are added at a time.
    """

    lanes: int

    @property
    def words(self) -> int:
        """Rows: words of currents of a lane."""
        return -(-self.weight.shape[0] // self.lanes)

    tiles = words

    @property
    def banks(self) -> int:
        """Memories of currents side by side: each lane addresses its own."""
        return self.lanes

    @property
    def synapses(self) -> int:
        """Connections whose weight is not zero."""
        return max(1, int((self.weight != 0).sum()))


@dataclass(frozen=True, eq=False)
class Columns(LaneMatrix):
    """A sparse matrix, kept event by event and lane by lane.

    Parameters
    ----------
    format : str
        How an entry tells its row. ``"csc"``: by its number. ``"bank"``: the same, and all lists are made as long as the
        longest. ``"run-length"``: by the rows between it and the entry before, the first counted from row 0; a longer run is
        cut by entries of weight 0. ``"bitmap"``: not at all; before the weights of an event lie words with one bit for each row.
    run_bits : int
        Width of a run, only of ``"run-length"``; 0 for the width that stores the fewest bits.
    """

    format: ColumnFormat
    run_bits: int = 0

    @cached_property
    def _entries(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Source, lane, position in its list, row and weight of every entry, sorted; those between long runs included."""
        outputs, sources = self.weight.shape
        by_lane = np.zeros((sources, self.lanes, self.words), np.int64)
        target = np.arange(outputs)
        by_lane[:, target % self.lanes, target // self.lanes] = self.weight.T
        source, lane, row = np.nonzero(by_lane)
        weight = by_lane[source, lane, row]
        if self.format == "run-length" and self.words > 1:
            begins = np.r_[True, (source[1:] != source[:-1]) | (lane[1:] != lane[:-1])][:source.size]
            run = row - np.where(begins, 0, np.r_[0, row[:-1]][:source.size])
            longest = (1 << self.chosen_run_bits) - 1
            extra = np.maximum(0, (run - 1) // longest)
            mine = np.repeat(np.arange(source.size), extra + 1)
            place = np.arange(mine.size) - np.repeat(np.cumsum(extra + 1) - extra - 1, extra + 1)
            is_last = place == extra[mine]
            source, lane = source[mine], lane[mine]
            row = np.where(is_last, row[mine], row[mine] - run[mine] + longest * (place + 1))
            weight = np.where(is_last, weight[mine], 0)
        group = source * self.lanes + lane
        position = np.arange(group.size) - np.searchsorted(group, group)
        return source, lane, position, row, weight

    @cached_property
    def chosen_run_bits(self) -> int:
        """Width of a run."""
        if self.run_bits or self.format != "run-length":
            return self.run_bits
        widest = unsigned_bits(self.words - 1)
        return min(range(1, widest + 1),
                   key=lambda bits: Columns(self.weight, self.weight_bits, self.lanes, self.format, bits).stored_bits)

    @property
    def row_bits(self) -> int:
        """Bits of an entry that tell its row."""
        if self.words == 1 or self.format == "bitmap":
            return 0
        return self.chosen_run_bits if self.format == "run-length" else unsigned_bits(self.words - 1)

    @property
    def headers(self) -> int:
        """Words at the begin of a list that hold bits of rows in the place of weights, as many as a weight has in each lane."""
        return -(-self.words // self.weight_bits) if self.format == "bitmap" and self.words > 1 else 0

    @cached_property
    def _lengths(self) -> np.ndarray:
        source, _, position, *_ = self._entries
        longest = np.zeros(self.sources, np.int64)
        np.maximum.at(longest, source, position + 1)
        longest += self.headers * (longest > 0)
        return np.full_like(longest, max(1, longest.max(initial=0))) if self.format == "bank" else longest

    @property
    def uniform(self) -> int | None:
        """Words of every list, where all are equally long: word k of source a is then word ``k * sources + a``; else None."""
        length = int(self._lengths[0])
        return length if length and (self._lengths == length).all() else None

    @cached_property
    def lists(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """What the memories hold.

        Returns
        -------
        weights : int64 array, (words, lanes)
            Weights, or bits of rows.
        rows : int64 array, (words, lanes)
            What tells the row of a weight.
        first, count : int64 array, (sources,)
            First word of a list, and its words; where they are not uniform, ``first`` counts on.
        """
        source, lane, position, row, weight = self._entries
        count, headers, uniform = self._lengths, self.headers, self.uniform
        first = np.arange(self.sources) if uniform else np.cumsum(count) - count
        step = self.sources if uniform else 1
        total = max(1, int(count.sum()))
        weights, rows = np.zeros((total, self.lanes), np.int64), np.zeros((total, self.lanes), np.int64)
        word = first[source] + step * (position + headers)
        weights[word, lane] = weight
        if headers:
            chunk, bit = np.divmod(row, self.weight_bits)
            np.bitwise_or.at(weights, (first[source] + step * chunk, lane), 1 << bit)
        elif self.format == "run-length":
            run = row - np.where(position == 0, 0, np.r_[0, row[:-1]][:row.size])
            rows[word, lane] = run
        else:
            rows[word, lane] = row
        return weights, rows, first, count

    @cached_property
    def word_fields(self) -> tuple[Field, ...]:
        """Columns of the weight memory, the lowest first: the weights of all lanes, then what tells their rows."""
        weights, rows, *_ = self.lists
        fields: list[Field] = [(weights[:, lane], self.weight_bits) for lane in range(self.lanes)]
        if self.row_bits:
            fields += [(rows[:, lane], self.row_bits) for lane in range(self.lanes)]
        return tuple(fields)

    @cached_property
    def source_fields(self) -> tuple[Field, ...]:
        """Columns of the memory of sources: first word, and number of words; none where all lists are equally long."""
        if self.uniform:
            return ()
        *_, first, count = self.lists
        return tuple((column, unsigned_bits(int(column.max()))) for column in (first, count))

    def list_lengths(self) -> np.ndarray:
        """Return the weight words that an event of each source reads: int64, (sources,)."""
        return self._lengths

    def added_words(self) -> np.ndarray:
        """Return how many of them are added: int64, (sources,)."""
        return np.maximum(0, self._lengths - self.headers)

    @property
    def stored(self) -> int:
        """Weights in memory."""
        return max(1, int(self.added_words().sum())) * self.lanes

    @property
    def values(self) -> np.ndarray:
        """Values that the weights in memory take, zeros that fill up lists included."""
        found = np.unique(self.weight[self.weight != 0])
        return found if found.size and self.stored == np.count_nonzero(self.weight) else np.r_[0, found]

    @property
    def stored_bits(self) -> int:
        """Bits of weights, of what tells their rows, and of where lists lie."""
        words = max(1, int(self._lengths.sum()))
        return (words * self.lanes * (self.weight_bits + self.row_bits)
                + self.sources * sum(bits for _, bits in self.source_fields))

"""Encodings of weights: what an encoder emits bit by bit, and what Sparseloop counts.

An encoding reads an array as a matrix, (outputs, everything else), each row a *fibre*. Shape, weight width and the length of
the stream are known to the decoder, as they are to hardware that is generated for one network; everything else is in the stream.

There are two accountings, and they differ. ``exact`` is the length of the stream that :meth:`Encoding.encode` makes: overflows of
a run cost entries, coordinates are as wide as what they point into, pointers are there. ``sparseloop`` counts as the format
models of the tool of that name do: one word of metadata for each non-zero weight in run-length and coordinate form, one bit for
each position in a bitmask, one offset more than positions in offset pairs.
"""

import math
import re
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from snnhw.errors import UsageError
from snnhw.fixed import signed_range

__all__ = [
    "Bitmask",
    "Coordinate",
    "Dense",
    "Encoding",
    "Footprint",
    "OffsetPairs",
    "RowCoordinate",
    "RowRunLength",
    "RunLength",
    "UncompressedBitmask",
    "index_bits",
    "parse_encoding",
]

MAX_RUN_BITS = 16
MAX_WEIGHT_BITS = 16
NEARLY_EMPTY = 1e-9  # density at which an encoding must save if it is to save at any


@dataclass(frozen=True)
class Footprint:
    """Bits of an encoded array.

    Parameters
    ----------
    payload_bits : int or float
        Those that hold weights.
    metadata_bits : int or float
        Those that say where the weights stand.
    """

    payload_bits: float
    metadata_bits: float

    @property
    def bits(self) -> float:
        """Payload and metadata."""
        return self.payload_bits + self.metadata_bits


def index_bits(count: int) -> int:
    """Return the bits that tell `count` things apart: ``ceil(log2(count))``."""
    return max(count - 1, 0).bit_length()


def _fields(values: np.ndarray, bits: int) -> np.ndarray:
    """Return unsigned or two's complement integers as bits, uint8 (values, bits), most significant first."""
    return ((values[:, None] >> np.arange(bits - 1, -1, -1)) & 1).astype(np.uint8)


def _integers(fields: np.ndarray, *, signed: bool = False) -> np.ndarray:
    """Return int64 (values,) of the bits in `fields`, (values, bits)."""
    width = fields.shape[1]
    values = fields.astype(np.int64) @ (1 << np.arange(width - 1, -1, -1, dtype=np.int64))
    return values - ((values >> (width - 1)) << width) if signed and width else values


@dataclass(frozen=True)
class Encoding:
    """A way to store weights.

    Attributes
    ----------
    compressed : bool
        Zeros are not stored: the payload is that of the non-zero weights, or little more.
    """

    compressed: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """Name, as :func:`parse_encoding` reads it."""
        raise NotImplementedError

    def encode(self, weight: np.ndarray, bits: int) -> np.ndarray:
        """Return the stream of an int array of any shape: uint8 zeros and ones, (bits,).

        Parameters
        ----------
        weight : int array
            Signed integers.
        bits : int
            Width of a weight in two's complement, 1 to 16.
        """
        matrix = _matrix(weight, bits)
        return np.concatenate([part.ravel() for part in self._parts(matrix, bits)] or [np.zeros(0, np.uint8)])

    def decode(self, stream: np.ndarray, shape: tuple[int, ...], bits: int) -> np.ndarray:
        """Return the int64 array of `shape` whose stream this is.

        Raises
        ------
        ValueError
            No array of this shape and width has this stream.
        """
        stream = np.asarray(stream)
        if stream.ndim != 1 or stream.dtype.kind not in "biu" or (stream.size and (stream.min() < 0 or stream.max() > 1)):
            raise ValueError(f"Stream of {self.name!r} must be zeros and ones, not {stream.dtype} of shape {stream.shape}")
        reader = _Reader(stream.astype(np.uint8), self.name)
        rows = shape[0] if len(shape) > 1 else 1
        return self._read(reader, rows, math.prod(shape) // rows, bits).reshape(shape)

    def exact(self, weight: np.ndarray, bits: int) -> Footprint:
        """Return the bits of the stream, without making it."""
        return self._count(_matrix(weight, bits), bits)

    def sparseloop(self, positions: float, density: float, bits: int, fibre: int) -> Footprint:
        """Return the bits as Sparseloop counts them.

        Parameters
        ----------
        positions : float
            Weights, zeros included.
        density : float
            Part of them that is not zero.
        bits : int
            Width of a weight.
        fibre : int
            Positions that one coordinate or offset has to tell apart.
        """
        raise NotImplementedError

    def expected(self, density: float, bits: int, shape: tuple[int, int]) -> Footprint:
        """Return the exact bits for zeros that fall anywhere alike, but for the ends of rows; `shape` is (rows, columns)."""
        return self.sparseloop(shape[0] * shape[1], density, bits, shape[1])

    def break_even(self, bits: int, shape: tuple[int, int], accounting: str = "exact") -> float | None:
        """Return the density below which fewer bits than dense are needed, for zeros that fall anywhere alike; None for never.

        Parameters
        ----------
        bits : int
            Width of a weight.
        shape : tuple of int
            Rows and columns. They matter where coordinates and pointers do.
        accounting : str
            ``"exact"`` or ``"sparseloop"``.
        """
        if accounting not in ("exact", "sparseloop"):
            raise ValueError(f"Accounting must be 'exact' or 'sparseloop', not {accounting!r}")

        def total(density: float) -> float:
            if accounting == "exact":
                return self.expected(density, bits, shape).bits
            return self.sparseloop(shape[0] * shape[1], density, bits, shape[1]).bits

        dense = float(bits * shape[0] * shape[1])
        if total(NEARLY_EMPTY) >= dense:
            return None
        if total(1.0) < dense:
            return 1.0
        # Bits grow with density in every encoding, linearly in all but one.
        low, high = NEARLY_EMPTY, 1.0
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if total(middle) < dense else (low, middle)
        return high

    def _parts(self, matrix: np.ndarray, bits: int) -> list[np.ndarray]:
        """Return the parts of the stream, in order, as arrays of bits."""
        raise NotImplementedError

    def _read(self, reader: "_Reader", rows: int, columns: int, bits: int) -> np.ndarray:
        """Return the int64 weights, (rows * columns,)."""
        raise NotImplementedError

    def _count(self, matrix: np.ndarray, bits: int) -> Footprint:
        raise NotImplementedError


class _Reader:
    """A stream that is read from its beginning."""

    def __init__(self, stream: np.ndarray, name: str) -> None:
        self._stream, self._name = stream, name

    def take(self, count: int, width: int) -> np.ndarray:
        """Return the next `count` fields of `width` bits."""
        size = count * width
        if size > self._stream.size:
            raise ValueError(f"Stream of {self._name!r} must have {size} more bits, not {self._stream.size}")
        taken, self._stream = self._stream[:size], self._stream[size:]
        return taken.reshape(count, width)

    def rest(self, width: int) -> np.ndarray:
        """Return all fields that are left, of `width` bits."""
        if self._stream.size % width:
            raise ValueError(f"Stream of {self._name!r} must hold whole entries of {width} bits, not {self._stream.size} bits")
        return self.take(self._stream.size // width, width)

    def end(self) -> None:
        """Require that nothing is left."""
        if self._stream.size:
            raise ValueError(f"Stream of {self._name!r} must end with its last weight, not {self._stream.size} bits later")

    def require(self, right: bool, what: str) -> None:
        """Raise ValueError unless the stream is right."""
        if not right:
            raise ValueError(f"Stream of {self._name!r} must have {what}")


def _matrix(weight: np.ndarray, bits: int) -> np.ndarray:
    """Return weights as int64 (rows, columns), or raise."""
    weight = np.asarray(weight)
    if type(bits) is not int or not 1 <= bits <= MAX_WEIGHT_BITS:
        raise ValueError(f"Weight width must be between 1 and {MAX_WEIGHT_BITS} bits, not {bits!r}")
    if weight.dtype.kind not in "iu" or not weight.size:
        raise ValueError(f"Weights must be integers, at least one, not {weight.dtype} of shape {weight.shape}")
    lowest, highest = signed_range(bits)
    if weight.min() < lowest or weight.max() > highest:
        raise ValueError(f"Weights must be between {lowest} and {highest} in {bits} bits, not {weight.min()} to {weight.max()}")
    return weight.astype(np.int64).reshape(weight.shape[0] if weight.ndim > 1 else 1, -1)


@dataclass(frozen=True)
class Dense(Encoding):
    """Every weight, zeros included: ``N b`` bits."""

    compressed: ClassVar[bool] = False

    @property
    def name(self) -> str:
        return "dense"

    def sparseloop(self, positions: float, density: float, bits: int, fibre: int) -> Footprint:
        return Footprint(positions * bits, 0)

    def _parts(self, matrix: np.ndarray, bits: int) -> list[np.ndarray]:
        return [_fields(matrix.ravel(), bits)]

    def _read(self, reader: _Reader, rows: int, columns: int, bits: int) -> np.ndarray:
        weights = _integers(reader.take(rows * columns, bits), signed=True)
        reader.end()
        return weights

    def _count(self, matrix: np.ndarray, bits: int) -> Footprint:
        return Footprint(matrix.size * bits, 0)


def _runs(matrix: np.ndarray, run_bits: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the runs, the values and the row of each entry; runs start anew in each row.

    A run longer than its field is carried on by entries of the longest run and the value 0, which stand for
    ``2**run_bits`` zeros each. Zeros after the last weight of a row have no entries.
    """
    row, column = np.nonzero(matrix)
    before = np.concatenate([[-1], column[:-1]])
    before[np.concatenate([[True], row[1:] != row[:-1]])[:row.size]] = -1
    gaps = column - before[:row.size] - 1
    entries = (gaps >> run_bits) + 1
    last = np.cumsum(entries) - 1
    total = int(entries.sum())
    runs = np.full(total, (1 << run_bits) - 1)
    runs[last] = gaps & ((1 << run_bits) - 1)
    values = np.zeros(total, np.int64)
    values[last] = matrix[row, column]
    return runs, values, np.repeat(row, entries)


@dataclass(frozen=True)
class RunLength(Encoding):
    """For each non-zero weight the number of zeros before it and its value: ``(b + r) entries`` bits.

    ``entries`` is one for each non-zero weight and one for every ``2**r`` zeros of a longer run. For zeros that fall anywhere
    alike at density d, with q = 1 - d, it is ``N d / (1 - q**(2**r))``.

    Parameters
    ----------
    run_bits : int
        Width r of a run, 1 to 16.
    """

    run_bits: int = 4

    def __post_init__(self) -> None:
        if type(self.run_bits) is not int or not 1 <= self.run_bits <= MAX_RUN_BITS:
            raise ValueError(f"Width of a run must be between 1 and {MAX_RUN_BITS} bits, not {self.run_bits!r}")

    @property
    def name(self) -> str:
        return f"rle{self.run_bits}"

    def sparseloop(self, positions: float, density: float, bits: int, fibre: int) -> Footprint:
        return Footprint(positions * density * bits, positions * density * self.run_bits)

    def expected(self, density: float, bits: int, shape: tuple[int, int]) -> Footprint:
        if not density:
            return Footprint(0, 0)
        # 1 - q**(2**r), exact also where the density is tiny.
        within = -math.expm1((1 << self.run_bits) * math.log1p(-density)) if density < 1 else 1.0
        entries = shape[0] * shape[1] * density / within
        return Footprint(entries * bits, entries * self.run_bits)

    def _parts(self, matrix: np.ndarray, bits: int) -> list[np.ndarray]:
        runs, values, _ = _runs(matrix.reshape(1, -1), self.run_bits)
        return [np.hstack([_fields(runs, self.run_bits), _fields(values, bits)])]

    def _read(self, reader: _Reader, rows: int, columns: int, bits: int) -> np.ndarray:
        fields = reader.rest(self.run_bits + bits)
        weights = np.zeros(rows * columns, np.int64)
        places = np.cumsum(_integers(fields[:, :self.run_bits]) + 1) - 1
        reader.require(not places.size or places[-1] < weights.size, f"runs within {weights.size} positions")
        weights[places] = _integers(fields[:, self.run_bits:], signed=True)
        return weights

    def _count(self, matrix: np.ndarray, bits: int) -> Footprint:
        places = np.flatnonzero(matrix)
        entries = places.size + int((np.diff(places, prepend=-1) - 1 >> self.run_bits).sum())
        return Footprint(entries * bits, entries * self.run_bits)


@dataclass(frozen=True)
class Coordinate(Encoding):
    """For each non-zero weight its position and its value: ``(b + log2 N) nonzeros`` bits."""

    @property
    def name(self) -> str:
        return "cp"

    def sparseloop(self, positions: float, density: float, bits: int, fibre: int) -> Footprint:
        return Footprint(positions * density * bits, positions * density * index_bits(fibre))

    def expected(self, density: float, bits: int, shape: tuple[int, int]) -> Footprint:
        return self.sparseloop(shape[0] * shape[1], density, bits, shape[0] * shape[1])

    def _parts(self, matrix: np.ndarray, bits: int) -> list[np.ndarray]:
        flat = matrix.ravel()
        places = np.flatnonzero(flat)
        return [np.hstack([_fields(places, index_bits(flat.size)), _fields(flat[places], bits)])]

    def _read(self, reader: _Reader, rows: int, columns: int, bits: int) -> np.ndarray:
        weights = np.zeros(rows * columns, np.int64)
        width = index_bits(weights.size)
        fields = reader.rest(width + bits)
        places = _integers(fields[:, :width])
        ordered = bool((np.diff(places) > 0).all()) and (not places.size or places[-1] < weights.size)
        reader.require(ordered, f"rising coordinates below {weights.size}")
        weights[places] = _integers(fields[:, width:], signed=True)
        return weights

    def _count(self, matrix: np.ndarray, bits: int) -> Footprint:
        nonzeros = int(np.count_nonzero(matrix))
        return Footprint(nonzeros * bits, nonzeros * index_bits(matrix.size))


@dataclass(frozen=True)
class Bitmask(Encoding):
    """A bit for each position, and the non-zero weights: ``N + b nonzeros`` bits."""

    @property
    def name(self) -> str:
        return "bitmask"

    def sparseloop(self, positions: float, density: float, bits: int, fibre: int) -> Footprint:
        return Footprint(positions * density * bits, positions)

    def _parts(self, matrix: np.ndarray, bits: int) -> list[np.ndarray]:
        flat = matrix.ravel()
        return [(flat != 0).astype(np.uint8), _fields(flat[flat != 0], bits)]

    def _read(self, reader: _Reader, rows: int, columns: int, bits: int) -> np.ndarray:
        there = reader.take(rows * columns, 1)[:, 0] != 0
        weights = np.zeros(there.size, np.int64)
        weights[there] = _integers(reader.take(int(there.sum()), bits), signed=True)
        reader.end()
        return weights

    def _count(self, matrix: np.ndarray, bits: int) -> Footprint:
        return Footprint(int(np.count_nonzero(matrix)) * bits, matrix.size)


@dataclass(frozen=True)
class UncompressedBitmask(Encoding):
    """A bit for each position beside dense weights: ``N (1 + b)`` bits. It never saves storage; it lets a reader skip zeros."""

    compressed: ClassVar[bool] = False

    @property
    def name(self) -> str:
        return "ubm"

    def sparseloop(self, positions: float, density: float, bits: int, fibre: int) -> Footprint:
        return Footprint(positions * bits, positions)

    def _parts(self, matrix: np.ndarray, bits: int) -> list[np.ndarray]:
        return [(matrix != 0).astype(np.uint8), _fields(matrix.ravel(), bits)]

    def _read(self, reader: _Reader, rows: int, columns: int, bits: int) -> np.ndarray:
        there = reader.take(rows * columns, 1)[:, 0] != 0
        weights = _integers(reader.take(rows * columns, bits), signed=True)
        reader.end()
        reader.require(bool((there == (weights != 0)).all()), "a mask that fits its weights")
        return weights

    def _count(self, matrix: np.ndarray, bits: int) -> Footprint:
        return Footprint(matrix.size * bits, matrix.size)


@dataclass(frozen=True)
class OffsetPairs(Encoding):
    """For each position of a row where its payload begins, and where the last one ends (uncompressed offset pairs, UOP).

    A position is zero where both ends of its payload are equal. ``rows (C + 1) log2(C + 1) + b nonzeros`` bits for C columns.
    """

    @property
    def name(self) -> str:
        return "uop"

    def sparseloop(self, positions: float, density: float, bits: int, fibre: int) -> Footprint:
        return Footprint(positions * density * bits, positions / fibre * (fibre + 1) * index_bits(fibre + 1))

    def _parts(self, matrix: np.ndarray, bits: int) -> list[np.ndarray]:
        offsets = np.pad(np.cumsum(matrix != 0, axis=1), [(0, 0), (1, 0)])
        return [_fields(offsets.ravel(), index_bits(matrix.shape[1] + 1)), _fields(matrix[matrix != 0], bits)]

    def _read(self, reader: _Reader, rows: int, columns: int, bits: int) -> np.ndarray:
        offsets = _integers(reader.take(rows * (columns + 1), index_bits(columns + 1))).reshape(rows, columns + 1)
        steps = np.diff(offsets, axis=1)
        right = not offsets[:, 0].any() and bool(((steps == 0) | (steps == 1)).all())
        reader.require(right, "offsets that begin with 0 and rise by 0 or 1")
        there = steps.ravel() != 0
        weights = np.zeros(there.size, np.int64)
        weights[there] = _integers(reader.take(int(there.sum()), bits), signed=True)
        reader.end()
        return weights

    def _count(self, matrix: np.ndarray, bits: int) -> Footprint:
        rows, columns = matrix.shape
        return Footprint(int(np.count_nonzero(matrix)) * bits, rows * (columns + 1) * index_bits(columns + 1))


class _RowPointers(Encoding):
    """Entries of each row, and for each row where they begin: ``rows + 1`` pointers of ``log2(N + 1)`` bits."""

    def _pointers(self, row: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
        ends = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=shape[0]))])
        return _fields(ends, index_bits(shape[0] * shape[1] + 1))

    def _pointer_bits(self, rows: float, positions: float) -> float:
        return (rows + 1) * index_bits(math.ceil(positions) + 1)

    def _row_of_entries(self, reader: _Reader, rows: int, columns: int) -> np.ndarray:
        ends = _integers(reader.take(rows + 1, index_bits(rows * columns + 1)))
        counts = np.diff(ends)
        right = ends[0] == 0 and bool(((counts >= 0) & (counts <= columns)).all())
        reader.require(right, f"pointers that begin with 0 and rise by at most {columns}")
        return np.repeat(np.arange(rows), counts)


@dataclass(frozen=True)
class RowCoordinate(_RowPointers):
    """Compressed sparse rows: pointers of the rows, and for each non-zero weight its column and value."""

    @property
    def name(self) -> str:
        return "csr"

    def sparseloop(self, positions: float, density: float, bits: int, fibre: int) -> Footprint:
        pointers = self._pointer_bits(positions / fibre, positions)
        return Footprint(positions * density * bits, positions * density * index_bits(fibre) + pointers)

    def _parts(self, matrix: np.ndarray, bits: int) -> list[np.ndarray]:
        row, column = np.nonzero(matrix)
        entries = np.hstack([_fields(column, index_bits(matrix.shape[1])), _fields(matrix[row, column], bits)])
        return [self._pointers(row, (matrix.shape[0], matrix.shape[1])), entries]

    def _read(self, reader: _Reader, rows: int, columns: int, bits: int) -> np.ndarray:
        row = self._row_of_entries(reader, rows, columns)
        width = index_bits(columns)
        fields = reader.take(row.size, width + bits)
        reader.end()
        column = _integers(fields[:, :width])
        places = row * columns + column
        ordered = bool((column < columns).all()) and bool((np.diff(places) > 0).all())
        reader.require(ordered, f"rising columns below {columns} in each row")
        weights = np.zeros(rows * columns, np.int64)
        weights[places] = _integers(fields[:, width:], signed=True)
        return weights

    def _count(self, matrix: np.ndarray, bits: int) -> Footprint:
        rows, columns = matrix.shape
        nonzeros = int(np.count_nonzero(matrix))
        return Footprint(nonzeros * bits, int(nonzeros * index_bits(columns) + self._pointer_bits(rows, matrix.size)))


@dataclass(frozen=True)
class RowRunLength(_RowPointers):
    """Run-length rows with pointers (UOP over RLE): runs start anew in each row, so every row can be read by itself.

    Parameters
    ----------
    run_bits : int
        Width of a run, 1 to 16.
    """

    run_bits: int = 4

    def __post_init__(self) -> None:
        RunLength(self.run_bits)

    @property
    def name(self) -> str:
        return f"uop-rle{self.run_bits}"

    def sparseloop(self, positions: float, density: float, bits: int, fibre: int) -> Footprint:
        pointers = self._pointer_bits(positions / fibre, positions)
        return Footprint(positions * density * bits, positions * density * self.run_bits + pointers)

    def expected(self, density: float, bits: int, shape: tuple[int, int]) -> Footprint:
        entries = RunLength(self.run_bits).expected(density, bits, shape)
        return Footprint(entries.payload_bits, entries.metadata_bits + self._pointer_bits(shape[0], shape[0] * shape[1]))

    def _parts(self, matrix: np.ndarray, bits: int) -> list[np.ndarray]:
        runs, values, row = _runs(matrix, self.run_bits)
        entries = np.hstack([_fields(runs, self.run_bits), _fields(values, bits)])
        return [self._pointers(row, (matrix.shape[0], matrix.shape[1])), entries]

    def _read(self, reader: _Reader, rows: int, columns: int, bits: int) -> np.ndarray:
        row = self._row_of_entries(reader, rows, columns)
        fields = reader.take(row.size, self.run_bits + bits)
        reader.end()
        steps = _integers(fields[:, :self.run_bits]) + 1
        ends = np.cumsum(steps)
        first = np.concatenate([[True], row[1:] != row[:-1]])[:row.size]
        start = np.repeat((ends - steps)[first], np.diff(np.append(np.flatnonzero(first), row.size)))
        column = ends - start - 1
        reader.require(bool((column < columns).all()), f"runs within {columns} columns")
        weights = np.zeros(rows * columns, np.int64)
        weights[row * columns + column] = _integers(fields[:, self.run_bits:], signed=True)
        return weights

    def _count(self, matrix: np.ndarray, bits: int) -> Footprint:
        entries = len(_runs(matrix, self.run_bits)[0])
        return Footprint(entries * bits, int(entries * self.run_bits + self._pointer_bits(matrix.shape[0], matrix.size)))


_NAMED = {item.name: item for item in (Dense(), Coordinate(), Bitmask(), UncompressedBitmask(), OffsetPairs(), RowCoordinate())}


def parse_encoding(name: str) -> Encoding:
    """Return the encoding of a name: dense, rleN, cp, bitmask, ubm, uop, csr or uop-rleN, N the width of a run."""
    if name in _NAMED:
        return _NAMED[name]
    found = re.fullmatch(r"(uop-)?rle([1-9]|1[0-6])", name)
    if not found:
        raise UsageError(f"encoding must be one of {', '.join(_NAMED)}, rleN or uop-rleN with N from 1 to {MAX_RUN_BITS}, "
                         f"not {name!r}")
    return (RowRunLength if found[1] else RunLength)(int(found[2]))

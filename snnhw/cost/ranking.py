"""Which encoding pays for given weights, and at what density it begins to."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from snnhw.cost.encodings import Dense, Encoding, Footprint, RunLength, parse_encoding
from snnhw.errors import CheckFailed

__all__ = ["ENCODINGS", "RankedEncoding", "best_run_length", "find_break_even", "rank_encodings"]

#: Those that are compared when nothing else is asked for.
ENCODINGS = tuple(parse_encoding(name) for name in ("dense", "rle4", "cp", "bitmask", "ubm", "uop", "csr", "uop-rle4"))
RUN_FIELDS = range(1, 9)


@dataclass(frozen=True)
class RankedEncoding:
    """Size of one array in one encoding.

    Attributes
    ----------
    encoding : Encoding
        The encoding.
    exact : Footprint
        Bits of the stream that its encoder makes.
    sparseloop : Footprint
        Bits as Sparseloop counts them, a row being the fibre.
    dense_bits : int
        Bits of the dense array.
    positions : int
        Weights, zeros included.
    density : float
        Part of them that is not zero.
    break_even : float or None
        Density below which the exact bits are fewer than dense, were the zeros anywhere alike; None for never.
    """

    encoding: Encoding
    exact: Footprint
    sparseloop: Footprint
    dense_bits: int
    positions: int
    density: float
    break_even: float | None

    @property
    def ratio(self) -> float:
        """Exact bits over those of the dense array."""
        return self.exact.bits / self.dense_bits

    @property
    def saves(self) -> bool:
        """The stream is shorter than the dense array."""
        return self.exact.bits < self.dense_bits

    def saving(self) -> float:
        """Return the part of the dense bits that is saved, above 0.

        Raises
        ------
        CheckFailed
            The encoding saves nothing here, and must not be called a saving.
        """
        if not self.saves:
            raise CheckFailed(f"encoding {self.encoding.name!r} must need fewer bits than the {self.dense_bits} of dense weights "
                              f"to be a saving, not {self.exact.bits} at a density of {self.density:.3f}")
        return 1 - self.ratio

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as plain values."""
        return {
            "encoding": self.encoding.name, "exact_bits": int(self.exact.bits),
            "exact_payload_bits": int(self.exact.payload_bits), "exact_metadata_bits": int(self.exact.metadata_bits),
            "sparseloop_bits": float(self.sparseloop.bits),
            "dense_bits": self.dense_bits, "bits_per_weight": self.exact.bits / self.positions, "ratio": self.ratio,
            "density": self.density, "break_even": self.break_even, "saves": self.saves,
        }


def rank_encodings(weight: np.ndarray, bits: int, encodings: Sequence[Encoding] = ENCODINGS) -> tuple[RankedEncoding, ...]:
    """Return every encoding's size of an array, the smallest first, dense first among equals.

    Parameters
    ----------
    weight : int array
        Signed integers, of any shape; the first axis are the rows.
    bits : int
        Width of a weight.
    encodings : sequence of Encoding
        To compare. Those that save nothing are in the result as well, and say so.
    """
    weight = np.asarray(weight)
    dense_bits = int(Dense().exact(weight, bits).bits)
    rows = weight.shape[0] if weight.ndim > 1 else 1
    shape = rows, weight.size // rows
    density = int(np.count_nonzero(weight)) / weight.size
    ranked = [RankedEncoding(item, item.exact(weight, bits), item.sparseloop(weight.size, density, bits, shape[1]), dense_bits,
                             weight.size, density, item.break_even(bits, shape)) for item in encodings]
    return tuple(sorted(ranked, key=lambda item: (item.exact.bits, item.encoding != Dense())))


def best_run_length(weight: np.ndarray, bits: int, fields: Sequence[int] = RUN_FIELDS) -> RunLength:
    """Return the run-length encoding with the fewest bits, of the narrowest field among equals."""
    return min((RunLength(field) for field in sorted(fields)), key=lambda item: item.exact(weight, bits).bits)


def find_break_even(encoding: Encoding, weight: np.ndarray, bits: int, *, seed: int = 0) -> float | None:
    """Return the largest density at which `encoding` saves on these very weights; None if it does at none.

    Weights are pruned from the smallest magnitude on, equal ones in a seeded order; where the array is sparse already, its zeros
    are filled in a seeded order. Zeros therefore stand where this array has, or would have, them: the density that
    :meth:`Encoding.break_even` computes holds for zeros that fall anywhere alike.

    Parameters
    ----------
    encoding : Encoding
        The encoding.
    weight : int array
        Signed integers.
    bits : int
        Width of a weight.
    seed : int
        Of the order among equal magnitudes.
    """
    weight = np.asarray(weight)
    dense_bits = Dense().exact(weight, bits).bits
    flat = weight.ravel()
    order = np.lexsort((np.random.default_rng(seed).permutation(flat.size), -np.abs(flat.astype(np.int64))))
    full = np.where(flat == 0, -1, flat)  # -1 fits in every width

    def saves(kept: int) -> bool:
        sparse = np.zeros_like(full)
        sparse[order[:kept]] = full[order[:kept]]
        return encoding.exact(sparse.reshape(weight.shape), bits).bits < dense_bits

    # Adding a weight never shortens a stream, so there is one place where it stops to save.
    low, high = -1, flat.size
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if saves(middle) else (low, middle - 1)
    return None if low < 0 else low / flat.size

"""Encoding of images to spikes through a table, equal to the encoder of the graph."""

from functools import lru_cache

import numpy as np

from snnhw.ir import Encoding

__all__ = ["encode"]

MAX_TABLE = 1 << 25


@lru_cache(maxsize=2)
def _table(encoding: Encoding, highest: int, inputs: int, timesteps: int) -> np.ndarray:
    """Return the spikes of every value at every input: bool, (values * inputs, timesteps)."""
    values = np.repeat(np.arange(highest + 1)[:, None], inputs, axis=1)
    parts = [encoding(values[first:first + 16], timesteps) for first in range(0, highest + 1, 16)]
    return np.ascontiguousarray(np.concatenate(parts).transpose(0, 2, 1)).reshape(-1, timesteps)


def encode(encoding: Encoding, values: np.ndarray, timesteps: int) -> np.ndarray:
    """Return what `encoding` does, bool (samples, timesteps, inputs), faster where many samples have few different values."""
    inputs = values.shape[1]
    highest = int(np.iinfo(values.dtype).max) if values.dtype == np.uint8 else encoding.levels
    highest = min(highest, encoding.levels)
    if encoding.kind != "accumulate" or (highest + 1) * inputs * timesteps > MAX_TABLE:
        return encoding(values, timesteps)
    if values.size and values.max() > highest:
        return encoding(values, timesteps)  # which says what is wrong
    table = _table(encoding, highest, inputs, timesteps)
    rows = values.astype(np.int64) * inputs + np.arange(inputs)
    return table[rows].transpose(0, 2, 1)

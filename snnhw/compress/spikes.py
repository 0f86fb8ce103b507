"""Encode batches quickly, with the one encoder that hardware tests use too."""

from collections.abc import Callable

import numpy as np

from snnhw.ir import Encoding

__all__ = ["make_encoder"]

TABLE_LIMIT = 1 << 26  # entries


def make_encoder(encoding: Encoding, timesteps: int, inputs: int) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function that computes ``encoding(values, timesteps)`` as uint8, as int32 for direct encoding.

    Whether an input spikes depends on its index, its value and the timestep, so one call of the
    encoder on every value of every input makes a table that serves all samples.
    """
    if encoding.kind == "direct":
        return lambda values: encoding(values, timesteps)
    if encoding.kind == "events" or (encoding.levels + 1) * inputs * timesteps > TABLE_LIMIT:
        return lambda values: encoding(values, timesteps).astype(np.uint8)
    every = np.repeat(np.arange(encoding.levels + 1)[:, None], inputs, axis=1)
    table = np.ascontiguousarray(encoding(every, timesteps).transpose(1, 0, 2)).astype(np.uint8)
    index = np.arange(inputs)
    return lambda values: table[:, values, index].transpose(1, 0, 2)

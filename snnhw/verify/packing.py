"""The two streams into an accelerator, as flat arrays: spikes as event lists, weights as loading words."""

from dataclasses import dataclass

import numpy as np

from snnhw.plan import Plan

__all__ = ["EventList", "loading_word_bytes", "loading_words", "pack_events"]


@dataclass(frozen=True)
class EventList:
    """Spikes of many samples, timestep after timestep.

    Attributes
    ----------
    begin : uint64 array, (samples * timesteps + 1,)
        Events ``begin[k]`` to ``begin[k + 1]`` belong to timestep ``k % timesteps`` of sample ``k // timesteps``.
    words : uint64 array, (events,)
        Address of the spike, and above it its value if spikes have values.
    """

    begin: np.ndarray
    words: np.ndarray


def pack_events(plan: Plan, spikes: np.ndarray, seed: int | None = None) -> EventList:
    """List the spikes of each timestep, in ascending order or in a random one.

    Parameters
    ----------
    plan : Plan
        The accelerator.
    spikes : bool or int array, (samples, timesteps, inputs)
        Input spikes.
    seed : int or None
        Selects the order of the events within each timestep; None keeps it ascending.
    """
    flat = np.asarray(spikes).reshape(-1, spikes.shape[-1])
    rows, addresses = np.nonzero(flat)
    if seed is not None:
        addresses = addresses[np.lexsort((np.random.default_rng(seed).random(rows.size), rows))]
    begin = np.zeros(flat.shape[0] + 1, np.uint64)
    np.cumsum((flat != 0).sum(axis=1), out=begin[1:])
    words = addresses.astype(np.uint64)
    if plan.input_value_bits:
        values = flat[rows, addresses].astype(np.int64) & ((1 << plan.input_value_bits) - 1)
        words |= values.astype(np.uint64) << np.uint64(plan.input_address_bits)
    return EventList(begin, words)


def loading_word_bytes(plan: Plan) -> int:
    """Return the bytes of a beat of the loading stream: the widest weight word, padded; 0 when nothing is loaded."""
    return max((-(-layer.memories[0].width // 8) for layer in plan.layers if layer.weights_loaded), default=0)


def loading_words(plan: Plan) -> np.ndarray:
    """Return the beats of the loading stream, least significant byte first: uint8, (words, bytes)."""
    word_bytes = loading_word_bytes(plan)
    words = b"".join(word.to_bytes(word_bytes, "little") for layer in plan.layers if layer.weights_loaded
                     for word in layer.weight_words)
    return np.frombuffer(words, np.uint8).reshape(-1, word_bytes) if words else np.zeros((0, 0), np.uint8)

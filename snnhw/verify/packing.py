"""The two streams into an accelerator, as flat arrays: spikes as event lists, weights as loading words."""

from dataclasses import dataclass

import numpy as np

from snnhw.plan import LayerPlan, Plan

__all__ = ["EventList", "loading_word_bytes", "loading_words", "pack_events"]


@dataclass(frozen=True)
class EventList:
    """Spikes of many samples, timestep after timestep.

    Attributes
    ----------
    begin : uint64 array, (samples * timesteps + 1,)
        Events ``begin[k]`` to ``begin[k + 1]`` belong to timestep ``k % timesteps`` of sample ``k // timesteps``.
    addresses : uint32 array, (events,)
        Neuron that spiked.
    """

    begin: np.ndarray
    addresses: np.ndarray


def pack_events(spikes: np.ndarray, seed: int | None = None) -> EventList:
    """List the spikes of each timestep, in ascending order or in a random one.

    Parameters
    ----------
    spikes : bool array, (samples, timesteps, inputs)
        Input spikes.
    seed : int or None
        Selects the order of the events within each timestep; None keeps it ascending.
    """
    flat = np.asarray(spikes, bool).reshape(-1, spikes.shape[-1])
    rows, addresses = np.nonzero(flat)
    if seed is not None:
        addresses = addresses[np.lexsort((np.random.default_rng(seed).random(rows.size), rows))]
    begin = np.zeros(flat.shape[0] + 1, np.uint64)
    np.cumsum(flat.sum(axis=1), out=begin[1:])
    return EventList(begin, addresses.astype(np.uint32))


def loading_word_bytes(plan: Plan) -> int:
    """Return the bytes of a beat of the loading stream: the widest weight word, padded; 0 when nothing is loaded."""
    return max((-(-layer.lanes * layer.weight_bits // 8) for layer in plan.layers if layer.weights_loaded), default=0)


def _layer_words(layer: LayerPlan, word_bytes: int) -> np.ndarray:
    fields = (layer.weight_words[:, :, None] >> np.arange(layer.weight_bits)) & 1  # (words, lanes, bits)
    bits = np.zeros((fields.shape[0], word_bytes * 8), np.uint8)
    bits[:, : layer.lanes * layer.weight_bits] = fields.reshape(fields.shape[0], -1)
    return np.packbits(bits, axis=1, bitorder="little")


def loading_words(plan: Plan) -> np.ndarray:
    """Return the beats of the loading stream, least significant byte first: uint8, (words, bytes)."""
    word_bytes = loading_word_bytes(plan)
    words = [_layer_words(layer, word_bytes) for layer in plan.layers if layer.weights_loaded]
    return np.concatenate(words) if words else np.zeros((0, 0), np.uint8)

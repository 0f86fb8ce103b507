"""Accuracy of a float network against one thing at a time: bits of its weights, timesteps, noise; and what it spikes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from snnhw.compress.config import NoiseConfig, Recipe
from snnhw.compress.data import Dataset
from snnhw.compress.spikes import make_encoder
from snnhw.compress.train import TEST_BATCH, classify, spike_trains
from snnhw.compress.trainable import TrainableNetwork
from snnhw.errors import UsageError
from snnhw.network import Network

__all__ = ["accuracy", "calibration", "count_events", "noise_curve", "noisy", "ptq_curve", "timestep_curve"]

CALIBRATION = 200  # samples


def accuracy(network: TrainableNetwork, recipe: Recipe, data: Dataset, timesteps: int,
             values: np.ndarray | None = None) -> float:
    """Return the accuracy on the test split, or on other values with its labels."""
    values = data.test_values if values is None else values
    decisions = classify(lambda spikes: network(spikes, timesteps).logits, recipe, timesteps, values)
    return float((decisions == data.test_labels).mean())


def calibration(recipe: Recipe, data: Dataset, timesteps: int) -> np.ndarray:
    """Return input spikes of a few training samples, (samples, timesteps, inputs)."""
    return make_encoder(recipe.encoding.encoding, timesteps, data.inputs)(data.train_values[:CALIBRATION])


def ptq_curve(network: Network, recipe: Recipe, data: Dataset, bits: Sequence[int | str], timesteps: int) -> list[dict[str, Any]]:
    """Return the accuracy in integers, without training, at each width of the weights.

    Parameters
    ----------
    network : Network
        In real numbers.
    recipe : Recipe
        All other number formats; widths of single layers do not count.
    data : Dataset
        The test split decides, training samples calibrate.
    bits : sequence of int or "ternary"
        Widths.
    timesteps : int
        Length of a sample.

    Returns
    -------
    list of dict
        ``bits`` and ``accuracy``.
    """
    layers = {name: {key: value for key, value in own.items() if key != "weight_bits"}
              for name, own in recipe.quantize.layers.items()}
    rows = []
    for width in bits:
        own = TrainableNetwork(network)
        own.quantize(recipe.quantize.model_copy(update={"weight_bits": width, "layers": layers}),
                     calibration(recipe, data, timesteps))
        rows.append({"bits": width, "accuracy": accuracy(own.eval(), recipe, data, timesteps)})
    return rows


def timestep_curve(network: TrainableNetwork, recipe: Recipe, data: Dataset, timesteps: Sequence[int]) -> list[dict[str, Any]]:
    """Return the accuracy, without training, at each length of a sample."""
    return [{"timesteps": steps, "accuracy": accuracy(network, recipe, data, steps)} for steps in timesteps]


def noisy(values: np.ndarray, sigma: float, levels: int, seed: int) -> np.ndarray:
    """Return integers with Gaussian noise: ``clip(round(value + sigma*levels*N(0, 1)), 0, levels)``, of the same type."""
    noise = np.random.default_rng(seed).normal(0.0, sigma * levels, values.shape)
    return np.clip(np.rint(values + noise), 0, levels).astype(values.dtype)


def noise_curve(network: TrainableNetwork, recipe: Recipe, data: Dataset, config: NoiseConfig,
                timesteps: int) -> list[dict[str, Any]]:
    """Return the accuracy with noise on the input values, before they are encoded.

    Returns
    -------
    list of dict
        ``sigma``, and ``accuracy`` for each seed from 0 on.
    """
    if recipe.encoding.kind == "events":
        raise UsageError("noise must be left out for encoding 'events': it is added to still values")
    return [{"sigma": sigma, "accuracy": [
        accuracy(network, recipe, data, timesteps, noisy(data.test_values, sigma, data.levels, seed))
        for seed in range(config.seeds)]} for sigma in config.sigmas]


def count_events(network: TrainableNetwork, recipe: Recipe, values: np.ndarray,
                 timesteps: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Count the spikes of the input and of each layer of neurons that fires.

    Parameters
    ----------
    network : TrainableNetwork
        In real numbers or in integers.
    recipe : Recipe
        Its encoding.
    values : array, (samples, ...)
        Of the data set.
    timesteps : int
        Length of a sample.

    Returns
    -------
    totals : dict of str to float array, (samples,)
        Spikes of each sample: inputs and outputs that are not 0.
    elements : dict of str to float array, (elements,)
        Mean number of spikes of each element in a sample.
    """
    encode = spike_trains(recipe, timesteps, values.shape[-1])
    totals: dict[str, list[np.ndarray]] = {}
    elements: dict[str, np.ndarray] = {}
    for start in range(0, len(values), TEST_BATCH // 5):
        with torch.no_grad():
            train = encode(values[start:start + TEST_BATCH // 5])
            found = network(train, timesteps)
        each = (train != 0).sum(dim=1).double() * (timesteps if train.shape[1] == 1 else 1)
        counts = {network.source.input.name: each}
        counts |= {name: (spikes != 0).sum(dim=0).double() for name, spikes in found.spikes.items() if network.nodes[name].fires}
        for name, count in counts.items():
            totals.setdefault(name, []).append(count.sum(dim=1).numpy())
            elements[name] = elements.get(name, np.zeros(count.shape[1])) + count.sum(dim=0).numpy()
    return ({name: np.concatenate(parts) for name, parts in totals.items()},
            {name: total / len(values) for name, total in elements.items()})

"""Magnitude pruning with masks that stay."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

from snnhw.compress.config import PruneConfig
from snnhw.compress.quantize import quantized_layers
from snnhw.errors import UsageError
from snnhw.frontend import Network

__all__ = ["apply_masks", "magnitude_masks", "prune"]


def _keep_largest(magnitudes: np.ndarray, sparsity: float) -> np.ndarray:
    """Return a mask that drops exactly ``floor(sparsity * size)`` of the smallest, the first ones on a tie."""
    mask = np.ones(magnitudes.size, bool)
    mask[np.argsort(magnitudes.reshape(-1), kind="stable")[:int(sparsity * magnitudes.size)]] = False
    return mask.reshape(magnitudes.shape)


def magnitude_masks(weights: Mapping[str, np.ndarray], config: PruneConfig) -> dict[str, np.ndarray]:
    """Decide which weights stay.

    Parameters
    ----------
    weights : mapping of str to float array
        By path of the linear.
    config : PruneConfig
        Share and scope.

    Returns
    -------
    dict of str to bool array
        True where a weight stays.
    """
    for name in config.layers:
        if name not in weights:
            raise UsageError(f"prune.layers names {name!r}, the network has {', '.join(map(repr, weights))}")
    if config.scope == "layer":
        return {name: _keep_largest(np.abs(weight), config.layers.get(name, config.sparsity)) for name, weight in weights.items()}
    joined = np.concatenate([np.abs(weight).reshape(-1) for weight in weights.values()])
    mask, masks = _keep_largest(joined, config.sparsity), {}
    for name, weight in weights.items():
        part, mask = mask[:weight.size], mask[weight.size:]
        masks[name] = part.reshape(weight.shape)
    return masks


def apply_masks(module: nn.Module, network: Network, masks: Mapping[str, np.ndarray]) -> None:
    """Set weights of a quantized network to 0 for good; the zeros are zero integers and get no gradient."""
    for layer, linear, _ in quantized_layers(module, network):
        if layer.linear in masks:
            linear.prune(torch.from_numpy(np.array(masks[layer.linear], bool)))


def prune(module: nn.Module, network: Network, config: PruneConfig) -> None:
    """Prune a quantized network by the present magnitude of its weights."""
    weights = {layer.linear: linear.weight.detach().numpy() for layer, linear, _ in quantized_layers(module, network)}
    apply_masks(module, network, magnitude_masks(weights, config))

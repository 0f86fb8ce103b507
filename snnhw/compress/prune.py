"""Magnitude pruning with masks that stay."""

import math
from collections.abc import Mapping

import numpy as np

from snnhw.compress.config import PruneConfig
from snnhw.compress.trainable import TrainableNetwork
from snnhw.errors import UsageError

__all__ = ["apply_masks", "bank_of", "magnitude_masks", "prune"]


def _keep_largest(magnitudes: np.ndarray, sparsity: float) -> np.ndarray:
    """Return a mask that drops exactly ``floor(sparsity * size)`` of the smallest, the first ones on a tie."""
    mask = np.ones(magnitudes.size, bool)
    mask[np.argsort(magnitudes.reshape(-1), kind="stable")[:int(sparsity * magnitudes.size)]] = False
    return mask.reshape(magnitudes.shape)


def bank_of(outputs: int, lanes: int) -> np.ndarray:
    """Return the lane of each output neuron or channel: neighbours lie in different lanes."""
    return np.arange(outputs) % min(lanes, outputs)


def _keep_in_banks(magnitudes: np.ndarray, sparsity: float, lanes: int) -> np.ndarray:
    """Return a mask that keeps the same number of the largest weights in each bank, the first ones on a tie.

    A bank is what one lane holds for one presynaptic neuron (of a kernel: for one of its positions): a part of a column of the
    matrix. Banks that are shorter, where lanes do not divide the outputs, keep as many while they have them.
    """
    if not sparsity:
        return np.ones(magnitudes.shape, bool)
    columns = magnitudes.reshape(len(magnitudes), -1)
    lane = bank_of(len(columns), lanes)
    longest = int((lane == 0).sum())
    keep = max(1, round((1 - sparsity) * longest))
    mask = np.zeros(columns.shape, bool)
    for one in range(int(lane.max()) + 1):
        rows = np.flatnonzero(lane == one)
        order = np.argsort(-columns[rows], axis=0, kind="stable")[:keep]
        mask[rows[order], np.arange(columns.shape[1])] = True
    return mask.reshape(magnitudes.shape)


def magnitude_masks(weights: Mapping[str, np.ndarray], config: PruneConfig, part: float = 1.0) -> dict[str, np.ndarray]:
    """Decide which weights stay.

    Parameters
    ----------
    weights : mapping of str to float array
        By name of the node.
    config : PruneConfig
        Share and scope.
    part : float
        Share of the configured sparsity that is reached.

    Returns
    -------
    dict of str to bool array
        True where a weight stays.
    """
    for name in config.layers:
        if name not in weights:
            raise UsageError(f"prune.layers names {name!r}, the network has {', '.join(map(repr, weights))}")
    if config.scope != "global":
        shares = {name: part * config.layers.get(name, config.sparsity) for name in weights}
        if config.scope == "bank":
            return {name: _keep_in_banks(np.abs(weight), shares[name], config.lanes) for name, weight in weights.items()}
        return {name: _keep_largest(np.abs(weight), shares[name]) for name, weight in weights.items()}
    joined = np.concatenate([np.abs(weight).reshape(-1) for weight in weights.values()])
    mask, masks = _keep_largest(joined, part * config.sparsity), {}
    for name, weight in weights.items():
        own, mask = mask[:weight.size], mask[weight.size:]
        masks[name] = own.reshape(weight.shape)
    return masks


def apply_masks(network: TrainableNetwork, masks: Mapping[str, np.ndarray]) -> None:
    """Set weights of a network to 0 for good; the zeros are zero integers and get no gradient."""
    for name, mask in masks.items():
        if name in network.weighted:
            network.map(name).keep(mask)


def prune(network: TrainableNetwork, config: PruneConfig, part: float = 1.0) -> None:
    """Prune a network by the present magnitude of its weights; what was pruned before stays so."""
    apply_masks(network, magnitude_masks({name: network.map(name).real().detach().numpy() for name in network.weighted},
                                         config, part))


def kept(network: TrainableNetwork) -> float:
    """Return the share of weights that are not pruned."""
    masks = [network.map(name).mask for name in network.weighted]
    return sum(int(mask.sum()) for mask in masks) / max(1, sum(math.prod(mask.shape) for mask in masks))

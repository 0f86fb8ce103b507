"""Training: the float network first, then the quantized one."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from snnhw.compress.config import Recipe, StageConfig
from snnhw.compress.data import Dataset
from snnhw.compress.drive import output_spikes
from snnhw.compress.prune import prune
from snnhw.compress.spikes import make_encoder
from snnhw.errors import NetworkError
from snnhw.frontend import Network

__all__ = ["Progress", "classify", "reproducible", "train_stage"]

THREADS = 1  # the tensors of a timestep are small: a second thread waits more than it computes
TEST_BATCH = 500

Progress = Callable[[str, int, int, str], None]
"""Told the stage, what is done, of how much, and a short text."""


@contextmanager
def reproducible(seed: int) -> Iterator[None]:
    """Seed torch and fix its threads: the order of a sum decides its last bit. Restores both."""
    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.set_num_threads(THREADS)
        try:
            yield
        finally:
            torch.set_num_threads(threads)


def _loss(spikes: torch.Tensor, labels: torch.Tensor, recipe: Recipe) -> torch.Tensor:
    counts = spikes.sum(dim=1)
    return F.cross_entropy(counts if recipe.loss == "count" else counts * (recipe.gain / spikes.shape[1]), labels)


def _optimizer(module: nn.Module, stage: StageConfig) -> torch.optim.Optimizer:
    weights = [parameter for parameter in module.parameters() if parameter.ndim >= 2 and parameter.shape[-1] > 1]
    others = [parameter for parameter in module.parameters() if not any(parameter is weight for weight in weights)]
    groups = [{"params": weights, "weight_decay": stage.weight_decay}, {"params": others, "weight_decay": 0.0}]
    if stage.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=stage.learning_rate, momentum=0.9)
    return {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[stage.optimizer](groups, lr=stage.learning_rate)


def train_stage(module: nn.Module, network: Network, recipe: Recipe, stage: StageConfig, data: Dataset, name: str, *,
                quantized: bool, progress: Progress | None = None) -> list[float]:
    """Train `module` in place and return the mean loss of each epoch.

    Parameters
    ----------
    module, network
        The network, float or quantized.
    recipe, stage
        What to do; a quantized network is pruned at the epoch the recipe says.
    data : Dataset
        Only its training split is used.
    name : str
        Of the stage, for `progress`.
    quantized : bool
        Whether `module` came from :func:`quantize`.
    """
    encode = make_encoder(recipe.encoding.encoding, recipe.timesteps, data.inputs)
    optimizer = _optimizer(module, stage)
    rng = np.random.default_rng((recipe.seed, quantized))
    batches = math.ceil(len(data.train_labels) / recipe.batch)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, stage.epochs * batches))
    labels = torch.from_numpy(data.train_labels)
    losses: list[float] = []
    if quantized and recipe.prune.active and recipe.prune.when == "before":
        prune(module, network, recipe.prune)
    module.train()
    for epoch in range(stage.epochs):
        if quantized and recipe.prune.active and recipe.prune.when == epoch:
            prune(module, network, recipe.prune)
        order, total = rng.permutation(len(labels)), 0.0
        for index, chosen in enumerate(np.array_split(order, batches)):
            spikes = torch.from_numpy(encode(data.train_values[chosen])).float()
            loss = _loss(output_spikes(module, network, spikes), labels[chosen], recipe)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += float(loss.detach()) * len(chosen)
            if progress is not None:
                progress(name, epoch * batches + index + 1, stage.epochs * batches,
                         f"epoch {epoch + 1}, loss {float(loss.detach()):.3f}")
        losses.append(total / len(labels))
        if not math.isfinite(losses[-1]):
            raise NetworkError(f"stage {name!r}: the loss must stay finite, and is {losses[-1]} after epoch {epoch + 1}; "
                               f"use a smaller learning_rate")
    module.eval()
    return losses


def classify(module: nn.Module, network: Network, recipe: Recipe, values: np.ndarray) -> np.ndarray:
    """Return the class of each sample, int64, (samples,): the output that spikes most, the lowest on a tie."""
    encode = make_encoder(recipe.encoding.encoding, recipe.timesteps, values.shape[-1])
    training = module.training
    module.eval()
    decisions = []
    with torch.no_grad():
        for start in range(0, len(values), TEST_BATCH):
            spikes = torch.from_numpy(encode(values[start:start + TEST_BATCH])).float()
            decisions.append((output_spikes(module, network, spikes) != 0).sum(dim=1).numpy().argmax(axis=1))
    module.train(training)
    return np.concatenate(decisions)

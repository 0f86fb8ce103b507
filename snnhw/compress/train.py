"""Training: of a user's module by its own forward, and of any network in real numbers or in integers."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from snnhw.compress import drive
from snnhw.compress.config import ActivityConfig, DistillConfig, Recipe, StageConfig
from snnhw.compress.data import Dataset
from snnhw.compress.prune import prune
from snnhw.compress.spikes import make_encoder
from snnhw.compress.trainable import Pass, TrainableNetwork
from snnhw.errors import NetworkError
from snnhw.frontend.layout import Layout
from snnhw.ir import Readout
from snnhw.network import Conv

__all__ = ["Progress", "classify", "finetune", "reproducible", "spike_trains", "train_float", "train_module"]

THREADS = 1  # the tensors of a timestep are small: a second thread waits more than it computes
TEST_BATCH = 500

Progress = Callable[[str, int, int, str], None]
"""Told the stage, what is done, of how much, and a short text."""
Encoder = Callable[[np.ndarray], torch.Tensor]
Forward = Callable[[torch.Tensor], torch.Tensor]


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


def spike_trains(recipe: Recipe, timesteps: int, inputs: int) -> Encoder:
    """Return a function from values to spikes, float32 (samples, timesteps, inputs); one timestep for an input that stays."""
    if recipe.encoding.kind == "direct":
        return lambda values: torch.from_numpy(values.astype(np.float32))[:, None]
    encode = make_encoder(recipe.encoding.encoding, timesteps, inputs)
    # Time first in memory, as networks compute.
    return lambda values: torch.from_numpy(np.ascontiguousarray(encode(values).transpose(1, 0, 2))).float().transpose(0, 1)


def _shifted(values: np.ndarray, shape: tuple[int, ...], most: int, rng: np.random.Generator) -> np.ndarray:
    """Return images that are moved by up to `most` pixels, all of one batch alike; zeros come in."""
    if not most or len(shape) < 2:
        return values
    down, right = (int(step) for step in rng.integers(-most, most + 1, 2))
    images = values.reshape(*values.shape[:-1], *shape)
    moved = np.roll(images, (down, right), axis=(-2, -1))
    if down:
        moved[..., slice(0, down) if down > 0 else slice(down, None), :] = 0
    if right:
        moved[..., slice(0, right) if right > 0 else slice(right, None)] = 0
    return moved.reshape(values.shape)


def _scaled(logits: torch.Tensor, recipe: Recipe, timesteps: int) -> torch.Tensor:
    return logits if recipe.loss == "count" else logits * (recipe.gain / timesteps)


def _optimizer(module: nn.Module, stage: StageConfig) -> torch.optim.Optimizer:
    learning = [parameter for parameter in module.parameters() if parameter.requires_grad]
    weights = [parameter for parameter in learning if parameter.ndim >= 2]
    others = [parameter for parameter in learning if not any(parameter is weight for weight in weights)]
    # A threshold learns in proportion to its size, which thresholds found from currents have of any magnitude.
    thresholds = [parameter for name, parameter in module.named_parameters() if parameter.requires_grad
                  and name.rpartition(".")[2] == "threshold" and float(parameter.detach().abs().mean()) > 1]
    others = [parameter for parameter in others if not any(parameter is threshold for threshold in thresholds)]
    groups = [{"params": weights, "weight_decay": stage.weight_decay}, {"params": others, "weight_decay": 0.0}]
    groups += [{"params": [threshold], "weight_decay": 0.0, "lr": stage.learning_rate * float(threshold.detach().abs().mean())}
               for threshold in thresholds]
    if stage.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=stage.learning_rate, momentum=0.9)
    return {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[stage.optimizer](groups, lr=stage.learning_rate)


@dataclass
class _Stage:
    """One stage of training: what is the same whatever is trained."""

    name: str
    config: StageConfig
    recipe: Recipe
    data: Dataset
    timesteps: int
    salt: int
    progress: Progress | None

    def run(self, module: nn.Module, loss_of: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
            restarts: tuple[int, ...] = (), begin: Callable[[int], None] | None = None) -> list[float]:
        """Train `module` in place and return the mean loss of each epoch.

        Parameters
        ----------
        module : torch.nn.Module
            Its parameters learn.
        loss_of : callable
            Loss of spikes and labels.
        restarts : tuple of int
            Epochs at which optimizer and learning rate start anew.
        begin : callable, optional
            Told each epoch before it starts.
        """
        recipe, data, epochs = self.recipe, self.data, self.config.epochs
        encode = spike_trains(recipe, self.timesteps, data.inputs)
        rng = np.random.default_rng((recipe.seed, self.salt))
        count = len(data.train_labels) if recipe.samples is None else min(recipe.samples, len(data.train_labels))
        batches = math.ceil(count / recipe.batch)
        labels = torch.from_numpy(data.train_labels)
        starts = [0, *(epoch for epoch in restarts if 0 < epoch < epochs), epochs]
        losses: list[float] = []
        module.train()
        for epoch in range(epochs):
            if begin is not None:
                begin(epoch)
            if epoch in starts:
                optimizer = _optimizer(module, self.config)
                length = next(end for end in starts if end > epoch) - epoch
                schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, length * batches))
            total = 0.0
            for index, chosen in enumerate(np.array_split(rng.permutation(count), batches)):
                values = _shifted(data.train_values[chosen], data.shape, recipe.augment, rng)
                loss = loss_of(encode(values), labels[chosen])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                total += float(loss.detach()) * len(chosen)
                if self.progress is not None:
                    self.progress(self.name, epoch * batches + index + 1, epochs * batches,
                                  f"epoch {epoch + 1}, loss {float(loss.detach()):.3f}")
            losses.append(total / count)
            if not math.isfinite(losses[-1]):
                raise NetworkError(f"stage {self.name!r}: the loss must stay finite, and is {losses[-1]} after epoch "
                                   f"{epoch + 1}; use a smaller learning_rate")
        module.eval()
        return losses


def train_module(module: nn.Module, layout: Layout, readout: Readout, recipe: Recipe, data: Dataset, *,
                 progress: Progress | None = None) -> list[float]:
    """Train a user's module in place by its own forward, in the stage ``pretrain``; return the mean loss of each epoch."""
    stage = _Stage("pretrain", recipe.pretrain, recipe, data, recipe.timesteps, 0, progress)

    def loss_of(spikes: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        found = drive.logits(module, layout, readout, spikes, recipe.timesteps)
        return F.cross_entropy(_scaled(found, recipe, recipe.timesteps), labels)

    losses = stage.run(module, loss_of)
    drive.clear(module)
    return losses


def train_float(network: TrainableNetwork, recipe: Recipe, data: Dataset, *, stage: StageConfig | None = None,
                timesteps: int | None = None, name: str = "pretrain", progress: Progress | None = None) -> list[float]:
    """Train a network in place as it is, on the labels alone; return the mean loss of each epoch."""
    steps = recipe.timesteps if timesteps is None else timesteps

    def loss_of(spikes: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(_scaled(network(spikes, steps).logits, recipe, steps), labels)

    return _Stage(name, stage or recipe.pretrain, recipe, data, steps, 0, progress).run(network, loss_of)


def _fanouts(network: TrainableNetwork) -> dict[str, float]:
    """Return the share of all synapses that each layer of neurons sends its spikes through."""
    counts: dict[str, float] = {}
    for name in network.weighted:
        node = network.nodes[name]
        mask = network.map(name).mask
        synapses = float(mask.sum())
        if isinstance(node, Conv):
            synapses *= math.prod(network.source.shapes[name][1:])
        for source in node.inputs:
            while source not in network.neurons and network.nodes[source].inputs:
                source = network.nodes[source].inputs[0]
            if source in network.neurons:
                counts[source] = counts.get(source, 0.0) + synapses
    whole = sum(counts.values()) or 1.0
    return {name: count / whole for name, count in counts.items()}


def _penalty(found: Pass, network: TrainableNetwork, config: ActivityConfig, fanouts: dict[str, float]) -> torch.Tensor:
    firing = [name for name in network.neurons if network.nodes[name].fires]
    total = torch.zeros(())
    if config.spikes:
        sizes = {name: found.spikes[name][0, 0].numel() for name in firing}
        total = total + config.spikes * sum(found.spikes[name].mean() * sizes[name] for name in firing) / sum(sizes.values())
    if config.operations:
        total = total + config.operations * sum((found.spikes[name].mean() * share for name, share in fanouts.items()
                                                 if name in firing), torch.zeros(()))
    return total


def _distance(logits: torch.Tensor, wanted: torch.Tensor, config: DistillConfig) -> torch.Tensor:
    """Return the divergence of softened outputs (Hinton et al. 2015), its gradient independent of the temperature."""
    student, teacher = (F.log_softmax(values / config.temperature, dim=1) for values in (logits, wanted))
    return F.kl_div(student, teacher, reduction="batchmean", log_target=True) * config.temperature ** 2


def finetune(network: TrainableNetwork, recipe: Recipe, data: Dataset, *, teacher: TrainableNetwork | None = None,
             calibration: np.ndarray | None = None, progress: Progress | None = None) -> list[float]:
    """Compress and train a network in place by its recipe: prune, quantize, price activity, imitate a teacher.

    Parameters
    ----------
    network : TrainableNetwork
        In real numbers; in integers afterwards.
    recipe : Recipe
        What is done when.
    data : Dataset
        Only its training split is used.
    teacher : TrainableNetwork, optional
        Of distillation.
    calibration : array, optional
        Input spikes, for :meth:`TrainableNetwork.quantize`.

    Returns
    -------
    list of float
        Mean loss of each epoch.
    """
    steps, config, pruning = recipe.length, recipe.distill, recipe.prune
    begins = -1 if recipe.quantize.when == "before" else recipe.quantize.when

    def begin(epoch: int) -> None:
        if pruning.active and (part := pruning.share(epoch)) is not None:
            prune(network, pruning, part)
        if epoch == begins:
            network.quantize(recipe.quantize, calibration)

    begin(-1)
    fanouts = _fanouts(network)

    def loss_of(spikes: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        found = network(spikes, steps)
        logits = _scaled(found.logits, recipe, steps)
        loss = F.cross_entropy(logits, labels)
        if teacher is not None and config.weight:
            with torch.no_grad():
                wanted = _scaled(teacher(spikes, steps).logits, recipe, steps)
            loss = (1 - config.weight) * loss + config.weight * _distance(logits, wanted, config)
        return loss + _penalty(found, network, recipe.activity, fanouts) if recipe.activity.active else loss

    stage = _Stage("finetune", recipe.finetune, recipe, data, steps, 1, progress)
    return stage.run(network, loss_of, (begins,), begin)


def classify(forward: Forward, recipe: Recipe, timesteps: int, values: np.ndarray) -> np.ndarray:
    """Return the class of each sample, int64, (samples,): the largest output, the lowest on a tie.

    Parameters
    ----------
    forward : callable
        From spikes to outputs.
    recipe, timesteps
        Encoding and length of a sample.
    values : array, (samples, ...)
        Samples of the data set.
    """
    encode = spike_trains(recipe, timesteps, values.shape[-1])
    with torch.no_grad():
        return np.concatenate([forward(encode(values[start:start + TEST_BATCH])).numpy().argmax(axis=1)
                               for start in range(0, len(values), TEST_BATCH)])

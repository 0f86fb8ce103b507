"""Temporal pruning: training with fewer and fewer timesteps, threshold and leak learning too.

Chowdhury, Garg and Roy 2021 lower the number of timesteps while they train; Chowdhury, Rathi and Roy 2022 go down to one.
"""

from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

from snnhw.compress.config import Recipe
from snnhw.compress.curves import accuracy
from snnhw.compress.data import Dataset
from snnhw.compress.train import Progress, train_float
from snnhw.compress.trainable import TrainableNetwork

__all__ = ["Shortening", "shorten"]

HELD_OUT = 1000  # samples that decide when to stop
TRIED = 300      # training samples that thresholds are tried on
FACTORS = 0.8, 0.65, 0.5, 0.35, 0.25, 0.15


@dataclass(frozen=True)
class Shortening:
    """What temporal pruning did.

    Attributes
    ----------
    timesteps : int
        The length that was reached.
    curve : list of dict
        ``timesteps``, ``accuracy`` on the test split after training at this length, and with a stop rule ``held_out``: the
        accuracy that it looks at. The first row is the network before.
    losses : dict of str to list of float
        Mean losses of the epochs at each length.
    stopped : bool
        Whether the stop rule ended it.
    """

    timesteps: int
    curve: list[dict[str, Any]]
    losses: dict[str, list[float]]
    stopped: bool


def _held_out(recipe: Recipe, data: Dataset) -> Dataset:
    """Return training samples in the place of the test split: the last that training does not use, or the last ones."""
    used = min(recipe.samples or len(data.train_labels), len(data.train_labels))
    first = max(used if used < len(data.train_labels) else 0, len(data.train_labels) - HELD_OUT)
    return replace(data, test_values=data.train_values[first:], test_labels=data.train_labels[first:])


def shorten(network: TrainableNetwork, recipe: Recipe, data: Dataset, *, progress: Progress | None = None) -> Shortening:
    """Train a network in place at each length of ``temporal.timesteps``, the longest first.

    In fewer timesteps a membrane reaches less, so that where thresholds learn they are lowered before each training: those of all
    layers by one factor, then those of each layer by its own, if the first training samples are then classified better. Without
    that a layer falls silent, and learns nothing. Where ``temporal.loss`` ends it, the network is that of the length before.

    Parameters
    ----------
    network : TrainableNetwork
        In real numbers, trained at ``recipe.timesteps``; its constants learn as it was made.
    recipe : Recipe
        With a section ``temporal``.
    data : Dataset
        What is trained on.
    progress : callable, optional
        Told how far each length is.
    """
    config, reached, stopped = recipe.temporal, recipe.timesteps, False
    judge = _held_out(recipe, data)
    losses: dict[str, list[float]] = {}
    curve: list[dict[str, Any]] = []

    def measure(steps: int) -> float:
        row: dict[str, Any] = {"timesteps": steps, "accuracy": accuracy(network, recipe, data, steps)}
        if config.loss is not None:
            row["held_out"] = accuracy(network, recipe, judge, steps)
        curve.append(row)
        return float(row.get("held_out", 0.0))

    start = measure(recipe.timesteps)
    for steps in config.timesteps:
        before = deepcopy(network.state_dict())
        if "threshold" in config.learn:
            _lower(network, recipe, data, steps)
        stage = recipe.finetune.model_copy(update={"epochs": config.epochs, "learning_rate": config.learning_rate})
        losses[f"timesteps {steps}"] = train_float(network, recipe, data, stage=stage, timesteps=steps,
                                                   name=f"timesteps {steps}", progress=progress)
        if start - measure(steps) > (1.0 if config.loss is None else config.loss):
            network.load_state_dict(before)
            stopped = True
            break
        reached = steps
    return Shortening(reached, curve, losses, stopped)


def _lower(network: TrainableNetwork, recipe: Recipe, data: Dataset, steps: int) -> None:
    """Lower thresholds where that serves the first training samples."""
    few = replace(data, test_values=data.train_values[:TRIED], test_labels=data.train_labels[:TRIED])
    thresholds = [network.population(name).threshold.data for name in network.neurons if network.nodes[name].fires]
    best = accuracy(network, recipe, few, steps)
    for group in (thresholds, *([threshold] for threshold in thresholds)):
        kept = [threshold.clone() for threshold in group]
        chosen = 1.0
        for factor in FACTORS:
            for threshold, old in zip(group, kept, strict=True):
                threshold.copy_(old * factor)
            if (found := accuracy(network, recipe, few, steps)) > best:
                best, chosen = found, factor
        for threshold, old in zip(group, kept, strict=True):
            threshold.copy_(old * chosen)

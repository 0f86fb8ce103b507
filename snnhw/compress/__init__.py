"""Compression: recipes, networks that train in integers, pruning, and the way down to an integer graph."""

from snnhw.compress.config import PruneConfig, QuantConfig, Recipe, load_recipe
from snnhw.compress.prune import apply_masks, magnitude_masks, prune
from snnhw.compress.train import finetune, train_float
from snnhw.compress.trainable import Pass, TrainableNetwork

__all__ = ["Pass", "PruneConfig", "QuantConfig", "Recipe", "TrainableNetwork", "apply_masks", "finetune", "load_recipe",
           "magnitude_masks", "prune", "train_float"]

"""Compression: recipes, fake-quantized layers, pruning, training, and the way down to an integer graph."""

from snnhw.compress.config import PruneConfig, QuantConfig, Recipe, load_recipe
from snnhw.compress.drive import observe, output_spikes
from snnhw.compress.lower import lower
from snnhw.compress.prune import apply_masks, magnitude_masks, prune
from snnhw.compress.quantize import quantize

__all__ = ["PruneConfig", "QuantConfig", "Recipe", "apply_masks", "load_recipe", "lower", "magnitude_masks", "observe",
           "output_spikes", "prune", "quantize"]

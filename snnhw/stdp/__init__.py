"""Unsupervised networks that learn by spike timing: training, fixed point, exploration, and the way down to a graph."""

from snnhw.stdp.config import StdpRecipe, load_stdp_recipe
from snnhw.stdp.data import StdpData, load_stdp_data
from snnhw.stdp.files import StdpModel, load_stdp_model, save_stdp_model
from snnhw.stdp.formats import Fixed, Formats
from snnhw.stdp.lower import lower_stdp
from snnhw.stdp.memory import memory_bits, memory_items
from snnhw.stdp.network import StdpNetwork, present, responses
from snnhw.stdp.train import evaluate, train_stdp

__all__ = ["Fixed", "Formats", "StdpData", "StdpModel", "StdpNetwork", "StdpRecipe", "evaluate", "load_stdp_data",
           "load_stdp_model", "load_stdp_recipe", "lower_stdp", "memory_bits", "memory_items", "present", "responses",
           "save_stdp_model", "train_stdp"]

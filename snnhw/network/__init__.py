"""The float network: what was trained, in real numbers, whatever tool it came from."""

from snnhw.network.behaviour import Behaviour
from snnhw.network.network import Network
from snnhw.network.nodes import Conv, Linear, Neuron, Pool, Scale

__all__ = ["Behaviour", "Conv", "Linear", "Network", "Neuron", "Pool", "Scale"]

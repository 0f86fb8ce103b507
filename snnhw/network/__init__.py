"""The float network: what was trained, in real numbers, whatever tool it came from."""

from snnhw.network.behaviour import Behaviour
from snnhw.network.network import Network
from snnhw.network.nodes import Conv, Linear, Neuron, Pool, Scale
from snnhw.network.run import FloatTrace, run_network

__all__ = ["Behaviour", "Conv", "FloatTrace", "Linear", "Network", "Neuron", "Pool", "Scale", "run_network"]

"""Front end: reads a torch + snntorch network by running it, and believes nothing but its behaviour."""

from snnhw.frontend.network import Behaviour, Layer, Network
from snnhw.frontend.probe import probe_neuron
from snnhw.frontend.read import read_network

__all__ = ["Behaviour", "Layer", "Network", "probe_neuron", "read_network"]

"""Intermediate representation: the graph, its nodes, its arithmetic, its file."""

from snnhw.ir.encoding import Encoding
from snnhw.ir.file import load_graph, save_graph
from snnhw.ir.graph import Graph
from snnhw.ir.neuron import Decay, NeuronSpec
from snnhw.ir.nodes import (
    Conv,
    Delay,
    Flatten,
    Input,
    Linear,
    MaxPool,
    Neuron,
    Node,
    Readout,
    Scale,
    SumPool,
    WeightedSum,
)
from snnhw.ir.text import format_graph
from snnhw.ir.windows import Window

__all__ = ["Conv", "Decay", "Delay", "Encoding", "Flatten", "Graph", "Input", "Linear", "MaxPool", "Neuron", "NeuronSpec", "Node",
           "Readout", "Scale", "SumPool", "WeightedSum", "Window", "format_graph", "load_graph", "save_graph"]

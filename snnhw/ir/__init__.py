"""Intermediate representation: the graph, its nodes, its arithmetic, its file."""

from snnhw.ir.encoding import Encoding
from snnhw.ir.file import load_graph, save_graph
from snnhw.ir.graph import Graph
from snnhw.ir.neuron import Decay, NeuronSpec
from snnhw.ir.nodes import Input, Linear, Neuron, Node, Readout
from snnhw.ir.text import format_graph

__all__ = ["Decay", "Encoding", "Graph", "Input", "Linear", "Neuron", "NeuronSpec", "Node", "Readout",
           "format_graph", "load_graph", "save_graph"]

"""The integer reference: what the hardware must compute, spike by spike and word by word."""

from snnhw.reference.interpreter import Interpreter, LayerCounts, Trace, decide, run
from snnhw.reference.neuron import NeuronState, step

__all__ = ["Interpreter", "LayerCounts", "NeuronState", "Trace", "decide", "run", "step"]

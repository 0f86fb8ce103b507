"""Small networks beyond chains of dense layers, one for each thing that hardware does differently for them."""

import numpy as np

from snnhw.ir import Conv, Decay, Delay, Flatten, Graph, Input, Linear, MaxPool, Neuron, NeuronSpec, Readout, Window

__all__ = ["EXAMPLES", "conv_graph", "count_graph", "example_graph", "graded_graph", "recurrent_graph", "spikes_of",
           "state_graph"]

LEAKY = NeuronSpec(5, Decay("shift", 2), "subtract", 5, bits=10)


def conv_graph() -> Graph:
    """Return a convolution with padding, a maximum pool and a dense layer."""
    rng = np.random.default_rng(1)
    weight = rng.integers(-3, 8, (3, 2, 3, 3))
    return Graph("conv", (
        Input("frames", (), (2, 6, 5)), Conv("conv", ("frames",), weight, 4, Window((3, 3), (1, 1), (1, 1))),
        Neuron("maps", ("conv",), NeuronSpec(45, Decay("shift", 2), bits=10)),
        MaxPool("pool", ("maps",), Window((2, 2), (2, 2))), Flatten("flat", ("pool",)),
        Linear("fc", ("flat",), rng.integers(-7, 8, (4, 18)), 4), Neuron("last", ("fc",), LEAKY),
        Readout("class", ("last",))), 5)


def recurrent_graph() -> Graph:
    """Return dense layers of which the first hears itself and the second, one timestep later."""
    rng = np.random.default_rng(2)
    return Graph("recurrent", (
        Input("in", (), (6,)), Delay("itself", ("hidden",), (7,)), Delay("back", ("last",), (4,)),
        Linear("forth", ("in",), rng.integers(-3, 8, (7, 6)), 4), Linear("around", ("itself",), rng.integers(-4, 4, (7, 7)), 4),
        Linear("down", ("back",), rng.integers(-4, 8, (7, 4)), 4), Neuron("hidden", ("forth", "around", "down"), LEAKY),
        Linear("fc", ("hidden",), rng.integers(-4, 8, (4, 7)), 4), Neuron("last", ("fc",), LEAKY),
        Readout("class", ("last",))), 6)


def graded_graph() -> Graph:
    """Return dense layers over inputs from -3 to 7."""
    rng = np.random.default_rng(3)
    return Graph("graded", (
        Input("in", (), (6,), lowest=-3, highest=7), Linear("fc1", ("in",), rng.integers(-4, 8, (5, 6)), 4),
        Neuron("hidden", ("fc1",), NeuronSpec(9, Decay("shift", 1), "subtract", 9, bits=12)),
        Linear("fc2", ("hidden",), rng.integers(-4, 8, (3, 5)), 4), Neuron("last", ("fc2",), LEAKY),
        Readout("class", ("last",))), 5)


def state_graph() -> Graph:
    """Return dense layers whose last hands on its state, which goes below zero."""
    rng = np.random.default_rng(4)
    state = NeuronSpec(0, Decay("shift", 2), "none", bits=9, output="state")
    return Graph("state", (
        Input("in", (), (6,)), Linear("fc1", ("in",), rng.integers(-4, 8, (5, 6)), 4), Neuron("hidden", ("fc1",), LEAKY),
        Linear("fc2", ("hidden",), rng.integers(-7, 8, (3, 5)), 4), Neuron("last", ("fc2",), state),
        Readout("class", ("last",), "membrane", "max")), 5)


def count_graph() -> Graph:
    """Return dense layers that fire up to three times in a timestep."""
    rng = np.random.default_rng(5)
    counting = NeuronSpec(4, Decay("shift", 1), "subtract", 4, bits=10, output="count", grades=3)
    return Graph("count", (
        Input("in", (), (6,)), Linear("fc1", ("in",), rng.integers(-2, 8, (5, 6)), 4), Neuron("hidden", ("fc1",), counting),
        Linear("fc2", ("hidden",), rng.integers(-4, 8, (3, 5)), 4), Neuron("last", ("fc2",), counting),
        Readout("class", ("last",))), 5)


EXAMPLES = {"conv": conv_graph, "recurrent": recurrent_graph, "graded": graded_graph, "state": state_graph, "count": count_graph}


def example_graph(name: str) -> Graph:
    """Return one of :data:`EXAMPLES`."""
    return EXAMPLES[name]()


def spikes_of(graph: Graph, samples: int, *, seed: int = 0, rate: float = 0.5) -> np.ndarray:
    """Return input of a network, bool or int64, (samples, timesteps, inputs); of the timesteps some are silent, some full."""
    rng = np.random.default_rng(seed)
    size = int(np.prod(graph.input.shape))
    rates = rng.choice([0.0, rate, 1.0], (samples, graph.timesteps, 1), p=[0.15, 0.7, 0.15])
    there = rng.random((samples, graph.timesteps, size)) < rates
    values = graph.input.values
    if (values.lowest, values.highest) == (0, 1):
        return there
    return there * rng.integers(values.lowest, values.highest, there.shape, endpoint=True)

"""Small networks that the tests of this room share, and what is done to them."""

from dataclasses import replace

import numpy as np

from snnhw.ir import Decay, Graph, Input, Linear, Neuron, NeuronSpec, Node, Readout
from snnhw.plan import Plan, make_plan

TIMESTEPS = 6
NAMES = ("net.hidden", "net.out; $finish")


def small_graph(*, inputs: int = 7, hidden: int = 9, outputs: int = 5, reset: str = "subtract", clear: str = "sample",
                spec: dict | None = None) -> Graph:
    """Return a network of two layers whose spikes and states are anything but constant."""
    rng = np.random.default_rng([inputs, hidden, outputs])
    nodes: list[Node] = [Input("pixels", (), (inputs,))]
    for name, sources, neurons in ((NAMES[0], inputs, hidden), (NAMES[1], hidden, outputs)):
        fields = {"threshold": 6, "decay": Decay("shift", 2), "reset": reset, "reset_amount": 6 if reset == "subtract" else 0,
                  "reset_time": "immediate", "bits": 8, "clear": clear} | (spec or {})
        nodes.append(Linear(f"{name}.sum", (nodes[-1].name,), rng.integers(-4, 8, (neurons, sources)), 4))
        nodes.append(Neuron(name, (nodes[-1].name,), NeuronSpec(**fields)))
    return Graph("small", (*nodes, Readout("classes", (nodes[-1].name,))), TIMESTEPS)


def small_plan(*, load_weights: bool = False, lanes: int = 4, **kwargs) -> Plan:
    return make_plan(small_graph(**kwargs), lanes={name: lanes for name in NAMES}, load_weights=load_weights)


def spikes_for(plan: Plan, samples: int = 5, seed: int = 0) -> np.ndarray:
    """Return spikes with silent and saturated timesteps among them."""
    rng = np.random.default_rng(seed)
    rates = rng.choice([0.0, 0.3, 0.6, 1.0], (samples, TIMESTEPS, 1), p=[0.1, 0.4, 0.4, 0.1])
    return rng.random((samples, TIMESTEPS, plan.inputs)) < rates


def graded_plan(lowest: int, highest: int) -> Plan:
    """Return the plan of a network of 6 inputs, each event with a value."""
    weight = np.random.default_rng(1).integers(-4, 8, (3, 6))
    nodes = (Input("pixels", (), (6,), lowest=lowest, highest=highest), Linear("sum", ("pixels",), weight, 4),
             Neuron("fires", ("sum",), NeuronSpec(5, Decay("shift", 1), "subtract", 5, bits=10)), Readout("classes", ("fires",)))
    return make_plan(Graph("graded", nodes, 4), lanes=2)


def state_plan() -> Plan:
    """Return the plan of a network of 6 graded inputs whose 4 neurons hand on their state."""
    weight = np.random.default_rng(2).integers(-4, 8, (4, 6))
    nodes = (Input("pixels", (), (6,), lowest=-3, highest=7), Linear("sum", ("pixels",), weight, 4),
             Neuron("leaky", ("sum",), NeuronSpec(0, Decay("shift", 2), "none", bits=9, output="state")),
             Readout("classes", ("leaky",), "membrane", "max"))
    return make_plan(Graph("states", nodes, 4), lanes=2)


def _rebuild(plan: Plan, name: str, change) -> Plan:
    """Plan the graph again with one node changed; lanes stay."""
    graph = replace(plan.graph, nodes=tuple(change(node) if node.name == name else node for node in plan.graph.nodes))
    return make_plan(graph, lanes={layer.name: layer.lanes for layer in plan.layers}, load_weights=plan.loaded_words > 0)


def flip_weight(plan: Plan, layer: int, neuron: int, source: int) -> Plan:
    """Return the plan with the lowest bit of one weight flipped."""
    def change(node: Linear) -> Linear:
        weight = node.weight.copy()
        weight[neuron, source] ^= 1
        return replace(node, weight=weight)
    return _rebuild(plan, plan.layers[layer].sums[0], change)


def with_spec(plan: Plan, layer: int, **fields) -> Plan:
    """Return the plan with other arithmetic in one layer."""
    return _rebuild(plan, plan.layers[layer].name, lambda node: replace(node, spec=replace(node.spec, **fields)))

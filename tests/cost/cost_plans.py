"""Plans, spikes and counts for the tests of the cost room."""

from dataclasses import replace

import numpy as np

from snnhw.cost import Counts
from snnhw.ir import Decay, Graph, Input, Linear, Neuron, NeuronSpec, Readout
from snnhw.plan import Plan, make_plan
from snnhw.plan.accesses import count_accesses
from snnhw.plan.cycles import predict_cycles
from snnhw.reference import run
from snnhw.verify.random_networks import random_case

__all__ = ["example", "fewer_bits", "random_example", "tiny"]


def tiny(*, bits: int = 4, lanes: int = 2, **spec) -> Plan:
    """Return a plan of one dense layer, 3 inputs to 4 neurons, whose current needs 4 bits."""
    weight = np.array([[1, 2, -3], [0, 0, 5], [7, -8, 0], [0, 1, 0]])
    neuron = NeuronSpec(**{"threshold": 4, "bits": 8} | spec)
    nodes = (Input("in", (), (3,)), Linear("fc", ("in",), weight, bits), Neuron("lif", ("fc",), neuron), Readout("out", ("lif",)))
    return make_plan(Graph("tiny", nodes, 3), lanes=lanes, formats="dense", packings="none")


def example(
    seed: int = 0, *, inputs: int = 24, hidden: int = 20, rate: float = 0.2, name: str = "hidden"
) -> tuple[Plan, dict[str, np.ndarray], Counts]:
    """Return a plan of two layers, the spikes of three samples and their predicted counts."""
    rng = np.random.default_rng(seed)
    spec = NeuronSpec(threshold=6, decay=Decay("shift", 3), reset="subtract", reset_amount=6, bits=12)
    last = NeuronSpec(threshold=np.arange(3, 8), decay=Decay("mul", 4, 13), reset="zero", bits=12, bias=1)
    graph = Graph(
        "example",
        (
            Input("in", (), (inputs,)),
            Linear("fc1", ("in",), rng.integers(-8, 8, (hidden, inputs)) * (rng.random((hidden, inputs)) < 0.7), 4),
            Neuron(name, ("fc1",), spec),
            Linear("fc2", (name,), rng.integers(-4, 4, (5, hidden)), 3),
            Neuron("last", ("fc2",), last),
            Readout("out", ("last",)),
        ),
        6,
    )
    return _complete(make_plan(graph, lanes=8), rng.random((3, 6, inputs)) < rate)


def random_example(seed: int) -> tuple[Plan, dict[str, np.ndarray], Counts]:
    """Return a random plan with dense weights, its spikes and predicted counts."""
    case = random_case(seed, largest=40)
    plan = make_plan(case.plan.graph, lanes={layer.name: layer.lanes for layer in case.plan.layers}, formats="dense",
                     load_weights=case.plan.layers[0].weights_loaded)
    return _complete(plan, case.spikes)


def _complete(plan: Plan, spikes: np.ndarray) -> tuple[Plan, dict[str, np.ndarray], Counts]:
    trains = dict(run(plan.graph, spikes, keep_membranes=False).spikes)
    return plan, trains, Counts.of(plan, count_accesses(plan, trains), predict_cycles(plan, trains))


def fewer_bits(plan: Plan) -> Plan:
    """Return the plan with every weight halved and one bit narrower, stored the same way; layers of one bit stay."""
    nodes = [
        replace(node, weight=node.weight >> 1, weight_bits=node.weight_bits - 1)
        if isinstance(node, Linear) and node.weight_bits > 1
        else node
        for node in plan.graph.nodes
    ]
    return make_plan(
        replace(plan.graph, nodes=tuple(nodes)),
        lanes={layer.name: layer.lanes for layer in plan.layers},
        load_weights=plan.layers[0].weights_loaded,
        formats={layer.name: layer.format for layer in plan.layers},
        packings={layer.name: layer.packing.name if layer.packing else "none" for layer in plan.layers},
    )

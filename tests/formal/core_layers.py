"""Small layers with every kind of arithmetic, to be proven."""

import itertools
from dataclasses import replace

from snnhw.ir import Decay, Graph, Input, Linear, Neuron, NeuronSpec, Readout
from snnhw.plan import LayerPlan, make_plan
from snnhw.plan.ranges import current_range, state_ranges

__all__ = ["DECAYS", "RESETS", "arithmetics", "layer"]

DECAYS = {"one": Decay(), "shift": Decay("shift", 1), "mul": Decay("mul", 2, 3)}
RESETS = {
    "none": {"reset": "none"},
    "zero": {"reset": "zero"},
    "value": {"reset": "value", "reset_amount": -1},
    "subtract": {"reset": "subtract", "reset_amount": 2},
    "zero-next": {"reset": "zero", "reset_time": "next"},
    "zero-next-drop": {"reset": "zero", "reset_time": "next", "input_on_reset": "drop"},
    "value-next": {"reset": "value", "reset_amount": -1, "reset_time": "next"},
    "value-next-drop": {"reset": "value", "reset_amount": -1, "reset_time": "next", "input_on_reset": "drop"},
    "subtract-next": {"reset": "subtract", "reset_amount": 2, "reset_time": "next"},
}


def layer(weight: list[list[int]], spec: NeuronSpec | None = None, *, lanes: int = 1, weight_bits: int = 3) -> LayerPlan:
    """Return the plan of one layer."""
    linear, neuron = Linear("fc", ("in",), weight, weight_bits), Neuron("lif", ("fc",), spec or NeuronSpec(2, bits=4))
    plain = Neuron("lif", ("fc",), NeuronSpec(2, bits=4))
    graph = Graph("net", (Input("in", (), (len(weight[0]),)), linear, plain, Readout("out", ("lif",))), 4)
    # A core has every kind of neuron, also those that a whole network ends with; ranges are those of any sample length.
    ranges = state_ranges(current_range(linear), neuron, 1000)
    return replace(make_plan(graph, lanes={"lif": lanes}).layers[0], neuron=neuron, ranges=ranges)


def arithmetics() -> dict[str, NeuronSpec]:
    """Return specs with every decay, reset and overflow rule, and with what else a neuron can have."""
    specs = {}
    for (decay, leak), (reset, fields), clear in itertools.product(DECAYS.items(), RESETS.items(), ("sample", "never")):
        if clear == "never" or decay == "shift":
            specs[f"{decay} {reset} {clear}"] = NeuronSpec(2, leak, bits=4, clear=clear, **fields)
    common = {"decay": Decay("shift", 1), "bits": 4}
    return specs | {
        "exact": NeuronSpec(2, Decay("shift", 1), overflow="exact", bits=8),
        "exact subtract": NeuronSpec(2, Decay("mul", 2, 2), "subtract", 2, overflow="exact", bits=8),
        "exact next": NeuronSpec(2, Decay("shift", 1), "subtract", 1, "next", overflow="exact", bits=8),
        "frac": NeuronSpec(3, frac=1, **common),
        "start": NeuronSpec(2, start=-3, **common),
        "start above threshold, next": NeuronSpec(1, start=4, reset_time="next", **common),
        "bias": NeuronSpec(2, bias=-1, **common),
        "lowest threshold": NeuronSpec(-8, reset="none", **common),
        "lowest threshold, next": NeuronSpec(-8, reset_time="next", **common),
        "highest threshold": NeuronSpec(7, reset="subtract", reset_amount=15, **common),
        "forgets": NeuronSpec(2, Decay("mul", 2, 0), bits=4),
        "keeps": NeuronSpec(2, Decay("mul", 2, 4), bits=4),
        "per neuron": NeuronSpec([1, 3], Decay("mul", 2, [3, 1]), "subtract", [2, 1], "next", bias=[0, -1], bits=4),
        "toward zero": NeuronSpec(2, Decay("mul", 2, 3, "zero"), bits=4),
        "toward zero, value-next": NeuronSpec(2, Decay("mul", 2, 3, "zero"), "value", -3, "next", bits=4),
        "synapse one": NeuronSpec(2, Decay("shift", 1), bits=3, synapse=Decay()),
        "synapse shift": NeuronSpec(2, reset="subtract", reset_amount=2, bits=3, synapse=Decay("shift", 1)),
        "synapse mul": NeuronSpec(2, Decay("shift", 1), reset_time="next", bits=3, synapse=Decay("mul", 2, 3), clear="never"),
        "synapse toward zero": NeuronSpec(2, Decay("mul", 1, 1), "none", bits=3, synapse=Decay("mul", 2, 3, "zero")),
        "synapse exact": NeuronSpec(2, Decay("shift", 1), bits=8, overflow="exact", synapse=Decay("shift", 1)),
        "count": NeuronSpec(1, Decay("shift", 1), "subtract", 2, bits=4, output="count", grades=3),
        "count exact": NeuronSpec(1, Decay("shift", 1), "subtract", 1, bits=8, overflow="exact", output="count", grades=2),
        "count per neuron": NeuronSpec([1, 2], Decay("shift", 1), "subtract", [2, 1], bits=4, output="count", grades=4),
        "state": NeuronSpec(0, Decay("shift", 1), "none", bits=4, output="state"),
        "per neuron value": NeuronSpec([1, -2], Decay("shift", 1), "value", [2, -3], bits=4),
    }

"""Small layers with every kind of arithmetic, to be proven."""

import itertools

from snnhw.ir import Decay, Graph, Input, Linear, Neuron, NeuronSpec, Readout
from snnhw.plan import LayerPlan, make_plan

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
    graph = Graph("net", (Input("in", (), (len(weight[0]),)), Linear("fc", ("in",), weight, weight_bits),
                          Neuron("lif", ("fc",), spec or NeuronSpec(2, bits=4)), Readout("out", ("lif",))), 4)
    return make_plan(graph, lanes={"lif": lanes}).layers[0]


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
        "per neuron value": NeuronSpec([1, -2], Decay("shift", 1), "value", [2, -3], bits=4),
    }

"""Golden vectors of every neuron model: what each combination of fields computes from one drive.

``python tests/golden/make.py`` writes ``neurons.json`` again: one neuron for each combination, with its state, its
synaptic current and how often it fires in each timestep. The model below is written from the formulas in exact
fractions, and shares nothing with the package.
"""

import itertools
import json
import math
from fractions import Fraction
from pathlib import Path

__all__ = ["DRIVE", "all_cases", "covering", "load", "spec_of"]

PATH = Path(__file__).parent / "neurons.json"
# Weighted sums: silence, just below and at the threshold, far above, far below, and on.
DRIVE = [3, 0, 2, 5, 18, 1, -1, -16, 0, 7, 12, -4]
COMMON = {"threshold": 11, "frac": 1, "bias": 1, "synapse": None}
DECAYS = [{"kind": "one"}, {"kind": "shift", "shift": 2}, {"kind": "mul", "shift": 3, "factor": 5},
          {"kind": "mul", "shift": 3, "factor": 5, "rounding": "zero"}]
RESETS = [
    {"reset": "none", "reset_time": "immediate"}, {"reset": "none", "reset_time": "next"},
    {"reset": "zero", "reset_time": "immediate"}, {"reset": "zero", "reset_time": "next"},
    {"reset": "zero", "reset_time": "next", "input_on_reset": "drop"},
    {"reset": "value", "reset_amount": -5, "reset_time": "immediate"},
    {"reset": "value", "reset_amount": -5, "reset_time": "next"},
    {"reset": "value", "reset_amount": -5, "reset_time": "next", "input_on_reset": "drop"},
    *({"reset": "subtract", "reset_amount": amount, "reset_time": time} for amount in (11, 4) for time in ("immediate", "next")),
    {"reset": "subtract", "reset_amount": 4, "reset_time": "immediate", "output": "count", "grades": 3},
    {"reset": "none", "threshold": 0, "output": "state"},
]
OVERFLOWS = [{"overflow": "exact", "bits": 16}, {"overflow": "saturate", "bits": 6}]


def leak(kind, state, shift=0, factor=0, rounding="floor"):
    if kind == "shift":
        return state - math.floor(Fraction(state, 2 ** shift))
    rounded = {"floor": math.floor, "zero": math.trunc}[rounding]
    return rounded(Fraction(state * factor, 2 ** shift)) if kind == "mul" else state


def trace(spec):
    """Return (states, synaptic currents or None, counts) of a neuron that is driven by DRIVE."""
    threshold, amount, reset = spec["threshold"], spec.get("reset_amount", 0), spec.get("reset", "zero")
    synapse, v, c, trail = spec.get("synapse"), 0, 0, []

    def clip(value):
        highest = 2 ** (spec["bits"] - 1) - 1
        assert spec["overflow"] == "saturate" or -highest - 1 <= value <= highest, "an exact golden state must fit"
        return sorted((-highest - 1, value, highest))[1]

    for weighted in DRIVE:
        drive = weighted * 2 ** spec["frac"] + spec["bias"]
        if synapse is not None:
            drive = c = clip(leak(state=c, **synapse) + drive)
        r = int(spec.get("reset_time") == "next" and reset != "none" and v >= threshold)
        if r and reset in ("zero", "value"):
            v = amount if spec.get("input_on_reset") == "drop" else clip(leak(state=amount, **spec["decay"]) + drive)
        else:
            v = clip(leak(state=v, **spec["decay"]) + drive - r * amount)
        s = sum(v >= threshold + more * amount for more in range(spec.get("grades", 1))) * (spec.get("output") != "state")
        if s and spec.get("reset_time") != "next" and reset != "none":
            v = v - s * amount if reset == "subtract" else amount
        trail.append((v, c, s))
    states, synapses, counts = map(list, zip(*trail, strict=True))
    return states, None if synapse is None else synapses, counts


def all_cases():
    """Return every combination: its fields beside COMMON, as :class:`snnhw.ir.NeuronSpec` names them, and its trace."""
    cases = []
    for overflow, decay, synapse, reset in itertools.product(OVERFLOWS, DECAYS, [None, *DECAYS], RESETS):
        spec = COMMON | overflow | {"decay": decay, "synapse": synapse} | reset
        states, synapses, counts = trace(spec)
        spec = {name: value for name, value in spec.items() if name not in COMMON or COMMON[name] != value}
        cases.append({"spec": spec, "states": states, "synapses": synapses, "counts": counts})
    return cases


def load():
    """Return the cases of the file."""
    return json.loads(PATH.read_text())


def spec_of(case):
    """Return the arithmetic of a case."""
    from snnhw.ir import Decay, NeuronSpec
    fields = COMMON | case["spec"]
    for name in ("decay", "synapse"):
        fields[name] = None if fields[name] is None else Decay(**fields[name])
    return NeuronSpec(**fields)


def covering(cases):
    """Return cases among which every two values of two different fields occur together."""
    def pairs(case):
        values = {name: json.dumps(value) for name, value in (COMMON | case["spec"]).items()
                  if name not in ("bits", "grades", "threshold")}
        return set(itertools.combinations(sorted(values.items()), 2))

    wanted, chosen = set().union(*map(pairs, cases)), []
    while wanted:
        best = max(cases, key=lambda case: len(pairs(case) & wanted))
        chosen.append(best)
        wanted -= pairs(best)
    return chosen


if __name__ == "__main__":
    PATH.write_text("[\n" + ",\n".join(json.dumps(case, separators=(",", ":")) for case in all_cases()) + "\n]\n")

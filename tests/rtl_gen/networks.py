"""Random networks that reach every choice of a neuron."""

from itertools import pairwise

import numpy as np

from snnhw.errors import NetworkError
from snnhw.fixed import signed_range
from snnhw.ir import Decay, Graph, Input, Linear, Neuron, NeuronSpec, Readout
from snnhw.plan import Plan, make_plan
from snnhw.plan.formats import FORMATS, UNPACKED, loadable
from snnhw.plan.packing import PACKINGS


def chain(sizes: list[int], weights: list[np.ndarray], weight_bits: list[int], specs: list[NeuronSpec], timesteps: int) -> Graph:
    """Return the graph of a chain of layers."""
    nodes: list = [Input("input", shape=(sizes[0],))]
    for k, (weight, bits, spec) in enumerate(zip(weights, weight_bits, specs, strict=True)):
        nodes.append(Linear(f"sum {k}", (nodes[-1].name,), weight=weight, weight_bits=bits))
        nodes.append(Neuron(f"neurons {k}", (nodes[-1].name,), spec=spec))
    return Graph("random", (*nodes, Readout("readout", (nodes[-1].name,))), timesteps)


def random_decay(rng: np.random.Generator, neurons: int) -> Decay:
    """Return any decay of a population."""
    kind = str(rng.choice(["one", "shift", "mul"]))
    if kind == "mul":
        shift = int(rng.integers(1, 9))
        factor = rng.integers(0, (1 << shift) + 1, neurons if rng.random() < 0.4 else ())
        return Decay("mul", shift, factor, str(rng.choice(["floor", "zero"])))
    return Decay(kind, int(rng.integers(1, 7)) if kind == "shift" else 0)


def random_spec(rng: np.random.Generator, neurons: int, scale: int) -> NeuronSpec:
    """Return neurons whose numbers are of the size of the currents that reach them."""
    def maybe_each(low: int, high: int) -> np.ndarray | int:
        return rng.integers(low, high + 1, neurons) if rng.random() < 0.4 else int(rng.integers(low, high + 1))

    frac = int(rng.choice([0, 0, 1, 3]))
    scale <<= frac
    decay = random_decay(rng, neurons)
    synapse = random_decay(rng, neurons) if rng.random() < 0.4 else None
    overflow = str(rng.choice(["exact", "saturate"]))
    bits = 32 if overflow == "exact" else int(rng.integers(2, max(3, (4 * scale).bit_length() + 2)))
    lowest, highest = signed_range(bits)
    threshold = np.clip(maybe_each(-scale // 4, 2 * scale), lowest, highest)
    if rng.random() < 0.1:
        threshold = np.asarray(lowest)
    reset = str(rng.choice(["none", "zero", "value", "subtract"]))
    time = str(rng.choice(["immediate", "next"]))
    amount: np.ndarray | int = 0
    if reset == "value":
        amount = np.clip(maybe_each(-scale, scale), lowest, highest)
    elif reset == "subtract":
        amount = maybe_each(0, scale)
        if time == "immediate":
            amount = np.minimum(amount, np.min(threshold) - lowest)
    keep = "keep" if time == "immediate" or reset not in ("zero", "value") else str(rng.choice(["keep", "drop"]))
    bias = maybe_each(-scale // 4, scale // 2) if rng.random() < 0.5 else 0
    start = int(np.clip(rng.integers(-scale, scale + 1), lowest, highest)) if rng.random() < 0.4 else 0
    return NeuronSpec(threshold=threshold, decay=decay, reset=reset, reset_amount=amount, reset_time=time, input_on_reset=keep,
                      overflow=overflow, bits=bits, frac=frac, bias=bias, start=start,
                      clear="never" if rng.random() < 0.2 and overflow == "saturate" else "sample", synapse=synapse)


def random_plan(rng: np.random.Generator, *, load_weights: bool | None = None) -> Plan:
    """Return the plan of a random network of one to three layers; small sizes, often 1, with weights stored in any way."""
    while True:
        layers = int(rng.integers(1, 4))
        sizes = [int(rng.choice([1, 2, 3, 5, 8, 13, 20, 37])) for _ in range(layers + 1)]
        weights, widths, specs = [], [], []
        for inputs, outputs in pairwise(sizes):
            bits = int(rng.choice([1, 2, 3, 4, 8, 16]))
            lowest, highest = signed_range(bits)
            density = rng.choice([1.0, 0.5, 0.2, 0.0], p=[0.4, 0.3, 0.25, 0.05])
            weight = rng.integers(lowest, highest + 1, (outputs, inputs))
            if rng.random() < 0.3:
                weight = rng.choice(rng.integers(lowest, highest + 1, 2), (outputs, inputs))  # few values, which can be packed
            weights.append(weight * (rng.random((outputs, inputs)) < density))
            widths.append(bits)
            specs.append(random_spec(rng, outputs, max(1, highest) * max(1, inputs // 3)))
        timesteps = int(rng.integers(1, 6))
        lanes = {f"neurons {k}": int(rng.integers(1, 9)) for k in range(layers)}
        formats = {name: str(rng.choice(FORMATS)) for name in lanes}
        packings = {}
        for name, weight in zip(lanes, weights, strict=True):
            values = len({0, *weight.reshape(-1).tolist()})
            allowed = PACKINGS if values <= 3 else PACKINGS[:-1] if values <= 256 else PACKINGS[:1]
            packings[name] = str(rng.choice(["auto", *allowed])) if formats[name] not in UNPACKED else "auto"
        load = bool(rng.random() < 0.2) if load_weights is None else load_weights
        if load:
            formats = {name: loadable(format) for name, format in formats.items()}
        events = {name: str(rng.choice(["list", "bitmap"], p=[0.7, 0.3])) for name in lanes}
        try:
            return make_plan(chain(sizes, weights, widths, specs, timesteps), lanes=lanes, load_weights=load, formats=formats,
                             packings=packings, events=events)
        except NetworkError as error:
            if "exact state must" not in str(error):
                raise


def random_trains(rng: np.random.Generator, plan: Plan, samples: int) -> np.ndarray:
    """Return spike trains: bool, (samples, timesteps, inputs); some timesteps are empty, some full."""
    rate = rng.choice([0.0, 0.1, 0.5, 1.0], (samples, plan.graph.timesteps, 1), p=[0.2, 0.3, 0.4, 0.1])
    return rng.random((samples, plan.graph.timesteps, plan.inputs)) < rate

"""Random networks with random drives, for holding the hardware against the reference.

Each case follows from its seed alone. The sizes and numbers are odd on purpose: single neurons, powers of two and
their neighbours, lanes that do not divide neurons, weights and thresholds at the ends of their ranges, and weights that are
stored in any way, whether it suits them or not.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from snnhw.errors import NetworkError
from snnhw.fixed import signed_range
from snnhw.ir import Decay, Graph, Input, Linear, Neuron, NeuronSpec, Readout
from snnhw.plan import Plan, make_plan
from snnhw.plan.formats import FORMATS, loadable

__all__ = ["RandomCase", "neuron_fields", "random_case"]

MAX_FACTOR_SHIFT = 16
MAX_LANES = 256


@dataclass(frozen=True)
class RandomCase:
    """A planned network and its drive.

    Parameters
    ----------
    seed : int
        Makes this case again.
    plan : Plan
        The accelerator.
    spikes : bool array, (samples, timesteps, inputs)
        Input spikes.
    """

    seed: int
    plan: Plan
    spikes: np.ndarray

    def __str__(self) -> str:
        layers = "; ".join(
            f"{layer.inputs} → {layer.outputs}, {layer.lanes} lanes, {layer.format} weights {layer.weight_bits} bits"
            f"{' loaded' if layer.weights_loaded else ''}, {layer.spec}"
            for layer in self.plan.layers
        )
        return f"seed {self.seed}: {self.spikes.shape[0]} samples of {self.spikes.shape[1]} timesteps; {layers}"


def _size(rng: np.random.Generator, limit: int) -> int:
    """Return a number of neurons, 1 to `limit`."""
    kind = rng.integers(4)
    if kind == 0:
        return int(rng.integers(1, min(4, limit) + 1))
    if kind == 1:
        power = 1 << int(rng.integers(1, max(2, limit.bit_length())))
        return int(np.clip(power + rng.integers(-1, 2), 1, limit))
    return int(rng.integers(1, (limit if kind == 2 else min(limit, 40)) + 1))


def _lanes(rng: np.random.Generator, neurons: int) -> int:
    """Return a number of lanes, small ones as often as large ones: what a lane costs is time to compile it."""
    return int(min(neurons, MAX_LANES) ** rng.random() + rng.random())


def _weights(rng: np.random.Generator, outputs: int, inputs: int, bits: int) -> np.ndarray:
    lowest, highest = signed_range(bits)
    kind = rng.integers(5)
    if kind == 0:
        return rng.choice([lowest, highest], (outputs, inputs))
    if kind == 1:
        return np.full((outputs, inputs), rng.choice([lowest, highest]))
    weight = rng.integers(lowest, highest + 1, (outputs, inputs))
    return weight * (rng.random((outputs, inputs)) < rng.choice([0.05, 0.1, 0.3, 0.5])) if kind == 2 else weight


def _pick(rng: np.random.Generator, neurons: int, low: int, high: int, per_neuron: float) -> np.ndarray:
    """Return one value, or one for each neuron, from `low` to `high`."""
    low, high = min(low, high), max(low, high)
    return rng.integers(low, high + 1, neurons if rng.random() < per_neuron else ())


def _decay(rng: np.random.Generator, neurons: int, bits: int, per_neuron: float) -> Decay:
    kind = str(rng.choice(["one", "shift", "mul"]))
    if kind == "one":
        return Decay()
    if kind == "shift":
        return Decay("shift", int(rng.integers(1, min(bits + 1, 32) + 1)))
    shift = int(rng.integers(1, MAX_FACTOR_SHIFT + 1))
    low, high = [(0, 1), (0, 1 << shift), (1 << (shift - 1), 1 << shift)][int(rng.choice(3, p=[0.1, 0.2, 0.7]))]
    return Decay("mul", shift, _pick(rng, neurons, low, high, per_neuron), "zero" if rng.integers(2) else "floor")


def neuron_fields(rng: np.random.Generator, weight: np.ndarray) -> dict[str, Any]:
    """Return the fields of a neuron whose threshold lies where the drive by `weight` can reach it, most of the time."""
    neurons, inputs = weight.shape
    spread = max(1.0, float(np.sqrt(inputs * (weight.astype(float) ** 2).mean())))
    frac = int(rng.choice([0, 0, 1, 3, 8]))
    needed = int(np.abs(weight).sum(axis=1).max()).bit_length() + 1 + frac
    bits = int(np.clip(needed + rng.integers(-4, 5), 2, 32))
    frac = min(frac, bits - 2)
    lowest, highest = signed_range(bits)
    scale = int(min(spread * (1 << frac), highest))
    usual = int(0.3 * weight.sum(axis=1).mean() * (1 << frac))
    per_neuron = 0.4 if rng.random() < 0.5 else 0.0
    if rng.random() < 0.1:
        threshold = np.asarray(rng.choice([lowest, -1, 0, 1, highest]))
    else:
        threshold = np.clip(_pick(rng, neurons, usual - scale // 2, usual + scale, per_neuron), lowest, highest)
    reset = str(rng.choice(["none", "zero", "value", "subtract", "subtract"]))
    reset_time = str(rng.choice(["immediate", "next"]))
    amount: np.ndarray | int = 0
    if reset == "value":
        # A value far from every state that the neuron reaches by itself must not be cut to the width of those states.
        far = rng.random() < 0.3
        amount = np.clip(_pick(rng, neurons, *((lowest, highest) if far else (-scale, scale)), per_neuron), lowest, highest)
    elif reset == "subtract":
        amount = _pick(rng, neurons, 0, 2 * scale, per_neuron) if rng.random() < 0.5 else np.maximum(threshold, 0)
        if reset_time == "immediate":
            amount = np.minimum(amount, threshold - lowest)
    drops = reset_time == "next" and reset in ("zero", "value") and rng.random() < 0.5
    return {
        "threshold": threshold,
        "decay": _decay(rng, neurons, bits, per_neuron),
        "reset": reset,
        "reset_amount": amount,
        "reset_time": reset_time,
        "input_on_reset": "drop" if drops else "keep",
        "overflow": str(rng.choice(["exact", "saturate", "saturate"])),
        "bits": bits,
        "frac": frac,
        "bias": _pick(rng, neurons, -scale, scale, per_neuron) if rng.random() < 0.4 else 0,
        "start": int(rng.integers(lowest, highest + 1)) if rng.random() < 0.2 else 0,
        "clear": "never" if rng.random() < 0.2 else "sample",
        "synapse": _decay(rng, neurons, bits, per_neuron) if rng.random() < 0.3 else None,
    }


def _graph(name: str, sizes: list[int], parts: list[tuple[np.ndarray, int, dict[str, Any]]], timesteps: int) -> Graph:
    nodes: list[Input | Linear | Neuron | Readout] = [Input("in", (), (sizes[0],))]
    for index, (weight, bits, spec) in enumerate(parts):
        nodes.append(Linear(f"fc{index}", (nodes[-1].name,), weight, bits))
        nodes.append(Neuron(f"lif{index}", (f"fc{index}",), NeuronSpec(**spec)))
    return Graph(name, (*nodes, Readout("out", (nodes[-1].name,))), timesteps)


def _drive(rng: np.random.Generator, samples: int, timesteps: int, inputs: int) -> np.ndarray:
    """Return spikes whose rate changes from step to step, silent and saturated ones among them."""
    rate = rng.choice([0.0, 0.05, 0.1, 0.3, 0.6, 1.0], (samples, timesteps, 1))
    return rng.random((samples, timesteps, inputs)) < rate


def random_case(seed: int, *, largest: int = 300, layers: int | None = None) -> RandomCase:
    """Return the random network and drive of a seed.

    Parameters
    ----------
    seed : int
        Any number from 0.
    largest : int
        Most neurons of a layer, inputs included.
    layers : int or None
        Number of layers; None draws 1 to 3.
    """
    rng = np.random.default_rng([seed, largest, layers or 0])
    count = layers or int(rng.choice([1, 2, 3], p=[0.6, 0.3, 0.1]))
    sizes = [_size(rng, largest) for _ in range(count + 1)]
    timesteps, samples = int(rng.integers(1, 9)), int(rng.integers(1, 5))
    parts = []
    for inputs, outputs in pairwise(sizes):
        bits = int(rng.choice([1, 2, 3, 4, 5, 8, 11, 16]))
        weight = _weights(rng, outputs, inputs, bits)
        parts.append((weight, bits, neuron_fields(rng, weight)))
    lanes = {f"lif{index}": _lanes(rng, size) for index, size in enumerate(sizes[1:])}
    formats = {name: str(rng.choice(["auto", *FORMATS])) for name in lanes}
    load_weights = bool(rng.random() < 0.2)
    if load_weights:
        formats = {name: loadable(format) for name, format in formats.items()}
    spikes = _drive(rng, samples, timesteps, sizes[0])
    while True:
        graph = _graph(f"random {seed}", sizes, parts, timesteps)
        try:
            return RandomCase(seed, make_plan(graph, lanes=lanes, formats=formats, load_weights=load_weights), spikes)
        except NetworkError:
            # The state was to be exact and cannot be proven to fit: saturate the first such layer.
            exact = next(spec for _, _, spec in parts if spec["overflow"] == "exact")
            exact["overflow"] = "saturate"

"""Interpreter of the float network."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike

from snnhw.ir.traverse import conclude, traverse
from snnhw.network.network import Network
from snnhw.network.nodes import Neuron

__all__ = ["FloatTrace", "run_network"]


@dataclass(frozen=True)
class FloatTrace:
    """Everything a float network computed on a batch of samples. Elements are in the C order of a node's shape.

    Attributes
    ----------
    spikes : mapping of str to array, (samples, timesteps, elements)
        For the input, each layer of neurons and each MaxPool: bool, or int32 where spikes are counts or graded. All False for
        neurons that hand on their state.
    membranes : mapping of str to float array, (samples, timesteps, neurons)
        Stored state after each timestep, for each layer of neurons. When not kept, only those that neurons hand on.
    ranges : mapping of str to two float arrays, (neurons,)
        Smallest and largest state of each neuron in all samples, before and after resets and of its synapse too, by layer.
    output : str
        Name of the layer that the readout reads.
    decisions : int64 array, (samples,)
        Class of each sample.
    """

    spikes: Mapping[str, np.ndarray]
    membranes: Mapping[str, np.ndarray]
    ranges: Mapping[str, tuple[np.ndarray, np.ndarray]]
    output: str
    decisions: np.ndarray


def run_network(network: Network, spikes: np.ndarray, dtype: DTypeLike = np.float64, *,
                keep_membranes: bool = True) -> FloatTrace:
    """Interpret a float network on a batch of spike trains.

    Parameters
    ----------
    network : Network
        The network; :class:`snnhw.network.Behaviour` has the formulas.
    spikes : bool or int array, (samples, timesteps, *input shape)
        Input spikes; the shape of the input may also be flattened. Any number of timesteps.
    dtype : dtype
        Of currents and states. Trained networks mostly computed in float32.
    keep_membranes : bool
        Also return the states after each timestep.
    """
    spikes, kind = np.asarray(spikes), np.dtype(dtype)
    elements = math.prod(network.input.shape)
    if spikes.ndim < 3 or spikes.shape[2:] not in (network.input.shape, (elements,)):
        expected = " x ".join(["samples", "timesteps", *map(str, network.input.shape)])
        raise ValueError(f"Input spikes must have shape {expected}, not {' x '.join(map(str, spikes.shape))}")
    samples, timesteps = spikes.shape[:2]
    trains = {network.input.name: spikes.reshape(samples, timesteps, elements)}
    layers: dict[str, _Layer] = {}
    for node in network.nodes:
        if node.fires or isinstance(node, Neuron):
            shape = samples, timesteps, math.prod(network.shapes[node.name])
            trains[node.name] = np.zeros(shape, np.int32 if node.grades > 1 else bool)
            if isinstance(node, Neuron):
                layers[node.name] = _Layer(node, shape, kind, keep_membranes)
    traverse(network.nodes, network.shapes, trains, layers, {node.name: kind for node in network.nodes})
    membranes = {name: layer.membranes for name, layer in layers.items() if layer.membranes is not None}
    output, decisions = conclude(network.nodes, trains, membranes)
    ranges = {name: (layer.lowest, layer.highest) for name, layer in layers.items()}
    return FloatTrace(trains, membranes, ranges, output, decisions)


class _Layer:
    """One layer of neurons while a network runs: see :class:`snnhw.ir.traverse.Population`."""

    persists = False

    def __init__(self, node: Neuron, shape: tuple[int, int, int], kind: np.dtype, keep: bool) -> None:
        self._behaviour = behaviour = node.behaviour
        self._neurons, self._kind = shape[2], kind
        self._beta, self._threshold, self._amount, self._bias = (
            np.asarray(values).astype(kind)
            for values in (behaviour.beta, behaviour.threshold, behaviour.reset_amount, behaviour.bias))
        self._alpha = None if behaviour.alpha is None else np.asarray(behaviour.alpha).astype(kind)
        self._target = self._amount if behaviour.reset == "value" else np.zeros((), kind)
        self.membranes = np.zeros(shape, kind) if keep or behaviour.output == "state" else None
        self.lowest = self.highest = np.full(shape[2], float(behaviour.start))

    def begin(self, samples: int) -> None:
        self._membrane = np.full((samples, self._neurons), self._behaviour.start, self._kind)
        self._synapse = np.zeros((samples, self._neurons), self._kind)

    def _see(self, state: np.ndarray) -> np.ndarray:
        self.lowest, self.highest = np.minimum(self.lowest, state.min(axis=0)), np.maximum(self.highest, state.max(axis=0))
        return state

    def _above(self, state: np.ndarray, extra: int = 0) -> np.ndarray:
        threshold = self._threshold + extra * self._amount if extra else self._threshold
        return state > threshold if self._behaviour.compare == ">" else state >= threshold

    def _fire(self, state: np.ndarray) -> np.ndarray:
        if self._behaviour.output == "state":
            return np.zeros(state.shape, bool)
        if self._behaviour.output == "spike":
            return self._above(state)
        return sum((self._above(state, extra) for extra in range(self._behaviour.grades)),
                   start=np.zeros(state.shape, np.int32))

    def step(self, current: np.ndarray, samples: slice, timestep: int) -> np.ndarray:
        behaviour = self._behaviour
        current = current.astype(self._kind, copy=False) + self._bias
        if self._alpha is not None:
            current = self._synapse = self._see(self._alpha * self._synapse + current)
        if behaviour.reset_time == "immediate":
            state = self._see(self._beta * self._membrane + current)
            fired = self._fire(state)
            if behaviour.reset == "subtract":
                state = self._see(state - fired * self._amount)
            elif behaviour.reset != "none":
                state = np.where(fired, self._target, state)
        else:
            resets = self._above(self._membrane)
            before = self._membrane
            if behaviour.reset in ("zero", "value") and behaviour.input_on_reset == "keep":
                before = np.where(resets, self._target, before)
            state = self._beta * before + current
            if behaviour.reset == "subtract":
                state = state - resets * self._amount
            elif behaviour.reset in ("zero", "value") and behaviour.input_on_reset == "drop":
                state = np.where(resets, self._target, state)
            state = self._see(state)
            fired = self._fire(state)
        self._membrane = state
        if self.membranes is not None:
            self.membranes[samples, timestep] = state
        return fired

"""Structural pruning: as many channels as the membranes of a layer have significant dimensions.

Chowdhury, Garg and Roy 2021: the potentials of a trained network, averaged over the timesteps of a sample, are points in a space
with one axis for each channel of a layer, one point for each sample and position. How many principal components explain most of
their variance is the width that the layer needs. The narrower network is made anew and trained as the first one was.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from snnhw import ir
from snnhw.compress.config import Recipe, StructureConfig
from snnhw.compress.data import Dataset
from snnhw.compress.train import spike_trains
from snnhw.compress.trainable import Pass, TrainableNetwork
from snnhw.errors import NetworkError, UsageError, raise_problems
from snnhw.ir.nodes import Node
from snnhw.network import Conv, Linear, Network, Neuron, Scale

__all__ = ["Joint", "Spectrum", "choose_widths", "count_parameters", "find_joints", "find_spectra", "narrow", "structure_rows"]

BATCH = 50


@dataclass
class Joint:
    """Nodes whose channels correspond to each other, so that they share a width.

    Attributes
    ----------
    width : int
        Number of channels; of neurons for a layer without positions.
    nodes, weights, neurons : list of str
        All nodes with these channels, those whose weights make them, and the layers of neurons.
    fixed : str
        Why the width must stay; empty if it need not.
    """

    width: int
    nodes: list[str] = field(default_factory=list)
    weights: list[str] = field(default_factory=list)
    neurons: list[str] = field(default_factory=list)
    fixed: str = ""


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Variances along the principal components of a layer, from the largest to the smallest.

    Attributes
    ----------
    variances : float array, (channels,)
        Never negative.
    points : int
        Samples times positions.
    """

    variances: np.ndarray
    points: int

    def dimensions(self, share: float) -> int:
        """Return how many components explain this share of the variance, at least 1."""
        total = np.cumsum(self.variances)
        if total[-1] <= 0:
            return 1
        return min(len(total), int(np.searchsorted(total / total[-1], share - 1e-12)) + 1)


def find_joints(network: Network) -> list[Joint]:
    """Return the groups of nodes that share a width, in the order of the network, the input's first."""
    parents: dict[str, str] = {}

    def root(name: str) -> str:
        while name in parents:
            name = parents[name]
        return name

    def join(left: str, right: str) -> None:
        if root(left) != root(right):
            parents[root(right)] = root(left)

    fixed: dict[str, str] = {}
    for node in network.nodes:
        for other in node.inputs[1:]:
            join(node.inputs[0], other)
        depthwise = isinstance(node, Conv) and node.groups == len(node.weight) > 1 and node.weight.shape[1] == 1
        if node.inputs and (depthwise or not isinstance(node, Linear | Conv)):
            join(node.inputs[0], node.name)
        elif isinstance(node, Conv) and node.groups > 1:
            fixed[node.name] = fixed[node.inputs[0]] = f"the convolution {node.name!r} has {node.groups} groups of channels"
        if isinstance(node, Scale) and node.weight.ndim:
            fixed[node.name] = f"the factors of {node.name!r} belong to its elements"
        if isinstance(node, ir.Input):
            fixed[node.name] = "it takes the input"
        if isinstance(node, ir.Readout):
            fixed[node.name] = "it is the output"
    joints: dict[str, Joint] = {}
    for node in network.nodes:
        top = root(node.name)
        joint = joints.setdefault(top, Joint(0))
        joint.nodes.append(node.name)
        # Flattened channels lie one after the other: the node that makes them says how many there are.
        if isinstance(node, Linear | Conv | ir.Input) and not joint.width:
            joint.width = network.shapes[node.name][0]
        if isinstance(node, Linear | Conv):
            joint.weights.append(node.name)
        if isinstance(node, Neuron):
            joint.neurons.append(node.name)
        joint.fixed = joint.fixed or fixed.get(node.name, "")
    for joint in joints.values():
        if not joint.neurons:
            joint.fixed = joint.fixed or "no neurons follow it"
    return list(joints.values())


def _potentials(network: TrainableNetwork, name: str, found: Pass, measure: str) -> torch.Tensor:
    """Return the mean over time of what is looked at, (samples, neurons), up to a constant for each channel."""
    if measure == "current":
        return found.currents[name].mean(dim=0)
    population = network.population(name)
    behaviour, membranes = population.behaviour, found.membranes[name]
    if behaviour.reset_time == "next" or behaviour.reset == "none":
        return membranes.mean(dim=0)
    if behaviour.reset == "subtract":
        return (membranes + found.spikes[name] * population.amount).mean(dim=0)
    # The reset has lost the potential: it is what decayed and what came in.
    currents = found.currents[name].expand_as(membranes)
    leak, synapse = population.factors()
    if synapse is not None:
        word, words = torch.zeros_like(currents[0]), []
        for current in currents:
            word = synapse * word + current
            words.append(word)
        currents = torch.stack(words)
    before = torch.cat([torch.full_like(membranes[:1], behaviour.start), membranes[:-1]])
    return (leak * before + currents).mean(dim=0)


def find_spectra(network: TrainableNetwork, recipe: Recipe, data: Dataset, config: StructureConfig, *,
                 timesteps: int | None = None) -> dict[str, Spectrum]:
    """Analyse the principal components of each layer of neurons on the first training samples.

    Parameters
    ----------
    network : TrainableNetwork
        Trained, in real numbers.
    recipe, data
        What it was trained on.
    config : StructureConfig
        What is looked at, and on how many samples.
    timesteps : int, optional
        Length of a sample, by default that of the recipe.
    """
    if network.quantized:
        raise ValueError("Network must be in real numbers to be analysed")
    steps = recipe.timesteps if timesteps is None else timesteps
    encode = spike_trains(recipe, steps, data.inputs)
    widths = {name: joint.width for joint in find_joints(network.source) for name in joint.neurons}
    totals = {name: np.zeros(width) for name, width in widths.items()}
    products = {name: np.zeros((width, width)) for name, width in widths.items()}
    points = dict.fromkeys(widths, 0)
    values = data.train_values[:config.samples]
    for start in range(0, len(values), BATCH):
        with torch.no_grad():
            found = network(encode(values[start:start + BATCH]), steps, keep=True)
            for name, width in widths.items():
                seen = _potentials(network, name, found, config.measure).double().numpy()
                rows = seen.reshape(len(seen), width, -1).transpose(0, 2, 1).reshape(-1, width)
                totals[name] += rows.sum(axis=0)
                products[name] += rows.T @ rows
                points[name] += len(rows)
    spectra = {}
    for name in widths:
        mean = totals[name] / points[name]
        covariance = products[name] / points[name] - np.outer(mean, mean)
        spectra[name] = Spectrum(np.linalg.eigvalsh(covariance)[::-1].clip(min=0.0), points[name])
    return spectra


def choose_widths(network: Network, spectra: Mapping[str, Spectrum], config: StructureConfig) -> dict[str, int]:
    """Return the new width of each joint that may have one, by the name of its first layer of neurons.

    Layers that are joined, by a skip connection say, get the largest width that any of them needs.

    Raises
    ------
    UsageError
        A width is given for a layer that there is not.
    NetworkError
        A width is given that the layer cannot have.
    """
    joints = find_joints(network)
    owner = {name: joint for joint in joints for name in (*joint.weights, *joint.neurons)}
    given: dict[int, tuple[str, int]] = {}
    problems: list[str] = []
    for name, width in config.layers.items():
        if name not in owner:
            raise UsageError(f"structure.layers names {name!r}, the network has {', '.join(map(repr, owner))}")
        joint = owner[name]
        where = f"layer {name!r} ({network[name].title})"
        if joint.fixed:
            problems.append(f"{where}: must keep its width of {joint.width}, because {joint.fixed}")
        elif not 1 <= width <= joint.width:
            problems.append(f"{where}: its new width must be between 1 and {joint.width}, not {width}")
        elif given.setdefault(id(joint), (name, width))[1] != width:
            other, its = given[id(joint)]
            problems.append(f"{where}: must have the width of layer {other!r}, with which it is joined: {its}, not {width}")
    raise_problems(problems)
    widths = {}
    for joint in joints:
        if joint.fixed:
            continue
        needed = max(spectra[name].dimensions(config.variance) for name in joint.neurons)
        needed = max(needed, config.minimum)
        needed = min(joint.width, -(-needed // config.multiple) * config.multiple)
        widths[joint.neurons[0]] = given.get(id(joint), ("", needed))[1]
    return widths


def narrow(network: Network, widths: Mapping[str, int], seed: int) -> Network:
    """Return a network with other widths and new weights.

    Weights and biases are drawn from ``U(-1/sqrt(n), 1/sqrt(n))``, n being the inputs of a neuron, as torch draws them. Constants
    that differed among the neurons of a layer become their mean.

    Parameters
    ----------
    network : Network
        The wide one; not changed.
    widths : mapping of str to int
        By the name of any layer of neurons, or of weights, of a joint.
    seed : int
        Of the weights.
    """
    joints = find_joints(network)
    old = {name: joint.width for joint in joints for name in joint.nodes}
    new = dict(old)
    for joint in joints:
        for name in joint.nodes:
            if name in widths:
                if joint.fixed and widths[name] != joint.width:
                    raise NetworkError(f"layer {name!r} ({network[name].title}): must keep its width of {joint.width}, "
                                       f"because {joint.fixed}")
                new |= dict.fromkeys(joint.nodes, widths[name])
    rng = np.random.default_rng(seed)
    nodes: list[Node] = []
    for node in network.nodes:
        if isinstance(node, Linear | Conv):
            source = node.inputs[0]
            if isinstance(node, Linear):
                positions = node.weight.shape[1] // old[source]
                shape: tuple[int, ...] = (new[node.name], new[source] * positions)
            else:
                groups = new[node.name] if node.groups == old[node.name] > 1 else node.groups
                shape = (new[node.name], new[source] // groups, *node.weight.shape[2:])
                node = replace(node, groups=groups)
            bound = 1 / math.sqrt(math.prod(shape[1:]))
            bias = None if node.bias is None else rng.uniform(-bound, bound, shape[0])
            nodes.append(replace(node, weight=rng.uniform(-bound, bound, shape), bias=bias))
        elif isinstance(node, Neuron):
            behaviour = node.behaviour
            means: dict[str, Any] = {
                name: float(np.mean(values)) for name in ("beta", "alpha", "threshold", "reset_amount", "bias")
                if (values := getattr(behaviour, name)) is not None and np.ndim(values)}
            nodes.append(replace(node, behaviour=replace(behaviour, **means)))
        elif isinstance(node, ir.Delay):
            first = node.shape[0] // old[node.name] * new[node.name]
            nodes.append(replace(node, shape=(first, *node.shape[1:])))
        else:
            nodes.append(node)
    return Network(network.name, tuple(nodes), network.timesteps, network.choices)


def count_parameters(network: Network) -> dict[str, int]:
    """Return the weights and biases of each node that has weights."""
    found = {}
    for node in network.nodes:
        if isinstance(node, Linear | Conv | Scale):
            bias = None if isinstance(node, Scale) else node.bias
            found[node.name] = int(node.weight.size) + (0 if bias is None else int(bias.size))
    return found


def structure_rows(network: Network, narrowed: Network, spectra: Mapping[str, Spectrum],
                   config: StructureConfig) -> list[dict[str, Any]]:
    """Return one row for each layer of neurons: dimensions, widths, parameters of its weights before and after. Plain values."""
    before, after = count_parameters(network), count_parameters(narrowed)
    slim = {name: joint.width for joint in find_joints(narrowed) for name in joint.neurons}
    rows = []
    for joint in find_joints(network):
        for name in joint.neurons:
            spectrum = spectra[name]
            total = float(spectrum.variances.sum())
            own = [source for source in joint.weights if _reaches(network, name, source)]
            rows.append({
                "layer": name, "weights": own, "width": joint.width, "points": spectrum.points,
                "dimensions": spectrum.dimensions(config.variance), "new_width": slim[name],
                "explained": float(spectrum.variances[:slim[name]].sum()) / total if total else 1.0,
                "spectrum": [float(value) / total if total else 0.0 for value in spectrum.variances],
                "parameters": sum(before[source] for source in own), "new_parameters": sum(after[source] for source in own),
                "kept": joint.fixed,
            })
    return rows


def _reaches(network: Network, name: str, source: str) -> bool:
    """Whether the weights of a node reach a layer of neurons without passing others."""
    waiting = list(network[name].inputs)
    while waiting:
        one = waiting.pop()
        if one == source:
            return True
        if not isinstance(network[one], Neuron | ir.Delay | ir.Input):
            waiting += network[one].inputs
    return False

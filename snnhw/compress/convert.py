"""From a network without spikes to a spiking one: its weights, and thresholds that its currents decide.

The matching network has the same maps, and a rectifier in the place of each layer of neurons; it is trained on the values
themselves. A layer's threshold is then a high percentile of the currents that reach it while the layers before it spike, one
layer after the other (Rathi, Srinivasan, Panda and Roy 2020; the percentile: Chowdhury, Garg and Roy 2021).
"""

from typing import Any

import numpy as np
import torch

from snnhw import ir
from snnhw.compress.config import ConvertConfig, EncodingConfig, Recipe
from snnhw.compress.data import Dataset
from snnhw.compress.train import Progress, classify, spike_trains, train_float
from snnhw.compress.trainable import Pass, TrainableNetwork
from snnhw.errors import NetworkError, raise_problems
from snnhw.ir.nodes import Node
from snnhw.network import Network, Neuron

__all__ = ["MatchingNetwork", "balance_thresholds", "initialise", "train_matching"]

MOST_CURRENTS = 1 << 22  # of which a percentile is taken
BATCH = 50


class MatchingNetwork(TrainableNetwork):
    """A network of the same maps with rectifiers in the place of neurons; the last layer hands on its currents.

    Parameters
    ----------
    network : Network
        The spiking one. Its maps form a chain.
    largest : float
        What inputs are divided by.

    Raises
    ------
    NetworkError
        Layers are joined, or there is a cycle.
    """

    def __init__(self, network: Network, largest: float = 1.0) -> None:
        raise_problems(_branches(network))
        super().__init__(network)
        self.largest = largest
        last: Node = network.nodes[-1]
        while not isinstance(last, Neuron):
            last = network[last.inputs[0]]
        self._last = last.name

    def forward(self, spikes: torch.Tensor, timesteps: int | None = None, *, keep: bool = False) -> Pass:
        """Compute a batch from the mean of the inputs over time; there are neither spikes nor membranes."""
        source = self.source.input
        outputs = {source.name: (spikes.mean(dim=1) / self.largest).reshape(1, len(spikes), *source.shape)}
        weights = {name: self.map(name).real() for name in (*self.weighted, *self._added)}
        for node in (node for block in self._blocks for node in block):
            if isinstance(node, ir.Input):
                continue
            total = outputs[node.inputs[0]]
            if isinstance(node, Neuron):
                drive = self.bias_current(node.name)
                total = total + (drive.reshape(self._shapes[node.name]) if drive.numel() > 1 else drive)
                outputs[node.name] = total if node.name == self._last else total.relu()
            elif not isinstance(node, ir.Readout):
                outputs[node.name] = self._map(node, total, weights)
        return Pass(outputs[self.source.nodes[-1].inputs[0]][0].flatten(1), {}, {}, {})


def _branches(network: Network) -> list[str]:
    """Return a sentence for each node that no matching network has."""
    problems = []
    for node in network.nodes:
        if isinstance(node, ir.Delay):
            problems.append(f"layer {node.name!r} (Delay): must not be there for a matching network without spikes, "
                            f"which has no timesteps")
        elif len(node.inputs) > 1:
            problems.append(f"layer {node.name!r} ({node.title}): must have one input for a matching network without spikes, "
                            f"not {len(node.inputs)}")
    return problems


def _still(recipe: Recipe, data: Dataset) -> tuple[Recipe, float]:
    """Return a recipe that shows values as they are, and the largest of them; that of events is left as it is."""
    if recipe.encoding.kind == "events":
        return recipe.model_copy(update={"loss": "count"}), 1.0
    encoding = EncodingConfig(kind="direct", levels=recipe.encoding.levels)
    return recipe.model_copy(update={"loss": "count", "encoding": encoding}), float(recipe.encoding.levels)


def train_matching(network: Network, recipe: Recipe, data: Dataset, config: ConvertConfig, *,
                   progress: Progress | None = None) -> tuple[MatchingNetwork, dict[str, Any]]:
    """Train the network without spikes that matches a spiking one.

    Parameters
    ----------
    network : Network
        Its weights are those at the beginning.
    recipe, data
        Of the spiking network.
    config : ConvertConfig
        How long.
    progress : callable, optional
        Told how far it is.

    Returns
    -------
    MatchingNetwork
        Trained.
    dict
        ``losses`` of the epochs and ``accuracy`` on the test split.
    """
    still, largest = _still(recipe, data)
    matching = MatchingNetwork(network, largest)
    losses = train_float(matching, still, data, stage=config, timesteps=1, name="convert", progress=progress)
    decisions = classify(lambda values: matching(values).logits, still, 1, data.test_values)
    return matching, {"losses": losses, "accuracy": float((decisions == data.test_labels).mean())}


def balance_thresholds(network: TrainableNetwork, recipe: Recipe, data: Dataset, config: ConvertConfig) -> dict[str, float]:
    """Set the threshold of each layer to a percentile of its currents, in place, and divide biases by what spikes are worth.

    Parameters
    ----------
    network : TrainableNetwork
        With the weights of the matching network.
    recipe, data
        Its encoding and timesteps; the first training samples.
    config : ConvertConfig
        Percentile, factor, leak and number of samples.

    Returns
    -------
    dict of str to float
        The thresholds.
    """
    raise_problems(_branches(network.source))
    if config.leak is not None:
        for name in network.neurons:
            network.population(name).beta.data.fill_(config.leak)
    encode = spike_trains(recipe, recipe.timesteps, data.inputs)
    trains = [encode(data.train_values[start:min(start + BATCH, config.samples)])
              for start in range(0, min(config.samples, len(data.train_values)), BATCH)]
    # An activation of the matching network is this many spikes per timestep, layer by layer.
    worth = {network.source.input.name: 1.0 / recipe.encoding.levels if recipe.encoding.kind == "direct" else 1.0}
    thresholds = {}
    for name in network.neurons:
        chain, source = [], network.nodes[name].inputs[0]
        while source not in worth:
            chain.append(source)
            source = network.nodes[source].inputs[0]
        before = worth[source]
        for own in chain:
            if own in network.weighted and (bias := network.map(own).bias) is not None:
                bias.data /= before
        population = network.population(name)
        if population.behaviour.output == "state":
            worth[name] = before
            continue
        seen = []
        with torch.no_grad():
            for train in trains:
                currents = network(train, recipe.timesteps, keep=True).currents[name]
                currents = currents + network.bias_current(name)
                flat = currents.reshape(-1).numpy()
                seen.append(flat[::max(1, flat.size * len(trains) // MOST_CURRENTS)])
        found = np.concatenate(seen)
        level = float(np.percentile(found, config.percentile))
        level = level if level > 0 else float(found.max())
        if level <= 0:
            raise NetworkError(f"layer {name!r} (Neuron): must receive a current above 0 to get a threshold, "
                               f"and the largest is {level:g}")
        thresholds[name] = level * config.scale
        population.threshold.data.fill_(thresholds[name])
        worth[name] = before * thresholds[name]
    return thresholds


def initialise(network: TrainableNetwork, recipe: Recipe, data: Dataset, *, progress: Progress | None = None) -> dict[str, Any]:
    """Give a spiking network the weights of the matching one, and thresholds for them, in place.

    Parameters
    ----------
    network : TrainableNetwork
        In real numbers.
    recipe : Recipe
        With a section ``convert``.
    data : Dataset
        Its training split is used, and the test split to measure.
    progress : callable, optional
        Told how far it is.

    Returns
    -------
    dict
        ``losses``, ``accuracy`` of the matching network, ``converted``: that of the spiking one before any training of its own,
        and ``thresholds``.
    """
    config = recipe.convert or ConvertConfig()
    matching, found = train_matching(network.network(), recipe, data, config, progress=progress)
    with torch.no_grad():
        for name in network.weighted:
            network.map(name).weight.copy_(matching.map(name).weight)
            own, other = network.map(name).bias, matching.map(name).bias
            if own is not None and other is not None:
                own.copy_(other)
    thresholds = balance_thresholds(network, recipe, data, config)
    decisions = classify(lambda spikes: network(spikes, recipe.timesteps).logits, recipe, recipe.timesteps, data.test_values)
    return {**found, "converted": float((decisions == data.test_labels).mean()), "thresholds": thresholds}

"""Widths of weights and states, layer by layer: what each costs in accuracy, and which to take."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from snnhw.compress.config import QuantConfig, Recipe
from snnhw.compress.train import TEST_BATCH, Progress, spike_trains
from snnhw.compress.trainable import TrainableNetwork
from snnhw.errors import NetworkError
from snnhw.ir import Graph, Neuron
from snnhw.network import Network
from snnhw.reference import run

__all__ = ["allocate", "narrow_states", "sensitivities"]

REFERENCE_BITS = 8
Table = Mapping[str, Mapping[int, float]]


def _loss(network: TrainableNetwork, recipe: Recipe, values: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean cross entropy of some samples."""
    encode, steps = spike_trains(recipe, recipe.length, values.shape[-1]), recipe.length
    factor = 1.0 if recipe.loss == "count" else recipe.gain / steps
    total = 0.0
    with torch.no_grad():
        for start in range(0, len(labels), TEST_BATCH):
            logits = network(encode(values[start:start + TEST_BATCH]), steps).logits * factor
            total += float(F.cross_entropy(logits, torch.from_numpy(labels[start:start + TEST_BATCH]), reduction="sum"))
    return total / len(labels)


def _with_widths(config: QuantConfig, widths: Mapping[str, int]) -> QuantConfig:
    layers = {name: dict(fields) for name, fields in config.layers.items()}
    for name, bits in widths.items():
        layers[name] = layers.get(name, {}) | {"weight_bits": bits}
    return config.model_copy(update={"layers": layers})


def sensitivities(network: Network, recipe: Recipe, values: np.ndarray, labels: np.ndarray, widths: Sequence[int], *,
                  calibration: np.ndarray | None = None, progress: Progress | None = None) -> dict[str, dict[int, float]]:
    """Measure how much the loss rises when the weights of one layer get narrower and those of all others have 8 bits.

    Parameters
    ----------
    network : Network
        In real numbers, trained; it is not trained again.
    recipe : Recipe
        Formats, encoding and loss.
    values, labels : array, (samples, ...) and (samples,)
        Samples that decide: not those of the test split.
    widths : sequence of int
        Widths to try.
    calibration : array, optional
        Input spikes, for :meth:`TrainableNetwork.quantize`.

    Returns
    -------
    dict of str to dict of int to float
        Rise of the mean cross entropy, by layer of neurons and width of the weights that drive it. Never below 0: where a
        narrower width is better than 8 bits by chance, it costs nothing.
    """
    names = [node.name for node in network.neurons]
    every = dict.fromkeys(names, REFERENCE_BITS)

    def loss_at(chosen: Mapping[str, int]) -> float:
        made = TrainableNetwork(network)
        made.quantize(_with_widths(recipe.quantize, chosen), calibration)
        return _loss(made.eval(), recipe, values, labels)

    base = loss_at(every)
    found: dict[str, dict[int, float]] = {name: {} for name in names}
    done, total = 0, len(names) * len(widths)
    for name in names:
        for bits in widths:
            found[name][bits] = max(0.0, loss_at(every | {name: bits}) - base)
            done += 1
            if progress is not None:
                progress("sensitivity", done, total, f"{name} at {bits} bits")
    return found


def allocate(rises: Table, costs: Table, budget: float) -> dict[str, int]:
    """Choose a width for each layer, so that the costs add up to the least and the rises to at most `budget`.

    Exact: of all choices for the first layers only those are kept than which no other is better in both.

    Parameters
    ----------
    rises, costs : mapping of str to mapping of int to float
        By layer and width.
    budget : float
        Largest sum of rises.

    Raises
    ------
    NetworkError
        Not even the best widths are within the budget.
    """
    front: list[tuple[float, float, dict[str, int]]] = [(0.0, 0.0, {})]
    for name, options in rises.items():
        extended = [(cost + costs[name][bits], rise + more, {**chosen, name: bits})
                    for cost, rise, chosen in front for bits, more in options.items() if rise + more <= budget]
        if not extended:
            least = sum(min(options.values()) for options in rises.values())
            raise NetworkError(f"layer {name!r} (Neuron): no widths keep the rise of the loss within {budget:g}; "
                               f"the least is {least:.3g}")
        front, lowest = [], math.inf
        for entry in sorted(extended, key=lambda entry: (entry[0], entry[1])):
            if entry[1] < lowest:
                front.append(entry)
                lowest = entry[1]
    return front[0][2]


def narrow_states(graph: Graph, spikes: np.ndarray, labels: np.ndarray, loss: float, *,
                  progress: Progress | None = None) -> tuple[Graph, list[dict[str, Any]]]:
    """Make the states of a graph as narrow as an accuracy allows, one layer after the other, the widest memory first.

    States saturate, so a narrower one is another network: each is measured by the integer interpreter.

    Parameters
    ----------
    graph : Graph
        The network.
    spikes, labels : array
        Samples that decide: not those of the test split.
    loss : float
        By how much the share of right decisions may fall, all layers together.

    Returns
    -------
    Graph
        The same network with narrower states.
    list of dict
        One row for each layer: name, bits before and after, accuracy after. Plain values.
    """
    def accuracy(candidate: Graph) -> float:
        return float((run(candidate, spikes, keep_membranes=False).decisions == labels).mean())

    floor = accuracy(graph) - loss
    sizes = {node.name: math.prod(graph.shapes[node.name]) for node in graph.neurons}
    rows: list[dict[str, Any]] = []
    for place, name in enumerate(sorted(sizes, key=lambda each: -sizes[each])):
        before = next(node.spec.bits for node in graph.neurons if node.name == name)
        best, reached = graph, accuracy(graph)
        low, high = 2, before  # the widths below `low` are too narrow, `high` is wide enough
        while low < high:
            middle = (low + high) // 2
            candidate = _with_bits(graph, name, middle)
            share = -math.inf if candidate is None else accuracy(candidate)
            if candidate is not None and share >= floor:
                best, reached, high = candidate, share, middle
            else:
                low = middle + 1
        graph = best
        rows.append({"name": name, "before": before, "after": high, "accuracy": reached})
        if progress is not None:
            progress("states", place + 1, len(sizes), f"{name}: {before} to {high} bits")
    return graph, rows


def _with_bits(graph: Graph, name: str, bits: int) -> Graph | None:
    """Return a graph with another width of one layer's state, None if its constants do not fit."""
    try:
        nodes = tuple(replace(node, spec=replace(node.spec, bits=bits, overflow="saturate"))
                      if isinstance(node, Neuron) and node.name == name else node for node in graph.nodes)
        return Graph(graph.name, nodes, graph.timesteps, graph.meta)
    except (ValueError, NetworkError):
        return None

"""How near an integer graph is to the float network that it was made from."""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from snnhw.ir import Graph
from snnhw.network import Network, run_network
from snnhw.reference import run

__all__ = ["batches", "compare"]

BUDGET = 1 << 27  # spikes that are held at once


def batches(shapes: Mapping[str, tuple[int, ...]], spikes: np.ndarray) -> Iterator[slice]:
    """Yield parts of the samples, so that the spikes of all layers of one part fit in memory."""
    each = spikes.shape[1] * sum(math.prod(shape) for shape in shapes.values())
    size = max(1, BUDGET // max(1, each))
    for start in range(0, len(spikes), size):
        yield slice(start, start + size)


def compare(network: Network, graph: Graph, spikes: np.ndarray, labels: np.ndarray | None = None,
            progress: Callable[[int, int], None] | None = None) -> dict[str, Any]:
    """Run both on the same spikes and return how far they agree.

    Parameters
    ----------
    network : Network
        In floats.
    graph : Graph
        In integers.
    spikes : bool or int array, (samples, timesteps, *input shape)
        Input spikes.
    labels : int array, (samples,), optional
        Classes.
    progress : callable, optional
        Told the number of samples that are done, and of all.

    Returns
    -------
    dict
        ``accuracy`` of both where there are labels; ``same_decisions``, a fraction of the samples; for each layer of neurons
        that spikes ``agreement``, the fraction of equal spike words, ``rate_float`` and ``rate_integer`` in spikes per neuron
        and timestep, ``rate_difference``, the mean magnitude of the difference of a neuron's rate in a sample, and for each
        layer of neurons ``saturated_words``. Plain values.
    """
    sums = {node.name: np.zeros(5) for node in graph.neurons}
    decisions: dict[str, list[np.ndarray]] = {"float": [], "integer": []}
    inputs = words = 0
    for part in batches(graph.shapes, spikes):
        real = run_network(network, spikes[part], keep_membranes=False)
        whole = run(graph, spikes[part], keep_membranes=False)
        decisions["float"].append(real.decisions)
        decisions["integer"].append(whole.decisions)
        inputs += int(np.count_nonzero(spikes[part]))
        words += spikes[part].size
        for name, total in sums.items():
            left, right = real.spikes[name], whole.spikes[name]
            rates = np.abs(left.sum(axis=1, dtype=np.int64) - right.sum(axis=1, dtype=np.int64))
            total += ((left == right).sum(), left.sum(), right.sum(), rates.sum(), whole.counts[name].saturations.sum())
        if progress is not None:
            progress(min(part.stop, len(spikes)), len(spikes))
    found = {name: np.concatenate(parts) for name, parts in decisions.items()}
    result: dict[str, Any] = {"samples": len(spikes), "same_decisions": float((found["float"] == found["integer"]).mean()),
                              "rates": {graph.input.name: inputs / max(1, words)}, "layers": []}
    if labels is not None:
        result["accuracy"] = {name: float((chosen == labels).mean()) for name, chosen in found.items()}
    for node in graph.neurons:
        size = len(spikes) * spikes.shape[1] * math.prod(graph.shapes[node.name])
        same, fired, integer, apart, saturated = map(float, sums[node.name])
        row: dict[str, Any] = {"name": node.name, "saturated_words": int(saturated)}
        if node.fires:
            result["rates"][node.name] = integer / size
            row |= {"agreement": same / size, "rate_float": fired / size, "rate_integer": integer / size,
                    "rate_difference": apart / size}
        result["layers"].append(row)
    return result

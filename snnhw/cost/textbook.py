"""What the models of papers say about the same samples: operations times energy, an Eyeriss-like array, energies in MACs.

None of them is a model of the accelerator that is generated here, and none has its constants: their joules are of other hardware,
at 45 or 65 nm. What can be compared is the order in which they put designs, and the ratios.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from snnhw.cost.architecture import load_architecture
from snnhw.cost.bands import DRAWS, Band, draw
from snnhw.cost.constants import Constant
from snnhw.cost.hierarchy import evaluate
from snnhw.cost.operations import LayerOperations, OperationEnergies, OperationEnergy, count_operations, load_operation_energies
from snnhw.cost.workload import record_densities
from snnhw.errors import NetworkError
from snnhw.ir import Delay, Graph

__all__ = ["ARCHITECTURES", "FORMATS", "TextbookEnergy", "textbook_energies"]

FORMATS = ("fp32", "int32", "int8")
"""Number formats whose operations are priced, each with 45 nm energies of Horowitz 2014."""

ARCHITECTURES = ("eyeriss45", "onchip45", "eyeriss-ratios")
"""An Eyeriss-like array with weights in DRAM, the same with all on chip, and Eyeriss with energies normalised to a MAC."""


@dataclass(frozen=True)
class TextbookEnergy:
    """What one model says a sample costs.

    Attributes
    ----------
    model, title : str
        Name, and for people.
    mid_pj : float
        At the middle of its constants.
    band : Band
        Of its constants.
    hardware : str
        What its constants are of; never that of the accelerator.
    """

    model: str
    title: str
    mid_pj: float
    band: Band
    hardware: str

    def as_json(self) -> dict[str, Any]:
        """Return the fields as plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "TextbookEnergy":
        """Restore what :meth:`as_json` returned."""
        return cls(**{**record, "band": Band(**record["band"])})


class _Prices:
    """Operation energies of one format, as a set that can be drawn from."""

    def __init__(self, energies: OperationEnergies, name: str):
        self.name = f"{energies.name}/{name}"
        self._prices = energies[name]

    def __getitem__(self, name: str) -> Constant:
        price: OperationEnergy = getattr(self._prices, name)
        return Constant(low=price.low, mid=price.mid, high=price.high, unit="pJ/access", provenance=price.provenance,
                        source=price.source)


def _operations(layers: list[LayerOperations], energies: OperationEnergies, name: str, draws: int, seed: int) -> TextbookEnergy:
    prices = _Prices(energies, name)
    amounts = {"accumulate": sum(layer.accumulates for layer in layers),
               "multiply_accumulate": sum(layer.multiply_accumulates for layer in layers)}
    drawn = np.zeros(draws)
    for operation, amount in amounts.items():
        drawn += amount * draw(prices, operation, draws=draws, seed=seed)
    mid = sum(amount * prices[operation].mid for operation, amount in amounts.items())
    title = f"accumulates and multiply-accumulates, {name}, no memory"
    return TextbookEnergy(f"operations-{name}", title, mid, Band.of(drawn), energies.title)


def textbook_energies(graph: Graph, trains: Mapping[str, np.ndarray], *, draws: int = DRAWS,
                      seed: int = 0) -> list[TextbookEnergy]:
    """Return what the models of papers say of samples, the mean of them.

    A network that does not fit one of the arrays has no energy there.

    Parameters
    ----------
    graph : Graph
        The network.
    trains : mapping of str to array, (samples, timesteps, elements)
        Spikes of the input, of every layer and of every maximum pool.
    """
    events = {name: np.count_nonzero(train, axis=1).mean(axis=0) for name, train in trains.items()}
    for node in graph.nodes:
        if isinstance(node, Delay):
            events[node.name] = np.count_nonzero(trains[node.inputs[0]][:, :-1], axis=1).mean(axis=0)
    energies = load_operation_energies()
    layers = count_operations(graph, events, graph.timesteps)
    found = [_operations(layers, energies, name, draws, seed) for name in FORMATS]
    workloads = record_densities(graph, trains[graph.input.name])
    for name in ARCHITECTURES:
        architecture = load_architecture(name)
        try:
            result = evaluate(workloads, architecture)
        except NetworkError:
            continue
        found.append(TextbookEnergy(name, architecture.title, result.energy_pj, result.band(draws=draws, seed=seed),
                                    architecture.node))
    return found

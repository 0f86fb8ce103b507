"""Operations times energy per operation: a spiking network against the one without spikes that has the same connections.

Every spike is added once to each neuron that it reaches: an accumulate. In the network without spikes every connection multiplies
and adds once for each sample. Inputs that are not binary multiply in both. Neither memories nor control are in these numbers,
which is how papers compare; the ladder of :mod:`snnhw.cost.rungs` and the architecture model count them.
"""

import math
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, ValidationError, model_validator

from snnhw import ir, network
from snnhw.cost.constants import Record, Text
from snnhw.errors import FileError, UsageError
from snnhw.files import read_bytes
from snnhw.ir import Graph
from snnhw.ir.nodes import Node
from snnhw.network import Network

__all__ = ["LayerOperations", "OperationEnergies", "OperationEnergy", "OperationPrices", "count_operations", "fan_outs",
           "load_operation_energies", "price_operations"]

FOLDER = Path(__file__).resolve().parent / "operation_energies"
MAX_BYTES = 1 << 20
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class OperationEnergy(Record):
    """Energy of one operation, in pJ.

    Parameters
    ----------
    low, mid, high : float
        5 %, 50 % and 95 % of what the value can be.
    provenance : str
        As in :class:`snnhw.cost.Constant`.
    source : str
        Where the value was read, and how it was computed from there.
    """

    low: Positive
    mid: Positive
    high: Positive
    provenance: Literal["measured", "vendor", "derived", "scaled", "assumed"]
    source: Text

    @model_validator(mode="after")
    def _ordered(self) -> "OperationEnergy":
        if not self.low <= self.mid <= self.high:
            raise ValueError(f"low, mid and high must be in this order, not {self.low:g}, {self.mid:g}, {self.high:g}")
        return self


class OperationPrices(Record):
    """What the operations of one number format cost."""

    accumulate: OperationEnergy
    multiply_accumulate: OperationEnergy


class OperationEnergies(Record):
    """Energies of operations of one technology.

    Parameters
    ----------
    name, title, device, node : str
        For files and for people.
    formats : mapping of str to OperationPrices
        By number format: ``"fp32"``, ``"int8"``.
    """

    name: Text
    title: Text
    device: Text
    node: Text
    formats: dict[str, OperationPrices]

    def __getitem__(self, name: str) -> OperationPrices:
        if name not in self.formats:
            raise UsageError(f"number format must be one of {', '.join(self.formats)}, not {name!r}")
        return self.formats[name]


def load_operation_energies(name: str | Path = "horowitz45") -> OperationEnergies:
    """Load energies that come with the package, by name, or the user's, by the path of a ``.toml`` file."""
    known = sorted(path.stem for path in FOLDER.glob("*.toml"))
    if isinstance(name, str) and name in known:
        return _load(FOLDER / f"{name}.toml")
    if Path(name).suffix != ".toml":
        raise UsageError(f"operation energies must be one of {', '.join(known)} or a .toml file, not {str(name)!r}")
    return _load.__wrapped__(Path(name))  # a user's file may change between two calls


@lru_cache
def _load(path: Path) -> OperationEnergies:
    try:
        table = tomllib.loads(read_bytes(path, "operation energies", MAX_BYTES).decode())
    except (ValueError, RecursionError):
        raise FileError(f"operation energies {str(path)!r} must be TOML, and are not") from None
    try:
        return OperationEnergies.model_validate(table)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "its tables"
        message = first["msg"].removeprefix("Value error, ")
        raise FileError(f"operation energies {str(path)!r}: {where}: {message[0].lower() + message[1:]}") from None


def fan_outs(model: Network | Graph) -> dict[str, dict[str, np.ndarray]]:
    """Return how many connections each element of a source has to each layer of neurons, weights of 0 left out.

    Returns
    -------
    dict of str to dict of str to float array, (elements,)
        By layer of neurons, then by source: the input, other neurons, a maximum pool or a delay.
    """
    found: dict[str, dict[str, np.ndarray]] = {}
    for layer in model.neurons:
        sources = found.setdefault(layer.name, {})
        pending = {name: np.ones(model.shapes[name]) for name in layer.inputs}
        # A current is summed before its neurons in the list, so that one pass from the back sees every demand complete.
        for node in reversed(model.nodes):
            if node.name not in pending:
                continue
            demand = pending.pop(node.name)
            if node.fires or isinstance(node, ir.Input | ir.Delay) or not node.inputs:
                sources[node.name] = demand.reshape(-1)
                continue
            for name in node.inputs:
                passed = _transposed(node, demand, model.shapes[name])
                pending[name] = pending[name] + passed if name in pending else passed
    return found


def _transposed(node: Node, demand: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return, for each input element of a map, how much of the `demand` of its outputs it has part in."""
    if isinstance(node, network.Linear | ir.Linear):
        return np.asarray((node.weight != 0).T @ demand, float)
    if isinstance(node, network.Scale | ir.Scale):
        return demand * (node.weight != 0)
    if isinstance(node, ir.Flatten):
        return demand.reshape(shape)
    if not isinstance(node, network.Conv | ir.Conv | network.Pool | ir.SumPool):
        return demand
    window = node.window
    around = zip(window.padding, window.padding_end, strict=True)
    padded = np.zeros((shape[0], *(size + begin + end for size, (begin, end) in zip(shape[1:], around, strict=True))))
    outputs = demand.shape[1:]
    for position, where in window.slices(outputs):
        if isinstance(node, network.Conv | ir.Conv):
            under: Any = (slice(None), slice(None), *position)
            mask = (node.weight[under] != 0).reshape(node.groups, -1, node.weight.shape[1])
            share = mask.transpose(0, 2, 1) @ demand.reshape(node.groups, mask.shape[1], -1)
            padded[(slice(None), *where)] += share.reshape(shape[0], *outputs)
        else:
            padded[(slice(None), *where)] += demand
    inner = tuple(slice(begin, begin + size) for size, begin in zip(shape[1:], window.padding, strict=True))
    found: np.ndarray = padded[(slice(None), *inner)]
    return found


@dataclass(frozen=True)
class LayerOperations:
    """Operations of one layer in one sample.

    Attributes
    ----------
    name : str
        Name of the neurons.
    connections : float
        Multiply-accumulates of the layer without spikes, which are its connections.
    accumulates : float
        Mean accumulates: spikes times the connections of each.
    multiply_accumulates : float
        Mean of those that inputs which are not binary need.
    updates : int
        Neurons times timesteps: every one adds its current to its membrane. Papers leave them out.
    """

    name: str
    connections: float
    accumulates: float
    multiply_accumulates: float
    updates: int


def count_operations(model: Network | Graph, events: Mapping[str, np.ndarray], timesteps: int, *,
                     still: bool = False) -> list[LayerOperations]:
    """Count the operations of each layer of neurons.

    Parameters
    ----------
    model : Network or Graph
        What is computed.
    events : mapping of str to float array, (elements,)
        Mean number of spikes of each element of each source in a sample; inputs that are not binary count one for each timestep
        in which they are not 0.
    timesteps : int
        Length of a sample.
    still : bool
        The input is the same at every timestep, and the first layer's sums are taken once.
    """
    graded = model.input.highest > 1 or model.input.lowest < 0
    found = []
    for name, sources in fan_outs(model).items():
        accumulates = multiplies = 0.0
        for source, fan_out in sources.items():
            if source not in events:
                raise UsageError(f"events must be counted for {source!r}, from which layer {name!r} has its spikes")
            total = float(events[source] @ fan_out)
            if source == model.input.name:
                total /= timesteps if still else 1
                multiplies += total if graded else 0.0
                accumulates += 0.0 if graded else total
            else:
                accumulates += total
        connections = float(sum(fan_out.sum() for fan_out in sources.values()))
        found.append(LayerOperations(name, connections, accumulates, multiplies, math.prod(model.shapes[name]) * timesteps))
    return found


def price_operations(layers: list[LayerOperations], prices: OperationPrices, *,
                     reference: list[LayerOperations] | None = None) -> dict[str, Any]:
    """Return what a sample costs, and what the network without spikes does.

    Parameters
    ----------
    layers : list of LayerOperations
        Of the spiking network.
    prices : OperationPrices
        What an operation costs.
    reference : list of LayerOperations, optional
        Layers of another network, whose connections are those of the network without spikes: that before pruning, say.

    Returns
    -------
    dict
        ``spiking_pj``, ``matching_pj``, their ``ratio`` (above 1: spikes are cheaper), ``updates_pj``, which are in neither,
        and ``layers``. Plain values.
    """
    add, multiply = prices.accumulate.mid, prices.multiply_accumulate.mid
    spiking = sum(layer.accumulates * add + layer.multiply_accumulates * multiply for layer in layers)
    matching = sum(layer.connections for layer in reference or layers) * multiply
    return {"spiking_pj": spiking, "matching_pj": matching, "ratio": matching / spiking if spiking else None,
            "updates_pj": sum(layer.updates for layer in layers) * add, "layers": [asdict(layer) for layer in layers]}

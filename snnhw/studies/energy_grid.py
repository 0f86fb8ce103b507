"""The experiment of Schaefer et al. (2023) on generated hardware: widths, sparsities and two ways to prune, of two networks.

Points without structure are those of :mod:`snnhw.studies.quantize_prune`, schedule ``joint``. Beside them stand points that are
pruned in banks: as many weights for each lane and each group of presynaptic elements. All points of a network are trained from
the same float network, for the same number of epochs.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from snnhw.compress.config import PruneConfig, Recipe
from snnhw.compress.prune import magnitude_masks
from snnhw.ir import Flatten, Graph, Readout, load_graph
from snnhw.ir.windows import Window
from snnhw.network import Behaviour, Conv, Linear, Network, Neuron
from snnhw.studies.cache import RunCache
from snnhw.studies.quantize_prune import BITS, DIGITS, MNIST, Point, Setting, Study

__all__ = ["CONVOLUTION", "LOADED", "NETWORKS", "SPARSITIES", "GridPoint", "GridStudy", "balanced_mask", "every_grid_point",
           "grid_study"]

SPARSITIES = 0.0, 0.75, 0.8, 0.85, 0.9, 0.95
LANES = 4  # so that a bank of 128 neurons has 32 weights, and every sparsity its own number of them
LOADED = "weights loaded"
"""Hardware with the weights in the large single-port memories of the board, written at start-up, in place of fixed ones."""
REVISION = 1

Structure = Literal["none", "unstructured", "bank"]

CONVOLUTION = replace(MNIST, hidden=0, timesteps=6, held_out=1000, float_samples=50_000, float_epochs=3, float_rate=4e-3,
                      samples=6_000, epochs=2, rate=4e-3, batch=64)
CHANNELS = 16, 32
SMALL_BATCH = 64  # of the float network
SPARED = "conv1"  # 3 % of the weights, which see the image: they are not pruned


@dataclass(frozen=True, order=True)
class GridPoint:
    """One way to compress.

    Parameters
    ----------
    bits : int
        Width of a weight; 2 is ternary.
    sparsity : float
        Share of weights that are to be pruned.
    structure : str
        ``"none"`` without pruning, ``"unstructured"``: the smallest of the network, ``"bank"``: the smallest of each bank.
    """

    bits: int
    sparsity: float = 0.0
    structure: Structure = "none"

    def __post_init__(self) -> None:
        if not 0 <= self.sparsity < 1:
            raise ValueError(f"Sparsity must be from 0 to below 1, not {self.sparsity!r}")
        if self.structure not in ("none", "unstructured", "bank") or (self.structure == "none") != (self.sparsity == 0):
            raise ValueError("Structure must be 'unstructured' or 'bank' with a sparsity and 'none' without, "
                             f"not {self.structure!r}")

    @property
    def title(self) -> str:
        """What it is called on a page."""
        width = "ternary" if self.bits == 2 else f"{self.bits} b"
        return width if not self.sparsity else f"{width}, {self.sparsity * 100:g} % {self.structure}"

    @property
    def joint(self) -> Point:
        """The point of the training study that it begins as."""
        return Point("joint", self.bits, self.sparsity if self.structure == "unstructured" else 0.0)


def every_grid_point(bits: tuple[int, ...] = BITS, sparsities: tuple[float, ...] = SPARSITIES) -> tuple[GridPoint, ...]:
    """Return the grid, the points that conclusions rest on first: no pruning, then 80 %."""
    order = sorted(sparsities, key=lambda sparsity: (sparsity != 0, abs(sparsity - 0.8), sparsity))
    return tuple(GridPoint(width, sparsity, structure) for sparsity in order
                 for structure in (("unstructured", "bank") if sparsity else ("none",)) for width in bits)


def balanced_mask(magnitudes: np.ndarray, sparsity: float, lane: np.ndarray, span: int = 1) -> np.ndarray:
    """Return a mask that keeps the same number of the largest weights in each bank, at least one, the first ones on a tie.

    Parameters
    ----------
    magnitudes : float array, (outputs, ...)
        Behind the first axis, presynaptic elements.
    sparsity : float
        Share of a bank that is dropped, to the nearest number of weights.
    lane : int array, (outputs,)
        Lane of each output.
    span : int
        Successive presynaptic elements that share a bank.
    """
    columns = magnitudes.reshape(len(magnitudes), -1)
    if columns.shape[1] % span:
        raise ValueError(f"Span must divide the {columns.shape[1]} presynaptic elements, not {span}")
    keep = max(1, round((1 - sparsity) * int(np.bincount(lane).max()) * span))
    mask = np.zeros(columns.shape, bool)
    for one in range(int(lane.max()) + 1):
        rows = np.flatnonzero(lane == one)
        banks = columns[rows].reshape(len(rows), -1, span).transpose(1, 0, 2).reshape(-1, len(rows) * span)
        chosen = np.zeros(banks.shape, bool)
        np.put_along_axis(chosen, np.argsort(-banks, axis=1, kind="stable")[:, :keep], True, axis=1)
        mask[rows] = chosen.reshape(-1, len(rows), span).transpose(1, 0, 2).reshape(len(rows), -1)
    return mask.reshape(magnitudes.shape)


class GridStudy(Study):
    """The fully connected network of the training study, also pruned in banks.

    A bank is what one lane stores for one presynaptic neuron.

    Parameters
    ----------
    name : str
        Of the network, in records.
    setting : Setting
        Data and training.
    cache : RunCache
        Where results are, and go.
    lanes : int
        Of every layer; more than neurons or channels are never built.
    """

    def __init__(self, name: str, setting: Setting, cache: RunCache, lanes: int = LANES) -> None:
        super().__init__(setting, cache)
        self.name = name
        self.lanes = lanes

    def facts(self) -> dict[str, Any]:
        """Return what a page says of the network and its training."""
        setting = self.setting
        return {"layers": self._layers(), "timesteps": setting.timesteps, "tested": setting.tested,
                "training": f"{setting.epochs} epochs on {setting.samples:,} images"}

    def _layers(self) -> str:
        return f"{self.images.inputs}-{self.setting.hidden}-{self.images.classes}"

    def lane_of(self, name: str, outputs: int) -> np.ndarray:
        """Return the lane of each neuron or channel of a layer of weights."""
        return np.arange(outputs) % min(self.lanes, outputs)

    def span_of(self, name: str) -> int:
        """Return how many presynaptic elements share a bank."""
        return 1

    def masks(self, weights: Mapping[str, np.ndarray], point: GridPoint) -> dict[str, np.ndarray]:
        """Return which weights stay in each layer: as many in each bank, or the largest of each layer."""
        if point.structure == "bank":
            return {name: balanced_mask(np.abs(weight), point.sparsity, self.lane_of(name, len(weight)), self.span_of(name))
                    for name, weight in weights.items()}
        return magnitude_masks(weights, PruneConfig(sparsity=point.sparsity, scope="layer"))

    def is_own(self, point: GridPoint) -> bool:
        """Whether a point is none of the training study."""
        return point.structure == "bank"

    def grid_key(self, what: str, seed: int, point: GridPoint, **more: Any) -> dict[str, Any]:
        """Return the key of a run of a point."""
        return {"study": "energy-grid", "revision": REVISION, "what": what, "network": self.name, "setting": asdict(self.setting),
                "seed": seed, "lanes": self.lanes, **asdict(point), **more}

    def trained(self, seed: int, point: GridPoint) -> dict[str, Any]:
        """Train one point, or find it; see :meth:`Study.point`."""
        if not self.is_own(point):
            return self.point(seed, point.joint)
        key = self.grid_key("point", seed, point)
        path = self.cache.path(key, ".graph.safetensors")
        return self.cache.run(key, lambda: self._train(seed, Point("joint", point.bits), path,
                                                       lambda weights: self.masks(weights, point)))

    def grid_graph(self, seed: int, point: GridPoint) -> Graph:
        """Return the integer graph of a point."""
        if not self.is_own(point):
            return self.graph(seed, point.joint)
        self.trained(seed, point)
        return load_graph(self.cache.path(self.grid_key("point", seed, point), ".graph.safetensors"))


class ConvolutionStudy(GridStudy):
    """A small convolutional network: two convolutions with stride 2, and the classes.

    Without structure, the smallest weights of each layer are pruned: those of the whole network would be the last layer. A bank
    is what one lane stores for one presynaptic channel: of a kernel all its positions, of the last layer those of the image. The
    first layer is not pruned.
    """

    def grid_key(self, what: str, seed: int, point: GridPoint, **more: Any) -> dict[str, Any]:
        return super().grid_key(what, seed, point, channels=CHANNELS, spared=SPARED, **more)

    def masks(self, weights: Mapping[str, np.ndarray], point: GridPoint) -> dict[str, np.ndarray]:
        return super().masks(weights, point) | {SPARED: np.ones(weights[SPARED].shape, bool)}

    def _key(self, what: str, **more: Any) -> dict[str, Any]:
        return super()._key(what, network=self.name, channels=CHANNELS, **more)

    def _recipe(self, seed: int, point: Point | None = None) -> Recipe:
        recipe = super()._recipe(seed, point)
        return recipe if point else recipe.model_copy(update={"batch": SMALL_BATCH})

    def _network(self, weights: dict[str, np.ndarray]) -> Network:
        behaviour = Behaviour(0.5, 1.0, ">=", "zero")
        return Network(self.setting.data, (
            self._entry(),
            Conv("conv1", ("input",), weights["conv1.weight"], weights["conv1.bias"], Window((5, 5), (2, 2))),
            Neuron("lif1", ("conv1",), behaviour),
            Conv("conv2", ("lif1",), weights["conv2.weight"], weights["conv2.bias"], Window((3, 3), (2, 2))),
            Neuron("lif2", ("conv2",), behaviour), Flatten("flat", ("lif2",)),
            Linear("fc3", ("flat",), weights["fc3.weight"], weights["fc3.bias"]), Neuron("lif3", ("fc3",), behaviour),
            Readout("readout", ("lif3",))), self.setting.timesteps)

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        rows, columns = (((size - 5) // 2 + 1 - 3) // 2 + 1 for size in self.images.shape[-2:])
        return {"conv1": (CHANNELS[0], self.images.shape[0], 5, 5), "conv2": (CHANNELS[1], CHANNELS[0], 3, 3),
                "fc3": (self.images.classes, CHANNELS[1] * rows * columns)}

    def _begin(self, seed: int) -> Network:
        """Return the network before training: uniform weights, those after spikes larger than those after pixels."""
        rng = np.random.default_rng(seed)
        weights: dict[str, np.ndarray] = {}
        for index, (name, shape) in enumerate(self._shapes().items()):
            bound = (2 if index == 0 else 4) / math.sqrt(math.prod(shape[1:]))
            weights[f"{name}.weight"] = rng.uniform(-bound, bound, shape)
            weights[f"{name}.bias"] = np.zeros(shape[0])
        return self._network(weights)

    def is_own(self, point: GridPoint) -> bool:
        return point.structure != "none"

    def _layers(self) -> str:
        shapes = self._shapes()
        return (f"convolution {shapes['conv1'][1]}-{CHANNELS[0]} 5x5 stride 2, convolution {CHANNELS[0]}-{CHANNELS[1]} 3x3 "
                f"stride 2, {shapes['fc3'][1]}-{shapes['fc3'][0]}")

    def lane_of(self, name: str, outputs: int) -> np.ndarray:
        """Return the lane of each channel: neighbours share one, where layers are stored in blocks."""
        if name == "fc3":
            return super().lane_of(name, outputs)
        return np.arange(outputs) // -(-outputs // self.lanes)

    def span_of(self, name: str) -> int:
        """Return the positions of a kernel, or of the image before the classes."""
        shape = self._shapes()[name]
        return math.prod(shape[2:]) if len(shape) > 2 else shape[1] // CHANNELS[1]


NETWORKS = {"mnist-fc": MNIST, "mnist-conv": CONVOLUTION, "digits-fc": DIGITS}


def grid_study(name: str, cache: RunCache, setting: Setting | None = None) -> GridStudy:
    """Return the study of a network of :data:`NETWORKS`."""
    kind = ConvolutionStudy if name.endswith("-conv") else GridStudy
    return kind(name, setting or NETWORKS[name], cache)

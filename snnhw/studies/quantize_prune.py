"""The experiment of Schaefer et al. (2023) on networks of this project: quantization, pruning, and both, from one float network.

For each seed a float network is trained once. Every point starts from it and is trained for the same number of epochs, with the
quantizer of the paper (what weights are divided by, and what an integer is worth, learned apart) and with one-shot pruning of the
smallest weights of the whole network. Three schedules:

``joint``
    Masks and integers from the first epoch on. Without pruning this is quantization alone, with 8 bits it is what the paper
    calls pruning: the two isolated schedules are its edges.
``cumulative``
    Masks from the first epoch on, integers from the middle on, where the learning rate starts anew.

Neurons are those of the paper: ``u = u/2 + I``, a spike and ``u = 0`` where ``u >= 1``; the paper's half of ``I`` is
part of the weights.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from snnhw import ir
from snnhw.compress.config import EncodingConfig, PruneConfig, QuantConfig, Recipe, StageConfig
from snnhw.compress.data import Dataset, load_dataset
from snnhw.compress.prune import apply_masks
from snnhw.compress.spikes import make_encoder
from snnhw.compress.train import classify, finetune, reproducible, spike_trains, train_float
from snnhw.compress.trainable import TrainableNetwork
from snnhw.cost.encodings import parse_encoding
from snnhw.cost.workload import record_densities
from snnhw.files import read_tensors, write_tensors
from snnhw.ir import Encoding, Flatten, Graph, Input, Readout, load_graph, save_graph
from snnhw.network import Behaviour, Linear, Network, Neuron
from snnhw.plan import make_plan
from snnhw.reference import run
from snnhw.studies.cache import RunCache
from snnhw.verify import check_undisturbed, compile_plan

__all__ = ["BITS", "CHECKED", "CORE", "DIGITS", "ENCODINGS", "FASHION", "LEVELS", "MNIST", "Point", "Setting", "Study",
           "every_point"]

BITS = 2, 3, 4, 6, 8
LEVELS = 0.0, 0.75, 0.8, 0.85, 0.9, 0.925, 0.95, 0.975
ENCODINGS = "dense", "rle4", "cp", "uop", "ubm", "bitmask", "csr"
"""Whose exact bits are counted for every layer."""
STATE_BITS = 16
FLOAT_BATCH = 128
LANES = 8
REVISION = 1  # of what a run computes

Progress = Callable[[str], None]
Choose = Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]
"""From weights by name of their layer to masks, set where a weight stays."""


@dataclass(frozen=True, order=True)
class Point:
    """One way to compress.

    Parameters
    ----------
    schedule : str
        ``"joint"`` or ``"cumulative"``.
    bits : int
        Width of a weight; 2 is ternary.
    pruned : float
        Share of all weights that are pruned.
    """

    schedule: str
    bits: int
    pruned: float = 0.0

    def __post_init__(self) -> None:
        if self.schedule not in ("joint", "cumulative"):
            raise ValueError(f"Schedule must be 'joint' or 'cumulative', not {self.schedule!r}")
        if self.bits not in range(2, 17):
            raise ValueError(f"Weight width must be between 2 and 16 bits, not {self.bits!r}")
        if not 0 <= self.pruned < 1:
            raise ValueError(f"Pruned share must be from 0 to below 1, not {self.pruned!r}")

    @property
    def title(self) -> str:
        """What it is called on a page."""
        width = "ternary" if self.bits == 2 else f"{self.bits} b"
        return width if not self.pruned else f"{width} + {self.pruned * 100:g} % {self.schedule}"


CHECKED = (Point("joint", 2), Point("joint", 3), Point("joint", 8, 0.8), Point("joint", 3, 0.8), Point("cumulative", 3, 0.8),
           Point("joint", 2, 0.75))
"""The points whose hardware is simulated and held against the reference."""


CORE = (*CHECKED, Point("joint", 8), Point("joint", 8, 0.9), Point("joint", 8, 0.85), Point("joint", 8, 0.95),
        Point("cumulative", 8, 0.8), Point("cumulative", 8, 0.9), Point("joint", 4), Point("joint", 6),
        Point("joint", 2, 0.85), Point("cumulative", 2, 0.85), Point("joint", 8, 0.975))
"""The points that claims rest on; the others of the grid make them finer."""


def every_point() -> tuple[Point, ...]:
    """Return the grid of the paper, the core first."""
    whole = [Point("joint", bits, pruned) for pruned in LEVELS for bits in BITS]
    whole += [Point("cumulative", bits, pruned) for pruned in LEVELS[1:] for bits in BITS]
    return (*CORE, *(point for point in whole if point not in CORE))


@dataclass(frozen=True)
class Setting:
    """Network, data and training of a study.

    Parameters
    ----------
    data : str
        Name of the data set: images.
    hidden : int
        Neurons between the inputs and the classes.
    timesteps : int
        Length of a sample: a pixel of value v of L spikes ``v * timesteps / L`` times, evenly spaced.
    held_out : int
        Last samples of the training split, never trained on: points are chosen by them, and reported on the test split.
    float_samples, float_epochs, float_rate
        Training of the float network on the first samples.
    samples, epochs, rate
        Training of each point on the first samples.
    batch : int
        Samples of a training step.
    counted : int
        First test samples, whose densities are recorded by the integer reference.
    tested : int
        First test samples that decide the accuracy.
    """

    data: str
    hidden: int
    timesteps: int
    held_out: int
    float_samples: int
    float_epochs: int
    float_rate: float
    samples: int
    epochs: int
    rate: float
    batch: int
    counted: int
    tested: int


MNIST = Setting("mnist", 128, 8, 5000, 30_000, 3, 2e-3, 20_000, 2, 2e-3, 128, 200, 10_000)
FASHION = replace(MNIST, data="fashion")
DIGITS = Setting("digits", 32, 8, 200, 1000, 20, 5e-3, 1000, 8, 5e-3, 64, 100, 400)


class Study:
    """The experiment with one setting.

    Parameters
    ----------
    setting : Setting
        Network, data, training.
    cache : RunCache
        Where results are, and go.
    """

    def __init__(self, setting: Setting, cache: RunCache) -> None:
        self.setting = setting
        self.cache = cache

    # ------------------------------------------------------------------ data

    @cached_property
    def images(self) -> Dataset:
        """Pixels: what is trained on and what is held out, in the order of the files; the first test samples."""
        setting = self.setting
        data = load_dataset(setting.data, 0, Path())
        return replace(data, test_values=data.test_values[:setting.tested], test_labels=data.test_labels[:setting.tested])

    @cached_property
    def _spikes(self) -> Dataset:
        """What points are trained and tested on, encoded once."""
        setting, images = self.setting, self.images
        encode = make_encoder(self._encoding, setting.timesteps, images.inputs)
        values = [encode(part).astype(np.uint8) for part in (images.train_values[:setting.samples], images.test_values)]
        return Dataset(images.name, 1, values[0], images.train_labels[:setting.samples], values[1], images.test_labels,
                       images.shape, images.names)

    @cached_property
    def _held_out(self) -> tuple[np.ndarray, np.ndarray]:
        """Spikes and labels of the samples that are held out."""
        setting, images = self.setting, self.images
        encode = make_encoder(self._encoding, setting.timesteps, images.inputs)
        return (encode(images.train_values[-setting.held_out:]).astype(np.uint8), images.train_labels[-setting.held_out:])

    @property
    def _encoding(self) -> Encoding:
        return Encoding("accumulate", self.images.levels, 0)

    def samples(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return spikes, uint8 (count, timesteps, inputs), and labels of the first test samples."""
        return self._spikes.test_values[:count], self._spikes.test_labels[:count]

    # -------------------------------------------------------------- networks

    def _recipe(self, seed: int, point: Point | None = None) -> Recipe:
        setting = self.setting
        common: dict[str, Any] = {"data": setting.data, "timesteps": setting.timesteps, "seed": seed, "loss": "rate",
                                  "batch": setting.batch if point else FLOAT_BATCH}
        if point is None:
            return Recipe(**common, encoding=EncodingConfig(kind="accumulate", levels=self.images.levels),
                          samples=setting.float_samples,
                          pretrain=StageConfig(epochs=setting.float_epochs, learning_rate=setting.float_rate))
        when: Literal["before"] | int = "before" if point.schedule == "joint" else setting.epochs // 2
        return Recipe(**common, encoding=EncodingConfig(kind="events"), samples=setting.samples,
                      finetune=StageConfig(epochs=setting.epochs, learning_rate=setting.rate),
                      quantize=QuantConfig(weight_bits=point.bits, scale="clip", state_bits=STATE_BITS, decay="shift", when=when),
                      prune=PruneConfig(sparsity=point.pruned, scope="global"))

    def _entry(self) -> Input:
        return Input("input", (), self.images.shape, self._encoding, 0, 1)

    def _network(self, weights: dict[str, np.ndarray]) -> Network:
        behaviour = Behaviour(0.5, 1.0, ">=", "zero")
        return Network(self.setting.data, (
            self._entry(), Flatten("flat", ("input",)),
            Linear("fc1", ("flat",), weights["fc1.weight"], weights["fc1.bias"]), Neuron("lif1", ("fc1",), behaviour),
            Linear("fc2", ("lif1",), weights["fc2.weight"], weights["fc2.bias"]), Neuron("lif2", ("fc2",), behaviour),
            Readout("readout", ("lif2",))), self.setting.timesteps)

    def _begin(self, seed: int) -> Network:
        """Return the network before training: uniform weights, those after spikes larger than those after pixels."""
        rng = np.random.default_rng(seed)
        sizes = self.images.inputs, self.setting.hidden, self.images.classes
        weights: dict[str, np.ndarray] = {}
        for index, (inputs, outputs) in enumerate(((sizes[0], sizes[1]), (sizes[1], sizes[2])), start=1):
            weights[f"fc{index}.weight"] = index * rng.uniform(-1, 1, (outputs, inputs)) / np.sqrt(inputs)
            weights[f"fc{index}.bias"] = np.zeros(outputs)
        return self._network(weights)

    def _accuracy(self, network: TrainableNetwork, recipe: Recipe) -> tuple[float, float]:
        """Return the accuracy on what is held out and on the test split."""
        values, labels = self._held_out
        found = []
        for inputs, right in ((values, labels), (self._spikes.test_values, self._spikes.test_labels)):
            decisions = classify(lambda spikes: network(spikes, self.setting.timesteps).logits, recipe,
                                 self.setting.timesteps, inputs)
            found.append(float((decisions == right).mean()))
        return found[0], found[1]

    # ------------------------------------------------------------------ runs

    def _key(self, what: str, **more: Any) -> dict[str, Any]:
        return {"study": "quantize-prune", "revision": REVISION, "what": what, "setting": asdict(self.setting), **more}

    def _float_key(self, seed: int) -> dict[str, Any]:
        """Return the key of a float network, which does not depend on how points are trained."""
        setting = {name: value for name, value in asdict(self.setting).items()
                   if name not in ("samples", "epochs", "rate", "batch", "counted")}
        return self._key("float", seed=seed, batch=FLOAT_BATCH) | {"setting": setting}

    def pretrained(self, seed: int) -> dict[str, Any]:
        """Train the float network of a seed, or find it: ``validation``, ``test``, ``losses``."""
        key = self._float_key(seed)
        path = self.cache.path(key, ".safetensors")

        def train() -> dict[str, Any]:
            recipe = self._recipe(seed)
            setting = self.setting
            data = replace(self.images, train_values=self.images.train_values[:-setting.held_out],
                           train_labels=self.images.train_labels[:-setting.held_out])
            with reproducible(seed):
                network = TrainableNetwork(self._begin(seed))
                losses = train_float(network, recipe, data)
            weighted = {f"{name}.{part}" for name in network.weighted for part in ("weight", "bias")}
            write_tensors(path, {name: tensor.detach().numpy() for name, tensor in network.slots().items()
                                 if name in weighted})
            validation, test = self._accuracy(network, recipe.model_copy(update={"encoding": EncodingConfig(kind="events")}))
            return {"validation": validation, "test": test, "losses": losses}

        return self.cache.run(key, train)

    def point(self, seed: int, point: Point) -> dict[str, Any]:
        """Train one point, or find it.

        Returns
        -------
        dict
            ``validation`` and ``test`` accuracy; ``layers``: what :func:`record_densities` found; ``exact``: payload and
            metadata bits by encoding and layer; ``compared`` and ``differences``: words of the trained network and of the
            integer reference, spikes and membranes; ``losses``.
        """
        key = self._key("point", seed=seed, **asdict(point))
        return self.cache.run(key, lambda: self._train(seed, point, self.cache.path(key, ".graph.safetensors")))

    def _train(self, seed: int, point: Point, path: Path, choose: Choose | None = None) -> dict[str, Any]:
        """Train a point and save its graph; `choose` returns the weights that stay, in the place of the point's own pruning."""
        self.pretrained(seed)
        weights, _ = read_tensors(self.cache.path(self._float_key(seed), ".safetensors"), "float network")
        recipe = self._recipe(seed, point)
        with reproducible(seed):
            network = TrainableNetwork(self._network(weights))
            if choose is not None:
                apply_masks(network, choose({name: weights[f"{name}.weight"] for name in network.weighted}))
            losses = finetune(network, recipe, self._spikes)
            validation, test = self._accuracy(network, recipe)
            graph = network.graph(self._entry(), self.setting.timesteps, name=self.setting.data)
            spikes, _ = self.samples(self.setting.counted)
            compared, differences = _compare(network, recipe, graph, spikes)
        save_graph(graph, path)
        exact = {name: {node.name: asdict(parse_encoding(name).exact(node.weight, node.weight_bits))
                        for node in graph.nodes if isinstance(node, ir.Linear)} for name in ENCODINGS}
        return {"validation": validation, "test": test, "losses": losses, "compared": compared, "differences": differences,
                "layers": [asdict(layer) for layer in record_densities(graph, spikes)], "exact": exact}

    def graph(self, seed: int, point: Point) -> Graph:
        """Return the integer graph of a point."""
        self.point(seed, point)
        return load_graph(self.cache.path(self._key("point", seed=seed, **asdict(point)), ".graph.safetensors"))

    def hardware(self, seed: int, point: Point, samples: int, lanes: int = LANES) -> dict[str, Any]:
        """Simulate the hardware of a point, or find what that gave: words and cycles compared, and how many differ."""
        def simulate() -> dict[str, Any]:
            plan = make_plan(self.graph(seed, point), lanes=lanes)
            spikes, labels = self.samples(samples)
            check = check_undisturbed(compile_plan(plan, optimize="-O1"), spikes.astype(bool))
            counts = check.comparison.counts()
            return {"samples": len(labels), "problem": check.problem, "cycles": check.simulation.total_cycles,
                    "access_counts": check.access_counts, "access_mismatches": check.access_mismatches, **counts}

        return self.cache.run(self._hardware_key(seed, point, samples, lanes), simulate)

    def hardware_found(self, seed: int, point: Point, samples: int, lanes: int = LANES) -> dict[str, Any] | None:
        """Return what simulating the hardware gave, if that is finished."""
        return self.cache.get(self._hardware_key(seed, point, samples, lanes))

    def _hardware_key(self, seed: int, point: Point, samples: int, lanes: int) -> dict[str, Any]:
        return self._key("hardware", seed=seed, samples=samples, lanes=lanes, **asdict(point))

    def run(self, seeds: tuple[int, ...], points: tuple[Point, ...], progress: Progress | None = None) -> None:
        """Do every run that is not finished."""
        total, done = len(seeds) * len(points), 0
        for seed in seeds:
            for point in points:
                done += 1
                if self.find(seed, point) is None:
                    found = self.point(seed, point)
                    if progress is not None:
                        progress(f"{self.setting.data}, seed {seed}, {point.title}: {found['test']:.2%} ({done} of {total})")

    def find(self, seed: int, point: Point) -> dict[str, Any] | None:
        """Return a point if it is finished."""
        return self.cache.get(self._key("point", seed=seed, **asdict(point)))

    def found(self, seeds: tuple[int, ...], points: tuple[Point, ...]) -> Iterator[tuple[int, Point, dict[str, Any]]]:
        """Return the points that are finished."""
        for seed in seeds:
            for point in points:
                if (result := self.find(seed, point)) is not None:
                    yield seed, point, result


def _compare(network: TrainableNetwork, recipe: Recipe, graph: Graph, spikes: np.ndarray) -> tuple[int, int]:
    """Return how many spikes and membranes of all layers were compared with the integer reference, and how many differ."""
    trace = run(graph, spikes)
    found = network(spike_trains(recipe, spikes.shape[1], spikes.shape[2])(spikes), keep=True)
    compared = differences = 0
    for name in network.neurons:
        for mine, other in ((found.spikes, trace.spikes), (found.membranes, trace.membranes)):
            words = mine[name].detach().transpose(0, 1).numpy()
            compared += words.size
            differences += int((words != other[name]).sum())
    return compared, differences

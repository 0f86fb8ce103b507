"""The claims of the papers on STDP networks, measured: one function for each, which returns plain values.

Every function takes data, seeds and a progress function. The sweeps use 100 neurons and a part of the training images, which is
said in the result; the test images are the first ones of the test split. Nothing is chosen by them; the narrowest words of C3
are read off them.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from snnhw.stdp.config import CompetitionConfig, LearningConfig, NeuronConfig, StdpRecipe
from snnhw.stdp.data import StdpData
from snnhw.stdp.explore import sensitivity
from snnhw.stdp.formats import Fixed, Formats, Rounding
from snnhw.stdp.memory import memory_bits, memory_items
from snnhw.stdp.network import StdpNetwork
from snnhw.stdp.train import Progress, Training, evaluate, train_stdp

__all__ = ["CLAIMS", "claim_c1", "claim_c3", "claim_c4", "claim_c5", "study_recipe"]

ROUNDINGS: tuple[Rounding, ...] = ("truncate", "nearest", "stochastic")
SEEDS = (1, 2, 3)
NEURONS, TRAIN, LABELS, TEST = 100, 5000, 2000, 2000
MEMBRANE, THRESHOLD = Fixed(11, 7), Fixed(11, 0)


def _silent(stage: str, done: int, total: int, text: str) -> None:
    """Say nothing."""


def study_recipe(seed: int, **changes: object) -> StdpRecipe:
    """Return the recipe of the studies."""
    recipe = StdpRecipe(
        neurons=NEURONS, timesteps=64, seed=seed, batch=16,
        neuron=NeuronConfig(threshold=10.0, theta_start=75.0, theta_plus=2.5, theta_tau=600.0),
        competition=CompetitionConfig(form="lateral", strength=128, reset=128.0), learning=LearningConfig(norm=39.2))
    return recipe.changed(**changes)


def _sizes(train: int, test: int, seeds: Sequence[int]) -> dict[str, Any]:
    return {"neurons": NEURONS, "train_samples": train, "label_samples": min(LABELS, train), "test_samples": test,
            "seeds": list(seeds)}


def _score(network: StdpNetwork, data: StdpData, seed: int, test: int) -> float:
    scores = evaluate(network, data, label_samples=min(LABELS, len(data.train_values)), split="test", samples=test,
                      generator=np.random.default_rng(seed))
    return scores.accuracy["weighted"]


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"mean": float(np.mean(values)), "lowest": float(min(values)), "highest": float(max(values))}


def _inference_bits(network: StdpNetwork) -> int:
    return memory_bits(memory_items(network.inputs, network.neurons, network.competition, network.formats), training=False)


def _networks(data: StdpData, seeds: Sequence[int], progress: Progress, train: int) -> list[Training]:
    found = []
    for seed in seeds:
        found.append(train_stdp(study_recipe(seed), data.first(train)))
        progress("training", len(found), len(seeds), f"seed {seed}")
    return found


def claim_c1(data: StdpData, seeds: Sequence[int] = SEEDS, progress: Progress = _silent, *, train: int = TRAIN,
             test: int = TEST) -> dict[str, Any]:
    """Measure C1: four times less memory, within 1 % of the accuracy, by 8-bit fixed point after training.

    Weights, membranes and thresholds are quantized, ``Q1.7``, ``Q11.7`` and ``Q11.0``, with each rounding; the memory counts
    every word that inference stores. The best rounding is chosen on validation samples.
    """
    rows = []
    for seed, training in zip(seeds, _networks(data, seeds, progress, train), strict=True):
        network = training.network
        row: dict[str, Any] = {"seed": seed, "float32": _score(network, data.first(train), seed, test)}
        validation = {}
        for rounding in ROUNDINGS:
            formats = Formats(Fixed(1, 7), MEMBRANE, THRESHOLD, None, rounding)
            quantized = network.quantized(formats, np.random.default_rng(seed))
            row[rounding] = _score(quantized, data.first(train), seed, test)
            validation[rounding] = evaluate(quantized, data.first(train, 1000), label_samples=min(LABELS, train),
                                            generator=np.random.default_rng(seed)).accuracy["weighted"]
        row["best"] = max(ROUNDINGS, key=lambda name: validation[name])
        row["loss"] = row["float32"] - row[row["best"]]
        row["memory_ratio"] = _inference_bits(network) / _inference_bits(quantized)
        rows.append(row)
        progress("C1", len(rows), len(seeds), f"seed {seed}: loss {row['loss']:.2%}")
    loss, ratio = _spread([row["loss"] for row in rows]), rows[0]["memory_ratio"]
    return {"claim": "C1", "text": "8-bit fixed point: 4x less memory within 1 % of the accuracy (MNIST, unsupervised)",
            "paper": "about 4x, within 1 %", "ours": {"memory_ratio": ratio, "loss": loss,
                                                      "float32": _spread([row["float32"] for row in rows])},
            "holds": ratio >= 3.8 and loss["mean"] <= 0.01, "rows": rows, **_sizes(train, test, seeds)}


def claim_c3(data: StdpData, seeds: Sequence[int] = SEEDS, progress: Progress = _silent, *, train: int = TRAIN, test: int = TEST,
             loss: float = 0.01) -> dict[str, Any]:
    """Measure C3: the state of a neuron needs more bits than a weight.

    One class of words at a time is quantized after training; below its smallest width the loss exceeds `loss`.
    """
    rows: list[dict[str, Any]] = []
    for seed, training in zip(seeds, _networks(data, seeds, progress, train), strict=True):
        found = sensitivity(training.network, data.first(train), label_samples=min(LABELS, train), split="test", samples=test,
                            seed=seed)
        rows.append({"seed": seed, **{item.name: item.plain(loss) for item in found}})
        progress("C3", len(rows), len(seeds), ", ".join(f"{item.name} {item.smallest(loss)}" for item in found))
    bits = {name: [row[name]["smallest_bits"] for row in rows] for name in ("weight", "membrane", "threshold")}
    known = all(value is not None for values in bits.values() for value in values)
    return {"claim": "C3", "text": "membranes and thresholds need more bits than weights",
            "paper": "for example Q1.4 against Q11.16",
            "ours": {"smallest_bits": bits, "smallest": {name: [row[name]["smallest"] for row in rows] for name in bits}},
            "holds": known and all(min(membrane, threshold) > weight for weight, membrane, threshold in zip(
                bits["weight"], bits["membrane"], bits["threshold"], strict=True)),
            "loss": loss, "rows": rows, **_sizes(train, test, seeds)}


def claim_c4(data: StdpData, seeds: Sequence[int] = SEEDS, progress: Progress = _silent, *, train: int = 2000, test: int = TEST,
             bits: Sequence[int] = (4, 8)) -> dict[str, Any]:
    """Measure C4: the rounding scheme changes the result at low widths.

    Weights of each width are rounded in training, where small updates may vanish, and after it; all other words stay float32.
    """
    rows: list[dict[str, Any]] = []
    part = data.first(train)
    for seed in seeds:
        network = train_stdp(study_recipe(seed), part).network
        row: dict[str, Any] = {"seed": seed, "float32": _score(network, part, seed, test), "after": {}, "training": {}}
        for width in bits:
            form = Fixed(1, width - 1)
            for rounding in ROUNDINGS:
                name = f"{width} {rounding}"
                quantized = network.quantized(Formats(form, None, None, None, rounding), np.random.default_rng(seed))
                row["after"][name] = _score(quantized, part, seed, test)
                recipe = study_recipe(seed, formats__weight=str(form), formats__membrane=None, formats__threshold=None,
                                      formats__rounding=rounding, formats__when="training")
                row["training"][name] = _score(train_stdp(recipe, part).network, part, seed, test)
                progress("C4", len(rows), len(seeds), f"seed {seed}, {name} bits: after {row['after'][name]:.2%}, "
                                                      f"in training {row['training'][name]:.2%}")
        rows.append(row)

    def ranges(when: str, width: int) -> float:
        means = [float(np.mean([row[when][f"{width} {rounding}"] for row in rows])) for rounding in ROUNDINGS]
        return max(means) - min(means)

    means = {when: {name: float(np.mean([row[when][name] for row in rows])) for name in rows[0][when]}
             for when in ("after", "training")}
    spread = {when: {str(width): ranges(when, width) for width in bits} for when in means}
    low, high = str(min(bits)), str(max(bits))
    return {"claim": "C4", "text": "the rounding scheme changes the result at low widths", "paper": "no number",
            "ours": {"mean": means, "spread_between_roundings": spread, "float32": _spread([row["float32"] for row in rows])},
            "holds": max(spread[when][low] for when in spread) > 0.01
            and all(spread[when][low] > spread[when][high] for when in spread),
            "rows": rows, **_sizes(train, test, seeds)}


def claim_c5(data: StdpData, seeds: Sequence[int] = SEEDS, progress: Progress = _silent, *, train: int = 2000,
             test: int = TEST) -> dict[str, Any]:
    """Measure C5: no inhibitory layer and thinned STDP save memory and operations.

    An inhibitory layer and STDP at every spike, against direct lateral inhibition and STDP of the winner every 32 timesteps;
    memory in float32, every stored word, here and for the papers' 4900 neurons; operations of training and of inference.
    """
    part = data.first(train)
    kinds: dict[str, dict[str, object]] = {
        "layer, events": {"competition__form": "layer", "competition__reset": 0.0, "learning__update": "events",
                          "learning__potentiation": 0.03, "learning__depression": 0.0001},
        "lateral, timesteps": {"competition__form": "lateral", "learning__update": "timesteps"}}
    rows: list[dict[str, Any]] = []
    for seed in seeds:
        row: dict[str, Any] = {"seed": seed}
        for name, changes in kinds.items():
            recipe = study_recipe(seed, **changes)
            training = train_stdp(recipe, part)
            scores = evaluate(training.network, part, label_samples=min(LABELS, train), split="test", samples=test)
            row[name] = {"accuracy": scores.accuracy["weighted"], "training": training.operations.plain(),
                         "training_total": training.operations.total, "inference": scores.operations.plain(),
                         "inference_total": scores.operations.total}
            progress("C5", len(rows), len(seeds), f"seed {seed}, {name}: {row[name]['accuracy']:.2%}")
        rows.append(row)
    before, after = kinds

    def ratio(read: Callable[[dict[str, Any]], float]) -> dict[str, float]:
        return _spread([read(row[before]) / read(row[after]) for row in rows])

    def memory(neurons: int, training: bool) -> float:
        sizes = []
        for changes in kinds.values():
            recipe = study_recipe(0, **changes)
            items = memory_items(part.inputs, neurons, recipe.competition, Formats(), recipe.learning)
            sizes.append(memory_bits(items, training=training))
        return sizes[0] / sizes[1]

    accuracy = {name: _spread([row[name]["accuracy"] for row in rows]) for name in kinds}
    loss = accuracy[before]["mean"] - accuracy[after]["mean"]
    memory_ratio = {str(neurons): memory(neurons, True) for neurons in (NEURONS, 400, 4900)}
    training_ratio = ratio(lambda item: item["training_total"])
    inference_ratio = ratio(lambda item: item["inference_total"])
    ours = {"memory_ratio": memory_ratio, "training_operations_ratio": training_ratio,
            "inference_operations_ratio": inference_ratio,
            "weight_updates_ratio": ratio(lambda item: item["training"]["weight_updates"]),
            "neuron_updates_ratio": ratio(lambda item: item["training"]["neuron_updates"]),
            "accuracy": accuracy, "loss": loss}
    return {"claim": "C5", "text": "removing the inhibitory layer and thinning STDP saves memory and energy, at no loss",
            "paper": "7.5x memory at 4900 neurons; 3.5x energy of training, 1.8x of inference", "ours": ours,
            "holds": memory_ratio["4900"] > 5 and min(training_ratio["lowest"], inference_ratio["lowest"]) > 1 and loss <= 0.01,
            "rows": rows, **_sizes(train, test, seeds)}


CLAIMS: dict[str, Callable[..., dict[str, Any]]] = {"C1": claim_c1, "C3": claim_c3, "C4": claim_c4, "C5": claim_c5}

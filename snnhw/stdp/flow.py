"""The command ``stdp`` without the command line: a folder goes in, files come out.

A model folder holds ``recipe.toml``, and once it is trained ``network.safetensors``. Every function returns what the command
line records, plain values. What it writes is a run folder for ``inspect``, ``estimate``, ``generate``, ``verify`` and ``build``.
"""

from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from snnhw import reference
from snnhw.assets import shipped_model
from snnhw.errors import FileError, UsageError
from snnhw.files import format_toml, read_bytes, write_bytes, write_json, write_tensors
from snnhw.ir import Graph, save_graph
from snnhw.stdp.config import StdpRecipe, load_stdp_recipe
from snnhw.stdp.data import StdpData, load_stdp_data
from snnhw.stdp.explore import LinearReward, ProductReward, Reward, choose, explore, grid, pareto, sensitivity
from snnhw.stdp.files import StdpModel, load_stdp_model, save_stdp_model
from snnhw.stdp.labels import Vote, assign, decide
from snnhw.stdp.lower import EXCITATORY, lower_stdp
from snnhw.stdp.memory import memory_bits, memory_items
from snnhw.stdp.network import StdpNetwork
from snnhw.stdp.train import Progress, evaluate, train_stdp

__all__ = ["explore_model", "graph_accuracy", "lower_model", "train_model"]

CHUNK = 250
NETWORK, FLOAT_NETWORK, RECIPE = "network.safetensors", "float.safetensors", "recipe.toml"


def _load(folder: Path) -> tuple[StdpRecipe, StdpData]:
    recipe = load_stdp_recipe(folder / RECIPE)
    return recipe, load_stdp_data(recipe.data, folder, validation=recipe.validation)


def graph_accuracy(graph: Graph, model: StdpModel, data: StdpData, *, samples: int | None = None,
                   progress: Progress = lambda *args: None) -> dict[str, Any]:
    """Run a graph on the test samples with the integer reference, and let the model's vote decide.

    Returns
    -------
    dict
        ``correct`` of ``samples``, ``accuracy``, mean ``spikes`` of a sample, and the share of ``silent`` ones.
    """
    values, labels = data.test_values[:samples], data.test_labels[:samples]
    correct, spikes, silent = 0, 0, 0
    for first in range(0, len(values), CHUNK):
        part = values[first:first + CHUNK]
        trace = reference.run(graph, graph.input.encoding(part, graph.timesteps), keep_membranes=False)
        counts = trace.spikes[EXCITATORY].sum(axis=1, dtype=np.int64)
        correct += int((decide(counts, model.table) == labels[first:first + CHUNK]).sum())
        spikes += int(counts.sum())
        silent += int((counts.sum(axis=1) == 0).sum())
        progress("reference", min(first + CHUNK, len(values)), len(values), f"images, {correct / (first + len(part)):.2%} right")
    return {"samples": len(values), "correct": correct, "accuracy": correct / len(values), "spikes": spikes / len(values),
            "silent": silent / len(values)}


def _write_run(model: StdpModel, data: StdpData, out: Path, samples: int | None, shared: bool,
               progress: Progress) -> dict[str, Any]:
    """Write graph, test samples and network; return the accuracy of the graph and its sizes."""
    if data.inputs != model.network.inputs:
        raise FileError(f"STDP network must have the {data.inputs} inputs of {data.name!r}, not {model.network.inputs}")
    if data.levels > model.network.encoding.levels:
        raise FileError(f"STDP network must have an encoding of at least {data.levels} levels for {data.name!r}, "
                        f"not {model.network.encoding.levels}")
    graph = lower_stdp(model.network, f"stdp {model.data} {model.network.neurons}", shared=shared)
    save_graph(graph, out / "graph.safetensors")
    write_tensors(out / "samples.safetensors", {"values": data.test_values, "labels": data.test_labels})
    save_stdp_model(model, out / NETWORK)
    measured = graph_accuracy(graph, model, data, samples=samples, progress=progress)
    items = memory_items(model.network.inputs, model.network.neurons, model.network.competition, model.network.formats)
    neurons = np.bincount(assign(model.response) + 1, minlength=data.classes + 1)
    return {"data": data.name, "neurons": model.network.neurons, "timesteps": model.network.timesteps,
            "competition": model.network.competition.form, "formats": str(model.network.formats), "vote": model.vote,
            "graph": measured, "neurons_by_class": neurons[1:].tolist(), "neurons_without_class": int(neurons[0]),
            "memory": [item.plain() for item in items], "memory_bits": memory_bits(items, training=False)}


def train_model(model: str | Path, out: Path, *, seed: int | None = None, weight: str | None = None, membrane: str | None = None,
                threshold: str | None = None, rounding: str | None = None, when: str | None = None, samples: int | None = None,
                shared: bool = True, progress: Progress = lambda *args: None) -> dict[str, Any]:
    """Train a network by its recipe, assign labels, quantize, lower, and measure the graph on the test samples.

    Options that are given take the place of those in the recipe. The vote is the one that decides best on the validation samples;
    without any, ``"weighted"``.

    Parameters
    ----------
    samples : int or None
        Test samples to measure; all if None.
    """
    folder, out = shipped_model(model, RECIPE), Path(out)
    recipe, data = _load(folder)
    changes = {"seed": seed, **{f"formats__{name}": value for name, value in (
        ("weight", weight), ("membrane", membrane), ("threshold", threshold), ("rounding", rounding), ("when", when))}}
    try:
        recipe = recipe.changed(**{name: value for name, value in changes.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(f"option --{first['loc'][-1]} is wrong: {first['msg'].removeprefix('Value error, ')}") from None
    # Explorations of the run folder begin with it.
    given = any(value is not None for value in changes.values())
    write_bytes(out / RECIPE, format_toml(recipe.model_dump()).encode() if given else read_bytes(folder / RECIPE, "recipe"))
    if (beside := folder / recipe.data).is_file() and beside.resolve() != (out / beside.name).resolve():
        write_bytes(out / beside.name, read_bytes(beside, "data"))
    lower_stdp(_tiny(recipe))  # refuses formats without hardware before the training
    training = train_stdp(recipe, data, progress=progress)
    network = training.network
    vote: Vote = "weighted"
    validation = None
    if recipe.formats.when == "after":
        # What the float network is worth; its file is where explorations begin.
        score = evaluate(network, data, label_samples=recipe.label_samples, split="validation" if recipe.validation else "test",
                         progress=progress)
        save_stdp_model(StdpModel(network, score.response, vote, recipe.data), out / FLOAT_NETWORK)
        validation = score.accuracy if recipe.validation else None
        network = network.quantized(recipe.formats.formats, np.random.default_rng(recipe.seed))
    scores = evaluate(network, data, label_samples=recipe.label_samples, split="validation" if recipe.validation else "test",
                      progress=progress)
    if recipe.validation:
        vote = scores.best
    trained = StdpModel(network, scores.response, vote, recipe.data)
    results = _write_run(trained, data, out, samples, shared, progress)
    items = memory_items(network.inputs, network.neurons, network.competition, network.formats, recipe.learning)
    return {"model": folder.name, **results, "seed": recipe.seed, "train_samples": training.samples,
            "train_seconds": round(training.seconds, 1), "train_spikes": training.spikes / training.samples,
            "validation": scores.accuracy if recipe.validation else None, "validation_float": validation,
            "operations": {"training": training.operations.plain(), "inference_per_sample": {
                name: count / (recipe.validation or len(data.test_values)) for name, count in scores.operations.plain().items()}},
            "training_memory_bits": memory_bits(items, training=True)}


def _tiny(recipe: StdpRecipe) -> StdpNetwork:
    """Return a network of two neurons in the formats of a recipe, to see whether they have hardware."""
    small = recipe.changed(neurons=2)
    return StdpNetwork.initial(small, 4, np.random.default_rng(0)).quantized(recipe.formats.formats, np.random.default_rng(0))


def lower_model(model: str | Path, out: Path, *, samples: int | None = None, shared: bool = True,
                progress: Progress = lambda *args: None) -> dict[str, Any]:
    """Lower a trained network and measure its graph on the test samples."""
    folder = shipped_model(model, NETWORK)
    trained = load_stdp_model(folder / NETWORK)
    data = load_stdp_data(trained.data, folder, validation=0)
    return {"model": folder.name, **_write_run(trained, data, Path(out), samples, shared, progress)}


def explore_model(model: str | Path, out: Path, *, loss: float = 0.01, target: float = 0.0, reward: str = "product",
                  mu: float = 0.1, training: bool = False, samples: int | None = None, shared: bool = True,
                  progress: Progress = lambda *args: None) -> dict[str, Any]:
    """Find formats for a trained float32 network on the validation samples, choose, and lower and measure the choice.

    Parameters
    ----------
    model : path
        Run folder of ``snnhw stdp train``, or a model folder; without a trained float network one is trained.
    loss : float
        Accuracy that a class of words may lose in the sensitivity pass.
    target : float
        Lowest accuracy of the chosen candidate, on the validation samples.
    reward : str
        ``"product"`` or ``"linear"``.
    mu : float
        Weight of memory in ``"linear"``.
    training : bool
        Also train in each candidate's formats.
    """
    rewards: dict[str, Reward] = {"product": ProductReward(), "linear": LinearReward(mu)}
    if reward not in rewards:
        raise UsageError(f"reward must be product or linear, not {reward!r}")
    folder = shipped_model(model, RECIPE)
    recipe, data = _load(folder)
    if not recipe.validation:
        raise UsageError("recipe validation must be positive for an exploration, not 0")
    path = folder / FLOAT_NETWORK
    network = load_stdp_model(path).network if path.is_file() else train_stdp(
        recipe.changed(formats__when="after"), data, progress=progress).network
    label_samples = recipe.label_samples
    found = sensitivity(network, data, label_samples=label_samples, progress=progress)
    candidates = grid(schemes=("after", "training") if training else ("after",))
    baseline, measured = explore(recipe, data, candidates, network=network, label_samples=label_samples, progress=progress)
    chosen = choose(measured, baseline, rewards[reward], target=target)
    when = chosen.when == "training"
    if when:
        texts = {f"formats__{name}": str(getattr(chosen.formats, name)) for name in ("weight", "membrane", "threshold")}
        network = train_stdp(recipe.changed(**texts, formats__rounding=chosen.formats.rounding, formats__when="training"),
                             data, progress=progress).network
    else:
        network = network.quantized(chosen.formats, np.random.default_rng(recipe.seed))
    scores = evaluate(network, data, label_samples=label_samples, progress=progress)
    best = StdpModel(network, scores.response, scores.best, recipe.data)
    results = _write_run(best, data, Path(out), samples, shared, progress)
    results = {"model": folder.name, **results, "seed": recipe.seed, "sensitivity": [item.plain(loss) for item in found],
               "baseline": baseline.plain(), "candidates": [item.plain() for item in measured],
               "pareto": [item.plain() for item in pareto(measured)], "chosen": chosen.plain(), "reward": reward}
    write_json(Path(out) / "exploration.json", results)
    return results

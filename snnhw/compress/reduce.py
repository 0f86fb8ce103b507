"""The command ``compress`` without the command line: a trained network becomes narrower, shorter, sparser, and integers."""

import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from snnhw import ir
from snnhw.compress.checkpoint import load_checkpoint
from snnhw.compress.config import Recipe, load_recipe
from snnhw.compress.convert import initialise
from snnhw.compress.curves import accuracy, calibration, count_events, noise_curve, ptq_curve
from snnhw.compress.data import Dataset
from snnhw.compress.flow import compare_words, find_checkpoint, input_node, layer_rows, load_data, model_folder, read_trained
from snnhw.compress.structure import choose_widths, count_parameters, find_spectra, narrow, structure_rows
from snnhw.compress.temporal import shorten
from snnhw.compress.train import Progress, finetune, reproducible, train_float
from snnhw.compress.trainable import TrainableNetwork
from snnhw.errors import NetworkError, UsageError
from snnhw.files import write_tensors
from snnhw.frontend import read_file, write_nir
from snnhw.ir import Graph, save_graph
from snnhw.network import Network

__all__ = ["compress_model"]

COUNTED = 500  # test samples whose spikes are counted


class _Source(NamedTuple):
    """A trained float network, and the input node of its graph."""

    name: str
    network: Network
    entry: ir.Input


def _read_source(source: Path, recipe: Recipe, data: Dataset, out: Path, checkpoint: Path | None) -> _Source:
    if source.suffix.lower() in (".nir", ".net", ".h5") or not (source / "recipe.toml").is_file():
        found = read_file(source, **({} if source.suffix else {"shape": recipe.input.shape or data.shape,
                                                               "timesteps": recipe.timesteps, "checkpoint": checkpoint}))
        if isinstance(found, Graph):
            raise UsageError(f"network {str(source)!r} must be in real numbers to be compressed, and is a graph of integers")
        entry = replace(input_node(recipe, data), name=found.input.name, shape=found.input.shape)
        if int(np.prod(entry.shape)) != data.inputs:
            raise NetworkError(f"layer {entry.name!r} (Input): must have {data.inputs} values as the data has, "
                               f"not {int(np.prod(entry.shape))}")
        nodes = tuple(entry if isinstance(node, ir.Input) else node for node in found.nodes)
        return _Source(source.stem, Network(found.name, nodes, recipe.timesteps, found.choices), entry)
    folder = model_folder(source)
    trained = read_trained(folder, recipe, data, load_checkpoint(find_checkpoint(folder, out, checkpoint)))
    return _Source(folder.name, trained.network, trained.entry)


def compress_model(source: str | Path, out: Path, *, recipe: Path | None = None, checkpoint: Path | None = None,
                   progress: Progress | None = None) -> dict[str, Any]:
    """Compress a trained float network by the sections of a recipe, and write its integer graph.

    In this order: ``structure`` narrows the network, which ``convert`` and ``pretrain`` then train anew (without ``pretrain``
    and ``convert`` it is analysed only); ``temporal`` shortens samples; ``noise`` and ``ptq`` measure; ``prune``, ``quantize``
    and ``finetune`` make the integers, without training where ``finetune`` has no epochs.

    Parameters
    ----------
    source : str or Path
        A model folder with a checkpoint, a folder with ``model.py`` and its parameters, a ``.nir`` file or a Lava network.
    out : Path
        Run folder: takes ``graph.safetensors``, ``samples.safetensors``, and ``network.nir`` with the float network before it
        was quantized.
    recipe : Path, optional
        By default that of the model folder.
    checkpoint : Path, optional
        Parameters of a folder.
    progress : callable, optional
        Told how far each stage is.

    Returns
    -------
    dict
        ``accuracy`` of the float network before and after, and of the integers; ``parameters``; a part for each section; what
        :func:`snnhw.compress.flow.lower_model` says about words that differ. Plain values.
    """
    started = time.monotonic()
    source, out = Path(source), Path(out)
    if recipe is None:
        recipe = model_folder(source) / "recipe.toml"
    rules = load_recipe(Path(recipe))
    if rules.convert is not None and rules.structure is None:
        raise UsageError("recipe section [convert] must come with [structure]: a trained network keeps its weights")
    data = load_data(rules, Path(recipe).parent)
    if not source.exists():
        source = model_folder(source)
    results: dict[str, Any] = {}
    with reproducible(rules.seed):
        given = _read_source(source, rules, data, out, checkpoint)
        with tempfile.TemporaryDirectory() as place:  # refuse before the training what would be refused after it
            write_nir(given.network, Path(place) / "network.nir")
        learns = {node.name: frozenset(rules.learn) for node in given.network.neurons}
        trainable = TrainableNetwork(given.network, learn=learns, surrogate=rules.surrogate).eval()
        accuracies = {"before": accuracy(trainable, rules, data, rules.timesteps)}
        parameters = {"before": sum(count_parameters(given.network).values())}
        losses: dict[str, list[float]] = {}
        if rules.structure is not None:
            spectra = find_spectra(trainable, rules, data, rules.structure)
            slim = narrow(given.network, choose_widths(given.network, spectra, rules.structure), rules.seed)
            results["structure"] = structure_rows(given.network, slim, spectra, rules.structure)
            if rules.pretrain.epochs or rules.convert is not None:
                trainable = TrainableNetwork(slim, learn=learns, surrogate=rules.surrogate)
                if rules.convert is not None:
                    results["convert"] = initialise(trainable, rules, data, progress=progress)
                if rules.pretrain.epochs:
                    losses["pretrain"] = train_float(trainable, rules, data, progress=progress)
                accuracies["narrow"] = accuracy(trainable.eval(), rules, data, rules.timesteps)
        if rules.temporal.timesteps:
            trainable = TrainableNetwork(trainable.network(), surrogate=rules.surrogate, learn={
                name: own | set(rules.temporal.learn) for name, own in learns.items()})
            shortened = shorten(trainable, rules, data, progress=progress)
            rules = rules.reached(shortened.timesteps)
            results["temporal"] = {"curve": shortened.curve, "timesteps": shortened.timesteps, "stopped": shortened.stopped}
            losses |= shortened.losses
            accuracies["short"] = accuracy(trainable.eval(), rules, data, rules.length)
        network = trainable.network()
        parameters["after"] = sum(count_parameters(network).values())
        if rules.noise is not None:
            results["noise"] = noise_curve(trainable, rules, data, rules.noise, rules.length)
        if rules.ptq is not None:
            results["ptq"] = ptq_curve(network, rules, data, rules.ptq.bits, rules.length)
        teacher = TrainableNetwork(network).eval() if rules.distill.weight else None
        losses["finetune"] = finetune(trainable, rules, data, teacher=teacher,
                                      calibration=calibration(rules, data, rules.length), progress=progress)
        graph = trainable.eval().graph(given.entry, rules.length, name=given.name, meta={"model": given.name, "data": data.name})
        found = compare_words(trainable, graph, data, progress)
        totals, _ = count_events(trainable, rules, data.test_values[:COUNTED], rules.length)
        results["spikes"] = {name: {"mean": float(counts.mean()), "most": float(counts.max())} for name, counts in totals.items()}
        rows = layer_rows(trainable)
    save_graph(graph, out / "graph.safetensors")
    write_tensors(out / "samples.safetensors", {"values": data.test_values, "labels": data.test_labels})
    write_nir(Network(network.name, network.nodes, rules.length, network.choices), out / "network.nir")
    return {
        "model": given.name, "data": data.name, "seed": rules.seed, "timesteps": graph.timesteps,
        "test_samples": len(data.test_labels), "parameters": parameters, "layers": rows, "losses": losses, **results, **found,
        "accuracy": {**accuracies, **found["accuracy"]}, "training_seconds": round(time.monotonic() - started, 1),
        "recipe": rules.model_dump(),
    }

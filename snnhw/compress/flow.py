"""The commands ``train`` and ``lower`` without the command line: a folder goes in, files come out.

Both return what the command line records as ``train.json`` and ``lower.json``.

A model folder holds ``model.py`` with a class or function ``Net`` that takes no arguments, ``recipe.toml``,
and once it is trained ``checkpoint.safetensors``.
"""

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from snnhw import reference
from snnhw.assets import asset
from snnhw.compress.checkpoint import Checkpoint, decided, load_checkpoint, load_parameters, parameters, save_checkpoint
from snnhw.compress.config import Recipe, load_recipe
from snnhw.compress.data import Dataset, load_dataset
from snnhw.compress.drive import observe
from snnhw.compress.lower import lower
from snnhw.compress.prune import apply_masks
from snnhw.compress.quantize import quantize, quantized_layers
from snnhw.compress.spikes import make_encoder
from snnhw.compress.train import Progress, classify, reproducible, train_stage
from snnhw.errors import FileError, NetworkError, UsageError
from snnhw.files import write_tensors
from snnhw.frontend import Network, read_network
from snnhw.frontend.folder import load_model
from snnhw.ir import Graph, save_graph

__all__ = ["load_model", "lower_model", "model_folder", "train_model"]

CHECK_BATCH = 250


def model_folder(name: str | Path) -> Path:
    """Return the folder of a model: a path, or the name of one that is shipped, such as ``models/digits``."""
    path = Path(name)
    if not path.is_dir() and path.parent in (Path("."), Path("models")):
        shipped = asset("models", path.name)
        path = shipped if shipped.is_dir() else path
    if not path.is_dir():
        raise FileError(f"model folder {str(name)!r} does not exist")
    for part in ("model.py", "recipe.toml"):
        if not (path / part).is_file():
            raise FileError(f"model folder {str(name)!r} must hold {part}")
    return path


def _load_data(recipe: Recipe, folder: Path) -> Dataset:
    """Load the data of a recipe and check that its encoding takes them."""
    data = load_dataset(recipe.data, recipe.seed, folder, timesteps=recipe.timesteps,
                        levels=min(recipe.encoding.levels, 255) if recipe.encoding.kind == "direct" else None,
                        events=recipe.events)
    shape = data.train_values.shape[1:]
    if recipe.encoding.kind == "events":
        if len(shape) != 2 or shape[0] != recipe.timesteps:
            raise UsageError(f"recipe data for encoding 'events' must have samples of shape ({recipe.timesteps}, inputs), "
                             f"not {shape}")
    elif len(shape) != 1:
        raise UsageError(f"recipe data for encoding {recipe.encoding.kind!r} must have samples of shape (inputs,), not {shape}")
    if data.levels > recipe.encoding.levels:
        raise UsageError(f"recipe encoding.levels must be at least {data.levels}, the largest value of the data, "
                         f"not {recipe.encoding.levels}")
    if data.train_labels.min() < 0 or data.train_values.min() < 0:
        raise UsageError(f"recipe data for training must have values and labels from 0, and {recipe.data!r} has negative ones")
    return data


def _read(module: nn.Module, recipe: Recipe, data: Dataset) -> Network:
    generator = torch.Generator().manual_seed(0)
    sample = torch.rand(recipe.input.arrange(recipe.timesteps, 2, data.inputs), generator=generator)
    network = read_network(module, sample, timesteps=recipe.timesteps)
    if network.inputs != data.inputs:
        raise NetworkError(f"layer {network.layers[0].linear!r} (Linear): input must have {data.inputs} values as the data has, "
                           f"not {network.inputs}")
    if network.outputs < data.classes:
        raise NetworkError(f"layer {network.layers[-1].neuron!r} (Leaky): must have at least {data.classes} neurons, "
                           f"one for each class, not {network.outputs}")
    return network


def _accuracy(decisions: np.ndarray, labels: np.ndarray) -> float:
    return float((decisions == labels).mean())


def _restore(module: nn.Module, recipe: Recipe, data: Dataset, checkpoint: Checkpoint) -> tuple[nn.Module, Network]:
    """Return the quantized network that a checkpoint describes."""
    load_parameters(module, checkpoint.trained)
    network = _read(module, recipe, data)
    quantized = quantize(module, network, checkpoint.quantize or recipe.quantize, scales=checkpoint.scales)
    apply_masks(quantized, network, checkpoint.masks)
    return quantized.eval(), network


def _formats(quantized: nn.Module, network: Network) -> list[dict[str, Any]]:
    """Return one row for each layer: what the probe found, and what it became."""
    rows = []
    for layer, linear, neuron in quantized_layers(quantized, network):
        integers = linear.quantized().weight.detach()
        threshold, _ = neuron.constants()
        rows.append({
            "linear": layer.linear, "neuron": layer.neuron, "inputs": layer.inputs, "outputs": layer.outputs,
            "behaviour": layer.behaviour.kind, "beta": float(np.mean(layer.behaviour.beta)), "decay": str(neuron.decay),
            "weight_bits": neuron.quant.bits, "state_bits": neuron.quant.state_bits, "frac": linear.frac,
            "threshold": [int(threshold.min()), int(threshold.max())],
            "bias": linear.bias is not None, "sparsity": float((integers == 0).double().mean()),
        })
    return rows


def train_model(model: str | Path, out: Path, *, progress: Progress | None = None) -> dict[str, Any]:
    """Train a model by its recipe and write ``checkpoint.safetensors`` into `out`.

    Returns
    -------
    dict
        Accuracies on the test split, losses of the epochs, one row for each layer, seconds. Plain values.
    """
    started = time.monotonic()
    folder, out = model_folder(model), Path(out)
    recipe = load_recipe(folder / "recipe.toml")
    data = _load_data(recipe, folder)
    with reproducible(recipe.seed):
        module = load_model(folder)
        names = module.state_dict()
        network = _read(module, recipe, data)
        pretrain = train_stage(module, network, recipe, recipe.pretrain, data, "pretrain", quantized=False, progress=progress)
        pretrained = parameters(module, names)
        float_accuracy = _accuracy(classify(module, network, recipe, data.test_values), data.test_labels)
        network = _read(module, recipe, data)
        quantized = quantize(module, network, recipe.quantize)
        finetune = train_stage(quantized, network, recipe, recipe.finetune, data, "finetune", quantized=True, progress=progress)
        layers = quantized_layers(quantized, network)
        checkpoint = Checkpoint(
            parameters(quantized, names), pretrained,
            {layer.linear: linear.quantized().scale.detach().float().numpy() for layer, linear, _ in layers},
            {layer.linear: linear.mask.numpy() for layer, linear, _ in layers if not bool(linear.mask.all())},
            decided(quantized, network, recipe.quantize))
        save_checkpoint(out / "checkpoint.safetensors", checkpoint)
        # Measured on what was written, so that lowering it later gives the same.
        restored, network = _restore(load_model(folder), recipe, data, load_checkpoint(out / "checkpoint.safetensors"))
        accuracy = _accuracy(classify(restored, network, recipe, data.test_values), data.test_labels)
        return {
            "model": folder.name, "data": data.name, "seed": recipe.seed, "timesteps": recipe.timesteps,
            "train_samples": len(data.train_labels), "test_samples": len(data.test_labels),
            "accuracy": {"float": float_accuracy, "quantized": accuracy},
            "losses": {"pretrain": pretrain, "finetune": finetune}, "layers": _formats(restored, network),
            "training_seconds": round(time.monotonic() - started, 1), "recipe": recipe.model_dump(),
        }


def _find_checkpoint(folder: Path, out: Path, given: Path | None) -> Path:
    if given is not None:
        return Path(given)
    for path in (out / "checkpoint.safetensors", folder / "checkpoint.safetensors"):
        if path.is_file():
            return path
    raise FileError(f"model folder {str(folder)!r} has no checkpoint.safetensors; train it first with: "
                    f"snnhw train {folder} --out {out}")


def _check_recipe(recipe: Recipe, stored: Checkpoint, path: Path) -> None:
    """Refuse a checkpoint that was trained for other number formats than the recipe has."""
    if stored.quantize is None:
        return
    automatic = {"layers", "frac", "decay"}
    trained = stored.quantize.model_dump(exclude=automatic)
    for key, value in recipe.quantize.model_dump(exclude=automatic).items():
        if trained[key] != value:
            raise UsageError(f"checkpoint {str(path)!r} was trained with quantize.{key} = {trained[key]}, "
                             f"the recipe has {value}; train again")


def _compare(quantized: nn.Module, network: Network, graph: Graph, data: Dataset, progress: Progress | None) -> dict[str, Any]:
    """Run the test split through the quantized torch network and the integer reference, and count every difference."""
    encode = make_encoder(graph.input.encoding, graph.timesteps, data.inputs)
    neurons = [layer.neuron for layer in network.layers]
    spikes, words, inputs, first = 0, 0, 0, ""
    fired, saturated = dict.fromkeys(neurons, 0), dict.fromkeys(neurons, 0)
    decisions: dict[str, list[np.ndarray]] = {"quantized": [], "integer": []}
    total = len(data.test_labels)
    for start in range(0, total, CHECK_BATCH):
        train = encode(data.test_values[start:start + CHECK_BATCH])
        trace = reference.run(graph, train.astype(bool))
        seen, membranes = observe(quantized, network, torch.from_numpy(train).float())
        inputs += int(train.sum())
        for name in neurons:
            other_spikes, other_words = seen[name] != trace.spikes[name], membranes[name] != trace.membranes[name]
            spikes += int(other_spikes.sum())
            words += int(other_words.sum())
            if not first and (other_spikes | other_words).any():
                sample, step, neuron = np.argwhere(other_spikes | other_words)[0]
                first = f"layer {name!r}, sample {start + sample}, timestep {step}, neuron {neuron}"
            fired[name] += int(trace.spikes[name].sum())
            saturated[name] += int(trace.counts[name].saturations.sum())
        decisions["quantized"].append(reference.decide(seen[neurons[-1]]))
        decisions["integer"].append(trace.decisions)
        if progress is not None:
            progress("check", min(start + CHECK_BATCH, total), total, "test samples")
    steps = total * graph.timesteps
    compared = steps * sum(layer.outputs for layer in network.layers)
    return {
        "accuracy": {name: _accuracy(np.concatenate(parts), data.test_labels) for name, parts in decisions.items()},
        "mismatches": {"samples": total, "spikes": spikes, "membranes": words,
                       "spikes_compared": compared, "membranes_compared": compared},
        "rates": {graph.input.name: inputs / (steps * network.inputs)}
        | {layer.neuron: fired[layer.neuron] / (steps * layer.outputs) for layer in network.layers},
        "saturated_words": saturated,
        "ok": not first,
        "problem": first and f"the quantized network and the integer graph must agree, and differ in {spikes} spikes and "
                             f"{words} membrane words, first in {first}",
    }


def lower_model(model: str | Path, out: Path, *, checkpoint: Path | None = None,
                progress: Progress | None = None) -> dict[str, Any]:
    """Lower a trained model to its graph, check it, and write ``graph.safetensors`` and ``samples.safetensors`` into `out`.

    Parameters
    ----------
    model : str or Path
        Model folder.
    out : Path
        Run folder.
    checkpoint : Path, optional
        Trained parameters; by default those in `out`, then those in the model folder. A plain state_dict, .pt
        included, is quantized as it is.

    Returns
    -------
    dict
        Accuracy of the float, the quantized and the integer model on the whole test split, the spikes and membrane
        words in which the last two differ, firing rates, one row for each layer. Plain values; ``ok`` is False and
        ``problem`` a sentence when there is a difference.
    """
    folder, out = model_folder(model), Path(out)
    recipe = load_recipe(folder / "recipe.toml")
    data = _load_data(recipe, folder)
    path = _find_checkpoint(folder, out, checkpoint)
    stored = load_checkpoint(path)
    _check_recipe(recipe, stored, path)
    with reproducible(recipe.seed):
        module = load_model(folder)
        load_parameters(module, stored.pretrained or stored.trained)
        decisions = classify(module, _read(module, recipe, data), recipe, data.test_values)
        quantized, network = _restore(module, recipe, data, stored)
        graph = lower(quantized, network, recipe.encoding.encoding, name=folder.name,
                      meta={"model": folder.name, "data": data.name})
        found = _compare(quantized, network, graph, data, progress)
        rows = _formats(quantized, network)
    save_graph(graph, out / "graph.safetensors")
    write_tensors(out / "samples.safetensors", {"values": data.test_values, "labels": data.test_labels})
    return {
        "model": folder.name, "data": data.name, "seed": recipe.seed, "timesteps": graph.timesteps,
        "test_samples": len(data.test_labels), "layers": rows,
        **found, "accuracy": {"float": _accuracy(decisions, data.test_labels), **found["accuracy"]},
    }

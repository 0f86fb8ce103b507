"""The commands ``train`` and ``lower`` without the command line: a folder goes in, files come out.

Both return what the command line records as ``train.json`` and ``lower.json``.

A model folder holds ``model.py`` with a class or function ``Net`` that takes no arguments, ``recipe.toml``,
and once it is trained ``checkpoint.safetensors``.
"""

import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from snnhw import reference
from snnhw.assets import shipped_model
from snnhw.compress import curves, drive
from snnhw.compress.checkpoint import Checkpoint, load_checkpoint, parameters, restore, save_checkpoint, take
from snnhw.compress.config import Recipe, load_recipe
from snnhw.compress.convert import initialise
from snnhw.compress.data import Dataset, load_dataset
from snnhw.compress.spikes import make_encoder
from snnhw.compress.temporal import shorten
from snnhw.compress.train import Progress, classify, finetune, reproducible, train_float, train_module
from snnhw.compress.trainable import TrainableNetwork
from snnhw.errors import FileError, NetworkError, UsageError
from snnhw.files import write_tensors
from snnhw.frontend.folder import load_model, load_parameters
from snnhw.frontend.layout import Layout
from snnhw.frontend.module import find_layout, read_module
from snnhw.ir import Graph, Input, Readout, save_graph
from snnhw.network import Network

__all__ = ["Trained", "compare_words", "find_checkpoint", "input_node", "layer_rows", "load_data", "load_model", "lower_model",
           "model_folder", "read_trained", "train_model"]

CHECK_BATCH = 250
CHECK_WORDS = 1 << 24  # of one layer that are compared at once


def model_folder(name: str | Path) -> Path:
    """Return the folder of a model: a path, or the name of one that is shipped, such as ``models/digits``."""
    return shipped_model(name, "model.py", "recipe.toml")


def load_data(recipe: Recipe, folder: Path) -> Dataset:
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
    elif data.levels > recipe.encoding.levels:
        raise UsageError(f"recipe encoding.levels must be at least {data.levels}, the largest value of the data, "
                         f"not {recipe.encoding.levels}")
    if data.train_labels.min() < 0 or data.train_values.min() < 0:
        raise UsageError(f"recipe data for training must have values and labels from 0, and {recipe.data!r} has negative ones")
    return data


def input_node(recipe: Recipe, data: Dataset) -> Input:
    """Return the input node of the graph."""
    highest = {"direct": recipe.encoding.levels, "events": data.levels}.get(recipe.encoding.kind, 1)
    return Input("input", (), recipe.input.shape or (data.inputs,), recipe.encoding.encoding, 0, highest)


def _example(recipe: Recipe, data: Dataset) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(recipe.input.arrange(recipe.timesteps, 2, data.inputs), generator=generator)


def _read(module: nn.Module, recipe: Recipe, data: Dataset) -> Network:
    entry = input_node(recipe, data)
    network = read_module(module, _example(recipe, data), timesteps=recipe.timesteps, lowest=entry.lowest, highest=entry.highest)
    if int(np.prod(network.input.shape)) != data.inputs:
        raise NetworkError(f"layer {network.input.name!r} (Input): must have {data.inputs} values as the data has, "
                           f"not {int(np.prod(network.input.shape))}")
    last = network.nodes[-1].inputs[0]
    outputs = int(np.prod(network.shapes[last]))
    if outputs < data.classes:
        raise NetworkError(f"layer {last!r} (Neuron): must have at least {data.classes} neurons, "
                           f"one for each class, not {outputs}")
    return network


class Trained(NamedTuple):
    """A float network out of a model folder and its checkpoint.

    Attributes
    ----------
    network : Network
        In real numbers.
    entry : Input
        Input node of its graph.
    parameters : dict of str to array
        Parameters of the user's module, by their names there.
    """

    network: Network
    entry: Input
    parameters: dict[str, np.ndarray]


def read_trained(folder: Path, recipe: Recipe, data: Dataset, checkpoint: Checkpoint) -> Trained:
    """Read the float network that a checkpoint was trained from."""
    module = load_model(folder)
    load_parameters(module, checkpoint.pretrained or checkpoint.trained)
    return Trained(_read(module, recipe, data), input_node(recipe, data), parameters(module, module.state_dict()))


def _readout(network: Network) -> Readout:
    readout = network.nodes[-1]
    assert isinstance(readout, Readout)
    return readout


def _learns(module: nn.Module, network: Network, recipe: Recipe) -> dict[str, frozenset[str]]:
    """Return which constants of each layer of neurons learn: those of the recipe, and those that are parameters of the module."""
    found: dict[str, frozenset[str]] = {}
    for node in network.neurons:
        own: set[str] = set(recipe.learn)
        try:
            neuron = module.get_submodule(node.name)
        except AttributeError:
            neuron = module
        own |= {name for name in ("threshold", "beta", "alpha") if isinstance(getattr(neuron, name, None), nn.Parameter)}
        found[node.name] = frozenset(own)
    return found


def _mirror(module: nn.Module, trainable: TrainableNetwork) -> dict[str, torch.Tensor] | None:
    """Return the entries of the module's state that a trainable copy trains, by their name there; None if it has other parts."""
    state, found = module.state_dict(), {}
    if any(isinstance(child, nn.Dropout | nn.Dropout1d | nn.Dropout2d) and child.p > 0 for child in module.modules()):
        return None
    for name, tensor in trainable.slots().items():
        if tensor.requires_grad or name in state:
            if name not in state or state[name].numel() != tensor.numel() or not torch.allclose(
                    state[name].detach().reshape(-1).float(), tensor.detach().reshape(-1), rtol=1e-6, atol=0):
                return None
            found[name] = tensor
    learning = {name for name, parameter in module.named_parameters() if parameter.requires_grad}
    return found if learning <= set(found) else None


def _pretrain(module: nn.Module, recipe: Recipe, data: Dataset, progress: Progress | None) -> list[float]:
    """Train the float network in place: by a copy that computes all timesteps at once, else by its own forward."""
    if not recipe.pretrain.epochs and recipe.convert is None:
        return []
    network = _read(module, recipe, data)
    trainable = TrainableNetwork(network, learn=_learns(module, network, recipe), surrogate=recipe.surrogate)
    mirrored = _mirror(module, trainable)
    if mirrored is None:
        if recipe.convert is not None:
            raise UsageError("recipe section convert must be left out for a network with dropout, or with parameters that are "
                             "not those of its layers")
        layout = _layout(module, recipe, data)
        return train_module(module, layout, _readout(network), recipe, data, progress=progress)
    for name, parameter in module.named_parameters():
        if name in mirrored:  # what the user froze stays
            mirrored[name].requires_grad_(parameter.requires_grad)
    begun = initialise(trainable, recipe, data, progress=progress)["losses"] if recipe.convert is not None else []
    losses = begun + (train_float(trainable, recipe, data, progress=progress) if recipe.pretrain.epochs else [])
    with torch.no_grad():
        for name, tensor in mirrored.items():
            module.state_dict()[name].copy_(tensor.reshape(module.state_dict()[name].shape))
    return losses


def _layout(module: nn.Module, recipe: Recipe, data: Dataset) -> Layout:
    return find_layout(module, _example(recipe, data), recipe.timesteps)


def _float_accuracy(module: nn.Module, recipe: Recipe, data: Dataset) -> float:
    """Return the accuracy of the user's own forward on the test split."""
    network, layout = _read(module, recipe, data), _layout(module, recipe, data)
    module.eval()
    found = _accuracy(classify(lambda spikes: drive.logits(module, layout, _readout(network), spikes, recipe.timesteps),
                               recipe, recipe.timesteps, data.test_values), data.test_labels)
    drive.clear(module)
    return found


def _accuracy(decisions: np.ndarray, labels: np.ndarray) -> float:
    return float((decisions == labels).mean())


def _restore(module: nn.Module, recipe: Recipe, data: Dataset, checkpoint: Checkpoint) -> TrainableNetwork:
    """Return the quantized network that a checkpoint describes."""
    if checkpoint.pretrained or checkpoint.quantize is None:
        load_parameters(module, checkpoint.pretrained or checkpoint.trained)
    trainable = TrainableNetwork(_read(module, recipe, data), surrogate=recipe.surrogate)
    restore(trainable, checkpoint, recipe.quantize, curves.calibration(recipe, data, recipe.length))
    return trainable.eval()


def layer_rows(trainable: TrainableNetwork) -> list[dict[str, Any]]:
    """Return one row for each layer: what was read, and what it became."""
    rows = []
    for name in trainable.neurons:
        population, sources = trainable.population(name), trainable.sources(name)
        form = population.format
        assert form is not None
        threshold, _ = population.integers(trainable.unit(name))
        with torch.no_grad():
            integers = [trainable.integer_weight(source) for source in sources]
        weights = sum(integer.numel() for integer in integers)
        shapes = trainable.source.shapes
        rows.append({
            "linear": sources[0], "neuron": name,
            "inputs": sum(int(np.prod(shapes[trainable.nodes[source].inputs[0]])) for source in sources),
            "outputs": int(np.prod(shapes[name])),
            "behaviour": population.behaviour.kind, "beta": float(population.beta.detach().mean()), "decay": str(form.decay),
            "weight_bits": trainable.bits(sources[0]), "state_bits": form.bits, "frac": form.frac,
            "threshold": [int(threshold.min()), int(threshold.max())], "weights": weights,
            "bias": any(trainable.map(source).bias is not None for source in sources),
            "sparsity": float(sum(int((integer == 0).sum()) for integer in integers)) / weights,
        })
    return rows


def train_model(model: str | Path, out: Path, *, pretrained: Path | None = None,
                progress: Progress | None = None) -> dict[str, Any]:
    """Train a model by its recipe and write ``checkpoint.safetensors`` into `out`.

    Parameters
    ----------
    model : str or Path
        Model folder.
    out : Path
        Run folder.
    pretrained : Path, optional
        A checkpoint, or a state_dict in a .pt or .safetensors file, of the float network, which is then not trained.
    progress : callable, optional
        Told how far each stage is.

    Returns
    -------
    dict
        Accuracies on the test split, losses of the epochs, one row for each layer, seconds. Plain values.
    """
    started = time.monotonic()
    folder, out = model_folder(model), Path(out)
    recipe = load_recipe(folder / "recipe.toml")
    if recipe.structure is not None:
        raise UsageError("recipe section structure is for snnhw compress: the code of a model does not follow its widths")
    data = load_data(recipe, folder)
    with reproducible(recipe.seed):
        module = load_model(folder)
        names = module.state_dict()
        if pretrained is None:
            losses = {"pretrain": _pretrain(module, recipe, data, progress)}
        else:
            given = load_checkpoint(pretrained)
            load_parameters(module, given.pretrained or given.trained)
            losses = {"pretrain": []}
        floats = parameters(module, names)
        float_accuracy = _float_accuracy(module, recipe, data)
        network = _read(module, recipe, data)
        learns = _learns(module, network, recipe)
        trainable = TrainableNetwork(network, learn=learns, surrogate=recipe.surrogate)
        lengths, curve = recipe.temporal, []
        if lengths.timesteps:
            trainable = TrainableNetwork(network, learn={name: own | set(lengths.learn) for name, own in learns.items()},
                                         surrogate=recipe.surrogate)
            shortened = shorten(trainable, recipe, data, progress=progress)
            recipe, curve = recipe.reached(shortened.timesteps), shortened.curve
            losses |= shortened.losses
        teacher = TrainableNetwork(trainable.network()).eval() if recipe.distill.weight else None
        losses["finetune"] = finetune(trainable, recipe, data, teacher=teacher, progress=progress,
                                      calibration=curves.calibration(recipe, data, recipe.length))
        save_checkpoint(out / "checkpoint.safetensors", take(trainable, recipe.quantize, floats,
                                                              recipe.length if lengths.loss is not None else None))
        # Measured on what was written, so that lowering it later gives the same.
        restored = _restore(load_model(folder), recipe, data, load_checkpoint(out / "checkpoint.safetensors"))
        return {
            "model": folder.name, "data": data.name, "seed": recipe.seed, "timesteps": recipe.length,
            "train_samples": min(recipe.samples or len(data.train_labels), len(data.train_labels)),
            "test_samples": len(data.test_labels),
            "accuracy": {"float": float_accuracy, "quantized": curves.accuracy(restored, recipe, data, recipe.length)},
            "temporal": curve, "losses": losses, "layers": layer_rows(restored),
            "training_seconds": round(time.monotonic() - started, 1), "recipe": recipe.model_dump(),
        }


def find_checkpoint(folder: Path, out: Path, given: Path | None) -> Path:
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
    automatic = {"layers", "frac", "decay", "when"}
    trained = stored.quantize.model_dump(exclude=automatic)
    for key, value in recipe.quantize.model_dump(exclude=automatic).items():
        if trained[key] != value:
            raise UsageError(f"checkpoint {str(path)!r} was trained with quantize.{key} = {trained[key]}, "
                             f"the recipe has {value}; train again")


def compare_words(trainable: TrainableNetwork, graph: Graph, data: Dataset, progress: Progress | None) -> dict[str, Any]:
    """Run the test split through the quantized torch network and the integer reference, and count every difference."""
    encode = make_encoder(graph.input.encoding, graph.timesteps, data.inputs)
    sizes = {name: int(np.prod(graph.shapes[name])) for name in trainable.neurons}
    firing = [name for name in trainable.neurons if trainable.nodes[name].fires]
    spikes, words, inputs, first = 0, 0, 0, ""
    fired, saturated = dict.fromkeys(firing, 0), dict.fromkeys(trainable.neurons, 0)
    decisions: dict[str, list[np.ndarray]] = {"quantized": [], "integer": []}
    total = len(data.test_labels)
    batch = max(1, min(CHECK_BATCH, CHECK_WORDS // (graph.timesteps * max(sizes.values()))))
    for start in range(0, total, batch):
        train = encode(data.test_values[start:start + batch])
        trace = reference.run(graph, train)
        with torch.no_grad():
            found = trainable(torch.from_numpy(train).float(), keep=True)
        inputs += int(np.count_nonzero(train))
        for name in trainable.neurons:
            others = found.membranes[name].transpose(0, 1).numpy() != trace.membranes[name]
            words += int(others.sum())
            if name in firing:
                other_spikes = found.spikes[name].transpose(0, 1).numpy() != trace.spikes[name]
                spikes += int(other_spikes.sum())
                others |= other_spikes
                fired[name] += int(trace.spikes[name].sum())
            if not first and others.any():
                sample, step, neuron = np.argwhere(others)[0]
                first = f"layer {name!r}, sample {start + sample}, timestep {step}, neuron {neuron}"
            saturated[name] += int(trace.counts[name].saturations.sum())
        decisions["quantized"].append(found.logits.numpy().argmax(axis=1))
        decisions["integer"].append(trace.decisions)
        if progress is not None:
            progress("check", min(start + batch, total), total, "test samples")
    steps = total * graph.timesteps
    return {
        "accuracy": {name: _accuracy(np.concatenate(parts), data.test_labels) for name, parts in decisions.items()},
        "mismatches": {"samples": total, "spikes": spikes, "membranes": words,
                       "spikes_compared": steps * sum(sizes[name] for name in firing),
                       "membranes_compared": steps * sum(sizes.values())},
        "rates": {graph.input.name: inputs / (steps * data.inputs)}
        | {name: fired[name] / (steps * sizes[name]) for name in firing},
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
    data = load_data(recipe, folder)
    path = find_checkpoint(folder, out, checkpoint)
    stored = load_checkpoint(path)
    _check_recipe(recipe, stored, path)
    if stored.timesteps is not None:
        recipe = recipe.reached(stored.timesteps)
    with reproducible(recipe.seed):
        module = load_model(folder)
        load_parameters(module, stored.pretrained or stored.trained)
        accuracy = _float_accuracy(module, recipe, data)
        trainable = _restore(module, recipe, data, stored)
        graph = trainable.graph(input_node(recipe, data), recipe.length, name=folder.name,
                                meta={"model": folder.name, "data": data.name})
        found = compare_words(trainable, graph, data, progress)
        rows = layer_rows(trainable)
    save_graph(graph, out / "graph.safetensors")
    write_tensors(out / "samples.safetensors", {"values": data.test_values, "labels": data.test_labels})
    return {
        "model": folder.name, "data": data.name, "seed": recipe.seed, "timesteps": graph.timesteps,
        "test_samples": len(data.test_labels), "layers": rows,
        **found, "accuracy": {"float": accuracy, **found["accuracy"]},
    }

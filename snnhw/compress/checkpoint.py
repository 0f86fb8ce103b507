"""Trained parameters on disk, as safetensors and never as pickle.

A checkpoint holds the parameters of the trained network under the names of its nodes, ``fc1.weight``; those of the user's
``state_dict`` before quantization under ``float/``; the weight scales under ``scale/``, with the name of the first node that has
them; what weights are divided by under ``clip/`` where that is another number; and the pruning masks under ``mask/``. The header
says how the network was quantized.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import nn

from snnhw.compress.config import QuantConfig
from snnhw.compress.prune import apply_masks
from snnhw.compress.trainable import TrainableNetwork
from snnhw.errors import FileError, NetworkError
from snnhw.files import read_tensors, write_tensors
from snnhw.frontend.folder import read_torch_file

__all__ = ["Checkpoint", "load_checkpoint", "parameters", "restore", "save_checkpoint", "take"]

FORMAT, VERSION = "snnhw-checkpoint", 1
Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A trained network without its code.

    Parameters
    ----------
    trained : mapping of str to array
        Parameters, by the names of the nodes; of a plain state_dict by its own names.
    pretrained : mapping of str to array
        Those of the user's module before quantization; empty when unknown.
    scales, clips, masks : mapping of str to array
        By name of a node; empty when the network was never quantized.
    quantize : QuantConfig or None
        Number formats it was trained for, everything automatic decided.
    timesteps : int or None
        Length of a sample that temporal pruning ended with.
    """

    trained: Arrays
    pretrained: Arrays = field(default_factory=dict)
    scales: Arrays = field(default_factory=dict)
    clips: Arrays = field(default_factory=dict)
    masks: Arrays = field(default_factory=dict)
    quantize: QuantConfig | None = None
    timesteps: int | None = None


def parameters(module: nn.Module, names: Mapping[str, object]) -> dict[str, np.ndarray]:
    """Return the entries of a state_dict that go by `names`."""
    return {name: tensor.detach().cpu().numpy().copy() for name, tensor in module.state_dict().items() if name in names}


def _decided(network: TrainableNetwork, config: QuantConfig) -> QuantConfig:
    """Return the configuration with what was automatic written down, so that quantizing again decides the same."""
    layers = {name: dict(values) for name, values in config.layers.items()}
    for name in network.neurons:
        form = network.population(name).format
        assert form is not None
        own = layers.setdefault(name, {})
        own["frac"] = form.frac
        if form.decay.kind != "one":
            own["decay"] = form.decay.kind
        if form.synapse is not None and form.synapse.kind != "one":
            own["synapse"] = form.synapse.kind
    return QuantConfig(**{**config.model_dump(), "layers": layers})


def take(network: TrainableNetwork, config: QuantConfig, pretrained: Arrays, timesteps: int | None = None) -> Checkpoint:
    """Return the checkpoint of a quantized network."""
    trained: dict[str, np.ndarray] = {}
    for where, tensor in network.slots().items():
        trained[where] = tensor.detach().numpy().copy()
    masks = {name: network.map(name).mask.numpy().copy() for name in network.weighted if network.map(name).pruned}
    scales, clips = network.scale_values()
    return Checkpoint(trained, pretrained, scales, clips, masks, _decided(network, config), timesteps)


def restore(network: TrainableNetwork, checkpoint: Checkpoint, config: QuantConfig,
            calibration: np.ndarray | None = None) -> None:
    """Put a checkpoint into a network that is in real numbers, and quantize it as it was.

    Parameters
    ----------
    network : TrainableNetwork
        The network; changed in place.
    checkpoint : Checkpoint
        What was trained. Without ``quantize`` in it the network keeps its own parameters.
    config : QuantConfig
        Number formats where the checkpoint does not say.
    calibration : array, optional
        Input spikes, for :meth:`TrainableNetwork.quantize`.

    Raises
    ------
    NetworkError
        A parameter is missing, of another shape or not finite.
    """
    if checkpoint.quantize is not None:
        for name, tensor in network.slots().items():
            if name not in checkpoint.trained:
                if name.endswith((".weight", ".bias")):
                    raise NetworkError(f"layer {name.rpartition('.')[0]!r}: {name.rpartition('.')[2]} must be in the checkpoint, "
                                       f"and is not")
                continue
            values = checkpoint.trained[name]
            layer, _, what = name.rpartition(".")
            shape = tuple(tensor.shape)
            if what in ("threshold", "beta", "alpha"):  # one for all neurons, or one for each
                neurons = math.prod(network.source.shapes[layer])
                shape = () if values.size == 1 else (neurons,)
            if values.size != math.prod(shape) or (what == "weight" and values.shape != shape):
                raise NetworkError(f"layer {layer!r}: {what} must have shape {shape}, not {values.shape} as in the checkpoint")
            if not np.isfinite(values).all():
                raise NetworkError(f"layer {layer!r}: {what} must be finite, not "
                                   f"{values[~np.isfinite(values)].flat[0]} as in the checkpoint")
            tensor.data = torch.from_numpy(np.array(values, np.float32)).reshape(shape)
        for name, mask in checkpoint.masks.items():
            if name in network.weighted and mask.shape != (shape := tuple(network.map(name).mask.shape)):
                raise NetworkError(f"layer {name!r}: mask must have shape {shape}, not {mask.shape} as in the checkpoint")
        apply_masks(network, checkpoint.masks)
    network.quantize(checkpoint.quantize or config, calibration, scales=checkpoint.scales, clips=checkpoint.clips)


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint atomically."""
    tensors = dict(checkpoint.trained)
    for prefix, arrays in (("float", checkpoint.pretrained), ("scale", checkpoint.scales), ("clip", checkpoint.clips),
                           ("mask", checkpoint.masks)):
        tensors |= {f"{prefix}/{name}": array.astype(np.uint8) if prefix == "mask" else array for name, array in arrays.items()}
    text = json.dumps({"format": FORMAT, "version": VERSION,
                       "quantize": None if checkpoint.quantize is None else checkpoint.quantize.model_dump(),
                       **({} if checkpoint.timesteps is None else {"timesteps": checkpoint.timesteps})}, sort_keys=True)
    write_tensors(path, tensors, {"snnhw": text})


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint, or a plain state_dict from a safetensors, .pt or .pth file.

    A .pt file is read with ``weights_only=True`` and not at all when that fails.
    """
    path = Path(path)
    if path.suffix in (".pt", ".pth"):
        return Checkpoint(read_torch_file(path))
    tensors, metadata = read_tensors(path, "checkpoint")
    quantize = timesteps = None
    if "snnhw" in metadata:
        try:
            header = json.loads(metadata["snnhw"])
            if not isinstance(header, dict) or header.get("format") != FORMAT or header.get("version") != VERSION:
                raise ValueError
            quantize = None if header.get("quantize") is None else QuantConfig(**header["quantize"])
            timesteps = header.get("timesteps")
            if timesteps is not None and (type(timesteps) is not int or timesteps < 1):
                raise ValueError
        except (ValueError, TypeError, RecursionError):
            raise FileError(f"checkpoint {str(path)!r} must be version {VERSION} of {FORMAT}, and is not") from None
    parts: dict[str, dict[str, np.ndarray]] = {"": {}, "float": {}, "scale": {}, "clip": {}, "mask": {}}
    for name, array in tensors.items():
        prefix, slash, rest = name.partition("/")
        parts[prefix if slash and prefix in parts else ""][rest if slash and prefix in parts else name] = array
    masks = {name: mask != 0 for name, mask in parts["mask"].items()}
    return Checkpoint(parts[""], parts["float"], parts["scale"], parts["clip"], masks, quantize, timesteps)

"""Trained parameters on disk, as safetensors and never as pickle.

A checkpoint holds the parameters of the trained network under the names of the user's ``state_dict``; those from
before quantization under ``float/``; the weight scales under ``scale/`` and the pruning masks under ``mask/``, each
with the path of the linear. The header says how the network was quantized.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from torch import nn

from snnhw.compress.config import QuantConfig
from snnhw.compress.quantize import quantized_layers
from snnhw.errors import FileError
from snnhw.files import read_tensors, write_tensors
from snnhw.frontend import Network
from snnhw.frontend.folder import load_parameters, read_torch_file

__all__ = ["Checkpoint", "load_checkpoint", "load_parameters", "parameters", "save_checkpoint"]

FORMAT, VERSION = "snnhw-checkpoint", 1
Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A trained network without its code.

    Parameters
    ----------
    trained : mapping of str to array
        Parameters, by the names of the state_dict.
    pretrained : mapping of str to array
        Those of the float network before quantization; empty when unknown.
    scales, masks : mapping of str to array
        By path of the linear; empty when the network was never quantized.
    quantize : dict or None
        Number formats it was trained for, everything automatic decided.
    """

    trained: Arrays
    pretrained: Arrays = field(default_factory=dict)
    scales: Arrays = field(default_factory=dict)
    masks: Arrays = field(default_factory=dict)
    quantize: QuantConfig | None = None


def parameters(module: nn.Module, names: Mapping[str, object]) -> dict[str, np.ndarray]:
    """Return the entries of a state_dict that go by `names`."""
    return {name: tensor.detach().cpu().numpy().copy() for name, tensor in module.state_dict().items() if name in names}


def decided(module: nn.Module, network: Network, config: QuantConfig) -> QuantConfig:
    """Return the configuration with what was automatic written down, so that quantizing again decides the same."""
    layers = {}
    for layer, linear, neuron in quantized_layers(module, network):
        own = {**config.layers.get(layer.linear, {}), **config.layers.get(layer.neuron, {}), "frac": linear.frac}
        if neuron.decay.kind != "one":
            own["decay"] = neuron.decay.kind
        layers[layer.linear] = own
    return QuantConfig(**{**config.model_dump(), "layers": layers})


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint atomically."""
    tensors = dict(checkpoint.trained)
    for prefix, arrays in (("float", checkpoint.pretrained), ("scale", checkpoint.scales), ("mask", checkpoint.masks)):
        tensors |= {f"{prefix}/{name}": array.astype(np.uint8) if prefix == "mask" else array for name, array in arrays.items()}
    text = json.dumps({"format": FORMAT, "version": VERSION,
                       "quantize": None if checkpoint.quantize is None else checkpoint.quantize.model_dump()}, sort_keys=True)
    write_tensors(path, tensors, {"snnhw": text})


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint, or a plain state_dict from a safetensors, .pt or .pth file.

    A .pt file is read with ``weights_only=True`` and not at all when that fails.
    """
    path = Path(path)
    if path.suffix in (".pt", ".pth"):
        return Checkpoint(read_torch_file(path))
    tensors, metadata = read_tensors(path, "checkpoint")
    quantize = None
    if "snnhw" in metadata:
        try:
            header = json.loads(metadata["snnhw"])
            if not isinstance(header, dict) or header.get("format") != FORMAT or header.get("version") != VERSION:
                raise ValueError
            quantize = None if header.get("quantize") is None else QuantConfig(**header["quantize"])
        except (ValueError, TypeError, RecursionError):
            raise FileError(f"checkpoint {str(path)!r} must be version {VERSION} of {FORMAT}, and is not") from None
    parts: dict[str, dict[str, np.ndarray]] = {"": {}, "float": {}, "scale": {}, "mask": {}}
    for name, array in tensors.items():
        prefix, slash, rest = name.partition("/")
        parts[prefix if slash and prefix in parts else ""][rest if slash and prefix in parts else name] = array
    masks = {name: mask != 0 for name, mask in parts["mask"].items()}
    return Checkpoint(parts[""], parts["float"], parts["scale"], masks, quantize)

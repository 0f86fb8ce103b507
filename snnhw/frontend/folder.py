"""Read a trained network from a folder: ``model.py``, which is the user's own code, and the file with its parameters."""

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from snnhw.errors import FileError, NetworkError, UsageError, raise_problems
from snnhw.files import MAX_FILE_BYTES, read_bytes, read_tensors
from snnhw.frontend.module import read_module
from snnhw.network import Network

__all__ = ["load_model", "load_parameters", "read_folder", "read_torch_file"]

Arrays = Mapping[str, np.ndarray]
SUFFIXES = (".safetensors", ".pt", ".pth")


def read_folder(folder: str | Path, checkpoint: str | Path | None = None, *, shape: tuple[int, ...], timesteps: int,
                **options: Any) -> Network:
    """Read a network from a folder with ``model.py``, in which ``Net()`` makes it, and a file with its parameters.

    Parameters
    ----------
    folder : str or Path
        The folder. ``model.py`` in it is executed: it is the user's own code.
    checkpoint : str or Path, optional
        A .safetensors file, or a .pt file with a state_dict, from which no code is executed. By default the only such
        file in the folder.
    shape : tuple of int
        Shape of one sample of one timestep.
    timesteps : int
        Length of a sample in timesteps.
    **options
        Of :func:`read_module`.

    Raises
    ------
    FileError
        The model or its parameters are missing, or are something else.
    NetworkError
        The parameters do not fit the network, or it has no hardware.
    """
    folder = Path(folder)
    if folder.suffix in SUFFIXES and not folder.is_dir():
        raise FileError(f"model {str(folder)!r} must be a folder with model.py: {_hint(folder)}")
    path = Path(checkpoint) if checkpoint is not None else _only(folder)
    if not (folder / "model.py").is_file():
        raise FileError(f"model folder {str(folder)!r} must hold model.py: {_hint(path)}")
    arrays = _read(path)
    module = load_model(folder)
    load_parameters(module, arrays)
    return read_module(module, shape, timesteps=timesteps, **{"name": folder.resolve().name, **options})


def _only(folder: Path) -> Path:
    """Return the one file with parameters in a folder."""
    if not folder.is_dir():
        raise FileError(f"model folder {str(folder)!r} does not exist")
    found = sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES)
    if len(found) != 1:
        listed = f"has {', '.join(repr(path.name) for path in found)}" if found else "has none"
        raise FileError(f"model folder {str(folder)!r} must hold one file with parameters, .safetensors or .pt, and {listed}; "
                        f"name the checkpoint")
    return found[0]


def _read(path: Path) -> dict[str, np.ndarray]:
    """Read parameters by the names of a state_dict; scales and masks of our own checkpoints are left out."""
    if path.suffix in (".pt", ".pth"):
        return read_torch_file(path)
    tensors, _ = read_tensors(path, "checkpoint")
    return {name: array for name, array in tensors.items() if name.partition("/")[0] not in ("float", "scale", "clip", "mask")}


def _hint(path: Path) -> str:
    """Say what a file of parameters alone is missing."""
    arrays = _read(path)
    some = ", ".join(f"{name} {tuple(array.shape)}" for name, array in list(arrays.items())[:4])
    return (f"parameters without a network do not say what it computes; write model.py with a class or function Net whose "
            f"state_dict has {some}{' ...' if len(arrays) > 4 else ''}")


def load_model(folder: Path) -> nn.Module:
    """Run ``model.py`` of a model folder, which is the user's own code, and return ``Net()``."""
    path = folder / "model.py"
    spec = importlib.util.spec_from_file_location(f"snnhw_model_{folder.name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        net = module.Net()
    except AttributeError as error:
        raise UsageError(f"{str(path)!r} must define Net, and fails with: {error}") from None
    except (ImportError, SyntaxError, TypeError, ValueError, RuntimeError, NameError) as error:
        raise UsageError(f"{str(path)!r} must define Net() without arguments, and fails with "
                         f"{type(error).__name__}: {error}") from None
    if not isinstance(net, nn.Module):
        raise UsageError(f"{str(path)!r}: Net() must return a torch.nn.Module, not {type(net).__name__}")
    return net


def read_torch_file(path: Path) -> dict[str, np.ndarray]:
    """Read a state_dict from a .pt file with ``weights_only=True``, which runs no code; refuse everything else."""
    read_bytes(path, "checkpoint", MAX_FILE_BYTES)  # exists, is a file, within the budget
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # what a damaged or hostile file makes the reader raise is not documented
        raise FileError(f"checkpoint {str(path)!r} must hold tensors only; save it with "
                        f"torch.save(net.state_dict(), path)") from None
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict) or not all(isinstance(name, str) and isinstance(value, torch.Tensor)
                                                for name, value in content.items()):
        raise FileError(f"checkpoint {str(path)!r} must hold a state_dict")
    for name, tensor in content.items():
        if tensor.layout != torch.strided or tensor.is_quantized:
            continue
        stored = tensor.untyped_storage().nbytes() // tensor.element_size()
        if tensor.numel() > stored:  # a small file can claim a tensor of any size
            raise FileError(f"checkpoint {str(path)!r} must hold whole dense tensors, and {name!r} of shape "
                            f"{tuple(tensor.shape)} has {stored} elements")
    try:
        return {name: tensor.detach().numpy() for name, tensor in content.items()}
    except TypeError as error:  # bfloat16, sparse, quantized
        raise FileError(f"checkpoint {str(path)!r} must hold dense tensors that numpy knows: {error}") from None


def load_parameters(module: nn.Module, arrays: Arrays) -> None:
    """Put parameters into a network.

    Raises
    ------
    NetworkError
        One is missing, unknown, of another shape or not finite; named by its layer.
    """
    own, problems = module.state_dict(), []
    for name in [*own, *(name for name in arrays if name not in own)]:
        layer, _, what = name.rpartition(".")
        where = f"layer {layer!r} ({type(module.get_submodule(layer)).__name__})" if name in own else f"layer {layer!r}"
        if name not in arrays:
            # What snntorch keeps besides parameters may be absent; the module has it from its constructor.
            if what not in ("graded_spikes_factor", "reset_mechanism_val"):
                problems.append(f"{where}: {what} must be in the checkpoint, and is not")
        elif name not in own:
            problems.append(f"{where}: the checkpoint has its {what}, the network has not")
        elif tuple(arrays[name].shape) != tuple(own[name].shape):
            problems.append(f"{where}: {what} must have shape {tuple(own[name].shape)}, "
                            f"not {tuple(arrays[name].shape)} as in the checkpoint")
        elif not np.isfinite(arrays[name]).all():
            bad = arrays[name][~np.isfinite(arrays[name])].flat[0]
            problems.append(f"{where}: {what} must be finite, not {bad} as in the checkpoint")
    raise_problems(problems)
    try:
        module.load_state_dict({name: torch.from_numpy(np.array(arrays[name])) for name in own if name in arrays}, strict=False)
    except RuntimeError as error:
        raise NetworkError(f"the checkpoint does not fit the network: {error}") from None

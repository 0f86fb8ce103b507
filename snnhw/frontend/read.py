"""Read a torch + snntorch network."""

from typing import Literal

import numpy as np
import snntorch as snn
import torch
from torch import nn

from snnhw.errors import NetworkError, raise_problems
from snnhw.frontend.network import Behaviour, Layer, Network
from snnhw.frontend.probe import probe_neuron
from snnhw.frontend.trace import Call, Trace, trace, where

__all__ = ["read_network"]

Drive = tuple[Literal["sequence", "static", "step"], int, tuple[int, ...]]


def read_network(module: nn.Module, sample: torch.Tensor, *, timesteps: int) -> Network:
    """Read the layers of a network from one run of its forward.

    The forward may pass ``(spk, mem)`` by hand or hide the state (``init_hidden=True``), loop over time itself or
    be called once per timestep, flatten its input, and stack, sum or average what it returns. The layers that
    count are ``nn.Linear`` and ``snn.Leaky`` in a chain. Dropout is off. Neurons are probed.

    Parameters
    ----------
    module : torch.nn.Module
        The network. Not changed, except that hidden states are cleared.
    sample : torch.Tensor
        An input of its forward, random preferably; two samples in a batch tell more than one.
    timesteps : int
        Length of a sample in timesteps.

    Raises
    ------
    NetworkError
        With one sentence for everything that has no hardware.
    """
    raise_problems(_not_finite(module))  # nothing can be compared with a NaN
    with torch.random.fork_rng(devices=[]):
        seen = trace(module, sample)
    names = list(seen.neurons)
    if not names:
        raise NetworkError((*seen.problems, "the network must have at least one snn.Leaky between its input and its output"))
    used: dict[str, str] = {}
    if not seen.problems:
        used = _match(module, seen, timesteps)
    drive: Drive = ("step", 0, ())
    if not seen.problems:
        drive = _input_order(module, seen, used[names[0]], sample, timesteps)
    behaviours: dict[str, Behaviour] = {}
    for name in names:
        neuron = module.get_submodule(name)
        assert isinstance(neuron, snn.Leaky)
        try:
            behaviours[name] = probe_neuron(neuron, name)
        except NetworkError as error:
            seen.problems.update(dict.fromkeys(error.problems))
    raise_problems(seen.problems)
    layers = []
    for name in names:
        linear = module.get_submodule(used[name])
        assert isinstance(linear, nn.Linear)
        for what in ("beta", "threshold"):
            values = getattr(behaviours[name], what)
            if values.ndim and values.size != linear.out_features:
                seen.refuse(f"{where(name, module.get_submodule(name))}: {what} must be one value or "
                            f"{linear.out_features} values, not {values.size}")
        bias = None if linear.bias is None else _array(linear.bias)
        layers.append(Layer(used[name], name, _array(linear.weight), bias, behaviours[name]))
    raise_problems(seen.problems)
    return Network(tuple(layers), timesteps, *drive)


def _array(tensor: torch.Tensor) -> np.ndarray:
    array = tensor.detach().cpu().numpy().copy()
    array.setflags(write=False)
    return array


def _not_finite(module: nn.Module) -> list[str]:
    problems = []
    for name, linear in module.named_modules():
        if not isinstance(linear, nn.Linear):
            continue
        for what in ("weight", "bias"):
            values = getattr(linear, what)
            if values is not None and not bool(torch.isfinite(values).all()):
                bad = float(values.detach()[~torch.isfinite(values)].reshape(-1)[0])
                problems.append(f"{where(name, linear)}: {what} must be finite, not {bad}")
    return problems


def _match(module: nn.Module, seen: Trace, timesteps: int) -> dict[str, str]:
    """Check that the calls form the same chain at every timestep; return the linear of each neuron."""
    used: dict[str, str] = {}
    names = list(seen.neurons)
    samples = len(next(iter(seen.neurons.values()))[0].rows)
    for index, name in enumerate(names):
        label = where(name, module.get_submodule(name))
        calls = seen.neurons[name]
        if len(calls) not in (1, timesteps) or len(calls) != len(seen.neurons[names[0]]):
            seen.refuse(f"{label}: must be called once per timestep, that is {timesteps} times or, in a network that is called "
                        f"for each timestep, once; not {len(calls)} times")
            continue
        drivers = {block.maker for call in calls for block, _ in call.rows}
        if len(drivers) != 1 or drivers & set(used.values()):
            seen.refuse(f"{label}: must be driven by one nn.Linear of its own, not {' and '.join(map(repr, sorted(drivers)))}")
            continue
        used[name] = drivers.pop()
        before = names[index - 1] if index else None
        for step, call in enumerate(calls):
            _check_call(label, call, step, before, samples, seen)
    for name in seen.linears:
        if name not in used.values() and len(used) == len(names):
            seen.refuse(f"{where(name, module.get_submodule(name))}: must drive an snn.Leaky, and drives none")
    return used


def _check_call(label: str, call: Call, step: int, before: str | None, samples: int, seen: Trace) -> None:
    if len(call.rows) != samples:
        seen.refuse(f"{label}: its input must have shape (samples, neurons)")
        return
    for row, (current, current_row) in enumerate(call.rows):
        source, source_row = current.origins[current_row]
        if before is None:
            if source.kind != "input":
                seen.refuse(f"{label}: the first layer must be driven by the network's input, not by {source.maker!r}")
            continue
        if source.kind != "spikes" or source.maker != before:
            other = source.maker if source.kind == "input" else repr(source.maker)
            seen.refuse(f"{label}: must be driven by {before!r}, the layer before it, not by {other}; only chains are supported")
        elif source.call != step:
            seen.refuse(f"{label}: must be driven by the spikes of the same timestep, not by those of "
                        f"{step - source.call} timestep(s) before")
        elif source_row != row:
            seen.refuse(f"{label}: samples of a batch must stay apart and in order")


def _input_order(module: nn.Module, seen: Trace, linear: str, sample: torch.Tensor, timesteps: int) -> Drive:
    """Find out which elements of the input are which timestep."""
    first = next(iter(seen.neurons))
    calls = seen.neurons[first]
    layer = module.get_submodule(linear)
    assert isinstance(layer, nn.Linear)
    width, samples = layer.in_features, len(calls[0].rows)
    starts = np.array([[current.origins[row][1] for current, row in call.rows] for call in calls])
    step, row = np.ogrid[:len(calls), :samples]
    frame, whole = samples * width, timesteps * samples * width
    if sample.numel() == whole and (timesteps > 1 or sample.ndim > 2) and len(calls) == timesteps:
        for axis, expected in ((0, (step * samples + row) * width), (1, (row * timesteps + step) * width)):
            if np.array_equal(starts, expected):
                return "sequence", axis, tuple(sample.shape[2:])
    if sample.numel() == frame and np.array_equal(starts, np.broadcast_to(row * width, starts.shape)):
        return ("step" if len(calls) == 1 else "static"), 0, tuple(sample.shape[1:])
    seen.refuse(f"{where(linear, layer)}: its input must be the whole of the network's input, one timestep after the other, "
                f"and is not; the input has shape {tuple(sample.shape)}, the network {timesteps} timesteps")
    return "step", 0, ()

"""Drive a user's network with spikes and watch its neurons, whatever its forward takes and returns."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import snntorch as snn
import torch
from torch import nn

from snnhw.compress.layers import QuantLeaky
from snnhw.errors import NetworkError
from snnhw.frontend import Network

__all__ = ["clear", "drive", "observe", "output_spikes"]

Watcher = Callable[[str, torch.Tensor, torch.Tensor], None]


def clear(module: nn.Module) -> None:
    """Set every membrane to its start, as at the beginning of a sample."""
    for child in module.modules():
        if isinstance(child, snn.Leaky):
            child.mem = torch.zeros(0)


@contextmanager
def _watching(module: nn.Module, names: list[str], watcher: Watcher) -> Iterator[None]:
    def hook_of(name: str) -> Callable[..., None]:
        def hook(neuron: Any, args: Any, result: Any) -> None:
            spikes, membrane = result if isinstance(result, tuple) else (result, neuron.mem)
            watcher(name, spikes, membrane)
        return hook

    hooks = [module.get_submodule(name).register_forward_hook(hook_of(name)) for name in names]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def drive(module: nn.Module, network: Network, spikes: torch.Tensor) -> None:
    """Run one batch from cleared membranes.

    Parameters
    ----------
    module : torch.nn.Module
        The network, float or quantized.
    network : Network
        Says how its forward wants the input.
    spikes : float tensor, (samples, timesteps, inputs)
        0 or 1.
    """
    clear(module)
    samples, timesteps, _ = spikes.shape
    frames = spikes.reshape(samples, timesteps, *network.frame_shape)
    if network.drive == "step":
        for step in range(timesteps):
            module(frames[:, step])
    elif network.drive == "static":
        if not bool((spikes == spikes[:, :1]).all()):
            raise NetworkError("the network shows one frame at every timestep, so its input must not change within a sample; "
                               "let the forward take x[step], or use constant events")
        module(frames[:, 0])
    else:
        module(frames.transpose(0, 1) if network.time_axis == 0 else frames)


def output_spikes(module: nn.Module, network: Network, spikes: torch.Tensor) -> torch.Tensor:
    """Return the spikes of the last layer, (samples, timesteps, outputs), with gradients."""
    seen: list[torch.Tensor] = []
    with _watching(module, [network.layers[-1].neuron], lambda name, fired, membrane: seen.append(fired)):
        drive(module, network, spikes)
    return torch.stack(seen, dim=1)


def observe(module: nn.Module, network: Network, spikes: torch.Tensor) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return what every neuron of a quantized network did, without gradients.

    Returns
    -------
    spikes : dict of str to bool array, (samples, timesteps, neurons)
    membranes : dict of str to int64 array, (samples, timesteps, neurons)
        Words, in units of each neuron's state.
    """
    names = [layer.neuron for layer in network.layers]
    fired: dict[str, list[np.ndarray]] = {name: [] for name in names}
    words: dict[str, list[np.ndarray]] = {name: [] for name in names}

    def watch(name: str, spike: torch.Tensor, membrane: torch.Tensor) -> None:
        neuron = module.get_submodule(name)
        assert isinstance(neuron, QuantLeaky)
        fired[name].append(spike.numpy() != 0)
        words[name].append(neuron.words(membrane).numpy())

    training = module.training
    module.eval()
    with torch.no_grad(), _watching(module, names, watch):
        drive(module, network, spikes)
    module.train(training)
    return ({name: np.stack(steps, axis=1) for name, steps in fired.items()},
            {name: np.stack(steps, axis=1) for name, steps in words.items()})

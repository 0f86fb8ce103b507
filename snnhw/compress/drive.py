"""Drive a user's network by its own forward, whatever that takes and returns, and watch its last layer."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import snntorch as snn
import torch
from torch import nn

from snnhw.errors import NetworkError
from snnhw.frontend.layout import Layout
from snnhw.ir import Readout

__all__ = ["clear", "drive", "logits"]

STATES = ("mem", "syn", "spk")


def clear(module: nn.Module) -> None:
    """Set every hidden state to its start, as at the beginning of a sample."""
    for child in module.modules():
        if isinstance(child, snn.SpikingNeuron):
            for state in STATES:
                if isinstance(getattr(child, state, None), torch.Tensor):
                    setattr(child, state, torch.zeros(0))


@contextmanager
def _watching(neuron: nn.Module, watcher: Callable[[torch.Tensor, torch.Tensor], None]) -> Iterator[None]:
    def hook(module: nn.Module, args: Any, result: Any) -> None:
        if isinstance(result, tuple):
            watcher(result[0], result[-1])
        else:
            watcher(result, module.mem)  # type: ignore[arg-type]

    handle = neuron.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


def drive(module: nn.Module, layout: Layout, spikes: torch.Tensor, timesteps: int) -> None:
    """Run one batch from cleared states.

    Parameters
    ----------
    module : torch.nn.Module
        The network.
    layout : Layout
        How its forward wants the input.
    spikes : float tensor, (samples, timesteps, inputs), or (samples, 1, inputs) for an input that stays
        Input spikes.
    timesteps : int
        Length of a sample.
    """
    clear(module)
    frames = spikes.reshape(*spikes.shape[:2], *layout.frame)
    if layout.drive == "static":
        if spikes.shape[1] > 1 and not bool((spikes == spikes[:, :1]).all()):
            raise NetworkError("the network shows one frame at every timestep, so its input must not change within a sample; "
                               "let the forward take x[step], or use encoding 'direct' or constant events")
        module(frames[:, 0])
    elif layout.drive == "step":
        for step in range(timesteps):
            module(frames[:, min(step, frames.shape[1] - 1)])
    else:
        whole = frames.expand(-1, timesteps, *[-1] * (frames.ndim - 2)) if frames.shape[1] == 1 else frames
        module(whole.transpose(0, 1) if layout.axis == 0 else whole)
    # A state belongs to a pass, and its history cannot be copied.


def logits(module: nn.Module, layout: Layout, readout: Readout, spikes: torch.Tensor, timesteps: int) -> torch.Tensor:
    """Return what the readout makes of the last layer, (samples, outputs), with gradients."""
    seen: list[torch.Tensor] = []
    membrane = readout.kind == "membrane"
    with _watching(module.get_submodule(readout.inputs[0]), lambda fired, state: seen.append(state if membrane else fired)):
        drive(module, layout, spikes, timesteps)
    values = torch.stack(seen).flatten(2)
    if not membrane:
        return values.sum(dim=0)
    return {"last": values[-1], "max": values.amax(dim=0), "sum": values.sum(dim=0)}[readout.over]

"""Spikes with a gradient: the step function forward, the derivative of a smooth step backward."""

import math
from collections.abc import Callable
from typing import Any

import torch

__all__ = ["SURROGATES", "fire"]

# By name: the derivative at the distance x of a state from its threshold, in thresholds.
SURROGATES: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    # Fang et al. 2021 and the default of snntorch, alpha = 2.
    "atan": lambda x: 1 / (1 + (math.pi * x).square()),
    # Zenke and Ganguli 2018 with slope 25.
    "fast-sigmoid": lambda x: 1 / (1 + 25 * x.abs()).square(),
    # Bellec et al. 2018; Rathi et al. 2020 with the same height.
    "triangle": lambda x: 0.3 * (1 - x.abs()).clamp(min=0),
    "rectangle": lambda x: (x.abs() < 0.5).to(x.dtype),
}


class _Fire(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, distance: torch.Tensor, spikes: torch.Tensor, kind: str) -> torch.Tensor:
        ctx.save_for_backward(distance)
        ctx.kind = kind
        return spikes

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        distance, = ctx.saved_tensors
        return gradients[0] * SURROGATES[ctx.kind](distance), None, None


def fire(distance: torch.Tensor, spikes: torch.Tensor, kind: str) -> torch.Tensor:
    """Return `spikes`; what flows back to them reaches `distance`, the state less its threshold, in thresholds."""
    return _Fire.apply(distance, spikes, kind)

"""Integer weights that train: a scale for each group, and rounding whose gradient is that of the identity."""

import math

import numpy as np
import torch
from torch import nn

from snnhw.compress.rounding import round_half_even

__all__ = ["GroupScale", "WeightedMap", "best_scale"]

CANDIDATES = 64


def best_scale(weights: list[np.ndarray], highest: list[int], *, po2: bool) -> float:
    """Return the scale with the least squared error of ``scale * clip(round(weight / scale), -highest, highest)``."""
    pairs = [(weight, top) for weight, top in zip(weights, highest, strict=True) if np.any(weight)]
    if not pairs:
        return 2.0 ** -max(highest).bit_length()
    top = max(float(np.abs(weight).max()) / most for weight, most in pairs)
    if po2:
        exponent = math.ceil(math.log2(top))
        scales = 2.0 ** np.arange(exponent - 4, exponent + 1)
    else:
        scales = top * np.linspace(0.2, 1.0, CANDIDATES)
    errors = [sum(np.square(weight - scale * np.clip(np.round(weight / scale), -most, most)).sum() for weight, most in pairs)
              for scale in scales]
    return float(scales[int(np.argmin(errors))])


def sigma_scale(weights: list[np.ndarray], highest: list[int]) -> float:
    """Return the scale that clips at three standard deviations from the mean, as Schaefer et al. 2023 begin."""
    return max(max(abs(weight.mean() - 3 * weight.std()), abs(weight.mean() + 3 * weight.std())) / top
               for weight, top in zip(weights, highest, strict=True)) or 2.0 ** -max(highest).bit_length()


class GroupScale(nn.Module):
    """What one unit of the integer weights of a group is worth.

    Parameters
    ----------
    scale : array, () or (channels,)
        At the beginning, above 0.
    kind : str
        ``"po2"``: stays. ``"float"``: is learned. ``"clip"``: what a weight is divided by before it is rounded, and what the
        integer is worth, are learned apart (the quantizer DuQ of Schaefer et al. 2023: clip ``a`` and scale ``c``).
    """

    start: torch.Tensor
    start_divisor: torch.Tensor

    def __init__(self, scale: np.ndarray, kind: str) -> None:
        super().__init__()
        self.register_buffer("start", torch.tensor(np.asarray(scale, np.float32)))
        self.register_buffer("start_divisor", self.start.clone())
        # Steps of an optimizer are steps of the logarithm: a scale stays above 0, and learns equally fast whatever its size.
        self.worth = nn.Parameter(torch.zeros_like(self.start)) if kind != "po2" else None
        self.clip = nn.Parameter(torch.zeros_like(self.start)) if kind == "clip" else None

    def value(self) -> torch.Tensor:
        """Return what a unit is worth, () or (channels,)."""
        return self.start if self.worth is None else self.start * self.worth.exp()

    def divisor(self) -> torch.Tensor:
        """Return what a weight is divided by before it is rounded, () or (channels,)."""
        return self.value() if self.clip is None else self.start_divisor * self.clip.exp()

    def set_divisor(self, divisor: np.ndarray) -> None:
        """Set what a weight is divided by, where that is learned apart, of the shape of the scale."""
        if self.clip is not None:
            self.start_divisor.copy_(torch.tensor(np.asarray(divisor, np.float32)))


class WeightedMap(nn.Module):
    """Weights, bias and mask of one node.

    Parameters
    ----------
    weight : float array
        Of any shape, output channels first.
    bias : float array, (channels,), or None
        Real current of each channel.
    """

    mask: torch.Tensor

    def __init__(self, weight: np.ndarray, bias: np.ndarray | None) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(np.asarray(weight, np.float32)))
        self.bias = None if bias is None else nn.Parameter(torch.tensor(np.asarray(bias, np.float32)))
        self.register_buffer("mask", torch.ones(weight.shape, dtype=torch.bool), persistent=False)
        self.pruned = False

    def keep(self, mask: np.ndarray) -> None:
        """Keep only the weights where `mask` is set, from now on."""
        self.mask &= torch.from_numpy(np.array(mask, bool))
        self.pruned = not bool(self.mask.all())
        with torch.no_grad():
            self.weight.mul_(self.mask)

    def real(self) -> torch.Tensor:
        """Return the weights that are kept."""
        return self.weight * self.mask if self.pruned else self.weight

    def integers(self, divisor: torch.Tensor, factor: float, highest: int) -> torch.Tensor:
        """Return integer weights, with gradients.

        Parameters
        ----------
        divisor : tensor, () or (channels,)
            Of the group.
        factor : float
            What a weight is multiplied by before.
        highest : int
            Largest magnitude.
        """
        each = divisor.reshape(-1, *[1] * (self.weight.ndim - 1)) if divisor.ndim else divisor
        return round_half_even((self.real() * factor / each).clamp(-highest, highest))

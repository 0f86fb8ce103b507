"""Sliding windows over one or two dimensions: their geometry, and the sums under them.

Shapes are channels first and have neither batch nor time. Beyond the border lie zeros.
"""

import math
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.lib.stride_tricks import as_strided

__all__ = ["Window", "convolve", "sum_windows"]

MAX_EXTENT = 1 << 12
MAX_POSITIONS = 1 << 12  # under a window: they are looped over
MAX_PADDED = 1 << 20     # elements of an input with its padding
MAX_COLUMNS = 1 << 18    # elements that are laid out side by side for one product of matrices, unless one position has more


@dataclass(frozen=True)
class Window:
    """Geometry of a convolution or of a pooling. Every field has one integer for each dimension.

    Parameters
    ----------
    kernel : tuple of int
        Positions under the window.
    stride : tuple of int
        Distance between windows; 1 by default.
    padding, padding_end : tuple of int
        Zeros before the first and after the last element; `padding_end` is `padding` by default.
    dilation : tuple of int
        Distance between the positions under a window; 1 by default.
    """

    kernel: tuple[int, ...]
    stride: tuple[int, ...] = ()
    padding: tuple[int, ...] = ()
    padding_end: tuple[int, ...] = ()
    dilation: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.kernel, tuple | list) or not 1 <= len(self.kernel) <= 2:
            raise TypeError(f"Window kernel must be one or two integers, not {self.kernel!r}")
        rank = len(self.kernel)
        defaults = {"stride": (1,) * rank, "padding": (0,) * rank, "padding_end": self.padding or (0,) * rank,
                    "dilation": (1,) * rank}
        for name, lowest in (("kernel", 1), ("stride", 1), ("padding", 0), ("padding_end", 0), ("dilation", 1)):
            values = getattr(self, name)
            if not isinstance(values, tuple | list) or not all(type(value) is int for value in values):
                raise TypeError(f"Window {name} must be a tuple of integers, not {values!r}")
            values = tuple(values) or defaults[name]
            if len(values) != rank:
                raise ValueError(f"Window {name} must have {rank} integers like the kernel, not {len(values)}")
            for value in values:
                if not lowest <= value <= MAX_EXTENT:
                    raise ValueError(f"Window {name} must be between {lowest} and {MAX_EXTENT}, not {value}")
            object.__setattr__(self, name, values)

    @property
    def rank(self) -> int:
        """Number of dimensions."""
        return len(self.kernel)

    @property
    def positions(self) -> int:
        """Number of elements under a window."""
        return math.prod(self.kernel)

    def output(self, sizes: tuple[int, ...]) -> tuple[int, ...]:
        """Return how many windows fit in each dimension of an input of `sizes`; 0 or less where none does."""
        return tuple((size + begin + end - dilation * (kernel - 1) - 1) // stride + 1
                     for size, kernel, stride, begin, end, dilation in zip(
                         sizes, self.kernel, self.stride, self.padding, self.padding_end, self.dilation, strict=True))

    def padded(self, shape: tuple[int, ...]) -> int:
        """Return the elements of an input of `shape`, (channels, *sizes), with its padding."""
        return shape[0] * math.prod(size + begin + end for size, begin, end in zip(
            shape[1:], self.padding, self.padding_end, strict=True))

    def check(self, shape: tuple[int, ...]) -> list[str]:
        """Return what is wrong with this window over an input of `shape`, (channels, *sizes), one clause each."""
        sizes = shape[1:]
        if len(sizes) != self.rank:
            return [f"input must have channels and {self.rank} dimension(s), not {len(sizes)}"]
        if self.positions > MAX_POSITIONS:
            return [f"a window must have at most {MAX_POSITIONS} positions, not {self.positions}"]
        if self.padded(shape) > MAX_PADDED:
            return [f"the input with its padding must have at most {MAX_PADDED} elements, not {self.padded(shape)}"]
        if min(self.output(sizes)) < 1:
            kernel = "x".join(map(str, self.kernel))
            return [f"a window of {kernel} must fit in the padded input of {'x'.join(map(str, sizes))}"]
        return []

    def slices(self, outputs: tuple[int, ...]) -> list[tuple[tuple[int, ...], tuple[slice, ...]]]:
        """Return, for each position under the window, the elements of the padded input that it sees."""
        return [(position, tuple(slice(offset * dilation, offset * dilation + (count - 1) * stride + 1, stride)
                                 for offset, dilation, stride, count in zip(
                                     position, self.dilation, self.stride, outputs, strict=True)))
                for position in product(*map(range, self.kernel))]

    def pad(self, values: np.ndarray) -> np.ndarray:
        """Return `values`, (..., *sizes), with the padding around it."""
        lead = values.ndim - self.rank
        around = zip(self.padding, self.padding_end, strict=True)
        return np.pad(values, [(0, 0)] * lead + list(around)) if any((*self.padding, *self.padding_end)) else values

    def __str__(self) -> str:
        parts = ["x".join(map(str, self.kernel))]
        if any(value != 1 for value in self.stride):
            parts.append(f"stride {'x'.join(map(str, self.stride))}")
        if any(self.padding) or any(self.padding_end):
            ends = "" if self.padding == self.padding_end else f" and {'x'.join(map(str, self.padding_end))}"
            parts.append(f"padding {'x'.join(map(str, self.padding))}{ends}")
        if any(value != 1 for value in self.dilation):
            parts.append(f"dilation {'x'.join(map(str, self.dilation))}")
        return ", ".join(parts)


def convolve(values: np.ndarray, weight: np.ndarray, window: Window, groups: int = 1) -> np.ndarray:
    """Return the convolution ``y[n, o, p] = sum over c, k of weight[o, c, k] * x[n, c, p*stride + k*dilation - padding]``.

    Exact as long as every partial sum is exact in the type of the arguments.

    Parameters
    ----------
    values : array, (batch, channels, *sizes)
        Input.
    weight : array, (outputs, channels / groups, *kernel)
        Kernel, of the same type.
    window : Window
        Geometry.
    groups : int
        Output channels ``o`` see the input channels of their group alone.
    """
    outputs = window.output(values.shape[2:])
    padded = window.pad(values)
    batch, channels = padded.shape[:2]
    strides = padded.strides[2:]
    seen = as_strided(padded, (batch, channels, *window.kernel, *outputs), (
        *padded.strides[:2], *(stride * step for stride, step in zip(strides, window.dilation, strict=True)),
        *(stride * step for stride, step in zip(strides, window.stride, strict=True))), writeable=False)
    kernel, places = list(window.kernel), math.prod(outputs)
    while math.prod(kernel) > 1 and channels * math.prod(kernel) * places > MAX_COLUMNS:
        widest = kernel.index(max(kernel))
        kernel[widest] = -(-kernel[widest] // 2)
    together = max(1, MAX_COLUMNS // (channels * math.prod(kernel) * places))
    result = np.zeros((batch, groups, len(weight) // groups, places), np.result_type(values, weight))
    for start in product(*(range(0, size, step) for size, step in zip(window.kernel, kernel, strict=True))):
        under = tuple(slice(first, first + step) for first, step in zip(start, kernel, strict=True))
        matrix = weight[:, :, *under].reshape(groups, len(weight) // groups, -1)
        for first in range(0, batch, together):
            some = slice(first, first + together)
            columns = seen[some, :, *under].reshape(-1, groups, matrix.shape[2], places)
            result[some] += matrix @ columns
    return result.reshape(batch, len(weight), *outputs)


def sum_windows(values: np.ndarray, window: Window) -> np.ndarray:
    """Return the sum under each window, channel by channel: ``values`` is (batch, channels, *sizes)."""
    outputs = window.output(values.shape[2:])
    padded = window.pad(values)
    result = np.zeros((*values.shape[:2], *outputs), values.dtype)
    for _, where in window.slices(outputs):
        result += padded[(slice(None), slice(None), *where)]
    return result

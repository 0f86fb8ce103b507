"""What may be chosen about a quantization."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from snnhw.errors import UsageError

__all__ = ["Options"]


@dataclass(frozen=True)
class Options:
    """Number formats of a network.

    Parameters
    ----------
    weight_bits : int
        Width of a weight, 2 to 16. Weights are symmetric: ``-(2**(bits-1) - 1)`` to ``2**(bits-1) - 1``.
    layer_bits : mapping of str to int
        Other widths, by name of the layer that has the weights.
    granularity : str
        One scale for the weights of a ``"tensor"``, or one for each output ``"channel"``, which then has its own threshold in
        hardware. Layers whose states are compared with each other, or that start from a state, have one scale.
    method : str
        Which largest weight is kept, larger ones being clipped to it: the largest (``"minmax"``), a `percentile` of the
        magnitudes, or the one with the least squared error (``"mse"``).
    percentile : float
        Of ``"percentile"``, above 50 and at most 100.
    state_bits : int or None
        Width of every state, 4 to 32; None chooses it for each layer.
    margin : float
        A chosen width holds this times the largest state that was observed, at least 1.
    steps : int
        Least number of units of the state that a threshold is wide: the number of fractional bits follows from it. A state that
        is read out is sixteen times as wide.
    decay : str
        ``"mul"``: beta becomes ``B / 2**f``. ``"shift"``: the nearest ``1 - 2**-k``, refused when that is further than
        `tolerance`. ``"auto"``: shift when it is as near as `tolerance`.
    tolerance : float
        Largest change of a beta that becomes a shift.
    decay_bits : int
        ``f`` of ``"mul"``, 1 to 16; where it would change the leak ``1 - beta`` by more than a twentieth, as many more as are
        needed, up to 16.
    """

    weight_bits: int = 8
    layer_bits: Mapping[str, int] = field(default_factory=dict)
    granularity: Literal["tensor", "channel"] = "tensor"
    method: Literal["minmax", "percentile", "mse"] = "mse"
    percentile: float = 99.9
    state_bits: int | None = None
    margin: float = 2.0
    steps: int = 64
    decay: Literal["auto", "shift", "mul"] = "auto"
    tolerance: float = 1e-7
    decay_bits: int = 12

    def __post_init__(self) -> None:
        object.__setattr__(self, "layer_bits", MappingProxyType(dict(self.layer_bits)))
        for name, choices in (("granularity", ("tensor", "channel")), ("method", ("minmax", "percentile", "mse")),
                              ("decay", ("auto", "shift", "mul"))):
            if (choice := getattr(self, name)) not in choices:
                raise UsageError(f"quantization {name} must be {', '.join(choices[:-1])} or {choices[-1]}, not {choice!r}")
        numbers = [("weight_bits", self.weight_bits, 2, 16), ("state_bits", self.state_bits, 4, 32),
                   ("steps", self.steps, 1, 1 << 16), ("decay_bits", self.decay_bits, 1, 16)]
        numbers += [(f"weight_bits of layer {name!r}", bits, 2, 16) for name, bits in self.layer_bits.items()]
        for name, value, lowest, highest in numbers:
            if value is not None and (type(value) is not int or not lowest <= value <= highest):
                raise UsageError(f"quantization {name} must be between {lowest} and {highest}, not {value!r}")
        for name, least, most in (("percentile", 50.0, 100.0), ("margin", 1.0, 1e6), ("tolerance", 0.0, 1.0)):
            if not least <= getattr(self, name) <= most:
                raise UsageError(f"quantization {name} must be between {least:g} and {most:g}, not {getattr(self, name)!r}")

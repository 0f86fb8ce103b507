"""The two layers of a fake-quantized network. Real numbers outside, exact integers inside.

A layer's unit is ``lsb = weight scale * 2**-frac``. :class:`QuantLinear` returns ``lsb`` times an integer, and
:class:`QuantLeaky` divides by ``lsb`` again and rounds, which gives that integer back exactly as long as it is below
2**22 in single and 2**51 in double precision. So the user's forward may do with the currents and membranes what it does
with real ones, and the arithmetic between is that of :mod:`snnhw.ir.neuron`, word for word.
"""

from typing import Any, NamedTuple

import brevitas.nn as qnn
import snntorch as snn
import torch
import torch.nn.functional as F
from brevitas.core.restrict_val import RestrictValueType
from brevitas.core.scaling import ScalingImplType
from brevitas.quant import Int8WeightPerTensorFloat

from snnhw.compress.config import LayerQuant
from snnhw.compress.rounding import floor, round_half_even
from snnhw.fixed import signed_range
from snnhw.frontend import Behaviour
from snnhw.ir import Decay

__all__ = ["SINGLE_LIMIT", "QuantLeaky", "QuantLinear", "Quantized"]

SINGLE_LIMIT = 1 << 22


class Quantized(NamedTuple):
    """Integers of a weighted sum, as floats, with gradients.

    Attributes
    ----------
    weight : tensor, (outputs, inputs)
        Integer weights.
    scale, lsb : tensor, () or (outputs,)
        Real number that one unit of the weights, and of the state, stands for.
    bias : tensor, (outputs,), or None
        In units of the state.
    shifted : tensor, (outputs, inputs)
        The weights in units of the state.
    """

    weight: torch.Tensor
    scale: torch.Tensor
    lsb: torch.Tensor
    bias: torch.Tensor | None
    shifted: torch.Tensor


class QuantLinear(qnn.QuantLinear):
    """A weighted sum with integer weights, scale and mask.

    Parameters
    ----------
    inputs, outputs : int
        Sizes.
    bias : bool
        Whether a bias is added; it is rounded to the unit of the state.
    quant : LayerQuant
        Number formats.
    scale : torch.Tensor, () or (outputs,)
        Initial scale of the weights.
    frac : int
        Fractional bits of the state.
    """

    def __init__(self, inputs: int, outputs: int, *, bias: bool, quant: LayerQuant, scale: torch.Tensor, frac: int):
        highest = (1 << (quant.bits - 1)) - 1
        per_neuron = scale.ndim == 1
        quantizer = Int8WeightPerTensorFloat.let(
            bit_width=quant.bits,
            scaling_impl_type=ScalingImplType.CONST if quant.scale == "po2" else ScalingImplType.PARAMETER,
            restrict_scaling_type=RestrictValueType.FP,
            # Brevitas stores the value that maps to the highest integer.
            scaling_init=(scale[:, None] if per_neuron else scale) * highest,
            scaling_per_output_channel=per_neuron,
        )
        super().__init__(inputs, outputs, bias=bias, weight_quant=quantizer)
        self.frac = frac
        self.in_double = inputs * (highest << frac) >= SINGLE_LIMIT // 2 or _needs_double(quant)
        self.register_buffer("mask", torch.ones(outputs, inputs, dtype=torch.bool), persistent=False)
        self._key: tuple[int, ...] = ()
        self._kept: Quantized | None = None

    def forget(self) -> None:
        """Quantize the weights again at the next use."""
        self._kept = None

    def prune(self, mask: torch.Tensor) -> None:
        """Keep only the weights where `mask` is set, from now on."""
        self.mask &= mask
        with torch.no_grad():
            self.weight *= self.mask
        self.forget()

    def quantized(self) -> "Quantized":
        """Return the integers behind the parameters, computed once for a pass over a sample."""
        key = (*(parameter._version for parameter in self.parameters()), torch.is_grad_enabled())
        if self._kept is None or key != self._key:
            quantized = self.weight_quant(self.weight * self.mask)
            kind = torch.float64 if self.in_double else torch.float32
            weight = round_half_even(quantized.value / quantized.scale).to(kind)
            scale = (quantized.scale[:, 0] if quantized.scale.ndim == 2 else quantized.scale.reshape(())).to(kind)
            lsb = scale * 2.0 ** -self.frac
            bias = None if self.bias is None else round_half_even(self.bias.to(kind) / lsb)
            self._kept = Quantized(weight, scale, lsb, bias, weight * 2.0 ** self.frac)
            self._key = key
        return self._kept

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        own = self.quantized()
        return F.linear(input.to(own.weight.dtype), own.shifted, own.bias) * own.lsb

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_kept": None}  # tensors with a history cannot be copied


def _needs_double(quant: LayerQuant) -> bool:
    factor_bits = quant.decay_bits if quant.decay != "shift" else 0
    return quant.state_bits > 22 or quant.state_bits - 1 + factor_bits >= 24


class QuantLeaky(snn.Leaky):
    """A leaky integrate-and-fire neuron with the interface of ``snntorch.Leaky`` and the arithmetic of the hardware.

    Parameters
    ----------
    original : snntorch.Leaky
        Gives surrogate gradient, hidden state or not, and which parameters learn.
    behaviour : Behaviour
        Reset, beta and threshold.
    quant : LayerQuant
        Number formats.
    decay : Decay
        Its kind and shift; the factor of ``"mul"`` follows beta.
    source : QuantLinear
        The weighted sum that drives the neurons; decides the unit.
    """

    def __init__(self, original: snn.Leaky, behaviour: Behaviour, quant: LayerQuant, decay: Decay, source: QuantLinear):
        learns = {name: isinstance(getattr(original, name), torch.nn.Parameter) for name in ("beta", "threshold")}
        super().__init__(
            beta=original.beta.detach().clone(), threshold=original.threshold.detach().clone(), spike_grad=original.spike_grad,
            init_hidden=original.init_hidden, output=original.output, learn_threshold=learns["threshold"],
            learn_beta=learns["beta"] and decay.kind == "mul", reset_mechanism=behaviour.reset,
        )
        self.behaviour = behaviour
        self.quant = quant
        self.decay = decay
        self._source = (source,)  # in a tuple, so that it does not become a submodule
        self._key: tuple[int, int] = (-1, -1)
        self._kept: tuple[Quantized, torch.Tensor, torch.Tensor, torch.Tensor] | None = None

    @property
    def source(self) -> QuantLinear:
        return self._source[0]

    def factor(self) -> torch.Tensor:
        """Return the integer factor of a ``"mul"`` decay, () or (neurons,); carries gradients."""
        return round_half_even(_scalar(self.beta.clamp(0, 1)) * 2.0 ** self.decay.shift)

    def constants(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the integer threshold and subtrahend, () or (neurons,), without gradients."""
        ratio = _scalar(self.threshold.detach()).double() / self.source.quantized().lsb.detach().double()
        # A strict v > th in real numbers is v >= floor(th/lsb) + 1 in integers.
        return ratio.floor() + 1, ratio.round()

    def words(self, membrane: torch.Tensor) -> torch.Tensor:
        """Return the membrane words, int64, of a membrane in real numbers."""
        return (membrane / self.source.quantized().lsb).round().long()

    def _prepare(self) -> tuple[Quantized, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return unit, threshold, subtrahend and leak factor, computed once for a pass over a sample."""
        own = self.source.quantized()
        key = (self.beta._version, self.threshold._version)
        if self._kept is None or self._kept[0] is not own or key != self._key:
            threshold, subtrahend = (constant.to(own.lsb.dtype) for constant in self.constants())
            # Value of the integer, gradient of the real number: a learned threshold learns from what is subtracted.
            loss = _scalar(self.threshold).to(own.lsb.dtype) / own.lsb
            loss = round_half_even(loss + (subtrahend - loss).detach())
            factor = self.factor().to(own.lsb.dtype) if self.decay.kind == "mul" else subtrahend
            self._kept, self._key = (own, threshold, loss, factor * 2.0 ** -self.decay.shift), key
        return self._kept

    def __getstate__(self) -> dict[str, Any]:
        # A membrane belongs to a pass, not to the network, and its history cannot be copied.
        return self.__dict__ | {"_kept": None, "_buffers": self._buffers | {"mem": torch.zeros(0)}}

    def _leak(self, v: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
        if self.decay.kind == "one":
            return v
        if self.decay.kind == "shift":
            return v - floor(v * 2.0 ** -self.decay.shift)
        return floor(v * factor)

    def _clip(self, exact: torch.Tensor) -> torch.Tensor:
        if self.quant.overflow == "exact":
            return exact
        return exact.clamp(*signed_range(self.quant.state_bits))

    def forward(self, input_: torch.Tensor, mem: torch.Tensor | None = None) -> Any:
        if mem is not None:
            if self.init_hidden:
                raise TypeError("membrane must not be given to a neuron with init_hidden=True")
            self.mem = mem
        if self.mem.shape != input_.shape:
            self.mem = torch.zeros_like(input_)
        own, threshold, loss, factor = self._prepare()
        behaviour, lsb = self.behaviour, own.lsb
        current = round_half_even(input_ / lsb)
        v = round_half_even(self.mem / lsb)
        if behaviour.reset_time == "immediate":
            u = self._clip(self._leak(v, factor) + current)
            fired = (u >= threshold).to(u.dtype)
            stored = u
            if behaviour.reset == "zero":
                stored = u * (1 - fired)
            elif behaviour.reset == "subtract":
                stored = u - loss * fired
        else:
            before = (v >= threshold).to(v.dtype)
            if behaviour.reset == "subtract":
                u = self._clip(self._leak(v, factor) + current - loss * before)
            elif behaviour.input_on_reset == "keep":
                u = self._clip(self._leak(v * (1 - before), factor) + current)
            else:
                u = self._clip((self._leak(v, factor) + current) * (1 - before))
            fired = (u >= threshold).to(u.dtype)
            stored = u
        spikes = fired.to(torch.get_default_dtype())
        if torch.is_grad_enabled():
            surrogate = self.spike_grad(u * lsb - self.threshold).to(spikes.dtype)
            spikes = spikes + (surrogate - surrogate.detach())
        self.mem = stored * lsb
        return spikes if self.init_hidden and not self.output else (spikes, self.mem)


def _scalar(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.reshape(()) if tensor.numel() == 1 else tensor

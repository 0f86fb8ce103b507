"""Replace the layers of a network by fake-quantized ones."""

import copy
import math
from collections.abc import Mapping

import numpy as np
import snntorch as snn
import torch
from torch import nn

from snnhw.compress.config import LayerQuant, QuantConfig
from snnhw.compress.layers import QuantLeaky, QuantLinear
from snnhw.errors import NetworkError, UsageError, raise_problems
from snnhw.frontend import Behaviour, Layer, Network
from snnhw.ir import Decay

__all__ = ["best_scale", "choose_decay", "quantize", "quantized_layers"]

STEPS_PER_THRESHOLD = 64   # below this, where the membrane stops decaying depends on the rounding
SHIFTS = range(1, 16)
LARGEST_SNAP = 0.05        # a beta is moved by at most this to make it a shift
CANDIDATES = 64


def best_scale(weight: np.ndarray, highest: int, *, po2: bool) -> float:
    """Return the scale with the least squared error of ``scale * clip(round(weight / scale), -highest, highest)``."""
    largest = float(np.abs(weight).max())
    if largest == 0:
        return 2.0 ** -highest.bit_length()
    top = largest / highest
    if po2:
        exponent = math.ceil(math.log2(top))
        scales = 2.0 ** np.arange(exponent - 4, exponent + 1)
    else:
        scales = top * np.linspace(0.2, 1.0, CANDIDATES)
    errors = [np.square(weight - scale * np.clip(np.round(weight / scale), -highest, highest)).sum() for scale in scales]
    return float(scales[int(np.argmin(errors))])


def choose_decay(behaviour: Behaviour, quant: LayerQuant, where: str) -> Decay:
    """Return the nearest integer decay of a neuron.

    Raises
    ------
    NetworkError
        A shift was asked for and is not near.
    """
    beta = np.asarray(behaviour.beta)
    if beta.ndim and (beta == beta[0]).all():
        beta = beta[0]
    if (beta == 1).all():
        return Decay("one")
    shift = min(SHIFTS, key=lambda k: abs(1 - 2.0 ** -k - float(beta.flat[0])))
    error = float(np.abs(beta - (1 - 2.0 ** -shift)).max())
    if quant.decay == "shift" and error > LARGEST_SNAP:
        raise NetworkError(f"{where}: beta must be near 1 - 2**-k for decay 'shift', and is {error:.3g} "
                           f"from {1 - 2.0 ** -shift:.6g}; use decay 'mul'")
    # Single precision betas such as 0.9 are not exact either: equal means equal to a float32.
    if quant.decay == "shift" or (quant.decay == "auto" and error < 1e-7):
        return Decay("shift", shift)
    factor = np.round(beta * (1 << quant.decay_bits)).astype(np.int64)
    return Decay("mul", quant.decay_bits, factor)


def _choose_frac(quant: LayerQuant, threshold: np.ndarray, scale: np.ndarray) -> int:
    if quant.frac != "auto":
        return quant.frac
    steps = float((threshold / scale).min())
    return max(0, math.ceil(math.log2(STEPS_PER_THRESHOLD / steps)))


def _scale(layer: Layer, quant: LayerQuant, given: np.ndarray | None, where: str) -> np.ndarray:
    shape = (layer.outputs,) if quant.granularity == "neuron" else ()
    if given is not None:
        scale = np.asarray(given, np.float32).reshape(shape if np.size(given) == math.prod(shape) else np.shape(given))
        if scale.shape != shape:
            raise NetworkError(f"{where}: scale must have shape {shape}, not {scale.shape}")
        if not np.isfinite(scale).all() or (scale <= 0).any():
            raise NetworkError(f"{where}: scale must be finite and above 0, not {float(scale.min()):g}")
        return scale
    highest = (1 << (quant.bits - 1)) - 1
    if not shape:
        return np.array(best_scale(layer.weight, highest, po2=quant.scale == "po2"), np.float32)
    return np.array([best_scale(row, highest, po2=quant.scale == "po2") for row in layer.weight], np.float32)


def _clear_weights(module: nn.Module, args: object) -> None:
    """Quantize anew in each call of the network: a training step lies between two calls."""
    for child in module.modules():
        if isinstance(child, QuantLinear):
            child.forget()


def quantize(module: nn.Module, network: Network, config: QuantConfig, *,
             scales: Mapping[str, np.ndarray] | None = None) -> nn.Module:
    """Return a copy of `module` that computes with integers and trains like the original.

    Every ``nn.Linear`` becomes a :class:`QuantLinear` and every ``snn.Leaky`` a :class:`QuantLeaky` under the same path;
    the user's forward stays. The weights are not changed, so the copy has lost accuracy and wants training.

    Parameters
    ----------
    module : torch.nn.Module
        The float network.
    network : Network
        What :func:`snnhw.frontend.read_network` said about it.
    config : QuantConfig
        Number formats.
    scales : mapping of str to float array, optional
        Scales of the weights by path of the linear, instead of the ones with the least squared error.

    Raises
    ------
    UsageError
        The configuration names a layer that is not there.
    NetworkError
        A value does not fit the number formats, one sentence for each.
    """
    names = {name for layer in network.layers for name in (layer.linear, layer.neuron)}
    for name in config.layers:
        if name not in names:
            raise UsageError(f"quantize.layers names {name!r}, the network has {', '.join(map(repr, sorted(names)))}")
    for child in module.modules():
        if isinstance(child, snn.Leaky):
            child.mem = torch.zeros(0)
    result = copy.deepcopy(module)
    problems: list[str] = []
    for layer in network.layers:
        quant = config.of(layer.linear, layer.neuron)
        try:
            linear, neuron = _quantize_layer(result, layer, quant, (scales or {}).get(layer.linear))
        except NetworkError as error:
            problems += error.problems
            continue
        result = _replace(result, layer.linear, linear)
        result = _replace(result, layer.neuron, neuron)
    raise_problems(problems)
    result.register_forward_pre_hook(_clear_weights)
    return result


def _quantize_layer(module: nn.Module, layer: Layer, quant: LayerQuant,
                    given: np.ndarray | None) -> tuple[QuantLinear, QuantLeaky]:
    original = module.get_submodule(layer.neuron)
    float_linear = module.get_submodule(layer.linear)
    assert isinstance(original, snn.Leaky)
    assert isinstance(float_linear, nn.Linear)
    where = f"layer {layer.neuron!r} (Leaky)"
    decay = choose_decay(layer.behaviour, quant, where)
    scale = _scale(layer, quant, given, f"layer {layer.linear!r} (Linear, {layer.inputs} → {layer.outputs})")
    frac = _choose_frac(quant, layer.behaviour.threshold, scale)
    highest = int(np.floor(layer.behaviour.threshold / (scale * 2.0 ** -frac)).max()) + 1
    if highest >= 1 << (quant.state_bits - 1):
        raise NetworkError(f"{where}: its threshold is {highest} units of the state and needs {highest.bit_length() + 1} bits, "
                           f"the state has {quant.state_bits}; use more state_bits or a smaller frac than {frac}")
    linear = QuantLinear(layer.inputs, layer.outputs, bias=layer.bias is not None, quant=quant,
                         scale=torch.tensor(scale), frac=frac)
    with torch.no_grad():
        linear.weight.copy_(float_linear.weight)
        if linear.bias is not None:
            linear.bias.copy_(float_linear.bias)
    neuron = QuantLeaky(original, layer.behaviour, quant, decay, linear)
    if decay.kind == "shift":
        neuron.beta.data.fill_(1 - 2.0 ** -decay.shift)
    return linear, neuron


def _replace(module: nn.Module, path: str, child: nn.Module) -> nn.Module:
    parent, _, name = path.rpartition(".")
    module.get_submodule(parent)._modules[name] = child
    return module


def quantized_layers(module: nn.Module, network: Network) -> list[tuple[Layer, QuantLinear, QuantLeaky]]:
    """Return each layer of the network with its two modules in a quantized copy."""
    found = []
    for layer in network.layers:
        linear, neuron = module.get_submodule(layer.linear), module.get_submodule(layer.neuron)
        assert isinstance(linear, QuantLinear), f"{layer.linear} is not quantized"
        assert isinstance(neuron, QuantLeaky), f"{layer.neuron} is not quantized"
        found.append((layer, linear, neuron))
    return found

"""Turn a fake-quantized network into a graph of integers."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

from snnhw.compress.layers import SINGLE_LIMIT, QuantLeaky, QuantLinear
from snnhw.compress.quantize import quantized_layers
from snnhw.errors import NetworkError
from snnhw.frontend import Layer, Network
from snnhw.ir import Decay, Encoding, Graph, Input, Linear, Neuron, NeuronSpec, Readout
from snnhw.ir.nodes import Node

__all__ = ["lower"]


def _integers(values: torch.Tensor) -> np.ndarray:
    """Return int64 values, one for all when they are the same for all neurons."""
    array = values.detach().double().numpy()
    assert (array == np.round(array)).all(), "a constant is not an integer"
    array = array.astype(np.int64)
    return array.reshape(-1)[0] if array.ndim and (array == array.reshape(-1)[0]).all() else array


def _finite(layer: Layer, linear: QuantLinear, neuron: QuantLeaky) -> None:
    parameters = {"weight": linear.weight, "bias": linear.bias, "scale": linear.quantized().lsb,
                  "beta": neuron.beta, "threshold": neuron.threshold}
    for what, tensor in parameters.items():
        where = (f"layer {layer.neuron!r} (Leaky)" if what in ("beta", "threshold")
                 else f"layer {layer.linear!r} (Linear, {layer.inputs} → {layer.outputs})")
        if tensor is not None and not bool(torch.isfinite(tensor).all()):
            raise NetworkError(f"{where}: {what} must be finite, not {float(tensor[~torch.isfinite(tensor)].reshape(-1)[0])}")
        if what in ("scale", "threshold") and tensor is not None and not bool((tensor > 0).all()):
            raise NetworkError(f"{where}: {what} must be above 0, not {float(tensor.min()):g}")


def _spec(layer: Layer, linear: QuantLinear, neuron: QuantLeaky) -> NeuronSpec:
    threshold, subtrahend = neuron.constants()
    bias = linear.quantized().bias
    behaviour, decay = layer.behaviour, neuron.decay
    if decay.kind == "mul":
        decay = Decay("mul", decay.shift, _integers(neuron.factor()))
    return NeuronSpec(
        threshold=_integers(threshold), decay=decay, reset=behaviour.reset,
        reset_amount=_integers(subtrahend) if behaviour.reset == "subtract" else 0,
        reset_time=behaviour.reset_time, input_on_reset=behaviour.input_on_reset, overflow=neuron.quant.overflow,
        bits=neuron.quant.state_bits, frac=linear.frac, bias=0 if bias is None else _integers(bias),
    )


def _unique(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    return name


def lower(module: nn.Module, network: Network, encoding: Encoding, *, name: str = "network",
          meta: Mapping[str, str] | None = None) -> Graph:
    """Return the integer graph that a quantized network computes.

    The graph's spikes and membrane words equal those of `module`, all of them.

    Parameters
    ----------
    module : torch.nn.Module
        What :func:`quantize` returned, trained or not.
    network : Network
        What it was quantized from.
    encoding : Encoding
        Encoder of the input.
    name, meta
        Of the graph.

    Raises
    ------
    NetworkError
        A value does not fit its word, or is not a number.
    """
    taken = {part for layer in network.layers for part in (layer.linear, layer.neuron)}
    nodes: list[Node] = [Input(_unique("input", taken), (), (network.inputs,), encoding)]
    with torch.no_grad():
        for layer, linear, neuron in quantized_layers(module, network):
            linear.forget()
            _finite(layer, linear, neuron)
            weight = linear.quantized().weight.numpy().astype(np.int64)
            where = f"layer {layer.neuron!r} (Leaky)"
            try:
                spec = _spec(layer, linear, neuron)
            except ValueError as error:
                raise NetworkError(f"{where}: {error}") from None
            largest = int(((np.abs(weight).sum(axis=1) << spec.frac) + np.abs(spec.bias)).max())
            if not linear.in_double and largest >= SINGLE_LIMIT:
                raise NetworkError(f"{where}: its current must stay below {SINGLE_LIMIT} units of the state, "
                                   f"and can reach {largest}; use a smaller frac")
            nodes.append(Linear(layer.linear, (nodes[-1].name,), weight, neuron.quant.bits))
            nodes.append(Neuron(layer.neuron, (layer.linear,), spec))
    nodes.append(Readout(_unique("output", taken), (nodes[-1].name,)))
    return Graph(name, tuple(nodes), network.timesteps, dict(meta or {}))

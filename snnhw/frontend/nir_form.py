"""How a graph or a network looks in NIR, as far as NIR can say it.

Time runs in steps of 1e-4 s, and forward Euler gives the decays and the weights back. Integers are written as they are, in units
of the weights: a graph's ``frac`` is in the resistance. NIR compares with ``>``, so an integer threshold is written half a unit
lower.
"""

import re
from typing import Any

import numpy as np

from snnhw.errors import NetworkError
from snnhw.ir import Decay as IntegerDecay
from snnhw.ir import Delay, Flatten, Graph, Input, MaxPool, Node, Readout, SumPool, Window
from snnhw.ir import Neuron as IntegerNeuron
from snnhw.ir.nodes import Shape
from snnhw.network import Network, Neuron, Pool

__all__ = ["TIMESTEP", "Form", "nir_form"]

TIMESTEP = 1e-4
ENDLESS = 1e26  # a time constant in seconds so long that 1 - dt/tau is 1
Form = dict[str, tuple[str, dict[str, Any]]]  # kind and fields of each node, by name


def nir_form(content: Graph | Network) -> tuple[Form, list[tuple[str, str]]]:
    """Return the NIR nodes and edges of `content`.

    Raises
    ------
    NetworkError
        Something that NIR has no node for.
    """
    return _Writer(content).form()


def _safe(name: str) -> str:
    """Return a name that HDF5 takes: its separator, its end of text and its name of the group itself are escaped."""
    return re.sub(r"[%/\x00]|^\.", lambda found: f"%{ord(found[0]):02X}", name)


class _Writer:
    """State while one form is made."""

    def __init__(self, content: Graph | Network):
        self.content = content
        self.nodes: Form = {}
        self.exits: dict[str, str] = {}
        self.readers: dict[str, int] = {}
        self.biases: dict[str, np.ndarray] = {}  # of neurons, by the weighted sum that takes them over
        for node in content.nodes:
            for name in node.inputs:
                self.readers[name] = self.readers.get(name, 0) + 1

    def form(self) -> tuple[Form, list[tuple[str, str]]]:
        names = {_safe(node.name) for node in self.content.nodes}
        self.kept = {node.name: self._home(node) for node in self.content.nodes if isinstance(node, Neuron | IntegerNeuron)}
        for node in self.content.nodes:
            name = _safe(node.name)
            kind, fields = self._node(node)
            self.nodes[name], self.exits[node.name] = (kind, fields), name
            if isinstance(node, MaxPool):
                last = f"{name}.threshold"
                while last in names:
                    last += "'"
                names.add(last)
                self.nodes[last] = "Threshold", {"threshold": np.full(self.content.shapes[node.name], 0.5)}
                self.exits[node.name] = last
        edges = [(_safe(node.name), self.exits[node.name]) for node in self.content.nodes if isinstance(node, MaxPool)]
        for node in self.content.nodes:
            if len(set(node.inputs)) != len(node.inputs):
                raise NetworkError(f"layer {node.name!r} ({node.title}): must read each layer once to be written as NIR")
            edges += [(self.exits[source], _safe(node.name)) for source in node.inputs]
        return self.nodes, edges

    def _node(self, node: Node) -> tuple[str, dict[str, Any]]:
        shape = self.content.shapes[node.name]
        before = self.content.shapes[node.inputs[0]] if node.inputs else ()
        if isinstance(node, Input):
            return "Input", {"shape": np.array(shape)}
        if isinstance(node, Readout):
            return "Output", {"shape": np.array(shape)}
        if isinstance(node, Flatten):
            return "Flatten", {"input_type": np.array(before), "start_dim": 0, "end_dim": -1}
        if isinstance(node, Delay):
            return "Delay", {"delay": np.full(shape, TIMESTEP)}
        if isinstance(node, Neuron | IntegerNeuron):
            return self._neuron(node, shape)
        if isinstance(node, Pool) and node.kind == "average":
            if node.window.dilation != (1, 1) or node.window.padding != node.window.padding_end:
                raise NetworkError(f"layer {node.name!r} ({node.title}): NIR has averages over two dimensions alone, "
                                   f"without dilation and with the same padding on both sides")
            return "AvgPool2d", _pool_fields(node.window)
        if isinstance(node, SumPool | MaxPool | Pool):
            return self._sum(node, node.window, before)
        weight = np.asarray(node.weight)  # type: ignore[attr-defined]
        if type(node).__name__ == "Scale":
            return "Scale", {"scale": _compact(np.broadcast_to(weight, shape))}
        own = getattr(node, "bias", None)
        bias = self.biases.get(node.name, 0.0) + (0.0 if own is None else own)
        if type(node).__name__ == "Linear":
            if np.any(bias):
                return "Affine", {"weight": _compact(weight), "bias": np.broadcast_to(bias, weight.shape[:1]).astype(np.float64)}
            return "Linear", {"weight": _compact(weight)}
        return self._conv(node, node.window, before, weight, node.groups, bias)  # type: ignore[attr-defined]

    def _conv(self, node: Node, window: Window, before: Shape, weight: np.ndarray, groups: int,
              bias: np.ndarray | float) -> tuple[str, dict[str, Any]]:
        padding: Any = np.array(window.padding)
        if window.padding != window.padding_end:
            total = [size * (count - 1) for size, count in zip(window.dilation, window.kernel, strict=True)]
            same = tuple(value // 2 for value in total), tuple(value - value // 2 for value in total)
            if (window.padding, window.padding_end) != same or set(window.stride) != {1}:
                raise NetworkError(f"layer {node.name!r} ({node.title}): NIR has no padding that differs between the two sides, "
                                   f"but for 'same'")
            padding = "same"
        fields = {"weight": _compact(weight), "padding": padding, "groups": groups,
                  "bias": np.broadcast_to(bias, weight.shape[:1]).astype(np.float64)}
        if window.rank == 2:
            return "Conv2d", fields | {"input_shape": np.array(before[1:]), "stride": np.array(window.stride),
                                       "dilation": np.array(window.dilation)}
        return "Conv1d", fields | {"input_shape": before[1], "stride": window.stride[0], "dilation": window.dilation[0],
                                   "padding": padding if isinstance(padding, str) else window.padding[0]}

    def _sum(self, node: Node, window: Window, before: Shape) -> tuple[str, dict[str, Any]]:
        """A sum under a window: a pooling where NIR has one, else a convolution with ones."""
        if window.rank == 2 and set(window.dilation) == {1} and window.padding == window.padding_end:
            return "SumPool2d", _pool_fields(window)
        return self._conv(node, window, before, np.ones((before[0], 1, *window.kernel)), before[0], 0.0)

    # Neurons

    def _real(self, node: Neuron | IntegerNeuron) -> tuple[dict[str, Any], float]:
        """Return the parameters of neurons in real numbers, and what a unit of their input counts."""
        if isinstance(node, Neuron):
            found = node.behaviour
            threshold = found.threshold if found.compare == ">" else np.nextafter(found.threshold, -np.inf)
            return {"beta": found.beta, "alpha": found.alpha, "threshold": threshold, "reset": found.reset, "fires": node.fires,
                    "amount": found.reset_amount, "base": np.subtract(found.threshold, found.reset_amount),
                    "bias": found.bias}, 1.0
        spec = node.spec
        return {"beta": _decay(spec.decay), "alpha": None if spec.synapse is None else _decay(spec.synapse),
                "threshold": np.subtract(spec.threshold, 0.5), "reset": spec.reset, "fires": node.fires,
                "amount": spec.reset_amount, "base": np.subtract(spec.threshold, spec.reset_amount),
                "bias": spec.bias}, float(1 << spec.frac)

    def _home(self, node: Neuron | IntegerNeuron) -> bool:
        """Give the bias of neurons to a weighted sum that drives nothing else; return whether the neurons keep it."""
        real, gain = self._real(node)
        bias = np.asarray(real["bias"], np.float64) / gain
        if not bias.any():
            return False
        shape = self.content.shapes[node.name]
        for name in node.inputs:
            source = self.content[name]
            if self.readers[name] != 1 or type(source).__name__ not in ("Linear", "Conv"):
                continue
            channels = np.broadcast_to(bias, (int(np.prod(shape)),)).reshape(shape[0], -1)
            if (channels == channels[:, :1]).all():
                self.biases[name] = channels[:, 0]
                return False
        return True

    def _neuron(self, node: Neuron | IntegerNeuron, shape: Shape) -> tuple[str, dict[str, Any]]:
        real, gain = self._real(node)
        count = (int(np.prod(shape)),)

        def spread(values: Any) -> np.ndarray:
            return np.ascontiguousarray(np.broadcast_to(np.asarray(values, np.float64), count)).reshape(shape)

        reset = {"value": real["amount"], "subtract": real["base"]}.get(real["reset"], 0.0)
        firing = {"v_threshold": spread(real["threshold"]), "v_reset": spread(reset)} if real["fires"] else {}
        tau, keeps = _time_constant(spread(real["beta"])), self.kept[node.name]
        if real["alpha"] is None:
            if not keeps and (tau == ENDLESS).all():
                return "IF" if firing else "I", {"r": spread(gain), **firing}
            leak = spread(real["bias"]) * tau / TIMESTEP if keeps else spread(0.0)
            return "LIF" if firing else "LI", {"tau": tau, "r": gain * tau / TIMESTEP, "v_leak": leak, **firing}
        if keeps:
            raise NetworkError(f"layer {node.name!r} ({node.title}): NIR has no bias before a synaptic current, "
                               f"unless a Linear or Conv drives these neurons alone")
        syn = _time_constant(spread(real["alpha"]))
        return "CubaLIF" if firing else "CubaLI", {
            "tau_syn": syn, "tau_mem": tau, "r": gain * tau / TIMESTEP, "v_leak": spread(0.0), "w_in": syn / TIMESTEP, **firing}


def _pool_fields(window: Window) -> dict[str, Any]:
    return {"kernel_size": np.array(window.kernel), "stride": np.array(window.stride), "padding": np.array(window.padding)}


def _decay(decay: IntegerDecay) -> np.ndarray | float:
    if decay.kind == "one":
        return 1.0
    return 1 - 2.0 ** -decay.shift if decay.kind == "shift" else np.asarray(decay.factor) / 2.0 ** decay.shift


def _time_constant(factor: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.where(factor == 1, ENDLESS, TIMESTEP / (1 - factor))


def _compact(values: np.ndarray) -> np.ndarray:
    """Return weights as float32 where that is exact, else as float64."""
    small = values.astype(np.float32)
    return small if np.array_equal(small, values) else values.astype(np.float64)

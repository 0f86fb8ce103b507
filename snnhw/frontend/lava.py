"""Read a network of Lava: integers already, so nothing is quantized.

A ``.net`` file lists layers from input to output. A CUBA (or LOIHI) neuron of Lava's fixed point model, with weighted sum ``a``:

    u' = sign(u) * ((|u| * (4096 - iDecay)) >> 12) + (a << 6)
    v' = sign(v) * ((|v| * (4096 - vDecay)) >> 12) + u' + (bias << 6)
    fires when v' > vThMant << 6, and is then 0

States have 24 bits. Lava lets u wrap around and clips v; here both are clipped, so a network in which u leaves 24 bits differs.
What decays by 4096 keeps nothing.
"""

from pathlib import Path
from typing import Any, Literal

import numpy as np

from snnhw.errors import FileError, NetworkError, UsageError, raise_problems
from snnhw.fixed import Interval
from snnhw.frontend.hdf5 import Tree, read_tree
from snnhw.ir import Conv, Decay, Flatten, Graph, Input, Linear, Neuron, NeuronSpec, Node, Readout, Window
from snnhw.ir.nodes import Shape

__all__ = ["read_lava"]

WHAT = "Lava network file"
MAX_LAYERS = 256
STATE_BITS, STATE_FRAC, DECAY_SHIFT = 24, 6, 12


class _Problem(Exception):
    """What is wrong with one layer; the message follows its name."""


def read_lava(path: Path | str, *, timesteps: int = 1, compare: Literal[">", ">="] = ">",
              input_shape: tuple[int, ...] | None = None) -> Graph:
    """Read a ``.net`` file, as lava-dl writes it.

    Layers ``dense``, ``conv``, ``flatten`` and ``input`` (without neurons) are read. In lava-dl a spike takes one timestep
    from layer to layer; here it takes none, so outputs come as many timesteps earlier as there are layers of neurons.

    Parameters
    ----------
    path : Path
        The file.
    timesteps : int
        Length of a sample.
    compare : str
        ``">"`` as Lava, Loihi and today's lava-dl; ``">="`` as lava-dl trained before it added its small threshold offset.
    input_shape : tuple of int or None
        (channels, height, width), for a file that begins with a convolution and does not say.

    Raises
    ------
    FileError
        The file is missing, damaged, too large, or no Lava network.
    NetworkError
        It holds what cannot be reproduced exactly.
    """
    if compare not in (">", ">="):
        raise UsageError(f"Lava choice compare must be '>' or '>=', not {compare!r}")
    path = Path(path)
    layers = read_tree(path, WHAT).get("layer")
    if not isinstance(layers, dict) or not layers or set(layers) != {str(index) for index in range(len(layers))} or not all(
            isinstance(layer, dict) for layer in layers.values()):
        raise FileError(f"{WHAT} {str(path)!r} must hold a group 'layer' with the layers 0, 1, ..., and does not")
    if len(layers) > MAX_LAYERS:
        raise NetworkError(f"the network must have at most {MAX_LAYERS} layers, not {len(layers)}")
    nodes: list[Node] = []
    shape = None if input_shape is None else tuple(int(size) for size in input_shape)
    for index in range(len(layers)):
        kind = _text(layers[str(index)], "type")
        where = f"layer '{index}' ({kind})"
        try:
            if kind not in ("dense", "conv", "flatten", "input"):
                raise _Problem("its type must be dense, conv, flatten or input")
            if isinstance(layers[str(index)].get("weight"), dict):
                raise _Problem("weights must be real, not complex")
            if kind == "input":
                if nodes or "neuron" in layers[str(index)]:
                    raise _Problem("must be first and without neurons")
                shape = _integers(layers[str(index)], "shape")
                continue
            if not nodes:
                nodes.append(Input("input", (), shape or _first_shape(layers[str(index)], kind)))
                shape = nodes[0].infer(())
            assert shape is not None
            new = _layer(layers[str(index)], kind, str(index), nodes[-1].name, shape, compare)
            for node in new:
                if found := node.check((shape,)):
                    raise _Problem("; ".join(found))
                shape = node.infer((shape,))
            nodes += new
        except _Problem as problem:
            raise NetworkError(f"{where}: {problem}") from None
        except (ValueError, TypeError) as error:
            raise NetworkError(f"{where}: {error}") from None
    if not nodes:
        raise NetworkError("the network must have a layer with neurons")
    nodes.append(Readout("output", (nodes[-1].name,)))
    return Graph(path.stem or "network", tuple(nodes), timesteps, {
        "source": "Lava network file, integers as trained",
        "compare": f"{compare}, {'as Lava and Loihi' if compare == '>' else 'as older lava-dl'}",
        "state": f"{STATE_BITS} bits clipped, {STATE_FRAC} fractional; Lava wraps the current around",
        "timing": "no timestep from layer to layer, where lava-dl takes one"})


def _layer(layer: Tree, kind: str, name: str, source: str, shape: Shape, compare: str) -> list[Node]:
    if kind == "flatten":
        return [Flatten(f"{name}.flatten", (source,))]
    weight = _whole(layer, "weight")
    if "delay" in layer and _whole(layer, "delay").any():
        raise _Problem("delays of its axons must be 0")
    bits = Interval(int(weight.min()), int(weight.max())).bits if weight.size else 1
    nodes: list[Node] = []
    if kind == "dense":
        if len(shape) > 1:
            nodes.append(Flatten(f"{name}.flatten", (source,)))
            source = nodes[-1].name
        nodes.append(Linear(f"{name}.dense", (source,), weight.reshape(weight.shape[0], -1) if weight.ndim > 2 else weight, bits))
    else:
        weight = weight.reshape(weight.shape[:4])
        if weight.ndim != 4:
            raise _Problem(f"weights must have four dimensions, not shape {weight.shape}")
        sizes = {what: _pair(layer, what) for what in ("stride", "padding", "dilation")}
        window = Window(tuple(weight.shape[2:]), sizes["stride"], sizes["padding"], sizes["padding"], sizes["dilation"])
        nodes.append(Conv(f"{name}.conv", (source,), weight, bits, window, _integers(layer, "groups")[0]))
    before = (int(np.prod(shape)),) if kind == "dense" else shape
    raise_problems(f"layer {name!r} ({kind}): {problem}" for problem in nodes[-1].check((before,)))
    neuron = layer.get("neuron")
    if not isinstance(neuron, dict):
        raise _Problem("must have neurons")
    nodes.append(Neuron(f"{name}.neuron", (nodes[-1].name,), _spec(layer, neuron, nodes[-1].infer((before,)), compare)))
    return nodes


def _spec(layer: Tree, neuron: Tree, shape: Shape, compare: str) -> NeuronSpec:
    kind = _text(neuron, "type")
    if kind not in ("CUBA", "LOIHI"):
        raise _Problem(f"neurons must be of type CUBA or LOIHI, not {kind[:40]!r}")
    if np.any(_whole(neuron, "gradedSpike", 0)) or np.any(_whole(neuron, "messageBits", 0)):
        raise _Problem("spikes must be binary, not graded")
    if np.any(_whole(neuron, "refDelay", 1) != 1):
        raise _Problem("refDelay must be 1, a neuron that may fire in every timestep")
    threshold = _spread(_whole(neuron, "vThMant"), shape, "vThMant") << STATE_FRAC
    bias = _spread(_whole(layer, "bias", 0), shape, "bias") << STATE_FRAC
    membrane = _decay(neuron, "vDecay", shape)
    synapse = _decay(neuron, "iDecay", shape)
    assert synapse.factor is not None
    if np.any(synapse.factor) and np.any(bias):
        raise _Problem("bias must be 0 unless iDecay is 4096: here a bias would pass the current")
    return NeuronSpec(threshold + (compare == ">"), membrane, "zero", bits=STATE_BITS, frac=STATE_FRAC, bias=bias,
                      synapse=synapse if np.any(synapse.factor) else None)


def _decay(neuron: Tree, name: str, shape: Shape) -> Decay:
    values = _spread(_whole(neuron, name), shape, name)
    if values.min() < 0 or values.max() > 1 << DECAY_SHIFT:
        raise _Problem(f"{name} must be between 0 and {1 << DECAY_SHIFT}, not {values.min()} to {values.max()}")
    return Decay("mul", DECAY_SHIFT, (1 << DECAY_SHIFT) - values, "zero")


def _spread(values: np.ndarray, shape: Shape, name: str) -> np.ndarray:
    """Return one value, or one for each neuron; values for each channel are repeated."""
    flat, neurons = values.ravel(), int(np.prod(shape))
    if flat.size and (flat == flat[0]).all():
        return flat[0].reshape(())
    if flat.size not in (shape[0], neurons):
        raise _Problem(f"{name} must be one value, or one for each of {shape[0]} channels or {neurons} neurons, not {flat.size}")
    return np.repeat(flat, neurons // flat.size)


def _text(tree: Tree, name: str) -> str:
    value: Any = tree.get(name, "")
    if isinstance(value, np.ndarray) and value.dtype == object and value.size == 1:
        value = value.flat[0]
    return value[:40] if isinstance(value, str) else ""


def _whole(tree: Tree, name: str, default: int | None = None) -> np.ndarray:
    """Return integers; a float that holds one is one."""
    value = tree.get(name, default)
    if value is None:
        raise _Problem(f"must have {name}")
    if isinstance(value, str | dict) or np.asarray(value).dtype.kind not in "biuf":
        raise _Problem(f"{name} must be numbers")
    array = np.asarray(value)
    if not array.size:
        raise _Problem(f"{name} must not be empty")
    if array.dtype.kind == "f" and (not np.isfinite(array).all() or (array != np.round(array)).any()):
        raise _Problem(f"{name} must be integers, and is not: Lava would cut them off")
    if array.max() >= 1 << 20 or array.min() <= -(1 << 20):
        raise _Problem(f"{name} must be less than {1 << 20}, not {array.flat[np.abs(array.astype(np.float64)).argmax()]:g}")
    return array.astype(np.int64)


def _integers(tree: Tree, name: str) -> tuple[int, ...]:
    return tuple(_whole(tree, name).ravel().tolist())


def _pair(tree: Tree, name: str) -> tuple[int, int]:
    values = _integers(tree, name)
    if len(values) not in (1, 2):
        raise _Problem(f"{name} must be one or two integers, not {len(values)}")
    return values[0], values[-1]


def _first_shape(layer: Tree, kind: str) -> Shape:
    if kind == "dense":
        weight = layer.get("weight")
        if isinstance(weight, np.ndarray) and weight.ndim == 2:
            return (int(weight.shape[1]),)
    raise _Problem("the shape of the input must be given, because the file does not say: input_shape")

"""Verification of graphs: refusals with every problem collected, and the contracts of nodes."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from network_strategies import any_graphs, graphs

from snnhw.errors import NetworkError
from snnhw.ir import (
    Conv,
    Decay,
    Encoding,
    Graph,
    Input,
    Linear,
    MaxPool,
    Neuron,
    NeuronSpec,
    Node,
    Readout,
    Scale,
    SumPool,
    Window,
)

INPUT = Input("in", (), (3,))
LINEAR = Linear("fc", ("in",), [[1, 2, 3], [4, 5, 6]], 4)
NEURON = Neuron("lif", ("fc",), NeuronSpec(4))
READOUT = Readout("out", ("lif",))
SHAPE = "layer 'fc' (Linear): weights must have shape (outputs, inputs), not "


def graph(*nodes, timesteps=5, name="net", meta=None):
    return Graph(name, nodes or (INPUT, LINEAR, NEURON, READOUT), timesteps, meta or {})


@pytest.mark.parametrize(("kind", "make", "message"), [
    (TypeError, lambda: Readout(3), "Layer name must be text, not 3"),
    (TypeError, lambda: Input(None), "Layer name must be text, not None"),
    (ValueError, lambda: Linear(""), "Layer name must have between 1 and 255 characters, not 0"),
    (ValueError, lambda: Neuron("x" * 256), "Layer name must have between 1 and 255 characters, not 256"),
    (ValueError, lambda: Readout("a\ud800"), "Layer name must be valid Unicode, not 'a\\ud800'"),
    (TypeError, lambda: Readout("out", "lif"), "layer 'out': inputs must be names of layers, not 'lif'"),
    (TypeError, lambda: Readout("out", (1,)), "layer 'out': inputs must be names of layers, not (1,)"),
    (TypeError, lambda: Readout("out", None), "layer 'out': inputs must be names of layers, not None"),
    (TypeError, lambda: Input("in", (), 3), "layer 'in' (Input): shape must be a tuple of integers, not 3"),
    (TypeError, lambda: Input("in", (), (3.0,)), "layer 'in' (Input): shape must be a tuple of integers, not (3.0,)"),
    (TypeError, lambda: Input("in", (), (True,)), "layer 'in' (Input): shape must be a tuple of integers, not (True,)"),
    (TypeError, lambda: Input("in", (), (3,), "rate"), "layer 'in' (Input): encoding must be an Encoding, not 'rate'"),
    (TypeError, lambda: Linear("fc", ("in",), [[1]], 4.0), "layer 'fc' (Linear): weight width must be an integer, not 4.0"),
    (TypeError, lambda: Linear("fc", ("in",), [[1]], True), "layer 'fc' (Linear): weight width must be an integer, not True"),
    (ValueError, lambda: Linear("fc", ("in",), [[0.5]]), "layer 'fc' (Linear): weights must be integers, not 0.5"),
    (ValueError, lambda: Linear("fc", ("in",), [[np.inf]]), "layer 'fc' (Linear): weights must be finite, not inf"),
    (ValueError, lambda: Linear("fc", ("in",), [1, 2]), SHAPE + "(2,)"),
    (ValueError, lambda: Linear("fc", ("in",), 5), SHAPE + "()"),
    (ValueError, lambda: Linear("fc", ("in",), [[]]), SHAPE + "(1, 0)"),
    (TypeError, lambda: Linear("fc", ("in",), [["1"]]), "layer 'fc' (Linear): weights must be integers, not <U1"),
    (TypeError, lambda: Neuron("lif", ("fc",), 4), "layer 'lif' (Neuron): spec must be a NeuronSpec, not 4"),
    (TypeError, lambda: graph(name=None), "Network name must be text, not None"),
    (ValueError, lambda: graph(name=""), "Network name must have between 1 and 255 characters, not 0"),
    (TypeError, lambda: graph(INPUT, "fc"), "Network nodes must be nodes, not 'fc'"),
    (TypeError, lambda: graph(meta={3: "x"}), "Network meta key must be text, not 3"),
    (TypeError, lambda: graph(meta={"epochs": 3}), "Network meta 'epochs' must be text, not 3"),
    (ValueError, lambda: graph(meta={"by": "\udfff"}), "Network meta 'by' must be valid Unicode, not '\\udfff'"),
])
def test_refuses_to_construct(kind, make, message):
    with pytest.raises(kind, match=f"^{re.escape(message)}$"):
        make()


@pytest.mark.parametrize(("nodes", "problems"), [
    ((INPUT, LINEAR, NEURON, NEURON, READOUT), ["layer 'lif' (Neuron): name must be unique in the network"]),
    ((LINEAR, INPUT, NEURON, READOUT), ["layer 'fc' (Linear, 3 → 2): input 'in' must be an earlier layer"]),
    ((INPUT, Linear("fc", ("fc",), [[1]]), NEURON, READOUT), ["layer 'fc' (Linear, 1 → 1): input 'fc' must be an earlier layer"]),
    ((INPUT, Linear("fc", ()), NEURON, READOUT), ["layer 'fc' (Linear, 1 → 1): must have at least one input, not 0"]),
    ((INPUT, LINEAR, NEURON, Readout("out", ("lif", "lif"))),
     ["layer 'out' (Readout, spike count): must have 1 input(s), not 2"]),
    ((INPUT, Input("in2", ("in",)), LINEAR, NEURON, READOUT),
     ["layer 'in2' (Input, 1): must have 0 input(s), not 1", "network 'net': must have exactly one input"]),
    ((Input("in", (), ()), LINEAR, NEURON, READOUT),
     ["layer 'in' (Input, ): shape must be one to three sizes with a product between 1 and 65536, not ()"]),
    ((Input("in", (), (2, 256, 256)), LINEAR, NEURON, READOUT),
     ["layer 'in' (Input, 2x256x256): shape must be one to three sizes with a product between 1 and 65536, not (2, 256, 256)"]),
    ((Input("in", (), (1, 1, 1, 3)), LINEAR, NEURON, READOUT),
     ["layer 'in' (Input, 1x1x1x3): shape must be one to three sizes with a product between 1 and 65536, not (1, 1, 1, 3)"]),
    ((Input("in", (), (3, 1)), LINEAR, NEURON, READOUT), ["layer 'fc' (Linear, 3 → 2): input must have 3 values, not 3x1"]),
    ((Input("in", (), (3,), Encoding("rate", 4), 0, 4), LINEAR, NEURON, READOUT),
     ["layer 'in' (Input, 3): spikes of the encoding 'rate' must have values 0 to 1, not 0 to 4"]),
    ((Input("in", (), (3,), Encoding("direct", 4), 0, 5), LINEAR, NEURON, READOUT),
     ["layer 'in' (Input, 3): spikes of the encoding 'direct' must have values 0 to 4, not 0 to 5"]),
    ((Input("in", (), (0,)), LINEAR, NEURON, READOUT),
     ["layer 'in' (Input, 0): shape must be one to three sizes with a product between 1 and 65536, not (0,)"]),
    ((Input("in", (), (65537,)), LINEAR, NEURON, READOUT),
     ["layer 'in' (Input, 65537): shape must be one to three sizes with a product between 1 and 65536, not (65537,)"]),
    ((INPUT, Linear("fc", ("in",), [[1, 2]]), NEURON, READOUT), ["layer 'fc' (Linear, 2 → 1): input must have 2 values, not 3"]),
    ((INPUT, Linear("fc", ("in",), [[1, 2, 3]], 17), NEURON, READOUT),
     ["layer 'fc' (Linear, 3 → 1): weight width must be between 1 and 16 bits, not 17"]),
    ((INPUT, Linear("fc", ("in",), [[1, 2, 3]], 0), NEURON, READOUT),
     ["layer 'fc' (Linear, 3 → 1): weight width must be between 1 and 16 bits, not 0"]),
    ((INPUT, Linear("fc", ("in",), [[1, 2, 3]], 2), NEURON, READOUT),
     ["layer 'fc' (Linear, 3 → 1): weights need 3 bits, the layer declares 2"]),
    ((INPUT, Linear("fc", ("in",), [[1, 0, 0]], 1), NEURON, READOUT),
     ["layer 'fc' (Linear, 3 → 1): weights need 2 bits, the layer declares 1"]),
    ((Input("in", (), (1,)), Linear("fc", ("in",), np.zeros((65537, 1), int)), NEURON, READOUT),
     ["layer 'fc' (Linear, 1 → 65537): outputs must be at most 65536, not 65537"]),
    ((INPUT, LINEAR, Neuron("lif", ("fc",), NeuronSpec([1, 2, 3])), READOUT),
     ["layer 'lif' (Neuron): threshold must be one value or 2 values, not 3"]),
    ((INPUT, Neuron("lif", ("in",)), READOUT), ["layer 'lif' (Neuron): input 'in' must give current, not spikes"]),
    ((INPUT, LINEAR, NEURON, Readout("out", ("fc",))),
     ["layer 'out' (Readout, spike count): input 'fc' must give spikes or states, not a current"]),
    ((INPUT, LINEAR, NEURON, READOUT, Linear("fc2", ("out",), [[1, 2]])),
     ["layer 'fc2' (Linear, 2 → 1): input 'out' must give spikes or current, not decision",
      "network 'net': must end in a readout"]),
    ((), ["network 'net': must have exactly one input", "network 'net': must have at least one layer of neurons",
          "network 'net': must end in a readout"]),
    ((INPUT, LINEAR, NEURON), ["network 'net': must end in a readout"]),
    ((INPUT, Readout("out", ("in",))), ["network 'net': must have at least one layer of neurons"]),
])
def test_refuses_a_network(nodes, problems):
    with pytest.raises(NetworkError) as caught:
        Graph("net", nodes, 5)
    assert caught.value.problems == tuple(problems)
    assert str(caught.value) == "\n".join(problems)


@pytest.mark.parametrize("timesteps", [0, -1, (1 << 20) + 1, 5.0, True, None, "5"])
def test_refuses_a_length(timesteps):
    message = f"network 'net': timesteps must be an integer between 1 and 1048576, not {timesteps!r}"
    with pytest.raises(NetworkError, match=f"^{re.escape(message)}$"):
        graph(timesteps=timesteps)


def test_collects_all_problems_and_repeats_no_cause():
    with pytest.raises(NetworkError) as caught:
        Graph("net", (INPUT, Linear("fc", ("in",), [[1, 200]], 4), NEURON, Linear("fc2", ("lif",), [[1]], 40),
                      Neuron("bad", ("nowhere",)), Neuron("lif", ("fc2",))), 5)
    assert caught.value.problems == (
        "layer 'fc' (Linear, 2 → 1): input must have 2 values, not 3",
        "layer 'fc' (Linear, 2 → 1): weights need 9 bits, the layer declares 4",
        "layer 'bad' (Neuron): input 'nowhere' must be an earlier layer",
        "layer 'lif' (Neuron): name must be unique in the network",
        "network 'net': must end in a readout",
    )


def test_takes_weights_at_their_limits():
    for bits in range(1, 17):
        Graph("net", (INPUT, Linear("fc", ("in",), [[-(1 << (bits - 1)), (1 << (bits - 1)) - 1, 0]], bits), NEURON, READOUT), 5)


def test_answers_for_its_parts():
    network = graph()
    assert network["fc"] is LINEAR
    assert network.input is INPUT
    assert network.layers == ((LINEAR, NEURON),)
    assert dict(network.shapes) == {"in": (3,), "fc": (2,), "lif": (2,), "out": (2,)}
    with pytest.raises(KeyError):
        network["nothing"]


def test_cannot_be_changed():
    network = graph(meta={"a": "b"})
    with pytest.raises(TypeError):
        network.meta["a"] = "c"
    with pytest.raises(ValueError, match="read-only"):
        network["fc"].weight[0, 0] = 7
    with pytest.raises(ValueError, match="read-only"):
        network["lif"].spec.threshold[...] = 7
    with pytest.raises(AttributeError):
        network.timesteps = 9


@pytest.mark.parametrize("other", [
    graph(name="other"), graph(timesteps=6), graph(meta={"a": "b"}),
    graph(INPUT, Linear("fc", ("in",), [[1, 2, 3], [4, 5, 7]], 4), NEURON, READOUT),
    graph(INPUT, Linear("fc", ("in",), [[1, 2, 3], [4, 5, 6]], 5), NEURON, READOUT),
    graph(INPUT, LINEAR, Neuron("lif", ("fc",), NeuronSpec(5)), READOUT),
    graph(INPUT, LINEAR, Neuron("lif", ("fc",), NeuronSpec([4, 4])), READOUT),
    graph(INPUT, LINEAR, Neuron("lif", ("fc",), NeuronSpec(4, Decay("shift", 2))), READOUT),
    graph(Input("in", (), (3,), Encoding("rate", 3)), LINEAR, NEURON, READOUT),
    graph(INPUT, LINEAR, NEURON, Readout("end", ("lif",))),
    graph(INPUT, LINEAR, NEURON, READOUT, Readout("again", ("lif",))),
])
def test_differs(other):
    assert graph() != other
    assert other == Graph(other.name, other.nodes, other.timesteps, other.meta)


def test_equals_its_twin():
    twin = graph(Input("in", [], [3]), Linear("fc", ["in"], np.array([[1, 2, 3], [4, 5, 6]], np.int8), 4),
                 Neuron("lif", ["fc"], NeuronSpec(4.0)), READOUT)
    assert graph() == twin
    assert hash(graph()) == hash(twin)
    assert graph() != "net"
    assert graph() != graph(Input("in", (), (3,)), LINEAR, NEURON, Linear("fc2", ("lif",), [[1, 1]]), Neuron("n", ("fc2",)),
                            Readout("out", ("n",)))


def test_every_node_answers_for_its_shape():
    with pytest.raises(NotImplementedError):
        Node("bare").infer(())
    assert Node("bare").check(()) == []


def test_text_is_golden():
    network = Graph("digits\n$finish", (
        Input("pixels", (), (3,), Encoding("accumulate", 16, 2)), Linear("net.fc1", ("pixels",), [[1, 0, -3], [0, 5, 6]], 4),
        Neuron("net.lif1", ("net.fc1",), NeuronSpec([4, 9], Decay("mul", 8, 230), "subtract", 4, "next", bits=12)),
        Readout("out", ("net.lif1",))), 25)
    assert str(network) == """\
graph 'digits\\n$finish', 25 timesteps
  'pixels' = Input : 3  # encoding accumulate, 16 levels, seed 2
  'net.fc1' = Linear ('pixels') : 2  # weights 4 bits, -3..6, density 0.667
  'net.lif1' = Neuron ('net.fc1') : 2  # decay (v * 230) >> 8, fire v >= [4..9], reset subtract 4 next, \
state 12 bits, 0 fractional, saturate
  'out' = Readout ('net.lif1') : 2
"""


@given(st.one_of(graphs(), any_graphs()))
def test_text_has_one_line_for_each_node_whatever_the_names(network):
    lines = str(network).split("\n")
    assert len(lines) == len(network.nodes) + 2
    assert lines[-1] == ""


@pytest.mark.parametrize(("window", "problem"), [
    (Window((65, 64), padding=(65, 64)), "a window must have at most 4096 positions, not 4160"),
    (Window((1, 1), (4096, 4096), (4000, 4000)), "the input with its padding must have at most 1048576 elements, not 64080025"),
    (Window((1, 1), padding=(200, 200)), "outputs must be at most 65536, not 1x405x405"),
    (Window((6, 6)), "a window of 6x6 must fit in the padded input of 5x5"),
])
@pytest.mark.parametrize("kind", [Conv, SumPool, MaxPool])
def test_windows_are_bounded(kind, window, problem):
    fields = {"weight": np.ones((1, 1, *window.kernel), int), "weight_bits": 2} if kind is Conv else {}
    node = kind("w", ("in",), window=window, **fields)
    after = [Neuron("lif", ("w",))] if kind is not MaxPool else [Scale("s", ("w",), 1, 2), Neuron("lif", ("s",))]
    with pytest.raises(NetworkError, match=f"^{re.escape(f'layer {node.name!r} ({node.title}): {problem}')}$"):
        Graph("net", (Input("in", (), (1, 5, 5)), node, *after, Readout("out", ("lif",))), 5)

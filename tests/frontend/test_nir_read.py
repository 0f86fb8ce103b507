"""NIR files: every node, every choice, and what is refused."""

import re

import numpy as np
import pytest
from nir_files import chain, lif, unpacked, write

from snnhw.errors import FileError, NetworkError, UsageError
from snnhw.frontend import NirChoices, read_nir
from snnhw.ir import Delay, Readout, Window
from snnhw.network import Conv, Neuron, Pool, Scale, run_network

LINEAR = {"type": "Linear", "weight": np.array([[0.5, -0.25], [0.125, 1.5]])}
ANY = NirChoices(reset="value", dt=1e-4)
RNG = np.random.default_rng(7)
SPIKES = RNG.random((2, 60, 2)) < 0.4


@pytest.fixture(autouse=True)
def in_process(monkeypatch):
    """Read without the other process, which takes half a second to start; the tests of hostile files use it."""
    monkeypatch.setattr("snnhw.frontend.nir_file.read_tree", unpacked)


@pytest.fixture
def read(tmp_path):
    def read(nodes, edges, choices=ANY, **options):
        return read_nir(write(tmp_path / "net.nir", nodes, edges, **options), choices)
    return read


def refused(read, nodes, edges, sentence, choices=ANY, error=NetworkError, **options):
    with pytest.raises(error, match=f"^{re.escape(sentence)}$"):
        read(nodes, edges, choices, **options)


def last_spikes(network, spikes=SPIKES):
    trace = run_network(network, spikes)
    return trace.spikes[trace.output]


# Discretization

@pytest.mark.parametrize("method", ["euler", "exact"])
@pytest.mark.parametrize("reset", ["none", "zero", "value", "subtract"])
def test_lif_follows_its_equation(read, method, reset):
    tau, r, leak, top, base = np.array([[1e-3, 4e-4], [8.0, 3.0], [0.1, -0.2], [0.9, 0.5], [0.25, -0.125]])
    node = lif(tau=tau, r=r, v_leak=leak, v_threshold=top, v_reset=base)
    network = read(*chain({**LINEAR, "type": "Affine", "bias": np.array([0.0625, 0.0])}, node),
                   NirChoices(dt=1e-4, method=method, reset=reset))
    v, expected = np.zeros((2, 2)), []
    beta = 1 - 1e-4 / tau if method == "euler" else np.exp(-1e-4 / tau)
    for step in range(SPIKES.shape[1]):
        current = SPIKES[:, step].astype(float) @ LINEAR["weight"].T + [0.0625, 0.0]
        v = beta * v + (1 - beta) * (leak + r * current)
        fired = v > top
        v = np.where(fired, {"none": v, "zero": 0 * v, "value": base + 0 * v, "subtract": v - (top - base)}[reset], v)
        expected.append(fired)
    expected = np.stack(expected, 1)
    assert expected.any()
    assert np.array_equal(last_spikes(network), expected)


@pytest.mark.parametrize("method", ["euler", "exact"])
def test_cuba_follows_its_equations(read, method):
    tau_syn, tau_mem, r, w_in, top, leak = 3e-4, 7e-4, 2.0, 4.0, 1.0, 0.25
    ones = np.ones(2)
    node = {"type": "CubaLIF", "tau_syn": tau_syn * ones, "tau_mem": tau_mem * ones, "r": r * ones, "w_in": w_in * ones,
            "v_leak": leak * ones, "v_threshold": top * ones, "v_reset": 0 * ones}
    network = read(*chain(LINEAR, node), NirChoices(dt=1e-4, method=method))
    factor = (lambda tau: 1 - 1e-4 / tau) if method == "euler" else (lambda tau: np.exp(-1e-4 / tau))
    alpha, beta, c, v, expected = factor(tau_syn), factor(tau_mem), np.zeros((2, 2)), np.zeros((2, 2)), []
    for step in range(SPIKES.shape[1]):
        c = alpha * c + (1 - alpha) * w_in * (SPIKES[:, step].astype(float) @ LINEAR["weight"].T)
        v = beta * v + (1 - beta) * (leak + r * c)
        expected.append(v > top)
        v = np.where(v > top, 0.0, v)
    expected = np.stack(expected, 1)
    assert expected.any()
    assert np.array_equal(last_spikes(network), expected)


def test_if_counts_its_resistance(read):
    network = read(*chain(LINEAR, {"type": "IF", "r": np.array([2.0, 3.0]), "v_threshold": np.ones(2)}), NirChoices())
    assert network["b"].behaviour.beta == 1
    assert np.array_equal(network["a"].weight, LINEAR["weight"] * [[2.0], [3.0]])
    assert network["b"].behaviour.reset == "zero"


def test_gain_goes_where_nothing_else_reads(read):
    """A shared layer keeps its weights, and spikes that go straight into neurons get a Scale."""
    nodes, edges = chain(LINEAR, lif(r=np.full(2, 20.0)), lif(r=np.full(2, 30.0)))
    network = read(nodes, [*edges, ["a", "c"]])
    assert np.array_equal(network["a"].weight, LINEAR["weight"])
    assert [(node.name, node.inputs, float(node.weight)) for node in network.nodes if isinstance(node, Scale)] == [
        ("b.gain", ("a",), pytest.approx(2.0)), ("c.gain", ("b",), pytest.approx(3.0)), ("c.gain'", ("a",), pytest.approx(3.0))]
    assert network["c"].inputs == ("c.gain", "c.gain'")


def test_gain_passes_pooling_and_flattening(read):
    conv = {"type": "Conv2d", "weight": np.ones((1, 1, 1, 1)), "bias": np.array([0.5]), "stride": 1, "padding": 0, "dilation": 1,
            "groups": 1}
    pool = {"type": "AvgPool2d", "kernel_size": np.array([2, 2]), "stride": np.array([2, 2]), "padding": np.array([0, 0])}
    flatten = {"type": "Flatten", "start_dim": 0, "end_dim": -1}
    network = read(*chain(conv, pool, flatten, lif(r=np.full(2, 40.0)), shape=(1, 2, 4)))
    assert float(network["a"].weight.squeeze()) == pytest.approx(4)
    assert float(network["a"].bias[0]) == pytest.approx(2)
    assert network["b"].kind == "average"
    assert network["d"].inputs == ("c",)


@pytest.mark.parametrize("value", [np.float64(1e-3), np.array([1e-3]), np.array([[1e-3, 1e-3]])])
def test_one_parameter_serves_all_neurons(read, value):
    network = read(*chain(LINEAR, lif(tau=value)))
    assert network["b"].behaviour.beta == pytest.approx(0.9)
    assert network["b"].behaviour.beta.ndim == 0


def test_endless_time_constant_is_no_decay(read):
    network = read(*chain(LINEAR, lif(tau=np.full(2, np.inf), r=np.full(2, np.inf))), NirChoices("snntorch", reset="zero"))
    assert network["b"].behaviour.beta == 1
    assert np.array_equal(network["a"].weight, LINEAR["weight"])


def test_readout_of_states(read):
    node = {"type": "LI", "tau": np.full(2, 1e-3), "r": np.full(2, 10.0), "v_leak": np.zeros(2)}
    network = read(*chain(LINEAR, lif(), LINEAR, node), NirChoices(dt=1e-4, reset="zero", over="last"))
    assert (network.nodes[-1].kind, network.nodes[-1].over) == ("membrane", "last")
    assert network["d"].behaviour.output == "state"
    assert network.choices["over"] == "last, given"


def test_threshold_has_no_memory(read):
    network = read(*chain(LINEAR, {"type": "Threshold", "threshold": np.array([0.3, 1.4])}), NirChoices())
    expected = SPIKES.astype(float) @ LINEAR["weight"].T > [0.3, 1.4]
    assert np.array_equal(last_spikes(network), expected)


# Choices

def test_choices_and_their_origins(read):
    network = read(*chain(LINEAR, lif(tau=np.full(2, 20.0))), NirChoices("sinabs", compare=">"))
    assert network.choices["tool"] == "sinabs, given"
    assert network.choices["dt"] == "1 timestep, time constants in timesteps"
    assert network.choices["method"] == "exact, default for sinabs"
    assert network.choices["compare"] == ">, given"
    assert network.choices["reset_time"] == "immediate, default of NIR"
    assert (network["b"].behaviour.output, network["b"].behaviour.grades) == ("count", 15)
    assert float(network["b"].behaviour.beta) == pytest.approx(np.exp(-1 / 20))
    assert np.array_equal(network["a"].weight, LINEAR["weight"])


def test_far_from_exact_is_told(read):
    told = read(*chain(LINEAR, lif(tau=np.full(2, 5e-4)))).choices["decay of 'b'"]
    assert told.startswith("euler; euler and exact differ by up to 0.0187 at this timestep")
    assert "decay of 'b'" not in read(*chain(LINEAR, lif())).choices


def test_timestep_must_be_known(read):
    refused(read, *chain(LINEAR, lif(v_leak=np.ones(2))),
            "layer 'b' (LIF): its time constant needs the length of a timestep, which NIR files do not hold; give dt in seconds "
            "(such as 1e-4), or the tool that wrote the file", NirChoices())


def test_snntorch_reset_must_be_given(read):
    refused(read, *chain(LINEAR, lif()), "layer 'b' (LIF): snntorch (the file looks like it: r = tau / 1e-4 s, v_reset = 0 and "
            "v_leak = 0, as snntorch writes every neuron) does not write its reset into NIR files, so v_reset = 0 says nothing; "
            "give reset = 'subtract' (snntorch's default), 'zero' or 'none', or another tool", NirChoices())
    behaviour = read(*chain(LINEAR, lif()), NirChoices(reset="subtract"))["b"].behaviour
    assert (behaviour.reset, behaviour.reset_time, float(behaviour.reset_amount)) == ("subtract", "next", 1.0)
    assert read(*chain(LINEAR, lif()), NirChoices("norse"))["b"].behaviour.reset == "zero"


@pytest.mark.parametrize(("choice", "sentence"), [
    ({"tool": "brian"},
     "NIR choice tool must be snntorch, norse, sinabs, spikingjelly, lava, rockpool, nengo or spyx, not 'brian'"),
    ({"dt": 0.0}, "NIR choice dt must be a positive number of seconds, not 0.0"),
    ({"dt": float("inf")}, "NIR choice dt must be a positive number of seconds, not inf"),
    ({"grades": 16}, "NIR choice grades must be an integer between 1 and 15, not 16"),
    ({"reset": "hard"}, "NIR choice reset must be none, zero, value or subtract, not 'hard'"),
])
def test_wrong_choices(choice, sentence):
    with pytest.raises(UsageError, match=f"^{re.escape(sentence)}$"):
        NirChoices(**choice)


def test_counts_need_a_subtraction(read):
    refused(read, *chain(LINEAR, lif()), "NIR choice grades must be 1 unless the reset is an immediate subtraction, not 3",
            NirChoices(dt=1e-4, reset="zero", grades=3), UsageError)


# Structure

@pytest.mark.parametrize(("fields", "window"), [
    ({"stride": np.array([2, 1]), "padding": np.array([1, 0]), "dilation": np.array([1, 2])},
     Window((2, 3), (2, 1), (1, 0), (), (1, 2))),
    ({"stride": 1, "padding": "same", "dilation": 1}, Window((2, 3), (1, 1), (0, 1), (1, 1))),
    ({"stride": 2, "padding": "valid", "dilation": 1}, Window((2, 3), (2, 2))),
])
def test_convolutions_are_those_of_torch(read, fields, window):
    torch = pytest.importorskip("torch")
    weight = RNG.normal(size=(4, 2, 2, 3)).round(2)
    conv = {"type": "Conv2d", "weight": weight, "bias": np.arange(4.0), "groups": 2, **fields}
    network = read(*chain(conv, {"type": "Threshold", "threshold": np.float64(1.5)}, shape=(4, 6, 9)), NirChoices())
    assert isinstance(network["a"], Conv)
    assert network["a"].window == window
    spikes = RNG.random((1, 1, 4, 6, 9)) < 0.5
    options = {name: value if isinstance(value, str | int) else tuple(value.tolist()) for name, value in fields.items()}
    expected = torch.nn.functional.conv2d(torch.tensor(spikes[0], dtype=torch.float64), torch.tensor(weight),
                                          torch.arange(4.0, dtype=torch.float64), groups=2, **options) > 1.5
    assert network.shapes["a"] == tuple(expected.shape[1:])
    assert np.array_equal(last_spikes(network, spikes).reshape(expected.shape), expected.numpy())


def test_one_dimension(read):
    conv = {"type": "Conv1d", "weight": np.ones((2, 1, 3)), "bias": np.zeros(2), "stride": 2, "padding": 1, "dilation": 1,
            "groups": 2}
    network = read(*chain(conv, lif(np.int64(8)), shape=(2, 7)))
    assert network.shapes["b"] == (2, 4)
    assert network["a"].bias is None


def test_recurrence_is_a_timestep_late(read):
    """The loop of a nested graph, as snntorch writes RLeaky."""
    inner = {"type": "NIRGraph", "nodes": {
        "input": {"type": "Input", "shape": np.array([2])}, "lif": lif(), "output": {"type": "Output", "shape": np.array([2])},
        "w_rec": {"type": "Linear", "weight": np.array([[0.0, -2.0], [3.0, 0.0]])}},
        "edges": [["input", "lif"], ["lif", "w_rec"], ["w_rec", "lif"], ["lif", "output"]]}
    network = read(*chain(LINEAR, inner), NirChoices(dt=1e-4, reset="zero"))
    assert network.choices["cycles"] == "one timestep later along 'b.lif' → 'b.w_rec'; NIR does not say"
    delay = next(node for node in network.nodes if isinstance(node, Delay))
    assert (delay.inputs, network["b.w_rec"].inputs) == (("b.lif",), (delay.name,))
    v, before, expected = np.zeros((2, 2)), np.zeros((2, 2)), []
    for step in range(SPIKES.shape[1]):
        v = 0.9 * v + SPIKES[:, step].astype(float) @ LINEAR["weight"].T + before @ np.array([[0.0, -2.0], [3.0, 0.0]]).T
        before = (v > 1).astype(float)
        v = np.where(v > 1, 0.0, v)
        expected.append(before > 0)
    assert np.array_equal(last_spikes(network), np.stack(expected, 1))


def test_a_loop_without_weights(read):
    nodes, edges = chain(LINEAR, lif())
    network = read(nodes, [*edges, ["b", "b"]])
    assert network["b"].inputs == ("a", "b.gain")
    assert network["b.gain"].inputs == ("b.delay",)
    assert network["b.delay"].inputs == ("b",)


def test_two_loops_share_a_delay(read):
    nodes, edges = chain(LINEAR, lif(), LINEAR, lif())
    nodes |= {"back": LINEAR, "self": LINEAR}
    network = read(nodes, [*edges, ["d", "back"], ["back", "b"], ["d", "self"], ["self", "d"]])
    assert [node.name for node in network.nodes if isinstance(node, Delay)] == ["d.delay"]
    assert network["back"].inputs == network["self"].inputs == ("d.delay",)


def test_delay_of_the_file(read):
    nodes, edges = chain(LINEAR, lif(), {"type": "Delay", "delay": np.full(2, 1e-4)}, LINEAR, lif())
    network = read(nodes, edges)
    assert isinstance(network["c"], Delay)
    nodes["c"] = {"type": "Delay", "delay": np.zeros(2)}
    assert read(nodes, edges)["d"].inputs == ("b",)
    nodes["c"] = {"type": "Delay", "delay": np.full(2, 3e-4)}
    refused(read, nodes, edges, "layer 'c' (Delay): delay must be 0 or 1 timestep of 0.0001, not 3")
    nodes["c"] = {"type": "Delay", "delay": np.array([0, 1e-4])}
    refused(read, nodes, edges, "layer 'c' (Delay): delay must be the same for all elements, not 0 to 0.0001")


def test_edges_are_summed_and_unused_nodes_left_out(read):
    nodes, edges = chain(LINEAR, lif())
    nodes |= {"more": LINEAR, "dead": LINEAR}
    network = read(nodes, [*edges, ["in", "more"], ["more", "b"], ["in", "dead"]])
    assert network["b"].inputs == ("a", "more")
    assert network.choices["left out"] == "'dead': the output does not depend on it"


def test_flatten_that_counts_samples(read):
    flatten = {"type": "Flatten", "start_dim": 1, "end_dim": -1, "input_type": np.array([2, 3, 1])}
    full = {"type": "Linear", "weight": np.ones((2, 6))}
    assert read(*chain(flatten, full, lif(), shape=(2, 3, 1))).shapes["a"] == (6,)
    assert "layer 'a'" in read(*chain(flatten, full, lif(), shape=(2, 3, 1))).choices
    refused(read, *chain(flatten, lif(6), shape=(2, 3, 1)),
            "layer 'a' (Flatten): must flatten all dimensions of 2x3x1, not those from 1 to -1")


def test_pools(read):
    pool = {"type": "SumPool2d", "kernel_size": np.int64(2), "stride": np.array([1, 2]), "padding": np.array([0, 1])}
    network = read(*chain(pool, lif(8), shape=(2, 3, 3)))
    assert isinstance(network["a"], Pool)
    assert network.shapes["a"] == (2, 2, 2)


@pytest.mark.parametrize("name", ["a b", "x\n$finish;", '"quoted"', "dotted.name", "名前", "a/b/c"])
def test_names_are_any_text(read, name):
    nodes, _ = chain(LINEAR, lif())
    nodes[name] = nodes.pop("a")
    network = read(nodes, [["in", name], [name, "b"], ["b", "out"]])
    assert network["b"].inputs == (name,)


def test_old_files(read):
    """No version, no v_reset, no w_in, an output of another shape."""
    nodes, edges = chain(LINEAR, {name: value for name, value in lif().items() if name != "v_reset"}, output=(1, 1, 2))
    assert read(nodes, edges, version=None).choices["file"] == "NIR, without a version"


# What is refused

BAD_FIELDS = [
    ({"tau": np.array([1e-3, -1e-3])}, "tau must be positive, not -0.001"),
    ({"tau": np.array([1e-3, 0.0])}, "tau must be positive, not 0"),
    ({"tau": np.array([1e-3, np.nan])}, "tau must be a number, not nan"),
    ({"tau": np.array([1e-3, 5e-5])},
     "tau must be at least the timestep of 0.0001, not 5e-05; give another dt, or method = 'exact'"),
    ({"r": np.array([1.0, -1.0])}, "r must be finite and positive, not -1"),
    ({"r": np.array([1.0, 0.0])}, "r must be finite and positive, not 0"),
    ({"r": np.array([1.0, np.inf])}, "r must be finite and positive, not inf"),
    ({"v_threshold": np.array([1.0, np.inf])}, "v_threshold must be finite, not inf"),
    ({"v_leak": np.array([1.0, -np.inf])}, "v_leak must be finite, not -inf"),
    ({"tau": "long"}, "tau must be numbers"),
    ({"tau": {"x": 1.0}}, "tau must be numbers"),
    ({"tau": np.ones(3)}, "tau must be one value or of shape 2, not (3,)"),
    ({"tau": np.ones(0)}, "tau must not be empty"),
]


@pytest.mark.parametrize(("fields", "sentence"), BAD_FIELDS)
def test_impossible_neurons(read, fields, sentence):
    refused(read, *chain(LINEAR, lif(**fields)), f"layer 'b' (LIF): {sentence}")


@pytest.mark.parametrize(("weight", "sentence"), [
    (np.array([[1.0, np.nan], [0, 0]]), "weight must be a number, not nan"),
    (np.array([[1.0, np.inf], [0, 0]]), "weight must be finite, not inf"),
    (np.ones(4), "weight must have shape (outputs, inputs), not (4,)"),
    (np.ones((2, 3)), "input must have 3 values, not 2"),
    (np.zeros((0, 2)), "weight must not be empty"),
])
def test_impossible_weights(read, weight, sentence):
    refused(read, *chain({"type": "Linear", "weight": weight}, lif()), f"layer 'a' (Linear): {sentence}")


def test_missing_field(read):
    node = lif()
    del node["tau"]
    refused(read, *chain(LINEAR, node), "layer 'b' (LIF): must have tau")


@pytest.mark.parametrize(("more", "edges", "sentence"), [
    ({}, [["b", "nowhere"]], "edge 'b' → 'nowhere' of the graph: 'nowhere' must be a layer"),
    ({}, [["in", "a"]], "edge 'in' → 'a' of the graph must be there once, not twice"),
    ({"x": LINEAR, "y": LINEAR}, [["x", "y"], ["y", "x"], ["y", "b"]],
     "layer 'x' (Linear): a cycle of layers must go through spiking neurons, and this one does not"),
    ({"x": LINEAR}, [["x", "b"]], "layer 'x' (Linear): must read a layer, and no edge leads to it"),
    ({"in2": {"type": "Input", "shape": np.array([2])}}, [["in2", "b"]], "the network must have exactly one Input, not 2"),
    ({}, [["b", "in"]], "layer 'in' (Input): must read no layer, not 'b'"),
    ({"x": {"type": "Conv3d"}}, [],
     "layer 'x' (Conv3d): its type must be one of Affine, AvgPool2d, Conv1d, Conv2d, CubaLI, CubaLIF, "
     "Delay, Flatten, I, IF, Input, LI, LIF, Linear, NIRGraph, Output, Scale, SumPool2d, Threshold"),
    ({"x": {"type": "NIRGraph", "nodes": {"in": {"type": "Input", "shape": np.array([2])}}, "edges": np.zeros((0, 2))}}, [],
     "layer 'x' (NIRGraph): must have exactly one Output, not 0"),
    ({"x.y": LINEAR, "x": {"type": "NIRGraph", "edges": [["in", "y"], ["y", "out"]], "nodes": {
        "in": {"type": "Input", "shape": np.array([2])}, "y": LINEAR, "out": {"type": "Output", "shape": np.array([2])}}}}, [],
     "layer 'x.y' (Linear): name must be unique once the graphs in the network are taken apart"),
    ({"n" * 1025: LINEAR}, [], f"layer {'n' * 1024!r} (Linear): its name must have at most 1024 characters"),
])
def test_impossible_structure(read, more, edges, sentence):
    nodes, given = chain(LINEAR, lif())
    refused(read, nodes | more, given + edges, sentence)


def test_currents_are_no_output(read):
    refused(read, *chain(LINEAR, lif(), LINEAR),
            "layer 'out' (Readout, spike count): input 'c' must give spikes or states, not a current")


def test_many_layers_are_read_in_time(read):
    """A thousand layers in a row, all of them with a loop around themselves."""
    nodes, edges = {"in": {"type": "Input", "shape": np.array([1])}}, []
    before = "in"
    for index in range(1000):
        nodes[f"{index}"] = {"type": "IF", "r": np.ones(1), "v_threshold": np.ones(1)}
        edges += [[before, f"{index}"], [f"{index}", f"{index}"]]
        before = f"{index}"
    nodes["out"] = {"type": "Output", "shape": np.array([1])}
    network = read(nodes, [*edges, [before, "out"]])
    assert sum(isinstance(node, Delay) for node in network.nodes) == 1000


@pytest.mark.parametrize(("root", "sentence"), [
    ({"edges": np.zeros((2, 2))}, "edges of the graph must be pairs of names"),
    ({"edges": [["a", "b", "c"]]}, "edges of the graph must be pairs of names"),
    ({"nodes": "none"}, "the graph must have nodes and edges"),
    ({"nodes": {"a": np.ones(2)}}, "node 'a' must be a group"),
    ({"nodes": {"a": {"weight": np.ones(2)}}}, "node 'a' must have a type"),
    ({"nodes": {"a": {"type": np.ones(2)}}}, "node 'a' must have a type"),
    ({"metadata": {"snnhw": "x"}},
     "its metadata 'snnhw' must be a group with a text 'facts'; metadata = 'ignore' reads it like any NIR file"),
])
def test_malformed_graph(read, tmp_path, root, sentence):
    refused(read, *chain(LINEAR, lif()), f"NIR file {str(tmp_path / 'net.nir')!r} is not usable: {sentence}", root=root,
            error=FileError)


def test_readout_is_last(read):
    """The output's name sorts before the others in the file."""
    nodes, _ = chain(LINEAR, lif())
    nodes["0"] = nodes.pop("out")
    network = read(nodes, [["in", "a"], ["a", "b"], ["b", "0"]])
    assert isinstance(network.nodes[-1], Readout)
    assert isinstance(network["b"], Neuron)

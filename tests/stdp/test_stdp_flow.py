"""From a folder to a run folder, and everything that a recipe or a file can have wrong."""

import json

import numpy as np
import pytest
from stdp_networks import random_network, small_data, small_recipe

from snnhw import reference
from snnhw.cli.app import run
from snnhw.errors import FileError, UsageError
from snnhw.files import read_tensors, write_tensors
from snnhw.ir import load_graph
from snnhw.stdp import StdpModel, load_stdp_model, load_stdp_recipe, lower_stdp, save_stdp_model
from snnhw.stdp.labels import accuracy, assign, class_responses, decide, vote_table
from snnhw.stdp.network import responses

RECIPE = """
data = "patterns.safetensors"
neurons = 9
timesteps = 16
batch = 3
validation = 40
label_samples = 60
encoding = {{ levels = 8 }}
neuron = {{ leak_shift = 3, threshold = 3.0, theta_start = 0.5, theta_plus = 0.5, theta_tau = 100.0 }}
competition = {{ strength = 16, reset = 16.0 }}
learning = {{ interval = 4, potentiation = 0.125, trace_shift = 2, norm = 4.0 }}
formats = {{ weight = "{weight}", membrane = "Q8.7", threshold = "Q8.4" }}
"""


@pytest.fixture
def folder(tmp_path):
    """Return a model folder with made-up images of three classes."""
    data = small_data(samples=160)
    write_tensors(tmp_path / "patterns.safetensors", {
        name: getattr(data, name) for name in ("train_values", "train_labels", "test_values", "test_labels")})
    (tmp_path / "recipe.toml").write_text(RECIPE.format(weight="Q1.7"))
    return tmp_path


@pytest.fixture
def call(capfd, monkeypatch):
    """Return a function that runs one command and returns its exit code, its output and its errors."""
    def invoke(*arguments):
        words = [str(argument) for argument in arguments]
        monkeypatch.setattr("sys.argv", ["snnhw", *words])
        code = run(words)
        captured = capfd.readouterr()
        return code, captured.out, captured.err
    return invoke


def test_train_lower_and_explore(folder, call, tmp_path):
    """The accuracy that a command tells is that of the graph it wrote, on the samples it wrote."""
    out = tmp_path / "run"
    code, text, errors = call("stdp", "train", folder, "--out", out, "--json")
    assert (code, errors) == (0, "")
    results = json.loads(text)["results"]
    assert results["graph"]["accuracy"] > 0.8
    assert results["train_samples"] == 120
    assert results["memory_bits"] == sum(item["total_bits"] for item in results["memory"]) < results["training_memory_bits"]
    graph, model = load_graph(out / "graph.safetensors"), load_stdp_model(out / "network.safetensors")
    samples, _ = read_tensors(out / "samples.safetensors", "samples")
    trace = reference.run(graph, graph.input.encoding(samples["values"], graph.timesteps))
    counts = trace.spikes["excitatory"].sum(axis=1, dtype=np.int64)
    assert accuracy(counts, samples["labels"], model.table) == results["graph"]["accuracy"]
    np.testing.assert_array_equal(counts, responses(model.network, samples["values"])[0])

    (folder / "network.safetensors").write_bytes((out / "network.safetensors").read_bytes())
    code, text, errors = call("stdp", "lower", folder, "--out", tmp_path / "again", "--json")
    assert (code, errors) == (0, "")
    assert json.loads(text)["results"]["graph"] == results["graph"]
    assert (tmp_path / "again" / "graph.safetensors").read_bytes() == (out / "graph.safetensors").read_bytes()

    (folder / "float.safetensors").write_bytes((out / "float.safetensors").read_bytes())
    code, text, errors = call("stdp", "explore", folder, "--out", tmp_path / "explored", "--json", "--target", "0.8")
    assert (code, errors) == (0, "")
    explored = json.loads(text)["results"]
    assert explored["chosen"] in explored["pareto"]
    assert explored["chosen"]["accuracy"] >= 0.8
    assert explored["memory_bits"] == explored["chosen"]["memory_bits"] < explored["baseline"]["memory_bits"] / 3
    assert [item["class"] for item in explored["sensitivity"]] == ["weight", "membrane", "threshold"]
    chosen = load_graph(tmp_path / "explored" / "graph.safetensors").meta["formats"]
    assert chosen.startswith(f"weight {explored['chosen']['weight']}, membrane {explored['chosen']['membrane']}")


def test_options_take_the_place_of_the_recipe_and_tables_are_shown(folder, call, tmp_path):
    code, text, errors = call("stdp", "train", folder, "--out", tmp_path / "run", "--weight", "Q1.3", "--when", "training",
                              "--rounding", "stochastic", "--seed", 3, "--samples", 20)
    assert (code, errors) == (0, "")
    assert "weight Q1.3, membrane Q8.7, threshold Q8.4, trace float32, stochastic" in text
    assert "Stored words of inference" in text
    network = load_stdp_model(tmp_path / "run" / "network.safetensors").network
    steps = network.weight * 8
    assert (steps == np.round(steps)).all()
    assert not (tmp_path / "run" / "float.safetensors").exists()


@pytest.mark.parametrize(("arguments", "message"), [
    (["teach"], "ACTION must be train, lower or explore, not 'teach'"),
    (["train", "--weight", "8"], "option --weight is wrong: Format must be Qi.f, such as Q1.7, not '8'"),
    (["train", "--weight", "Q1.8"], "layer 'excitatory' (Neuron): membranes must have at least the 8 fractional bits of the "
                                    "weights, not Q8.7"),
    (["train", "--samples", "0"], "--samples must be at least 1, not 0"),
    (["explore", "--reward", "sum"], "reward must be product or linear, not 'sum'"),
])
def test_wrong_usage_is_one_line(folder, call, tmp_path, arguments, message):
    code, text, errors = call("stdp", arguments[0], folder, "--out", tmp_path / "run", *arguments[1:])
    assert (code, text, errors) == (2, "", f"error: {message}\n")


@pytest.mark.parametrize(("text", "message"), [
    ("neurons = 1", r"^recipe '.*recipe.toml': neurons is wrong: Input should be greater than or equal to 2$"),
    ("neurons = 1e99", r"^recipe '.*recipe.toml': neurons is wrong: Unable to parse input string as an integer, .*$"),
    ("neuron = { theta_tau = 0.0 }", r"^recipe '.*': neuron.theta_tau is wrong: Input should be greater than 0$"),
    ("neuron = { theta_plus = nan }", r"^recipe '.*': neuron.theta_plus is wrong: Input should be .*$"),
    ("learning = { rule = 'hebb' }", r"^recipe '.*': learning.rule is wrong: Input should be 'pair' or 'weight-dependent'$"),
    ("formats = { weight = 'Q1.99' }", r"^recipe '.*': formats.weight is wrong: Format must have between 2 and 24 bits, .*$"),
    ("competition = { form = 'no' }", r"^recipe '.*': competition.form is wrong: Input should be 'layer', 'lateral' or 'pool'$"),
    ("tempo = 3", r"^recipe '.*': tempo is wrong: Extra inputs are not permitted$"),
    ("neurons = ", r"^recipe '.*' must be TOML: .*$"),
    ("\x00", r"^recipe '.*' must be TOML: .*$"),
])
def test_hostile_recipes_are_refused(tmp_path, text, message):
    (tmp_path / "recipe.toml").write_text(text)
    with pytest.raises(UsageError, match=message):
        load_stdp_recipe(tmp_path / "recipe.toml")


@pytest.mark.parametrize(("change", "message"), [
    ("samples = 121", "recipe samples must be at most 120, the training samples there are, not 121"),
    ("validation = 160", "recipe validation must be less than the 160 training samples, not 160"),
    ("encoding = { levels = 7 }", "recipe encoding.levels must be at least 8, the largest value of the data, not 7"),
])
def test_recipes_that_do_not_fit_the_data_are_refused(folder, call, tmp_path, change, message):
    key = change.split(" ")[0]
    lines = [line for line in RECIPE.format(weight="Q1.7").splitlines() if not line.startswith(key)]
    (folder / "recipe.toml").write_text("\n".join([*lines[:3], change, *lines[3:]]))
    assert call("stdp", "train", folder, "--out", tmp_path / "run") == (2, "", f"error: {message}\n")


def test_a_folder_without_a_network_is_refused(folder, call, tmp_path):
    for action, name in (("lower", folder), ("train", tmp_path / "nothing")):
        code, _, errors = call("stdp", action, name, "--out", tmp_path / "run")
        assert code == 2
        assert errors in (f"error: model folder {str(folder)!r} must hold network.safetensors\n",
                          f"error: model folder {str(tmp_path / 'nothing')!r} does not exist\n")


def saved(path):
    network = random_network(np.random.default_rng(0), small_recipe())
    model = StdpModel(network, np.random.default_rng(1).random((3, 6)), "mean", "digits")
    save_stdp_model(model, path)
    return model


def test_files_hold_the_network(tmp_path):
    model = saved(tmp_path / "network.safetensors")
    loaded = load_stdp_model(tmp_path / "network.safetensors")
    np.testing.assert_array_equal(loaded.table, model.table)
    assert lower_stdp(loaded.network) == lower_stdp(model.network)
    assert (loaded.vote, loaded.data) == ("mean", "digits")
    assert read_tensors(tmp_path / "network.safetensors", "network")[0]["weight"].dtype == np.uint8


@pytest.mark.parametrize("damage", [
    lambda tensors, text: (tensors, {}),
    lambda tensors, text: (tensors, {"stdp": "[]"}),
    lambda tensors, text: (tensors, {"stdp": text.replace('"version": 1', '"version": 9')}),
    lambda tensors, text: (tensors, {"stdp": text.replace('"timesteps": 12', '"timesteps": -1')}),
    lambda tensors, text: (tensors, {"stdp": text.replace("Q1.7", "Q1.3")}),
    lambda tensors, text: (tensors, {"stdp": text.replace('"vote": "mean"', '"vote": "loud"')}),
    lambda tensors, text: ({**tensors, "weight": tensors["weight"][0]}, {"stdp": text}),
    lambda tensors, text: ({**tensors, "weight": tensors["weight"].astype(np.float32)}, {"stdp": text}),
    lambda tensors, text: ({**tensors, "response": tensors["response"][:, :2]}, {"stdp": text}),
    lambda tensors, text: ({**tensors, "response": tensors["response"] * np.nan}, {"stdp": text}),
    lambda tensors, text: ({"weight": tensors["weight"]}, {"stdp": text}),
])
def test_damaged_files_are_refused(tmp_path, damage):
    path = tmp_path / "network.safetensors"
    saved(path)
    tensors, metadata = read_tensors(path, "network")
    write_tensors(path, *damage(tensors, metadata["stdp"]))
    with pytest.raises(FileError, match=r"^STDP network ('.*' must be one that `snnhw stdp train` wrote, and is damaged or "
                                        r"something else|must have weights .*)$"):
        load_stdp_model(path)


def test_labels_and_votes_by_hand():
    counts = np.array([[4, 0, 0, 1], [2, 0, 0, 1], [0, 3, 3, 1], [0, 9, 0, 1]])
    response = class_responses(counts, np.array([0, 0, 1, 1]), 3)
    np.testing.assert_array_equal(response, [[3, 0, 0, 1], [0, 6, 1.5, 1], [0, 0, 0, 0]])
    np.testing.assert_array_equal(assign(response), [0, 1, 1, 0])
    np.testing.assert_array_equal(assign(np.zeros((3, 2))), [-1, -1])
    np.testing.assert_array_equal(vote_table(response, "majority"), [[255, 0, 0], [0, 255, 0], [0, 255, 0], [255, 0, 0]])
    np.testing.assert_array_equal(vote_table(response, "weighted"), [[255, 0, 0], [0, 255, 0], [0, 255, 0], [128, 128, 0]])
    # Neuron 0 and 3 speak for class 0, 1 and 2 for class 1, so both halves weigh the same.
    np.testing.assert_array_equal(vote_table(response, "mean"), vote_table(response, "majority"))
    np.testing.assert_array_equal(decide(counts, vote_table(response, "majority")), [0, 0, 1, 1])
    assert decide(np.zeros((1, 4), np.int64), vote_table(response, "weighted")).tolist() == [0]
    with pytest.raises(UsageError, match=r"^vote must be majority, mean or weighted, not 'loud'$"):
        vote_table(response, "loud")
    with pytest.raises(UsageError, match=r"^labels must be between 0 and 2, not -1 to 2$"):
        class_responses(counts, np.array([-1, 0, 1, 2]), 3)


def test_mean_vote_does_not_favour_classes_with_many_neurons():
    response = np.array([[1.0, 1, 1, 0], [0, 0, 0, 1]])
    counts = np.array([[1, 1, 0, 1]])
    assert decide(counts, vote_table(response, "majority")).tolist() == [0]
    assert decide(counts, vote_table(response, "mean")).tolist() == [1]

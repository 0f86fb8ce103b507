"""Bad input: one sentence, the right exit code, nothing on stdout, nothing left behind."""

import re

import numpy as np
import pytest
from snnhw_run import make_graph, write_model, write_run

from snnhw.errors import NetworkError
from snnhw.files import read_tensors, write_tensors
from snnhw.ir import Graph, NeuronSpec, save_graph


def refused(done, message, code=2):
    """Hold an outcome to one error line; `message` is a regular expression, anchored at both ends."""
    assert re.fullmatch(rf"error: {message}\n", done.err), done.err
    assert (done.code, done.out) == (code, "")


# The network, as torch code.

@pytest.mark.parametrize(("changes", "message"), [
    ({"neuron": "snn.Alpha(alpha=0.9, beta=0.5)", "states": 3},
     r"layer 'fc2' \(Linear, 12 → 10\): its input passes through layer 'lif1' \(Alpha\) after 'fc1' \(Linear, 64 → 12\), "
     r"which has no hardware; nearest supported form is snn\.Synaptic"),
    ({"current": "torch.tanh(self.fc1(x[step]))"},
     r"layer 'lif1' \(Leaky\): its input passes through function 'tanh' after 'fc1' \(Linear, 64 → 12\), "
     r"which has no hardware; supported are Linear, convolutions, BatchNorm, pooling, sums and products with constants"),
])
def test_unsupported_layer(snnhw, tmp_path, changes, message):
    model = write_model(tmp_path / "model", **changes)
    refused(snnhw("lower", model, "--out", tmp_path / "run"), message)
    assert not (tmp_path / "run").exists()


def test_nan_weight(snnhw, tmp_path):
    model = write_model(tmp_path / "model")
    tensors, metadata = read_tensors(model / "checkpoint.safetensors", "checkpoint")
    weight = tensors["fc1.weight"].copy()
    weight[3, 5] = np.nan
    write_tensors(model / "checkpoint.safetensors", tensors | {"fc1.weight": weight}, metadata)
    refused(snnhw("lower", model, "--out", tmp_path / "run"),
            r"layer 'fc1' \(Linear\): weight must be finite, not nan as in the checkpoint")
    assert not (tmp_path / "run").exists()


def test_no_timesteps_in_the_recipe(snnhw, tmp_path):
    model = write_model(tmp_path / "model", timesteps=0)
    refused(snnhw("lower", model, "--out", tmp_path / "run"), r"recipe '.*recipe\.toml': timesteps .*1.*")


def test_weights_too_wide_for_the_recipe(snnhw, tmp_path):
    model = write_model(tmp_path / "model", weight_bits=20)
    refused(snnhw("lower", model, "--out", tmp_path / "run"), r"recipe '.*recipe\.toml': quantize\.weight_bits.* 16.*")


def test_model_folder_is_missing(snnhw, tmp_path):
    refused(snnhw("train", tmp_path / "nothing", "--out", tmp_path / "run"), r"model folder '.*nothing' does not exist")


# The network, as a graph.

def test_no_timesteps_in_the_graph():
    with pytest.raises(NetworkError, match=r"^network 'small': timesteps must be an integer between 1 and 1048576, not 0$"):
        make_graph(timesteps=0)


def test_state_that_leaves_its_word(snnhw, tmp_path):
    good = make_graph()
    spec = NeuronSpec(9, overflow="exact", reset="none", bits=5)
    nodes = [type(node)(node.name, node.inputs, spec) if node.name == "hidden" else node for node in good.nodes]
    write_run(tmp_path / "run", Graph("small", tuple(nodes), good.timesteps))
    refused(snnhw("inspect", tmp_path / "run"), r"layer 'hidden' \(Neuron\): the exact state must fit in 5 bits, "
            r"and can reach -150\.\.138; use 9 bits, or overflow 'saturate'")


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "text"])
def test_corrupted_graph_file(snnhw, run_folder, damage):
    path = run_folder / "graph.safetensors"
    content = path.read_bytes()
    path.write_bytes({"cut": content[:-1], "flipped": b"\xff" + content[1:], "empty": b"", "text": b"{}" * 99}[damage])
    refused(snnhw("inspect", run_folder),
            r"graph file '.*graph\.safetensors' must be a safetensors file, and is damaged or something else")


def test_other_safetensors_file(snnhw, run_folder):
    refused(snnhw("inspect", run_folder / "samples.safetensors"),
            r"graph file '.*samples\.safetensors' is not usable: it has no 'snnhw' entry in its header")


def test_run_folder_without_a_graph(snnhw, tmp_path):
    refused(snnhw("estimate", tmp_path), r"run folder '.*' has no graph\.safetensors, which `snnhw lower` writes")


def test_samples_of_another_network(snnhw, run_folder):
    save_graph(make_graph(inputs=10), run_folder / "graph.safetensors")
    refused(snnhw("energy", run_folder, "--samples", 2),
            r"samples file '.*samples\.safetensors' must hold inputs of shape 10, as the network has, not 9")


@pytest.mark.parametrize("count", [0, 7, -1])
@pytest.mark.parametrize("command", ["estimate", "generate", "energy"])
def test_more_samples_than_there_are(snnhw, run_folder, command, count):
    out = ["--out", run_folder / "hw"] if command == "generate" else []
    refused(snnhw(command, run_folder, *out, "--samples", count),
            rf"--samples must be between 1 and the 6 of the run folder, not {count}")


# Options.

@pytest.mark.parametrize(("lanes", "message"), [
    (["0"], "lanes must be an integer between 1 and 256, not 0"),
    (["many"], "--lanes must be a whole number, not 'many'"),
    (["1", "2"], "--lanes must be one number, or LAYER=N for each layer, not '1' beside others"),
    (["nobody=3"], "lanes name the layer 'nobody', the network has 'hidden', 'classes'"),
    (["hidden=0"], "lanes of layer 'hidden' must be an integer between 1 and 256, not 0"),
])
def test_lanes(snnhw, run_folder, lanes, message):
    refused(snnhw("inspect", run_folder, *(word for item in lanes for word in ("--lanes", item))), re.escape(message))


@pytest.mark.parametrize("command", ["estimate", "generate"])
def test_unknown_board(snnhw, run_folder, command):
    out = ["--out", run_folder / "hw"] if command == "generate" else []
    refused(snnhw(command, run_folder, *out, "--board", "icebraeker"),
            r"board must be arty-a7-35t, ice40-hx8k, icebreaker, orangecrab-25f, tang-nano-9k, ulx3s-85f "
            r"or the path of a board file, not 'icebraeker'")
    assert not (run_folder / "hw").exists()


def test_board_file_with_a_mistake(snnhw, run_folder, tmp_path):
    (tmp_path / "mine.toml").write_text("name = 3\n")
    refused(snnhw("estimate", run_folder, "--board", tmp_path / "mine.toml"), r"board file '.*mine\.toml': .*")


# Packages that are not installed.

@pytest.mark.parametrize(("command", "module", "extra"), [
    (["train", "models/digits", "--out", "run"], "torch", "train"),
    (["lower", "models/digits", "--out", "run"], "torch", "train"),
    (["generate", "run", "--out", "hw"], "amaranth", "rtl"),
    (["report", "run"], "jinja2", "report"),
])
def test_missing_package(snnhw, monkeypatch, tmp_path, command, module, extra):
    from importlib.util import find_spec
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *rest: None if name == module else find_spec(name, *rest))
    refused(snnhw(*command), rf".* needs the package '{module}', install it with: pip install 'snnhw\[{extra}\]'", code=3)
    assert list(tmp_path.iterdir()) == []



# Boards that are too small.

TOO_LARGE = (r"network 'small' needs 103 SB_RAM40_4K blocks, 1BitSquared iCEBreaker 1\.0 \(iCE40UP5K\) has 30: "
             r"load the weights at run time into its SB_SPRAM256KA blocks, or use fewer weight bits or fewer neurons, "
             r"or use a larger board \(tang-nano-9k, orangecrab-25f, arty-a7-35t\)")


def test_network_too_large_for_the_board(snnhw, tmp_path):
    """Known from the plan: `estimate` shows by how much."""
    write_run(tmp_path / "run", make_graph(inputs=300, hidden=300))
    done = snnhw("estimate", tmp_path / "run", "--board", "icebreaker", "--samples", 1)
    assert done.code == 1
    assert re.fullmatch(rf"error: {TOO_LARGE}\n", done.err), done.err
    assert re.search(r"block ram +103 +103 +103 +30", done.out)


def test_network_too_large_to_build(snnhw, tmp_path):
    write_run(tmp_path / "run", make_graph(inputs=300, hidden=300))
    run, hardware = tmp_path / "run", tmp_path / "run" / "hw"
    assert snnhw("generate", run, "--out", hardware, "--samples", 1, "--board", "icebreaker").code == 0
    refused(snnhw("build", hardware), TOO_LARGE)
    assert not (run / "hw-icebreaker").exists()
    assert not (run / "build.json").exists()


def test_build_needs_a_board(snnhw, run_folder):
    assert snnhw("generate", run_folder, "--out", run_folder / "hw", "--samples", 1).code == 0
    refused(snnhw("build", run_folder / "hw"), "--board must be given, because the hardware was generated for no board")


@pytest.mark.parametrize("content", ["[]", '{"board": 3}'])
def test_build_of_a_strange_manifest(snnhw, run_folder, content):
    (run_folder / "manifest.json").write_text(content)
    refused(snnhw("build", run_folder), r"manifest '.*manifest\.json' must be one that generate wrote")


@pytest.mark.parametrize("plan", ["[]", '{"lanes": 3}', '{"lanes": {}, "load_weights": false, "control": "can"}',
                                  '{"lanes": {}, "load_weights": false, "speed": 1}'])
def test_estimate_of_a_strange_record(snnhw, run_folder, plan):
    (run_folder / "generate.json").write_text(f'{{"results": {{"plan": {plan}}}}}')
    refused(snnhw("estimate", run_folder, "--board", "icebreaker"), r"record '.*generate\.json' must be one that generate wrote")


@pytest.mark.parametrize("seeds", [0, 65])
def test_build_seeds(snnhw, run_folder, seeds):
    (run_folder / "manifest.json").write_text("{}")
    refused(snnhw("build", run_folder, "--board", "icebreaker", "--seeds", seeds),
            rf"--seeds must be between 1 and 64, not {seeds}")

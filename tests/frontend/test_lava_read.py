"""Networks of Lava: integers, neuron for neuron as their formulas say."""

import re

import numpy as np
import pytest
from nir_files import unpacked

from snnhw.errors import FileError, NetworkError, UsageError
from snnhw.frontend import read_file, read_lava
from snnhw.ir import Conv, Flatten
from snnhw.reference import run

h5py = pytest.importorskip("h5py")
RNG = np.random.default_rng(11)
CUBA = {"type": "CUBA", "iDecay": 1024, "vDecay": 300, "vThMant": 40, "refDelay": 1, "gradedSpike": False}


@pytest.fixture(autouse=True)
def in_process(monkeypatch):
    monkeypatch.setattr("snnhw.frontend.lava.read_tree", unpacked)


def dense(weight, **fields):
    return {"type": np.array([b"dense"], "S10"), "shape": np.array([len(weight)]), "weight": np.asarray(weight, np.float32),
            "neuron": CUBA} | fields


def write(path, *layers):
    with h5py.File(path, "w") as file:
        for index, layer in enumerate(layers):
            for name, value in layer.items():
                for part, content in (value.items() if isinstance(value, dict) else [("", value)]):
                    file[f"layer/{index}/{name}/{part}".rstrip("/")] = content
    return path


def toward_zero(state, decay):
    """Return what is left of a state: magnitudes are cut, not floors."""
    return [int(np.sign(value)) * ((abs(int(value)) * (4096 - decay)) >> 12) for value in state]


@pytest.mark.parametrize("compare", [">", ">="])
def test_cuba_follows_its_formulas(tmp_path, compare):
    weight = 2 * RNG.integers(-20, 25, (3, 5))
    graph = read_lava(write(tmp_path / "x.net", dense(weight)), timesteps=80, compare=compare)
    spikes = RNG.random((1, 80, 5)) < 0.3
    u, v, expected = [0] * 3, [0] * 3, []
    for step in range(80):
        current = (weight @ spikes[0, step]) << 6
        u = [kept + int(new) for kept, new in zip(toward_zero(u, 1024), current, strict=True)]
        v = [kept + new for kept, new in zip(toward_zero(v, 300), u, strict=True)]
        fired = [value > 40 << 6 if compare == ">" else value >= 40 << 6 for value in v]
        v = [0 if spike else value for spike, value in zip(fired, v, strict=True)]
        expected.append(fired)
    assert np.any(expected)
    assert np.array_equal(run(graph, spikes).output_spikes[0], expected)


def test_a_current_without_memory_is_no_synapse(tmp_path):
    graph = read_lava(write(tmp_path / "x.net", dense(np.eye(2), neuron=CUBA | {"iDecay": 4096}, bias=np.array([3, 0]))))
    spec = graph["0.neuron"].spec
    assert spec.synapse is None
    assert spec.bias.tolist() == [3 << 6, 0]
    assert (int(spec.decay.factor), spec.decay.rounding, int(spec.threshold)) == (4096 - 300, "zero", (40 << 6) + 1)


def test_convolution_then_dense(tmp_path):
    weight = RNG.integers(-5, 6, (4, 1, 3, 3, 1))
    conv = {"type": np.array([b"conv"], "S10"), "shape": np.array([4, 3, 4]), "weight": weight, "stride": np.array([2, 2]),
            "padding": np.array([1, 0]), "dilation": np.array([1, 1]), "groups": 2,
            "neuron": CUBA | {"vThMant": np.array([1, 2, 3, 4])}}
    path = write(tmp_path / "x.h5", {"type": np.array([b"input"], "S10"), "shape": np.array([2, 5, 9])}, conv,
                 {"type": np.array([b"flatten"], "S10"), "shape": np.array([48])}, dense(RNG.integers(-5, 6, (2, 48))))
    graph = read_file(path, timesteps=3, tool=None)
    assert graph.timesteps == 3
    assert isinstance(graph["1.conv"], Conv)
    assert np.array_equal(graph["1.conv"].weight, weight[..., 0])
    assert graph.shapes["1.neuron"] == (4, 3, 4)
    assert graph["1.neuron"].spec.threshold.tolist() == [(value << 6) + 1 for value in (1, 2, 3, 4) for _ in range(12)]
    assert isinstance(graph["2.flatten"], Flatten)


def test_shape_of_the_input_may_be_given(tmp_path):
    conv = {"type": np.array([b"conv"], "S10"), "weight": np.ones((1, 1, 2, 2)), "stride": 1, "padding": 0, "dilation": 1,
            "groups": 1, "neuron": CUBA}
    path = write(tmp_path / "x.net", conv)
    assert read_lava(path, input_shape=(1, 3, 3)).shapes["0.neuron"] == (1, 2, 2)
    with pytest.raises(NetworkError, match=r"^layer '0' \(conv\): the shape of the input must be given, because the file does "
                                           r"not say: input_shape$"):
        read_lava(path)


@pytest.mark.parametrize(("fields", "sentence"), [
    ({"type": np.array([b"pool"], "S10")}, "layer '0' (pool): its type must be dense, conv, flatten or input"),
    ({"weight": {"real": np.ones(2), "imag": np.ones(2)}}, "layer '0' (dense): weights must be real, not complex"),
    ({"weight": np.array([[0.5, 1]])}, "layer '0' (dense): weight must be integers, and is not: Lava would cut them off"),
    ({"weight": np.array([[np.nan, 1]])}, "layer '0' (dense): weight must be integers, and is not: Lava would cut them off"),
    ({"weight": np.array([[1 << 21, 1]])}, "layer '0' (dense): weight must be less than 1048576, not 2.09715e+06"),
    ({"delay": np.array([0, 2])}, "layer '0' (dense): delays of its axons must be 0"),
    ({"neuron": CUBA | {"type": "SDNN"}}, "layer '0' (dense): neurons must be of type CUBA or LOIHI, not 'SDNN'"),
    ({"neuron": CUBA | {"gradedSpike": True}}, "layer '0' (dense): spikes must be binary, not graded"),
    ({"neuron": CUBA | {"refDelay": 4}}, "layer '0' (dense): refDelay must be 1, a neuron that may fire in every timestep"),
    ({"neuron": CUBA | {"vDecay": 5000}}, "layer '0' (dense): vDecay must be between 0 and 4096, not 5000 to 5000"),
    ({"neuron": CUBA | {"vDecay": np.arange(3)}},
     "layer '0' (dense): vDecay must be one value, or one for each of 2 channels or 2 neurons, not 3"),
    ({"bias": np.array([1, 0])},
     "layer '0' (dense): bias must be 0 unless iDecay is 4096: here a bias would pass the current"),
    ({"neuron": np.ones(2)}, "layer '0' (dense): must have neurons"),
])
def test_what_is_refused(tmp_path, fields, sentence):
    with pytest.raises(NetworkError, match=f"^{re.escape(sentence)}$"):
        read_lava(write(tmp_path / "x.net", dense(np.eye(2)) | fields))


def test_no_network(tmp_path):
    path = write(tmp_path / "x.net", dense(np.eye(2)))
    with h5py.File(path, "r+") as file:
        file.move("layer/0", "layer/1")
    with pytest.raises(FileError, match=r"must hold a group 'layer' with the layers 0, 1, \.\.\., and does not$"):
        read_lava(path)


def test_choices(tmp_path):
    with pytest.raises(UsageError, match=r"^Lava choice compare must be '>' or '>=', not '<'$"):
        read_lava(tmp_path / "x.net", compare="<")
    with pytest.raises(UsageError, match=r"^choice 'dt' must be one of compare, input_shape, timesteps for a Lava network$"):
        read_file(tmp_path / "x.net", dt=1e-3)
    with pytest.raises(UsageError, match=r"^choice 'input_shape' must be one of .* for a NIR file$"):
        read_file(tmp_path / "x.nir", input_shape=(1, 2, 3))

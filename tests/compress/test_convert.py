"""From networks without spikes: what they compute, the thresholds that their weights get, and how near the spikes come."""

import numpy as np
import pytest
import torch
from test_compress_flow import write_folder
from test_structure import LEVELS, RECIPE, branching, convolutional, images
from torch import nn

from snnhw.compress.config import ConvertConfig
from snnhw.compress.convert import MatchingNetwork, balance_thresholds, initialise
from snnhw.compress.curves import accuracy
from snnhw.compress.flow import lower_model, train_model
from snnhw.compress.train import reproducible
from snnhw.compress.trainable import TrainableNetwork
from snnhw.errors import NetworkError, UsageError
from snnhw.network import Network, run_network

CONVERTED = RECIPE.model_copy(update={"timesteps": 40, "convert": ConvertConfig(epochs=15, learning_rate=0.01, samples=40)})


def test_matches_a_network_of_torch():
    network = convolutional()
    conv1, conv2, fc = nn.Conv2d(1, 6, 3, padding=1, bias=False), nn.Conv2d(6, 8, 2), nn.Linear(32, 3)
    for module, name in ((conv1, "conv1"), (conv2, "conv2"), (fc, "fc")):
        module.weight.data = torch.tensor(network[name].weight, dtype=torch.float32)
        if module.bias is not None:
            module.bias.data = torch.tensor(network[name].bias, dtype=torch.float32)
    plain = nn.Sequential(conv1, nn.ReLU(), nn.AvgPool2d(2), conv2, nn.ReLU(), nn.Flatten(), fc)
    values = torch.from_numpy(images().test_values.astype(np.float32))
    with torch.no_grad():
        found = MatchingNetwork(network, LEVELS)(values[:, None]).logits
        assert torch.allclose(found, plain(values.reshape(-1, 1, 6, 6) / LEVELS), atol=1e-6)
        spread = torch.stack([values, 0 * values], dim=1)
        assert torch.allclose(MatchingNetwork(network, LEVELS / 2)(spread).logits, found, atol=1e-6)


def test_thresholds_are_percentiles_of_currents_while_layers_before_spike():
    network, data = TrainableNetwork(convolutional()).eval(), images()
    bias = network.map("conv2").bias.detach().clone() + 0.3
    network.map("conv2").bias.data.copy_(bias)
    config = ConvertConfig(percentile=90.0, scale=0.7, leak=0.95, samples=40)
    found = balance_thresholds(network, RECIPE, data, config)
    assert set(found) == {"lif1", "lif2"}
    result = network.network()
    assert [float(result[name].behaviour.threshold) for name in ("lif1", "lif2")] == pytest.approx(list(found.values()))
    assert float(result["lif1"].behaviour.reset_amount) == pytest.approx(found["lif1"])
    assert [float(result[name].behaviour.beta) for name in ("lif1", "last")] == pytest.approx([0.95, 0.95])
    train = np.repeat(data.train_values[:40, None], RECIPE.timesteps, axis=1).astype(int)
    first = result["conv1"].apply(train[:, 0].reshape(-1, 1, 6, 6).astype(float))
    assert found["lif1"] == pytest.approx(0.7 * np.percentile(first, 90.0), rel=1e-4)
    # An activation of 1 of the first layer is 1/levels for each unit of its input, and a spike for each threshold.
    worth = found["lif1"] / LEVELS
    np.testing.assert_allclose(result["conv2"].bias, bias / worth, rtol=1e-5)
    spikes = run_network(result, train, np.float32).spikes["lif1"].reshape(-1, 6, 6, 6).astype(float)
    second = result["conv2"].apply(result["pool"].apply(spikes))
    assert found["lif2"] == pytest.approx(0.7 * np.percentile(second, 90.0), rel=1e-2)


def test_spikes_decide_as_the_network_without_them():
    data = images()
    with reproducible(2):
        network = TrainableNetwork(convolutional())
        found = initialise(network, CONVERTED, data)
    assert found["losses"][-1] < found["losses"][0]
    assert found["accuracy"] >= 0.9
    assert found["converted"] >= found["accuracy"] - 0.1
    assert found["converted"] == accuracy(network, CONVERTED, data, 40)


def test_a_layer_needs_a_current():
    network = convolutional()
    silent = [node if node.name != "conv1" else type(node)(node.name, node.inputs, -np.abs(node.weight), None, node.window)
              for node in network.nodes]
    with pytest.raises(NetworkError, match=r"^layer 'lif1' \(Neuron\): must receive a current above 0 to get a threshold, and "
                                           r"the largest is -?[0-9.e-]+$"):
        balance_thresholds(TrainableNetwork(Network("silent", tuple(silent), 6)), RECIPE, images(), ConvertConfig())


def test_refuses_networks_that_are_no_chains():
    with pytest.raises(NetworkError) as caught:
        MatchingNetwork(branching())
    assert caught.value.problems == (
        "layer 'lb' (Neuron): must have one input for a matching network without spikes, not 2",
        "layer 'past' (Delay): must not be there for a matching network without spikes, which has no timesteps",
        "layer 'le' (Neuron): must have one input for a matching network without spikes, not 2")


STAGES = """
data = "data.safetensors"
timesteps = 12
seed = 3
batch = 16
[encoding]
levels = 8
[convert]
epochs = 10
learning_rate = 0.02
[pretrain]
epochs = 4
learning_rate = 0.01
[temporal]
timesteps = [6, 3, 1]
loss = {loss}
learning_rate = {rate}
[finetune]
epochs = 2
[quantize]
weight_bits = 6
state_bits = 16
decay = "mul"
"""


@pytest.mark.parametrize(("loss", "rate", "steps"), [(1.0, 0.01, 1), (0.0, 50.0, 12)])
def test_a_recipe_converts_and_shortens(tmp_path, loss, rate, steps):
    folder = write_folder(tmp_path / "model", recipe=STAGES.format(loss=loss, rate=rate))
    trained = train_model(folder, tmp_path / "run")
    assert len(trained["losses"]["pretrain"]) == 14
    assert trained["timesteps"] == steps
    assert trained["temporal"][0]["timesteps"] == 12
    assert trained["temporal"][0]["accuracy"] > 0.9
    lowered = lower_model(folder, tmp_path / "run")
    assert lowered["ok"]
    assert lowered["timesteps"] == steps
    assert lowered["accuracy"]["integer"] == trained["accuracy"]["quantized"]


def test_training_refuses_a_section_of_compress(tmp_path):
    folder = write_folder(tmp_path / "model", recipe=STAGES.format(loss=1.0, rate=0.01) + "[structure]\n")
    with pytest.raises(UsageError, match=r"^recipe section structure is for snnhw compress: the code of a model does not "
                                         r"follow its widths$"):
        train_model(folder, tmp_path / "run")

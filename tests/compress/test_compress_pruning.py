"""Pruning by layer, over the network and by bank; schedules; and what the stage ``finetune`` adds to them."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from random_floats import assert_exact

from snnhw.compress import PruneConfig, QuantConfig, Recipe, TrainableNetwork, finetune, magnitude_masks, prune
from snnhw.compress.config import ActivityConfig, DistillConfig, EncodingConfig, StageConfig
from snnhw.compress.data import Dataset
from snnhw.compress.prune import bank_of, kept
from snnhw.compress.train import spike_trains, train_float
from snnhw.errors import UsageError
from snnhw.ir import Input, Readout
from snnhw.network import Behaviour, Linear, Network, Neuron


def test_magnitude_masks_keep_the_largest():
    weights = {"a": np.array([[1.0, -5.0], [0.5, 2.0]]), "b": np.array([[0.1, 0.2]])}
    by_layer = magnitude_masks(weights, PruneConfig(sparsity=0.5))
    assert by_layer["a"].tolist() == [[False, True], [False, True]]
    assert by_layer["b"].tolist() == [[False, True]]
    overall = magnitude_masks(weights, PruneConfig(sparsity=0.5, scope="global"))
    assert overall["a"].tolist() == [[True, True], [False, True]]
    assert overall["b"].tolist() == [[False, False]]
    single = magnitude_masks(weights, PruneConfig(layers={"a": 0.75}))
    assert single["a"].sum() == 1
    assert single["b"].all()


def test_pruning_an_unknown_layer_is_refused():
    with pytest.raises(UsageError, match=r"^prune\.layers names 'c', the network has 'a'$"):
        magnitude_masks({"a": np.ones((1, 1))}, PruneConfig(layers={"c": 0.5}))


@given(outputs=st.integers(1, 20), inside=st.sampled_from([(1,), (5,), (2, 3), (2, 2, 3)]), lanes=st.integers(1, 24),
       sparsity=st.floats(0.01, 0.99), seed=st.integers(0, 99))
def test_every_bank_keeps_the_same_number(outputs, inside, lanes, sparsity, seed):
    weight = np.random.default_rng(seed).normal(size=(outputs, *inside))
    mask = magnitude_masks({"a": weight}, PruneConfig(sparsity=sparsity, scope="bank", lanes=lanes))["a"]
    lane = bank_of(outputs, lanes)
    assert lane.tolist() == [index % lanes for index in range(outputs)]
    longest = -(-outputs // min(lanes, outputs))
    number = max(1, round((1 - sparsity) * longest))
    columns, weights = mask.reshape(outputs, -1), np.abs(weight).reshape(outputs, -1)
    for one in set(lane.tolist()):
        rows = lane == one
        assert (columns[rows].sum(axis=0) == min(number, rows.sum())).all()
        # The largest of each bank stay.
        for chosen, size in zip(columns[rows].T, weights[rows].T, strict=True):
            assert size[chosen].min() >= size[~chosen].max(initial=0)


@pytest.mark.parametrize(("config", "expected"), [
    (PruneConfig(sparsity=0.5), {-1: 1.0}), (PruneConfig(sparsity=0.5, when=2), {2: 1.0}),
    (PruneConfig(sparsity=0.5, when=1, until=3), {1: 0.0, 2: 0.875, 3: 1.0}),
    (PruneConfig(sparsity=0.5, until=1), {-1: 0.0, 0: 0.875, 1: 1.0}),
])
def test_the_share_grows_along_a_cubic_curve(config, expected):
    assert {epoch: share for epoch in range(-1, 6) if (share := config.share(epoch)) is not None} == expected


def data_of(classes=3, inputs=12):
    rng = np.random.default_rng(0)
    patterns = rng.integers(0, 9, (classes, inputs))
    parts = []
    for count in (96, 48):
        labels = np.arange(count) % classes
        parts += [np.clip(patterns[labels] + rng.integers(-2, 3, (count, inputs)), 0, 8).astype(np.uint8), labels]
    return Dataset("small", 8, *parts)


DATA = data_of()


def trainable_of(seed=0, hidden=10):
    rng = np.random.default_rng(seed)
    return TrainableNetwork(Network("net", (
        Input("in", (), (12,)), Linear("fc1", ("in",), rng.normal(size=(hidden, 12)) / 2, np.zeros(hidden)),
        Neuron("lif1", ("fc1",), Behaviour(0.75, 1.0, ">", "subtract", 1.0)),
        Linear("fc2", ("lif1",), rng.normal(size=(3, hidden)) / 2), Neuron("lif2", ("fc2",), Behaviour(0.75)),
        Readout("out", ("lif2",))), 6))


def recipe_of(epochs=4, **fields):
    rate = fields.pop("rate", 0.01)
    return Recipe(data="small", timesteps=6, batch=16, encoding=EncodingConfig(levels=8),
                  finetune=StageConfig(epochs=epochs, learning_rate=rate), **fields)


def states_of(network, recipe, monkeypatch):
    """Train, and return for each step whether it computed in integers, and the share of weights that were kept."""
    seen, forward = [], TrainableNetwork.forward

    def watched(self, *args, **options):
        if self is network:
            seen.append((self.quantized, kept(self), {name: self.map(name).mask.clone() for name in self.weighted}))
        return forward(self, *args, **options)

    monkeypatch.setattr(TrainableNetwork, "forward", watched)
    losses = finetune(network, recipe, DATA)
    return seen, losses


@pytest.mark.parametrize("scope", ["layer", "global", "bank"])
def test_gradual_pruning_reaches_its_share_and_masks_only_shrink(scope, monkeypatch):
    network = trainable_of()
    recipe = recipe_of(5, prune=PruneConfig(sparsity=0.6, scope=scope, lanes=2, when=1, until=4))
    seen, losses = states_of(network, recipe, monkeypatch)
    shares = [share for _, share, _ in seen][::6]
    assert len(seen) == 30
    assert len(losses) == 5
    assert shares[0] == shares[1] == 1.0
    assert shares[1] > shares[2] >= shares[3] >= shares[4]
    if scope == "bank":
        assert all((network.map("fc1").mask[lane::2].sum(dim=0) == 2).all() for lane in range(2))
    else:
        assert shares[4] == pytest.approx(0.4, abs=0.02)
    for (_, _, before), (_, _, after) in itertools.pairwise(seen):
        assert not any((after[name] & ~before[name]).any() for name in before)
    graph, _ = assert_exact(network, np.random.default_rng(0).integers(0, 2, (4, 6, 12)))
    assert all(not graph[name].weight[~network.map(name).mask.numpy()].any() for name in network.weighted)


@pytest.mark.parametrize(("when", "epochs"), [("before", 0), (2, 2)])
def test_a_late_quantization_trains_in_real_numbers_first(when, epochs, monkeypatch):
    network = trainable_of()
    seen, losses = states_of(network, recipe_of(4, quantize=QuantConfig(when=when, scale="clip")), monkeypatch)
    assert [quantized for quantized, _, _ in seen] == [False] * 6 * epochs + [True] * 6 * (4 - epochs)
    assert network.quantized
    assert losses[-1] < losses[0]
    # Scales learn too once there are any: they are no longer where the best for the weights was.
    assert all(float(scale.clip.detach().abs()) > 0 for scale in network.scales)


def test_distillation_alone_imitates_the_teacher():
    """With weight 1 the labels have no say: they are wrong here, and the student follows its teacher all the same."""
    teacher = trainable_of(1)
    train_float(teacher, recipe_of(), DATA, stage=StageConfig(epochs=12, learning_rate=0.02))
    teacher.eval()
    wrong = Dataset("wrong", 8, DATA.train_values, (DATA.train_labels + 1) % 3, DATA.test_values, DATA.test_labels)
    student = trainable_of(2)
    recipe = recipe_of(12, rate=0.02, distill=DistillConfig(weight=1.0), quantize=QuantConfig(weight_bits=8))
    losses = finetune(student, recipe, wrong, teacher=teacher)
    spikes = spike_trains(recipe, 6, 12)(DATA.test_values)
    with torch.no_grad():
        wanted, found = teacher(spikes).logits.argmax(dim=1), student(spikes).logits.argmax(dim=1)
    assert (wanted.numpy() == DATA.test_labels).mean() > 0.9
    assert (wanted == found).double().mean() > 0.9
    assert losses[-1] < 0.3 * losses[0]


@pytest.mark.parametrize("activity", [ActivityConfig(spikes=2.0), ActivityConfig(operations=2.0)], ids=["spikes", "operations"])
def test_a_price_on_activity_lowers_it(activity):
    spikes = spike_trains(recipe_of(), 6, 12)(DATA.train_values)
    rates = []
    for price in (ActivityConfig(), activity):
        network = trainable_of()
        finetune(network, recipe_of(8, rate=0.02, activity=price), DATA)
        with torch.no_grad():
            rates.append(float(network(spikes).spikes["lif1"].mean()))
    assert 0 < rates[1] < 0.7 * rates[0]


def test_pruning_twice_keeps_what_is_gone():
    network = trainable_of()
    prune(network, PruneConfig(sparsity=0.5))
    first = network.map("fc1").mask.clone()
    with torch.no_grad():
        network.map("fc1").weight.fill_(1.0)  # as momentum could
    prune(network, PruneConfig(sparsity=0.75))
    assert not (network.map("fc1").mask & ~first).any()
    assert int(network.map("fc1").mask.sum()) == 30

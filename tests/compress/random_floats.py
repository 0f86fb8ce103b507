"""Random float networks of every topology that graphs have, with every kind of neuron, and a way to train them a little."""

import math

import numpy as np
import torch

from snnhw import ir, reference
from snnhw.network import Behaviour, Conv, Linear, Network, Neuron, Pool, Scale
from snnhw.verify.random_graphs import random_graph

__all__ = ["assert_exact", "behaviour_of", "float_network", "spikes_for", "train_steps"]

BETAS = (0.0, 0.5, 0.75, 0.875, 0.9, 0.3, 1.0)


def _each(rng, count, values):
    """Return one of `values`, or one for each neuron."""
    return rng.choice(values, count) if rng.random() < 0.4 else float(rng.choice(values))


def behaviour_of(rng, count, spec, *, dyadic=False):
    """Return a random behaviour with what the specification of a random graph hands on.

    Parameters
    ----------
    dyadic : bool
        Only numbers with which single precision is exact.
    """
    betas = (0.5, 0.75, 1.0, 0.0) if dyadic else BETAS
    amounts = (0.5, 0.75, 1.0, 1.5) if dyadic else (0.45, 0.7, 1.0, 1.6)
    threshold = _each(rng, count, amounts)
    common = {"alpha": _each(rng, count, betas) if rng.random() < 0.3 else None,
              "bias": _each(rng, count, (-0.25, 0.125, 0.25)) if rng.random() < 0.3 else 0.0,
              "rounding": str(rng.choice(["floor", "floor", "zero"])),
              "start": float(rng.choice([0.0, 0.0, 0.25, -0.5]))}
    beta = _each(rng, count, betas)
    if spec.output == "state":
        return Behaviour(beta, 0.0, reset="none", output="state", **common)
    compare = str(rng.choice([">", ">="]))
    if spec.output == "count":
        return Behaviour(beta, threshold, compare, "subtract", threshold if rng.random() < 0.5 else 0.5, output="count",
                         grades=spec.grades, **common)
    reset = str(rng.choice(["none", "zero", "value", "subtract", "subtract"]))
    amount = {"value": _each(rng, count, (-0.5, 0.25)), "subtract": threshold if rng.random() < 0.5 else 0.5}.get(reset, 0.0)
    time = str(rng.choice(["immediate", "next"]))
    drop = time == "next" and reset in ("zero", "value") and rng.random() < 0.5
    return Behaviour(beta, threshold, compare, reset, amount, time, "drop" if drop else "keep", **common)


def float_network(seed, *, dyadic=False):
    """Return a float network with the topology of a random graph."""
    rng = np.random.default_rng([seed, 11])
    graph = random_graph(rng)
    nodes = []

    def weight(shape):
        values = rng.integers(-6, 9, shape) / 8 * (1.0 if dyadic else rng.uniform(0.3, 1.2))
        return values if dyadic else values + rng.normal(scale=0.02, size=shape)

    def bias(channels):
        return rng.integers(-2, 3, channels) / 8 if rng.random() < 0.5 else None

    for node in graph.nodes:
        if isinstance(node, ir.Linear):
            node = Linear(node.name, node.inputs, weight(node.weight.shape), bias(len(node.weight)))
        elif isinstance(node, ir.Conv):
            node = Conv(node.name, node.inputs, weight(node.weight.shape), bias(len(node.weight)), node.window, node.groups)
        elif isinstance(node, ir.Scale):
            node = Scale(node.name, node.inputs, weight(node.weight.shape))
        elif isinstance(node, ir.SumPool):
            kinds = ["sum"] if dyadic else ["sum", "average"]
            node = Pool(node.name, node.inputs, str(rng.choice(kinds)), node.window)
        elif isinstance(node, ir.Neuron):
            count = math.prod(graph.shapes[node.name])
            node = Neuron(node.name, node.inputs, behaviour_of(rng, count, node.spec, dyadic=dyadic))
        nodes.append(node)
    return Network(f"random {seed}", tuple(nodes), graph.timesteps)


def spikes_for(network, seed, samples=5):
    """Return input of a network, int64 (samples, timesteps, elements), of any density."""
    rng = np.random.default_rng([seed, 13])
    node, shape = network.input, (samples, network.timesteps, math.prod(network.input.shape))
    return rng.integers(node.lowest, node.highest + 1, shape) * (rng.random(shape) < rng.choice([0.2, 0.6, 1.0], (samples, 1, 1)))


def train_steps(trainable, spikes, steps=2, rate=0.002):
    """Move all parameters a little, as training does."""
    optimizer = torch.optim.SGD([each for each in trainable.parameters() if each.requires_grad], lr=rate)
    for _ in range(steps):
        optimizer.zero_grad()
        loss = (trainable(torch.as_tensor(spikes, dtype=torch.float32)).logits - 2).square().mean()
        if loss.requires_grad:
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trainable.parameters(), 5.0)
            optimizer.step()


def assert_exact(trainable, spikes):
    """Compare every spike, every word and every decision with the reference; return the graph and its trace."""
    graph = trainable.graph(trainable.source.input, spikes.shape[1])
    trace = reference.run(graph, np.asarray(spikes))
    with torch.no_grad():
        found = trainable(torch.as_tensor(spikes, dtype=torch.float32), keep=True)
    assert set(found.membranes) == {node.name for node in graph.neurons}
    for node in graph.neurons:
        words = found.membranes[node.name].transpose(0, 1).numpy()
        assert words.shape == trace.membranes[node.name].shape
        assert np.array_equal(words, trace.membranes[node.name]), f"words of {node.name!r}"
        if node.fires:
            assert np.array_equal(found.spikes[node.name].transpose(0, 1).numpy(), trace.spikes[node.name]), node.name
    readout = graph.nodes[-1]
    if readout.kind != "first":
        assert np.array_equal(found.logits.numpy().argmax(axis=1), trace.decisions)
    return graph, trace

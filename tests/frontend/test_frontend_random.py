"""Random convolutional networks, put together in ways nobody wrote a test for, compute what torch computes."""

import math
import random

import pytest
import snntorch as snn
import torch
import torch.nn.functional as F
from test_frontend_module import check, randomize
from torch import nn

NETWORKS, TIMESTEPS = 16, 7
NEURONS = {
    "leaky": lambda rng, channels: snn.Leaky(beta=rng.choice([0.8, 1.0]), threshold=0.7),
    "zero": lambda rng, channels: snn.Leaky(beta=torch.rand(channels, 1, 1), reset_mechanism="zero"),
    "graded": lambda rng, channels: snn.Leaky(beta=0.9, graded_spikes_factor=rng.choice([0.5, 2.0])),
    "synaptic": lambda rng, channels: snn.Synaptic(alpha=0.5, beta=0.8, reset_mechanism=rng.choice(["zero", "subtract"])),
    "lapicque": lambda rng, channels: snn.Lapicque(beta=0.6, threshold=0.3),
    "recurrent": lambda rng, channels: snn.RLeaky(beta=0.8, conv2d_channels=channels, kernel_size=3),
}


class Random(nn.Module):
    """Blocks of a convolution, maps of its currents, a skip connection, neurons and maps of their spikes; then a Linear."""

    def __init__(self, rng):
        super().__init__()
        self.layers = nn.ModuleList()
        self.blocks = []
        self.shape = shape = (2, *[rng.choice([6, 7, 8])] * 2)
        before = []
        for _ in range(rng.randint(2, 4)):
            padding, stride, channels = rng.choice([0, 1]), rng.choice([1, 1, 2]), rng.choice([2, 4])
            side = (shape[1] + 2 * padding - 3) // stride + 1
            if side < 3:
                break
            options = {"padding": padding, "stride": stride, "groups": rng.choice([1, 2]), "bias": rng.random() < 0.7}
            steps = [self.keep(nn.Conv2d(shape[0], channels, 3, **options))]
            for _ in range(rng.randint(0, 3)):
                side = self.map(rng, steps, channels, side, ["norm", "factor", "shift", "each", "average"])
            same = [index for index, size in enumerate(before) if size == (channels, side)]
            if same and rng.random() < 0.7:
                steps.append(("skip", rng.choice(same)))
            neuron = NEURONS[rng.choice(list(NEURONS))](rng, channels)
            neuron.init_hidden = True
            steps.append(self.keep(neuron))
            for index in range(rng.randint(0, 2)):
                spikes = index == 0 and rng.random() < 0.5
                side = self.map(rng, steps, channels, side, ["maximum"] if spikes else ["norm", "factor", "average"])
            self.blocks.append(steps)
            before.append((channels, side))
            shape = (channels, side, side)
        self.fc, self.out = nn.Linear(math.prod(shape), 5), snn.Leaky(beta=0.9, init_hidden=True)

    def keep(self, layer):
        self.layers.append(layer)
        return "layer", len(self.layers) - 1

    def map(self, rng, steps, channels, side, kinds):
        kind = rng.choice(kinds)
        if kind == "norm":
            steps.append(self.keep(nn.BatchNorm2d(channels)))
        elif kind in ("average", "maximum"):
            if side >= 4:
                steps.append((kind, None))
                return side // 2
        else:
            steps.append((kind, {"factor": rng.choice([0.7, 1.5]), "shift": rng.choice([0.1, -0.1]),
                                 "each": torch.rand(channels, 1, 1) + 0.5}[kind]))
        return side

    def step(self, x):
        outputs = []
        for steps in self.blocks:
            for kind, value in steps:
                x = {"layer": lambda x, value: self.layers[value](x), "factor": torch.mul, "each": torch.mul, "shift": torch.add,
                     "skip": lambda x, value: x + outputs[value], "average": lambda x, _: F.avg_pool2d(x, 2),
                     "maximum": lambda x, _: F.max_pool2d(x, 2)}[kind](x, value)
            outputs.append(x)
        return self.out(self.fc(x.flatten(1)))

    def forward(self, x):
        return torch.stack([self.step(frame) for frame in x])


@pytest.mark.parametrize("seed", range(NETWORKS))
def test_random_networks(seed):
    torch.manual_seed(seed)
    module = randomize(Random(random.Random(seed)), seed)
    network = check(module, module.shape, style="first", timesteps=TIMESTEPS, alive=False)
    assert len(network.neurons) == len(module.blocks) + 1

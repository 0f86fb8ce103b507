"""Networks small enough for tests, with every neuron that can be quantized, in every style of forward."""

import itertools

import numpy as np
import snntorch as snn
import torch
from torch import nn


class Mended(snn.Leaky):
    """Subtracts the threshold at once, which snntorch's own neuron does not get right."""

    def forward(self, input_, mem=None):
        mem = self.beta.clamp(0, 1) * mem + input_
        spk = self.fire(mem)
        return spk, mem - spk * self.threshold


class Dropping(snn.Leaky):
    """Drops the input of the timestep after a spike."""

    def forward(self, input_, mem=None):
        mem = (self.beta.clamp(0, 1) * mem + input_) * (1 - self.mem_reset(mem))
        return self.fire(mem), mem


NEURONS = {
    "subtract, next": lambda **options: snn.Leaky(**options),
    "zero, next": lambda **options: snn.Leaky(reset_mechanism="zero", **options),
    "zero, immediate": lambda **options: snn.Leaky(reset_mechanism="zero", reset_delay=False, **options),
    "none": lambda **options: snn.Leaky(reset_mechanism="none", **options),
    "subtract, immediate": Mended,
    "zero, next, drop": Dropping,
}


class Chain(nn.Module):
    """Any number of layers, states passed by hand, time first."""

    def __init__(self, sizes, neuron, *, bias=True, gain=2.0):
        super().__init__()
        self.fcs = nn.ModuleList(nn.Linear(inputs, outputs, bias=bias) for inputs, outputs in itertools.pairwise(sizes))
        self.lifs = nn.ModuleList(neuron(outputs) for outputs in sizes[1:])
        with torch.no_grad():
            for fc in self.fcs:
                fc.weight *= gain

    def forward(self, x):
        mems = [torch.zeros(x.size(1), fc.out_features) for fc in self.fcs]
        record = []
        for step in range(x.size(0)):
            spk = x[step]
            for index, (fc, lif) in enumerate(zip(self.fcs, self.lifs, strict=True)):
                spk, mems[index] = lif(fc(spk), mems[index])
            record.append(spk)
        return torch.stack(record)


class Static(nn.Module):
    """Shows one frame at every timestep."""

    def __init__(self, timesteps):
        super().__init__()
        self.timesteps = timesteps
        self.fc = nn.Linear(6, 4)
        self.lif = snn.Leaky(beta=0.75)

    def forward(self, x):
        mem, total = self.lif.init_leaky(), 0
        for _ in range(self.timesteps):
            spk, mem = self.lif(self.fc(x.flatten(1)), mem)
            total = total + spk
        return total


def hidden():
    """Return a network with hidden states that is called once per timestep."""
    return nn.Sequential(nn.Flatten(), nn.Linear(6, 5), snn.Leaky(beta=0.75, init_hidden=True), nn.Dropout(0.2),
                         nn.Linear(5, 3), snn.Leaky(beta=0.5, init_hidden=True, output=True, reset_mechanism="zero"))


class BatchFirst(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(6, 4)
        self.lif = snn.Leaky(beta=0.75)

    def forward(self, x):
        currents, mem, record = self.fc(x), self.lif.init_leaky(), []
        for step in range(x.size(1)):
            spk, mem = self.lif(currents[:, step], mem)
            record.append(spk)
        return torch.stack(record, dim=1)


def random_spikes(rng, samples, timesteps, inputs, rate=0.5):
    return torch.from_numpy((rng.random((samples, timesteps, inputs)) < rate).astype(np.float32))

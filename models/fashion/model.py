"""Fashion-MNIST: two convolutions with batch normalisation and pooling, 10 classes read from membranes that do not spike."""

import snntorch as snn
import torch
from snntorch import surrogate
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        gradient = surrogate.fast_sigmoid(slope=5)
        self.conv1 = nn.Conv2d(1, 8, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(8)
        self.lif1 = snn.Leaky(beta=0.875, spike_grad=gradient)
        self.pool1 = nn.MaxPool2d(2)
        self.conv2 = nn.Conv2d(8, 16, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(16)
        self.lif2 = snn.Leaky(beta=0.875, spike_grad=gradient)
        self.pool2 = nn.MaxPool2d(2)
        self.flatten = nn.Flatten()
        self.fc3 = nn.Linear(16 * 7 * 7, 10)
        self.readout = snn.Leaky(beta=0.875, reset_mechanism="none")

    def membranes(self, x):
        """Return the output membranes (timesteps, samples, 10) for x (timesteps, samples, 1, 28, 28)."""
        mem1 = self.lif1.init_leaky()
        mem2 = self.lif2.init_leaky()
        mem3 = self.readout.init_leaky()
        mem3_rec = []
        for step in range(x.size(0)):
            spk1, mem1 = self.lif1(self.norm1(self.conv1(x[step])), mem1)
            spk2, mem2 = self.lif2(self.norm2(self.conv2(self.pool1(spk1))), mem2)
            _, mem3 = self.readout(self.fc3(self.flatten(self.pool2(spk2))), mem3)
            mem3_rec.append(mem3)
        return torch.stack(mem3_rec)

    def forward(self, x):
        """Return the output membranes of the last timestep (samples, 10): the largest decides."""
        return self.membranes(x)[-1]

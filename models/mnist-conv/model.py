"""Handwritten digits: three convolutions without biases, average pools, 10 classes read from membranes that do not spike."""

import snntorch as snn
from snntorch import surrogate
from torch import nn

LEAK = 0.9901  # of Chowdhury, Garg and Roy 2021


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        gradient = surrogate.atan(alpha=2.0)
        self.conv1 = nn.Conv2d(1, 16, 5, stride=2, padding=2, bias=False)
        self.lif1 = snn.Leaky(beta=LEAK, spike_grad=gradient)
        self.pool1 = nn.AvgPool2d(2)
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1, bias=False)
        self.lif2 = snn.Leaky(beta=LEAK, spike_grad=gradient)
        self.conv3 = nn.Conv2d(32, 64, 3, stride=2, padding=1, bias=False)
        self.lif3 = snn.Leaky(beta=LEAK, spike_grad=gradient)
        self.pool3 = nn.AvgPool2d(2)
        self.fc4 = nn.Linear(64 * 2 * 2, 10, bias=False)
        self.readout = snn.Leaky(beta=LEAK, reset_mechanism="none")

    def forward(self, x):
        """Return the last output membranes (samples, 10) for x (timesteps, samples, 1, 28, 28): the largest decides."""
        mem1 = self.lif1.init_leaky()
        mem2 = self.lif2.init_leaky()
        mem3 = self.lif3.init_leaky()
        mem4 = self.readout.init_leaky()
        for step in range(x.size(0)):
            spk1, mem1 = self.lif1(self.conv1(x[step]), mem1)
            spk2, mem2 = self.lif2(self.conv2(self.pool1(spk1)), mem2)
            spk3, mem3 = self.lif3(self.conv3(spk2), mem3)
            _, mem4 = self.readout(self.fc4(self.pool3(spk3).flatten(1)), mem4)
        return mem4

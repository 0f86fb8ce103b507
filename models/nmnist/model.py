"""N-MNIST: events of a camera that moves before a digit, two convolutions, and 10 classes that count spikes."""

import snntorch as snn
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(2, 8, 7, stride=2, padding=3)
        self.lif1 = snn.Leaky(beta=0.5)
        self.conv2 = nn.Conv2d(8, 16, 3, stride=2, padding=1)
        self.lif2 = snn.Leaky(beta=0.5)
        self.fc = nn.Linear(1296, 10)
        self.lif3 = snn.Leaky(beta=0.875)

    def forward(self, x):
        mem1, mem2, mem3 = self.lif1.init_leaky(), self.lif2.init_leaky(), self.lif3.init_leaky()
        recorded = []
        for step in range(x.size(0)):
            spk1, mem1 = self.lif1(self.conv1(x[step]), mem1)
            spk2, mem2 = self.lif2(self.conv2(spk1), mem2)
            spk3, mem3 = self.lif3(self.fc(spk2.flatten(1)), mem3)
            recorded.append(spk3)
        return torch.stack(recorded, dim=0)

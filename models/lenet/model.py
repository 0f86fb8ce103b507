"""MNIST: two convolutions of 5x5, each averaged before its neurons, and 10 classes read from membranes that do not spike."""

import snntorch as snn
import torch.nn.functional as F
from torch import nn

STEPS = 4


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 5)
        self.lif1 = snn.Leaky(beta=0.5)
        self.conv2 = nn.Conv2d(16, 32, 5)
        self.lif2 = snn.Leaky(beta=0.5)
        self.fc = nn.Linear(512, 10)
        self.out = snn.Leaky(beta=0.875, reset_mechanism="none")

    def forward(self, image):
        mem1, mem2, mem3 = self.lif1.init_leaky(), self.lif2.init_leaky(), self.out.init_leaky()
        total = 0
        for _ in range(STEPS):
            spk1, mem1 = self.lif1(F.avg_pool2d(self.conv1(image), 2), mem1)
            spk2, mem2 = self.lif2(F.avg_pool2d(self.conv2(spk1), 2), mem2)
            _, mem3 = self.out(self.fc(spk2.flatten(1)), mem3)
            total = total + mem3
        return total

"""Braille letters felt by 12 taxels: a recurrent layer with synaptic currents, 7 letters."""

import snntorch as snn
import torch
from snntorch import surrogate
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        gradient = surrogate.fast_sigmoid(slope=10)
        self.fc1 = nn.Linear(12, 64)
        self.rsyn1 = snn.RSynaptic(alpha=0.75, beta=0.9375, linear_features=64, spike_grad=gradient)
        self.fc2 = nn.Linear(64, 7)
        self.lif2 = snn.Leaky(beta=0.9375, spike_grad=gradient)

    def forward(self, x):
        """Return the output spikes, (timesteps, samples, 7), for x (timesteps, samples, 12)."""
        spk1, syn1, mem1 = self.rsyn1.init_rsynaptic()
        mem2 = self.lif2.init_leaky()
        spk2_rec = []
        for step in range(x.size(0)):
            cur1 = self.fc1(x[step])
            spk1, syn1, mem1 = self.rsyn1(cur1, spk1, syn1, mem1)
            cur2 = self.fc2(spk1)
            spk2, mem2 = self.lif2(cur2, mem2)
            spk2_rec.append(spk2)
        return torch.stack(spk2_rec)

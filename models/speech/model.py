"""Keyword spotting by event-based speech: 20 inputs, three layers of 256 and one of 35 neurons.

The layout of the snntorch baseline of the NeuroBench benchmark "Google Speech Commands", so that its parameters fit.
"""

import snntorch as snn
from torch import nn

BETA = 0.9


def Net():
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(20, 256),
        snn.Leaky(beta=BETA, init_hidden=True),
        nn.Linear(256, 256),
        snn.Leaky(beta=BETA, init_hidden=True),
        nn.Linear(256, 256),
        snn.Leaky(beta=BETA, init_hidden=True),
        nn.Linear(256, 35),
        snn.Leaky(beta=BETA, init_hidden=True, output=True),
    )

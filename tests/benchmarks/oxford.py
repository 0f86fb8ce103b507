"""The network of Lava's Oxford example: 200 - 256 - 200 neurons, its input and the spikes that were recorded from it."""

from pathlib import Path

import numpy as np

from snnhw.frontend.lava import read_lava
from snnhw.ir import Graph

__all__ = ["FILES", "load_oxford"]

FILES = "network.net", "input.npy", "ground_truth.npy"
PIPELINE = 2  # timesteps from the input to the recorded output: one for each layer


def load_oxford(folder: Path) -> tuple[Graph, np.ndarray, np.ndarray]:
    """Return the graph, its input and the recorded spikes, both bool (1, timesteps, 200).

    The events of the files are rows of neuron, channel (always 0) and time. Input times are fractions of a timestep, rounded as
    lava-dl does it; two spikes of a neuron in one timestep are one. The recording was made with neurons that fire at their
    threshold.
    """
    events, recorded = (np.load(folder / name, allow_pickle=False) for name in FILES[1:])
    steps = int(np.rint(events[:, 2]).max()) + 1
    spikes, expected = np.zeros((2, 1, steps, 200), bool)
    spikes[0, np.rint(events[:, 2]).astype(int), events[:, 0].astype(int)] = True
    times = recorded[:, 2].astype(int) - PIPELINE
    expected[0, times, recorded[:, 0].astype(int)] = True
    return read_lava(folder / FILES[0], timesteps=steps, compare=">="), spikes, expected

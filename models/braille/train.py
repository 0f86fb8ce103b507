"""Train the network of model.py on the Braille letters and write checkpoint.safetensors.

    SNNHW_DATA=folder python models/braille/train.py
"""

import argparse
import os
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from model import Net
from safetensors.torch import save_file
from torch import nn

TIMESTEPS = 64  # of 20 ms: the OR of four steps of the recording
GAIN = 20  # logit of a neuron that spikes at every timestep


def load():
    """Return recordings (samples, timesteps, 12), labels, and whether a sample is for testing."""
    with np.load(Path(os.environ["SNNHW_DATA"]) / "Braille7" / "braille7_trainval.npz", allow_pickle=False) as file:
        values, labels, is_test = file["x"], file["y"], file["is_test"]
    values = values.reshape(len(values), TIMESTEPS, -1, 12).max(axis=2)
    return torch.from_numpy(values), torch.from_numpy(labels.astype(np.int64)), torch.from_numpy(is_test)


def show(values):
    """Return spikes (timesteps, samples, 12) for recordings (samples, timesteps, 12)."""
    return values.float().transpose(0, 1)


def accuracy(net, values, labels):
    """Share of samples whose letter spikes most; the lowest letter on a tie."""
    with torch.no_grad():
        return float((net(show(values)).sum(dim=0).argmax(dim=1) == labels).float().mean())


def main():
    parser = argparse.ArgumentParser(description="Train the Braille letters.")
    parser.add_argument("--epochs", type=int, default=80)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "checkpoint.safetensors")
    options = parser.parse_args()

    torch.manual_seed(options.seed)
    torch.set_num_threads(1)
    values, labels, is_test = load()
    test_values, test_labels = values[is_test], labels[is_test]
    values, labels = values[~is_test], labels[~is_test]
    net = Net()
    with torch.no_grad():  # start with weak feedback, or the activity runs away
        net.rsyn1.recurrent.weight.mul_(0.5)
        net.rsyn1.recurrent.bias.zero_()
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, options.epochs)

    start = time.monotonic()
    for epoch in range(options.epochs):
        total = 0.0
        for chosen in torch.randperm(len(labels)).split(64):
            logits = net(show(values[chosen])).sum(dim=0) * (GAIN / TIMESTEPS)
            loss = F.cross_entropy(logits, labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
            total += loss.item() * len(chosen)
        schedule.step()
        if (epoch + 1) % 10 == 0:
            print(f"epoch {epoch + 1}, loss {total / len(labels):.3f}, train {accuracy(net, values, labels):.1%}, "
                  f"{time.monotonic() - start:.0f} s", flush=True)
    save_file({name: tensor.contiguous() for name, tensor in net.state_dict().items()}, options.out)
    print(f"accuracy {accuracy(net, test_values, test_labels):.2%} "
          f"on {len(test_labels)} test recordings, seed {options.seed}; wrote {options.out}")


if __name__ == "__main__":
    main()

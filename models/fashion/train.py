"""Train the network of model.py on Fashion-MNIST and write checkpoint.safetensors.

    SNNHW_DATA=folder python models/fashion/train.py
"""

import argparse
import gzip
import os
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from model import Net
from safetensors.torch import load_file, save_file

LEVELS = 15  # a pixel is shown as a value from 0 to 15 at every timestep
TIMESTEPS, TEST_TIMESTEPS = 4, 8  # four teach as much for half the time; eight leave fewer equal spike counts
BATCH, TEST_BATCH = 50, 500


def load(split):
    """Return pixels (images, 784) scaled to 0..LEVELS, and labels."""
    folder = Path(os.environ["SNNHW_DATA"]) / "FashionMNIST" / "raw"
    pixels = np.frombuffer(gzip.decompress((folder / f"{split}-images-idx3-ubyte.gz").read_bytes())[16:], np.uint8)
    labels = np.frombuffer(gzip.decompress((folder / f"{split}-labels-idx1-ubyte.gz").read_bytes())[8:], np.uint8)
    values = (pixels.reshape(-1, 784).astype(np.uint32) * LEVELS + 127) // 255
    return torch.from_numpy(values.astype(np.uint8)), torch.from_numpy(labels.astype(np.int64))


def show(values, timesteps):
    """Return frames (timesteps, samples, 1, 28, 28) for pixels (samples, 784)."""
    return values.float().reshape(1, -1, 1, 28, 28).expand(timesteps, -1, -1, -1, -1)


def accuracy(net, values, labels):
    """Share of samples whose class spikes most; the lowest class on a tie."""
    net.eval()
    with torch.no_grad():
        right = [(net(show(some, TEST_TIMESTEPS))[0].sum(dim=0).argmax(dim=1) == wanted).sum()
                 for some, wanted in zip(values.split(TEST_BATCH), labels.split(TEST_BATCH), strict=True)]
    return float(sum(right)) / len(labels)


def train_epoch(net, values, labels, epoch, seed):
    """Show every image once; the learning rate rises and falls in every epoch, less in later ones."""
    if epoch:
        torch.manual_seed(seed + epoch)  # so that an epoch can follow a checkpoint
    net.train()
    rate = 5e-3 if epoch == 0 else 3e-3
    optimizer = torch.optim.Adam(net.parameters(), lr=rate)
    batches = torch.randperm(len(labels)).split(BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=rate, total_steps=len(batches))
    mean, start = 0.0, time.process_time()
    for done, chosen in enumerate(batches, 1):
        spikes, membranes = net(show(values[chosen], TIMESTEPS))
        wanted = labels[chosen]
        # The spike counts decide; the membranes teach where counts are equal.
        loss = (F.cross_entropy(2 * spikes.sum(dim=0), wanted)
                + F.cross_entropy(membranes.flatten(0, 1), wanted.repeat(TIMESTEPS)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        mean = 0.99 * mean + 0.01 * loss.item()
        if done % 100 == 0:
            print(f"epoch {epoch + 1}, step {done} of {len(batches)}, loss {mean / (1 - 0.99 ** done):.3f}, "
                  f"{time.process_time() - start:.0f} CPU seconds", flush=True)


def main():
    parser = argparse.ArgumentParser(description="Train Fashion-MNIST.")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--done", type=int, default=0, help="epochs that the checkpoint in --out already has")
    parser.add_argument("--images", type=int, default=60_000, help="use the first training images only")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "checkpoint.safetensors")
    options = parser.parse_args()

    torch.manual_seed(options.seed)
    torch.set_num_threads(1)
    values, labels = (tensor[:options.images] for tensor in load("train"))
    test_values, test_labels = load("t10k")
    net = Net()
    if options.done:
        net.load_state_dict(load_file(options.out))
    for epoch in range(options.done, options.epochs):
        train_epoch(net, values, labels, epoch, options.seed)
        save_file({name: tensor.contiguous() for name, tensor in net.state_dict().items()}, options.out)
        print(f"epoch {epoch + 1}: accuracy {accuracy(net, test_values, test_labels):.2%} on {len(test_labels)} test images, "
              f"seed {options.seed}; wrote {options.out}", flush=True)


if __name__ == "__main__":
    main()

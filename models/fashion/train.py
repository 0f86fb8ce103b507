"""Train the network of model.py on Fashion-MNIST and write checkpoint.safetensors.

    SNNHW_DATA=folder python models/fashion/train.py

The last 5,000 training images are the validation split; every choice is made with them. The test images are not read here.
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
from safetensors.torch import save_file

LEVELS = 15  # a pixel is shown as a value from 0 to 15 at every timestep
TIMESTEPS = 4
VALIDATION = 5000  # the last of the training images
BATCH, VALIDATION_BATCH = 50, 500
RATE = 5e-3
READOUTS = {  # scores (samples, 10) of output membranes (timesteps, samples, 10)
    "last": lambda membranes: membranes[-1],
    "sum": lambda membranes: membranes.sum(dim=0),
    "max": lambda membranes: membranes.amax(dim=0),
}


def load():
    """Return pixels (images, 784) scaled to 0..LEVELS, and labels, of the training images."""
    folder = Path(os.environ["SNNHW_DATA"]) / "FashionMNIST" / "raw"
    pixels = np.frombuffer(gzip.decompress((folder / "train-images-idx3-ubyte.gz").read_bytes())[16:], np.uint8)
    labels = np.frombuffer(gzip.decompress((folder / "train-labels-idx1-ubyte.gz").read_bytes())[8:], np.uint8)
    values = (pixels.reshape(-1, 784).astype(np.uint32) * LEVELS + 127) // 255
    return torch.from_numpy(values.astype(np.uint8)), torch.from_numpy(labels.astype(np.int64))


def show(values):
    """Return frames (timesteps, samples, 1, 28, 28) for pixels (samples, 784)."""
    return values.float().reshape(1, -1, 1, 28, 28).expand(TIMESTEPS, -1, -1, -1, -1)


def accuracies(net, values, labels):
    """Share of samples that each readout decides rightly, by name; the lowest class on a tie."""
    net.eval()
    right = dict.fromkeys(READOUTS, 0)
    with torch.no_grad():
        for some, wanted in zip(values.split(VALIDATION_BATCH), labels.split(VALIDATION_BATCH), strict=True):
            membranes = net.membranes(show(some))
            for name, readout in READOUTS.items():
                right[name] += int((readout(membranes).argmax(dim=1) == wanted).sum())
    return {name: number / len(labels) for name, number in right.items()}


def main():
    parser = argparse.ArgumentParser(description="Train Fashion-MNIST.")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--images", type=int, default=55_000, help="use the first training images only")
    parser.add_argument("--readout", choices=READOUTS, default="last", help="what the loss and the decision are made of")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "checkpoint.safetensors")
    options = parser.parse_args()

    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)
    net = Net()
    values, labels = load()
    validation, validation_labels = values[-VALIDATION:], labels[-VALIDATION:]
    values, labels = (tensor[:-VALIDATION][:options.images] for tensor in (values, labels))
    optimizer = torch.optim.Adam(net.parameters(), lr=RATE)
    steps = -(-len(labels) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=RATE, total_steps=options.epochs * steps)
    start = time.monotonic()
    for epoch in range(options.epochs):
        net.train()
        total = 0.0
        for done, chosen in enumerate(torch.randperm(len(labels)).split(BATCH), 1):
            loss = F.cross_entropy(READOUTS[options.readout](net.membranes(show(values[chosen]))), labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
            if done % 100 == 0:
                print(f"epoch {epoch + 1}, step {done} of {steps}, loss {total / done:.3f}, "
                      f"{time.monotonic() - start:.0f} s", flush=True)
        found = ", ".join(f"{name} {share:.2%}" for name, share in accuracies(net, validation, validation_labels).items())
        print(f"epoch {epoch + 1}: {found} of {len(validation)} validation images, seed {options.seed}", flush=True)
    save_file({name: tensor.contiguous() for name, tensor in net.state_dict().items()}, options.out)
    print(f"trained for {options.readout}; wrote {options.out}")


if __name__ == "__main__":
    main()

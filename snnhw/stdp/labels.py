"""What neurons stand for, and how their spikes decide.

With ``r[c,j]`` the mean response of neuron j to labelled samples of class c, its label is ``argmax_c r[c,j]``. Of a sample's
spike counts ``n[j]`` the decision is ``argmax_c sum_j n[j] * table[j,c]``, the lowest class on a tie, with

    majority   table[j,c] = 255 when c is j's label, else 0
    mean       the same over the number of neurons with that label
    weighted   table[j,c] = 255 * r[c,j] / sum_c r[c,j]

each rounded to an integer, so that the decision is reproducible to the last bit.
"""

from typing import Literal, get_args

import numpy as np

from snnhw.errors import UsageError

__all__ = ["VOTES", "Vote", "accuracy", "assign", "class_responses", "decide", "vote_table"]

Vote = Literal["majority", "mean", "weighted"]
VOTES: tuple[Vote, ...] = get_args(Vote)
FULL = 255


def class_responses(counts: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """Return the mean spike count of each neuron for each class: float64, (classes, neurons); 0 for a class without samples."""
    if labels.min() < 0 or labels.max() >= classes:
        raise UsageError(f"labels must be between 0 and {classes - 1}, not {labels.min()} to {labels.max()}")
    sums = np.zeros((classes, counts.shape[1]), np.int64)
    np.add.at(sums, labels, counts)
    return sums / np.maximum(np.bincount(labels, minlength=classes), 1)[:, None]


def assign(response: np.ndarray) -> np.ndarray:
    """Return the label of each neuron, int64 (neurons,): the class with the highest mean response, -1 if it never fired."""
    return np.where(response.any(axis=0), response.argmax(axis=0), -1)


def vote_table(response: np.ndarray, vote: Vote) -> np.ndarray:
    """Return the weight of each neuron's spikes for each class: int64, (neurons, classes), 0 to 255."""
    if vote not in VOTES:
        raise UsageError(f"vote must be {', '.join(VOTES[:-1])} or {VOTES[-1]}, not {vote!r}")
    if vote == "weighted":
        total = response.sum(axis=0)
        share = np.divide(response, total, out=np.zeros_like(response), where=total > 0)
    else:
        labels = assign(response)
        share = (labels[None, :] == np.arange(len(response))[:, None]).astype(np.float64)
        if vote == "mean":
            share /= np.maximum(share.sum(axis=1, keepdims=True), 1)
            share /= max(share.max(), 1e-12)
    return np.floor(share.T * FULL + 0.5).astype(np.int64)


def decide(counts: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Return the class of each sample from its spike counts, (samples, neurons)."""
    return (counts @ table).argmax(axis=1)


def accuracy(counts: np.ndarray, labels: np.ndarray, table: np.ndarray) -> float:
    return float((decide(counts, table) == labels).mean())

"""Counts of what a core does, by the names its signals have in the hardware."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from snnhw.errors import CheckFailed
from snnhw.plan import Plan
from snnhw.plan.accesses import SIGNALS, access_names

__all__ = ["SIGNALS", "Counts", "check_counts", "signals_of"]

def signals_of(plan: Plan, layer: int) -> tuple[str, ...]:
    """Return the signals that the core of a layer has."""
    return access_names(plan.layers[layer])


@dataclass(frozen=True)
class Counts:
    """What each core did, and how long the samples took.

    Parameters
    ----------
    layers : tuple of mapping of str to int64 array, (samples,)
        For each core the cycles in which a signal was high.
    cycles : int64 array, (samples,)
        Clock cycles of each sample.
    """

    layers: tuple[Mapping[str, np.ndarray], ...]
    cycles: np.ndarray

    @classmethod
    def of(cls, plan: Plan, layers: Sequence[Mapping[str, object]], cycles: object) -> "Counts":
        """Check counts against the plan and give them their types."""
        clocks = np.asarray(cycles)
        if clocks.ndim != 1 or clocks.size == 0 or clocks.dtype.kind not in "iu":
            raise ValueError(f"Cycles must be integers of at least one sample, not {clocks.dtype} of shape {clocks.shape}")
        if len(layers) != len(plan.layers):
            raise ValueError(f"Counts must have {len(plan.layers)} layers, not {len(layers)}")
        kept = []
        for index, layer in enumerate(layers):
            counts = {}
            for name in signals_of(plan, index):
                if name not in layer:
                    raise ValueError(f"Counts of layer {plan.layers[index].name!r} must have {name!r}")
                counts[name] = values = np.asarray(layer[name])
                if values.shape != clocks.shape or values.dtype.kind not in "iu":
                    raise ValueError(
                        f"Counts {name!r} of layer {plan.layers[index].name!r} must be {clocks.size} integers, "
                        f"not {values.dtype} of shape {values.shape}"
                    )
                if values.min() < 0:
                    raise ValueError(
                        f"Counts {name!r} of layer {plan.layers[index].name!r} must not be negative, not {values.min()}"
                    )
            kept.append(counts)
        return cls(tuple(kept), clocks)

    @property
    def samples(self) -> int:
        return int(self.cycles.size)

    def mean(self, layer: int, signal: str) -> float:
        """Return how often a signal of a core was high in a sample, on average; 0 for a signal it does not have."""
        values = self.layers[layer].get(signal)
        return 0.0 if values is None else int(values.sum()) / self.samples

    @property
    def mean_cycles(self) -> float:
        return int(self.cycles.sum()) / self.samples


def check_counts(plan: Plan, predicted: Counts, measured: Counts) -> int:
    """Require that every predicted count was measured, sample by sample, and return how many were compared.

    Raises
    ------
    CheckFailed
        Naming the first count that differs: layer, signal, sample, both numbers.
    """
    if predicted.samples != measured.samples:
        raise CheckFailed(f"counts were predicted for {predicted.samples} samples and measured for {measured.samples}")
    compared = differing = 0
    first = ""
    rows = [
        (f"layer {layer.name!r} (core {index})", name, predicted.layers[index][name], measured.layers[index][name])
        for index, layer in enumerate(plan.layers)
        for name in signals_of(plan, index)
    ]
    rows.append(("the design", "cycles", predicted.cycles, measured.cycles))
    for where, name, expected, found in rows:
        compared += expected.size
        wrong = np.flatnonzero(expected != found)
        differing += wrong.size
        if wrong.size and not first:
            sample = wrong[0]
            where = f"count {name!r} of {where} in sample {sample}"
            first = f"{where} was predicted as {expected[sample]} and measured as {found[sample]}"
    if differing:
        raise CheckFailed(f"{first}; {differing} of {compared} counts differ")
    return compared

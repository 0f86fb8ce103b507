"""Counts of what a core does, by the names its signals have in the hardware, and what follows from them by width."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from snnhw.errors import CheckFailed
from snnhw.plan import Plan
from snnhw.plan.accesses import TIMES, count_names

__all__ = ["Counts", "check_counts", "signals_of"]


def signals_of(plan: Plan, layer: int) -> tuple[str, ...]:
    """Return what is counted of the core of a layer in every sample."""
    return count_names(plan.layers[layer])


@dataclass(frozen=True)
class Counts:
    """What each core did, and how long the samples took.

    Parameters
    ----------
    layers : tuple of mapping of str to int64 array, (samples,)
        For each core what :func:`snnhw.plan.accesses.count_accesses` names.
    cycles : int64 array, (samples,)
        Clock cycles of each sample.
    times : tuple of mapping of str to int64 array
        For each core the cycles of each kind, :data:`snnhw.plan.accesses.TIMES`, of the first samples; empty where unknown.
    """

    layers: tuple[Mapping[str, np.ndarray], ...]
    cycles: np.ndarray
    times: tuple[Mapping[str, np.ndarray], ...] = ()

    @classmethod
    def of(cls, plan: Plan, layers: Sequence[Mapping[str, object]], cycles: object) -> "Counts":
        """Check counts against the plan and give them their types; those of `layers` that are cycles may be of fewer samples."""
        clocks = np.asarray(cycles)
        if clocks.ndim != 1 or clocks.size == 0 or clocks.dtype.kind not in "iu":
            raise ValueError(f"Cycles must be integers of at least one sample, not {clocks.dtype} of shape {clocks.shape}")
        if len(layers) != len(plan.layers):
            raise ValueError(f"Counts must have {len(plan.layers)} layers, not {len(layers)}")
        kept = []
        for index, layer in enumerate(layers):
            counts = {}
            timed = TIMES if all(TIMES[0] in layer for layer in layers) else ()
            for name in (*signals_of(plan, index), *timed):
                if name not in layer:
                    raise ValueError(f"Counts of layer {plan.layers[index].name!r} must have {name!r}")
                counts[name] = values = np.asarray(layer[name])
                wanted = (min(clocks.size, np.asarray(layer[TIMES[0]]).size),) if name in TIMES else clocks.shape
                if values.shape != wanted or values.dtype.kind not in "iu":
                    raise ValueError(
                        f"Counts {name!r} of layer {plan.layers[index].name!r} must be {wanted[0]} integers, "
                        f"not {values.dtype} of shape {values.shape}"
                    )
                if values.min() < 0:
                    raise ValueError(
                        f"Counts {name!r} of layer {plan.layers[index].name!r} must not be negative, not {values.min()}"
                    )
            kept.append(counts)
        times = tuple({name: counts.pop(name) for name in TIMES if name in counts} for counts in kept)
        return cls(tuple(kept), clocks, times if all(times) else ())

    @property
    def samples(self) -> int:
        return int(self.cycles.size)

    def mean(self, layer: int, signal: str) -> float:
        """Return a count of a core in a sample, on average; 0 for one that it does not have."""
        values = self.layers[layer].get(signal)
        if values is None and self.times:
            values = self.times[layer].get(signal)
        return 0.0 if values is None else int(values.sum()) / values.size

    @property
    def mean_cycles(self) -> float:
        return int(self.cycles.sum()) / self.samples


def check_counts(plan: Plan, predicted: Counts, measured: Counts) -> int:
    """Require that every predicted count was measured, sample by sample, and return how many were compared.

    Cycles of each kind are compared of the samples for which they are predicted.

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
    if predicted.times and measured.times:
        rows += [(f"layer {layer.name!r} (core {index})", name, expected, measured.times[index][name][:expected.size])
                 for index, layer in enumerate(plan.layers) for name, expected in predicted.times[index].items()]
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

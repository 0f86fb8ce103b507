"""What a simulation of an accelerator is told, and what it returns."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from snnhw.errors import CheckFailed
from snnhw.plan.decision import Results

__all__ = ["MISSING", "Activity", "NetActivity", "Simulation", "Stalls"]

MISSING = 255
"""Mark of a spike word that the hardware never wrote."""


@dataclass(frozen=True)
class Stalls:
    """Random pauses on both sides of the accelerator.

    Parameters
    ----------
    seed : int
        Selects the pauses, and what lies on the bus during them.
    source, sink : float
        Chance of a pause in each cycle, below 1.
    """

    seed: int
    source: float = 0.3
    sink: float = 0.3

    def __post_init__(self) -> None:
        for name in ("source", "sink"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"Stall chance of the {name} must be at least 0 and below 1, not {getattr(self, name)!r}")


@dataclass(frozen=True)
class NetActivity:
    """Activity of one named net, over all counted cycles.

    Parameters
    ----------
    toggles, highs : int64 array, (bits,)
        Changes of the settled value, and cycles in which it is 1. Bit 0 is the least significant.
    owned : bool array, (bits,)
        Bits that no other net counts. A structure and its fields share their bits; only one of them owns each.
    """

    toggles: np.ndarray
    highs: np.ndarray
    owned: np.ndarray

    @property
    def bits(self) -> int:
        return self.toggles.size

    @property
    def owned_toggles(self) -> int:
        """Toggles of the owned bits: the sum over all nets counts every wire once."""
        return int(self.toggles[self.owned].sum())


@dataclass(frozen=True)
class Activity:
    """Activity of every public signal, settled values once a cycle: no glitches, and no clock.

    Parameters
    ----------
    cycles : int
        Cycles counted, from the end of reset and loading to the last output tick.
    nets : mapping of str to NetActivity
        By hierarchical name, ``layer0.accumulate``. Other names of the same net are left to `aliases`.
    aliases : mapping of str to str
        Name of the net that an alias stands for.
    """

    cycles: int
    nets: Mapping[str, NetActivity]
    aliases: Mapping[str, str]

    def __getitem__(self, name: str) -> NetActivity:
        return self.nets[self.aliases.get(name, name)]

    def __contains__(self, name: str) -> bool:
        return self.aliases.get(name, name) in self.nets

    @cached_property
    def toggles(self) -> int:
        """Toggles of all nets together."""
        return sum(net.owned_toggles for net in self.nets.values())


@dataclass(frozen=True)
class Simulation:
    """What an accelerator did with a batch of samples.

    Attributes
    ----------
    engine : str
        ``"cxxrtl"``, ``"verilator"``, or the name of a netlist.
    spikes : mapping of str to uint8 array, (samples, timesteps, neurons)
        For each layer of neurons, by name: 0, 1 or :data:`MISSING`. Empty when the layers cannot be looked into.
    membranes : mapping of str to int32 array, (samples, timesteps, neurons)
        Stored states. Empty when not traced.
    output : int32 array, (samples, timesteps, outputs)
        Values as they left through the output stream: 1 for a binary spike, a count, or a state; 0 for none.
    cycles : int64 array, (samples,)
        Clock cycles of each sample, from the first input transfer to the transfer of the last output
        tick, both included. Zeros when the samples were not isolated.
    accesses : tuple of dict of str to int64 array, (samples,)
        For each core what was counted, as :func:`snnhw.plan.accesses.count_accesses` predicts it, from the last output tick of
        the sample before to that of the sample; and, from its first transfer on, the cycles of each kind, as
        :func:`snnhw.plan.accesses.count_times` has them. The latter mean something only where samples were isolated.
    total_cycles : int
        Cycles of the whole run, without reset and loading.
    violation : str or None
        Rule of the streams that was broken first; the run ended there.
    activity : Activity or None
        When asked for.
    results : Results or None
        Decisions as they left the accelerator; None when it does not decide.
    build_seconds, run_seconds : float
        Time spent; a build from the cache takes none.
    """

    engine: str
    spikes: Mapping[str, np.ndarray]
    membranes: Mapping[str, np.ndarray]
    output: np.ndarray
    cycles: np.ndarray
    accesses: tuple[dict[str, np.ndarray], ...]
    total_cycles: int
    violation: str | None = None
    activity: Activity | None = None
    results: Results | None = None
    build_seconds: float = field(default=0.0, compare=False)
    run_seconds: float = field(default=0.0, compare=False)

    def measured(self) -> dict[str, Any]:
        """Return what the energy model takes of a run whose activity was counted: cycles, accesses, toggles of every wire.

        Raises
        ------
        CheckFailed
            The run broke a rule of the streams.
        """
        assert self.activity is not None
        if self.violation is not None:
            raise CheckFailed(f"simulation of the RTL: {self.violation}")
        return {"cycles": self.cycles, "engine": self.engine, "accesses": self.accesses, "aliases": self.activity.aliases,
                "toggles": {name: net.owned_toggles for name, net in self.activity.nets.items()}}

"""Activity of a netlist: toggles of every net, accesses of every memory, summed where they belong."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from snnhw.cost.rungs import place
from snnhw.gates.delays import STEP_PS
from snnhw.gates.netlist import CLASSES, Netlist

__all__ = ["BlockAccesses", "GateActivity", "Grouping", "Key"]


@dataclass(frozen=True, order=True)
class Key:
    """What is counted together.

    Parameters
    ----------
    layer : str
        Name of the layer, empty for the design as a whole.
    kind : str
        ``"accumulate"``, ``"finalise"`` or ``"logic"`` for toggles; the role of the memory for accesses.
    count : str
        A class of :data:`snnhw.gates.netlist.CLASSES` for toggles; ``"<resource> reads"`` or ``"<resource> writes"`` for
        accesses.
    """

    layer: str
    kind: str
    count: str


@dataclass(frozen=True)
class BlockAccesses:
    """One memory block: clock cycles in which it read, and in which it wrote. Of a multiplier, changes of its factors."""

    name: str
    kind: str
    reads: int
    writes: int


def _owner(names: Sequence[str], layers: Sequence[str]) -> tuple[str, str]:
    """Return the layer and the kind that something belongs to, by its names."""
    core, kind = place(names or ("",))
    return layers[core] if core is not None and core < len(layers) else "", kind


def _role(name: str) -> str:
    """Return the role of the memory that a block is part of: the last part of the name not of the mapping, without numbers.

    Memories of the same role that stand side by side, such as those of currents, have numbers at the end of their names.
    """
    part = next((part for part in reversed(re.split(r"\.\d+\.|\.", name)) if part and not part[0].isdigit()), "")
    return re.sub(r"(_\d+)+$", "", part.split("[")[0])


@dataclass(frozen=True)
class Grouping:
    """In which group everything is counted.

    Parameters
    ----------
    keys : tuple of Key
        Groups.
    nets : tuple of int
        Group of each net, negative for none: inputs, and nets that nothing drives.
    blocks : tuple of (int, int)
        Groups of the reads and of the writes of each block: of its own.
    """

    keys: tuple[Key, ...]
    nets: tuple[int, ...]
    blocks: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, netlist: Netlist, layers: Sequence[str]) -> "Grouping":
        """Group the nets of a netlist by layer, kind and class; `layers` are the names of the cores in their order."""
        keys: dict[Key, int] = {}
        nets = []
        for names, kind in zip(netlist.names, netlist.classes, strict=True):
            if kind:
                layer, part = _owner(names, layers)
                nets.append(keys.setdefault(Key(layer, part, kind), len(keys)))
            else:
                nets.append(-1)
        listed = list(keys)
        blocks = []
        for block in netlist.blocks:
            layer, part = _owner([block.name], layers)
            role = part if block.resource == "multiplier" else _role(block.name)
            blocks.append((len(listed), len(listed) + 1))
            listed += [Key(layer, role, f"{block.resource} {what}") for what in ("reads", "writes")]
        return cls(tuple(listed), tuple(nets), tuple(blocks))


@dataclass(frozen=True)
class GateActivity:
    """What happened in a netlist in the clock cycles that were counted.

    Attributes
    ----------
    netlist : Netlist
        Where.
    grouping : Grouping
        How it was summed.
    cycles : int
        Clock cycles, those between samples included.
    toggles : int64 array, (nets,)
        All of them, glitches included where delays were simulated.
    settled : int64 array, (nets,)
        Cycles that ended with another value than the one before.
    highs : int64 array, (nets,)
        Cycles that ended high.
    groups : int64 array, (samples, groups)
        Toggles and accesses of each sample, by group.
    slowest_steps : int
        Steps of the delays until the last cycle settled.
    """

    netlist: Netlist
    grouping: Grouping
    cycles: int
    toggles: np.ndarray
    settled: np.ndarray
    highs: np.ndarray
    groups: np.ndarray
    slowest_steps: int = 0

    def by_class(self) -> dict[str, int]:
        """Return the toggles of each class of nets."""
        classes = np.array(self.netlist.classes)
        return {kind: int(self.toggles[classes == kind].sum()) for kind in CLASSES}

    @cached_property
    def totals(self) -> dict[Key, np.ndarray]:
        """Counts of each sample by key, int64, (samples,)."""
        found: dict[Key, np.ndarray] = {}
        for index, key in enumerate(self.grouping.keys):
            found[key] = found.get(key, 0) + self.groups[:, index]
        return found

    @property
    def flip_flops(self) -> int:
        """Number of flip-flops, all of them clocked in every cycle."""
        return len(self.netlist.flip_flops)

    @property
    def blocks(self) -> list[BlockAccesses]:
        """Accesses of each block."""
        sums = self.groups.sum(axis=0)
        return [BlockAccesses(block.name, block.resource, int(sums[reads]), int(sums[writes]))
                for block, (reads, writes) in zip(self.netlist.blocks, self.grouping.blocks, strict=True)]

    @property
    def driven_toggles(self) -> int:
        """Toggles of all nets that a cell drives."""
        return sum(self.by_class().values())

    @property
    def glitches(self) -> float:
        """Toggles over those of settled cycles, of nets that a cell drives: 1 without delays."""
        driven = np.array([bool(kind) for kind in self.netlist.classes])
        settled = int(self.settled[driven].sum())
        return self.driven_toggles / settled if settled else 1.0

    @property
    def slowest_ns(self) -> float:
        """Time in which the slowest cycle settled."""
        return self.slowest_steps * STEP_PS / 1000

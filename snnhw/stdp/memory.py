"""Every stored word of an STDP network, item by item."""

from dataclasses import dataclass
from typing import Any

from snnhw.stdp.config import CompetitionConfig, LearningConfig
from snnhw.stdp.formats import Formats

__all__ = ["MemoryItem", "memory_bits", "memory_items"]

WINNER_COUNTER_BITS = 16


@dataclass(frozen=True)
class MemoryItem:
    """Words of one kind.

    Parameters
    ----------
    name : str
        What they hold.
    words : int
        How many.
    bits : int
        Width of one.
    training : bool
        Needed for training only.
    """

    name: str
    words: int
    bits: int
    training: bool = False

    @property
    def total(self) -> int:
        """Bits of all."""
        return self.words * self.bits

    def plain(self) -> dict[str, Any]:
        return {"name": self.name, "words": self.words, "bits": self.bits, "total_bits": self.total, "training": self.training}


def memory_items(inputs: int, neurons: int, competition: CompetitionConfig, formats: Formats,
                 learning: LearningConfig | None = None) -> tuple[MemoryItem, ...]:
    """Return every stored word.

    Parameters
    ----------
    inputs, neurons : int
        Sizes.
    competition : CompetitionConfig
        ``"layer"`` stores the weights between all pairs of neurons, ``neurons * (neurons - 1)``, as simulators of the network do,
        one weight to each inhibitory neuron, and its membrane. ``"lateral"`` has one word for its strength. ``"pool"``
        has that word and the membranes of its neurons.
    formats : Formats
        Widths; float32 where there is none.
    learning : LearningConfig or None
        None counts inference only. With ``"events"`` there is a trace for each input and each neuron, with ``"timesteps"`` one
        for each input, and a counter of spikes for each neuron.
    """
    weight, membrane = formats.bits("weight"), formats.bits("membrane")
    items = [MemoryItem("weights", inputs * neurons, weight)]
    if competition.form == "layer":
        items += [MemoryItem("weights to the inhibitory layer", neurons, weight),
                  MemoryItem("inhibitory weights", neurons * (neurons - 1), weight),
                  MemoryItem("inhibitory membranes", neurons, membrane)]
    else:
        items.append(MemoryItem("strength of the inhibition", 1, membrane))
        if competition.form == "pool":
            items.append(MemoryItem("membranes of the pool", competition.strength, membrane))
    items += [MemoryItem("membranes", neurons, membrane), MemoryItem("thresholds", neurons, formats.bits("threshold"))]
    if learning is not None:
        items.append(MemoryItem("input traces", inputs, formats.bits("trace"), True))
        if learning.update == "events":
            items.append(MemoryItem("neuron traces", neurons, formats.bits("trace"), True))
        else:
            items.append(MemoryItem("spike counters", neurons, WINNER_COUNTER_BITS, True))
    return tuple(items)


def memory_bits(items: tuple[MemoryItem, ...], *, training: bool) -> int:
    """Return the bits of all items, those of training included or not."""
    return sum(item.total for item in items if training or not item.training)

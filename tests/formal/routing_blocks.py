"""Small forks, queues and merges, to be proven."""

from amaranth.hdl import signed
from amaranth.lib import data

from rtl_gen.events import event_layout
from rtl_gen.routing import Fork, Merge
from snnhw.fixed import Interval
from snnhw.plan import Source

__all__ = ["LAYOUT", "fork", "merge"]

LAYOUT = data.StructLayout({"address": 2, "tick": 1})


def fork(outputs: int, kind: type[Fork] = Fork) -> Fork:
    """Return a fork of two-bit events."""
    return kind(LAYOUT, outputs)


def merge(delayed: str, *, graded: bool = False, kind: type[Merge] = Merge) -> Merge:
    """Return a merge of sources with two addresses each, one for each letter of `delayed`: ``d`` if it is, ``n`` if not.

    Every second of a graded one has values of its own.
    """
    values = [Interval(0, 3) if graded and index % 2 else Interval(0, 1) for index in range(len(delayed))]
    sources = tuple(Source(f"source {index}", index, letter == "d", 2 * index, 2, value)
                    for index, (letter, value) in enumerate(zip(delayed, values, strict=True)))
    layouts = tuple(event_layout(1, 2 if value.highest > 1 else 0) for value in values)
    return kind(sources, layouts, event_layout((2 * len(delayed) - 1).bit_length(), signed(3) if graded else 0))

"""What a control port may change of a neuron while the accelerator runs, and the widths that hold for all of it.

A parameter is adjustable only where every value of it is proven to fit: the state saturates, so it stays within its word
whatever the parameter is, and :func:`widened` plans the sum before saturation for the whole word. Whatever else has a width
of its own (an exact state, a memory of parameters, the multiples of a count) keeps the value it was planned with.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from snnhw.fixed import Interval, signed_range
from snnhw.ir import Decay, NeuronSpec
from snnhw.plan.ranges import Ranges

__all__ = ["Adjustable", "adjustables", "parameters", "widened"]

MAX_SHIFT = 32


@dataclass(frozen=True)
class Adjustable:
    """A parameter of a population that a control port shows, and may be able to change.

    Parameters
    ----------
    name : str
        ``"threshold"``; or ``"decay"`` or ``"synapse"``: the factor or the shift of the membrane's or the synapse's decay.
    kind : str
        ``"threshold"``, ``"factor"`` or ``"shift"``.
    value : int or None
        Value in the graph; None when it differs between neurons.
    lowest, highest : int
        Values it may take, both included.
    fixed : str
        Why it cannot be changed; empty when it can.
    """

    name: Literal["threshold", "decay", "synapse"]
    kind: Literal["threshold", "factor", "shift"]
    value: int | None
    lowest: int
    highest: int
    fixed: str = ""


def parameters(spec: NeuronSpec) -> tuple[Adjustable, ...]:
    """Return the threshold and the decays of a population, each with what it may become.

    A threshold may be any value of the state's word from which an immediate subtraction stays in the word; a factor
    0 to ``2**shift``; a shift 1 to the width of the state, or to its own value if that is more.
    """
    found = [] if spec.output == "state" else [_threshold(spec)]
    for name, decay in (("decay", spec.decay), ("synapse", spec.synapse)):
        if decay is not None and decay.kind != "one":
            found.append(_decay(name, decay, spec))
    return tuple(found)


def adjustables(spec: NeuronSpec) -> tuple[Adjustable, ...]:
    """Return the parameters of a population that can be changed."""
    return tuple(item for item in parameters(spec) if not item.fixed)


def widened(ranges: Ranges, spec: NeuronSpec) -> Ranges:
    """Return ranges that hold whatever the adjustable parameters are; the same ranges when there are none.

    Every decay moves a state toward 0 or leaves it, so that any state of the word decays into the word.
    """
    names = {item.name for item in adjustables(spec)}
    if not names:
        return ranges
    word = Interval.of_word(spec.bits)
    bias = np.asarray(spec.bias)
    drive = (ranges.current << spec.frac) + Interval(int(bias.min()), int(bias.max()))
    if spec.synapse is not None:
        if "synapse" in names:
            ranges = replace(ranges, synapse_update=word + drive, synapse=word)
        assert ranges.synapse is not None
        drive = ranges.synapse
    update = (word + drive).hull(word)
    if spec.reset == "subtract" and spec.reset_time == "next":
        update = update.hull(update - int(np.max(spec.reset_amount)))
    return replace(ranges, update=update, state=word)


def _threshold(spec: NeuronSpec) -> Adjustable:
    lowest, highest = signed_range(spec.bits)
    if spec.reset == "subtract" and spec.reset_time == "immediate":
        lowest += int(np.max(spec.reset_amount))
    fixed = _width_reason(spec)
    if not fixed and spec.output == "count":
        fixed = "it is one of several that a count compares with"
    return _parameter("threshold", "threshold", spec.threshold, lowest, highest, fixed)


def _decay(name: Literal["decay", "synapse"] | str, decay: Decay, spec: NeuronSpec) -> Adjustable:
    fixed = _width_reason(spec)
    if decay.kind == "mul":
        assert decay.factor is not None
        return _parameter(name, "factor", decay.factor, 0, 1 << decay.shift, fixed)
    replaced = spec.reset == "value" and spec.reset_time == "next" and spec.input_on_reset == "keep"
    if not fixed and name == "decay" and replaced:
        fixed = "the value of the reset is stored as this shift leaves it"
    return _parameter(name, "shift", decay.shift, 1, max(decay.shift, min(spec.bits, MAX_SHIFT)), fixed)


def _parameter(name: str, kind: str, value: np.ndarray | int, lowest: int, highest: int, fixed: str) -> Adjustable:
    array = np.asarray(value)
    one = int(array) if array.ndim == 0 else None
    if one is None:
        fixed = "it differs between neurons"
    if fixed:
        lowest, highest = int(array.min()), int(array.max())
    return Adjustable(name, kind, one, lowest, highest, fixed)  # type: ignore[arg-type]


def _width_reason(spec: NeuronSpec) -> str:
    return "" if spec.overflow == "saturate" else "the width of an exact state is proven for this value alone"

"""The largest fully connected network that fits a board, by the estimate, and what runs out first."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np

from snnhw.board import RESOURCES, Board, available, shortages
from snnhw.errors import BoardError, UsageError
from snnhw.files import write_tensors
from snnhw.ir import Decay, Graph, Input, Linear, Neuron, NeuronSpec, Readout, save_graph
from snnhw.plan import Choices, Plan, make_plan
from snnhw.plan.area import Area, estimate_area

__all__ = ["Largest", "find_largest", "make_network", "plan_to_fit", "write_network"]

LANES = (1, 2, 4, 8, 16)  # that a size is tried with, and those whose weights fill a word of a memory block
MAX_HIDDEN = 16_384
AHEAD = 16                # sizes behind the first that does not fit: a memory may fit a block better again
TIMESTEPS = 16
SAMPLES = 4


@dataclass(frozen=True)
class Largest:
    """The largest network of a shape.

    Attributes
    ----------
    hidden : int
        Neurons of a hidden layer.
    graph : Graph
        Such a network, with random weights.
    plan : Plan
        How it fits.
    area : Area
        Its estimate.
    weights_loaded : bool
        Its weights are loaded at run time.
    short : tuple of str
        Resources of which the next size needs more than there is.
    reason : str
        The same in words.
    """

    hidden: int
    graph: Graph
    plan: Plan
    area: Area
    weights_loaded: bool
    short: tuple[str, ...]
    reason: str

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON."""
        have = available(self.area.board)
        return {
            "hidden": self.hidden, "network": self.graph.name, "weights": "loaded" if self.weights_loaded else "fixed",
            "synapses": sum(layer.synapses.synapses for layer in self.plan.layers),
            "plan": Choices.of(self.plan).arguments(),
            "used": {name: {"estimate": used, "low": low, "high": high, "available": have[name]}
                     for name, (used, low, high) in self.area.used.items() if have[name]},
            "runs_out": list(self.short), "next": self.reason,
        }


def make_network(shape: str, hidden: int, weight_bits: int, state_bits: int) -> Graph:
    """Return a fully connected network of leaky neurons with random weights, ``784-N-10`` with N for `hidden` say.

    The neurons are those of ``models/mnist``: a decay by a shift, the threshold subtracted one timestep later.
    """
    sizes = [hidden if size == "N" else int(size) for size in shape.split("-")]
    rng = np.random.default_rng(0)
    highest = (1 << (weight_bits - 1)) - 1
    threshold = 1 << (state_bits - 3)
    nodes: list[Any] = [Input("input", (), (sizes[0],))]
    for index, (inputs, outputs) in enumerate(pairwise(sizes), 1):
        weight = rng.integers(-highest - 1, highest + 1, (outputs, inputs))
        spec = NeuronSpec(threshold, Decay("shift", 3), "subtract", threshold, reset_time="next", bits=state_bits)
        nodes += [Linear(f"fc{index}", (nodes[-1].name,), weight, weight_bits), Neuron(f"lif{index}", (f"fc{index}",), spec)]
    return Graph("-".join(map(str, sizes)), (*nodes, Readout("class", (nodes[-1].name,))), TIMESTEPS)


def write_network(graph: Graph, out: Path) -> None:
    """Write a run folder of a network, with random samples, so that it can be generated and built."""
    out.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    spikes = rng.random((SAMPLES, graph.timesteps, math.prod(graph.input.shape))) < 0.1
    save_graph(graph, out / "graph.safetensors")
    write_tensors(out / "samples.safetensors", {"values": spikes.astype(np.int8), "labels": np.zeros(SAMPLES, np.int64)})


def _lacks(area: Area) -> float:
    """Return how much more than there is an estimate needs at its upper bound, in shares of what there is."""
    have = available(area.board)
    return sum(max(0, high - have[name]) / max(1, have[name]) for name, (*_, high) in area.used.items())


def plan_to_fit(graph: Graph, board: Board, *, loaded: bool) -> tuple[Plan, Area]:
    """Return the first plan of a network that fits a board at the upper bound of its estimate, or else the one that lacks least.

    Tried are as many lanes as fill a word of a memory block and a few more, and on the iCE40 events in lists and in bitmaps.
    """
    bits = max(node.weight_bits for node in graph.nodes if isinstance(node, Linear))
    widths = sorted({*LANES, *(width // bits for _, width in board.budget.block_ram.shapes if width >= bits)})
    kept = ("list", "bitmap") if board.family == "ice40" else ("list",)  # others cannot write single bits of a memory block
    best: tuple[Plan, Area] | None = None
    for events, lanes in product(kept, widths):
        plan = make_plan(graph, lanes=lanes, load_weights=loaded, formats="dense", events=events)
        area = estimate_area(plan, board)
        if best is None or _lacks(area) < _lacks(best[1]):
            best = plan, area
        if not _lacks(area):
            break
    assert best is not None
    return best


def _in_single_port(area: Area) -> set[int]:
    """Return the layers whose weights are in single-port memories."""
    return {use.layer for use in area.memories if use.resource == "single_port_ram"}


def find_largest(board: Board, *, shape: str = "784-N-10", weight_bits: int = 4, state_bits: int = 12, loaded: bool = False,
                 progress: Callable[[str], None] = lambda text: None) -> Largest:
    """Return the largest network of a shape whose estimated area, at its upper bound, fits a board.

    Parameters
    ----------
    board : Board
        The board.
    shape : str
        Sizes of the layers, N for the one that is looked for.
    weight_bits, state_bits : int
        Widths of weights and states.
    loaded : bool
        The weights are loaded at run time.

    Raises
    ------
    BoardError
        Not even one hidden neuron fits.
    """
    if not re.fullmatch(r"(?!0)\d{1,5}(-((?!0)\d{1,5}|N))*-(?!0)\d{1,5}", shape) or "N" not in shape:
        raise UsageError(f"shape must be sizes of layers with N for the hidden one, such as 784-N-10, not {shape[:40]!r}")
    if not 2 <= weight_bits <= 16:
        raise UsageError(f"weight bits must be between 2 and 16, not {weight_bits}")
    if not 4 <= state_bits <= 24:
        raise UsageError(f"state bits must be between 4 and 24, not {state_bits}")
    have = available(board)
    tried: dict[int, tuple[Graph, Plan, Area]] = {}

    def fits(hidden: int) -> bool:
        if hidden not in tried:
            progress(f"trying {hidden} hidden neurons")
            graph = make_network(shape, hidden, weight_bits, state_bits)
            tried[hidden] = graph, *plan_to_fit(graph, board, loaded=loaded)
        return not _lacks(tried[hidden][2])

    def problems(area: Area, name: str) -> list[str]:
        used = {resource: high for resource, (*_, high) in area.used.items()}
        return shortages(used, board, f"network {name!r}", weights_loaded=loaded, estimated=("logic", "flip_flops"))

    if not fits(1):
        raise BoardError("; ".join(problems(tried[1][2], tried[1][0].name)))
    low, high = 1, 2
    while high <= MAX_HIDDEN and fits(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    while (further := next((size for size in range(low + AHEAD, low, -1) if fits(size)), None)) is not None:
        low = further
    graph, plan, area = tried[low]
    following = tried[low + 1][2]
    short = tuple(name for name in RESOURCES if following.used[name][2] > have[name])
    reason = "; ".join(problems(following, tried[low + 1][0].name))
    single = board.budget.single_port_ram
    if single is not None and _in_single_port(area) - _in_single_port(following):
        short = "single_port_ram", *short
        reason = f"weights do not fit the {single.count} {single.unit} any more, and so {reason}"
    return Largest(low, graph, plan, area, loaded, short, reason)

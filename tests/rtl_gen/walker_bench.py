"""Drive a walker in Amaranth's simulator, and compute its sums from the links of its map."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from amaranth.hdl import Module, ResetInserter, Signal
from amaranth.sim import Simulator
from stream_bench import pattern

from rtl_gen.walker import Walker
from snnhw.fixed import Interval
from snnhw.ir import Neuron, NeuronSpec
from snnhw.plan import LayerPlan, Source
from snnhw.plan.ranges import state_ranges
from snnhw.plan.synapses import Grid, Path, Scattered

__all__ = ["COUNTED", "Sums", "Timestep", "layer_of", "matrix_of", "sums_of", "walk"]

COUNTED = "sources_read", "weights_read", "accumulate", "currents_read", "currents_clear"
#: Events of a timestep, (address, value), and whether it is the last of its sample.
Timestep = tuple[Sequence[tuple[int, int]], bool]


@dataclass
class Sums:
    """What a walker handed over: for each timestep its sums and whether it ends the sample; the cycle of every transfer."""

    steps: list[tuple[list[int], bool]] = field(default_factory=list)
    taken: list[int] = field(default_factory=list)
    entered: list[int] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTED, 0))


def layer_of(links: Sequence[tuple[int, int, int, int, int]], grid: Grid, *, sources: int, lanes: int = 1,
             values: tuple[int, int] = (0, 1), loaded: bool = False) -> LayerPlan:
    """Return the plan of a core with the links (source, channel, row, column, weight), not all of them inside the grid."""
    path = Path(*np.array(links, np.int64).reshape(-1, 5).T)
    scattered = Scattered(path, sources, grid, -(-grid.channels // -(-grid.channels // lanes)))
    source = Source("in", None, False, 0, sources, Interval(*values))
    neuron = Neuron("neurons", ("fc",), NeuronSpec(1, bits=32))
    bounds = scattered.current_range(np.full(sources, values[0]), np.full(sources, values[1]))
    neurons = grid.channels * grid.rows * grid.columns
    return LayerPlan(0, neuron, (), (source,), scattered, neurons, scattered.lanes, state_ranges(bounds, neuron, 10), loaded)


def matrix_of(layer: LayerPlan) -> np.ndarray:
    """Return the weights as a matrix, (sources, neurons), from the links that end on a neuron."""
    path, grid = layer.synapses.path, layer.synapses.grid
    matrix = np.zeros((layer.inputs, layer.outputs), np.int64)
    for source, channel, row, column, weight in zip(path.source, path.channel, path.row, path.column, path.weight, strict=True):
        if 0 <= row < grid.rows and 0 <= column < grid.columns:
            matrix[source, (channel * grid.rows + row) * grid.columns + column] += weight
    return matrix


def sums_of(layer: LayerPlan, steps: Sequence[Timestep]) -> list[tuple[list[int], bool]]:
    """Return what must come out."""
    matrix = matrix_of(layer)
    return [(sum((value * matrix[address] for address, value in events), np.zeros(layer.outputs, np.int64)).tolist(), last)
            for events, last in steps]


def walk(layer: LayerPlan, steps: Sequence[Timestep], *, offers: Sequence[bool] | None = None,
         stalls: Sequence[bool] | None = None, reset_after: int | None = None, limit: int = 6000) -> Sums:
    """Run timesteps through a walker.

    Parameters
    ----------
    layer : LayerPlan
        Its core.
    steps : list of Timestep
        Events.
    offers, stalls : list of bool
        Patterns, repeated for ever: in which cycles a new event is offered, in which a sum is taken. Always, by default.
    reset_after : int or None
        Cycles after which the walker is reset; then the timesteps begin again, and only what follows is returned.
    limit : int
        Cycles after which the walker has failed.
    """
    dut, m, reset = Walker(layer), Module(), Signal()
    m.submodules.dut = ResetInserter(reset)(dut)
    beats = []
    for events, last in steps:
        beats += [(address, value, 0, 0) for address, value in events] + [(0, 0, 1, int(last))]
    results = []

    async def run(ctx, cycles):
        found, offering, taking = Sums(), pattern(offers), pattern(stalls)
        offered, held, sums = False, None, []
        for cycle in range(cycles):
            place, may = len(found.entered), next(offering)
            offered = place < len(beats) and (offered or may)
            address, value, tick, last = beats[place] if offered else (0, 1, cycle % 2, 1)  # without an offer it means nothing
            ctx.set(dut.i.valid, offered)
            ctx.set(dut.i.payload.address, address)
            ctx.set(dut.i.payload.tick, tick)
            ctx.set(dut.i.payload.last, last)
            if layer.input_value_bits:
                ctx.set(dut.i.payload.value, value)
            valid, result = ctx.get(dut.valid), ctx.get(dut.sum)
            assert held is None or (valid and result == held), "a sum is offered until it is taken, and does not change"
            take = bool(valid and next(taking))
            held = result if valid and not take else None
            ctx.set(dut.take, take)
            for name in COUNTED:
                found.counts[name] += ctx.get(getattr(dut, name))
            if offered and ctx.get(dut.i.ready):
                found.entered.append(cycle)
                offered = False
            if take:
                sums.append(result)
                found.taken.append(cycle)
                if len(sums) == layer.outputs:
                    found.steps.append((sums, bool(ctx.get(dut.sample_end))))
                    sums = []
            await ctx.tick()
            if len(found.steps) == len(steps):
                return found
        return found

    async def testbench(ctx):
        if layer.weights_loaded:
            ctx.set(dut.load_active, 1)
            ctx.set(dut.load_write, 1)
            for address, word in enumerate(layer.weight_words):
                ctx.set(dut.load_address, address)
                ctx.set(dut.load_data, word)
                await ctx.tick()
            ctx.set(dut.load_active, 0)  # the other lines keep what they have, which means nothing now
        if reset_after is not None:
            await run(ctx, reset_after)
            ctx.set(reset, 1)
            await ctx.tick()
            ctx.set(reset, 0)
        results.append(await run(ctx, limit))

    sim = Simulator(m)
    sim.add_clock(1e-6)
    sim.add_testbench(testbench)
    sim.run()
    found, = results
    assert len(found.steps) == len(steps), f"{len(found.steps)} of {len(steps)} timesteps ended within {limit} cycles"
    return found

"""Drive an event list and a walker in Amaranth's simulator, and compute their sums from the weights they were made from."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from amaranth.hdl import Module, ResetInserter, Signal
from amaranth.lib.wiring import connect
from amaranth.sim import Simulator
from stream_bench import pattern

from rtl_gen.events import EventBuffer
from rtl_gen.walker import Walker
from snnhw.fixed import Interval
from snnhw.ir import Neuron, NeuronSpec
from snnhw.plan import LayerPlan, Source
from snnhw.plan.columns import Columns
from snnhw.plan.ranges import state_ranges
from snnhw.plan.synapses import Grid, Path, Scattered

__all__ = ["COUNTED", "Sums", "Timestep", "columns_of", "layer_of", "matrix_of", "sums_of", "walk"]

COUNTED = "sources_read", "weights_read", "accumulate", "currents_read", "currents_clear"
#: Events of a timestep, (address, value), and whether it is the last of its sample.
Timestep = tuple[Sequence[tuple[int, int]], bool]


@dataclass
class Sums:
    """What a walker handed over: for each timestep its sums and whether it ends the sample; the cycle of every transfer.

    The cycles of `taken` are those of the sums, those of `entered` of the events and ticks, from the end of the clearing on.
    """

    steps: list[tuple[list[int], bool]] = field(default_factory=list)
    taken: list[int] = field(default_factory=list)
    entered: list[int] = field(default_factory=list)
    cleared: int = 0
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("events_write", "events_read", *COUNTED), 0))


def _layer(synapses: Scattered | Columns, neurons: int, lanes: int, values: tuple[int, int], loaded: bool) -> LayerPlan:
    sources = synapses.sources
    source = Source("in", None, False, 0, sources, Interval(*values))
    neuron = Neuron("neurons", ("fc",), NeuronSpec(1, bits=32))
    bounds = synapses.current_range(np.full(sources, values[0]), np.full(sources, values[1]))
    return LayerPlan(0, neuron, (), (source,), synapses, neurons, lanes, state_ranges(bounds, neuron, 10), loaded)


def layer_of(links: Sequence[tuple[int, int, int, int, int]], grid: Grid, *, sources: int, lanes: int = 1,
             values: tuple[int, int] = (0, 1), loaded: bool = False) -> LayerPlan:
    """Return the plan of a core with the links (source, channel, row, column, weight), not all of them inside the grid."""
    path = Path(*np.array(links, np.int64).reshape(-1, 5).T)
    scattered = Scattered(path, sources, grid, -(-grid.channels // -(-grid.channels // lanes)))
    return _layer(scattered, grid.channels * grid.rows * grid.columns, scattered.lanes, values, loaded)


def columns_of(weight: Sequence[Sequence[int]] | np.ndarray, name: str, *, lanes: int = 1, run_bits: int = 0,
               weight_bits: int = 8, values: tuple[int, int] = (0, 1), loaded: bool = False) -> LayerPlan:
    """Return the plan of a core with a matrix, (neurons, sources), in one of the formats of :class:`Columns`."""
    matrix = np.array(weight, np.int64)
    return _layer(Columns(matrix, weight_bits, lanes, name, run_bits), len(matrix), lanes, values, loaded)


def matrix_of(layer: LayerPlan) -> np.ndarray:
    """Return the weights as a matrix, (sources, neurons): as they were given, or from the links that end on a neuron."""
    if isinstance(layer.synapses, Columns):
        return layer.synapses.weight.T
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
         stalls: Sequence[bool] | None = None, pause: int = 0, reset_after: int | None = None, limit: int = 6000) -> Sums:
    """Run timesteps through a walker behind its event list.

    Parameters
    ----------
    layer : LayerPlan
        Its core.
    steps : list of Timestep
        Events.
    offers, stalls : list of bool
        Patterns, repeated for ever: in which cycles a new event is offered, in which a sum is taken. Always, by default.
    pause : int
        Cycles after the last sum of a timestep in which none is taken, as a finaliser has them.
    reset_after : int or None
        Cycles after which both are reset; then the timesteps begin again, and only what follows is returned.
    limit : int
        Cycles after which the walker has failed.
    """
    both, m, reset = Module(), Module(), Signal()
    both.submodules.events = events = EventBuffer(inputs=layer.inputs, address_bits=layer.input_address_bits,
                                                  value_bits=layer.input_value_bits, tiles=1)
    both.submodules.walker = dut = Walker(layer)
    i = events.i.signature.flip().create(path=("i",))
    connect(both, i, events.i)
    both.d.comb += [dut.slot.eq(events.slot), dut.address.eq(events.address), events.advance.eq(dut.advance)]
    if layer.input_value_bits:
        both.d.comb += dut.value.eq(events.value)
    m.submodules.both = ResetInserter(reset)(both)
    counted = {name: getattr(dut, name) for name in COUNTED} | {"events_write": events.write, "events_read": events.read}
    beats = []
    for spikes, last in steps:
        beats += [(address, value, 0, 0) for address, value in spikes] + [(0, 0, 1, int(last))]
    results = []

    async def run(ctx, cycles):
        found, offering, taking = Sums(), pattern(offers), pattern(stalls)
        offered, held, sums, resting, cycle = False, None, [], 0, 0
        for _ in range(cycles):
            place, clearing = len(found.entered), ctx.get(dut.clearing)
            found.cleared += clearing
            offered = place < len(beats) and not clearing and (offered or next(offering))
            address, value, tick, last = beats[place] if offered else (0, 1, cycle % 2, 1)  # without an offer it means nothing
            ctx.set(i.valid, offered)
            ctx.set(i.payload.address, address)
            ctx.set(i.payload.tick, tick)
            ctx.set(i.payload.last, last)
            if layer.input_value_bits:
                ctx.set(i.payload.value, value)
            valid, result = ctx.get(dut.valid), (ctx.get(dut.sum), ctx.get(dut.sample_end))
            assert held is None or (valid and result == held), "a sum is offered until it is taken, and does not change"
            take = bool(valid and not resting and next(taking))
            resting = max(0, resting - 1)
            held = result if valid and not take else None
            ctx.set(dut.take, take)
            for name, signal in counted.items():
                found.counts[name] += ctx.get(signal)
            if offered and ctx.get(i.ready):
                found.entered.append(cycle)
                offered = False
            if take:
                sums.append(result)
                found.taken.append(cycle)
                if len(sums) == layer.outputs:
                    ends = {end for _, end in sums}
                    assert len(ends) == 1, "all sums of a timestep agree on whether it is the last of its sample"
                    found.steps.append(([value for value, _ in sums], bool(ends.pop())))
                    sums, resting = [], pause
            await ctx.tick()
            cycle += not clearing
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

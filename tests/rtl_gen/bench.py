"""Drive an accelerator in Amaranth's simulator, clock cycle by clock cycle."""

from dataclasses import dataclass

import numpy as np
from amaranth.hdl import ClockDomain, ClockSignal, Module, Signal
from amaranth.sim import Simulator

from rtl_gen import Accelerator
from rtl_gen.accumulator import pack_words
from rtl_gen.layer import ACCESSES
from snnhw.plan import Plan

TRACE = ("trace_valid", "trace_neuron", "trace_membrane", "trace_spike")


@dataclass
class Run:
    """What came out: spikes and membranes as the reference shapes them, cycles and accesses for each sample."""

    spikes: np.ndarray
    membranes: list[np.ndarray]
    layer_spikes: list[np.ndarray]
    cycles: np.ndarray
    accesses: list[dict[str, np.ndarray]]


def simulate(plan: Plan, trains: np.ndarray, *, rng: np.random.Generator | None = None, isolated: bool = True,
             reset_before: bool = False) -> Run:
    """Run spike trains, bool (samples, timesteps, inputs), through the accelerator.

    With `rng` the source pauses, the sink stalls and events come in random order. `isolated` waits for a sample's
    last tick before the next sample begins. `reset_before` disturbs the core and resets it first.
    """
    samples, timesteps, inputs = trains.shape
    dut = Accelerator(plan, trace=True)
    m = Module()
    m.domains.sync = ClockDomain(reset_less=True)
    m.submodules.dut = dut
    aresetn = Signal(init=1)
    m.d.comb += [dut.aclk.eq(ClockSignal()), dut.aresetn.eq(aresetn)]
    spikes = np.zeros((samples, timesteps, plan.outputs), bool)
    membranes = [np.full((samples, timesteps, layer.outputs), 1 << 40, np.int64) for layer in plan.layers]
    layer_spikes = [np.zeros((samples, timesteps, layer.outputs), bool) for layer in plan.layers]
    written = [0] * len(plan.layers)
    counts = [{name: np.zeros(samples, np.int64) for name in ACCESSES} for _ in plan.layers]
    cycles = np.zeros(samples, np.int64)
    beats = []
    for s in range(samples):
        for t in range(timesteps):
            active = np.flatnonzero(trains[s, t])
            if rng is not None:
                rng.shuffle(active)
            beats += [(int(a), 0, 0, s) for a in active] + [(0, 1, int(t == timesteps - 1), s)]
    if plan.loaded_words:
        words = [word for layer in plan.layers if layer.weights_loaded
                 for word in pack_words([(column.tolist(), layer.weight_bits) for column in layer.weight_words.T])]
    else:
        words = []
    limit = 2000 + 40 * sum(len(beats) * layer.tiles + samples * timesteps * (layer.outputs + 20) for layer in plan.layers)

    watched = [{name: getattr(core, name) for name in (*TRACE, *ACCESSES) if hasattr(core, name)} for core in dut.cores]

    async def testbench(ctx):
        if reset_before:
            ctx.set(dut.s_axis_tvalid, 1)
            ctx.set(dut.m_axis_tready, 0)
            for k in range(40):
                ctx.set(dut.s_axis_tdata, k % inputs)
                ctx.set(dut.s_axis_tlast, k % 3 == 2)
                await ctx.tick()
            ctx.set(dut.s_axis_tvalid, 0)
        ctx.set(aresetn, 0)
        await ctx.tick()
        ctx.set(aresetn, 1)
        for word in words:
            ctx.set(dut.s_axis_weights_tvalid, 1)
            ctx.set(dut.s_axis_weights_tdata, word)
            assert not ctx.get(dut.s_axis_tready)
            await ctx.tick().until(dut.s_axis_weights_tready)
        if words:
            ctx.set(dut.s_axis_weights_tvalid, 0)
        position, done, tick_of = 0, 0, 0
        first = [None] * samples
        valid = False
        for cycle in range(limit):
            if not valid and position < len(beats):
                sample = beats[position][3]
                if (not isolated or sample == done) and (rng is None or rng.random() < 0.6):
                    address, tick, last, _ = beats[position]
                    valid = True
                    ctx.set(dut.s_axis_tdata, address)
                    ctx.set(dut.s_axis_tlast, tick)
                    ctx.set(dut.s_axis_tuser, last)
            ctx.set(dut.s_axis_tvalid, valid)
            ready = rng is None or rng.random() < 0.5
            ctx.set(dut.m_axis_tready, ready)
            if valid and ctx.get(dut.s_axis_tready):
                sample = beats[position][3]
                if first[sample] is None:
                    first[sample] = cycle
                position += 1
                valid = False
            for k, core in enumerate(watched):
                if ctx.get(core["trace_valid"]):
                    neuron, step = written[k] % plan.layers[k].outputs, written[k] // plan.layers[k].outputs
                    assert ctx.get(core["trace_neuron"]) == neuron
                    membranes[k][step // timesteps, step % timesteps, neuron] = ctx.get(core["trace_membrane"])
                    layer_spikes[k][step // timesteps, step % timesteps, neuron] = ctx.get(core["trace_spike"])
                    written[k] += 1
                if isolated and done < samples:
                    for name in ACCESSES:
                        if name in core:
                            counts[k][name][done] += ctx.get(core[name])
            if ready and ctx.get(dut.m_axis_tvalid):
                sample, step = tick_of // timesteps, tick_of % timesteps
                if ctx.get(dut.m_axis_tlast):
                    assert ctx.get(dut.m_axis_tdata) == 0
                    assert ctx.get(dut.m_axis_tuser) == (step == timesteps - 1)
                    tick_of += 1
                    if step == timesteps - 1:
                        cycles[sample] = cycle - first[sample] + 1
                        done = sample + 1
                else:
                    address = ctx.get(dut.m_axis_tdata)
                    assert not spikes[sample, step, address:].any(), "ascending order"
                    spikes[sample, step, address] = True
            await ctx.tick()
            if done == samples:
                return
        raise AssertionError(f"{done} of {samples} samples ended within {limit} cycles, {position} of {len(beats)} beats went in")

    sim = Simulator(m)
    sim.add_clock(1e-6)
    sim.add_testbench(testbench)
    sim.run()
    return Run(spikes, membranes, layer_spikes, cycles, counts)

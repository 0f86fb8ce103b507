"""Drive an accelerator in Amaranth's simulator, clock cycle by clock cycle."""

from dataclasses import dataclass

import numpy as np
from amaranth.hdl import ClockDomain, ClockSignal, Module, Signal
from amaranth.sim import Simulator

from rtl_gen import Accelerator
from snnhw import reference
from snnhw.plan import LayerPlan, Plan
from snnhw.plan.accesses import access_names
from snnhw.plan.cycles import rest_cycles

TRACE = ("trace_valid", "trace_neuron", "trace_membrane", "trace_spike")


@dataclass
class Run:
    """What came out, as the reference shapes it, cycles and accesses for each sample.

    `spikes` are what left the accelerator: bool, or the int64 values of its events; `results` are its decisions.
    """

    spikes: np.ndarray
    membranes: list[np.ndarray]
    layer_spikes: list[np.ndarray]
    cycles: np.ndarray
    accesses: list[dict[str, np.ndarray]]
    results: list[int]


def beat(plan: Plan, address: int, value: int) -> int:
    """Return tdata of an event that goes in."""
    return address | (value & (1 << plan.input_value_bits) - 1) << plan.input_address_bits


def signed(word: int, bits: int) -> int:
    """Return a word in two's complement as a number."""
    return word - (word >> bits - 1 << bits)


def work(layer: LayerPlan) -> int:
    """Return the most slots that an event takes in a core."""
    return int(layer.synapses.list_lengths().max()) + 1 if layer.scattered else layer.tiles


def simulate(plan: Plan, trains: np.ndarray, *, rng: np.random.Generator | None = None, isolated: bool = True,
             reset_before: bool = False, results_after: int = 0) -> Run:
    """Run spike trains, bool or int (samples, timesteps, inputs), through the accelerator.

    With `rng` the source pauses, the sink stalls and events come in random order. `isolated` waits for a sample's
    last tick, and until the accelerator is at rest, before the next sample begins. `reset_before` disturbs the core
    and resets it first. No decision is taken before the cycle `results_after`.
    """
    samples, timesteps, inputs = trains.shape
    dut = Accelerator(plan, trace=True)
    m = Module()
    m.domains.sync = ClockDomain(reset_less=True)
    m.submodules.dut = dut
    aresetn = Signal(init=1)
    m.d.comb += [dut.aclk.eq(ClockSignal()), dut.aresetn.eq(aresetn)]
    value_bits, address_bits = plan.last.output_value_bits, plan.last.output_address_bits
    spikes = np.zeros((samples, timesteps, plan.outputs), np.int64 if value_bits else bool)
    left = np.zeros((samples, timesteps, plan.outputs), bool)
    membranes = [np.full((samples, timesteps, layer.outputs), 1 << 40, np.int64) for layer in plan.layers]
    layer_spikes = [np.zeros((samples, timesteps, layer.outputs), bool) for layer in plan.layers]
    written = [0] * len(plan.layers)
    counts = [{name: np.zeros(samples, np.int64) for name in access_names(layer)} for layer in plan.layers]
    cycles = np.zeros(samples, np.int64)
    results: list[int] = []
    beats = []
    for s in range(samples):
        for t in range(timesteps):
            active = np.flatnonzero(trains[s, t])
            if rng is not None:
                rng.shuffle(active)
            beats += [(beat(plan, int(a), int(trains[s, t, a])), 0, 0, s) for a in active] + [(0, 1, int(t == timesteps - 1), s)]
    words = [word for layer in plan.layers if layer.weights_loaded for word in layer.weight_words]
    limit = 2000 + 40 * sum(work(layer) * len(beats) + samples * timesteps * (layer.outputs + 20) for layer in plan.layers)

    rest = rest_cycles(plan, reference.run(plan.graph, trains).spikes) if plan.lags else 0
    watched = [{name: getattr(core, name) for name in (*TRACE, *access_names(core.layer))} for core in dut.cores]

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
        position, done, tick_of, rested = 0, 0, 0, 0
        first = [None] * samples
        valid = False
        for cycle in range(limit):
            if not valid and position < len(beats):
                sample = beats[position][3]
                if (not isolated or (sample == done and cycle >= rested)) and (rng is None or rng.random() < 0.6):
                    address, tick, last, _ = beats[position]
                    valid = True
                    ctx.set(dut.s_axis_tdata, address)
                    ctx.set(dut.s_axis_tlast, tick)
                    ctx.set(dut.s_axis_tuser, last)
            ctx.set(dut.s_axis_tvalid, valid)
            ready = rng is None or rng.random() < 0.5
            ctx.set(dut.m_axis_tready, ready)
            if plan.decide:
                deciding = cycle >= results_after and (rng is None or rng.random() < 0.3)
                ctx.set(dut.m_axis_result_tready, deciding)
                if deciding and ctx.get(dut.m_axis_result_tvalid):
                    assert ctx.get(dut.m_axis_result_tlast)
                    results.append(ctx.get(dut.m_axis_result_tdata))
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
                if isolated and (done < samples or cycle < rested):
                    for name in counts[k]:
                        counts[k][name][done - (cycle < rested)] += ctx.get(core[name])
            if ready and ctx.get(dut.m_axis_tvalid):
                sample, step = tick_of // timesteps, tick_of % timesteps
                if ctx.get(dut.m_axis_tlast):
                    assert ctx.get(dut.m_axis_tdata) == 0
                    assert ctx.get(dut.m_axis_tuser) == (step == timesteps - 1)
                    tick_of += 1
                    if step == timesteps - 1:
                        cycles[sample] = cycle - first[sample] + 1
                        done, rested = sample + 1, cycle + 1 + rest
                else:
                    value, address = divmod(ctx.get(dut.m_axis_tdata), 1 << address_bits)
                    assert not left[sample, step, address:].any(), "ascending order"
                    assert value < 1 << value_bits
                    left[sample, step, address] = True
                    spikes[sample, step, address] = signed(value, value_bits) if value_bits else 1
            await ctx.tick()
            if done == samples and cycle + 1 >= rested and len(results) == (samples if plan.decide else 0):
                return
        raise AssertionError(f"{done} of {samples} samples ended within {limit} cycles, {position} of {len(beats)} beats went in")

    sim = Simulator(m)
    sim.add_clock(1e-6)
    sim.add_testbench(testbench)
    sim.run()
    return Run(spikes, membranes, layer_spikes, cycles, counts, results)

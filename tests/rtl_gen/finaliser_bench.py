"""Drive a finaliser in Amaranth's simulator, with any front end's results, and hold it to the reference word by word."""

from dataclasses import dataclass, replace

import numpy as np
from amaranth.hdl import Module
from amaranth.sim import Simulator

from rtl_gen.finaliser import Finaliser
from snnhw.ir import Graph, Input, Linear, Neuron, NeuronSpec, Readout
from snnhw.plan import LayerPlan, make_plan
from snnhw.plan.ranges import state_ranges
from snnhw.plan.stages import pause_slots, write_stage
from snnhw.reference import NeuronState, step

__all__ = ["Updates", "expect", "finalise", "layer_of"]


@dataclass
class Updates:
    """What a finaliser wrote and told, as the reference shapes it, and the cycle of each write.

    Every array but `cycles` is (samples, timesteps, neurons); `events` lists (address, value, last, tick) as they came.
    """

    states: np.ndarray
    fired: np.ndarray
    synapses: np.ndarray | None
    events: list[tuple[int, int, int, int]]
    cycles: list[int]


def layer_of(spec: NeuronSpec, neurons: int, lowest: int, highest: int, timesteps: int) -> LayerPlan:
    """Return the plan of neurons whose every weighted sum lies between two numbers, both at most 16 bits wide."""
    weight = np.full((neurons, 2), [lowest, highest])
    plain = NeuronSpec(0, bits=32)
    graph = Graph("net", (Input("in", (), (2,)), Linear("fc", ("in",), weight, 16), Neuron("lif", ("fc",), plain),
                          Readout("out", ("lif",))), timesteps)
    layer, = make_plan(graph).layers
    neuron = Neuron("lif", ("fc",), spec)
    ranges = state_ranges((np.full(neurons, min(lowest, 0)), np.full(neurons, max(highest, 0))), neuron, timesteps)
    return replace(layer, neuron=neuron, ranges=ranges)


def expect(layer: LayerPlan, sums: np.ndarray) -> Updates:
    """Return what the reference computes from weighted sums, (samples, timesteps, neurons)."""
    spec = layer.spec
    states, fired, synapses = np.zeros_like(sums), np.zeros_like(sums), np.zeros_like(sums)
    state = NeuronState.initial(spec, 1, layer.outputs)
    events = []
    for s, sample in enumerate(sums):
        if spec.clear == "sample":
            state = NeuronState.initial(spec, 1, layer.outputs)
        for t, current in enumerate(sample):
            fired[s, t] = step(spec, state, current[None])
            states[s, t] = state.membrane
            if state.synapse is not None:
                synapses[s, t] = state.synapse
            last = int(t == len(sample) - 1)
            for neuron in range(layer.outputs):
                value = int(states[s, t, neuron]) if spec.output == "state" else int(fired[s, t, neuron])
                if fired[s, t, neuron] or spec.output == "state":
                    events.append((neuron, value if layer.value_bits else 1, last, 0))
            events.append((0, 0, last, 1))
    return Updates(states, fired, synapses if spec.synapse is not None else None, events, [])


def finalise(layer: LayerPlan, sums: np.ndarray, rng: np.random.Generator | None = None) -> Updates:
    """Run weighted sums, (samples, timesteps, neurons), through a finaliser; with `rng`, results come late and events wait."""
    samples, timesteps, neurons = sums.shape
    dut = Finaliser(layer)
    m = Module()
    m.submodules.dut = dut
    total = sums.size
    states, fired, synapses = (np.zeros(total, np.int64) for _ in range(3))
    events, cycles = [], []
    limit = 100 + 20 * samples * timesteps * (neurons + pause_slots(layer) + write_stage(layer))

    async def testbench(ctx):
        taken = written = ticks = 0
        offered = False
        for cycle in range(limit):
            if taken < total and not offered:
                offered = rng is None or rng.random() < 0.7
                number = int(sums.reshape(-1)[taken])
                weight = 0 if rng is None else int(rng.integers(-3, 4))
                low, high = layer.current.lowest, layer.current.highest
                weight = weight if low <= number - weight <= high else 0
                ctx.set(dut.sum, number - weight)
                ctx.set(dut.weight, weight)
                ctx.set(dut.sample_end, taken // neurons % timesteps == timesteps - 1)
            elif taken == total:
                ctx.set(dut.sample_end, 0)
            ctx.set(dut.valid, offered)
            ready = rng is None or rng.random() < 0.6
            ctx.set(dut.o.ready, ready)
            if ctx.get(dut.take):
                taken, offered = taken + 1, False
            if ctx.get(dut.state_write):
                assert ctx.get(dut.state_neuron) == written % neurons
                states[written] = ctx.get(dut.state_value)
                fires = ctx.get(dut.state_spike)
                fired[written] = fires
                if layer.spec.grades > 1:
                    fired[written] = ctx.get(dut.state_count)
                    assert fires == (fired[written] > 0)
                if layer.synapse_bits:
                    synapses[written] = ctx.get(dut.state_synapse)
                written += 1
                cycles.append(cycle)
            if ready and ctx.get(dut.o.valid):
                payload = dut.o.payload
                tick, address = ctx.get(payload.tick), ctx.get(payload.address)
                value = 0 if tick else ctx.get(payload.value) if layer.value_bits else 1
                if layer.spec.output == "state" and value >> (layer.state_bits - 1):
                    value -= 1 << layer.state_bits
                events.append((address, value, ctx.get(payload.last), tick))
                ticks += tick
            await ctx.tick()
            if ticks == samples * timesteps:
                return
        raise AssertionError(f"{ticks} of {samples * timesteps} timesteps ended within {limit} cycles")

    sim = Simulator(m)
    sim.add_clock(1e-6)
    sim.add_testbench(testbench)
    sim.run()
    return Updates(states.reshape(sums.shape), fired.reshape(sums.shape),
                   synapses.reshape(sums.shape) if layer.synapse_bits else None, events, cycles)

"""Neurons: one update per cycle, for every neuron of a layer in turn."""

import numpy as np
from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Member, Out

from rtl_gen.events import event_layout
from rtl_gen.neuron import Neuron, Parameters, Pipeline
from snnhw.fixed import Interval, pack_words, signed_bits, unsigned_bits
from snnhw.plan import LayerPlan
from snnhw.plan.adjustable import adjustables
from snnhw.plan.stages import pause_slots, write_stage

__all__ = ["Finaliser", "adjust_members"]


class Finaliser(wiring.Component):
    """Turns the weighted sums of a timestep into new states and spikes, as :mod:`snnhw.ir.neuron` defines them.

    Pipeline, one neuron per cycle unless the output waits:

        0        take a result and add its parts; read the states and the parameters of the neuron
        (1)      only with a synapse: decay of its current, add the weighted sum, saturate, each a stage
        1        decay (``mul`` has one stage for its operands, one for the product, and one to round it toward zero);
                 a ``next`` reset to zero or a value
        2        add the current; a ``next`` reset that drops it
        (3)      only to subtract: a ``next`` reset its amount, an ``immediate`` one later, after saturating and comparing here
        (4)      only to count: saturate, compare, and select what is subtracted, each a stage
        write    saturate, compare, reset, and write the states
        output   spike, state or tick

    After the last neuron comes one slot for the tick and, in layers smaller than the pipeline, some idle
    slots, so that no state is read before it is written. The first timestep after reset, and of a sample if
    states are cleared, takes the initial state in the place of the stored one, so nothing is ever swept.

    While the output holds an event that is not taken, the whole pipeline stands still. Latency from taking a
    sum to its spike on `o` is ``write_stage(layer) + 1`` cycles; a timestep occupies
    ``layer.outputs + pause_slots(layer)``.

    Parameters
    ----------
    layer : LayerPlan
        Sizes, widths and arithmetic.
    controlled : bool
        There is a control port, which adjusts parameters and counts what saturates.

    Members
    -------
    valid, sum, weight, sample_end : ``In``
        Result of the next neuron, in ascending order, from an :class:`~rtl_gen.accumulator.Accumulator`.
    take, take_last : ``Out(1)``
        The result is taken; it was the last of its tile.
    o : ``Out(stream.Signature(event_layout(layer.output_address_bits, layer.value_bits)))``
        Spikes, or the states of all neurons, in ascending order, then the tick; all with ``last`` in the last timestep of
        a sample.
    state_read, parameters_read : ``Out(1)``
        The memory is read; the latter only if there are parameters that differ between neurons.
    state_write, state_neuron, state_value, state_spike : ``Out``
        A new state is written: of which neuron, its value, and whether the neuron fired.
    state_count, state_synapse : ``Out``
        How often it fired, only of neurons that count beyond 1; its synaptic current, only of neurons that have one.
    adjust_threshold, adjust_decay, adjust_synapse : ``In``
        Only if `controlled`, those of :func:`~snnhw.plan.adjustable.adjustables`. Change them while no neuron is under way.
    saturations : ``Out(2)``
        Only if `controlled`: how many words of the neuron that is written were clipped.
    """

    def __init__(self, layer: LayerPlan, *, controlled: bool = False):
        self.layer, self.controlled = layer, controlled
        members: dict[str, object] = {"parameters_read": Out(1)} if layer.parameter_bits else {}
        if layer.spec.grades > 1:
            members["state_count"] = Out(layer.value_bits)
        if layer.synapse_bits:
            members["state_synapse"] = Out(signed(layer.synapse_bits))
        if controlled:
            members |= adjust_members(layer) | {"saturations": Out(2)}
        super().__init__(members | {
            "valid": In(1),
            "sum": In(signed(layer.current_bits)),
            "weight": In(signed(layer.weight_bits)),
            "sample_end": In(1),
            "take": Out(1),
            "take_last": Out(1),
            "o": Out(stream.Signature(event_layout(layer.output_address_bits, layer.value_bits))),
            "state_read": Out(1),
            "state_write": Out(1),
            "state_neuron": Out(layer.output_address_bits),
            "state_value": Out(signed(layer.state_bits)),
            "state_spike": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        layer = self.layer
        last_stage = write_stage(layer)
        run = Signal()  # the pipeline moves
        m.d.comb += run.eq(~self.o.valid | self.o.ready)

        # Sequence: the neurons of a timestep, then `pause` slots of which the first is the tick.
        neuron = Signal(range(layer.outputs))
        neuron_last = Signal(init=layer.outputs == 1)
        tile_last = Signal(init=layer.lanes == 1)
        pause = Signal(range(pause_slots(layer) + 1))
        tick = Signal()
        ending = Signal()  # the tick ends the sample
        fresh = Signal(init=1)  # the initial state counts, not the stored one
        m.d.comb += [
            self.take.eq(self.valid & run & ~pause.any()),
            self.take_last.eq(self.take & tile_last),
            tick.eq(pause == pause_slots(layer)),
        ]
        with m.If(self.take):
            # Found out one neuron ahead: taking the last of a tile lets the whole core move.
            before_last = neuron == layer.outputs - 2
            m.d.sync += [
                neuron.eq(neuron + 1),
                neuron_last.eq(before_last | (layer.outputs == 1)),
                tile_last.eq(before_last | self._before_tile_last(m, neuron, tile_last) | (layer.lanes == 1)),
            ]
            with m.If(neuron_last):
                m.d.sync += [neuron.eq(0), pause.eq(pause_slots(layer)), ending.eq(self.sample_end)]
        with m.Elif(run & pause.any()):
            m.d.sync += pause.eq(pause - 1)
            with m.If(tick):
                m.d.sync += fresh.eq(ending if layer.spec.clear == "sample" else 0)

        pipeline = Pipeline(m, run)
        valids = pipeline.delays(self.take, "valid", last_stage, reset_less=False)
        ticks = pipeline.delays(tick, "tick", last_stage, reset_less=False)
        endings = pipeline.delays(Mux(tick, ending, self.sample_end), "ending", last_stage)

        # Memories. A write and a read of one neuron never meet: `pause_slots` keeps them apart.
        width = layer.state_bits + layer.synapse_bits
        m.submodules.membranes = membranes = memory.Memory(shape=width, depth=layer.outputs, init=[])
        read_port = membranes.read_port()
        write_port = membranes.write_port()
        parameters = self._parameters(m, pipeline, neuron)
        m.d.comb += [
            self.state_read.eq(self.take & ~fresh),
            read_port.en.eq(self.state_read),
            read_port.addr.eq(neuron),
            write_port.en.eq(self.state_write),
            write_port.addr.eq(self.state_neuron),
            write_port.data.eq(Cat(self.state_value, self.state_synapse) if layer.synapse_bits else self.state_value),
        ]
        starts = pipeline.delay(fresh, "fresh_1")
        stored = Signal(signed(layer.state_bits))
        m.d.comb += stored.eq(Mux(starts, layer.spec.start, read_port.data[:layer.state_bits].as_signed()))
        synapse = None
        if layer.synapse_bits:
            synapse = Signal(signed(layer.synapse_bits))
            m.d.comb += synapse.eq(Mux(starts, 0, read_port.data[layer.state_bits:].as_signed()))

        current = pipeline.delay(self.sum + self.weight, "current", layer.current_bits)
        update = Neuron(layer, pipeline, parameters, observed=self.controlled).update(stored, synapse, current)
        if self.controlled:
            m.d.comb += self.saturations.eq(Mux(self.state_write, sum(update.clipped, Const(0)), 0))
        m.d.comb += [
            self.state_write.eq(valids[last_stage] & run),
            self.state_value.eq(update.state),
            self.state_spike.eq(update.spike),
        ]
        if update.synapse is not None:
            m.d.comb += self.state_synapse.eq(update.synapse)
        told: Value = update.spike
        if update.count is not None:
            m.d.comb += self.state_count.eq(update.count)
        if layer.spec.output == "state":
            told = Const(1)
        if layer.value_bits:
            value = Signal(layer.value_bits, reset_less=True)
            m.d.comb += self.o.payload.value.eq(value)
            with m.If(run):
                m.d.sync += value.eq(update.state if update.count is None else update.count)
        address = Signal(layer.output_address_bits, reset_less=True)
        m.d.comb += self.o.payload.address.eq(address)
        with m.If(run):
            with m.If(ticks[last_stage]):
                m.d.sync += self.state_neuron.eq(0)
            with m.Elif(valids[last_stage]):
                m.d.sync += self.state_neuron.eq(self.state_neuron + 1)
            m.d.sync += [
                self.o.valid.eq((valids[last_stage] & told) | ticks[last_stage]),
                address.eq(Mux(ticks[last_stage], 0, self.state_neuron)),
                self.o.payload.tick.eq(ticks[last_stage]),
                self.o.payload.last.eq(endings[last_stage]),
            ]
        return m

    def _before_tile_last(self, m: Module, neuron: Signal, tile_last: Signal) -> Value:
        """Return whether the neuron after this one is in the last lane, from the neuron's own count where that is possible."""
        lanes = self.layer.lanes
        if lanes == 1 or lanes == self.layer.outputs:
            return Const(0)
        if lanes & (lanes - 1) == 0:
            return ~tile_last & (neuron[:lanes.bit_length() - 1] == lanes - 2)
        lane = Signal(range(lanes))
        with m.If(self.take_last):
            m.d.sync += lane.eq(0)
        with m.Elif(self.take):
            m.d.sync += lane.eq(lane + 1)
        return ~tile_last & (lane == lanes - 2)

    def _parameters(self, m: Module, pipeline: Pipeline, neuron: Signal) -> Parameters:
        """Return the parameters of a neuron; those that differ between neurons are read beside its state."""
        arrays = self.layer.spec.parameters | {"reset_amount": _reset_amount(self.layer)}
        widths = self.layer.parameter_bits
        values: dict[str, Value] = {}
        if widths:
            words = pack_words([(np.asarray(arrays[name]), bits) for name, bits in widths.items()])
            width = unsigned(sum(widths.values()))
            m.submodules.parameters = rom = memory.Memory(shape=width, depth=self.layer.outputs, init=words)
            port = rom.read_port()
            m.d.comb += [self.parameters_read.eq(self.take), port.en.eq(self.take), port.addr.eq(neuron)]
            offset = 0
            for name, bits in widths.items():
                values[name] = port.data[offset:offset + bits].as_signed()
                offset += bits
        for name, array in arrays.items():
            if name not in values:
                number = int(np.asarray(array))
                values[name] = Const(number, signed(Interval(number, number).bits))
        held = set()
        for item in adjustables(self.layer.spec) if self.controlled else ():
            name = "synapse_" * (item.name == "synapse") + item.kind
            values[name] = getattr(self, f"adjust_{item.name}")
            held.add(name)
        return Parameters(values, pipeline, held)


def adjust_members(layer: LayerPlan) -> dict[str, Member]:
    """Return the inputs for what a control port adjusts: no wider than every value it may have."""
    return {f"adjust_{item.name}": In(unsigned(unsigned_bits(item.highest)) if item.kind == "shift"
                                      else signed(signed_bits(item.lowest, item.highest))) for item in adjustables(layer.spec)}


def _reset_amount(layer: LayerPlan) -> np.ndarray:
    """Return what a reset subtracts or sets: after the decay by a shift, where the reset comes before the decay."""
    spec = layer.spec
    amount = np.asarray(spec.reset_amount)
    if spec.reset == "value" and spec.reset_time == "next" and spec.input_on_reset == "keep" and spec.decay.kind == "shift":
        return spec.decay(amount)
    return amount

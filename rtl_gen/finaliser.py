"""Neurons: one update per cycle, for every neuron of a layer in turn."""

import numpy as np
from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from rtl_gen.accumulator import pack_words
from rtl_gen.events import event_layout
from snnhw.fixed import Interval, signed_range
from snnhw.plan import LayerPlan
from snnhw.plan.cycles import pause_slots, write_stage

__all__ = ["Finaliser"]


class Finaliser(wiring.Component):
    """Turns the weighted sums of a timestep into new states and spikes, as :mod:`snnhw.ir.neuron` defines them.

    Pipeline, one neuron per cycle unless the output waits:

        0        take a result and add its parts; read the state and the parameters of the neuron
        1        decay (``mul`` has one stage for its operands and one for the product); a ``next`` reset to zero or a value
        2        add the current; a ``next`` reset that drops it
        (3)      only to subtract: a ``next`` reset its amount, an ``immediate`` one later, after saturating and comparing here
        write    saturate, compare, reset, and write the state
        output   spike or tick

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

    Members
    -------
    valid, sum, weight, sample_end : ``In(1)``, ``In(signed(layer.current_bits))``, ``In(signed(layer.weight_bits))``, ``In(1)``
        Result of the next neuron, in ascending order, from an :class:`~rtl_gen.accumulator.Accumulator`.
    take, take_last : ``Out(1)``
        The result is taken; it was the last of its tile.
    o : ``Out(stream.Signature(event_layout(layer.output_address_bits)))``
        Spikes in ascending order, then the tick.
    state_read, parameters_read : ``Out(1)``
        The memory is read; the latter only if there are parameters that differ between neurons.
    state_write, state_neuron, state_value, state_spike : ``Out``
        A new state is written: of which neuron, its value, and whether the neuron fired.
    """

    def __init__(self, layer: LayerPlan):
        self.layer = layer
        super().__init__(({"parameters_read": Out(1)} if layer.parameter_bits else {}) | {
            "valid": In(1),
            "sum": In(signed(layer.current_bits)),
            "weight": In(signed(layer.weight_bits)),
            "sample_end": In(1),
            "take": Out(1),
            "take_last": Out(1),
            "o": Out(stream.Signature(event_layout(layer.output_address_bits))),
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
            m.d.sync += [neuron.eq(neuron + 1), neuron_last.eq((neuron == layer.outputs - 2) | (layer.outputs == 1))]
            m.d.sync += tile_last.eq(self._before_tile_last(m, neuron, tile_last) | (neuron == layer.outputs - 2) | (layer.lanes == 1))
            with m.If(neuron_last):
                m.d.sync += [neuron.eq(0), pause.eq(pause_slots(layer)), ending.eq(self.sample_end)]
        with m.Elif(run & pause.any()):
            m.d.sync += pause.eq(pause - 1)
            with m.If(tick):
                m.d.sync += fresh.eq(ending if layer.spec.clear == "sample" else 0)

        pipeline = _Pipeline(m, run)
        valids = pipeline.delays(self.take, "valid", last_stage, reset_less=False)
        ticks = pipeline.delays(tick, "tick", last_stage, reset_less=False)
        endings = pipeline.delays(ending, "ending", last_stage)

        # Memories. A write and a read of one neuron never meet: `pause_slots` keeps them apart.
        m.submodules.membranes = membranes = memory.Memory(shape=signed(layer.state_bits), depth=layer.outputs, init=[])
        read_port = membranes.read_port()
        write_port = membranes.write_port()
        parameters = self._parameters(m, pipeline, neuron)
        m.d.comb += [
            self.state_read.eq(self.take & ~fresh),
            read_port.en.eq(self.state_read),
            read_port.addr.eq(neuron),
            write_port.en.eq(self.state_write),
            write_port.addr.eq(self.state_neuron),
            write_port.data.eq(self.state_value),
        ]
        stored = Signal(signed(layer.state_bits))
        m.d.comb += stored.eq(Mux(pipeline.delay(fresh, "fresh_1"), layer.spec.start, read_port.data))

        value, spike = _Neuron(layer, pipeline, parameters).update(stored, pipeline.delay(self.sum + self.weight, "current", layer.current_bits))
        m.d.comb += [
            self.state_write.eq(valids[last_stage] & run),
            self.state_value.eq(value),
            self.state_spike.eq(spike),
        ]
        address = Signal(layer.output_address_bits, reset_less=True)
        m.d.comb += self.o.payload.address.eq(address)
        with m.If(run):
            with m.If(ticks[last_stage]):
                m.d.sync += self.state_neuron.eq(0)
            with m.Elif(valids[last_stage]):
                m.d.sync += self.state_neuron.eq(self.state_neuron + 1)
            m.d.sync += [
                self.o.valid.eq((valids[last_stage] & spike) | ticks[last_stage]),
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

    def _parameters(self, m: Module, pipeline: "_Pipeline", neuron: Signal) -> "_Parameters":
        """Return the parameters of a neuron; those that differ between neurons are read beside its state."""
        spec = self.layer.spec
        arrays = {"threshold": spec.threshold, "bias": spec.bias, "reset_amount": _reset_amount(self.layer), "factor": spec.decay.factor}
        widths = self.layer.parameter_bits
        values: dict[str, Value] = {}
        if widths:
            words = pack_words([(np.asarray(arrays[name]).tolist(), bits) for name, bits in widths.items()])
            m.submodules.parameters = rom = memory.Memory(shape=unsigned(sum(widths.values())), depth=self.layer.outputs, init=words)
            port = rom.read_port()
            m.d.comb += [self.parameters_read.eq(self.take), port.en.eq(self.take), port.addr.eq(neuron)]
            offset = 0
            for name, bits in widths.items():
                values[name] = port.data[offset:offset + bits].as_signed()
                offset += bits
        for name, array in arrays.items():
            if array is not None and name not in values:
                number = int(np.asarray(array))
                values[name] = Const(number, signed(Interval(number, number).bits))
        return _Parameters(values, pipeline)


def _reset_amount(layer: LayerPlan) -> np.ndarray:
    """Return what a reset subtracts or sets: after the decay by a shift, where the reset comes before the decay."""
    spec = layer.spec
    amount = np.asarray(spec.reset_amount)
    if spec.reset == "value" and spec.reset_time == "next" and spec.input_on_reset == "keep" and spec.decay.kind == "shift":
        return spec.decay(amount)
    return amount


class _Pipeline:
    """Registers that move when `run` is high."""

    def __init__(self, m: Module, run: Signal):
        self._m, self._run = m, run

    def delay(self, value: Value, name: str, bits: int | None = None, *, reset_less: bool = True) -> Signal:
        """Return `value` one stage later, as a signed word if `bits` are given."""
        value = Value.cast(value)
        register = Signal(value.shape() if bits is None else signed(bits), name=name, reset_less=reset_less)
        with self._m.If(self._run):
            self._m.d.sync += register.eq(value)
        return register

    def delays(self, value: Value, name: str, stages: int, *, reset_less: bool = True) -> list[Value]:
        """Return `value` in each stage, from 0 to `stages`."""
        values = [Value.cast(value)]
        for stage in range(1, stages + 1):
            values.append(self.delay(values[-1], f"{name}_{stage}", reset_less=reset_less))
        return values


class _Parameters:
    """Parameters of the neuron that is in a stage: constants, or what was read, delayed as far as it is used."""

    def __init__(self, values: dict[str, Value], pipeline: _Pipeline):
        self._stages = {name: {1: value} for name, value in values.items()}
        self._pipeline = pipeline

    def __call__(self, name: str, stage: int) -> Value:
        stages = self._stages[name]
        if isinstance(stages[1], Const):
            return stages[1]
        for later in range(max(stages) + 1, stage + 1):
            stages[later] = self._pipeline.delay(stages[later - 1], f"{name}_{later}")
        return stages[stage]


class _Neuron:
    """Datapath of an update, from stage 1 to the write stage."""

    def __init__(self, layer: LayerPlan, pipeline: _Pipeline, parameter: _Parameters):
        self.layer, self.spec = layer, layer.spec
        self._delay, self._parameter = pipeline.delay, parameter

    def update(self, stored: Value, current: Value) -> tuple[Value, Value]:
        """Return the new state and the spike in the write stage, from the stored state and the sum in stage 1."""
        spec, delay, parameter = self.spec, self._delay, self._parameter
        later = spec.reset_time == "next" and spec.reset != "none"
        target = spec.reset in ("zero", "value")
        replaced = later and target and spec.input_on_reset == "keep"  # the reset comes before the decay
        fired = stored >= parameter("threshold", 1) if later else Const(0)

        stage = 1
        if spec.decay.kind == "mul":
            operand = delay(Mux(fired, parameter("reset_amount", 1), stored) if replaced else stored, "operand", self.layer.state_bits)
            fired, current, stage = delay(fired, "fired_1"), delay(current, "current_1"), 2
            product = delay(operand * parameter("factor", 2), "product")
            decayed = product[spec.decay.shift:].as_signed()
        else:
            leaked = stored - (stored >> spec.decay.shift) if spec.decay.kind == "shift" else stored
            decayed = delay(Mux(fired, parameter("reset_amount", 1), leaked) if replaced else leaked, "decayed", self.layer.state_bits)
        bias = parameter("bias", stage)
        drive = delay((current << spec.frac) + bias, "drive")
        fired, stage = delay(fired, "fired_drive"), stage + 1

        exact = decayed + drive
        if later and target and not replaced:
            exact = Mux(fired, parameter("reset_amount", stage), exact)
        total = delay(exact, "total", self.layer.update_bits)
        fired, stage = delay(fired, "fired_total"), stage + 1
        if later and spec.reset == "subtract":
            total = delay(total - Mux(fired, parameter("reset_amount", stage), 0), "remainder", self.layer.update_bits)
            stage += 1

        state, spike = self._saturate(total), self._compare(total, parameter("threshold", stage))
        if spec.reset_time == "immediate" and spec.reset == "subtract":
            state, spike, stage = delay(state, "state"), delay(spike, "spike"), stage + 1
            state = state - Mux(spike, parameter("reset_amount", stage), 0)
        elif spec.reset_time == "immediate" and target:
            state = Mux(spike, parameter("reset_amount", stage), state)
        assert stage == write_stage(self.layer), "the schedule of the plan and the pipeline must agree"
        return state, spike

    def _saturate(self, total: Value) -> Value:
        """Clip to the state word, by the signs alone: outside it the bits above the word differ."""
        bits = self.layer.state_bits
        if self.spec.overflow == "exact" or len(total) <= bits:
            return total
        above, sign = total[bits - 1:], total[-1]
        inside = above.all() | ~above.any()
        return Mux(inside, total[:bits], Cat((~sign).replicate(bits - 1), sign)).as_signed()

    def _compare(self, total: Value, threshold: Value) -> Value:
        """Return whether the saturated total reaches the threshold.

        Saturation cannot change the answer, unless the threshold is the lowest word, which every word reaches.
        """
        lowest, _ = signed_range(self.layer.state_bits)
        reached = total >= threshold
        if self.spec.overflow == "saturate" and np.min(self.spec.threshold) == lowest:
            reached = reached | (threshold == lowest)
        return reached

"""One core: the events, the weighted sums and the neurons of a layer."""

from amaranth.hdl import Module, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from rtl_gen.accumulator import Accumulator
from rtl_gen.events import EventBitmap, EventBuffer, event_layout
from rtl_gen.finaliser import Finaliser, adjust_members
from rtl_gen.loader import address_bits
from rtl_gen.queued import QueuedWalker
from rtl_gen.walker import Walker, input_value
from snnhw.plan import LayerPlan
from snnhw.plan.accesses import access_bits, access_names
from snnhw.plan.queued import Queued

__all__ = ["Layer"]


class Layer(wiring.Component):
    """Core of one layer: event-driven.

    The events of a timestep are collected while those of the one before are added. With dense synapses the core is
    output-stationary: a timestep takes ``tiles * max(1, events)`` cycles, or ``outputs + pause_slots(layer)`` if that is more.
    All others walk lists, see :class:`~rtl_gen.walker.Walker`. :mod:`snnhw.plan.cycles` has the exact schedule.

    Parameters
    ----------
    layer : LayerPlan
        What it computes, and how.
    controlled : bool
        There is a control port.

    Members
    -------
    i : ``In(stream.Signature(event_layout(layer.input_address_bits, input_value(layer))))``
        Spikes and ticks of the presynaptic neurons.
    o : ``Out(stream.Signature(event_layout(layer.output_address_bits, layer.value_bits)))``
        Spikes of a timestep in ascending order, then its tick.
    trace_valid, trace_neuron, trace_membrane, trace_spike : ``Out``
        A new state is written: of which neuron, its value, and whether the neuron fired.
    events_write, sources_read, weights_read, accumulate, finalise, ... : ``Out(1)``
        :func:`~snnhw.plan.accesses.access_names`: high for one cycle per access, of a memory, of the accumulators (`lanes`
        additions), of the finaliser (one neuron).
    clearing : ``Out(1)``
        Only of cores that walk lists, or keep events as bits: no event may come yet, memories are cleared after a reset.
    load_active, load_write, load_address, load_data : ``In``
        Only with loaded weights, see :class:`~rtl_gen.accumulator.Accumulator`.
    adjust_threshold, adjust_decay, adjust_synapse, saturations :
        Only if `controlled`, see :class:`~rtl_gen.finaliser.Finaliser`.
    """

    def __init__(self, layer: LayerPlan, *, controlled: bool = False):
        self.layer, self.controlled = layer, controlled
        weights, *_ = layer.memories
        members: dict[str, object] = {
            "i": In(stream.Signature(event_layout(layer.input_address_bits, input_value(layer)))),
            "o": Out(stream.Signature(event_layout(layer.output_address_bits, layer.value_bits))),
            "trace_valid": Out(1),
            "trace_neuron": Out(layer.output_address_bits),
            "trace_membrane": Out(signed(layer.state_bits)),
            "trace_spike": Out(1),
        }
        members |= {name: Out(access_bits(layer, name)) for name in access_names(layer)}
        if layer.clears:
            members["clearing"] = Out(1)
        if layer.weights_loaded:
            members |= {"load_active": In(1), "load_write": In(1), "load_address": In(address_bits(weights.depth)),
                        "load_data": In(weights.width)}
        if controlled:
            members |= adjust_members(layer) | {"saturations": Out(2)}
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        layer = self.layer
        m.submodules.finaliser = finaliser = Finaliser(layer, controlled=self.controlled)
        m.submodules.event_list = events = self._events()
        connect(m, flipped(self.i), events.i)
        if isinstance(events, EventBitmap):
            m.d.comb += [self.clearing.eq(events.clearing), self.events_clear.eq(events.clear)]
        sums = self._walker(m, events) if layer.scattered else self._accumulator(m, finaliser)
        connect(m, finaliser.o, flipped(self.o))
        m.d.comb += [
            finaliser.valid.eq(sums.valid),
            finaliser.sum.eq(sums.sum),
            finaliser.sample_end.eq(sums.sample_end),
            sums.slot.eq(events.slot),
            sums.address.eq(events.address),
            events.advance.eq(sums.advance),
            self.events_write.eq(events.write),
            self.events_read.eq(events.read),
            sums.take.eq(finaliser.take),
            self.trace_valid.eq(finaliser.state_write),
            self.trace_neuron.eq(finaliser.state_neuron),
            self.trace_membrane.eq(finaliser.state_value),
            self.trace_spike.eq(finaliser.state_spike),
            self.weights_read.eq(sums.read if not layer.scattered else sums.weights_read),
            self.accumulate.eq(sums.accumulate),
            self.finalise.eq(finaliser.take),
            self.membranes_read.eq(finaliser.state_read),
            self.membranes_write.eq(finaliser.state_write),
        ]
        if layer.parameter_bits:
            m.d.comb += self.parameters_read.eq(finaliser.parameters_read)
        if layer.weights_loaded:
            m.d.comb += [getattr(sums, name).eq(getattr(self, name))
                         for name in ("load_active", "load_write", "load_address", "load_data")]
        if self.controlled:
            m.d.comb += self.saturations.eq(finaliser.saturations)
            m.d.comb += [getattr(finaliser, name).eq(getattr(self, name)) for name in adjust_members(layer)]
        return m

    def _events(self) -> EventBuffer | EventBitmap:
        """Return what collects the events of a timestep."""
        layer = self.layer
        if layer.events == "bitmap":
            return EventBitmap(inputs=layer.inputs, address_bits=layer.input_address_bits, tiles=layer.tiles)
        return EventBuffer(inputs=layer.inputs, address_bits=layer.input_address_bits, value_bits=layer.input_value_bits,
                           tiles=1 if layer.scattered else layer.tiles)

    def _accumulator(self, m: Module, finaliser: Finaliser) -> Accumulator:
        """Build the accumulators of dense synapses."""
        m.submodules.accumulator = accumulator = Accumulator(self.layer)
        m.d.comb += [finaliser.weight.eq(accumulator.weight), accumulator.take_last.eq(finaliser.take_last)]
        return accumulator

    def _walker(self, m: Module, events: EventBuffer | EventBitmap) -> Walker | QueuedWalker:
        """Build the walker of all other synapses."""
        m.submodules.walker = walker = (QueuedWalker if isinstance(self.layer.synapses, Queued) else Walker)(self.layer)
        m.d.comb += [getattr(self, name).eq(getattr(walker, name))
                     for name in ("sources_read", "currents_read", "currents_clear", "clearing")
                     if name in self.signature.members]
        if self.layer.input_value_bits:
            m.d.comb += walker.value.eq(events.value)
        return walker

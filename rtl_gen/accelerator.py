"""The accelerator: one core per layer, joined by streams, behind AXI4-Stream ports."""

from itertools import pairwise

from amaranth.hdl import ClockDomain, DomainRenamer, Fragment, Module, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect

from rtl_gen.events import event_layout
from rtl_gen.layer import Layer
from rtl_gen.loader import WeightLoader
from rtl_gen.registers import InputRegister, OutputRegister
from snnhw.plan import LayerPlan, Plan

__all__ = ["DOMAIN", "Accelerator"]

DOMAIN = "axis"  # not sync: a domain of the design around the core must not reach in under that name


def _bytes(bits: int) -> int:
    """Return `bits` padded to whole bytes, in bits."""
    return -(-bits // 8) * 8


class Accelerator(wiring.Component):
    """Spikes of a sample in, spikes of the last layer out, timestep by timestep.

    A beat with ``tlast`` low is a spike of the neuron ``tdata``; each neuron at most once per timestep, in
    any order. A beat with ``tlast`` high ends the timestep, its ``tdata`` is ignored (0 on the output), and
    ``tuser`` high on it ends the sample. Output spikes of a timestep are in ascending order; its tick has the
    ``tuser`` of the input tick. No input reaches an output without a register.

    Parameters
    ----------
    plan : Plan
        What is built.
    trace : bool
        Also bring every new state out.

    Members
    -------
    aclk, aresetn : ``In(1)``
        Clock, and synchronous reset, active low. Weights that were loaded must be loaded again after a reset.
    s_axis_*, m_axis_* :
        AXI4-Stream in and out: ``tvalid``, ``tready``, ``tdata`` (whole bytes), ``tlast``, ``tuser``.
    s_axis_weights_* :
        ``tvalid``, ``tready``, ``tdata``; only with loaded weights. ``plan.loaded_words`` words, layer by layer.
        No spike is accepted before all are in.
    trace{k}_valid, trace{k}_neuron, trace{k}_membrane, trace{k}_spike : ``Out``
        Only with `trace`: layer k writes a new state.
    """

    def __init__(self, plan: Plan, *, trace: bool = False):
        self.plan, self.trace = plan, trace
        first, last = plan.layers[0], plan.layers[-1]
        members: dict[str, object] = {"aclk": In(1), "aresetn": In(1)}
        sides = ("s_axis", In, Out, first.input_address_bits), ("m_axis", Out, In, last.output_address_bits)
        for prefix, flow, back, bits in sides:
            members |= {f"{prefix}_tvalid": flow(1), f"{prefix}_tready": back(1), f"{prefix}_tdata": flow(_bytes(bits)),
                        f"{prefix}_tlast": flow(1), f"{prefix}_tuser": flow(1)}
        if self.loaded:
            width = max(layer.memories[0].width for layer in self.loaded)
            members |= {"s_axis_weights_tvalid": In(1), "s_axis_weights_tready": Out(1),
                        "s_axis_weights_tdata": In(_bytes(width))}
        if trace:
            for k, layer in enumerate(plan.layers):
                members |= {f"trace{k}_valid": Out(1), f"trace{k}_neuron": Out(layer.output_address_bits),
                            f"trace{k}_membrane": Out(signed(layer.state_bits)), f"trace{k}_spike": Out(1)}
        super().__init__(members)
        self.cores = tuple(Layer(layer) for layer in plan.layers)

    @property
    def loaded(self) -> tuple[LayerPlan, ...]:
        """Layers whose weights are loaded."""
        return tuple(layer for layer in self.plan.layers if layer.weights_loaded)

    def elaborate(self, platform: object) -> Fragment:
        m = Module()
        first, last = self.plan.layers[0], self.plan.layers[-1]
        domain = ClockDomain(DOMAIN, local=True)
        m.domains += domain
        m.d.comb += [domain.clk.eq(self.aclk), domain.rst.eq(~self.aresetn)]

        m.submodules.input_register = source = InputRegister(event_layout(first.input_address_bits))
        m.submodules.output_register = sink = OutputRegister(event_layout(last.output_address_bits))
        for k, core in enumerate(self.cores):
            m.submodules[f"layer{k}"] = core
        connect(m, source.o, self.cores[0].i)
        for producer, consumer in pairwise(self.cores):
            connect(m, producer.o, consumer.i)
        connect(m, self.cores[-1].o, sink.i)

        m.d.comb += [
            source.i.valid.eq(self.s_axis_tvalid),
            source.i.payload.address.eq(self.s_axis_tdata),
            source.i.payload.tick.eq(self.s_axis_tlast),
            source.i.payload.last.eq(self.s_axis_tuser),
            self.s_axis_tready.eq(source.i.ready),
            self.m_axis_tvalid.eq(sink.o.valid),
            self.m_axis_tdata.eq(sink.o.payload.address),
            self.m_axis_tlast.eq(sink.o.payload.tick),
            self.m_axis_tuser.eq(sink.o.payload.last & sink.o.payload.tick),
            sink.o.ready.eq(self.m_axis_tready),
        ]
        if self.loaded:
            memories = [layer.memories[0] for layer in self.loaded]
            m.submodules.loader = loader = WeightLoader(depths=tuple(memory.depth for memory in memories),
                                                        width=max(memory.width for memory in memories))
            m.d.comb += [
                loader.i.valid.eq(self.s_axis_weights_tvalid),
                loader.i.payload.eq(self.s_axis_weights_tdata),
                self.s_axis_weights_tready.eq(loader.i.ready),
                source.i.valid.eq(self.s_axis_tvalid & loader.done),
                self.s_axis_tready.eq(source.i.ready & loader.done),
            ]
            for position, core in enumerate(core for core in self.cores if core.layer.weights_loaded):
                m.d.comb += [
                    core.load_active.eq(~loader.done),
                    core.load_write.eq(loader.write[position]),
                    core.load_address.eq(loader.address),
                    core.load_data.eq(loader.i.payload),
                ]
        if self.trace:
            for k, core in enumerate(self.cores):
                for name in ("valid", "neuron", "membrane", "spike"):
                    m.d.comb += getattr(self, f"trace{k}_{name}").eq(getattr(core, f"trace_{name}"))
        return DomainRenamer(DOMAIN)(m)

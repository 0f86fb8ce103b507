"""The accelerator: one core per layer, joined by streams, behind AXI4-Stream ports."""

from collections.abc import Sequence

from amaranth.hdl import Cat, ClockDomain, DomainRenamer, Fragment, Module, Mux, Value, signed
from amaranth.lib import wiring
from amaranth.lib.data import StructLayout
from amaranth.lib.wiring import In, Out, connect

from rtl_gen.checksum import WeightIntake
from rtl_gen.control import ControlBank
from rtl_gen.control_ports import control_port, port_members
from rtl_gen.decision import Decider
from rtl_gen.events import event_layout
from rtl_gen.layer import Layer
from rtl_gen.loader import WeightLoader
from rtl_gen.registers import InputRegister, OutputRegister
from rtl_gen.routing import Fork, Merge, Queue
from rtl_gen.walker import input_value
from snnhw.plan import LayerPlan, Plan
from snnhw.plan.registers import register_map

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
    m_axis_result_* :
        ``tvalid``, ``tready``, ``tdata``, ``tlast``; only of a plan that decides. One beat for each sample, of which
        :class:`~snnhw.plan.decision.DecisionPlan` has the layout, so `tlast` is high with it. While it is not taken, the last
        tick of the next sample waits, and all behind it; :class:`~rtl_gen.decision.Decider` says how late it comes.
    s_axi_control_*, wb_* :
        Only with a control port, see :mod:`rtl_gen.control_ports`.
    trace{k}_valid, trace{k}_neuron, trace{k}_membrane, trace{k}_spike : ``Out``
        Only with `trace`: layer k writes a new state.
    """

    def __init__(self, plan: Plan, *, trace: bool = False):
        self.plan, self.trace = plan, trace
        members: dict[str, object] = {"aclk": In(1), "aresetn": In(1)}
        sides = ("s_axis", In, Out, plan.input_bits), ("m_axis", Out, In, plan.output_bits)
        for prefix, flow, back, bits in sides:
            members |= {f"{prefix}_tvalid": flow(1), f"{prefix}_tready": back(1), f"{prefix}_tdata": flow(_bytes(bits)),
                        f"{prefix}_tlast": flow(1), f"{prefix}_tuser": flow(1)}
        if self.loaded:
            width = max(layer.memories[0].width for layer in self.loaded)
            members |= {"s_axis_weights_tvalid": In(1), "s_axis_weights_tready": Out(1),
                        "s_axis_weights_tdata": In(_bytes(width))}
        if plan.decision is not None:
            members |= {"m_axis_result_tvalid": Out(1), "m_axis_result_tready": In(1),
                        "m_axis_result_tdata": Out(8 * plan.decision.result_bytes), "m_axis_result_tlast": Out(1)}
        if plan.control is not None:
            members |= port_members(plan.control, register_map(plan).address_bits)
        if trace:
            for k, layer in enumerate(plan.layers):
                members |= {f"trace{k}_valid": Out(1), f"trace{k}_neuron": Out(layer.output_address_bits),
                            f"trace{k}_membrane": Out(signed(layer.state_bits)), f"trace{k}_spike": Out(1)}
        super().__init__(members)
        self.cores = tuple(Layer(layer, controlled=plan.control is not None) for layer in plan.layers)
        self.domains: dict[str, str] = {}  # of submodules that have a reset of their own, see :func:`convert_hierarchy`

    @property
    def loaded(self) -> tuple[LayerPlan, ...]:
        """Layers whose weights are loaded."""
        return tuple(layer for layer in self.plan.layers if layer.weights_loaded)

    def elaborate(self, platform: object) -> Fragment:
        m = Module()
        plan = self.plan
        domain = ClockDomain(DOMAIN, local=True)
        m.domains += domain
        m.d.comb += [domain.clk.eq(self.aclk), domain.rst.eq(~self.aresetn)]

        m.submodules.input_register = source = InputRegister(self._layout(None))
        m.submodules.output_register = sink = OutputRegister(self._layout(plan.output))
        for k, core in enumerate(self.cores):
            m.submodules[f"layer{k}"] = core
        others = []
        if plan.decision is not None:
            m.submodules.decision = decider = Decider(plan.decision, value_bits=plan.last.value_bits,
                                                     address_bits=plan.last.output_address_bits)
            others.append(decider.i)
            m.d.comb += [
                self.m_axis_result_tvalid.eq(decider.o.valid),
                self.m_axis_result_tdata.eq(decider.o.payload),
                self.m_axis_result_tlast.eq(decider.o.valid),
                decider.o.ready.eq(self.m_axis_result_tready),
            ]
        self._join(m, source, [sink.i, *others])

        payload, result = source.i.payload, sink.o.payload
        m.d.comb += [
            source.i.valid.eq(self.s_axis_tvalid),
            payload.address.eq(self.s_axis_tdata),
            payload.tick.eq(self.s_axis_tlast),
            payload.last.eq(self.s_axis_tuser),
            self.s_axis_tready.eq(source.i.ready),
            self.m_axis_tvalid.eq(sink.o.valid),
            self.m_axis_tlast.eq(result.tick),
            self.m_axis_tuser.eq(result.last & result.tick),
            sink.o.ready.eq(self.m_axis_tready),
        ]
        if plan.input_value_bits:
            m.d.comb += payload.value.eq(self.s_axis_tdata[plan.input_address_bits:])
        if plan.last.output_value_bits:
            m.d.comb += self.m_axis_tdata.eq(Mux(result.tick, 0, Cat(result.address, result.value)))
        else:
            m.d.comb += self.m_axis_tdata.eq(result.address)
        closed: list[Value] = [core.clearing for core in self.cores if core.layer.clears]  # no event may come in yet
        if self.loaded:
            memories = [layer.memories[0] for layer in self.loaded]
            m.submodules.loader = loader = WeightLoader(depths=tuple(memory.depth for memory in memories),
                                                        width=max(memory.width for memory in memories))
            m.d.comb += [
                loader.i.valid.eq(self.s_axis_weights_tvalid),
                loader.i.payload.eq(self.s_axis_weights_tdata),
                self.s_axis_weights_tready.eq(loader.i.ready),
            ]
            closed.append(~loader.done)
            for position, core in enumerate(core for core in self.cores if core.layer.weights_loaded):
                m.d.comb += [
                    core.load_active.eq(~loader.done),
                    core.load_write.eq(loader.write[position]),
                    core.load_address.eq(loader.address),
                    core.load_data.eq(loader.i.payload),
                ]
        if plan.control is not None:
            m.submodules.control = bank = ControlBank(plan)
            closed.append(~bank.taking)
        if closed:
            m.d.comb += [source.i.valid.eq(self.s_axis_tvalid & ~Cat(closed).any()),
                         self.s_axis_tready.eq(source.i.ready & ~Cat(closed).any())]
        if self.trace:
            for k, core in enumerate(self.cores):
                for name in ("valid", "neuron", "membrane", "spike"):
                    m.d.comb += getattr(self, f"trace{k}_{name}").eq(getattr(core, f"trace_{name}"))
        if plan.control is not None:
            return self._controlled(m, bank)
        return DomainRenamer(DOMAIN)(m)

    def _controlled(self, m: Module, bank: ControlBank) -> Fragment:
        """Join the control port. What it can clear, and what it can load again, have resets of their own."""
        plan = self.plan
        assert plan.control is not None
        m.submodules.control_port = port = control_port(plan.control, register_map(plan).address_bits)
        connect(m, port.bus, bank.bus)
        for name, member in port_members(plan.control, port.address_bits).items():
            outer, inner = getattr(self, name), getattr(port, name)
            m.d.comb += inner.eq(outer) if member.flow is In else outer.eq(inner)
        m.d.comb += [
            bank.s_valid.eq(self.s_axis_tvalid), bank.s_ready.eq(self.s_axis_tready), bank.s_tick.eq(self.s_axis_tlast),
            bank.m_valid.eq(self.m_axis_tvalid), bank.m_ready.eq(self.m_axis_tready), bank.m_tick.eq(self.m_axis_tlast),
        ]
        for k, core in enumerate(self.cores):
            for name, member in bank.signals[k].items():
                outer = {"valid": core.o.valid, "ready": core.o.ready, "tick": core.o.payload.tick}.get(name)
                outer, inner = getattr(core, name) if outer is None else outer, getattr(bank, f"layer{k}_{name}")
                m.d.comb += inner.eq(outer) if member.flow is In else outer.eq(inner)
        resets = {"run": bank.clear}
        if self.loaded:
            loader = m.submodules.loader
            m.submodules.intake = intake = WeightIntake(width=len(loader.i.payload), words=plan.loaded_words)
            resets["load"] = bank.reload
            m.d.comb += [
                intake.i.valid.eq(self.s_axis_weights_tvalid),
                intake.i.payload.eq(self.s_axis_weights_tdata),
                self.s_axis_weights_tready.eq(intake.i.ready),
                loader.i.valid.eq(intake.write),
                loader.i.payload.eq(intake.word),
                bank.loaded.eq(loader.done), bank.complete.eq(intake.complete),
                bank.count.eq(intake.count), bank.crc.eq(intake.crc),
                intake.chunk.eq(bank.chunk), intake.chunk_valid.eq(bank.chunk_valid), bank.chunk_ready.eq(intake.chunk_ready),
            ]
        for name, reset in resets.items():
            m.domains += (inner := ClockDomain(name, local=True))
            m.d.comb += [inner.clk.eq(self.aclk), inner.rst.eq(~self.aresetn | reset)]
        fragment = Fragment.get(m, None)
        for index, (child, name, location) in enumerate(fragment.subfragments):
            self.domains[name] = {"control": DOMAIN, "control_port": DOMAIN, "loader": "load", "intake": "load"}.get(name, "run")
            fragment.subfragments[index] = DomainRenamer(self.domains[name])(child), name, location
        return DomainRenamer(DOMAIN)(fragment)

    def _join(self, m: Module, source: InputRegister, sinks: Sequence[wiring.PureInterface]) -> None:
        """Join the cores: what several take is forked, what one takes from several is merged; `sinks` take the output."""
        plan = self.plan
        takers: dict[int | None, list[tuple[int, int]]] = {}  # for each producer: core and place among its sources
        for layer in plan.layers:
            for place, given in enumerate(layer.sources):
                takers.setdefault(given.core, []).append((layer.index, place))
        entries: dict[tuple[int, int], wiring.PureInterface] = {}
        for core, layer in zip(self.cores, plan.layers, strict=True):
            if not layer.merged:
                entries[layer.index, 0] = core.i
                continue
            layouts = tuple(self._layout(given.core) for given in layer.sources)
            merge = Merge(layer.sources, layouts, event_layout(layer.input_address_bits, input_value(layer)))
            m.submodules[f"merge{layer.index}"] = merge
            connect(m, merge.o, core.i)
            for place, given in enumerate(layer.sources):
                entry = getattr(merge, f"i{place}")
                if given.queue:
                    m.submodules[f"queue{layer.index}_{place}"] = queue = Queue(layouts[place], given.queue)
                    connect(m, queue.o, entry)
                    entry = queue.i
                entries[layer.index, place] = entry
        for producer in (None, *range(len(self.cores))):
            given = source.o if producer is None else self.cores[producer].o
            ends = [entries[taker] for taker in takers.get(producer, [])] + ([*sinks] if producer == plan.output else [])
            if len(ends) > 1:
                name = "fork_input" if producer is None else f"fork{producer}"
                m.submodules[name] = fork = Fork(self._layout(producer), len(ends))
                connect(m, given, fork.i)
                for output, end in zip(fork.o, ends, strict=True):
                    connect(m, output, end)
            elif ends:
                connect(m, given, ends[0])

    def _layout(self, producer: int | None) -> StructLayout:
        """Return the payload of the events of a core, or of the input."""
        if producer is None:
            bits = self.plan.input_value_bits
            return event_layout(self.plan.input_address_bits, signed(bits) if bits else 0)
        layer = self.plan.layers[producer]
        return event_layout(layer.output_address_bits, layer.value_bits)

"""The registers of an accelerator behind its control port, as :mod:`snnhw.plan.registers` lays them out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Member, Out

from rtl_gen.control_ports import LocalBus
from rtl_gen.finaliser import adjust_members
from snnhw.fixed import unsigned_bits
from snnhw.plan import LayerPlan, Plan
from snnhw.plan.accesses import access_bits, access_names
from snnhw.plan.registers import (
    COUNTERS,
    STRIDE,
    TOTALS,
    WORD_BITS,
    Block,
    Register,
    checksum,
    layer_counters,
    register_map,
)

__all__ = ["ControlBank", "Counters", "LayerRegisters", "layer_signals", "steps_bits"]

Values = dict[tuple[str, str], Value]  # what a field is, by register and field

_PLACE_BITS = unsigned_bits(STRIDE // 4 - 1)  # of a word in its block


def steps_bits(plan: Plan) -> int:
    """Return the width of a number of timesteps: more than there can be in the accelerator at a time."""
    waiting = sum(source.queue for layer in plan.layers for source in layer.sources)
    return unsigned_bits(16 * (len(plan.layers) + 1) + waiting)


def _merge(old: Value, data: Value, strobe: Value) -> Value:
    """Return a word of which the bytes that `strobe` names are written."""
    return Cat(Mux(strobe[byte], data.word_select(byte, 8), old.word_select(byte, 8)) for byte in range(WORD_BITS // 8))


def _word(m: Module, block: str, register: Register, values: Mapping[str, Value]) -> Value:
    """Return the word that is read of a register; `values` holds its fields that change, by name."""
    parts: list[Value] = []
    place = 0
    for item in register.fields:
        field: Value = Const(0 if item.access == "wo" else item.reset, item.bits)
        if not item.constant and item.access != "wo":
            field = Signal(item.bits, name=f"{block}_{register.name}_{item.name}")
            m.d.comb += field.eq(values[item.name])
        parts += [Const(0, item.lsb - place), field]
        place = item.lsb + item.bits
    return Cat(*parts, Const(0, WORD_BITS - place))


def _is(number: Value, constant: int) -> Value:
    """Return whether `number` is `constant`. (Yosys writes a comparison with 0 as ``!``, of which linters complain.)"""
    return number == constant if constant else ~number.any()


def _is_one_of(number: Value, constants: Sequence[int]) -> Value:
    """Return whether `number` is one of `constants`, which are ascending, by their runs."""
    starts = [value for index, value in enumerate(constants) if not index or constants[index - 1] != value - 1]
    ends = [value for index, value in enumerate(constants) if index == len(constants) - 1 or constants[index + 1] != value + 1]
    return Cat((number >= start if start else Const(1)) & (number <= end) for start, end in zip(starts, ends, strict=True)).any()


def _select(place: Value, values: Mapping[int, Value]) -> Value:
    """Return the value at a place, 0 where there is none."""
    return reduce(or_, (Mux(_is(place, index), value, 0) for index, value in values.items()))


class Counters(wiring.Component):
    """Counters of two words each.

    A counter takes its carry into the upper word one cycle late, so that no carry is longer than a word.

    Parameters
    ----------
    steps : sequence of int
        For each counter, the width of what is added to it in a cycle.
    word_bits : int
        Width of each of its two words.

    Members
    -------
    step{k} : ``In(steps[k])``
        Added to counter k.
    clear : ``In(1)``
        All are set to 0; what is added in the same cycle is lost.
    place : ``In``
        Which counter is read.
    low : ``Out(word_bits)``
        Lower word of the counter, of the cycle before.
    high : ``Out(word_bits)``
        Upper word that belonged to the lower one of the cycle before; so both are of one count when `high` is taken one cycle
        after `low`.
    """

    def __init__(self, steps: Sequence[int], *, word_bits: int = WORD_BITS):
        if not steps or min(steps) < 1:
            raise ValueError(f"Steps must be positive, and at least one, not {tuple(steps)}")
        self.steps, self.word_bits = tuple(steps), word_bits
        super().__init__({f"step{index}": In(bits) for index, bits in enumerate(self.steps)} | {
            "clear": In(1), "place": In(unsigned_bits(len(self.steps) - 1)), "low": Out(word_bits), "high": Out(word_bits)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        lows = [Signal(self.word_bits, name=f"low_{index}") for index in range(len(self.steps))]
        highs = [Signal(self.word_bits, name=f"high_{index}") for index in range(len(self.steps))]
        for index, (low, high) in enumerate(zip(lows, highs, strict=True)):
            carry = Signal(name=f"carry_{index}")
            m.d.sync += [Cat(low, carry).eq(low + getattr(self, f"step{index}")), high.eq(high + carry)]
            with m.If(self.clear):
                m.d.sync += [low.eq(0), high.eq(0), carry.eq(0)]
        m.d.sync += [self.low.eq(_select(self.place, dict(enumerate(lows)))),
                     self.high.eq(_select(self.place, dict(enumerate(highs))))]
        return m


class LayerRegisters(wiring.Component):
    """Registers and counters of one core.

    Parameters
    ----------
    layer : LayerPlan
        The core.
    block : Block
        Its registers.

    Members
    -------
    place, data, strobe : ``In``
        Word of the block, what is written there, and which bytes.
    write : ``In(1)``
        It is written now.
    read, high : ``Out(32)``
        The word at `place` one cycle ago; upper half of the counter whose lower half was read one cycle before.
    refused : ``Out(1)``
        What is written now is no value for the register, which keeps its own.
    clear : ``In(1)``
        All counters are set to 0.
    saturations, stall, and each access signal : ``In``
        What is counted.
    adjust_* : ``Out``
        As the core takes them.
    """

    def __init__(self, layer: LayerPlan, block: Block):
        self.layer, self.block = layer, block
        self.counted = {name: 2 if name == "saturations" else access_bits(layer, name) for name in layer_counters(layer)}
        self.adjusted = {name: member.flip() for name, member in adjust_members(layer).items()}
        super().__init__({name: In(bits) for name, bits in self.counted.items()} | self.adjusted | {
            "place": In(_PLACE_BITS), "data": In(WORD_BITS), "strobe": In(WORD_BITS // 8), "write": In(1), "read": Out(WORD_BITS),
            "high": Out(WORD_BITS), "refused": Out(1), "clear": In(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        values: dict[str, Value] = {}
        for item in self.block.adjustable:
            if item.fixed:
                continue
            assert item.value is not None
            port = getattr(self, f"adjust_{item.name}")
            held = Signal(port.shape(), init=item.value, name=item.name)
            m.d.comb += port.eq(held)
            values[item.name] = held
            old = Signal(signed(WORD_BITS), name=f"{item.name}_old")
            new = Signal(signed(WORD_BITS), name=f"{item.name}_new")
            m.d.comb += [old.eq(held), new.eq(_merge(old, self.data, self.strobe))]
            with m.If(self.write & _is(self.place, self.block[item.name].offset // 4)):
                with m.If((new >= item.lowest) & (new <= item.highest)):
                    m.d.sync += held.eq(new)
                with m.Else():
                    m.d.comb += self.refused.eq(1)

        m.submodules.counters = counters = Counters(tuple(self.counted.values()))
        for index, (name, bits) in enumerate(self.counted.items()):
            step = Signal(bits, name=f"{name}_step")
            m.d.sync += step.eq(getattr(self, name))
            m.d.comb += getattr(counters, f"step{index}").eq(step)
        word = _words(m, self.block, self.place, {(item.name, item.kind): values[item.name] for item in self.block.adjustable
                                                  if item.name in values})
        _connect(m, self, counters, word, COUNTERS[0])
        return m


def _words(m: Module, block: Block, place: Value, values: Values) -> Signal:
    """Return the word at `place` one cycle later, of the registers that are no counters."""
    word = Signal(WORD_BITS, name="word")
    words = {}
    for register in block.words:
        fields = {field: value for (name, field), value in values.items() if name == register.name}
        words[register.offset // 4] = _word(m, block.name, register, fields)
    m.d.sync += word.eq(_select(place, words))
    return word


@dataclass(frozen=True)
class _Part:
    """Ends of a block of registers; all but `place` and `clear` are driven by it."""

    place: Value
    clear: Value
    read: Signal
    high: Signal


def _connect(m: Module, owner: LayerRegisters | _Part, counters: Counters, word: Value, first: int) -> None:
    """Join the counters of a block, which begin at the byte `first`, with its other registers."""
    counted = Signal(name="counted")
    place = Signal(_PLACE_BITS - 1, name="counter_place")
    m.d.sync += counted.eq(owner.place >= first // 4)
    m.d.comb += [
        place.eq(owner.place[1:] - first // 8),
        counters.place.eq(place),
        counters.clear.eq(owner.clear),
        owner.read.eq(Mux(counted, counters.low, word)),
        owner.high.eq(counters.high),
    ]


def layer_signals(layer: LayerPlan) -> dict[str, Member]:
    """Return what a control bank needs of a core: inputs, and outputs for what it adjusts."""
    signals = {name: In(access_bits(layer, name)) for name in access_names(layer)}
    signals |= {name: In(1) for name in ("valid", "ready", "tick", "trace_valid", "trace_spike")}
    signals |= {"saturations": In(2), "trace_neuron": In(layer.output_address_bits),
                "trace_membrane": In(signed(layer.state_bits))}
    return signals | {name: member.flip() for name, member in adjust_members(layer).items()}


class ControlBank(wiring.Component):
    """All registers of an accelerator, behind a local bus.

    An access takes three cycles, and a word of weights as many more as the one before it stays in the intake.

    Parameters
    ----------
    plan : Plan
        With a control port.

    Members
    -------
    bus : ``In(LocalBus(register_map(plan).address_bits))``
        Accesses.
    s_valid, s_ready, s_tick, m_valid, m_ready, m_tick : ``In(1)``
        Streams of the accelerator, as the outside sees them.
    layer{k}_* :
        For each core :func:`layer_signals`; ``valid``, ``ready`` and ``tick`` are those of its output.
    taking : ``Out(1)``
        Beats are let in.
    clear : ``Out(1)``
        For one cycle: drop everything under way.
    reload : ``Out(1)``
        Only with loaded weights, and for one cycle: forget the weights. `clear` is then high too.
    loaded, count, crc, complete : ``In``
        Only with loaded weights: they are in their memories; words that came in; their checksum; no more are wanted.
    chunk, chunk_valid, chunk_ready :
        Only with loaded weights, see :class:`~rtl_gen.checksum.WeightIntake`.
    """

    def __init__(self, plan: Plan):
        self.plan, self.map = plan, register_map(plan)
        self.signals = tuple(layer_signals(layer) for layer in plan.layers)
        members: dict[str, Member] = {"bus": In(LocalBus(self.map.address_bits))}
        members |= {f"{side}_{name}": In(1) for side in "sm" for name in ("valid", "ready", "tick")}
        members |= {f"layer{k}_{name}": member for k, signals in enumerate(self.signals) for name, member in signals.items()}
        members |= {"taking": Out(1), "clear": Out(1)}
        if plan.loaded_words:
            members |= {"reload": Out(1), "loaded": In(1), "count": In(unsigned_bits(plan.loaded_words)), "crc": In(WORD_BITS),
                        "complete": In(1), "chunk": Out(WORD_BITS), "chunk_valid": Out(1), "chunk_ready": In(1)}
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bus, core = self.bus, self.map.blocks[0]
        place, block = bus.address[:_PLACE_BITS], bus.address[_PLACE_BITS:]

        # An access: words are read in the first cycle, one is chosen in the second, the third answers and writes.
        begins = Signal()
        chooses = Signal()
        answers = Signal()
        waits = Signal()
        commit = Signal()
        m.d.comb += [
            begins.eq(bus.valid & ~chooses & ~answers),
            bus.done.eq(answers & ~waits),
            commit.eq(bus.done & bus.write),
        ]
        m.d.sync += [chooses.eq(begins), answers.eq(chooses | (answers & waits))]

        def at(name: str) -> Value:
            """Return whether the access is to a register of the whole."""
            return ~block.any() & _is(place, core[name].offset // 4)

        ignored = Signal()  # what is written now is refused
        values = self._control(m, commit, at) | self._probe(m, begins, commit, at) | self._status(m, commit, at, ignored)
        refusals: list[Value] = []
        if self.plan.loaded_words:
            refusals.append(self._window(m, answers, waits, at))
            values |= {("weights_loaded", "count"): self.count, ("weights_checksum", "crc"): self.crc}
        word = _words(m, core, place, values)
        counters = self._totals(m)
        parts = [_Part(place, self._clear_counters, Signal(WORD_BITS, name="core_read"), Signal(WORD_BITS, name="core_high"))]
        _connect(m, parts[0], counters, word, COUNTERS[1])
        for k, layer in enumerate(self.plan.layers):
            m.submodules[f"layer{k}"] = part = LayerRegisters(layer, self.map.blocks[k + 1])
            refusals.append(part.refused)
            parts.append(_Part(place, self._clear_counters, part.read, part.high))
            m.d.comb += [
                part.place.eq(place), part.data.eq(bus.data), part.strobe.eq(bus.strobe), part.clear.eq(self._clear_counters),
                part.write.eq(commit & (block == k + 1)),
            ]
            for name in part.counted:
                given = self._given(k, "valid") & ~self._given(k, "ready") if name == "stalls" else self._given(k, name)
                m.d.comb += getattr(part, name).eq(given)
            m.d.comb += [self._given(k, name).eq(getattr(part, name)) for name in part.adjusted]
        m.d.comb += ignored.eq(Cat(refusals).any())

        # The upper word of a counter is as old as the lower one that was read last.
        first = Mux(~block.any(), COUNTERS[1] // 4, COUNTERS[0] // 4)
        upper = Signal()
        kept = Signal(WORD_BITS)
        known = Signal()
        chosen = _select(block, {index: part.read for index, part in enumerate(parts)})
        high = _select(block, {index: part.high for index, part in enumerate(parts)})
        m.d.sync += [bus.read.eq(Mux(upper, kept, chosen)), upper.eq(place[0] & (place >= first)), bus.refused.eq(~known)]
        with m.If(bus.done & ~bus.write & ~place[0]):
            m.d.sync += kept.eq(high)
        m.d.comb += known.eq(_select(block, {index: _is_one_of(place, [register.offset // 4 for register in found.registers])
                                             for index, found in enumerate(self.map.blocks)}))
        return m

    def _given(self, k: int, name: str) -> Signal:
        signal = getattr(self, f"layer{k}_{name}")
        assert isinstance(signal, Signal)
        return signal

    def _control(self, m: Module, commit: Value, at: Callable[[str], Value]) -> Values:
        """Build the register that starts, stops and clears."""
        run = Signal(init=1)
        hold = Signal()
        self._clear_counters = Signal(name="clear_counters")
        data, strobe = self.bus.data, self.bus.strobe
        orders = commit & at("control") & strobe[1]
        reload = data[10] if self.plan.loaded_words else Const(0)
        m.d.sync += [self.clear.eq(orders & (data[8] | reload)), self._clear_counters.eq(orders & data[9])]
        with m.If(commit & at("control") & strobe[0]):
            m.d.sync += [run.eq(data[0]), hold.eq(data[1])]
        ready: Value = Const(1)
        self._checked: Value = Const(1)
        values: Values = {("control", "run"): run, ("control", "hold"): hold}
        if self.plan.loaded_words:
            expected = Signal(WORD_BITS, init=checksum(self.plan))
            with m.If(commit & at("weights_expected")):
                m.d.sync += expected.eq(_merge(expected, data, strobe))
            self._checked = Signal(name="checked")
            m.d.sync += [self.reload.eq(orders & reload), self._checked.eq(self.loaded & (self.crc == expected) & ~self.reload)]
            ready = self.loaded
            values["weights_expected", "crc"] = expected
        m.d.comb += self.taking.eq(run & ready & (self._checked | ~hold) & ~self.clear)
        return values

    def _status(self, m: Module, commit: Value, at: Callable[[str], Value], ignored: Value) -> Values:
        """Follow the timesteps through the accelerator, and keep that a write was refused."""
        refused = Signal()
        begun = Signal()
        busy = Signal()
        self._busy = busy
        with m.If(commit & at("status") & self.bus.strobe[1] & self.bus.data[8]):
            m.d.sync += refused.eq(0)
        with m.If(ignored):
            m.d.sync += refused.eq(1)
        enters = self.s_valid & self.s_ready
        with m.If(enters):
            m.d.sync += begun.eq(~self.s_tick)
        waiting: list[Value] = [begun]
        ends = [(f"layer{k}", self._given(k, "valid") & self._given(k, "ready") & self._given(k, "tick"))
                for k in range(len(self.signals))]
        for name, leaves in [*ends, ("output", self.m_valid & self.m_ready & self.m_tick)]:
            steps = Signal(steps_bits(self.plan), name=f"{name}_steps")
            m.d.sync += steps.eq(steps + (enters & self.s_tick) - leaves)
            with m.If(self.clear):
                m.d.sync += steps.eq(0)
            waiting.append(steps.any())
        with m.If(self.clear):
            m.d.sync += begun.eq(0)
        m.d.sync += busy.eq(Cat(waiting).any() | enters)
        values: Values = {("status", "busy"): busy, ("status", "taking"): self.taking, ("status", "refused"): refused}
        if self.plan.loaded_words:
            values |= {("status", "weights_loaded"): self.loaded, ("status", "checksum_ok"): self._checked}
        return values

    def _probe(self, m: Module, begins: Value, commit: Value, at: Callable[[str], Value]) -> Values:
        """Keep what was last written of one neuron."""
        fields = {name: self.map.blocks[0][f"probe_{name}"].fields[0] for name in ("layer", "neuron")}
        chosen = {name: Signal(field.bits, name=f"probe_{name}") for name, field in fields.items()}
        membrane, seen, fired, kept = (Signal(shape, name=f"probe_{name}") for name, shape in (
            ("membrane", signed(WORD_BITS)), ("seen", 1), ("fired", 1), ("kept", 2)))
        for k in range(len(self.signals)):
            # One cycle late, so that the comparison is no part of the cores.
            then = {name: Signal(self._given(k, f"trace_{name}").shape(), name=f"layer{k}_{name}_then")
                    for name in ("valid", "neuron", "membrane", "spike")}
            m.d.sync += [signal.eq(self._given(k, f"trace_{name}")) for name, signal in then.items()]
            with m.If(then["valid"] & _is(chosen["layer"], k) & (chosen["neuron"] == then["neuron"])):
                m.d.sync += [membrane.eq(then["membrane"]), fired.eq(then["spike"]), seen.eq(1)]
        for name, signal in chosen.items():
            with m.If(commit & at(f"probe_{name}")):
                m.d.sync += [signal.eq(_merge(signal | Const(0, WORD_BITS), self.bus.data, self.bus.strobe)),
                             membrane.eq(0), fired.eq(0), seen.eq(0), kept.eq(0)]
        with m.If(begins & ~self.bus.write & at("probe_membrane")):
            m.d.sync += kept.eq(Cat(seen, fired))
        return {("probe_layer", "index"): chosen["layer"], ("probe_neuron", "index"): chosen["neuron"],
                ("probe_membrane", "value"): membrane, ("probe_state", "seen"): kept[0], ("probe_state", "fired"): kept[1]}

    def _window(self, m: Module, answers: Value, waits: Signal, at: Callable[[str], Value]) -> Value:
        """Join the window for weights; return whether what is written there is refused."""
        whole, here = self.bus.strobe.all(), Signal(name="window")
        m.d.comb += [
            here.eq(answers & self.bus.write & at("weights_data")),
            self.chunk.eq(self.bus.data),
            self.chunk_valid.eq(here & whole & ~self.complete),
            waits.eq(self.chunk_valid & ~self.chunk_ready),
        ]
        return here & ~(whole & ~self.complete)

    def _totals(self, m: Module) -> Counters:
        """Build the counters of the whole."""
        layers = range(len(self.signals))
        enters, leaves = self.s_valid & self.s_ready, self.m_valid & self.m_ready

        def over_all(name: str) -> Value:
            return sum((self._given(k, name) for k in layers), Const(0))

        steps: dict[str, Value] = {
            "cycles": Const(1), "busy_cycles": self._busy,
            "input_events": enters & ~self.s_tick, "input_ticks": enters & self.s_tick,
            "input_stalls": self.s_valid & ~self.s_ready, "output_events": leaves & ~self.m_tick,
            "output_stalls": self.m_valid & ~self.m_ready, "slots": over_all("accumulate"), "updates": over_all("finalise"),
            "saturations": over_all("saturations"),
        }
        slots = sum((1 << len(self._given(k, "accumulate"))) - 1 for k in layers)
        most = {"slots": slots, "updates": len(layers), "saturations": 2 * len(layers)}
        widths = {name: unsigned_bits(most.get(name, 1)) for name in TOTALS}
        m.submodules.counters = counters = Counters(tuple(widths.values()))
        for index, (name, bits) in enumerate(widths.items()):
            step = Signal(bits, name=f"{name}_step")
            m.d.sync += step.eq(steps[name])
            m.d.comb += getattr(counters, f"step{index}").eq(step)
        return counters

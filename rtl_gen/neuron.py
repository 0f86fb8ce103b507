"""The arithmetic of a neuron, stage by stage."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed

from snnhw.fixed import Interval, signed_range, unsigned_bits
from snnhw.ir import Decay
from snnhw.plan import LayerPlan
from snnhw.plan.stages import drive_stage, leak_stages, write_stage

__all__ = ["Neuron", "Parameters", "Pipeline", "Update"]


class Pipeline:
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


class Parameters:
    """Parameters of the neuron that is in a stage: constants, or what was read, delayed as far as it is used.

    Parameters
    ----------
    values : dict of str to Value
        Each in stage 1.
    pipeline : Pipeline
        Delays them.
    held : collection of str
        Those that are the same in every stage, because they change only while no neuron is under way.
    """

    def __init__(self, values: dict[str, Value], pipeline: Pipeline, held: Collection[str] = ()):
        self._stages = {name: {1: value} for name, value in values.items()}
        self._pipeline = pipeline
        self._held = frozenset(held)

    def __contains__(self, name: str) -> bool:
        return name in self._stages

    def held(self, name: str) -> bool:
        """Return whether a parameter is no constant, but the same in every stage."""
        return name in self._held

    def __call__(self, name: str, stage: int) -> Value:
        stages = self._stages[name]
        if isinstance(constant := next(iter(stages.values())), Const) or name in self._held:
            return constant
        for later in range(max(stages) + 1, stage + 1):
            stages[later] = self._pipeline.delay(stages[later - 1], f"{name}_{later}")
        return stages[stage]

    def derive(self, name: str, stage: int, value: Value) -> None:
        """Add a parameter that is there from `stage` on."""
        self._stages[name] = {stage: value}


@dataclass(frozen=True)
class Update:
    """What a neuron becomes and hands on, all in the write stage.

    Attributes
    ----------
    state, spike : Value
        New state, and whether the neuron fires.
    count : Value or None
        How often it fires, of neurons that count beyond 1.
    synapse : Value or None
        New synaptic current, of neurons that have one.
    clipped : tuple of Value
        Whether each word that saturates was clipped.
    """

    state: Value
    spike: Value
    count: Value | None
    synapse: Value | None
    clipped: tuple[Value, ...]


class Neuron:
    """Datapath of an update, from stage 1 to the write stage; also of what was clipped, if it is `observed`."""

    def __init__(self, layer: LayerPlan, pipeline: Pipeline, parameter: Parameters, *, observed: bool = False):
        self._observed = observed
        self.layer, self.spec = layer, layer.spec
        self._pipeline, self._delay, self._parameter = pipeline, pipeline.delay, parameter
        self._clipped: list[tuple[Value, int]] = []  # and the stage in which it is known

    def update(self, membrane: Value, synapse: Value | None, current: Value) -> Update:
        """Return the update, from the stored state, the stored synaptic current and the sum in stage 1."""
        spec, layer, delay, parameter = self.spec, self.layer, self._delay, self._parameter
        stage = 1 + leak_stages(spec.decay if spec.synapse is None else spec.synapse)
        current = self._later(current, "current", stage - 1)
        drive: Value = delay((current << spec.frac) + parameter("bias", stage), "drive")
        stage += 1
        if spec.synapse is not None:
            assert synapse is not None
            assert layer.synapse is not None
            leaked = self._leak(spec.synapse, _narrow(synapse, layer.synapse.bits), "synapse_factor", 1, "synapse_")
            total = delay(leaked + drive, "synapse_total", layer.synapse_update_bits)
            synapse = drive = delay(self._saturate(total, layer.synapse_bits, stage + 1), "synapse_drive")
            stage += 2
            synapse = self._later(synapse, "synapse", write_stage(layer) - stage)

        later = spec.reset_time == "next" and spec.reset != "none"
        target = spec.reset in ("zero", "value")
        replaced = later and target and spec.input_on_reset == "keep"  # the reset comes before the decay
        begin = stage - 1 - leak_stages(spec.decay)
        assert stage == drive_stage(layer), "the schedule of the plan and the pipeline must agree"
        membrane = self._later(membrane, "membrane", begin - 1)
        fired: Value = membrane >= parameter("threshold", begin) if later else Const(0)
        if spec.decay.rounding == "zero":
            membrane = _narrow(membrane, layer.state.bits)
        # As wide as the reset amount if need be: a state that was proven to fit need not hold what it is replaced by.
        replacement = (fired, parameter("reset_amount", begin)) if replaced else None
        decayed = self._leak(spec.decay, membrane, "factor", begin, "", replacement)
        fired = self._later(fired, "fired", stage - begin)

        exact = decayed + drive
        if later and target and not replaced:
            exact = Mux(fired, parameter("reset_amount", stage), exact)
        total = delay(exact, "total", layer.update_bits)
        fired, stage = delay(fired, "fired_total"), stage + 1
        if later and spec.reset == "subtract":
            total = delay(total - Mux(fired, parameter("reset_amount", stage), 0), "remainder", layer.update_bits)
            stage += 1

        state, count = self._saturate(total, layer.state_bits, stage), None
        spike: Value = Const(0) if spec.output == "state" else self._compare(total, parameter("threshold", stage))
        if spec.grades > 1:
            state, spike, count = self._count(state, stage)
            stage += 3
        elif spec.reset_time == "immediate" and spec.reset == "subtract":
            state, spike, stage = delay(state, "state"), delay(spike, "spike"), stage + 1
            state = state - Mux(spike, parameter("reset_amount", stage), 0)
        elif spec.reset_time == "immediate" and target:
            state = Mux(spike, parameter("reset_amount", stage), state)
        assert stage == write_stage(layer), "the schedule of the plan and the pipeline must agree"
        clipped = tuple(self._later(flag, f"clipped_{index}", stage - known)
                        for index, (flag, known) in enumerate(self._clipped)) if self._observed else ()
        return Update(state, spike, count, synapse, clipped)

    def _later(self, value: Value, name: str, stages: int) -> Value:
        """Return `value` so many stages later."""
        return self._pipeline.delays(value, name, stages)[-1]

    def _leak(self, decay: Decay, state: Value, factor: str, stage: int, name: str,
              replacement: tuple[Value, Value] | None = None) -> Value:
        """Return the decayed state, ``leak_stages(decay) + 1`` stages later.

        A `replacement` (when, by what) comes before the decay; by a shift, what replaces is decayed already.
        """
        delay = self._delay
        if decay.kind == "mul":
            operand = delay(state if replacement is None else Mux(*replacement, state), f"{name}operand")
            product = delay(operand * self._parameter(factor, stage + 1), f"{name}product")
            # A product that is not as wide as the shift leaves its sign.
            lowest = min(decay.shift, len(product) - 1)
            if decay.rounding == "floor":
                return product[lowest:].as_signed()
            up = Mux(product[-1], (1 << decay.shift) - 1, 0)
            return delay((product + up) >> decay.shift, f"{name}rounded")
        amount: Value | int = self._parameter(f"{name}shift", stage) if f"{name}shift" in self._parameter else decay.shift
        leaked = state - (state >> amount) if decay.kind == "shift" else state
        return delay(leaked if replacement is None else Mux(*replacement, leaked), f"{name}decayed", len(state))

    def _saturate(self, total: Value, bits: int, stage: int) -> Value:
        """Clip to a word, by the signs alone: outside it the bits above the word differ. `total` is there in `stage`."""
        if self.spec.overflow == "exact" or len(total) <= bits:
            return total
        above, sign = total[bits - 1:], total[-1]
        inside = above.all() | ~above.any()
        self._clipped.append((~inside, stage))
        return Mux(inside, total[:bits], Cat((~sign).replicate(bits - 1), sign)).as_signed()

    def _compare(self, total: Value, threshold: Value) -> Value:
        """Return whether the saturated total reaches the threshold.

        Saturation cannot change the answer, unless the threshold is the lowest word, which every word reaches.
        """
        lowest, _ = signed_range(self.layer.state_bits)
        reached = total >= threshold
        if self.spec.overflow == "saturate" and (np.min(self.spec.threshold) == lowest or self._parameter.held("threshold")):
            reached = reached | (threshold == lowest)
        return reached

    def _count(self, state: Value, stage: int) -> tuple[Value, Value, Value]:
        """Return the reset state, whether the neuron fires and how often, three stages later.

        One stage compares with every threshold, one selects what is subtracted, the last subtracts. Thresholds and
        amounts that differ between neurons are made two stages ahead; no stage has more than one addition, but for 11 and 13.
        """
        delay, parameter, grades = self._delay, self._parameter, self.spec.grades
        multiples = {count: self._multiple(count, stage) for count in range(1, grades + 1)}
        for count in range(1, grades + 1):
            first = parameter("threshold", stage)
            if count == 1:
                threshold: Value = parameter("threshold", stage + 1)
            elif isinstance(first, Const) and isinstance(multiples[count - 1], Const):
                threshold = _constant(first.value + multiples[count - 1].value)
            else:
                threshold = delay(first + multiples[count - 1], f"threshold_of_{count}")
            self._parameter.derive(f"threshold_of_{count}", stage + 1, threshold)
        for count, multiple in multiples.items():
            self._parameter.derive(f"amount_of_{count}", stage, multiple)

        state, stage = delay(state, "state"), stage + 1
        reached = [delay(state >= parameter(f"threshold_of_{count}", stage), f"reached_{count}") for count in multiples]
        state, stage = delay(state, "state_compared"), stage + 1
        count_bits, amount, number = unsigned_bits(grades), Const(0), Const(0)
        for count, (this, more) in enumerate(zip(reached, [*reached[1:], Const(0)], strict=True), 1):
            amount = amount | Mux(this & ~more, parameter(f"amount_of_{count}", stage), 0)
            number = number | Mux(this & ~more, Const(count, count_bits), 0)
        spike, amount, number = delay(reached[0], "spike"), delay(amount, "amount"), delay(number, "count")
        return delay(state, "state_counted") - amount, spike, number

    def _multiple(self, count: int, stage: int) -> Value:
        """Return so many times the reset amount, in `stage`: shifted and added, so that no multiplier is spent on it."""
        amount = np.asarray(self.spec.reset_amount)
        if amount.ndim == 0:
            return _constant(count * int(amount))
        if count & (count - 1) == 0:
            return self._parameter("reset_amount", stage) << (count.bit_length() - 1)
        early, times = self._parameter("reset_amount", stage - 1), count
        product: Value | None = None
        place = 0
        while count:
            # Digits -1, 0 and 1 of which no two neighbours are not 0: the fewest additions.
            digit = 0 if count % 2 == 0 else 2 - count % 4
            if digit:
                term = early << place
                product = (term if digit > 0 else -term) if product is None else product + term if digit > 0 else product - term
            count, place = (count - digit) // 2, place + 1
        assert product is not None
        return self._delay(product, f"{times}_amounts")


def _narrow(value: Value, bits: int) -> Value:
    """Return a signed value of which it is known that it fits in `bits` bits."""
    return value if bits >= len(value) else value[:bits].as_signed()


def _constant(number: int) -> Const:
    return Const(number, signed(Interval(number, number).bits))

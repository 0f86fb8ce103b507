"""The arithmetic of a neuron, stage by stage."""

import numpy as np
from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed

from snnhw.fixed import signed_range
from snnhw.plan import LayerPlan
from snnhw.plan.cycles import write_stage

__all__ = ["Neuron", "Parameters", "Pipeline"]


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
    """Parameters of the neuron that is in a stage: constants, or what was read, delayed as far as it is used."""

    def __init__(self, values: dict[str, Value], pipeline: Pipeline):
        self._stages = {name: {1: value} for name, value in values.items()}
        self._pipeline = pipeline

    def __call__(self, name: str, stage: int) -> Value:
        stages = self._stages[name]
        if isinstance(stages[1], Const):
            return stages[1]
        for later in range(max(stages) + 1, stage + 1):
            stages[later] = self._pipeline.delay(stages[later - 1], f"{name}_{later}")
        return stages[stage]


class Neuron:
    """Datapath of an update, from stage 1 to the write stage."""

    def __init__(self, layer: LayerPlan, pipeline: Pipeline, parameter: Parameters):
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
            operand = Mux(fired, parameter("reset_amount", 1), stored) if replaced else stored
            # As wide as the reset amount if need be: a state that was proven to fit need not hold what it is replaced by.
            operand = delay(operand, "operand")
            fired, current, stage = delay(fired, "fired_1"), delay(current, "current_1"), 2
            product = delay(operand * parameter("factor", 2), "product")
            # A product that is not as wide as the shift leaves its sign.
            decayed = product[min(spec.decay.shift, len(product) - 1):].as_signed()
        else:
            leaked = stored - (stored >> spec.decay.shift) if spec.decay.kind == "shift" else stored
            leaked = Mux(fired, parameter("reset_amount", 1), leaked) if replaced else leaked
            decayed = delay(leaked, "decayed", self.layer.state_bits)
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

"""One neuron in plain Python integers, written from the formulas of DESIGN section 3 alone.

It shares no line with :mod:`snnhw.reference`: floor division in the place of shifts, one neuron and one
timestep at a time, no arrays.
"""

from dataclasses import dataclass


@dataclass
class ScalarNeuron:
    """Constants of one neuron, its stored states `v` and `c`, and how often it was clipped."""

    threshold: int
    bits: int
    decay: tuple = ("one",)          # ("one",), ("shift", k), ("mul", B, f) or ("mul toward zero", B, f)
    reset: str = "zero"
    amount: int = 0
    time: str = "immediate"
    drop: bool = False
    exact: bool = False
    frac: int = 0
    bias: int = 0
    synapse: tuple | None = None
    v: int = 0
    c: int = 0
    output: str = "spike"
    grades: int = 1
    clipped: int = 0

    def step(self, weighted_sum):
        """Advance by one timestep; return whether the neuron fired, or how often."""
        current = weighted_sum * 2 ** self.frac + self.bias
        if self.synapse is not None:
            current = self.c = self.store(leak(self.synapse, self.c) + current)
        target = self.amount if self.reset == "value" else 0
        if self.time == "immediate":
            u = leak(self.decay, self.v) + current
            u = u if self.exact else self.store(u)
            fires = self.fires(u)
            if fires:
                u = {"none": u, "subtract": u - fires * self.amount}.get(self.reset, target)
            self.v = self.store(u)
            return fires
        resets = self.v >= self.threshold
        if self.reset == "none" or not resets:
            self.v = self.store(leak(self.decay, self.v) + current)
        elif self.reset == "subtract":
            self.v = self.store(leak(self.decay, self.v) + current - self.amount)
        else:
            self.v = target if self.drop else self.store(leak(self.decay, target) + current)
        return self.fires(self.v)

    def fires(self, u):
        if self.output == "count":
            return sum(u >= self.threshold + extra * self.amount for extra in range(self.grades))
        return self.output == "spike" and u >= self.threshold

    def store(self, value):
        stored = min(max(value, -2 ** (self.bits - 1)), 2 ** (self.bits - 1) - 1)
        if stored != value and self.exact:
            raise OverflowError(value)
        self.clipped += stored != value
        return stored


def leak(kind, state):
    if kind[0] == "shift":
        return state - state // 2 ** kind[1]
    if kind[0] == "mul toward zero":
        return -(-state * kind[1] // 2 ** kind[2]) if state < 0 else state * kind[1] // 2 ** kind[2]
    return state * kind[1] // 2 ** kind[2] if kind[0] == "mul" else state

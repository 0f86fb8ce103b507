"""Ranges of integers, closed under the operations of a neuron."""

from dataclasses import dataclass

from snnhw.fixed.words import signed_bits, signed_range

__all__ = ["Interval"]


@dataclass(frozen=True)
class Interval:
    """Every integer from `lowest` to `highest`, both included."""

    lowest: int
    highest: int

    def __post_init__(self) -> None:
        if self.lowest > self.highest:
            raise ValueError(f"Interval must not be empty, not {self.lowest} to {self.highest}")

    @classmethod
    def of_word(cls, bits: int) -> "Interval":
        """Every value of a signed word of `bits` bits."""
        return cls(*signed_range(bits))

    @property
    def bits(self) -> int:
        """Width of the smallest signed word that holds the interval."""
        return signed_bits(self.lowest, self.highest)

    def __contains__(self, value: int) -> bool:
        return self.lowest <= value <= self.highest

    def __add__(self, other: "Interval | int") -> "Interval":
        if isinstance(other, int):
            other = Interval(other, other)
        return Interval(self.lowest + other.lowest, self.highest + other.highest)

    def __neg__(self) -> "Interval":
        return Interval(-self.highest, -self.lowest)

    def __sub__(self, other: "Interval | int") -> "Interval":
        return self + (-other)

    def __lshift__(self, amount: int) -> "Interval":
        return Interval(self.lowest << amount, self.highest << amount)

    def hull(self, other: "Interval | int") -> "Interval":
        """Return the smallest interval that holds both."""
        if isinstance(other, int):
            other = Interval(other, other)
        return Interval(min(self.lowest, other.lowest), max(self.highest, other.highest))

    def clip(self, bits: int) -> "Interval":
        """Return the interval after saturation to a signed word of `bits` bits."""
        lowest, highest = signed_range(bits)
        return Interval(min(max(self.lowest, lowest), highest), min(max(self.highest, lowest), highest))

    def __str__(self) -> str:
        return f"{self.lowest}..{self.highest}"

"""What is said of a claim after it was measured, and when."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["DIRECTION", "MISSING", "NOT", "REPRODUCED", "UNFINISHED", "VERDICTS", "Outcome", "judge"]

REPRODUCED, DIRECTION, NOT = "reproduced", "direction only", "not reproduced"
MISSING, UNFINISHED = "data missing", "not finished"
VERDICTS = REPRODUCED, DIRECTION, NOT, MISSING, UNFINISHED


@dataclass(frozen=True)
class Outcome:
    """What became of a claim.

    Parameters
    ----------
    verdict : str
        One of :data:`VERDICTS`.
    ours : str
        Our numbers, one line.
    why : str
        What decided; never empty unless the claim is reproduced.
    seeds : tuple of int
        That the numbers rest on.
    data : str
        Data set, and what of it.
    rows : sequence of mapping
        A table of more numbers, all with the same columns: text.
    """

    verdict: str
    ours: str
    why: str = ""
    seeds: tuple[int, ...] = ()
    data: str = ""
    rows: Sequence[Mapping[str, str]] = field(default=())

    def __post_init__(self) -> None:
        if self.verdict not in VERDICTS:
            raise ValueError(f"Verdict must be one of {', '.join(VERDICTS)}, not {self.verdict!r}")
        if not self.why and self.verdict != REPRODUCED:
            raise ValueError(f"Verdict {self.verdict!r} must have a reason")
        if any(set(row) != set(self.rows[0]) for row in self.rows):
            raise ValueError("Rows of an outcome must have the same columns")

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {"verdict": self.verdict, "ours": self.ours, "why": self.why, "seeds": list(self.seeds), "data": self.data,
                "rows": [dict(row) for row in self.rows]}

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "Outcome":
        """Return the outcome that plain values describe; others than those of :meth:`as_dict` are left out."""
        return cls(values["verdict"], values["ours"], values.get("why", ""), tuple(values.get("seeds", ())),
                   values.get("data", ""), tuple(values.get("rows", ())))


def judge(whole: bool, direction: bool) -> str:
    """Return the verdict of a claim whose number holds, or whose sign alone does, or neither."""
    return REPRODUCED if whole else DIRECTION if direction else NOT

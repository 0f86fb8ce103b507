"""How the forward of a network wants its input."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["Layout"]


@dataclass(frozen=True)
class Layout:
    """Which elements of an input are which sample and which timestep.

    Parameters
    ----------
    drive : str
        ``"sequence"``: one call takes all timesteps. ``"static"``: one call takes one frame and shows it every timestep.
        ``"step"``: one call is one timestep.
    axis : int
        Of time in a sequence: 0 or 1.
    samples, calls : int
        Samples in the input, and how often the forward is called.
    frame : tuple of int
        Shape of one sample of one timestep.
    """

    drive: Literal["sequence", "static", "step"]
    axis: int
    samples: int
    calls: int
    frame: tuple[int, ...]

    def item(self, index: int, timesteps: int, call: int) -> tuple[int | None, int]:
        """Return timestep and sample of a frame by its number in the input."""
        if self.drive == "sequence":
            return divmod(index, self.samples) if self.axis == 0 else divmod(index, timesteps)[::-1]
        return (call if self.drive == "step" else None), index

    def __str__(self) -> str:
        frame = "x".join(map(str, self.frame))
        return {"sequence": f"one call takes a sample with time along axis {self.axis}, frames of {frame}",
                "static": f"one call shows one frame of {frame} at every timestep",
                "step": f"one call is one timestep, frames of {frame}"}[self.drive]

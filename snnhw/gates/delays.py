"""Delays of cells and connections, for glitches: data files with their sources."""

import tomllib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from snnhw.errors import UsageError

if TYPE_CHECKING:
    from snnhw.gates.netlist import Netlist

__all__ = ["STEP_PS", "DelayRecord", "Delays", "load_delays"]

STEP_PS = 10
"""Resolution of the simulation."""
FOLDER = Path(__file__).resolve().parent / "delays"
MAX_PS = 40_000  # what the time wheel of the simulator holds

Picoseconds = Annotated[float, Field(ge=0, le=MAX_PS, allow_inf_nan=False)]


class DelayRecord(BaseModel):
    """Delays of one family, in picoseconds.

    Parameters
    ----------
    name, title : str
        For files and for people.
    devices : tuple of str
        Beginnings of the device names it holds for.
    cells : mapping of str to mapping of str to float
        For each kind of table the delay from each pin to its output; of other cells ``clock``, or ``input`` for those that settle.
    connection_median, connection_spread : float
        Connections between cells: log-normal, by its median and the standard deviation of its logarithm.
    source : str
        Where the numbers are from.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    title: str
    devices: tuple[str, ...]
    cells: dict[str, dict[str, Picoseconds]]
    connection_median: Picoseconds
    connection_spread: Annotated[float, Field(ge=0, le=3)]
    source: str


@dataclass(frozen=True)
class Delays:
    """Delays of one simulation.

    Parameters
    ----------
    record : DelayRecord or None
        Of the family; None: everything happens at once.
    seed : int
        Of the delays of connections, which are drawn: where cells lie is decided only by placement.
    spread : bool
        Draw them; otherwise all are the median.
    """

    record: DelayRecord | None
    seed: int = 0
    spread: bool = True

    @classmethod
    def none(cls) -> "Delays":
        """Return no delays."""
        return cls(None)

    def cell(self, kind: str, pin: str) -> int:
        """Return the steps from a pin of a table to its output."""
        return 0 if self.record is None else max(1, round(self.record.cells[kind][pin] / STEP_PS))

    def launch(self, kind: str) -> int:
        """Return the steps from the clock to the output of a cell, or through one that is no table."""
        if self.record is None:
            return 0
        times = self.record.cells["register" if kind == "input" else kind]
        return max(1, round(next(iter(times.values())) / STEP_PS))

    @property
    def connection(self) -> int:
        """Steps of a middling connection."""
        return 0 if self.record is None else max(1, round(self.record.connection_median / STEP_PS))

    def wires(self, netlist: "Netlist") -> list[list[int]]:
        """Return the steps of the connection to each input of each table: none in a carry chain or beside a table."""
        if self.record is None:
            return [[0] * len(table.inputs) for table in netlist.tables]
        rng = np.random.default_rng(self.seed)
        sigma = self.record.connection_spread if self.spread else 0.0
        limit = MAX_PS // STEP_PS
        result = []
        for table in netlist.tables:
            drawn = self.record.connection_median * np.exp(sigma * rng.standard_normal(len(table.inputs))) / STEP_PS
            row = []
            for net, steps in zip(table.inputs, drawn, strict=True):
                near = netlist.classes[net] in ("carry", "local")
                row.append(0 if near else int(min(limit, max(1, round(float(steps))))))
            result.append(row)
        return result


@lru_cache
def load_delays(device: str) -> DelayRecord:
    """Return the delays of a device, named as board files do."""
    records = [DelayRecord.model_validate(tomllib.loads(path.read_text())) for path in sorted(FOLDER.glob("*.toml"))]
    for record in records:
        if device.lower().startswith(record.devices):
            return record
    raise UsageError(f"delays are known for {', '.join(record.title for record in records)}, not for the device {device!r}")

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

__all__ = ["CARRIES", "STEP_PS", "DelayRecord", "Delays", "load_delays"]

STEP_PS = 10
"""Resolution of the simulation."""
FOLDER = Path(__file__).resolve().parent / "delays"
CARRIES = "SB_CARRY", "CCU2C.S", "CCU2C.COUT"
"""Tables that a carry chain enters without a connection."""
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
        For each kind of table the delay from each pin to its output; of other cells ``clock``, or ``input`` for those that
        settle.
    connections : tuple of float
        Quantiles, evenly spaced from 0 to 1, of the connections between cells.
    carry_connection : float
        From a carry chain into a table.
    source : str
        Where the numbers are from.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    title: str
    devices: tuple[str, ...]
    cells: dict[str, dict[str, Picoseconds]]
    connections: Annotated[tuple[Picoseconds, ...], Field(min_length=2)]
    carry_connection: Picoseconds
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
        return 0 if self.record is None else _steps(self.record.cells[kind][pin])

    def launch(self, kind: str) -> int:
        """Return the steps from the clock to the output of a cell, or through one that is no table."""
        if self.record is None:
            return 0
        times = self.record.cells["register" if kind == "input" else kind]
        return _steps(next(iter(times.values())))

    @property
    def connection(self) -> int:
        """Steps of a middling connection."""
        return 0 if self.record is None else _steps(float(np.median(self.record.connections)))

    def wires(self, netlist: "Netlist") -> list[list[int]]:
        """Return the steps of the connection to each input of each table: none along a carry chain or from beside it."""
        if self.record is None:
            return [[0] * len(table.inputs) for table in netlist.tables]
        rng = np.random.default_rng(self.seed)
        record, middle = self.record, self.connection
        places = np.linspace(0, 1, len(record.connections))
        result = []
        for table in netlist.tables:
            drawn = np.interp(rng.random(len(table.inputs)), places, record.connections)
            row = []
            for net, picoseconds in zip(table.inputs, drawn, strict=True):
                kind = netlist.classes[net]
                if kind == "carry":
                    row.append(0 if table.kind in CARRIES else _steps(record.carry_connection))
                else:
                    row.append(0 if kind == "local" else _steps(float(picoseconds)) if self.spread else middle)
            result.append(row)
        return result


def _steps(picoseconds: float) -> int:
    return max(1, round(picoseconds / STEP_PS))


@lru_cache
def load_delays(device: str) -> DelayRecord:
    """Return the delays of a device, named as board files do."""
    records = [DelayRecord.model_validate(tomllib.loads(path.read_text())) for path in sorted(FOLDER.glob("*.toml"))]
    for record in records:
        if device.lower().startswith(record.devices):
            return record
    raise UsageError(f"delays are known for {', '.join(record.title for record in records)}, not for the device {device!r}")

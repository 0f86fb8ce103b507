"""What a person reads at the rail: a table of designs and powers."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from snnhw.calibrate.designs import DesignRecord
from snnhw.cost import ConstantSet, Measurement
from snnhw.errors import FileError
from snnhw.files import read_bytes

__all__ = ["COLUMNS", "README", "read_readings", "template"]

COLUMNS = "design", "clock_hz", "power_mw", "sigma_mw"
MAX_BYTES = 1 << 20
MIN_CLOCK_HZ = 1000  # below it a number in megahertz is likelier

README = """# Calibration designs for {board}

Each folder holds a bitstream that spends energy on one thing. `designs.json` says what each does in a second. Measure the
power of the core rail for every design, write it into `measurements.csv`, and run

    snnhw calibrate fit measurements.csv --designs . --out my.toml
    snnhw energy RUN --constants my.toml

## How to measure

- **Rail**: the core supply of the FPGA alone (1.2 V on an iCE40, 1.1 V on an ECP5), behind its regulator, before the device.
  Supplies of pins, of the PLL and of the flash are none of it; what the PLL takes from the core is fitted as a parameter of
  its own.
- **Shunt**: a resistor or a current meter in that rail that drops less than 10 mV at the highest current, so that the supply
  of the device stays what it is. A resistor of 1 ohm suits a UP5K, which takes 0.1 to 5 mA; one of 10 milliohms suits an
  ECP5. Power is current times the voltage *at the device*. Measure the zero of the meter with the rail open, and subtract it.
- **Input**: the line `uart_rx` must rest high. With the serial adapter of the board connected it does. The light stays dark:
  if it lights, the line is low, and the design does something else.
- **Warm-up**: load the bitstream, wait until the reading no longer drifts (some minutes for an ECP5), then average over at
  least 10 seconds. Note the temperature: static power grows with it. Measure all designs on one day, on one board.
- **Repeat**: load every design at least three times, in another order each time. A row for each reading is fine, so is one
  row with their mean. `sigma_mw` is the standard error of the row: the scatter of the repeats, and what the meter is not sure
  of (its gain error, often 0.1 to 1 % of the reading). Rows weigh by 1 / sigma_mw squared.
- **Clock**: `clock_hz` is that of the design. Change it where you clock the board otherwise; 0 is a design without a clock.
- A row without a power is left out. Designs that are left out leave parameters undetermined; these are named, and keep their
  old value.

## Designs

{designs}
"""


def template(designs: Sequence[DesignRecord]) -> str:
    """Return the table with a row for each design, its power still to be filled in."""
    rows = [",".join(COLUMNS)] + [f"{design.name},{design.clock_hz},," for design in designs]
    return "\n".join(rows) + "\n"


def _number(text: str, column: str, where: str, *, zero: bool = False) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value < 0 or (value == 0 and not zero):
        raise FileError(f"{where}: {column} must be a {'number that is not negative' if zero else 'positive number'}, "
                        f"{'and is empty' if not text else f'not {text[:40]!r}'}")
    return value


def read_readings(path: Path, designs: Sequence[DesignRecord], constants: ConstantSet) -> list[Measurement]:
    """Read a filled-in table; rows without a power are left out.

    Parameters
    ----------
    path : Path
        Columns ``design, clock_hz, power_mw, sigma_mw``, in any order; others are ignored, as are lines that begin with ``#``.
    designs : sequence of DesignRecord
        What the rows may name.
    constants : ConstantSet
        Decides which parameter each amount belongs to.
    """
    what = f"measurements file {str(path)!r}"
    try:
        text = read_bytes(path, "measurements file", MAX_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise FileError(f"{what} must be text in UTF-8, and is not") from None
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    try:
        rows = list(csv.DictReader(io.StringIO("\n".join(lines)), skipinitialspace=True, strict=True))
    except csv.Error as error:
        raise FileError(f"{what} must be a table with commas: {error}") from None
    present = set(rows[0]) if rows else set(next(csv.reader(lines), ()))
    if missing := [name for name in COLUMNS if name not in present]:
        raise FileError(f"{what} must have the columns {', '.join(COLUMNS)}, {missing[0]!r} is missing")
    known: Mapping[str, DesignRecord] = {design.name: design for design in designs}
    found: list[Measurement] = []
    seen: dict[str, int] = {}
    for number, row in enumerate(rows, start=1):
        cells = {name: (row[name] or "").strip() for name in COLUMNS}
        where = f"{what}, row {number}"
        if any(cell.strip() for cell in row.get(None, ())):
            raise FileError(f"{where}: cells must be as many as columns, not more: decimals need a point, not a comma")
        design = known.get(cells["design"])
        if design is None:
            raise FileError(f"{where}: design must be one of {', '.join(known)}, not {cells['design'][:60]!r}")
        if not cells["power_mw"] and not cells["sigma_mw"]:
            continue
        clock_hz = _number(cells["clock_hz"], "clock_hz", where, zero=not design.clock_hz)
        if clock_hz and not design.clock_hz:
            raise FileError(f"{where}: clock_hz of {design.name!r} must be 0, because it has no clock, not {clock_hz:g}")
        if 0 < clock_hz < MIN_CLOCK_HZ:
            raise FileError(f"{where}: clock_hz of {design.name!r} must be at least {MIN_CLOCK_HZ:,} hertz, not {clock_hz:g}")
        power, sigma = (_number(cells[name], name, where) for name in ("power_mw", "sigma_mw"))
        seen[design.name] = seen.get(design.name, 0) + 1
        name = design.name if seen[design.name] == 1 else f"{design.name} ({seen[design.name]})"
        rates = design.counts.rates(clock_hz, constants, design.made_by)
        try:
            found.append(Measurement(name=name, power_mw=power, sigma_mw=sigma, rates=rates))
        except ValidationError as error:
            first = error.errors()[0]
            message = first["msg"][0].lower() + first["msg"][1:]
            raise FileError(f"{where}: {'.'.join(map(str, first['loc']))}: {message}") from None
    if not found:
        raise FileError(f"{what} must have at least one row with a power")
    return found

"""Constants from readings, and how far to trust them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from snnhw.calibrate.designs import load_designs
from snnhw.calibrate.readings import read_readings
from snnhw.cost import ConstantSet, Measurement, calibrate, constant_sets, load_constants, load_measurements
from snnhw.cost.calibration import Calibration, HeldOut, base_of, format_constants, hold_out
from snnhw.errors import UsageError
from snnhw.files import write_bytes

__all__ = ["fit_measurements"]

ILL_CONDITIONED = 100.0
FAR_OFF = 5.0      # of the stated errors of a row
OTHER_UNIT = 10.0  # times an old record, or a fraction of it


def _read(path: Path | str, designs: Path | None, base: str | None) -> tuple[str, ConstantSet, Sequence[Measurement]]:
    if designs is not None:
        own, records = load_designs(designs)
        constants = load_constants(base or own)
        return base or own, constants, read_readings(Path(path), records, constants)
    if Path(path).suffix == ".csv":
        raise UsageError("--designs must be given with a .csv file: the folder that `snnhw calibrate designs` wrote")
    rows = load_measurements(path)
    name = base or base_of(path)
    if name is None:
        raise UsageError("--base must be given, the measurements file does not name a set of constants")
    return name, load_constants(name), rows


def fit_measurements(path: Path | str, *, designs: Path | None = None, base: str | None = None,
                     out: Path | None = None) -> dict[str, Any]:
    """Fit constants to measurements, write them as a constants file, and return what is to be known of the fit.

    Parameters
    ----------
    path : Path or str
        A filled-in ``measurements.csv``; or a TOML file whose rows say their rates themselves, by path or, of those that come
        with the package, by name.
    designs : Path or None
        Folder of the calibration designs; needed for a CSV file.
    base : str or None
        Constant set that the fit changes, by name; by default that of the board, or the one that the TOML file names.
    out : Path or None
        Constants file to write.
    """
    name, constants, rows = _read(path, designs, base)
    if name not in constant_sets():  # the file that is written names it
        raise UsageError(f"--base must be one of {', '.join(constant_sets())}, not {name!r}")
    if constants.kind != "fpga":
        raise UsageError(f"--base must be the constants of an FPGA, not {name!r}")
    fit = calibrate(rows, constants)
    held_out = hold_out(rows, constants)
    if out is not None:
        title = f"{constants.title}, fitted to {Path(path).name}"
        write_bytes(out, format_constants(fit, name, title).encode())
    parameters = []
    for parameter in sorted({key for row in rows for key, rate in row.rates.items() if rate}):
        record = constants.parameters.get(parameter)
        new = fit.constants.parameters.get(parameter)
        parameters.append({
            "parameter": parameter,
            "unit": record.unit if record is not None else "mW",
            "fitted": fit.values.get(parameter), "standard_error": fit.errors.get(parameter),
            "before": {"low": record.low, "mid": record.mid, "high": record.high,
                       "provenance": record.provenance} if record is not None else None,
            "after": {"low": new.low, "mid": new.mid, "high": new.high} if new is not None else None,
            "status": "kept" if parameter in fit.kept else "bounded" if parameter in fit.bounded else "fitted",
            "reason": fit.kept.get(parameter, ""),
        })
    shown = [{
        "measurement": row.name, "measured_mw": row.power_mw, "sigma_mw": row.sigma_mw, "predicted_mw": fit.predict_mw(row),
        "residual_mw": fit.residuals_mw[row.name], "residual_sigmas": fit.residuals_mw[row.name] / row.sigma_mw,
        "held_out_mw": other.predicted_mw, "held_out_error": other.error, "held_out_without": list(other.unfitted),
    } for row, other in zip(rows, held_out, strict=True)]
    errors = [abs(row.error) for row in held_out if row.error is not None]
    return {
        "base": name, "rows": shown, "parameters": parameters, "condition": fit.condition,
        "held_out_worst": max(errors, default=None), "held_out_mean": sum(errors) / len(errors) if errors else None,
        "warnings": _warnings(fit, held_out, rows, constants),
    }


def _warnings(fit: Calibration, held_out: Sequence[HeldOut], rows: Sequence[Measurement], constants: ConstantSet) -> list[str]:
    condition = fit.condition
    found = [f"{name} keeps its record: {reason}" for name, reason in fit.kept.items()]
    found += [f"{name} is not known to cost anything; its record has an upper bound" for name in fit.bounded]
    found += [f"{name} rests on the row {row.name!r} alone, no other checks it"
              for row in held_out for name in row.unfitted if name not in fit.kept]
    off = {row.name: abs(fit.residuals_mw[row.name]) / row.sigma_mw for row in rows}
    worst = max(off, key=lambda name: off[name])
    if off[worst] > FAR_OFF:
        count = sum(value > FAR_OFF for value in off.values())
        found.append(f"{count} of {len(off)} rows are off by more than {FAR_OFF:g} of their stated errors, {worst!r} by "
                     f"{off[worst]:.0f}: no constants explain these readings")
    for name in fit.replaced:
        factor = fit.constants[name].mid / constants[name].mid
        if name not in fit.bounded and not 1 / OTHER_UNIT < factor < OTHER_UNIT:
            found.append(f"{name} is {factor:.3g} times its old record: powers must be in milliwatts, clocks in hertz")
    if condition > ILL_CONDITIONED:
        found.append(f"the rows hardly tell the parameters apart (condition {condition:.0f}): small errors become large")
    return found

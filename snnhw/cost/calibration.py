"""Refit constants to measured power."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from snnhw.cost.bands import NORMAL_95
from snnhw.cost.constants import Constant, ConstantSet
from snnhw.errors import FileError, UsageError
from snnhw.files import format_toml, read_bytes

__all__ = [
    "Calibration",
    "HeldOut",
    "Measurement",
    "base_of",
    "calibrate",
    "format_constants",
    "hold_out",
    "load_measurements",
    "non_negative_least_squares",
]

MAX_BYTES = 1 << 20
FOLDER = Path(__file__).resolve().parent / "measurements"
LEAST_SPREAD = 0.02  # part of its value by which a record that is believed may be off
RANK = 1e-9  # singular values below this part of the largest are zero
MILLIWATTS_PER_PICOJOULE_PER_SECOND = 1e-9

Milliwatts = Annotated[float, Field(ge=1e-9, le=1e9, allow_inf_nan=False)]


class Measurement(BaseModel):
    """Power of one design at a rail.

    Parameters
    ----------
    name : str
        The design, as its source calls it.
    power_mw : float
        Measured.
    sigma_mw : float
        Standard error; the weight of the row.
    rates : mapping of str to float
        For each parameter its amount per second: 1 for a static power in mW, cycles per second for the clock, toggles per second.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=200)]
    power_mw: Milliwatts
    sigma_mw: Milliwatts
    rates: Annotated[dict[str, Annotated[float, Field(ge=0, le=1e18, allow_inf_nan=False)]], Field(min_length=1)]


@dataclass(frozen=True)
class Calibration:
    """Constants that fit a set of measurements best.

    Attributes
    ----------
    values : mapping of str to float
        All parameters that the measurements name, in the unit of their record; those that are none of the set's in mW.
    errors : mapping of str to float
        Their standard errors.
    kept : mapping of str to str
        Those of the set that keep their old record, and why.
    bounded : tuple of str
        Those that are zero or not known to be more: their new record has the upper bound alone.
    residuals_mw : mapping of str to float
        Predicted less measured, by measurement.
    condition : float
        Of the weighted measurements, their columns at unit length: largest over smallest singular value.
    constants : ConstantSet
        The old set with the fitted parameters in it, marked ``measured``.
    """

    values: dict[str, float]
    errors: dict[str, float]
    kept: dict[str, str]
    bounded: tuple[str, ...]
    residuals_mw: dict[str, float]
    condition: float
    constants: ConstantSet

    @property
    def replaced(self) -> tuple[str, ...]:
        """Parameters of the set that have a new record."""
        return tuple(name for name in self.values if name in self.constants.parameters and name not in self.kept)

    def predict_mw(self, measurement: Measurement) -> float:
        """Return the power the fit gives for a design."""
        return sum(
            rate * _milliwatts(self.constants, name) * (self.values[name] if name in self.values else self.constants[name].mid)
            for name, rate in measurement.rates.items()
            if rate
        )

    def knows(self, measurement: Measurement) -> bool:
        """Return whether every parameter of a design is fitted or one of the set."""
        return all(name in self.values or name in self.constants.parameters for name, rate in measurement.rates.items() if rate)


@dataclass(frozen=True)
class HeldOut:
    """A measurement that a fit to all others predicts.

    Attributes
    ----------
    name : str
        The design.
    predicted_mw, measured_mw : float
        Its power; no prediction where only this row has a parameter that is none of the set's.
    unfitted : tuple of str
        Parameters of the row that the other rows do not determine: their old record was used.
    """

    name: str
    predicted_mw: float | None
    measured_mw: float
    unfitted: tuple[str, ...]

    @property
    def error(self) -> float | None:
        """Predicted over measured, less 1."""
        return None if self.predicted_mw is None else self.predicted_mw / self.measured_mw - 1


def _milliwatts(constants: ConstantSet, name: str) -> float:
    """Return the milliwatts of one unit of a parameter at one per second."""
    known = constants.parameters.get(name)
    return 1.0 if known is None or known.unit == "mW" else MILLIWATTS_PER_PICOJOULE_PER_SECOND


def _file(path: Path | str) -> Path:
    shipped = [item for item in FOLDER.glob("*.toml") if item.stem == str(path)]
    return shipped[0] if shipped else Path(path)


def base_of(path: Path | str) -> str | None:
    """Return the name of the constant set that a measurements file is meant for, if it says."""
    load_measurements(path)
    base = tomllib.loads(read_bytes(_file(path), "measurements file", MAX_BYTES).decode()).get("base")
    return None if base is None else str(base)


def load_measurements(path: Path | str) -> tuple[Measurement, ...]:
    """Load measurements from a TOML file, or those that come with the package, by name."""
    try:
        table = tomllib.loads(read_bytes(_file(path), "measurements file", MAX_BYTES).decode())
        return tuple(Measurement.model_validate(row) for row in table["measurements"])
    except ValidationError as error:
        first = error.errors()[0]
        raise FileError(f"measurements file {str(path)!r}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    except (ValueError, KeyError, TypeError, RecursionError):
        raise FileError(f"measurements file {str(path)!r} must be TOML with an array of tables 'measurements'") from None


@dataclass(frozen=True)
class _Rows:
    """Measurements as a weighted linear system whose columns have unit length.

    Parameters
    ----------
    names : tuple of str
        Parameters.
    matrix : float64 array, (rows, parameters)
        Rates times milliwatts, over the sigma of the row; below, a row for each parameter whose old record is believed.
    target : float64 array, (rows,)
        Powers over sigmas; below, the middle values of these records over their spread.
    measured : int
        Rows that are measurements.
    """

    names: tuple[str, ...]
    matrix: np.ndarray
    target: np.ndarray
    measured: int

    @classmethod
    def of(cls, rows: Sequence[Measurement], constants: ConstantSet) -> "_Rows":
        names = tuple(sorted({name for row in rows for name, rate in row.rates.items() if rate}))
        sigma = np.array([row.sigma_mw for row in rows])
        matrix = np.array([[row.rates.get(name, 0.0) * _milliwatts(constants, name) for name in names] for row in rows])
        return cls(names, matrix / sigma[:, None], np.array([row.power_mw for row in rows]) / sigma, len(rows))

    def believing(self, records: Mapping[str, Constant]) -> "_Rows":
        """Return the system with the old records of some parameters as rows of their own."""
        rows, targets = [], []
        for name, record in records.items():
            spread = record.mid * max(float(np.log(record.high / record.low)) / (2 * NORMAL_95), LEAST_SPREAD)
            rows.append([(name == other) / spread for other in self.names])
            targets.append(record.mid / spread)
        if not rows:
            return self
        return replace(self, matrix=np.vstack([self.matrix, rows]), target=np.concatenate([self.target, targets]))

    @cached_property
    def norms(self) -> np.ndarray:
        return np.linalg.norm(self.matrix, axis=0)

    @cached_property
    def design(self) -> np.ndarray:
        return self.matrix / self.norms

    @property
    def condition(self) -> float:
        found = np.linalg.svd(self.design, compute_uv=False)
        return float(found[0] / found[-1])

    @property
    def confused(self) -> tuple[str, ...]:
        """Parameters that can change together without a change in any row."""
        _, found, vectors = np.linalg.svd(self.design)
        null = vectors[np.pad(found, (0, len(self.names) - len(found))) < RANK * found[0]]
        return tuple(name for name, share in zip(self.names, (null**2).sum(axis=0), strict=True) if share > RANK)

    def solve(self) -> tuple[dict[str, float], dict[str, float]]:
        """Return the best values and their standard errors: from the stated sigmas, or from the scatter where that is more."""
        scaled = non_negative_least_squares(self.design, self.target)
        left = (self.design @ scaled - self.target)[: self.measured]
        freedom = self.measured - int(np.linalg.matrix_rank(self.design[: self.measured], tol=RANK))
        scatter = max(1.0, float(left @ left) / max(1, freedom))
        # The diagonal of the inverse of design.T @ design, without squaring its condition.
        _, found, vectors = np.linalg.svd(self.design, full_matrices=False)
        spread = np.sqrt(((vectors / found[:, None]) ** 2).sum(axis=0) * scatter)
        return (
            dict(zip(self.names, map(float, scaled / self.norms), strict=True)),
            dict(zip(self.names, map(float, spread / self.norms), strict=True)),
        )


def calibrate(measurements: Sequence[Measurement], constants: ConstantSet) -> Calibration:
    """Fit the parameters that the measurements name: non-negative weighted least squares of ``P_i = sum_j rate_ij * value_j``.

    A parameter that no measurement names keeps its record. So does one that the rows cannot tell apart from others: for the fit
    its old record then counts as one more row. And so does one whose standard error is larger than its value, while the old
    record agrees with it. A parameter that is not one of the set (an oscillator of the measured board, say) is fitted and
    reported, and not added.

    Raises
    ------
    UsageError
        The measurements determine no parameter of the set, or do not tell those apart that are none of the set's.
    """
    fit = _fit(measurements, constants)
    if not fit.replaced:
        names = ", ".join(fit.values)
        raise UsageError(f"measurements must tell {len(fit.values)} parameters apart ({names}), {len(measurements)} rows do not")
    return fit


def _fit(measurements: Sequence[Measurement], constants: ConstantSet) -> Calibration:
    known = constants.parameters
    system = _Rows.of(measurements, constants)
    if not system.names:
        raise UsageError("measurements must have at least one row with an amount that is not zero")
    confused = system.confused
    kept = {
        name: f"the rows do not tell it apart from {', '.join(other for other in confused if other != name)}"
        for name in confused
        if name in known
    }
    system = system.believing({name: known[name] for name in kept})
    if foreign := system.confused:
        raise UsageError(
            f"measurements must tell {len(foreign)} parameters apart ({', '.join(foreign)}), {len(measurements)} rows do not"
        )
    values, errors = system.solve()
    for name, value in values.items():
        if name in known and name not in kept and value < errors[name] and abs(known[name].mid - value) < 2 * errors[name]:
            kept[name] = "its standard error is larger than its value, and the old record agrees"
    fitted = [name for name in values if name in known and name not in kept]
    parameters, bounded = dict(known), []
    source = f"fitted to {len(measurements)} measurements"
    for name in fitted:
        value, error = values[name], errors[name]
        if value > error:
            reach = float(np.exp(NORMAL_95 * error / value))
            low, mid, high, how = value / reach, value, value * reach, source
        else:
            high = value + NORMAL_95 * error
            low, mid, how = high / 9, high / 3, f"{source}, which give an upper bound"
            bounded.append(name)
        band = {end: float(f"{number:.6g}") for end, number in (("low", low), ("mid", mid), ("high", high))}
        parameters[name] = parameters[name].model_copy(update=band | {"provenance": "measured", "source": how, "drawn_with": ""})
    done = Calibration(
        values,
        errors,
        kept,
        tuple(bounded),
        {},
        system.condition,
        constants.model_copy(update={"parameters": parameters}),
    )
    return replace(done, residuals_mw={row.name: done.predict_mw(row) - row.power_mw for row in measurements})


def hold_out(measurements: Sequence[Measurement], constants: ConstantSet) -> tuple[HeldOut, ...]:
    """Predict every measurement by a fit to all others."""
    found = []
    for index, row in enumerate(measurements):
        others = [*measurements[:index], *measurements[index + 1 :]]
        try:
            fit = _fit(others, constants)
        except UsageError:
            found.append(HeldOut(row.name, None, row.power_mw, tuple(row.rates)))
            continue
        unfitted = tuple(name for name, rate in row.rates.items() if rate and (name not in fit.values or name in fit.kept))
        found.append(HeldOut(row.name, fit.predict_mw(row) if fit.knows(row) else None, row.power_mw, unfitted))
    return tuple(found)


def format_constants(fit: Calibration, base: str, title: str) -> str:
    """Return the fitted parameters as a constants file on a base, which :func:`snnhw.cost.load_constants` reads."""
    parts = [format_toml({"base": base, "title": title})]
    for name in fit.replaced:
        record = fit.constants[name]
        table = {field: getattr(record, field) for field in ("low", "mid", "high", "unit", "provenance", "source")}
        parts.append(f"[parameters.{name}]\n{format_toml(table)}")
    return "\n".join(parts)


def non_negative_least_squares(matrix: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the ``x >= 0`` with the smallest ``|matrix @ x - target|``; the active-set method of Lawson and Hanson.

    The columns of `matrix` must be linearly independent and of about unit length.
    """
    size = matrix.shape[1]
    free = np.zeros(size, bool)
    x = np.zeros(size)
    tolerance = 1e-12 * max(1.0, float(np.linalg.norm(target)))
    while True:
        gradient = matrix.T @ (target - matrix @ x)
        candidates = np.flatnonzero(~free & (gradient > tolerance))
        if not candidates.size:
            return x
        free[candidates[gradient[candidates].argmax()]] = True
        while True:
            trial = np.zeros(size)
            trial[free] = np.linalg.lstsq(matrix[:, free], target, rcond=None)[0]
            blocked = free & (trial <= 0)
            if not blocked.any():
                break
            # Go towards the trial until the first parameter reaches zero, and hold it there.
            step = np.min(x[blocked] / (x[blocked] - trial[blocked]))
            x = x + step * (trial - x)
            free &= x > tolerance
            x[~free] = 0.0
        x = trial

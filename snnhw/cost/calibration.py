"""Refit constants to measured power."""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from snnhw.cost.bands import NORMAL_95
from snnhw.cost.constants import ConstantSet
from snnhw.errors import FileError, UsageError
from snnhw.files import read_bytes

__all__ = ["Calibration", "Measurement", "calibrate", "load_measurements", "non_negative_least_squares"]

MAX_BYTES = 1 << 20
FOLDER = Path(__file__).resolve().parent / "measurements"
MILLIWATTS_PER_PICOJOULE_PER_SECOND = 1e-9


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
    power_mw: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    sigma_mw: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    rates: Annotated[dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]], Field(min_length=1)]


@dataclass(frozen=True)
class Calibration:
    """Constants that fit a set of measurements best.

    Attributes
    ----------
    values : mapping of str to float
        Fitted parameters, in the unit of their record; those that are none of the set's in pJ per unit of rate.
    errors : mapping of str to float
        Their standard errors.
    residuals_mw : mapping of str to float
        Predicted less measured, by measurement.
    constants : ConstantSet
        The old set with the fitted parameters in it, marked ``measured``.
    """

    values: dict[str, float]
    errors: dict[str, float]
    residuals_mw: dict[str, float]
    constants: ConstantSet

    def predict_mw(self, measurement: Measurement) -> float:
        """Return the power the fit gives for a design."""
        return sum(rate * _milliwatts(self.constants, name) * self.values[name] for name, rate in measurement.rates.items())


def _milliwatts(constants: ConstantSet, name: str) -> float:
    """Return the milliwatts of one unit of a parameter at one per second."""
    known = constants.parameters.get(name)
    return 1.0 if known is not None and known.unit == "mW" else MILLIWATTS_PER_PICOJOULE_PER_SECOND


def load_measurements(path: Path | str) -> tuple[Measurement, ...]:
    """Load measurements from a TOML file, or those that come with the package, by name."""
    file = FOLDER / f"{path}.toml" if isinstance(path, str) and (FOLDER / f"{path}.toml").is_file() else Path(path)
    try:
        table = tomllib.loads(read_bytes(file, "measurements file", MAX_BYTES).decode())
        return tuple(Measurement.model_validate(row) for row in table["measurements"])
    except ValidationError as error:
        first = error.errors()[0]
        raise FileError(f"measurements file {str(path)!r}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    except (ValueError, KeyError, TypeError, RecursionError):
        raise FileError(f"measurements file {str(path)!r} must be TOML with an array of tables 'measurements'") from None


def calibrate(measurements: Sequence[Measurement], constants: ConstantSet) -> Calibration:
    """Fit the parameters that the measurements name: non-negative weighted least squares of ``P_i = sum_j rate_ij * value_j``.

    Parameters that no measurement names keep their record. A parameter that is not one of the set (an
    oscillator of the measured board, say) is fitted and reported, and not added.

    Raises
    ------
    UsageError
        The measurements cannot tell the parameters apart.
    """
    names = sorted({name for row in measurements for name in row.rates})
    scales = np.array([_milliwatts(constants, name) for name in names])
    matrix = np.array([[row.rates.get(name, 0.0) for name in names] for row in measurements]) * scales
    power = np.array([row.power_mw for row in measurements])
    weight = 1.0 / np.array([row.sigma_mw for row in measurements])
    norms = np.linalg.norm(matrix * weight[:, None], axis=0)
    design = matrix * weight[:, None] / norms
    if len(measurements) < len(names) or np.linalg.matrix_rank(design, tol=1e-9) < len(names):
        raise UsageError(
            f"measurements must tell {len(names)} parameters apart ({', '.join(names)}), {len(measurements)} rows do not"
        )
    fitted = non_negative_least_squares(design, power * weight) / norms
    residuals = matrix @ fitted - power
    # Standard errors from the stated sigmas, enlarged when the rows scatter more than those allow.
    freedom = max(1, len(power) - len(names))
    scatter = max(1.0, float(np.sum((residuals * weight) ** 2)) / freedom)
    spread = np.sqrt(np.diag(np.linalg.inv(design.T @ design)) * scatter) / norms
    parameters = dict(constants.parameters)
    for name, value, error in zip(names, fitted, spread, strict=True):
        if name in parameters and value > 0:
            reach = float(np.exp(NORMAL_95 * error / value))
            parameters[name] = parameters[name].model_copy(
                update={
                    "low": float(value) / reach,
                    "mid": float(value),
                    "high": float(value) * reach,
                    "provenance": "measured",
                    "source": f"fitted to {len(measurements)} measurements",
                }
            )
    return Calibration(
        dict(zip(names, map(float, fitted), strict=True)),
        dict(zip(names, map(float, spread), strict=True)),
        {row.name: float(residual) for row, residual in zip(measurements, residuals, strict=True)},
        constants.model_copy(update={"parameters": parameters}),
    )


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

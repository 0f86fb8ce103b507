"""Calibration: finds what made the measurements, and reproduces the published ones."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snnhw.cost import Measurement, calibrate, load_constants, load_measurements
from snnhw.cost.calibration import non_negative_least_squares
from snnhw.errors import FileError, UsageError

UP5K = load_constants("ice40up5k")
RAIL_VOLTS = 1.219


def test_published_measurements_give_the_shipped_constants():
    fit = calibrate(load_measurements("ice40_power"), UP5K)
    for name in ("static", "clock"):
        assert UP5K[name].low <= fit.values[name] <= UP5K[name].high
    # The high end of the toggle is this very multiplier; the shipped middle allows for cheaper nets.
    assert fit.values["toggle"] == pytest.approx(UP5K["toggle"].high, rel=0.02)
    assert abs(fit.values["flip_flop_clock"] - UP5K["flip_flop_clock"].mid) < 2 * fit.errors["flip_flop_clock"]


def test_published_rows_are_reproduced():
    rows = load_measurements("ice40_power")
    fit = calibrate(rows, UP5K)
    microamperes = {row.name: fit.predict_mw(row) / RAIL_VOLTS * 1e3 for row in rows}
    assert microamperes["48 MHz oscillator, 24-bit counter"] == pytest.approx(2184, rel=0.02)
    assert microamperes["12 MHz, 8 x 8 multiplier in LUTs"] == pytest.approx(996, rel=0.02)
    assert microamperes["12 MHz external, 224-bit counter"] == pytest.approx(641.3, rel=0.02)
    assert microamperes["blank"] == pytest.approx(85.6, rel=0.1)
    for row in rows:
        assert fit.predict_mw(row) - row.power_mw == pytest.approx(fit.residuals_mw[row.name], abs=1e-12)


@pytest.mark.parametrize("held_out", [row.name for row in load_measurements("ice40_power") if "toggle" not in row.rates])
def test_held_out_row_is_predicted(held_out):
    rows = load_measurements("ice40_power")
    fit = calibrate([row for row in rows if row.name != held_out], UP5K)
    row = next(row for row in rows if row.name == held_out)
    assert fit.predict_mw(row) == pytest.approx(row.power_mw, rel=0.2)


def test_shipped_constants_predict_the_published_rows_within_their_band():
    # Rows without the oscillator of the board's own, which is no part of the energy model.
    for row in load_measurements("ice40_power"):
        if "oscillator" not in row.rates:
            low, high = (
                sum(rate * getattr(UP5K[name], end) * (1 if name == "static" else 1e-9) for name, rate in row.rates.items())
                for end in ("low", "high")
            )
            assert low * 0.99 <= row.power_mw <= high * 1.01


def test_the_fit_replaces_only_what_was_measured():
    fit = calibrate(load_measurements("ice40_power"), UP5K)
    assert fit.constants["clock"].provenance == "measured"
    assert fit.constants["clock"].source == "fitted to 11 measurements"
    assert fit.constants["clock"].low < fit.constants["clock"].mid < fit.constants["clock"].high
    assert fit.constants["ebr"] == UP5K["ebr"]
    assert "oscillator" in fit.values
    assert "oscillator" not in fit.constants.parameters
    assert UP5K["clock"].mid == 52.0


@settings(max_examples=20)
@given(seed=st.integers(0, 1000))
def test_true_values_are_found(seed):
    rng = np.random.default_rng(seed)
    truth = {"static": 0.2, "clock": 60.0, "toggle": 0.3, "ebr": 5.0}
    rows = []
    for index in range(12):
        rates = {
            "static": 1.0,
            "clock": float(rng.uniform(1e6, 5e7)),
            "toggle": float(rng.uniform(0, 1e10)),
            "ebr": float(rng.uniform(0, 1e9)),
        }
        power = sum(rate * truth[name] * (1 if name == "static" else 1e-9) for name, rate in rates.items())
        rows.append(Measurement(name=str(index), power_mw=power, sigma_mw=0.01 * power, rates=rates))
    fit = calibrate(rows, UP5K)
    assert fit.values == pytest.approx(truth, rel=1e-6)
    assert max(map(abs, fit.residuals_mw.values())) < 1e-9


def test_indistinguishable_parameters_are_refused():
    rows = [
        Measurement(name=str(index), power_mw=1.0, sigma_mw=0.1, rates={"clock": 1e6 * index, "toggle": 2e6 * index})
        for index in (1, 2, 3)
    ]
    with pytest.raises(UsageError, match=r"^measurements must tell 2 parameters apart \(clock, toggle\), 3 rows do not$"):
        calibrate(rows, UP5K)


@settings(max_examples=20)
@given(seed=st.integers(0, 1000), columns=st.integers(1, 5))
def test_least_squares_is_the_best_without_negatives(seed, columns):
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(8, columns))
    target = rng.normal(size=8)
    best = non_negative_least_squares(matrix, target)
    assert (best >= 0).all()
    gradient = matrix.T @ (target - matrix @ best)
    # Kuhn-Tucker: no positive value can improve, no zero wants to grow.
    assert np.abs(gradient[best > 0]).max(initial=0) < 1e-9
    assert gradient[best == 0].max(initial=0) < 1e-9


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = [", "must be TOML with an array of tables 'measurements'$"),
        ("rows = 1", "must be TOML with an array of tables 'measurements'$"),
        (
            "[[measurements]]\nname = 'a'\npower_mw = -1\nsigma_mw = 1\nrates = {clock = 1}",
            "power_mw: Input should be greater than 0$",
        ),
    ],
)
def test_wrong_measurements_are_refused(tmp_path, text, message):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(FileError, match=rf"^measurements file '.*mine\.toml'.*{message}"):
        load_measurements(path)

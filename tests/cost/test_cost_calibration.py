"""Calibration: finds what made the measurements, and reproduces the published ones."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snnhw.cost import Measurement, calibrate, load_constants, load_measurements
from snnhw.cost.calibration import format_constants, hold_out, non_negative_least_squares
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


def test_held_out_rows_are_predicted():
    held_out = hold_out(load_measurements("ice40_power"), UP5K)
    assert len(held_out) == 12
    for row in held_out:
        assert abs(row.error) < 0.2, row
    # What only one row has is predicted with the shipped constant.
    assert {row.unfitted for row in held_out} == {(), ("toggle",), ("multiply",)}


@pytest.mark.parametrize(("name", "microamperes"), [
    ("12 MHz, 8 x 8 multiplier in a DSP block", 882),
    ("12 MHz, 8 x 8 multiplier in LUTs", 996),
    ("48 MHz oscillator, 24-bit counter", 2184),
])
def test_shipped_constants_predict_the_rows_that_are_named(name, microamperes):
    rows = load_measurements("ice40_power")
    # The board's oscillator is no part of the energy model; what it takes comes from the other rows.
    oscillator = calibrate([row for row in rows if row.name != name], UP5K).values["oscillator"]
    row = next(row for row in rows if row.name == name)
    low, high = (
        (sum(rate * getattr(UP5K[parameter], end) * (1 if parameter == "static" else 1e-9)
             for parameter, rate in row.rates.items() if parameter != "oscillator") + oscillator) / RAIL_VOLTS * 1e3
        for end in ("low", "high")
    )
    assert row.power_mw / RAIL_VOLTS * 1e3 == pytest.approx(microamperes, rel=1e-3)
    # The end of the toggle's band is the table-made multiplier itself.
    assert low < microamperes < high * 1.005


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
    assert fit.constants["clock"].source == "fitted to 12 measurements"
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


def row_of(name, power_mw, **rates):
    return Measurement(name=name, power_mw=power_mw, sigma_mw=0.01 * power_mw, rates=rates)


def test_indistinguishable_parameters_are_refused():
    rows = [row_of(str(index), 1.0, clock=1e6 * index, toggle=2e6 * index) for index in (1, 2, 3)]
    with pytest.raises(UsageError, match=r"^measurements must tell 2 parameters apart \(clock, toggle\), 3 rows do not$"):
        calibrate(rows, UP5K)
    rows = [row_of(str(index), 1.0, static=1, pll=index, oscillator=index) for index in (1, 2, 3)]
    with pytest.raises(UsageError, match=r"^measurements must tell 2 parameters apart \(oscillator, pll\), 3 rows do not$"):
        calibrate(rows, UP5K)


def test_parameters_that_cannot_be_told_apart_keep_their_records():
    # clock and flip_flop_clock always come together, toggle does not.
    shape = ((1e6, 0.0), (2e6, 4e9), (3e6, 1e9), (4e6, 6e9))
    rows = [
        row_of(str(clock), 0.2 + 55e-9 * clock + 100 * clock * 0.0144e-9 + 0.3e-9 * toggle,
               static=1, clock=clock, flip_flop_clock=100 * clock, toggle=toggle)
        for clock, toggle in shape
    ]
    fit = calibrate(rows, UP5K)
    assert fit.kept == {
        "clock": "the rows do not tell it apart from flip_flop_clock",
        "flip_flop_clock": "the rows do not tell it apart from clock",
    }
    assert (fit.constants["clock"], fit.constants["flip_flop_clock"]) == (UP5K["clock"], UP5K["flip_flop_clock"])
    assert set(fit.replaced) == {"static", "toggle"}
    assert fit.values["toggle"] == pytest.approx(0.3, rel=0.05)


def test_a_weak_parameter_keeps_its_record_where_that_agrees():
    rows = [row_of(str(clock), 0.2 + 55e-9 * clock + 7e-9 * ebr, static=1, clock=clock, ebr=ebr)
            for clock, ebr in ((0, 0), (1e7, 0), (3e7, 1e4), (2e7, 2e4))]
    fit = calibrate(rows, UP5K)
    assert fit.kept == {"ebr": "its standard error is larger than its value, and the old record agrees"}
    assert fit.constants["ebr"] == UP5K["ebr"]
    assert fit.values["clock"] == pytest.approx(55, rel=1e-3)


def test_a_parameter_that_costs_nothing_gets_an_upper_bound():
    rows = [row_of(str(clock), 0.2 + 55e-9 * clock, static=1, clock=clock, ebr=ebr)
            for clock, ebr in ((0, 0), (1e7, 0), (3e7, 1e9), (2e7, 2e9))]
    fit = calibrate(rows, UP5K)
    assert fit.bounded == ("ebr",)
    record = fit.constants["ebr"]
    assert 0 < record.low < record.mid < record.high < UP5K["ebr"].low
    assert record.source == "fitted to 4 measurements, which give an upper bound"


def test_a_held_out_row_alone_with_a_foreign_parameter_is_not_predicted():
    rows = [row_of("a", 0.2, static=1), row_of("b", 0.8, static=1, clock=1e7), row_of("c", 1.0, static=1, clock=1e7, pll=1)]
    held_out = {row.name: row for row in hold_out(rows, UP5K)}
    assert (held_out["c"].predicted_mw, held_out["c"].error, held_out["c"].unfitted) == (None, None, ("pll",))
    # b and c have static and clock together, so what they miss is shared out between the old records, by their bands.
    assert held_out["a"].unfitted == ("static",)
    assert -0.46 < held_out["a"].error < -0.40


def test_a_fit_is_written_as_constants(tmp_path):
    fit = calibrate(load_measurements("ice40_power"), UP5K)
    path = tmp_path / "mine.toml"
    path.write_text(format_constants(fit, "ice40up5k", "my board"))
    mine = load_constants(path)
    assert (mine.title, mine.name) == ("my board", "ice40up5k")
    assert mine.parameters == fit.constants.parameters
    assert {name for name in mine.parameters if mine[name] != UP5K[name]} == set(fit.replaced)


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
            "power_mw: Input should be greater than or equal to .*$",
        ),
        (
            "[[measurements]]\nname = 'a'\npower_mw = 1\nsigma_mw = 1\nrates = {clock = 1e300}",
            "rates.clock: Input should be less than or equal to .*$",
        ),
    ],
)
def test_wrong_measurements_are_refused(tmp_path, text, message):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(FileError, match=rf"^measurements file '.*mine\.toml'.*{message}"):
        load_measurements(path)

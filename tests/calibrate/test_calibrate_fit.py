"""Readings to constants: what made the power is found again, and a wrong table is refused in one sentence."""

import re

import numpy as np
import pytest

from snnhw.board import load_board
from snnhw.calibrate import build_designs, fit_measurements, load_designs, read_readings, template
from snnhw.cost import load_constants
from snnhw.errors import FileError, UsageError

UP5K = load_constants("ice40up5k")
NOISE = 0.003
FITTED = {"static", "clock", "flip_flop_clock", "multiply", "ebr", "spram", "pll",
          *(f"toggle_{kind}" for kind in ("register", "carry", "local", "routed", "memory", "multiplier"))}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """All designs of the iCEBreaker, counted in their netlists."""
    out = tmp_path_factory.mktemp("designs") / "out"
    build_designs(load_board("icebreaker"), out, bitstreams=False)
    return out


def true_values(seed):
    """Return constants away from the shipped ones, by half and more."""
    generator = np.random.default_rng(seed)
    return {name: 0.15 if name == "pll" else UP5K[name].mid * float(np.exp(generator.normal(0, 0.4))) for name in sorted(FITTED)}


def power_mw(rates, truth):
    return sum(rate * truth[name] * (1 if name in ("static", "pll") else 1e-9) for name, rate in rates.items())


def write_readings(path, folder, truth, seed, noise=NOISE):
    generator = np.random.default_rng([seed, 1])
    lines = ["design,clock_hz,power_mw,sigma_mw"]
    for design in load_designs(folder)[1]:
        power = power_mw(design.counts.rates(design.clock_hz, UP5K, design.made_by), truth)
        lines.append(f"{design.name},{design.clock_hz},{power * (1 + noise * generator.normal())},{noise * power}")
    path.write_text("\n".join(lines) + "\n")
    return path


def test_what_made_the_power_is_found_within_its_standard_errors(folder, tmp_path):
    deviations = []
    for seed in range(12):
        truth = true_values(seed)
        results = fit_measurements(write_readings(tmp_path / "m.csv", folder, truth, seed), designs=folder)
        found = {row["parameter"]: row for row in results["parameters"]}
        assert set(found) == FITTED
        assert {row["status"] for row in found.values()} == {"fitted"}
        deviations += [(row["fitted"] - truth[name]) / row["standard_error"] for name, row in found.items()]
        for name in ("static", "clock", "toggle_routed", "ebr", "spram"):
            assert found[name]["fitted"] == pytest.approx(truth[name], rel=0.03)
        # A row that alone has something is no test of the fit.
        assert max(abs(row["held_out_error"]) for row in results["rows"] if not row["held_out_without"]) < 0.2
    # 156 deviations of unit variance: their root mean square is within 4 standard errors of 1, none is far out.
    assert 0.77 < float(np.sqrt(np.mean(np.square(deviations)))) < 1.23
    assert max(map(abs, deviations)) < 4.5


def test_the_constants_that_come_out_are_those_that_went_in(folder, tmp_path):
    truth = true_values(100)
    fit_measurements(write_readings(tmp_path / "m.csv", folder, truth, 0, noise=1e-6), designs=folder, out=tmp_path / "my.toml")
    mine = load_constants(tmp_path / "my.toml")
    assert mine.title == "iCE40UP5K, fitted to m.csv"
    for name in FITTED - {"pll"}:
        assert mine[name].mid == pytest.approx(truth[name], rel=1e-3)
        assert mine[name].provenance == "measured"
    assert mine["netlist_per_rtl_toggle"] == UP5K["netlist_per_rtl_toggle"]


def test_designs_that_were_not_measured_leave_their_parameters_alone(folder, tmp_path):
    lines = write_readings(tmp_path / "m.csv", folder, true_values(0), 0).read_text().splitlines()
    kept = [line for line in lines if not line.startswith(("multiplier_one", "single_port"))]
    (tmp_path / "m.csv").write_text("\n".join([*kept, "multiplier_one,12000000,,"]))
    found = fit_measurements(tmp_path / "m.csv", designs=folder, out=tmp_path / "my.toml")
    rows = {row["parameter"]: row for row in found["parameters"]}
    assert "spram" not in rows
    assert (rows["multiply"]["status"], rows["toggle_multiplier"]["status"]) == ("kept", "kept")
    assert "multiply keeps its record: the rows do not tell it apart from toggle_multiplier" in found["warnings"]
    assert rows["ebr"]["status"] == "fitted"
    mine = load_constants(tmp_path / "my.toml")
    assert (mine["multiply"], mine["spram"]) == (UP5K["multiply"], UP5K["spram"])


def test_published_measurements_are_a_fit_too(tmp_path):
    results = fit_measurements("ice40_power", out=tmp_path / "my.toml")
    assert (results["base"], len(results["rows"])) == ("ice40up5k", 12)
    assert results["held_out_worst"] < 0.2
    assert results["condition"] < 10
    assert results["warnings"][0] == "toggle rests on the row '12 MHz, 8 x 8 multiplier in LUTs' alone, no other checks it"
    assert load_constants(tmp_path / "my.toml")["clock"].mid == pytest.approx(52, abs=1)


@pytest.mark.parametrize(("unit", "clock"), [(1e-3, 1.0), (1.0, 1e3)])
def test_another_unit_is_noticed(folder, tmp_path, unit, clock):
    lines = write_readings(tmp_path / "m.csv", folder, true_values(0), 0).read_text().splitlines()
    changed = [lines[0]]
    for line in lines[1:]:
        name, clock_hz, power, sigma = line.split(",")
        changed.append(f"{name},{float(clock_hz) * clock},{float(power) * unit},{float(sigma) * unit}")
    (tmp_path / "m.csv").write_text("\n".join(changed))
    found = fit_measurements(tmp_path / "m.csv", designs=folder)["warnings"]
    assert any(text.startswith("clock is 0.00") and text.endswith("old record: powers must be in milliwatts, clocks in hertz")
               for text in found)


def test_readings_that_no_constants_explain_are_named(folder, tmp_path):
    lines = write_readings(tmp_path / "m.csv", folder, true_values(0), 0).read_text().splitlines()
    assert not any("no constants explain" in text for text in fit_measurements(tmp_path / "m.csv", designs=folder)["warnings"])
    at = next(index for index, line in enumerate(lines) if line.startswith("flip_flops_busy_64,"))
    name, clock_hz, power, sigma = lines[at].split(",")
    lines[at] = f"{name},{clock_hz},{2 * float(power)},{sigma}"
    (tmp_path / "m.csv").write_text("\n".join(lines))
    assert any("'flip_flops_busy_64' by" in text and text.endswith("no constants explain these readings")
               for text in fit_measurements(tmp_path / "m.csv", designs=folder)["warnings"])


def test_the_template_has_every_design_and_is_no_measurement(folder, tmp_path):
    designs = load_designs(folder)[1]
    path = tmp_path / "measurements.csv"
    path.write_text(template(designs))
    assert path.read_text().splitlines()[:3] == ["design,clock_hz,power_mw,sigma_mw", "static,0,,", "clock,12000000,,"]
    with pytest.raises(FileError, match=r"^measurements file '.*' must have at least one row with a power$"):
        read_readings(path, designs, UP5K)


def test_a_table_may_have_comments_spaces_repeats_and_another_clock(folder, tmp_path):
    path = tmp_path / "m.csv"
    path.write_text("\ufeff# board 3, 23 C\nsigma_mw, power_mw, clock_hz, design, remark\n"
                    "0.01, 0.7, 6e6, clock, cool\n\n0.01, 0.71, 6e6, clock, warm\n", encoding="utf-8")
    one, two = read_readings(path, load_designs(folder)[1], UP5K)
    assert (one.name, two.name, two.power_mw) == ("clock", "clock (2)", 0.71)
    assert one.rates == {"static": 1.0, "clock": 6e6, "flip_flop_clock": 18e6}


GOOD = "design,clock_hz,power_mw,sigma_mw\nstatic,0,0.1,0.001\nclock,12000000,0.7,0.001\n"


@pytest.mark.parametrize(("old", "new", "message"), [
    ("power_mw,", "", r" must have the columns design, clock_hz, power_mw, sigma_mw, 'power_mw' is missing"),
    ("0.7,", "-0.7,", r", row 2: power_mw must be a positive number, not '-0\.7'"),
    ("0.7,", "nan,", r", row 2: power_mw must be a positive number, not 'nan'"),
    ("0.7,", "inf,", r", row 2: power_mw must be a positive number, not 'inf'"),
    ("0.7,", "0.7 mW,", r", row 2: power_mw must be a positive number, not '0\.7 mW'"),
    ("0.7,0.001", "0.7,0", r", row 2: sigma_mw must be a positive number, not '0'"),
    ("0.7,0.001", "0.7", r", row 2: sigma_mw must be a positive number, and is empty"),
    ("12000000", "", r", row 2: clock_hz must be a positive number, and is empty"),
    ("0.7,0.001", "0,7,0,001", r", row 2: cells must be as many as columns, not more: decimals need a point, not a comma"),
    ("12000000", "12", r", row 2: clock_hz of 'clock' must be at least 1,000 hertz, not 12"),
    ("static,0", "static,5", r", row 1: clock_hz of 'static' must be 0, because it has no clock, not 5"),
    ("clock,12", "clocks,12", r", row 2: design must be one of static, clock, .*, accelerator_busy, not 'clocks'"),
    ("12000000", "1e307", r", row 2: rates\.clock: input should be less than or equal to .*"),
    ("0.7,0.001", "0.7,1e-300", r", row 2: sigma_mw: input should be greater than or equal to .*"),
    (GOOD, "", r" must have the columns design, clock_hz, power_mw, sigma_mw, 'design' is missing"),
    ("0.7", '"0.7', r" must be a table with commas: .*"),
])
def test_a_wrong_table_is_refused(folder, tmp_path, old, new, message):
    assert old in GOOD
    path = tmp_path / "m.csv"
    path.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(FileError, match=rf"^measurements file '{re.escape(str(path))}'{message}$"):
        fit_measurements(path, designs=folder)


def test_bytes_that_are_no_text_are_refused(folder, tmp_path):
    (tmp_path / "m.csv").write_bytes(b"\xff\x00\x12")
    with pytest.raises(FileError, match=r"^measurements file '.*' must be text in UTF-8, and is not$"):
        fit_measurements(tmp_path / "m.csv", designs=folder)


def test_a_single_reading_is_fitted_and_no_other_predicts_it(folder, tmp_path):
    (tmp_path / "m.csv").write_text("design,clock_hz,power_mw,sigma_mw\nstatic,0,0.1,0.001\n")
    results = fit_measurements(tmp_path / "m.csv", designs=folder)
    assert [(row["parameter"], row["status"]) for row in results["parameters"]] == [("static", "fitted")]
    assert results["parameters"][0]["fitted"] == pytest.approx(0.1)
    assert results["held_out_worst"] is None


def test_wrong_use_is_refused(folder, tmp_path):
    with pytest.raises(UsageError, match=r"^--designs must be given with a \.csv file: the folder that `snnhw .*` wrote$"):
        fit_measurements(tmp_path / "m.csv")
    (tmp_path / "m.csv").write_text(GOOD)
    with pytest.raises(UsageError, match=r"^--base must be the constants of an FPGA, not 'asic45'$"):
        fit_measurements(tmp_path / "m.csv", designs=folder, base="asic45")
    (tmp_path / "my.toml").write_text('base = "ice40up5k"\n')
    with pytest.raises(UsageError, match=r"^--base must be one of asic45, .*, xc7, not '.*my\.toml'$"):
        fit_measurements(tmp_path / "m.csv", designs=folder, base=str(tmp_path / "my.toml"))
    (tmp_path / "m.toml").write_text("[[measurements]]\nname = 'a'\npower_mw = 1\nsigma_mw = 1\nrates = {static = 1}\n")
    with pytest.raises(UsageError, match=r"^--base must be given, the measurements file does not name a set of constants$"):
        fit_measurements(tmp_path / "m.toml")

"""``snnhw calibrate``, from designs to constants that ``snnhw estimate`` takes."""

import json
import re

import pytest
from test_cli_errors import refused


@pytest.mark.parametrize("command", ["designs", "fit"])
def test_it_explains_itself(snnhw, command):
    done = snnhw("calibrate", command, "--help")
    assert (done.code, done.err) == (0, "")
    assert {"--json", "--quiet", "--debug"} <= set(re.findall(r"--\w+", done.out))


def test_designs_readings_and_constants(snnhw, run_folder, tmp_path):
    out, mine = tmp_path / "out", tmp_path / "my.toml"
    names = ["static", "clock", "flip_flops_quiet_8", "block_ram_read"]
    only = [word for name in names for word in ("--only", name)]
    done = snnhw("calibrate", "designs", "--board", "icebreaker", "--out", out, "--count-only", *only, "--run", run_folder)
    assert (done.code, done.err) == (0, "")
    assert "block_ram_read" in done.out
    assert "## How to measure" in (out / "README.md").read_text()
    table = out / "measurements.csv"
    assert [line.split(",")[0] for line in table.read_text().splitlines()] == ["design", *names]
    table.write_text("design,clock_hz,power_mw,sigma_mw\nstatic,0,0.11,0.001\nclock,12e6,0.76,0.001\nblock_ram_read,12e6,1.5,0.001\n")
    again = snnhw("calibrate", "designs", "--board", "icebreaker", "--out", out, "--count-only", *only)
    assert again.code == 0
    assert "block_ram_read,12e6,1.5" in table.read_text()  # what was filled in stays
    done = snnhw("calibrate", "fit", table, "--designs", out, "--out", mine, "--json")
    assert (done.code, done.err) == (0, "")
    results = json.loads(done.out)["results"]
    fitted = {row["parameter"]: row["status"] for row in results["parameters"]}
    assert fitted["static"] == "fitted"
    assert fitted["toggle_memory"] == fitted["ebr"] == "kept"  # one row has both
    done = snnhw("estimate", run_folder, "--samples", "2", "--constants", mine, "--json")
    assert (done.code, done.err) == (0, "")
    assert json.loads(done.out)["results"]["energy"][-1]["constants_title"] == "iCE40UP5K, fitted to measurements.csv"


def test_the_published_measurements_are_shown(snnhw):
    done = snnhw("calibrate", "fit", "ice40_power")
    assert (done.code, done.err) == (0, "")
    assert "held out: the worst row is off by 18.3%, the mean is 3.5%" in done.out
    assert "Warnings" in done.out


@pytest.mark.parametrize(("arguments", "message"), [
    ([], "Missing command"),
    (["heat"], "No such command 'heat'"),
    (["fit", "nothing.csv"], "--designs must be given with a \\.csv file: .*"),
    (["fit", "nothing.toml"], "measurements file 'nothing.toml' does not exist"),
    (["fit", "ice40_power", "--base", "mine"], "constants must be one of asic45, .* or a \\.toml file, not 'mine'"),
    (["fit", "ice40_power", "--out", "my.json"], "--out must be a \\.toml file, not 'my\\.json'"),
    (["designs", "--board", "icebreaker", "--out", "x", "--samples", "99"], "--samples must be between 1 and 16, not 99"),
    (["designs", "--board", "icebreaker", "--out", "x", "--only", "heater"], "design must be one of static, .*, not 'heater'"),
    (["designs", "--board", "tang-nano-9k", "--out", "x"],
     "board 'tang-nano-9k': calibration designs are made for ice40 and ecp5, not for gowin"),
])
def test_wrong_use_is_one_line(snnhw, monkeypatch, tmp_path, arguments, message):
    monkeypatch.chdir(tmp_path)
    refused(snnhw("calibrate", *arguments), message)
    assert list(tmp_path.iterdir()) == []

"""A user's constants, from the command line."""

import json

import pytest
from test_cli_errors import refused

MINE = 'base = "ice40up5k"\n[parameters.static]\nlow = 1.0\nmid = 2.0\nhigh = 4.0\nprovenance = "measured"\nsource = "my rail"\n'


@pytest.mark.parametrize("command", ["estimate", "energy"])
def test_the_users_constants_are_used(snnhw, run_folder, tmp_path, command):
    mine = tmp_path / "mine.toml"
    mine.write_text(MINE)
    done = snnhw(command, run_folder, "--samples", "2", "--json", "--constants", mine, "--constants", "asic45")
    assert (done.code, done.err) == (0, "")
    own = snnhw(command, run_folder, "--samples", "2", "--json")

    def rung(outcome, name):
        results = json.loads(outcome.out)["results"]
        return next(row for row in results.get("rungs", results.get("energy")) if row["rung"] == name)

    assert rung(done, "A2")["static"]["mid_pj"] == pytest.approx(rung(own, "A2")["static"]["mid_pj"] * 2 / 0.108)
    assert rung(done, "A2")["dynamic"] == rung(own, "A2")["dynamic"]
    assert rung(done, "A2")["constants_title"] == "iCE40UP5K, mine.toml"
    assert rung(done, "A1")["mid_pj"] == rung(own, "A1")["mid_pj"]


@pytest.mark.parametrize("command", ["estimate", "energy"])
@pytest.mark.parametrize(("sets", "message"), [
    (["mine.toml", "ecp5"], "--constants must name at most one set of an FPGA, not two"),
    (["nothing.toml"], "constants file '.*nothing\\.toml' does not exist"),
    (["asic7"], "constants must be one of asic45, .*, xc7 or a \\.toml file, not '.*asic7'"),
    (["bad.toml"], "constants file '.*bad\\.toml': parameters.static.mid: input should be a finite number"),
])
def test_wrong_constants_are_refused(snnhw, run_folder, tmp_path, command, sets, message):
    (tmp_path / "mine.toml").write_text(MINE)
    (tmp_path / "bad.toml").write_text(MINE.replace("mid = 2.0", "mid = inf"))
    options = [item for name in sets for item in ("--constants", tmp_path / name if name != "ecp5" else name)]
    refused(snnhw(command, run_folder, *options), message)

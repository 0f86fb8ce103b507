"""``snnhw energy``: activity for other tools, and inputs that are wrong."""

import json

import pytest
from test_cli_errors import refused

from snnhw.cli.energy import _flip_flops


def test_saif_replaces_what_an_earlier_call_wrote_and_nothing_else(snnhw, run_folder, tmp_path):
    out = tmp_path / "activity"
    arguments = "energy", run_folder, "--samples", "2", "--netlist-samples"
    done = snnhw(*arguments, "1", "--saif", out)
    assert (done.code, done.err) == (0, "")
    assert sorted(path.name for path in out.iterdir()) == ["manifest.json", "netlist.saif", "netlist.v", "rtl.saif"]
    assert snnhw(*arguments, "0", "--saif", out).code == 0
    assert sorted(path.name for path in out.iterdir()) == ["manifest.json", "rtl.saif"]
    assert json.loads((out / "manifest.json").read_text())["files"] == ["rtl.saif"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("x")
    refused(snnhw(*arguments, "0", "--saif", tmp_path / "mine"),
            "output folder '.*mine' must be new, empty or an earlier output with a manifest.json")


def test_a_negative_seed_is_refused(snnhw, run_folder):
    refused(snnhw("energy", run_folder, "--seed", "-1"), "Invalid value for '--seed': .*")


@pytest.mark.parametrize(("used", "found"), [
    ({"flip_flops": {"used": 7, "available": 9}}, 7),
    ({"flip_flops": {"used": "7"}}, None),
    ({"flip_flops": {"used": -7}}, None),
    ({"flip_flops": 7}, None),
    ({}, None),
    ([], None),
])
def test_flip_flops_of_a_build_that_did_not_count_them_are_not_known(used, found):
    assert _flip_flops(used) == found

"""``snnhw energy``: activity for other tools, and inputs that are wrong."""

import json

from test_cli_errors import refused


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


def test_every_rung_clocks_the_flip_flops_of_the_netlist(snnhw, run_folder):
    results = json.loads(snnhw("energy", run_folder, "--samples", "2", "--netlist-samples", "1", "--json").out)["results"]
    clocked = {rung["rung"]: rung["kinds"]["flip-flops"]["mid_pj"] for rung in results["rungs"]
               if rung["constants_kind"] == "fpga"}
    assert list(clocked) == ["A2", "R1", "R2", "R3", "R4"]
    assert len({round(value, 9) for value in clocked.values()}) == 1
    assert results["netlists"][0]["flip_flops"] == results["netlists"][1]["flip_flops"] > 0

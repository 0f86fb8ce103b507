"""``snnhw data``: what is there, what is missing, and that nothing is downloaded unasked."""

import json
import re

import pytest

pytest.importorskip("torch")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of data with the Braille letters and half of the spoken digits."""
    monkeypatch.setenv("SNNHW_DATA", str(tmp_path))
    for name in ("Braille7/braille7_trainval.npz", "SHD/shd_train.h5"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    return tmp_path


def test_lists_what_is_there_and_where_the_rest_goes(snnhw, folder):
    done = snnhw("data", "list", "--json")
    assert (done.code, done.err) == (0, "")
    results = json.loads(done.out)["results"]
    missing = {source["name"]: source["missing"] for source in results["sets"]}
    assert (results["folder"], missing["digits"], missing["braille"]) == (str(folder), [], [])
    assert (missing["shd"], missing["nmnist"]) == (["shd_test.h5"], ["NMNIST.tar.xz"])
    assert missing["dvs-gesture"] == ["ibmGestureTrain", "ibmGestureTest"]
    shd = next(source for source in results["sets"] if source["name"] == "shd")
    assert shd["folder"] == str(folder / "SHD")
    assert shd["archives"][1] == {"name": "shd_test.h5.zip", "md5": "1503a5064faa34311c398fb0a1ed0a6f", "target": "shd_test.h5"}


def test_the_table_says_the_same(snnhw, folder):
    done = snnhw("data", "list")
    assert done.code == 0
    assert re.search(r"braille +there +", done.out)
    assert re.search(r"shd +missing +", done.out)
    assert "https://zenkelab.org/datasets/" in done.out.partition("Missing")[2]


@pytest.mark.parametrize(("arguments", "message"), [
    (["list", "shd"], "snnhw data list must stand alone, not before 'shd'"),
    (["fetch"], "data set to fetch must be named: snnhw data fetch NAME"),
    (["fetch", "mnist"], "data set to fetch must be 'dvs-gesture' or 'shd', not 'mnist'"),
])
def test_wrong_usage_is_said(snnhw, folder, arguments, message):
    done = snnhw("data", *arguments)
    assert (done.code, done.out, done.err) == (2, "", f"error: {message}\n")


def test_what_is_there_is_not_fetched_again(snnhw, folder):
    (folder / "SHD/shd_test.h5").touch()
    done = snnhw("data", "fetch", "shd", "--json")
    assert (done.code, json.loads(done.out)["results"]) == (0, {"name": "shd", "folder": str(folder / "SHD")})

"""``snnhw data``: what is there, what is missing, that nothing is downloaded unasked; and data that ``import`` loads."""

import json
import re

import numpy as np
import pytest

from snnhw.errors import UsageError

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


@pytest.fixture
def model(tmp_path):
    """Return a function that writes a model folder with a recipe."""
    def write(recipe):
        (tmp_path / "model.py").write_text("from torch import nn\nclass Net(nn.Linear):\n"
                                           "    def __init__(self): super().__init__(2, 2)\n")
        (tmp_path / "recipe.toml").write_text(recipe)
        return tmp_path
    return write


def test_import_frames_events_as_the_recipe_says(snnhw, model, monkeypatch):
    asked = {}

    def stop(source, **options):
        asked.update(options, source=source)
        raise UsageError("that is enough")
    monkeypatch.setattr("snnhw.ptq.flow.load_samples", stop)
    folder = model('data = "shd"\ntimesteps = 7\n[encoding]\nkind = "events"\n[events]\nframing = "count"\nlevels = 3\n')
    assert snnhw("import", folder, "--out", folder / "run").err == "error: that is enough\n"
    assert (asked["source"], asked["timesteps"], asked["events"].framing, asked["events"].levels) == ("shd", 7, "count", 3)
    snnhw("import", folder, "--out", folder / "run", "--data", "braille")  # the recipe is about other data
    assert (asked["source"], asked["events"]) == ("braille", None)


def test_samples_are_framed_or_come_from_a_loader(folder):
    from snnhw.compress.framing import EventConfig
    from snnhw.ptq.flow import load_samples
    rng = np.random.default_rng(0)
    np.savez(folder / "Braille7/braille7_trainval.npz", x=rng.integers(0, 2, (6, 256, 12), dtype=np.uint8),
             y=np.arange(6, dtype=np.uint8), is_test=np.arange(6) % 2 == 0)
    options = {"timesteps": 4, "calibrate": 2, "count": None}
    counted = load_samples("braille", events=EventConfig(framing="count", levels=255), **options)
    assert (counted.values.shape, counted.levels) == ((3, 4, 12), 255)
    assert 1 < counted.values.max() < 255
    assert load_samples("braille", **options).levels == 1
    (folder / "mine.py").write_text("import numpy as np\ndef dataset():\n"
                                    "    both = np.ones((3, 4, 2), int), [0, 1, 0]\n"
                                    "    names = 'train_values', 'train_labels', 'test_values', 'test_labels'\n"
                                    "    return dict(zip(names, both * 2))")
    assert load_samples(folder / "mine.py", **options).values.shape == (3, 4, 2)

"""``snnhw widths``, and what it refuses."""

import json
import re
import shutil

import pytest

from snnhw.assets import asset
from snnhw.compress.data import SPLITS, load_dataset
from snnhw.files import write_tensors


def test_writes_a_recipe_with_the_widths(snnhw, tmp_path):
    done = snnhw("widths", "models/digits", "--out", tmp_path / "narrow", "--widths", "8,2,4", "--samples", "200", "--json")
    assert (done.code, done.err) == (0, "")
    found = json.loads(done.out)["results"]
    recipe = (tmp_path / "narrow" / "recipe.toml").read_text()
    for name, bits in found["chosen"].items():
        assert bits in (2, 4, 8)
        assert re.search(rf"{name} = {{weight_bits = {bits}}}", recipe)
    assert found["cost"] <= found["uniform_costs"]["8"]
    assert (tmp_path / "narrow" / "model.py").exists()


def test_data_go_beside_the_recipe(snnhw, tmp_path):
    digits = load_dataset("digits", 1, tmp_path)
    write_tensors(tmp_path / "mine.safetensors", {name: getattr(digits, name) for name in SPLITS})
    model = shutil.copytree(asset("models", "digits"), tmp_path / "model")
    recipe = (model / "recipe.toml").read_text()
    (model / "recipe.toml").write_text(recipe.replace('data = "digits"', 'data = "../mine.safetensors"'))
    before = sorted(tmp_path.rglob("*.safetensors"))
    out = tmp_path / "runs" / "narrow"
    done = snnhw("widths", model, "--out", out, "--widths", "8", "--samples", "50")
    assert done.code == 0, done.err
    assert 'data = "mine.safetensors"' in (out / "recipe.toml").read_text()
    assert sorted(path for path in tmp_path.rglob("*.safetensors") if out not in path.parents) == before
    assert (out / "mine.safetensors").exists()


@pytest.mark.parametrize(("arguments", "message"), [
    (("--widths", "4,many"), "error: --widths must be integers separated by commas, not '4,many'"),
    (("--widths", "1,4"), "error: --widths must be between 2 and 16 bits, not '1,4'"),
    (("--widths", "2", "--budget", "0"), r"error: layer 'lif1' \(Neuron\): no widths keep the rise of the loss within 0; "
                                         r"the least is 0\.\d+"),
    (("--board", "nowhere"), "error: board must be .* or the path of a board file, not 'nowhere'"),
])
def test_refuses_what_it_cannot_do(snnhw, tmp_path, arguments, message):
    done = snnhw("widths", "models/digits", "--out", tmp_path / "narrow", "--samples", "100", *arguments)
    assert done.code == 2
    assert re.fullmatch(message, done.err.strip())
    assert not (tmp_path / "narrow").exists()

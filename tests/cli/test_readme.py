"""What the documents tell people to do works."""

import re
from pathlib import Path

import numpy as np
import pytest

from snnhw.cli.app import app
from snnhw.files import write_tensors

ROOT = Path(__file__).resolve().parent.parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "models").rglob("*.md"),
                    *(ROOT / "changelog.d").glob("*.md")])


def block(language):
    """Return the first code block of a language in the README."""
    return re.search(rf"```{language}\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)[1]


def test_own_network(snnhw, tmp_path):
    """The README's model and recipe train and lower, on less data and for one epoch."""
    model = tmp_path / "my-model"
    model.mkdir()
    (model / "model.py").write_text(block("python"))
    recipe, changed = re.subn(r"epochs = \d+", "epochs = 1", block("toml"))
    assert changed == 2
    (model / "recipe.toml").write_text(recipe)
    generator = np.random.default_rng(0)
    arrays = {f"{split}_{what}": values for split in ("train", "test") for what, values in (
        ("values", generator.integers(0, 256, (64, 64)).astype(np.uint8)), ("labels", generator.integers(0, 10, 64)))}
    write_tensors(model / "mine.safetensors", arrays)
    for command in (["train", model, "--out", tmp_path / "run"], ["lower", model, "--out", tmp_path / "run"],
                    ["generate", tmp_path / "run", "--board", "icebreaker", "--out", tmp_path / "run" / "hw"]):
        done = snnhw(*command)
        assert (done.code, done.err) == (0, ""), command


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_targets_and_links_exist(path):
    text = path.read_text()
    commands = {entry.name for entry in (*app.registered_commands, *app.registered_groups)}
    assert set(re.findall(r"(?:^\$? ?|`)snnhw ([a-z]+)", text, re.MULTILINE)) <= commands
    targets = set(re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1].split())
    assert set(re.findall(r"(?:^\$? ?|`)make ([a-z-]+)", text, re.MULTILINE)) <= targets
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text)
    assert [link for link in links if not (path.parent / link).exists()] == []

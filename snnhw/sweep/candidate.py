"""The training of a candidate: its model folder, and the two entry points of :mod:`snnhw.compress` that take it."""

import hashlib
import json
import math
import tomllib
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from snnhw.files import format_toml
from snnhw.sweep.space import Values, set_field
from snnhw.sweep.store import copy_model

__all__ = ["check_recipe", "make_recipe", "plan_options", "pretrain", "pretrain_key", "read_recipe",
           "shrink", "train", "write_folder"]

Table = dict[str, Any]
PLAN = "plan."


def make_recipe(base: Mapping[str, Any], fixed: Mapping[str, Any], values: Values) -> Table:
    """Return a model's recipe with the fixed fields of a study and the values of a candidate in the place of its own."""
    recipe = deepcopy(dict(base))
    _merge(recipe, fixed)
    for name, value in values.items():
        if not name.startswith(PLAN):
            set_field(recipe, name, deepcopy(value))
    return recipe


def _merge(table: Table, other: Mapping[str, Any]) -> None:
    for name, value in other.items():
        if isinstance(value, Mapping) and isinstance(table.get(name), dict):
            _merge(table[name], value)
        else:
            table[name] = deepcopy(value)


def plan_options(fixed: Mapping[str, Any], values: Values) -> Table:
    """Return the options of :func:`snnhw.plan.make_plan`: the fixed ones of a study, and the values of a candidate."""
    options = deepcopy(dict(fixed))
    for name, value in values.items():
        if name.startswith(PLAN):
            set_field(options, name.removeprefix(PLAN), deepcopy(value))
    return options


def shrink(recipe: Table, fields: Sequence[str], share: float) -> Table:
    """Return a recipe that trains `share` of its epochs.

    The first of `fields` is the number of epochs: rounded, and at least 1 unless `share` is 0. In the others, whole numbers are
    epochs in which something happens, from 0: they shrink alike, rounded down, and stay below the number of epochs. What would
    then happen in the same epoch as another field of the same table is left out, and with no epochs all of them are.
    """
    recipe = deepcopy(recipe)
    whole = _get(recipe, fields[0])
    if not isinstance(whole, int) or share == 1:
        return recipe
    epochs = max(1, round(share * whole)) if share and whole else 0
    set_field(recipe, fields[0], epochs)
    taken: set[tuple[str, int]] = set()
    for name in fields[1:]:
        value = _get(recipe, name)
        if not isinstance(value, int) or isinstance(value, bool):
            continue
        table, _, last = name.rpartition(".")
        moment = min(math.floor(share * value), epochs - 1)
        if epochs and (table, moment) not in taken:
            set_field(recipe, name, moment)
            taken.add((table, moment))
        else:
            (_get(recipe, table) if table else recipe).pop(last)
    return recipe


def _get(table: Table, dotted: str) -> Any:
    value: Any = table
    for name in dotted.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def check_recipe(recipe: Table, folder: Path) -> None:
    """Refuse a recipe that training would refuse, without training: through a file in `folder`, which it is named by."""
    from snnhw.compress.config import load_recipe
    path = folder / "recipe.toml"
    path.write_text(format_toml(recipe), encoding="utf-8")
    load_recipe(path)


def _float_recipe(recipe: Table, after_pretrain: Sequence[str], epochs: str) -> Table:
    """Return the part of a recipe that the float network depends on, and no epochs of what comes after."""
    rest = {name: value for name, value in recipe.items() if name not in after_pretrain}
    set_field(rest, epochs, 0)
    return rest


def pretrain_key(recipe: Table, after_pretrain: Sequence[str], epochs: str, model: str) -> str:
    """Return the name of the float network that a candidate begins with: equal for all that can share it.

    Parameters
    ----------
    recipe : dict
        Recipe of the candidate.
    after_pretrain : sequence of str
        Its tables on which the float network does not depend.
    epochs : str
        Dotted name of the number of epochs of what comes after.
    model : str
        Hash of the model's files.
    """
    text = json.dumps([model, _float_recipe(recipe, after_pretrain, epochs)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def write_folder(model: Path, folder: Path, recipe: Table) -> Path:
    """Write a model folder: the code of another one, and a recipe."""
    copy_model(model, folder, skip=("recipe.toml",))
    (folder / "recipe.toml").write_text(format_toml(recipe), encoding="utf-8")
    return folder


def pretrain(model: Path, folder: Path, recipe: Table, after_pretrain: Sequence[str], epochs: str) -> Table:
    """Train the float network alone, into a checkpoint in `folder`; return what training said."""
    from snnhw.compress.flow import train_model
    return train_model(write_folder(model, folder, _float_recipe(recipe, after_pretrain, epochs)), folder)


def train(model: Path, folder: Path, recipe: Table, floats: Path) -> tuple[Table, Table]:
    """Fine-tune a candidate and lower it; return what both said. Checkpoint, graph and samples are in `folder`.

    Parameters
    ----------
    model : Path
        Folder with the code.
    folder : Path
        New folder; becomes a model folder and a run folder.
    recipe : dict
        Of the candidate.
    floats : Path
        Folder of the float network.
    """
    from snnhw.compress.flow import lower_model, train_model
    write_folder(model, folder, recipe)
    return train_model(folder, folder, pretrained=floats / "checkpoint.safetensors"), lower_model(folder, folder)


def read_recipe(folder: Path) -> Table:
    """Return the recipe of a model folder as it is written."""
    return tomllib.loads((folder / "recipe.toml").read_text(encoding="utf-8"))

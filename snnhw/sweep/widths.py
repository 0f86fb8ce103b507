"""``snnhw widths`` without the command line: a recipe whose layers have the widths that pay."""

import tomllib
from pathlib import Path
from typing import Any, Literal

import numpy as np

from snnhw.board import Board
from snnhw.compress.checkpoint import load_checkpoint
from snnhw.compress.config import Recipe, load_recipe
from snnhw.compress.flow import load_data, model_folder, read_trained
from snnhw.compress.spikes import make_encoder
from snnhw.compress.train import Progress, reproducible
from snnhw.compress.trainable import TrainableNetwork
from snnhw.compress.widths import allocate, narrow_states, sensitivities
from snnhw.cost.flow import make_target, predict_counts
from snnhw.cost.rungs import full_energy
from snnhw.errors import FileError
from snnhw.files import format_toml, read_bytes, write_bytes, write_tensors
from snnhw.ir import Graph, Input
from snnhw.network import Network
from snnhw.plan import make_plan
from snnhw.plan.ram import map_memories
from snnhw.reference import run

__all__ = ["Objective", "find_widths"]

Objective = Literal["bits", "blocks", "energy"]
COST_SAMPLES = 20


def find_widths(model: str | Path, out: Path, *, checkpoint: Path | None = None, widths: tuple[int, ...] = (2, 3, 4, 6, 8),
                budget: float = 0.05, objective: Objective = "bits", board: Board, samples: int = 1000,
                state_loss: float | None = None, progress: Progress | None = None) -> dict[str, Any]:
    """Measure the sensitivity of each layer, price its widths, choose, and write a model folder with the recipe into `out`.

    The samples that decide are the last of the training split.

    Parameters
    ----------
    model : str or Path
        Model folder with a trained network.
    out : Path
        Gets ``model.py``, ``recipe.toml`` and the network before quantization, for ``snnhw train --pretrained``.
    checkpoint : Path, optional
        The trained network; by default that of the model folder.
    widths : tuple of int
        Widths of a weight to choose from.
    budget : float
        By how much the mean cross entropy may rise before training again, all layers together, in nats.
    objective : str
        What is made small: stored ``"bits"`` of weights, memory ``"blocks"`` of the board, or ``"energy"`` of a sample on it.
    board : Board
        For blocks and energy.
    samples : int
        How many decide.
    state_loss : float, optional
        Also narrow the states, by as much as costs this share of right decisions.

    Returns
    -------
    dict
        Rises, costs and the choice, by layer. Plain values.
    """
    folder = model_folder(model)
    recipe = load_recipe(folder / "recipe.toml")
    data = load_data(recipe, folder)
    path = checkpoint or folder / "checkpoint.safetensors"
    if not Path(path).is_file():
        raise FileError(f"model folder {str(folder)!r} has no checkpoint.safetensors; train it first with: snnhw train {folder}")
    stored = load_checkpoint(Path(path))
    with reproducible(recipe.seed):
        network, entry, floats = read_trained(folder, recipe, data, stored)
        values, labels = data.train_values[-samples:], data.train_labels[-samples:]
        encode = make_encoder(recipe.encoding.encoding, recipe.length, data.inputs)
        calibration = encode(data.train_values[:200])
        rises = sensitivities(network, recipe, values, labels, widths, calibration=calibration, progress=progress)
        costs = _costs(network, recipe, widths, objective, board, entry, calibration)
        chosen = allocate(rises, costs, budget)
        layers: dict[str, dict[str, Any]] = {name: dict(fields) for name, fields in recipe.quantize.layers.items()}
        for name, bits in chosen.items():
            layers[name] = layers.get(name, {}) | {"weight_bits": bits}
        states: list[dict[str, Any]] = []
        if state_loss is not None:
            graph = _graph(network, recipe.model_copy(update={"quantize": recipe.quantize.model_copy(update={"layers": layers})}),
                           entry, calibration)
            _, states = narrow_states(graph, encode(values), labels, state_loss, progress=progress)
            for row in states:
                layers[row["name"]]["state_bits"] = max(4, row["after"])
    given = tomllib.loads(read_bytes(folder / "recipe.toml", "recipe", 1 << 20).decode())
    given.setdefault("quantize", {})["layers"] = layers
    out.mkdir(parents=True, exist_ok=True)
    source = folder / given["data"]
    if source.is_file():
        given["data"] = source.name  # beside the new recipe, wherever the old one had it
        write_bytes(out / source.name, source.read_bytes())
    write_bytes(out / "model.py", (folder / "model.py").read_bytes())
    write_bytes(out / "recipe.toml", format_toml(given).encode())
    write_tensors(out / "float.safetensors", floats)
    uniform = {bits: sum(costs[name][bits] for name in costs) for bits in widths}
    return {
        "model": folder.name, "data": data.name, "samples": len(labels), "seed": recipe.seed, "objective": objective,
        "budget": budget, "board": board.name, "rises": rises, "costs": costs, "chosen": chosen,
        "rise": sum(rises[name][bits] for name, bits in chosen.items()),
        "cost": sum(costs[name][bits] for name, bits in chosen.items()), "uniform_costs": uniform, "states": states,
    }


def _graph(network: Network, recipe: Recipe, entry: Input, calibration: np.ndarray) -> Graph:
    made = TrainableNetwork(network)
    made.quantize(recipe.quantize, calibration)
    return made.graph(entry, recipe.length)


def _costs(network: Network, recipe: Recipe, widths: tuple[int, ...], objective: Objective, board: Board, entry: Input,
           calibration: np.ndarray) -> dict[str, dict[int, float]]:
    """Return what each layer costs at each width, all layers having that width."""
    names = [node.name for node in network.neurons]
    found: dict[str, dict[int, float]] = {name: {} for name in names}
    for bits in widths:
        if objective == "bits":
            made = TrainableNetwork(network)
            for name in names:
                found[name][bits] = float(bits * sum(made.map(source).weight.numel() for source in made.sources(name)))
            continue
        layers = {name: dict(recipe.quantize.layers.get(name, {})) | {"weight_bits": bits} for name in names}
        quant = recipe.quantize.model_copy(update={"layers": layers})
        graph = _graph(network, recipe.model_copy(update={"quantize": quant}), entry, calibration)
        plan = make_plan(graph)
        if objective == "blocks":
            uses = map_memories(plan, board)
            for layer in plan.layers:
                blocks = sum(use.blocks for use in uses
                             if use.layer == layer.index and use.resource in ("block_ram", "single_port_ram"))
                if layer.name in found:
                    found[layer.name][bits] = float(blocks)
        else:
            spikes = calibration[:COST_SAMPLES]
            energy = full_energy(plan, predict_counts(plan, run(graph, spikes).spikes), make_target(board))
            for layer in plan.layers:
                if layer.name in found:
                    found[layer.name][bits] = energy.part(layer=layer.name).mid_pj
    return found

"""Run folders: what earlier commands left there for later ones."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snnhw.errors import FileError, UsageError

if TYPE_CHECKING:
    import numpy as np

    from snnhw.board import Board
    from snnhw.ir import Graph
    from snnhw.plan import Plan

__all__ = ["RunFolder", "board_of_hardware", "check_events", "open_run", "run_of_hardware"]

GRAPH, SAMPLES = "graph.safetensors", "samples.safetensors"
DEFAULT_BOARD = "icebreaker"


@dataclass(frozen=True)
class RunFolder:
    """A lowered network and its test samples.

    Attributes
    ----------
    folder : Path
        Where the records of the commands go.
    graph : Graph
        The network.
    """

    folder: Path
    graph: "Graph"

    def samples(self, count: int | None = None, *, default: int | None = None) -> tuple["np.ndarray", "np.ndarray"]:
        """Return input spikes, (samples, timesteps, inputs), and labels, int64 (samples,).

        Parameters
        ----------
        count : int or None
            Of the first samples, of which there must be as many; None for the default.
        default : int or None
            At most so many when `count` is None; None for all.
        """
        from snnhw.files import read_tensors
        path = self.folder / SAMPLES
        tensors, _ = read_tensors(path, "samples file")
        if not {"values", "labels"} <= set(tensors):
            found = ", ".join(map(repr, sorted(tensors)))
            raise FileError(f"samples file {str(path)!r} must hold 'values' and 'labels', not {found}")
        values, labels = tensors["values"], tensors["labels"]
        if labels.ndim != 1 or values.shape[:1] != labels.shape or not labels.size:
            raise FileError(f"samples file {str(path)!r} must hold one label for each sample, "
                            f"not {labels.shape} for {values.shape}")
        shape = "x".join(map(str, self.graph.input.shape))
        if values.shape[-1:] != (math.prod(self.graph.input.shape),):
            raise FileError(f"samples file {str(path)!r} must hold inputs of shape {shape}, as the network has, "
                            f"not {'x'.join(map(str, values.shape[-1:]))}")
        if count is not None and not 1 <= count <= labels.size:
            raise UsageError(f"--samples must be between 1 and the {labels.size} of the run folder, not {count}")
        count = default if count is None else count
        try:
            return self.graph.input.encoding(values[:count], self.graph.timesteps), labels[:count]
        except (TypeError, ValueError) as error:
            raise FileError(f"samples file {str(path)!r} does not fit the network: {error}") from None

    def recorded(self, command: str, *names: str) -> dict[str, Any]:
        """Return results of an earlier command by name; none when it did not run here."""
        from snnhw.files import read_json
        path = self.folder / f"{command}.json"
        if not path.exists():
            return {}
        record = read_json(path, "record")
        results = record.get("results") if isinstance(record, dict) else None
        if not isinstance(results, dict) or not set(names) <= set(results):
            raise FileError(f"record {str(path)!r} must be one that {command} wrote")
        return {name: results[name] for name in names}

    @property
    def board(self) -> str:
        """Board that ``generate`` was told of here, else the default."""
        return self.recorded("generate", "board").get("board") or DEFAULT_BOARD

    def _choices(self) -> dict[str, Any]:
        """Return the options of the plan that ``generate`` recorded here; none when it did not run."""
        from pydantic import ValidationError

        from snnhw.plan import Choices
        found = self.recorded("generate", "plan")
        try:
            return Choices.model_validate(found["plan"]).arguments() if found else {}
        except ValidationError:
            raise FileError(f"record {str(self.folder / 'generate.json')!r} must be one that generate wrote") from None

    def plan(self, lanes: int | dict[str, int] | None, load_weights: bool | None,
             memories: Mapping[str, Any]) -> "Plan":
        """Plan the network as told, or as ``generate`` planned it here, or by default."""
        from snnhw.plan import make_plan
        told = {"lanes": lanes, "load_weights": load_weights, **memories}
        recorded = self._choices()
        return make_plan(self.graph, **recorded | {name: value for name, value in told.items() if value is not None})


def check_events(plan: "Plan", board: "Board") -> None:
    """Refuse events kept as bits on a part whose memories write whole words only."""
    for layer in plan.layers:
        if layer.events == "bitmap" and board.family != "ice40":
            raise UsageError(f"events of layer {layer.name!r} must be list on {board}, whose memories cannot write single bits, "
                             "not bitmap")


def open_run(path: Path) -> RunFolder:
    """Return the run folder at `path`, or that of a graph file."""
    from snnhw.ir import load_graph
    if path.is_dir():
        if not (path / GRAPH).exists():
            raise FileError(f"run folder {str(path)!r} has no {GRAPH}, which `snnhw lower` writes")
        return RunFolder(path, load_graph(path / GRAPH))
    return RunFolder(path.parent, load_graph(path))


def board_of_hardware(hardware: Path) -> str:
    """Return the board that a folder was generated for."""
    from snnhw.files import read_json
    path = hardware / "manifest.json"
    manifest = read_json(path, "manifest")
    board = manifest.get("board") if isinstance(manifest, dict) else 0
    if board is None:
        raise UsageError("--board must be given, because the hardware was generated for no board")
    if not isinstance(board, str):
        raise FileError(f"manifest {str(path)!r} must be one that generate wrote")
    return board


def run_of_hardware(hardware: Path) -> Path:
    """Return where records about a generated folder go: the run folder around it, or the folder itself where there is none."""
    around = hardware.resolve().parent
    return around if (around / GRAPH).exists() else hardware

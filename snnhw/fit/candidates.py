"""Trained networks: where they are, and how accurate they are by what is recorded beside them."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from snnhw import reference
from snnhw.errors import FileError, UsageError
from snnhw.files import read_json, read_tensors
from snnhw.ir import Graph, load_graph

__all__ = ["Candidate", "find_candidates"]

GRAPH, SAMPLES, MANIFEST = "graph.safetensors", "samples.safetensors", "manifest.json"
MAX_DEPTH = 4
BATCH = 250
# Where a command records the accuracy of the graph.
_RECORDS = (("lower", ("accuracy", "integer")), ("compress", ("accuracy", "integer")), ("import", ("accuracy", "integer")),
            ("stdp", ("graph", "accuracy")))


@dataclass(frozen=True)
class Candidate:
    """A trained network.

    Attributes
    ----------
    name : str
        For people: the path as it was given, or found.
    folder : Path
        Its run folder.
    graph : Graph
        The network.
    accuracy : float
        Share of test samples that the integer graph decides as labelled.
    source : str
        Where that is from.
    """

    name: str
    folder: Path
    graph: Graph
    accuracy: float
    source: str

    def spikes(self, count: int) -> np.ndarray:
        """Return the input spikes of the first `count` test samples, or of all there are: (samples, timesteps, inputs)."""
        values, _ = _samples(self.folder)
        return _encoded(self.graph, values[:count], self.folder)


def find_candidates(paths: Sequence[Path]) -> list[Candidate]:
    """Return the networks in run folders, in folders that hold some, and in the folders of sweeps, in order of their paths.

    Raises
    ------
    FileError
        A folder has no network, or a file in it is damaged.
    """
    found: dict[Path, Candidate] = {}
    for path in paths:
        folders = list(_run_folders(Path(path)))
        if not folders:
            if (Path(path) / "model.py").exists():
                raise FileError(f"model folder {str(path)!r} must be lowered first: snnhw lower {path} --out RUN")
            raise FileError(f"folder {str(path)!r} must hold networks: {GRAPH}, which `snnhw lower` and `snnhw sweep` write")
        for folder in folders:
            graph = load_graph(folder / GRAPH)
            accuracy, source = _accuracy(folder, graph)
            found.setdefault(folder.resolve(), Candidate(str(folder), folder, graph, accuracy, source))
    return list(found.values())


def _run_folders(path: Path, depth: int = MAX_DEPTH) -> Iterator[Path]:
    """Yield every folder with a network, from `path` down; not those of generated hardware."""
    if not path.is_dir():
        raise FileError(f"folder {str(path)!r} does not exist")
    if (path / GRAPH).exists():
        if not (path / MANIFEST).exists():
            yield path
        return
    if depth:
        below = [item for item in path.iterdir() if item.is_dir() and not item.is_symlink() and not item.name.startswith(".")]
        for item in sorted(below, key=lambda item: (len(item.name) if item.name.isdigit() else 0, item.name)):
            yield from _run_folders(item, depth - 1)


def _accuracy(folder: Path, graph: Graph) -> tuple[float, str]:
    """Return the accuracy of a network, and where it is from."""
    swept = folder.parent / f"{folder.name}.json"
    if swept.exists():
        # The search has chosen by the other samples: these alone say what it is worth.
        result = read_json(swept, "result of a candidate")
        held = _number(result, ("accuracy_held_out",))
        if held is not None:
            return held, "samples that the sweep held out"
        if (found := _number(result, ("metrics", "accuracy"))) is not None:
            return found, "recorded by sweep"
    for command, names in _RECORDS:
        path = folder / f"{command}.json"
        if path.exists() and (found := _number(read_json(path, "record"), ("results", *names))) is not None:
            return found, f"recorded by {command}"
    values, labels = _samples(folder)
    right = 0
    for start in range(0, len(labels), BATCH):
        spikes = _encoded(graph, values[start:start + BATCH], folder)
        right += int((reference.run(graph, spikes, keep_membranes=False).decisions == labels[start:start + BATCH]).sum())
    return right / len(labels), f"measured on {len(labels):,} samples"


def _number(value: Any, names: tuple[str, ...]) -> float | None:
    """Return a share at a place in JSON, None when there is none."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    valid = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
    return float(value) if valid else None


def _samples(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    path = folder / SAMPLES
    tensors, _ = read_tensors(path, "samples file")
    values, labels = tensors.get("values"), tensors.get("labels")
    if values is None or labels is None or labels.ndim != 1 or values.shape[:1] != labels.shape or not labels.size:
        raise FileError(f"samples file {os.fspath(path)!r} must hold 'values' and 'labels', one label for each sample")
    return values, labels


def _encoded(graph: Graph, values: np.ndarray, folder: Path) -> np.ndarray:
    try:
        return graph.input.encoding(values, graph.timesteps)
    except (TypeError, ValueError) as error:
        raise UsageError(f"samples of {str(folder)!r} do not fit the network: {error}") from None

"""The command ``import`` without the command line: a trained network and samples go in, a run folder comes out."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from snnhw import ir
from snnhw.errors import FileError, UsageError
from snnhw.files import read_tensors, write_tensors
from snnhw.frontend import read_file
from snnhw.ir import Encoding, Graph, save_graph
from snnhw.ir.encoding import MAX_EVENT, MAX_LEVELS
from snnhw.network import Network
from snnhw.ptq.compare import batches, compare
from snnhw.ptq.options import Options
from snnhw.ptq.quantize import quantize
from snnhw.reference import run
from snnhw.tools import require_package

if TYPE_CHECKING:
    from snnhw.compress.framing import EventConfig

__all__ = ["ImportSamples", "import_model", "load_samples"]

Progress = Callable[[str, int, int, str], None]


@dataclass(frozen=True, eq=False)
class ImportSamples:
    """Samples to calibrate and to measure with.

    Parameters
    ----------
    name : str
        For reports.
    calibration : int array
        Inputs like `values`, without labels.
    values : int array, (samples, inputs); for events (samples, timesteps, inputs)
        Inputs to test: events between -32768 and 32768, still values between 0 and 65535.
    labels : int64 array, (samples,)
        Classes of `values`.
    shape : tuple of int
        Shape of the inputs of one timestep.
    levels : int
        Largest magnitude of an input.
    """

    name: str
    calibration: np.ndarray
    values: np.ndarray
    labels: np.ndarray
    shape: tuple[int, ...]
    levels: int

    def __post_init__(self) -> None:
        low, high = (-MAX_EVENT, MAX_EVENT) if self.values.ndim == 3 else (0, MAX_LEVELS)
        lowest = min(int(values.min(initial=0)) for values in (self.values, self.calibration))
        highest = max(int(values.max(initial=0)) for values in (self.values, self.calibration))
        if lowest < low or highest > high:
            what = "events" if self.values.ndim == 3 else "still samples"
            raise FileError(f"samples {self.name!r} must have values between {low} and {high}, as {what}, "
                            f"not {lowest} to {highest}")

    def cut(self, timesteps: int | None) -> "ImportSamples":
        """Return the first timesteps of events; all of them for None, and still samples as they are."""
        if self.values.ndim == 2 or timesteps is None:
            return self
        if not 1 <= timesteps <= self.values.shape[1]:
            raise UsageError(f"timesteps must be between 1 and the {self.values.shape[1]} of the samples {self.name!r}, "
                             f"not {timesteps}")
        return replace(self, calibration=self.calibration[:, :timesteps], values=self.values[:, :timesteps])


def load_samples(source: str | Path, *, timesteps: int | None, calibrate: int, count: int | None,
                 levels: int | None = None, events: "EventConfig | None" = None) -> ImportSamples:
    """Load samples: a data set by name, or a file with its tensors or with ``values`` and ``labels``.

    Parameters
    ----------
    source : str or Path
        Name, or path of a safetensors file or of a Python file with the user's own loader.
    timesteps : int or None
        Length of a sample, at most that of the events; None leaves it.
    calibrate : int
        Number of samples to calibrate with: the first of the training split, or where there is none of all.
    count : int or None
        Number of samples to test; None for all.
    levels : int or None
        Largest value that the pixels of a data set by name are scaled to; None leaves them.
    events : EventConfig or None
        How the events of a data set by name become timesteps; None: as is usual for it.
    """
    for name, value in (("--calibrate", calibrate), ("--check", count), ("--timesteps", timesteps), ("--levels", levels)):
        if value is not None and value < 1:
            raise UsageError(f"{name} must be at least 1, not {value}")
    path = Path(source)
    if path.suffix == ".safetensors":
        tensors, _ = read_tensors(path, "samples file")
        if {"values", "labels"} <= set(tensors):
            return _from_file(path, tensors["values"], tensors["labels"], timesteps, calibrate, count)
    require_package("torch", "train", "a data set by name")
    from snnhw.compress.data import load_dataset
    data = load_dataset(path.name if path.suffix in (".safetensors", ".py") else str(source), 0, path.parent,
                        timesteps=timesteps, levels=levels, most=None if count is None else max(count, calibrate), events=events)
    return ImportSamples(data.name, data.train_values[:calibrate], data.test_values[:count], data.test_labels[:count],
                         data.shape, data.levels).cut(timesteps)


def _from_file(path: Path, values: np.ndarray, labels: np.ndarray, timesteps: int | None, calibrate: int,
               count: int | None) -> ImportSamples:
    if values.dtype.kind not in "biu" or labels.dtype.kind not in "iu":
        raise FileError(f"samples file {str(path)!r} must hold integers, not {values.dtype} and {labels.dtype}")
    if labels.ndim != 1 or values.shape[:1] != labels.shape or not values.size or values.ndim < 2:
        raise FileError(f"samples file {str(path)!r} must hold one label for each sample, not {labels.shape} for {values.shape}")
    shape = values.shape[2:] if values.ndim > 2 else values.shape[1:]
    if values.ndim > 3:
        values = values.reshape(*values.shape[:2], math.prod(shape))
    levels = max(1, -int(values.min()), int(values.max()))
    every = ImportSamples(path.stem, values, values, labels.astype(np.int64), shape, levels).cut(timesteps)
    return replace(every, calibration=every.values[:calibrate], values=every.values[:count], labels=every.labels[:count])


def import_model(path: Path, out: Path, samples: ImportSamples, *, options: Options | None = None,
                 encoding: Literal["accumulate", "rate", "direct"] | None = None, timesteps: int | None = None,
                 choices: Mapping[str, Any] | None = None, progress: Progress | None = None) -> dict[str, Any]:
    """Read a trained network, quantize it where it is in floats, measure it, and write a run folder.

    Writes ``graph.safetensors`` and ``samples.safetensors`` into `out`.

    Parameters
    ----------
    path : Path
        What :func:`snnhw.frontend.read_file` reads.
    out : Path
        Run folder.
    samples : ImportSamples
        Events, or still samples that become spikes by `encoding`.
    options : Options, optional
        Number formats.
    encoding : str, optional
        Of still samples; ``"accumulate"`` by default. ``"direct"`` gives their values to the network as they are.
    timesteps : int, optional
        Length of a sample: at most that of the events, which it is by default; for still samples needed.
    choices : mapping, optional
        What the reader is told about the file, other than the timesteps.

    Returns
    -------
    dict
        Accuracies, agreement of the integer graph with the floats, rows of layers, choices. Plain values.
    """
    path, out = Path(path), Path(out)
    still = samples.values.ndim == 2
    if "timesteps" in (choices or {}):
        raise UsageError("choice 'timesteps' must be given by --timesteps")
    samples = samples.cut(timesteps)
    length = timesteps if still else samples.values.shape[1]
    if still and length is None:
        raise UsageError("--timesteps must be given, because the samples have none")
    if not still and encoding is not None:
        raise UsageError(f"--encoding must be left out for samples that are events, not {encoding!r}")
    given = {"timesteps": length} | dict(choices or {})
    if path.is_dir():
        given = {"shape": samples.shape} | given
    found = read_file(path, **given)
    if math.prod(found.input.shape) != samples.values.shape[-1]:
        raise UsageError(f"samples {samples.name!r} must have {math.prod(found.input.shape)} inputs, as the network has, "
                         f"not {samples.values.shape[-1]}")
    assert length is not None
    entry = _entry(found.input, samples, encoding)
    nodes = tuple(entry if isinstance(node, ir.Input) else node for node in found.nodes)
    report: dict[str, Any] = {}
    if isinstance(found, Graph):
        graph = Graph(found.name, nodes, length, found.meta)
        network = None
    else:
        network = Network(found.name, nodes, length, found.choices)
        graph, report = quantize(network, entry.encoding(samples.calibration, length), options)
    measured = _measure(network, graph, samples, progress)
    save_graph(graph, out / "graph.safetensors")
    values = samples.values
    if not still and values.dtype.kind == "b":
        values = values.astype(np.uint8)
    write_tensors(out / "samples.safetensors", {"values": values, "labels": samples.labels})
    return {
        "model": path.name, "data": samples.name, "timesteps": length, "test_samples": len(samples.labels),
        "inputs": list(graph.input.shape), "encoding": str(entry.encoding), "values": [entry.lowest, entry.highest],
        "reading": {name: list(value) if isinstance(value, tuple) else value for name, value in given.items()},
        "choices": dict(found.choices if isinstance(found, Network) else found.meta), "nodes": _nodes(found),
        "quantization": report, **measured,
    }


def _entry(node: ir.Input, samples: ImportSamples, encoding: Literal["accumulate", "rate", "direct"] | None) -> ir.Input:
    """Return the input node with the encoding and the values of the samples."""
    if samples.values.ndim == 2:
        chosen = Encoding(encoding or "accumulate", samples.levels)
        if chosen.kind == "direct" and samples.levels > MAX_EVENT:
            raise UsageError(f"samples {samples.name!r} must have values of at most {MAX_EVENT} for --encoding direct, "
                             f"not {samples.levels}")
        return replace(node, encoding=chosen, lowest=0, highest=samples.levels if chosen.kind == "direct" else 1)
    lowest = min(node.lowest, int(samples.values.min()), int(samples.calibration.min()))
    highest = max(node.highest, int(samples.values.max()), int(samples.calibration.max()))
    return replace(node, encoding=Encoding(), lowest=lowest, highest=highest)


def _measure(network: Network | None, graph: Graph, samples: ImportSamples, progress: Progress | None) -> dict[str, Any]:
    """Measure the graph, and how far it agrees with the floats where there are any, on all samples."""
    total = len(samples.labels)
    fields: list[dict[str, Any]] = []
    sizes: list[int] = []
    each = samples.values[:1].repeat(total, 0) if samples.values.ndim == 3 else np.broadcast_to(
        samples.values[:, None, :], (total, graph.timesteps, samples.values.shape[1]))
    for part in batches(graph.shapes, each):
        spikes = graph.input.encoding(samples.values[part], graph.timesteps)
        labels = samples.labels[part]
        if network is None:
            trace = run(graph, spikes, keep_membranes=False)
            row = {"accuracy": {"integer": float((trace.decisions == labels).mean())}, "layers": [
                {"name": node.name, "saturated_words": int(trace.counts[node.name].saturations.sum())} for node in graph.neurons],
                "rates": {node.name: float((trace.spikes[node.name] != 0).mean()) for node in (graph.input, *graph.neurons)}}
        else:
            row = compare(network, graph, spikes, labels)
        fields.append(row)
        sizes.append(len(labels))
        if progress is not None:
            progress("check", sum(sizes), total, "test samples")
    return _mean(fields, sizes)


def _mean(rows: list[Any], sizes: list[int]) -> Any:
    """Return the mean of results of parts of the samples, by the number of samples; the sum of integers."""
    first = rows[0]
    if isinstance(first, dict):
        return {key: _mean([row[key] for row in rows], sizes) for key in first}
    if isinstance(first, list):
        return [_mean([row[index] for row in rows], sizes) for index in range(len(first))]
    if isinstance(first, int):
        return sum(rows)
    return sum(value * size for value, size in zip(rows, sizes, strict=True)) / sum(sizes) if isinstance(first, float) else first


def _nodes(network: Network | Graph) -> list[dict[str, str]]:
    """Return one row for each node that was read."""
    rows = []
    for node in network.nodes:
        behaviour = getattr(node, "behaviour", None) or getattr(node, "spec", None)
        rows.append({"name": node.name, "kind": node.title, "from": ", ".join(node.inputs),
                     "shape": "x".join(map(str, network.shapes[node.name])),
                     "behaviour": "" if behaviour is None else str(behaviour)})
    return rows

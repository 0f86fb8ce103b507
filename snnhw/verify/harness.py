"""The compiled harness through ctypes: one call runs many samples."""

import ctypes
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from snnhw.plan import Plan
from snnhw.verify.packing import loading_words, pack_events
from snnhw.verify.simulation import MISSING, Stalls

__all__ = ["Conduct", "RawActivity", "RawRun", "open_library", "run_library"]

PATIENCE = 200_000
"""Cycles without a transfer or an update after which the accelerator is taken to be stuck."""

VIOLATIONS = {
    1: "tvalid fell before the beat was taken",
    2: "the payload changed while the beat waited",
    3: "the addresses of the timestep do not ascend",
    4: "an address is not that of an output neuron",
    5: "tdata of the tick is not 0",
    6: "tuser of the tick is not that of the input tick",
    7: "nothing moved any more",
    8: "an event was taken before the weights were loaded",
    9: "a layer updated more neurons than it has",
    10: "a beat followed the last tick",
    11: "the tick came before the input tick was taken",
    12: "a memory was read beyond its depth",
    13: "a result fell or changed before it was taken",
    14: "tlast of a result is low",
    15: "a result came before its sample was in, or after the last",
}


# In the order of struct SnnhwJob; what is not a pointer is a uint64_t.
_STIMULUS = (
    "begin",
    "events",
    "samples",
    "steps",
    "words",
    "word_count",
    "word_bytes",
    "layers",
    "neurons",
    "output_layer",
    "output_address_bits",
    "output_value_bits",
    "result_bytes",
)
_CONDUCT = ("isolated", "rest", "source_stall", "sink_stall", "seed", "patience", "abort_cycles")
_RESULTS = ("spikes", "membranes", "output", "cycles", "counts", "results", "activity", "total_cycles",
            "violation", "violation_cycle", "violation_sample", "violation_step")  # fmt: skip
_POINTERS = {"begin", "events", "words", "neurons", "spikes", "membranes", "output", "cycles", "counts", "results"}


class _Job(ctypes.Structure):
    _fields_: ClassVar = [
        (name, ctypes.c_void_p if name in _POINTERS else ctypes.c_uint64) for name in (*_STIMULUS, *_CONDUCT, *_RESULTS)
    ]


@dataclass(frozen=True)
class RawActivity:
    """Counts as the harness has them: every name, aliases included.

    Attributes
    ----------
    toggles, highs : mapping of str to int64 array, (bits,)
        By hierarchical name with dots.
    same_as : mapping of str to str
        Name of the first net in the same storage, for the names that are not it.
    """

    toggles: Mapping[str, np.ndarray]
    highs: Mapping[str, np.ndarray]
    same_as: Mapping[str, str]


@dataclass(frozen=True)
class RawRun:
    """Results of a run, layers in the order of the plan; shapes as in :class:`snnhw.verify.Simulation`.

    `counts` is int64, (samples, columns): what was counted of all layers, in the order of the harness. `results` is uint8,
    (samples, bytes of a result): none when the accelerator does not decide.
    """

    spikes: list[np.ndarray]
    membranes: list[np.ndarray] | None
    output: np.ndarray
    cycles: np.ndarray
    counts: np.ndarray
    results: np.ndarray
    total_cycles: int = 0
    violation: str | None = None
    activity: RawActivity | None = None


def open_library(library: Path) -> ctypes.CDLL:
    """Load a compiled simulator."""
    loaded = ctypes.CDLL(str(library))
    loaded.snnhw_open.restype, loaded.snnhw_open.argtypes = ctypes.c_void_p, [ctypes.c_uint64]
    loaded.snnhw_close.argtypes = [ctypes.c_void_p]
    loaded.snnhw_run.restype, loaded.snnhw_run.argtypes = ctypes.c_uint64, [ctypes.c_void_p, ctypes.c_void_p]
    loaded.snnhw_nets.restype, loaded.snnhw_nets.argtypes = ctypes.c_uint64, [ctypes.c_void_p]
    loaded.snnhw_net.restype = ctypes.c_char_p
    loaded.snnhw_net.argtypes = [ctypes.c_void_p, ctypes.c_uint64, *[ctypes.c_void_p] * 4]
    return loaded


def _pointers(arrays: list[np.ndarray]) -> ctypes.Array:
    return (ctypes.c_void_p * len(arrays))(*(array.ctypes.data for array in arrays))


def _read_activity(loaded: ctypes.CDLL, simulator: int) -> RawActivity:
    bits, same_as = ctypes.c_uint64(), ctypes.c_uint64()
    toggles, high = ctypes.POINTER(ctypes.c_uint64)(), ctypes.POINTER(ctypes.c_uint64)()
    names: list[str] = []
    result = RawActivity({}, {}, {})
    for index in range(loaded.snnhw_nets(simulator)):
        name = loaded.snnhw_net(
            simulator, index, ctypes.byref(bits), ctypes.byref(same_as), ctypes.byref(toggles), ctypes.byref(high)
        )
        names.append(name.decode().replace(" ", "."))
        if same_as.value != index:
            result.same_as[names[-1]] = names[same_as.value]  # type: ignore[index]
        for counts, source in ((result.toggles, toggles), (result.highs, high)):
            counts[names[-1]] = np.ctypeslib.as_array(source, (bits.value,)).astype(np.int64)  # type: ignore[index]
    return result


@dataclass(frozen=True)
class Conduct:
    """How a run is conducted; the fields are parameters of :meth:`snnhw.verify.Simulator.run`.

    `rest` is the number of cycles between samples that are isolated. `read` is called with the library and the simulation when
    all is over, to read what only this library knows.
    """

    isolated: bool = True
    rest: int = 0
    stalls: Stalls | None = None
    order: int | None = None
    abort_cycles: int = 0
    activity: bool = False
    read: Callable[[ctypes.CDLL, int], None] | None = None


def _run_part(library: Path, index: int, plan: Plan, spikes: np.ndarray, results: RawRun, conduct: Conduct, first: int) -> RawRun:
    """Run `spikes`, the samples from `first` on, and fill the arrays of `results`."""
    loaded = open_library(library)
    simulator = loaded.snnhw_open(index)
    assert simulator, f"{library} lacks a port of the accelerator"
    try:
        events, words, stalls = pack_events(plan, spikes, conduct.order), loading_words(plan), conduct.stalls
        neurons = np.array([layer.outputs for layer in plan.layers], np.uint64)
        spike_pointers = _pointers(results.spikes)
        membrane_pointers = _pointers(results.membranes) if results.membranes is not None else None
        job = _Job(
            begin=events.begin.ctypes.data,
            events=events.words.ctypes.data,
            samples=spikes.shape[0],
            steps=spikes.shape[1],
            words=words.ctypes.data,
            word_count=words.shape[0],
            word_bytes=words.shape[1],
            layers=len(plan.layers),
            neurons=neurons.ctypes.data,
            output_layer=plan.output,
            output_address_bits=plan.last.output_address_bits,
            output_value_bits=plan.last.output_value_bits,
            result_bytes=results.results.shape[1],
            isolated=conduct.isolated,
            rest=conduct.rest,
            source_stall=int(stalls.source * 65536) if stalls else 0,
            sink_stall=int(stalls.sink * 65536) if stalls else 0,
            seed=stalls.seed if stalls else 0,
            patience=PATIENCE,
            abort_cycles=conduct.abort_cycles,
            spikes=ctypes.addressof(spike_pointers),
            membranes=ctypes.addressof(membrane_pointers) if membrane_pointers is not None else None,
            output=results.output.ctypes.data,
            cycles=results.cycles.ctypes.data,
            counts=results.counts.ctypes.data,
            results=results.results.ctypes.data,
            activity=conduct.activity,
        )
        broken = loaded.snnhw_run(simulator, ctypes.byref(job))
        violation = None
        if broken:
            violation = (
                f"{VIOLATIONS[broken]}: sample {first + job.violation_sample}, timestep {job.violation_step}, "
                f"cycle {job.violation_cycle} of the run"
            )
        if conduct.read is not None:
            conduct.read(loaded, simulator)
        activity = _read_activity(loaded, simulator) if conduct.activity else None
        return replace(results, total_cycles=job.total_cycles, violation=violation, activity=activity)
    finally:
        loaded.snnhw_close(simulator)


def run_library(
    library: Path, index: int, plan: Plan, spikes: np.ndarray, conduct: Conduct, *, trace: bool, columns: int, threads: int
) -> RawRun:
    """Run samples through a design of a library, in `threads` instances of it side by side when the samples are independent.

    Parameters
    ----------
    library : Path
        Shared library.
    index : int
        Which of its designs.
    plan, spikes
        What it is, and what goes in.
    conduct : Conduct
        How.
    trace : bool
        Keep the membranes.
    columns : int
        How much is counted of a sample.
    threads : int
        Most instances.
    """
    samples, steps, _ = spikes.shape
    results = RawRun(
        [np.full((samples, steps, layer.outputs), MISSING, np.uint8) for layer in plan.layers],
        [np.zeros((samples, steps, layer.outputs), np.int32) for layer in plan.layers] if trace else None,
        np.zeros((samples, steps, plan.outputs), np.int32),
        np.zeros(samples, np.int64),
        np.zeros((samples, columns), np.int64),
        np.zeros((samples, plan.decision.result_bytes if plan.decision is not None else 0), np.uint8),
    )
    # Samples of a network that never clears its state depend on each other.
    independent = all(layer.spec.clear == "sample" for layer in plan.layers) and not conduct.activity
    bounds = np.linspace(0, samples, (min(threads, samples) if independent else 1) + 1).astype(int)

    def part(first: int, last: int) -> RawRun:
        view = RawRun(
            [array[first:last] for array in results.spikes],
            [array[first:last] for array in results.membranes] if results.membranes is not None else None,
            results.output[first:last],
            results.cycles[first:last],
            results.counts[first:last],
            results.results[first:last],
        )
        return _run_part(library, index, plan, spikes[first:last], view, conduct, first)

    with ThreadPoolExecutor(len(bounds) - 1) as pool:
        parts = list(pool.map(part, bounds[:-1].tolist(), bounds[1:].tolist()))
    return replace(
        results,
        total_cycles=sum(item.total_cycles for item in parts),
        violation=next((item.violation for item in parts if item.violation), None),
        activity=parts[0].activity,
    )

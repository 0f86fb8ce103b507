"""``snnhw verify``: an output folder against the reference, from the files in it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np

from snnhw.errors import FileError, UsageError
from snnhw.files import read_bytes
from snnhw.plan import Plan, load_plan
from snnhw.verify.checks import check_disturbed, check_undisturbed
from snnhw.verify.cocotb_run import run_bench
from snnhw.verify.native import compile_plan
from snnhw.verify.vectors import FORMAT, VERSION, make_vectors

__all__ = ["VerifySimulator", "load_stimulus", "verify_folder"]

VerifySimulator = Literal["native", "icarus", "verilator"]

CHUNK_WORDS = 50_000_000
"""State words that are compared at a time, which bounds the memory that verifying takes."""

STALLED_SAMPLES = 100
MAX_VECTORS_BYTES = 1 << 30


def load_stimulus(folder: Path, plan: Plan) -> tuple[np.ndarray, bytes]:
    """Return the input spikes of the golden vectors in an output folder, and the content of the file.

    The spikes are bool, (samples, timesteps, inputs).
    """
    path = Path(folder) / "sim" / "vectors.json"
    content = read_bytes(path, "golden vectors", MAX_VECTORS_BYTES)
    try:
        vectors = json.loads(content)
        if (
            (vectors["format"], vectors["version"]) != (FORMAT, VERSION)
            or vectors["inputs"] != plan.inputs
            or not vectors["samples"]
        ):
            raise ValueError
        graded = plan.input_value_bits
        spikes = np.zeros((len(vectors["samples"]), vectors["timesteps"], plan.inputs), np.int32 if graded else bool)
        mask, sign = (1 << plan.input_address_bits) - 1, 1 << max(0, graded - 1)
        for sample, values in enumerate(vectors["samples"]):
            for step, events in enumerate(values["events"]):
                beats = np.asarray(events, np.int64)
                value = ((beats >> plan.input_address_bits) ^ sign) - sign if graded else True
                spikes[sample, step, beats & mask] = value
    except (ValueError, KeyError, TypeError, IndexError, RecursionError):
        raise FileError(f"golden vectors {str(path)!r} must be those of this network, and are damaged or others") from None
    return spikes, content


def verify_folder(
    folder: Path,
    *,
    simulator: VerifySimulator = "native",
    spikes: np.ndarray | None = None,
    samples: int | None = None,
    seed: int = 0,
    waves: Path | None = None,
    progress: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Hold the Verilog of an output folder against the integer reference.

    Every spike and every state of every layer, the output stream, the cycles of every sample, and the same with
    random stalls and random order of events. The native simulator also compares the accesses of every memory.

    Parameters
    ----------
    folder : Path
        Output folder of ``generate``.
    simulator : str
        ``"native"`` compiles the Verilog to a library and runs whole data sets; ``"icarus"`` and ``"verilator"``
        run the bench that ships in the folder.
    spikes : bool array, (samples, timesteps, inputs), or None
        Input spikes. None takes those of the golden vectors in the folder.
    samples : int or None
        Only the first of them.
    seed : int
        Of the stalls, of the order of events, and of the moment of the reset.
    waves : Path or None
        FST file to write; not by ``"native"``.
    progress : function of str
        Told what happens now.

    Returns
    -------
    dict
        For ``verify.json``: ``ok``, ``problem`` (text that names the first difference, or None), and how much was
        compared and differs.

    Raises
    ------
    UsageError, FileError, ToolMissing
        Something is missing. A difference is no exception but a result.
    """
    if simulator not in ("native", "icarus", "verilator"):
        raise UsageError(f"simulator must be native, icarus or verilator, not {simulator!r}")
    if waves is not None and simulator == "native":
        raise UsageError("waves are written by the simulators 'icarus' and 'verilator', not by 'native'")
    plan = load_plan(folder)
    shipped: bytes | None = None
    if spikes is None:
        spikes, shipped = load_stimulus(folder, plan)
    problem = None
    if shipped is not None and shipped != make_vectors(plan, spikes):
        problem = (
            f"golden vectors {str(Path(folder) / 'sim' / 'vectors.json')!r} must be what the reference computes, and are not"
        )
    if samples is not None and not 1 <= samples <= len(spikes):
        raise UsageError(f"samples must be between 1 and {len(spikes)}, the number there is, not {samples}")
    spikes = spikes[:samples]
    if simulator == "native":
        results = _verify_natively(folder, plan, spikes, seed, progress)
    else:
        progress(f"computing golden vectors of {len(spikes)} samples")
        vectors = make_vectors(plan, spikes)
        progress(f"compiling and running the bench on {simulator}")
        bench = run_bench(folder, vectors, simulator=simulator, seed=seed, waves=waves)
        counts = bench.tests.get("undisturbed", {"samples": 0})
        results = {
            "problem": bench.problem,
            "engine": simulator,
            **{name: value for name, value in counts.items() if name != "failure"},
            "stalled_samples": bench.tests.get("stalled", {}).get("samples", 0),
            "interrupted_samples": bench.tests.get("interrupted", {}).get("samples", 0),
            "seconds": round(bench.seconds, 3),
        }
    results["problem"] = problem or results["problem"]
    return {"ok": results["problem"] is None, "simulator": simulator, **results}


def _verify_natively(folder: Path, plan: Plan, spikes: np.ndarray, seed: int, progress: Callable[[str], None]) -> dict[str, Any]:
    progress("compiling the Verilog")
    simulator = compile_plan(plan, folder=folder)
    words = spikes.shape[1] * sum(layer.outputs for layer in plan.layers)
    # Samples of a network that never clears its state cannot be taken apart.
    chunk = max(1, CHUNK_WORDS // words) if all(layer.spec.clear == "sample" for layer in plan.layers) else len(spikes)
    totals: dict[str, int] = {}
    problem, seconds = None, 0.0
    for first in range(0, len(spikes), chunk):
        part = spikes[first : first + chunk]
        progress(f"running samples {first} to {first + len(part) - 1} of {len(spikes)}")
        check = check_undisturbed(simulator, part)
        counts = check.comparison.counts() | {
            "access_counts": check.access_counts,
            "access_mismatches": check.access_mismatches,
            "clock_cycles": check.simulation.total_cycles,
        }
        totals = {name: totals.get(name, 0) + count for name, count in counts.items()}
        seconds += check.simulation.run_seconds
        if problem is None and check.problem is not None:
            problem = f"counting from sample {first}: {check.problem}" if first else check.problem
    stalled = spikes[:STALLED_SAMPLES]
    progress(f"running {len(stalled)} samples with random stalls")
    disturbed = check_disturbed(simulator, stalled, seed)
    differing = disturbed.comparison.spike_mismatches + disturbed.comparison.membrane_mismatches
    differing += disturbed.comparison.decision_mismatches
    return {
        "problem": problem or disturbed.problem,
        "engine": simulator.engine,
        **totals,
        "stalled_samples": len(stalled),
        "stalled_mismatches": differing + disturbed.comparison.output_mismatches,
        "build_seconds": round(simulator.build_seconds, 3),
        "seconds": round(seconds, 3),
    }

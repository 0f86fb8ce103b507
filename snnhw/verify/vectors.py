"""The golden vectors that ship with an accelerator: what goes in, and what must come out of every layer.

``vectors.json`` is plain JSON that the shipped bench reads with the standard library:

    format, version   "snnhw-vectors", 1
    name, timesteps   of the network
    inputs, outputs   neurons at either end
    layers            [{"name", "neurons", "state_bits"}]
    clears            true when every layer starts each sample anew
    loading           {"bytes", "words"}: beats of the loading stream, hexadecimal numbers; absent when nothing is loaded
    samples           [{"events": [timestep][...] addresses, "cycles": clock cycles of the undisturbed sample,
                        "spikes": [layer][timestep][...] addresses, "membranes": [layer][timestep][neuron]}]
"""

import json
from typing import Any

import numpy as np

from snnhw.plan import Plan
from snnhw.plan.cycles import predict_cycles
from snnhw.reference import run
from snnhw.verify.packing import loading_word_bytes, loading_words

__all__ = ["FORMAT", "VERSION", "make_vectors"]

FORMAT, VERSION = "snnhw-vectors", 1


def _addresses(train: np.ndarray) -> list[list[int]]:
    """Return the ascending addresses of the spikes of each timestep; `train` is (timesteps, neurons)."""
    return [np.flatnonzero(step).tolist() for step in train]


def make_vectors(plan: Plan, spikes: np.ndarray) -> bytes:
    """Return the content of ``vectors.json`` for samples; the same plan and samples give the same bytes.

    Parameters
    ----------
    plan : Plan
        The accelerator.
    spikes : bool array, (samples, timesteps, inputs)
        Input spikes of the samples.
    """
    trace = run(plan.graph, spikes)
    cycles = predict_cycles(plan, trace.spikes)
    content: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "name": plan.graph.name,
        "timesteps": int(spikes.shape[1]),
        "inputs": plan.inputs,
        "outputs": plan.outputs,
        "layers": [{"name": layer.name, "neurons": layer.outputs, "state_bits": layer.state_bits} for layer in plan.layers],
        "clears": all(layer.spec.clear == "sample" for layer in plan.layers),
    }
    if plan.loaded_words:
        content["loading"] = {
            "bytes": loading_word_bytes(plan),
            "words": [bytes(word[::-1]).hex() for word in loading_words(plan)],
        }
    content["samples"] = [
        {
            "events": _addresses(spikes[sample]),
            "cycles": int(cycles[sample]),
            "spikes": [_addresses(trace.spikes[layer.name][sample]) for layer in plan.layers],
            "membranes": [trace.membranes[layer.name][sample].tolist() for layer in plan.layers],
        }
        for sample in range(spikes.shape[0])
    ]
    return (json.dumps(content, ensure_ascii=True, separators=(",", ":")) + "\n").encode()

"""The golden vectors that ship with an accelerator: what goes in, and what must come out of every layer.

``vectors.json`` is plain JSON that the shipped bench reads with the standard library:

    format, version   "snnhw-vectors", 2
    name, timesteps   of the network
    inputs, outputs   neurons at either end
    address_bits      of an event at either end, {"input", "output"}; above the address lies its value, if it has one
    layers            [{"name", "neurons", "state_bits"}]
    clears            true when every layer starts each sample anew
    loading           {"bytes", "words"}: beats of the loading stream, hexadecimal numbers; absent when nothing is loaded
    result_bytes      of a decision; absent when the accelerator does not decide
    rest              clock cycles between samples after which the accelerator is at rest
    samples           [{"events": [timestep][...] tdata, "output": [timestep][...] tdata, "cycles": clock cycles of the
                        undisturbed sample,
                        "spikes": [layer][timestep][...] addresses, "membranes": [layer][timestep][neuron],
                        "result": tdata of its decision, if there are any}]
"""

import json
from typing import Any

import numpy as np

from snnhw.plan import LayerPlan, Plan
from snnhw.plan.cycles import predict_cycles, rest_cycles
from snnhw.reference import Trace, run
from snnhw.verify.compare import output_of
from snnhw.verify.packing import loading_word_bytes, loading_words

__all__ = ["FORMAT", "VERSION", "make_vectors"]

FORMAT, VERSION = "snnhw-vectors", 2


def _addresses(train: np.ndarray) -> list[list[int]]:
    """Return the ascending addresses of the spikes of each timestep; `train` is (timesteps, neurons)."""
    return [np.flatnonzero(step).tolist() for step in train]


def _beats(values: np.ndarray, present: np.ndarray, address_bits: int, value_bits: int) -> list[list[int]]:
    """Return tdata of the events of each timestep, ascending; `values` and `present` are (timesteps, neurons)."""
    mask = (1 << value_bits) - 1
    return [[address | (value & mask) << address_bits for address, value in
             zip(np.flatnonzero(there).tolist(), np.asarray(row)[there].tolist(), strict=True)]
            for row, there in zip(values, present, strict=True)]


def _states(trace: Trace, layer: LayerPlan, sample: int) -> list[list[int]]:
    """Return the states of a core; those of a maximum pool are 0."""
    if layer.name in trace.membranes:
        return trace.membranes[layer.name][sample].tolist()
    return [[0] * layer.outputs] * trace.spikes[layer.name].shape[1]


def make_vectors(plan: Plan, spikes: np.ndarray) -> bytes:
    """Return the content of ``vectors.json`` for samples; the same plan and samples give the same bytes.

    Parameters
    ----------
    plan : Plan
        The accelerator.
    spikes : bool or int array, (samples, timesteps, inputs)
        Input spikes of the samples.
    """
    trace = run(plan.graph, spikes)
    cycles = predict_cycles(plan, trace.spikes).tolist()
    output, last = output_of(plan, trace), plan.last
    # States leave whatever they are, spikes and counts only where there are any.
    leaves = np.ones_like(output, bool) if last.spec.output == "state" else output != 0
    content: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "name": plan.graph.name,
        "timesteps": int(spikes.shape[1]),
        "inputs": plan.inputs,
        "outputs": plan.outputs,
        "address_bits": {"input": plan.input_address_bits, "output": last.output_address_bits},
        "layers": [{"name": layer.name, "neurons": layer.outputs, "state_bits": layer.state_bits} for layer in plan.layers],
        "rest": rest_cycles(plan, trace.spikes),
        "clears": all(layer.spec.clear == "sample" for layer in plan.layers),
    }
    if plan.loaded_words:
        content["loading"] = {
            "bytes": loading_word_bytes(plan),
            "words": [bytes(word[::-1]).hex() for word in loading_words(plan)],
        }
    results: list[dict[str, int]] = [{}] * len(spikes)
    if plan.decision is not None:
        content["result_bytes"] = plan.decision.result_bytes
        results = [{"result": int.from_bytes(word.tobytes(), "little")}
                   for word in plan.decision.pack(plan.decision.expect(output))]
    content["samples"] = [
        {
            "events": _beats(spikes[sample], spikes[sample] != 0, plan.input_address_bits, plan.input_value_bits),
            "output": _beats(output[sample], leaves[sample], last.output_address_bits, last.output_value_bits),
            "cycles": cycles[sample],
            "spikes": [_addresses(trace.spikes[layer.name][sample]) for layer in plan.layers],
            "membranes": [_states(trace, layer, sample) for layer in plan.layers],
        }
        | results[sample]
        for sample in range(spikes.shape[0])
    ]
    return (json.dumps(content, ensure_ascii=True, separators=(",", ":")) + "\n").encode()

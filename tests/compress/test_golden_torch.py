"""Neurons that train in integers against the golden vectors of every neuron model."""

import numpy as np
import pytest
import torch
from golden.make import COMMON, DRIVE, load, spec_of

from snnhw.compress.populations import Format, Population
from snnhw.network import Behaviour

CASES = load()


def ratio(decay):
    return None if decay is None else float(decay.ratio)


def computed(spec, kind):
    """Return states, synaptic currents and counts of a neuron whose state has the unit 1."""
    threshold = 0.0 if spec.output == "state" else COMMON["threshold"] - 0.25  # strictly above it is at or above the integer
    behaviour = Behaviour(ratio(spec.decay), threshold, ">", spec.reset, float(spec.reset_amount), spec.reset_time,
                          spec.input_on_reset, ratio(spec.synapse), float(spec.bias), output=spec.output, grades=spec.grades,
                          rounding=spec.decay.rounding)
    population = Population(behaviour)
    population.format = Format(spec.bits, spec.frac, spec.decay, spec.synapse, spec.overflow, kind == torch.float64)
    constants = population.prepare(torch.tensor(1.0), torch.tensor(0.0))
    state = population.begin(1, 1, constants)
    trail = []
    for weighted in DRIVE:
        handed = population.step(state, torch.full((1, 1), float(weighted << spec.frac), dtype=kind), constants)
        fired = 0 if spec.output == "state" else int(handed)
        trail.append((int(state.membrane), 0 if state.synapse is None else int(state.synapse), fired))
        assert spec.output != "state" or int(handed) == int(state.membrane)
    return trail


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
@pytest.mark.parametrize("reset", sorted({(case["spec"]["reset"], case["spec"].get("reset_time", "")) for case in CASES}))
def test_torch_computes_the_golden_vectors(reset, kind):
    chosen = [case for case in CASES if (case["spec"]["reset"], case["spec"].get("reset_time", "")) == reset]
    assert len(chosen) >= 40
    with torch.no_grad():
        for case in chosen:
            silent = [0] * len(DRIVE)
            wanted = list(zip(case["states"], case["synapses"] or silent, case["counts"], strict=True))
            assert computed(spec_of(case), kind) == wanted, spec_of(case)


def test_every_neuron_model_is_here():
    specs = [spec_of(case) for case in CASES]
    assert {spec.output for spec in specs} == {"spike", "count", "state"}
    assert {spec.decay.rounding for spec in specs} == {"floor", "zero"}
    assert np.mean([spec.synapse is not None for spec in specs]) == 0.8

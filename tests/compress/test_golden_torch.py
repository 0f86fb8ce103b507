"""The fake-quantized torch neuron against the golden vectors of the models that it has."""

from types import SimpleNamespace

import numpy as np
import pytest
import snntorch as snn
import torch
from golden.make import COMMON, DRIVE, load, spec_of

from snnhw.compress.config import LayerQuant
from snnhw.compress.layers import QuantLeaky
from snnhw.frontend.network import Behaviour


def supported(case):
    spec = spec_of(case)
    return (spec.synapse is None and spec.output == "spike" and spec.reset != "value" and spec.decay.rounding == "floor"
            and (spec.reset != "subtract" or spec.reset_amount == spec.threshold)
            and (spec.reset, spec.reset_time) != ("none", "next"))


CASES = [case for case in load() if supported(case)]


def test_every_reset_decay_and_overflow_of_the_layer_is_here():
    assert len(CASES) == 2 * 3 * 6


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
@pytest.mark.parametrize("case", CASES, ids=lambda case: str(spec_of(case)))
def test_torch_computes_the_golden_vectors(case, kind):
    spec = spec_of(case)
    beta = 1.0 if spec.decay.factor is None else int(spec.decay.factor) / 2 ** spec.decay.shift
    threshold = COMMON["threshold"] - 0.25  # strictly above it is at or above the integer
    own = SimpleNamespace(lsb=torch.tensor(1.0, dtype=kind))
    unit = SimpleNamespace(quantized=lambda: own)
    behaviour = Behaviour(spec.reset, spec.reset_time, spec.input_on_reset, np.array(beta), np.array(threshold))
    neuron = QuantLeaky(snn.Leaky(beta=beta, threshold=threshold), behaviour,
                        LayerQuant(decay="shift" if spec.decay.kind == "shift" else "mul", decay_bits=3, frac=spec.frac,
                                   state_bits=spec.bits, overflow=spec.overflow), spec.decay, unit)
    membrane = torch.zeros(1, 1, dtype=kind)
    states, counts = [], []
    with torch.no_grad():
        for weighted in DRIVE:
            spike, membrane = neuron(torch.full((1, 1), (weighted << spec.frac) + COMMON["bias"], dtype=kind), membrane)
            states.append(int(membrane))
            counts.append(int(spike))
    assert (states, counts) == (case["states"], case["counts"])

"""Every kind of neuron is what its trace says, whatever its options say."""

import itertools
import re

import numpy as np
import pytest
import snntorch as snn
import torch

from snnhw.errors import NetworkError
from snnhw.frontend.classify import classify_neuron

N = 5
RESETS = "subtract", "zero", "none"
FACTORS = [0.3, -0.2, 0.9, 0.0, -1.5]
MAKE = {
    "Leaky": lambda **options: snn.Leaky(beta=0.9, **options),
    "Synaptic": lambda **options: snn.Synaptic(alpha=0.7, beta=0.9, **options),
    "RLeaky": lambda **options: snn.RLeaky(beta=0.9, linear_features=N, **options),
    "RSynaptic": lambda **options: snn.RSynaptic(alpha=0.7, beta=0.9, linear_features=N, **options),
    "one to one": lambda **options: snn.RLeaky(beta=0.9, V=torch.tensor(FACTORS), all_to_all=False, **options),
    "Lapicque": lambda **options: snn.Lapicque(beta=0.9, **options),
}
EXPECTED = {
    ("Leaky", "zero", True): ("zero", "next", "keep"),
    ("RSynaptic", "zero", False): ("zero", "next", "drop"),       # its reset_delay does nothing where states are passed by hand,
    ("RSynaptic", "subtract", False): ("subtract", "next", "keep"),  # whatever it says
}


def expected(kind, reset, delay):
    usual = {"none": ("none", "immediate", "keep"), "subtract": ("subtract", "next", "keep"),
             "zero": ("zero", "next", "drop") if delay else ("zero", "immediate", "keep")}
    return EXPECTED.get((kind, reset, delay), usual[reset])


def refusal(module, shape=(N,)):
    with pytest.raises(NetworkError) as caught:
        classify_neuron(module, "lif", shape)
    return str(caught.value)


@pytest.mark.parametrize(("kind", "reset", "delay"), [case for case in itertools.product(MAKE, RESETS, (True, False))
                                                      if case[0] != "Lapicque" or case[2]])  # which has no reset_delay
def test_classifies_every_reset(kind, reset, delay):
    module = MAKE[kind](reset_mechanism=reset, **({} if kind == "Lapicque" else {"reset_delay": delay}))
    if reset == "subtract" and not delay and kind != "RSynaptic":
        assert "reset_delay=False with reset 'subtract' must not be used" in refusal(module)
        return
    found = classify_neuron(module, "lif", (N,))
    behaviour = found.behaviour
    assert (behaviour.reset, behaviour.reset_time, behaviour.input_on_reset) == expected(kind, reset, delay)
    assert (behaviour.alpha is not None) == (kind in ("Synaptic", "RSynaptic"))
    assert (found.recurrence is not None) == (kind in ("RLeaky", "RSynaptic", "one to one"))
    if reset == "subtract":
        assert float(behaviour.reset_amount) == float(behaviour.threshold) == 1


def test_lapicque_is_not_its_beta():
    found = classify_neuron(snn.Lapicque(beta=0.9), "lif", (N,))
    assert float(found.behaviour.beta) == pytest.approx(1 + np.log(0.9))
    assert float(found.gain) == pytest.approx(-np.log(0.9))
    found = classify_neuron(snn.Lapicque(R=5.0, C=0.5, time_step=0.5), "lif", (N,))
    assert (float(found.behaviour.beta), float(found.gain)) == (pytest.approx(0.8), pytest.approx(1.0))


def test_reads_recurrent_weights():
    module = MAKE["RSynaptic"]()
    found = classify_neuron(module, "lif", (N,))
    assert np.array_equal(found.recurrence.weight, module.recurrent.weight.detach().numpy())
    assert np.array_equal(found.recurrence.bias, module.recurrent.bias.detach().numpy())
    found = classify_neuron(MAKE["one to one"](), "lif", (N,))
    assert found.recurrence.weight.tolist() == pytest.approx(FACTORS)


@pytest.mark.parametrize("shape", [(3, 4, 5), (6, 40, 60)])
def test_one_value_for_each_channel(shape):
    """The larger population has more neurons than would fit a stimulus of their own each."""
    beta = torch.rand(shape[0], 1, 1)
    found = classify_neuron(snn.Leaky(beta=beta, threshold=torch.tensor(2.0)), "lif", shape)
    assert found.behaviour.threshold.ndim == 0
    assert np.array_equal(found.behaviour.beta.reshape(shape), np.broadcast_to(beta.numpy().astype(float), shape))


def test_a_graded_spike_is_a_factor():
    found = classify_neuron(snn.Leaky(beta=0.9, graded_spikes_factor=0.25), "lif", (N,))
    assert (found.factor, found.behaviour.reset, found.behaviour.reset_time) == (0.25, "subtract", "next")


class Dropping(snn.Leaky):
    """Drops the input of the timestep after a spike."""

    def forward(self, input_, mem=None):
        reset = self.mem_reset(mem)
        mem = (self.beta.clamp(0, 1) * mem + input_) * (1 - reset)
        return self.fire(mem), mem


class Echo(snn.RLeaky):
    """Feeds its spikes of two timesteps before back."""

    def forward(self, input_, spk=None, mem=None):
        if not bool(mem.any()):
            self.older = torch.zeros_like(spk)
        older, self.older = self.older, spk
        return super().forward(input_, older, mem)


class OneOff(snn.Leaky):
    """One of many neurons has another threshold."""

    def fire(self, mem):
        limit = torch.full_like(mem, float(self.threshold))
        limit[..., -1] *= 1.01
        return (mem > limit).to(mem)


def test_accepts_own_neurons_by_their_behaviour():
    found = classify_neuron(Dropping(beta=0.9, reset_mechanism="subtract"), "lif", (N,)).behaviour
    assert (found.reset, found.reset_time, found.input_on_reset) == ("zero", "next", "drop")


WRONG = {
    "recurrence": (lambda: Echo(beta=0.9, linear_features=N),
                   r"Echo\): its recurrent connections must carry its spikes of the timestep before, and do something else; .*"),
    "one neuron": (lambda: OneOff(beta=0.9),
                   r"OneOff\): its behaviour matches no neuron that can be reproduced; nearest is .*"),
    "inhibition": (lambda: snn.Synaptic(alpha=0.9, beta=0.9, inhibition=True),
                   r".* matches no neuron .*; inhibition must be off"),
    "rounded": (lambda: snn.Leaky(beta=0.9, state_quant=lambda mem: mem.round()),
                r".* matches no neuron .*; state_quant must be .*"),
    "alpha": (lambda: snn.Alpha(alpha=0.9, beta=0.8),
              r"Alpha\): its kind must be Leaky, Lapicque, Synaptic, RLeaky or RSynaptic"),
    "size": (lambda: snn.Leaky(beta=torch.ones(3)), r"Leaky\): beta must be one value or 5 values, not 3"),
    "shape": (lambda: snn.Leaky(beta=torch.ones(3, 1)),
              r"Leaky\): beta must be one value or one for each neuron, not shape \(3, 1\)"),
    "nan": (lambda: snn.Leaky(beta=float("nan")), r"Leaky\): beta must be finite, not nan"),
    "infinite": (lambda: snn.Synaptic(alpha=float("inf"), beta=0.9), r"Synaptic\): alpha must be finite, not inf"),
    "negative": (lambda: snn.Leaky(beta=0.9, threshold=-1.0), r"Leaky\): threshold must be above 0, not -1"),
    "graded": (lambda: snn.Leaky(beta=0.9, graded_spikes_factor=0.0),
               r"Leaky\): graded_spikes_factor must be one finite factor .*"),
    "features": (lambda: snn.RLeaky(beta=0.9, linear_features=4),
                 r"RLeaky\): linear_features must be the number of neurons, .*"),
    "even kernel": (lambda: snn.RLeaky(beta=0.9, conv2d_channels=1, kernel_size=2),
                    r"RLeaky\): the recurrent convolution must .*"),
}


@pytest.mark.filterwarnings("ignore:Inhibition")
@pytest.mark.parametrize("case", WRONG)
def test_says_what_is_wrong(case):
    make, pattern = WRONG[case]
    assert re.fullmatch(r"layer 'lif' \(" + pattern, refusal(make()))


def test_does_not_change_the_neuron():
    neuron = snn.RLeaky(beta=0.9, linear_features=N, init_hidden=True, learn_beta=True)
    before = {name: value.clone() for name, value in neuron.state_dict().items()}
    classify_neuron(neuron, "lif", (N,))
    assert neuron.beta.dtype == torch.float32
    assert neuron.mem.numel() == neuron.spk.numel() == 0
    assert not neuron.recurrent._forward_pre_hooks
    assert all(torch.equal(value, before[name]) for name, value in neuron.state_dict().items())

"""The probe believes what a neuron does, not what it says."""

import itertools
import re

import pytest
import snntorch as snn
import torch

from snnhw.errors import NetworkError
from snnhw.frontend.classify import classify_neuron

EXPECTED = {
    ("subtract", True): ("subtract", "next"),
    ("zero", True): ("zero", "next"),
    ("zero", False): ("zero", "immediate"),
    ("none", True): ("none", "immediate"),
    ("none", False): ("none", "immediate"),
}
DEFECT = ("layer 'lif' (Leaky): reset_delay=False with reset 'subtract' must not be used, because snntorch loses spikes when the "
          "membrane stays above the threshold; use reset_delay=True, or reset_mechanism='zero'")


def probe(module, neurons=6):
    return classify_neuron(module, "lif", (neurons,)).behaviour


def refusal(module):
    with pytest.raises(NetworkError) as caught:
        probe(module)
    return str(caught.value)


@pytest.mark.parametrize(("reset", "delay"), EXPECTED)
@pytest.mark.parametrize("beta", [0.3, 0.9, 1.0])
@pytest.mark.parametrize("threshold", [0.25, 1.0, 7.3])
def test_classifies_every_reset(reset, delay, beta, threshold):
    found = probe(snn.Leaky(beta=beta, threshold=threshold, reset_mechanism=reset, reset_delay=delay))
    assert (found.reset, found.reset_time) == EXPECTED[reset, delay]
    assert found.input_on_reset == "keep"
    assert float(found.beta) == pytest.approx(beta)
    assert float(found.threshold) == pytest.approx(threshold)


@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize("output", [False, True])
def test_hidden_state_makes_no_difference(hidden, output):
    found = probe(snn.Leaky(beta=0.8, init_hidden=hidden, output=output))
    assert found.kind == "threshold subtracted, one timestep later"


def test_reads_one_value_per_neuron():
    beta, threshold = torch.rand(6), torch.rand(6) + 0.1
    found = probe(snn.Leaky(beta=beta, threshold=threshold, learn_beta=True, learn_threshold=True))
    assert found.beta.tolist() == pytest.approx(beta.tolist())
    assert found.threshold.tolist() == pytest.approx(threshold.tolist())


@pytest.mark.parametrize(("beta", "clipped"), [(1.3, 1.0), (-0.2, 0.0)])
def test_clips_beta_as_the_neuron_does(beta, clipped):
    assert float(probe(snn.Leaky(beta=beta)).beta) == clipped


@pytest.mark.parametrize("beta", [0.5, 0.9, 1.0])
def test_refuses_the_defective_reset(beta):
    assert re.match(f"^{re.escape(DEFECT)}$", refusal(snn.Leaky(beta=beta, reset_delay=False)))


@pytest.mark.parametrize(("built", "claimed"), list(itertools.permutations(("subtract", "zero", "none"), 2)))
def test_a_later_attribute_changes_nothing_but_the_attribute(built, claimed):
    neuron = snn.Leaky(beta=0.9, reset_mechanism=built)
    neuron.reset_mechanism = claimed
    assert neuron.reset_mechanism == claimed
    assert probe(neuron).reset == built


def test_a_later_attribute_can_change_half_of_the_behaviour():
    neuron = snn.Leaky(beta=0.9, reset_mechanism="zero", reset_delay=False)
    neuron.reset_mechanism = "subtract"
    assert refusal(neuron).startswith("layer 'lif' (Leaky): its behaviour matches no neuron that can be reproduced; nearest is ")


class Mended(snn.Leaky):
    """A user's own neuron: what reset_delay=False should have been."""

    def forward(self, input_, mem=None):
        mem = self.beta.clamp(0, 1) * mem + input_
        spk = self.fire(mem)
        return spk, mem - spk * self.threshold


class Dropping(snn.Leaky):
    """Drops the input of the timestep after a spike, as the other layers of snntorch do."""

    def forward(self, input_, mem=None):
        reset = self.mem_reset(mem)
        mem = (self.beta.clamp(0, 1) * mem + input_) * (1 - reset)
        return self.fire(mem), mem


class Lazy(snn.Leaky):
    """Fires at the threshold already."""

    def forward(self, input_, mem=None):
        mem = self.beta * mem + input_
        return (mem >= self.threshold).to(mem), mem * (mem < self.threshold)


class Bursting(snn.Leaky):
    """Behaves like snntorch's up to the fifth spike of a neuron."""

    def forward(self, input_, mem=None):
        if not bool(mem.any()):
            self.spikes = torch.zeros_like(mem)
        spk, mem = super().forward(input_, mem)
        self.spikes = self.spikes + spk
        return spk, torch.where(self.spikes >= 5, mem * 0.5, mem)


def test_accepts_own_neurons_by_their_behaviour():
    mended, dropping = probe(Mended(beta=0.9)), probe(Dropping(beta=0.9, reset_mechanism="subtract"))
    assert (mended.reset, mended.reset_time) == ("subtract", "immediate")
    assert (dropping.reset, dropping.reset_time, dropping.input_on_reset) == ("zero", "next", "drop")


MESSAGES = {
    "fires at the threshold": (
        Lazy(beta=0.5),
        "layer 'lif' (Lazy): its behaviour matches no neuron that can be reproduced; nearest is 'reset to zero, at once', "
        "which leaves its "
        "trace in the test 'exactly at the threshold' at step 0: membrane 0 and spike 1 instead of 1 and 0"),
    "no threshold": (
        snn.Leaky(beta=0.9, threshold=0.0),
        "layer 'lif' (Leaky): threshold must be above 0, not 0"),
    "beta not a number": (
        snn.Leaky(beta=float("nan")),
        "layer 'lif' (Leaky): beta must be finite, not nan"),
    "sizes": (
        snn.Leaky(beta=torch.ones(3), threshold=torch.ones(4)),
        "layer 'lif' (Leaky): threshold must be one value or 6 values, not 4"),
    "shape": (
        snn.Leaky(beta=torch.ones(3, 2)),
        "layer 'lif' (Leaky): beta must be one value or one for each neuron, not shape (3, 2)"),
}


@pytest.mark.parametrize("case", MESSAGES)
def test_says_what_is_wrong(case):
    module, expected = MESSAGES[case]
    assert re.match(f"^{re.escape(expected)}$", refusal(module))


@pytest.mark.filterwarnings("ignore:Inhibition")
@pytest.mark.parametrize(("module", "reason"), [
    (lambda: snn.Leaky(beta=0.9, inhibition=True), "inhibition must be off"),
    (lambda: snn.Leaky(beta=0.9, state_quant=lambda mem: (mem * 8).round() / 8),
     "state_quant must be off, states are quantized when the network becomes integers"),
])
def test_names_the_option_behind_an_unknown_behaviour(module, reason):
    assert re.match(rf"^layer 'lif' \(Leaky\): its behaviour matches no neuron that can be reproduced; nearest is .*; {reason}$",
                    refusal(module()))


def test_a_rare_deviation_is_seen():
    assert "matches no neuron" in refusal(Bursting(beta=0.9))


def test_does_not_change_the_neuron():
    neuron = snn.Leaky(beta=0.9, init_hidden=True, learn_beta=True)
    before = {name: value.clone() for name, value in neuron.state_dict().items()}
    probe(neuron)
    assert neuron.beta.dtype == torch.float32
    assert neuron.mem.numel() == 0
    assert all(torch.equal(value, before[name]) for name, value in neuron.state_dict().items())

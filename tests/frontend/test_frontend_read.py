"""Networks written the way tutorials write them are read; what has no hardware is refused by name."""

import re

import numpy as np
import pytest
import snntorch as snn
import torch
import torch.nn.functional as F
from torch import nn

from snnhw.errors import NetworkError
from snnhw.frontend import read_module
from snnhw.frontend.module import find_layout
from snnhw.network import Linear

T = 5


class Tutorial(nn.Module):
    """States passed by hand, a loop over time, spikes and membranes recorded. `step` is what a test varies."""

    def __init__(self, bias=True):
        super().__init__()
        self.fc1 = nn.Linear(12, 7, bias=bias)
        self.lif1 = snn.Leaky(beta=0.9)
        self.fc2 = nn.Linear(7, 3, bias=bias)
        self.lif2 = snn.Leaky(beta=0.8, reset_mechanism="zero")

    def step(self, x, mem1, mem2):
        spk1, mem1 = self.lif1(self.fc1(x), mem1)
        spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
        return spk2, mem1, mem2

    def collect(self, spk2_rec, mem2_rec):
        return torch.stack(spk2_rec, dim=0), torch.stack(mem2_rec, dim=0)

    def frame(self, x, step):
        return x[step]

    def forward(self, x):
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        spk2_rec, mem2_rec = [], []
        for step in range(T):
            spk2, mem1, mem2 = self.step(self.frame(x, step), mem1, mem2)
            spk2_rec.append(spk2)
            mem2_rec.append(mem2)
        return self.collect(spk2_rec, mem2_rec)


class Static(Tutorial):
    """One image, shown at every timestep; the output summed."""

    def frame(self, x, step):
        return x.view(x.size(0), -1)

    def collect(self, spk2_rec, mem2_rec):
        total = 0
        for spk in spk2_rec:
            total = total + spk
        return total


class BatchFirst(Tutorial):
    """The first layer applied to all timesteps at once, the record written in place."""

    def forward(self, x):
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        record = torch.zeros(x.size(0), T, 3)
        currents = self.fc1(x.flatten(2))
        for step in range(T):
            spk1, mem1 = self.lif1(currents[:, step], mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            record[:, step] = spk2
        return record.mean(1)


class LayerByLayer(Tutorial):
    """All timesteps of one layer before the next layer."""

    def forward(self, x):
        mem, spikes = self.lif1.init_leaky(), []
        for step in range(T):
            spk, mem = self.lif1(self.fc1(x[step]), mem)
            spikes.append(spk)
        currents, mem, record = self.fc2(torch.stack(spikes)), self.lif2.init_leaky(), []
        for current in currents:
            spk, mem = self.lif2(current, mem)
            record.append(spk)
        return torch.stack(record).sum(0)


class Hidden(nn.Module):
    """Hidden states, nested modules, called once per timestep."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(
            nn.Flatten(), nn.Linear(12, 7), snn.Leaky(beta=0.9, init_hidden=True), nn.Dropout(0.3),
            nn.Linear(7, 3, bias=False), snn.Leaky(beta=0.8, reset_mechanism="zero", init_hidden=True, output=True))

    def forward(self, x):
        return self.net(x)


class HiddenLoop(Hidden):
    def forward(self, x):
        return torch.stack([self.net(x[step])[0] for step in range(x.size(0))])


class ByKeyword(Tutorial):
    def step(self, x, mem1, mem2):
        spk1, mem1 = self.lif1(input_=self.fc1(input=x), mem=mem1)
        spk2, mem2 = self.lif2(self.fc2(spk1), mem=mem2.detach())
        return spk2, mem1, mem2


READ = {
    "states passed by hand": (Tutorial, (T, 2, 12), "sequence", 0, (12,)),
    "no bias": (lambda: Tutorial(bias=False), (T, 2, 12), "sequence", 0, (12,)),
    "static image": (Static, (2, 1, 3, 4), "static", 0, (1, 3, 4)),
    "batch first": (BatchFirst, (2, T, 3, 4), "sequence", 1, (3, 4)),
    "layer by layer": (LayerByLayer, (T, 2, 12), "sequence", 0, (12,)),
    "hidden states": (Hidden, (2, 3, 4), "step", 0, (3, 4)),
    "hidden states in a loop": (HiddenLoop, (T, 2, 12), "sequence", 0, (12,)),
    "a bare Sequential": (lambda: Hidden().net, (2, 12), "step", 0, (12,)),
    "keyword arguments": (ByKeyword, (T, 2, 12), "sequence", 0, (12,)),
    "one sample": (Tutorial, (T, 1, 12), "sequence", 0, (12,)),
}


@pytest.mark.parametrize("case", READ)
def test_reads_tutorial_style(case):
    make, shape, drive, axis, frame = READ[case]
    module = make()
    network, layout = read_module(module, torch.rand(shape), timesteps=T), find_layout(module, torch.rand(shape), T)
    assert (layout.drive, layout.axis, layout.frame) == (drive, axis, frame)
    linears = [node for node in network.nodes if isinstance(node, Linear)]
    assert [node.weight.shape for node in linears] == [(7, 12), (3, 7)]
    assert [node.behaviour.reset for node in network.neurons] == ["subtract", "zero"]
    parameters = dict(module.named_parameters())
    for node in linears:
        assert np.array_equal(node.weight, parameters[f"{node.name}.weight"].detach().numpy())
        assert (node.bias is None) == (f"{node.name}.bias" not in parameters)


def test_names_are_the_users():
    network = read_module(Hidden(), torch.rand(2, 12), timesteps=T)
    assert [node.name for node in network.nodes[1:-1]] == ["net.1", "net.2", "net.4", "net.5"]


def test_reading_leaves_the_network_as_it_was():
    module = Tutorial().train()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    state = torch.get_rng_state()
    read_module(module, torch.rand(T, 2, 12, generator=torch.Generator().manual_seed(0)), timesteps=T)
    assert module.training
    assert torch.equal(torch.get_rng_state(), state)
    assert not any(child._forward_hooks or child._forward_pre_hooks for child in module.modules())
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


class Relu(Tutorial):
    def step(self, x, mem1, mem2):
        spk1, mem1 = self.lif1(torch.relu(self.fc1(x)), mem1)
        spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
        return spk2, mem1, mem2


class Functional(Tutorial):
    def step(self, x, mem1, mem2):
        spk1, mem1 = self.lif1(F.linear(x, self.fc1.weight), mem1)
        spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
        return spk2, mem1, mem2


class Membrane(Tutorial):
    def step(self, x, mem1, mem2):
        _, mem1 = self.lif1(self.fc1(x), mem1)
        spk2, mem2 = self.lif2(self.fc2(mem1), mem2)
        return spk2, mem1, mem2


class Touched(Tutorial):
    def step(self, x, mem1, mem2):
        spk2, mem1, mem2 = super().step(x, mem1, mem2)
        return spk2, mem1 * 0.5, mem2


class Started(Tutorial):
    def forward(self, x):
        mem1, mem2 = torch.full((x.size(1), 7), 0.1), self.lif2.init_leaky()
        return torch.stack([self.step(x[0], mem1, mem2)[0]])


class Late(Tutorial):
    """The second layer reads the spikes of the timestep before."""

    def forward(self, x):
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        spk1, mem1 = self.lif1(self.fc1(x[0]), mem1)
        record = []
        for step in range(T):
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            record.append(spk2)
            if step + 1 < T:
                spk1, mem1 = self.lif1(self.fc1(x[step + 1]), mem1)
        return torch.stack(record)


class Lagging(Tutorial):
    def forward(self, x):
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        before, record = None, []
        for step in range(T):
            spk1, mem1 = self.lif1(self.fc1(x[step]), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1 if before is None else before), mem2)
            before = spk1
            record.append(spk2)
        return torch.stack(record)


class Backwards(Tutorial):
    def frame(self, x, step):
        return x[T - 1 - step]


class Mirrored(Tutorial):
    def frame(self, x, step):
        return x[step].flip(1)


class Shuffled(Tutorial):
    def step(self, x, mem1, mem2):
        spk1, mem1 = self.lif1(self.fc1(x), mem1)
        spk2, mem2 = self.lif2(self.fc2(spk1.flip(0)), mem2)
        return spk2, mem1, mem2


class Inplace(Tutorial):
    def step(self, x, mem1, mem2):
        spk1, mem1 = self.lif1(self.fc1(x), mem1)
        spk1.view(-1)[0].fill_(0.5)
        spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
        return spk2, mem1, mem2


class Constant(Tutorial):
    def frame(self, x, step):
        return torch.ones(2, 12)


class Deciding(Tutorial):
    def step(self, x, mem1, mem2):
        if x.sum() > 3:
            x = x * 1
        return super().step(x, mem1, mem2)


class Softmax(Tutorial):
    def collect(self, spk2_rec, mem2_rec):
        return torch.softmax(torch.stack(spk2_rec).sum(0), dim=-1)


class ReturnsMembrane(Tutorial):
    def collect(self, spk2_rec, mem2_rec):
        return torch.stack(mem2_rec)


class NoNeuron(Tutorial):
    def forward(self, x):
        return self.fc2(self.fc1(x))


class OpenEnd(Tutorial):
    def step(self, x, mem1, mem2):
        spk1, mem1 = self.lif1(self.fc1(x), mem1)
        return self.fc2(spk1), mem1, mem2

    def collect(self, spk2_rec, mem2_rec):
        return torch.stack(spk2_rec)


class Broken(Tutorial):
    def __init__(self):
        super().__init__()
        self.fc2 = nn.Linear(8, 3)


def poisoned():
    module = Tutorial()
    with torch.no_grad():
        module.fc1.weight[3, 4] = float("nan")
        module.fc2.bias[1] = float("inf")
    return module


def hooked():
    module = Tutorial()
    module.fc1.register_forward_hook(lambda layer, args, result: result * 2)
    return module


def wrong_size():
    module = Tutorial()
    module.lif1 = snn.Leaky(beta=torch.tensor([0.9, 0.8, 0.7]), init_hidden=False)
    module.fc1 = nn.Linear(12, 3)
    module.fc2 = nn.Linear(3, 3)
    module.lif1.beta = torch.tensor(0.9)
    module.lif1.threshold = torch.ones(1, 3)
    return module


REFUSED = {
    Relu: ["layer 'lif1' (Leaky): its input passes through function 'relu' after 'fc1' (Linear, 12 → 7), which has no hardware; "
           "spikes are 0 or 1 already, so leave it out"],
    Functional: ["layer 'lif1' (Leaky): its input passes through function 'linear' after the network's input, which has "
                 "no hardware; "
                 "nearest supported form is the module nn.Linear"],
    Membrane: ["layer 'lif2' (Leaky): its input must be made of spikes, not of the membrane of 'lif1' (Leaky); pass the first "
               "output of the neuron"],
    Touched: ["layer 'lif1' (Leaky): its membrane must be the one it returned the timestep before, and is changed or replaced"],
    Started: ["layer 'lif1' (Leaky): its membrane must be 0 before the first timestep",
              "layer 'lif1' (Leaky): must be called once per timestep, that is 5 times; not 1 times",
              "layer 'lif2' (Leaky): must be called once per timestep, that is 5 times; not 1 times"],
    Lagging: ["layer 'lif2' (Leaky): its input must be made the same way at every timestep, and at timestep 0 is not as "
              "at the last"],
    Backwards: ["layer 'lif1' (Leaky): must be driven by its own timestep or the one before, not by a later one"],
    Mirrored: ["layer 'fc1' (Linear, 12 → 7): its input must be one whole vector in its own order, and is put together, "
               "cut or reordered"],
    Shuffled: ["layer 'lif2' (Leaky): samples of a batch must stay apart and in order"],
    Inplace: ["layer 'fc2' (Linear, 7 → 3): its input must not be changed in place after 'lif1' (Leaky)"],
    Constant: ["layer 'fc1' (Linear, 12 → 7): its input must come from the network's input, and comes from somewhere else"],
    Deciding: ["the forward reads the values of function 'gt' with 'bool'; what a network does must not depend on the data"],
    Softmax: ["the network's output passes through function 'softmax' after 'lif2' (Leaky), which has no hardware; "
              "return the spikes of the last layer, stacked or summed over time"],
    ReturnsMembrane: ["layer 'lif2' (Leaky): its membrane is the output, so it must not be reset, and is (reset to zero, one "
                      "timestep later); use reset_mechanism='none', or return its spikes"],
    NoNeuron: ["the network's output must be spikes or membranes of neurons, not 'fc2' (Linear, 7 → 3); put snn.Leaky behind it, "
               "with beta=1 and reset_mechanism='none' to sum it over time",
               "the network must have at least one neuron, such as snn.Leaky, between its input and its output"],
    OpenEnd: ["the network's output must be spikes or membranes of neurons, not 'fc2' (Linear, 7 → 3); put snn.Leaky behind it, "
               "with beta=1 and reset_mechanism='none' to sum it over time"],
    Broken: ["the forward fails on an input of shape (5, 2, 12): mat1 and mat2 shapes cannot be multiplied (2x7 and 8x3)"],
    poisoned: ["layer 'fc1' (Linear, 12 → 7): weight must be finite, not nan", "layer 'fc2' (Linear, 7 → 3): bias must be "
                                                                               "finite, not inf"],
    hooked: ["layer 'fc1' (Linear, 12 → 7): its output must be weight @ input + bias, and is something else; remove hooks "
             "and overrides"],
    wrong_size: ["layer 'lif1' (Leaky): threshold must be one value or one for each neuron, not shape (1, 3)"],
}


def problems(module, shape=(T, 2, 12)):
    with pytest.raises(NetworkError) as caught:
        read_module(module, torch.rand(shape, generator=torch.Generator().manual_seed(3)), timesteps=T)
    return list(caught.value.problems)


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.__name__)
def test_refuses_by_name(case):
    torch.manual_seed(2)
    found = problems(case())
    assert len(found) == len(REFUSED[case])
    for sentence, expected in zip(found, REFUSED[case], strict=True):
        assert re.match(f"^{re.escape(expected)}$", sentence)


def test_a_layer_that_runs_ahead_is_the_same_chain():
    network = read_module(Late(), torch.rand(T, 2, 12), timesteps=T)
    assert [node.name for node in network.nodes] == ["input", "fc1", "lif1", "fc2", "lif2", "output"]


def test_collects_everything_that_is_wrong():
    module = nn.Sequential(
        nn.Flatten(), nn.Linear(12, 7), nn.ReLU(), snn.Leaky(beta=0.9, init_hidden=True), nn.Linear(7, 4), nn.Softmax(dim=-1),
        snn.Leaky(beta=0.9, init_hidden=True, reset_delay=False))
    assert problems(module, (2, 3, 4)) == [
        "layer '3' (Leaky): its input passes through layer '2' (ReLU) after '1' (Linear, 12 → 7), which has no hardware; spikes "
        "are 0 or 1 already, so leave it out",
        "layer '6' (Leaky): its input passes through layer '5' (Softmax) after '4' (Linear, 7 → 4), which has no hardware; "
        "supported are Linear, convolutions, BatchNorm, pooling, sums and products with constants"]


WRONG_TIME = ["layer 'fc1' (Linear, 12 → 7): its input must be one whole vector in its own order, and is put together, cut or "
              "reordered", "layer 'lif2' (Leaky): samples of a batch must stay apart and in order"]


def test_counts_the_timesteps():
    assert problems(Tutorial(), (7, 2, 12)) == WRONG_TIME
    with pytest.raises(NetworkError) as caught:
        read_module(Tutorial(), torch.rand(T, 2, 12), timesteps=9)
    assert list(caught.value.problems) == [*WRONG_TIME, *(
        f"layer {name!r} (Leaky): must be called once per timestep, that is 9 times; not 5 times" for name in ("lif1", "lif2"))]

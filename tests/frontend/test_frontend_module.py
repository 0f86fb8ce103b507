"""What was read from torch computes what torch computes: every spike of every layer, and every membrane."""

import copy
import math

import numpy as np
import pytest
import snntorch as snn
import torch
import torch.nn.functional as F
from torch import nn

from snnhw.errors import NetworkError, UsageError
from snnhw.frontend import read_module
from snnhw.frontend.classify import states_of, supported
from snnhw.ir.nodes import Delay
from snnhw.network.run import run_network

T, B = 12, 3


class Single(nn.Module):
    """A network called once per timestep, made of the layers it is given."""

    def __init__(self, *layers):
        super().__init__()
        self.net = nn.Sequential(*layers)

    def forward(self, x):
        return self.net(x)


class Looped(Single):
    """The same network with a loop over time inside."""

    def forward(self, x):
        record = []
        for step in range(x.size(0)):
            record.append(self.net(x[step]))
        return torch.stack(record)


def randomize(module, seed=0):
    """Give weights that make neurons fire about a third of the time, and norms that do something."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for child in module.modules():
            if isinstance(child, nn.Linear | nn.Conv1d | nn.Conv2d):
                inputs = child.weight[0].numel()
                child.weight.copy_(torch.randn(child.weight.shape, generator=generator) * 1.6 / math.sqrt(inputs))
                if child.bias is not None:
                    child.bias.copy_(torch.randn(child.bias.shape, generator=generator) * 0.3 + 0.15)
            if isinstance(child, nn.BatchNorm1d | nn.BatchNorm2d):
                child.running_mean.copy_(torch.randn(child.running_mean.shape, generator=generator) * 0.2)
                child.running_var.copy_(torch.rand(child.running_var.shape, generator=generator) + 0.3)
                child.weight.copy_(torch.randn(child.weight.shape, generator=generator).abs() + 0.3)
                child.bias.copy_(torch.randn(child.bias.shape, generator=generator) * 0.3 + 0.15)
    return module.eval()


def torch_run(module, x, calls):
    """Run a copy in double precision; return spikes and membranes of each neuron, (samples, timesteps, neurons)."""
    module = copy.deepcopy(module).double().eval()
    seen = {}

    def cast(child, args, kwargs):
        return (tuple(value.double() if isinstance(value, torch.Tensor) else value for value in args),
                {key: value.double() if isinstance(value, torch.Tensor) else value for key, value in kwargs.items()})

    def keep(name):
        def hook(child, args, result):
            names = ["spk", *(state for state in states_of(child) if state != "spk")]
            given = dict(zip(names, result if isinstance(result, tuple) else (result,), strict=False))
            mem = given.get("mem", child.mem)
            factor = getattr(child, "graded_spikes_factor", torch.ones(()))
            for values, what in ((given["spk"] / factor, 0), (mem, 1)):
                seen.setdefault(name, ([], []))[what].append(values.detach().double().numpy().reshape(len(values), -1).copy())
            # The surrogates of snntorch give spikes in single precision, and a product with a constant would stay there.
            return tuple(part.double() for part in result) if isinstance(result, tuple) else result.double()
        return hook

    for name, child in module.named_modules():
        if supported(child):
            for state in states_of(child):
                setattr(child, state, torch.zeros(0))
            child.register_forward_hook(keep(name))
        if not list(child.children()) or supported(child):
            child.register_forward_pre_hook(cast, with_kwargs=True)
    with torch.no_grad():
        for frame in x if calls else [x]:
            module(frame)
    return {name: tuple(np.stack(part, axis=1) for part in parts) for name, parts in seen.items()}


def check(module, shape, *, style="step", lowest=0, highest=1, timesteps=T, alive=True, **options):
    """Read a network and compare it with torch on random inputs; return it."""
    network = read_module(module, shape, timesteps=timesteps, lowest=lowest, highest=highest, **options)
    x = np.random.default_rng(1).integers(lowest, highest + 1, (timesteps, B, *shape)).astype(float)
    if style == "static":
        x = np.repeat(x[:1], timesteps, axis=0)
    given = {"step": x, "static": x[0], "first": x, "second": np.moveaxis(x, 0, 1)}[style]
    expected = torch_run(module, torch.from_numpy(given), style == "step")
    found = run_network(network, np.moveaxis(x, 0, 1).reshape(B, timesteps, -1).astype(int))
    for node in network.neurons:
        name, spikes, membranes = node.name, found.spikes[node.name], found.membranes[node.name]
        if node.behaviour.output != "state":
            assert np.array_equal(spikes, expected[name][0]), name
            if alive:
                assert 0.02 < spikes.mean() < 0.98, (name, spikes.mean())
        scale = np.maximum(np.abs(expected[name][1]), 1.0)
        assert (np.abs(membranes - expected[name][1]) <= 1e-9 * scale).all(), name
    return network


def kinds(network):
    return [type(node).__name__ for node in network.nodes]


def hidden(kind=snn.Leaky, **options):
    return kind(**{"beta": 0.9, "init_hidden": True, **options})


NEURONS = {
    "subtract": lambda n: hidden(),
    "zero": lambda n: hidden(reset_mechanism="zero"),
    "zero at once": lambda n: hidden(reset_mechanism="zero", reset_delay=False),
    "none": lambda n: hidden(beta=0.3, reset_mechanism="none"),
    "integrate and fire": lambda n: hidden(beta=1.0),
    "per neuron": lambda n: hidden(beta=torch.rand(n) * 0.5 + 0.4, threshold=torch.rand(n) + 0.5, learn_beta=True),
    "lapicque": lambda n: snn.Lapicque(beta=0.5, init_hidden=True, threshold=0.3),
    "lapicque zero": lambda n: snn.Lapicque(R=5.1, C=0.5, time_step=0.7, init_hidden=True, reset_mechanism="zero"),
    "synaptic": lambda n: hidden(snn.Synaptic, alpha=0.6, threshold=2.0),
    "synaptic zero": lambda n: hidden(snn.Synaptic, alpha=0.6, reset_mechanism="zero"),
    "synaptic zero at once": lambda n: hidden(snn.Synaptic, alpha=torch.rand(n), reset_mechanism="zero", reset_delay=False),
    "recurrent": lambda n: hidden(snn.RLeaky, linear_features=n),
    "recurrent zero": lambda n: hidden(snn.RLeaky, linear_features=n, reset_mechanism="zero"),
    "recurrent one to one": lambda n: hidden(snn.RLeaky, V=torch.randn(n), all_to_all=False),
    "recurrent one factor": lambda n: hidden(snn.RLeaky, V=-0.4, all_to_all=False, learn_recurrent=False),
    "recurrent synaptic": lambda n: hidden(snn.RSynaptic, alpha=0.5, linear_features=n, threshold=2.0),
    "recurrent synaptic zero": lambda n: hidden(snn.RSynaptic, alpha=0.5, linear_features=n, reset_mechanism="zero"),
    "graded": lambda n: hidden(graded_spikes_factor=0.7),
}


@pytest.mark.parametrize("kind", NEURONS)
def test_every_neuron(kind):
    torch.manual_seed(4)
    module = randomize(Single(nn.Linear(9, 7), NEURONS[kind](7), nn.Linear(7, 5), hidden()), 3)
    network = check(module, (9,))
    assert "net.1" in network.choices["layer 'net.1'"] or "found by driving it" in network.choices["layer 'net.1'"]


def test_recurrence_is_a_delay_and_a_layer():
    network = check(randomize(Single(nn.Linear(9, 7), NEURONS["recurrent"](7))), (9,))
    assert kinds(network) == ["Input", "Linear", "Delay", "Linear", "Neuron", "Readout"]
    assert network["net.1.recurrent"].inputs == ("net.1.delay",)
    network = check(randomize(Single(nn.Linear(9, 7), NEURONS["recurrent one factor"](7))), (9,))
    assert float(network["net.1.recurrent"].weight) == pytest.approx(-0.4)


def test_a_gain_goes_into_the_weights_before():
    module = randomize(Single(nn.Linear(9, 7), NEURONS["lapicque"](7)))
    network = check(module, (9,))
    assert kinds(network) == ["Input", "Linear", "Neuron", "Readout"]
    gain = network["net.0"].weight / module.net[0].weight.detach().numpy()
    assert np.allclose(gain, -np.log(0.5))
    assert network.choices["layer 'net.0' folded"] == "factor 0.693147 of its output"


LAYERS = {
    "conv1d": (lambda: (nn.Conv1d(3, 4, 3, stride=2, padding=1), hidden(), nn.Conv1d(4, 2, 3, dilation=2), hidden()), (3, 14)),
    "conv2d": (lambda: (nn.Conv2d(2, 4, (3, 2), padding=(0, 1)), hidden(), nn.Flatten(), nn.Linear(4 * 4 * 8, 5), hidden()),
               (2, 6, 7)),
    "same": (lambda: (nn.Conv2d(2, 3, (4, 3), padding="same", dilation=(1, 2)), hidden()), (2, 7, 6)),
    "valid": (lambda: (nn.Conv2d(2, 3, 3, padding="valid", bias=False), hidden()), (2, 7, 6)),
    "groups": (lambda: (nn.Conv2d(4, 6, 3, groups=2), hidden(beta=torch.rand(6, 1, 1)), nn.Conv2d(6, 6, 3, groups=6), hidden()),
               (4, 7, 6)),
    "average of spikes": (
        lambda: (nn.Conv2d(2, 4, 3), hidden(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(16, 4), hidden()), (2, 6, 6)),
    "average of currents": (lambda: (nn.Conv2d(2, 4, 3), nn.AvgPool2d(2, stride=1, padding=1), hidden(threshold=0.5)), (2, 6, 6)),
    "average 1d": (lambda: (nn.Conv1d(2, 4, 3), nn.AvgPool1d(2), hidden(threshold=0.5)), (2, 10)),
    "global average": (
        lambda: (nn.Conv2d(2, 4, 3), hidden(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3), hidden()), (2, 6, 6)),
    "maximum": (lambda: (nn.Conv2d(2, 4, 3), hidden(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16, 4), hidden()), (2, 6, 6)),
    "maximum padded": (
        lambda: (nn.Conv2d(2, 4, 3), hidden(threshold=2.0), nn.MaxPool2d(3, 2, padding=1), nn.Conv2d(4, 2, 2), hidden()),
                       (2, 6, 6)),
    "maximum 1d": (lambda: (nn.Conv1d(2, 4, 3), hidden(), nn.MaxPool1d(2), nn.Conv1d(4, 2, 2), hidden()), (2, 10)),
    "maximum of graded": (
        lambda: (nn.Conv2d(2, 4, 3), hidden(graded_spikes_factor=0.7), nn.MaxPool2d(2), nn.Conv2d(4, 2, 2), hidden()),
                          (2, 6, 6)),
    "dropout": (lambda: (nn.Linear(9, 7), nn.Dropout(0.5), hidden(), nn.Identity(), nn.Linear(7, 3), hidden()), (9,)),
    "norm after linear": (lambda: (nn.Linear(9, 7), nn.BatchNorm1d(7), hidden()), (9,)),
    "norm after conv": (lambda: (nn.Conv2d(2, 4, 3, bias=False), nn.BatchNorm2d(4), hidden()), (2, 6, 6)),
    "norm after pooling": (lambda: (nn.Conv2d(2, 4, 3), nn.AvgPool2d(2), nn.BatchNorm2d(4), hidden()), (2, 6, 6)),
    "norm of spikes": (lambda: (nn.Linear(9, 7), hidden(), nn.BatchNorm1d(7), nn.Linear(7, 3), hidden()), (9,)),
    "norm before conv": (lambda: (nn.Conv2d(2, 4, 3), hidden(), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 3), hidden()), (2, 6, 6)),
    "norm before padding": (
        lambda: (nn.Conv2d(2, 4, 3), hidden(), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 3, padding=1), hidden()), (2, 6, 6)),
    "norm, flatten": (
        lambda: (nn.Conv2d(2, 4, 3), hidden(), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(64, 3), hidden()), (2, 6, 6)),
    "norm of the input": (lambda: (nn.BatchNorm2d(2), nn.Conv2d(2, 4, 3, padding=1), hidden()), (2, 6, 6)),
    "two layers without neurons": (lambda: (nn.Linear(9, 4), nn.BatchNorm1d(4), nn.Linear(4, 6), hidden()), (9,)),
    "neurons after flatten": (
        lambda: (nn.Conv2d(2, 4, 3), nn.Flatten(), hidden(beta=torch.rand(64)), nn.Linear(64, 3), hidden()), (2, 6, 6)),
    "recurrent convolution": (lambda: (nn.Conv2d(2, 4, 3), hidden(snn.RLeaky, conv2d_channels=4, kernel_size=3)), (2, 6, 6)),
    "lapicque after pooling": (
        lambda: (nn.Conv2d(2, 4, 3), nn.AvgPool2d(2), snn.Lapicque(beta=0.5, init_hidden=True, threshold=0.3)),
                               (2, 6, 6)),
}


@pytest.mark.parametrize("case", LAYERS)
@pytest.mark.parametrize("style", ["step", "first"])
def test_every_layer(case, style):
    torch.manual_seed(5)
    make, shape = LAYERS[case]
    check(randomize((Single if style == "step" else Looped)(*make()), 7), shape, style=style)


def test_graded_inputs():
    check(randomize(Single(nn.Linear(9, 7), hidden(), nn.Linear(7, 3), hidden())), (9,), lowest=-1, highest=1)


class Skip(nn.Module):
    """Residual sums of currents and of spikes, constants, functional pooling, and a recurrence written by hand."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.short = nn.Conv2d(2, 4, 1)
        self.norm = nn.BatchNorm2d(4)
        self.lif1, self.lif2 = snn.Leaky(beta=0.8), snn.Leaky(beta=0.9, reset_mechanism="zero")
        self.fc, self.back = nn.Linear(4 * 3 * 3, 6), nn.Linear(6, 6)
        self.lif3 = snn.Synaptic(alpha=0.4, beta=0.7)
        self.gain = nn.Parameter(torch.tensor(1.3))

    def forward(self, x):
        mem1, mem2 = self.lif1.reset_mem(), self.lif2.reset_mem()
        syn3, mem3 = self.lif3.reset_mem()
        spk3 = torch.zeros(x.size(1), 6)
        total = []
        for frame in x:
            spk1, mem1 = self.lif1(self.conv1(frame), mem1)
            current = self.norm(self.conv2(spk1)) * self.gain + self.short(frame) / 2 - 0.1
            current += spk1 * 0.25
            spk2, mem2 = self.lif2(current, mem2)
            pooled = F.avg_pool2d(spk2 + spk1, kernel_size=2)
            spk3, syn3, mem3 = self.lif3(self.fc(pooled.view(x.size(1), -1)) + self.back(spk3), syn3, mem3)
            total.append(spk3)
        return torch.stack(total).sum(0)


def test_skips_and_recurrence_by_hand():
    network = check(randomize(Skip(), 2), (2, 6, 6), style="first")
    assert [node.name for node in network.nodes if isinstance(node, Delay)] == ["lif3.delay"]
    assert network["back"].inputs == ("lif3.delay",)
    assert set(network["lif3"].inputs) == {"fc", "back"}
    assert set(network["lif2"].inputs) == {"conv2", "short", "lif1.scale"}


class Membrane(nn.Module):
    def __init__(self, collect, **options):
        super().__init__()
        self.fc1, self.lif1 = nn.Linear(9, 7), snn.Leaky(beta=0.9)
        self.fc2, self.out = nn.Linear(7, 3), snn.Leaky(**{"beta": 0.8, "reset_mechanism": "none", **options})
        self.collect = collect

    def forward(self, x):
        mem1, mem2, record = self.lif1.reset_mem(), self.out.reset_mem(), []
        for frame in x:
            spk1, mem1 = self.lif1(self.fc1(frame), mem1)
            spk2, mem2 = self.out(self.fc2(spk1), mem2)
            record.append((spk2, mem2))
        return self.collect(record)


COLLECT = {
    "max": (lambda record: torch.stack([mem for _, mem in record]), "max, the default"),
    "last": (lambda record: record[-1][1], "last, as the forward does"),
    "sum": (lambda record: torch.stack([mem for _, mem in record]).sum(0), "sum, as the forward does"),
}


@pytest.mark.parametrize("over", COLLECT)
def test_a_returned_membrane_is_the_readout(over):
    collect, words = COLLECT[over]
    network = check(randomize(Membrane(collect)), (9,), style="first")
    readout = network.nodes[-1]
    assert (readout.kind, readout.over) == ("membrane", over)
    assert network["out"].behaviour.output == "state"
    assert network.choices["readout"] == f"membrane of 'out', which the forward returns; over time: {words}"
    network = check(randomize(Membrane(collect)), (9,), style="first", over="max")
    assert network.nodes[-1].over == "max"


def test_returned_spikes_are_counted():
    both = randomize(Membrane(lambda record: (torch.stack([spk for spk, _ in record]), torch.stack([mem for _, mem in record])),
                              reset_mechanism="subtract"))
    assert read_module(both, (9,), timesteps=T).nodes[-1].kind == "count"
    assert read_module(both, (9,), timesteps=T, readout="first").nodes[-1].kind == "first"
    with pytest.raises(NetworkError, match=r"^layer 'out' \(Leaky\): its membrane is the output, so it must not be reset, and is "
                                           r"\(threshold subtracted, one timestep later\); use reset_mechanism='none'"):
        read_module(both, (9,), timesteps=T, readout="membrane")


@pytest.mark.parametrize(("style", "shape"), [("second", (9,)), ("static", (9,))])
def test_other_layouts(style, shape):
    class Second(Looped):
        def forward(self, x):
            return super().forward(x.transpose(0, 1)).mean(0)

    class Static(Looped):
        def forward(self, x):
            return torch.stack([self.net(x) for _ in range(T)]).sum(0)

    make = Second if style == "second" else Static
    check(randomize(make(nn.Linear(9, 7), hidden(), nn.Linear(7, 3), hidden()), 3), shape, style=style)


def test_an_example_says_the_layout():
    module = randomize(Looped(nn.Linear(9, 7), hidden()))
    network = read_module(module, torch.rand(T, 1, 9), timesteps=T)
    assert network.choices["input"] == "one call takes a sample with time along axis 0, frames of 9"


class Collecting(Single):
    """A loop over time whose return value a test varies."""

    def __init__(self, collect):
        super().__init__(nn.Linear(9, 7), hidden(), nn.Linear(7, 3), hidden())
        self.collect = collect

    def forward(self, x):
        return self.collect([self.net(frame) for frame in x])


def discounted(record, factor):
    total = 0
    for spikes in record:
        total = total * factor + spikes
    return total


def weighted(record, factors):
    total = torch.zeros_like(record[0])
    for spikes, factor in zip(record, factors, strict=True):
        total = total + factor * spikes
    return total


COUNTED = {
    "stacked": torch.stack, "mean": lambda record: torch.stack(record).mean(dim=0), "running": sum,
    "rate": lambda record: torch.stack(record, dim=1).sum(1) / len(record), "shares": lambda record: weighted(record, [0.25] * T),
    "class": lambda record: torch.stack(record).sum(0).argmax(-1), "dictionary": lambda record: {"spikes": record},
}
MISCOUNTED = {
    "negative": lambda record: -torch.stack(record), "negative factor": lambda record: torch.stack(record).sum(0) * -0.5,
    "classes summed": lambda record: torch.stack(record).sum(2), "everything summed": lambda record: torch.stack(record).sum(),
    "discounted": lambda record: discounted(record, 0.9), "by time": lambda record: weighted(record, [0.5] + [0.25] * (T - 1)),
    "by class": lambda record: torch.stack(record) * torch.tensor([1.0, 2.0, 3.0]),
    "softmax": lambda record: record[-1].softmax(-1),
    "difference": lambda record: record[0] - record[1], "class of a timestep": lambda record: torch.stack(record).argmax(0),
}


@pytest.mark.parametrize("collect", COUNTED)
def test_counts_what_is_summed_over_time(collect):
    network = read_module(Collecting(COUNTED[collect]), (9,), timesteps=T)
    assert network.nodes[-1].kind == "count"


@pytest.mark.parametrize("collect", MISCOUNTED)
def test_refuses_what_would_decide_otherwise(collect):
    with pytest.raises(NetworkError, match=r"^the network's output (passes through|must be the sum of all timesteps alike)"):
        read_module(Collecting(MISCOUNTED[collect]), (9,), timesteps=T)


class Residual(nn.Module):
    """What a test varies stands between the two neurons."""

    def __init__(self, between, *layers):
        super().__init__()
        self.between, self.layers = between, nn.ModuleList(layers)
        self.conv, self.lif1, self.lif2 = nn.Conv2d(2, 4, 3), snn.Leaky(beta=0.9), snn.Leaky(beta=0.9)

    def forward(self, x):
        mem1, mem2, record = self.lif1.reset_mem(), self.lif2.reset_mem(), []
        for frame in x:
            spk1, mem1 = self.lif1(self.conv(frame), mem1)
            spk2, mem2 = self.lif2(self.between(self, spk1), mem2)
            record.append(spk2)
        return torch.stack(record)


REFUSED = {
    "maximum of currents": (
        lambda: Single(nn.Conv2d(2, 4, 3), nn.MaxPool2d(2), hidden()),
        r"layer 'net.2' \(Leaky\): a maximum must be taken of spikes, not of currents; nearest supported form: pool "
        r"after the neuron, "
        r"or use average pooling"),
    "ceil mode": (
        lambda: Single(nn.Conv2d(2, 4, 4), hidden(), nn.AvgPool2d(2, ceil_mode=True), nn.Conv2d(4, 2, 2), hidden()),
        r"layer 'net.2' \(AvgPool2d\): ceil_mode must be off where windows do not fit evenly in \(3, 3\)"),
    "divisor": (
        lambda: Residual(lambda self, spk: F.avg_pool2d(spk, 2, divisor_override=3)),
        r"function 'avg_pool2d': divisor_override must be None; multiply the next weights instead"),
    "borders not counted": (
        lambda: Residual(lambda self, spk: self.layers[0](spk), nn.AvgPool2d(2, padding=1, count_include_pad=False)),
        r"layer 'layers.0' \(AvgPool2d\): count_include_pad must be True where there is padding"),
    "indices": (
        lambda: Residual(lambda self, spk: F.max_pool2d(spk, 2, return_indices=True)[0]),
        r"layer 'lif2' \(Leaky\): its input passes through function 'max_pool2d_with_indices' after 'lif1' \(Leaky\), "
        r"which has no hardware; .*"),
    "norm without statistics": (
        lambda: Single(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4, track_running_stats=False), hidden()),
        r"layer 'net.1' \(BatchNorm2d\): it must have running statistics, so that it is constant after training; .*"),
    "reflected border": (
        lambda: Single(nn.Conv2d(2, 4, 3, padding=1, padding_mode="reflect"), hidden()),
        r"layer 'net.0' \(Conv2d\): padding_mode must be 'zeros', not 'reflect'"),
    "product of layers": (
        lambda: Residual(lambda self, spk: spk * spk),
        r"layer 'lif2' \(Leaky\): its input passes through function 'mul' after 'lif1' \(Leaky\), which has no "
        r"hardware; only a product "
        r"with a constant is supported"),
    "relu": (
        lambda: Residual(lambda self, spk: torch.relu(spk)),
        r"layer 'lif2' \(Leaky\): its input passes through function 'relu' after 'lif1' \(Leaky\), which has no "
        r"hardware; spikes are 0 or 1 "
        r"already, so leave it out"),
    "transposed": (
        lambda: Residual(lambda self, spk: spk.transpose(2, 3)),
        r"layer 'lif2' \(Leaky\): its input must be one whole vector in its own order, and is put together, cut or reordered"),
    "transposed convolution": (
        lambda: Residual(lambda self, spk: self.layers[0](spk), nn.ConvTranspose2d(4, 2, 3)),
        r"layer 'lif2' \(Leaky\): its input passes through layer 'layers.0' \(ConvTranspose2d\) after 'lif1' \(Leaky\), "
        r"which has no "
        r"hardware; nearest supported form is nn.Conv2d"),
    "alpha": (
        lambda: Residual(lambda self, spk: self.layers[0](spk)[0], snn.Alpha(alpha=0.9, beta=0.8)),
        r"layer 'lif2' \(Leaky\): its input passes through layer 'layers.0' \(Alpha\) after 'lif1' \(Leaky\), which has "
        r"no hardware; "
        r"nearest supported form is snn.Synaptic"),
    "defective reset": (
        lambda: Single(nn.Conv2d(2, 4, 3), hidden(snn.Synaptic, alpha=0.9, reset_delay=False)),
        r"layer 'net.1' \(Synaptic\): reset_delay=False with reset 'subtract' must not be used, .*"),
    "inhibition": (
        lambda: Single(nn.Flatten(), nn.Linear(72, 4), hidden(inhibition=True)),
        r"layer 'net.2' \(Leaky\): its behaviour matches no neuron that can be reproduced; .*; inhibition must be off"),
    "quantized state": (
        lambda: Single(nn.Flatten(), nn.Linear(72, 4), hidden(state_quant=lambda mem: (mem * 8).round() / 8)),
        r"layer 'net.2' \(Leaky\): its behaviour matches no neuron that can be reproduced; .*; state_quant must be off, .*"),
    "no neuron at the end": (
        lambda: Single(nn.Conv2d(2, 4, 3), hidden(), nn.Flatten(), nn.Linear(64, 3)),
        r"the network's output must be spikes or membranes of neurons, not 'net.3' \(Linear, 64 → 3\); put snn.Leaky "
        r"behind it, with "
        r"beta=1 and reset_mechanism='none' to sum it over time"),
    "unstable circuit": (
        lambda: Single(nn.Flatten(), nn.Linear(72, 4), snn.Lapicque(R=0.5, C=0.5, time_step=1, init_hidden=True)),
        r"layer 'net.2' \(Lapicque\): its leak 1 - time_step/\(R\*C\) must be between 0 and 1, not -3; use a smaller time_step"),
}


@pytest.mark.filterwarnings("ignore:Inhibition")
@pytest.mark.parametrize("case", REFUSED)
def test_refuses_with_the_nearest_form(case):
    make, pattern = REFUSED[case]
    with pytest.raises(NetworkError, match=f"^{pattern}$"):
        read_module(make(), (2, 6, 6), timesteps=4)


@pytest.mark.parametrize("shape", [(), (0, 3), (1 << 9, 1 << 9), (1, 2, 3, 4), (10**30,)])
def test_bounds_the_shape(shape):
    with pytest.raises(UsageError, match=r"^the shape of an input must be one to three sizes with a product between 1 and"):
        read_module(Single(nn.Linear(9, 7), hidden()), shape, timesteps=4)


def test_bounds_the_time():
    with pytest.raises(UsageError, match=r"timesteps must be between 1 and \d+, not 0"):
        read_module(Single(nn.Linear(9, 7), hidden()), (9,), timesteps=0)
    with pytest.raises(UsageError, match="must have at most 512 timesteps, not 60000"):
        read_module(Single(nn.Linear(1 << 16, 7), hidden()), (1 << 16,), timesteps=60000)


def test_reading_leaves_the_network_as_it_was():
    module = randomize(Skip(), 2).train()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    state = torch.get_rng_state()
    read_module(module, (2, 6, 6), timesteps=4)
    assert all(child.training for child in module.modules())
    assert torch.equal(torch.get_rng_state(), state)
    assert not any(child._forward_hooks or child._forward_pre_hooks for child in module.modules())
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())

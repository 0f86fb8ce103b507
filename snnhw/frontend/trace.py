"""Run a network once and record which layer received what."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import snntorch as snn
import torch
import torch.nn.functional as F
from torch import nn

from snnhw.errors import NetworkError
from snnhw.frontend.provenance import Block, DataDependence, Provenance, tensors_of

__all__ = ["Call", "Trace", "trace", "where"]

# Modules whose functions are followed one by one; every other module of torch and snntorch is one thing.
TRANSPARENT = (nn.Sequential, nn.ModuleList, nn.ModuleDict, nn.Flatten, nn.Unflatten, nn.Identity, nn.Dropout)
ACCUMULATING = frozenset(f"function {name!r}" for name in ("sum", "mean", "add", "add_", "radd", "iadd", "div", "div_", "cumsum"))
INSTEAD: tuple[tuple[tuple[str, ...], str], ...] = (
    (("ReLU", "Sigmoid", "Tanh", "function 'relu'"), "spikes are 0 or 1 already, so leave it out"),
    (("Conv", "Pool", "function 'conv"), "nearest supported form is nn.Linear on a flattened input"),
    (("BatchNorm", "LayerNorm", "batch_norm", "layer_norm"), "fold it into the weights of the nn.Linear before it"),
    (("Synaptic", "Alpha", "Lapicque", "RLeaky", "LSTM", "StateLeaky"), "nearest supported form is snn.Leaky"),
    (("function 'linear'", "function 'matmul'"), "nearest supported form is the module nn.Linear"),
    (("function 'add", "function 'radd", "function 'iadd"), "connect the layers in a chain, without sums of layers"),
)


def _instead(what: str) -> str:
    for words, advice in INSTEAD:
        if any(word in what for word in words):
            return advice
    return "nearest supported form is a chain of nn.Linear and snn.Leaky"


def where(name: str, module: nn.Module) -> str:
    """Return how a layer is called in messages."""
    kind = type(module).__name__.removeprefix("Parametrized")
    if isinstance(module, nn.Linear):
        return f"layer {name!r} ({kind}, {module.in_features} → {module.out_features})"
    return f"layer {name!r} ({kind})"


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a layer: for each row of its input the block and the row it came from.

    A row of the network's input has the position of its first element instead of a row.
    """

    layer: str
    rows: tuple[tuple[Block, int], ...]


@dataclass(eq=False)
class Trace:
    """What was seen.

    Attributes
    ----------
    linears, neurons : dict of str to list of Call
        By path, in order of their first call. A call with an input that was refused has no rows.
    outputs : tuple of Block
        What the value that the forward returned is made of.
    problems : dict of str to None
        Sentences, in the order they were found, each once.
    """

    linears: dict[str, list[Call]] = field(default_factory=dict)
    neurons: dict[str, list[Call]] = field(default_factory=dict)
    outputs: tuple[Block, ...] = ()
    problems: dict[str, None] = field(default_factory=dict)

    def refuse(self, sentence: str) -> None:
        self.problems.setdefault(sentence)


class _Tracer:
    """The hooks of one run."""

    def __init__(self, module: nn.Module):
        self.module = module
        self.flow = Provenance()
        self.seen = Trace()
        self.names = {id(child): name for name, child in module.named_modules()}
        self.membranes: dict[str, Block] = {}
        self.arguments: list[tuple[Any, Any]] = []

    def is_leaf(self, module: nn.Module) -> bool:
        if isinstance(module, nn.Linear | snn.Leaky):
            return True
        return type(module).__module__.startswith(("torch.nn.", "snntorch.")) and not isinstance(module, TRANSPARENT)

    def label(self, block: Block) -> str:
        if block.kind == "input":
            return "the network's input"
        if block.kind == "derived":
            return block.maker
        return where(block.maker, self.module.get_submodule(block.maker)).removeprefix("layer ")

    def through(self, block: Block) -> str:
        """Say what a derived block went through, and after which layer."""
        root = block
        while root.kind == "derived" and root.parents:
            root = root.parents[0]
        after = "" if root.kind == "derived" else f" after {self.label(root)}"
        return f"{block.maker}{after}"

    def ancestry(self, blocks: tuple[Block, ...]) -> list[Block]:
        """Return the derived blocks among `blocks` and behind them, the earliest first."""
        found: dict[Block, None] = {}
        for block in blocks:
            if block.kind == "derived":
                found.update(dict.fromkeys([*self.ancestry(block.parents), block]))
        return list(found)

    def rows(self, tensor: torch.Tensor, width: int, reader: str) -> tuple[tuple[Block, int], ...]:
        """Return where each row of a layer's input comes from, or refuse it and return nothing."""
        refuse = self.seen.refuse
        numbers = self.flow.numbers(tensor)
        if numbers is None:
            refuse(f"{reader}: its input must come from the network's input, and comes from somewhere else")
            return ()
        found = []
        for row, values in zip(numbers.reshape(-1, width), tensor.detach().reshape(-1, width), strict=True):
            first = int(row[0])
            block = self.flow.block_of(first) if first >= 0 else None
            derived = self.ancestry(self.flow.sources(tensor))
            for source in derived:
                refuse(f"{reader}: its input passes through {self.through(source)}, which has no hardware; "
                       f"{_instead(source.maker)}")
            if derived:
                return ()
            if block is None or not torch.equal(row, torch.arange(first, first + width)):
                refuse(f"{reader}: its input must be one whole vector in its own order, and is put together, cut or reordered")
                return ()
            offset = first - block.start
            if block.kind != "input" and (block.width != width or offset % width):
                refuse(f"{reader}: its input must be one whole vector in its own order, and is put together, cut or reordered")
                return ()
            if not torch.equal(values.double(), block.values.reshape(-1)[offset:offset + width].double()):
                refuse(f"{reader}: its input must not be changed in place after {self.label(block)}")
                return ()
            found.append((block, offset if block.kind == "input" else offset // width))
        return tuple(found)

    def enter(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        if not self.flow.inside:
            self.arguments.append((args, kwargs))
            if isinstance(module, snn.Leaky):
                self.check_membrane(module, args, kwargs)
        self.flow.inside += 1

    def leave(self, module: nn.Module, args: Any, kwargs: Any, result: Any) -> None:
        self.flow.inside -= 1
        if self.flow.inside:
            return
        self.arguments.pop()
        name = self.names[id(module)]
        if isinstance(module, nn.Linear):
            self.linear(name, module, args[0] if args else kwargs["input"], result)
        elif isinstance(module, snn.Leaky):
            self.neuron(name, module, args[0] if args else kwargs["input_"], result)
        else:
            given = [value for value in (*args, *kwargs.values()) if isinstance(value, torch.Tensor)]
            parents = tuple(dict.fromkeys(block for tensor in given for block in self.flow.sources(tensor)))
            for tensor in result if isinstance(result, tuple) else (result,):
                if parents and isinstance(tensor, torch.Tensor):
                    self.flow.add("derived", where(name, module), 0, tensor, parents=parents)

    def linear(self, name: str, module: nn.Linear, tensor: torch.Tensor, result: torch.Tensor) -> None:
        reader = where(name, module)
        calls = self.seen.linears.setdefault(name, [])
        rows = self.rows(tensor, module.in_features, reader)
        expected = F.linear(tensor, module.weight, module.bias)
        if result.shape != expected.shape or not torch.allclose(result, expected, rtol=1e-5, atol=1e-6):
            self.seen.refuse(f"{reader}: its output must be weight @ input + bias, and is something else; "
                             f"remove hooks and overrides")
        for block, _ in rows:
            if block.kind == "current":
                self.seen.refuse(f"{reader}: its input must be spikes, not the output of {self.label(block)}; "
                                 f"put snn.Leaky between them")
            elif block.kind == "membrane":
                self.seen.refuse(f"{reader}: its input must be spikes, not the membrane of {self.label(block)}; "
                                 f"pass the first output of snn.Leaky")
        self.flow.add("current", name, len(calls), result, origins=list(rows))
        calls.append(Call(name, rows))

    def neuron(self, name: str, module: snn.Leaky, tensor: torch.Tensor, result: Any) -> None:
        reader = where(name, module)
        calls = self.seen.neurons.setdefault(name, [])
        rows = self.rows(tensor, int(tensor.shape[-1]) if tensor.ndim else 1, reader)
        for block, _ in rows:
            if block.kind != "current":
                self.seen.refuse(f"{reader}: its input must be the output of an nn.Linear, not {self.label(block)}")
        spikes, membrane = result if isinstance(result, tuple) else (result, module.mem)
        self.flow.add("spikes", name, len(calls), spikes, origins=list(rows))
        self.membranes[name] = self.flow.add("membrane", name, len(calls), membrane)
        calls.append(Call(name, rows))

    def check_membrane(self, module: snn.Leaky, args: Any, kwargs: Any) -> None:
        """Check that the membrane a neuron is about to use is its own of the timestep before, or zero at the first."""
        name = self.names[id(module)]
        given = args[1] if len(args) > 1 else kwargs.get("mem")
        membrane = module.mem if given is None else given
        if not isinstance(membrane, torch.Tensor):
            return
        before = self.membranes.get(name)
        numbers = self.flow.numbers(membrane)
        if before is None:
            if numbers is not None or bool((membrane != 0).any()):
                self.seen.refuse(f"{where(name, module)}: its membrane must be 0 before the first timestep")
        elif (numbers is None or not torch.equal(numbers.reshape(-1), torch.arange(before.start, before.start + numbers.numel()))
                or not torch.equal(membrane.detach(), before.values)):
            self.seen.refuse(f"{where(name, module)}: its membrane must be the one it returned the timestep before, "
                             f"and is changed or replaced")

    def check_output(self, block: Block, last: str) -> None:
        if block.kind == "derived":
            if block.maker not in ACCUMULATING:
                self.seen.refuse(f"the network's output passes through {self.through(block)}, which has no hardware; "
                                 f"return the spikes of the last layer, stacked or summed over time")
            for parent in block.parents:
                self.check_output(parent, last)
        elif block.kind in ("current", "input"):
            self.seen.refuse(f"the network's output must be spikes of {last}, not {self.label(block)}; "
                             f"put snn.Leaky behind every nn.Linear")

    def spikes_returned(self, blocks: tuple[Block, ...], name: str) -> bool:
        return any((block.kind == "spikes" and block.maker == name) or self.spikes_returned(block.parents, name)
                   for block in blocks)


def trace(module: nn.Module, sample: torch.Tensor) -> Trace:
    """Run `module` once on `sample` and record its layers.

    Raises
    ------
    NetworkError
        The forward fails, or what it does depends on the data.
    """
    tracer = _Tracer(module)
    hooks: list[Any] = []
    add: Callable[[Any], None] = hooks.append
    for child in module.modules():
        if tracer.is_leaf(child):
            add(child.register_forward_pre_hook(tracer.enter, with_kwargs=True))
            add(child.register_forward_hook(tracer.leave, with_kwargs=True))
    training = module.training
    module.eval()
    try:
        for child in module.modules():
            if isinstance(child, snn.Leaky):
                child.mem = torch.zeros(0)
        tracer.flow.add("input", "the network's input", 0, sample)
        with torch.no_grad(), tracer.flow:
            result = module(sample)
    except DataDependence as error:
        raise NetworkError(f"{error}; what a network does must not depend on the data") from None
    except (RuntimeError, TypeError, ValueError, IndexError, AttributeError, KeyError) as error:
        raise NetworkError(f"the forward fails on an input of shape {tuple(sample.shape)}: {error}") from None
    finally:
        for hook in hooks:
            hook.remove()
        module.train(training)
    seen = tracer.seen
    seen.outputs = tuple(dict.fromkeys(block for tensor in tensors_of(result) for block in tracer.flow.sources(tensor)))
    if seen.neurons:
        last = next(reversed(seen.neurons))
        label = where(last, module.get_submodule(last))
        for block in seen.outputs:
            tracer.check_output(block, label)
        if not tracer.spikes_returned(seen.outputs, last):
            seen.refuse(f"the network's output must contain the spikes of its last {label}")
    return seen

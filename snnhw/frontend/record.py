"""Run a forward once and write down, for every layer and timestep, from which formula its input came."""

import inspect
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import snntorch as snn
import torch
import torch.nn.functional as F
from torch import nn

from snnhw.errors import NetworkError
from snnhw.frontend.classify import states_of, supported
from snnhw.frontend.expressions import Expressions
from snnhw.frontend.layers import TRANSPARENT, where
from snnhw.frontend.layout import Layout
from snnhw.frontend.provenance import Block, DataDependence, Provenance, tensors_of
from snnhw.ir.windows import Window

__all__ = ["Record", "record"]

Entry = tuple[int, int | None, int | None]  # an expression, its timestep and its sample; None for what has none
MAX_ELEMENTS = 1 << 28
WEIGHTED = (nn.Linear, nn.Conv1d, nn.Conv2d)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
AVERAGES = (nn.AvgPool1d, nn.AvgPool2d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d)
MAXIMA = (nn.MaxPool1d, nn.MaxPool2d)
POOLS = {"avg_pool1d": 1, "avg_pool2d": 2, "max_pool1d": 1, "max_pool2d": 2, "adaptive_avg_pool1d": 1, "adaptive_avg_pool2d": 2}
POOL_ARGUMENTS = {
    "avg": ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override"),
    "max": ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices"),
    "adaptive": ("output_size",),
}
SUMS = {"add": 1.0, "sub": -1.0, "subtract": -1.0, "rsub": -1.0}
PRODUCTS = frozenset({"mul", "multiply", "div", "divide", "true_divide"})
COLLECTING = frozenset({"sum", "mean", "cumsum", "max", "amax", "argmax"})  # of what a forward returns
INSTEAD: tuple[tuple[tuple[str, ...], str], ...] = (
    (("ReLU", "Sigmoid", "Tanh", "'relu'"), "spikes are 0 or 1 already, so leave it out"),
    (("Alpha", "LSTM"), "nearest supported form is snn.Synaptic"),
    (("StateLeaky", "LinearLeaky", "DeltaLeaky", "AssociativeLeaky", "LeakyParallel"), "nearest supported form is snn.Leaky"),
    (("LayerNorm", "GroupNorm", "InstanceNorm"), "nearest supported form is BatchNorm, which is constant after training"),
    (("'linear'", "'matmul'"), "nearest supported form is the module nn.Linear"),
    (("'conv",), "nearest supported form is the module nn.Conv2d"),
    (("'batch_norm'",), "nearest supported form is the module nn.BatchNorm2d"),
    (("ConvTranspose", "Conv3d"), "nearest supported form is nn.Conv2d"),
    (("'cat'", "'concat'"), "nearest supported form is a sum of two layers"),
    (("'mul'",), "only a product with a constant is supported"),
)


def _instead(what: str) -> str:
    for words, advice in INSTEAD:
        if any(word in what for word in words):
            return advice
    return "supported are Linear, convolutions, BatchNorm, pooling, sums and products with constants"


@dataclass(frozen=True, eq=False)
class Items:
    """What the vectors of a block are: expression, timestep and sample of each, and their shape."""

    entries: list[Entry]
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        return math.prod(self.shape)


@dataclass(eq=False)
class Record:
    """What was seen.

    Attributes
    ----------
    layout : Layout
        How the input was understood.
    expressions : Expressions
        All formulas.
    inputs : dict of str to list of int
        For each neuron the formula of its input at each timestep, by path in order of the first call.
    shapes : dict of str to tuple of int
        Shape of each population.
    spikes, states : dict of str to set of int
        Timesteps whose spikes, or membranes, the forward returned, by path of the neuron.
    collected : set of str
        Functions that what was returned went through.
    problems : dict of str to bool
        Sentences in the order they were found; true for those that a wrong layout would explain.
    """

    layout: Layout
    expressions: Expressions = field(default_factory=Expressions)
    inputs: dict[str, list[int]] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    spikes: dict[str, set[int]] = field(default_factory=dict)
    states: dict[str, set[int]] = field(default_factory=dict)
    collected: set[str] = field(default_factory=set)
    problems: dict[str, bool] = field(default_factory=dict)
    failed: bool = False

    def refuse(self, sentence: str, *, layout: bool = False) -> None:
        self.problems.setdefault(sentence, layout)


def _pair(value: Any, rank: int) -> tuple[int, ...]:
    return (int(value),) * rank if isinstance(value, int) else tuple(int(size) for size in (value if len(value) == rank
                                                                                           else tuple(value) * rank))


def conv_window(module: nn.Conv1d | nn.Conv2d) -> Window:
    """Return the geometry of a convolution."""
    dilation = tuple(module.dilation)
    if module.padding == "same":
        total = [gap * (size - 1) for gap, size in zip(dilation, module.kernel_size, strict=True)]
        begin, end = tuple(size // 2 for size in total), tuple(size - size // 2 for size in total)
    else:
        begin = end = (0,) * len(dilation) if module.padding == "valid" else tuple(int(size) for size in module.padding)
    return Window(tuple(module.kernel_size), tuple(module.stride), begin, end, dilation)


class _Recorder(Provenance):
    """Follows items, that is whole vectors of one sample and one timestep, instead of single elements."""

    def __init__(self, module: nn.Module, layout: Layout, timesteps: int):
        super().__init__()
        self.module = module
        self.layout = layout
        self.timesteps = timesteps
        self.seen = Record(layout)
        self.known = self.seen.expressions
        self.names = {id(child): name for name, child in module.named_modules()}
        self.kept: dict[str, dict[str, Block]] = {}
        self.factors: dict[Block, float] = {}  # of products with one positive constant
        self.across: set[Block] = set()        # sums and maxima that do not keep one value for each neuron
        self.elements = 0

    def is_leaf(self, module: nn.Module) -> bool:
        if isinstance(module, (*WEIGHTED, *NORMS, *AVERAGES, *MAXIMA)) or supported(module):
            return True
        return type(module).__module__.startswith(("torch.nn.", "snntorch.")) and not isinstance(module, TRANSPARENT)

    # What a tensor holds.

    def begin(self, sample: torch.Tensor, call: int) -> None:
        """Number the elements of an input."""
        frame = self.layout.frame or (1,)
        count = sample.numel() // math.prod(frame)
        block = self.add("input", "the network's input", call, sample)
        entries: list[Entry] = []
        for index in range(count):
            step, row = self.layout.item(index, self.timesteps, call)
            entries.append((self.known.add("input", None, frame, (), None if step is None else 0), step, row))
        block.items = Items(entries, frame)

    def add(self, *args: Any, **kwargs: Any) -> Block:
        block = super().add(*args, **kwargs)
        self.elements += block.values.numel()
        if self.elements > MAX_ELEMENTS:
            raise NetworkError(f"the forward must make at most {MAX_ELEMENTS} elements in one run; read it with fewer "
                               f"timesteps, or with an input of one sample")
        return block

    def give(self, kind: str, maker: str, tensor: torch.Tensor, items: Items | None, parents: tuple[Block, ...] = ()) -> Block:
        block = self.add(kind, maker, 0, tensor, parents=parents)
        block.items = items
        return block

    def label(self, block: Block) -> str:
        if block.kind in ("input", "derived", "refused"):
            return block.maker
        return where(block.maker, self.module.get_submodule(block.maker)).removeprefix("layer ")

    def through(self, block: Block) -> str:
        root = block
        while root.kind == "derived" and root.parents:
            root = root.parents[0]
        return f"{block.maker}{'' if root.kind == 'derived' else f' after {self.label(root)}'}"

    def opaque(self, blocks: tuple[Block, ...]) -> list[Block]:
        """Return the blocks among `blocks` and behind them that nothing is known of, the earliest first."""
        found: dict[Block, None] = {}
        for block in blocks:
            if block.kind == "derived" and block.items is None:
                found.update(dict.fromkeys([*self.opaque(block.parents), block]))
        return list(found)

    def entries(self, numbers: torch.Tensor | None, tensor: torch.Tensor, size: int) -> list[Entry] | str:
        """Return what each vector of `size` elements is; or one word for why it is not known."""
        values = tensor.detach().reshape(-1, size) if tensor.numel() else tensor.reshape(0, size)
        if numbers is None:
            nothing: list[Entry] = [(Expressions.ZERO, None, None)] * len(values)
            return "outside" if bool((values != 0).any()) else nothing
        flat = numbers.reshape(-1, size)
        starts = flat[:, 0].tolist()
        whole = (flat == flat[:, :1] + torch.arange(size)).all(dim=1).tolist()
        outside = (flat < 0).all(dim=1).tolist()
        found: list[Entry] = []
        for row, start in enumerate(starts):
            if outside[row]:
                if bool((values[row] != 0).any()):
                    return "outside"
                found.append((Expressions.ZERO, None, None))
                continue
            if start < 0:
                return "cut"
            block = self.block_of(start)
            if block.items is None:
                return "opaque"
            offset = start - block.start
            if not whole[row] or block.items.size != size or offset % size:
                return "cut"
            if not torch.equal(values[row].double(), block.values.reshape(-1)[offset:offset + size].double()):
                return "changed"
            found.append(block.items.entries[offset // size])
        return found

    def read(self, tensor: torch.Tensor, size: int, reader: str) -> list[Entry]:
        """Return what a layer receives, or refuse it and return nothing."""
        found = self.entries(self.numbers(tensor), tensor, size)
        if not isinstance(found, str):
            return found
        sources = self.sources(tensor)
        if any(source.kind == "refused" for source in sources):
            return []  # the cause has been reported
        if found == "outside":
            self.seen.refuse(f"{reader}: its input must come from the network's input, and comes from somewhere else")
        elif found == "changed":
            self.seen.refuse(f"{reader}: its input must not be changed in place after {self.label(sources[0])}")
        elif self.opaque(sources):
            for source in self.opaque(sources):
                self.seen.refuse(f"{reader}: its input passes through {self.through(source)}, which has no hardware; "
                                 f"{_instead(source.maker)}")
        else:
            self.seen.refuse(f"{reader}: its input must be one whole vector in its own order, and is put together, "
                             f"cut or reordered", layout=True)
        return []

    def combine(self, kind: str, what: Any, shape: tuple[int, ...], wanted: tuple[int, ...],
                operands: list[list[Entry]]) -> Items | None:
        """Return items made of one item of each operand, every one seen in the shape `wanted`."""
        made: list[Entry] = []
        for group in zip(*operands, strict=True):
            steps = {step for _, step, _ in group if step is not None}
            rows = {row for _, _, row in group if row is not None}
            if len(rows) > 1:
                return None
            step = max(steps, default=None)
            inner = tuple(self.known.add("reshape", None, wanted, (
                self.known.earlier(number, 0 if own is None or step is None else step - own),)) for number, own, _ in group)
            made.append((self.apply(kind, what, shape, inner), step, min(rows, default=None)))
        return Items(made, shape)

    def apply(self, kind: str, what: Any, shape: tuple[int, ...], inner: tuple[int, ...]) -> int:
        if kind == "affine":
            still = inner == (Expressions.ZERO,) and not np.any(what[1])
            return Expressions.ZERO if still else self.known.affine(inner[0], *what)
        if kind == "maximum":  # the maximum of scaled spikes is the scaled maximum of spikes
            below = self.known[inner[0]]
            if below.kind == "affine":
                affine = self.known.affines[below.what]
                if affine.factor.ndim == 0 and affine.factor > 0 and not np.any(affine.shift):
                    return self.known.affine(self.known.add(kind, what, shape, below.operands), affine.factor)
        return self.known.add(kind, what, shape, inner)

    # Functions.

    def made(self, name: str, args: Any, kwargs: Any, followed: list[torch.Tensor], made: list[torch.Tensor]) -> None:
        plain = name.strip("_")
        parents = tuple(dict.fromkeys(block for tensor in followed for block in self.sources(tensor)))
        items = None
        if len(made) == 1:
            if plain in SUMS:
                items = self.total(plain, args, kwargs, made[0])
            elif plain in PRODUCTS or plain == "neg":
                items = self.scaled(plain, args, kwargs, made[0])
            elif plain in POOLS and args:
                items = self.pooled(plain, args, kwargs, made[0])
        for tensor in made:
            block = self.give("refused" if plain in POOLS and items is None else "derived", f"function {plain!r}", tensor, items,
                              parents)
            if plain in PRODUCTS and (factor := self.positive(plain, args)):
                self.factors[block] = factor
            if plain in COLLECTING and not self.keeps_neurons(plain, args, kwargs, followed[0]):
                self.across.add(block)

    def positive(self, plain: str, args: Any) -> float:
        """Return the one positive constant of a product, 0 if it is something else."""
        others = [value for value in args[:2] if not isinstance(value, torch.Tensor) or self.numbers(value) is None]
        if len(others) != 1 or ("div" in plain and others[0] is args[0]):
            return 0.0
        value = others[0]
        if isinstance(value, torch.Tensor) and value.numel() != 1:
            return 0.0
        factor = float(value)
        return max(1 / factor if "div" in plain and factor else factor, 0.0)

    def keeps_neurons(self, plain: str, args: Any, kwargs: Any, tensor: torch.Tensor) -> bool:
        """Tell whether a sum or a maximum goes over time, and a decision over neurons."""
        axes = args[1] if len(args) > 1 else kwargs.get("dim", kwargs.get("axis"))
        if isinstance(axes, torch.Tensor):
            return True  # the larger one of two tensors
        if axes is None:
            return False
        last = {axis % tensor.ndim for axis in ([axes] if isinstance(axes, int) else axes)}
        return (tensor.ndim - 1 in last) == (plain == "argmax")

    def spread(self, tensor: torch.Tensor, result: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor]:
        """Return numbers and values of an operand, repeated to the shape of the result."""
        numbers = self.numbers(tensor)
        return None if numbers is None else torch.broadcast_to(numbers, result.shape), torch.broadcast_to(tensor, result.shape)

    def frame(self, result: torch.Tensor, operands: list[torch.Tensor]) -> tuple[int, ...] | None:
        """Return the shape of an item of an elementwise result."""
        for operand in operands:
            numbers = self.numbers(operand)
            known = [] if numbers is None else [value for value in (int(numbers.max()),) if value >= 0]
            for number in known:
                items = self.block_of(number).items
                if items is None:
                    return None
                shape = tuple(result.shape)
                if shape[len(shape) - len(items.shape):] == items.shape:
                    return items.shape
                for length in range(1, len(shape) + 1):
                    if math.prod(shape[-length:]) == items.size:
                        return shape[-length:]
                return None
        return None

    def total(self, plain: str, args: Any, kwargs: Any, result: torch.Tensor) -> Items | None:
        values = [*args[:2], *([kwargs["other"]] if "other" in kwargs else [])]
        alpha = kwargs.get("alpha", 1)
        if len(values) != 2:
            return None
        factors = [1.0, SUMS[plain] * alpha]
        if plain == "rsub":
            factors = [-1.0 * alpha, 1.0]
        tensors = [value for value in values if isinstance(value, torch.Tensor)]
        followed = [tensor for tensor in tensors if self.numbers(tensor) is not None]
        shape = self.frame(result, followed)
        if shape is None:
            return None
        parts: list[list[Entry]] = []
        for value, factor in zip(values, factors, strict=True):
            if isinstance(value, torch.Tensor) and (self.numbers(value) is not None or not bool((value != 0).any())):
                numbers, spread = self.spread(value, result)
                if result is value:  # in place: the operand has been overwritten
                    spread = self.original(numbers, spread)
                found = self.entries(numbers, spread, math.prod(shape))
                if isinstance(found, str):
                    return None
                if factor != 1:
                    scaled = self.combine("affine", (np.float64(factor), 0.0), shape, shape, [found])
                    if scaled is None:
                        return None
                    found = scaled.entries
                parts.append(found)
            else:
                constant = self.constant(value, result, shape)
                if constant is None:
                    return None
                if np.any(constant):
                    other = values[1] if value is values[0] else values[0]
                    numbers, spread = self.spread(other, result)
                    own = self.entries(numbers, self.original(numbers, spread) if result is other else spread, math.prod(shape))
                    if isinstance(own, str):
                        return None
                    gain = factors[1] if value is values[0] else factors[0]
                    return self.combine("affine", (np.float64(gain), constant * factor), shape, shape, [own])
        if len(parts) == 1:
            return Items(parts[0], shape)
        return self.combine("add", None, shape, shape, parts)

    def original(self, numbers: torch.Tensor | None, values: torch.Tensor) -> torch.Tensor:
        """Return the values that elements had when they were made."""
        if numbers is None or bool((numbers < 0).any()):
            return values
        flat = numbers.reshape(-1)
        found = torch.empty(flat.shape, dtype=torch.float64)
        for block in {self.block_of(number) for number in flat.unique().tolist()}:
            mask = (flat >= block.start) & (flat < block.start + block.values.numel())
            found[mask] = block.values.reshape(-1)[flat[mask] - block.start].double()
        return found.reshape(values.shape)

    def constant(self, value: Any, result: torch.Tensor, shape: tuple[int, ...]) -> np.ndarray | None:
        """Return a constant operand for one item, if it is the same for all of them."""
        if isinstance(value, bool) or not isinstance(value, int | float | torch.Tensor):
            return None
        if not isinstance(value, torch.Tensor) or value.numel() == 1:
            return np.asarray(float(value), np.float64)
        rows = torch.broadcast_to(value.detach(), result.shape).reshape(-1, math.prod(shape)).double()
        if not bool((rows == rows[:1]).all()):
            return None
        return rows[0].cpu().numpy().reshape(shape).copy()

    def scaled(self, plain: str, args: Any, kwargs: Any, result: torch.Tensor) -> Items | None:
        if kwargs and set(kwargs) - {"other"}:
            return None
        values = [*args[:2], *([kwargs["other"]] if "other" in kwargs else [])]
        if plain == "neg":
            values = [args[0], -1]
        if len(values) != 2:
            return None
        followed = [value for value in values if isinstance(value, torch.Tensor) and self.numbers(value) is not None]
        if len(followed) != 1:
            return None
        signal = followed[0]
        other = values[1] if signal is values[0] else values[0]
        if "div" in plain and signal is not values[0]:
            return None
        shape = self.frame(result, [signal])
        factor = None if shape is None else self.constant(other, result, shape)
        if shape is None or factor is None:
            return None
        if "div" in plain:
            if not factor.all():
                return None
            factor = 1 / factor
        numbers, spread = self.spread(signal, result)
        found = self.entries(numbers, self.original(numbers, spread) if result is signal else spread, math.prod(shape))
        return None if isinstance(found, str) else self.combine("affine", (factor, 0.0), shape, shape, [found])

    def pooled(self, plain: str, args: Any, kwargs: Any, result: torch.Tensor) -> Items | None:
        kind = "adaptive" if plain.startswith("adaptive") else plain[:3]
        options = dict(zip(POOL_ARGUMENTS[kind], args[1:], strict=False)) | {
            key: value for key, value in kwargs.items() if key != "input"}
        return self.pool(kind, POOLS[plain], args[0], result, options, f"function {plain!r}")

    def pool(self, kind: str, rank: int, tensor: torch.Tensor, result: torch.Tensor, options: dict[str, Any],
             reader: str) -> Items | None:
        """Return the items of a pooling, or refuse it."""
        if tensor.ndim <= rank:
            return None
        seen = tuple(tensor.shape[-rank - 1:])
        entries = self.read(tensor, math.prod(seen), reader)
        if not entries:
            return None
        if kind == "adaptive":
            wanted = options["output_size"]
            wanted = (wanted,) * rank if isinstance(wanted, int) else tuple(wanted)
            sizes = tuple(size if want is None else want for want, size in zip(wanted, seen[1:], strict=True))
            if any(size % want for want, size in zip(sizes, seen[1:], strict=True)):
                self.seen.refuse(f"{reader}: its output sizes must divide those of its input, {seen[1:]} to {sizes}")
                return None
            kernel = tuple(size // want for want, size in zip(sizes, seen[1:], strict=True))
            window = Window(kernel, kernel)
        else:
            kernel = _pair(options["kernel_size"], rank)
            given = options.get("stride")
            stride = kernel if given is None or given == [] or given == () else _pair(given, rank)
            padding = _pair(options.get("padding") or 0, rank)
            window = Window(kernel, stride, padding, padding, _pair(options.get("dilation") or 1, rank))
            if options.get("return_indices"):
                self.seen.refuse(f"{reader}: return_indices must be off")
                return None
            if options.get("divisor_override") is not None:
                self.seen.refuse(f"{reader}: divisor_override must be None; multiply the next weights instead")
                return None
            if kind == "avg" and any(padding) and not options.get("count_include_pad", True):
                self.seen.refuse(f"{reader}: count_include_pad must be True where there is padding")
                return None
        sizes = window.output(seen[1:])
        if sizes != tuple(result.shape[-rank:]):
            self.seen.refuse(f"{reader}: ceil_mode must be off where windows do not fit evenly in {seen[1:]}")
            return None
        shape = (seen[0], *sizes)
        return self.combine("maximum" if kind == "max" else "average", window, shape, seen, [entries])

    # Modules.

    def enter(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        if not self.inside and supported(module):
            self.check_states(module, args, kwargs)
        self.inside += 1

    def leave(self, module: nn.Module, args: Any, kwargs: Any, result: Any) -> None:
        self.inside -= 1
        if self.inside:
            return
        name = self.names[id(module)]
        given = [value for value in (*args, *kwargs.values()) if isinstance(value, torch.Tensor)]
        first = args[0] if args else next(iter(kwargs.values()), None)
        parents = tuple(dict.fromkeys(block for tensor in given for block in self.sources(tensor)))
        if supported(module):
            self.neuron(name, module, args, kwargs, result)
        elif isinstance(first, torch.Tensor) and isinstance(result, torch.Tensor) and self.is_followed(module):
            self.follow(name, module, first, result, parents)
        else:
            for tensor in tensors_of(result):
                if parents:
                    self.give("derived", where(name, module), tensor, None, parents)

    def is_followed(self, module: nn.Module) -> bool:
        return isinstance(module, (*WEIGHTED, *NORMS, *AVERAGES, *MAXIMA))

    def follow(self, name: str, module: nn.Module, tensor: torch.Tensor, result: torch.Tensor,
               parents: tuple[Block, ...]) -> None:
        reader = where(name, module)
        if isinstance(module, WEIGHTED):
            items = self.weighted(name, module, tensor, result, reader)
            self.give("refused" if items is None else "current", name, result, items, parents)
            return
        if isinstance(module, NORMS):
            items = self.norm(module, tensor, result, reader)
        else:
            options = {key: getattr(module, key) for key in (
                "kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices", "count_include_pad",
                "divisor_override", "output_size") if hasattr(module, key)}
            kind = "adaptive" if "output_size" in options else "avg" if isinstance(module, AVERAGES) else "max"
            items = self.pool(kind, 1 if type(module).__name__.endswith("1d") else 2, tensor, result, options, reader)
        self.give("refused" if items is None else "derived", reader, result, items, parents)

    def weighted(self, name: str, module: Any, tensor: torch.Tensor, result: torch.Tensor, reader: str) -> Items | None:
        if isinstance(module, nn.Linear):
            seen: tuple[int, ...] = (module.in_features,)
            shape: tuple[int, ...] = (module.out_features,)
            expected = F.linear(tensor, module.weight, module.bias)
        else:
            rank = len(module.kernel_size)
            seen, shape = tuple(tensor.shape[-rank - 1:]), tuple(result.shape[-rank - 1:])
            if module.padding_mode != "zeros":
                self.seen.refuse(f"{reader}: padding_mode must be 'zeros', not {module.padding_mode!r}")
                return None
            expected = module._conv_forward(tensor, module.weight, module.bias)
        if result.shape != expected.shape or not torch.allclose(result, expected, rtol=1e-5, atol=1e-6):
            form = "weight @ input + bias" if isinstance(module, nn.Linear) else "the convolution of its input, plus bias"
            self.seen.refuse(f"{reader}: its output must be {form}, and is something else; remove hooks and overrides")
        entries = self.read(tensor, math.prod(seen), reader)
        return self.combine("layer", name, shape, seen, [entries]) if entries else None

    def norm(self, module: Any, tensor: torch.Tensor, result: torch.Tensor, reader: str) -> Items | None:
        if module.running_mean is None or module.running_var is None:
            self.seen.refuse(f"{reader}: it must have running statistics, so that it is constant after training; "
                             f"use track_running_stats=True")
            return None
        seen = tuple(tensor.shape[1:])
        entries = self.read(tensor, math.prod(seen), reader)
        if not entries:
            return None
        factor = 1 / torch.sqrt(module.running_var.double() + module.eps)
        if module.weight is not None:
            factor = factor * module.weight.detach().double()
        shift = -module.running_mean.double() * factor
        if module.bias is not None:
            shift = shift + module.bias.detach().double()
        over = (-1, *[1] * (len(seen) - 1))
        expected = tensor.double() * factor.reshape(over) + shift.reshape(over)
        if not torch.allclose(result.double(), expected, rtol=1e-4, atol=1e-4):
            self.seen.refuse(f"{reader}: its output must be that of its running statistics, and is something else")
        maps = [np.array(np.broadcast_to(value.cpu().numpy().reshape(over), seen)) for value in (factor, shift)]
        return self.combine("affine", tuple(maps), seen, seen, [entries])

    def neuron(self, name: str, module: nn.Module, args: Any, kwargs: Any, result: Any) -> None:
        reader = where(name, module)
        arguments = self.arguments(module, args, kwargs)
        tensor = next(iter(arguments.values()))
        formulas = self.seen.inputs.setdefault(name, [])
        step = len(formulas)
        shape = self.frame(tensor, [tensor])
        entries = self.read(tensor, math.prod(shape) if shape else int(tensor.shape[-1]) if tensor.ndim else 1, reader)
        formula = Expressions.ZERO
        if entries and shape is not None:
            formula = self.drive(entries, shape, step, reader)
            self.seen.shapes.setdefault(name, shape)
        formulas.append(formula)
        shape = self.seen.shapes.get(name, shape) or tuple(tensor.shape[1:])
        parts = result if isinstance(result, tuple) else (result,)
        count = parts[0].numel() // max(math.prod(shape), 1)
        leaf = self.known.add("spikes", name, shape, (), 0)
        factor = getattr(module, "graded_spikes_factor", None)
        if isinstance(factor, torch.Tensor) and factor.numel() == 1:
            leaf = self.known.affine(leaf, np.asarray(float(factor.detach().double())))
        spikes = self.give("spikes", name, parts[0], Items([(leaf, step, row) for row in range(count)], shape))
        spikes.call = step
        names = states_of(module)
        kept = {"spk": spikes}
        order = [own for own in names if own != "spk"]
        given = dict(zip(order, parts[1:], strict=False))
        for own in order:
            state = given.get(own, getattr(module, own, None))
            if isinstance(state, torch.Tensor):
                membrane = self.known.add("membrane", name, shape, (), 0)
                items = Items([(membrane, step, row) for row in range(count)], shape)
                kept[own] = self.give("membrane" if own == "mem" else "synapse", name, state, items)
                kept[own].call = step
        self.kept[name] = kept

    def drive(self, entries: list[Entry], shape: tuple[int, ...], step: int, reader: str) -> int:
        """Return the formula of the input of a neuron, which must be the same for all samples."""
        if len(entries) != self.layout.samples or any(row not in (None, index) for index, (_, _, row) in enumerate(entries)):
            self.seen.refuse(f"{reader}: samples of a batch must stay apart and in order", layout=True)
            return Expressions.ZERO
        if any(own is not None and own > step for _, own, _ in entries):
            self.seen.refuse(f"{reader}: must be driven by its own timestep or the one before, not by a later one", layout=True)
            return Expressions.ZERO
        formulas = {self.known.earlier(number, 0 if own is None else step - own) for number, own, _ in entries}
        if len(formulas) > 1:
            self.seen.refuse(f"{reader}: its input must be made the same way for every sample of a batch", layout=True)
        return self.known.add("reshape", None, shape, (min(formulas),))

    def arguments(self, module: nn.Module, args: Any, kwargs: Any) -> dict[str, Any]:
        """Return the arguments of a neuron by the names of its parameters; its input is the first."""
        try:
            bound = inspect.signature(type(module).forward).bind(module, *args, **kwargs)
            return dict(list(bound.arguments.items())[1:])
        except TypeError:
            return {"input_": args[0]}

    def check_states(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        """Check that the states a neuron is about to use are its own of the timestep before, or zero at the first."""
        name = self.names[id(module)]
        arguments = self.arguments(module, args, kwargs)
        before = self.kept.get(name)
        words = {"mem": "membrane", "syn": "synaptic current", "spk": "last spikes"}
        for state in states_of(module):
            given = arguments.get(state)
            value = getattr(module, state, None) if given is None else given
            if not isinstance(value, torch.Tensor):
                continue
            numbers = self.numbers(value)
            what = f"{where(name, module)}: its {words[state]} must be"
            if before is None:
                if numbers is not None or bool((value != 0).any()):
                    self.seen.refuse(f"{what} 0 before the first timestep")
            elif state in before:
                block = before[state]
                own = torch.arange(block.start, block.start + block.values.numel())
                if (numbers is None or not torch.equal(numbers.reshape(-1), own)
                        or not torch.equal(value.detach(), block.values)):
                    self.seen.refuse(f"{what} {'those' if state == 'spk' else 'the one'} it returned the timestep before, "
                                     f"and {'are' if state == 'spk' else 'is'} changed or replaced", layout=True)

    # What the forward returned.

    def returned(self, blocks: tuple[Block, ...]) -> None:
        waiting, done = list(blocks), set()
        factors: set[float] = set()
        while waiting:
            block = waiting.pop()
            if block in done:
                continue
            done.add(block)
            if block.kind == "spikes":
                self.seen.spikes.setdefault(block.maker, set()).add(block.call)
            elif block.kind == "membrane":
                self.seen.states.setdefault(block.maker, set()).add(block.call)
            elif block.kind in ("synapse", "refused"):
                continue
            elif block.kind == "derived":
                plain = block.maker.removeprefix("function ").strip("'")
                if not self.collects(block, plain):
                    self.seen.refuse(f"the network's output passes through {self.through(block)}, which has no hardware; "
                                     f"return the spikes of the last layer, stacked or summed over time")
                if plain == "add":
                    factors |= {self.factors.get(parent, 1.0) for parent in block.parents if not parent.maker.endswith("'add'")}
                self.seen.collected.add(plain)
                waiting += block.parents
            else:
                self.seen.refuse(f"the network's output must be spikes or membranes of neurons, not {self.label(block)}; "
                                 f"put snn.Leaky behind it, with beta=1 and reset_mechanism='none' to sum it over time")
        if len(factors) > 1:
            self.seen.refuse("the network's output must be the sum of all timesteps alike, and weighs them differently; sum the "
                             "spikes of the last layer over time, or use another neuron")

    def collects(self, block: Block, plain: str) -> bool:
        """Tell whether a function keeps the decision: it picks, sums or takes the maximum over time, or scales."""
        if plain in PRODUCTS:
            return block in self.factors
        return plain in ("add", "cumsum") or (plain in COLLECTING and block not in self.across)


def _hooked(recorder: _Recorder, module: nn.Module) -> Iterator[Any]:
    for child in module.modules():
        if recorder.is_leaf(child):
            yield child.register_forward_pre_hook(recorder.enter, with_kwargs=True)
            yield child.register_forward_hook(recorder.leave, with_kwargs=True)


def record(module: nn.Module, sample: torch.Tensor, layout: Layout, timesteps: int) -> Record:
    """Run `module` on `sample`, once or for a few timesteps, and record its layers.

    Raises
    ------
    NetworkError
        What the forward does depends on the data, or it is too large to follow.
    """
    recorder = _Recorder(module, layout, timesteps)
    seen = recorder.seen
    hooks = list(_hooked(recorder, module))
    training = {child: child.training for child in module.modules()}
    module.eval()
    make: Callable[[], torch.Tensor] = sample.clone
    result: Any = None
    try:
        for child in module.modules():
            if isinstance(child, snn.SpikingNeuron):
                for state in ("mem", "syn", "spk"):
                    if isinstance(getattr(child, state, None), torch.Tensor):
                        setattr(child, state, torch.zeros(0))
        for call in range(layout.calls):
            own = make()
            recorder.begin(own, call)
            with torch.no_grad(), recorder:
                result = module(own)
    except DataDependence as error:
        raise NetworkError(f"{error}; what a network does must not depend on the data") from None
    except (RuntimeError, TypeError, ValueError, IndexError, AttributeError, KeyError, RecursionError) as error:
        seen.failed = True
        seen.refuse(f"the forward fails on an input of shape {tuple(sample.shape)}: {error}", layout=True)
    finally:
        for hook in hooks:
            hook.remove()
        for child, before in training.items():
            child.training = before
    recorder.returned(tuple(dict.fromkeys(block for tensor in tensors_of(result) for block in recorder.sources(tensor))))
    steps = layout.calls if layout.drive == "step" else timesteps
    for name, formulas in ({} if seen.failed else seen.inputs).items():
        label = where(name, module.get_submodule(name))
        if len(formulas) != steps:
            seen.refuse(f"{label}: must be called once per timestep, that is {steps} times; not {len(formulas)} times",
                        layout=True)
    if not seen.failed and not seen.inputs:
        seen.refuse("the network must have at least one neuron, such as snn.Leaky, between its input and its output")
    return seen

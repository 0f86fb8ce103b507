"""Where every element of every tensor came from, while a network's forward runs.

Each element of the input, and of whatever a layer returns, gets a number of its own. Functions that only move
elements (view, stack, indexing ...) are repeated on an array of those numbers; everything else makes new numbers
that remember who made them. So a layer that receives a tensor can be told, element by element, what it receives.
"""

import bisect
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

__all__ = ["Block", "DataDependence", "Provenance", "tensors_of"]

MOVING = frozenset({
    "view", "view_as", "reshape", "reshape_as", "flatten", "unflatten", "squeeze", "squeeze_", "unsqueeze", "unsqueeze_",
    "select", "narrow", "unbind", "split", "chunk", "tensor_split", "stack", "cat", "concat", "hstack", "vstack", "dstack",
    "permute", "transpose", "movedim", "swapaxes", "t", "T", "mT", "expand", "expand_as", "repeat", "flip", "roll",
    "index_select", "__getitem__", "__setitem__",
})
SAME_VALUES = frozenset({
    "clone", "detach", "detach_", "contiguous", "float", "double", "half", "to", "type", "type_as", "cpu", "requires_grad_",
    "dropout", "data", "alias",
})
CONSTANT = frozenset({
    "zeros_like", "ones_like", "full_like", "empty_like", "rand_like", "randn_like",
    "new_zeros", "new_ones", "new_full", "new_empty", "new_tensor",
})
READING = frozenset({"__bool__", "__int__", "__float__", "__index__", "__array__", "item", "tolist", "numpy"})


@dataclass(eq=False)
class Block:
    """Elements that one call made: ``rows`` vectors of ``width``, numbered from `start`.

    Parameters
    ----------
    kind : str
        ``"input"``, ``"current"``, ``"spikes"``, ``"membrane"`` or ``"derived"``.
    maker : str
        Path of the layer, or what a derived block went through.
    call : int
        Which call of the layer, from 0.
    values : torch.Tensor
        What the elements were when they were made.
    origins : list of (Block, int)
        For each row of a current the row it was computed from, and for each row of spikes its current.
    parents : tuple of Block
        What a derived block was computed from.
    items : object
        What a reader knows of the block besides.
    """

    kind: str
    maker: str
    call: int
    start: int
    width: int
    values: torch.Tensor
    origins: list[tuple["Block", int]] = field(default_factory=list)
    parents: tuple["Block", ...] = ()
    items: Any = None

    @property
    def rows(self) -> int:
        return self.values.numel() // max(self.width, 1)

    def row_values(self, row: int) -> torch.Tensor:
        return self.values.reshape(-1)[row * self.width:(row + 1) * self.width]


class DataDependence(Exception):
    """The forward looked at a value of the network; the message says at which and how."""


def tensors_of(value: Any) -> Iterator[torch.Tensor]:
    """Yield every tensor in nested lists, tuples and dicts."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from tensors_of(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from tensors_of(item)


class Provenance(TorchFunctionMode):
    """Follows elements through the functions of a forward.

    Inside a layer (`inside` above 0) nothing is followed: the layer answers for itself.
    """

    def __init__(self) -> None:
        super().__init__()
        self.inside = 0
        self.blocks: list[Block] = []
        self._starts: list[int] = []
        self._next = 0
        # The tensor is kept alive, so that its id stays its own.
        self._known: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def add(self, kind: str, maker: str, call: int, tensor: torch.Tensor, *, origins: list[tuple[Block, int]] | None = None,
            parents: tuple[Block, ...] = ()) -> Block:
        """Number the elements of a new tensor."""
        width = int(tensor.shape[-1]) if tensor.ndim else 1
        block = Block(kind, maker, call, self._next, width, tensor.detach().clone(), origins or [], parents)
        self.blocks.append(block)
        self._starts.append(self._next)
        numbers = torch.arange(self._next, self._next + tensor.numel()).reshape(tensor.shape)
        self._next += max(tensor.numel(), 1)
        self._known[id(tensor)] = tensor, numbers
        return block

    def numbers(self, tensor: torch.Tensor) -> torch.Tensor | None:
        """Return the number of each element, -1 for elements from outside; None when all are."""
        entry = self._known.get(id(tensor))
        return None if entry is None else entry[1]

    def block_of(self, number: int) -> Block:
        """Return the block that holds the element `number`."""
        return self.blocks[bisect.bisect_right(self._starts, number) - 1]

    def sources(self, tensor: torch.Tensor) -> tuple[Block, ...]:
        """Return the blocks that the elements of a tensor come from."""
        numbers = self.numbers(tensor)
        if numbers is None:
            return ()
        known = numbers[numbers >= 0]
        if not known.numel():
            return ()
        first, last = (bisect.bisect_right(self._starts, int(number)) - 1 for number in (known.min(), known.max()))
        if first == last:
            return (self.blocks[first],)
        found = torch.bucketize(known, torch.tensor(self._starts[first + 1:last + 1]), right=True).unique().tolist()
        return tuple(self.blocks[first + index] for index in found)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if self.inside:
            return func(*args, **kwargs)
        followed = [tensor for tensor in tensors_of((args, kwargs)) if id(tensor) in self._known]
        if not followed:
            return func(*args, **kwargs)
        name = getattr(func, "__name__", "")
        if name == "__get__":  # a property: T, data, shape ...
            name = getattr(getattr(func, "__self__", None), "__name__", name)
        if name in READING:
            source = next(iter(self.sources(followed[0])))
            raise DataDependence(f"the forward reads the values of {source.maker} with {name.strip('_')!r}")
        result = func(*args, **kwargs)
        made = list(tensors_of(result))
        if name == "__setitem__":
            self._move(func, args, kwargs, [args[0]])
        elif made and name in MOVING:
            self._move(func, args, kwargs, made)
        elif (len(made) == 1 and name in SAME_VALUES and made[0].shape == followed[0].shape
                and torch.equal(made[0].detach().double(), followed[0].detach().double())):
            self._known[id(made[0])] = made[0], self._known[id(followed[0])][1]
        elif made and name not in CONSTANT:
            self.made(name, args, kwargs, followed, made)
        return result

    def made(self, name: str, args: Any, kwargs: Any, followed: list[torch.Tensor], made: list[torch.Tensor]) -> None:
        """Number what a function made out of `followed`."""
        parents = tuple(dict.fromkeys(block for tensor in followed for block in self.sources(tensor)))
        for tensor in made:
            self.add("derived", f"function {name.strip('_')!r}", 0, tensor, parents=parents)

    def _move(self, func: Any, args: Any, kwargs: Any, made: list[torch.Tensor]) -> None:
        """Repeat a moving function on the numbers of its tensors."""
        def shadow(value: Any) -> Any:
            if isinstance(value, torch.Tensor):
                numbers = self.numbers(value)
                if numbers is not None:
                    return numbers.clone()
                # Integers and booleans index; only floats are data.
                return torch.full(value.shape, -1) if value.is_floating_point() else value
            if isinstance(value, list | tuple):
                return type(value)(shadow(item) for item in value)
            return value

        arguments = shadow(args)
        result = func(*arguments, **{key: shadow(value) for key, value in kwargs.items()})
        moved = [arguments[0]] if result is None else list(tensors_of(result))
        assert len(moved) == len(made), func
        for tensor, numbers in zip(made, moved, strict=True):
            self._known[id(tensor)] = tensor, numbers

"""The weights of a core: which neurons each presynaptic event reaches, and with what.

Every path of weighted sums, pools and flattenings between spikes and the neurons they drive is one linear map. Where the map is
one dense matrix, a core keeps it as such (:class:`Dense`). Everything else is kept as lists (:class:`Scattered`): the events
that reach their neurons in the same pattern, shifted, share one list. So a convolution stores its kernel once, whatever
stride, padding, dilation, groups and pools come with it, and a sparse matrix its words that are not zero.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from snnhw.errors import NetworkError
from snnhw.fixed import Interval, unsigned_bits
from snnhw.ir import Conv, Delay, Flatten, Graph, Linear, MaxPool, Neuron, Scale, SumPool, WeightedSum
from snnhw.ir.nodes import MAX_WEIGHT_BITS, Node, Shape

__all__ = ["Dense", "Edge", "Grid", "Links", "Matrix", "Scattered", "dense_matrix", "edges_of", "path_of", "scatter"]

MAX_LINKS = 1 << 25
MAX_WAYS = 256
ROOM = 4  # times the words that hold neurons: what the room around them may cost


@dataclass(frozen=True)
class Links:
    """A linear map as a list of its non-zero weights: ``current[target] += weight * value[source]``.

    Targets are numbered on a grid that may be larger than the shape of the result, so that windows which reach beyond
    the border look like all others; what falls outside is computed and never read.

    Attributes
    ----------
    source, target, weight : int64 arrays, (links,)
        Unique pairs, sorted by source, then by target.
    """

    source: np.ndarray
    target: np.ndarray
    weight: np.ndarray

    @classmethod
    def of(cls, source: np.ndarray, target: np.ndarray, weight: np.ndarray) -> "Links":
        """Return the links with those of the same pair added up, and those that are zero left out."""
        order = np.lexsort((target, source))
        source, target, weight = source[order], target[order], weight[order]
        if not source.size:
            return cls(source, target, weight)
        first = np.flatnonzero(np.r_[True, (source[1:] != source[:-1]) | (target[1:] != target[:-1])])
        source, target, weight = source[first], target[first], np.add.reduceat(weight, first)
        kept = weight != 0
        return cls(source[kept], target[kept], weight[kept])


@dataclass(frozen=True)
class Grid:
    """Layout of the currents of a core: the neurons, (channels, rows, columns), with room around them.

    Channel c is in lane ``c // tiles``, in the words of tile ``c % tiles``; within a tile, element (y, x) is word
    ``origin + y * pitch + x``.

    Parameters
    ----------
    channels, rows, columns : int
        Neurons.
    top, bottom, left, right : int
        Rows and columns that windows beyond the border fall on.
    """

    channels: int
    rows: int = 1
    columns: int = 1
    top: int = 0
    bottom: int = 0
    left: int = 0
    right: int = 0

    @property
    def pitch(self) -> int:
        """Words from a row to the next. The room right of a row is also that left of the next."""
        return self.columns + max(self.left, self.right)

    @property
    def origin(self) -> int:
        return self.top * self.pitch + self.left

    @property
    def words(self) -> int:
        """Words of a tile."""
        last = self.origin + (self.rows - 1 + self.bottom) * self.pitch + self.columns - 1 + self.right
        return last + 1


@dataclass(frozen=True)
class Path:
    """A linear map onto a grid: target of a link is (channel, row, column), counted from the first neuron, beyond it too."""

    source: np.ndarray
    channel: np.ndarray
    row: np.ndarray
    column: np.ndarray
    weight: np.ndarray

    def inside(self, shape: Shape) -> Links:
        """Return the links that end on an element of `shape`."""
        rows, columns = _plane(shape)
        kept = self.select(self.within(shape))
        return Links.of(kept.source, (kept.channel * rows + kept.row) * columns + kept.column, kept.weight)

    def within(self, shape: Shape) -> np.ndarray:
        """Return which links end on an element of `shape`: bool, (links,)."""
        rows, columns = _plane(shape)
        return (self.row >= 0) & (self.row < rows) & (self.column >= 0) & (self.column < columns)

    def select(self, kept: np.ndarray) -> "Path":
        """Return some of the links."""
        return Path(self.source[kept], self.channel[kept], self.row[kept], self.column[kept], self.weight[kept])


def _plane(shape: Shape) -> tuple[int, int]:
    """Return rows and columns of a shape; one dimension beside the channels is a row."""
    return shape[-2] if len(shape) == 3 else 1, shape[-1] if len(shape) > 1 else 1


def _windows(shape: Shape, node: Conv | SumPool) -> Path:
    """Return the map of a convolution or a pool over an input of `shape`, beyond the border too."""
    rows, columns = _plane(shape)
    flat = node.window.rank == 1

    def along(name: str) -> tuple[int, int]:
        values = getattr(node.window, name)
        return ({"padding": 0}.get(name, 1), values[0]) if flat else (values[0], values[1])

    kernel, stride, padding, dilation = (along(name) for name in ("kernel", "stride", "padding", "dilation"))
    channels = shape[0]
    if isinstance(node, Conv):
        outputs, seen = node.weight.shape[:2]
        weight = node.weight.reshape(outputs, seen, *kernel)
    else:
        outputs, seen = channels, 1
        weight = np.ones((outputs, 1, *kernel), np.int64)
    groups = channels // seen
    each = outputs // groups  # output channels that see an input channel
    if rows * columns * channels * each * math.prod(kernel) // math.prod(stride) > MAX_LINKS:
        raise OverflowError
    parts = []
    for ky in range(kernel[0]):
        ys = np.arange(rows) + padding[0] - ky * dilation[0]
        for kx in range(kernel[1]):
            xs = np.arange(columns) + padding[1] - kx * dilation[1]
            y, x = np.flatnonzero(ys % stride[0] == 0), np.flatnonzero(xs % stride[1] == 0)
            c, o, y, x = (grid.reshape(-1) for grid in np.meshgrid(np.arange(channels), np.arange(each), y, x, indexing="ij"))
            output = c // seen * each + o
            parts.append(((c * rows + y) * columns + x, output, ys[y] // stride[0], xs[x] // stride[1],
                          weight[output, c % seen, ky, kx]))
    source, channel, row, column, values = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    kept = values != 0
    return Path(source[kept], channel[kept], row[kept], column[kept], values[kept])


def _map(node: Node, shape: Shape) -> Path:
    """Return the map of one node over an input of `shape`."""
    elements = math.prod(shape)
    if isinstance(node, Conv | SumPool):
        return _windows(shape, node)
    if isinstance(node, Linear):
        target, source = np.nonzero(node.weight)
        zeros = np.zeros_like(source)
        return Path(source, target, zeros, zeros, node.weight[target, source])
    assert isinstance(node, Flatten | Scale)
    rows, columns = (1, 1) if isinstance(node, Flatten) else _plane(shape)
    source = np.arange(elements)
    weight = np.ones(elements, np.int64) if isinstance(node, Flatten) else np.broadcast_to(node.weight, shape).reshape(-1)
    return Path(source, source // (rows * columns), source // columns % rows, source % columns, weight)


@dataclass(frozen=True)
class Edge:
    """Spikes that drive a population, and the linear nodes on their way.

    Attributes
    ----------
    source : str
        Node whose spikes they are: an input, neurons, or a maximum pool.
    delayed : bool
        They are those of the timestep before.
    nodes : tuple of Node
        From the spikes to the neurons.
    """

    source: str
    delayed: bool
    nodes: tuple[Node, ...]


def edges_of(graph: Graph, node: Neuron | MaxPool) -> list[Edge]:
    """Return every path from spikes into a population. A maximum pool begins with the sum of what is under its windows.

    Raises
    ------
    NetworkError
        There are too many.
    """
    nodes: tuple[Node, ...] = (SumPool(node.name, node.inputs, node.window),) if isinstance(node, MaxPool) else ()
    pending = [(name, nodes) for name in reversed(node.inputs)]
    edges: list[Edge] = []
    while pending:
        name, nodes = pending.pop()
        before = graph[name]
        if isinstance(before, WeightedSum | Flatten):
            pending += [(source, (before, *nodes)) for source in reversed(before.inputs)]
        elif isinstance(before, Delay):
            edges.append(Edge(before.inputs[0], True, nodes))
        else:
            edges.append(Edge(name, False, nodes))
        if len(edges) + len(pending) > MAX_WAYS:
            raise NetworkError(f"layer {node.name!r} ({node.title}): spikes must have at most {MAX_WAYS} ways to it through "
                               "other layers, and have more; put neurons between them")
    return edges


def dense_matrix(edges: Sequence[Edge]) -> np.ndarray | None:
    """Return the weights, (neurons, sources), if all paths are fully connected layers; else None."""
    total = None
    for edge in edges:
        linears = [node for node in edge.nodes if not isinstance(node, Flatten)]
        if len(linears) != 1 or not isinstance(linears[0], Linear):
            return None
        total = linears[0].weight if total is None else total + linears[0].weight
    return total


def path_of(graph: Graph, edges: Sequence[Edge], where: str) -> Path:
    """Return the sum of the maps of some paths between the same ends.

    Raises
    ------
    NetworkError
        It has more links than a core can be made of.
    """
    try:
        parts = []
        for edge in edges:
            shape = graph.shapes[edge.source]
            before: Links | None = None
            for index, node in enumerate(edge.nodes):
                path = _map(node, shape)
                if before is not None:
                    # Onto the elements of the input of `node`, and from there beyond the border of its result.
                    path = _through(before, path, math.prod(shape))
                shape = node.infer((shape,))
                if index + 1 < len(edge.nodes):
                    before = path.inside(shape)
            parts.append(path)
            if sum(part.source.size for part in parts) > MAX_LINKS:
                raise OverflowError
    except OverflowError:
        raise NetworkError(f"{where}: the layers before it must have at most {MAX_LINKS} synapses in all, "
                           "and have more") from None
    return Path(*(np.concatenate([getattr(part, name) for part in parts])
                   for name in ("source", "channel", "row", "column", "weight")))


def _through(before: Links, path: Path, elements: int) -> Path:
    """Return the map that applies `before` and then `path`."""
    order = np.argsort(path.source, kind="stable")
    begin = np.searchsorted(path.source[order], np.arange(elements + 1))
    count = (begin[1:] - begin[:-1])[before.target]
    if count.sum() > MAX_LINKS:
        raise OverflowError
    mine = np.repeat(np.arange(before.source.size), count)
    place = np.arange(mine.size) - np.repeat(np.cumsum(count) - count, count)
    theirs = order[begin[before.target[mine]] + place]
    return Path(before.source[mine], path.channel[theirs], path.row[theirs], path.column[theirs],
                 before.weight[mine] * path.weight[theirs])


@dataclass(frozen=True, eq=False)
class Matrix:
    """Weights of a fully connected layer.

    Parameters
    ----------
    weight : int64 array, (neurons, sources)
    weight_bits : int
        Width of a stored weight.
    """

    weight: np.ndarray
    weight_bits: int

    @property
    def sources(self) -> int:
        """Number of presynaptic elements."""
        return self.weight.shape[1]

    def fan_out(self) -> np.ndarray:
        """Return how many neurons an event of each source reaches with a weight that is not zero: int64, (sources,)."""
        return (self.weight != 0).sum(axis=0)

    def current_range(self, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the lowest and highest sum of each neuron when source s has a value between ``low[s]`` and ``high[s]``."""
        positive, negative = np.maximum(self.weight, 0), np.minimum(self.weight, 0)
        return positive @ low + negative @ high, positive @ high + negative @ low


class Dense(Matrix):
    """A full matrix, kept tile by tile."""

    @property
    def synapses(self) -> int:
        """Connections, zeros included."""
        return int(self.weight.size)

    @property
    def stored(self) -> int:
        """Weights in memory."""
        return int(self.weight.size)

    @property
    def values(self) -> np.ndarray:
        """Values that the weights take."""
        return np.unique(self.weight)

    @property
    def stored_bits(self) -> int:
        """Bits of weights, those of lanes without a neuron left out."""
        return self.stored * self.weight_bits


@dataclass(frozen=True, eq=False)
class Scattered:
    """Lists of words of weights, and where in the currents each is added.

    Parameters
    ----------
    path : Path
        The map.
    sources : int
        Number of presynaptic elements.
    grid : Grid
        Layout of the currents.
    lanes : int
        Weights of a word.
    """

    path: Path
    sources: int
    grid: Grid
    lanes: int

    @property
    def tiles(self) -> int:
        """Channels of a lane."""
        return -(-self.grid.channels // self.lanes)

    @property
    def words(self) -> int:
        """Words of currents."""
        return self.tiles * self.grid.words

    @cached_property
    def _links(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Source, word, lane and weight of every link, sorted, each triple once."""
        grid, path = self.grid, self.path
        word = path.channel % self.tiles * grid.words + grid.origin + path.row * grid.pitch + path.column
        lane = path.channel // self.tiles
        links = Links.of(path.source, word * self.lanes + lane, path.weight)
        return links.source, links.target // self.lanes, links.target % self.lanes, links.weight

    @cached_property
    def weight_bits(self) -> int:
        """Width of a stored weight."""
        weight = self._links[3]
        return Interval(int(weight.min()), int(weight.max())).bits if weight.size else 1

    @cached_property
    def lists(self) -> tuple[np.ndarray, ...]:
        """What the memories hold.

        Returns
        -------
        offsets : int64 array, (words,)
            Of each weight word: where it is added, counted from the base of the event.
        weights : int64 array, (words, lanes)
            Its weights.
        first, last : int64 array, (sources,)
            Words ``first`` to ``last - 1`` are the list of a source.
        base : int64 array, (sources,)
            What the offsets of a source count from.
        """
        source, word, lane, weight = self._links
        begin = np.searchsorted(source, np.arange(self.sources + 1))
        offsets: list[np.ndarray] = []
        weights: list[np.ndarray] = []
        known: dict[bytes, tuple[int, int]] = {}
        first, last, base = (np.zeros(self.sources, np.int64) for _ in range(3))
        total = 0
        for index in range(self.sources):
            some = slice(begin[index], begin[index + 1])
            if some.start == some.stop:
                continue
            base[index] = word[some].min()
            relative = word[some] - base[index]
            key = b"".join((relative.tobytes(), lane[some].tobytes(), weight[some].tobytes()))
            if key not in known:
                places, inverse = np.unique(relative, return_inverse=True)
                values = np.zeros((places.size, self.lanes), np.int64)
                values[inverse, lane[some]] = weight[some]
                known[key] = total, total + places.size
                offsets.append(places)
                weights.append(values)
                total += places.size
            first[index], last[index] = known[key]
        if not total:  # a memory has at least one word
            offsets, weights = [np.zeros(1, np.int64)], [np.zeros((1, self.lanes), np.int64)]
        return np.concatenate(offsets), np.concatenate(weights), first, last, base

    @property
    def banks(self) -> int:
        """Memories of currents side by side: all lanes share an address."""
        return 1

    @property
    def uniform(self) -> int | None:
        """Words of every list, where that needs no memory; never here."""
        return None

    @property
    def headers(self) -> int:
        """Words of a list that are not added."""
        return 0

    @property
    def offset_bits(self) -> int:
        return unsigned_bits(int(self.lists[0].max()))

    @cached_property
    def word_fields(self) -> tuple[tuple[np.ndarray, int], ...]:
        """Columns of the weight memory, each with its width, the lowest first: the lanes, and the offset."""
        offsets, weights, *_ = self.lists
        return *((weights[:, lane], self.weight_bits) for lane in range(self.lanes)), (offsets, self.offset_bits)

    @cached_property
    def source_fields(self) -> tuple[tuple[np.ndarray, int], ...]:
        """Columns of the memory of sources: base, first weight word, number of words."""
        *_, first, last, base = self.lists
        return tuple((column, unsigned_bits(int(column.max()))) for column in (base, first, last - first))

    @property
    def values(self) -> np.ndarray:
        """Values that the weights in memory take."""
        return np.unique(self.lists[1])

    @property
    def stored_bits(self) -> int:
        """Bits of weights and offsets, and of where lists lie."""
        return (len(self.lists[0]) * sum(bits for _, bits in self.word_fields)
                + self.sources * sum(bits for _, bits in self.source_fields))

    def added_words(self) -> np.ndarray:
        """Return the weight words that an event of each source adds: int64, (sources,)."""
        return self.list_lengths()

    def list_lengths(self) -> np.ndarray:
        """Return the weight words that an event of each source reads: int64, (sources,)."""
        _, _, first, last, _ = self.lists
        return last - first

    def fan_out(self) -> np.ndarray:
        """Return how many neurons an event of each source reaches with a weight that is not zero: int64, (sources,)."""
        return np.bincount(self._inside.source, minlength=self.sources)

    @cached_property
    def _inside(self) -> Links:
        grid = self.grid
        return self.path.inside((grid.channels, grid.rows, grid.columns))

    def current_range(self, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the lowest and highest sum of each neuron when source s has a value between ``low[s]`` and ``high[s]``."""
        links = self._inside
        neurons = self.grid.channels * self.grid.rows * self.grid.columns
        ends = links.weight * low[links.source], links.weight * high[links.source]
        lowest, highest = np.zeros(neurons, np.int64), np.zeros(neurons, np.int64)
        np.add.at(lowest, links.target, np.minimum(*ends))
        np.add.at(highest, links.target, np.maximum(*ends))
        return lowest, highest

    @property
    def synapses(self) -> int:
        """Connections whose weight is not zero."""
        return max(1, int(self._inside.source.size))

    @property
    def stored(self) -> int:
        """Weights in memory."""
        return int(self.lists[1].size)


def scatter(paths: list[tuple[Path, int]], shape: Shape, lanes: int, where: str) -> Scattered:
    """Join the maps of several sources, each with its number of elements, onto neurons of one shape.

    Raises
    ------
    NetworkError
        A product of weights is too wide.
    """
    offset, parts = 0, []
    for path, elements in paths:
        parts.append((path.source + offset, path.channel, path.row, path.column, path.weight))
        offset += elements
    path = Path(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))
    result = _laid_out(path, offset, shape, lanes)
    if result.grid.words > ROOM * result.grid.rows * result.grid.columns + MAX_WAYS or result.weight_bits > MAX_WEIGHT_BITS:
        # The room costs more than lists of their own for windows that reach beyond the border. Or what is never read is the
        # widest: a sum beyond the border, or two that share a word of the room.
        result = _laid_out(path.select(path.within(shape)), offset, shape, lanes)
    if result.weight_bits > MAX_WEIGHT_BITS:
        raise NetworkError(f"{where}: the product of the weights before it must fit in {MAX_WEIGHT_BITS} bits, "
                           f"and needs {result.weight_bits}")
    return result


def _laid_out(path: Path, sources: int, shape: Shape, lanes: int) -> Scattered:
    """Return the lists of a map, with as much room around the neurons as it reaches."""
    rows, columns = _plane(shape)
    grid = Grid(shape[0], rows, columns, *(
        int(max(0, over.max(initial=0))) for over in (-path.row, path.row - rows + 1, -path.column, path.column - columns + 1)))
    tiles = -(-shape[0] // lanes)
    return Scattered(path, sources, grid, -(-shape[0] // tiles))

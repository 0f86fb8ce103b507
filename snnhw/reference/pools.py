"""Convolutions that are summed under a window, as one convolution with fewer multiplications."""

import math
from collections import Counter
from dataclasses import replace
from itertools import product

import numpy as np

from snnhw.ir import Conv, Graph, Node, SumPool, Window
from snnhw.ir.windows import MAX_EXTENT, MAX_POSITIONS

__all__ = ["join_pools", "joined"]


def join_pools(graph: Graph) -> list[Node]:
    """Return the nodes of a graph, each convolution that only a SumPool reads joined with that where this costs less.

    The sum over j of ``y[p*S + j*D]``, elements of a convolution, is that over j and k of
    ``w[k] * x[(p*S + j*D)*s + k*d - padding]``, another convolution. It has the name of the pool; its currents are the same
    integers, and no partial sum is larger than what the two maps in a row may reach.
    """
    readers = Counter(name for node in graph.nodes for name in node.inputs)
    fused: dict[str, Node] = {}
    gone: set[str] = set()
    for node in graph.nodes:
        if isinstance(node, SumPool) and len(node.inputs) == 1 and readers[node.inputs[0]] == 1:
            before = graph[node.inputs[0]]
            if not isinstance(before, Conv) or (found := joined(before, node)) is None or found.window.check(
                    graph.shapes[before.inputs[0]]):
                continue
            cost = {one.name: one.window.positions * math.prod(graph.shapes[one.name][1:]) for one in (before, found)}
            if cost[found.name] <= cost[before.name]:
                fused[node.name] = found
                gone.add(before.name)
    return [fused.get(node.name, node) for node in graph.nodes if node.name not in gone]


def joined(conv: Conv, pool: SumPool) -> Conv | None:
    """Return the convolution that is both, None if there is none."""
    inner, outer = conv.window, pool.window
    if any(outer.padding) or any(outer.padding_end):  # beyond the border the convolution counts as zero, and is not
        return None
    sizes = list(zip(outer.kernel, outer.dilation, inner.stride, inner.kernel, inner.dilation, strict=True))
    kernel = tuple((size - 1) * apart * step + (small - 1) * wide + 1 for size, apart, step, small, wide in sizes)
    stride = tuple(a * b for a, b in zip(inner.stride, outer.stride, strict=True))
    if max(*kernel, *stride) > MAX_EXTENT or math.prod(kernel) > MAX_POSITIONS:
        return None
    weight = np.zeros((*conv.weight.shape[:2], *kernel), np.int64)
    for under in product(*map(range, outer.kernel)):
        at = tuple(slice(j * apart * step, j * apart * step + (small - 1) * wide + 1, wide)
                   for j, (_, apart, step, small, wide) in zip(under, sizes, strict=True))
        weight[:, :, *at] += conv.weight
    return replace(conv, name=pool.name, weight=weight, window=Window(kernel, stride, inner.padding, inner.padding_end))

"""Padding of the last axes: with a constant, mirrored, or with the edge or the other side again."""

from __future__ import annotations

import numpy as np

from ddp.autograd.node import Array, Gradients, Node
from ddp.autograd.tensor import Tensor, wrap

Pads = tuple[tuple[int, int], ...]  # (before, after) per axis of the input; negative ones cut off


def constant_pad(input: Tensor, pads: Pads, value: float) -> Tensor:
    """`value` around the input; what negative pads cut off is lost."""
    x = input.array
    shape = [size + before + after for size, (before, after) in zip(x.shape, pads, strict=True)]
    y = np.full(shape, value, x.dtype)
    kept, inside = overlap(pads)
    y[inside] = x[kept]
    output = wrap(y)
    if node := ConstantPadNdBackward0.record(output, input):
        node.shape, node.pads = x.shape, pads
    return output


def overlap(pads: Pads) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """What part of the input is kept, and where it lies in the output."""

    def within(before: int, after: int) -> slice:
        return slice(max(before, 0), -after if after > 0 else None)

    kept = tuple([within(-before, -after) for before, after in pads])
    inside = tuple([within(before, after) for before, after in pads])
    return kept, inside


class ConstantPadNdBackward0(Node):
    """dx = dy where the input lies in it, 0 where it was cut off."""

    __slots__ = ("pads", "shape")

    shape: tuple[int, ...]
    pads: Pads

    def backward(self, dy: Array) -> Gradients:
        kept, inside = overlap(self.pads)
        dx = np.zeros(self.shape, dy.dtype)
        dx[kept] = dy[inside]
        return (dx,)


def index_pad(input: Tensor, pads: Pads, mode: str) -> Tensor:
    """Every place of the output repeats one of the input: `mode` reflect, replicate, circular."""
    y = input.array
    sources = []
    for axis, (size, (before, after)) in enumerate(zip(y.shape, pads, strict=True)):
        source = source_indices(size, before, after, mode)
        sources.append(source)
        if before or after:
            y = y.take(source, axis)
    output = wrap(y if y is not input.array else y.copy())
    if node := IndexPadBackward.record(output, input):
        node.mode, node.shape, node.sources = mode, input.shape, sources
        node.padded_axes = sum(before != 0 or after != 0 for before, after in pads)
    return output


def source_indices(size: int, before: int, after: int, mode: str) -> Array:
    """Which place of an axis each place of the padded axis repeats."""
    place = np.arange(-before, size + after)
    if mode == "replicate":
        return np.clip(place, 0, size - 1)
    if mode == "circular":
        return place % size
    place = np.abs(place)
    return np.minimum(place, 2 * (size - 1) - place)


class IndexPadBackward(Node):
    """dx = Σ of dy over the places that repeat it, axis by axis."""

    __slots__ = ("mode", "padded_axes", "shape", "sources")

    mode: str
    padded_axes: int
    shape: tuple[int, ...]
    sources: list[Array]

    def backward(self, dy: Array) -> Gradients:
        for axis, (size, source) in enumerate(zip(self.shape, self.sources, strict=True)):
            if len(source) != size or not np.array_equal(source, np.arange(size)):
                dy = added_back(dy, source, size, axis)
        return (dy,)

    def name(self) -> str:
        kind = {"reflect": "Reflection", "replicate": "Replication", "circular": "Circular"}
        return f"{kind[self.mode]}Pad{self.padded_axes}DBackward0"


def added_back(dy: Array, source: Array, size: int, axis: int) -> Array:
    """The sums of dy over the places of `axis` with the same source."""
    along = np.moveaxis(dy, axis, 0)
    dx = np.zeros((size, *along.shape[1:]), dy.dtype)
    for place, target in enumerate(source.tolist()):
        dx[target] += along[place]
    return np.moveaxis(dx, 0, axis)

"""Average pooling to a given size, whatever the image's."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ddp.autograd.node import Array, Gradients, Node
from ddp.autograd.ops.layout import channels_first, channels_last
from ddp.autograd.tensor import Tensor, wrap

Pair = tuple[int, int]
Cell = tuple[int, int, slice, slice]


def adaptive_avg_pool2d(input: Tensor, size: Pair) -> Tensor:
    """The mean of each cell of a grid of `size` on (N, C, H, W) → (N, C, *size)."""
    x = np.ascontiguousarray(channels_last(input.array))
    y = np.empty((len(x), *size, x.shape[3]), x.dtype)
    for i, j, rows, columns in cells(x.shape[1:3], size):
        y[:, i, j] = x[:, rows, columns].mean((1, 2))
    output = wrap(channels_first(y))
    if node := AdaptiveAvgPool2DBackward0.record(output, input):
        node.shape = x.shape
    return output


def cells(image: tuple[int, ...], size: Pair) -> Iterator[Cell]:
    """Row, column and pixels of each cell; neighbours overlap where the sizes do not divide."""
    for i in range(size[0]):
        for j in range(size[1]):
            yield i, j, span(i, image[0], size[0]), span(j, image[1], size[1])


def span(i: int, length: int, count: int) -> slice:
    """The i-th of `count` parts of `length`: from ⌊i·length/count⌋ to ⌈(i+1)·length/count⌉."""
    return slice(i * length // count, -(-(i + 1) * length // count))


class AdaptiveAvgPool2DBackward0(Node):
    """Every pixel of a cell gets dy / (pixels in the cell)."""

    __slots__ = ("shape",)

    shape: tuple[int, ...]  # (N, H, W, C)

    def backward(self, dy: Array) -> Gradients:
        share = channels_last(dy)
        dx = np.zeros(self.shape, dy.dtype)
        for i, j, rows, columns in cells(self.shape[1:3], (dy.shape[2], dy.shape[3])):
            pixels = dx[:, rows, columns]
            pixels += (share[:, i, j] / (pixels.shape[1] * pixels.shape[2]))[:, None, None]
        return (channels_first(dx),)

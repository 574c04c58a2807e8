"""Softmax and its logarithm: the one home of the delicate part.

The largest value of every row is subtracted first, so exp never overflows and at least one term of
the sum is 1, whatever the row holds and whatever its neighbours hold. (Where all values of a block
are small, softmax spares the search for the largest. Its logarithm would lose digits by that.)
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ddp.autograd.node import RESULT, Array, Gradients, Node, Saves
from ddp.autograd.ops.blocks import aligned_empty, row_blocks, row_sums
from ddp.autograd.ops.broadcast import to
from ddp.autograd.tensor import Tensor, wrap


def shifted_exp(x: Array, axis: int) -> tuple[Array, Array, Array]:
    """z = x - max(x), exp(z), and the sum of exp(z), the last with `axis` kept as 1."""
    if x.size == 0:
        return x.copy(), x.copy(), x.sum(axis, keepdims=True)
    z = x - x.max(axis, keepdims=True)
    e = np.exp(z)
    return z, e, e.sum(axis, keepdims=True)


def softmax(input: Tensor, dim: int, dtype: Any = None) -> Tensor:
    """Probabilities along `dim`, computed in `dtype` if given."""
    input = input if dtype is None else to(input, dtype)
    x = np.ascontiguousarray(input.array)
    if is_last(dim, x):
        y = aligned_empty(x.shape, x.dtype)
        for x_part, y_part in row_blocks(as_rows(x), as_rows(y)):
            exponentials(x_part, are_small(x_part), y_part)
            y_part /= row_sums(y_part)
    else:
        _, y, total = shifted_exp(x, dim)
        y /= total
    output = wrap(y.reshape(input.array.shape))
    if node := SoftmaxBackward0.record(output, input):
        node.axis = dim
        node.save(output)
    return output


def is_last(axis: int, x: Array) -> bool:
    """Whether `axis` is the one along which the memory of a dense, not empty x runs."""
    return axis in (-1, x.ndim - 1) and x.ndim > 0 and x.size > 0


def as_rows(x: Array) -> Array:
    """(..., N) → (M, N), a view of dense memory."""
    return x.reshape(-1, x.shape[-1])


def are_small(x: Array) -> bool:
    """Whether exp(x) and sums of it neither overflow nor vanish, so that no shift is needed."""
    limit = 7 if x.dtype == np.float16 else 60  # of 11, and of 88 in float32
    return bool(x.size and x.max() < limit and x.min() > -limit)


def exponentials(x: Array, are_small: bool, out: Array) -> None:
    """exp(x), each row shifted so that its largest is 1, unless all are small; `out` may be x."""
    if not are_small:
        highest = x.max(-1, keepdims=True, initial=-np.inf)
        x = np.subtract(x, highest, out=out)
    np.exp(x, out=out)


class SoftmaxBackward0(Node):
    """y = exp(x) / sum(exp(x)) along an axis;  dx = y * (dy - sum(y * dy))."""

    __slots__ = ("axis",)
    saves = Saves(result=RESULT)

    axis: int

    def backward(self, dy: Array) -> Gradients:
        (y,) = self.saved
        if is_last(self.axis, y) and y.flags.c_contiguous:
            dx = aligned_empty(y.shape, y.dtype)
            dy = np.ascontiguousarray(dy)
            for y_part, dy_part, out in row_blocks(as_rows(y), as_rows(dy), as_rows(dx)):
                np.subtract(dy_part, np.vecdot(y_part, dy_part)[:, np.newaxis], out=out)
                out *= y_part
            return (dx,)
        dx = y * dy
        dx -= y * dx.sum(self.axis, keepdims=True)
        return (dx,)


def log_softmax(input: Tensor, dim: int, dtype: Any = None) -> Tensor:
    """Logarithms of the probabilities along `dim`, computed in `dtype` if given."""
    input = input if dtype is None else to(input, dtype)
    x = np.ascontiguousarray(input.array)
    y, _, total = shifted_exp(x, dim)
    y -= np.log(total)
    output = wrap(y.reshape(input.array.shape))
    if node := LogSoftmaxBackward0.record(output, input):
        node.axis = dim
        node.save(output)
    return output


class LogSoftmaxBackward0(Node):
    """y = x - log(sum(exp(x))) along an axis;  dx = dy - exp(y) * sum(dy)."""

    __slots__ = ("axis",)
    saves = Saves(result=RESULT)

    axis: int

    def backward(self, dy: Array) -> Gradients:
        (y,) = self.saved
        dx = np.asarray(np.exp(y))
        dx *= dy.sum(self.axis, keepdims=True)
        return (np.subtract(dy, dx, out=dx),)

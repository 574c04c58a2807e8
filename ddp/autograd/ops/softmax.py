"""Softmax and its logarithm: the one home of the delicate part.

The largest value of every row is subtracted first, so exp never overflows and at least one term of
the sum is 1, whatever the row holds and whatever its neighbours hold.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ddp.autograd.node import RESULT, Array, Gradients, Node, Saves
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
    _, y, total = shifted_exp(x, dim)
    y /= total
    output = wrap(y.reshape(input.array.shape))
    if node := SoftmaxBackward0.record(output, input):
        node.axis = dim
        node.save(output)
    return output


class SoftmaxBackward0(Node):
    """y = exp(x) / sum(exp(x)) along an axis;  dx = y * (dy - sum(y * dy))."""

    __slots__ = ("axis",)
    saves = Saves(result=RESULT)

    axis: int

    def backward(self, dy: Array) -> Gradients:
        (y,) = self.saved
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

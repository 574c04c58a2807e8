"""Activations: element by element, kept for the backward pass as their outputs."""

from __future__ import annotations

import numpy as np

from ddp.autograd.dtypes import to_floating
from ddp.autograd.node import RESULT, Array, Gradients, Node, Saves
from ddp.autograd.ops.blocks import BLOCK, aligned_like, blocks, lie_alike
from ddp.autograd.ops.broadcast import to
from ddp.autograd.tensor import Tensor, wrap

FLOAT32 = np.dtype(np.float32)
ZERO = np.zeros((), FLOAT32)  # an array: a number would be converted at every call


def relu(input: Tensor) -> Tensor:
    """max(x, 0); NaN stays NaN."""
    x = input.array
    if x.dtype.kind == "b":
        raise RuntimeError("Boolean inputs not supported for relu")
    y = wrap(np.maximum(x, ZERO if x.dtype is FLOAT32 else x.dtype.type(0)))
    if node := ReluBackward0.record(y, input):
        node.save(y)
    return y


class ReluBackward0(Node):
    """dx = dy where y > 0 or NaN, else 0.

    By a product: 12 times as fast as `where`. The mask is converted before, in one piece, or in
    pieces that stay in the cache.
    """

    __slots__ = ()
    saves = Saves(result=RESULT)

    def backward(self, dy: Array) -> Gradients:
        (y,) = self.saved
        if y.size > BLOCK and lie_alike(y, dy):
            return (_where_not_zero(y, dy),)
        return ((y != ZERO).astype(dy.dtype) * dy,)


def _where_not_zero(y: Array, dy: Array) -> Array:
    """dy where y is not 0, else 0, of dense arrays whose memory has one order."""
    dx = aligned_like(dy)
    for share, gradient, output in blocks(dx, dy, y):
        share[...] = output != 0
        share *= gradient
    return dx


def sigmoid(input: Tensor) -> Tensor:
    """1 / (1 + exp(-x)), without overflow."""
    input = to(input, to_floating(input.dtype))
    y = wrap(logistic(input.array))
    if node := SigmoidBackward0.record(y, input):
        node.save(y)
    return y


class SigmoidBackward0(Node):
    """dx = dy * y * (1 - y)."""

    __slots__ = ()
    saves = Saves(result=RESULT)

    def backward(self, dy: Array) -> Gradients:
        (y,) = self.saved
        dx = 1 - y
        dx *= y
        dx *= dy
        return (dx,)


def tanh(input: Tensor) -> Tensor:
    """The hyperbolic tangent."""
    input = to(input, to_floating(input.dtype))
    y = wrap(np.tanh(input.array))
    if node := TanhBackward0.record(y, input):
        node.save(y)
    return y


class TanhBackward0(Node):
    """dx = dy * (1 - y²)."""

    __slots__ = ()
    saves = Saves(result=RESULT)

    def backward(self, dy: Array) -> Gradients:
        (y,) = self.saved
        dx = 1 - y * y
        dx *= dy
        return (dx,)


def logistic(x: Array) -> Array:
    """1 / (1 + exp(-x)) as exp(min(x, 0)) / (1 + exp(-|x|)): no exp overflows."""
    return np.exp(np.minimum(x, 0)) / (1 + np.exp(-np.abs(x)))


def softplus(x: Array) -> Array:
    """log(1 + exp(x)) as max(x, 0) + log1p(exp(-|x|)): finite for every finite x."""
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))

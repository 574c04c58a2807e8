"""Losses of two tensors of one shape, with their reduction as one node, as in `loss.py`."""

from __future__ import annotations

import numpy as np

from ddp.autograd.node import CONSTANT, Array, Gradients, Node, Saves
from ddp.autograd.ops.broadcast import quietly
from ddp.autograd.ops.loss import reduce, spread
from ddp.autograd.tensor import Tensor, wrap

LOWEST_LOGARITHM = -100.0  # what cross entropy takes for log 0
SMALLEST_VARIANCE = 1e-12  # what its gradient takes for x · (1 - x) at 0 and 1


def smooth_l1_loss(input: Tensor, target: Tensor, beta: float, reduction: str) -> Tensor:
    """d² / 2β where |d| < β, else |d| - β / 2, for d = input - target."""
    difference = np.asarray(input.array - target.array)
    size = np.abs(difference)
    near = np.minimum(size, beta)
    output = wrap(reduce(near * near * (0.5 / beta) + (size - near), reduction))
    if node := SmoothL1LossBackward0.record(output, input, target):
        node.beta, node.reduction = beta, reduction
        node.save(difference)
    return output


class SmoothL1LossBackward0(Node):
    """dx = dy · (d / β held within ±1), dt = -dx."""

    __slots__ = ("beta", "reduction")

    beta: float
    reduction: str

    def backward(self, dy: Array) -> Gradients:
        (difference,) = self.saved
        dx = np.clip(difference / self.beta, -1, 1)
        dx *= spread(dy, difference.size, self.reduction)
        return dx if self.needs(0) else None, -dx if self.needs(1) else None


def huber_loss(input: Tensor, target: Tensor, delta: float, reduction: str) -> Tensor:
    """d² / 2 where |d| < δ, else δ · (|d| - δ / 2), for d = input - target."""
    difference = np.asarray(input.array - target.array)
    size = np.abs(difference)
    near = np.minimum(size, delta)
    output = wrap(reduce(near * near * 0.5 + (size - near) * delta, reduction))
    if node := HuberLossBackward0.record(output, input, target):
        node.delta, node.reduction = delta, reduction
        node.save(difference)
    return output


class HuberLossBackward0(Node):
    """dx = dy · (d held within ±δ), dt = -dx."""

    __slots__ = ("delta", "reduction")

    delta: float
    reduction: str

    def backward(self, dy: Array) -> Gradients:
        (difference,) = self.saved
        dx = np.clip(difference, -self.delta, self.delta)
        dx *= spread(dy, difference.size, self.reduction)
        return dx if self.needs(0) else None, -dx if self.needs(1) else None


@quietly
def binary_cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None, reduction: str
) -> Tensor:
    """-w · (t · log x + (1 - t) · log (1 - x)) for x in [0, 1]; logarithms are -100 at least."""
    log_x = np.maximum(np.log(input.array), LOWEST_LOGARITHM)
    log_rest = np.maximum(np.log1p(-input.array), LOWEST_LOGARITHM)
    loss = (target.array - 1) * log_rest
    loss -= target.array * log_x
    if weight is not None:
        loss = loss * weight.array
    output = wrap(reduce(loss, reduction))
    if node := BinaryCrossEntropyBackward0.record(output, input, target):
        node.reduction = reduction
        node.save(input, target, weight)
    return output


class BinaryCrossEntropyBackward0(Node):
    """dx = dy · w · (x - t) / max(x · (1 - x), 1e-12), dt = dy · w · (log (1 - x) - log x)."""

    __slots__ = ("reduction",)
    saves = Saves(self=0, target=1, weight=CONSTANT)

    reduction: str

    def backward(self, dy: Array) -> Gradients:
        x, t, w = self.saved
        dy = spread(dy, x.size, self.reduction)
        dy = dy if w is None else dy * w
        dx = dt = None
        if self.needs(0):
            dx = (x - t) / np.maximum(x * (1 - x), SMALLEST_VARIANCE)
            dx *= dy
        if self.needs(1):
            dt = (np.log1p(-x) - np.log(x)) * dy  # not bounded: infinite at 0 and 1, as in PyTorch
        return dx, dt


@quietly
def x_log_x(x: Tensor) -> Tensor:
    """y = x · log x; 0 at 0."""
    y = x.array * np.log(x.array)
    y = np.where(x.array == 0, x.dtype.type(0), y)
    output = wrap(y)
    if node := XlogyBackward0.record(output, x):
        node.save(x)
    return output


class XlogyBackward0(Node):
    """dx = dy · (1 + log x)."""

    __slots__ = ()
    saves = Saves(self=0)

    def backward(self, dy: Array) -> Gradients:
        (x,) = self.saved
        return (dy * (np.log(x) + 1),)

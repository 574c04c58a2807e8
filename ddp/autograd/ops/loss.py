"""Losses, each with its reduction as one node.

`reduction` is "mean", "sum" or "none"; `mean` divides by the number of elements unless said
otherwise. The gradient that arrives is 0-d after a reduction and of the loss's shape without.
"""

from __future__ import annotations

import functools

import numpy as np

from ddp.autograd.dtypes import message_name
from ddp.autograd.node import CONSTANT, Array, Gradients, Node, Saves
from ddp.autograd.ops.activation import logistic, softplus
from ddp.autograd.ops.layout import as_rows, from_rows
from ddp.autograd.ops.softmax import shifted_exp
from ddp.autograd.tensor import Tensor, wrap

REDUCTIONS = ("none", "mean", "sum")

SHORT_ROW = 16


def reduce(values: Array, reduction: str) -> Array:
    """The mean or the sum of all values, in their dtype, or the values themselves."""
    if reduction == "none":
        return values
    total = np.ascontiguousarray(values).sum()  # in the shape's order, whatever the memory's
    if reduction == "sum":
        return total
    with np.errstate(invalid="ignore"):  # the mean of nothing is NaN, as in PyTorch
        return np.divide(total, total.dtype.type(values.size))


def spread(dy: Array, count: int, reduction: str) -> Array:
    """What each element's loss weighs in the reduced loss, times `dy`."""
    return dy / dy.dtype.type(count) if reduction == "mean" else dy


def mse_loss(input: Tensor, target: Tensor, reduction: str) -> Tensor:
    """Squared differences of two tensors of one shape."""
    difference = np.asarray(input.array - target.array)  # an array with no axes too
    output = wrap(reduce(difference * difference, reduction))
    if node := MseLossBackward0.record(output, input, target):
        node.reduction = reduction
        node.save(difference)
    return output


class MseLossBackward0(Node):
    """L = (x - t)²;  dx = 2 * (x - t) * dy, dt = -dx."""

    __slots__ = ("reduction",)

    reduction: str

    def backward(self, dy: Array) -> Gradients:
        (difference,) = self.saved
        dx = difference * (2 * spread(dy, difference.size, self.reduction))
        return dx if self.needs(0) else None, -dx if self.needs(1) else None


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    pos_weight: Tensor | None,
    reduction: str,
) -> Tensor:
    """Cross entropy of sigmoid(input) with target in [0, 1], element by element.

    `weight` and `pos_weight` are constants that broadcast to the input's shape.
    """
    x, t = input.array, target.array
    loss = (1 - t) * x
    loss += positive_factor(t, None if pos_weight is None else pos_weight.array) * softplus(-x)
    if weight is not None:
        loss *= weight.array
    output = wrap(reduce(loss, reduction))
    if node := BinaryCrossEntropyWithLogitsBackward0.record(output, input, target):
        node.reduction = reduction
        node.save(input, target, weight, pos_weight)
    return output


class BinaryCrossEntropyWithLogitsBackward0(Node):
    """L = w * ((1 - t) * x + k * log(1 + exp(-x))) with k = 1 + (pos_weight - 1) * t.

    dx = w * ((1 - t) - k * sigmoid(-x)) * dy,
    dt = w * ((pos_weight - 1) * log(1 + exp(-x)) - x) * dy.
    log(1 + exp(-x)) is max(-x, 0) + log1p(exp(-|x|)): no exp overflows.
    """

    __slots__ = ("reduction",)
    saves = Saves(self=0, target=1, weight=CONSTANT, pos_weight=CONSTANT)

    reduction: str

    def backward(self, dy: Array) -> Gradients:
        x, t, w, pos_weight = self.saved
        dy = spread(dy, x.size, self.reduction)
        dy = dy if w is None else dy * w
        dx = dt = None
        if self.needs(0):
            dx = (1 - t) - positive_factor(t, pos_weight) * logistic(-x)
            dx *= dy
        if self.needs(1):
            dt = -x if pos_weight is None else (pos_weight - 1) * softplus(-x) - x
            dt *= dy
        return dx, dt


def positive_factor(target: Array, pos_weight: Array | None) -> Array:
    """k = 1 + (pos_weight - 1) * t, of the target's dtype."""
    if pos_weight is None:
        return np.ones((), target.dtype)
    return (pos_weight - 1) * target + 1


def cross_entropy(
    input: Tensor,
    target: Array,
    weight: Array | None,
    ignore_index: int,
    reduction: str,
    label_smoothing: float,
) -> Tensor:
    """Cross entropy of (N, C, ...) logits with (N, ...) int64 class indices.

    Raises IndexError for a class index outside 0 … C-1 that is not `ignore_index`.
    """
    z, p, total = shifted_exp(rows_of_logits(input.array), 1)
    p /= total
    log_total = np.log(total[:, 0])
    t, valid = checked_targets(target.reshape(-1), z.shape[1], ignore_index)
    row_weight = valid.astype(z.dtype) if weight is None else weight[t] * valid
    loss = (log_total - z[np.arange(len(t)), t]) * row_weight
    class_weight = np.ones(z.shape[1], z.dtype) if weight is None else weight
    if label_smoothing:
        smooth = (log_total * class_weight.sum() - z @ class_weight) * valid
        loss *= 1 - label_smoothing
        loss += smooth * (label_smoothing / z.shape[1])
    divisor = row_weight.sum()
    output = wrap(reduced_rows(loss, divisor, reduction, target.shape))
    if node := NllLossBackward0.record(output, input):
        node.shape, node.reduction = input.shape, reduction
        node.smoothing, node.divisor = label_smoothing, gradient_divisor(divisor, valid)
        node.save(p, t, row_weight, valid, class_weight)
    return output


class NllLossBackward0(Node):
    """Cross entropy of softmax(x) with class indices t, per row of C logits.

    L = (1 - ε) * w[t] * -log p[t] + ε / C * sum over c of w[c] * -log p[c]
    dx = dL * (S * p - (1 - ε) * w[t] * onehot(t) - ε / C * w),  S = (1 - ε) * w[t] + ε / C * sum(w)
    ε is the label smoothing; rows whose t is `ignore_index` have weight 0. "mean" divides by the
    sum of w[t] over the other rows.
    """

    __slots__ = ("divisor", "reduction", "shape", "smoothing")

    shape: tuple[int, ...]
    reduction: str
    smoothing: float
    divisor: Array

    def backward(self, dy: Array) -> Gradients:
        p, t, row_weight, valid, class_weight = self.saved
        dy = dy / self.divisor if self.reduction == "mean" else rows_of_scalars(dy)
        hit = row_weight * (dy * (1 - self.smoothing))
        every = hit
        if self.smoothing:
            share = valid * (dy * (self.smoothing / p.shape[1]))
            every = hit + share * class_weight.sum()
        dx = p * every[:, None]
        dx[np.arange(len(t)), t] -= hit
        if self.smoothing:
            dx -= share[:, None] * class_weight
        return (logits_shape(dx, self.shape),)


def mean_cross_entropy(input: Tensor, target: Array, ignore_index: int) -> Tensor:
    """`cross_entropy` as it is wanted nearly always, with the same bits: rows, plain, the mean.

    input: (N, C) with N > 0, target: (N,), int64; `ignore_index` is no class.
    """
    x = input.array
    count, classes = x.shape
    if np.maximum.reduce(target.view(np.uint64)) >= classes:  # negative ones are large, too
        return cross_entropy(input, target, None, ignore_index, "mean", 0.0)
    p = np.subtract(x, row_maxima(x), order="C")
    places = target + row_starts(count, classes)
    shifted = p.reshape(-1)[places]
    np.exp(p, out=p)
    total = np.add.reduce(p, axis=1, keepdims=True)
    p /= total
    loss = np.log(total[:, 0])
    loss -= shifted
    output = wrap(np.add.reduce(loss) / count)
    if node := MeanNllLossBackward0.record(output, input):
        node.save(p, places)
    return output


def row_maxima(x: Array) -> Array:
    """(N, C) → (N, 1). Across many short rows it takes half the time that it takes along them."""
    if x.shape[1] <= SHORT_ROW <= len(x):
        return np.maximum.reduce(x.T.copy(), axis=0)[:, np.newaxis]
    return np.maximum.reduce(x, axis=1, keepdims=True)


@functools.lru_cache(maxsize=64)
def row_starts(count: int, columns: int) -> Array:
    """Where the rows of a dense matrix begin, in elements."""
    return np.arange(0, count * columns, columns)


class MeanNllLossBackward0(Node):
    """`NllLossBackward0` with all weights 1, no smoothing, and the mean over all N rows.

    dx = dL / N * (p - onehot(t)); `places` are those of the targets in the flat memory.
    """

    __slots__ = ()

    def backward(self, dy: Array) -> Gradients:
        p, places = self.saved
        share = np.array(dy.item() / len(p), p.dtype)  # NumPy's scalars cost more
        dx = p * share
        dx.reshape(-1)[places] -= share
        return (dx,)

    def general(self) -> NllLossBackward0:
        """The node that `cross_entropy` would have recorded."""
        p, places = self.saved
        rows, classes = p.shape
        node = NllLossBackward0(self.edges)
        node.shape, node.reduction, node.smoothing = p.shape, "mean", 0.0
        node.divisor = np.asarray(rows, p.dtype)
        t = places - row_starts(rows, classes)
        node.save(p, t, np.ones(rows, p.dtype), np.ones(rows, np.bool_), np.ones(classes, p.dtype))
        return node

    def name(self) -> str:
        return "NllLossBackward0"


def nll_loss(
    input: Tensor, target: Array, weight: Array | None, ignore_index: int, reduction: str
) -> Tensor:
    """-x[target] of (N, C, ...) log-probabilities, with the targets and rules of cross_entropy."""
    rows = rows_of_logits(input.array)
    t, valid = checked_targets(target.reshape(-1), rows.shape[1], ignore_index)
    row_weight = valid.astype(rows.dtype) if weight is None else weight[t] * valid
    loss = -rows[np.arange(len(t)), t] * row_weight
    divisor = row_weight.sum()
    output = wrap(reduced_rows(loss, divisor, reduction, target.shape))
    if node := NllLossOfLogProbabilitiesBackward0.record(output, input):
        node.shape, node.reduction = input.shape, reduction
        node.divisor = gradient_divisor(divisor, valid)
        node.save(t, row_weight)
    return output


class NllLossOfLogProbabilitiesBackward0(Node):
    """L = -w[t] * x[t];  dx = -w[t] * dL at t, 0 elsewhere."""

    __slots__ = ("divisor", "reduction", "shape")

    shape: tuple[int, ...]
    reduction: str
    divisor: Array

    def backward(self, dy: Array) -> Gradients:
        t, row_weight = self.saved
        dy = dy / self.divisor if self.reduction == "mean" else rows_of_scalars(dy)
        dx = np.zeros((len(t), self.shape[min(1, len(self.shape) - 1)]), row_weight.dtype)
        dx[np.arange(len(t)), t] = -row_weight * dy
        return (logits_shape(dx, self.shape),)

    def name(self) -> str:
        return "NllLossBackward0"


def reduced_rows(loss: Array, divisor: Array, reduction: str, shape: tuple[int, ...]) -> Array:
    """The rows' losses reduced; the mean over no valid row is NaN, as in PyTorch."""
    if reduction == "none":
        return loss.reshape(shape)
    total = loss.sum()
    if reduction == "sum":
        return total
    with np.errstate(invalid="ignore"):
        return np.divide(total, divisor)


def gradient_divisor(divisor: Array, valid: Array) -> Array:
    """What the gradient divides by: the mean over no row at all is NaN, but its gradient is 0."""
    return divisor if divisor != 0 or valid.any() else np.ones_like(divisor)


def checked_targets(target: Array, classes: int, ignore_index: int) -> tuple[Array, Array]:
    """Class indices, 0 in the place of ignored ones, and which rows count."""
    valid = target != ignore_index
    wrong = valid & ((target < 0) | (target >= classes))
    if wrong.any():
        raise IndexError(f"Target {target[wrong][0]} is out of bounds.")
    return target * valid, valid


def rows_of_logits(x: Array) -> Array:
    """(N, C, ...) → the dense matrix (N · ..., C); (C,) → (1, C). Floats only, of some class."""
    if x.dtype.kind != "f":
        name = message_name(x.dtype)
        raise NotImplementedError(f"\"nll_loss_out_frame\" not implemented for '{name}'")
    x = x if x.ndim > 1 else x[None]
    if x.shape[1] == 0:
        raise IndexError("Target 0 is out of bounds.")
    return as_rows(x)


def logits_shape(rows: Array, shape: tuple[int, ...]) -> Array:
    """The reverse of `rows_of_logits`."""
    return from_rows(rows, shape) if len(shape) > 1 else rows[0]


def rows_of_scalars(dy: Array) -> Array:
    """(N, ...) → (N · ...,), one per row; () → (1,), for all rows."""
    return np.ascontiguousarray(dy).reshape(-1)

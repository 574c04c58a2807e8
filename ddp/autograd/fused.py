"""Gradients of fused operations as formulas on tensors, for `create_graph=True`.

A fused node keeps what its first gradient needs, in arrays of its own making: differences,
probabilities, centred rows. Here each gets its place in the graph back, by the rule it was made
with, and the gradient is written once more in operations that are recorded. Those of convolutions
and pooling stand in `fused_windows.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ddp.autograd.node import Array, Node
from ddp.autograd.ops import (
    arithmetic,
    elementwise,
    index,
    loss,
    matmul,
    norm,
    reduce,
    shape,
    softmax,
)
from ddp.autograd.ops.embedding import EmbeddingBackward0
from ddp.autograd.ops.linear import AddmmBackward0
from ddp.autograd.saved import placed, saved_tensors
from ddp.autograd.tensor import Tensor, wrap

Tensors = tuple[Tensor | None, ...]


def of_input(node: Node, array: Array, index: int) -> Tensor:
    """The tensor of which the saved `array` is the value, or is so but for a constant."""
    tensor = placed(node, array, node.next_functions[index])
    assert tensor is not None
    return tensor


def made_by(origin: Node, array: Array) -> Tensor:
    """The tensor that `origin` would have made."""
    tensor = wrap(array)
    if origin.needs(0) or len(origin.next_functions) > 1:
        tensor._edge, tensor._requires_grad = (origin, 0), True
    return tensor


def of_linear(node: AddmmBackward0, dy: Tensor) -> Tensors:
    x, w_t = saved_tensors(node)
    return (
        reduce.sum(dy, 0) if node.needs(0) else None,
        None if w_t is None else matmul.mm(dy, shape.t(w_t)),
        None if x is None else matmul.mm(shape.t(x), dy),
    )


def of_softmax(node: softmax.SoftmaxBackward0, dy: Tensor) -> Tensors:
    (y,) = saved_tensors(node)
    assert y is not None
    return (y * (dy - reduce.sum(y * dy, node.axis, True)),)


def of_log_softmax(node: softmax.LogSoftmaxBackward0, dy: Tensor) -> Tensors:
    (y,) = saved_tensors(node)
    assert y is not None
    return (dy - elementwise.exp(y) * reduce.sum(dy, node.axis, True),)


def of_mse_loss(node: loss.MseLossBackward0, dy: Tensor) -> Tensors:
    (array,) = node.saved
    origin = arithmetic.SubBackward0(node.next_functions)
    origin.a_shape = origin.b_shape = array.shape
    origin.alpha = 1
    difference = made_by(origin, array)
    dx = difference * (dy * (2 / array.size if node.reduction == "mean" else 2))
    return dx if node.needs(0) else None, -dx if node.needs(1) else None


def of_cross_entropy(node: loss.NllLossBackward0, dy: Tensor) -> Tensors:
    rows, t, row_weight, valid, class_weight = node.saved
    origin = softmax.SoftmaxBackward0((node.next_functions[0],))
    p = made_by(origin, loss.logits_shape(rows, node.shape))
    origin.axis = min(1, p.ndim - 1)
    origin._saved = (p.array,)
    hit = _spread(dy, row_weight * (1 - node.smoothing), node)
    onehot = np.zeros_like(rows)
    onehot[np.arange(len(t)), t] = 1
    dx = p * hit - wrap(loss.logits_shape(onehot, node.shape)) * hit
    if node.smoothing:
        share = _spread(dy, valid * (node.smoothing / rows.shape[1]), node)
        weights = class_weight.reshape(-1, *(1,) * max(p.ndim - 2, 0))
        dx = dx + (p * wrap(class_weight.sum(keepdims=True)) - wrap(weights)) * share
    return (dx,)


def of_mean_cross_entropy(node: loss.MeanNllLossBackward0, dy: Tensor) -> Tensors:
    return of_cross_entropy(node.general(), dy)


def of_nll_loss(node: loss.NllLossOfLogProbabilitiesBackward0, dy: Tensor) -> Tensors:
    t, row_weight = node.saved
    onehot = np.zeros((len(t), node.shape[min(1, len(node.shape) - 1)]), row_weight.dtype)
    onehot[np.arange(len(t)), t] = -1
    return (wrap(loss.logits_shape(onehot, node.shape)) * _spread(dy, row_weight, node),)


def _spread(dy: Tensor, row_weight: Array, node: Any) -> Tensor:
    """`dy` times each row's weight, with an axis of length 1 where the logits have classes."""
    weights = row_weight.astype(dy.dtype, copy=False)
    if node.reduction == "mean":
        weights = (weights / node.divisor).astype(dy.dtype, copy=False)
    if len(node.shape) == 1:
        return wrap(weights.reshape(1)) * dy
    lengths = (node.shape[0], 1, *node.shape[2:])
    return wrap(weights.reshape(lengths)) * (shape.reshape(dy, lengths) if dy.ndim else dy)


def of_batch_norm(node: norm.NativeBatchNormBackward0, dy: Tensor) -> Tensors:
    input, mean, inverse_std, weight = node.saved
    sizes = (1, dy.shape[1], *(1,) * (dy.ndim - 2))
    axes = (0, *range(2, dy.ndim))
    s = wrap(inverse_std.reshape(sizes))
    w = None if weight is None else of_input(node, weight, 1)
    c: Any = None
    if input is not None:
        c = of_input(node, input, 0) - wrap(mean.reshape(sizes))
    if node.uses_batch:
        c = c - reduce.mean(c, axes, True)
        variance = reduce.mean(c * c, axes, True)
        s = (variance + (1 / (s * s) - variance).detach()) ** -0.5
    scale = s if w is None else s * shape.reshape(w, sizes)
    dx = dy
    if node.uses_batch:
        dx = dy - reduce.mean(dy, axes, True) - c * (s * s) * reduce.mean(dy * c, axes, True)
    gradients: list[Tensor | None] = [dx * scale]
    if w is not None:
        gradients.append(reduce.sum(dy * c * s, axes) if node.needs(1) else None)
    gradients.append(reduce.sum(dy, axes))
    return tuple(gradients[: len(node.next_functions)])


def of_embedding(node: EmbeddingBackward0, dy: Tensor) -> Tensors:
    (indices,) = node.saved
    if node.padding_idx >= 0:
        dy = dy * wrap((indices != node.padding_idx)[..., np.newaxis].astype(dy.dtype))
    return (index.scatter(dy, (indices,), node.shape),)


FORMULAS: dict[type[Any], Callable[..., Tensors]] = {
    AddmmBackward0: of_linear,
    softmax.SoftmaxBackward0: of_softmax,
    softmax.LogSoftmaxBackward0: of_log_softmax,
    loss.MseLossBackward0: of_mse_loss,
    loss.NllLossBackward0: of_cross_entropy,
    loss.MeanNllLossBackward0: of_mean_cross_entropy,
    loss.NllLossOfLogProbabilitiesBackward0: of_nll_loss,
    norm.NativeBatchNormBackward0: of_batch_norm,
    EmbeddingBackward0: of_embedding,
}

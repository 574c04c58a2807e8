"""Gradients of fused operations as formulas on tensors, for `create_graph=True`.

A fused node keeps what its first gradient needs, in arrays of its own making: differences,
probabilities, centred rows. Here each gets its place in the graph back, by the rule it was made
with, and the gradient is written once more in operations that are recorded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ddp.autograd.node import NO_EDGE, Array, Gradients, Node
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
from ddp.autograd.ops.conv import ConvolutionBackward0, conv2d
from ddp.autograd.ops.conv_variants import Convolution1DBackward0
from ddp.autograd.ops.layout import from_rows
from ddp.autograd.ops.linear import AddmmBackward0
from ddp.autograd.ops.max_pool import MaxPool2DWithIndicesBackward0
from ddp.autograd.ops.pool import AvgPool2DBackward0, avg_pool2d
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
    weighted = y * dy
    return (weighted - y * reduce.sum(weighted, node.axis, True),)


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
    """The rows are kept less their mean, which is all the gradients depend on."""
    centred, inverse_std, weight = node.saved
    sizes = (1, dy.shape[1], *(1,) * (dy.ndim - 2))
    axes = (0, *range(2, dy.ndim))
    s = wrap(inverse_std.reshape(sizes))
    w = None if weight is None else of_input(node, weight, 1)
    c: Any = None
    if centred is not None:
        c = of_input(node, from_rows(centred, dy.shape), 0)
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


def of_convolution(node: ConvolutionBackward0, dy: Tensor) -> Tensors:
    x, w = node.saved
    dx = dw = None
    if w is not None:
        dx = input_gradient(dy, of_input(node, w, 1), node)
    if x is not None:
        dw = weight_gradient(dy, of_input(node, x, 0), node)
    if len(node.next_functions) == 2:
        return dx, dw
    return dx, dw, reduce.sum(dy, (0, 2, 3)) if node.needs(2) else None


class _OnTensors(Node):
    """The gradient of an operation as an operation, whose own gradient is written on tensors."""

    __slots__ = ()

    def backward(self, dy: Array) -> Gradients:
        formula = next(FORMULAS[base] for base in type(self).__mro__ if base in FORMULAS)
        gradients = formula(self, wrap(dy))
        return tuple([None if dx is None else dx.array for dx in gradients])


class ConvolutionInputBackward0(_OnTensors):
    """y = dX of (dY, W), a convolution again."""

    __slots__ = ("convolution",)

    convolution: ConvolutionBackward0  # whose windows and groups it has


class ConvolutionWeightBackward0(_OnTensors):
    """y = dW of (dY, X), a convolution again."""

    __slots__ = ("convolution",)

    convolution: ConvolutionBackward0


def input_gradient(dy: Tensor, w: Tensor, convolution: ConvolutionBackward0) -> Tensor:
    """What a convolution's gradient is with respect to its input."""
    dx = _twin(convolution, 0, None, w.array).backward(dy.array)[0]
    y = wrap(dx)
    if node := ConvolutionInputBackward0.record(y, dy, w):
        node.convolution = convolution
        node.save(dy, w)
    return y


def weight_gradient(dy: Tensor, x: Tensor, convolution: ConvolutionBackward0) -> Tensor:
    """What a convolution's gradient is with respect to its weight."""
    dw = _twin(convolution, 1, x.array, None).backward(dy.array)[1]
    y = wrap(dw)
    if node := ConvolutionWeightBackward0.record(y, dy, x):
        node.convolution = convolution
        node.save(dy, x)
    return y


def _twin(
    like: ConvolutionBackward0, wanted: int, x: Array | None, w: Array | None
) -> ConvolutionBackward0:
    """A node of the same convolution over other arrays, of which one gradient is wanted."""
    edges = [NO_EDGE, NO_EDGE]
    edges[wanted] = (like, 0)
    twin = ConvolutionBackward0(tuple(edges))
    twin.window, twin.groups = like.window, like.groups
    twin._saved = (x, w)
    return twin


def _of_input_gradient(node: ConvolutionInputBackward0, g: Tensor) -> Tensors:
    like, (dy, w) = node.convolution, node.saved
    back = conv2d(g, of_input(node, w, 1), None, like.window, like.groups)
    dw = weight_gradient(of_input(node, dy, 0), g, like)
    return (back if node.needs(0) else None), (dw if node.needs(1) else None)


def _of_weight_gradient(node: ConvolutionWeightBackward0, g: Tensor) -> Tensors:
    like, (dy, x) = node.convolution, node.saved
    back = conv2d(of_input(node, x, 1), g, None, like.window, like.groups)
    dx = input_gradient(of_input(node, dy, 0), g, like)
    return (back if node.needs(0) else None), (dx if node.needs(1) else None)


def of_average_pool(node: AvgPool2DBackward0, dy: Tensor) -> Tensors:
    (array,) = node.backward(dy.array)
    dx = wrap(array)
    if recorded := AvgPool2DInputBackward0.record(dx, dy):
        recorded.pool = node
    return (dx,)


class AvgPool2DInputBackward0(_OnTensors):
    """y = dX of an average pool; dY is the average pool of y's gradient."""

    __slots__ = ("pool",)

    pool: AvgPool2DBackward0


def _of_average_pool_input(node: AvgPool2DInputBackward0, g: Tensor) -> Tensors:
    return (avg_pool2d(g, node.pool.window, node.pool.divisor),)


def of_max_pool(node: MaxPool2DWithIndicesBackward0, dy: Tensor) -> Tensors:
    """The gradient of each window is put where its (first) maximum is."""
    _, places = node.saved
    window = node.window
    last = window.kernel[0] * window.kernel[1] - 1
    rows, columns = np.divmod(last - places.astype(np.int64), window.kernel[1])
    rows, columns = rows * window.dilation[0], columns * window.dilation[1]
    grid: Any = np.indices(places.shape, sparse=True)
    image, i, j, channel = grid
    where = (image, rows + i * window.stride[0], columns + j * window.stride[1], channel)
    scattered = index.scatter(
        shape.permute(dy, 0, 2, 3, 1), where, (len(places), *window.padded, places.shape[3])
    )
    (top, _), (left, _) = window.padding
    inside = scattered[:, top : top + window.input[0], left : left + window.input[1]]
    return (shape.permute(inside, 0, 3, 1, 2),)


def _refused(node: Node, dy: Tensor) -> Tensors:
    raise NotImplementedError(f"create_graph=True is not supported through {node.name()}")


FORMULAS: dict[type[Any], Callable[..., Tensors]] = {
    AddmmBackward0: of_linear,
    softmax.SoftmaxBackward0: of_softmax,
    softmax.LogSoftmaxBackward0: of_log_softmax,
    loss.MseLossBackward0: of_mse_loss,
    loss.NllLossBackward0: of_cross_entropy,
    loss.NllLossOfLogProbabilitiesBackward0: of_nll_loss,
    norm.NativeBatchNormBackward0: of_batch_norm,
    AvgPool2DBackward0: of_average_pool,
    AvgPool2DInputBackward0: _of_average_pool_input,
    MaxPool2DWithIndicesBackward0: of_max_pool,
    ConvolutionBackward0: of_convolution,
    Convolution1DBackward0: _refused,
    ConvolutionInputBackward0: _of_input_gradient,
    ConvolutionWeightBackward0: _of_weight_gradient,
}

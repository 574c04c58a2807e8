"""Gradients of convolutions, pooling and other linear maps, for `create_graph=True`.

The gradient of a convolution is made of convolutions, and that of a linear map is its transpose:
each is an operation here, whose own gradient is written on tensors, so that every order follows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ddp.autograd.fused import Tensors, of_input
from ddp.autograd.node import NO_EDGE, Array, Gradients, Node
from ddp.autograd.ops import adaptive_pool, index, max_pool, pad, pool, reduce, resample, shape
from ddp.autograd.ops.conv import ConvolutionBackward0, conv2d
from ddp.autograd.ops.conv_variants import (
    Convolution1DBackward0,
    TransposedConvolutionBackward0,
)
from ddp.autograd.tensor import Tensor, wrap

# What has the windows and the groups of a convolution.
Like = ConvolutionBackward0 | TransposedConvolutionBackward0


def of_convolution(node: ConvolutionBackward0, dy: Tensor) -> Tensors:
    x, w, _ = node.saved
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

    convolution: Like  # whose windows and groups it has


class ConvolutionWeightBackward0(_OnTensors):
    """y = dW of (dY, X), a convolution again."""

    __slots__ = ("convolution",)

    convolution: Like


def input_gradient(dy: Tensor, w: Tensor, convolution: Like) -> Tensor:
    """What a convolution's gradient is with respect to its input."""
    dx = _twin(convolution, 0, None, w.array).backward(dy.array)[0]
    y = wrap(dx)
    if node := ConvolutionInputBackward0.record(y, dy, w):
        node.convolution = convolution
        node.save(dy, w)
    return y


def weight_gradient(dy: Tensor, x: Tensor, convolution: Like) -> Tensor:
    """What a convolution's gradient is with respect to its weight."""
    dw = _twin(convolution, 1, x.array, None).backward(dy.array)[1]
    y = wrap(dw)
    if node := ConvolutionWeightBackward0.record(y, dy, x):
        node.convolution = convolution
        node.save(dy, x)
    return y


def _twin(like: Like, wanted: int, x: Array | None, w: Array | None) -> ConvolutionBackward0:
    """A node of the same convolution over other arrays, of which one gradient is wanted."""
    edges = [NO_EDGE, NO_EDGE]
    edges[wanted] = (like, 0)
    twin = ConvolutionBackward0(tuple(edges))
    twin.window, twin.groups = like.window, like.groups
    twin._saved = (x, w, None)
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


def of_convolution_1d(node: Convolution1DBackward0, dy: Tensor) -> Tensors:
    """As images of height 1, which is how the arrays were saved."""
    images = shape.unsqueeze(dy, 2)
    x, w = (_without_height(node, array, i) for i, array in enumerate(node.saved[:2]))
    dx = None if w is None else shape.squeeze(input_gradient(images, w, node), 2)
    dw = None if x is None else shape.squeeze(weight_gradient(images, x, node), 2)
    if len(node.next_functions) == 2:
        return dx, dw
    return dx, dw, reduce.sum(dy, (0, 2)) if node.needs(2) else None


def _without_height(node: Node, array: Array | None, index: int) -> Tensor | None:
    """The saved image as a view of the sequence that it shows."""
    if array is None:
        return None
    image = of_input(node, array, index)
    sequence = wrap(array[:, :, 0])
    sequence._edge, sequence._requires_grad = image._edge, image._requires_grad
    sequence._version_cell = image._version_cell
    return shape.unsqueeze(sequence, 2)


def of_transposed_convolution(node: TransposedConvolutionBackward0, dy: Tensor) -> Tensors:
    x, w = node.saved
    dx = dw = None
    if w is not None:
        dx = conv2d(dy, of_input(node, w, 1), None, node.window, node.groups)
    if x is not None:
        dw = weight_gradient(of_input(node, x, 0), dy, node)
    if len(node.next_functions) == 2:
        return dx, dw
    return dx, dw, reduce.sum(dy, (0, 2, 3)) if node.needs(2) else None


class AdjointBackward0(_OnTensors):
    """y = dX of an operation that is linear in its input; dY is that operation on y's gradient."""

    __slots__ = ("again",)

    again: Callable[[Tensor], Tensor]


def of_linear_map(operation: Callable[..., Tensor]) -> Callable[..., Tensors]:
    """The formula of a node whose gradient is the transpose of `operation(node, input, shape)`.

    `shape` is that of the operation's result.
    """

    def formula(node: Node, dy: Tensor) -> Tensors:
        (array,) = node.backward(dy.array)
        assert array is not None
        dx = wrap(array)
        if recorded := AdjointBackward0.record(dx, dy):
            recorded.again = lambda g: operation(node, g, dy.shape)
        return (dx,)

    return formula


def of_max_pool(node: max_pool.MaxPool2DWithIndicesBackward0, dy: Tensor) -> Tensors:
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


def of_upsampling(node: resample.UpsampleBackward, dy: Tensor) -> Tensors:
    weights, kind = list(node.saved), node.kind[:-2]  # without the number of axes
    return of_linear_map(lambda _, x, shape: resample.interpolate(x, weights, kind))(node, dy)


FORMULAS: dict[type[Any], Callable[..., Tensors]] = {
    ConvolutionBackward0: of_convolution,
    Convolution1DBackward0: of_convolution_1d,
    TransposedConvolutionBackward0: of_transposed_convolution,
    ConvolutionInputBackward0: _of_input_gradient,
    ConvolutionWeightBackward0: _of_weight_gradient,
    AdjointBackward0: lambda node, g: (node.again(g),),
    pool.AvgPool2DBackward0: of_linear_map(
        lambda node, x, _: pool.avg_pool2d(x, node.window, node.divisor)
    ),
    max_pool.MaxPool2DWithIndicesBackward0: of_max_pool,
    adaptive_pool.AdaptiveAvgPool2DBackward0: of_linear_map(
        lambda node, x, shape: adaptive_pool.adaptive_avg_pool2d(x, shape[2:])
    ),
    resample.UpsampleBackward: of_upsampling,
    pad.ConstantPadNdBackward0: of_linear_map(
        lambda node, x, _: pad.constant_pad(x, node.pads, 0.0)
    ),
    pad.IndexPadBackward: of_linear_map(lambda node, x, _: index.getitem(x, np.ix_(*node.sources))),
}

"""Fused operations once more in small ones, for `create_graph=True`.

Where writing the gradient of a fused operation on tensors would be long, the operation itself is
composed again of recorded operations when a second gradient is asked for, and `second_order.py`
walks back through those. Each function here gives the outputs of a node from what it saved; what it
saved of its inputs gets its place in the graph back.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ddp.autograd.fused import made_by, of_input
from ddp.autograd.node import Array, Node, edge
from ddp.autograd.ops import arithmetic, layer_norm, recurrent, reduce, regression_loss, select
from ddp.autograd.ops.activation import relu, sigmoid, tanh
from ddp.autograd.ops.attention import ScaledDotProductFlashAttentionForCpuBackward0, whole
from ddp.autograd.ops.exponential import erf
from ddp.autograd.ops.gelu import CUBIC, ROOT_2_OVER_PI, ROOT_HALF, GeluBackward0, GeluTanhBackward0
from ddp.autograd.ops.join import split, stack
from ddp.autograd.ops.matmul import matmul
from ddp.autograd.ops.rectifiers import MishBackward0, SiluBackward0, softplus
from ddp.autograd.ops.shape import reshape, t, transpose
from ddp.autograd.ops.softmax import SoftmaxBackward0
from ddp.autograd.tensor import Tensor, wrap

Outputs = Tensor | tuple[Tensor, ...]
Affine = layer_norm.NativeLayerNormBackward0 | layer_norm.NativeGroupNormBackward0


def gelu(node: GeluBackward0, _: Any) -> Tensor:
    x = of_input(node, node.saved[0], 0)
    return x * (erf(x * ROOT_HALF) + 1) * 0.5


def gelu_tanh(node: GeluTanhBackward0, _: Any) -> Tensor:
    x = of_input(node, node.saved[0], 0)
    return x * (tanh((x * x * CUBIC + 1) * x * ROOT_2_OVER_PI) + 1) * 0.5


def silu(node: SiluBackward0, _: Any) -> Tensor:
    x = of_input(node, node.saved[0], 0)
    return x * sigmoid(x)


def mish(node: MishBackward0, _: Any) -> Tensor:
    x = of_input(node, node.saved[0], 0)
    return x * tanh(softplus(x, 1.0, math.inf))


def smooth_l1_loss(node: regression_loss.SmoothL1LossBackward0, _: Any) -> Tensor:
    size = arithmetic.abs(_difference(node))
    near = select.minimum(size, wrap(np.array(node.beta, size.dtype)))
    return _reduced(near * near * (0.5 / node.beta) + (size - near), node.reduction)


def huber_loss(node: regression_loss.HuberLossBackward0, _: Any) -> Tensor:
    size = arithmetic.abs(_difference(node))
    near = select.minimum(size, wrap(np.array(node.delta, size.dtype)))
    return _reduced(near * near * 0.5 + (size - near) * node.delta, node.reduction)


def _difference(node: Node) -> Tensor:
    """input - target, which is all that was saved: of two stand-ins with that difference."""
    (array,) = node.saved
    return of_input(node, array, 0) - of_input(node, np.zeros_like(array), 1)


def _reduced(values: Tensor, reduction: str) -> Tensor:
    if reduction == "none":
        return values
    return reduce.mean(values) if reduction == "mean" else reduce.sum(values)


def of_layer_norm(node: layer_norm.NativeLayerNormBackward0, dy: Tensor) -> Tensor:
    return _with_affine(node, _normalised(node, dy), node.shape, node.shape)


def of_group_norm(node: layer_norm.NativeGroupNormBackward0, dy: Tensor) -> Tensor:
    channels = dy.shape[1]
    along = (channels, *(1,) * (dy.ndim - 2))
    return _with_affine(node, _normalised(node, dy), (channels,), along)


def _normalised(node: Affine, like: Tensor) -> Tensor:
    """The rows less their mean stand for the input, of which nothing else depends on the mean."""
    normal, inverse_std, _ = node.saved
    x = of_input(node, (normal / inverse_std).reshape(like.shape), 0)
    rows = reshape(x, normal.shape)
    centred = rows - reduce.mean(rows, 1, True)
    variance = reduce.mean(centred * centred, 1, True)
    eps = wrap(inverse_std**-2) - variance.detach()
    return reshape(centred * (variance + eps) ** -0.5, like.shape)


def _with_affine(node: Affine, n: Tensor, own: tuple[int, ...], along: tuple[int, ...]) -> Tensor:
    """n · w + b, where there are any; the value of b does not matter to any gradient."""
    if node.has_weight:
        n = n * reshape(of_input(node, node.saved[2], 1), along)
    if node.has_bias:
        n = n + reshape(of_input(node, np.zeros(own, n.dtype), -1), along)
    return n


def attention(node: ScaledDotProductFlashAttentionForCpuBackward0, _: Any) -> Tensor:
    """The weights are as saved; only their gradient asks how they came about."""
    query, key, value, y, mask, tiles_of_weights = node.saved
    q, k, v = (of_input(node, array, i) for i, array in enumerate((query, key, value)))
    weights = whole(tiles_of_weights, query, key, y, node.is_causal)
    scores = matmul(q * node.scale, transpose(k, -1, -2))
    if node.bias_shape is not None:
        scores = scores + of_input(node, np.zeros(node.bias_shape, q.dtype), 3)
    origin = SoftmaxBackward0((edge(scores),))
    origin.axis, origin._saved = weights.ndim - 1, (weights,)
    p = made_by(origin, weights)
    if mask is not None:
        mask = mask.reshape(weights.shape)
        p = p * wrap((mask / (1.0 - node.dropout_p)).astype(weights.dtype))
    return matmul(p, v)


def rnn(node: recurrent.RnnBackward0, _: Any) -> Tensor:
    x, h, w_ih, w_hh, biases = _of_layer(node, (0, 1, 2, 3), node.saved[5:])
    gates, outputs = _projected(x, w_ih, biases), []
    for gate in _steps(gates):
        a = gate + matmul(h, t(w_hh))
        h = tanh(a) if node.nonlinearity == "tanh" else relu(a)
        outputs.append(h)
    return stack(outputs)


def gru(node: recurrent.GruBackward0, _: Any) -> Tensor:
    x, h, w_ih, w_hh, biases = _of_layer(node, (0, 1, 2, 3), node.saved[7:])
    gates, outputs = _projected(x, w_ih, biases[:1]), []
    for gate in _steps(gates):
        x_r, x_z, x_n = split(gate, h.shape[1], 1)
        h_r, h_z, h_n = split(_projected(h, w_hh, biases[1:]), h.shape[1], 1)
        n = tanh(x_n + sigmoid(x_r + h_r) * h_n)
        h = n + sigmoid(x_z + h_z) * (h - n)
        outputs.append(h)
    return stack(outputs)


def lstm(node: recurrent.LstmBackward0, _: Any) -> tuple[Tensor, Tensor]:
    cells, w_hr = node.saved[6], node.saved[8]
    x, h, w_ih, w_hh, biases = _of_layer(node, (0, 1, 3, 4), node.saved[9:])
    c = of_input(node, cells[0], 2)
    projection = None if w_hr is None else t(of_input(node, w_hr, -1))
    gates, outputs = _projected(x, w_ih, biases), []
    for gate in _steps(gates):
        i, f, g, o = split(gate + matmul(h, t(w_hh)), c.shape[1], 1)
        c = sigmoid(f) * c + sigmoid(i) * tanh(g)
        h = sigmoid(o) * tanh(c)
        h = h if projection is None else matmul(h, projection)
        outputs.append(h)
    return stack(outputs), c


def _of_layer(node: Node, places: tuple[int, ...], biases: tuple[Array, ...]) -> Any:
    """x, h, w_ih, w_hh, which are the inputs of these numbers, and the biases, which follow."""
    tensors = [of_input(node, node.saved[i], place) for i, place in enumerate(places)]
    after = places[-1] + 1
    return (*tensors, [of_input(node, bias, after + i) for i, bias in enumerate(biases)])


def _projected(x: Tensor, weight: Tensor, biases: list[Tensor]) -> Tensor:
    y = matmul(x, t(weight))
    for bias in biases:
        y = y + bias
    return y


def _steps(gates: Tensor) -> list[Tensor]:
    return [gates[step] for step in range(len(gates))]


COMPOSITIONS: dict[type[Any], Callable[..., Outputs]] = {
    GeluBackward0: gelu,
    GeluTanhBackward0: gelu_tanh,
    SiluBackward0: silu,
    MishBackward0: mish,
    regression_loss.SmoothL1LossBackward0: smooth_l1_loss,
    regression_loss.HuberLossBackward0: huber_loss,
    layer_norm.NativeLayerNormBackward0: of_layer_norm,
    layer_norm.NativeGroupNormBackward0: of_group_norm,
    ScaledDotProductFlashAttentionForCpuBackward0: attention,
    recurrent.RnnBackward0: rnn,
    recurrent.GruBackward0: gru,
    recurrent.LstmBackward0: lstm,
}

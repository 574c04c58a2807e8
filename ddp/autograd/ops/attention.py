"""Scaled dot-product attention as one operation (Vaswani et al., arXiv:1706.03762)."""

from __future__ import annotations

import numpy as np

from ddp.autograd.node import Array, Gradients, Node
from ddp.autograd.ops.broadcast import unbroadcast
from ddp.autograd.ops.dropout import masked
from ddp.autograd.random import current_generator
from ddp.autograd.tensor import Tensor, wrap

Shape = tuple[int, ...]


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bias: Tensor | None,
    allowed: Array | None,
    scale: float,
    dropout_p: float,
) -> Tensor:
    """softmax(query @ keyᵀ · scale + bias) @ value, stack by stack.

    query: (..., L, E), key: (..., S, E), value: (..., S, Ev), `bias` and the bools `allowed`
    broadcast to (..., L, S) → (..., L, Ev). A query that may look nowhere gets zeros. Dropout
    takes its mask of the weights from the generator in use.
    """
    scores = np.matmul(query.array * query.dtype.type(scale), key.array.swapaxes(-1, -2))
    if bias is not None:
        scores = scores + bias.array
    if allowed is not None:
        scores = np.where(allowed, scores, scores.dtype.type(-np.inf))
    weights = dropped = safe_softmax(scores)
    mask = None
    if dropout_p > 0:
        mask = current_generator().bernoulli(weights.shape, 1.0 - dropout_p)
        dropped = masked(weights, mask, 1.0 / (1.0 - dropout_p))
    output = wrap(np.matmul(dropped, value.array))
    inputs = (query, key, value) if bias is None else (query, key, value, bias)
    if node := ScaledDotProductFlashAttentionForCpuBackward0.record(output, *inputs):
        node.scale, node.dropout_p = scale, dropout_p
        node.bias_shape = () if bias is None else bias.shape
        node.save(query, key, value, weights, mask)
    return output


def safe_softmax(scores: Array) -> Array:
    """Softmax along the last axis, in place; zeros for a row of nothing but -inf."""
    highest = scores.max(-1, keepdims=True, initial=-np.inf)
    np.copyto(highest, 0, where=np.isneginf(highest))
    scores -= highest
    np.exp(scores, out=scores)
    total = scores.sum(-1, keepdims=True)
    np.copyto(total, 1, where=total == 0)
    scores /= total
    return scores


class ScaledDotProductFlashAttentionForCpuBackward0(Node):
    """Y = D(P) @ V with P = softmax(scale · Q @ Kᵀ + B) and D dropout.

    dV = D(P)ᵀ @ dY, dP = D(dY @ Vᵀ), dS = P · (dP - Σ P · dP per row), dB = dS,
    dQ = scale · dS @ K, dK = scale · dSᵀ @ Q; each summed over what was broadcast.
    """

    __slots__ = ("bias_shape", "dropout_p", "scale")

    scale: float
    dropout_p: float
    bias_shape: Shape

    def backward(self, dy: Array) -> Gradients:
        q, k, v, weights, mask = self.saved
        dv = None
        if self.needs(2):
            dropped = self._dropped(weights, mask)
            dv = unbroadcast(np.matmul(dropped.swapaxes(-1, -2), dy), v.shape)
        if not any(self.needs(i) for i in range(len(self.next_functions)) if i != 2):
            return (None, None, dv, None)[: len(self.next_functions)]
        ds = self._dropped(np.matmul(dy, v.swapaxes(-1, -2)), mask)
        ds *= weights
        ds -= weights * ds.sum(-1, keepdims=True)
        db = unbroadcast(ds, self.bias_shape) if self.needs(-1) else None
        ds *= self.scale
        dq = unbroadcast(np.matmul(ds, k), q.shape) if self.needs(0) else None
        dk = unbroadcast(np.matmul(ds.swapaxes(-1, -2), q), k.shape) if self.needs(1) else None
        return (dq, dk, dv, db)[: len(self.next_functions)]

    def _dropped(self, x: Array, mask: Array | None) -> Array:
        return x if mask is None else masked(x, mask, 1.0 / (1.0 - self.dropout_p))

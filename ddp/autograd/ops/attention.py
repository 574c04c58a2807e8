"""Scaled dot-product attention as one operation (Vaswani et al., arXiv:1706.03762).

Causal attention is computed in tiles, of some queries and the keys they may look at: nearly half of
the scores are never touched. Heads may be strided views of one projection, as products of matrices
read them fast on the left. What stands on the right is made dense first, and lies as it is
multiplied: OpenBLAS has no fast kernel for small products of rows with rows.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np

from ddp.autograd.node import Array, Gradients, Node
from ddp.autograd.ops.blas import rows_of_a_piece
from ddp.autograd.ops.blocks import aligned_empty
from ddp.autograd.ops.broadcast import unbroadcast
from ddp.autograd.ops.dropout import masked
from ddp.autograd.ops.join import empty_side_by_side
from ddp.autograd.ops.softmax import are_small
from ddp.autograd.random import current_generator
from ddp.autograd.tensor import Tensor, wrap

Shape = tuple[int, ...]

TILE = 64  # queries
FEW = 32  # rows that are transposed at a time


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bias: Tensor | None,
    allowed: Array | None,
    is_causal: bool,
    scale: float,
    dropout_p: float,
) -> Tensor:
    """softmax(query @ keyᵀ · scale + bias) @ value, stack by stack.

    query: (..., L, E), key: (..., S, E), value: (..., S, Ev), `bias` and the bools `allowed`
    broadcast to (..., L, S) → (..., L, Ev). `is_causal` lets query i look at keys 0 … i. A query
    that may look nowhere gets zeros. Dropout takes its mask of the weights from the generator in
    use.
    """
    added = None if bias is None else bias.array
    if allowed is not None:
        added = np.where(allowed, 0, -np.inf).astype(query.dtype)
    operands = (query.array, key.array, value.array)
    q, k, v = stacked(*operands) if added is None else stacked(*operands, added)[:3]
    q, k_t, v = dense_rows(q), transposed(k), np.ascontiguousarray(v)
    k_t *= scale
    shape = (*q.shape[:-1], k.shape[-2])
    y = np.empty_like(q, shape=(*q.shape[:-1], v.shape[-1]))  # keeps the order of axes
    mask = None
    if dropout_p > 0:
        mask = current_generator().bernoulli(shape, 1.0 - dropout_p)
    weights = []
    for rows, keys in tiles(shape, q.shape[-1], is_causal):
        scores = product(q[..., rows, :], k_t[..., keys])
        if added is not None:
            scores += np.broadcast_to(added, shape)[..., rows, keys]
        p = softmax(scores, rows.start if is_causal else None)
        weights.append(p)
        np.matmul(dropped(p, mask, rows, keys, dropout_p), v[..., keys, :], out=y[..., rows, :])
    output = wrap(y)
    inputs = (query, key, value) if bias is None else (query, key, value, bias)
    if node := ScaledDotProductFlashAttentionForCpuBackward0.record(output, *inputs):
        node.scale, node.dropout_p, node.is_causal = scale, dropout_p, is_causal
        node.bias_shape = None if bias is None else bias.shape
        node.save(query, key, value, output, mask, *weights)
    return output


def stacked(*operands: Array) -> list[Array]:
    """Operands in one stack of matrices, by broadcasting."""
    stacks = {x.shape[:-2] for x in operands}
    if len(stacks) == 1:
        return list(operands)
    stack = np.broadcast_shapes(*stacks)
    return [np.broadcast_to(x, stack + x.shape[-2:]) for x in operands]


def dense_rows(x: Array) -> Array:
    """x if BLAS can read its matrices where they lie, row by row, else a copy."""
    row, item = x.strides[-2:]
    are_dense = item == x.itemsize and row >= x.shape[-1] * item
    return x if are_dense else np.ascontiguousarray(x)


def times(x: Array, factor: float) -> Array:
    """x · factor, dense in C order."""
    return np.multiply(x, factor, out=aligned_empty(x.shape, x.dtype))


def transposed(x: Array) -> Array:
    """(..., S, E) → xᵀ, dense in C order: some rows at a time, which stay in the cache."""
    y = aligned_empty((*x.shape[:-2], x.shape[-1], x.shape[-2]), x.dtype)
    for start in range(0, x.shape[-2], FEW):
        some = slice(start, start + FEW)
        y[..., some] = x[..., some, :].swapaxes(-1, -2)
    return y


def product(a: Array, b: Array) -> Array:
    """a @ b, dense on aligned memory."""
    shape = (*a.shape[:-1], b.shape[-1])
    return np.matmul(a, b, out=aligned_empty(shape, a.dtype))


def tiles(shape: Shape, features: int, is_causal: bool) -> Iterator[tuple[slice, slice]]:
    """Which queries are computed at a time, and the keys they have to do with."""
    queries, keys = shape[-2:]
    step = max(queries, 1)
    if is_causal:  # not so many that OpenBLAS would rearrange the keys
        step = min(rows_of_a_piece(features * keys) or TILE, TILE)
    for start in range(0, queries, step):
        stop = min(start + step, queries)
        yield slice(start, stop), slice(0, min(stop, keys) if is_causal else keys)


def softmax(scores: Array, first_query: int | None) -> Array:
    """Softmax along the last axis, in place; zeros for a row of nothing but -inf.

    With `first_query`, the queries are that one and those after it, and none looks ahead.
    """
    without_shift = are_small(scores)
    if first_query is not None:
        hide_future(scores[..., first_query:])
    if not without_shift:
        highest = scores.max(-1, keepdims=True, initial=-np.inf)
        np.copyto(highest, 0, where=np.isneginf(highest))
        scores -= highest
    np.exp(scores, out=scores)
    total = scores @ np.ones((scores.shape[-1], 1), scores.dtype)
    if not without_shift:
        np.copyto(total, 1, where=total == 0)
    scores /= total
    return scores


def hide_future(scores: Array) -> None:
    """-inf where a key comes after its query; the first of both are the same."""
    scores += future(*scores.shape[-2:], scores.dtype)


@functools.lru_cache
def future(queries: int, keys: int, dtype: np.dtype[Any]) -> Array:
    """What is added to the scores of a tile on the diagonal."""
    return np.triu(np.full((queries, keys), -np.inf, dtype), 1)


def dropped(x: Array, mask: Array | None, rows: slice, keys: slice, dropout_p: float) -> Array:
    """Dropout of one tile; `mask` is that of all weights, if there is dropout."""
    return x if mask is None else masked(x, mask[..., rows, keys], 1.0 / (1.0 - dropout_p))


class ScaledDotProductFlashAttentionForCpuBackward0(Node):
    """Y = D(P) @ V with P = softmax(scale · Q @ Kᵀ + B) and D dropout.

    dV = D(P)ᵀ @ dY, dP = D(dY @ Vᵀ), dS = P · (dP - Σ P · dP per row), dB = dS,
    dQ = scale · dS @ K, dK = scale · dSᵀ @ Q; each summed over what was broadcast. The sums are
    those of shorter rows: Σ P · dP = Σ dY · Y.
    """

    __slots__ = ("bias_shape", "dropout_p", "is_causal", "scale")

    scale: float
    dropout_p: float
    is_causal: bool
    bias_shape: Shape | None

    def backward(self, dy: Array) -> Gradients:
        query, key, value, y, mask, *weights = self.saved
        q, k, v = (dense_rows(x) for x in stacked(query, key, value, y)[:3])
        dq, dk, dv = (
            dx if self.needs(i) else None for i, dx in enumerate(empty_side_by_side(q, k, v))
        )
        k, v_t = times(k, self.scale), transposed(v)
        dy = np.ascontiguousarray(dy)
        sums = np.vecdot(dy, y)[..., np.newaxis]
        shape = (*q.shape[:-1], k.shape[-2])
        db = np.zeros(shape, dy.dtype) if len(self.edges) > 3 and self.needs(3) else None
        parts = list(zip(tiles(shape, q.shape[-1], self.is_causal), weights, strict=True))
        sum_k, sum_v = (None if dx is None else KeySum(dx, len(parts)) for dx in (dk, dv))
        for (rows, keys), p in reversed(parts):
            g = dy[..., rows, :]
            d = dropped(p, mask, rows, keys, self.dropout_p)
            ds = dropped(product(g, v_t[..., keys]), mask, rows, keys, self.dropout_p)
            ds -= sums[..., rows, :]
            ds *= p
            if db is not None:
                db[..., rows, keys] = ds
            if dq is not None:
                np.matmul(ds, k[..., keys, :], out=dq[..., rows, :])
            if sum_k is not None:
                sum_k.add(keys, ds.swapaxes(-1, -2), q[..., rows, :])
            if sum_v is not None:
                sum_v.add(keys, d.swapaxes(-1, -2), g)
        for total, factor in ((sum_k, self.scale), (sum_v, 1.0)):
            if total is not None:
                total.finish(factor)
        shapes = (query.shape, key.shape, value.shape, self.bias_shape or ())
        gradients = zip((dq, dk, dv, db), shapes, strict=True)
        found = [None if dx is None else unbroadcast(dx, of) for dx, of in gradients]
        return tuple(found[: len(self.edges)])


class KeySum:
    """The gradient of keys or values: a sum of products over the tiles, the longest first.

    It is summed where it is dense, and stands in `out` when it is finished.
    """

    def __init__(self, out: Array, terms: int) -> None:
        self._out = out
        self._sum = aligned_empty(out.shape, out.dtype) if terms > 1 else out
        self._known = 0  # keys that have a value

    def add(self, keys: slice, a: Array, b: Array) -> None:
        """Add a @ b to the gradients of the first `keys`."""
        some = self._sum[..., keys, :]
        if self._known:
            some += product(a, b)
        else:
            np.matmul(a, b, out=some)
            self._known = keys.stop

    def finish(self, factor: float) -> None:
        """Write the sum times `factor` to `out`; zeros for keys that no query looks at."""
        self._sum[..., self._known :, :] = 0
        if factor != 1:
            np.multiply(self._sum, factor, out=self._out)
        elif self._sum is not self._out:
            np.copyto(self._out, self._sum)

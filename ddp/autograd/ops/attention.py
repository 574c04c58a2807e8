"""Scaled dot-product attention as one operation (Vaswani et al., arXiv:1706.03762).

Causal attention is computed in tiles, of some queries and the keys they may look at: nearly half of
the scores are never touched. Heads may be strided views of one projection, as products of matrices
read them fast on the left. What stands on the right is made dense first, and lies as it is
multiplied: OpenBLAS has no fast kernel for small products of rows with rows.
"""

from __future__ import annotations

import functools
import math
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
from ddp.kernels import kernel

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
    arrays = (query.array, key.array, value.array)
    operands = stacked(*arrays) if added is None else stacked(*arrays, added)
    stack = operands[0].shape[:-2]
    q, k, v, *added_heads = (as_heads(x) for x in operands)
    q = dense_rows(q)
    shape = (*q.shape[:-1], k.shape[-2])
    y = np.empty_like(q, shape=(*q.shape[:-1], v.shape[-1]))  # keeps the order of axes
    mask = None
    if dropout_p > 0:
        mask = current_generator().bernoulli(shape, 1.0 - dropout_p)
    some = tiles(*shape[-2:], q.shape[-1], is_causal)
    weights = aligned_empty((size_of(some, shape),), q.dtype)
    seen = np.broadcast_to(added_heads[0], shape) if added_heads else None
    forward(q, k, v, seen, mask, factor(dropout_p), scale, is_causal, some, weights, y)
    y = y.reshape(*stack, *y.shape[-2:])
    output = wrap(y)
    inputs = (query, key, value) if bias is None else (query, key, value, bias)
    if node := ScaledDotProductFlashAttentionForCpuBackward0.record(output, *inputs):
        node.scale, node.dropout_p, node.is_causal = scale, dropout_p, is_causal
        node.bias_shape = None if bias is None else bias.shape
        node.save(query, key, value, output, mask, weights)
    return output


@kernel
def forward(
    q: Array,
    k: Array,
    v: Array,
    added: Array | None,
    mask: Array | None,
    mask_factor: float,
    scale: float,
    is_causal: bool,
    tiles: Array,
    weights: Array,
    y: Array,
) -> None:
    """softmax(q @ kᵀ · scale + added) into the tiles of `weights`; dropped, @ v, into y.

    All but `weights` and `tiles` are (N, H, ..., ...); all but those and `mask` may be strided.
    """
    k_t, v = transposed(k), np.ascontiguousarray(v)
    k_t *= scale
    for rows, keys, p in parts(weights, q.shape, tiles):
        np.matmul(q[..., rows, :], k_t[..., keys], out=p)
        if added is not None:
            p += added[..., rows, keys]
        softmax(p, rows.start if is_causal else None)
        d = dropped(p, mask, rows, keys, mask_factor)
        np.matmul(d, v[..., keys, :], out=y[..., rows, :])


@kernel
def backward(
    dy: Array,
    q: Array,
    k: Array,
    v: Array,
    y: Array,
    mask: Array | None,
    mask_factor: float,
    scale: float,
    is_causal: bool,
    tiles: Array,
    weights: Array,
    dq: Array | None,
    dk: Array | None,
    dv: Array | None,
    d_added: Array | None,
) -> None:
    """The formulas of the node below; an array that is None is not wanted."""
    k, v_t = times(k, scale), transposed(v)
    dy = np.ascontiguousarray(dy)
    sums = np.vecdot(dy, y)[..., np.newaxis]
    sum_k, sum_v = (None if dx is None else KeySum(dx, len(tiles)) for dx in (dk, dv))
    for rows, keys, p in reversed(parts(weights, q.shape, tiles)):
        g = dy[..., rows, :]
        d = dropped(p, mask, rows, keys, mask_factor)
        ds = dropped(product(g, v_t[..., keys]), mask, rows, keys, mask_factor)
        ds -= sums[..., rows, :]
        ds *= p
        if d_added is not None:
            d_added[..., rows, keys] = ds
        if dq is not None:
            np.matmul(ds, k[..., keys, :], out=dq[..., rows, :])
        if sum_k is not None:
            sum_k.add(keys, ds.swapaxes(-1, -2), q[..., rows, :])
        if sum_v is not None:
            sum_v.add(keys, d.swapaxes(-1, -2), g)
    for total, times_factor in ((sum_k, scale), (sum_v, 1.0)):
        if total is not None:
            total.finish(times_factor)


def as_heads(x: Array) -> Array:
    """(..., T, E) → (N, H, T, E); a view where there are no more axes than that."""
    if x.ndim == 4:
        return x
    return x.reshape(-1, *x.shape[-3:]) if x.ndim > 4 else x[(None,) * (4 - x.ndim)]


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


@functools.lru_cache
def tiles(queries: int, keys: int, features: int, is_causal: bool) -> Array:
    """What is computed at a time: rows of first query, last query + 1, and how many keys."""
    step = max(queries, 1)
    if is_causal:  # not so many that OpenBLAS would rearrange the keys
        step = min(rows_of_a_piece(features * keys) or TILE, TILE)
    starts = range(0, queries, step)
    ends = [(start, min(start + step, queries)) for start in starts]
    found = [(start, end, min(end, keys) if is_causal else keys) for start, end in ends]
    return np.array(found, np.int64).reshape(-1, 3)


def size_of(tiles: Array, shape: Shape) -> int:
    """How many weights the tiles have in all heads."""
    return math.prod(shape[:-2]) * int(((tiles[:, 1] - tiles[:, 0]) * tiles[:, 2]).sum())


def parts(weights: Array, shape: Shape, tiles: Array) -> list[tuple[slice, slice, Array]]:
    """Queries, keys, and the dense (..., queries, keys) of each tile, one after the other."""
    found, at = [], 0
    for start, end, keys in tiles.tolist():
        tile = (*shape[:-2], end - start, keys)
        size = math.prod(tile)
        found.append((slice(start, end), slice(0, keys), weights[at : at + size].reshape(tile)))
        at += size
    return found


def whole(weights: Array, query: Array, key: Array, y: Array, is_causal: bool) -> Array:
    """The weights (..., L, S) of all queries and keys, zeros where no tile is."""
    queries, keys, features = query.shape[-2], key.shape[-2], query.shape[-1]
    stack = y.shape[:-2]
    found = np.zeros((*stack, queries, keys), weights.dtype)
    some = tiles(queries, keys, features, is_causal)
    for rows, columns, p in parts(weights, found.shape, some):
        found[..., rows, columns] = p
    return found


def factor(dropout_p: float) -> float:
    """What dropout multiplies by that which it keeps."""
    return 1.0 / (1.0 - dropout_p) if dropout_p < 1 else 0.0


def softmax(scores: Array, first_query: int | None) -> None:
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


def hide_future(scores: Array) -> None:
    """-inf where a key comes after its query; the first of both are the same."""
    scores += future(*scores.shape[-2:], scores.dtype)


@functools.lru_cache
def future(queries: int, keys: int, dtype: np.dtype[Any]) -> Array:
    """What is added to the scores of a tile on the diagonal."""
    return np.triu(np.full((queries, keys), -np.inf, dtype), 1)


def dropped(x: Array, mask: Array | None, rows: slice, keys: slice, factor: float) -> Array:
    """Dropout of one tile; `mask` is that of all weights, if there is dropout."""
    return x if mask is None else masked(x, mask[..., rows, keys], factor)


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
        query, key, value, y, mask, weights = self.saved
        operands = stacked(query, key, value, y)
        q, k, v = (dense_rows(as_heads(x)) for x in operands[:3])
        shape = (*q.shape[:-1], k.shape[-2])
        dq, dk, dv = (
            dx if self.needs(i) else None for i, dx in enumerate(empty_side_by_side(q, k, v))
        )
        db = np.zeros(shape, dy.dtype) if len(self.edges) > 3 and self.needs(3) else None
        some = tiles(*shape[-2:], q.shape[-1], self.is_causal)
        options = (factor(self.dropout_p), self.scale, self.is_causal, some)
        backward(as_heads(dy), q, k, v, as_heads(y), mask, *options, weights, dq, dk, dv, db)
        stack = operands[0].shape[:-2]
        shapes = (query.shape, key.shape, value.shape, self.bias_shape or ())
        found = [
            None if dx is None else unbroadcast(dx.reshape(*stack, *dx.shape[-2:]), of)
            for dx, of in zip((dq, dk, dv, db), shapes, strict=True)
        ]
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

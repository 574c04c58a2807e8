"""Losses with a margin: what is right is to be ahead of what is wrong by that much."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ddp.autograd.ops.index import gather
from ddp.autograd.ops.select import where
from ddp.autograd.tensor import Tensor
from ddp.nn.functional.activation import logsigmoid
from ddp.nn.functional.distances import pairwise_distance
from ddp.nn.functional.losses import dtype_name, reduced, reduction_of


def cosine_embedding_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """1 - cos where the target is 1, max(0, cos - margin) where it is -1; cos along the last axis.

    Inputs (N, D) with a target (N,), or (D,) with ().
    """
    reduction = reduction_of(reduction, size_average, reduce)
    expected = {0: 1, 1: 2}.get(target.ndim)
    if expected is None:
        raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
    if (input1.ndim, input2.ndim) != (expected, expected):
        raise RuntimeError(
            f"{target.ndim}D target tensor expects {expected}D input tensors, but found inputs "
            f"with sizes {list(input1.shape)} and {list(input2.shape)}."
        )
    cosine = _cosine_of_embeddings(input1, input2)
    apart = (cosine - margin).clamp_min(0)
    zero = Tensor(apart.array * 0)
    loss = where(target == 1, 1 - cosine, zero) + where(target == -1, apart, zero)
    return reduced(loss, reduction)


def _cosine_of_embeddings(x1: Tensor, x2: Tensor) -> Tensor:
    """PyTorch's formula for this loss: 1e-12 under the root."""
    squares = ((x1 * x1).sum(-1) + 1e-12) * ((x2 * x2).sum(-1) + 1e-12)
    return (x1 * x2).sum(-1) / squares.sqrt()


def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """max(0, margin + |anchor - positive| - |anchor - negative|), distances in the p-norm.

    With `swap` the negative's distance is the smaller of those to anchor and positive.
    """
    reduction = reduction_of(reduction, size_average, reduce)

    def distance(x1: Tensor, x2: Tensor) -> Tensor:
        return pairwise_distance(x1, x2, p, eps)

    return triplet_margin_with_distance_loss(
        anchor,
        positive,
        negative,
        distance_function=distance,
        margin=margin,
        swap=swap,
        reduction=reduction,
    )


def triplet_margin_with_distance_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """`triplet_margin_loss` with any function as distance; `pairwise_distance` by default."""
    reduction = reduction_of(reduction, None, None)
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    distance = pairwise_distance if distance_function is None else distance_function
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = far.minimum(distance(positive, negative))
    return reduced((near - far + margin).clamp_min(0), reduction)


def margin_ranking_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """max(0, margin - target · (input1 - input2)) for targets 1 and -1."""
    reduction = reduction_of(reduction, size_average, reduce)
    if not input1.ndim == input2.ndim == target.ndim:
        raise RuntimeError(
            "margin_ranking_loss : All input tensors should have same dimension but got sizes: "
            f"input1: {input1.shape}, input2: {input2.shape}, target: {target.shape} "
        )
    return reduced((-target * (input1 - input2) + margin).clamp_min(0), reduction)


def hinge_embedding_loss(
    input: Tensor,
    target: Tensor,
    margin: float = 1.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The input, a distance, where the target is 1; max(0, margin - input) where it is -1."""
    reduction = reduction_of(reduction, size_average, reduce)
    zero = Tensor(np.zeros((), input.dtype))
    apart = where(target != 1, (margin - input).clamp_min(0), zero)
    return reduced(apart + where(target != -1, input, zero), reduction)


def soft_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """log(1 + exp(-target · input)) for targets 1 and -1."""
    reduction = reduction_of(reduction, size_average, reduce)
    return reduced((-target * input).exp().log1p(), reduction)


def multilabel_soft_margin_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Cross entropy of sigmoid(input) with targets 0 and 1, averaged over the last axis."""
    reduction = reduction_of(reduction, size_average, reduce)
    loss = -(target * logsigmoid(input) + (1 - target) * logsigmoid(-input))
    if weight is not None:
        loss = loss * weight
    return reduced(loss.sum(-1) / input.shape[-1], reduction)


def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Σ over the wrong classes of max(0, margin - input[target] + input)^p / C; p is 1 or 2.

    input (N, C) or (C,), target class indices (N,) or (), weight (C,) a factor per target class.
    """
    reduction = reduction_of(reduction, size_average, reduce)
    if p not in (1, 2):
        raise ValueError("only p == 1 and p == 2 supported")
    if weight is not None and weight.ndim != 1:
        raise ValueError("weight must be one-dimensional")
    rows, classes = _rows_with_targets(input, target)
    behind = (margin - gather(rows, 1, classes) + rows).clamp_min(0)
    behind = behind if p == 1 else behind * behind
    wrong = np.arange(rows.shape[1]) != classes.array
    loss = (behind * Tensor(wrong.astype(input.dtype))).sum(1) / rows.shape[1]
    if weight is not None:
        loss = loss * weight[classes.reshape(-1)]
    return reduced(loss if target.ndim else loss.reshape(()), reduction)


def _rows_with_targets(input: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """(N, C) and class indices (N, 1); RuntimeError for other shapes, classes out of range."""
    rows = input.reshape(1, -1) if input.ndim < 2 else input
    if rows.ndim != 2 or rows.shape[1] == 0:
        raise RuntimeError(
            f"Expected non-empty vector or matrix with optional 0-dim batch size, but got: "
            f"{list(input.shape)}"
        )
    if target.ndim > 1 or target.numel() != len(rows):
        raise RuntimeError(f"inconsistent target size, expected {len(rows)} but got {target.shape}")
    if ((target.array < 0) | (target.array >= rows.shape[1])).any():
        raise RuntimeError("target out of range")
    return rows, target.reshape(-1, 1)


def multilabel_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Σ over right classes r and wrong ones w of max(0, 1 - input[r] + input[w]) / C.

    input (N, C) or (C,); target of the same shape: the right classes of a row, then -1.
    """
    reduction = reduction_of(reduction, size_average, reduce)
    if input.ndim > 2 or input.shape[-1:] == (0,):
        raise RuntimeError(
            "Expected non-empty vector or matrix with optional 0-dim batch size, but got: "
            f"{list(input.shape)}"
        )
    if target.dtype != np.int64:
        raise RuntimeError(f"expected scalar type Long but found {dtype_name(target)}")
    if target.shape != input.shape:
        raise RuntimeError(
            f"inconsistent target size: {list(target.shape)} for input of size: {list(input.shape)}"
        )
    rows = input if input.ndim == 2 else input.reshape(1, -1)
    labels = target.array.reshape(rows.shape)
    listed = np.logical_and.accumulate(labels >= 0, axis=1)
    labels = np.where(listed, labels, 0)
    right = np.zeros(rows.shape, np.bool_)
    np.logical_or.at(right, (np.arange(len(rows))[:, None], labels), listed)
    behind = 1 - gather(rows, 1, Tensor(labels)).unsqueeze(2) + rows.unsqueeze(1)
    counted = listed[:, :, None] & ~right[:, None, :]
    terms = behind.clamp_min(0) * Tensor(counted.astype(input.dtype))
    loss = terms.sum((1, 2)) / rows.shape[1]
    return reduced(loss if input.ndim == 2 else loss.reshape(()), reduction)

"""Losses that measure how far tensors are apart, and similarities of vectors."""

from __future__ import annotations

import warnings

from ddp.autograd.ops import regression_loss as ops
from ddp.autograd.ops.arrange import broadcast_tensors
from ddp.autograd.tensor import Tensor
from ddp.nn.functional.losses import (
    as_same_size,
    dtype_name,
    reduced,
    reduction_of,
    weighted,
)


def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """|input - target|. Sizes that differ are broadcast, with a warning.

    `weight` is a factor per element, of the input's size; "mean" divides by the weights' sum.
    """
    reduction = reduction_of(reduction, size_average, reduce)
    one, other = as_same_size(input, target)
    loss = (one - other).abs()
    return reduced(loss, reduction) if weight is None else weighted(loss, input, weight, reduction)


def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    """d² / 2β where |d| < β, else |d| - β / 2 (arXiv:1504.08083)."""
    reduction = reduction_of(reduction, size_average, reduce)
    if beta < 0:
        raise RuntimeError("smooth_l1_loss does not support negative values for beta.")
    input, target = as_same_size(input, target)
    if beta == 0:
        return reduced((input - target).abs(), reduction)
    return ops.smooth_l1_loss(input, target, beta, reduction)


def huber_loss(
    input: Tensor,
    target: Tensor,
    reduction: str = "mean",
    delta: float = 1.0,
    weight: Tensor | None = None,
) -> Tensor:
    """d² / 2 where |d| < δ, else δ · (|d| - δ / 2). "mean" divides by the sum of the weights."""
    reduction = reduction_of(reduction, None, None)
    if delta <= 0:
        raise RuntimeError("huber_loss does not support non-positive values for delta.")
    pair = as_same_size(input, target)
    if weight is None:
        return ops.huber_loss(*pair, delta, reduction)
    return weighted(ops.huber_loss(*pair, delta, "none"), input, weight, reduction)


def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Cross entropy of probabilities with target probabilities of the same size.

    Logarithms count as -100 at least. `weight` is a factor per element and broadcasts.
    """
    reduction = reduction_of(reduction, size_average, reduce)
    if target.shape != input.shape:
        raise ValueError(
            f"Using a target size ({target.shape}) that is different to the input size "
            f"({input.shape}) is deprecated. Please ensure they have the same size."
        )
    if target.dtype != input.dtype:
        raise RuntimeError(f"Found dtype {dtype_name(target)} but expected {dtype_name(input)}")
    for name, tensor in (("input", input), ("target", target)):
        if not ((tensor.array >= 0) & (tensor.array <= 1)).all():
            raise RuntimeError(f"all elements of {name} should be between 0 and 1")
    return ops.binary_cross_entropy(input, target, weight, reduction)


def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """target · (log target - input), the input being log-probabilities; "batchmean" divides by N.

    With `log_target` the target is given as its logarithm.
    """
    if reduction != "batchmean" or size_average is not None or reduce is not None:
        reduction = reduction_of(reduction, size_average, reduce)
    if reduction == "mean":
        warnings.warn(
            "reduction: 'mean' divides the total loss by both the batch size and the support size."
            "'batchmean' divides only by the batch size, and aligns with the KL div math "
            "definition.'mean' will be changed to behave the same as 'batchmean' in the next major "
            "release.",
            stacklevel=2,
        )
    loss = target.exp() * (target - input) if log_target else ops.x_log_x(target) - target * input
    if reduction == "batchmean":
        return loss.sum() / input.shape[0] if input.ndim else loss.sum()
    return reduced(loss, reduction)


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """x1 · x2 / (max(|x1|, eps) · max(|x2|, eps)) along `dim`."""
    x1, x2 = broadcast_tensors(x1, x2)
    scale = x1.norm(2, dim, True).clamp_min(eps), x2.norm(2, dim, True).clamp_min(eps)
    return ((x1 / scale[0]) * (x2 / scale[1])).sum(dim)


def pairwise_distance(
    x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Tensor:
    """The p-norm of x1 - x2 + eps along the last axis."""
    return (x1 - x2 + eps).norm(p, -1, keepdim)


def normalize(input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Tensor:
    """input / max(its p-norm along `dim`, eps)."""
    return input / input.norm(p, dim, True).clamp_min(eps).expand_as(input)

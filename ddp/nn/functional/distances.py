"""Losses that measure how far tensors are apart, and similarities of vectors."""

from __future__ import annotations

import warnings

from ddp.autograd.ops import regression_loss as ops
from ddp.autograd.ops.arrange import broadcast_tensors
from ddp.autograd.ops.select import where
from ddp.autograd.tensor import Tensor
from ddp.nn.functional.losses import as_same_size, check_reduction, dtype_name


def reduced(loss: Tensor, reduction: str) -> Tensor:
    """The mean or the sum of the values, or the values themselves."""
    if reduction == "none":
        return loss
    return loss.mean() if reduction == "mean" else loss.sum()


def l1_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """|input - target|. Sizes that differ are broadcast, with a warning."""
    check_reduction(reduction)
    input, target = as_same_size(input, target)
    return reduced((input - target).abs(), reduction)


def smooth_l1_loss(
    input: Tensor, target: Tensor, reduction: str = "mean", beta: float = 1.0
) -> Tensor:
    """d² / 2β where |d| < β, else |d| - β / 2 (arXiv:1504.08083)."""
    check_reduction(reduction)
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
    check_reduction(reduction)
    if delta <= 0:
        raise RuntimeError("huber_loss does not support non-positive values for delta.")
    pair = as_same_size(input, target)
    if weight is None:
        return ops.huber_loss(*pair, delta, reduction)
    if weight.shape != input.shape:
        raise ValueError("Weights and input must have the same size.")
    loss = ops.huber_loss(*pair, delta, "none") * weight
    return loss.sum() / weight.sum() if reduction == "mean" else reduced(loss, reduction)


def binary_cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None = None, reduction: str = "mean"
) -> Tensor:
    """Cross entropy of probabilities with target probabilities of the same size.

    Logarithms count as -100 at least. `weight` is a factor per element and broadcasts.
    """
    check_reduction(reduction)
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
    input: Tensor, target: Tensor, reduction: str = "mean", log_target: bool = False
) -> Tensor:
    """target · (log target - input), the input being log-probabilities; "batchmean" divides by N.

    With `log_target` the target is given as its logarithm.
    """
    if reduction != "batchmean":
        check_reduction(reduction)
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


def cosine_embedding_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, reduction: str = "mean"
) -> Tensor:
    """1 - cos where the target is 1, max(0, cos - margin) where it is -1; cos along the last axis.

    Inputs (N, D) with a target (N,), or (D,) with ().
    """
    check_reduction(reduction)
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
    reduction: str = "mean",
) -> Tensor:
    """max(0, margin + |anchor - positive| - |anchor - negative|), distances in the p-norm.

    With `swap` the negative's distance is the smaller of those to anchor and positive.
    """
    check_reduction(reduction)
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    near = pairwise_distance(anchor, positive, p, eps)
    far = pairwise_distance(anchor, negative, p, eps)
    if swap:
        far = far.minimum(pairwise_distance(positive, negative, p, eps))
    return reduced((near - far + margin).clamp_min(0), reduction)


def margin_ranking_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, reduction: str = "mean"
) -> Tensor:
    """max(0, margin - target · (input1 - input2)) for targets 1 and -1."""
    check_reduction(reduction)
    if not input1.ndim == input2.ndim == target.ndim:
        raise RuntimeError(
            "margin_ranking_loss : All input tensors should have same dimension but got sizes: "
            f"input1: {input1.shape}, input2: {input2.shape}, target: {target.shape} "
        )
    return reduced((-target * (input1 - input2) + margin).clamp_min(0), reduction)

"""Loss functions: argument checks in PyTorch's words, then the fused operations."""

from __future__ import annotations

import math
import warnings

import numpy as np

from ddp.autograd.dtypes import message_name, promote_types
from ddp.autograd.node import Array
from ddp.autograd.ops import loss as ops
from ddp.autograd.ops.arrange import broadcast_shapes
from ddp.autograd.ops.broadcast import to
from ddp.autograd.ops.shape import expand
from ddp.autograd.ops.softmax import log_softmax
from ddp.autograd.tensor import Tensor


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Cross entropy of softmax(input) with `target`.

    input: logits (N, C, ...) or (C,). target: class indices (N, ...) or (), int64 or uint8, or
    probabilities of the input's shape and a floating dtype. weight: (C,), a factor per class.
    Rows whose class is `ignore_index` count for nothing. "mean" divides by the sum of the targets'
    class weights, for probabilities by the number of rows. Raises IndexError for a class out of
    range, ValueError and RuntimeError for sizes and dtypes that do not fit.
    """
    if weight is None and reduction == "mean" and label_smoothing == 0.0 and ignore_index < 0:
        x, t = input.array, target.array
        fits = x.ndim == 2 and x.dtype.kind == "f" and t.shape == (len(x),)
        if fits and t.size and t.dtype == np.int64:
            return ops.mean_cross_entropy(input, t, ignore_index)
    reduction = reduction_of(reduction, size_average, reduce)
    if not 0.0 <= label_smoothing <= 1.0:
        raise RuntimeError(f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}")
    if target.shape == input.shape:
        if ignore_index >= 0:
            raise RuntimeError("ignore_index is not supported for floating point target")
        return _cross_entropy_of_probabilities(input, target, weight, reduction, label_smoothing)
    indices, factors = _class_indices(input, target), _class_weight(input, weight)
    return ops.cross_entropy(input, indices, factors, ignore_index, reduction, label_smoothing)


def _cross_entropy_of_probabilities(
    input: Tensor, target: Tensor, weight: Tensor | None, reduction: str, label_smoothing: float
) -> Tensor:
    """A composition, so that the gradient reaches the target too."""
    if not target.is_floating_point():
        raise RuntimeError(
            "Expected floating point type for target with class probabilities, got "
            f"{dtype_name(target)}"
        )
    axis = min(1, input.ndim - 1)
    if label_smoothing:
        target = target * (1 - label_smoothing) + label_smoothing / input.shape[axis]
    if weight is not None:
        shape = [1] * input.ndim
        shape[axis] = -1
        target = target * weight.reshape(*shape)
    loss = -(log_softmax(input, axis) * target).sum(axis)
    if reduction == "none":
        return loss
    if reduction == "sum":
        return loss.sum()
    return loss.sum() / (loss.numel() if input.numel() else math.nan)  # the mean of nothing


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """-input[target], the input being log-probabilities (N, C, ...); else as `cross_entropy`."""
    reduction = reduction_of(reduction, size_average, reduce)
    if input.ndim == 0:
        raise ValueError("Expected 1 or more dimensions (got 0)")
    if input.ndim == 1 and target.numel() != 1:
        raise ValueError(
            f"For 1D input, 1D target must have size 1, but got target size: {target.numel()}"
        )
    indices, factors = _class_indices(input, target), _class_weight(input, weight)
    return ops.nll_loss(input, indices, factors, ignore_index, reduction)


def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """(input - target)². Sizes that differ are broadcast, with a warning.

    `weight` is a factor per element, of the input's size; "mean" divides by the weights' sum.
    """
    reduction = reduction_of(reduction, size_average, reduce)
    if weight is not None:
        loss = ops.mse_loss(*as_same_size(input, target), "none")
        return weighted(loss, input, weight, reduction)
    return ops.mse_loss(*as_same_size(input, target), reduction)


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """Cross entropy of sigmoid(input) with target probabilities of the same size.

    `weight` is a factor per element, `pos_weight` one on the positive term; both broadcast. "mean"
    divides by the number of elements whatever the weights.
    """
    reduction = reduction_of(reduction, size_average, reduce)
    if target.shape != input.shape:
        raise ValueError(
            f"Target size ({target.shape}) must be the same as input size ({input.shape})"
        )
    if not target.is_floating_point():
        raise RuntimeError(
            f"result type Float can't be cast to the desired output type {dtype_name(target)}"
        )
    return ops.binary_cross_entropy_with_logits(input, target, weight, pos_weight, reduction)


def reduction_of(reduction: str, size_average: bool | None, reduce: bool | None) -> str:
    """Which reduction the three arguments mean: the old two, where given, say it with a warning.

    Raises ValueError unless it is "none", "mean" or "sum".
    """
    if size_average is not None or reduce is not None:
        averaged = size_average is None or size_average
        reduction = ("mean" if averaged else "sum") if reduce is None or reduce else "none"
        warnings.warn(
            "size_average and reduce args will be deprecated, please use "
            f"reduction='{reduction}' instead.",
            stacklevel=3,
        )
    if reduction not in ops.REDUCTIONS:
        raise ValueError(f"{reduction} is not a valid value for reduction")
    return reduction


def reduced(loss: Tensor, reduction: str) -> Tensor:
    """The mean or the sum of the values, or the values themselves."""
    if reduction == "none":
        return loss
    return loss.mean() if reduction == "mean" else loss.sum()


def weighted(loss: Tensor, input: Tensor, weight: Tensor, reduction: str) -> Tensor:
    """The reduction of a loss times a factor per element; "mean" divides by their sum."""
    if weight.shape != input.shape:
        raise ValueError("Weights and input must have the same size.")
    loss = loss * weight
    return loss.sum() / weight.sum() if reduction == "mean" else reduced(loss, reduction)


def dtype_name(tensor: Tensor) -> str:
    """What PyTorch calls the dtype in its messages."""
    return message_name(tensor.dtype)


def _class_indices(input: Tensor, target: Tensor) -> Array:
    """The target as int64, checked against the input's shape; its range is checked later."""
    if input.ndim == 0:
        raise IndexError("Dimension out of range (expected to be in range of [-1, 0], but got 1)")
    if input.ndim == 1 and target.shape == (1,):
        target = target.reshape(())
    expected = (input.shape[0], *input.shape[2:]) if input.ndim > 1 else ()
    if input.ndim > 1 and target.shape[:1] != expected[:1]:
        raise ValueError(
            f"Expected input batch_size ({input.shape[0]}) to match target batch_size "
            f"({target.shape[0] if target.ndim else 0})."
        )
    if input.ndim == 2 and target.ndim > 1:
        raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
    if target.shape != expected:
        raise RuntimeError(f"Expected target size {list(expected)}, got {list(target.shape)}")
    if target.dtype not in (np.int64, np.uint8):
        raise RuntimeError(
            f"expected target dtype to be Long or Byte, but got {dtype_name(target)}"
        )
    return target.array.astype(np.int64, copy=False)


def _class_weight(input: Tensor, weight: Tensor | None) -> Array | None:
    classes = input.shape[min(1, input.ndim - 1)]
    if weight is None:
        return None
    if weight.shape != (classes,):
        raise RuntimeError(
            f"weight tensor should be defined either for all {classes} classes or no classes but "
            f"got weight tensor of shape: {list(weight.shape)}"
        )
    if weight.dtype != input.dtype:
        raise RuntimeError(
            f"expected scalar type {dtype_name(input)} but found {dtype_name(weight)}"
        )
    return weight.array


def as_same_size(input: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Both in their common shape, with a warning unless it was the same; and in one dtype."""
    if input.shape != target.shape:
        warnings.warn(
            f"Using a target size ({target.shape}) that is different to the input size "
            f"({input.shape}). This will likely lead to incorrect results due to broadcasting. "
            "Please ensure they have the same size.",
            stacklevel=3,
        )
        shape = broadcast_shapes(input.shape, target.shape)
        input, target = expand(input, shape), expand(target, shape)
    dtype = promote_types(input.dtype, target.dtype)
    return to(input, dtype), to(target, dtype)

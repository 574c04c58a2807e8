"""Fully connected layers as functions."""

from __future__ import annotations

import math

from ddp.autograd.node import Array
from ddp.autograd.ops import linear as ops
from ddp.autograd.ops.einsum import einsum
from ddp.autograd.ops.shape import unsafe_view
from ddp.autograd.tensor import Tensor
from ddp.nn.functional.losses import dtype_name
from ddp.nn.functional.sizes import by


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x @ weightᵀ + bias: (..., K), (M, K), (M,) → (..., M)."""
    if bias is not None and _fits(input.array, weight.array, bias.array):
        return ops.linear(input, weight, bias)
    if input.ndim == 0 or weight.ndim == 0:
        raise RuntimeError(
            f"both arguments to linear need to be at least 1D, but they are {input.ndim}D and "
            f"{weight.ndim}D"
        )
    if weight.ndim != 2:
        return _products(input, weight, bias)
    if input.shape[-1:] != weight.shape[-1:]:
        rows = (input.numel() // max(input.shape[-1], 1), input.shape[-1]) if input.shape else ()
        raise RuntimeError(
            f"mat1 and mat2 shapes cannot be multiplied ({by(rows)} and {by(weight.shape[::-1])})"
        )
    if input.dtype != weight.dtype:
        raise RuntimeError(
            "mat1 and mat2 must have the same dtype, but got "
            f"{dtype_name(input)} and {dtype_name(weight)}"
        )
    if bias is not None:
        _check_bias(input, weight, bias)
    if bias is not None and bias.shape != weight.shape[:1]:
        return input @ weight.t() + bias
    if input.ndim != 2:
        rows_of = input.reshape(math.prod(input.shape[:-1]), input.shape[-1])
        rows_out = linear(rows_of, weight, bias)
        return unsafe_view(rows_out, (*input.shape[:-1], weight.shape[0]))
    return input.mm(weight.t()) if bias is None else ops.linear(input, weight, bias)


def _fits(x: Array, w: Array, b: Array) -> bool:
    """Whether these are rows, a matrix and a bias of one dtype: as nearly always."""
    return (
        x.ndim == w.ndim == 2
        and b.ndim == 1
        and len(b) == len(w)
        and x.shape[1] == w.shape[1]
        and x.dtype is w.dtype is b.dtype
    )


def _products(input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """`weight` (K,) gives one product per row, without an axis for it; more axes are refused."""
    if weight.ndim != 1 or bias is not None:
        raise RuntimeError(f"linear(): mat2 must be a matrix, got {weight.ndim}-D tensor")
    return input @ weight


def _check_bias(input: Tensor, weight: Tensor, bias: Tensor) -> None:
    if bias.dtype != input.dtype:
        raise RuntimeError(
            "self and mat2 must have the same dtype, but got "
            f"{dtype_name(bias)} and {dtype_name(input)}"
        )
    output = (*input.shape[:-1], weight.shape[0])
    fits = bias.ndim <= len(output) and all(
        n in (1, m) for n, m in zip(bias.shape[::-1], output[::-1], strict=False)
    )
    if not fits:
        raise RuntimeError(
            f"The expanded size of the tensor {list(output)} must match the bias's size "
            f"{list(bias.shape)}"
        )


def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """input1ᵀ @ weight[o] @ input2 + bias[o] for every output o.

    (..., I), (..., J), weight (O, I, J), bias (O,) → (..., O). Raises RuntimeError for sizes that
    do not fit.
    """
    if input1.shape[:-1] != input2.shape[:-1]:
        raise RuntimeError(
            f"bilinear(): input batch dimensions do not match: {list(input1.shape)} and "
            f"{list(input2.shape)}"
        )
    if (input1.shape[-1], input2.shape[-1]) != weight.shape[1:]:
        raise RuntimeError(
            f"bilinear(): input sizes {input1.shape[-1]} and {input2.shape[-1]} do not match "
            f"weight size: {list(weight.shape)}"
        )
    y = einsum("...i,oij,...j->...o", input1, weight, input2)
    return y if bias is None else y + bias

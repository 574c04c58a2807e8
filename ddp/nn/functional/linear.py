"""Fully connected layers as functions."""

from __future__ import annotations

from ddp.autograd.ops.linear import addmm
from ddp.autograd.tensor import Tensor
from ddp.nn.functional.losses import dtype_name
from ddp.nn.functional.sizes import by


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x @ weightᵀ + bias: (..., K), (M, K), (M,) → (..., M)."""
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
    if input.ndim != 2:
        rows_of = input.reshape(-1, input.shape[-1])
        return linear(rows_of, weight, bias).reshape(*input.shape[:-1], weight.shape[0])
    return input.mm(weight.t()) if bias is None else addmm(bias, input, weight.t())

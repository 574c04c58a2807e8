"""Attention as functions."""

from __future__ import annotations

import math

import numpy as np

from ddp.autograd.ops import attention as attention_op
from ddp.autograd.tensor import Tensor
from ddp.nn.functional.losses import dtype_name


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """softmax(query @ keyᵀ · scale + mask) @ value: (..., L, E), (..., S, E), (..., S, Ev).

    `attn_mask` broadcasts to (..., L, S): bools say who may be looked at, numbers are added.
    `is_causal` lets query i look at keys 0 … i. `scale` is 1 / √E by default. With `enable_gqa`
    query heads (axis -3) share key and value heads in groups. `dropout_p` is applied always.
    """
    _check_operands(query, key, value)
    if is_causal and attn_mask is not None:
        raise RuntimeError(
            "_scaled_dot_product_attention: Explicit attn_mask should not be set when "
            "is_causal=True"
        )
    if enable_gqa:
        return _grouped(query, key, value, attn_mask, dropout_p, is_causal, scale)
    bias = allowed = None
    if attn_mask is not None and attn_mask.dtype == np.bool_:
        allowed = attn_mask.array
    elif attn_mask is not None:
        bias = attn_mask.to(query.dtype)
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    return attention_op.attention(query, key, value, bias, allowed, is_causal, scale, dropout_p)


def _check_operands(query: Tensor, key: Tensor, value: Tensor) -> None:
    if not query.dtype == key.dtype == value.dtype:
        raise RuntimeError(
            "Expected query, key, and value to have the same dtype, but got query.dtype: "
            f"{dtype_name(query)} key.dtype: {dtype_name(key)} and value.dtype: "
            f"{dtype_name(value)} instead."
        )
    if min(query.ndim, key.ndim, value.ndim) < 2:
        raise RuntimeError(
            "Expected query, key, and value to all be  at least 2 dimensional, but got query.dim: "
            f"{query.ndim}, key.dim: {key.ndim} and value.dim: {value.ndim} instead."
        )
    if query.shape[-1] != key.shape[-1] or key.shape[-2] != value.shape[-2]:
        raise RuntimeError(
            "expected query (..., L, E), key (..., S, E) and value (..., S, Ev), but got shapes "
            f"{list(query.shape)}, {list(key.shape)} and {list(value.shape)}"
        )


def _grouped(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None,
    dropout_p: float,
    is_causal: bool,
    scale: float | None,
) -> Tensor:
    """Each key head serves the query heads of its group, side by side."""
    heads, shared = query.shape[-3], key.shape[-3]
    if heads % shared or value.shape[-3] != shared:
        raise RuntimeError(
            "Number of heads in key and value must be equal and divide the number of heads in "
            f"query, but got {shared}, {value.shape[-3]} and {heads}"
        )
    grouped = query.reshape(*query.shape[:-3], shared, heads // shared, *query.shape[-2:])
    if attn_mask is not None and attn_mask.ndim > 2:
        mask_heads = (1, 1) if attn_mask.shape[-3] == 1 else (shared, heads // shared)
        attn_mask = attn_mask.reshape(*attn_mask.shape[:-3], *mask_heads, *attn_mask.shape[-2:])
    key, value = key.unsqueeze(-3), value.unsqueeze(-3)
    output = scaled_dot_product_attention(
        grouped, key, value, attn_mask, dropout_p, is_causal, scale
    )
    return output.reshape(*query.shape[:-1], value.shape[-1])

"""Multi-head attention (Vaswani et al., arXiv:1706.03762, section 3.2.2)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ddp.autograd.ops.join import cat
from ddp.autograd.random import RandomSource
from ddp.autograd.tensor import Tensor
from ddp.nn import functional as F
from ddp.nn.factory import Factory
from ddp.nn.init import constant_, xavier_normal_, xavier_uniform_
from ddp.nn.layers import Linear
from ddp.nn.module import Module
from ddp.nn.parameter import Parameter


class NonDynamicallyQuantizableLinear(Linear):
    """`Linear`, under the name PyTorch prints for attention's output projection."""


class MultiheadAttention(Module):
    """Attention in `num_heads` heads of embed_dim / num_heads features each.

    in_proj_weight: (3 · embed_dim, embed_dim) stacks the projections of query, key and value; with
    other `kdim` or `vdim` they are q_proj_weight, k_proj_weight and v_proj_weight. Masks: bools are
    True where one may *not* look, numbers are added to the scores.
    """

    in_proj_weight: Parameter | None
    in_proj_bias: Parameter | None
    bias_k: Parameter | None
    bias_v: Parameter | None

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        generator: RandomSource | None = None,
    ) -> None:
        super().__init__()
        if embed_dim <= 0 or num_heads <= 0:
            raise ValueError(
                "embed_dim and num_heads must be greater than 0, got "
                f"embed_dim={embed_dim} and num_heads={num_heads} instead"
            )
        if embed_dim % num_heads:
            raise AssertionError("embed_dim must be divisible by num_heads")
        self.embed_dim = embed_dim
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        self.num_heads = num_heads
        self.head_dim = embed_dim // num_heads
        self.dropout = dropout
        self.batch_first = batch_first
        self.add_zero_attn = add_zero_attn
        new = Factory(device, dtype)
        self._add_projections(bias, new)
        self.out_proj = NonDynamicallyQuantizableLinear(
            embed_dim, embed_dim, bias, device, dtype, generator=generator
        )
        for name in ("bias_k", "bias_v"):
            value = Parameter(new.empty(1, 1, embed_dim)) if add_bias_kv else None
            self.register_parameter(name, value)
        self._reset_parameters(generator)

    def _add_projections(self, bias: bool, new: Factory) -> None:
        """PyTorch's registrations, None where a kind of projection is not used."""
        size = self.embed_dim
        shapes = {"q_proj_weight": size, "k_proj_weight": self.kdim, "v_proj_weight": self.vdim}
        packed = self.kdim == self.vdim == size
        if packed:
            self.in_proj_weight = Parameter(new.empty(3 * size, size))
        for name, width in shapes.items():
            self.register_parameter(name, None if packed else Parameter(new.empty(size, width)))
        if not packed:
            self.register_parameter("in_proj_weight", None)
        self.register_parameter("in_proj_bias", Parameter(new.empty(3 * size)) if bias else None)

    def _reset_parameters(self, generator: RandomSource | None = None) -> None:
        names = ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight")
        for name in names:
            if (weight := self._parameters[name]) is not None:
                xavier_uniform_(weight, generator=generator)
        if self.in_proj_bias is not None:
            constant_(self.in_proj_bias, 0.0)
            assert self.out_proj.bias is not None
            constant_(self.out_proj.bias, 0.0)
        for added in (self.bias_k, self.bias_v):
            if added is not None:
                xavier_normal_(added, generator=generator)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """(L, N, E), (S, N, kdim), (S, N, vdim) → (L, N, E) and the weights (N, L, S) or None.

        With `batch_first` N comes first; without a batch there is no N. `key_padding_mask` is
        (N, S), `attn_mask` (L, S) or (N · heads, L, S). `is_causal` only says that `attn_mask` is
        causal. Weights are averaged over the heads, or (N, heads, L, S).
        """
        if is_causal and attn_mask is None:
            raise RuntimeError(
                "Need attn_mask if specifying the is_causal hint. You may use the Transformer "
                "module method `generate_square_subsequent_mask` to create this mask."
            )
        if query.ndim not in (2, 3):
            raise AssertionError(
                "query should be unbatched 2D or batched 3D tensor but received "
                f"{query.ndim}-D query tensor"
            )
        batched = query.ndim == 3
        axis = 0 if self.batch_first or not batched else 1
        q, k, v = (x if batched else x.unsqueeze(0) for x in (query, key, value))
        if batched and not self.batch_first:
            q, k, v = (x.transpose(0, 1) for x in (q, k, v))
        if key_padding_mask is not None and not batched:
            key_padding_mask = key_padding_mask.unsqueeze(0)
        output, weights = self._attend(q, k, v, key_padding_mask, attn_mask, need_weights)
        if weights is not None and average_attn_weights:
            weights = weights.mean(1)
        if not batched:
            return output[0], None if weights is None else weights[0]
        return output if axis == 0 else output.transpose(0, 1), weights

    def _attend(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None,
        attn_mask: Tensor | None,
        need_weights: bool,
    ) -> tuple[Tensor, Tensor | None]:
        """(N, L, E), (N, S, kdim), (N, S, vdim) → (N, L, E), weights (N, heads, L, S) or None."""
        batch, length, size = query.shape
        q, k, v = self._project(query, key, value)
        if self.bias_k is not None and self.bias_v is not None:
            k = cat([k, self.bias_k.expand(batch, 1, size)], 1)
            v = cat([v, self.bias_v.expand(batch, 1, size)], 1)
        if self.add_zero_attn:
            zeros = Tensor(np.zeros((batch, 1, size), k.dtype))
            k, v = cat([k, zeros], 1), cat([v, zeros], 1)
        added_keys = k.shape[1] - key.shape[1]
        mask = self._merged_mask(key_padding_mask, attn_mask, (batch, length, key.shape[1]))
        if mask is not None and added_keys:
            mask = F.pad(mask, (0, added_keys))
        q, k, v = (self._split_heads(x) for x in (q, k, v))
        dropout_p = self.dropout if self.training else 0.0
        weights = None
        if need_weights:
            output, weights = _attention_with_weights(q, k, v, mask, dropout_p)
        else:
            output = F.scaled_dot_product_attention(q, k, v, mask, dropout_p)
        output = output.transpose(1, 2).reshape(batch, length, size)
        return self.out_proj(output), weights

    def _split_heads(self, x: Tensor) -> Tensor:
        """(N, S, E) → (N, heads, S, E / heads)."""
        return x.reshape(*x.shape[:2], self.num_heads, self.head_dim).transpose(1, 2)

    def _project(self, query: Tensor, key: Tensor, value: Tensor) -> Any:
        """The three projections; one product where query, key and value are the same tensor."""
        weights: Any
        if self.in_proj_weight is None:
            weights = self.q_proj_weight, self.k_proj_weight, self.v_proj_weight
        elif query is key and key is value:
            return F.linear(query, self.in_proj_weight, self.in_proj_bias).chunk(3, -1)
        else:
            weights = self.in_proj_weight.chunk(3)
        biases = [None] * 3 if self.in_proj_bias is None else self.in_proj_bias.chunk(3)
        inputs = zip((query, key, value), weights, biases, strict=True)
        return [F.linear(x, w, b) for x, w, b in inputs]

    def _merged_mask(
        self, padding: Tensor | None, mask: Tensor | None, shape: tuple[int, int, int]
    ) -> Tensor | None:
        """Both masks as one to be added, which broadcasts to (N, heads, L, S)."""
        batch, length, keys = shape
        merged = None
        if mask is not None:
            stacked = (batch * self.num_heads, length, keys)
            if mask.ndim not in (2, 3):
                raise RuntimeError(f"attn_mask's dimension {mask.ndim} is not supported")
            expected = stacked[1:] if mask.ndim == 2 else stacked
            if mask.shape != expected:
                raise RuntimeError(
                    f"The shape of the {mask.ndim}D attn_mask is {mask.shape}, but should be "
                    f"{expected}."
                )
            merged = _additive(mask)
            if mask.ndim == 3:
                merged = merged.reshape(batch, self.num_heads, length, keys)
        if padding is not None:
            if padding.shape != (batch, keys):
                raise AssertionError(
                    f"expected key_padding_mask of shape {(batch, keys)}, got {padding.shape}"
                )
            additive = _additive(padding).reshape(batch, 1, 1, keys)
            merged = additive if merged is None else merged + additive
        return merged


def _additive(mask: Tensor) -> Tensor:
    """A mask of bools, True where one may not look, as numbers to add."""
    if mask.dtype != np.bool_:
        return mask
    return Tensor(np.where(mask.array, np.float32(-np.inf), np.float32(0)))


def _attention_with_weights(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, dropout_p: float
) -> tuple[Tensor, Tensor]:
    """softmax(q @ kᵀ / √E + mask) @ v, and the weights, after dropout as in PyTorch."""
    scores = (q * math.sqrt(1.0 / q.shape[-1])) @ k.mT
    if mask is not None:
        scores = scores + mask.to(scores.dtype)
    weights = F.dropout(F.softmax(scores, -1), dropout_p)
    return weights @ v, weights

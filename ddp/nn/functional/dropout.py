"""Dropout as functions."""

from __future__ import annotations

import warnings

from ddp.autograd.dtypes import message_name
from ddp.autograd.ops import dropout as dropout_op
from ddp.autograd.random import RandomSource, current_generator
from ddp.autograd.tensor import Tensor


def check_dropout_probability(p: float) -> None:
    """Raise ValueError unless 0 ≤ p ≤ 1."""
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")


def dropout(
    input: Tensor,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    generator: RandomSource | None = None,
) -> Tensor:
    """Zero each element with probability `p` and scale the others by 1 / (1 - p).

    The mask is drawn from `generator`, by default the thread's `current_generator()`; nothing is
    drawn when `p` is 0 or 1 or outside of training. `inplace` is accepted and changes nothing.
    """
    check_dropout_probability(p)
    if not training or p == 0 or input.numel() == 0:
        return input
    return input * 0 if p == 1 else dropout_op.dropout(input, p, generator)


def dropout1d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Zero whole channels of (N, C, L) or (C, L)."""
    if input.ndim not in (2, 3):
        raise RuntimeError(
            f"dropout1d: Expected 2D or 3D input, but received a {input.ndim}D input. Note that "
            "dropout1d exists to provide channel-wise dropout on inputs with 1 spatial dimension, "
            "a channel dimension, and an optional batch dimension (i.e. 2D or 3D inputs)."
        )
    if input.ndim == 2:
        return dropout1d(input.unsqueeze(0), p, training, inplace)[0]
    return _channel_dropout(input, p, training)


def dropout2d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Zero whole channels of (N, C, H, W). (N, C, L) is taken as it is, with a warning."""
    if input.ndim not in (3, 4):
        warnings.warn(
            f"dropout2d: Received a {input.ndim}-D input to dropout2d, which is deprecated and "
            "will result in an error in a future release.",
            stacklevel=2,
        )
    if input.ndim == 3:
        warnings.warn(
            "dropout2d: Received a 3D input to dropout2d and assuming that channel-wise 1D dropout "
            "behavior is desired - input is interpreted as shape (N, C, L), where C is the channel "
            "dim.",
            stacklevel=2,
        )
    return _channel_dropout(input, p, training)


def _channel_dropout(input: Tensor, p: float, training: bool) -> Tensor:
    """Zero each (n, c) with probability `p`, and scale the others."""
    check_dropout_probability(p)
    if input.ndim < 2:
        raise RuntimeError("Feature dropout requires at least 2 dimensions in the input")
    if not training or p == 0 or input.numel() == 0:
        return input
    if p == 1:
        return input * 0
    if not input.is_floating_point():
        raise RuntimeError(
            "result type Float can't be cast to the desired output type "
            f"{message_name(input.dtype)}"
        )
    channels = (*input.shape[:2], *[1] * (input.ndim - 2))
    kept = current_generator().bernoulli(channels, 1.0 - p).astype(input.dtype)
    return input * Tensor(kept / input.dtype.type(1.0 - p))

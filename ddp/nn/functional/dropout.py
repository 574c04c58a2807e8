"""Dropout as functions."""

from __future__ import annotations

from ddp.autograd.ops import dropout as dropout_op
from ddp.autograd.random import RandomSource
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
    return input * 0.0 if p == 1 else dropout_op.dropout(input, p, generator)

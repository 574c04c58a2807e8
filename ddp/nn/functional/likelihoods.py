"""Negative log-likelihoods of distributions."""

from __future__ import annotations

import math

import numpy as np

from ddp.autograd.grad_mode import no_grad
from ddp.autograd.ops.select import where
from ddp.autograd.tensor import Tensor
from ddp.nn.functional.losses import reduced, reduction_of


def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    size_average: bool | None = None,
    eps: float = 1e-8,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """exp(input) - target · input; without `log_input`, input - target · log(input + eps).

    `full` adds Stirling's approximation of log(target!) where the target is over 1.
    """
    reduction = reduction_of(reduction, size_average, reduce)
    rate, log_rate = (input.exp(), input) if log_input else (input, (input + eps).log())
    loss = rate - target * log_rate
    if full:
        safe = target.clamp_min(1)  # whose terms are not used below 1, and have a logarithm
        stirling = safe * safe.log() - safe + (safe * (2 * math.pi)).log() * 0.5
        loss = loss + where(target > 1, stirling, Tensor(np.zeros((), target.dtype)))
    return reduced(loss, reduction)


def gaussian_nll_loss(
    input: Tensor,
    target: Tensor,
    var: Tensor | float,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:
    """(log var + (input - target)² / var) / 2, `var` being at least `eps`.

    `var` has the input's shape, or lacks its last axis or has length 1 there. `full` adds the
    constant log(2π) / 2. Raises ValueError for a negative variance.
    """
    if isinstance(var, (int, float)):
        var = Tensor(np.full(input.shape, var, input.dtype))
    if (var.array < 0).any():
        raise ValueError("var has negative entry/entries")
    if var.shape != input.shape:
        if input.shape[:-1] == var.shape:
            var = var.unsqueeze(-1)
        elif input.ndim != var.ndim or _differing(input, var) != 1:
            raise ValueError("var is of incorrect size")
    reduction = reduction_of(reduction, None, None)
    var = var.clone()
    with no_grad():  # the gradient of `var` is as if it had not been raised
        var.clamp_(min=eps)
    loss = (var.log() + (input - target) ** 2 / var) * 0.5
    if full:
        loss = loss + 0.5 * math.log(2 * math.pi)
    return reduced(loss, reduction)


def _differing(input: Tensor, var: Tensor) -> int:
    """The sizes of `var` along the axes on which it is not of the input's size, added up."""
    return sum(b for a, b in zip(input.shape, var.shape, strict=True) if a != b)

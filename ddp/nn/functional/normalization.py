"""Normalisation as functions."""

from __future__ import annotations

from ddp.autograd.ops.norm import batch_norm as normalise
from ddp.autograd.tensor import Tensor


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalise (N, C, ...) per channel, by the batch's statistics in training, else the running.

    In training the running statistics move by `momentum` towards the batch's (the variance towards
    the unbiased one), in place.
    """
    if not training:
        if running_mean is None or running_var is None:
            raise ValueError("expected running_mean and running_var when training=False")
        statistics = (running_mean.array, running_var.array)
        return normalise(input, weight, bias, statistics, eps)[0]
    values = input.numel() // max(input.shape[1], 1)
    if values <= 1:
        raise ValueError(
            f"Expected more than 1 value per channel when training, got input size {input.shape}"
        )
    output, mean, variance = normalise(input, weight, bias, None, eps)
    if running_mean is not None and running_var is not None:
        _move(running_mean, mean, momentum)
        _move(running_var, variance * (values / (values - 1)), momentum)
    return output


def _move(running: Tensor, value: object, momentum: float) -> None:
    running.array *= 1 - momentum
    running.array += momentum * value  # type: ignore[operator]
    running._version_cell[0] += 1

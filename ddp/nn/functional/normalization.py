"""Normalisation as functions."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ddp.autograd.ops import layer_norm as layer_norm_op
from ddp.autograd.ops.norm import batch_norm as normalise
from ddp.autograd.tensor import Tensor
from ddp.nn.functional.padding import pad
from ddp.nn.functional.pooling import avg_pool2d


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
    if input.numel() == 0 and input.ndim < 2:
        return input.clone()
    if not training:
        if running_mean is None or running_var is None:
            raise ValueError("expected running_mean and running_var when training=False")
        statistics = (running_mean.array, running_var.array)
        return normalise(input, weight, bias, statistics, eps)[0]
    if eps <= 0:
        raise ValueError(f"batch_norm eps must be positive during training, but got {eps}")
    values = math.prod((*input.shape[:1], *input.shape[2:]))
    if values == 0:
        return _of_nothing(input, weight, bias)
    if values == 1:
        raise ValueError(
            f"Expected more than 1 value per channel when training, got input size {input.shape}"
        )
    output, mean, variance = normalise(input, weight, bias, None, eps)
    if running_mean is not None and running_var is not None:
        _move(running_mean, mean, momentum)
        _move(running_var, variance * (values / (values - 1)), momentum)
    return output


def _of_nothing(input: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    """An empty (N, C, ...) as it is; gradients of weight and bias are 0."""
    channels = (1, -1, *[1] * (input.ndim - 2))
    if weight is not None:
        input = input * weight.reshape(channels)
    return input if bias is None else input + bias.reshape(channels)


def _move(running: Tensor, value: object, momentum: float) -> None:
    running.array *= 1 - momentum
    running.array += momentum * value  # type: ignore[operator]
    running._version_cell[0] += 1


def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Normalise over the last axes, whose sizes `normalized_shape` repeats (arXiv:1607.06450)."""
    shape = tuple(normalized_shape)
    if not shape:
        raise RuntimeError(
            "Expected normalized_shape to be at least 1-dimensional, i.e., containing at least one "
            "element, but got normalized_shape = []"
        )
    for name, tensor in (("weight", weight), ("bias", bias)):
        if tensor is not None and tensor.shape != shape:
            raise RuntimeError(
                f"Expected {name} to be of same shape as normalized_shape, but got {name} of shape "
                f"{list(tensor.shape)} and normalized_shape = {list(shape)}"
            )
    if input.shape[-len(shape) :] != shape:
        raise RuntimeError(
            f"Given normalized_shape={list(shape)}, expected input with shape "
            f"[*, {', '.join(map(str, shape))}], but got input of size{list(input.shape)}"
        )
    return layer_norm_op.layer_norm(input, len(shape), weight, bias, eps)


def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Normalise (N, C, ...) over each of `num_groups` groups of channels (arXiv:1803.08494)."""
    if input.ndim < 2:
        raise RuntimeError(
            f"Expected at least 2 dimensions for input tensor but received {input.ndim}"
        )
    channels = input.shape[1]
    if channels % num_groups:
        raise RuntimeError(
            "Expected number of channels in input to be divisible by num_groups, but got input of "
            f"shape {list(input.shape)} and num_groups={num_groups}"
        )
    for name, tensor in (("weight", weight), ("bias", bias)):
        if tensor is not None and tensor.shape != (channels,):
            raise RuntimeError(
                f"Expected {name} to be a vector of size equal to the number of channels in input, "
                f"but got {name} of shape {list(tensor.shape)} and input of shape "
                f"{list(input.shape)}"
            )
    if input.numel() == input.shape[0] * num_groups and input.shape[0] == 1:
        raise ValueError(
            f"Expected more than 1 value per channel when training, got input size {input.shape}"
        )
    if input.numel() == 0:
        return _of_nothing(input, weight, bias)
    return layer_norm_op.group_norm(input, num_groups, weight, bias, eps)


def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalise every channel of every sample of (N, C, ...) (arXiv:1607.08022).

    By its own statistics, or without `use_input_stats` by the running ones. With its own the
    running ones move by `momentum` towards the mean of the samples'. Computed as batch norm of one
    image of N · C channels.
    """
    if use_input_stats and math.prod(input.shape[2:]) == 1:
        raise ValueError(
            f"Expected more than 1 spatial element when training, got input size {input.shape}"
        )
    if not use_input_stats and (running_mean is None or running_var is None):
        raise ValueError(
            "Expected running_mean and running_var to be defined when use_input_stats=False"
        )
    samples, channels = input.shape[:2]
    if input.numel() == 0:
        return _of_nothing(input, weight, bias)
    image = input.reshape(1, samples * channels, *input.shape[2:])
    running = running_mean, running_var
    ours = [None if tensor is None else tensor.detach().repeat(samples) for tensor in running]
    w, b = (None if tensor is None else tensor.repeat(samples) for tensor in (weight, bias))
    output = batch_norm(image, ours[0], ours[1], w, b, use_input_stats, momentum, eps)
    for tensor, moved in zip(running, ours, strict=True):
        if use_input_stats and tensor is not None and moved is not None:
            tensor.array[...] = moved.array.reshape(samples, channels).mean(0)
            tensor._version_cell[0] += 1
    return output.reshape(input.shape)


def rms_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    eps: float | None = None,
) -> Tensor:
    """x / √(mean(x²) + eps) · weight over the last axes (arXiv:1910.07467).

    `eps` is the dtype's machine epsilon by default.
    """
    shape = tuple(normalized_shape)
    if not shape or input.shape[-len(shape) :] != shape:
        raise RuntimeError(
            f"Given normalized_shape={list(shape)}, expected input with shape "
            f"[*, {', '.join(map(str, shape))}], but got input of size{list(input.shape)}"
        )
    axes = tuple(range(-len(shape), 0))
    least = float(np.finfo(input.dtype).eps) if eps is None else eps
    x = input.float() if input.dtype == np.float16 else input  # a half's square soon overflows
    normal = (x * ((x * x).mean(axes, keepdim=True) + least).rsqrt()).to(input.dtype)
    return normal if weight is None else normal * weight


def local_response_norm(
    input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Tensor:
    """x / (k + alpha · m)^beta, m being the mean of x² over `size` neighbouring channels.

    (N, C, ...); channels beyond the first and the last count as 0.
    """
    if input.ndim < 3:
        raise ValueError(
            f"Expected 3D or higher dimensionality input (got {input.ndim} dimensions)"
        )
    if input.numel() == 0:
        return input
    squares = (input * input).reshape(input.shape[0], 1, input.shape[1], -1)
    around = pad(squares, (0, 0, size // 2, (size - 1) // 2))
    mean = avg_pool2d(around, (size, 1), 1).reshape(input.shape)
    return input / (mean * alpha + k) ** beta

"""Pooling as functions: arguments become a `Window`."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from ddp.autograd.ops import max_pool, pool
from ddp.autograd.ops.window import Pair, Window, window_on
from ddp.autograd.tensor import Tensor
from ddp.nn.functional.sizes import Size, along, image_size, pair, symmetric


def max_pool2d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The maximum of each window: (N, C, H, W) or (C, H, W). `stride` is the kernel by default.

    With `return_indices` also where each lies in its plane, as row · W + column (int64).
    """
    if input.array.ndim == 3:
        batch = input.unsqueeze(0)
        sizes = (kernel_size, stride, padding, dilation, ceil_mode)
        found = max_pool2d(batch, *sizes, return_indices)
        return tuple(part[0] for part in found) if return_indices else found[0]
    window = _pool_window(input, kernel_size, stride, padding, dilation, ceil_mode)
    maxima = max_pool.max_pool2d(input, window)
    return (maxima, max_pool.max_indices(input, maxima, window)) if return_indices else maxima


def avg_pool2d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of each window: (N, C, H, W) or (C, H, W). `stride` is the kernel by default.

    `divisor_override` divides the sum of each window in place of its size.
    """
    if divisor_override == 0:
        raise RuntimeError("divisor must be not zero")
    if input.ndim == 3:
        sizes = (kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)
        return avg_pool2d(input.unsqueeze(0), *sizes)[0]
    window = _pool_window(input, kernel_size, stride, padding, 1, ceil_mode)
    if divisor_override is not None:
        sizes_of_windows = np.full((*window.output, 1), divisor_override)
    else:
        counted = symmetric(pair(padding)) if count_include_pad else ((0, 0), (0, 0))
        sizes_of_windows = pool.window_sizes(window, counted)
    return pool.avg_pool2d(input, window, sizes_of_windows.astype(input.dtype))


def _pool_window(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None,
    padding: Size,
    dilation: Size,
    ceil_mode: bool,
) -> Window:
    kernel = pair(kernel_size)
    strides = kernel if stride is None or stride == () else pair(stride)
    pads, dilations = pair(padding), pair(dilation)
    window = _checked_window(image_size(input), kernel, strides, pads, dilations, ceil_mode)
    if min(window.output) < 1:
        raise RuntimeError(
            f"Given input size: {tuple(input.shape[1:])}. Calculated output size: "
            f"{(input.shape[1], *window.output)}. Output size is too small"
        )
    return window


@lru_cache(1024)
def _checked_window(
    image: Pair, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, ceil_mode: bool
) -> Window:
    _check_sizes(kernel, stride, padding, dilation)
    return window_on(image, kernel, stride, symmetric(padding), dilation, ceil_mode)


def _check_sizes(kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> None:
    for name, sizes in (("kernel size", kernel), ("stride", stride), ("dilation", dilation)):
        if min(sizes) < 1:
            raise RuntimeError(f"pooling: {name} must be greater than zero, but got {min(sizes)}")
    if min(padding) < 0:
        raise RuntimeError(f"pad must be non-negative, but got pad: {min(padding)}")
    reaches = (step * (size - 1) + 1 for step, size in zip(dilation, kernel, strict=True))
    if any(2 * pad > reach for pad, reach in zip(padding, reaches, strict=True)):
        raise RuntimeError(
            f"pad should be at most half of effective kernel size, but got pad={max(padding)}, "
            f"kernel_size={max(kernel)} and dilation={max(dilation)}"
        )


def max_pool1d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """`max_pool2d` of (N, C, L) or (C, L) as images of height 1."""
    if 0 in input.shape[-2:]:
        raise RuntimeError(f"max_pool1d: expected non-empty channels, got {list(input.shape)}")
    kernel, strides = along(kernel_size, 1), along(kernel_size if stride is None else stride, 1)
    sizes = (kernel, strides, along(padding), along(dilation, 1), ceil_mode)
    found = max_pool2d(as_images(input), *sizes, return_indices)
    return tuple(part.squeeze(-2) for part in found) if return_indices else found.squeeze(-2)


def max_pool1d_with_indices(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> tuple[Tensor, Tensor]:
    """`max_pool1d` with the indices, whatever `return_indices` says."""
    maxima, indices = max_pool1d(
        input, kernel_size, stride, padding, dilation, ceil_mode, return_indices=True
    )
    return maxima, indices


def max_pool2d_with_indices(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> tuple[Tensor, Tensor]:
    """`max_pool2d` with the indices, whatever `return_indices` says."""
    maxima, indices = max_pool2d(
        input, kernel_size, stride, padding, dilation, ceil_mode, return_indices=True
    )
    return maxima, indices


def avg_pool1d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """`avg_pool2d` of (N, C, L) or (C, L) as images of height 1."""
    kernel, strides = along(kernel_size, 1), along(kernel_size if stride is None else stride, 1)
    sizes = (kernel, strides, along(padding), ceil_mode, count_include_pad)
    return avg_pool2d(as_images(input), *sizes).squeeze(-2)


def lp_pool1d(
    input: Tensor,
    norm_type: float,
    kernel_size: Size,
    stride: Size | None = None,
    ceil_mode: bool = False,
) -> Tensor:
    """The `norm_type`-norm of each window of (N, C, L) or (C, L), signs counting."""
    sizes = (kernel_size, stride, 0)
    if math.isinf(norm_type):
        return _of_extreme(max_pool1d, input, norm_type, *sizes, 1, ceil_mode)
    mean = avg_pool1d(input.pow(norm_type), *sizes, ceil_mode)
    return _root(mean, along(kernel_size, 1)[1], norm_type)


def lp_pool2d(
    input: Tensor,
    norm_type: float,
    kernel_size: Size,
    stride: Size | None = None,
    ceil_mode: bool = False,
) -> Tensor:
    """The `norm_type`-norm of each window of (N, C, H, W) or (C, H, W), signs counting."""
    sizes = (kernel_size, stride, 0)
    if math.isinf(norm_type):
        return _of_extreme(max_pool2d, input, norm_type, *sizes, 1, ceil_mode)
    mean = avg_pool2d(input.pow(norm_type), *sizes, ceil_mode)
    return _root(mean, math.prod(pair(kernel_size)), norm_type)


def _of_extreme(
    max_pool: Callable[..., Any], input: Tensor, norm_type: float, *sizes: Any
) -> Tensor:
    """The norms of infinite order: the largest magnitude, or the smallest."""
    magnitudes: Tensor = input.abs() if norm_type > 0 else -input.abs()
    extreme: Tensor = max_pool(magnitudes, *sizes)
    return extreme if norm_type > 0 else -extreme


def _root(mean: Tensor, count: int, norm_type: float) -> Tensor:
    """The root of the sum that has this mean, its gradient 0 where the sum is."""
    return (mean.sign() * mean.abs().relu() * count).pow(1.0 / norm_type)


def as_images(input: Tensor) -> Tensor:
    if input.ndim not in (2, 3):
        raise RuntimeError(f"expected 2D or 3D (batched) input, but got shape {input.shape}")
    return input.unsqueeze(-2)

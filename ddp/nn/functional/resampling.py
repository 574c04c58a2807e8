"""Other sizes of images as functions."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

import numpy as np

from ddp.autograd.dtypes import is_floating
from ddp.autograd.ops import resample
from ddp.autograd.tensor import Tensor
from ddp.nn.functional.adaptive_pooling import adaptive_avg_pool1d, adaptive_avg_pool2d

# mode → how many axes follow (N, C)
AXES = {"linear": 1, "bilinear": 2, "bicubic": 2, "trilinear": 3}
WITHOUT_CORNERS = ("nearest", "nearest-exact", "area")
KINDS = {  # mode → the first part of the node's name
    "area": "AdaptiveAvgPool",
    "nearest": "UpsampleNearest",
    "nearest-exact": "UpsampleNearestExact",
    "linear": "UpsampleLinear",
    "bilinear": "UpsampleBilinear",
    "bicubic": "UpsampleBicubic",
    "trilinear": "UpsampleTrilinear",
}


def interpolate(
    input: Tensor,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
) -> Tensor:
    """(N, C, L), (N, C, H, W) or (N, C, D, H, W) in another size.

    `size` is the new one, or the old one times `scale_factor`. `mode` is "nearest",
    "nearest-exact", "area" (the means of a grid of cells), "linear" (3-D input), "bilinear" or
    "bicubic" (4-D), or "trilinear" (5-D). `align_corners` puts the centres of the corners,
    rather than their outer edges, in the same place.
    """
    if mode not in (*WITHOUT_CORNERS, *AXES):
        raise NotImplementedError(f"interpolate: mode '{mode}' is not available")
    if mode in WITHOUT_CORNERS and align_corners is not None:
        raise ValueError(
            "align_corners option can only be set with the interpolating modes: linear | bilinear "
            "| bicubic | trilinear"
        )
    axes = input.ndim - 2
    if axes not in (1, 2, 3) or AXES.get(mode, axes) != axes:
        raise NotImplementedError(
            "Input Error: Only 3D, 4D and 5D input Tensors supported (got "
            f"{input.ndim}D) for the modes: nearest | linear | bilinear | bicubic | trilinear "
            f"(got {mode})"
        )
    if not mode.startswith("nearest") and not is_floating(input.dtype):
        raise NotImplementedError(
            f"interpolate: mode '{mode}' weighs its inputs and needs floating numbers, got "
            f"{input.dtype}: convert them with .float()"
        )
    sizes, factors = _sizes_and_factors(input, size, scale_factor)
    if mode == "area" and axes < 3:
        pool = adaptive_avg_pool1d if axes == 1 else adaptive_avg_pool2d
        return pool(input, sizes[0] if axes == 1 else tuple(sizes))
    if recompute_scale_factor:
        factors = [None] * axes
    weights = []
    for old, new, factor in zip(input.shape[2:], sizes, factors, strict=True):
        if min(old, new) < 1:
            raise RuntimeError(
                "Input and output sizes should be greater than 0, but got input "
                f"{list(input.shape[2:])} and output {sizes}"
            )
        # As in PyTorch, the factor does not count where it comes to one, or to two for "nearest".
        whole = new == old or (mode == "nearest" and new == 2 * old)
        scale = old / new if factor is None or whole else 1.0 / factor
        if mode == "area":
            matrix = resample.area_weights(old, new)
        elif mode == "nearest":
            matrix = resample.nearest_weights(old, new, scale)
        elif mode == "nearest-exact":
            matrix = resample.nearest_exact_weights(old, new, scale)
        else:
            if align_corners:
                scale = (old - 1) / (new - 1) if new > 1 else 0.0
            exact = input.dtype if input.dtype == np.float64 else np.float32
            weigh = resample.cubic_weights if mode == "bicubic" else resample.linear_weights
            matrix = weigh(old, new, scale, bool(align_corners), exact)
        weights.append(matrix.astype(input.dtype))
    return resample.interpolate(input, weights, KINDS[mode])


def _sizes_and_factors(
    input: Tensor, size: int | Sequence[int] | None, scale_factor: float | Sequence[float] | None
) -> tuple[list[int], list[float | None]]:
    """The new size of every axis, and the factor it was given by, or None."""
    if size is not None and scale_factor is not None:
        raise ValueError("only one of size or scale_factor should be defined")
    if size is None and scale_factor is None:
        raise ValueError("either size or scale_factor should be defined")
    axes = input.ndim - 2
    given = size if size is not None else scale_factor
    values = [given] * axes if isinstance(given, (int, float)) else list(given or ())
    if len(values) != axes:
        name = "size" if size is not None else "scale_factor"
        raise ValueError(
            f"Input and {name} must have the same number of spatial dimensions, but got input with "
            f"spatial dimensions of {list(input.shape[2:])} and {name} of {given}"
        )
    if size is not None:
        return [int(value) for value in values], [None] * axes
    sizes = [math.floor(n * float(f)) for n, f in zip(input.shape[2:], values, strict=True)]
    return sizes, [float(value) for value in values]


def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """(..., C·r², H, W) → (..., C, H·r, W·r) for r = upscale_factor (arXiv:1609.05158)."""
    if input.ndim < 3 or upscale_factor < 1 or input.shape[-3] % upscale_factor**2:
        raise RuntimeError(
            "pixel_shuffle expects its input's 'channel' dimension to be divisible by the square "
            f"of upscale_factor, but got input of shape {list(input.shape)} and upscale_factor="
            f"{upscale_factor}"
        )
    return resample.pixel_shuffle(input, upscale_factor)


def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """(..., C, H·r, W·r) → (..., C·r², H, W) for r = downscale_factor."""
    r = downscale_factor
    if input.ndim < 3 or r < 1 or input.shape[-2] % r or input.shape[-1] % r:
        raise RuntimeError(
            "pixel_unshuffle expects height and width to be divisible by downscale_factor, but got "
            f"input of shape {list(input.shape)} and downscale_factor={r}"
        )
    return resample.pixel_unshuffle(input, r)


def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """(N, C, ...): the first channels of all `groups` groups, then the second ones, …"""
    if input.ndim < 3 or groups < 1 or input.shape[1] % groups:
        raise RuntimeError(
            f"Number of channels must be divisible by groups. Got {list(input.shape)} and "
            f"{groups} groups."
        )
    batch, channels, *rest = input.shape
    return (
        input.reshape(batch, groups, channels // groups, *rest).transpose(1, 2).reshape(input.shape)
    )


def upsample(
    input: Tensor,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Tensor:
    """The old name of `interpolate`."""
    warnings.warn(
        "`nn.functional.upsample` is deprecated. Use `nn.functional.interpolate` instead.",
        stacklevel=2,
    )
    return interpolate(input, size, scale_factor, mode, align_corners)
